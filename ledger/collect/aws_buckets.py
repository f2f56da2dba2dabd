"""S3 buckets: policy, access control list and Block Public Access of each, one snapshot for one bucket.

A record is one JSON object that unites what the AWS command line answers for one bucket::

    {"Bucket":"replays","AccountId":"111122223333","captured_at":"2026-07-01T12:00:00Z","Region":"eu-west-1",
     "Policy":"{\\"Version\\":…}",                              get-bucket-policy; null if there is none
     "Owner":{"ID":"75aa…"},"Grants":[…],                      get-bucket-acl
     "PublicAccessBlockConfiguration":{…},                     get-public-access-block; null if there is none
     "AccountPublicAccessBlockConfiguration":{…},              s3control get-public-access-block, renamed
     "PolicyStatus":{"IsPublic":true}}                         get-bucket-policy-status

Each member may be missing: a file with the answer of one call is a record, if the option `bucket` names its bucket.
Members that are not named here are left alone. In a folder, at any depth, the `.json` files of one folder are one
record: the answers about the bucket that the folder is named after, in files of any name, but for
`account-public-access-block.json` with the account's. Records of their own stand there in `.ndjson` files.

The snapshot is `complete` if policy, list and block are all there, be it as null; otherwise `public` is only ever
true or absent. `raw_sha256` is taken over the record's canonical JSON, in which the policy's text stands as AWS
answered it. A permission of the list becomes the actions that AWS documents for it. Lists of single objects are not
looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ledger import canonical
from ledger.canonical import Object
from ledger.collect.base import Placed, records_of
from ledger.collect.files import MAX_RECORD, NO_HEADER, Header, RawRecord, find_files
from ledger.collect.members import segment
from ledger.collect.policies import policy_grants
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
from ledger.errors import InputError, MalformedInput
from ledger.permissions.grants import EVERYBODY, Effect, Grant, Kind, make_grant
from ledger.permissions.reach import ACL, BLOCK

SYSTEM = "aws.s3"
BLOCKS = ("PublicAccessBlockConfiguration", "AccountPublicAccessBlockConfiguration")
"""Block Public Access of the bucket, and of its owner's account."""
_ANSWERS = ("Policy", "Grants", "PolicyStatus", *BLOCKS)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True, slots=True)
class AwsBuckets:
    """The collector. `bucket` names the bucket of records that do not name theirs."""

    options: SnapshotOptions
    bucket: str | None = None

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".json", ".ndjson", ".jsonl")

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return whole_or_lines(file)

    def gather(self, paths: Iterable[Path]) -> Iterator[Placed]:
        listed = list(paths)
        united: set[Path] = set()
        for file in find_files(listed, self.suffixes):
            if file in listed or file.suffix != ".json":
                yield from records_of(self, file)
            elif file.parent not in united:
                united.add(file.parent)
                yield _unite(file.parent)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        record = canonical.parse_object(raw)
        bucket = text(record, "Bucket") or self.bucket
        if bucket is None or not _BUCKET.fullmatch(bucket):
            raise MalformedInput("a bucket without its name", advice="Name it, in the record or by option.")
        if not any(name in record for name in _ANSWERS):
            raise MalformedInput("nothing about a bucket's permissions", expected=f"one of {_ANSWERS}")
        region = text(record, "Region") or text(record, "LocationConstraint")
        account = text(record, "AccountId") or only(self.options.owner.accounts)
        canonical_id = text(member(record, "Owner"), "ID")
        status = member(record, "PolicyStatus").get("IsPublic")
        blocks = _block_grants(record)
        restricted = any(grant.conditions.get(BLOCK) == "RestrictPublicBuckets" for grant in blocks)
        return snapshot_event(
            self.options,
            Found(
                system=SYSTEM,
                resource=bucket_arn(bucket, region),
                grants=(*_policy(record), *_acl(record), *blocks),
                raw=canonical.encode(record),
                api_call=_calls(record),
                owner=account or canonical_id,
                region=region,
                complete={"Policy", "Grants", BLOCKS[0]} <= set(record),
                public=status is True and not restricted,
                owners=frozenset(id for id in (account, canonical_id) if id),
            ),
            source=f"/aws/s3/{segment(account)}",
            key=self.options.keys.of(SYSTEM, bucket),
            captured=text(record, "captured_at"),
        )


def bucket_arn(bucket: str, region: str | None) -> str:
    """The ARN of a bucket; those in China are in a partition of their own."""
    return f"arn:{'aws-cn' if (region or '').startswith('cn-') else 'aws'}:s3:::{bucket}"


def _calls(record: Object) -> str:
    calls = {"Policy": "GetBucketPolicy", "Grants": "GetBucketAcl", "PolicyStatus": "GetBucketPolicyStatus"}
    calls |= dict.fromkeys(BLOCKS, "GetPublicAccessBlock")
    return " ".join(sorted({f"s3:{calls[name]}" for name in _ANSWERS if name in record}))


def _policy(record: Object) -> list[Grant]:
    policy = record.get("Policy")
    return [] if policy is None else policy_grants(policy, source="bucket policy")


_LIST = ("s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions")
_PERMISSIONS: dict[str, tuple[str, ...]] = {
    "READ": _LIST,
    "WRITE": ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"),
    "READ_ACP": ("s3:GetBucketAcl",),
    "WRITE_ACP": ("s3:PutBucketAcl",),
}
_PERMISSIONS["FULL_CONTROL"] = tuple(action for actions in _PERMISSIONS.values() for action in actions)
"""What a permission on a bucket allows: S3 user guide, “Mapping of ACL permissions and access policy permissions”."""

_GROUPS = {
    "http://acs.amazonaws.com/groups/global/AllUsers": Kind.PUBLIC,
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": Kind.AUTHENTICATED,
    "http://acs.amazonaws.com/groups/s3/LogDelivery": Kind.SERVICE,
}


def _acl(record: Object) -> Iterator[Grant]:
    for listed in objects(record, "Grants"):
        grantee, permission = member(listed, "Grantee"), text(listed, "Permission")
        if permission not in _PERMISSIONS:
            raise MalformedInput(
                "a grant of a list with an unknown permission", expected=", ".join(_PERMISSIONS)
            )
        name = text(grantee, "URI") or text(grantee, "ID") or text(grantee, "EmailAddress")
        if name is None:
            raise MalformedInput("a grant of a list without its grantee", expected="URI, ID or EmailAddress")
        kind = _GROUPS.get(name, Kind.CANONICAL_USER if "ID" in grantee else Kind.UNKNOWN)
        yield make_grant(name, _PERMISSIONS[permission], kind=kind, source=f"{ACL}: {permission}")


_FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def _block_grants(record: Object) -> tuple[Grant, ...]:
    """Each flag that is on, as a denial under a condition of its own name."""
    found = []
    for name in BLOCKS:
        flags = member(record, name)
        if not all(isinstance(flags.get(flag, False), bool) for flag in _FLAGS):
            raise MalformedInput(f"a record out of form: {name}", expected="true or false")
        found += [block_grant(flag, name) for flag in _FLAGS if flags.get(flag) is True]
    return tuple(found)


def block_grant(flag: str, source: str) -> Grant:
    """A flag of Block Public Access as it stands among the grants."""
    return make_grant(
        EVERYBODY, ["*"], effect=Effect.DENY, condition={BLOCK: flag}, kind=Kind.PUBLIC, source=source
    )


# --- Folders


def _unite(folder: Path) -> Placed:
    try:
        record = RawRecord(1, read_folder(folder))
    except (InputError, OSError) as error:
        record = RawRecord(1, b"", str(error))
    return str(folder), record


def read_folder(folder: Path) -> bytes:
    """The record that a bucket's folder makes. Raises `MalformedInput` where two files differ over one member."""
    record: Object = {"Bucket": folder.name}
    for path in sorted(folder.glob("*.json")):
        if path.stat().st_size > MAX_RECORD:
            raise MalformedInput(f"a file of over {MAX_RECORD} bytes", got=path.name)
        answer = canonical.parse_object(path.read_bytes())
        if path.name == "account-public-access-block.json":
            answer = {BLOCKS[1]: answer.get(BLOCKS[0])}
        for name, value in answer.items():
            if name in record and name != "Bucket" and record[name] != value:
                raise MalformedInput("two files of one bucket that differ", got=name)
            record[name] = value
    return canonical.encode(record)
