"""Bytes on the disk beside the bytes that were pushed."""

from __future__ import annotations

from benchmark.disk import tables
from benchmark.filling import ORDERED, Filled, Wanted, filled
from benchmark.meters import Figures
from benchmark.place import DATABASES, Place


def measure(place: Place) -> Figures:
    """The part `storage`."""
    wanted = [Wanted(kind, ORDERED, place.sizes.accesses) for kind in DATABASES]
    return {log.home.kind: _of(log) for log in filled(place, wanted)}


def _of(log: Filled) -> Figures:
    events, raw = log.events, log.figures["raw_bytes"]
    whole, without = log.figures["stored_with_projections_bytes"], log.figures["stored_bytes"]
    return {
        "events": events,
        "raw_bytes_per_event": raw / events,
        "bytes_per_event": whole / events,
        "bytes_per_raw_byte": whole / raw,
        "without_projections": {"bytes_per_event": without / events, "bytes_per_raw_byte": without / raw},
        "bytes_per_event_by_table": {
            name: size / events for name, size in tables(log.home.database).items() if size > raw / 1000
        },
    }
