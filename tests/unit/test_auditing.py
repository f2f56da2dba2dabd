"""The auditor's questions, on a real store, where somebody wants them answered wrong, late or never."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.events import ASSESSED, DECLARED, committed, event, take_in
from support.stores import LOG, ORIGIN, register

from ledger.adapters.sql import open_store
from ledger.auditing import MOST_OF_A_KIND, PAPER_BYTES, Auditor
from ledger.canonical import Object
from ledger.entry import event_time
from ledger.errors import NotFound
from ledger.ports import Store
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
        found += [view.subject for view in page.views]
        after, pages = page.next, pages + 1
    assert found == names
    assert 1 < pages <= 1 + len(names) * 2 * 240_000 // PAPER_BYTES


def test_a_paper_that_covers_many_transfers_is_read_once(store: Store, auditor: Auditor) -> None:
    names = [f"live-{n:04}" for n in range(1000)]
    take_in(store, [event("impact-assessment", {**ASSESSED, "transfers": names})])
    page = auditor.transfers(None, 1000)
    assert ([view.subject for view in page.views], page.next) == (names, names[-1])
    assert {paper.id for view in page.views for paper in view.papers} == {"pia-1"}


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
        matrices = Auditor(opened, LOG, NOW).matrices(None, 1000)
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
    from support.stores import append

    append(store, *committed([sign_off(1), sign_off(2)]))
    page = auditor.timeline("live-1", None, (), None, 2)
    assert [moment.position for moment in page] == [0, 1]
    assert auditor.timeline("live-1", None, (), (page[-1].time, Position(1)), 2) == []
    assert store.projected(ORIGIN) == 0
