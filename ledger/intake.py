"""Intake: pushes wait here for their commit, not many of them, and are committed in groups.

While one group is being committed, the pushes that come in the meantime become the next: so under load a commit, which
waits for the disk, serves many pushes, and without load a push is committed at once. What may wait is bounded
(`Policy.max_waiting`): beyond it a push is refused before anything of it is kept, and its sender asked to come again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from ledger.canonical import Value
from ledger.commit import Prepared, PushResult
from ledger.errors import LedgerError, Overloaded, Unavailable
from ledger.pipeline import Pipeline
from ledger.telemetry import tell_pushed
from ledger.types import Origin, PartyId


@dataclass(slots=True)
class _Waiting:
    """A push that waits, and who is told of it."""

    push: Prepared
    told: Future[PushResult] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return len(self.push.statements)


class Intake:
    """The way into the logs of a pipeline, for any number of threads. `close` it before its store."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._lines: dict[Origin, _Line] = {}
        self._lock = threading.Lock()
        self._waiting = self._pushes = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many events wait for their commit."""
        return self._waiting

    def push(
        self, origin: Origin, party: PartyId, values: Sequence[Value], signature: str | None = None
    ) -> PushResult:
        """As `Pipeline.push`, in a group with others. Raises Overloaded besides."""
        return self.submit(origin, self._pipeline.prepare(origin, party, values, signature)).result()

    def submit(self, origin: Origin, push: Prepared) -> Future[PushResult]:
        """Let a push wait for its commit. Raises Overloaded if too much waits already, Unavailable after `close`."""
        waiting = _Waiting(push)
        with self._lock:
            if self._closed:
                raise Unavailable(
                    "the ledger is being stopped", advice="Push the same again when it is back."
                )
            if self._waiting and self._waiting + waiting.size > self._pipeline.policy.max_waiting:
                raise Overloaded("too much is waiting to be committed", got=f"{self._waiting} events waiting")
            self._pushes += 1
            self._waiting += waiting.size
            self._pipeline.meter.queued(self._pushes, self._waiting)
            if origin not in self._lines:
                self._lines[origin] = _Line(self._pipeline, origin, self._took)
            self._lines[origin].join(waiting)
        return waiting.told

    def close(self) -> None:
        """Take nothing more, commit what waits, and end."""
        with self._lock:
            self._closed = True
            lines = list(self._lines.values())
        for line in lines:
            line.close()

    def _took(self, pushes: int, events: int) -> None:
        with self._lock:
            self._pushes -= pushes
            self._waiting -= events
            self._pipeline.meter.queued(self._pushes, self._waiting)


class _Line:
    """The pushes that wait for one log, and the thread that commits them."""

    def __init__(self, pipeline: Pipeline, origin: Origin, took: Callable[[int, int], None]) -> None:
        self._pipeline = pipeline
        self._origin = origin
        self._took = took
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"commit {origin}", daemon=True)
        self._thread.start()

    def join(self, waiting: _Waiting) -> None:
        with self._changed:
            self._queue.append(waiting)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next():
            # Who went away before the commit began is not waited for; from here on nobody can.
            staying = [waiting for waiting in group if waiting.told.set_running_or_notify_cancel()]
            if staying:
                self._commit(staying)
            self._took(len(group), sum(waiting.size for waiting in group))

    def _next(self) -> list[_Waiting]:
        """The pushes of the next commit, at least one and no more events than one push may have; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            group: list[_Waiting] = []
            size = 0
            while self._queue and (not group or size + self._queue[0].size <= self._pipeline.policy.max_push):
                group.append(self._queue.popleft())
                size += group[-1].size
            return group

    def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            outcomes = self._pipeline.commit(self._origin, [waiting.push for waiting in group])
        except Unavailable as error:
            for waiting in group:
                tell_pushed(self._pipeline.meter, self._origin, error, waiting.size)
            self._tell_all(group, error)
        except Exception as error:  # noqa: BLE001  # told to those who wait, of whom one may be the cause
            if len(group) == 1:
                self._tell_all(group, error)
            for waiting in group if len(group) > 1 else ():
                self._commit([waiting])
        else:
            for waiting, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, LedgerError):
                    waiting.told.set_exception(outcome)
                else:
                    waiting.told.set_result(outcome)

    def _tell_all(self, group: Sequence[_Waiting], error: Exception) -> None:
        for waiting in group:
            waiting.told.set_exception(error)
