"""The access log, filtered: each filter alone, pairs, triples, spans of time, deep cursors; selective and not.

Each query is asked again and again with other values, a page of 100 at a time, on a large log and on one of a tenth, in
turns: what grows with the log shows. Once through `Store.accesses`, on logs in order of time and out of order, and once
through `GET /v1/access`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import mean
from typing import TypeAlias

from benchmark.accesses import ACTIONS, PRINCIPALS, Transfer, principal, transfers
from benchmark.asking import api_of
from benchmark.events import END, START
from benchmark.filling import ORDERED, SHUFFLED, Filled, Wanted, filled
from benchmark.meters import Figures, latencies, set_aside
from benchmark.place import DATABASES, PARTY, Place
from benchmark.show import Tell
from ledger.records import ViewFilter
from ledger.scenario.world import CITIES
from ledger.types import Position, format_time

PAGE = 100
YEAR = END - START
HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Query:
    """Which accesses, from which position on."""

    which: ViewFilter
    after: Position | None = None


class Draw:
    """Values to ask for, drawn anew each time."""

    def __init__(self, known: Sequence[Transfer], size: int) -> None:
        self._random = random.Random(1)
        self._transfers = known
        self._size = size

    def busy(self) -> str:
        """One of the principals of whom there are accesses everywhere."""
        return principal(self._random.randrange(10))

    def rare(self) -> str:
        return principal(self._random.randrange(PRINCIPALS // 2, PRINCIPALS))

    def transfer(self) -> Transfer:
        return self._random.choice(self._transfers)

    def country(self) -> str:
        return self._random.choice(CITIES)[1]

    def action(self) -> str:
        return self._random.choice(list(ACTIONS))

    def resource(self) -> str:
        return self.transfer().resource(self._random.randrange(3))

    def deep(self) -> Position:
        """A cursor in the last tenth."""
        return Position(self._random.randrange(self._size * 9 // 10, self._size))

    def since(self, span: int) -> tuple[int, int]:
        start = self._random.randrange(START, END - span)
        return start, start + span


Make: TypeAlias = Callable[[Draw], Query]


def _of(
    make: Callable[[Draw], dict[str, str | bool]], *, deep: bool = False, span: int | None = None
) -> Make:
    def query(draw: Draw) -> Query:
        since, until = (None, None) if span is None else draw.since(span)
        return Query(ViewFilter(make(draw), since, until), draw.deep() if deep else None)

    return query


def _nothing(draw: Draw) -> dict[str, str | bool]:
    return {}


QUERIES: dict[str, Make] = {
    "no filter": _of(_nothing),
    "phase": _of(lambda draw: {"phase": "transit"}),
    "transfer": _of(lambda draw: {"subject": draw.transfer().subject}),
    "party": _of(lambda draw: {"party": PARTY.id}),
    "principal, busy": _of(lambda draw: {"principal": draw.busy()}),
    "principal, rare": _of(lambda draw: {"principal": draw.rare()}),
    "action": _of(lambda draw: {"action": draw.action()}),
    "resource": _of(lambda draw: {"resource": draw.resource()}),
    "outcome": _of(lambda draw: {"outcome": "refused"}),
    "country": _of(lambda draw: {"country": draw.country()}),
    "TLS version": _of(lambda draw: {"tls_version": "1.1"}),
    "source system": _of(lambda draw: {"source_system": "postgresql.pgaudit"}),
    "principal and outcome": _of(lambda draw: {"principal": draw.busy(), "outcome": "refused"}),
    "rare principal and action": _of(lambda draw: {"principal": draw.rare(), "action": "s3:GetObject"}),
    "country and action": _of(lambda draw: {"country": draw.country(), "action": "s3:PutObject"}),
    "phase and outcome": _of(lambda draw: {"phase": "storage", "outcome": "allowed"}),
    "transfer and TLS version": _of(lambda draw: {"subject": draw.transfer().subject, "tls_version": "1.1"}),
    "rare action and rare outcome": _of(lambda draw: {"action": "s3:PutBucketPolicy", "outcome": "failed"}),
    "resource, outcome, country": _of(
        lambda draw: {"resource": draw.resource(), "outcome": "refused", "country": draw.country()}
    ),
    "principal, action, phase": _of(
        lambda draw: {"principal": draw.busy(), "action": "s3:ListBucket", "phase": "before"}
    ),
    "outcome, TLS version, system": _of(
        lambda draw: {"outcome": "allowed", "tls_version": "1.3", "source_system": "aws.cloudtrail"}
    ),
    "two that never meet": _of(
        lambda draw: {"action": "s3:GetObject", "source_system": "postgresql.pgaudit"}
    ),
    "nobody": _of(lambda draw: {"principal": "arn:aws:iam::111122223333:user/nobody", "outcome": "allowed"}),
    "an hour": _of(_nothing, span=HOUR),
    "an hour and outcome": _of(lambda draw: {"outcome": "refused"}, span=HOUR),
    "a week and country": _of(lambda draw: {"country": draw.country()}, span=7 * 24 * HOUR),
    "half a year and principal": _of(lambda draw: {"principal": draw.busy()}, span=YEAR // 2),
    "half a year and two that never meet": _of(
        lambda draw: {"action": "s3:GetObject", "source_system": "postgresql.pgaudit"}, span=YEAR // 2
    ),
    "half a year, rare principal": _of(lambda draw: {"principal": draw.rare()}, span=YEAR // 2),
    "deep": _of(_nothing, deep=True),
    "deep, principal": _of(lambda draw: {"principal": draw.busy()}, deep=True),
    "deep, rare action and outcome": _of(
        lambda draw: {"action": "s3:DeleteObject", "outcome": "refused"}, deep=True
    ),
    "deep, a month and country": _of(
        lambda draw: {"country": draw.country()}, deep=True, span=30 * 24 * HOUR
    ),
}

Ask: TypeAlias = Callable[[Query], int]
"""Asks, and answers how many rows came."""


def measure(place: Place) -> Figures:
    """The part `queries`."""
    sizes = place.sizes.logs
    wanted = [Wanted(kind, order, n) for order in (ORDERED, SHUFFLED) for n in sizes for kind in DATABASES]
    filled(place, wanted)
    figures: Figures = {}
    for kind in DATABASES:
        figures[kind] = {}
        for order in (ORDERED, SHUFFLED):
            logs = filled(place, [Wanted(kind, order, n) for n in sizes])
            with ExitStack() as stack, place.show.step(f"{kind}, times {order}: the store is asked") as told:
                asks = [stack.enter_context(_asking_store(log)) for log in logs]
                figures[kind][order] = _measured(logs, asks, place.sizes.repeats, told)
        logs = filled(place, [Wanted(kind, ORDERED, n) for n in sizes])
        with ExitStack() as stack, place.show.step(f"{kind}, times ordered: the API is asked") as told:
            asks = [stack.enter_context(_asking_api(log)) for log in logs]
            figures[kind]["http"] = _measured(logs, asks, place.sizes.repeats, told)
    return figures


def _measured(logs: Sequence[Filled], asks: Sequence[Ask], repeats: int, tell: Tell) -> Figures:
    """Each query on each log, the last of which is the large one."""
    draws = [Draw(transfers(log.wanted.accesses), log.events) for log in logs]
    figures: Figures = {}
    set_aside()
    for number, (name, make) in enumerate(QUERIES.items()):
        seconds: list[list[float]] = [[] for _ in logs]
        rows: list[list[int]] = [[] for _ in logs]
        for turn in range(repeats + 1):
            for log, (ask, draw) in enumerate(zip(asks, draws, strict=True)):
                query = make(draw)
                began = time.perf_counter()
                count = ask(query)
                if turn:  # the first one fills caches and prepares statements
                    seconds[log].append(time.perf_counter() - began)
                    rows[log].append(count)
        small, large = (
            {**latencies(of), "rows": mean(counts)} for of, counts in zip(seconds, rows, strict=True)
        )
        figures[name] = {**large, "tenth": small, "growth": large["p50_ms"] / small["p50_ms"]}
        tell(number + 1, len(QUERIES))
    return figures


@contextmanager
def _asking_store(log: Filled) -> Iterator[Ask]:
    with log.home.open() as ledger:

        def ask(query: Query) -> int:
            return len(ledger.store.accesses(log.home.origin, query.which, query.after, PAGE))

        yield ask


@contextmanager
def _asking_api(log: Filled) -> Iterator[Ask]:
    with api_of(log.home) as api:
        yield lambda query: len(api.get("/v1/access", _parameters(query))["items"])


def _parameters(query: Query) -> dict[str, str]:
    """The query as the API takes it."""
    names = {"subject": "transfer"}
    given = {names.get(name, name): str(value) for name, value in query.which.equal.items()}
    for name, moment in (("since", query.which.since), ("until", query.which.until)):
        if moment is not None:
            given[name] = format_time(moment)
    if query.after is not None:
        given["after"] = str(query.after)
    return {**given, "limit": str(PAGE)}
