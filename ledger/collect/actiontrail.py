"""Alibaba Cloud ActionTrail: each event is one access.

Field names are those of the ActionTrail guide, “management event structure”. Files hold an array of events, as trails
deliver them to OSS, one event on each line, or one over several lines after the other. What LookupEvents answers has
the array in `Events`; an export from the log service has each event in `event`, as an object or as its text.

- `id` is `eventId`, which the vendor makes a GUID. An event without one is set aside, as in `cloudtrail`.
- `source` is `/aliyun/actiontrail/<recipientAccountId>/<acsRegion>`: where the trail is, not who acted.
- `outcome` is `refused` where `errorCode` says that access control said no, or a sign-in failed; `failed` for every
  other error; `reason` is `errorCode`.
- `raw_sha256` is SHA-256 over the event's canonical JSON (RFC 8785), whichever file or export it came from.
- `completeness` is `best-effort`: the trail's own settings decide what is logged at all.

Request parameters and response elements stay behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ledger import canonical
from ledger.canonical import Object
from ledger.catalogue import ACCESS
from ledger.collect.files import NO_HEADER, Header, RawRecord, split_json
from ledger.collect.members import (
    API_ACTIVITY,
    AUTHENTICATION,
    known,
    object_at,
    raw_digest,
    segment,
    text_at,
    tls_version,
)
from ledger.entry import Phase
from ledger.errors import MalformedInput


@dataclass(frozen=True, slots=True)
class ActionTrail:
    """The collector. `subject` and `phase` say to which transfer, and where on its way, the accesses belong."""

    subject: str = "aliyun-actiontrail"
    phase: Phase = Phase.STORAGE

    @property
    def suffixes(self) -> tuple[str, ...]:
        return ("",)  # trails end their files' names in a digest

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return split_json(file, "Events")

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        record = _unwrapped(canonical.parse_object(raw))
        if not text_at(record, "eventId") or not text_at(record, "eventTime"):
            raise MalformedInput("not an ActionTrail event", expected="eventId and eventTime")
        account, region = text_at(record, "recipientAccountId"), text_at(record, "acsRegion")
        return {
            "specversion": "1.0",
            "id": record["eventId"],
            "source": f"/aliyun/actiontrail/{segment(account)}/{segment(region)}",
            "type": ACCESS.name,
            "subject": self.subject,
            "time": record["eventTime"],
            "phase": self.phase.value,
            "data": access_data(record),
        }


def _unwrapped(value: Object) -> Object:
    """The event within a record of the log service, or itself."""
    text = text_at(value, "event")
    return canonical.parse_object(text.encode()) if text else object_at(value, "event") or value


def access_data(record: Object) -> Object:
    """The `data` of the access that an event logs; members that it does not tell are left out."""
    identity, tls = object_at(record, "userIdentity"), object_at(record, "tlsDetails")
    service, name = text_at(record, "serviceName"), text_at(record, "eventName")
    return known(
        principal=_principal(identity) or text_at(record, "eventSource"),
        principal_type=text_at(identity, "type"),
        principal_account=text_at(identity, "accountId"),
        action=name and f"{(service or 'unknown').lower()}:{name}",
        resource=_resource(record),
        resource_account=text_at(record, "recipientAccountId"),
        outcome=_outcome(record),
        reason=text_at(record, "errorCode"),
        source_address=text_at(record, "sourceIpAddress"),
        tls_version=tls_version(text_at(tls, "tlsVersion")),
        cipher=text_at(tls, "cipherSuite"),
        read_only={"Read": True, "Write": False}.get(text_at(record, "eventRW") or ""),
        region=text_at(record, "acsRegion"),
        user_agent=text_at(record, "userAgent"),
        source_system="aliyun.actiontrail",
        completeness="best-effort",
        class_uid=_CLASSES.get(text_at(record, "eventType") or ""),
        raw_sha256=raw_digest(canonical.encode(record)),
    )


_CLASSES = {
    "ApiCall": API_ACTIVITY,
    "ConsoleOperation": API_ACTIVITY,
    "ConsoleSignin": AUTHENTICATION,
    "ConsoleSignout": AUTHENTICATION,
}


def _principal(identity: Object) -> str | None:
    """Who acted: the user of an account where one is named, else the principal's id, else the account."""
    user, account = text_at(identity, "userName"), text_at(identity, "accountId")
    if user and account:
        return f"acs:ram::{account}:{user}"
    return text_at(identity, "principalId") or user or account


def _resource(record: Object) -> str | None:
    """`ACS::OSS::Bucket/replays`; for several, all kinds and all names, as the event writes them.

    Older events list the names under each kind in `referencedResources` only.
    """
    kind, name = text_at(record, "resourceType"), text_at(record, "resourceName")
    if name:
        return f"{kind}/{name}" if kind else name
    listed = object_at(record, "referencedResources").items()
    named = [f"{kind}/{','.join(map(str, names))}" for kind, names in listed if isinstance(names, list)]
    return ";".join(named) or None


_REFUSALS = re.compile(
    r"(NoPermission|Forbidden|AccessDenied|Unauthorized|NotAuthorized|PermissionDenied|AccessForbidden"
    r"|InvalidAccessKeyId|InvalidSecurityToken|SecurityTokenExpired|SignatureDoesNotMatch|IncompleteSignature"
    r"|EntityNotExist\.Authentication|AuthFailed|AuthenticationFailed)([.].*)?"
)
"""Error codes by which the vendor's services say that access control, or proof of identity, said no."""


def _outcome(record: Object) -> str:
    error = text_at(record, "errorCode") or text_at(record, "errorMessage")
    if error in (None, "success"):  # a sign-in says so
        return "allowed"
    sign_in = text_at(record, "eventType") == "ConsoleSignin"
    return "refused" if sign_in or _REFUSALS.fullmatch(error or "") else "failed"
