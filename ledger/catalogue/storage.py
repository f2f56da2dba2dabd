"""Storage, and the access to what is stored: who may read the data abroad, and who did.

Accesses and permission snapshots belong to every phase: before transfer they show who could reach the data at home, in
transit who touched the stream, after storage who reads what lies abroad.
Remote access from abroad is an export, too (标准合同办法 [P/S]).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import JsonValue

from ledger.catalogue.base import (
    EVERY_PHASE,
    STORAGE,
    Completeness,
    Count,
    Country,
    Data,
    EventType,
    Pseudonym,
    Sha256,
    SmallCount,
    Source,
    System,
    Text,
    Time,
    TlsVersion,
)


class Access(Data):
    """One access to a resource, as one source system logged it."""

    principal: Text
    """Who: an ARN, account, role, database user …"""
    principal_type: Text | None = None
    """Kind of the principal, in the source's words."""
    principal_account: Text | None = None
    """Account or organisation that the principal belongs to."""
    action: Text
    """What, in the source's own words, such as `s3:GetObject`."""
    resource: Text | None = None
    """What was accessed."""
    resource_account: Text | None = None
    """Account that the resource belongs to."""
    outcome: Literal["allowed", "refused", "failed"]
    """`refused` by access control; `failed` for another reason (not found, throttled), so nothing was done either."""
    reason: Text | None = None
    """The source's error code, or why it was refused."""
    source_address: Annotated[Text | None, Source("OpenTelemetry network.peer.address")] = None
    """Network address that it came from."""
    country: Annotated[Country | None, Source("OpenTelemetry geo.country.iso_code; ISO 3166-1")] = None
    """Where the access came from."""
    tls_version: Annotated[TlsVersion | None, Source("OpenTelemetry tls.protocol.version")] = None
    """TLS version; `none` says that there was no TLS."""
    cipher: Annotated[Text | None, Source("OpenTelemetry tls.cipher")] = None
    """IANA or OpenSSL name of the cipher suite."""
    bytes: Count | None = None
    """Bytes that went out to the principal."""
    read_only: bool | None = None
    """Whether it only read."""
    region: Text | None = None
    """Region of the resource, in the source's words."""
    user_agent: Text | None = None
    """What the principal used."""
    purpose: Annotated[Text | None, Source("PIPL 6 [T]")] = None
    """What for, where the source knows."""
    pii_principal_id: Annotated[Pseudonym | None, Source("TS 27560")] = None
    """The person, where the access concerns one person's data."""
    session_id: Text | None = None
    """Live session that it belongs to."""
    source_system: System | None = None
    """Kind of system that logged it."""
    completeness: Completeness | None = None
    """What that system promises about its log; absent for `unknown`."""
    class_uid: Annotated[SmallCount | None, Source("OCSF class_uid")] = None
    """Event class, such as 6003 (API Activity)."""
    raw_sha256: Sha256 | None = None
    """Of the raw record; how it was taken is the collector's to say."""


class Grant(Data):
    """One permission, as the source states it."""

    principal: Text
    """Who may."""
    kind: Text | None = None
    """Kind of the principal: user, role, group, account, service, public …"""
    actions: list[Text]
    """What, in the source's own words."""
    resource: Text | None = None
    """On what; absent for the snapshot's resource."""
    effect: Literal["allow", "deny"] = "allow"
    """Whether it allows or denies."""
    condition: dict[str, JsonValue] | None = None
    """Under which condition, as the source writes it."""
    source: Text | None = None
    """Where it stands: bucket policy, ACL, role policy, role_table_grants …"""


class PermissionSnapshot(Data):
    """Who may reach a resource, at one time."""

    resource: Text
    """What may be reached."""
    collector: Text | None = None
    """Who took the snapshot."""
    captured_at: Time | None = None
    """Where it differs from the event's time."""
    api_call: Text | None = None
    """The call of the source system that answered, such as `s3:GetBucketPolicy`."""
    region: Text | None = None
    """Region of the resource, in the source's words."""
    country: Annotated[Country | None, Source("ISO 3166-1")] = None
    """Where the resource lies."""
    owner: Text | None = None
    """Account or party that it belongs to."""
    public: bool | None = None
    """Whether anybody at all may reach it; absent where the source does not say."""
    external_principals: list[Text] | None = None
    """Principals outside the owner's organisation."""
    grants: list[Grant]
    """Every permission, in the source's order."""
    source_system: System | None = None
    """Kind of system that answered."""
    completeness: Completeness | None = None
    """What that system promises; absent for `unknown`."""
    raw_sha256: Sha256 | None = None
    """Of the raw answer."""


class Encryption(Data):
    """How an object is encrypted at rest."""

    algorithm: Text
    """Algorithm, such as AES-256-GCM."""
    key_custodian: Text | None = None
    """Who holds the key."""
    key_country: Annotated[Country | None, Source("ISO 3166-1")] = None
    """Where it is held."""


class Storage(Data):
    """An object that came to rest abroad."""

    object_id: Text
    """Id of the object."""
    kind: Literal["replay", "order", "profile", "other"]
    """What it is."""
    region: Text | None = None
    """Region, in the source's words."""
    country: Annotated[Country, Source("ISO 3166-1")]
    """Where it lies."""
    location: Text | None = None
    """Name of the place, such as bucket and key."""
    owner: Text | None = None
    """Id of the party that answers for it."""
    bytes: Count | None = None
    """Its size."""
    stored: Time | None = None
    """When it was stored, where that differs from the event's time."""
    retain_until: Annotated[Time | None, Source("PIPL 19 [T]")] = None
    """When it is to be deleted."""
    encryption: Annotated[Encryption | None, Source("PIPL 51 [T]")] = None
    """How it is encrypted."""
    sha256: Sha256 | None = None
    """SHA-256 of its bytes."""
    data_categories: Annotated[list[Text] | None, Source("DPV")] = None
    """Categories of data in it."""
    pii_principal_id: Annotated[Pseudonym | None, Source("TS 27560")] = None
    """The person, where it is one person's data."""
    session_id: Text | None = None
    """Live session that it comes from."""
    source_system: System | None = None
    """Kind of system that it lies in."""
    completeness: Completeness | None = None
    """What that system promises; absent for `unknown`."""


ACCESS = EventType(
    "access",
    "Access",
    "访问日志",
    EVERY_PHASE,
    Access,
    frozenset(
        {"outcome", "country", "tls_version", "read_only", "source_system", "completeness", "class_uid"}
    ),
    source="ledger",
)
PERMISSION_SNAPSHOT = EventType(
    "permission-snapshot",
    "Permission snapshot",
    "权限快照",
    EVERY_PHASE,
    PermissionSnapshot,
    frozenset({"public", "country", "source_system", "completeness"}),
    source="ledger",
)
STORED = EventType(
    "storage",
    "Storage abroad",
    "境外存储",
    STORAGE,
    Storage,
    frozenset({"kind", "country", "source_system", "completeness"}),
    source="ledger",
)
