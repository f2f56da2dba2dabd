"""Metrics in Prometheus' text format: a `Meter` that counts, and what a scrape reads of the logs.

Labels are bounded, and hold nothing of a request or an event: `log` is the origin of a log that exists, `type` a type
of the catalogue or `opaque`, all others are words of the code. What is counted is of this process since it began; what
a scrape reads of the logs is the same in every process.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ledger import __version__
from ledger.catalogue import is_opaque
from ledger.errors import ChainUnavailable, LedgerError, StoreUnavailable
from ledger.types import Origin
from ledger.vitals import Vitals

PREFIX = "transfer_ledger"
OPAQUE = "opaque"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class PrometheusMeter:
    """`Meter` and `Exposition` with a registry of its own."""

    media_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        # One series more for each counter, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._pushes = Counter(
            f"{PREFIX}_pushes", "Pushes, by what became of them.", ["log", "outcome"], registry=registry
        )
        self._events = Counter(
            f"{PREFIX}_events",
            "Events of pushes, by what became of them; of refused pushes the type is not looked at.",
            ["log", "type", "outcome"],
            registry=registry,
        )
        self._commits = Histogram(
            f"{PREFIX}_commit_seconds",
            "Durable commits of pushes, waiting for the log's lock included.",
            ["log"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._queue_pushes = Gauge(
            f"{PREFIX}_queue_pushes", "Pushes that wait for their commit.", registry=registry
        )
        self._queue_events = Gauge(
            f"{PREFIX}_queue_events", "Events of the pushes that wait for their commit.", registry=registry
        )
        self._refusals = Counter(
            f"{PREFIX}_refusals", "Requests that were refused, by problem.", ["problem"], registry=registry
        )
        self._unavailable = Counter(
            f"{PREFIX}_unavailable",
            "Times that store or chain did not answer, to requests or to background tasks.",
            ["dependency"],
            registry=registry,
        )
        self._batches = Counter(f"{PREFIX}_batches_sealed", "Batches sealed.", ["log"], registry=registry)
        self._leaves = Counter(
            f"{PREFIX}_events_sealed", "Events in sealed batches.", ["log"], registry=registry
        )
        self._anchorings = Counter(
            f"{PREFIX}_batches_anchoring",
            "Batches whose anchoring came into a state; `final` are the anchored ones.",
            ["log", "state"],
            registry=registry,
        )
        self._failures = Counter(
            f"{PREFIX}_task_failures",
            "Failures of background tasks, by error.",
            ["log", "task", "error"],
            registry=registry,
        )
        for dependency in ("store", "chain"):
            self._unavailable.labels(dependency)
        Gauge(f"{PREFIX}_build_info", "Always 1.", ["version", "python"], registry=registry).labels(
            __version__, platform.python_version()
        ).set(1)

    def watch(self, read: Callable[[], Sequence[Vitals]]) -> None:
        """Show at each scrape what `read` answers, which raises a LedgerError if it cannot tell."""
        self._registry.register(_State(read))

    def render(self) -> bytes:
        return generate_latest(self._registry)

    # --- Meter --------------------------------------------------------------------------------------------------------

    def pushed(self, origin: Origin, outcome: str, events: Mapping[tuple[str, str], int]) -> None:
        self._pushes.labels(origin, outcome).inc()
        for (type, became), count in events.items():
            name = OPAQUE if type and is_opaque(type) else type
            self._events.labels(origin, name, became).inc(count)

    @contextmanager
    def committing(self, origin: Origin) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._commits.labels(origin).observe(time.perf_counter() - begun)

    def queued(self, pushes: int, events: int) -> None:
        self._queue_pushes.set(pushes)
        self._queue_events.set(events)

    def refused(self, problem: str, error: Exception) -> None:
        self._refusals.labels(problem).inc()
        self._note(error)

    def sealed(self, origin: Origin, leaves: int) -> None:
        self._batches.labels(origin).inc()
        self._leaves.labels(origin).inc(leaves)

    def anchoring(self, origin: Origin, state: str, batches: int) -> None:
        self._anchorings.labels(origin, state).inc(batches)

    def failed(self, origin: str, task: str, error: Exception) -> None:
        kind = error.kind if isinstance(error, LedgerError) else "defect"
        self._failures.labels(origin, task, kind).inc()
        self._note(error)

    def _note(self, error: Exception) -> None:
        if isinstance(error, StoreUnavailable):
            self._unavailable.labels("store").inc()
        elif isinstance(error, ChainUnavailable):
            self._unavailable.labels("chain").inc()


_GAUGES: Mapping[str, tuple[str, Callable[[Vitals], float | None]]] = {
    "log_events": ("Events in the log.", lambda v: v.events),
    "log_batches": ("Sealed batches of the log.", lambda v: v.batches),
    "unsealed_events": ("Events that wait for their batch.", lambda v: v.unsealed),
    "unsealed_age_seconds": (
        "Age of the oldest event that waits for its batch.",
        lambda v: v.unsealed_age / 1000,
    ),
    "anchor_lag_batches": ("Sealed batches whose anchor is not final.", lambda v: v.unanchored),
    "anchor_lag_seconds": (
        "Age of the oldest batch whose anchor is not final.",
        lambda v: v.unanchored_age / 1000,
    ),
    "projection_lag_events": ("Events that the projections have not taken in.", lambda v: v.unprojected),
    "promise_seconds": (
        "Time until the next include-by of a receipt whose events are in no block; negative if it is broken.",
        lambda v: None if v.promise_left is None else v.promise_left / 1000,
    ),
    "promises_near_events": (
        "Events in no block with less than a quarter of their promised time left.",
        lambda v: v.near,
    ),
    "promises_broken_events": ("Events in no block after their receipt's include-by.", lambda v: v.broken),
}
"""What a scrape reads of each log, by the rest of its name."""


class _State(Collector):
    """Reads the logs at a scrape, not more often than once in `FRESH` seconds, whoever scrapes how often."""

    FRESH = 1.0

    def __init__(self, read: Callable[[], Sequence[Vitals]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._until = 0.0
        self._known: Sequence[Vitals] | None = None

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: the registry would otherwise read the logs in order to learn the names."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        known = self._fresh()
        yield GaugeMetricFamily(
            f"{PREFIX}_logs_readable", "Whether the store told about the logs.", float(known is not None)
        )
        for name, (text, value_of) in _GAUGES.items():
            family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=["log"])
            for vitals in known or ():
                if (value := value_of(vitals)) is not None:
                    family.add_metric([vitals.origin], value)
            yield family

    def _fresh(self) -> Sequence[Vitals] | None:
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._known = self._read()
                except LedgerError:
                    self._known = None
                self._until = time.monotonic() + self.FRESH
            return self._known
