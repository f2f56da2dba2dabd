"""What auditors read: events, proofs, batches, checkpoints, access logs, snapshots, evidence."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import ALL, Caller, assert_problem
from support.chains import wired
from support.ledgers import PARTY, Bed, LedgerMaker, access, anchor_all, serving

from ledger import canonical
from ledger.adapters.evm import EvmChain
from ledger.batch import BatchHeader
from ledger.checkpoint import open_checkpoint
from ledger.entry import event_time, parse_entry
from ledger.evidence import check_package, check_package_on_chain
from ledger.merkle import check_consistency, leaf_hash, log_root
from ledger.note import VerifierKey
from ledger.proof import parse_proof
from ledger.proving import verify
from ledger.receipt import open_receipt
from ledger.scenario import scenario
from ledger.types import Digest, Origin, Position, from_base64

EVENTS = 60
YEAR = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def audited(bed: Bed, client: httpx.Client) -> Caller:
    """A log with a scenario in many batches, all anchored, and one pushed event that still waits. Only read it."""
    origin = bed.create_log()
    values = list(scenario(3, EVENTS, event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")))
    for start in range(0, EVENTS, 20):
        bed.pipeline.push(origin, PARTY, values[start : start + 20])
        bed.clock.move(60_000)
        bed.settle(origin)
    bed.push(origin, 1)
    return Caller(client, origin, bed.api_key(origin, *ALL))


# --- events ---------------------------------------------------------------------------------------------


def pages(caller: Caller, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    after = None
    while True:
        page = caller.get(path, **parameters, **({} if after is None else {"after": after}))
        assert page.status_code == 200, page.text
        yield from page.json()["items"]
        if (after := page.json()["next"]) is None:
            return


def test_events_are_listed_in_order_page_by_page_without_loss(audited: Caller) -> None:
    for limit in (7, 61, 1000):
        events = list(pages(audited, "/events", limit=limit))
        assert [event["position"] for event in events] == list(range(EVENTS + 1))


@pytest.mark.parametrize(("name", "member"), [("type", "type"), ("phase", "phase"), ("transfer", "subject")])
def test_events_are_filtered(audited: Caller, name: str, member: str) -> None:
    everything = list(pages(audited, "/events", limit=1000))
    values = {item["event"][member] for item in everything}
    assert len(values) > 1
    for value in values:
        found = list(pages(audited, "/events", limit=5, **{name: value}))
        assert found == [item for item in everything if item["event"][member] == value]
    assert list(pages(audited, "/events", party=PARTY)) == everything
    assert list(pages(audited, "/events", party="nobody")) == []


def test_events_of_a_span_of_time_are_its_events(audited: Caller) -> None:
    everything = list(pages(audited, "/events", limit=1000))
    times = sorted(event_time(item["event"]["time"]) for item in everything)
    since, until = "2026-02-01T00:00:00Z", "2026-04-01T02:00:00+02:00"
    inside = [t for t in times if event_time(since) <= t < event_time(until)]
    found = list(pages(audited, "/events", since=since, until=until))
    assert 0 < len(inside) < EVENTS
    assert sorted(event_time(item["event"]["time"]) for item in found) == inside


@pytest.mark.parametrize(
    "parameters",
    [{"since": "yesterday"}, {"until": "2026-13-01T00:00:00Z"}, {"since": "0001-01-01T00:00:00+23:59"}],
)
def test_a_time_out_of_form_is_400(audited: Caller, parameters: dict[str, str]) -> None:
    for path in ("/events", "/v1/access", "/v1/snapshots"):
        assert_problem(audited.get(path, **parameters), 400, "malformed-input")


@pytest.mark.parametrize(
    "parameters",
    [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"after": -1}, {"after": 2**54}, {"phase": "later"}],
)
def test_a_parameter_out_of_range_is_422(audited: Caller, parameters: dict[str, Any]) -> None:
    for path in ("/events", "/v1/access", "/v1/snapshots"):
        body = assert_problem(audited.get(path, **parameters), 422, "invalid-parameter")
        assert next(iter(parameters)) in body["problems"][0]["at"]


def test_an_event_is_read_with_its_committed_text(audited: Caller, bed: Bed) -> None:
    for position in (0, 17, EVENTS):
        item = audited.get(f"/events/{position}").json()
        assert leaf_hash(item["entry"].encode()).base64 == item["leaf"]
        assert parse_entry(item["entry"].encode()).attributes["id"] == item["event"]["id"]
        assert audited.get(item["proof"]).status_code == (200 if position < EVENTS else 409)


@pytest.mark.parametrize("position", [EVENTS + 1, 2**53])
def test_a_position_that_is_not_there_is_404(audited: Caller, position: int) -> None:
    for path in ("", "/proof", "/receipt"):
        assert_problem(audited.get(f"/events/{position}{path}"), 404, "not-found")


@pytest.mark.parametrize("position", ["-1", "x", "1.5", str(2**53 + 1), "1e3", "99999999999999999999999"])
def test_a_position_out_of_form_is_422(audited: Caller, position: str) -> None:
    for path in ("", "/proof", "/receipt"):
        assert_problem(audited.get(f"/events/{position}{path}"), 422, "invalid-parameter")


def test_a_receipt_covers_its_event(audited: Caller, bed: Bed) -> None:
    receipt = open_receipt(audited.get("/events/33/receipt").text, bed.key(audited.origin))
    assert (receipt.first, receipt.count) == (20, 20)


# --- proofs ---------------------------------------------------------------------------------------------


def test_every_proof_verifies_against_key_and_chain(audited: Caller, bed: Bed) -> None:
    for position in range(EVENTS):
        answer = audited.get(f"/events/{position}/proof")
        assert answer.headers["content-type"] == "application/vnd.transfer-ledger.proof+json"
        verified = verify(parse_proof(answer.content), bed.key(audited.origin), audited.origin, bed.chain)
        assert verified.event.position == position
        assert verified.by_key
        assert verified.by_chain


def test_a_proof_shows_the_members_that_were_asked_for(audited: Caller, bed: Bed) -> None:
    names = list(audited.get("/events/0").json()["event"]["data"])
    hidden = [d.name for d in parse_proof(audited.get("/events/0/proof").content).disclosures]
    assert set(hidden) <= set(names)
    for show in ([], hidden[:1], hidden[:2], hidden):
        answer = audited.get("/events/0/proof", show=",".join(show))
        proof = parse_proof(answer.content)
        assert [d.name for d in proof.disclosures] == [name for name in hidden if name in show]
        assert verify(proof, bed.key(audited.origin), audited.origin, None).event.position == 0


def test_a_member_that_is_not_there_cannot_be_shown(audited: Caller) -> None:
    assert_problem(audited.get("/events/0/proof", show="nothing"), 404)


def test_an_event_is_proved_only_once_it_is_sealed_and_anchored(caller: Caller, bed: Bed) -> None:
    caller.push(access(1))
    for step in (lambda: None, lambda: bed.pipeline.seal(caller.origin, force=True)):
        step()
        answer = caller.get("/events/0/proof")
        assert_problem(answer, 409, "pending")
        assert int(answer.headers["retry-after"]) > 0
        assert_problem(caller.get("/checkpoint"), 409, "pending")
    anchor_all(bed.pipeline, caller.origin)
    assert caller.get("/events/0/proof").status_code == 200
    assert caller.get("/checkpoint").status_code == 200


# --- the verify endpoint --------------------------------------------------------------------------------


def ask_verdict(caller: Caller, document: bytes) -> Any:
    return caller.client.post("/v1/verify", content=document)


def test_the_ledger_verifies_its_own_proofs_and_says_that_this_is_no_proof(audited: Caller) -> None:
    verdict = ask_verdict(audited, audited.get("/events/5/proof").content).json()
    assert verdict["verified"] is True
    assert (verdict["origin"], verdict["position"]) == (audited.origin, 5)
    assert verdict["event"] == audited.get("/events/5").json()["event"]
    assert "offline" in verdict["caveat"]
    assert verdict["step"] is None


def tampered(document: Any, name: str, other: Any) -> Any:
    match name:
        case "entry":
            document["entry"] = document["entry"].replace('"v":1', '"v":2')
        case "batch":
            document["batch"]["index"] += 1
        case "log":
            document["log"]["path"] = other["log"]["path"][::-1]
        case "header":
            document["log"]["index"] += 1
        case "signature":
            document["checkpoint"] = document["checkpoint"].replace("\n15\n", "\n14\n", 1)
        case "disclosures":
            document["disclosures"] = other["disclosures"]
        case "chain":
            document["anchor"] = {
                **document["anchor"],
                "block_number": document["anchor"]["block_number"] + 1,
            }
    return document


@pytest.mark.parametrize(
    ("name", "step"),
    [("entry", "batch"), *((s, s) for s in ("batch", "log", "header", "signature", "disclosures", "chain"))],
)
def test_a_tampered_proof_is_told_with_the_step_that_failed(audited: Caller, name: str, step: str) -> None:
    document, other = (audited.get(f"/events/{position}/proof").json() for position in (5, 9))
    verdict = ask_verdict(audited, canonical.encode(tampered(document, name, other))).json()
    assert verdict["verified"] is False
    assert verdict["step"] == step
    assert verdict["event"] is None


def test_what_is_no_proof_is_400_and_of_no_log_here_404(audited: Caller) -> None:
    for body in (b"", b"{}", b"[]", b"\xff", b"[" * 10_000):
        assert_problem(ask_verdict(audited, body), 400, "malformed-input")
    document = audited.get("/events/5/proof").json()
    document["checkpoint"] = document["checkpoint"].replace(audited.origin, "ledger.example/nobody")
    assert_problem(ask_verdict(audited, canonical.encode(document)), 404, "not-found")
    assert_problem(ask_verdict(audited, b" " * 5_000_000), 413, "too-large")


# --- logs, batches, checkpoints -------------------------------------------------------------------------


def test_a_log_is_told_with_its_key_and_contract(audited: Caller, bed: Bed) -> None:
    log = audited.get("").json()
    assert log in audited.client.get("/v1/logs").json()
    assert log["origin"] == audited.origin
    assert log["contract"]["address"] == bed.chain.contract.address
    assert VerifierKey.parse(log["verifier_key"]) == bed.key(audited.origin)
    assert (log["size"], log["batches"]) == (EVENTS + 1, EVENTS // 4)


PATHS = ["", "/events", "/batches", "/batches/0", "/checkpoint", "/consistency?old=0&new=0", "/anchors"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ["ledger.example/nobody", "x", "a/b/c/d", "%00", "..%2F..", "ü"])
def test_a_log_that_is_not_there_is_404(audited: Caller, origin: str, path: str) -> None:
    answer = audited.client.get(f"/v1/logs/{origin}{path}", headers=audited.headers)
    assert_problem(answer, 404)


def test_batches_tile_the_log_and_give_their_headers(audited: Caller) -> None:
    batches = list(pages(audited, "/batches", limit=4))
    assert [batch["batch_no"] for batch in batches] == list(range(EVENTS // 4))
    end = 0
    for batch in batches:
        header = BatchHeader.parse(from_base64(batch["header"]))
        assert (batch["first_leaf"], header.first_leaf, header.root.base64) == (end, end, batch["root"])
        assert (batch["state"], audited.get(f"/batches/{batch['batch_no']}").json()) == ("final", batch)
        assert batch["anchor"] is not None
        end += batch["leaf_count"]
    assert end == EVENTS
    assert_problem(audited.get(f"/batches/{EVENTS // 4}"), 404)
    assert_problem(audited.get(f"/batches/{2**53}"), 404)


def test_a_sealed_batch_has_no_anchor_until_it_is_anchored(caller: Caller, bed: Bed) -> None:
    caller.push(access(1))
    bed.pipeline.seal(caller.origin, force=True)
    [batch] = caller.get("/batches").json()["items"]
    assert (batch["state"], batch["anchor"]) == ("sealed", None)


def test_the_checkpoint_is_signed_over_the_root_that_the_contract_holds(audited: Caller, bed: Bed) -> None:
    answer = audited.get("/checkpoint")
    assert answer.headers["content-type"].startswith("text/plain")
    checkpoint = open_checkpoint(answer.text, bed.key(audited.origin))
    assert (checkpoint.origin, checkpoint.size) == (audited.origin, EVENTS // 4)
    headers = [BatchHeader.parse(from_base64(b["header"])) for b in audited.get("/batches").json()["items"]]
    assert checkpoint.root == bed.chain.root_of(headers[0].log_id)


def test_every_pair_of_sizes_is_shown_to_be_consistent(audited: Caller, bed: Bed) -> None:
    sizes = range(EVENTS // 4 + 1)
    roots = [log_root(size, lambda ids: bed.store.nodes(audited.origin, ids)) for size in sizes]
    for old, new in itertools.combinations_with_replacement(sizes, 2):
        answer = audited.get("/consistency", old=old, new=new).json()
        path = tuple(Digest.from_base64(text) for text in answer["path"])
        check_consistency(old, new, roots[old], roots[new], path)


@pytest.mark.parametrize(("old", "new"), [(2, 1), (0, EVENTS), (EVENTS, EVENTS), (2**53, 2**53)])
def test_sizes_that_the_log_never_had_are_400(audited: Caller, old: int, new: int) -> None:
    assert_problem(audited.get("/consistency", old=old, new=new), 400, "malformed-input")


def test_every_attempt_to_anchor_is_listed(audited: Caller) -> None:
    page = audited.get("/anchors").json()
    anchorings = page["items"]
    assert page["next"] is None
    assert sum(anchoring["batches"] for anchoring in anchorings) == EVENTS // 4
    assert {anchoring["state"] for anchoring in anchorings} == {"final"}
    listed, after = [], None
    while after is not None or not listed:
        page = audited.get("/anchors", limit=1, **({"after": after} if after else {})).json()
        listed += page["items"]
        after = page["next"]
    assert listed == anchorings


@pytest.mark.parametrize("after", ["", "1", "1.", "a.b", "1.0.0", "-1.0", "01.0", "1.00000000000000000"])
def test_what_is_no_cursor_of_the_attempts_is_refused(audited: Caller, after: str) -> None:
    assert_problem(audited.get("/anchors", after=after), 422)


# --- views ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/access", "/v1/snapshots"])
def test_rows_of_a_view_come_page_by_page_without_loss_and_lead_to_their_events(
    audited: Caller, path: str
) -> None:
    rows = list(pages(audited, path, limit=1000))
    assert rows
    assert list(pages(audited, path, limit=3)) == rows
    assert [row["position"] for row in rows] == sorted(row["position"] for row in rows)
    for row in rows[:5]:
        event = audited.get(f"/events/{row['position']}").json()["event"]
        assert (row["transfer"], row["phase"]) == (event["subject"], event["phase"])
        assert row.get("action") == event["data"].get("action")
        assert audited.get(row["proof"]).status_code == 200


FILTERS = {
    "/v1/access": {
        "phase": "phase", "transfer": "transfer", "principal": "principal", "action": "action", "outcome": "outcome",
        "resource": "resource", "country": "country", "source_system": "source_system",
    },
    "/v1/snapshots": {
        "phase": "phase", "transfer": "transfer", "resource": "resource", "public": "public",
        "source_system": "source_system",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "name", "member"), [(p, n, m) for p, members in FILTERS.items() for n, m in members.items()]
)
def test_a_filter_gives_the_rows_that_have_its_value(
    audited: Caller, path: str, name: str, member: str
) -> None:
    rows = list(pages(audited, path, limit=1000))
    values = {row[member] for row in rows if row[member] is not None}
    assert values, "the scenario fills every column that can be asked for"
    for value in values:
        found = list(pages(audited, path, limit=7, **{name: value}))
        assert found == [row for row in rows if row[member] == value]
    if name not in ("phase", "public"):
        assert list(pages(audited, path, **{name: "nothing of that"})) == []


def test_filters_and_spans_of_time_go_together(audited: Caller) -> None:
    rows = list(pages(audited, "/v1/access", limit=1000))
    middle = sorted(row["time"] for row in rows)[len(rows) // 2]
    found = list(pages(audited, "/v1/access", since=middle, outcome="allowed", log=audited.origin))
    assert found == [row for row in rows if row["time"] >= middle and row["outcome"] == "allowed"]


# --- evidence -------------------------------------------------------------------------------------------


def test_the_evidence_of_a_period_verifies_by_key_and_chain(audited: Caller, bed: Bed) -> None:
    answer = audited.get("/evidence", **YEAR)
    assert answer.headers["content-type"] == "application/vnd.transfer-ledger.evidence+zip"
    assert answer.headers["content-disposition"].endswith('-20200101.zip"')
    report = check_package(io.BytesIO(answer.content), bed.key(audited.origin))
    check_package_on_chain(report, bed.chain)
    assert report.events_in_period == EVENTS
    assert report.withheld_members == 0


@pytest.mark.parametrize(
    "period",
    [
        {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"from": "2027-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"from": "x", "to": "y"},
        {"from": "1960-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
    ],
)
def test_what_is_no_period_is_400(audited: Caller, period: dict[str, str]) -> None:
    assert_problem(audited.get("/evidence", **period), 400, "malformed-input")


def test_evidence_of_a_log_that_is_not_anchored_yet_is_409(caller: Caller) -> None:
    caller.push(access(1))
    assert_problem(caller.get("/evidence", **YEAR), 409, "pending")


# --- health ---------------------------------------------------------------------------------------------


def test_a_running_ledger_is_alive_and_ready(audited: Caller) -> None:
    assert audited.client.get("/healthz").json() == {"status": "ok"}
    ready = audited.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True
    assert ready.json()["logs"][audited.origin] == "ok"


def test_a_ledger_without_its_chain_is_alive_but_not_ready(ledgers: LedgerMaker, tmp_path: Any) -> None:
    with ledgers(tmp_path) as bed, wired(bed.node.url) as wire:
        origin = bed.create_log()
        chain = EvmChain(wire.url, bed.chain.contract, timeout=5)
        away = Bed(bed.ledger, bed.clock, bed.node, bed.operator_key)
        object.__setattr__(away.ledger, "pipeline", bed.restarted(chain=chain))
        with serving(away) as url, httpx.Client(base_url=url) as client:
            assert client.get("/readyz").status_code == 200
            wire.lose.update({"eth_chainId", "eth_call", "eth_getCode"})
            assert client.get("/healthz").status_code == 200
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["ready"], ready.json()["store"]) == (503, False, "ok")
            assert ready.json()["chain"] != "ok"
            # The log was held while the chain was there, so nothing is lost and pushes go on.
            assert Caller(client, origin, bed.api_key(origin, *ALL)).push(access(1)).status_code == 201
        chain.close()


def test_a_push_before_the_chain_was_ever_seen_is_503_and_says_when_to_try_again(
    ledgers: LedgerMaker, tmp_path: Any
) -> None:
    with ledgers(tmp_path) as bed, wired(bed.node.url) as wire:
        origin = bed.create_log()
        wire.lose.add("eth_chainId")
        chain = EvmChain(wire.url, bed.chain.contract, timeout=5)
        object.__setattr__(bed.ledger, "pipeline", bed.restarted(chain=chain))
        with serving(bed) as url, httpx.Client(base_url=url) as client:
            answer = Caller(client, origin, bed.api_key(origin, *ALL)).push(access(1))
            assert_problem(answer, 503, "chain-unavailable")
            assert int(answer.headers["retry-after"]) > 0
        chain.close()
        assert bed.store.head(origin).size == 0


def test_a_restored_backup_is_503_and_says_why(ledgers: LedgerMaker, tmp_path: Any) -> None:
    """I6, seen from outside: the chain holds a batch that this store does not."""
    with ledgers(tmp_path / "one") as bed:
        origin = bed.create_log()
        with ledgers(tmp_path / "two", operator_key=bed.operator_key) as other:
            other.ledger.create_log(origin, PARTY)
            other.push(origin, 1)
            other.settle(origin)
        with serving(bed) as url, httpx.Client(base_url=url) as client:
            answer = Caller(client, origin, bed.api_key(origin, *ALL)).push(access(2))
            body = assert_problem(answer, 503, "history-forked")
            assert "behind the chain" in body["detail"]
            ready = client.get("/readyz")
            assert ready.status_code == 503
            assert "behind the chain" in ready.json()["logs"][origin]


def test_the_ledger_tells_no_secret_of_its_store(audited: Caller, bed: Bed) -> None:
    assert bed.store.event(audited.origin, Position(0)).disclosures
    for path in ("/v1/logs", "/readyz", "/openapi.json"):
        assert "ledger.db" not in audited.client.get(path).text


def test_unknown_paths_and_methods_are_problems(audited: Caller) -> None:
    assert_problem(audited.client.get("/nothing"), 404)
    assert_problem(audited.client.get("/v1/nothing"), 404)
    answer = audited.client.delete(f"/v1/logs/{audited.origin}")
    assert_problem(answer, 405)
    assert "GET" in answer.headers["allow"]
    assert_problem(audited.client.put(f"/v1/logs/{audited.origin}/events/0", content=b"{}"), 405)
    assert json.loads(audited.client.get("/openapi.json").text)["openapi"].startswith("3.1")


def test_origins_are_part_of_the_path(audited: Caller) -> None:
    assert audited.client.get(f"/v1/logs/{audited.origin}").json()["origin"] == Origin(audited.origin)
