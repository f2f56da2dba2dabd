"""What both encodings of OTLP give: log records, and what one holds.

The names are those of OpenTelemetry's log data model (`opentelemetry/proto/logs/v1/logs.proto`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ledger.canonical import Object, Value
from ledger.errors import MalformedInput, TooLarge

MAX_DEPTH = 64
"""How deep values may be nested: as deep as an event's."""
MAX_GROUPS = 10_000
"""How many resources and scopes one request may hold."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record. Times are Unix nanoseconds, 0 for none; bytes among the values are base64 (RFC 4648 §4) already.

    `resource` are the attributes of the resource that it came from, `dropped` is how many attributes the sender had to
    leave out.
    """

    attributes: Object
    resource: Object
    body: Value
    time: int
    observed: int
    trace_id: bytes
    span_id: bytes
    flags: int
    event_name: str
    dropped: int


Read: TypeAlias = LogRecord | MalformedInput
"""A record, or why this one cannot be read; the others of its request can."""


def members(pairs: Iterable[tuple[str, Value]]) -> Object:
    """The object of these pairs. OTLP says that no key stands twice, and not what it means if one does."""
    found: Object = {}
    for key, value in pairs:
        if key in found:
            raise MalformedInput("a key stands twice in one list of attributes")
        found[key] = value
    return found


def too_deep() -> MalformedInput:
    return MalformedInput("nested too deep", expected=f"at most {MAX_DEPTH} levels")


def too_many_groups() -> TooLarge:
    return TooLarge("too many resources and scopes in one request", expected=f"at most {MAX_GROUPS}")
