"""Before transfer: what was assessed, and who agreed to what."""

from __future__ import annotations

from typing import Literal

from ledger.catalogue.base import BEFORE, Count, Country, Data, EventType, Pseudonym, Sha256, Text, Time


class Document(Data):
    """A document that is kept elsewhere."""

    sha256: Sha256
    title: Text | None = None
    version: Text | None = None
    uri: Text | None = None


class Risk(Data):
    """One risk to the persons' rights, and what is done about it."""

    risk: Text
    likelihood: Literal["low", "medium", "high"]
    impact: Literal["low", "medium", "high"]
    measures: list[Text] | None = None


class CountryAssessment(Data):
    """Law and protection level of a recipient's country (数据出境安全评估办法 art. 8(2))."""

    country: Country
    rating: Literal["adequate", "adequate-with-measures", "inadequate"] | None = None
    law: Text | None = None
    access_by_authorities: Text | None = None


class ImpactAssessment(Data):
    """A personal information protection impact assessment (PIPL art. 55, contents of art. 56; GDPR art. 35)."""

    assessment_id: Text
    version: Text
    previous: Text | None = None
    """Version that this one replaces."""
    transfers: list[Text] | None = None
    """Subjects of the transfers it covers; none for the event's own subject."""
    assessor: Text | None = None
    approver: Text | None = None
    assessed: Time | None = None
    approved: Time | None = None
    purposes: list[Text] | None = None
    scope: Text | None = None
    method: Text | None = None
    necessity: Text | None = None
    """Why purpose, scope and method are lawful, legitimate and necessary (PIPL art. 56(1))."""
    data_categories: list[Text] | None = None
    sensitive: bool | None = None
    """Whether sensitive personal information (PIPL art. 28) is among them."""
    persons: Count | None = None
    """Persons concerned, estimated."""
    recipients: list[Text] | None = None
    recipient_commitments: Text | None = None
    recipient_countries: list[Country]
    """Every country that the data may reach or pass."""
    countries: list[CountryAssessment] | None = None
    risks: list[Risk] | None = None
    """Influence on rights, and security risks (PIPL art. 56(2))."""
    measures: list[Text] | None = None
    """Protective measures, and whether they fit the risks (PIPL art. 56(3))."""
    redress: Text | None = None
    residual_risk: Literal["low", "medium", "high"] | None = None
    conclusion: Literal["approved", "approved-with-conditions", "rejected"]
    review_triggers: list[Text] | None = None
    retain_until: Time | None = None
    """At least three years on (PIPL art. 56)."""
    document: Document | None = None


class PrivacyNotice(Data):
    """The notice that was shown (PIPL art. 17 and 39)."""

    version: Text
    hash: Sha256 | None = None
    """SHA-256 of the text as shown."""
    uri: Text | None = None
    language: Text | None = None
    prominent: bool | None = None
    """Shown apart from other text, not as one clause among many."""


class RecipientThirdParty(Data):
    """Who receives the data abroad (PIPL art. 39: name, contact, purpose, method, categories)."""

    name: Text
    country: Country | None = None
    contact: Text | None = None
    purpose: Text | None = None
    method: Text | None = None
    pii_information: list[Text] | None = None


class Consent(Data):
    """One person's answer to one prompt; members are named as in ISO/IEC TS 27560.

    `watch-only` is the answer of one who watches a stream without taking part: nothing that they do is exported.
    """

    record_id: Text
    pii_principal_id: Pseudonym
    choice: Literal["granted", "watch-only", "refused", "withdrawn"]
    session_id: Text | None = None
    prompt_id: Text | None = None
    separate: bool | None = None
    """Asked for on its own, not bundled with other consent (单独同意, PIPL art. 39)."""
    privacy_notice: PrivacyNotice | None = None
    language: Text | None = None
    """BCP 47 tag of the language in which the person was asked."""
    purposes: list[Text] | None = None
    lawful_basis: Text | None = None
    pii_information: list[Text] | None = None
    """Categories of personal information."""
    collection_method: Text | None = None
    storage_locations: list[Country] | None = None
    processing_locations: list[Country] | None = None
    retention_period: Text | None = None
    """ISO 8601 duration, such as P3Y."""
    recipient_third_parties: list[RecipientThirdParty] | None = None
    withdrawal_method: Text | None = None
    event_time: Time | None = None
    validity_duration: Text | None = None
    """ISO 8601 duration."""
    event_type: Text | None = None
    event_state: Text | None = None
    guardian: bool | None = None
    """Given by a guardian for a person under 14 (PIPL art. 31)."""


IMPACT_ASSESSMENT = EventType(
    "impact-assessment",
    "Impact assessment",
    "个人信息保护影响评估",
    BEFORE,
    ImpactAssessment,
    frozenset({"conclusion", "residual_risk", "recipient_countries", "sensitive"}),
)
CONSENT = EventType("consent", "Consent", "同意记录", BEFORE, Consent, frozenset({"separate"}))
