"""What auditors and certifiers ask: access logs, permission snapshots, evidence, verification."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import IO, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api import schemas, views
from api.auth import Caller, Discloser, with_scope
from api.body import read_limited
from api.errors import problems
from api.parameters import After, Limit, Since, Until
from api.services import KnownLog, Ledger, Services
from ledger.entry import Phase, event_time
from ledger.errors import Forbidden, MalformedInput, VerificationError
from ledger.evidence import build_package
from ledger.evidence.manifest import MEDIA_TYPE as EVIDENCE
from ledger.note import VerifierKey
from ledger.proof import MAX_BYTES, MEDIA_TYPE, claimed_checkpoint, parse_proof
from ledger.proving import verify
from ledger.records import ApiKey, Scope, ViewFilter
from ledger.types import Position, format_time

router = APIRouter(prefix="/v1", tags=["audit"], responses=problems(400, 401, 403, 404, 422, 503))

_OfLog = Annotated[str | None, Query(description="The log; by default the one that the key is bound to.")]


def _readable(key: ApiKey, log: str | None) -> ApiKey:
    """The rows hold what disclosures say, so they need the scope for these."""
    if log not in (None, key.origin):
        raise Forbidden("this API key is bound to another log", expected=key.origin, got=log)
    return with_scope(key, Scope.DISCLOSE)


def _filter(since: int | None, until: int | None, **equal: str | bool | None) -> ViewFilter:
    """The rows that were asked for: parameters that were left out ask for nothing."""
    return ViewFilter({name: value for name, value in equal.items() if value is not None}, since, until)


@router.get("/access", summary="Access log")
def list_access(
    key: Caller,
    ledger: Ledger,
    since: Since,
    until: Until,
    log: _OfLog = None,
    phase: Phase | None = None,
    transfer: str | None = None,
    principal: str | None = None,
    action: str | None = None,
    resource: str | None = None,
    outcome: Annotated[str | None, Query(examples=["refused"])] = None,
    country: Annotated[str | None, Query(examples=["JP"])] = None,
    source_system: str | None = None,
    after: After = None,
    limit: Limit = 100,
) -> schemas.Page[schemas.AccessOut]:
    """Accesses of the three phases, in order of position; every row leads to its proof."""
    _readable(key, log)
    which = _filter(
        since,
        until,
        phase=phase,
        subject=transfer,
        principal=principal,
        action=action,
        resource=resource,
        outcome=outcome,
        country=country,
        source_system=source_system,
    )
    found = ledger.store.accesses(key.origin, which, None if after is None else Position(after), limit)
    items = [views.access_out(key.origin, record) for record in found]
    return schemas.Page(items=items, next=found[-1].position if len(found) == limit else None)


@router.get("/snapshots", summary="Permission snapshots")
def list_snapshots(
    key: Caller,
    ledger: Ledger,
    since: Since,
    until: Until,
    log: _OfLog = None,
    phase: Phase | None = None,
    transfer: str | None = None,
    resource: str | None = None,
    public: bool | None = None,
    source_system: str | None = None,
    after: After = None,
    limit: Limit = 100,
) -> schemas.Page[schemas.SnapshotOut]:
    """Permission snapshots of the three phases, in order of position; every row leads to its proof."""
    _readable(key, log)
    which = _filter(
        since,
        until,
        phase=phase,
        subject=transfer,
        resource=resource,
        public=public,
        source_system=source_system,
    )
    found = ledger.store.snapshots(key.origin, which, None if after is None else Position(after), limit)
    items = [views.snapshot_out(key.origin, record) for record in found]
    return schemas.Page(items=items, next=found[-1].position if len(found) == limit else None)


@router.get(
    "/logs/{log:path}/evidence",
    summary="Evidence of a period",
    response_class=StreamingResponse,
    responses={
        200: {"content": {EVIDENCE: {}}, "description": "A ZIP file (docs/spec.md)."},
        **problems(409),
    },
)
def read_evidence(
    log: KnownLog,
    key: Discloser,
    ledger: Ledger,
    start: Annotated[
        str, Query(alias="from", examples=["2026-01-01T00:00:00Z"], description="Start of the period.")
    ],
    end: Annotated[str, Query(alias="to", examples=["2027-01-01T00:00:00Z"], description="End, excluded.")],
) -> StreamingResponse:
    """The evidence package of all events received in a period: whole, signed, verifiable offline."""
    since, until = period(start, end)
    signer = ledger.pipeline.keyring.signer(log.origin)
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        build_package(ledger.store, log, signer, since, until, ledger.clock.now(), file)
        stack.pop_all()  # from here on the answer closes it
    file.seek(0)
    name = f"evidence-{log.origin.rpartition('/')[2]}-{datetime.fromtimestamp(since / 1000, UTC):%Y%m%d}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_chunks(file), media_type=EVIDENCE, headers=headers)


def period(start: str, end: str) -> tuple[int, int]:
    """Unix milliseconds of a period given as two RFC 3339 times."""
    since, until = event_time(start.replace(" ", "+")), event_time(end.replace(" ", "+"))
    if since >= until or since < 0:
        raise MalformedInput("not a period", expected="from before to", got=f"{start[:40]}, {end[:40]}")
    return since, until


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(256 * 1024):
            yield chunk


@router.post(
    "/verify",
    summary="Verify a proof",
    responses=problems(413),
    openapi_extra={
        "requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    },
)
async def verify_proof(request: Request, ledger: Ledger) -> schemas.VerdictOut:
    """Hold a proof of one of this ledger's logs against the log's key and the contract.

    A convenience. It proves nothing to somebody who does not trust this server: verify with `transfer-ledger verify`.
    """
    data = await read_limited(request, MAX_BYTES)
    return await run_in_threadpool(_verdict, data, ledger)


def _verdict(data: bytes, ledger: Services) -> schemas.VerdictOut:
    proof = parse_proof(data)
    log = ledger.store.log(claimed_checkpoint(proof).origin)
    try:
        verified = verify(proof, VerifierKey.parse(log.verifier_key), log.origin, ledger.chain)
    except VerificationError as error:
        return schemas.VerdictOut(verified=False, step=error.step, reason=str(error))
    proven = verified.event
    return schemas.VerdictOut(
        verified=True,
        origin=proven.origin,
        position=proven.position,
        batch_no=proven.header.batch_no,
        anchored_at=None if verified.anchored_at is None else format_time(verified.anchored_at * 1000),
        event=views.event_object(proven.entry, proven.disclosures),
    )
