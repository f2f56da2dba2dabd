"""Objects and vocabularies that several types share."""

from __future__ import annotations

from typing import Annotated, Literal

from ledger.catalogue.base import Country, Data, Sha256, Source, Text

Level = Literal["low", "medium", "high"]
Rating = Literal["adequate", "adequate-with-measures", "inadequate"]
Severity = Literal["informational", "low", "medium", "high", "critical", "fatal"]
"""OCSF `severity`."""
PartyRole = Literal[
    "platform",
    "streamer",
    "mcn",
    "cdn",
    "payment",
    "plugin-developer",
    "recipient",
    "auditor",
    "certifier",
    "regulator",
    "operator",
]
"""The roles of the party register (`ledger.records.Role`)."""
Capacity = Literal[
    "data-exporter",
    "data-importer",
    "data-controller",
    "joint-data-controllers",
    "data-processor",
    "data-sub-processor",
    "recipient",
]
"""DPV's legal roles, in kebab case. A 个人信息处理者 is a `data-controller`, a 受托人 a `data-processor`."""


class Document(Data):
    """A document that is kept elsewhere."""

    sha256: Sha256
    """SHA-256 of its bytes."""
    title: Text | None = None
    """Title."""
    version: Text | None = None
    """Version, as its author counts."""
    uri: Text | None = None
    """Where it is kept."""


class TransferParty(Data):
    """An organisation that handles the data, and in what capacity."""

    party: Text
    """Id in the party register, or the name that the others know it by."""
    role: PartyRole
    """What it does in live commerce."""
    country: Country
    """Where it is established."""
    name: Annotated[Text | None, Source("PIPL 23, 39 [T]")] = None
    """Name as in the notice."""
    capacity: Annotated[Capacity | None, Source("DPV; PIPL 20, 21, 23 [T]")] = None
    """Legal role: who decides, who only acts for another, who receives."""
    contact: Annotated[Text | None, Source("PIPL 23, 39 [T]")] = None
    """How persons reach it."""


class PrivacyNotice(Data):
    """The notice that was shown (PIPL 17 and 39 [T])."""

    version: Text
    """Version of the text."""
    hash: Sha256 | None = None
    """SHA-256 of the text as shown."""
    uri: Text | None = None
    """Where the text is kept."""
    language: Text | None = None
    """BCP 47 tag of the language that it was shown in."""
    prominent: bool | None = None
    """Shown apart from other text, not as one clause among many."""


class RecipientThirdParty(Data):
    """Who receives the data abroad (PIPL 39 [T]: name, contact, purpose, method, categories)."""

    name: Text
    """Name of the recipient."""
    country: Country | None = None
    """Country of the recipient."""
    contact: Text | None = None
    """How to reach it."""
    purpose: Text | None = None
    """What it handles the data for."""
    method: Text | None = None
    """How it handles the data."""
    pii_information: list[Text] | None = None
    """Categories of personal information that it receives."""
