"""OpenTelemetry's logs as events: OTLP/HTTP in both of its encodings (`docs/otlp.md`).

::

    request ──► protobuf.read_logs ──► LogRecord ──► event_of ──► CloudEvents object
            └─► protojson.read_logs ─┘  (records)     (events)

An encoding is a module with `read_logs` and, for the way back, `export_response` and `status`. Formats:
https://opentelemetry.io/docs/specs/otlp/, messages of `opentelemetry/proto` 1.x, whose fields keep their numbers.
"""

from __future__ import annotations

from ledger.otlp import protobuf, protojson
from ledger.otlp.events import event_of
from ledger.otlp.records import LogRecord, Read

__all__ = ["LogRecord", "Read", "event_of", "protobuf", "protojson"]
