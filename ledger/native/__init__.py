"""The native part: what takes longest when events are taken and when packages are verified, compiled from C.

It is a faster way to the same answers, never the only one. Where no C compiler was at hand when the ledger was
installed, or where `TRANSFER_LEDGER_NATIVE=no` says so, Python does it all.

    salting.c         members of events salted, and their digests
    plain_lines.c     which lines of a package hold, and the hashes of their entries
    tree.c            the root of a batch's tree
    base64url.c       base64url, sha256.c SHA-256
    build.py          compiles them
"""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ledger.native.build import LIBRARY, form

VARIABLE = "TRANSFER_LEDGER_NATIVE"
_HASH, _SALT = 32, 16
_NUMBERS, _NUMBER = 9, 4
"""How many numbers are told of a line, and the bytes of each."""
_COLUMNS = (2, 5, 6, 7, 8)
"""Which of them are columns of `PlainLines`, in its order."""
_MORE, _TEXT = 26, 44
"""Bytes of a salted array beyond its member's, and of a digest's text, each with what stands behind it."""


@dataclass(frozen=True, slots=True)
class PlainLines:
    """What lines of a text hold, the last of which ends at `end`: in each column as many items as lines.

    `leaves` and `statements` are leaf hashes of entries and of statements, one behind the other; `statements` is empty
    where they are not wanted. In `added` and `types` are numbers of lines which have the same text there, few different
    ones: `added_text` and `type_text` tell it. `phases` are numbers in the order of `ledger.entry.Phase`.
    """

    text: bytes
    end: int
    leaves: bytes
    statements: bytes
    numbers: memoryview
    added: list[int]
    types: list[int]
    phases: list[int]
    committed: list[int]
    """How many members are committed to."""
    shown: list[int]
    """How many members are disclosed."""

    def added_text(self, line: int) -> bytes:
        """What the ledger added to a line's statement, from its comma on, as it is spelled in the line."""
        return self._text(line * _NUMBERS)

    def type_text(self, line: int) -> bytes:
        """A line's type."""
        return self._text(line * _NUMBERS + 3)

    def _text(self, number: int) -> bytes:
        at = self.numbers[number]
        return self.text[at : at + self.numbers[number + 1]]


class Library:
    """The functions of a compiled library. While one of them is at work, other threads are, too.

    Raises:
        OSError: there is no library at this path, or none for this machine.
        AttributeError: it is made of other sources than those beside this file.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        library.ledger_prepare.restype = ctypes.c_uint32
        if library.ledger_prepare() != form():
            raise AttributeError("a library of other sources")
        size, text, out = ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p
        self._plain_lines = library.ledger_plain_lines
        self._plain_lines.restype = size
        self._plain_lines.argtypes = [
            text, size, size, size, ctypes.c_uint64, size, out, out, out, ctypes.POINTER(size)
        ]  # fmt: skip
        self._salt_members = library.ledger_salt_members
        self._salt_members.argtypes = [text, size, text, text, size, out, out, out]
        self._line_feeds = library.ledger_line_feeds
        self._line_feeds.argtypes, self._line_feeds.restype = [text, size], size
        self._tree_root = library.ledger_tree_root
        self._tree_root.argtypes, self._tree_root.restype = [text, size, out], None

    def salt_members(
        self, members: bytes, salts: bytes, counts: Sequence[int]
    ) -> tuple[list[bytes], list[str]]:
        """As `ledger.disclosure.salt_members`."""
        number = sum(counts)
        if len(salts) != number * _SALT:
            raise ValueError(f"not {number} salts of {_SALT} bytes: {len(salts)} bytes")
        arrays, digests = bytearray(len(members) + number * _MORE + 1), bytearray(number * _TEXT + 1)
        ends = bytearray(len(counts) * _NUMBER + 1)
        failed = self._salt_members(
            members, len(members), salts, array("I", counts).tobytes(), len(counts),
            _address(arrays), _address(ends), _address(digests),
        )  # fmt: skip
        if failed:
            raise MemoryError if failed == 2 else ValueError(f"not {number} members")
        starts = [0, *memoryview(ends)[:-1].cast("I")]
        joined = bytes(arrays)
        return [joined[start:end] for start, end in pairwise(starts)], digests.decode("ascii").split("\n")[
            :-1
        ]

    def plain_lines(
        self, text: bytes, start: int, first: int, count: int, *, longest: int, statements: bool
    ) -> PlainLines:
        """What lines of a text hold from `start` on: at most `count`, and up to the first that is not plain.

        Args:
            first: the position that the first of them should be of.
            longest: how many bytes a plain line has at most.
            statements: whether their leaf hashes are wanted.
        """
        numbers, leaves = bytearray(count * _NUMBERS * _NUMBER + 1), bytearray(count * _HASH + 1)
        told = bytearray(count * _HASH + 1) if statements else None
        stop = ctypes.c_size_t()
        lines = self._plain_lines(
            text, len(text), start, longest, first, count,
            _address(numbers), _address(leaves), told and _address(told), stop,
        )  # fmt: skip
        end = lines * _HASH
        held = memoryview(numbers)[: lines * _NUMBERS * _NUMBER].cast("I")
        return PlainLines(
            text,
            stop.value,
            bytes(leaves[:end]),
            bytes(told[:end]) if told else b"",
            held,
            *(held[column::_NUMBERS].tolist() for column in _COLUMNS),
        )

    def line_feeds(self, text: bytes) -> int:
        """As `text.count(b"\\n")`, which looks at each byte by itself before Python 3.13."""
        return int(self._line_feeds(text, len(text)))

    def tree_root(self, leaves: bytes) -> bytes:
        """As `ledger.merkle.tree_root`, of leaf hashes one behind the other, at least one."""
        if not leaves or len(leaves) % _HASH:
            raise ValueError(f"not a whole number of hashes: {len(leaves)} bytes")
        root = ctypes.create_string_buffer(_HASH)
        self._tree_root(leaves, len(leaves) // _HASH, root)
        return root.raw


def _address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def loaded(path: Path) -> Library | None:
    """The library at a path; None if there is none that can be used, or none is wanted."""
    if os.environ.get(VARIABLE, "yes").strip().lower() not in {"yes", "1", "true", "on", ""}:
        return None
    try:
        return Library(path)
    except (OSError, AttributeError):
        return None


library = loaded(Path(__file__).with_name(LIBRARY))
"""The one that was built beside this file."""
