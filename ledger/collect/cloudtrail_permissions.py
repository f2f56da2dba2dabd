"""CloudTrail: the calls that change a bucket's policy, each a permission snapshot beside its access.

A snapshot that was exported shows how things stood when somebody asked; a grant that came and went in between is seen
only in the calls themselves. Three calls of S3 say, once they succeeded, what a bucket's policy is from then on:

- `PutBucketPolicy`: what stands in `requestParameters.bucketPolicy`;
- `DeleteBucketPolicy`: none, so no grants;
- `CreateBucket`: none, for a new bucket. In us-east-1 the call also succeeds for a bucket that its owner has already,
  and leaves its policy as it is (S3 API reference, “CreateBucket”, BucketAlreadyOwnedByYou). So a record that names the
  bucket among `resources`, as those of calls to existing buckets do, gives no snapshot.

The snapshot speaks of the policy alone: access control list and Block Public Access are other calls, and what
CloudTrail misses is not known, so it is `best-effort`. Its envelope is the access's with `<eventID>:permissions` for
`id`, its `source_system` is `aws.cloudtrail`, its `raw_sha256` the record's. The owner is the account that the record
names the bucket's, since the trail of a caller from another account holds the call as well; else `recipientAccountId`.

A policy that cannot be read, that CloudTrail left out for its size, or that makes more grants than an event holds, is a
grant to anybody of what is not told: nobody is cleared by what was put there, and the access is not lost over it.
"""

from __future__ import annotations

from ledger import canonical
from ledger.canonical import Object
from ledger.catalogue import PERMISSION_SNAPSHOT, check_event
from ledger.collect.aws_buckets import bucket_arn
from ledger.collect.members import object_at, text_at
from ledger.collect.policies import policy_grants
from ledger.collect.snapshots import Found, snapshot_data
from ledger.entry import parse_event
from ledger.errors import InputError
from ledger.permissions.grants import EVERYBODY, Grant, Kind, make_grant
from ledger.permissions.reach import Owner

_CREATE, _PUT, _DELETE = "CreateBucket", "PutBucketPolicy", "DeleteBucketPolicy"
_CALLS = frozenset({_CREATE, _PUT, _DELETE})
_UNREAD = make_grant(EVERYBODY, [], kind=Kind.UNKNOWN, source="bucket policy, which could not be read")


def bucket_snapshot(record: Object, access: Object) -> Object | None:
    """The snapshot that a record of CloudTrail gives beside its `access` event; None for most records."""
    call = text_at(record, "eventName")
    if call not in _CALLS or record.get("eventSource") != "s3.amazonaws.com" or _failed(record):
        return None
    parameters = object_at(record, "requestParameters")
    bucket = text_at(parameters, "bucketName")
    if bucket is None:
        return None
    arn = bucket_arn(bucket, text_at(record, "awsRegion"))
    if call != _PUT:
        return None if call == _CREATE and _named(record, arn) else _snapshot(record, access, arn, ())
    try:
        grants = policy_grants(parameters.get("bucketPolicy"), source="bucket policy")
        snapshot = _snapshot(record, access, arn, tuple(grants))
        check_event(parse_event(snapshot))
    except InputError:
        return _snapshot(record, access, arn, (_UNREAD,))
    return snapshot


def _failed(record: Object) -> bool:
    return record.get("errorCode") is not None or record.get("errorMessage") is not None


def _named(record: Object, arn: str) -> Object | None:
    """What the record says of the bucket among the resources that it reached."""
    listed = record.get("resources")
    resources = [it for it in listed if isinstance(it, dict)] if isinstance(listed, list) else []
    return next((it for it in resources if it.get("ARN") == arn), None)


def _snapshot(record: Object, access: Object, arn: str, grants: tuple[Grant, ...]) -> Object:
    owner = text_at(_named(record, arn) or {}, "accountId") or text_at(record, "recipientAccountId")
    found = Found(
        system="aws.cloudtrail",
        resource=arn,
        grants=grants,
        raw=canonical.encode(record),
        api_call=f"s3:{record['eventName']}",
        owner=owner,
        region=text_at(record, "awsRegion"),
        complete=False,
        owners=frozenset({owner} if owner else set()),
    )
    return {
        **access,
        "id": f"{access['id']}:permissions",
        "type": PERMISSION_SNAPSHOT.name,
        "data": snapshot_data(found, Owner()),
    }
