"""Evidence of a period, and verification."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api import schemas, views
from api.auth import Discloser
from api.body import read_limited
from api.errors import problems
from api.files import file_answer
from api.services import KnownLog, Ledger, Services
from ledger.entry import event_time, parse_entry
from ledger.errors import MalformedInput, NotFound, VerificationError
from ledger.evidence import build_package
from ledger.evidence.manifest import MEDIA_TYPE as EVIDENCE
from ledger.note import VerifierKey
from ledger.proof import MAX_BYTES, MEDIA_TYPE, Proof, claimed_checkpoint, parse_proof
from ledger.proving import verify
from ledger.types import format_time

router = APIRouter(prefix="/v1", tags=["audit"], responses=problems(400, 401, 403, 404, 422, 503))


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
    name = f"evidence-{log.origin.rpartition('/')[2]}-{datetime.fromtimestamp(since / 1000, UTC):%Y%m%d}.zip"
    now = ledger.clock.now()
    return file_answer(
        lambda file: build_package(ledger.store, log, signer, since, until, now, file), EVIDENCE, name
    )


def period(start: str, end: str) -> tuple[int, int]:
    """Unix milliseconds of a period given as two RFC 3339 times."""
    since, until = event_time(start.replace(" ", "+")), event_time(end.replace(" ", "+"))
    if since >= until or since < 0:
        raise MalformedInput("not a period", expected="from before to", got=f"{start[:40]}, {end[:40]}")
    return since, until


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
        keys = _party_keys(proof, ledger)
        verified = verify(proof, VerifierKey.parse(log.verifier_key), log.origin, ledger.chain, keys)
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
        signature="none" if proven.signed is None else "held" if proven.signed.held else "not held",
    )


def _party_keys(proof: Proof, ledger: Services) -> list[VerifierKey]:
    """The keys that a signed event's party has registered, and that were valid when it was received."""
    if proof.push is None:
        return []
    try:
        entry = parse_entry(proof.entry)
        registered = ledger.store.party_keys(entry.party)
    except (MalformedInput, NotFound):  # the check of the entry says so better
        return []
    return [VerifierKey.parse(key.verifier_key) for key in registered if key.is_valid(entry.received)]
