r"""Alibaba Cloud OSS access logs, as files (日志转存) and in the log service (SLS): each line is one access.

A line of a file is (one line, here folded) of the OSS guide's “log format”; a field may be absent as `-` or `"-"`::

    198.51.100.7 - - [01/Jul/2026:20:00:03 +0800] "GET /2026/1.ts HTTP/1.1" 200 4518 21 "-" "aliyun-sdk-python"
    "replays.oss-cn-hangzhou.aliyuncs.com" "64A00C03EXAMPLE37363930" "true" "1657136100000000" "GetObject" "replays"
    "2026%2F1.ts" 4518 20 "-" 350 "1657136100000001" - "-" "standard" "-" "-" "LTAIEXAMPLE"

The vendor adds fields at the end. What follows the owner's account may be missing; of it only the id of the access key
is read. A line of the log service is a JSON object of the members that its guide lists, “OSS log fields”: the topics
`oss_access_log` and `oss_batch_delete_log`, and `__time__` in Unix seconds.

- `id` is the request's id; a line without one is known by its place (see `base`), and so is each object of a batch that
  was deleted, since all of them have the same.
- `source` is `/aliyun/oss/<account of the bucket's owner>`: whose log it is; the log service's is `/aliyun/sls/…`,
  since it tells the same access in other words.
- `outcome` is that of the HTTP status, `reason` the vendor's error code; the path's query string stays behind.
- `tls_version` is `none` for `http_type` HTTP of the log service; otherwise these logs do not tell it.
- `completeness` is `best-effort`: the vendor promises neither that a file is complete nor that it comes in time.

Whether OSS escapes the quotes in a user agent, its guide does not say. Where a client's quote and space end that field,
its own text is read as the fields after it, and the true ones stand further back. `_check_places` sees that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from ledger import canonical
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
    unix_time,
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
Fields: TypeAlias = dict[str, str | None]


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
        is_service = raw.startswith(b"{")
        fields = read_service(raw) if is_service else read_line(decode(raw))
        event: Object = {
            "specversion": "1.0",
            "source": f"/aliyun/{'sls' if is_service else 'oss'}/{segment(fields['owner'])}",
            "type": ACCESS.name,
            "subject": self.subject,
            "time": fields["time"],
            "phase": self.phase.value,
            "data": access_data(fields, raw),
        }
        return event | {"id": fields["request_id"]} if fields["request_id"] else event


def read_line(line: str) -> Fields:
    """The fields of a line of a file, `time` as RFC 3339."""
    found, _ = split_fields(line)
    if len(found) < _OLDEST:
        raise MalformedInput("not an OSS access", expected=f"{_OLDEST} fields or more", got=len(found))
    _check_places(found)
    fields = {name: present(text) for name, text in zip(_FIELDS, found, strict=False)}
    return {"access_key": None, **fields, "time": clf_time(fields["time"] or "")}


_FLAG, _NUMBERS = 13, (18, 19, 21, 22, 23)
"""Which fields, counted from 1, have one form only: `logging`; sizes, times and the owner."""
_MOST = _OLDEST + 11


def _check_places(found: list[str]) -> None:
    """Raise `MalformedInput` where a client's own text may have moved the fields after the request.

    A text that moves them by fewer than twelve brings a host, a word or an id to where a number or the flag has to be;
    by twelve and more, it leaves more fields than `_MOST`.
    """
    if found[_FLAG - 1] not in ("true", "false", "-"):
        raise MalformedInput("not an OSS access", expected=f"true, false or - as field {_FLAG}")
    for number in _NUMBERS:
        # The vendor's samples mask accounts with `*`.
        if number <= len(found) and not re.fullmatch(r"[0-9*]+|-", found[number - 1]):
            raise MalformedInput("not an OSS access", expected=f"a number or - as field {number}")
    if len(found) > _MOST:
        raise MalformedInput("not an OSS access", expected=f"{_MOST} fields at most", got=len(found))


_SERVICE = {
    "address": "client_ip",
    "time": "__time__",
    "request": "http_method",
    "status": "http_status",
    "bytes": "response_body_length",
    "user_agent": "user_agent",
    "host": "host",
    "request_id": "request_id",
    "requester": "requester_id",
    "operation": "operation",
    "bucket": "bucket",
    "key": "object",
    "error": "error_code",
    "owner": "owner_id",
    "access_key": "access_id",
    "scheme": "http_type",
}
"""The names of a line's fields, and of the log service's members."""
_BATCH = "oss_batch_delete_log"


def read_service(raw: bytes) -> Fields:
    """The fields of a record of the log service, under the names of a line's, `time` as RFC 3339."""
    record = canonical.parse_object(raw)
    if record.get("__topic__", "oss_access_log") not in ("oss_access_log", _BATCH):
        raise MalformedInput("not an OSS access", expected=f"the topic oss_access_log or {_BATCH}")
    texts = {name: str(value) for name, value in record.items() if isinstance(value, str | int)}
    fields = {ours: present(texts.get(theirs)) for ours, theirs in _SERVICE.items()}
    if record.get("__topic__") == _BATCH:
        fields["request_id"] = None
    return {**fields, "time": unix_time(fields["time"] or "")}


def access_data(fields: Fields, raw: bytes) -> Object:
    """The `data` of the access that a line's fields tell."""
    outcome, reason = http_outcome(fields["status"])
    requester, bucket, key = fields["requester"], fields["bucket"], fields["key"]
    return known(
        principal=requester or fields["access_key"] or "anonymous",
        principal_type=None if requester or fields["access_key"] else "anonymous",
        principal_account=requester,
        action=f"oss:{fields['operation']}" if fields["operation"] else None,
        resource=bucket and f"acs:oss:::{bucket}" + (f"/{percent_decoded(key)}" if key else ""),
        resource_account=fields["owner"],
        outcome=outcome,
        reason=fields["error"] or reason,
        source_address=fields["address"],
        tls_version="none" if fields.get("scheme") in {"HTTP", "http"} else None,
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
