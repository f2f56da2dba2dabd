"""After storage: what is done with the data abroad, where they go on to, who looked into it, and how they end."""

from __future__ import annotations

from typing import Annotated, Literal

from ledger.catalogue.base import (
    STORAGE,
    Count,
    Country,
    Data,
    EventType,
    Pseudonym,
    Source,
    Text,
    Time,
)
from ledger.catalogue.shared import Document, Severity, TransferParty


class UseReport(Data):
    """What a recipient did with the data in a period, by its own word (PIPL 6 [T]; 网络数据安全管理条例 38 [T])."""

    report_id: Text
    """Id of the report."""
    recipient: Text
    """Id of the party that used the data."""
    country: Annotated[Country | None, Source("ISO 3166-1")] = None
    """Where it used them."""
    period_from: Time
    """Begin of the period."""
    period_until: Time
    """End of the period, excluded."""
    purposes: Annotated[list[Text], Source("PIPL 6 [T]; DPV")]
    """What the data were really used for."""
    data_categories: Annotated[list[Text] | None, Source("DPV")] = None
    """Categories of data that were used."""
    objects: list[Text] | None = None
    """Ids of the stored objects that were used."""
    persons: Count | None = None
    """Persons whose data were used."""
    accesses: Count | None = None
    """Accesses that the use took, to hold against the access log."""
    principals: list[Text] | None = None
    """Who used them, as the access log names them."""
    combined_with: list[Text] | None = None
    """Other data that they were put together with."""
    automated_decision: Annotated[bool, Source("PIPL 24 [T]")]
    """Whether persons were decided about automatically."""
    significant_effect: Annotated[bool | None, Source("PIPL 24 [T]")] = None
    """Whether a decision weighed on a person's rights."""
    opt_out_offered: Annotated[bool | None, Source("PIPL 24 [T]")] = None
    """Whether persons were offered a way that does not rest on their traits, or to refuse."""
    decisions: list[Text] | None = None
    """What was decided, such as recommendation or pricing."""
    attested_by: Text | None = None
    """Who attests it."""
    document: Document | None = None
    """The report."""


class OnwardTransfer(Data):
    """A recipient hands the data on, or is asked to (PIPL 21, 23 and 41 [T])."""

    onward_id: Text
    """Id of the onward transfer."""
    from_party: Text
    """Id of the recipient that hands them on."""
    to_party: TransferParty
    """Who gets them."""
    country: Annotated[Country, Source("ISO 3166-1")]
    """Country that they go to."""
    status: Literal["asked", "planned", "performed", "refused"]
    """How it stands."""
    to_authority: Annotated[bool, Source("PIPL 41 [T]")]
    """Whether it is a foreign judicial or enforcement body that gets them."""
    approval: Annotated[Text | None, Source("PIPL 41 [T]")] = None
    """Reference of the Chinese authority's approval of that."""
    sub_processing: Annotated[bool | None, Source("PIPL 21 [T]")] = None
    """Whether it is entrusted processing handed on, which needs the handler's consent."""
    agreed_by: Annotated[Text | None, Source("PIPL 21 [T]")] = None
    """Who agreed to it for the exporter."""
    separate_consent: Annotated[bool | None, Source("PIPL 23 [T]")] = None
    """Whether the persons gave separate consent to it."""
    purposes: Annotated[list[Text] | None, Source("PIPL 23 [T]; DPV")] = None
    """What for."""
    data_categories: Annotated[list[Text] | None, Source("PIPL 23 [T]; DPV")] = None
    """Categories of data that go on."""
    objects: list[Text] | None = None
    """Ids of the stored objects that go on."""
    persons: Count | None = None
    """Persons concerned."""
    performed: Time | None = None
    """When it was done, where that differs from the event's time."""
    contract: Document | None = None
    """What binds the one who gets them."""


class ReviewFinding(Data):
    """Something that a review found wrong."""

    finding_id: Text
    """Id of the finding."""
    severity: Annotated[Severity, Source("OCSF severity")]
    """How bad it is."""
    text: Text
    """What is wrong."""
    rule: Text | None = None
    """By which rule."""
    responsible: Text | None = None
    """Id of the party that answers for it."""
    remedy: Text | None = None
    """What is to be done."""
    due: Time | None = None
    """Until when."""


class Review(Data):
    """Somebody looked into the permissions on what lies abroad, or its use.

    PIPL 54 [T] asks for regular audits; checks of permissions and use abroad at set intervals are proposed policy.
    """

    review_id: Text
    """Id of the review."""
    kinds: list[Literal["permissions", "use", "retention", "consent", "route", "security"]]
    """What was looked into."""
    period_from: Time
    """Begin of the period that was looked at."""
    period_until: Time
    """End of that period, excluded."""
    reviewer: Text
    """Who reviewed."""
    independent: bool | None = None
    """Whether the reviewer belongs neither to the exporter nor to the recipient."""
    scope: Text | None = None
    """Systems and records that were looked at."""
    method: Text | None = None
    """How; with the size and the seed of a sample."""
    events: Count | None = None
    """Events of the ledger that were looked at."""
    principals_granted: Count | None = None
    """Principals who may read the data."""
    principals_used: Count | None = None
    """Those of them who did."""
    findings: list[ReviewFinding] | None = None
    """What was found wrong."""
    conclusion: Literal["conform", "conform-with-findings", "not-conform"]
    """What the review came to."""
    next_due: Time | None = None
    """When the next one is due."""
    document: Document | None = None
    """The report."""


class Deletion(Data):
    """Data abroad were deleted, by the word of who held them (PIPL 19 and 47 [T])."""

    deletion_id: Text
    """Id of the deletion."""
    objects: list[Text]
    """Ids of the stored objects that are gone."""
    reason: Literal[
        "purpose-achieved",
        "retention-ended",
        "consent-withdrawn",
        "request",
        "service-ended",
        "unlawful",
        "other",
    ]
    """Why they had to go."""
    method: Literal["erased", "overwritten", "key-destroyed", "medium-destroyed", "anonymised", "returned"]
    """How."""
    country: Annotated[Country | None, Source("ISO 3166-1")] = None
    """Where they lay."""
    performed: Time
    """When it was done."""
    copies_remain: bool | None = None
    """Whether copies remain, in backups or with others."""
    copies: Text | None = None
    """Which copies, and until when."""
    persons: Count | None = None
    """Persons whose data are gone."""
    pii_principal_id: Annotated[Pseudonym | None, Source("TS 27560")] = None
    """The person, where it was one person's data."""
    request_id: Text | None = None
    """Rights request that asked for it."""
    attested_by: Text
    """Who attests it."""
    witness: Text | None = None
    """Who saw it done."""
    document: Document | None = None
    """The record of the deletion."""


USE_REPORT = EventType(
    "use-report",
    "Use reported",
    "境外使用报告",
    STORAGE,
    UseReport,
    frozenset({"country", "automated_decision", "opt_out_offered"}),
    source="ledger",
)
ONWARD_TRANSFER = EventType(
    "onward-transfer",
    "Onward transfer",
    "再转移",
    STORAGE,
    OnwardTransfer,
    frozenset({"country", "status", "to_authority"}),
    source="ledger",
)
REVIEW = EventType(
    "review",
    "Review done",
    "定期核查",
    STORAGE,
    Review,
    frozenset({"kinds", "conclusion", "next_due"}),
    source="ledger",
)
DELETION = EventType(
    "deletion",
    "Deletion attested",
    "删除证明",
    STORAGE,
    Deletion,
    frozenset({"method", "country"}),
    source="PIPL 19, 47 [T]",
)
