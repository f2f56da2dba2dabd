"""Sets of places in a block of positions, as bits.

A block is `BLOCK` consecutive positions of a log; position p is at place p mod `BLOCK` of block p div `BLOCK`. In
memory a set of places is one integer, whose bit i stands for place i, so that sets are intersected with `&`. Stored it
is the shorter of::

    places in ascending order, two bytes each, big-endian        fewer than BLOCK / 16 places
    BLOCK / 8 bytes, little-endian: bit i of the whole is place i

which its length tells apart. The same set always has the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

BLOCK = 8192
_WHOLE = BLOCK // 8


def block_of(position: int) -> tuple[int, int]:
    """Block and place of a position."""
    return divmod(position, BLOCK)


def gather(places: Iterable[int]) -> int:
    """The set of these places."""
    whole = bytearray(_WHOLE)
    for place in places:
        whole[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(whole, "little")


def places(bits: int, start: int = 0) -> Iterator[int]:
    """The places in a set from `start` on, ascending."""
    bits = bits >> start << start
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def pack(bits: int) -> bytes:
    """The bytes of a set; sibling of `unpack`."""
    count = bits.bit_count()
    if 2 * count < _WHOLE:
        return struct.pack(f">{count}H", *places(bits))
    return bits.to_bytes(_WHOLE, "little")


def unpack(data: bytes) -> int:
    """The set of these bytes. Raises ValueError for what `pack` does not write."""
    if len(data) == _WHOLE:
        return int.from_bytes(data, "little")
    listed = struct.unpack(f">{len(data) // 2}H", data) if len(data) % 2 == 0 else (BLOCK,)
    if any(place >= BLOCK for place in listed):
        raise ValueError("not a set of places")
    return gather(listed)
