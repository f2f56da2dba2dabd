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
from ledger.auditing import MOST_OF_A_KIND, PAPER_BYTES, Auditor
from ledger.canonical import Object
from ledger.entry import event_time
from ledger.errors import MalformedInput, NotFound
from ledger.grant_use import Cursor, UsePage, UsePages
from ledger.in_force import MOST_WORK, InForce, legible
from ledger.permissions import GrantUse, Judgement, Verdict, reconcile, resource_key, to_value
from ledger.permissions.judging import MOST_IN_FORCE
from ledger.ports import Store
from ledger.reconciliations import page as page_document
from ledger.reconciliations import whole
from ledger.records import Projected, ViewFilter
from ledger.scenario import scenario
from ledger.types import Position, format_time

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
        "subject": st.sampled_from(("live-1", "live-2")),
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

    uses = [found for found in streamed if isinstance(found, GrantUse)]
    for which in (ViewFilter({}), ViewFilter({"subject": "live-1"})):
        asked = [it for it in expected.values() if not which.equal or it.access.subject == "live-1"]
        resources = {
            resource_key(it.resource)
            for it in told
            if it.resource and (not which.equal or it.subject == "live-1")
        }
        told_of = sorted(_place_of(use) for use in uses if resource_key(use.resource) in resources)
        for step in (1, order.randrange(2, 6), 1000):
            parts = use_pages(store, which, step)
            assert sum(it.examined for it in parts) == len(done)
            report = whole(page_document(ORIGIN, part) for part in parts)
            assert report["verdicts"] == Counter(found.verdict for found in asked)
            assert sorted(map(_place_in, report["grants"])) == told_of
            assert report["unused_grants"] == sum(it["uses"] == 0 for it in report["grants"])
            assert report["complete"]
            for part in parts:
                _assert_nothing_is_unused_that_was_used(page_document(ORIGIN, part), report)


def use_pages(store: Store, which: ViewFilter, step: int) -> list[UsePage]:
    """All pages of so many accesses and snapshots each, every one made from the store and a cursor's text alone."""
    pages: list[UsePage] = []
    after: Cursor | None = None
    while not pages or after is not None:
        events = store.projected(ORIGIN) if after is None else after.events
        page = UsePages(InForce(store, ORIGIN, events), which, events, examined=step).read(after)
        pages.append(page)
        after = None if page.next is None else Cursor.parse(str(page.next))
    return pages


def _assert_nothing_is_unused_that_was_used(page: Any, report: Any) -> None:
    assert page["complete"] == (page == report)
    assert (page["unused_grants"] is None) == (not page["complete"])
    unused = [_place_in(use) for use in report["grants"] if use["unused"]]
    for use in page["grants"]:
        if use["unused"]:
            assert _place_in(use) in unused


def _place_of(use: GrantUse) -> tuple[str, ...]:
    times = (None if at is None else format_time(at) for at in (use.since, use.until, use.last_used))
    return tuple(map(str, (use.resource, use.source_system, to_value(use.grant), use.uses, *times)))


def _place_in(use: Any) -> tuple[str, ...]:
    names = ("resource", "source_system", "grant", "uses", "since", "until", "last_used")
    return tuple(str(use[name]) for name in names)


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
        verdicts = auditor.grant_uses(ViewFilter({})).verdicts
        assert verdicts == {verdict: 1, Verdict.NO_SNAPSHOT: 1}


def _one_grant(n: int, *, captured: int, **told: Any) -> Any:
    grants = json.dumps([{"principal": "ann", "actions": ["s3:Get"]}])
    return snapshot_record(n, resource=BUCKET, captured=captured, grants=grants, **told)


def test_a_grant_that_is_used_after_the_end_of_a_page_is_not_called_unused_there(store: Store) -> None:
    accesses = [
        access_record(n, resource=BUCKET, principal="eve", action="s3:Get", time=n) for n in range(1, 9)
    ]
    used = access_record(9, resource=BUCKET, principal="ann", action="s3:Get", outcome="allowed", time=9)
    append_some(store, 10)
    projected = Projected([*accesses, used], [_one_grant(0, captured=0)])
    store.project(ORIGIN, Position(0), Position(10), projected)
    parts = [page_document(ORIGIN, it) for it in use_pages(store, ViewFilter({}), 4)]
    said = [[(use["uses"], use["since"] is None, use["unused"]) for use in part["grants"]] for part in parts]
    assert said == [[(0, False, None)], [], [(1, True, False)]]
    assert [(part["complete"], part["unused_grants"], part["next"] is None) for part in parts] == [
        (False, None, False),
        (False, None, False),
        (False, None, True),
    ]
    assert [part["through"] for part in parts] == [format_time(3), format_time(7), None]
    (use,) = whole(parts)["grants"]
    assert (use["uses"], use["unused"], use["last_used"]) == (1, False, format_time(9))


def test_what_comes_in_between_two_pages_is_in_none_of_them(store: Store, auditor: Auditor) -> None:
    """Dated back, it would end a grant whose use was told already."""
    accesses = [
        access_record(n, resource=BUCKET, principal="ann", action="s3:Get", outcome="allowed", time=n)
        for n in range(1, 5)
    ]
    append_some(store, 20)
    store.project(ORIGIN, Position(0), Position(5), Projected(accesses, [_one_grant(0, captured=0)]))
    which = ViewFilter({})
    before = use_pages(store, which, 2)
    late = [snapshot_record(5, resource=BUCKET, captured=2, grants="[]"), _one_grant(6, captured=4)]
    store.project(ORIGIN, Position(5), Position(8), Projected([access_record(7, time=3)], late))
    first, *rest = before
    after, found = first.next, [first]
    while after is not None:
        found.append(
            UsePages(InForce(store, ORIGIN, after.events), which, after.events, examined=2).read(after)
        )
        after = found[-1].next
    documents = [page_document(ORIGIN, it) for it in before]
    assert whole(page_document(ORIGIN, it) for it in found) == whole(documents)
    assert (whole(documents)["events"], len(rest)) == (5, 2)
    fresh = page_document(ORIGIN, auditor.grant_uses(which))
    assert (fresh["events"], fresh["examined"], len(fresh["grants"])) == (8, 5, 2)


def test_a_page_of_grants_ends_where_it_would_read_too_much(store: Store, auditor: Auditor) -> None:
    grants = json.dumps([{"principal": f"user-{n:05}", "actions": ["s3:Get"]} for n in range(4000)])
    snapshots = [
        snapshot_record(n, resource=f"{BUCKET}/{n % 3}", captured=n, source_system="aws.s3", grants=grants)
        for n in range(40)
    ]
    append_some(store, 40)
    store.project(ORIGIN, Position(0), Position(40), Projected([], snapshots))
    pages = list(auditor.all_grant_uses(ViewFilter({})))
    assert len(pages) >= 10 * len(grants) * len(snapshots) // MOST_WORK > 1
    report = whole(page_document(ORIGIN, it) for it in pages)
    assert (len(report["grants"]), report["unused_grants"]) == (12_000, 12_000)


def test_pages_that_do_not_belong_together_are_not_added_up(store: Store) -> None:
    append_some(store, 4)
    accesses = [access_record(n, time=n) for n in range(4)]
    store.project(ORIGIN, Position(0), Position(4), Projected(accesses, [_one_grant(0, captured=0)]))
    first, middle, last = (page_document(ORIGIN, it) for it in use_pages(store, ViewFilter({}), 2))
    assert whole([first, middle, last])["examined"] == 4
    other: Any = {**middle, "events": 3}
    for pages in ([], [first, middle], [first, other, last], [first, middle, last, last], [first, first]):
        with pytest.raises(ValueError, match=r"page|beginning"):
            whole(pages)


@pytest.mark.parametrize(
    "text", ["", "1", "1.2.3.4", "1.2.1", "01.2.1.4", "1.-0.1.4", "٣.2.1.4", "1.2.1.4\n"]
)
def test_what_is_no_cursor_of_a_reconciliation_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput, match="not a cursor"):
        Cursor.parse(text)


def test_a_cursor_of_more_events_than_there_are_is_refused(store: Store, auditor: Auditor) -> None:
    append_some(store, 4)
    store.project(ORIGIN, Position(0), Position(4), Projected())
    with pytest.raises(MalformedInput, match="at most 4 events"):
        auditor.grant_uses(ViewFilter({}), Cursor(Position(5), 0, False, Position(0)))
