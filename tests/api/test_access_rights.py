"""Who may do what: keys, scopes, logs. No route that writes is open."""

from __future__ import annotations

import httpx
import pytest
from conftest import ALL, Caller, assert_problem
from support.ledgers import OTHER_PARTY, Bed, access

from api.services import RecentKeys
from ledger.records import Scope
from ledger.types import Origin

READS = ["/events", "/events/0", "/events/0/proof", "/events/0/receipt"]
PERIOD = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}


@pytest.fixture
def settled(bed: Bed, origin: Origin) -> Origin:
    bed.push(origin, 1, 2)
    bed.settle(origin)
    return origin


def with_key(client: httpx.Client, bed: Bed, origin: Origin, *scopes: Scope) -> Caller:
    return Caller(client, origin, bed.api_key(origin, *scopes))


GARBAGE = {
    "garbage": "x",
    "short": "tl_0123456789ab_short",
    "unknown": f"tl_{'0' * 12}_{'A' * 43}",
    "not ASCII": "tl_Ünïcödé",
}


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("key", [None, *GARBAGE.values()], ids=["none", *GARBAGE])
def test_reading_without_a_valid_key_is_401(
    client: httpx.Client, settled: Origin, path: str, key: str | None
) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}".encode("latin-1")}
    answer = client.get(f"/v1/logs/{settled}{path}", headers=headers)  # type: ignore[arg-type]
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_another_scheme_of_authentication_is_401(client: httpx.Client, bed: Bed, settled: Origin) -> None:
    key = bed.api_key(settled, *ALL)
    for value in (f"Basic {key}", key, f"Bearer  {key} x", "Bearer"):
        answer = client.get(f"/v1/logs/{settled}/events", headers={"Authorization": value})
        assert_problem(answer, 401)


def test_a_key_with_another_secret_is_401(client: httpx.Client, bed: Bed, settled: Origin) -> None:
    key = bed.api_key(settled, *ALL)
    other = bed.api_key(settled, *ALL)
    mixed = key[:16] + other[16:]
    assert_problem(Caller(client, settled, mixed).get("/events"), 401)
    flipped = key[:-2] + ("A" if key[-2] != "A" else "B") + key[-1]
    assert_problem(Caller(client, settled, flipped).get("/events"), 401)


def test_a_revoked_key_is_401_at_once(client: httpx.Client, bed: Bed, settled: Origin) -> None:
    caller = with_key(client, bed, settled, *ALL)
    assert caller.get("/events").status_code == 200
    assert caller.key is not None
    bed.store.revoke_api_key(caller.key[3:15], bed.clock.now())
    assert "revoked" in assert_problem(caller.get("/events"), 401)["detail"]
    assert_problem(caller.push(access(9)), 401)


def test_a_revoked_key_pushes_for_a_second_at_most(
    client: httpx.Client, bed: Bed, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller(client, origin, bed.api_key(origin, Scope.PUSH))
    monkeypatch.setattr(RecentKeys, "SECONDS", 600.0)
    assert caller.push(access(1)).status_code == 201
    bed.store.revoke_api_key(str(caller.key)[3:15], bed.clock.now())
    assert caller.push(access(2)).status_code == 201
    monkeypatch.setattr(RecentKeys, "SECONDS", 0.0)  # the second is over
    assert "revoked" in assert_problem(caller.push(access(3)), 401)["detail"]


@pytest.mark.parametrize("path", READS)
def test_another_logs_key_is_403(client: httpx.Client, bed: Bed, settled: Origin, path: str) -> None:
    stranger = Caller(client, settled, bed.api_key(bed.create_log(), *ALL))
    assert_problem(stranger.get(path), 403, "forbidden")
    assert_problem(stranger.push(access(9)), 403, "forbidden")
    assert_problem(stranger.get("/evidence", **PERIOD), 403)
    assert_problem(stranger.get("/v1/access", log=settled), 403)
    assert_problem(stranger.get("/v1/snapshots", log=settled), 403)


def test_nobody_pushes_without_a_key(client: httpx.Client, bed: Bed, origin: Origin) -> None:
    assert_problem(Caller(client, origin, None).push(access(1)), 401)
    assert bed.store.head(origin).size == 0


def test_pushing_needs_the_scope_push(client: httpx.Client, bed: Bed, origin: Origin) -> None:
    caller = with_key(client, bed, origin, Scope.READ, Scope.DISCLOSE)
    assert "push" in assert_problem(caller.push(access(1)), 403)["detail"]
    assert bed.store.head(origin).size == 0


@pytest.mark.parametrize("path", READS)
def test_reading_needs_the_scope_read(client: httpx.Client, bed: Bed, settled: Origin, path: str) -> None:
    assert_problem(with_key(client, bed, settled, Scope.PUSH).get(path), 403)


@pytest.mark.parametrize("path", ["/v1/access", "/v1/snapshots", "/evidence"])
def test_views_and_evidence_need_the_scope_disclose(
    client: httpx.Client, bed: Bed, settled: Origin, path: str
) -> None:
    assert_problem(with_key(client, bed, settled, Scope.PUSH, Scope.READ).get(path, **PERIOD), 403)
    assert_problem(Caller(client, settled, None).get(path, **PERIOD), 401)
    assert with_key(client, bed, settled, Scope.DISCLOSE).get(path, **PERIOD).status_code == 200


def test_without_the_scope_disclose_no_member_is_shown(
    client: httpx.Client, bed: Bed, settled: Origin
) -> None:
    caller = with_key(client, bed, settled, Scope.READ)
    for answer in (caller.get("/events"), caller.get("/events/0"), caller.get("/events/0/proof")):
        assert answer.status_code == 200
        assert "arn:aws:iam" not in answer.text
        assert "replays/" not in answer.text
    assert caller.get("/events/0").json()["disclosures"] == []
    assert set(caller.get("/events/0").json()["event"]["data"]) == {
        "outcome",
        "source_system",
        "completeness",
    }
    assert caller.get("/events/0/proof").json()["disclosures"] == []


def test_without_the_scope_disclose_no_member_can_be_asked_for(
    client: httpx.Client, bed: Bed, settled: Origin
) -> None:
    caller = with_key(client, bed, settled, Scope.READ)
    assert_problem(caller.get("/events/0/proof", show="principal"), 403)
    assert caller.get("/events/0/proof", show="").status_code == 200


def test_an_event_stands_under_the_party_of_its_key(client: httpx.Client, bed: Bed, origin: Origin) -> None:
    key = bed.api_key(origin, *ALL, party=OTHER_PARTY)
    caller = Caller(client, origin, key)
    assert caller.push(access(1)).status_code == 201
    assert caller.get("/events/0").json()["party"] == OTHER_PARTY


def test_the_public_routes_show_nothing_about_a_person(client: httpx.Client, settled: Origin) -> None:
    caller = Caller(client, settled, None)
    for path in ("", "/batches", "/batches/0", "/checkpoint", "/anchors"):
        answer = caller.get(path)
        assert answer.status_code == 200, path
        assert "arn:" not in answer.text
    assert client.get("/v1/logs").status_code == 200


def test_no_answer_holds_a_key_or_its_hash(client: httpx.Client, bed: Bed, settled: Origin) -> None:
    caller = with_key(client, bed, settled, *ALL)
    assert caller.key is not None
    secret = caller.key[16:]
    for path in ("", "/events", "/batches", "/anchors", "/v1/logs", "/v1/access", "/nothing"):
        assert secret not in caller.get(path).text
