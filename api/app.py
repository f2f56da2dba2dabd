"""The application."""

from __future__ import annotations

from fastapi import FastAPI

from api import errors
from api.headers import AnswerHeaders
from api.routes import accesses, events, evidence, health, logs, parties, permissions, transfers, types
from api.services import Services
from ledger import __version__

DESCRIPTION = """
Evidence of cross-border transfers of personal data that nobody can rewrite, thin out or back-date unnoticed.

Platforms push CloudEvents; the ledger commits them, hashes them into Merkle batches and anchors each batch in a
contract on an EVM chain. Auditors read events, access logs and permission snapshots, each with a proof that they verify
offline.
"""


def create_app(services: Services) -> FastAPI:
    """The API over wired services."""
    app = FastAPI(
        title="Transfer audit ledger",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.services = services
    errors.install(app)
    app.add_middleware(AnswerHeaders)
    # `logs` stands last: the path of a log matches everything below it.
    for module in (health, types, parties, transfers, accesses, permissions, evidence, events, logs):
        app.include_router(module.router)
    return app
