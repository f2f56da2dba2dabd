"""Seconds, CPU, memory, quantiles."""

from __future__ import annotations

import gc
import math
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Figures: TypeAlias = dict[str, Any]
"""Figures that JSON can hold. A name ends in its unit: `_s` seconds, `_ms`, `_bytes`, `_per_s`."""


@dataclass(slots=True)
class Meter:
    """What a block took. CPU is of all threads, and of children that have ended and were waited for.

    `peak_bytes` is the most resident memory of the process inside the block, `base_bytes` the memory when it began.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    base_bytes: int = 0
    peak_bytes: int = 0

    def figures(self) -> Figures:
        return {
            "seconds": self.seconds,
            "cpu_s": self.cpu_seconds,
            "base_bytes": self.base_bytes,
            "peak_bytes": self.peak_bytes,
        }


@contextmanager
def metered() -> Iterator[Meter]:
    """Measure this process while the block runs."""
    meter = Meter(base_bytes=memory("VmRSS"))
    _forget_peak()
    cpu, began = _cpu(), time.perf_counter()
    yield meter
    meter.seconds, meter.cpu_seconds = time.perf_counter() - began, _cpu() - cpu
    meter.peak_bytes = memory("VmHWM")


def _cpu() -> float:
    of = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in of)


def memory(name: str, pid: int | str = "self") -> int:
    """Bytes that Linux tells of a process: VmRSS resident now, VmHWM at most so far."""
    status = Path(f"/proc/{pid}/status")
    if not Path("/proc/self/status").exists():  # another system: the most so far, of this process only
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    found = (line.split() for line in status.read_text().splitlines() if line.startswith(name))
    return next((int(words[1]) * 1024 for words in found), 0)


def _forget_peak() -> None:
    """From here on VmHWM counts anew (proc_pid_clear_refs(5))."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def set_aside() -> None:
    """Keep what this process has loaded out of the way of its garbage collector, which else stops to look at it all."""
    gc.collect()
    gc.freeze()


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def latencies(seconds: Sequence[float]) -> Figures:
    """Median and 99th percentile in milliseconds."""
    return {
        "n": len(seconds),
        "p50_ms": 1000 * statistics.median(seconds),
        "p99_ms": 1000 * quantile(seconds, 0.99),
    }


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
