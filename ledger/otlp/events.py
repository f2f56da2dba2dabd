"""An event out of a log record.

::

    CloudEvents attribute   taken from
    id                      cloudevents.event_id
    source                  cloudevents.event_source
    type                    cloudevents.event_type, else the record's event name
    subject                 cloudevents.event_subject
    specversion             cloudevents.event_spec_version, else 1.0
    phase                   transfer_ledger.phase
    time                    the record's time, else when it was observed
    traceparent             its trace id, span id and trace flags
    data                    its body, if that is a map, and attributes transfer_ledger.data.<member>

The names under `cloudevents.` are OpenTelemetry's (semantic conventions, registry, CloudEvents). All but the id may be
attributes of the resource instead, such as a source that is the same for a whole service; the record's own go first.
Everything else stays behind: other attributes, severity, a body that is text.
"""

from __future__ import annotations

from ledger.canonical import Object
from ledger.entry import invalid
from ledger.otlp.records import LogRecord
from ledger.types import format_time

OWN = "transfer_ledger."
DATA = f"{OWN}data."
PHASE = f"{OWN}phase"

_FROM_ATTRIBUTES = {
    "id": "cloudevents.event_id",
    "source": "cloudevents.event_source",
    "type": "cloudevents.event_type",
    "subject": "cloudevents.event_subject",
    "specversion": "cloudevents.event_spec_version",
    "phase": PHASE,
}


def event_of(record: LogRecord) -> Object:
    """The CloudEvents object of a record, still to be held against the envelope and its type.

    Raises:
        InvalidEvent: it lacks something; `details["problems"]` names OpenTelemetry's fields and attributes.
    """
    problems: list[tuple[str, str]] = []
    event = _attributes(record, problems)
    event["data"] = _data(record, problems)
    if problems:
        raise invalid(problems)
    return event


def _attributes(record: LogRecord, problems: list[tuple[str, str]]) -> Object:
    event: Object = {"specversion": "1.0"}
    if record.event_name:
        event["type"] = record.event_name
    for name, attribute in _FROM_ATTRIBUTES.items():
        given = record.attributes.get(attribute)
        if given is None and name != "id":
            given = record.resource.get(attribute)
        if given is not None:
            event[name] = given
        elif name not in event:
            problems.append((attribute, "missing"))
    if time := record.time or record.observed:
        event["time"] = _time(time)
    else:
        problems.append(("timeUnixNano", "missing"))
    if (
        any(record.trace_id)
        and any(record.span_id)
        and (len(record.trace_id), len(record.span_id)) == (16, 8)
    ):
        trace, span, flags = record.trace_id.hex(), record.span_id.hex(), record.flags & 0xFF
        event["traceparent"] = f"00-{trace}-{span}-{flags:02x}"
    return event


def _data(record: LogRecord, problems: list[tuple[str, str]]) -> Object:
    body = record.body if isinstance(record.body, dict) else {}
    given = {name: value for name, value in record.attributes.items() if name.startswith(DATA)}
    members = {name.removeprefix(DATA): value for name, value in given.items()}
    if not given and not isinstance(record.body, dict):
        problems.append(("body", f"expected a map, or attributes under {DATA}"))
    if not members.keys().isdisjoint(body):
        problems.append(("attributes", f"a name under {DATA} that the body has, too"))
    if {name for name in (*record.attributes, *record.resource) if name.startswith(OWN)} - {PHASE, *given}:
        problems.append(("attributes", f"a name under {OWN} that means nothing"))
    if record.dropped:
        problems.append(("droppedAttributesCount", "expected 0: the record is not whole"))
    return {**body, **members}


def _time(nanos: int) -> str:
    """RFC 3339 in UTC, with as many decimals as there are digits."""
    seconds, rest = divmod(nanos, 1_000_000_000)
    whole = format_time(seconds * 1000).removesuffix(".000Z")
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".") + "Z"
