"""What the routes work with, taken from the application's state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from ledger.errors import NotFound, Overloaded
from ledger.intake import Intake
from ledger.pipeline import Pipeline
from ledger.ports import Chain, Clock, Store
from ledger.processes import Pool
from ledger.records import ApiKey, Log
from ledger.telemetry import Exposition, Meter, Tracer
from ledger.types import Origin
from ledger.workers import Worker


class RecentKeys:
    """API keys that were read from the store in the last second, for those who ask many times a second.

    A key that is revoked is therefore taken for a second more, by those who keep to this.
    """

    SECONDS = 1.0
    MOST = 10_000

    def __init__(self) -> None:
        self._read: dict[str, tuple[float, ApiKey]] = {}

    def get(self, id: str) -> ApiKey | None:
        read, key = self._read.get(id, (0.0, None))
        return key if time.monotonic() - read < self.SECONDS else None

    def put(self, key: ApiKey) -> None:
        if len(self._read) >= self.MOST:
            self._read.clear()
        self._read[key.id] = time.monotonic(), key


class Room:
    """Bytes of pushes that are being read or wait for their answer: so many at once, and no more.

    Called on the event loop alone.
    """

    def __init__(self, limit: int = 256 * 1024 * 1024) -> None:
        self.limit = limit
        self.used = 0

    @contextmanager
    def taken(self) -> Iterator[Callable[[int], None]]:
        """Yields what takes so many bytes more, or raises Overloaded. All are given back at the end."""
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self.used and self.used + size > self.limit:
                raise Overloaded("too much is being pushed at once", got=f"{self.used} bytes in flight")
            self.used += size
            mine += size

        try:
            yield take
        finally:
            self.used -= mine


@dataclass(frozen=True, slots=True)
class Services:
    """Wired by `ledger.bootstrap`. `worker` is None where the workers run in processes of their own.

    `stopping` is set as soon as this process has been told to end. `exposition` is what it has counted, None if it does
    not count, and `metrics_secret` what is to be shown to see that, None for nothing. `readers` read large pushes.
    """

    pipeline: Pipeline
    worker: Worker | None
    intake: Intake
    stopping: Event = field(default_factory=Event)
    exposition: Exposition | None = None
    metrics_secret: str | None = None
    keys: RecentKeys = field(default_factory=RecentKeys)
    room: Room = field(default_factory=Room)
    readers: Pool = field(default_factory=lambda: Pool(0))

    @property
    def store(self) -> Store:
        return self.pipeline.store

    @property
    def chain(self) -> Chain:
        return self.pipeline.chain

    @property
    def clock(self) -> Clock:
        return self.pipeline.clock

    @property
    def meter(self) -> Meter:
        return self.pipeline.meter

    @property
    def tracer(self) -> Tracer:
        return self.pipeline.tracer


def of_app(scope: Scope) -> Services:
    """The services of the application that a request went to."""
    return cast(Services, scope["app"].state.services)


async def services(request: Request) -> Services:
    """The services of this application."""
    return of_app(request.scope)


Ledger = Annotated[Services, Depends(services)]


async def log_of(log: str, ledger: Ledger) -> Log:
    """The log in the path."""
    origin = Origin(log)
    known = ledger.pipeline.known_log(origin)
    if known is not None:
        return known
    try:
        return await run_in_threadpool(ledger.pipeline.log, origin)
    except NotFound:
        raise NotFound("no such log", got=repr(log[:100]), advice="`GET /v1/logs` lists the logs.") from None


KnownLog = Annotated[Log, Depends(log_of)]
