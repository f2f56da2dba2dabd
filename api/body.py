"""How the body of a request comes in: within a limit of size and time; and how that of a push is read, and where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from functools import partial

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from api.push_body import MAX_BYTES, PLAIN, Accepted, Arrived, Refused, pieces, read_push
from api.services import Services
from ledger.errors import TooLarge, TooSlow
from ledger.records import Log
from ledger.telemetry import tell_pushed

MAX_SECONDS = 60.0
"""How long a body may take to come in."""
SMALL = 4 * 1024
"""Size up to which a push is read where it came in: a thread of its own would cost more."""
LARGE = 64 * 1024
"""Size from which on a push is read in a process of its own: getting there and back costs far less than reading it."""


async def read_limited(
    request: Request,
    limit: int = MAX_BYTES,
    take: Callable[[int], None] = lambda size: None,
) -> bytes:
    """The body, refused as soon as it is longer than `limit` bytes, or takes longer than `MAX_SECONDS`.

    `take` is told of each part's size, and may refuse it.
    """
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(MAX_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                take(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise TooSlow("the body did not come in time", expected=f"all of it in {MAX_SECONDS:.0f} s") from None
    return b"".join(chunks)


@asynccontextmanager
async def accepted(request: Request, ledger: Services, log: Log) -> AsyncIterator[Accepted]:
    """What is pushed to a log, accepted. Its bytes take room until the push is answered (`Room`)."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    most = ledger.pipeline.policy.max_push
    Arrived(b"", media, encoding, most, log.opaque)  # refused before its body is read
    with ledger.room.taken() as take:
        body = await read_limited(request, take=take)
        if encoding not in PLAIN:
            take(MAX_BYTES)
        said = await _read(Arrived(body, media, encoding, most, log.opaque), ledger)
        if isinstance(said, Refused):
            with ledger.tracer.span("push", {"log": log.origin, "events": said.events}):
                tell_pushed(ledger.meter, log.origin, said.error, said.events)
                raise said.error
        yield said


async def _read(arrived: Arrived, ledger: Services) -> Accepted | Refused:
    """Read a push where it costs least: here, in a thread, or in a process."""
    here = partial(read_push, arrived, ledger.pipeline.random_bytes)
    size, packed = len(arrived.body), arrived.encoding not in PLAIN
    if size <= SMALL and not packed:
        return here()
    if size >= LARGE or packed:
        parts = pieces(arrived, ledger.readers.processes, LARGE)
        if len(parts) > 1 and (said := await _read_apart(parts, ledger)):
            return said
        if there := ledger.readers.submit(here):
            try:
                return await asyncio.wrap_future(there)
            except BrokenProcessPool:  # it was killed
                pass
    return await run_in_threadpool(here)


async def _read_apart(parts: Sequence[Arrived], ledger: Services) -> Accepted | None:
    """Read the pieces of a push side by side; None if not all could be, or they are too many events together."""
    there = [ledger.readers.submit(partial(read_push, it, ledger.pipeline.random_bytes)) for it in parts]
    waiting = [asyncio.wrap_future(it) for it in there if it]
    said = await asyncio.gather(*waiting, return_exceptions=True)
    accepted = [it for it in said if isinstance(it, Accepted)]
    statements = [statement for it in accepted for statement in it.statements]
    is_whole = len(accepted) == len(parts) and len(statements) <= parts[0].most
    return Accepted(statements, None) if is_whole else None


def _too_large(limit: int) -> TooLarge:
    return TooLarge("a body that is too large", expected=f"at most {limit} bytes, unpacked")
