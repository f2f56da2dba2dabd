"""Memory through which large items go to other processes.

A pipe takes 64 KiB at a time, so a megabyte goes through it in many turns of its two processes: that takes longer than
much of what is done with it. Here the large bytes of an item are written once and read once. They are those that it
pickles as `pickle.PickleBuffer` (PEP 574); the rest of it, and where they are, still goes through the pipe.

It is memory and no file in a folder, so nothing of what went through it is left behind. Where the system has no such
memory (it is Linux's), or no more of it, items go through the pipe as a whole.
"""

from __future__ import annotations

import os
import pickle
import sys
from multiprocessing.reduction import DupFd
from typing import Any, NamedTuple


class Parcel(NamedTuple):
    """An item of which the buffers, of so many bytes each, stand in a place one behind the other."""

    rest: bytes
    place: int
    sizes: tuple[int, ...]


class Passage:
    """Places for the buffers of one item each. A process that gets this with what it is started with sees the same.

    Args:
        room: bytes of a place; it takes no memory until something is put there.
    """

    def __init__(self, room: int = 2**26) -> None:
        self._room = room
        self._descriptor = os.memfd_create("ledger-passage") if sys.platform == "linux" else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self._room, None if self._descriptor is None else DupFd(self._descriptor))

    def put(self, place: int, item: object) -> Parcel | None:
        """Put an item's buffers where those of another may have been; None if it has to go another way."""
        buffers: list[pickle.PickleBuffer] = []
        rest = pickle.dumps(item, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
        raw = [buffer.raw() for buffer in buffers]
        sizes = tuple(map(len, raw))
        if self._descriptor is None or not 0 < sum(sizes) <= self._room:
            return None
        try:
            written = os.pwritev(self._descriptor, raw, place * self._room)
        except OSError:  # no memory
            return None
        return Parcel(rest, place, sizes) if written == sum(sizes) else None

    def get(self, parcel: Parcel) -> Any:
        """The item."""
        assert self._descriptor is not None, "nothing is put where there are no places"
        at, buffers = parcel.place * self._room, []
        for size in parcel.sizes:
            buffers.append(os.pread(self._descriptor, size, at))
            at += size
        return pickle.loads(parcel.rest, buffers=buffers)  # noqa: S301  # of who started this process

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _opened(room: int, descriptor: Any) -> Passage:
    passage = Passage.__new__(Passage)
    passage._room = room  # noqa: SLF001  # as `__init__` would
    passage._descriptor = None if descriptor is None else descriptor.detach()  # noqa: SLF001
    return passage
