"""On what it was measured: figures without their machine say nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from benchmark.meters import Figures
from benchmark.place import Place, driver_url
from ledger import __version__
from ledger.adapters.node import node

FLUSHES = 100


def describe(place: Place) -> Figures:
    """Processor, memory, disk, and the versions of what took part."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": os.getloadavg()[0],
        "filesystem": _filesystem(place.folder),
        "flush_p50_ms": _flush(place.folder),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "postgresql": _postgresql(place.postgres),
        "node": _said(str(node()), "--version").removeprefix("v"),
        "ledger": __version__,
        "commit": _said("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
    }


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _filesystem(folder: Path) -> str:
    """The type of the file system that the folder is on: on one in memory nothing is durable."""
    mounts, best = Path("/proc/mounts"), ("", "unknown")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        _, point, kind, *_ = line.split()
        if folder.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def _flush(folder: Path) -> float:
    """Milliseconds that a page of 8 KiB takes to the disk, the median."""
    seconds = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(FLUSHES):
            file.write(bytes(8192))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def _postgresql(url: str) -> str:
    with psycopg.connect(driver_url(url)) as connection:
        (version,) = connection.execute("SHOW server_version").fetchone() or ("",)
        return str(version)


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def in_words(machine: Figures) -> str:
    """One paragraph for people."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB;"
        f" {machine['system']}, {machine['filesystem']} that flushes a page in {machine['flush_p50_ms']:.2f} ms;"
        f" {machine['python']}, SQLite {machine['sqlite']}, PostgreSQL {machine['postgresql']} with its defaults,"
        f" Node {machine['node']}"
    )
