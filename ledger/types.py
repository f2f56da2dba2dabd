"""The small words of the ledger: digests, origins, positions, times.

Bytes inside, text at the edge: a `Digest` is 32 bytes and knows it; hexadecimal and base64 are only its clothes in
JSON and on the chain.
"""

from __future__ import annotations

import hashlib
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NewType, Self

from ledger.errors import MalformedInput

LogId = NewType("LogId", bytes)
"""SHA-256 of the origin: what the contract calls a log (32 bytes)."""

BatchNo = NewType("BatchNo", int)
"""Number of a batch in its log, from 0, without gaps."""

Position = NewType("Position", int)
"""Place of an event in its log, from 0, without gaps."""

PartyId = NewType("PartyId", str)
"""Opaque name of an organisation, such as `acme`; never a person's name."""

MAX_INTEGER = 2**53 - 1
"""Largest integer that every JSON implementation holds exactly (RFC 7493 §2.2)."""


class Digest(bytes):
    """A SHA-256 digest: exactly 32 bytes.

    >>> Digest.of(b"").hex()[:8]
    'e3b0c442'
    """

    __slots__ = ()
    SIZE = 32

    def __new__(cls, value: bytes) -> Self:
        if len(value) != cls.SIZE:
            raise MalformedInput(
                "a digest has a wrong length", expected="32 bytes", got=f"{len(value)} bytes"
            )
        return super().__new__(cls, value)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """SHA-256 of `data` (FIPS 180-4)."""
        return bytes.__new__(cls, hashlib.sha256(data).digest())

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Parse standard, padded base64 (RFC 4648 §4), strictly."""
        return cls(from_base64(text))

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Parse `0x`-prefixed or bare hexadecimal of exactly 32 bytes."""
        return cls(from_hex(text))

    @property
    def base64(self) -> str:
        """Standard, padded base64 (RFC 4648 §4)."""
        return to_base64(self)

    @property
    def hex0x(self) -> str:
        """Hexadecimal with `0x`, as Ethereum tools print it."""
        return "0x" + self.hex()

    def __repr__(self) -> str:
        return f"Digest({self.base64})"

    def __str__(self) -> str:
        return self.base64


def digests(joined: bytes) -> list[Digest]:
    """Digests that were joined to one value.

    Raises:
        MalformedInput: not a whole number of them.
    """
    if len(joined) % Digest.SIZE:
        raise MalformedInput(
            "not joined digests", expected=f"{Digest.SIZE} bytes each", got=f"{len(joined)} bytes"
        )
    # Each has its size, so it needs no `Digest.__new__` to look at it.
    new = bytes.__new__
    return [new(Digest, joined[start : start + Digest.SIZE]) for start in range(0, len(joined), Digest.SIZE)]


Origin = NewType("Origin", str)
"""Name of a log: a schema-less URL prefix such as `ledger.example/acme-live` (C2SP tlog-checkpoint)."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ORIGIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}(?::[1-9][0-9]{{0,4}})?(?:/[a-z0-9][a-z0-9._~-]*)+")


RESERVED_SEGMENTS = frozenset(
    {"anchors", "batch", "batches", "checkpoint", "consistency", "events", "evidence", "otlp", "tile"}
)
"""Words that follow an origin in paths and names, such as `<origin>/batch/7`, and so cannot be part of one."""


@lru_cache(maxsize=256)
def parse_origin(text: str) -> Origin:
    """Accept a host with at least one dot, an optional port, and at least one path segment, in lower case.

    The dot keeps an origin apart from the first line of every other signed text of the ledger, such as
    `transfer-ledger/receipt/v1`, so that a signature over one can never pass for another.
    """
    if (
        len(text) > 255
        or not _ORIGIN.fullmatch(text)
        or not RESERVED_SEGMENTS.isdisjoint(text.split("/")[1:])
    ):
        raise MalformedInput(
            "not the name of a log",
            expected="a schema-less URL prefix in lower case, e.g. ledger.example/acme-live, without reserved words",
            got=repr(text[:300]),
        )
    return Origin(text)


def log_id(origin: Origin) -> LogId:
    """SHA-256 of the origin's UTF-8 bytes: the log's name on the chain."""
    return LogId(hashlib.sha256(origin.encode()).digest())


_PARTY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@lru_cache(maxsize=256)
def parse_party_id(text: str) -> PartyId:
    """Accept 1 to 63 of `a-z 0-9 . _ -`, starting with a letter or digit."""
    if not _PARTY.fullmatch(text):
        raise MalformedInput(
            "not the id of a party", expected="1 to 63 of a-z 0-9 . _ -, e.g. acme", got=repr(text[:100])
        )
    return PartyId(text)


_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])\.([0-9]{3})Z")


@lru_cache(maxsize=256)  # all events of a push were received at one time
def format_time(millis: int) -> str:
    """RFC 3339 in UTC with exactly three decimals: the one form the ledger writes.

    `millis` is Unix time in milliseconds. Raises MalformedInput outside the years 1 to 9999.

    >>> format_time(1_795_449_602_123)
    '2026-11-23T16:00:02.123Z'
    """
    seconds, rest = divmod(millis, 1000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000, tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise MalformedInput("a time out of range", expected="a time in the years 1 to 9999") from None
    return moment.isoformat(timespec="milliseconds") + "Z"


@lru_cache(maxsize=256)
def parse_time(text: str) -> int:
    """Unix milliseconds of a time in exactly the form that `format_time` writes."""
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        seconds = int(datetime.fromisoformat(match[1] + "+00:00").timestamp())
    except ValueError:
        raise MalformedInput(
            "not a time in the ledger's form", expected="2026-01-31T23:59:59.123Z", got=repr(text[:60])
        ) from None
    return seconds * 1000 + int(match[2])


_URLSAFE = bytes.maketrans(b"+/", b"-_")
BASE64_OF_URLSAFE = bytes.maketrans(b"-_+/=", b"+/!!!")
"""What stands for 62 and 63 in the other alphabet; what stands for them here, and padding, becomes no base64 at all."""
_LAST = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
"""Last characters whose spare bits are zero, by how many characters stand in the last group."""


def to_base64(data: bytes) -> str:
    """Standard, padded base64 (RFC 4648 §4)."""
    return b2a_base64(data, newline=False).decode()


def to_base64_each(items: Iterable[bytes]) -> list[str]:
    """As `to_base64` of each, at once: faster for many short ones."""
    return b"".join(map(b2a_base64, items)).decode().split("\n")[:-1]


def from_base64(text: str) -> bytes:
    """Parse standard base64 strictly: accepted only if encoding the bytes gives the same text again."""
    try:
        data = a2b_base64(text)
    except ValueError:
        data = None
    if data is None or to_base64(data) != text:
        raise MalformedInput("not base64", expected="standard padded base64", got=repr(text[:80]))
    return data


def to_base64url(data: bytes) -> str:
    """URL-safe base64 without padding (RFC 4648 §5), as JOSE and SD-JWT use it."""
    return b2a_base64(data, newline=False).translate(_URLSAFE).rstrip(b"=").decode()


def to_base64url_each(items: Iterable[bytes]) -> list[str]:
    """As `to_base64url` of each, at once: faster for many short ones."""
    return _base64url_lines(items).decode().split("\n")[:-1]


def to_base64url_ascii(items: Iterable[bytes]) -> list[bytes]:
    """As `to_base64url_each`, in ASCII."""
    return _base64url_lines(items).split(b"\n")[:-1]


def _base64url_lines(items: Iterable[bytes]) -> bytes:
    return b"".join(map(b2a_base64, items)).translate(_URLSAFE, b"=")


def same_size_to_base64url(values: Sequence[bytes], size: int) -> list[str]:
    """As `to_base64url_each` of values that have `size` bytes each: faster still."""
    # With zeros up to a multiple of three, each is whole groups of base64: its own characters, and those of zeros.
    zeros = bytes(-size % 3)
    spelled = b2a_base64(zeros.join([*values, b""]), newline=False).translate(_URLSAFE).decode()
    characters = (size * 8 + 5) // 6
    step = (size + len(zeros)) // 3 * 4
    return [spelled[start : start + characters] for start in range(0, len(spelled), step)]


def from_base64url(text: str) -> bytes:
    """Parse unpadded URL-safe base64 strictly: only what encoding the bytes would give again."""
    last = len(text) % 4
    try:
        spelled = text.encode("ascii")
        data = a2b_base64(spelled.translate(BASE64_OF_URLSAFE) + b"=" * (-last % 4), strict_mode=True)
    except ValueError:
        data = None
    if data is None or (last and spelled[-1] not in _LAST[last]):
        raise MalformedInput("not base64url", expected="URL-safe base64 without padding", got=repr(text[:80]))
    return data


def from_hex(text: str) -> bytes:
    """Parse hexadecimal, with or without `0x`, in lower or upper case."""
    digits = text.removeprefix("0x")
    if len(digits) % 2 or not re.fullmatch(r"[0-9a-fA-F]*", digits):
        raise MalformedInput("not hexadecimal", expected="pairs of 0-9 a-f", got=repr(text[:80]))
    return bytes.fromhex(digits)
