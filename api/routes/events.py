"""Push events; list and read them; their proofs and receipts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from api import body, push_body, schemas, views
from api.auth import Credentials, Reader, bearer, frequent_caller, pusher, with_scope
from api.errors import problems
from api.parameters import After, Limit, Since, Until
from api.services import KnownLog, Ledger, log_of, of_app
from ledger.entry import Phase
from ledger.paging import read_page
from ledger.proof import MEDIA_TYPE, proof_document
from ledger.proving import prove
from ledger.records import EventFilter, Scope
from ledger.types import PartyId, Position

router = APIRouter(
    prefix="/v1/logs/{log:path}/events", tags=["events"], responses=problems(400, 401, 403, 404, 422, 503)
)

At = Annotated[int, Path(ge=0, le=2**53, description="Position of the event.")]


class ProofResponse(JSONResponse):
    """A proof document."""

    media_type = MEDIA_TYPE


_PUSH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            push_body.ONE[0]: {"schema": {"type": "object"}, "example": schemas.EVENT},
            push_body.BATCH[0]: {
                "schema": {"type": "array", "items": {"type": "object"}},
                "example": [schemas.EVENT],
            },
            push_body.LINES[0]: {"schema": {"type": "string"}, "example": json.dumps(schemas.EVENT) + "\n"},
            push_body.EITHER[0]: {"schema": {}, "example": schemas.EVENT},
            push_body.SIGNED[0]: {
                "schema": {
                    "type": "object",
                    "required": ["signature", "statements"],
                    "properties": {
                        "signature": {"type": "string"},
                        "statements": {"type": "array", "items": {"type": "object"}},
                    },
                },
                "example": schemas.SIGNED_PUSH,
            },
        },
    }
}


async def push(request: Request, log: str, credentials: Credentials) -> Response:
    """Take one CloudEvent, a CloudEvents batch, NDJSON, or a push that its party has signed: all events or none.

    The answer comes after they are durable, with a signed receipt. Pushing the same events again is safe: they are
    answered with their first receipt, and status 200 if nothing was new. Bodies may be compressed by gzip or zstd.
    """
    ledger = of_app(request.scope)
    origin = (known := await log_of(log, ledger)).origin
    key = await pusher(await frequent_caller(ledger, credentials), known)
    async with body.accepted(request, ledger, known) as said:
        admit = partial(ledger.pipeline.admit, origin, key.party, said.statements, said.signature)
        with ledger.tracer.span("push", {"log": origin, "events": len(said.statements)}):
            prepared = admit() if said.signature is None else await run_in_threadpool(admit)
            result = await asyncio.wrap_future(ledger.intake.submit(origin, prepared))
    fresh = any(event.status != "duplicate" for event in result.events)
    return Response(views.push_json(result), 201 if fresh else 200, media_type="application/json")


class _Direct(APIRoute):
    """The route of `push`, which calls it with what it takes.

    Having the framework work that out each time is a good part of what a push of one event costs.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            return await push(request, request.path_params["log"], await bearer(request))

        return handle


router.add_api_route(
    "",
    push,
    methods=["POST"],
    status_code=201,
    openapi_extra=_PUSH_BODY,
    summary="Push events",
    response_model=schemas.PushOut,
    responses={
        200: {"model": schemas.PushOut, "description": "Nothing was new."},
        **problems(408, 409, 413, 415),
    },
    route_class_override=_Direct,
)


@router.get("", summary="List events")
def list_events(
    log: KnownLog,
    key: Reader,
    ledger: Ledger,
    since: Since,
    until: Until,
    type: Annotated[str | None, Query(examples=["transfer-ledger.access.v1"])] = None,
    phase: Phase | None = None,
    transfer: Annotated[str | None, Query(description="CloudEvents subject.")] = None,
    party: str | None = None,
    after: After = None,
    limit: Limit = 100,
) -> schemas.Page[schemas.EventOut]:
    """Events in order of position. `since` and `until` are about the event's own time."""
    which = EventFilter(type, phase, transfer, PartyId(party) if party else None, since, until)
    page = read_page(
        lambda after, limit: ledger.store.events(log.origin, which, after, limit),
        None if after is None else Position(after),
        limit,
        size=lambda event: event.size,
        cursor=lambda event: event.position,
    )
    items = [views.event_out(log.origin, committed, key.scopes) for committed in page.rows]
    return schemas.Page(items=items, next=page.next)


@router.get("/{position}", summary="Read an event")
def read_event(log: KnownLog, key: Reader, ledger: Ledger, position: At) -> schemas.EventOut:
    """One event as it is committed."""
    return views.event_out(log.origin, ledger.store.event(log.origin, Position(position)), key.scopes)


@router.get(
    "/{position}/proof",
    summary="Prove an event",
    response_class=ProofResponse,
    responses={
        200: {
            "content": {MEDIA_TYPE: {"schema": {"type": "object"}}},
            "description": "A proof (docs/spec.md).",
        },
        **problems(409),
    },
)
def read_proof(
    log: KnownLog,
    key: Reader,
    ledger: Ledger,
    position: At,
    show: Annotated[
        str | None,
        Query(
            description="Members of data to disclose, comma-separated; none if empty.",
            examples=["principal,action"],
        ),
    ] = None,
) -> Response:
    """The proof of an event, with the members named in `show` disclosed.

    Without `show`, everything that the key may see is disclosed. 409 while no anchored batch holds the event.
    """
    names = None if show is None else [name for name in show.split(",") if name]
    if names:
        with_scope(key, Scope.DISCLOSE)
    elif names is None and Scope.DISCLOSE not in key.scopes:
        names = []
    proof = prove(ledger.store, log, Position(position), names)
    return ProofResponse(proof_document(proof))


@router.get("/{position}/receipt", summary="The receipt of an event", response_class=PlainTextResponse)
def read_receipt(log: KnownLog, key: Reader, ledger: Ledger, position: At) -> PlainTextResponse:
    """The signed receipt that covers an event, as it was given at its push."""
    return PlainTextResponse(ledger.store.receipt(log.origin, Position(position)).note)
