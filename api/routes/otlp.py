"""Take OpenTelemetry's logs as events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response

from api import schemas
from api.auth import Pusher
from api.errors import TEXTS, problems
from api.otlp import ENCODINGS, Body, OtlpRoute
from api.services import KnownLog, Ledger
from ledger import catalogue
from ledger.entry import parse_event
from ledger.otlp.taking import take, tell

router = APIRouter(prefix="/v1/logs/{log:path}", tags=["events"], route_class=OtlpRoute)

BINARY, JSON = ENCODINGS


def _attributes(members: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in members.items()]


_RECORD = {
    "timeUnixNano": "1782907200000000000",
    "eventName": schemas.EVENT["type"],
    "attributes": _attributes(
        {
            "cloudevents.event_id": schemas.EVENT["id"],
            "cloudevents.event_subject": schemas.EVENT["subject"],
            "transfer_ledger.phase": schemas.EVENT["phase"],
        }
    ),
    "body": {"kvlistValue": {"values": _attributes(schemas.EVENT["data"])}},  # type: ignore[arg-type]
}
_RESOURCE = {"attributes": _attributes({"cloudevents.event_source": schemas.EVENT["source"]})}
_EXAMPLE = {"resourceLogs": [{"resource": _RESOURCE, "scopeLogs": [{"logRecords": [_RECORD]}]}]}

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            BINARY: {"schema": {"type": "string", "format": "binary"}},
            JSON: {"schema": {"type": "object"}, "example": _EXAMPLE},
        },
    }
}
_BYTES = {BINARY: {"schema": {"type": "string", "format": "binary"}}}
_STATUSES: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.StatusOut, "description": TEXTS[status], "content": _BYTES}
    for status in (400, 401, 403, 404, 413, 422, 503)
}


@router.post(
    "/otlp",
    summary="Push OpenTelemetry logs",
    response_model=schemas.ExportLogsOut,
    openapi_extra=_BODY,
    responses={200: {"content": _BYTES}, **_STATUSES, **problems(415)},
)
def take_logs(log: KnownLog, key: Pusher, request: Body, ledger: Ledger) -> Response:
    """Take the log records of an OTLP/HTTP request as events (docs/otlp.md), in protobuf or JSON, gzipped or not.

    What cannot be taken is counted and told in `partialSuccess`; the rest is durable when the answer comes. Sending the
    same records again is safe.
    """
    pipeline = ledger.pipeline
    refused = take(
        request.encoding.read_logs(request.body),
        pipeline.policy.max_push,
        lambda value: catalogue.check_event(parse_event(value), allow_opaque=log.opaque),
        lambda values: ledger.intake.push(log.origin, key.party, values),
    )
    answer = request.encoding.export_response(len(refused), tell(refused))
    return Response(answer, media_type=request.media)
