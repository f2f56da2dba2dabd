r"""Alibaba Cloud OSS access logs (日志转存): each line is one access.

A line is (one line, here folded) of the OSS guide's “log format”; a field may be absent as `-` or `"-"`::

    198.51.100.7 - - [01/Jul/2026:20:00:03 +0800] "GET /2026/1.ts HTTP/1.1" 200 4518 21 "-" "aliyun-sdk-python"
    "replays.oss-cn-hangzhou.aliyuncs.com" "64A00C03EXAMPLE37363930" "true" "1657136100000000" "GetObject" "replays"
    "2026%2F1.ts" 4518 20 "-" 350 "1657136100000001" - "-" "standard" "-" "-" "LTAIEXAMPLE"

The vendor adds fields at the end. What follows the owner's account may be missing; of it only the id of the access key
is read.

- `id` is the request's id; a line without one is known by its place (see `base`).
- `source` is `/aliyun/oss/<account of the bucket's owner>`: whose log it is.
- `outcome` is that of the HTTP status, `reason` the vendor's error code; the path's query string stays behind.
- `completeness` is `best-effort`: the vendor promises neither that a file is complete nor that it comes in time.

The log does not tell whether there was TLS.
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
)
from ledger.entry import Phase
from ledger.errors import MalformedInput

_FIELDS = (
    *("address", "reserved_1", "reserved_2", "time", "request", "status", "bytes", "request_time", "referer"),
    *("user_agent", "host", "request_id", "logging", "requester", "operation", "bucket", "key", "size"),
    *("server_time", "error", "request_length", "owner", "delta", "sync_request", "storage_class"),
    *("target_storage_class", "acceleration", "access_key"),
)
_OLDEST = 22


@dataclass(frozen=True, slots=True)
class Oss:
    """The collector. `subject` and `phase` say to which transfer, and where on its way, the accesses belong."""

    subject: str = "aliyun-oss"
    phase: Phase = Phase.STORAGE

    @property
    def suffixes(self) -> tuple[str, ...]:
        return ("",)  # the vendor names these files by bucket and time, without any ending

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return split_text(file)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        found = split_fields(decode(raw))
        if len(found) < _OLDEST:
            raise MalformedInput("not an OSS access", expected=f"{_OLDEST} fields or more", got=len(found))
        fields = {name: present(text) for name, text in zip(_FIELDS, found, strict=False)}
        if fields["logging"] not in (None, "true", "false"):
            # A quote and a space inside a user agent have moved what stands after it.
            raise MalformedInput("not an OSS access", expected="true, false or - as field 13")
        event: Object = {
            "specversion": "1.0",
            "source": f"/aliyun/oss/{segment(fields['owner'])}",
            "type": ACCESS.name,
            "subject": self.subject,
            "time": clf_time(fields["time"] or ""),
            "phase": self.phase.value,
            "data": access_data(fields, raw),
        }
        return event | {"id": fields["request_id"]} if fields["request_id"] else event


def access_data(fields: dict[str, str | None], raw: bytes) -> Object:
    """The `data` of the access that a line's fields tell."""
    outcome, reason = http_outcome(fields["status"])
    requester, bucket, key = fields["requester"], fields["bucket"], fields["key"]
    return known(
        principal=requester or fields.get("access_key") or "anonymous",
        principal_type=None if requester or fields.get("access_key") else "anonymous",
        principal_account=requester,
        action=f"oss:{fields['operation']}" if fields["operation"] else None,
        resource=bucket and f"acs:oss:::{bucket}" + (f"/{percent_decoded(key)}" if key else ""),
        resource_account=fields["owner"],
        outcome=outcome,
        reason=fields["error"] or reason,
        source_address=fields["address"],
        bytes=count(fields["bytes"]),
        read_only=reads((fields["request"] or "").split(" ")[0]),
        region=_region(fields["host"]),
        user_agent=fields["user_agent"],
        source_system="aliyun.oss",
        completeness="best-effort",
        class_uid=API_ACTIVITY,
        raw_sha256=raw_digest(raw),
    )


def _region(host: str | None) -> str | None:
    match = re.search(r"(?:^|\.)oss-([a-z]{2}(?:-[a-z]+)+(?:-[0-9]+)?)\.aliyuncs\.com$", host or "")
    return match and match[1].removesuffix("-internal")
