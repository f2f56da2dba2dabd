"""The log tree as C2SP tlog-tiles, so that existing clients and monitors can read it.

::

    tile/<L>/<N>[.p/<W>]         W hashes of 32 bytes: nodes of level 8·L, from index 256·N on
    tile/entries/<N>[.p/<W>]     W entries from number 256·N on, each as u16 length ‖ bytes; here: batch headers

`<N>` is written in groups of three digits, all but the last behind an `x`: 1234067 is `x001/x234/067`. A full tile has
256 hashes and no `.p`; the last one of a level may be partial, and then its width is part of its name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import NotFound
from ledger.merkle import NodeId

HEIGHT = 8
WIDTH = 1 << HEIGHT

_PATH = re.compile(r"(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True)
class Tile:
    """`level` counts tiles from the leaves, None for entries; `width` is 1 to 256."""

    level: int | None
    index: int
    width: int

    @property
    def node_ids(self) -> list[NodeId]:
        """The perfect subtrees in a tile of hashes, in order."""
        assert self.level is not None
        start = self.index * WIDTH
        return [(self.level * HEIGHT, start + number) for number in range(self.width)]

    @property
    def entries(self) -> range:
        """The entries in a bundle."""
        return range(self.index * WIDTH, self.index * WIDTH + self.width)


def parse_tile(path: str, size: int) -> Tile:
    """The tile that the part of a path after `tile/` names, in a log of `size` entries.

    Raises:
        NotFound: no such tile, or not at this size.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise NotFound(
            "not the path of a tile", expected="<L>/<N>[.p/<W>] as in C2SP tlog-tiles", got=repr(path[:80])
        )
    level = None if match[1] == "entries" else int(match[1])
    index = int(match[2].replace("x", "").replace("/", ""))
    width = int(match[3]) if match[3] else WIDTH
    nodes = size >> (HEIGHT * (level or 0))
    if tile_path(index) != match[2] or width > WIDTH - bool(match[3]) or index * WIDTH + width > nodes:
        raise NotFound("no such tile at this size", got=repr(path[:80]))
    return Tile(level, index, width)


def tile_path(index: int) -> str:
    """An index in groups of three digits.

    >>> tile_path(1234067)
    'x001/x234/067'
    """
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each behind its length."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)
