"""Access records: one row for each access."""

from __future__ import annotations

from ledger.canonical import Object
from ledger.entry import Event
from ledger.records import AccessRecord, Committed


def access_record(committed: Committed, event: Event) -> AccessRecord:
    """The record of an access. `event` is what `committed` discloses."""
    data = event.data
    return AccessRecord(
        position=committed.position,
        phase=event.phase,
        time=event.time,
        subject=event.subject,
        principal=text(data, "principal"),
        action=text(data, "action"),
        resource=text(data, "resource"),
        outcome=text(data, "outcome"),
        country=text(data, "country"),
        source_address=text(data, "source_address"),
        tls_version=text(data, "tls_version"),
        bytes=integer(data, "bytes"),
        source_system=text(data, "source_system"),
        completeness=text(data, "completeness"),
    )


def text(data: Object, name: str) -> str | None:
    """The member of that name if it is a string."""
    value = data.get(name)
    return value if isinstance(value, str) else None


def integer(data: Object, name: str) -> int | None:
    """The member of that name if it is an integer; JSON's true is none."""
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
