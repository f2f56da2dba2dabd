"""Storage, and the access to what is stored: who may read the data abroad, and who did.

Accesses and permission snapshots belong to every phase: before transfer they show who could reach the data at home, in
transit who touched the stream, after storage who reads what lies abroad. (Remote access from abroad is an export, too.)
"""

from __future__ import annotations

from typing import Literal

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
    principal_account: Text | None = None
    """Account or organisation that the principal belongs to."""
    action: Text
    """What, in the source's own words, such as `s3:GetObject`."""
    resource: Text | None = None
    resource_account: Text | None = None
    outcome: Literal["allowed", "refused", "failed"]
    """`refused` by access control; `failed` for another reason (not found, throttled), so nothing was done either."""
    reason: Text | None = None
    """The source's error code, or why it was refused."""
    source_address: Text | None = None
    country: Country | None = None
    """Where the access came from."""
    tls_version: TlsVersion | None = None
    cipher: Text | None = None
    bytes: Count | None = None
    """Bytes that went out to the principal."""
    read_only: bool | None = None
    region: Text | None = None
    user_agent: Text | None = None
    purpose: Text | None = None
    pii_principal_id: Pseudonym | None = None
    """The person, where the access concerns one person's data."""
    session_id: Text | None = None
    source_system: System | None = None
    completeness: Completeness | None = None
    class_uid: Count | None = None
    """Event class of OCSF, such as 6003 (API Activity)."""
    raw_sha256: Sha256 | None = None
    """Of the raw record; how it was taken is the collector's to say."""


class Grant(Data):
    """One permission, as the source states it."""

    principal: Text
    kind: Text | None = None
    """Kind of the principal: user, role, group, account, service, public …"""
    actions: list[Text]
    resource: Text | None = None
    effect: Literal["allow", "deny"] = "allow"
    condition: dict[str, JsonValue] | None = None
    source: Text | None = None
    """Where it stands: bucket policy, ACL, role policy, role_table_grants …"""


class PermissionSnapshot(Data):
    """Who may reach a resource, at one time."""

    resource: Text
    collector: Text | None = None
    captured_at: Time | None = None
    """Where it differs from the event's time."""
    api_call: Text | None = None
    """The call of the source system that answered, such as `s3:GetBucketPolicy`."""
    region: Text | None = None
    country: Country | None = None
    owner: Text | None = None
    public: bool | None = None
    """Whether anybody at all may reach it; absent where the source does not say."""
    external_principals: list[Text] | None = None
    """Principals outside the owner's organisation."""
    grants: list[Grant]
    source_system: System | None = None
    completeness: Completeness | None = None
    raw_sha256: Sha256 | None = None


class Encryption(Data):
    """How an object is encrypted at rest."""

    algorithm: Text
    key_custodian: Text | None = None
    key_country: Country | None = None


class Storage(Data):
    """An object that came to rest abroad."""

    object_id: Text
    kind: Literal["replay", "order", "profile", "other"]
    region: Text | None = None
    country: Country
    location: Text | None = None
    owner: Text | None = None
    """Id of the party that answers for it."""
    bytes: Count | None = None
    stored: Time | None = None
    retain_until: Time | None = None
    encryption: Encryption | None = None
    sha256: Sha256 | None = None
    data_categories: list[Text] | None = None
    pii_principal_id: Pseudonym | None = None
    session_id: Text | None = None
    source_system: System | None = None
    completeness: Completeness | None = None


ACCESS = EventType(
    "access",
    "Access",
    "访问日志",
    EVERY_PHASE,
    Access,
    frozenset(
        {"outcome", "country", "tls_version", "read_only", "source_system", "completeness", "class_uid"}
    ),
)
PERMISSION_SNAPSHOT = EventType(
    "permission-snapshot",
    "Permission snapshot",
    "权限快照",
    EVERY_PHASE,
    PermissionSnapshot,
    frozenset({"public", "country", "source_system", "completeness"}),
)
STORED = EventType(
    "storage",
    "Storage abroad",
    "境外存储",
    STORAGE,
    Storage,
    frozenset({"kind", "country", "source_system", "completeness"}),
)
