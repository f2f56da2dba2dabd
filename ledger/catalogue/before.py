"""Before transfer: what is to go where, what was assessed, on which legal route, and who signed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from ledger.catalogue.base import (
    BEFORE,
    PROPOSED,
    Count,
    Country,
    Data,
    Duration,
    EventType,
    Sha256,
    Source,
    Text,
    Time,
)
from ledger.catalogue.shared import Document, Level, Rating, TransferParty


class DeclaredCategory(Data):
    """A category of data that is to cross the border."""

    category: Annotated[Text, Source("DPV")]
    """The category, in the words that hops, segments and objects use for it."""
    tier: Annotated[int | None, Field(ge=1, le=3), Source(PROPOSED)] = None
    """1: account, nickname, telephone number; 2: watching time, comments, tips; 3: face, voice."""
    sensitive: Annotated[bool | None, Source("PIPL 28 [T]")] = None
    """Whether it is sensitive personal information."""
    important: Annotated[bool | None, Source("促进和规范数据跨境流动规定 [P/S]")] = None
    """Whether it is important data (重要数据)."""


class Declaration(Data):
    """What is to cross the border: by whom, to whom, what for, which data, when."""

    declaration_id: Text
    """Id of the declaration; its later versions have the same."""
    version: Text
    """Version; another purpose, recipient, category or country makes a new one."""
    previous: Text | None = None
    """Version that this one replaces."""
    parties: Annotated[list[TransferParty], Source("PIPL 20, 21, 23 [T]")]
    """Everybody who handles the data, with role and capacity."""
    purposes: Annotated[list[Text], Source("PIPL 6 [T]; DPV")]
    """What for, and nothing else."""
    lawful_basis: Annotated[Text | None, Source("PIPL 13 [T]; DPV")] = None
    """Legal basis of the handling."""
    data_categories: Annotated[list[DeclaredCategory], Source("PIPL 39 [T]; DPV")]
    """Which data, with the tier of each."""
    method: Annotated[Text | None, Source("PIPL 39 [T]")] = None
    """How the data are handled abroad."""
    recipient_countries: Annotated[list[Country], Source("ISO 3166-1")]
    """Every country that the data are to reach."""
    declared_path: Annotated[list[Country] | None, Source("ISO 3166-1")] = None
    """Countries on the way, in order, from the first to the last."""
    planned_start: Annotated[Time, Source(PROPOSED)]
    """When the transfer is to begin; with the end it gives the span of the 24-hour rule."""
    planned_end: Annotated[Time | None, Source(PROPOSED)] = None
    """When it is to end; absent for a standing feed."""
    continuous: Annotated[bool | None, Source(PROPOSED)] = None
    """Whether it is a standing feed rather than a session with an end."""
    persons: Annotated[Count, Source("促进和规范数据跨境流动规定 [P/S]")]
    """Persons affected, estimated."""
    persons_sensitive: Annotated[Count | None, Source("促进和规范数据跨境流动规定 [P/S]")] = None
    """Those of them whose sensitive information crosses."""
    persons_year_to_date: Annotated[Count | None, Source("促进和规范数据跨境流动规定 [P/S]")] = None
    """Persons since 1 January of the year, this transfer included: what the thresholds count."""
    critical_infrastructure: Annotated[bool | None, Source("促进和规范数据跨境流动规定 [P/S]")] = None
    """Whether the exporter operates critical information infrastructure."""
    minors: Annotated[bool | None, Source("PIPL 31 [T]")] = None
    """Whether persons under 14 are among them."""
    automated_decisions: Annotated[bool | None, Source("PIPL 24 [T]")] = None
    """Whether the recipient is to decide about persons automatically."""
    retention_period: Annotated[Duration | None, Source("PIPL 19 [T]; ISO 8601")] = None
    """How long the recipient is to keep the data."""
    negative_list: Annotated[
        list[Literal["cultural-security", "consumption-tendencies", "marketing-strategy"]] | None,
        Source(PROPOSED),
    ] = None
    """Kinds of a proposed negative list that the data belong to."""
    programme: Annotated[Text | None, Source(PROPOSED)] = None
    """Regulatory sandbox or white list that the transfer takes part in."""
    document: Document | None = None
    """The declaration as it was signed."""


class DeclarationWithPersons(Declaration):
    """What is to cross the border: by whom, to whom, what for, which data, of persons where, when."""

    persons_countries: Annotated[list[Country], Source("ISO 3166-1")]
    """Where the persons are when their data are collected."""


class Risk(Data):
    """One risk to the persons' rights, and what is done about it."""

    risk: Text
    """What could happen."""
    likelihood: Level
    """How likely it is."""
    impact: Level
    """How much it would harm."""
    measures: list[Text] | None = None
    """What is done about it."""


class CountryAssessment(Data):
    """Law and protection level of a recipient's country (数据出境安全评估办法 8(2) [S])."""

    country: Country
    """The country."""
    rating: Rating | None = None
    """Its level of protection."""
    law: Text | None = None
    """Its law on personal information."""
    access_by_authorities: Text | None = None
    """What its authorities may get at."""


class ImpactAssessment(Data):
    """A personal information protection impact assessment (PIPL 55, contents of 56 [T]; GDPR 35 [M])."""

    assessment_id: Text
    """Id of the assessment; its later versions have the same."""
    version: Text
    """Version."""
    previous: Text | None = None
    """Version that this one replaces."""
    transfers: list[Text] | None = None
    """Subjects of the transfers it covers; none for the event's own subject."""
    assessor: Text | None = None
    """Who assessed."""
    approver: Text | None = None
    """Who approved."""
    assessed: Time | None = None
    """When it was assessed."""
    approved: Time | None = None
    """When it was approved."""
    purposes: Annotated[list[Text] | None, Source("PIPL 56(1) [T]")] = None
    """Purposes of the handling."""
    scope: Annotated[Text | None, Source("数据出境安全评估办法 5 [S]")] = None
    """Scope of the handling."""
    method: Annotated[Text | None, Source("PIPL 56(1) [T]")] = None
    """Method of exporter and recipient."""
    necessity: Annotated[Text | None, Source("PIPL 56(1) [T]")] = None
    """Why purpose, scope and method are lawful, legitimate and necessary."""
    data_categories: list[Text] | None = None
    """Categories of data."""
    sensitive: Annotated[bool | None, Source("PIPL 28 [T]")] = None
    """Whether sensitive personal information is among them."""
    persons: Count | None = None
    """Persons concerned, estimated."""
    recipients: list[Text] | None = None
    """Who receives the data."""
    recipient_commitments: Annotated[Text | None, Source("数据出境安全评估办法 5 [S]")] = None
    """What the recipient promises, and whether it can keep it."""
    recipient_countries: Annotated[list[Country], Source("ISO 3166-1")]
    """Every country that the data may reach or pass."""
    countries: Annotated[list[CountryAssessment] | None, Source("数据出境安全评估办法 8(2) [S]")] = None
    """What was found about the recipients' countries."""
    risks: Annotated[list[Risk] | None, Source("PIPL 56(2) [T]")] = None
    """Influence on rights, and security risks."""
    measures: Annotated[list[Text] | None, Source("PIPL 56(3) [T]")] = None
    """Protective measures, and whether they fit the risks."""
    redress: Annotated[Text | None, Source("数据出境安全评估办法 5 [S]")] = None
    """How persons can defend their rights."""
    residual_risk: Level | None = None
    """Risk that remains."""
    conclusion: Literal["approved", "approved-with-conditions", "rejected"]
    """What the assessment came to."""
    review_triggers: Annotated[list[Text] | None, Source("数据出境安全评估办法 14 [S]")] = None
    """What makes it necessary to assess again."""
    retain_until: Annotated[Time | None, Source("PIPL 56 [T]")] = None
    """Until when the report is kept: at least three years on."""
    document: Document | None = None
    """The report."""


class AssessmentSource(Data):
    """What an assessment of a country rests on."""

    title: Text
    """Title."""
    kind: Literal["law", "guidance", "decision", "report", "practice", "other"] | None = None
    """What kind of source it is."""
    uri: Text | None = None
    """Where it was read."""
    sha256: Sha256 | None = None
    """SHA-256 of the text that was read."""
    accessed: Time | None = None
    """When it was read."""


class RecipientCountryAssessment(Data):
    """Whether a recipient's country protects personal data (数据出境安全评估办法 8(2) [S]; EDPB 01/2020 [P])."""

    assessment_id: Text
    """Id of the assessment; its later versions have the same."""
    version: Text
    """Version."""
    previous: Text | None = None
    """Version that this one replaces."""
    country: Annotated[Country, Source("ISO 3166-1")]
    """The country."""
    sources: list[AssessmentSource]
    """What the assessment rests on."""
    rating: Rating
    """Its level of protection."""
    law: Text | None = None
    """Its law on personal information, against the exporter's."""
    access_by_authorities: Text | None = None
    """What its authorities may get at, and who supervises them."""
    onward_rules: Text | None = None
    """What it asks of transfers to third countries."""
    redress: Text | None = None
    """How persons can defend their rights there."""
    agreements: list[Text] | None = None
    """International agreements that bind it."""
    measures: Annotated[list[Text] | None, Source("EDPB 01/2020 [P]")] = None
    """What must be done besides for the rating to hold."""
    assessor: Text
    """Who assessed."""
    approver: Text | None = None
    """Who approved."""
    assessed: Time | None = None
    """When it was assessed."""
    valid_from: Time | None = None
    """From when it holds; absent for the event's time."""
    valid_until: Time
    """Until when it holds."""
    review_triggers: Annotated[list[Text] | None, Source("数据出境安全评估办法 14 [S]")] = None
    """What makes it necessary to assess again, such as a change of that country's law."""
    document: Document | None = None
    """The report."""


class RouteScope(Data):
    """What a legal route covers (网络数据安全管理条例 38 [T]: purpose, method, scope, category, scale)."""

    purposes: list[Text] | None = None
    """Purposes."""
    method: Text | None = None
    """Method of the handling."""
    recipients: list[Text] | None = None
    """Recipients."""
    countries: list[Country] | None = None
    """Countries of the recipients."""
    data_categories: list[Text] | None = None
    """Categories of data."""
    persons: Count | None = None
    """Persons at most."""
    retention_period: Duration | None = None
    """How long the recipients may keep the data."""


class LegalRoute(Data):
    """The legal route of an export (PIPL 38 [T]), or why none is needed.

    An exemption lifts the route, not the duties of notice, consent and assessment [M]. `short-term-filing`, the simple
    filing of sessions of at most 24 hours, is proposed policy, not law.
    """

    route: Literal[
        "security-assessment", "standard-contract", "certification", "short-term-filing", "exemption"
    ]
    """The route; `short-term-filing` is proposed policy."""
    status: Literal["applied", "in-force", "refused", "suspended", "revoked", "expired"]
    """How it stands. Of a contract or an exemption, `in-force` from when it is relied on."""
    exemption_ground: Annotated[
        Literal[
            "below-threshold",
            "contract-necessity",
            "staff-administration",
            "emergency",
            "outside-negative-list",
            "other",
        ]
        | None,
        Source("促进和规范数据跨境流动规定 [P/S]"),
    ] = None
    """Why no route is needed; given with `exemption`. `outside-negative-list`: that of a free-trade zone."""
    ground: Text | None = None
    """Why the exemption applies here, in words."""
    reference: Text | None = None
    """Number of the decision, filing, contract or certificate."""
    authority: Text | None = None
    """Who decided, took the filing, or certified."""
    transfers: list[Text] | None = None
    """Subjects of the transfers it covers; none for the event's own subject."""
    scope: Annotated[RouteScope | None, Source("网络数据安全管理条例 38 [T]")] = None
    """What it covers."""
    effective: Annotated[Time | None, Source("标准合同办法 [P/S]")] = None
    """When a contract took effect: its filing is due 10 working days later."""
    filed: Annotated[Time | None, Source("标准合同办法 [P/S]")] = None
    """When it was applied for or filed."""
    valid_from: Time | None = None
    """From when it holds."""
    valid_until: Annotated[
        Time | None, Source("促进和规范数据跨境流动规定 [P/S]; 个人信息出境认证办法 [P]")
    ] = None
    """Until when it holds: of an assessment and a certificate three years; absent where it has no end."""
    document: Document | None = None
    """Decision, contract, filing receipt or certificate."""


class Regarding(Data):
    """What a signature is under."""

    kind: Literal[
        "declaration",
        "impact-assessment",
        "country-assessment",
        "route",
        "deidentification",
        "encryption",
        "model-export",
        "other",
    ]
    """Kind of the record, as its type is called."""
    id: Text
    """Id of the record, such as its `assessment_id`."""
    version: Text | None = None
    """Its version."""


class SignOff(Data):
    """The protection officer's word on a transfer: PIPL 52 [T] asks for the officer, proposed policy for the word."""

    signoff_id: Text
    """Id of the sign-off."""
    officer: Text
    """Who signed."""
    capacity: Literal["protection-officer", "representative-in-china", "legal", "executive"]
    """As what: `protection-officer` is the 个人信息保护负责人."""
    qualification: Annotated[Text | None, Source(PROPOSED)] = None
    """Why the officer is qualified."""
    regarding: list[Regarding]
    """What was signed."""
    decision: Literal["approved", "approved-with-conditions", "rejected"]
    """What the officer decided."""
    conditions: list[Text] | None = None
    """Conditions of the approval."""
    comment: Text | None = None
    """Why."""
    signed: Time | None = None
    """When it was signed, where that differs from the event's time."""
    document: Document | None = None
    """What was signed, as it was laid before the officer."""


DECLARATION_1 = EventType(
    "declaration",
    "Transfer declared (first version)",
    "出境传输申报（第一版）",
    BEFORE,
    Declaration,
    frozenset({"recipient_countries", "continuous", "automated_decisions"}),
    source="ledger",
)
DECLARATION = replace(
    DECLARATION_1,
    title_en="Transfer declared",
    title_zh="出境传输申报",
    model=DeclarationWithPersons,
    visible=DECLARATION_1.visible | {"persons_countries"},
    version=2,
)
IMPACT_ASSESSMENT = EventType(
    "impact-assessment",
    "Impact assessment",
    "个人信息保护影响评估",
    BEFORE,
    ImpactAssessment,
    frozenset({"conclusion", "residual_risk", "recipient_countries", "sensitive"}),
    source="PIPL 55–56 [T]",
)
COUNTRY_ASSESSMENT = EventType(
    "country-assessment",
    "Recipient-country assessment",
    "接收国保护水平评估",
    BEFORE,
    RecipientCountryAssessment,
    frozenset({"country", "rating", "valid_until"}),
    source="数据出境安全评估办法 8(2) [S]",
)
ROUTE = EventType(
    "route",
    "Legal route",
    "出境合规路径",
    BEFORE,
    LegalRoute,
    frozenset({"route", "status", "exemption_ground", "valid_until"}),
    source="PIPL 38 [T]",
)
SIGN_OFF = EventType(
    "sign-off",
    "Officer's sign-off",
    "个人信息保护负责人签批",
    BEFORE,
    SignOff,
    frozenset({"capacity", "decision"}),
    source=f"PIPL 52 [T]; for each transfer: {PROPOSED}",
)
