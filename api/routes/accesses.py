"""The access log of the three phases: filtered, page by page, or whole as a file."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from api import schemas
from api.errors import problems
from api.files import file_answer
from api.parameters import After, Limit, Since, Until
from api.routes.transfers import Discloses
from ledger import documents, export
from ledger.documents import AccessDocument
from ledger.entry import Phase
from ledger.export import Format
from ledger.records import ViewFilter
from ledger.types import Position

router = APIRouter(prefix="/v1", tags=["accesses"], responses=problems(400, 401, 403, 404, 422, 503))


def wanted(
    since: Since,
    until: Until,
    phase: Phase | None = None,
    transfer: str | None = None,
    party: Annotated[str | None, Query(description="Who said so.", examples=["acme"])] = None,
    principal: str | None = None,
    action: Annotated[str | None, Query(examples=["s3:GetObject"])] = None,
    resource: str | None = None,
    outcome: Annotated[str | None, Query(examples=["refused"])] = None,
    country: Annotated[str | None, Query(examples=["JP"])] = None,
    tls_version: Annotated[str | None, Query(examples=["1.1"])] = None,
    source_system: str | None = None,
) -> ViewFilter:
    """The accesses that are asked for: parameters that were left out ask for nothing."""
    equal = {
        "phase": phase,
        "subject": transfer,
        "party": party,
        "principal": principal,
        "action": action,
        "resource": resource,
        "outcome": outcome,
        "country": country,
        "tls_version": tls_version,
        "source_system": source_system,
    }
    return ViewFilter({name: value for name, value in equal.items() if value is not None}, since, until)


Wanted = Annotated[ViewFilter, Depends(wanted)]


@router.get("/access", summary="Access log")
def list_access(
    audit: Discloses, which: Wanted, after: After = None, limit: Limit = 100
) -> schemas.Page[AccessDocument]:
    """Accesses of the three phases, in order of position; every row leads to its proof.

    A cursor stays good: accesses that come later have later positions. Filters may be combined at will.
    """
    page = audit.accesses(which, None if after is None else Position(after), limit)
    items = [documents.access(audit.log.origin, record) for record in page.rows]
    return schemas.Page(items=items, next=page.next)


_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Every access that matches, in order of position.",
        "content": {format.media_type.partition(";")[0]: {"schema": {"type": "string"}} for format in Format},
    }
}


@router.get(
    "/access.{format}", summary="Access log as a file", response_class=StreamingResponse, responses=_FILES
)
def export_access(audit: Discloses, which: Wanted, format: Format) -> StreamingResponse:
    """All accesses that match, as NDJSON, CSV or Parquet, with the path of each one's proof.

    In CSV, cells that a spreadsheet would run as a formula begin with an apostrophe.
    """
    rows = (documents.access(audit.log.origin, record) for record in audit.every_access(which))
    name = f"access-{audit.log.origin.rpartition('/')[2]}.{format}"
    return file_answer(lambda file: export.write(rows, format, file), format.media_type, name)
