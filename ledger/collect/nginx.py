r"""nginx access logs, and those of CDNs and proxies that write like nginx: each line is one access.

Lines are read by the `log_format` that wrote them. Without one told, these are tried, from the longest::

    combined:  $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent
               "$http_referer" "$http_user_agent"
    main:      combined "$http_x_forwarded_for"
    with TLS:  combined $ssl_protocol $ssl_cipher,  main $ssl_protocol $ssl_cipher

A line of JSON (`escape=json`) is read by the names of its members, which are nginx's variables or one of the usual
words for them (`_NAMES`). In other lines `\x22` is nginx's way of writing a quote; it is undone.

- `id` is `$request_id`, which nginx draws at random, where it is logged; else the line is known by its place (`base`).
- `source` is `/nginx/<node>`.
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

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)
_MAIN = COMBINED + ' "$http_x_forwarded_for"'
_TLS = " $ssl_protocol $ssl_cipher"
FORMATS = (_MAIN + _TLS, _MAIN, COMBINED + _TLS, COMBINED)


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
    "address": ("remote_addr", "client_ip", "clientip", "remote_ip"),
    "user": ("remote_user", "ssl_client_s_dn", "auth"),
    "time": ("time_iso8601", "time_local", "msec", "@timestamp", "timestamp", "time"),
    "request": ("request",),
    "method": ("request_method", "method", "verb"),
    "path": ("request_uri", "uri", "request_path", "url", "path"),
    "host": ("host", "http_host", "server_name"),
    "status": ("status", "response"),
    "bytes": ("body_bytes_sent", "bytes_sent", "bytes"),
    "agent": ("http_user_agent", "user_agent", "agent"),
    "tls": ("ssl_protocol", "tls_version"),
    "cipher": ("ssl_cipher", "tls_cipher"),
    "country": ("geoip2_country_code", "geoip_country_code", "http_cf_ipcountry", "country"),
    "request_id": ("request_id",),
}


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
        asked = re.fullmatch(r"([A-Z]{3,20}) (\S+)(?: HTTP/[0-9.]+)?", self.get("request") or "")
        method = self.get("method") or (asked and asked[1])
        path = self.get("path") or (asked and asked[2])
        user = self.get("user")
        return known(
            principal=user or "anonymous",
            principal_type=None if user else "anonymous",
            action=method or "unknown",
            resource=path and (self.get("host") or "") + percent_decoded(path.split("?")[0]),
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
    """The variables of a line, or None if `format` did not write it: each reaches up to the text that follows it."""
    before, *parts = _VARIABLE.split(format)
    if not line.startswith(before):
        return None
    rest, found = line[len(before) :], dict[str, str]()
    for braced, bare, after in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        name = braced or bare
        value, stop, rest = rest.partition(after) if after else (rest, "", "")
        # Of the values that stand without quotes only a user's name may be several words.
        words = " " in value and after[:1] in ("", " ") and name != "remote_user"
        if (after and not stop) or words:
            return None
        found[name] = value
    tls = present(found.get("ssl_protocol"))
    return None if rest or (tls and not tls_version(tls)) else found


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
