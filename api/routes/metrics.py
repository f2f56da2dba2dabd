"""Metrics for Prometheus."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.errors import problems
from api.services import Ledger
from ledger.errors import NotFound, Unauthenticated

router = APIRouter(tags=["health"])

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="MetricsSecret",
    description="What `keys/metrics.secret` in the data folder holds, if the setting `metrics` is `secret`.",
)


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=PlainTextResponse,
    responses=problems(401, 404),
)
def read_metrics(
    ledger: Ledger, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Response:
    """What this process has counted, and how far behind the logs are, in Prometheus' text format.

    Open on the terms of the setting `metrics`. Nothing in it is of an event but its type.
    """
    if ledger.exposition is None:
        raise NotFound("metrics are off", advice="The setting `metrics` turns them on.")
    secret = ledger.metrics_secret
    shown = credentials.credentials if credentials else ""
    if secret is not None and not hmac.compare_digest(shown.encode(), secret.encode()):
        raise Unauthenticated(
            "not the secret of the metrics", advice="Send `Authorization: Bearer <keys/metrics.secret>`."
        )
    return Response(ledger.exposition.render(), media_type=ledger.exposition.media_type)
