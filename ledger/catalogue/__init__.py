"""The catalogue of event types, by phase: `before`, `transit`, `storage`.

    before     declaration · impact-assessment · country-assessment · route · sign-off
               consent-prompt · consent · plugin-authorisation
               deidentification · encryption · model-export (in transit, too)
    transit    hop · segment
    storage    storage · use-report · onward-transfer · review · deletion
    any        access · permission-snapshot · incident · rights-request · complaint

An event of another type is refused: its members could not be told apart into visible and disclosed. A log may allow
such types all the same; then they are *opaque*: every member is salted, and nothing is read from them.
`docs/catalogue.md` has all types with their members.
"""

from __future__ import annotations

from ledger.catalogue.base import Data, EventType, OpaqueType, by_name
from ledger.catalogue.before import (
    COUNTRY_ASSESSMENT,
    DECLARATION,
    DECLARATION_1,
    IMPACT_ASSESSMENT,
    ROUTE,
    SIGN_OFF,
)
from ledger.catalogue.consent import CONSENT, CONSENT_PROMPT, PLUGIN_AUTHORISATION
from ledger.catalogue.rights import COMPLAINT, RIGHTS_REQUEST
from ledger.catalogue.safeguards import DEIDENTIFICATION, ENCRYPTION, MODEL_EXPORT
from ledger.catalogue.storage import ACCESS, PERMISSION_SNAPSHOT, STORED
from ledger.catalogue.transit import HOP, INCIDENT, SEGMENT
from ledger.catalogue.use import DELETION, ONWARD_TRANSFER, REVIEW, USE_REPORT
from ledger.entry import Event
from ledger.errors import InvalidEvent

__all__ = [
    "ACCESS",
    "COMPLAINT",
    "CONSENT",
    "CONSENT_PROMPT",
    "COUNTRY_ASSESSMENT",
    "DECLARATION",
    "DECLARATION_1",
    "DEIDENTIFICATION",
    "DELETION",
    "ENCRYPTION",
    "HOP",
    "IMPACT_ASSESSMENT",
    "INCIDENT",
    "MODEL_EXPORT",
    "ONWARD_TRANSFER",
    "PERMISSION_SNAPSHOT",
    "PLUGIN_AUTHORISATION",
    "REVIEW",
    "RIGHTS_REQUEST",
    "ROUTE",
    "SEGMENT",
    "SIGN_OFF",
    "STORED",
    "USE_REPORT",
    "Data",
    "EventType",
    "OpaqueType",
    "all_types",
    "check_event",
    "find",
    "is_opaque",
    "newest_types",
]

_CATALOGUE = by_name(
    DECLARATION,
    DECLARATION_1,
    IMPACT_ASSESSMENT,
    COUNTRY_ASSESSMENT,
    ROUTE,
    SIGN_OFF,
    CONSENT_PROMPT,
    CONSENT,
    PLUGIN_AUTHORISATION,
    DEIDENTIFICATION,
    ENCRYPTION,
    MODEL_EXPORT,
    HOP,
    SEGMENT,
    INCIDENT,
    ACCESS,
    PERMISSION_SNAPSHOT,
    STORED,
    USE_REPORT,
    ONWARD_TRANSFER,
    REVIEW,
    DELETION,
    RIGHTS_REQUEST,
    COMPLAINT,
)


def all_types() -> tuple[EventType, ...]:
    """Every type, in the order of the phases."""
    return tuple(_CATALOGUE.values())


def newest_types() -> tuple[EventType, ...]:
    """The newest version of each type: what to send. Older versions are taken as before, and mean what they meant."""
    newest = {type_.kind: type_ for type_ in sorted(all_types(), key=lambda t: t.version)}
    return tuple(type_ for type_ in all_types() if type_ is newest[type_.kind])


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


def is_opaque(type: str) -> bool:
    """Whether an event of that type, which is in a log, was taken as opaque."""
    return type not in _CATALOGUE


def check_event(event: Event, *, allow_opaque: bool = False) -> EventType | OpaqueType:
    """The type of `event`, if it is a good event of its type: phase, schema and data.

    With `allow_opaque` a type that is not in the catalogue is answered as an `OpaqueType`, which has no visible
    members. A name under `transfer-ledger.` is never one.

    Raises:
        InvalidEvent: with `details["problems"]`, a list of `{"at", "problem"}` that name places and never values.
    """
    type_ = OpaqueType(event.type) if allow_opaque and is_opaque(event.type) else find(event.type)
    type_.check(event)
    return type_
