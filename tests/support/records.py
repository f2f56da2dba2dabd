"""Records of projections to test with: whole ones, of which a test changes what it is about."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ledger.entry import Phase
from ledger.records import AccessRecord, SnapshotRecord, TransferFact
from ledger.types import PartyId, Position

_NEVER_NONE = {"position", "phase", "time", "subject", "party", "captured", "external_principals"}


def access_record(position: int = 0, **changes: Any) -> AccessRecord:
    """An access of which nothing is told but what `changes` say."""
    return AccessRecord(**_whole(AccessRecord, position, changes))


def snapshot_record(position: int = 0, **changes: Any) -> SnapshotRecord:
    """A snapshot of which nothing is told but what `changes` say; captured at its event's time."""
    whole = _whole(SnapshotRecord, position, {"external_principals": (), **changes})
    return SnapshotRecord(**{"captured": whole["time"], **whole})


def transfer_fact(
    subject: str, name: str, value: str, *, phase: Phase = Phase.STORAGE, at: int = 0, count: int = 1
) -> TransferFact:
    """A fact of events at one time and position."""
    return TransferFact(subject, phase, name, value, count, 1000 + at, 1000 + at, Position(at), Position(at))


def _whole(kind: type, position: int, changes: dict[str, Any]) -> dict[str, Any]:
    told = {
        "position": Position(position),
        "phase": Phase.STORAGE,
        "time": 1_790_000_000_000 + position,
        "subject": "live-1",
        "party": PartyId("acme"),
    }
    rest = {field.name for field in fields(kind)} - _NEVER_NONE
    return {**dict.fromkeys(rest), **told, **changes}
