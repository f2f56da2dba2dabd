"""What auditors ask over HTTP: access log, transfers, completeness, timeline, snapshots compared, reconciliation."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from conftest import ALL, Caller, assert_problem
from pyarrow import parquet
from support.ledgers import OTHER_PARTY, PARTY, START, Bed, access

from ledger.entry import event_time
from ledger.grant_use import UsePage, UsePages
from ledger.note import VerifierKey
from ledger.proof import parse_proof
from ledger.proving import verify
from ledger.reconciliations import whole
from ledger.records import Party, PartyKey, Role, Scope, ViewFilter
from ledger.scenario import scenario
from ledger.types import PartyId, Position

EVENTS = 2000
TIMES = event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")


@pytest.fixture(scope="module")
def audited(bed: Bed, client: httpx.Client) -> Caller:
    """Eight sessions with a fault in six, anchored. Only read it."""
    origin = bed.create_log()
    values = list(scenario(1, EVENTS, *TIMES))
    for start in range(0, EVENTS, 500):
        bed.pipeline.push(origin, PARTY, values[start : start + 500])
    bed.settle(origin)
    return Caller(client, origin, bed.api_key(origin, *ALL))


def pages(caller: Caller, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    after: Any = None
    while True:
        page = caller.get(path, **parameters, **({} if after is None else {"after": after}))
        assert page.status_code == 200, page.text
        yield from page.json()["items"]
        if (after := page.json()["next"]) is None:
            return


def faulty(caller: Caller, number: int) -> str:
    """The transfer of session n of the generator: names are in the order of time."""
    return [item["transfer"] for item in pages(caller, "/v1/transfers")][number]


# --- Accesses ---------------------------------------------------------------------------------------------------------


def test_filters_of_the_access_log_may_be_combined(audited: Caller) -> None:
    everything = list(pages(audited, "/v1/access", limit=1000))
    assert len({row["position"] for row in everything}) == len(everything) > 300
    draws = itertools.product(("allowed", "refused"), ("JP", "DE"), ("1.2", "1.3"), ("s3:GetObject",))
    for outcome, country, tls, action in draws:
        equal = {"outcome": outcome, "country": country, "tls_version": tls, "action": action}
        found = list(pages(audited, "/v1/access", limit=7, **equal))
        assert found == [
            row for row in everything if all(row[name] == value for name, value in equal.items())
        ]
    some = everything[len(everything) // 2]
    span = {"since": everything[10]["time"], "until": some["time"], "principal": some["principal"]}
    assert list(pages(audited, "/v1/access", **span)) == [
        row
        for row in everything
        if span["since"] <= row["time"] < span["until"] and row["principal"] == some["principal"]
    ]
    assert list(pages(audited, "/v1/access", principal="nobody", outcome="allowed")) == []


def test_a_row_has_the_whole_normal_form_and_leads_to_its_proof(audited: Caller, bed: Bed) -> None:
    row = next(pages(audited, "/v1/access", outcome="refused"))
    assert None not in row.values()
    assert (row["class_uid"], row["reason"], row["completeness"]) == (6003, "AccessDenied", "best-effort")
    assert len(row["raw_sha256"]) == 64
    answer = audited.client.get(row["proof"], headers=audited.headers)
    proof = parse_proof(answer.content)
    key = VerifierKey.parse(bed.log(audited.origin).verifier_key)
    event = verify(proof, key, audited.origin, bed.chain).event
    opened = event.entry.event(event.disclosures).data
    assert {name: opened[name] for name in ("principal", "outcome", "raw_sha256")} == {
        name: row[name] for name in ("principal", "outcome", "raw_sha256")
    }


def test_an_export_has_every_row_in_each_form(audited: Caller) -> None:
    expected = list(pages(audited, "/v1/access", outcome="refused"))
    assert expected
    ndjson = audited.get("/v1/access.ndjson", outcome="refused")
    assert ndjson.headers["content-type"] == "application/x-ndjson"
    assert 'filename="access-' in ndjson.headers["content-disposition"]
    assert [json.loads(line) for line in ndjson.text.splitlines()] == expected
    rows = list(csv.DictReader(io.StringIO(audited.get("/v1/access.csv", outcome="refused").text)))
    assert [{k: v or None for k, v in row.items()} for row in rows] == [
        {k: None if v is None else str(v) for k, v in row.items()} for row in expected
    ]
    table = parquet.read_table(io.BytesIO(audited.get("/v1/access.parquet", outcome="refused").content))
    assert table.num_rows == len(expected)
    for name in ("position", "principal", "bytes", "class_uid", "proof"):
        assert table[name].to_pylist() == [row[name] for row in expected]
    times = [event_time(row["time"]) for row in expected]
    assert [round(t.timestamp() * 1000) for t in table["time"].to_pylist()] == times


def test_a_form_that_there_is_not_is_a_problem(audited: Caller) -> None:
    assert_problem(audited.get("/v1/access.xlsx"), 422)


def test_a_spreadsheet_does_not_run_what_an_accessor_wrote(caller: Caller, bed: Bed) -> None:
    names = [
        *("=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", "\n=1", " =1", "\x00=1", "\ufeff=1", "＝1", "－1"),
        "a;=1",
    ]
    values = [access(n, data={**access(n)["data"], "principal": name}) for n, name in enumerate(names)]
    bed.pipeline.push(caller.origin, PARTY, values)
    bed.pipeline.project(caller.origin)
    rows = list(csv.DictReader(io.StringIO(caller.get("/v1/access.csv").text, newline="")))
    assert [row["principal"] for row in rows] == [f"'{name}" for name in names[:-1]] + names[-1:]
    # Where a semicolon separates, quotes keep it from beginning a cell.
    assert '"a;=1"' in caller.get("/v1/access.csv").text
    exact = caller.get("/v1/access.ndjson").text.splitlines()
    assert [json.loads(line)["principal"] for line in exact] == names


# --- Transfers --------------------------------------------------------------------------------------------------------


def test_transfers_are_listed_page_by_page_and_read_alone(audited: Caller) -> None:
    listed = list(pages(audited, "/v1/transfers", limit=3))
    assert len(listed) == 8
    assert [item["transfer"] for item in listed] == sorted(item["transfer"] for item in listed)
    assert sum(item["events"] for item in listed) == EVENTS
    for item in listed:
        assert audited.get(f"/v1/transfers/{item['transfer']}").json() == item
        assert [h["party"] for h in item["exporters"]] == ["acme"]
        assert item["exporters"][0]["registered_name"] == "ACME Live"
        assert item["jurisdictions"]["platform_registered"] == ["CN"]
        assert item["jurisdictions"]["data_stored"] == item["jurisdictions"]["persons_located"]


def test_a_country_that_nobody_declared_stands_out(audited: Caller) -> None:
    undeclared = [item["jurisdictions"]["undeclared"] for item in pages(audited, "/v1/transfers")]
    assert undeclared == [[], ["PA"], [], [], [], [], [], []]


def test_the_matrix_says_what_is_missing_and_leads_to_the_proof_of_what_is_there(audited: Caller) -> None:
    matrices = list(pages(audited, "/v1/completeness", limit=3))
    wanting = {
        matrix["transfer"]: [
            (c["phase"], c["evidence"]) for c in matrix["cells"] if c["presence"] == "missing"
        ]
        for matrix in matrices
    }
    assert {t: w for t, w in wanting.items() if w} == {
        faulty(audited, 7): [("transit", "permission-snapshot"), ("storage", "permission-snapshot")]
    }
    one = matrices[3]
    assert audited.get(f"/v1/transfers/{one['transfer']}/completeness").json() == one
    assert list(pages(audited, "/v1/completeness", transfer=one["transfer"])) == [one]
    for cell in one["cells"]:
        if cell["presence"] == "present":
            event = audited.get(cell["proof"].removesuffix("/proof")).json()["event"]
            assert event["phase"] == cell["phase"]
            assert f".{cell['evidence'].partition(':')[0]}." in event["type"]


def test_a_timeline_is_in_the_order_of_time_and_whole(audited: Caller) -> None:
    transfer = faulty(audited, 2)
    everything = list(pages(audited, f"/v1/logs/{audited.origin}/events", transfer=transfer, limit=1000))
    timeline = list(pages(audited, "/v1/timeline", transfer=transfer, limit=9))
    assert len(timeline) == len(everything)
    assert {row["position"] for row in timeline} == {row["position"] for row in everything}
    order = [(row["time"], row["position"]) for row in timeline]
    assert order == sorted(order)
    assert list(pages(audited, f"/v1/transfers/{transfer}/timeline", limit=500)) == timeline
    hops = list(
        pages(audited, "/v1/timeline", transfer=transfer, type="transfer-ledger.hop.v1", phase="transit")
    )
    assert hops == [row for row in timeline if row["type"] == "transfer-ledger.hop.v1"]


def test_a_timeline_shows_a_reader_only_what_stands_in_clear(audited: Caller, bed: Bed) -> None:
    reader = Caller(audited.client, audited.origin, bed.api_key(audited.origin, Scope.READ))
    asked = {"transfer": faulty(audited, 2), "type": "transfer-ledger.access.v1"}
    hidden, shown = (next(pages(caller, "/v1/timeline", **asked)) for caller in (reader, audited))
    assert "principal" not in hidden["data"]
    assert hidden["withheld"] > 0
    assert "principal" in shown["data"]
    assert shown["withheld"] == 0


@pytest.mark.parametrize("after", ["", "x", "1", "1.", "1.-1", "1.5.2", "1.99999999999999999", "١.1"])
def test_a_cursor_that_no_page_gave_is_refused(audited: Caller, after: str) -> None:
    assert_problem(audited.get("/v1/timeline", transfer="live", after=after), 400)


def test_a_transfer_that_is_not_there_is_not_found(audited: Caller) -> None:
    for path in ("/v1/transfers/no", "/v1/transfers/no/timeline", "/v1/transfers/no/completeness"):
        assert_problem(audited.get(path), 404)
    assert_problem(audited.get("/v1/timeline", transfer="no"), 404)
    assert_problem(audited.get("/v1/completeness", transfer="no"), 404)
    assert_problem(audited.get("/v1/transfers/*"), 404)


def test_a_transfer_with_slashes_in_its_name_can_be_asked_for(caller: Caller, bed: Bed) -> None:
    for name in ("feed/1", "feed/1/timeline"):
        bed.pipeline.push(caller.origin, PARTY, [access(1, id=name, subject=name)])
    bed.pipeline.project(caller.origin)
    assert caller.get("/v1/transfers/feed/1").json()["transfer"] == "feed/1"
    (row,) = pages(caller, "/v1/timeline", transfer="feed/1/timeline")
    assert row["id"] == "feed/1/timeline"
    (matrix,) = pages(caller, "/v1/completeness", transfer="feed/1/timeline")
    assert matrix["transfer"] == "feed/1/timeline"


@pytest.mark.parametrize("name", ["x/../b", "x/./b", "b/timeline", "b/completeness", "b/", "b//b", "a~b:c=+"])
def test_no_name_of_a_transfer_leads_to_another(caller: Caller, bed: Bed, name: str) -> None:
    """Clients and proxies take dots out of paths; so every question can be asked by parameter."""
    bed.pipeline.push(caller.origin, PARTY, [access(n, subject=it) for n, it in enumerate(("b", name))])
    bed.pipeline.project(caller.origin)
    for path in ("/v1/transfers", "/v1/completeness"):
        assert [item["transfer"] for item in pages(caller, path, transfer=name)] == [name]
    assert [row["position"] for row in pages(caller, "/v1/timeline", transfer=name)] == [1]


# --- Permissions ------------------------------------------------------------------------------------------------------


def test_two_snapshots_of_a_resource_are_compared_in_words(audited: Caller) -> None:
    open_ = next(pages(audited, "/v1/snapshots", public=True))
    same = list(pages(audited, "/v1/snapshots", resource=open_["resource"]))
    before, after = same[0], open_
    found = audited.get("/v1/snapshots/diff", before=before["position"], after=after["position"]).json()
    assert (found["before"]["public"], found["after"]["public"]) == (False, True)
    assert [grant["principal"] for grant in found["added"]] == ["*"]
    assert found["words"] == [f"Anybody may now s3:GetObject on {open_['resource']}/*."]
    assert found["words_zh"] == [f"任何人 现可对 {open_['resource']}/* 执行 s3:GetObject。"]
    back = audited.get("/v1/snapshots/diff", before=after["position"], after=before["position"]).json()
    assert [grant["principal"] for grant in back["removed"]] == ["*"]


def test_the_newest_snapshots_of_two_phases_are_compared(caller: Caller, bed: Bed) -> None:
    def snapshot(n: int, phase: str, *principals: str) -> dict[str, Any]:
        grants = [{"principal": p, "actions": ["s3:GetObject"]} for p in principals]
        return access(n, type="transfer-ledger.permission-snapshot.v1", phase=phase) | {
            "data": {"resource": "arn:aws:s3:::replays", "grants": grants, "source_system": "aws.s3"}
        }

    values = [
        snapshot(1, "before", "a", "b"),
        snapshot(2, "before", "a"),
        snapshot(3, "storage", "a", "c"),
    ]
    bed.pipeline.push(caller.origin, PARTY, values)
    bed.pipeline.project(caller.origin)
    asked = {"resource": "arn:aws:s3:::replays", "before_phase": "before", "after_phase": "storage"}
    found = caller.get("/v1/snapshots/diff", **asked).json()
    assert (found["before"]["position"], found["after"]["position"]) == (1, 2)
    assert found["one_system"]
    assert_problem(caller.get("/v1/snapshots/diff", **asked, source_system="aws.cloudtrail"), 404)
    assert [grant["principal"] for grant in found["added"]] == ["c"]
    assert_problem(caller.get("/v1/snapshots/diff", **{**asked, "after_phase": "transit"}), 404)
    assert_problem(caller.get("/v1/snapshots/diff", resource="arn:aws:s3:::replays"), 400)
    assert_problem(caller.get("/v1/snapshots/diff", before=0), 400)


def test_what_cannot_be_compared_is_a_problem(audited: Caller) -> None:
    snapshots = list(pages(audited, "/v1/snapshots"))
    other = next(s for s in snapshots if s["resource"] != snapshots[0]["resource"])
    wrong = {"before": snapshots[0]["position"], "after": other["position"]}
    assert_problem(audited.get("/v1/snapshots/diff", **wrong), 400)
    assert_problem(audited.get("/v1/snapshots/diff", before=0, after=10**9), 404)
    access_at = next(pages(audited, "/v1/access"))["position"]
    assert_problem(audited.get("/v1/snapshots/diff", before=access_at, after=other["position"]), 404)


def test_every_access_is_judged_and_only_the_outsider_s_is_not_permitted(audited: Caller) -> None:
    judged = list(pages(audited, "/v1/reconciliation", limit=50))
    accesses = list(pages(audited, "/v1/access", limit=1000))
    assert [row["access"] for row in judged] == accesses
    without = faulty(audited, 7)
    for row in judged:
        if row["access"]["transfer"] == without and row["access"]["phase"] != "before":
            continue
        outside = ":999988887777:" in row["access"]["principal"]
        assert row["verdict"] == ("not-permitted" if outside else "permitted"), row
        granted = {grant["principal"] for grant in row["grants"]} - {"*"}
        assert granted == (set() if outside else {row["access"]["principal"]})
    (outsider,) = pages(audited, "/v1/reconciliation", verdict="not-permitted", transfer=faulty(audited, 6))
    assert outsider["unexplained"]
    assert all(s < 10**6 for s in outsider["snapshots"]) and outsider["snapshots"]


def test_accesses_to_what_no_snapshot_shows_are_told_apart(audited: Caller) -> None:
    asked = {"transfer": faulty(audited, 7), "verdict": "no-snapshot"}
    found = list(pages(audited, "/v1/reconciliation", **asked))
    assert found
    assert {row["access"]["phase"] for row in found} == {"storage"}


def test_a_page_of_one_verdict_looks_at_a_bounded_number_of_accesses(audited: Caller, bed: Bed) -> None:
    from ledger.auditing import Auditor
    from ledger.permissions import Verdict

    auditor = Auditor(bed.store, bed.log(audited.origin), bed.clock.now())
    page = auditor.judge_accesses(ViewFilter({}), frozenset({Verdict.NOT_PERMITTED}), None, 100, examined=64)
    assert (page.examined, len(page.rows)) == (64, 0)
    assert page.next is not None
    seen, after = 64, page.next
    while after is not None:
        page = auditor.judge_accesses(
            ViewFilter({}), frozenset({Verdict.NOT_PERMITTED}), after, 100, examined=64
        )
        seen, after = seen + page.examined, page.next
    assert seen == len(list(pages(audited, "/v1/access", limit=1000)))


def grant_pages(caller: Caller, **parameters: Any) -> list[dict[str, Any]]:
    path, found = "/v1/reconciliation/grants", list[dict[str, Any]]()
    while not found or found[-1]["next"] is not None:
        after = {"after": found[-1]["next"]} if found else {}
        answer = caller.get(path, **parameters, **after)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
    return found


def reconciled(caller: Caller, **parameters: Any) -> dict[str, Any]:
    return dict(whole(grant_pages(caller, **parameters)))  # type: ignore[arg-type]


def test_grants_that_nobody_used_are_told(audited: Caller) -> None:
    report = reconciled(audited)
    accesses = list(pages(audited, "/v1/access", limit=1000))
    assert report["accesses"] == len(accesses) == sum(report["verdicts"].values())
    assert report["unexplained_count"] == len(report["unexplained"]) == 1
    unused = [use for use in report["grants"] if use["uses"] == 0]
    assert report["unused_grants"] == len(unused)
    assert all(use["unused"] == (use in unused) for use in report["grants"])
    former = [use for use in report["grants"] if use["grant"]["principal"].endswith("/intern-2024")]
    assert former
    assert all(use["uses"] == 0 and use["last_used"] is None for use in former)
    used = [use for use in report["grants"] if use["uses"]]
    done = [a for a in accesses if a["outcome"] == "allowed"]
    assert 0 < sum(use["uses"] for use in used) <= len(done)


def test_a_page_of_grants_says_how_far_it_goes_and_the_pages_make_the_whole(
    audited: Caller, bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = reconciled(audited)
    monkeypatch.setattr(UsePages, "read", _small(UsePages.read))
    parts = grant_pages(audited)
    assert len(parts) > 5
    assert {part["events"] for part in parts} == {EVENTS}
    through = [part["through"] for part in parts]
    assert through[-1] is None
    assert through[:-1] == sorted(through[:-1])
    assert not any(part["complete"] for part in parts)
    assert {part["unused_grants"] for part in parts} == {None}
    assert whole(parts) == once  # type: ignore[arg-type]
    used = {str(use["grant"]) for use in once["grants"] if use["uses"]}
    assert used.isdisjoint(str(u["grant"]) for part in parts for u in part["grants"] if u["unused"])


def _small(read: Callable[[UsePages, Any], UsePage]) -> Callable[[UsePages, Any], UsePage]:
    def small(pages: UsePages, after: Any) -> UsePage:
        pages.examined = 100
        return read(pages, after)

    return small


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("5", "not a cursor of a reconciliation"),
        ("", "not a cursor of a reconciliation"),
        ("9999999.1.1.1", "a cursor of another log"),
    ],
)
def test_what_is_no_cursor_of_the_grants_is_refused(audited: Caller, after: str, said: str) -> None:
    problem = assert_problem(audited.get("/v1/reconciliation/grants", after=after), 400)
    assert said in problem["detail"]
    assert problem["advice"]


def test_a_cursor_far_out_is_the_end_and_no_failure(audited: Caller) -> None:
    for after in ("0.0.0.0", f"{EVENTS}.{'9' * 16}.1.{'9' * 16}", f"{EVENTS}.-{'9' * 16}.0.0"):
        assert audited.get("/v1/reconciliation/grants", after=after).status_code == 200
    assert_problem(audited.get("/v1/reconciliation/grants", after="1" * 81), 422)


def test_a_grant_that_others_used_is_not_unused_to_somebody_who_asks_for_one_transfer(
    audited: Caller,
) -> None:
    everything = reconciled(audited)
    transfer = faulty(audited, 0)
    part = reconciled(audited, transfer=transfer)
    assert part["accesses"] == len(list(pages(audited, "/v1/access", transfer=transfer)))
    assert part["grants"]
    assert all(use in everything["grants"] for use in part["grants"])
    assert len(part["grants"]) < len(everything["grants"])


def test_a_snapshot_whose_grants_cannot_be_read_stops_no_other_from_being_judged(
    caller: Caller, bed: Bed
) -> None:
    """The catalogue takes any condition; reconciliation reads some words of it."""
    bad = {"principal": "a", "actions": ["s3:*"], "condition": {"NotAction": "iam:*"}}
    snapshot = access(1, type="transfer-ledger.permission-snapshot.v1")
    snapshot["data"] = {"resource": "replays/2.mp4", "grants": [bad], "source_system": "aws.s3"}
    bed.pipeline.push(caller.origin, PARTY, [snapshot, *(access(n) for n in (2, 3))])
    bed.pipeline.project(caller.origin)
    verdicts = [row["verdict"] for row in pages(caller, "/v1/reconciliation")]
    assert verdicts == ["unknown", "no-snapshot"]
    assert caller.get("/v1/reconciliation/grants").json()["verdicts"] == {"no-snapshot": 1, "unknown": 1}
    assert_problem(caller.get("/v1/snapshots/diff", before=0, after=0), 400)


# --- Parties, and types that the catalogue does not know --------------------------------------------------------------


def test_a_party_is_shown_with_the_keys_it_signs_with(caller: Caller, bed: Bed) -> None:
    key = PartyKey(PARTY, "acme+0a0a0a0a+AQ==", START, START + 1000)
    bed.store.add_party_key(key)
    bed.api_key(caller.origin, Scope.PUSH, party=OTHER_PARTY)
    listed = {party["id"]: party for party in pages(caller, "/v1/parties")}
    assert listed["cdn-one"]["keys"] == []
    assert (listed["acme"]["country"], listed["acme"]["role"]) == ("CN", "platform")
    assert listed["acme"]["keys"] == [
        {
            "verifier_key": key.verifier_key,
            "valid_from": "2026-09-21T14:13:20.000Z",
            "valid_until": "2026-09-21T14:13:21.000Z",
        }
    ]
    assert caller.get("/v1/parties/acme").json() == listed["acme"]
    assert_problem(caller.get("/v1/parties/nobody"), 404)


def test_a_reader_sees_the_parties_of_its_log_and_of_no_other(
    caller: Caller, bed: Bed, client: httpx.Client
) -> None:
    """Whoever belongs to the log, ever had a key on it, or said something in it."""
    keyed, spoke, elsewhere = (
        PartyId(f"{name}-{uuid4().hex[:8]}") for name in ("keyed", "spoke", "elsewhere")
    )
    for id in (keyed, spoke, elsewhere):
        bed.store.add_party(Party(id, id.upper(), Role.RECIPIENT, "SG"))
    bed.api_key(caller.origin, Scope.PUSH, party=keyed)
    other = bed.create_log()
    bed.api_key(other, Scope.PUSH, party=elsewhere)
    bed.pipeline.push(other, elsewhere, [access(1)])
    # What is called as a party is called is not therefore there.
    bed.pipeline.push(caller.origin, spoke, [access(1), access(2, subject=elsewhere)])
    bed.pipeline.project(caller.origin)
    bed.pipeline.project(other)
    for limit in (1, 2, 100):
        listed = list(pages(caller, "/v1/parties", limit=limit))
        assert [party["id"] for party in listed] == sorted([PARTY, keyed, spoke])
    for id in (keyed, spoke):
        assert caller.get(f"/v1/parties/{id}").json()["name"] == id.upper()
    hidden, none = (assert_problem(caller.get(f"/v1/parties/{id}"), 404) for id in (elsewhere, "nobody"))
    assert {**hidden, "got": None, "detail": None} == {**none, "got": None, "detail": None}
    assert str(hidden["detail"]).replace(elsewhere, "") == str(none["detail"]).replace("nobody", "")
    there = Caller(client, other, bed.api_key(other, Scope.READ))
    assert [party["id"] for party in pages(there, "/v1/parties")] == sorted([PARTY, elsewhere])
    assert_problem(caller.get("/v1/parties", log=other), 403)
    assert_problem(caller.get(f"/v1/parties/{elsewhere}", log=other), 403)


def test_a_cursor_of_parties_needs_not_be_a_party(caller: Caller) -> None:
    """So it stays good, whatever becomes of whom it names, and tells nothing of who else is registered."""
    for after, expected in (("", [PARTY]), ("aaaa", [PARTY]), ("cdn-one", []), ("zz\0\\", [])):
        answer = caller.get("/v1/parties", after=after)
        assert ([party["id"] for party in answer.json()["items"]], answer.json()["next"]) == (expected, None)
    assert_problem(caller.get("/v1/parties", after="a" * 64), 422)
    assert_problem(caller.get("/v1/parties", limit=0), 422)


def test_a_log_takes_unknown_types_only_if_it_was_made_so_and_shows_them_as_opaque(
    caller: Caller, bed: Bed, client: httpx.Client
) -> None:
    value = access(1, type="com.example.heartbeat", data={"phone": "13800138000"})
    refused = assert_problem(caller.push(value), 422)
    assert refused["problems"] == [{"at": "[0].type", "problem": "not in the catalogue"}]
    origin = bed.ledger.create_log(bed.create_log() + "-opaque", PARTY, opaque=True).origin  # type: ignore[arg-type]
    taker = Caller(client, origin, bed.api_key(origin, *ALL))
    assert taker.push([value, access(2)]).status_code == 201
    assert assert_problem(taker.push(access(3, type="transfer-ledger.new.v1")), 422)
    bed.settle(origin)
    assert taker.client.get(f"/v1/logs/{origin}").json()["opaque"] is True
    rows = list(pages(taker, "/events"))
    assert [row["opaque"] for row in rows] == [True, False]
    assert "13800138000" not in rows[0]["entry"]
    proof = parse_proof(taker.get("/events/0/proof").content)
    assert verify(proof, bed.key(origin), origin, bed.chain).event.position == 0


def test_whether_a_log_takes_opaque_types_cannot_be_changed(bed: Bed) -> None:
    from ledger.errors import AlreadyExists

    origin = bed.create_log()
    with pytest.raises(AlreadyExists):
        bed.ledger.create_log(origin, PARTY, opaque=True)


# --- Who may ask ------------------------------------------------------------------------------------------------------

LISTS = (
    *("/v1/access", "/v1/access.csv", "/v1/snapshots", "/v1/snapshots/diff", "/v1/reconciliation"),
    *("/v1/reconciliation/grants", "/v1/transfers", "/v1/transfers/x", "/v1/completeness"),
    "/v1/transfers/x/completeness",
)


@pytest.mark.parametrize("path", LISTS)
def test_what_shows_disclosures_needs_the_scope_for_them(caller: Caller, bed: Bed, path: str) -> None:
    for scopes in ((Scope.READ,), (Scope.PUSH,)):
        other = Caller(caller.client, caller.origin, bed.api_key(caller.origin, *scopes))
        assert_problem(other.get(path), 403)
    assert_problem(caller.client.get(path), 401)
    assert_problem(caller.get(path, log=bed.create_log()), 403)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/access",
        "/v1/access.csv",
        "/v1/snapshots",
        "/v1/transfers",
        "/v1/completeness",
        "/v1/reconciliation",
        "/v1/reconciliation/grants",
        "/v1/parties",
    ],
)
def test_while_projections_are_made_again_nothing_is_answered_in_place_of_the_whole(
    caller: Caller, bed: Bed, path: str
) -> None:
    bed.push(caller.origin, 1, 2, 3)
    bed.pipeline.project(caller.origin)
    bed.push(caller.origin, 4)
    log = f"/v1/logs/{caller.origin}"
    assert (caller.get(log).json()["size"], caller.get(log).json()["projected"]) == (4, 3)
    assert caller.get(path).status_code == 200
    bed.store.drop_projections(caller.origin)
    answer = caller.get(path)
    assert "being made again" in assert_problem(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "5"
    bed.pipeline.project(caller.origin)
    assert caller.get(path).status_code == 200
    assert caller.get(log).json()["projected"] == 4


def test_a_stranger_to_the_store_s_positions_gets_no_row_twice_after_a_rebuild(
    audited: Caller, bed: Bed
) -> None:
    first = list(pages(audited, "/v1/access", limit=200))
    before = bed.store.projections_digest(audited.origin)
    bed.pipeline.rebuild(audited.origin)
    assert bed.store.projections_digest(audited.origin) == before
    assert list(pages(audited, "/v1/access", limit=200)) == first
    assert bed.store.accesses(audited.origin, ViewFilter({}), Position(10**9), 5) == []
