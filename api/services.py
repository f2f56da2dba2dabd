"""What the routes work with, taken from the application's state."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.types import Scope

from ledger.errors import NotFound
from ledger.pipeline import Pipeline
from ledger.ports import Chain, Clock, Store
from ledger.records import Log
from ledger.telemetry import Exposition, Meter, Tracer
from ledger.types import Origin
from ledger.workers import Worker


@dataclass(frozen=True, slots=True)
class Services:
    """Wired by `ledger.bootstrap`. `worker` is None where the workers run in processes of their own.

    `stopping` is set as soon as this process has been told to end. `exposition` is what it has counted, None if it does
    not count, and `metrics_secret` what is to be shown to see that, None for nothing.
    """

    pipeline: Pipeline
    worker: Worker | None
    stopping: Event = field(default_factory=Event)
    exposition: Exposition | None = None
    metrics_secret: str | None = None

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


def services(request: Request) -> Services:
    """The services of this application."""
    return of_app(request.scope)


Ledger = Annotated[Services, Depends(services)]


def log_of(log: str, ledger: Ledger) -> Log:
    """The log in the path."""
    try:
        return ledger.store.log(Origin(log))
    except NotFound:
        raise NotFound("no such log", got=repr(log[:100]), advice="`GET /v1/logs` lists the logs.") from None


KnownLog = Annotated[Log, Depends(log_of)]
