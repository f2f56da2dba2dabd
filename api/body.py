"""Reads the body of a push: one CloudEvent, a CloudEvents batch, NDJSON (one event a line), or a signed push.

A body may be compressed by gzip or zstd. Its limit holds for what comes over the network and for what it unpacks to,
and is checked as both grow: a body that would unpack to more is refused before it has.
"""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, cast

import zstandard
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from api.services import Services
from ledger import canonical
from ledger.canonical import Value
from ledger.errors import InvalidEvent, MalformedInput, TooLarge, TooSlow, UnsupportedMedia
from ledger.push import MEDIA_TYPE as SIGNED_PUSH
from ledger.push import parse_push

MAX_BYTES = 16 * 1024 * 1024
MAX_SECONDS = 60.0
"""How long a body may take to come in."""
SMALL = 64 * 1024
"""Size up to which a body is read where it came in: a thread of its own would cost more."""
ONE = ("application/cloudevents+json",)
BATCH = ("application/cloudevents-batch+json",)
LINES = ("application/x-ndjson", "application/jsonl", "application/ndjson")
EITHER = ("application/json",)
SIGNED = (SIGNED_PUSH,)

_WINDOW = 8 * 1024 * 1024
"""The largest window of a zstd frame: what unpacking it may take of memory (RFC 8878 §3.1.1.1.2)."""


@dataclass(frozen=True, slots=True)
class PushBody:
    """What was pushed: events, or a party's statements with its signature over them."""

    values: list[Value]
    signature: str | None = None


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
async def pushed(request: Request, ledger: Services) -> AsyncIterator[PushBody]:
    """What is pushed, in order, by its media type. Its bytes take room until the push is answered (`Room`)."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in (*ONE, *BATCH, *LINES, *EITHER, *SIGNED):
        raise UnsupportedMedia(
            "a body of a type that is not taken",
            expected=", ".join((*ONE, *BATCH, LINES[0], *SIGNED)),
            got=media[:80] or "none",
        )
    unpack = unpacking(request.headers.get("content-encoding", "identity").strip().lower())
    most = ledger.pipeline.policy.max_push
    with ledger.room.taken() as take:
        body = await read_limited(request, take=take)
        if len(body) <= SMALL and unpack is plain:
            yield parse_body(io.BytesIO(body), media, most)
            return
        if unpack is not plain:
            take(MAX_BYTES)
        yield await run_in_threadpool(lambda: parse_body(unpack(body), media, most))


# --- Unpacking

Unpack = Callable[[bytes], IO[bytes]]


def unpacking(encoding: str) -> Unpack:
    """How a body of this content encoding is unpacked. Raises UnsupportedMedia."""
    try:
        return _ENCODINGS[encoding]
    except KeyError:
        raise UnsupportedMedia(
            "a body of an encoding that is not taken", expected="gzip, zstd or none", got=encoding[:40]
        ) from None


def plain(body: bytes) -> IO[bytes]:
    return io.BytesIO(body)


def _gzip(body: bytes) -> IO[bytes]:
    return _opened(_inflated(body))


def _zstd(body: bytes) -> IO[bytes]:
    return _opened(_frames(body))


_ENCODINGS: dict[str, Unpack] = {"identity": plain, "": plain, "gzip": _gzip, "x-gzip": _gzip, "zstd": _zstd}
_STEP = 64 * 1024
_SIP = 256


def _inflated(body: bytes) -> Iterator[bytes]:
    """The members of a gzip file (RFC 1952), a step at a time."""
    rest = body
    while rest:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            chunk = member.decompress(rest, _STEP)
            rest = member.unconsumed_tail
            if not chunk and not rest and not member.eof:
                raise EOFError
            yield chunk
        rest = member.unused_data


def _frames(body: bytes) -> Iterator[bytes]:
    """The frames of a zstd file (RFC 8878 §3), a few bytes at a time, for four of them may stand for 128 KiB."""
    frame = None
    for start in range(0, len(body), _SIP):
        rest = body[start : start + _SIP]
        while rest:
            frame = frame or zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
            yield frame.decompress(rest)
            rest = frame.unused_data
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError


def _opened(chunks: Iterator[bytes]) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Unpacked(chunks), _STEP))


class _Unpacked(io.RawIOBase):
    """A file over chunks, which is refused once they are more than the limit."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:  # a step may unpack to nothing
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
            except (zlib.error, zstandard.ZstdError, EOFError):
                raise MalformedInput("a compressed body that cannot be unpacked") from None
            self._size += len(self._rest)
            if self._size > MAX_BYTES:
                raise _too_large(MAX_BYTES)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _too_large(limit: int) -> TooLarge:
    return TooLarge("a body that is too large", expected=f"at most {limit} bytes, unpacked")


# --- Parsing


def parse_body(body: IO[bytes], media: str, most: int) -> PushBody:
    """What `body` holds. Raises MalformedInput, naming the line of NDJSON, and TooLarge for over `most` lines."""
    if media in LINES:
        return PushBody(_lines(body, most))
    value = canonical.parse(body.read())
    if media in SIGNED:
        note, statements = parse_push(value)
        return PushBody(statements, note)
    if isinstance(value, list) and media not in ONE:
        return PushBody(value)
    if isinstance(value, dict) and media not in BATCH:
        return PushBody([value])
    raise InvalidEvent(
        "not what its media type says",
        expected="a JSON array" if media in BATCH else "a JSON object",
        got=type(value).__name__,
    )


def _lines(body: IO[bytes], most: int) -> list[Value]:
    values: list[Value] = []
    for number, line in enumerate(body, 1):
        if line.strip():
            values.append(_line(number, line.rstrip(b"\n")))
        if len(values) > most:
            raise TooLarge("too many events at once", expected=f"at most {most}")
    return values


def _line(number: int, line: bytes) -> Value:
    try:
        return canonical.parse(line)
    except MalformedInput as error:
        raise MalformedInput(
            f"line {number}: {error.message}", expected=error.expected, got=error.got
        ) from None
