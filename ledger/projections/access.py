"""Access records: one row for each access."""

from __future__ import annotations

from ledger.entry import Event
from ledger.projections.members import integer, sha256, text
from ledger.records import AccessRecord, Committed


def access_record(committed: Committed, event: Event) -> AccessRecord:
    """The record of an access. `event` is what `committed` discloses."""
    data = event.data
    return AccessRecord(
        position=committed.position,
        phase=event.phase,
        time=event.time,
        subject=event.subject,
        party=committed.party,
        principal=text(data, "principal"),
        action=text(data, "action"),
        resource=text(data, "resource"),
        outcome=text(data, "outcome"),
        reason=text(data, "reason"),
        country=text(data, "country"),
        source_address=text(data, "source_address"),
        tls_version=text(data, "tls_version"),
        cipher=text(data, "cipher"),
        bytes=integer(data, "bytes"),
        class_uid=integer(data, "class_uid"),
        source_system=text(data, "source_system"),
        completeness=text(data, "completeness"),
        raw_sha256=sha256(data, "raw_sha256"),
    )
