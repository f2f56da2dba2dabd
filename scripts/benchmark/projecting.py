"""All of a log at once: projections made again, the access log as a file, the whole reconciliation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmark.apart import Job, apart
from benchmark.filling import ORDERED, Wanted, filled
from benchmark.meters import Figures, metered
from benchmark.place import DATABASES, Home, Place
from benchmark.processes import BenchFailed
from benchmark.show import Tell
from ledger import documents, export
from ledger.auditing import Auditor
from ledger.export import Format
from ledger.reconciliations import page, whole
from ledger.records import ViewFilter

ALL = ViewFilter({})


def measure(place: Place) -> Figures:
    """The part `projecting`."""
    accesses = place.sizes.accesses
    logs = filled(place, [Wanted(kind, ORDERED, accesses) for kind in DATABASES])
    figures: Figures = {}
    for log in logs:
        kind, home = log.home.kind, {"home": log.home.arguments()}
        with place.show.step(f"{kind}: projections of {log.events:,} events made again") as told:
            figures[kind] = {"rebuild": apart(Job("rebuild", rebuild, home), place.log, told)}
        with place.show.step(f"{kind}: {accesses:,} accesses as files"):
            figures[kind]["export"] = apart(Job("export", write_files, home), place.log)
        with place.show.step(f"{kind}: {accesses:,} accesses reconciled"):
            figures[kind]["reconciliation"] = apart(Job("reconciliation", reconcile, home), place.log)
    return figures


def rebuild(home: dict[str, Any], tell: Tell) -> Figures:
    """Drop the projections and make them again. Runs apart."""
    opened = Home.of(**home)
    with opened.open() as ledger:
        before = ledger.store.projections_digest(opened.origin)
        with metered() as meter:
            events = ledger.pipeline.rebuild(opened.origin, progress=lambda done, of: tell(done, of or done))
        if ledger.store.projections_digest(opened.origin) != before:
            raise BenchFailed("the projections that were made again are others")
    return {"events": events, "events_per_s": events / meter.seconds, **meter.figures()}


def write_files(home: dict[str, Any]) -> Figures:
    """The access log in each form. Runs apart."""
    opened, figures = Home.of(**home), Figures()
    with opened.open() as ledger, tempfile.TemporaryDirectory(dir=opened.data) as folder:
        audit = Auditor(ledger.store, ledger.store.log(opened.origin), ledger.clock.now())
        for form in Format:
            file = Path(folder) / f"access.{form}"
            with file.open("wb") as out, metered() as meter:
                rows = export.write(
                    (documents.access(opened.origin, record) for record in audit.every_access(ALL)),
                    form,
                    out,
                )
            figures[form.value] = {
                "rows": rows,
                "rows_per_s": rows / meter.seconds,
                "bytes": file.stat().st_size,
                **meter.figures(),
            }
    return figures


def reconcile(home: dict[str, Any]) -> Figures:
    """Every access against the snapshots, every grant against its use. Runs apart."""
    opened = Home.of(**home)
    with opened.open() as ledger:
        audit = Auditor(ledger.store, ledger.store.log(opened.origin), ledger.clock.now())
        with metered() as meter:
            report = whole(page(opened.origin, it) for it in audit.all_grant_uses(ALL))
    return {
        "accesses": report["accesses"],
        "grants": len(report["grants"]),
        "verdicts": report["verdicts"],
        "accesses_per_s": report["accesses"] / meter.seconds,
        **meter.figures(),
    }
