"""What a push says: one CloudEvent, a CloudEvents batch, NDJSON (one event a line), or a signed push.

It may be compressed by gzip or zstd. The limit of its size holds for what it unpacks to as well, and is checked as that
grows: a body that would unpack to more is refused before it has. Nothing here needs a web framework, so that a process
that reads large pushes loads none.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import IO, Any, cast

import zstandard

from ledger import canonical
from ledger.accept import accept
from ledger.canonical import Value
from ledger.errors import InvalidEvent, LedgerError, MalformedInput, TooLarge, UnsupportedMedia
from ledger.push import MEDIA_TYPE as SIGNED_PUSH
from ledger.push import parse_push
from ledger.statement import Columns, Statement, of_columns, to_columns

MAX_BYTES = 16 * 1024 * 1024
ONE = ("application/cloudevents+json",)
BATCH = ("application/cloudevents-batch+json",)
LINES = ("application/x-ndjson", "application/jsonl", "application/ndjson")
EITHER = ("application/json",)
SIGNED = (SIGNED_PUSH,)
PLAIN = ("identity", "")
"""Content encodings of a body that is not packed."""
MEDIA_TYPES = frozenset((*ONE, *BATCH, *LINES, *EITHER, *SIGNED))

_WINDOW = 8 * 1024 * 1024
"""The largest window of a zstd frame: what unpacking it may take of memory (RFC 8878 §3.1.1.1.2)."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A push as it came: its body, its media type, its content encoding, and what it is held against.

    `most` is how many events it may have; with `opaque`, types that the catalogue does not know are taken.
    """

    body: bytes
    media: str
    encoding: str
    most: int
    opaque: bool

    def __post_init__(self) -> None:
        if self.media not in MEDIA_TYPES:
            raise UnsupportedMedia(
                "a body of a type that is not taken",
                expected=", ".join((*ONE, *BATCH, LINES[0], *SIGNED)),
                got=self.media[:80] or "none",
            )
        unpacking(self.encoding)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a push says, held against envelope and types, and its party's signature over it, if there is one."""

    statements: list[Statement]
    signature: str | None

    def __reduce__(self) -> tuple[Any, ...]:
        return _accepted, (to_columns(self.statements), self.signature)


def _accepted(statements: Columns, signature: str | None) -> Accepted:
    return Accepted(of_columns(statements), signature)


@dataclass(frozen=True, slots=True)
class Refused:
    """A push whose events are not accepted: so many, for this error."""

    events: int
    error: LedgerError


def read_push(arrived: Arrived, random_bytes: Callable[[int], bytes]) -> Accepted | Refused:
    """Read and accept a push (`ledger.accept`), an event at a time where there may be many.

    Raises MalformedInput or TooLarge for a body of which it cannot be said how many events it has.
    """
    said = parse_body(unpacking(arrived.encoding)(arrived.body), arrived.media)
    signed, taken = said.signature is not None, count()
    values = (value for value, _ in zip(said.values, taken, strict=False))
    try:
        statements = accept(values, random_bytes, arrived.most, opaque=arrived.opaque, signed=signed)
    except (InvalidEvent, TooLarge) as error:
        return Refused(next(taken), error)
    return Accepted(statements, said.signature)


def cuts(arrived: Arrived, most: int, least: int) -> list[int]:
    """Where a push may be cut into `most` pieces, each of about `least` bytes or more; nowhere, if it cannot be.

    An array is cut where one event seems to end and the next to begin, lines between two.
    """
    body, is_lines = arrived.body, arrived.media in LINES
    is_array = arrived.media in BATCH + EITHER and body[:1] == b"["
    if arrived.encoding not in PLAIN or not (is_array or is_lines):
        return []
    between = _LINE_FEED if is_lines else _COMMA
    step = max(-(-len(body) // most), least)
    found, place = [], step
    while place + least <= len(body):
        if match := between.search(body, place, place + _NEAR):
            found.append(match.start("cut"))
        place = step + (found[-1] if match else place)
    return found


def pieces(arrived: Arrived, places: Sequence[int]) -> Iterator[Arrived]:
    """A push cut at these places (`cuts`), each piece a push of its own.

    If every piece can be read, they say what the push says, one after the other. A place may have been in a text, or
    deeper within: then the piece before ends in the middle of something, and cannot be read. So the push has to be read
    whole, which also places what is wrong with it.
    """
    is_array = arrived.media not in LINES
    last = len(arrived.body)
    for start, stop in pairwise([-1, *places, last]):
        piece = arrived.body[start + 1 : stop]
        if is_array:
            piece = b"".join([b"[" * (start >= 0), piece, b"]" * (stop < last)])
        yield replace(arrived, body=piece)


_COMMA, _LINE_FEED = re.compile(rb"\}\s*(?P<cut>,)\s*\{"), re.compile(rb"(?P<cut>\n)")
_NEAR = 16 * 1024
"""Bytes in which a place for a cut is looked for: the event loop stands still meanwhile."""


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


def _plain(body: bytes) -> IO[bytes]:
    return io.BytesIO(body)


def _gzip(body: bytes) -> IO[bytes]:
    return _opened(_inflated(body))


def _zstd(body: bytes) -> IO[bytes]:
    return _opened(_frames(body))


_ENCODINGS: dict[str, Unpack] = {
    "identity": _plain,
    "": _plain,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "zstd": _zstd,
}
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


@dataclass(frozen=True, slots=True)
class PushBody:
    """What was pushed: events, or a party's statements with its signature over them.

    `values` are read as they are taken, where they may be many: MalformedInput and TooLarge come then.
    """

    values: Iterable[Value]
    signature: str | None = None


def parse_body(body: IO[bytes], media: str) -> PushBody:
    """What `body` holds. Raises MalformedInput, which names a line of NDJSON or an element of an array."""
    if media in LINES:
        return PushBody(_lines(body))
    data = body.read()
    if media not in SIGNED + ONE and data[:1] == b"[" and len(data) > _WHOLE:
        return PushBody(_elements(data))
    value = canonical.parse(data)
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


_WHOLE = 1024 * 1024
"""Size up to which an array is read at once, which is faster; of a larger one, not all values are there at once."""


def _elements(data: bytes) -> Iterator[Value]:
    elements = canonical.parse_elements(data)
    for number in count():
        try:
            yield next(elements)
        except StopIteration:
            return
        except MalformedInput as error:
            raise _placed(f"event {number}", error) from None


def _lines(body: IO[bytes]) -> Iterator[Value]:
    for number, line in enumerate(body, 1):
        if line.strip():
            try:
                yield canonical.parse(line.rstrip(b"\n"))
            except MalformedInput as error:
                raise _placed(f"line {number}", error) from None


def _placed(place: str, error: MalformedInput) -> MalformedInput:
    return MalformedInput(f"{place}: {error.message}", expected=error.expected, got=error.got)
