"""In transit: the way of the data hop by hop, what a stream carried, and what went wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ledger.catalogue.base import (
    EVERY_PHASE,
    PROPOSED,
    TRANSIT,
    Completeness,
    Count,
    Country,
    Data,
    EventType,
    Protocol,
    Pseudonym,
    Sha256,
    SmallCount,
    Source,
    System,
    Text,
    Time,
    TlsVersion,
)
from ledger.catalogue.shared import Document, Severity


class Endpoint(Data):
    """One end of a hop."""

    party: Text | None = None
    """Id of the organisation that runs it."""
    node: Text | None = None
    """Its name for the machine; no address."""
    country: Annotated[Country, Source("OpenTelemetry geo.country.iso_code; ISO 3166-1")]
    """Where it stands."""
    asn: Count | None = None
    """Number of its autonomous system."""


class Hop(Data):
    """One leg of a transfer's path, as one observer saw it."""

    sequence: SmallCount
    """Place in the path, from 0."""
    from_: Annotated[Endpoint, Field(alias="from")]
    """Where the leg begins."""
    to: Endpoint
    """Where it ends."""
    protocol: Annotated[Protocol | None, Source("OpenTelemetry network.protocol.name")] = None
    """Application protocol, such as `webrtc`, `rtmps` or `HTTP/1.1`."""
    tls_version: Annotated[TlsVersion | None, Source("OpenTelemetry tls.protocol.version")] = None
    """TLS version; `none` says that there was no TLS. 1.0 and 1.1 are retired by RFC 8996 [P]."""
    cipher: Annotated[Text | None, Source("OpenTelemetry tls.cipher")] = None
    """IANA or OpenSSL name of the cipher suite."""
    bytes: Count | None = None
    """Bytes that went over."""
    started: Time | None = None
    """When it began."""
    ended: Time | None = None
    """When it ended."""
    observer: Text | None = None
    """Id of the party that saw the hop."""
    declared_path: Annotated[list[Country] | None, Source("ISO 3166-1")] = None
    """Countries that were declared for this transfer, in order."""
    payload_digest: Sha256 | None = None
    """SHA-256 of the payload as it came in."""
    payload_digest_out: Sha256 | None = None
    """Where the hop changes the payload: the digest after the change."""
    transformation: Text | None = None
    """How the hop changes the payload."""
    data_categories: Annotated[list[Text] | None, Source("DPV")] = None
    """Categories of data that it carries."""
    pii_principal_id: Annotated[Pseudonym | None, Source("TS 27560")] = None
    """The person, where the hop carries one person's data."""
    session_id: Text | None = None
    """Live session that it belongs to."""
    source_system: System | None = None
    """Kind of system that logged it."""
    completeness: Completeness | None = None
    """What that system promises about its log; absent for `unknown`."""


class DetectedCategory(Data):
    """A category of data that was found in a segment."""

    category: Annotated[Text, Source("DPV")]
    """The category, such as face, voice or text."""
    confidence: Annotated[int | None, Field(ge=0, le=100)] = None
    """How sure the detector is, in percent."""
    persons: Count | None = None
    """Persons in it, as far as they can be counted without recognising them."""
    masked: bool | None = None
    """Whether it was blurred, muted or cut out before export."""


class Segment(Data):
    """A segment of an audio or video stream that crossed: what it was, never its content."""

    stream_id: Text
    """The stream; its segments are numbered."""
    session_id: Text | None = None
    """Live session that the stream belongs to."""
    kind: Literal["audio", "video", "audio-video", "screen", "captions"]
    """What it carries."""
    number: SmallCount
    """Number in its stream, from 0, without gaps."""
    sha256: Sha256
    """SHA-256 of the segment as it crossed."""
    previous_sha256: Sha256 | None = None
    """That of the segment before."""
    started: Time
    """When its first frame was taken."""
    duration_ms: Count
    """How long it is, in milliseconds."""
    bytes: Count | None = None
    """Its size."""
    codec: Text | None = None
    """How it is coded."""
    detected_categories: list[DetectedCategory]
    """Categories of data that were found in it; an empty list says that none were."""
    detector: Text | None = None
    """What looked for them, with its version."""
    source_system: System | None = None
    """Kind of system that made the manifest."""
    completeness: Completeness | None = None
    """What that system promises; absent for `unknown`."""


class Incident(Data):
    """Personal information was leaked, altered, lost or misused, or may have been (PIPL 57 [T])."""

    incident_id: Text
    """Id of the incident; each new status is an event of its own."""
    kind: Literal[
        "leak", "tampering", "loss", "unauthorised-access", "misuse", "undeclared-path", "outage", "other"
    ]
    """What happened."""
    severity: Annotated[Severity, Source("OCSF severity")]
    """How bad it is."""
    status: Literal["suspected", "confirmed", "contained", "resolved", "false-alarm"]
    """How it stands."""
    detected: Time
    """When it was noticed."""
    started: Time | None = None
    """When it began, as far as is known."""
    ended: Time | None = None
    """When it ended."""
    transfers: list[Text] | None = None
    """Subjects of the transfers that it concerns; none for the event's own subject."""
    data_categories: Annotated[list[Text] | None, Source("PIPL 57(1) [T]")] = None
    """Categories of data that it concerns."""
    persons: Count | None = None
    """Persons concerned, estimated."""
    countries: Annotated[list[Country] | None, Source("ISO 3166-1")] = None
    """Countries in which it happened or the data came to be."""
    cause: Annotated[Text | None, Source("PIPL 57(1) [T]")] = None
    """Why it happened."""
    harm: Annotated[Text | None, Source("PIPL 57(1) [T]")] = None
    """Harm that may come of it."""
    measures: Annotated[list[Text] | None, Source("PIPL 57(2) [T]")] = None
    """What was done, and what persons can do."""
    contact: Annotated[Text | None, Source("PIPL 57(3) [T]")] = None
    """How to reach the handler."""
    authority_notified: Time | None = None
    """When the authority was told."""
    persons_notified: Time | None = None
    """When the persons were told."""
    not_notified_because: Text | None = None
    """Why persons were not told."""
    responsible: Text | None = None
    """Id of the party that answers for it."""
    reported_by: Text | None = None
    """Id of the party that found it."""
    document: Document | None = None
    """The report."""


HOP = EventType(
    "hop",
    "Hop",
    "传输节点",
    TRANSIT,
    Hop,
    frozenset({"sequence", "protocol", "tls_version", "source_system", "completeness"}),
    source="ledger",
)
SEGMENT = EventType(
    "segment",
    "Segment manifest",
    "音视频分段清单",
    TRANSIT,
    Segment,
    frozenset({"kind", "number", "source_system", "completeness"}),
    source=PROPOSED,
)
INCIDENT = EventType(
    "incident",
    "Incident",
    "安全事件",
    EVERY_PHASE,
    Incident,
    frozenset({"kind", "severity", "status"}),
    source="PIPL 57 [T]",
)
