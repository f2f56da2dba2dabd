"""In transit: the way of the data, hop by hop."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ledger.catalogue.base import (
    TRANSIT,
    Completeness,
    Count,
    Country,
    Data,
    EventType,
    Protocol,
    Pseudonym,
    Sha256,
    System,
    Text,
    Time,
    TlsVersion,
)


class Endpoint(Data):
    """One end of a hop."""

    party: Text | None = None
    """Id of the organisation that runs it."""
    node: Text | None = None
    country: Country
    asn: Count | None = None


class Hop(Data):
    """One leg of a transfer's path, as one observer saw it."""

    sequence: Count
    """Place in the path, from 0."""
    from_: Annotated[Endpoint, Field(alias="from")]
    to: Endpoint
    protocol: Protocol | None = None
    tls_version: TlsVersion | None = None
    cipher: Text | None = None
    """IANA or OpenSSL name of the cipher suite."""
    bytes: Count | None = None
    started: Time | None = None
    ended: Time | None = None
    observer: Text | None = None
    """Id of the party that saw the hop."""
    declared_path: list[Country] | None = None
    """Countries that were declared for this transfer, in order."""
    payload_digest: Sha256 | None = None
    payload_digest_out: Sha256 | None = None
    """Where the hop changes the payload: the digest after the change."""
    transformation: Text | None = None
    data_categories: list[Text] | None = None
    pii_principal_id: Pseudonym | None = None
    """The person, where the hop carries one person's data."""
    session_id: Text | None = None
    source_system: System | None = None
    completeness: Completeness | None = None


HOP = EventType(
    "hop",
    "Hop",
    "传输节点",
    TRANSIT,
    Hop,
    frozenset({"sequence", "protocol", "tls_version", "source_system", "completeness"}),
)
