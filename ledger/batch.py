"""Batches and the 92 bytes that describe one: the header, a leaf of the log tree.

::

    offset  0        32         40          48          56 - 4        ...
            logId ‖ batchNo ‖ firstLeaf ‖ leafCount ‖ closedAt ‖ root
            32      u64       u64         u32         u64        32      big-endian, 92 bytes

`logId` is SHA-256 of the origin; `closedAt` is Unix time in seconds; `root` is the RFC 6962 root over the batch's leaf
hashes. The contract builds the same bytes and hashes them itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ledger.errors import MalformedInput
from ledger.merkle import leaf_hash, tree_root
from ledger.types import MAX_INTEGER, BatchNo, Digest, LogId, Position

_FORMAT = struct.Struct(">32sQQIQ32s")
HEADER_BYTES = _FORMAT.size
MAX_CLOSED_AT = 253_402_300_799
"""The last second of the year 9999, the last that RFC 3339 can write."""
MAX_LEAVES = 2**20
"""Most leaves that the ledger puts into one batch; the format's own limit is 2^32 − 1."""


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What is anchored of a batch. `closed_at` is Unix seconds; `leaf_count` is at least 1."""

    log_id: LogId
    batch_no: BatchNo
    first_leaf: Position
    leaf_count: int
    closed_at: int
    root: Digest

    @property
    def end(self) -> Position:
        """First position after this batch."""
        return Position(self.first_leaf + self.leaf_count)

    def __bytes__(self) -> bytes:
        return _FORMAT.pack(
            self.log_id, self.batch_no, self.first_leaf, self.leaf_count, self.closed_at, bytes(self.root)
        )

    @property
    def leaf(self) -> Digest:
        """The header as a leaf of the log tree: SHA-256(0x00 ‖ header)."""
        return leaf_hash(bytes(self))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read exactly 92 bytes with at least one leaf."""
        if len(data) != HEADER_BYTES:
            raise MalformedInput(
                "not a batch header", expected=f"{HEADER_BYTES} bytes", got=f"{len(data)} bytes"
            )
        log, batch_no, first_leaf, leaf_count, closed_at, root = _FORMAT.unpack(data)
        if leaf_count == 0:
            raise MalformedInput("a batch header without leaves", expected="leafCount ≥ 1", got=0)
        if max(batch_no, first_leaf + leaf_count) > MAX_INTEGER or closed_at > MAX_CLOSED_AT:
            raise MalformedInput(
                "a batch header with a number out of range",
                expected="at most 2^53 − 1, and a year with four digits",
            )
        return cls(LogId(log), BatchNo(batch_no), Position(first_leaf), leaf_count, closed_at, Digest(root))


def close_batch(
    log: LogId, batch_no: BatchNo, first_leaf: Position, leaves: Sequence[bytes], closed_at: int
) -> BatchHeader:
    """The header of the batch that these leaf hashes (at least one) form. `closed_at` is Unix seconds."""
    if not leaves:
        raise ValueError("a batch has at least one leaf")
    return BatchHeader(log, batch_no, first_leaf, len(leaves), closed_at, tree_root(leaves))
