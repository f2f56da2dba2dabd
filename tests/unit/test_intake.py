"""The intake: pushes that wait together are committed together, each for itself; what may wait is bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from support.ledgers import OTHER_PARTY, PARTY, Bed, access, policy

from ledger.commit import PushResult, PushStatus
from ledger.errors import Conflict, InvalidEvent, Overloaded, Unavailable
from ledger.intake import Intake
from ledger.pipeline import Pipeline
from ledger.receipt import open_receipt
from ledger.types import Origin, PartyId, Position


@contextmanager
def intake_of(pipeline: Pipeline) -> Iterator[Intake]:
    intake = Intake(pipeline)
    try:
        yield intake
    finally:
        intake.close()


@contextmanager
def held_up(bed: Bed, origin: Origin) -> Iterator[None]:
    """Keeps the log's commits waiting, as a slow disk would, by holding its lock."""
    with bed.store.writing(origin):
        yield


def submit(
    intake: Intake, pipeline: Pipeline, origin: Origin, *values: Any, party: PartyId = PARTY
) -> Future[PushResult]:
    return intake.submit(origin, pipeline.prepare(origin, party, list(values)))


def test_pushes_that_wait_together_are_committed_together(bed: Bed, origin: Origin) -> None:
    commits: list[int] = []
    plain = bed.pipeline.commit

    class Counting(Pipeline):
        def commit(self, origin: Origin, pushes: Any) -> Any:
            commits.append(len(pushes))
            return plain(origin, pushes)

    pipeline = counting(bed, Counting)
    with intake_of(pipeline) as intake:
        with held_up(bed, origin):
            first = submit(intake, pipeline, origin, access(0))
            while not commits:
                threading.Event().wait(0.005)
            rest = [submit(intake, pipeline, origin, access(n), access(n + 100)) for n in range(1, 30)]
            assert intake.waiting == 1 + 2 * 29
        results = [told.result(timeout=20) for told in (first, *rest)]
    assert commits == [1, 29]
    assert intake.waiting == 0
    key = bed.key(origin)
    positions = [event.position for result in results for event in result.events]
    assert positions == list(range(59))
    for result in results:
        (note,) = result.receipts
        receipt = open_receipt(note, key)
        assert (receipt.first, receipt.count) == (result.events[0].position, len(result.events))


def counting(bed: Bed, kind: type[Pipeline]) -> Pipeline:
    made = bed.restarted()
    made.__class__ = kind
    return made


def test_of_a_group_each_push_is_taken_or_refused_for_itself(bed: Bed, origin: Origin) -> None:
    with intake_of(bed.pipeline) as intake:
        bed.push(origin, 0)
        other = access(1, subject="other")
        with held_up(bed, origin):
            told = [
                submit(intake, bed.pipeline, origin, access(0)),  # there already
                submit(intake, bed.pipeline, origin, access(1), access(2)),
                submit(intake, bed.pipeline, origin, access(3), other),  # conflicts with the one before
                submit(intake, bed.pipeline, origin, access(2), access(4)),  # repeats what the group brought
                submit(intake, bed.pipeline, origin, access(5), party=OTHER_PARTY),
                submit(intake, bed.pipeline, origin, access(5)),  # another party's
            ]
        outcomes = [[event.position for event in told[n].result(timeout=20).events] for n in (0, 1, 3, 4)]
        assert outcomes == [[0], [1, 2], [2, 3], [4]]
        assert [event.status for event in told[3].result().events] == [
            PushStatus.DUPLICATE,
            PushStatus.ACCEPTED,
        ]
        for n, standing in ((2, 1), (5, 4)):
            with pytest.raises(Conflict) as refused:
                told[n].result(timeout=20)
            (conflict,) = refused.value.details["conflicts"]
            assert conflict["position"] == standing
    assert bed.store.head(origin).size == 5
    assert sorted(attempt.position for attempt in bed.store.conflicts(origin)) == [1, 4]
    assert [receipt.count for receipt in bed.store.receipts(origin)] == [1, 2, 1, 1]
    assert list(bed.store.self_check()) == []


def test_a_repeated_push_in_one_group_gets_the_first_receipt(bed: Bed, origin: Origin) -> None:
    with intake_of(bed.pipeline) as intake:
        with held_up(bed, origin):
            told = [submit(intake, bed.pipeline, origin, access(1), access(2)) for _ in range(5)]
        results = [future.result(timeout=20) for future in told]
    assert {result.receipts for result in results} == {results[0].receipts}
    assert bed.store.head(origin).size == 2


def test_what_is_refused_before_it_waits_holds_up_nobody(bed: Bed, origin: Origin) -> None:
    with intake_of(bed.pipeline) as intake:
        with pytest.raises(InvalidEvent):
            intake.push(origin, PARTY, [access(1, type="nonsense")])
        assert [e.position for e in intake.push(origin, PARTY, [access(1)]).events] == [0]


def test_more_than_may_wait_is_refused_and_nothing_of_it_kept(bed: Bed, origin: Origin) -> None:
    pipeline = bed.restarted(policy=policy(max_waiting=10))
    with intake_of(pipeline) as intake:
        with held_up(bed, origin):
            told = [submit(intake, pipeline, origin, access(n), access(n + 50)) for n in range(5)]
            with pytest.raises(Overloaded, match="10 events waiting"):
                submit(intake, pipeline, origin, access(99))
        assert [len(future.result(timeout=20).events) for future in told] == [2] * 5
        # A push that is larger than all that may wait is taken when nothing else waits.
        assert len(intake.push(origin, PARTY, [access(n) for n in range(200, 220)]).events) == 20
    assert bed.store.head(origin).size == 30


def test_a_group_holds_no_more_events_than_one_push_may(bed: Bed, origin: Origin) -> None:
    pipeline = bed.restarted(policy=policy(max_push=4))
    with intake_of(pipeline) as intake:
        with held_up(bed, origin):
            told = [
                submit(intake, pipeline, origin, *(access(10 * n + k) for k in range(3))) for n in range(4)
            ]
        positions = [[e.position for e in future.result(timeout=20).events] for future in told]
    assert positions == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_who_went_away_before_the_commit_is_not_taken(bed: Bed, origin: Origin) -> None:
    with intake_of(bed.pipeline) as intake:
        with held_up(bed, origin):
            submit(intake, bed.pipeline, origin, access(0))
            while intake._lines[origin]._queue:
                threading.Event().wait(0.005)
            gone, stays = (submit(intake, bed.pipeline, origin, access(n)) for n in (1, 2))
            assert gone.cancel()
        assert stays.result(timeout=20).events[0].position == 1
        assert intake.push(origin, PARTY, [access(1)]).events[0].status is PushStatus.ACCEPTED


def test_when_the_store_does_not_answer_everybody_who_waits_is_told_and_can_come_again(
    bed: Bed, origin: Origin
) -> None:
    class Away(Pipeline):
        def commit(self, origin: Origin, pushes: Any) -> Any:
            raise Unavailable("the database is away")

    pipeline = counting(bed, Away)
    with intake_of(pipeline) as intake:
        for _ in range(2):
            with pytest.raises(Unavailable, match="away"):
                intake.push(origin, PARTY, [access(1)])
        pipeline.__class__ = Pipeline
        assert intake.push(origin, PARTY, [access(1)]).events[0].position == 0


def test_one_push_that_breaks_the_commit_breaks_it_for_itself_alone(bed: Bed, origin: Origin) -> None:
    poison = "poison"
    plain = bed.pipeline.commit

    class Breaking(Pipeline):
        def commit(self, origin: Origin, pushes: Any) -> Any:
            if any(s.event.subject == poison for push in pushes for s in push.statements):
                raise RuntimeError("a defect")
            return plain(origin, pushes)

    pipeline = counting(bed, Breaking)
    with intake_of(pipeline) as intake:
        with held_up(bed, origin):
            submit(intake, pipeline, origin, access(0))
            bad = submit(intake, pipeline, origin, access(1, subject=poison))
            good = [submit(intake, pipeline, origin, access(n)) for n in (2, 3)]
        with pytest.raises(RuntimeError):
            bad.result(timeout=20)
        assert [future.result(timeout=20).events[0].position for future in good] == [1, 2]


def test_closing_commits_what_waits_and_takes_nothing_more(bed: Bed, origin: Origin) -> None:
    intake = Intake(bed.pipeline)
    with held_up(bed, origin):
        told = [submit(intake, bed.pipeline, origin, access(n)) for n in range(20)]
        closing = threading.Thread(target=intake.close)
        closing.start()
        while not intake._closed:
            threading.Event().wait(0.005)
        with pytest.raises(Unavailable, match="being stopped"):
            submit(intake, bed.pipeline, origin, access(99))
    closing.join(timeout=20)
    assert all(future.done() for future in told)
    assert bed.store.head(origin).size == 20


def test_many_threads_lose_nothing_and_leave_no_gap(bed: Bed, origin: Origin) -> None:
    pushes, threads = 40, 16
    with intake_of(bed.pipeline) as intake, ThreadPoolExecutor(threads) as pool:

        def run(thread: int) -> list[Position]:
            found = []
            for n in range(pushes):
                values = [access(0, id=f"t{thread}-{n}"), access(0, id=f"t{thread}-{n}-b")]
                first, again = (intake.push(origin, PARTY, values).events for _ in range(2))
                assert [event.position for event in first] == [event.position for event in again]
                found += [event.position for event in first]
            return found

        positions = [p for found in pool.map(run, range(threads)) for p in found]
    assert sorted(positions) == list(range(2 * pushes * threads))
    assert len(list(bed.store.receipts(origin))) == pushes * threads
    assert replace(bed.store.head(origin), last_received=0).size == len(positions)
