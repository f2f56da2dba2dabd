"""Persons' requests and complaints, and what came of them.

They are about one person, so nothing of them is visible: also that somebody complained is that person's own affair.
"""

from __future__ import annotations

from typing import Annotated, Literal

from ledger.catalogue.base import EVERY_PHASE, Data, EventType, Pseudonym, Source, Text, Time
from ledger.catalogue.shared import Document


class RightsRequest(Data):
    """A person makes use of a right (PIPL 44–50 [T]); each new status is an event of its own."""

    request_id: Text
    """Id of the request."""
    pii_principal_id: Annotated[Pseudonym, Source("TS 27560")]
    """The person: a keyed pseudonym."""
    kind: Literal[
        "know",
        "access",
        "copy",
        "portability",
        "correction",
        "deletion",
        "restriction",
        "objection",
        "explanation",
        "withdrawal",
    ]
    """What is asked for."""
    status: Literal["received", "forwarded", "completed", "partly-completed", "refused", "retracted"]
    """How it stands."""
    received: Time
    """When it came in."""
    due: Time | None = None
    """Until when it is to be answered."""
    answered: Time | None = None
    """When it was answered."""
    outcome: Text | None = None
    """What was done."""
    refusal_reason: Annotated[Text | None, Source("PIPL 50 [T]")] = None
    """Why it was refused: the person must be told."""
    handled_by: Text | None = None
    """Id of the party that answers it."""
    forwarded_to: list[Text] | None = None
    """Ids of the recipients that have to do their part."""
    guardian: Annotated[bool | None, Source("PIPL 31 [T]")] = None
    """Made by a guardian for a person under 14."""
    channel: Text | None = None
    """How it came in."""
    language: Annotated[Text | None, Source("BCP 47")] = None
    """Tag of its language."""
    document: Document | None = None
    """Request and answer."""


class Complaint(Data):
    """Somebody complains about the handling; each new status is an event of its own."""

    complaint_id: Text
    """Id of the complaint."""
    pii_principal_id: Annotated[Pseudonym | None, Source("TS 27560")] = None
    """The person, if it was one and gave a name: a keyed pseudonym."""
    subject_matter: Literal[
        "consent",
        "over-collection",
        "export",
        "misuse",
        "leak",
        "automated-decision",
        "request-unanswered",
        "other",
    ]
    """What it is about."""
    against: list[Text] | None = None
    """Ids of the parties that it is about."""
    concerning: list[Text] | None = None
    """Ids of transfers, requests or incidents that it names."""
    status: Literal["received", "forwarded", "upheld", "partly-upheld", "rejected", "retracted"]
    """How it stands."""
    received: Time
    """When it came in."""
    due: Time | None = None
    """Until when it is to be answered."""
    answered: Time | None = None
    """When it was answered."""
    outcome: Text | None = None
    """What came of it."""
    remedy: Text | None = None
    """What the person got."""
    attributed_to: Text | None = None
    """Id of the party that was found to answer for it."""
    handled_by: Text | None = None
    """Id of the party, or name of the authority, that decides it."""
    channel: Text | None = None
    """How it came in."""
    document: Document | None = None
    """Complaint and answer."""


RIGHTS_REQUEST = EventType(
    "rights-request", "Rights request", "个人权利请求", EVERY_PHASE, RightsRequest, source="PIPL 44–50 [T]"
)
COMPLAINT = EventType("complaint", "Complaint", "投诉", EVERY_PHASE, Complaint, source="ledger")
