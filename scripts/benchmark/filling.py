"""Ledgers filled with the accesses of a year (`accesses`), or as many events. Each is filled once in a run.

    ordered     pushed in batches of 1,000 through the pipeline, in order of time; sealed, anchored, projected
    anchored    the same, not projected: all that evidence needs
    shuffled    accesses alone, at any time of the year in no order; appended and projected through `Store`, not sealed
    bare        so many events that say nothing (`bulk`), neither projected nor sealed: all that sealing needs

Two are filled at a time, each in a process of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar, cast

from benchmark import bulk
from benchmark.accesses import Accesses, transfers
from benchmark.apart import Job, together
from benchmark.disk import stored
from benchmark.events import spell
from benchmark.meters import Figures, metered
from benchmark.place import PARTY, Home, Place
from benchmark.processes import BenchFailed
from benchmark.show import Tell
from ledger.canonical import Object
from ledger.entry import Event
from ledger.pipeline import Pipeline
from ledger.projections import access_record
from ledger.records import Projected
from ledger.types import Origin, Position

T = TypeVar("T")

ORDERED, ANCHORED, SHUFFLED, BARE = "ordered", "anchored", "shuffled", "bare"
_MORE = {ANCHORED: ORDERED, BARE: SHUFFLED}
"""What else has all that a part needs of these."""
PUSH = 1000
PROJECTED_AT_ONCE = 8192
SETTLE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which ledger: on which database, in which order of time, with how many accesses."""

    kind: str
    order: str
    accesses: int

    @property
    def name(self) -> str:
        return f"{self.order}-{self.accesses}"

    @property
    def what(self) -> str:
        return "events" if self.order == BARE else "accesses"


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled ledger. `figures` are of the filling."""

    home: Home
    wanted: Wanted
    events: int
    figures: Figures


def sharing(place: Place, wanted: Sequence[Wanted]) -> list[Wanted]:
    """What is wanted; instead of a log of a size that other parts read as well, the one that they need."""
    return [
        replace(one, order=_MORE[one.order]) if one.accesses in place.sizes.logs else one for one in wanted
    ]


def filled(place: Place, wanted: Sequence[Wanted]) -> list[Filled]:
    """The ledgers, filled now if they are not yet."""
    missing = [one for one in wanted if one not in place.filled]
    for pair in groups(missing, 2):
        homes = [place.ledger(one.kind, one.name) for one in pair]
        jobs = [
            Job(f"{one.kind}: {one.accesses:,} {one.what}, {one.order}", _FILL[one.order],
                {"home": home.arguments(), "accesses": one.accesses})
            for one, home in zip(pair, homes, strict=True)
        ]  # fmt: skip
        with place.show.steps([job.title for job in jobs]) as tells:
            answers = together(jobs, place.log, tells)
        for one, home, figures in zip(pair, homes, answers, strict=True):
            place.filled[one] = Filled(home, one, figures["events"], figures)
    return [place.filled[one] for one in wanted]


def push_and_project(home: dict[str, Any], accesses: int, tell: Tell) -> Figures:
    """Fill an ordered ledger. Runs apart."""
    figures = push_in_order(home, accesses, lambda done, of: tell(done, 2 * of))
    opened, events = Home.of(**home), figures["events"]
    with opened.open() as ledger, metered() as projecting:
        ledger.pipeline.project(opened.origin, progress=lambda done, _: tell(events + done, 2 * events))
    return {
        **figures,
        "stored_with_projections_bytes": stored(opened.database),
        "projected_per_s": events / projecting.seconds,
    }


def push_in_order(home: dict[str, Any], accesses: int, tell: Tell) -> Figures:
    """The same without projections. Runs apart."""
    opened, known = Home.of(**home), transfers(accesses)
    total = accesses + sum(len(transfer.events) for transfer in known)
    with opened.open() as ledger:
        pipeline, raw, done, spent = ledger.pipeline, 0, 0, 0.0
        for push in groups(Accesses(known).in_order(accesses), PUSH):
            raw += sum(len(spell(event)) for event in push)
            began = time.perf_counter()
            pipeline.push(opened.origin, PARTY.id, push)
            spent, done = spent + time.perf_counter() - began, done + len(push)
            tell(done, total)
        seal_and_anchor(pipeline, opened.origin)
        return {
            "events": done,
            "raw_bytes": raw,
            "pushed_per_s": done / spent,
            "stored_bytes": stored(opened.database),
        }


def append_shuffled(home: dict[str, Any], accesses: int, tell: Tell) -> Figures:
    """Fill a shuffled ledger. Runs apart."""
    opened = Home.of(**home)
    with opened.open() as ledger:
        store, position = ledger.store, 0
        for some in groups(Accesses(transfers(accesses)).shuffled(accesses), PROJECTED_AT_ONCE):
            events = [bulk.committed(n, str(event["id"]).encode()) for n, event in enumerate(some, position)]
            bulk.append(store, opened.origin, events)
            records = [
                access_record(committed, _event(event)) for committed, event in zip(events, some, strict=True)
            ]
            start, position = position, position + len(some)
            store.project(opened.origin, Position(start), Position(position), Projected(accesses=records))
            tell(position, accesses)
    return {"events": position}


def _event(value: Object) -> Event:
    """The event in a value that is known to be one."""
    attributes = {name: str(member) for name, member in value.items() if name != "data"}
    return Event(attributes, cast(Object, value["data"]))


def seal_and_anchor(pipeline: Pipeline, origin: Origin) -> None:
    """All that waits. Raises BenchFailed if it is not under a checkpoint in time."""
    pipeline.seal(origin, force=True)
    until = time.monotonic() + SETTLE_SECONDS
    while (checkpoint := pipeline.store.checkpoint(origin)) is None or (
        checkpoint.size < pipeline.store.head(origin).batches
    ):
        if time.monotonic() > until:
            raise BenchFailed(f"{origin} is not anchored after {SETTLE_SECONDS:.0f} s")
        pipeline.anchor(origin)


_FILL = {ORDERED: push_and_project, ANCHORED: push_in_order, SHUFFLED: append_shuffled, BARE: bulk.fill}


def groups(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values, `size` at a time."""
    iterator = iter(values)
    while group := list(islice(iterator, size)):
        yield group
