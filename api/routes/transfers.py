"""Transfers: who, where, which phases; what is missing; what happened, in the order of time."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from api import schemas
from api.auth import Caller, DisclosedLog, ReadLog
from api.errors import problems
from api.parameters import Limit
from api.services import Ledger
from ledger import documents
from ledger.auditing import Auditor, TransferPage
from ledger.documents import MatrixDocument, MomentDocument, TransferDocument
from ledger.entry import Phase
from ledger.errors import MalformedInput
from ledger.records import Scope
from ledger.types import MAX_INTEGER, Position

router = APIRouter(prefix="/v1", tags=["transfers"], responses=problems(400, 401, 403, 404, 422, 503))

AfterName = Annotated[
    str | None,
    Query(max_length=128, description="Only transfers after this one: the `next` of the page before."),
]
OnlyThis = Annotated[str | None, Query(max_length=128, description="Only this transfer.")]
InPath = Annotated[str, Path(max_length=128, examples=["live-2026-07-01-tokyo"])]
InQuery = Annotated[str, Query(max_length=128, examples=["live-2026-07-01-tokyo"])]


def auditor(log: DisclosedLog, ledger: Ledger) -> Auditor:
    """The questions of somebody who may see what was disclosed."""
    return Auditor(ledger.store, log, ledger.clock.now())


def reader(log: ReadLog, ledger: Ledger) -> Auditor:
    """The questions of somebody who may see what stands in clear."""
    return Auditor(ledger.store, log, ledger.clock.now())


Discloses = Annotated[Auditor, Depends(auditor)]
Reads = Annotated[Auditor, Depends(reader)]


def _after(
    after: Annotated[
        str | None, Query(max_length=60, description="The `next` of the page before: a time and a position.")
    ] = None,
) -> tuple[int, Position] | None:
    if after is None:
        return None
    match = re.fullmatch(r"(-?[0-9]{1,16})\.([0-9]{1,16})", after)
    if match is None or int(match[2]) > MAX_INTEGER:
        raise MalformedInput("not a cursor of a timeline", expected="the `next` of a page", got=repr(after))
    return int(match[1]), Position(int(match[2]))


AfterMoment = Annotated[tuple[int, Position] | None, Depends(_after)]
Types = Annotated[
    list[str] | None,
    Query(alias="type", description="Only these types.", examples=["transfer-ledger.hop.v1"]),
]


@router.get("/transfers", summary="List transfers")
def list_transfers(
    audit: Discloses, after: AfterName = None, limit: Limit = 100, transfer: OnlyThis = None
) -> schemas.NamedPage[TransferDocument]:
    """Every transfer of a log, by name: its parties, its jurisdictions, the state of each phase.

    A page may be short before the last: go on until `next` is null.
    """
    one = None if transfer is None else TransferPage([audit.transfer(transfer)], None)
    page = one or audit.transfers(after, limit)
    items = [documents.transfer(audit.log.origin, view) for view in page.views]
    return schemas.NamedPage(items=items, next=page.next)


@router.get("/completeness", summary="Completeness of all transfers")
def list_completeness(
    audit: Discloses,
    after: AfterName = None,
    limit: Limit = 100,
    transfer: OnlyThis = None,
) -> schemas.NamedPage[MatrixDocument]:
    """The matrix transfer × phase × expected evidence: what is there, what is late, what is missing."""
    found = audit.matrices(after, limit) if transfer is None else [audit.completeness(transfer)]
    items = [documents.matrix(audit.log.origin, matrix) for matrix in found]
    more = transfer is None and len(found) == limit
    return schemas.NamedPage(items=items, next=found[-1].subject if more else None)


def _timeline(
    audit: Auditor,
    key: Caller,
    transfer: str,
    phase: Phase | None,
    types: list[str] | None,
    after: tuple[int, Position] | None,
    limit: int,
) -> schemas.NamedPage[MomentDocument]:
    found = audit.timeline(transfer, phase, types or (), after, limit)
    disclose = Scope.DISCLOSE in key.scopes
    items = [documents.moment(audit.log.origin, committed, disclose=disclose) for committed in found]
    last = found[-1] if len(found) == limit else None
    return schemas.NamedPage(items=items, next=last and f"{last.time}.{last.position}")


@router.get("/timeline", summary="Timeline of a transfer")
def read_timeline(
    audit: Reads,
    key: Caller,
    after: AfterMoment,
    transfer: InQuery,
    phase: Phase | None = None,
    types: Types = None,
    limit: Limit = 100,
) -> schemas.NamedPage[MomentDocument]:
    """Everything that was said of a transfer, in the order of the events' own time; every row leads to its proof."""
    return _timeline(audit, key, transfer, phase, types, after, limit)


@router.get("/transfers/{transfer:path}/timeline", summary="Timeline of one transfer")
def read_transfer_timeline(
    audit: Reads,
    key: Caller,
    after: AfterMoment,
    transfer: InPath,
    phase: Phase | None = None,
    types: Types = None,
    limit: Limit = 100,
) -> schemas.NamedPage[MomentDocument]:
    """As `/v1/timeline`."""
    return _timeline(audit, key, transfer, phase, types, after, limit)


@router.get("/transfers/{transfer:path}/completeness", summary="Completeness of one transfer")
def read_completeness(audit: Discloses, transfer: InPath) -> MatrixDocument:
    """Which evidence is expected of a transfer in each phase, why, and whether it is there."""
    return documents.matrix(audit.log.origin, audit.completeness(transfer))


@router.get("/transfers/{transfer:path}", summary="Read a transfer")
def read_transfer(audit: Discloses, transfer: InPath) -> TransferDocument:
    """One transfer: exporter, importer, processors; the three jurisdictions; the state of each phase; its papers.

    Must stand last: its path matches those above. A transfer whose name ends like them, or has dots between slashes,
    is asked for as `/v1/transfers?transfer=…`, `/v1/timeline` and `/v1/completeness`.
    """
    return documents.transfer(audit.log.origin, audit.transfer(transfer))
