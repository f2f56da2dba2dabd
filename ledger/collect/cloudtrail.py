"""AWS CloudTrail: each record is one access, and for some calls a permission snapshot too (`cloudtrail_permissions`).

Field names are those of the CloudTrail user guide, “CloudTrail record contents” and “userIdentity element”. It reads
the files that CloudTrail delivers, `{"Records":[…]}`, and what else holds records: an array of them, one on each line,
or one over several lines after the other. Each may be wrapped: in what LookupEvents answers, `{"Events":[{
"CloudTrailEvent":"…"}]}`, in an event of EventBridge's, `{"detail":{…}}`, and in messages of CloudWatch Logs,
`{"logEvents":[{"message":"…"}]}` or `events`. An export that came through Logstash has `@timestamp` in place of
`eventTime`.

How a record becomes an event:

- `id` is `eventID`, which AWS makes a GUID. A record without one, or with one that is not opaque, is set aside: an id
  made up here could not tell a record from its copy, and one derived from the record's content would be a bare hash of
  personal data, in clear for ever.
- `source` is `/aws/cloudtrail/<recipientAccountId>/<awsRegion>`: where the trail is, not who acted.
- `outcome` is `refused` where `errorCode` says that access control said no, or a sign-in failed; `failed` for every
  other error (not found, throttled, invalid), so that `allowed` means done; `reason` is `errorCode`.
- `raw_sha256` is SHA-256 over the record's canonical JSON (RFC 8785), so that it is the same whichever file or export
  the record came from. Like every member that could be personal it goes into the entry as a salted digest only.
- `completeness` is `best-effort`: the trail's own selectors decide what is logged at all, and a record alone does not
  show what its trail leaves out.

Request parameters and response elements stay behind: they hold session tokens and policies, and the ledger holds what
an audit needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.catalogue import ACCESS
from ledger.collect.cloudtrail_permissions import bucket_snapshot
from ledger.collect.files import NO_HEADER, Header, RawRecord, split_json
from ledger.collect.members import object_at, segment, text_at, tls_version
from ledger.entry import Phase
from ledger.errors import MalformedInput
from ledger.types import Digest


@dataclass(frozen=True, slots=True)
class CloudTrail:
    """The collector. `subject` and `phase` say to which transfer, and where on its way, the events belong."""

    subject: str = "aws-cloudtrail"
    phase: Phase = Phase.STORAGE

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".json", ".ndjson", ".jsonl")

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return split_json(file, "Records", "Events", "logEvents", "events")

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object | list[Object]:
        record = _unwrapped(canonical.parse_object(raw))
        _refuse_no_access(record)
        time = record.get("eventTime", record.get("@timestamp"))
        if not text_at(record, "eventID") or time is None:
            raise MalformedInput("not a CloudTrail record", expected="eventID, and eventTime or @timestamp")
        account, region = text_at(record, "recipientAccountId"), text_at(record, "awsRegion")
        access: Object = {
            "specversion": "1.0",
            "id": record["eventID"],
            "source": f"/aws/cloudtrail/{segment(account)}/{segment(region)}",
            "type": ACCESS.name,
            "subject": self.subject,
            "time": time,
            "phase": self.phase.value,
            "data": access_data(record),
        }
        snapshot = bucket_snapshot(record, access)
        return access if snapshot is None else [access, snapshot]


def _unwrapped(value: Object) -> Object:
    """The record within what carried it, or itself."""
    if "eventID" in value:
        return value
    text = text_at(value, "CloudTrailEvent") or text_at(value, "message")
    return canonical.parse_object(text.encode()) if text else object_at(value, "detail") or value


def _refuse_no_access(record: Object) -> None:
    """Raise `MalformedInput` for what CloudTrail delivers beside its records, and what only counts them."""
    if text_at(record, "digestS3Object"):
        raise MalformedInput("a digest of CloudTrail's files, which is no access")
    if text_at(record, "eventType") == "AwsCloudTrailInsight":
        raise MalformedInput("an insight of CloudTrail's, which is no access")


def access_data(record: Object) -> Object:
    """The `data` of the access that a record logs; members that it does not tell are left out."""
    identity = object_at(record, "userIdentity")
    extra = object_at(record, "additionalEventData")
    tls = object_at(record, "tlsDetails")
    resource, resource_account = _resource(record)
    read_only = record.get("readOnly")
    data: Object = {
        "principal": _principal(identity) or text_at(record, "eventSource"),
        "principal_type": text_at(identity, "type"),
        "principal_account": text_at(identity, "accountId"),
        "action": _action(record),
        "resource": resource,
        "resource_account": resource_account,
        "outcome": _outcome(record),
        "reason": text_at(record, "errorCode"),
        "source_address": text_at(record, "sourceIPAddress"),
        "tls_version": tls_version(text_at(tls, "tlsVersion")),
        "cipher": text_at(tls, "cipherSuite") or text_at(extra, "CipherSuite"),
        "bytes": _count(extra.get("bytesTransferredOut")),
        "read_only": read_only if isinstance(read_only, bool) else None,
        "region": text_at(record, "awsRegion"),
        "user_agent": text_at(record, "userAgent"),
        "source_system": "aws.cloudtrail",
        "completeness": "best-effort",
        "class_uid": _CLASSES.get(text_at(record, "eventType") or ""),
        "raw_sha256": Digest.of(canonical.encode(record)).hex(),
    }
    return {name: value for name, value in data.items() if value is not None}


_CLASSES = {"AwsApiCall": 6003, "AwsConsoleSignIn": 3002}
"""OCSF 1.x event classes: API Activity and Authentication. What a service does by itself has none."""


def _principal(identity: Object) -> str | None:
    """Who acted: the ARN where there is one, else what names them best (userIdentity element).

    An anonymous request has an empty `principalId` and the account `ANONYMOUS_PRINCIPAL`; a user of IAM Identity
    Center stands in `onBehalfOf` alone.
    """
    behalf = object_at(identity, "onBehalfOf")
    named = [text_at(identity, name) for name in ("arn", "principalId")]
    named += [text_at(behalf, "userId")]
    named += [text_at(identity, name) for name in ("invokedBy", "userName", "accountId")]
    return next(filter(None, named), None)


def _action(record: Object) -> str | None:
    """IAM's spelling, `s3:GetObject`, of `eventSource` `s3.amazonaws.com` and `eventName`."""
    name = text_at(record, "eventName")
    return f"{_service(record)}:{name}" if name else None


def _service(record: Object) -> str:
    return (text_at(record, "eventSource") or "unknown").split(".")[0]


_REFUSALS = re.compile(
    r"(Client\.)?("
    r"AccessDenied|AccessDeniedException|UnauthorizedOperation|UnauthorizedAccess|Unauthorized|UnauthorizedException"
    r"|AccessForbidden|Forbidden|ForbiddenException|NotAuthorized|NotAuthorizedException|AuthorizationError"
    r"|AuthorizationErrorException|AuthFailure|AllAccessDisabled|InvalidAccessKeyId|SignatureDoesNotMatch"
    r"|ExpiredToken|ExpiredTokenException|InvalidToken|InvalidClientTokenId|OptInRequired|KMSAccessDeniedException"
    r"|UnrecognizedClientException|TokenRefreshRequired"
    r")(Fault)?"
)
"""Error codes by which AWS services say that access control, or proof of identity, said no."""


def _outcome(record: Object) -> str:
    error = text_at(record, "errorCode")
    if error is not None:
        return "refused" if _REFUSALS.fullmatch(error) else "failed"
    return "refused" if _failed_sign_in(record) else "allowed"


def _failed_sign_in(record: Object) -> bool:
    """Whether it logs a sign-in that failed: these have no error code (“console sign-in events”, Identity Center's)."""
    if text_at(record, "errorMessage") == "Failed authentication":
        return True
    told = object_at(record, "responseElements") | object_at(record, "serviceEventDetails")
    by_type = text_at(record, "eventType") == "AwsConsoleSignIn"
    by_source = text_at(record, "eventSource") == "signin.amazonaws.com"
    return (by_type or by_source) and "Failure" in told.values()


_NAMES: tuple[str, ...] = (
    *("secretId", "functionName", "tableName", "dBInstanceIdentifier", "instanceId", "keyId", "policyArn"),
    *("roleName", "roleArn", "userName", "groupName", "topicArn", "queueUrl", "name"),
    *("snapshotId", "imageId", "volumeId", "dBSnapshotIdentifier", "dBClusterSnapshotIdentifier"),
)
"""Request parameters that name the resource, most telling first."""


def _resource(record: Object) -> tuple[str | None, str | None]:
    """What was reached, as an ARN where one is given or can be told, and the account that owns it.

    `resources` comes first, and in it an object of S3 before its bucket, which tells the account of both; an S3
    request that lacks it names a bucket and perhaps a key; then one of `_NAMES`, as `service:parameter/value` unless it
    is an ARN.
    """
    owners = _listed(record)
    if owners:
        arn = next((arn for arn in owners if re.match(r"arn:[^:]*:s3:::[^/]+/", arn)), next(iter(owners)))
        return arn, owners[arn] or owners.get(arn.split("/")[0])
    parameters = object_at(record, "requestParameters")
    if bucket := text_at(parameters, "bucketName"):
        key = text_at(parameters, "key")
        return f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""), None
    for name in _NAMES:
        if value := text_at(parameters, name):
            return value if value.startswith("arn:") else f"{_service(record)}:{name}/{value}", None
    return None, None


def _listed(record: Object) -> dict[str, str | None]:
    """The ARNs of a record's resources, each with its account if that is told; CloudTrail Lake writes `arn`."""
    listed = record.get("resources")
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    arns = [(text_at(one, "ARN") or text_at(one, "arn"), text_at(one, "accountId")) for one in found]
    return {arn: account for arn, account in arns if arn}


def _count(value: Value) -> int | None:
    """A number of bytes; CloudTrail writes some as `4518.0`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        return None
    return int(value)
