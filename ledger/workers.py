"""Background work: seal, anchor and project every log, again and again.

One worker may run in the API process, or any number in processes of their own: each task is idempotent and takes the
log's lock where it must. A failure of one log or task does not hold up the others; it is logged and tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from ledger.errors import HistoryForked, LedgerError
from ledger.logs import told
from ledger.pipeline import Pipeline
from ledger.types import Origin

log = structlog.get_logger(__name__)


class Worker:
    """Runs the tasks of all logs every `interval` seconds, waiting longer while they fail."""

    MAX_WAIT = 30.0

    def __init__(self, pipeline: Pipeline, interval: float) -> None:
        self._pipeline = pipeline
        self._interval = interval
        self._stop = threading.Event()
        self._failures: dict[tuple[str, str], str] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run in a thread of this process until `stop`."""
        self._thread = threading.Thread(target=self.run, name="ledger-worker", daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """End after the task at hand, of which only the part that is begun is finished. Does not wait for it."""
        self._stop.set()

    def stop(self) -> None:
        """Finish the task at hand and end. May be called twice."""
        self.request_stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=self.MAX_WAIT)

    def run(self) -> None:
        """Run until `stop`."""
        wait = self._interval
        while not self._stop.wait(wait):
            wait = self._interval if self.once() else min(wait * 2, self.MAX_WAIT)

    def once(self, *, force: bool = False) -> bool:
        """One round over all logs; with `force`, seal all that waits. Answers whether nothing failed."""
        origins: list[Origin] = []
        if not self._try(
            "*", "list logs", lambda: origins.extend(it.origin for it in self._pipeline.store.logs())
        ):
            return False
        results = [self._round(origin, force) for origin in origins]
        return all(results)

    def settle(self, seconds: float) -> bool:
        """Seal all that waits now and anchor it, for at most `seconds`: from a node's taking to a block it may be long.

        Answers False as soon as a task fails, or if something is not finally anchored in time; `failures` say what.
        """
        end = time.monotonic() + seconds
        if not self.once(force=True):
            return False
        store = self._pipeline.store
        goals = {known.origin: store.head(known.origin).batches for known in store.logs()}
        while waiting := [origin for origin, goal in goals.items() if self._anchored(origin) < goal]:
            if time.monotonic() > end or self._stop.wait(min(self._interval, 0.1)):
                for origin in waiting:
                    self._failures[origin, "anchor"] = (
                        f"not finally anchored after {seconds:.0f} s; it goes on next time"
                    )
                return False
            if not self.once():
                return False
        return True

    def _anchored(self, origin: Origin) -> int:
        checkpoint = self._pipeline.store.checkpoint(origin)
        return checkpoint.size if checkpoint else 0

    def _round(self, origin: Origin, force: bool) -> bool:
        tasks: dict[str, Callable[[], object]] = {
            "seal": lambda: self._pipeline.seal(origin, force=force, stop=self._stop.is_set),
            "anchor": lambda: self._pipeline.anchor(origin),
            "project": lambda: self._pipeline.project(origin, stop=self._stop.is_set),
        }
        results = [self._try(origin, name, task) for name, task in tasks.items() if not self._stop.is_set()]
        return all(results)

    def _try(self, origin: str, name: str, task: Callable[[], object]) -> bool:
        try:
            task()
        except LedgerError as error:
            self._tell(origin, name, error)
            return False
        except Exception as error:
            # A defect in one task must not silence the others; the trace is for whoever mends it.
            self._pipeline.meter.failed(origin, name, error)
            log.exception("task failed", log=origin, task=name)
            return False
        if self._failures.pop((origin, name), None):
            log.info("recovered", log=origin, task=name)
        return True

    def _tell(self, origin: str, name: str, error: LedgerError) -> None:
        """Count a failure, and log it when it begins or changes, not at every round."""
        self._pipeline.meter.failed(origin, name, error)
        text = str(error)
        if self._failures.get((origin, name)) == text:
            return
        self._failures[(origin, name)] = text
        tell = log.critical if isinstance(error, HistoryForked) else log.warning
        tell("task failed", log=origin, task=name, kind=error.kind, error=told(error))

    @property
    def failures(self) -> dict[str, str]:
        """What fails now, by `log task`; for readiness."""
        return {f"{origin} {name}": text for (origin, name), text in self._failures.items()}
