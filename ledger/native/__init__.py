"""The native part: what takes longest when a package is verified, compiled from C.

It is a faster way to the same answers, never the only one. Where no C compiler was at hand when the ledger was
installed, or where `TRANSFER_LEDGER_NATIVE=no` says so, Python does it all.

    plain_lines.c     which lines hold, and the hashes of their entries
    tree.c            the root of a batch's tree
    sha256.c          SHA-256
    build.py          compiles them
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from ledger.native.build import LIBRARY

VARIABLE = "TRANSFER_LEDGER_NATIVE"
_FORM = 1
"""Of the functions and of what they write; the library says which is its own."""
_HASH = 32
_LINE = Struct("=32s32s8I")


Line = tuple[bytes, bytes, int, int, int, int, int, int, int, int]
"""What one line holds.

(leaf hash of its entry, that of the statement or zeros; where in the text stands, and in how many bytes, what the
ledger added to the statement, from its comma on; where the type; number of the phase; how many members are committed
to, and shown; whether it is plain: if not, nothing else is said)
"""


class Library:
    """The functions of a compiled library. While one of them is at work, other threads are, too.

    Raises:
        OSError: there is no library at this path, or none for this machine.
        AttributeError: one of another form.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        if library.ledger_prepare() != _FORM:
            raise AttributeError("a library of another form")
        size, bytes_, out = ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p
        self._plain_lines = library.ledger_plain_lines
        self._plain_lines.argtypes = [bytes_, size, size, ctypes.c_uint64, size, ctypes.c_int, out]
        self._tree_root = library.ledger_tree_root
        self._tree_root.argtypes, self._tree_root.restype = [bytes_, size, out], None

    def read_lines(
        self, text: bytes, first: int, count: int, *, longest: int, statements: bool
    ) -> Iterator[Line]:
        """What each of so many lines holds, the first of them of the position `first`; none if over `longest` bytes."""
        lines = ctypes.create_string_buffer(max(count, 1) * _LINE.size)
        if self._plain_lines(text, len(text), longest, first, count, statements, lines):
            raise MemoryError
        return _LINE.iter_unpack(lines.raw[: count * _LINE.size])

    def tree_root(self, leaves: bytes) -> bytes:
        """As `ledger.merkle.tree_root`, of leaf hashes one behind the other, at least one."""
        if not leaves or len(leaves) % _HASH:
            raise ValueError(f"not a whole number of hashes: {len(leaves)} bytes")
        root = ctypes.create_string_buffer(_HASH)
        self._tree_root(leaves, len(leaves) // _HASH, root)
        return root.raw


def loaded(path: Path) -> Library | None:
    """The library at a path; None if there is none that can be used, or none is wanted."""
    if os.environ.get(VARIABLE, "").lower() in {"no", "0", "false", "off"}:
        return None
    try:
        return Library(path)
    except (OSError, AttributeError):
        return None


library = loaded(Path(__file__).with_name(LIBRARY))
"""The one that was built beside this file."""
