"""Verifying: a whole log as an evidence package, and single proofs.

A package is verified as an auditor does it, by `transfer-ledger evidence verify`. What an event costs is read off two
packages, of a large and of a small log, so that starting the program does not count; per core means per second of CPU,
wherever it was spent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.apart import Job, apart
from benchmark.filling import ANCHORED, Filled, Wanted, filled, sharing
from benchmark.meters import Figures, Meter, metered
from benchmark.place import PROGRAM, SQLITE, Home, Place
from benchmark.processes import failed, ran_through
from ledger import canonical
from ledger.evidence import build_package
from ledger.note import VerifierKey
from ledger.proof import check_proof, parse_proof, proof_document
from ledger.proving import prove
from ledger.types import Position

PROOFS = 300
FOREVER = 4_000_000_000_000


def measure(place: Place) -> Figures:
    """The part `verification`."""
    wanted = [Wanted(SQLITE, ANCHORED, number) for number in place.sizes.packages]
    small, large = filled(place, sharing(place, wanted))
    packages = [place.folder / f"evidence-{log.events}.zip" for log in (small, large)]
    figures: Figures = {}
    with place.show.step(f"evidence packages of {small.events:,} and {large.events:,} events"):
        for log, package in zip((small, large), packages, strict=True):
            job = Job("evidence build", build, {"home": log.home.arguments(), "package": str(package)})
            figures["build"] = apart(job, place.log)
    with place.show.step("they are verified"):
        runs = [_verify(place, log, package) for log, package in zip((small, large), packages, strict=True)]
    figures["package"] = _difference(small, large, runs)
    with place.show.step("proofs are verified"):
        proofs = min(PROOFS, place.sizes.proofs)
        job = Job("proofs", verify_proofs, {"home": large.home.arguments(), "proofs": proofs})
        figures["proof"] = apart(job, place.log)
    for package in packages:
        package.unlink()
    return figures


def build(home: dict[str, Any], package: str) -> Figures:
    """The package of everything, with all disclosures. Runs apart."""
    opened = Home.of(**home)
    with opened.open() as ledger, Path(package).open("wb") as out, metered() as meter:
        store, signer = ledger.store, ledger.keyring.signer(opened.origin)
        log = store.log(opened.origin)
        manifest = build_package(store, log, signer, 0, FOREVER, ledger.clock.now(), out)
    return {
        "events": manifest.events,
        "events_per_s": manifest.events / meter.seconds,
        "package_bytes": Path(package).stat().st_size,
        **meter.figures(),
    }


def _verify(place: Place, log: Filled, package: Path) -> Meter:
    with log.home.open() as ledger:
        key = ledger.store.log(log.home.origin).verifier_key
    ran = ran_through([PROGRAM, "evidence", "verify", str(package), "--key", key, "--json"], place.log)
    if json.loads(ran.said)["events_in_period"] != log.events:
        raise failed(f"a package of {log.events} events was verified as another", place.log)
    return ran.meter


def _difference(small: Filled, large: Filled, runs: Sequence[Meter]) -> Figures:
    """What the events cost that the large package has more."""
    events = large.events - small.events
    seconds = runs[1].seconds - runs[0].seconds
    cpu = runs[1].cpu_seconds - runs[0].cpu_seconds
    if min(seconds, cpu) <= 0:  # logs too small to be told apart by the time they take: starting counts, too
        events, seconds, cpu = large.events, runs[1].seconds, runs[1].cpu_seconds
    return {
        "events": large.events,
        "events_per_s": events / seconds,
        "events_per_s_per_core": events / cpu,
        "cores_used": cpu / seconds,
        **runs[1].figures(),
    }


def verify_proofs(home: dict[str, Any], proofs: int) -> Figures:
    """Proofs as documents, read strictly and held against the log's key. Runs apart."""
    opened = Home.of(**home)
    with opened.open() as ledger:
        store = ledger.store
        log, size = store.log(opened.origin), store.head(opened.origin).size
        documents = [
            canonical.encode(proof_document(prove(store, log, Position(size * n // proofs), None)))
            for n in range(proofs)
        ]
        key = VerifierKey.parse(log.verifier_key)
    with metered() as meter:
        for document in documents:
            check_proof(parse_proof(document), key)
    return {"proofs_per_s": proofs / meter.seconds, "bytes_of_a_proof": sum(map(len, documents)) // proofs}
