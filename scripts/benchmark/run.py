"""One run: the parts in order, whatever becomes of each, and the figures as one JSON object.

{"format": …, "made": …, "sizes": "full", "seconds": …,
 "machine": {…},                    `machine`
 "ratios": {…}, "rates": {…},       what the project holds itself to (`keys`), as far as it was measured
 "parts": {"ingest": {…}, …},       everything
 "failures": {"core": "why"}}
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmark import (
    anchoring,
    core,
    ingest,
    machine,
    projecting,
    proofs,
    queries,
    questions,
    sealing,
    storage,
    verification,
)
from benchmark.keys import RATES, RATIOS, found
from benchmark.meters import Figures
from benchmark.place import Place
from benchmark.processes import BenchFailed
from benchmark.show import Show
from benchmark.sizes import Sizes
from ledger.errors import LedgerError

FORMAT = "transfer-ledger/benchmark/v1"

PARTS: dict[str, Callable[[Place], Figures]] = {
    "ingest": ingest.measure,
    "core": core.measure,
    "anchoring": anchoring.measure,
    "proofs": proofs.measure,
    "storage": storage.measure,
    "verification": verification.measure,
    "sealing": sealing.measure,
    "queries": queries.measure,
    "questions": questions.measure,
    "projecting": projecting.measure,
}
"""In this order no part changes what a later one measures; what the project holds itself to comes first."""


def measure(
    show: Show, sizes: Sizes, parts: Sequence[str], folder: Path | None, keep: Callable[[Figures], None]
) -> Figures:
    """Run the parts.

    Args:
        folder: where the data of the run lies; the system's temporary folder by default.
        keep: called with the figures after each part, so that an end before the last loses none.
    """
    began = time.monotonic()
    with _folder(folder) as data, ExitStack() as stack:
        place = Place(data, sizes, show, stack)
        figures: Figures = {
            "format": FORMAT,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "sizes": sizes.name,
            "counts": asdict(sizes),
            "machine": machine.describe(place),
            "parts": {},
            "failures": {},
        }
        for name in (name for name in PARTS if name in parts):
            with show.part(name):
                try:
                    figures["parts"][name] = PARTS[name](place)
                except (BenchFailed, LedgerError, OSError) as error:
                    figures["failures"][name] = str(error)
                    show.say(f"  not measured: {error}", "bold red")
            figures["seconds"] = time.monotonic() - began
            figures["ratios"] = found(RATIOS, figures["parts"])
            figures["rates"] = found(RATES, figures["parts"])
            keep(figures)
    return figures


@contextmanager
def _folder(within: Path | None) -> Iterator[Path]:
    """A folder of this run's own, which is gone at the end. PostgreSQL, which makes one itself, makes it beside."""
    if within is not None:
        within.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(within.absolute())
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
