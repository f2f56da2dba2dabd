"""Logs, their batches, checkpoints and anchors: public, since nothing in them says anything about a person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import PlainTextResponse

from api import schemas, views
from api.errors import problems
from api.parameters import After, Limit
from api.services import KnownLog, Ledger, Services
from ledger.errors import MalformedInput, NotFound, Pending
from ledger.merkle import log_consistency
from ledger.records import Log
from ledger.tiles import bundle, parse_tile
from ledger.types import BatchNo

router = APIRouter(prefix="/v1", tags=["logs"], responses=problems(400, 404, 422, 503))


@router.get("/logs", summary="List logs")
def list_logs(ledger: Ledger) -> list[schemas.LogOut]:
    """All logs of this ledger."""
    return [_log_out(log, ledger) for log in ledger.store.logs()]


@router.get("/logs/{log:path}/batches", summary="List batches")
def list_batches(
    log: KnownLog, ledger: Ledger, after: After = None, limit: Limit = 100
) -> schemas.Page[schemas.BatchOut]:
    """Sealed batches in order, each with its anchor once it has one."""
    start = 0 if after is None else after + 1
    found = ledger.store.batches(log.origin, BatchNo(start), BatchNo(start + limit))
    following = found[-1].header.batch_no if len(found) == limit else None
    return schemas.Page(items=[views.batch_out(log, sealed) for sealed in found], next=following)


@router.get("/logs/{log:path}/batches/{batch_no}", summary="Read a batch")
def read_batch(
    log: KnownLog, ledger: Ledger, batch_no: Annotated[int, Path(ge=0, le=2**53)]
) -> schemas.BatchOut:
    """One sealed batch."""
    found = ledger.store.batches(log.origin, BatchNo(batch_no), BatchNo(batch_no + 1))
    if not found:
        raise NotFound(f"no batch {batch_no} is sealed yet")
    return views.batch_out(log, found[0])


@router.get(
    "/logs/{log:path}/checkpoint",
    summary="The newest checkpoint",
    response_class=PlainTextResponse,
    responses=problems(409),
)
def read_checkpoint(log: KnownLog, ledger: Ledger) -> PlainTextResponse:
    """The signed head of the log (C2SP tlog-checkpoint): origin, number of anchored batches, root."""
    checkpoint = ledger.store.checkpoint(log.origin)
    if checkpoint is None:
        raise Pending("no batch of this log is anchored yet")
    return PlainTextResponse(checkpoint.note)


@router.get(
    "/logs/{log:path}/tile/{tile:path}",
    summary="A tile of the log tree",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "Hashes, or entries."}},
)
def read_tile(log: KnownLog, ledger: Ledger, tile: Annotated[str, Path(examples=["0/000.p/3"])]) -> Response:
    """The log tree under the checkpoint as C2SP tlog-tiles: `/v1/logs/<origin>` is the prefix that clients ask for.

    Entries are batch headers.
    """
    checkpoint = ledger.store.checkpoint(log.origin)
    wanted = parse_tile(tile, checkpoint.size if checkpoint else 0)
    if wanted.level is None:
        start, stop = wanted.entries.start, wanted.entries.stop
        found = ledger.store.batches(log.origin, BatchNo(start), BatchNo(stop))
        content = bundle([bytes(sealed.header) for sealed in found])
    else:
        content = b"".join(ledger.store.nodes(log.origin, wanted.node_ids))
    # Whole or partial, what a tile's name stands for never changes.
    return Response(
        content, media_type="application/octet-stream", headers={"Cache-Control": "max-age=31536000"}
    )


@router.get("/logs/{log:path}/consistency", summary="Prove that the log only grew")
def read_consistency(
    log: KnownLog,
    ledger: Ledger,
    old: Annotated[int, Query(ge=0, le=2**53, description="Number of batches of the older checkpoint.")],
    new: Annotated[int, Query(ge=0, le=2**53, description="Number of batches of the newer checkpoint.")],
) -> schemas.ConsistencyOut:
    """A consistency proof between two sizes of the log (RFC 9162 §2.1.4)."""
    checkpoint = ledger.store.checkpoint(log.origin)
    size = checkpoint.size if checkpoint else 0
    if not old <= new <= size:
        raise MalformedInput("sizes out of order", expected=f"old ≤ new ≤ {size}", got=f"{old}, {new}")
    path = log_consistency(old, new, lambda ids: ledger.store.nodes(log.origin, ids))
    return schemas.ConsistencyOut(old=old, new=new, path=[digest.base64 for digest in path])


@router.get("/logs/{log:path}/anchors", summary="List anchorings")
def list_anchors(
    log: KnownLog,
    ledger: Ledger,
    after: Annotated[
        str | None,
        Query(
            pattern=r"^(0|[1-9][0-9]{0,15})[.](0|[1-9][0-9]{0,15})$",
            description="Only attempts after this cursor: the `next` of the page before.",
            examples=["4711.0"],
        ),
    ] = None,
    limit: Limit = 100,
) -> schemas.NamedPage[schemas.AnchoringOut]:
    """Attempts to anchor batches, by first batch and attempt, those that were lost or failed included."""
    cursor = None
    if after is not None:
        first, attempt = map(int, after.split("."))
        cursor = BatchNo(first), attempt
    found = ledger.store.anchorings(log.origin, cursor, limit)
    last = found[-1] if len(found) == limit else None
    return schemas.NamedPage(
        items=[views.anchoring_out(anchoring) for anchoring in found],
        next=None if last is None else f"{last.first}.{last.attempt}",
    )


@router.get("/logs/{log:path}", summary="Read a log")
def read_log(log: KnownLog, ledger: Ledger) -> schemas.LogOut:
    """One log. Must stand last: its path matches all below it."""
    return _log_out(log, ledger)


def _log_out(log: Log, ledger: Services) -> schemas.LogOut:
    return views.log_out(log, ledger.store.head(log.origin), ledger.store.projected(log.origin))
