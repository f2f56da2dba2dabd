"""Unpacks a gzip body as it comes (RFC 1952), never further than the room that is left for it."""

from __future__ import annotations

import zlib

from ledger.errors import MalformedInput

_GZIP = 16 + zlib.MAX_WBITS


class Gunzip:
    """One body, of one or more members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    def feed(self, packed: bytes, room: int) -> bytes:
        """What `packed` unpacks to, at most `room` bytes, at least 1: if it is as much, there may be more.

        Raises MalformedInput if it is not gzip.
        """
        parts: list[bytes] = []
        while packed and room > 0:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                parts.append(self._member.decompress(packed, room))
            except zlib.error:
                raise _malformed() from None
            room -= len(parts[-1])
            packed = self._member.unused_data
        return b"".join(parts)

    def end(self) -> None:
        """Raise MalformedInput unless the body was whole."""
        if not self._member.eof:
            raise _malformed()


def _malformed() -> MalformedInput:
    return MalformedInput("a body that is not what its Content-Encoding says", expected="whole gzip")
