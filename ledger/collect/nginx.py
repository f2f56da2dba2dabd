r"""nginx access logs, and those of CDNs and proxies that write like nginx: each line is one access.

Lines are read by the `log_format` that wrote them. Without one told, these are tried, from the longest::

    common:    $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent
    combined:  common "$http_referer" "$http_user_agent"
    main:      combined "$http_x_forwarded_for"
    with TLS:  combined $ssl_protocol $ssl_cipher,  main $ssl_protocol $ssl_cipher

What clients send stands in these lines, so a client may write what looks like the end of a value and the start of the
next. nginx escapes the quotes in values, but not what else a format may part them by. So a line is read from both of
its ends, and one that can be read in two ways is set aside.

A line of JSON (`escape=json`) is read by the names of its members, which are nginx's variables or one of the usual
words for them (`_NAMES`). In other lines `\x22` is nginx's way of writing a quote; it is undone.

- `id` is `$request_id`, which nginx draws at random, where it is logged; else the line is known by its place (`base`).
- `source` is `/nginx/<node>`.
- `principal` is `$remote_user`: nginx writes the name that a client gave, and checks it only where it asks for one.
- `outcome` is that of the HTTP status; query strings, cookies and referrers stay behind.
- `tls_version` is `none` where `$ssl_protocol` was logged and is empty: the connection had no TLS.
- `completeness` is `unknown`: the configuration decides which requests are logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.catalogue import ACCESS
from ledger.collect.files import NO_HEADER, Header, RawRecord, split_text
from ledger.collect.members import (
    HTTP_ACTIVITY,
    clf_time,
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
    tls_version,
    unix_time,
)
from ledger.entry import Phase
from ledger.errors import MalformedInput

_COMMON = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'
COMBINED = _COMMON + ' "$http_referer" "$http_user_agent"'
_MAIN = COMBINED + ' "$http_x_forwarded_for"'
_TLS = " $ssl_protocol $ssl_cipher"
FORMATS = (_MAIN + _TLS, _MAIN, COMBINED + _TLS, COMBINED, _COMMON)


@dataclass(frozen=True, slots=True)
class Nginx:
    """The collector. `formats` are tried in their order; `node` names the server."""

    subject: str = "nginx"
    phase: Phase = Phase.TRANSIT
    node: str = "default"
    formats: tuple[str, ...] = FORMATS

    def __post_init__(self) -> None:
        """Raise `MalformedInput` for a format that no line could be read by."""
        for format in self.formats:
            if not _VARIABLE.search(format) or re.search(r"\$\w+\$", format):
                raise MalformedInput(
                    "not a log_format that lines can be read by",
                    expected="variables such as $remote_addr, with something between each two",
                )

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".log", ".json", ".ndjson", ".jsonl")

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return split_text(file)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        is_json = raw.lstrip().startswith(b"{")
        line = _Line(_json_variables(raw) if is_json else _text_variables(raw, self.formats))
        event: Object = {
            "specversion": "1.0",
            "source": f"/nginx/{segment(self.node)}",
            "type": ACCESS.name,
            "subject": self.subject,
            "time": line.time(),
            "phase": self.phase.value,
            "data": line.access_data(raw),
        }
        id = line.get("request_id")
        return event | {"id": id} if id else event


_NAMES: dict[str, tuple[str, ...]] = {
    "address": ("remote_addr", "client_ip", "clientip", "remote_ip", "ip"),
    "user": ("remote_user", "ssl_client_s_dn", "auth"),
    "time": ("time_iso8601", "time_local", "msec", "@timestamp", "timestamp", "time", "date"),
    "request": ("request",),
    "method": ("request_method", "method", "verb"),
    "path": ("request_uri",),
    "other_path": ("request_path", "url", "path", "uri"),
    "host": ("host", "http_host", "server_name"),
    "status": ("status", "response"),
    "bytes": ("body_bytes_sent", "bytes_sent", "bytes"),
    "agent": ("http_user_agent", "user_agent", "agent"),
    "tls": ("ssl_protocol", "tls_version"),
    "cipher": ("ssl_cipher", "tls_cipher"),
    "country": ("geoip2_country_code", "geoip_country_code", "http_cf_ipcountry", "country"),
    "request_id": ("request_id",),
}


_REQUEST = re.compile(r"([A-Z][A-Z_-]{1,31}) (\S.*?)(?: HTTP/[0-9.]+)?")
"""Method and path of a request line. nginx took spaces in paths until its version 1.21.1."""


@dataclass(frozen=True, slots=True)
class _Line:
    """The variables that a line logs."""

    variables: dict[str, str]

    def get(self, what: str) -> str | None:
        """The first of the variables for `what` that is not empty."""
        return next((found for name in _NAMES[what] if (found := present(self.variables.get(name)))), None)

    def time(self) -> str:
        """RFC 3339, as `$time_iso8601` is; `$time_local` is in the common log format, `$msec` in Unix time."""
        text = self.get("time")
        if text is None:
            raise MalformedInput("a line without its time", expected="$time_iso8601, $time_local or $msec")
        if "/" in text:
            return clf_time(text)
        return unix_time(text) if re.fullmatch(r"[0-9.]+", text) else text

    def access_data(self, raw: bytes) -> Object:
        """The `data` of the access; a request that was no HTTP at all has the action `unknown`."""
        outcome, reason = http_outcome(self.get("status"))
        asked = _REQUEST.fullmatch(self.get("request") or "")
        method = self.get("method") or (asked and asked[1])
        path = self.get("path") or (asked and asked[2]) or self.get("other_path")
        user = self.get("user")
        return known(
            principal=user or "anonymous",
            principal_type=None if user else "anonymous",
            action=method or "unknown",
            resource=path and self._host(path) + percent_decoded(path.split("?")[0]),
            outcome=outcome,
            reason=reason,
            source_address=self.get("address"),
            country=country(self.get("country")),
            tls_version=self._tls(),
            cipher=self.get("cipher"),
            bytes=count(self.get("bytes")),
            read_only=reads(method),
            user_agent=self.get("agent"),
            source_system="nginx",
            completeness="unknown",
            class_uid=HTTP_ACTIVITY,
            raw_sha256=raw_digest(raw),
        )

    def _host(self, path: str) -> str:
        """The host before a path; a proxy is asked for whole URIs, which have theirs."""
        return (self.get("host") or "") if path.startswith("/") else ""

    def _tls(self) -> str | None:
        logged = present(self.variables.get("ssl_protocol"))
        plain = "ssl_protocol" in self.variables and logged is None
        return "none" if plain else tls_version(self.get("tls"))


_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def _text_variables(raw: bytes, formats: tuple[str, ...]) -> dict[str, str]:
    line = decode(raw)
    for format in formats:
        if (found := read_by(format, line)) is not None:
            return {name: _unescape(text) for name, text in found.items()}
    raise MalformedInput("not a line of this log_format", advice="Give the log_format that wrote the log.")


def read_by(format: str, line: str) -> dict[str, str] | None:
    """The variables of a line, or None if `format` did not write it, or may have written it in another way."""
    before, *parts = _VARIABLE.split(format)
    names = [braced or bare for braced, bare in zip(parts[::3], parts[1::3], strict=True)]
    values = _from_start(line, [before, *parts[2::3]])
    if values is None or values != _from_end(line, [before, *parts[2::3]]):
        return None
    for name, value, after in zip(names, values, parts[2::3], strict=True):
        # Of the values that stand without quotes only a user's name may be several words.
        if " " in value and after[:1] in ("", " ") and name != "remote_user":
            return None
    found = dict(zip(names, values, strict=True))
    tls = present(found.get("ssl_protocol"))
    return None if tls and not tls_version(tls) else found


def _from_start(line: str, literals: list[str]) -> list[str] | None:
    """What stands between the literals of a format, each value as short as it can be, the first one first."""
    if not line.startswith(literals[0]):
        return None
    values, rest = list[str](), line[len(literals[0]) :]
    for literal in literals[1:]:
        value, found, rest = rest.partition(literal) if literal else (rest, "", "")
        if literal and not found:
            return None
        values.append(value)
    return None if rest else values


def _from_end(line: str, literals: list[str]) -> list[str] | None:
    """The same from the other end: each value as short as it can be, the last one first."""
    found = _from_start(line[::-1], [literal[::-1] for literal in reversed(literals)])
    return found and [value[::-1] for value in reversed(found)]


def _unescape(text: str) -> str:
    r"""Undo nginx's `\x22`; bytes that make no UTF-8 stay as they were written."""
    if "\\x" not in text:
        return text
    try:
        undone = re.sub(
            rb"\\x([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode()
        )
        return undone.decode()
    except UnicodeDecodeError:
        return text


def _json_variables(raw: bytes) -> dict[str, str]:
    return {name: _scalar(value) for name, value in canonical.parse_object(raw).items()}


def _scalar(value: Value) -> str:
    return (
        value
        if isinstance(value, str)
        else ""
        if isinstance(value, bool | list | dict | None)
        else f"{value}"
    )
