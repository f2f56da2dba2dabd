"""The figures that the project holds itself to, `ratios` and `rates`, out of those of the parts; and their aims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmark.meters import Figures

APPEND = "1000"
"""Entries of one append at which the cores are compared: as many events as a batch that is pushed has."""


@dataclass(frozen=True, slots=True)
class Key:
    """One figure: where it is found, and what it should reach. `at_most` turns the comparison round."""

    name: str
    find: Callable[[Figures], float]
    aim: float
    at_most: bool = False

    def value(self, parts: Figures) -> float | None:
        """None if the part it comes from was not measured."""
        try:
            return self.find(parts)
        except KeyError:
            return None

    def reached(self, value: float) -> bool:
        return value <= self.aim if self.at_most else value >= self.aim


def _ingest(kind: str, what: str) -> Callable[[Figures], float]:
    return lambda parts: float(parts["ingest"][kind][what]["ratio"])


def _core(peer: str) -> Callable[[Figures], float]:
    def ratio(parts: Figures) -> float:
        systems = parts["core"]["systems"]
        ours, theirs = (systems[name]["append"][APPEND]["entries_per_s"] for name in ("ledger", peer))
        return float(ours / theirs)

    return ratio


RATIOS = (
    Key("ingest_batch_vs_floor_sqlite", _ingest("sqlite", "batch"), 0.6),
    Key("ingest_batch_vs_floor_postgresql", _ingest("postgresql", "batch"), 0.6),
    Key("ingest_single_vs_floor_sqlite", _ingest("sqlite", "single"), 0.9),
    Key("ingest_single_vs_floor_postgresql", _ingest("postgresql", "single"), 0.9),
    Key("core_append_vs_pymerkle", _core("pymerkle"), 1.0),
    Key("core_append_vs_hypercore", _core("hypercore"), 1.0),
    Key("core_append_vs_hashchain", _core("hash chain"), 1.0),
    Key("proof_p99_large_vs_small", lambda p: p["proofs"]["sqlite"]["p99_large_vs_small"], 1.3, at_most=True),
    Key(
        "stored_bytes_per_raw_byte",
        lambda p: max(p["storage"][kind]["bytes_per_raw_byte"] for kind in ("sqlite", "postgresql")),
        2.5,
        at_most=True,
    ),
)
RATES = (
    Key(
        "seal_leaves_per_s",
        lambda p: min(p["sealing"][way]["leaves_per_s"] for way in ("memory", "sqlite", "postgresql")),
        300_000,
    ),
    Key(
        "verify_events_per_s_per_core",
        lambda p: p["verification"]["package"]["events_per_s_per_core"],
        40_000,
    ),
    Key(
        "ingest_batch_events_per_s",
        lambda p: min(
            p["ingest"][kind]["batch"]["ledger"]["events_per_s"] for kind in ("sqlite", "postgresql")
        ),
        10_000,
    ),
)


def found(keys: tuple[Key, ...], parts: Figures) -> dict[str, Any]:
    """Those whose parts were measured."""
    return {key.name: value for key in keys if (value := key.value(parts)) is not None}
