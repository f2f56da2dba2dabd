"""Sealing: leaves a second, and the most memory that it takes.

In memory, one batch of a million leaves: the tree and its header alone, in a process that does nothing else. Through
the store: everything that waits in a log, as the worker seals it, leaves read, header and nodes written durably.
"""

from __future__ import annotations

import os
from typing import Any

from benchmark.apart import Job, apart
from benchmark.filling import BARE, Wanted, filled, sharing
from benchmark.meters import Figures, metered
from benchmark.place import DATABASES, Home, Place
from ledger.batch import close_batch
from ledger.types import BatchNo, LogId, Position

MOST_LEAVES = 2**20


def measure(place: Place) -> Figures:
    """The part `sealing`."""
    leaves = place.sizes.tree_leaves
    with place.show.step(f"a batch of {leaves:,} leaves in memory"):
        figures: Figures = {"memory": apart(Job("sealing", in_memory, {"leaves": leaves}), place.log)}
    wanted = [Wanted(kind, BARE, place.sizes.sealed) for kind in DATABASES]
    for log in filled(place, sharing(place, wanted)):
        home = log.home
        with place.show.step(f"{home.kind}: {log.events:,} leaves through the store"):
            figures[home.kind] = apart(Job("sealing", through_store, home.arguments()), place.log)
    return figures


def in_memory(leaves: int) -> Figures:
    """One batch of random leaves. Runs apart."""
    hashes = [os.urandom(32) for _ in range(leaves)]
    with metered() as meter:
        close_batch(LogId(bytes(32)), BatchNo(0), Position(0), hashes, 0)
    return _figures(leaves, meter.figures())


def through_store(**home: Any) -> Figures:
    """All that waits in a log, in batches as large as they may be. Runs apart."""
    opened = Home.of(**home)
    settings: dict[str, Any] = {"seal_leaves": MOST_LEAVES, "batch_leaves": MOST_LEAVES}
    with opened.open(**settings) as ledger:
        before = ledger.store.head(opened.origin).sealed
        with metered() as meter:
            ledger.pipeline.seal(opened.origin, force=True)
        sealed = ledger.store.head(opened.origin).sealed - before
    return _figures(sealed, meter.figures())


def _figures(leaves: int, meter: Figures) -> Figures:
    return {"leaves": leaves, "leaves_per_s": leaves / meter["seconds"], **meter}
