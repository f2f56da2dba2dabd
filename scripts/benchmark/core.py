"""The core alone beside its peers (`peers`): opaque entries of 200 bytes, appended durably, with roots and proofs.

All take turns, A B C D A B C D …, on the same disk. Proofs come last, out of all that was appended.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from benchmark.meters import Figures, latencies, median, set_aside
from benchmark.peers import (
    ENTRY_BYTES,
    Core,
    HashChain,
    IndexedCore,
    Peer,
    Pymerkle,
    hypercore,
    install_hypercore,
)
from benchmark.place import SQLITE, Place

PROOFS_OF_A_CHAIN = 20
"""Each reads half of the chain on average."""


def measure(place: Place) -> Figures:
    """The part `core`."""
    sizes = place.sizes
    with place.show.step("hypercore is installed"):
        install_hypercore(place.log)
    with ExitStack() as stack:
        systems = _systems(place, stack)
        set_aside()
        figures: Figures = {
            system.name: {"durability": system.durability, "append": {}, "append_and_root": {}}
            for system in systems
        }
        for size, count in sizes.appends.items():
            with place.show.step(f"{size} entries an append") as told:
                for root in (False, True):
                    rates = _turns(systems, size, count, sizes.rounds, root=root)
                    for system in systems:
                        figures[system.name]["append_and_root" if root else "append"][str(size)] = {
                            "entries_per_s": median(rates[system.name])
                        }
                    told(1 + root, 2)
        with place.show.step("proofs"):
            for system in systems:
                chain = isinstance(system, HashChain)
                count = min(sizes.peer_proofs, PROOFS_OF_A_CHAIN) if chain else sizes.peer_proofs
                figures[system.name]["proof"] = latencies(system.prove(count))
    appended = sizes.rounds * 2 * sum(size * count for size, count in sizes.appends.items())
    return {"entry_bytes": ENTRY_BYTES, "entries": appended, "systems": figures}


def _systems(place: Place, stack: ExitStack) -> Sequence[Peer]:
    homes = [place.ledger(SQLITE, name) for name in ("core", "indexed")]
    own = [
        kind(stack.enter_context(home.open()), home)
        for kind, home in zip((Core, IndexedCore), homes, strict=True)
    ]
    pymerkle, chain = Pymerkle(place.folder / "pymerkle.db"), HashChain(place.folder / "chain.db")
    stack.callback(pymerkle.close)
    stack.callback(chain.close)
    cores = [
        stack.enter_context(hypercore(place.folder / f"hypercore-{durable}", place.log, durable=durable))
        for durable in (True, False)
    ]
    return [*own, pymerkle, chain, *cores]


def _turns(
    systems: Sequence[Peer], size: int, count: int, rounds: int, *, root: bool
) -> dict[str, list[float]]:
    """Entries a second of each system's turns."""
    rates: dict[str, list[float]] = {system.name: [] for system in systems}
    for _ in range(rounds):
        for system in systems:
            pushes = [[os.urandom(ENTRY_BYTES) for _ in range(size)] for _ in range(count)]
            rates[system.name].append(size * count / system.append(pushes, root=root))
    return rates
