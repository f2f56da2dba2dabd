"""The auditor's questions, on a real store, where somebody wants them answered wrong, late or never."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.events import ASSESSED, DECLARED, committed, event, take_in
from support.records import access_record, snapshot_record
from support.stores import LOG, ORIGIN, append, append_some, register

from ledger.adapters.sql import open_store
from ledger.auditing import MOST_OF_A_KIND, MOST_WORK, PAPER_BYTES, Auditor
from ledger.canonical import Object
from ledger.entry import event_time
from ledger.errors import NotFound
from ledger.in_force import legible
from ledger.permissions import GrantUse, Judgement, Verdict, reconcile
from ledger.permissions.judging import MOST_IN_FORCE
from ledger.ports import Store
from ledger.records import Projected, ViewFilter
from ledger.scenario import scenario
from ledger.types import Position

NOW = event_time("2027-01-01T00:00:00Z")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/ledger.db")
    register(opened)
    yield opened
    opened.close()


@pytest.fixture
def auditor(store: Store) -> Auditor:
    return Auditor(store, LOG, NOW)


def sign_off(at: int, **told: Any) -> Object:
    signed: Object = {"signoff_id": f"s-{at}", "officer": "o", "capacity": "legal", "decision": "approved"}
    return event("sign-off", {**signed, "regarding": [], **told}, at=at)


# --- Transfers --------------------------------------------------------------------------------------------------------


def test_no_number_of_papers_hides_what_was_declared(store: Store, auditor: Auditor) -> None:
    declared: Object = {**DECLARED, "data_categories": [{"category": "face", "tier": 3}]}
    take_in(store, [event("declaration", declared)])
    view, matrix = auditor.transfer("live-1"), auditor.completeness("live-1")
    take_in(store, [sign_off(at) for at in range(1, 300)])
    later, wanting = auditor.transfer("live-1"), auditor.completeness("live-1").wanting
    assert later.declared
    assert (later.handlers, later.jurisdictions) == (view.handlers, view.jurisdictions)
    assert {cell.evidence.name for cell in wanting} == {c.evidence.name for c in matrix.wanting} - {
        "sign-off"
    }
    assert [paper.kind for paper in later.papers] == ["declaration"] + ["sign-off"] * MOST_OF_A_KIND


def test_a_page_of_transfers_ends_where_it_would_have_too_much_to_read(
    store: Store, auditor: Auditor
) -> None:
    long, names = ["c" * 8000] * 30, [f"live-{n:02}" for n in range(30)]
    take_in(store, [{**sign_off(n, conditions=long), "subject": name} for n, name in enumerate(names)])
    found: list[str] = []
    after, pages = None, 0
    while pages == 0 or after is not None:
        page = auditor.transfers(after, 100)
        found += [view.subject for view in page.rows]
        after, pages = page.next, pages + 1
    assert found == names
    assert 1 < pages <= 1 + len(names) * 2 * 240_000 // PAPER_BYTES


def test_a_paper_that_covers_many_transfers_is_read_once(store: Store, auditor: Auditor) -> None:
    names = [f"live-{n:04}" for n in range(1000)]
    take_in(store, [event("impact-assessment", {**ASSESSED, "transfers": names})])
    page = auditor.transfers(None, 1000)
    assert ([view.subject for view in page.rows], page.next) == (names, names[-1])
    assert {paper.id for view in page.rows for paper in view.papers} == {"pia-1"}


def test_completeness_is_the_same_in_whatever_order_the_events_came(tmp_path: Path) -> None:
    times = event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")
    events = list(scenario(4, 500, *times))
    answers = []
    for seed in range(3):
        opened = open_store(f"sqlite:///{tmp_path}/{seed}.db")
        register(opened)
        if seed:
            random.Random(seed).shuffle(events)
        take_in(opened, events, step=37 * seed + 60)
        matrices = Auditor(opened, LOG, NOW).matrices(None, 1000).rows
        answers.append([[(c.evidence, c.presence, c.count, c.first_time) for c in m.cells] for m in matrices])
        opened.close()
    assert answers[0] == answers[1] == answers[2]


# --- Timelines --------------------------------------------------------------------------------------------------------


def test_a_timeline_does_not_tell_which_transfers_papers_name(store: Store, auditor: Auditor) -> None:
    """Who reads only what stands in clear must not learn names that stand in a salted member."""
    take_in(store, [event("impact-assessment", {**ASSESSED, "transfers": ["live-2"]}, subject="papers")])
    assert auditor.completeness("live-2").subject == "live-2"
    for subject in ("live-2", "nothing"):
        with pytest.raises(NotFound):
            auditor.timeline(subject, None, (), None, 9)


def test_a_timeline_goes_to_its_end_before_it_is_projected(store: Store, auditor: Auditor) -> None:
    append(store, *committed([sign_off(1), sign_off(2)]))
    page = auditor.timeline("live-1", None, (), None, 2)
    assert [moment.position for moment in page.rows] == [0, 1]
    assert page.next is not None
    last = auditor.timeline("live-1", None, (), page.next, 2)
    assert (list(last.rows), last.next) == ([], None)
    assert store.projected(ORIGIN) == 0


# --- Reconciliation ---------------------------------------------------------------------------------------------------

ROLE = "arn:aws:iam::111122223333:role/{}reader"
SESSION = "arn:aws:sts::111122223333:assumed-role/reader/s-1"
BUCKET = "arn:aws:s3:::replays"
RESOURCES = (BUCKET, f"{BUCKET}/a", ROLE.format("team/"), ROLE.format(""), "db/public.t")
PRINCIPALS = (SESSION, "arn:aws:iam::444455556666:user/eve", "ann", None)

grants = st.builds(
    lambda principal, action, resource, effect, condition: {
        "principal": principal,
        "actions": [action],
        **({"resource": resource} if resource else {}),
        "effect": effect,
        **({"condition": condition} if condition else {}),
    },
    st.sampled_from([p for p in PRINCIPALS if p] + ["*", ROLE.format("team/")]),
    st.sampled_from(["s3:*", "s3:GetObject", "SELECT"]),
    st.sampled_from([None, "*", f"{BUCKET}/*"]),
    st.sampled_from(["allow", "allow", "deny"]),
    # The last cannot be read.
    st.sampled_from([None, None, {"Bool": {"aws:SecureTransport": "true"}}, {"NotAction": 5}]),
)
taken = st.fixed_dictionaries(
    {
        "resource": st.sampled_from((*RESOURCES, None)),
        "captured": st.integers(0, 6),
        "source_system": st.sampled_from((None, "aws.s3", "aws.cloudtrail")),
        "grants": st.none() | st.lists(grants, max_size=4).map(json.dumps),
        "owner": st.sampled_from((None, "111122223333")),
    }
)
made = st.fixed_dictionaries(
    {
        "resource": st.sampled_from((*RESOURCES, f"{BUCKET}/a/b", None)),
        "time": st.integers(0, 6),
        "principal": st.sampled_from(PRINCIPALS),
        "action": st.sampled_from(("s3:GetObject", "s3:PutObject", "SELECT", None)),
        "outcome": st.sampled_from(("allowed", "refused")),
        "subject": st.sampled_from(("live-1", "live-2")),
    }
)


@given(data=st.data(), order=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_page_judges_each_access_as_the_reconciliation_of_all_does(
    store: Store, auditor: Auditor, data: st.DataObject, order: random.Random
) -> None:
    snapshots, accesses = data.draw(st.lists(taken, max_size=8)), data.draw(st.lists(made, max_size=8))
    size = 16
    if not store.head(ORIGIN).size:
        append_some(store, size)
    places = order.sample(range(size), len(snapshots) + len(accesses))
    told = sorted(
        (snapshot_record(place, **members) for place, members in zip(places, snapshots, strict=False)),
        key=lambda it: it.position,
    )
    done = sorted(
        (
            access_record(place, **members)
            for place, members in zip(places[len(told) :], accesses, strict=True)
        ),
        key=lambda it: it.position,
    )
    store.drop_projections(ORIGIN)
    store.project(ORIGIN, Position(0), Position(size), Projected(done, told))

    in_time = sorted(done, key=lambda it: (it.time, it.position))
    captured = sorted(told, key=lambda it: (it.captured, it.position))
    streamed = [*reconcile((s for it in captured if (s := legible(it)) is not None), in_time)]
    expected = {found.access.position: found for found in streamed if isinstance(found, Judgement)}

    limit = order.randrange(1, 5)
    paged: list[Judgement] = []
    after: Position | None = None
    while (page := auditor.judge_accesses(ViewFilter({}), frozenset(), after, limit)).next is not None:
        paged += page.rows
        after = page.next
    paged += page.rows
    assert {found.access.position: found for found in paged} == expected
    assert [found.access for found in paged] == done

    report = auditor.reconcile(ViewFilter({}))
    assert report.verdicts == Counter(found.verdict for found in expected.values())
    assert sorted(report.uses, key=_place_of) == sorted(
        (found for found in streamed if isinstance(found, GrantUse)), key=_place_of
    )


def _place_of(use: GrantUse) -> tuple[object, ...]:
    return use.resource, use.since, use.grant.key, use.until or 0, use.uses


def test_a_page_ends_where_its_accesses_would_be_held_against_too_much(
    store: Store, auditor: Auditor
) -> None:
    grants = json.dumps([{"principal": f"user-{n:05}", "actions": ["s3:Get"]} for n in range(4000)])
    accesses = [access_record(n, resource=BUCKET, principal="ann", action="s3:Get") for n in range(20, 80)]
    snapshots = [
        snapshot_record(n, resource=BUCKET, captured=0, source_system=f"system-{n}", grants=grants)
        for n in range(10)
    ]
    append_some(store, 80)
    store.project(ORIGIN, Position(0), Position(80), Projected(accesses, snapshots))
    judged, pages, after = 0, 0, None
    while pages == 0 or after is not None:
        page = auditor.judge_accesses(ViewFilter({}), frozenset(), after, 1000)
        judged, pages, after = judged + page.examined, pages + 1, page.next
    assert judged == len(accesses)
    assert pages >= len(grants) * len(snapshots) * len(accesses) // MOST_WORK > 1


def test_an_access_that_more_snapshots_speak_of_than_are_read_is_not_known_to_be_permitted(
    store: Store, auditor: Auditor
) -> None:
    """Systems may be made up without end; what is said of the access must not depend on which of them are read."""
    grants = json.dumps([{"principal": "ann", "actions": ["s3:Get"]}])
    snapshots = [
        snapshot_record(n, resource=BUCKET, captured=0, source_system=f"s{n}", grants=grants)
        for n in range(MOST_IN_FORCE + 1)
    ]
    accesses = [
        access_record(90, resource=BUCKET, principal="ann", action="s3:Get"),
        access_record(91, resource=BUCKET, principal="ann", action="s3:Get", time=-1),
    ]
    append_some(store, 99)
    for most, verdict in ((MOST_IN_FORCE, Verdict.PERMITTED), (MOST_IN_FORCE + 1, Verdict.UNKNOWN)):
        store.drop_projections(ORIGIN)
        store.project(ORIGIN, Position(0), Position(99), Projected(accesses, snapshots[:most]))
        first, before = auditor.judge_accesses(ViewFilter({}), frozenset(), None, 9).rows
        assert (first.verdict, before.verdict) == (verdict, Verdict.NO_SNAPSHOT)
        assert auditor.reconcile(ViewFilter({})).verdicts == {verdict: 1, Verdict.NO_SNAPSHOT: 1}
