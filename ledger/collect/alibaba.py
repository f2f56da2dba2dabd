"""Alibaba Cloud: buckets of OSS, and policies of RAM.

A record is one JSON object. For a bucket it unites what the API answers, its XML as JSON::

    {"Bucket":"replays","AccountId":"1234567890123456","Region":"oss-eu-central-1","captured_at":"2026-07-01T12:00:00Z",
     "Owner":{"ID":"1234567890123456"},"AccessControlList":{"Grant":"private"},     GetBucketAcl
     "Policy":{"Version":"1","Statement":[…]},                                      GetBucketPolicy; null if none
     "PublicAccessBlockConfiguration":{"BlockPublicAccess":false},                  GetBucketPublicAccessBlock
     "AccountPublicAccessBlockConfiguration":{"BlockPublicAccess":true}}            GetPublicAccessBlock, renamed

The second line may stand in an `AccessControlPolicy`, as in the XML, or be `"Acl":"private"`. `complete` are policy and
ACL together; Block Public Access, which holds if it is on for the account or the bucket, only takes away.

For a policy it is the answer of RAM's GetPolicy, with that of ListEntitiesForPolicy beside it if there is one::

    {"AccountId":"1234567890123456","Policy":{"PolicyName":"replay-readers","PolicyType":"Custom"},
     "DefaultPolicyVersion":{"VersionId":"v1","PolicyDocument":"{\\"Version\\":\\"1\\",…}"},
     "Users":{"User":[{"UserName":"…"}]},"Groups":{"Group":[…]},"Roles":{"Role":[{"RoleName":"…"}]}}

Without entities, the grants are the policy's own. A bucket is named `acs:oss:::<bucket>`, a policy
`acs:ram::<account>:policy/<name>`, with `system` for the account where the provider wrote it. `raw_sha256` is taken
over the record's canonical JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.collect.aws_buckets import BLOCKS, block_grant
from ledger.collect.files import NO_HEADER, Header, RawRecord
from ledger.collect.members import segment
from ledger.collect.policies import Named, alibaba_principals, policy_grants
from ledger.collect.snapshots import (
    Found,
    SnapshotOptions,
    member,
    objects,
    only,
    snapshot_event,
    text,
    whole_or_lines,
)
from ledger.errors import MalformedInput
from ledger.permissions.grants import EVERYBODY, Grant, Kind, make_grant
from ledger.permissions.reach import ACL

_SUFFIXES = (".json", ".ndjson", ".jsonl")


@dataclass(frozen=True, slots=True)
class OssBuckets:
    """The collector of buckets. `bucket` names the bucket of records that do not name theirs."""

    options: SnapshotOptions
    bucket: str | None = None

    @property
    def suffixes(self) -> tuple[str, ...]:
        return _SUFFIXES

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return whole_or_lines(file)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        record = canonical.parse_object(raw)
        bucket = text(record, "Bucket") or self.bucket
        if bucket is None:
            raise MalformedInput("a bucket without its name", advice="Name it, in the record or by option.")
        owner, acl = _acl_of(record)
        if acl is None and "Policy" not in record:
            raise MalformedInput("nothing about a bucket's permissions", expected="an ACL or a Policy")
        account = text(record, "AccountId") or owner or only(self.options.owner.accounts)
        policy = record.get("Policy")
        grants = [
            *_acl_grants(acl, account),
            *([] if policy is None else _policy(policy, "bucket policy")),
            *(block_grant(_FLAG, name) for name in BLOCKS if _is_on(record, name)),
        ]
        return snapshot_event(
            self.options,
            Found(
                system="aliyun.oss",
                resource=f"acs:oss:::{bucket}",
                grants=tuple(grants),
                raw=canonical.encode(record),
                api_call=" ".join(f"oss:{call}" for call, names in _CALLS.items() if names & set(record)),
                owner=account,
                region=text(record, "Region"),
                complete=acl is not None and "Policy" in record,
                owners=frozenset({account} if account else set()),
            ),
            source=f"/aliyun/oss/{segment(account)}",
            key=self.options.keys.of("aliyun.oss", bucket),
            captured=text(record, "captured_at"),
        )


_FLAG = "BlockPublicAccess"
_CALLS = {
    "GetBucketAcl": {"Acl", "AccessControlPolicy", "AccessControlList"},
    "GetBucketPolicy": {"Policy"},
    "GetBucketPublicAccessBlock": {BLOCKS[0]},
    "GetPublicAccessBlock": {BLOCKS[1]},
}


def _is_on(record: Object, name: str) -> bool:
    """Whether Block Public Access is on; tools that turn XML into JSON write it as text."""
    flag = member(record, name).get(_FLAG, False)
    if not isinstance(flag, bool) and flag not in ("true", "false"):
        raise MalformedInput(f"a record out of form: {name}", expected=f"{_FLAG}: true or false")
    return flag in (True, "true")


_OSS = re.compile(r"acs:oss:[^:]*:[^:]*:(.*)", re.DOTALL)


def _policy(document: Value, source: str, holder: Named | None = None) -> Iterator[Grant]:
    """The grants of a policy, with resources of OSS by their names alone."""
    for grant in policy_grants(document, source=source, holder=holder, principals=alibaba_principals):
        found = _OSS.fullmatch(grant.resource or "")
        yield replace(grant, resource=f"acs:oss:*:*:{found[1]}") if found else grant


def _acl_of(record: Object) -> tuple[str | None, str | None]:
    """The owner and the ACL, from either form."""
    answer = member(record, "AccessControlPolicy") or record
    acl = text(record, "Acl") or text(member(answer, "AccessControlList"), "Grant")
    return text(member(answer, "Owner"), "ID"), acl


_READ = ("oss:GetObject", "oss:ListObjects")
_WRITE = ("oss:AbortMultipartUpload", "oss:DeleteObject", "oss:PutObject")
_ACLS: dict[str, tuple[str, ...]] = {
    "private": (),
    "public-read": _READ,
    "public-read-write": (*_READ, *_WRITE),
}


def _acl_grants(acl: str | None, account: str | None) -> Iterator[Grant]:
    if acl is None:
        return
    if acl not in _ACLS:
        raise MalformedInput("an unknown ACL", expected=", ".join(_ACLS))
    if account is not None:
        yield make_grant(account, ["oss:*"], kind=Kind.ACCOUNT, source=f"{ACL}: owner")
    if _ACLS[acl]:
        yield make_grant(EVERYBODY, _ACLS[acl], kind=Kind.PUBLIC, source=f"{ACL}: {acl}")


@dataclass(frozen=True, slots=True)
class RamPolicies:
    """The collector of RAM's policies. It needs `options.captured` unless the records have `captured_at`."""

    options: SnapshotOptions

    @property
    def suffixes(self) -> tuple[str, ...]:
        return _SUFFIXES

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return whole_or_lines(file)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        record = canonical.parse_object(raw)
        policy, version = member(record, "Policy"), member(record, "DefaultPolicyVersion")
        name, document = text(policy, "PolicyName"), text(version, "PolicyDocument")
        if name is None or document is None:
            raise MalformedInput("not an answer of GetPolicy", expected="Policy and DefaultPolicyVersion")
        account = text(record, "AccountId") or only(self.options.owner.accounts)
        by_provider = text(policy, "PolicyType") == "System"
        resource = f"acs:ram::{'system' if by_provider else account or '*'}:policy/{name}"
        holders = _entities(record, account) or [(resource, Kind.POLICY)]
        return snapshot_event(
            self.options,
            Found(
                system="aliyun.ram",
                resource=resource,
                grants=tuple(
                    grant for holder in holders for grant in _policy(document, f"policy {name}", holder)
                ),
                raw=canonical.encode(record),
                api_call="ram:GetPolicy",
                owner=account,
                complete=True,
                owners=frozenset({account} if account else set()),
            ),
            source=f"/aliyun/ram/{segment(account)}",
            key=self.options.keys.of("aliyun.ram", name),
            captured=text(record, "captured_at"),
        )


_ENTITIES = {
    "Users": ("User", "UserName", Kind.USER),
    "Groups": ("Group", "GroupName", Kind.GROUP),
    "Roles": ("Role", "RoleName", Kind.ROLE),
}


def _entities(record: Object, account: str | None) -> list[Named]:
    """To whom the policy is attached (ListEntitiesForPolicy)."""
    found: list[Named] = []
    for name, (one, key, kind) in _ENTITIES.items():
        for entity in objects(member(record, name), one):
            entity_name = text(entity, key)
            if entity_name is None:
                raise MalformedInput("an entity without its name", expected=key)
            found.append((f"acs:ram::{account or '*'}:{kind.value}/{entity_name}", kind))
    return found
