"""Before transfer: what persons were asked, and what they answered.

Consent belongs to the phase before the transfer that it allows, also where it is given or withdrawn during a stream.
"""

from __future__ import annotations

from typing import Annotated, Literal

from ledger.catalogue.base import (
    BEFORE,
    PROPOSED,
    Country,
    Data,
    EventType,
    Pseudonym,
    Sha256,
    Source,
    Text,
    Time,
)
from ledger.catalogue.shared import PrivacyNotice, RecipientThirdParty


class ConsentPrompt(Data):
    """One person was asked for consent; the answer, if there is one, is an event of its own.

    So a person who was never asked can be told from one who did not answer.
    """

    prompt_id: Text
    """Id of this prompt; the answer names it."""
    session_id: Text
    """Live session at whose start it was shown."""
    pii_principal_id: Annotated[Pseudonym, Source("TS 27560")]
    """The person who was asked: a keyed pseudonym."""
    state: Annotated[Literal["shown", "left"], Source(PROPOSED)]
    """`shown`: it stood before the person; `left`: the person went away without an answer."""
    choices: Annotated[list[Literal["granted", "watch-only", "refused"]], Source(PROPOSED)]
    """The answers that were offered. Prompts at each start of a stream, and watching only, are proposed policy."""
    trigger: Literal["stream-start", "change", "renewal"] | None = None
    """Why the person was asked: `change` of purpose, method or category asks again (PIPL 14 [T])."""
    separate: Annotated[bool | None, Source("PIPL 39 [T]")] = None
    """Asked on its own, not bundled with other consent (单独同意)."""
    privacy_notice: Annotated[PrivacyNotice | None, Source("TS 27560; PIPL 17, 39 [T]")] = None
    """The notice that was shown."""
    language: Annotated[Text | None, Source("TS 27560; BCP 47")] = None
    """Tag of the language in which the person was asked."""
    purposes: Annotated[list[Text] | None, Source("TS 27560; DPV")] = None
    """What the data would be used for."""
    pii_information: Annotated[list[Text] | None, Source("TS 27560; DPV")] = None
    """Categories of personal information that would cross."""
    recipient_third_parties: Annotated[list[RecipientThirdParty] | None, Source("TS 27560; PIPL 39 [T]")] = (
        None
    )
    """Who would receive them abroad."""
    screen_sha256: Sha256 | None = None
    """SHA-256 of the prompt as it was drawn: text, or picture."""
    event_time: Annotated[Time | None, Source("TS 27560")] = None
    """When it was shown, where that differs from the event's time."""


class Consent(Data):
    """One person's answer to one prompt; members are named as in ISO/IEC TS 27560.

    `watch-only` is the answer of one who watches a stream without taking part: nothing that they do is exported.
    """

    record_id: Annotated[Text, Source("TS 27560")]
    """Id of the consent record."""
    pii_principal_id: Annotated[Pseudonym, Source("TS 27560")]
    """The person: a keyed pseudonym."""
    choice: Annotated[
        Literal["granted", "watch-only", "refused", "withdrawn"],
        Source("PIPL 14–16 [T]; watch-only: " + PROPOSED),
    ]
    """The answer; `withdrawn` takes back an earlier one."""
    session_id: Text | None = None
    """Live session that the answer is for."""
    prompt_id: Text | None = None
    """Prompt that it answers."""
    separate: Annotated[bool | None, Source("PIPL 39 [T]")] = None
    """Asked for on its own, not bundled with other consent (单独同意)."""
    privacy_notice: Annotated[PrivacyNotice | None, Source("TS 27560; PIPL 17, 39 [T]")] = None
    """The notice that was shown."""
    language: Annotated[Text | None, Source("TS 27560; BCP 47")] = None
    """Tag of the language in which the person was asked."""
    purposes: Annotated[list[Text] | None, Source("TS 27560; DPV")] = None
    """What the data are used for."""
    lawful_basis: Annotated[Text | None, Source("TS 27560; DPV; PIPL 13 [T]")] = None
    """Legal basis of the handling."""
    pii_information: Annotated[list[Text] | None, Source("TS 27560; DPV")] = None
    """Categories of personal information."""
    collection_method: Annotated[Text | None, Source("TS 27560")] = None
    """How they are collected."""
    storage_locations: Annotated[list[Country] | None, Source("TS 27560; ISO 3166-1")] = None
    """Countries in which they are kept."""
    processing_locations: Annotated[list[Country] | None, Source("TS 27560; ISO 3166-1")] = None
    """Countries in which they are handled."""
    retention_period: Annotated[Text | None, Source("TS 27560; ISO 8601")] = None
    """How long they are kept: a duration, such as P3Y."""
    recipient_third_parties: Annotated[list[RecipientThirdParty] | None, Source("TS 27560; PIPL 39 [T]")] = (
        None
    )
    """Who receives them abroad."""
    withdrawal_method: Annotated[Text | None, Source("TS 27560; PIPL 15 [T]")] = None
    """How the answer can be taken back."""
    event_time: Annotated[Time | None, Source("TS 27560")] = None
    """When the person answered, where that differs from the event's time."""
    validity_duration: Annotated[Text | None, Source("TS 27560; ISO 8601")] = None
    """How long the answer holds: a duration."""
    event_type: Annotated[Text | None, Source("TS 27560")] = None
    """Kind of the consent event in the source's words."""
    event_state: Annotated[Text | None, Source("TS 27560")] = None
    """State of the consent in the source's words."""
    guardian: Annotated[bool | None, Source("PIPL 31 [T]")] = None
    """Given by a guardian for a person under 14."""


class PluginAuthorisation(Data):
    """A third-party plug-in may see data of a stream, or no longer: by the platform's word, or by a person's.

    For biometrics the plug-in's developer needs an authorisation of its own (proposed policy). Platform and third-party
    product both answer for it (网络数据安全管理条例 40 [T]).
    """

    authorisation_id: Text
    """Id of the authorisation."""
    plugin: Text
    """Name or id of the plug-in."""
    plugin_version: Text
    """Its version; another version needs another authorisation."""
    developer: Text
    """Id of the party that makes it."""
    developer_country: Annotated[Country | None, Source("ISO 3166-1")] = None
    """Where the developer is established."""
    function: (
        Literal["beauty-filter", "virtual-try-on", "translation", "payment", "analytics", "other"] | None
    ) = None
    """What it does."""
    granted_by: Literal["platform", "person"]
    """Whose word it is: the platform's, which lets it in; or a person's, whose data it reads."""
    status: Literal["granted", "refused", "withdrawn", "expired"]
    """How it stands."""
    biometrics: Annotated[bool, Source("PIPL 28 [T]")]
    """Whether it reads face, voice or other biometric features."""
    pii_principal_id: Annotated[Pseudonym | None, Source("TS 27560")] = None
    """The person, with `granted_by` `person`: a keyed pseudonym."""
    consent_record_id: Annotated[Text | None, Source("TS 27560")] = None
    """Record of the developer's own consent."""
    session_id: Text | None = None
    """Live session that it is for; absent for all."""
    separate: Annotated[bool | None, Source("PIPL 29 [T]")] = None
    """Asked for on its own, not bundled with other consent."""
    privacy_notice: Annotated[PrivacyNotice | None, Source("TS 27560; PIPL 17, 30 [T]")] = None
    """The developer's notice that was shown."""
    purposes: Annotated[list[Text] | None, Source("TS 27560; DPV")] = None
    """What it uses the data for."""
    data_categories: Annotated[list[Text] | None, Source("DPV")] = None
    """Categories of data that it reads."""
    processing_locations: Annotated[list[Country] | None, Source("TS 27560; ISO 3166-1")] = None
    """Countries in which it handles them."""
    code_sha256: Sha256 | None = None
    """SHA-256 of the plug-in as it was let in."""
    valid_until: Time | None = None
    """Until when it holds."""


CONSENT_PROMPT = EventType(
    "consent-prompt",
    "Consent prompted",
    "同意提示",
    BEFORE,
    ConsentPrompt,
    frozenset({"choices", "separate", "trigger"}),
    source="ledger",
)
CONSENT = EventType(
    "consent", "Consent", "同意记录", BEFORE, Consent, frozenset({"separate"}), source="TS 27560"
)
PLUGIN_AUTHORISATION = EventType(
    "plugin-authorisation",
    "Plug-in authorisation",
    "插件授权",
    BEFORE,
    PluginAuthorisation,
    frozenset({"granted_by", "biometrics", "separate"}),
    source="ledger",
)
