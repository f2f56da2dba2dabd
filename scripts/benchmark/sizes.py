"""How much of everything is measured. What a run used stands in its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.place import POSTGRESQL, SQLITE


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts, unless a name says otherwise."""

    name: str
    rounds: int
    """How often each of two systems has its turn: A B A B …"""
    connections: Sequence[int]
    """Over which batches are pushed, one number after the other; each system counts at the one that suits it best."""
    turn_seconds: float
    """After which no further push of a turn begins."""
    turn_events: int
    """Events that are at hand for a turn: a fast system may be through with them earlier."""
    sustained_seconds: float
    """Of pushing while sealing, anchoring and projecting go on in the same process."""
    appends: Mapping[int, int]
    """Appends to the core in one turn, by entries of one append."""
    peer_proofs: int
    tree_leaves: int
    """Leaves of the one batch whose sealing is measured in memory."""
    leaves: Mapping[str, tuple[int, ...]]
    """Logs out of which proofs are read, by database: the smallest first."""
    proofs: int
    """Proofs read out of each of them."""
    anchoring_seconds: float
    """Of pushing events whose way to the chain is timed: nearly the ten that a batch waits by default, or much more."""
    accesses: int
    """Accesses of the large log; the small one has a tenth."""
    sealed: int
    """Events of the log that is sealed through the store."""
    packaged: int
    """Accesses in the log whose evidence package is verified: enough for all cores."""
    repeats: int
    """Of each query, each time with other values."""
    left_out: tuple[str, ...] = ()
    """Parts that are measured only if they are asked for."""

    @property
    def logs(self) -> tuple[int, int]:
        """Accesses of the small and of the large log."""
        return self.accesses // 10, self.accesses


FULL = Sizes(
    name="full",
    rounds=5,
    connections=(1, 4),
    turn_seconds=3.0,
    turn_events=40_000,
    sustained_seconds=20.0,
    appends={1: 300, 100: 60, 1000: 30},
    peer_proofs=500,
    tree_leaves=1_000_000,
    leaves={SQLITE: (10_000, 1_000_000, 10_000_000), POSTGRESQL: (10_000, 1_000_000)},
    proofs=2000,
    anchoring_seconds=60.0,
    accesses=1_000_000,
    sealed=1_000_000,
    packaged=1_000_000,
    repeats=50,
)

QUICK = Sizes(
    name="quick",
    rounds=3,
    connections=(1, 4),
    turn_seconds=0.6,
    turn_events=12_000,
    sustained_seconds=1.0,
    appends={1: 60, 100: 20, 1000: 6},
    peer_proofs=50,
    tree_leaves=1_000_000,
    leaves={SQLITE: (10_000, 50_000), POSTGRESQL: (10_000, 20_000)},
    proofs=100,
    anchoring_seconds=9.0,
    accesses=9_000,
    sealed=50_000,
    packaged=24_000,
    repeats=3,
    left_out=("queries", "questions", "projecting"),
)

SMOKE = Sizes(
    name="smoke",
    rounds=1,
    connections=(1,),
    turn_seconds=0.05,
    turn_events=1000,
    sustained_seconds=0.1,
    appends={1: 5, 1000: 1},
    peer_proofs=5,
    tree_leaves=10_000,
    leaves={SQLITE: (1000, 3000), POSTGRESQL: (1000, 3000)},
    proofs=10,
    anchoring_seconds=0.5,
    accesses=500,
    sealed=300,
    packaged=400,
    repeats=2,
)
"""Says nothing about speed: a test runs it, so that the benchmark is there when it is needed."""

SIZES = {sizes.name: sizes for sizes in (FULL, QUICK, SMOKE)}
