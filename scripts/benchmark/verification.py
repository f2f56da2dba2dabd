"""Verifying: a whole log as an evidence package, and single proofs.

A package is verified by what `transfer-ledger evidence verify` calls, in a process of its own, so that starting it does
not count: with the native part, where there is one, and by Python alone. Per core means per second of CPU, wherever it
was spent.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmark.apart import Job, apart
from benchmark.filling import ANCHORED, Wanted, filled, sharing
from benchmark.meters import Figures, Meter, metered
from benchmark.place import SQLITE, Home, Place
from benchmark.processes import failed
from ledger import canonical, native
from ledger.evidence import build_package, check_package
from ledger.note import VerifierKey
from ledger.proof import check_proof, parse_proof, proof_document
from ledger.proving import prove
from ledger.types import Position

PROOFS = 300
FOREVER = 4_000_000_000_000


def measure(place: Place) -> Figures:
    """The part `verification`."""
    [log] = filled(place, sharing(place, [Wanted(SQLITE, ANCHORED, place.sizes.packaged)]))
    package, home = place.folder / f"evidence-{log.events}.zip", log.home.arguments()
    figures: Figures = {}
    with place.show.step(f"an evidence package of {log.events:,} events"):
        job = Job("evidence build", build, {"home": home, "package": str(package)})
        figures["build"] = apart(job, place.log)
    with log.home.open() as ledger:
        key = ledger.store.log(log.home.origin).verifier_key
    for name, natively in (("package", True), ("package_by_python", False)):
        with place.show.step("it is verified" + ("" if natively else " by Python alone")):
            arguments = {
                "package": str(package),
                "key": key,
                "natively": natively,
                "rounds": place.sizes.rounds,
            }
            figures[name] = apart(Job("evidence verify", verify, arguments), place.log)
        if figures[name]["events"] != log.events:
            raise failed(f"a package of {log.events} events was verified as another", place.log)
    with place.show.step("proofs are verified"):
        proofs = min(PROOFS, place.sizes.proofs)
        figures["proof"] = apart(Job("proofs", verify_proofs, {"home": home, "proofs": proofs}), place.log)
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


def verify(package: str, key: str, natively: bool, rounds: int) -> Figures:
    """The package as often, of which the middle one counts. Runs apart."""
    if not natively:
        os.environ[native.VARIABLE] = "no"  # for the processes that it starts
        native.library = None
    meters: list[Meter] = []
    for _ in range(rounds):
        with Path(package).open("rb") as file, metered() as meter:
            events = check_package(file, VerifierKey.parse(key)).events_in_period
        meters.append(meter)
    meter = sorted(meters, key=lambda each: each.cpu_seconds)[rounds // 2]
    return {
        "events": events,
        "natively": native.library is not None,
        "events_per_s": events / meter.seconds,
        "events_per_s_per_core": events / meter.cpu_seconds,
        "cores_used": meter.cpu_seconds / meter.seconds,
        **meter.figures(),
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
