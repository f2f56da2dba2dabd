"""How the body of a request comes in: within a limit of size and time; and how that of a push is read, and where."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from functools import partial

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from api.push_body import MAX_BYTES, PLAIN, Accepted, Arrived, Refused, cuts, pieces, read_push
from api.services import Services
from ledger.errors import LedgerError, TooLarge, TooSlow
from ledger.records import Log
from ledger.statement import Statement
from ledger.telemetry import tell_pushed

MAX_SECONDS = 60.0
"""How long a body may take to come in."""
SMALL = 4 * 1024
"""Size up to which a push is read where it came in: a thread of its own would cost more."""
LARGE = 64 * 1024
"""Size from which on a push is read in a process of its own: getting there and back costs far less than reading it."""
PIECE = 512 * 1024
"""About how large a piece of a push may be: none should be long in a process that others wait for."""


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
                try:
                    raise said.error
                finally:
                    del said  # as in `_read_apart`
        yield said


async def _read(arrived: Arrived, ledger: Services) -> Accepted | Refused:
    """Read a push where it costs least: here, in a thread, in a process, or in several."""
    size, packed = len(arrived.body), arrived.encoding not in PLAIN
    if size <= SMALL and not packed:
        return read_push(arrived, ledger.pipeline.random_bytes)
    if size >= LARGE or packed:
        said = await _read_in_pieces(arrived, ledger) or await _read_apart(arrived, ledger)
        if said is not None:
            return said
    return await run_in_threadpool(read_push, arrived, ledger.pipeline.random_bytes)


async def _read_apart(arrived: Arrived, ledger: Services) -> Accepted | Refused | None:
    """Read a push in a process; None if it is to be read here: no process is there (yet), or it was killed."""
    there = ledger.readers.submit(partial(read_push, arrived, ledger.pipeline.random_bytes))
    try:
        if there is not None:
            # Shielded, for an executor that loses a process stumbles over what was cancelled (CPython 3.11).
            return await asyncio.shield(asyncio.wrap_future(there))
    except BrokenProcessPool:
        pass
    finally:
        # An error holds the frames that it came through: if one of them holds the error, their bodies are freed late.
        del there
    return None


async def _read_in_pieces(arrived: Arrived, ledger: Services) -> Accepted | None:
    """Read a large push by all processes side by side; None if it is to be read whole.

    No more of its pieces wait than there are processes, so that others' pushes come in between.
    """
    processes = ledger.readers.processes
    places = cuts(arrived, max(processes, len(arrived.body) // PIECE), LARGE) if processes else []
    statements: list[Statement] = []
    waiting: deque[asyncio.Task[Accepted | Refused | None]] = deque()
    try:
        for piece in pieces(arrived, places) if places else ():
            if len(waiting) == processes and not await _taken(waiting.popleft(), statements):
                return None
            if len(statements) > arrived.most:
                return None
            waiting.append(asyncio.create_task(_read_apart(piece, ledger)))
        while waiting:
            if not await _taken(waiting.popleft(), statements):
                return None
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return Accepted(statements, None) if places and len(statements) <= arrived.most else None


async def _taken(reading: asyncio.Task[Accepted | Refused | None], statements: list[Statement]) -> bool:
    """Whether a piece was accepted; its statements are added to those before."""
    try:
        said = await reading
    except LedgerError:
        return False
    finally:
        del reading  # as in `_read_apart`
    if not isinstance(said, Accepted):
        return False
    statements += said.statements
    return True


def _too_large(limit: int) -> TooLarge:
    return TooLarge("a body that is too large", expected=f"at most {limit} bytes, unpacked")
