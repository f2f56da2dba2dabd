"""Liveness and readiness."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api import schemas
from api.services import Ledger, Services
from ledger.errors import LedgerError
from ledger.records import Log

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Liveness")
def healthz() -> schemas.HealthOut:
    """Answers while the process runs."""
    return schemas.HealthOut(status="ok")


@router.get("/readyz", summary="Readiness", responses={503: {"model": schemas.ReadyOut}})
def readyz(ledger: Ledger, response: Response) -> schemas.ReadyOut:
    """Whether store and chain answer and every log is the chain's history (I6); 503 if not, or if the API will end."""
    logs: list[Log] = []
    store = chain = "ok"
    try:
        logs = ledger.store.logs()
    except LedgerError as error:
        store = error.message
    try:
        ledger.chain.check()
    except LedgerError as error:
        chain = error.message
    states = {log.origin: _state(ledger, log) for log in logs}
    stopping = ledger.stopping.is_set()
    ready = not stopping and store == chain == "ok" and all(state == "ok" for state in states.values())
    response.status_code = 200 if ready else 503
    failing = ledger.worker.failures if ledger.worker else {}
    return schemas.ReadyOut(
        ready=ready,
        stopping=stopping,
        store=store,
        chain=chain,
        logs={str(o): s for o, s in states.items()},
        failing=failing,
    )


def _state(ledger: Services, log: Log) -> str:
    try:
        ledger.pipeline.guard.hold(log.origin)
    except LedgerError as error:
        return error.message
    return "ok"
