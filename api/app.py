"""The application."""

from __future__ import annotations

from types import ModuleType

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from api import errors
from api.headers import AnswerHeaders
from api.routes import (
    accesses,
    events,
    evidence,
    health,
    logs,
    metrics,
    otlp,
    parties,
    permissions,
    transfers,
    types,
)
from api.services import Services
from ledger import __version__

DESCRIPTION = """
Evidence of cross-border transfers of personal data that nobody can rewrite, thin out or back-date unnoticed.

Platforms push CloudEvents; the ledger commits them, hashes them into Merkle batches and anchors each batch in a
contract on an EVM chain. Auditors read events, access logs and permission snapshots, each with a proof that they verify
offline.
"""

NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own would tell OpenTelemetry paths, queries and messages of exceptions; `api.requests` does not."""


def create_app(services: Services) -> FastAPI:
    """The API over wired services."""
    # `logs` stands last: the path of a log matches everything below it. `events` stands first: most requests push.
    paths = (parties, transfers, accesses, permissions, evidence, otlp, logs)
    return _app(services, events, health, metrics, types, *paths)


def create_worker_app(services: Services) -> FastAPI:
    """What a worker in a process of its own answers: how it is."""
    return _app(services, health, metrics)


def _app(services: Services, *modules: ModuleType) -> FastAPI:
    app = FastAPI(
        title="Transfer audit ledger",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        telemetry=NO_TELEMETRY,
    )
    app.state.services = services
    errors.install(app)
    app.add_middleware(AnswerHeaders)
    for module in modules:
        app.include_router(module.router)
    return app
