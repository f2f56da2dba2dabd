"""The end of a process that serves: on a signal it finishes what it has begun, within a bound.

SIGTERM and SIGINT mean the same. The first is a request, and whoever has work under way is told of it; a second one
ends the process at once, as the bound does. Either is safe: what was acknowledged is durable, and everything else is
taken up by the next process.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

import structlog

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
TOO_LATE = 3
"""Exit code of a process that the bound has ended."""


class Shutdown:
    """Takes the signals while it is entered, which the main thread does.

    A handler of Python's may come between any two steps of the main thread, which may hold a lock at that moment. So it
    only writes into a pipe; another thread does the rest.

    Args:
        seconds: the bound.
    """

    def __init__(self, seconds: float) -> None:
        self.requested = threading.Event()
        self._seconds = seconds
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []

    def on_request(self, action: Callable[[], None]) -> None:
        """Call `action`, which must not wait, as soon as the end is requested; now, if it was already."""
        with self._lock:
            self._actions.append(action)
            late = self.requested.is_set()
        if late:
            action()

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        self._before = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        threading.Thread(target=self._watch, name="ledger-shutdown", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.requested.is_set():
            return  # the bound and a second signal hold to the very end
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._writer)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        os.write(self._writer, bytes([number]))

    def _watch(self) -> None:
        first = os.read(self._reader, 1)
        if not first:  # closed: it was never requested
            os.close(self._reader)
            return
        log.info("stopping", signal=signal.Signals(first[0]).name, seconds=self._seconds)
        with self._lock:
            self.requested.set()
            actions = list(self._actions)
        for action in actions:
            action()
        if select.select([self._reader], [], [], self._seconds)[0]:
            os._exit(128 + os.read(self._reader, 1)[0])
        log.error("ended with work under way, which the next process takes up", seconds=self._seconds)
        os._exit(TOO_LATE)
