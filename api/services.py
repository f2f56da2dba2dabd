"""What the routes work with, taken from the application's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from ledger.errors import NotFound
from ledger.intake import Intake
from ledger.pipeline import Pipeline
from ledger.ports import Chain, Clock, Store
from ledger.records import Log
from ledger.types import Origin
from ledger.workers import Worker


@dataclass(frozen=True, slots=True)
class Services:
    """Wired by `ledger.bootstrap`. `worker` is None where the workers run in processes of their own."""

    pipeline: Pipeline
    worker: Worker | None
    intake: Intake

    @property
    def store(self) -> Store:
        return self.pipeline.store

    @property
    def chain(self) -> Chain:
        return self.pipeline.chain

    @property
    def clock(self) -> Clock:
        return self.pipeline.clock


def services(request: Request) -> Services:
    """The services of this application."""
    return cast(Services, request.app.state.services)


Ledger = Annotated[Services, Depends(services)]


def log_of(log: str, ledger: Ledger) -> Log:
    """The log in the path."""
    try:
        return ledger.store.log(Origin(log))
    except NotFound:
        raise NotFound("no such log", got=repr(log[:100]), advice="`GET /v1/logs` lists the logs.") from None


KnownLog = Annotated[Log, Depends(log_of)]
