"""The application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from api import errors, schemas
from api.routes import audit, events, health, logs
from api.services import Services
from ledger import __version__

DESCRIPTION = """
Evidence of cross-border transfers of personal data that nobody can rewrite, thin out or back-date unnoticed.

Platforms push CloudEvents; the ledger commits them, hashes them into Merkle batches and anchors each batch in a
contract on an EVM chain. Auditors read events, access logs and permission snapshots, each with a proof that they verify
offline.
"""

_TEXTS = {
    400: "Out of form",
    401: "No valid API key",
    403: "The API key does not reach this far",
    404: "No such thing",
    409: "A conflict with what stands, or not anchored yet",
    413: "Over a limit",
    415: "A media type that is not taken",
    422: "Refused, with the places",
    503: "Try again later; nothing was lost",
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem, "description": text, "content": {errors.MEDIA_TYPE: {}}}
    for status, text in _TEXTS.items()
}


def create_app(services: Services) -> FastAPI:
    """The API over wired services."""
    app = FastAPI(
        title="Transfer audit ledger",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        responses=_PROBLEMS,
    )
    app.state.services = services
    errors.install(app)
    # `logs` stands last: the path of a log matches everything below it.
    for router in (health.router, audit.router, events.router, logs.router):
        app.include_router(router)
    return app
