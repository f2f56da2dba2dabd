"""A stop between two parts of a task: what was begun is whole, what was not is left for the next time."""

from __future__ import annotations

from collections.abc import Callable

from support.ledgers import PARTY, Bed, accesses, assert_settled

from ledger.types import Origin
from ledger.workers import Worker


def after(calls: int) -> Callable[[], bool]:
    """A `stop` that says so from then on."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_sealing_stops_between_two_batches(bed: Bed, origin: Origin) -> None:
    bed.pipeline.push(origin, PARTY, accesses(range(12)))  # batches hold four
    sealed = bed.pipeline.seal(origin, force=True, stop=after(2))
    assert [header.leaf_count for header in sealed] == [4, 4]
    assert bed.store.head(origin).sealed == 8
    bed.settle(origin)
    assert_settled(bed.store, bed.chain, origin)


def test_projecting_stops_between_two_steps(bed: Bed, origin: Origin) -> None:
    bed.pipeline.push(origin, PARTY, accesses(range(10)))
    assert bed.pipeline.project(origin, step=3, stop=after(2)) == 6
    assert bed.store.projected(origin) == 6
    assert bed.pipeline.project(origin, step=3) == 4


def test_a_worker_that_was_asked_to_stop_begins_nothing(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1, 2, 3, 4)
    worker = Worker(bed.pipeline, 0.01)
    worker.request_stop()
    worker.run()
    assert worker.once(force=True), "it is no failure"
    assert bed.store.head(origin).sealed == 0
