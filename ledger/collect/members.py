"""What collectors share: the words of logs in the words of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from ledger.canonical import Object, Value
from ledger.catalogue.base import COUNTRIES
from ledger.errors import MalformedInput
from ledger.types import Digest, format_time

API_ACTIVITY, DATASTORE_ACTIVITY, AUTHENTICATION, HTTP_ACTIVITY = 6003, 6005, 3002, 4002
"""OCSF 1.x event classes."""


def known(**members: Value) -> Object:
    """The members that the record tells: those that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def text_at(record: Mapping[str, Value], name: str) -> str | None:
    """The text of a JSON record's member; None for anything else, and for an empty one."""
    value = record.get(name)
    return value if isinstance(value, str) and value else None


def object_at(record: Object, name: str) -> Object:
    """The object of a JSON record's member, an empty one for anything else."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def present(text: str | None) -> str | None:
    """A field's text; None for `-` and for nothing, as logs write what is absent."""
    return None if text in ("", "-") else text


def count(text: str | None) -> int | None:
    """A number of bytes, None for what is none."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,15}", text) else None


def country(text: str | None) -> str | None:
    """A country's code, None for what is none, such as a CDN's `XX` for an address that it cannot place."""
    return text if text in COUNTRIES else None


_TLS = re.compile(r"(?i)TLSv?1(?:\.?([0-3]))?|(SSLv?3)(?:\.0)?")


def tls_version(text: str | None) -> str | None:
    """`TLSv1.2`, `TLSV1.2` or `TLSv12` as `1.2`; None for what is none of the catalogue's versions."""
    match = _TLS.fullmatch(text or "")
    if match is None:
        return None
    return "ssl3" if match[2] else f"1.{match[1] or 0}"


_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def reads(method: str | None) -> bool | None:
    """Whether an HTTP method only reads; None for what is no method."""
    return method in _READING if method and re.fullmatch(r"[A-Z]{3,20}", method) else None


def http_outcome(status: str | None) -> tuple[str, str | None]:
    """Outcome, and the reason for what was not done, of an HTTP status: 401, 403 and 407 are access control's.

    Raises `MalformedInput` for what is no status. `000` and 499 say that the client went away before the answer.
    """
    if status is None or not re.fullmatch(r"[0-9]{3}", status):
        raise MalformedInput("no HTTP status", expected="three digits")
    if "100" <= status < "400":
        return "allowed", None
    return "refused" if status in {"401", "403", "407"} else "failed", f"HTTP {status}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLF = re.compile(
    r"([0-9]{1,2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}:[0-9]{2}:[0-9]{2}) ([+-][0-9]{2})([0-9]{2})"
)


def clf_time(text: str) -> str:
    """RFC 3339 of the common log format's time, `01/Jul/2026:20:00:03 +0800`, whatever the machine's language.

    Whether there is such a day the envelope's rules see.
    """
    match = _CLF.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        raise MalformedInput("not a time", expected="the form 01/Jul/2026:20:00:03 +0800")
    day, month, year, clock, hours, minutes = match.groups()
    return f"{year}-{_MONTHS.index(month) + 1:02}-{day:0>2}T{clock}{hours}:{minutes}"


def unix_time(text: str) -> str:
    """RFC 3339 of a Unix time in seconds with up to nine decimals, as a log writes it: `1782907203.123`."""
    match = re.fullmatch(r"([0-9]{1,11})(?:(\.[0-9]{1,9})[0-9]*)?", text)
    if match is None:
        raise MalformedInput("not a time", expected="seconds since 1970")
    return (
        format_time(int(match[1]) * 1000).removesuffix(".000Z")
        + (match[2] or "").rstrip("0").rstrip(".")
        + "Z"
    )


_FIELD = re.compile(r'"((?:[^"]|"(?! |$))*)"|\[([^\]]*)\]|([^ "\[][^ ]*)')


def split_fields(line: str, most: int | None = None) -> tuple[list[str], str]:
    """The fields of a line, up to `most`, and what follows: parted by spaces, kept together by quotes or brackets.

    A quote belongs to its field if no space follows it: clients put quotes into their user agents, and these logs write
    them as they came. So a client can end its field, and go on with fields of its own making; where that shows, only
    the reader of a format knows.
    """
    fields, at = list[str](), 0
    while at <= len(line) and len(fields) != most:
        match = _FIELD.match(line, at)
        if match is None or line[match.end() : match.end() + 1] not in ("", " "):
            raise MalformedInput(
                "not fields parted by single spaces", got=f"something else at character {at + 1}"
            )
        fields.append(match[1] if match[1] is not None else match[2] if match[2] is not None else match[3])
        at = match.end() + 1
    return fields, line[at:]


def decode(raw: bytes) -> str:
    r"""The text of a line. Bytes that are not UTF-8, which clients send in headers, are spelled `\xff`."""
    return raw.decode("utf-8", "backslashreplace")


def percent_decoded(text: str) -> str:
    """Text with its `%41` undone once; as it stands where that gives no UTF-8."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text


def raw_digest(raw: bytes) -> str:
    """SHA-256 over a record's bytes as they stand in its file, less the line end: member `raw_sha256`."""
    return Digest.of(raw).hex()


def segment(text: str | None) -> str:
    """A path segment of the characters that the envelope allows."""
    return re.sub(r"[^A-Za-z0-9._~-]", "-", text or "unknown")[:64]
