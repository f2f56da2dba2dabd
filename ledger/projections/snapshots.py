"""Snapshot records: one row for each permission snapshot."""

from __future__ import annotations

from ledger import canonical
from ledger.entry import Event
from ledger.projections.access import text
from ledger.records import Committed, SnapshotRecord


def snapshot_record(committed: Committed, event: Event) -> SnapshotRecord:
    """The record of a permission snapshot. `event` is what `committed` discloses.

    Grants keep the order in which the source gave them: in some policies it decides.
    """
    data = event.data
    public = data.get("public")
    grants = data.get("grants")
    external = data.get("external_principals")
    return SnapshotRecord(
        position=committed.position,
        phase=event.phase,
        time=event.time,
        subject=event.subject,
        resource=text(data, "resource"),
        public=public if isinstance(public, bool) else None,
        external_principals=tuple(p for p in external if isinstance(p, str))
        if isinstance(external, list)
        else (),
        grants=canonical.encode(grants).decode() if isinstance(grants, list) else None,
        source_system=text(data, "source_system"),
    )
