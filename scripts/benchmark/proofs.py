"""Reading proofs out of logs of very different sizes.

The logs are alike but for their size (`bulk`): sealed in batches of 8192, anchored, under one checkpoint. Positions are
drawn anew for each proof, and the logs take turns, so that none is read in a better moment than the others.
"""

from __future__ import annotations

import random
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmark import bulk
from benchmark.apart import Job, together
from benchmark.filling import seal_and_anchor
from benchmark.meters import Figures, latencies, set_aside
from benchmark.place import DATABASES, Home, Place
from benchmark.processes import BenchFailed
from benchmark.show import Tell
from ledger.bootstrap import Wired
from ledger.note import VerifierKey
from ledger.proof import check_proof
from ledger.proving import prove
from ledger.records import Log
from ledger.types import Position

TURN = 20
"""Proofs of one turn."""
BYTES_OF_A_LEAF = 1500
"""On the disk, roughly, with what a database needs beside it while it writes."""


@dataclass(slots=True)
class Read:
    """One log, and what its proofs took."""

    ledger: Wired
    log: Log
    size: int
    seconds: list[float]


def measure(place: Place) -> Figures:
    """The part `proofs`."""
    return {kind: _on(place, kind) for kind in DATABASES}


def _on(place: Place, kind: str) -> Figures:
    sizes = place.sizes.leaves[kind]
    _require_room(place, sum(sizes))
    homes = [place.ledger(kind, f"proofs-{size}") for size in sizes]
    jobs = [
        Job(f"{kind}: a log of {size:,} leaves", fill, {"home": home.arguments(), "leaves": size})
        for home, size in zip(homes, sizes, strict=True)
    ]
    with place.show.steps([job.title for job in jobs]) as tells:
        together(jobs, place.log, tells)
    with ExitStack() as stack, place.show.step(f"{kind}: {place.sizes.proofs} proofs out of each") as told:
        logs = []
        for home, size in zip(homes, sizes, strict=True):
            ledger = stack.enter_context(home.open())
            logs.append(Read(ledger, ledger.store.log(home.origin), size, []))
        _take_turns(logs, place.sizes.proofs, told)
    for home in homes:
        place.drop(home)
    figures = {str(log.size): latencies(log.seconds) for log in logs}
    small, large = figures[str(sizes[0])], figures[str(sizes[-1])]
    return {"logs": figures, "p99_large_vs_small": large["p99_ms"] / small["p99_ms"]}


def _require_room(place: Place, leaves: int) -> None:
    free = shutil.disk_usage(place.folder).free
    if free < leaves * BYTES_OF_A_LEAF:
        raise BenchFailed(
            f"logs of {leaves:,} leaves need about {leaves * BYTES_OF_A_LEAF / 1e9:.0f} GB in {place.folder},"
            f" and {free / 1e9:.0f} GB are free: name a larger disk with --folder, or take --quick"
        )


def fill(home: dict[str, Any], leaves: int, tell: Tell) -> int:
    """Fill, seal and anchor a log. Runs apart."""
    opened = Home.of(**home)
    with opened.open() as ledger:
        bulk.multiply(ledger.pipeline, opened.origin, leaves, tell)
        seal_and_anchor(ledger.pipeline, opened.origin)
    return leaves


def _take_turns(logs: list[Read], count: int, tell: Tell) -> None:
    draw = random.Random(1)
    set_aside()
    for log in logs:
        _read(log, draw, log.seconds)  # statements are prepared, connections opened
        log.seconds.clear()
    for done in range(0, count, TURN):
        for log in logs:
            _read(log, draw, log.seconds)
        tell(done + TURN, count)


def _read(log: Read, draw: random.Random, seconds: list[float]) -> None:
    """One turn; the last of its proofs is checked."""
    for _ in range(TURN):
        position = Position(draw.randrange(log.size))
        began = time.perf_counter()
        proof = prove(log.ledger.store, log.log, position, None)
        seconds.append(time.perf_counter() - began)
    check_proof(proof, VerifierKey.parse(log.log.verifier_key))
