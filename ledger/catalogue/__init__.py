"""The catalogue of event types, by phase: `before`, `transit`, `storage`.

An event of another type is refused: its members could not be told apart into visible and disclosed.
"""

from __future__ import annotations

from ledger.catalogue.base import Data, EventType, by_name
from ledger.catalogue.before import CONSENT, IMPACT_ASSESSMENT
from ledger.catalogue.storage import ACCESS, PERMISSION_SNAPSHOT, STORED
from ledger.catalogue.transit import HOP
from ledger.entry import Event
from ledger.errors import InvalidEvent

__all__ = [
    "ACCESS",
    "CONSENT",
    "HOP",
    "IMPACT_ASSESSMENT",
    "PERMISSION_SNAPSHOT",
    "STORED",
    "Data",
    "EventType",
    "all_types",
    "check_event",
    "find",
]

_CATALOGUE = by_name(IMPACT_ASSESSMENT, CONSENT, HOP, ACCESS, PERMISSION_SNAPSHOT, STORED)


def all_types() -> tuple[EventType, ...]:
    """Every type, in the order of the phases."""
    return tuple(_CATALOGUE.values())


def find(type: str) -> EventType:
    """The type of that name. Raises `InvalidEvent` for any other, listing those there are."""
    try:
        return _CATALOGUE[type]
    except KeyError:
        raise InvalidEvent(
            "not a valid event: type: not in the catalogue",
            advice=f"Known types: {', '.join(_CATALOGUE)}.",
            details={"problems": [{"at": "type", "problem": "not in the catalogue"}]},
        ) from None


def check_event(event: Event) -> EventType:
    """The type of `event`, if it is a good event of its type: phase, schema and data.

    Raises:
        InvalidEvent: with `details["problems"]`, a list of `{"at", "problem"}` that name places and never values.
    """
    type_ = find(event.type)
    type_.check(event)
    return type_
