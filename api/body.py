"""Reads the body of a push: one CloudEvent, a CloudEvents batch, NDJSON (one event a line), or a signed push."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from ledger import canonical
from ledger.canonical import Value
from ledger.errors import InvalidEvent, MalformedInput, TooLarge, UnsupportedMedia
from ledger.push import MEDIA_TYPE as SIGNED_PUSH
from ledger.push import parse_push

MAX_BYTES = 16 * 1024 * 1024
ONE = ("application/cloudevents+json",)
BATCH = ("application/cloudevents-batch+json",)
LINES = ("application/x-ndjson", "application/jsonl", "application/ndjson")
EITHER = ("application/json",)
SIGNED = (SIGNED_PUSH,)


@dataclass(frozen=True, slots=True)
class PushBody:
    """What was pushed: events, or a party's statements with its signature over them."""

    values: list[Value]
    signature: str | None = None


async def read_limited(request: Request, limit: int = MAX_BYTES) -> bytes:
    """The body, refused as soon as it is longer than `limit` bytes."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge("a body that is too large", expected=f"at most {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def push_body(request: Request) -> PushBody:
    """What is pushed, in order, by its media type."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in (*ONE, *BATCH, *LINES, *EITHER, *SIGNED):
        raise UnsupportedMedia(
            "a body of a type that is not taken",
            expected=", ".join((*ONE, *BATCH, LINES[0], *SIGNED)),
            got=media[:80] or "none",
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMedia("an encoded body", expected="no Content-Encoding")
    body = await read_limited(request)
    return await run_in_threadpool(parse_body, body, media)


def parse_body(body: bytes, media: str) -> PushBody:
    """What `body` holds. Raises MalformedInput, naming the line of NDJSON."""
    if media in SIGNED:
        note, statements = parse_push(canonical.parse(body))
        return PushBody(statements, note)
    return PushBody(_events(body, media))


def _events(body: bytes, media: str) -> list[Value]:
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


Pushed = Annotated[PushBody, Depends(push_body)]
