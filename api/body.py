"""Reads the body of a push: one CloudEvent, a CloudEvents batch, or NDJSON (one event a line)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from ledger import canonical
from ledger.canonical import Value
from ledger.errors import InvalidEvent, MalformedInput, TooLarge, UnsupportedMedia

MAX_BYTES = 16 * 1024 * 1024
ONE = ("application/cloudevents+json",)
BATCH = ("application/cloudevents-batch+json",)
LINES = ("application/x-ndjson", "application/jsonl", "application/ndjson")
EITHER = ("application/json",)


async def read_limited(request: Request, limit: int = MAX_BYTES) -> bytes:
    """The body, refused as soon as it is longer than `limit` bytes."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge("a body that is too large", expected=f"at most {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def pushed_values(request: Request) -> list[Value]:
    """The JSON values of a push, in order, by its media type."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in (*ONE, *BATCH, *LINES, *EITHER):
        raise UnsupportedMedia(
            "a body of a type that is not taken",
            expected=", ".join((*ONE, *BATCH, LINES[0])),
            got=media[:80] or "none",
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMedia("an encoded body", expected="no Content-Encoding")
    body = await read_limited(request)
    return await run_in_threadpool(parse_push, body, media)


def parse_push(body: bytes, media: str) -> list[Value]:
    """The values in `body`. Raises MalformedInput, naming the line of NDJSON."""
    if media in LINES:
        return [_line(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    value = canonical.parse(body)
    if isinstance(value, list) and media not in ONE:
        return value
    if isinstance(value, dict) and media not in BATCH:
        return [value]
    raise InvalidEvent(
        "not what its media type says",
        expected="a JSON array" if media in BATCH else "a JSON object",
        got=type(value).__name__,
    )


def _line(number: int, line: bytes) -> Value:
    try:
        return canonical.parse(line)
    except MalformedInput as error:
        raise MalformedInput(
            f"line {number}: {error.message}", expected=error.expected, got=error.got
        ) from None


PushedValues = Annotated[list[Value], Depends(pushed_values)]
