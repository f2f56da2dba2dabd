r"""Amazon S3 server access logs: each line is one access.

A line is (one line, here folded) of the S3 user guide's “server access log format”::

    79a5…f2be replays [01/Jul/2026:12:00:03 +0000] 198.51.100.7 arn:aws:iam::111122223333:user/b 3E57427F3EXAMPLE
    REST.GET.OBJECT 2026/1.ts "GET /replays/2026/1.ts HTTP/1.1" 200 - 4518 4518 21 20 "-" "aws-cli/2" - s9lz…= SigV4
    ECDHE-RSA-AES128-GCM-SHA256 AuthHeader replays.s3.eu-west-1.amazonaws.com TLSv1.2 - Yes eu-west-1

The first 17 fields, up to the user agent, are as old as the format. What came later stands at the end and may be
missing; what will come after it is not read.

- `id` is `<request id>:<operation>`, since a copy logs two operations under one request. `BATCH.…` logs a line for each
  object of one request: those are known by their place (see `base`), as a request without an id is.
- `source` is `/aws/s3/<canonical id of the bucket's owner>`: whose log it is. Buckets are named in `resource` only.
- `outcome` is that of the HTTP status; a line with neither that nor an error code (lifecycle) was `allowed`.
- `region` is the one in the host header. The path's query string stays behind: it may hold signatures.
- `completeness` is `best-effort`, in the vendor's own words; a line may also be delivered twice.

The guide names no way to write a quote within a user agent. One that holds a quote and a space ends its field, and its
rest would be read as the fields that S3 writes after it. None of those is quoted, so a line with a quote after the user
agent is set aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ledger.canonical import Object
from ledger.catalogue import ACCESS
from ledger.collect.files import NO_HEADER, Header, RawRecord, split_text
from ledger.collect.members import (
    API_ACTIVITY,
    clf_time,
    count,
    decode,
    http_outcome,
    known,
    percent_decoded,
    present,
    raw_digest,
    reads,
    segment,
    split_fields,
    tls_version,
)
from ledger.entry import Phase
from ledger.errors import MalformedInput

_FIELDS = (
    *(
        "owner",
        "bucket",
        "time",
        "address",
        "requester",
        "request_id",
        "operation",
        "key",
        "request",
        "status",
    ),
    *("error", "bytes", "size", "total_time", "turnaround", "referer", "user_agent", "version_id", "host_id"),
    *(
        "signature",
        "cipher",
        "authentication",
        "host",
        "tls",
        "access_point",
        "acl_required",
        "source_region",
    ),
)
_OLDEST = 17
"""As many fields a line has at least, and only they may have quotes."""


@dataclass(frozen=True, slots=True)
class S3:
    """The collector. `subject` and `phase` say to which transfer, and where on its way, the accesses belong."""

    subject: str = "aws-s3"
    phase: Phase = Phase.STORAGE

    @property
    def suffixes(self) -> tuple[str, ...]:
        return ("",)  # AWS names these files by time, without any ending

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return split_text(file)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        found, rest = split_fields(decode(raw), _OLDEST)
        if len(found) < _OLDEST:
            raise MalformedInput("not an S3 access", expected=f"{_OLDEST} fields or more", got=len(found))
        if '"' in rest:
            raise MalformedInput("not an S3 access", expected="no quote after the user agent")
        found += rest.split(" ")
        fields = {name: present(text) for name, text in zip(_FIELDS, found, strict=False)}
        id, operation = fields["request_id"], fields["operation"] or ""
        event: Object = {
            "specversion": "1.0",
            "source": f"/aws/s3/{segment(fields['owner'])}",
            "type": ACCESS.name,
            "subject": self.subject,
            "time": clf_time(fields["time"] or ""),
            "phase": self.phase.value,
            "data": access_data(fields, raw),
        }
        return event if id is None or operation.startswith("BATCH.") else event | {"id": f"{id}:{operation}"}


def access_data(fields: dict[str, str | None], raw: bytes) -> Object:
    """The `data` of the access that a line's fields tell."""
    status, error, operation = fields["status"], fields["error"], fields["operation"]
    outcome, reason = http_outcome(status) if status or error else ("allowed", None)
    requester, bucket, key = fields["requester"], fields["bucket"], fields["key"]
    return known(
        principal=requester or "anonymous",
        principal_type=None if requester else "anonymous",
        principal_account=_account(requester),
        action=operation,
        resource=bucket and f"arn:aws:s3:::{bucket}" + (f"/{percent_decoded(key)}" if key else ""),
        resource_account=fields["owner"],
        outcome=outcome,
        reason=error or reason,
        source_address=fields["address"],
        tls_version=_tls(fields),
        cipher=fields.get("cipher"),
        bytes=count(fields["bytes"]),
        read_only=_reads(operation),
        region=_region(fields.get("host")),
        user_agent=fields["user_agent"],
        source_system="aws.s3",
        completeness="best-effort",
        class_uid=API_ACTIVITY,
        raw_sha256=raw_digest(raw),
    )


def _account(requester: str | None) -> str | None:
    match = re.match(r"arn:[a-z0-9-]+:(?:iam|sts)::([0-9]{12}):", requester or "")
    return match and match[1]


def _tls(fields: dict[str, str | None]) -> str | None:
    # A request has `-` there if there was no TLS; what S3 does by itself has no request and no address either.
    plain = "tls" in fields and fields["tls"] is None and fields["request"] and fields["address"]
    return "none" if plain else tls_version(fields.get("tls"))


def _reads(operation: str | None) -> bool | None:
    match = re.match(r"(?:REST|WEBSITE)\.([A-Z]+)\.(.*)", operation or "")
    return match and (reads(match[1]) or match[2].endswith("_GET"))


def _region(host: str | None) -> str | None:
    match = re.search(r"(?:^|\.)s3(?:-[a-z]+)*[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-[0-9])\.", host or "")
    return match and match[1]
