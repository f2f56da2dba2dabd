"""Amazon CloudFront standard logs, and any other W3C extended log of requests: each line is one access.

The file says what its fields are, and may say it anew::

    #Version: 1.0
    #Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status … ssl-protocol ssl-cipher
    2026-07-01<tab>12:00:03<tab>HKG62-P2<tab>4518<tab>198.51.100.7<tab>GET<tab>…

CloudFront parts fields by tabs and percent-encodes them; others, such as IIS, part them by spaces and write `+` for a
space. Lines that start with `#` are no records. A line before `#Fields`, or with another number of fields, is set
aside.

- `id` is `edge:<x-edge-request-id>`; a line without that field is known by its place (see `base`).
- `source` is `/aws/cloudfront/<node>`, or `/w3c/<node>` for a log without that field: a file does not name whose it is.
- `outcome` is that of the HTTP status; `country` and `region` are the viewer's country, if logged, and the edge's name.
- Query strings, cookies and referrers stay behind.
- `completeness` is `best-effort` for CloudFront, in the vendor's own words, and `unknown` for others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ledger.canonical import Object
from ledger.catalogue import ACCESS
from ledger.collect.files import NO_HEADER, Header, RawRecord, split_text
from ledger.collect.members import (
    HTTP_ACTIVITY,
    count,
    country,
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
    unix_time,
)
from ledger.entry import Phase
from ledger.errors import MalformedInput

_EDGE_ID = "x-edge-request-id"


@dataclass(frozen=True, slots=True)
class CloudFront:
    """The collector. `node` names the distribution or server, within the characters of a path segment."""

    subject: str = "aws-cloudfront"
    phase: Phase = Phase.TRANSIT
    node: str = "default"

    @property
    def suffixes(self) -> tuple[str, ...]:
        return ("",)  # CloudFront's files end in their own ids

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        header = NO_HEADER
        for record in split_text(file):
            if record.problem is None and record.raw.startswith(b"#"):
                if record.raw.startswith(b"#Fields:"):
                    header = Header(tuple(decode(record.raw.removeprefix(b"#Fields:")).split()))
                continue
            yield RawRecord(record.number, record.raw, record.problem, header)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        fields = read_fields(decode(raw), header)
        id, edge = fields.get(_EDGE_ID), _EDGE_ID in header.names
        event: Object = {
            "specversion": "1.0",
            "source": f"/{'aws/cloudfront' if edge else 'w3c'}/{segment(self.node)}",
            "type": ACCESS.name,
            "subject": self.subject,
            "time": _time(fields),
            "phase": self.phase.value,
            "data": access_data(fields, edge, raw),
        }
        return event | {"id": f"edge:{id}"} if id else event


def read_fields(line: str, header: Header) -> dict[str, str]:
    """The fields that are present, by the names of the `#Fields` line before them."""
    if not header.names:
        raise MalformedInput("a line before any #Fields")
    texts = line.split("\t") if "\t" in line else split_fields(line)[0]
    if len(texts) != len(header.names):
        raise MalformedInput(
            "not a line of these #Fields", expected=f"{len(header.names)} fields", got=len(texts)
        )
    return {name: text for name, text in zip(header.names, texts, strict=True) if present(text)}


def access_data(fields: dict[str, str], edge: bool, raw: bytes) -> Object:
    """The `data` of the access that a line's fields tell."""
    outcome, reason = http_outcome(fields.get("sc-status"))
    user, agent, path = fields.get("cs-username"), fields.get("cs(User-Agent)"), fields.get("cs-uri-stem")
    return known(
        principal=user or "anonymous",
        principal_type=None if user else "anonymous",
        action=fields.get("cs-method"),
        resource=path and _host(fields) + percent_decoded(path),
        outcome=outcome,
        reason=reason,
        source_address=fields.get("c-ip"),
        country=country(fields.get("c-country")),
        tls_version=_tls(fields),
        cipher=fields.get("ssl-cipher"),
        bytes=count(fields.get("sc-bytes")),
        read_only=reads(fields.get("cs-method")),
        region=fields.get("x-edge-location"),
        user_agent=agent and percent_decoded(agent if edge else agent.replace("+", " ")),
        source_system="aws.cloudfront" if edge else "w3c",
        completeness="best-effort" if edge else "unknown",
        class_uid=HTTP_ACTIVITY,
        raw_sha256=raw_digest(raw),
    )


def _time(fields: dict[str, str]) -> str:
    """W3C dates and times are in UTC; newer logs of CloudFront may have Unix milliseconds instead."""
    millis = fields.get("timestamp(ms)")
    if millis is not None and len(millis) > 3:
        return unix_time(f"{millis[:-3]}.{millis[-3:]}")
    if "date" not in fields or "time" not in fields:
        raise MalformedInput("a line without its time", expected="the fields date and time, or timestamp(ms)")
    return f"{fields['date']}T{fields['time']}Z"


def _host(fields: dict[str, str]) -> str:
    """The host that the viewer asked for, which is the distribution's own name only if it has no other."""
    host = fields.get("x-host-header") or fields.get("cs(Host)") or fields.get("cs-host") or ""
    return host and f"{fields.get('cs-protocol', 'https')}://{host}"


def _tls(fields: dict[str, str]) -> str | None:
    return "none" if fields.get("cs-protocol") in {"http", "ws"} else tls_version(fields.get("ssl-protocol"))
