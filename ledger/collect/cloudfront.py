"""Amazon CloudFront standard logs, and any other W3C extended log of requests: each line is one access.

The file says what its fields are, and may say it anew::

    #Version: 1.0
    #Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status … ssl-protocol ssl-cipher
    2026-07-01<tab>12:00:03<tab>HKG62-P2<tab>4518<tab>198.51.100.7<tab>GET<tab>…

CloudFront parts fields by tabs and percent-encodes them; others part them by spaces, and either write `+` for a space,
as IIS does, or put quotes around the fields that may have some. Lines that start with `#` are no records. A line before
`#Fields`, or with another number of fields, is set aside. In CloudFront's JSON (standard logging v2) each line names
its fields itself.

- `id` is `edge:<x-edge-request-id>`; a line without that field is known by its place (see `base`).
- `source` is `/aws/cloudfront/<node>`, or `/w3c/<node>` for a log without that field: a file does not name whose it is.
- `outcome` is that of the HTTP status; `country` and `region` are the viewer's country, if logged, and the edge's name.
- `resource` is host and path, with the scheme only if `cs-protocol` was logged.
- Query strings, cookies and referrers stay behind.
- `completeness` is `best-effort` for CloudFront, in the vendor's own words, and `unknown` for others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ledger import canonical
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
        fields = _json_fields(raw) if raw.startswith(b"{") else _text_fields(decode(raw), header)
        edge = _EDGE_ID in fields
        fields = {name: text for name, text in fields.items() if present(text)}
        id = fields.get(_EDGE_ID)
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


def _json_fields(raw: bytes) -> dict[str, str]:
    record = canonical.parse_object(raw)
    return {name: str(value) for name, value in record.items() if isinstance(value, str | int)}


def _text_fields(line: str, header: Header) -> dict[str, str]:
    if not header.names:
        raise MalformedInput("a line before any #Fields")
    texts = line.split("\t") if "\t" in line else _split_spaces(line, len(header.names))
    if len(texts) != len(header.names):
        raise MalformedInput(
            "not a line of these #Fields", expected=f"{len(header.names)} fields", got=len(texts)
        )
    return dict(zip(header.names, texts, strict=True))


def _split_spaces(line: str, expected: int) -> list[str]:
    """By quotes only where there have to be some: where spaces are `+`, a client's quote is a character like others."""
    texts = line.split(" ")
    if len(texts) != expected:
        return split_fields(line)[0]
    return [re.sub(r'^"(.*)"$', r"\1", text) for text in texts]


def access_data(fields: dict[str, str], edge: bool, raw: bytes) -> Object:
    """The `data` of the access that a line's fields tell."""
    outcome, reason = http_outcome(fields.get("sc-status"))
    user, agent = fields.get("cs-username"), fields.get("cs(User-Agent)")
    return known(
        principal=user or "anonymous",
        principal_type=None if user else "anonymous",
        action=fields.get("cs-method"),
        resource=_resource(fields),
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


def _resource(fields: dict[str, str]) -> str | None:
    """The path at the host that the viewer asked for, which is the distribution's own name only if it has no other."""
    path = fields.get("cs-uri-stem")
    if path is None:  # a log of whole URIs
        return percent_decoded(fields["cs-uri"].split("?")[0]) if "cs-uri" in fields else None
    host = fields.get("x-host-header") or fields.get("cs(Host)") or fields.get("cs-host") or ""
    scheme = f"{fields['cs-protocol']}://" if host and "cs-protocol" in fields else ""
    return scheme + host + percent_decoded(path)


def _tls(fields: dict[str, str]) -> str | None:
    return "none" if fields.get("cs-protocol") in {"http", "ws"} else tls_version(fields.get("ssl-protocol"))
