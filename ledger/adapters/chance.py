"""Random bytes of the operating system, drawn ahead."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

AHEAD = 64 * 1024


class DrawnAhead:
    """Answers that many bytes of a cryptographic source at each call, no byte twice. For any number of threads.

    Each system call lets other threads run and has to wait for its turn again afterwards, which under load takes
    many times as long as the call; a push of one event needs no more than two hundred bytes.
    """

    def __init__(self, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._drawn, self._at, self._process = b"", 0, os.getpid()

    def __reduce__(self) -> tuple[type[DrawnAhead], tuple[Callable[[int], bytes]]]:
        return DrawnAhead, (self._draw,)  # another process draws its own

    def __call__(self, count: int) -> bytes:
        with self._lock:
            end = self._at + count
            # A process that was forked off has the same bytes ahead as its parent: neither may use the other's.
            if end > len(self._drawn) or self._process != os.getpid():
                self._drawn, self._process = self._draw(max(AHEAD, count)), os.getpid()
                self._at, end = 0, count
            taken = self._drawn[self._at : end]
            self._at = end
            return taken
