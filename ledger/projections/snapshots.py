"""Snapshot records: one row for each permission snapshot."""

from __future__ import annotations

from ledger import canonical
from ledger.entry import Event
from ledger.projections.members import boolean, moment, text, texts
from ledger.records import Committed, SnapshotRecord


def snapshot_record(committed: Committed, event: Event) -> SnapshotRecord:
    """The record of a permission snapshot. `event` is what `committed` discloses.

    Grants keep the order in which the source gave them: in some policies it decides.
    """
    data = event.data
    captured, grants = moment(data, "captured_at"), data.get("grants")
    return SnapshotRecord(
        position=committed.position,
        phase=event.phase,
        time=event.time,
        subject=event.subject,
        party=committed.party,
        captured=event.time if captured is None else captured,
        resource=text(data, "resource"),
        owner=text(data, "owner"),
        public=boolean(data, "public"),
        external_principals=tuple(texts(data, "external_principals")),
        grants=canonical.encode(grants).decode() if isinstance(grants, list) else None,
        collector=text(data, "collector"),
        api_call=text(data, "api_call"),
        region=text(data, "region"),
        country=text(data, "country"),
        source_system=text(data, "source_system"),
        completeness=text(data, "completeness"),
        raw_sha256=text(data, "raw_sha256"),
    )
