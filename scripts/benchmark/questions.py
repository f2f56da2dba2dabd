"""What else an auditor asks: transfers, completeness, timelines, snapshots compared, a page of reconciliation.

Each question through `ledger.auditing` and through the API, on a large log and on one of a tenth, in turns.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from benchmark.asking import Api, api_of
from benchmark.filling import ORDERED, Filled, Wanted, filled
from benchmark.meters import Figures, latencies, set_aside
from benchmark.place import DATABASES, Place
from benchmark.show import Tell
from ledger.auditing import Auditor
from ledger.permissions import Verdict
from ledger.ports import Store
from ledger.records import ViewFilter
from ledger.types import Origin, Position

PAGE = 8
"""Transfers of a list: even a small log has as many."""
ROWS = 100
SNAPSHOTS = 1000


@dataclass(slots=True)
class Subject:
    """One log, and what can be asked about in it."""

    audit: Auditor
    api: Api
    transfers: Sequence[str]
    snapshots: Sequence[tuple[Position, Position]]
    """Pairs of snapshots of one resource, one after the other."""
    events: int
    draw: random.Random

    def transfer(self) -> str:
        return self.draw.choice(self.transfers)

    def position(self) -> Position:
        return Position(self.draw.randrange(self.events))


Ask: TypeAlias = Callable[[Subject], object]


def _compare(subject: Subject) -> object:
    return subject.audit.compare(*subject.draw.choice(subject.snapshots))


def _compare_by_api(subject: Subject) -> object:
    before, after = subject.draw.choice(subject.snapshots)
    return subject.api.get("/v1/snapshots/diff", {"before": before, "after": after})


def _unexplained(subject: Subject) -> object:
    verdicts = frozenset({Verdict.NOT_PERMITTED})
    return subject.audit.judge_accesses(ViewFilter({}), verdicts, subject.position(), ROWS)


QUESTIONS: dict[str, tuple[Ask, Ask]] = {
    f"{PAGE} transfers": (
        lambda s: s.audit.transfers(None, PAGE),
        lambda s: s.api.get("/v1/transfers", {"limit": PAGE}),
    ),
    "one transfer": (
        lambda s: s.audit.transfer(s.transfer()),
        lambda s: s.api.get(f"/v1/transfers/{s.transfer()}", {}),
    ),
    f"completeness of {PAGE} transfers": (
        lambda s: s.audit.matrices(None, PAGE),
        lambda s: s.api.get("/v1/completeness", {"limit": PAGE}),
    ),
    "timeline of a transfer": (
        lambda s: s.audit.timeline(s.transfer(), None, (), None, ROWS),
        lambda s: s.api.get("/v1/timeline", {"transfer": s.transfer(), "limit": ROWS}),
    ),
    "two snapshots compared": (_compare, _compare_by_api),
    "a page of reconciliation": (
        lambda s: s.audit.judge_accesses(ViewFilter({}), frozenset(), s.position(), ROWS),
        lambda s: s.api.get("/v1/reconciliation", {"after": s.position(), "limit": ROWS}),
    ),
    "accesses that nothing permits": (
        _unexplained,
        lambda s: s.api.get(
            "/v1/reconciliation", {"verdict": Verdict.NOT_PERMITTED, "after": s.position(), "limit": ROWS}
        ),
    ),
}


def measure(place: Place) -> Figures:
    """The part `questions`."""
    sizes = place.sizes.logs
    filled(place, [Wanted(kind, ORDERED, n) for n in sizes for kind in DATABASES])
    figures: Figures = {}
    for kind in DATABASES:
        logs = filled(place, [Wanted(kind, ORDERED, n) for n in sizes])
        with ExitStack() as stack, place.show.step(f"{kind}: an auditor's questions") as told:
            subjects = [_subject(log, stack) for log in logs]
            figures[kind] = _measured(subjects, place.sizes.repeats // 2, told)
    return figures


def _subject(log: Filled, stack: ExitStack) -> Subject:
    ledger = stack.enter_context(log.home.open())
    store, origin = ledger.store, log.home.origin
    return Subject(
        audit=Auditor(store, store.log(origin), ledger.clock.now()),
        api=stack.enter_context(api_of(log.home)),
        transfers=store.transfers(origin, None, 365),
        snapshots=_pairs(store, origin),
        events=log.events,
        draw=random.Random(1),
    )


def _pairs(store: Store, origin: Origin) -> list[tuple[Position, Position]]:
    of: dict[str, list[Position]] = {}
    for snapshot in store.snapshots(origin, ViewFilter({}), None, SNAPSHOTS):
        of.setdefault(str(snapshot.resource), []).append(snapshot.position)
    return [pair for positions in of.values() for pair in pairwise(positions)]


def _measured(subjects: Sequence[Subject], repeats: int, tell: Tell) -> Figures:
    figures: Figures = {"store": {}, "http": {}}
    set_aside()
    for number, (name, asks) in enumerate(QUESTIONS.items()):
        for way, ask in zip(figures, asks, strict=True):
            seconds: list[list[float]] = [[] for _ in subjects]
            for turn in range(repeats + 1):
                for subject, spent in zip(subjects, seconds, strict=True):
                    began = time.perf_counter()
                    ask(subject)
                    if turn:
                        spent.append(time.perf_counter() - began)
            small, large = map(latencies, seconds)
            figures[way][name] = {**large, "tenth": small, "growth": large["p50_ms"] / small["p50_ms"]}
        tell(number + 1, len(QUESTIONS))
    return figures
