"""OTLP's two encodings, held against protobuf's own library, and the mapping of log records to events."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from ledger.errors import Conflict, InvalidEvent, MalformedInput, TooLarge
from ledger.otlp import LogRecord, Read, event_of, protobuf, protojson
from ledger.otlp.records import MAX_DEPTH, MAX_GROUPS
from ledger.otlp.taking import TOLD, take, tell

TIME = 1_782_907_200_000_000_000
"""2026-07-01T12:00:00Z in nanoseconds."""


# --- Requests, built with the library -----------------------------------------------------------------------------


def any_value(value: Any) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            made = AnyValue()
            made.array_value.values.extend(any_value(item) for item in value)
            made.array_value.SetInParent()
            return made
    made = AnyValue()
    made.kvlist_value.SetInParent()
    made.kvlist_value.values.extend(key_values(value))
    return made


def key_values(members: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in members.items()]


def request(*records: dict[str, Any], resource: dict[str, Any] | None = None) -> ExportLogsServiceRequest:
    """A request with these records; `attributes` and `body` are plain values."""
    made = ExportLogsServiceRequest()
    group = made.resource_logs.add()
    group.resource.attributes.extend(key_values(resource or {}))
    scope = group.scope_logs.add()
    scope.scope.name = "test"
    for record in records:
        rest = {name: value for name, value in record.items() if name not in ("attributes", "body")}
        added = scope.log_records.add(**rest)
        added.attributes.extend(key_values(record.get("attributes", {})))
        if "body" in record:
            added.body.CopyFrom(any_value(record["body"]))
    return made


def as_json(made: ExportLogsServiceRequest) -> bytes:
    """OTLP's JSON of a request: protobuf's, with hexadecimal trace and span ids."""
    value = MessageToDict(made)
    for group in value.get("resourceLogs", []):
        for scope in group.get("scopeLogs", []):
            for record in scope.get("logRecords", []):
                for name in {"traceId", "spanId"} & record.keys():
                    record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(value).encode()


def read_both(made: ExportLogsServiceRequest) -> tuple[list[Read], list[Read]]:
    return (
        list(protobuf.read_logs(made.SerializeToString())),
        list(protojson.read_logs(as_json(made))),
    )


def plain(value: Any) -> Any:
    """What a value is read as: bytes as base64."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case list():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
    return value


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.dictionaries(TEXT, VALUES, max_size=4)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "time_unix_nano": st.integers(0, 2**64 - 1),
        "observed_time_unix_nano": st.integers(0, 2**64 - 1),
        "severity_number": st.integers(0, 24),
        "severity_text": TEXT,
        "body": VALUES,
        "attributes": MEMBERS,
        "dropped_attributes_count": st.integers(0, 2**32 - 1),
        "flags": st.integers(0, 2**32 - 1),
        "trace_id": st.binary(max_size=17),
        "span_id": st.binary(max_size=9),
        "event_name": TEXT,
    },
)


@given(st.lists(RECORDS, max_size=3), MEMBERS)
def test_both_encodings_give_what_the_library_wrote(
    records: list[dict[str, Any]], resource: dict[str, Any]
) -> None:
    expected = [
        LogRecord(
            attributes=plain(record.get("attributes", {})),
            resource=plain(resource),
            body=plain(record.get("body")),
            time=record.get("time_unix_nano", 0),
            observed=record.get("observed_time_unix_nano", 0),
            trace_id=record.get("trace_id", b""),
            span_id=record.get("span_id", b""),
            flags=record.get("flags", 0),
            event_name=record.get("event_name", ""),
            dropped=record.get("dropped_attributes_count", 0),
        )
        for record in records
    ]
    binary, text = read_both(request(*records, resource=resource))
    assert binary == expected
    assert text == expected


@given(st.integers(0, 2**63 - 1), TEXT)
def test_the_library_reads_what_is_answered(rejected: int, message: str) -> None:
    answer = ExportLogsServiceResponse.FromString(protobuf.export_response(rejected, message))
    assert answer.partial_success.rejected_log_records == rejected
    assert answer.partial_success.error_message == message
    assert answer.HasField("partial_success") == bool(rejected or message)
    assert Status.FromString(protobuf.status(message)).message == message


def test_answers_in_json_have_the_form_of_protobufs_mapping() -> None:
    assert protojson.export_response(0, "") == b"{}"
    answer = json.loads(protojson.export_response(2, "why"))
    assert answer == {"partialSuccess": {"rejectedLogRecords": "2", "errorMessage": "why"}}
    assert json.loads(protojson.status("why")) == {"message": "why"}


# --- Requests that are out of form --------------------------------------------------------------------------------


def only(reads: list[Read]) -> Read:
    [read] = reads
    return read


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",  # a length is missing
        b"\x0a\x05abc",  # shorter than its length
        b"\x0b",  # a group, which proto3 does not have
        b"\x08\x01",  # a number where a message should be
        b"\xff" * 11,  # a varint without end
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length of 2^64 - 1
        b'{"resourceLogs":[]}',
    ],
)
def test_what_is_no_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedInput):
        list(protobuf.read_logs(body))


@pytest.mark.parametrize("size", range(1, 120, 7))
def test_a_request_that_is_cut_off_is_refused(size: int) -> None:
    whole = request({"attributes": {"a": "b" * 40}, "body": {"c": ["d" * 40]}}).SerializeToString()
    with pytest.raises(MalformedInput):
        list(protobuf.read_logs(whole[:size]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"resourceLogs":{}}',
        b'{"resourceLogs":[1]}',
        b'{"resourceLogs":[{"resource":[]}]}',
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":{}}]}]}',
        b'{"resourceLogs":[],"resourceLogs":[]}',
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_of_otlp_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedInput):
        list(protojson.read_logs(body))


@pytest.mark.parametrize(
    "record",
    [
        "7",
        '{"attributes":{}}',
        '{"attributes":[{"key":1}]}',
        '{"attributes":[{"key":"a"},{"key":"a"}]}',
        '{"body":"text"}',
        '{"body":{"stringValue":"a","intValue":"1"}}',
        '{"body":{"stringValue":1}}',
        '{"body":{"boolValue":"true"}}',
        '{"body":{"intValue":"9223372036854775808"}}',
        '{"body":{"intValue":"+1"}}',
        '{"body":{"intValue":"１"}}',
        '{"body":{"intValue":1.5}}',
        '{"body":{"intValue":true}}',
        '{"body":{"doubleValue":"one"}}',
        '{"body":{"doubleValue":true}}',
        '{"body":{"bytesValue":"*"}}',
        '{"timeUnixNano":"-1"}',
        '{"timeUnixNano":18446744073709551616}',
        '{"flags":4294967296}',
        '{"traceId":"xyz"}',
        '{"eventName":[]}',
    ],
)  # fmt: skip
def test_a_record_that_is_out_of_form_spoils_no_other(record: str) -> None:
    body = f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record},{{"eventName":"good"}}]}}]}}]}}'
    bad, good = protojson.read_logs(body.encode())
    assert isinstance(bad, MalformedInput)
    assert isinstance(good, LogRecord)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ('{"body":{"intValue":7}}', 7),
        ('{"body":{"intValue":"-9223372036854775808"}}', -(2**63)),
        ('{"body":{"doubleValue":1}}', 1.0),
        ('{"body":{"doubleValue":"1.5e3"}}', 1500.0),
        ('{"body":{"doubleValue":"-Infinity"}}', -math.inf),
        ('{"body":{"bytesValue":"-_8"}}', "+/8="),
        ('{"body":{"stringValue":null}}', None),
        ('{"body":null,"attributes":null,"unheardOf":{"a":[1]}}', None),
        ('{"body":{"arrayValue":{}}}', []),
        ('{"body":{"kvlistValue":{"values":[{"key":"a"}]}}}', {"a": None}),
    ],
)
def test_what_protobufs_json_mapping_allows_is_taken(record: str, expected: Any) -> None:
    body = f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}'
    read = only(list(protojson.read_logs(body.encode())))
    assert isinstance(read, LogRecord)
    assert read.body == expected
    assert type(read.body) is type(expected)


def test_hexadecimal_ids_are_taken_in_either_case_and_times_as_numbers() -> None:
    record = (
        f'{{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","timeUnixNano":{TIME}}}'
    )
    body = f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}'
    read = only(list(protojson.read_logs(body.encode())))
    assert isinstance(read, LogRecord)
    assert (read.trace_id.hex(), read.span_id.hex()) == (
        "5b8efff798038103d269b633813fc60c",
        "eee19b7ec3c1b174",
    )
    assert read.time == TIME


def test_in_protobuf_a_record_that_is_out_of_form_spoils_no_other() -> None:
    made = request({"event_name": "bad"}, {"event_name": "good"})
    body = made.SerializeToString().replace(b"bad", b"b\xffd")
    bad, good = protobuf.read_logs(body)
    assert isinstance(bad, MalformedInput)
    assert isinstance(good, LogRecord)


def test_unknown_fields_are_passed_over_in_protobuf_and_the_last_of_one_value_counts() -> None:
    unknown = b"\x9a\x06\x03new" + b"\xa0\x06\x07" + b"\xad\x06\x01\x02\x03\x04"  # fields 99, 100 and 101
    record = unknown + b"\x62\x01a" + b"\x62\x01b"  # event_name twice
    scope = b"\x12" + bytes([len(record)]) + record
    group = b"\x12" + bytes([len(scope)]) + scope
    read = only(list(protobuf.read_logs(b"\x0a" + bytes([len(group)]) + group)))
    assert isinstance(read, LogRecord)
    assert read.event_name == "b"


@pytest.mark.parametrize(("depth", "fits"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_values_are_nested_as_deep_as_an_events_and_no_deeper(depth: int, fits: bool) -> None:
    # The library itself writes and reads less deep, so its objects are put together by hand.
    body = b"\x0a\x04deep"
    for _ in range(depth):
        body = b"\x2a" + varint(len(item := b"\x0a" + varint(len(body)) + body)) + item
    record = b"\x2a" + varint(len(body)) + body
    scope = b"\x12" + varint(len(record)) + record
    group = b"\x12" + varint(len(scope)) + scope
    read = only(list(protobuf.read_logs(b"\x0a" + varint(len(group)) + group)))
    assert isinstance(read, LogRecord) == fits


def varint(number: int) -> bytes:
    spelled = bytearray()
    while number > 0x7F:
        spelled.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*spelled, number])


def test_in_json_values_that_are_nested_too_deep_are_refused() -> None:
    body = '{"arrayValue":{"values":[' * (MAX_DEPTH + 2) + "]}}" * (MAX_DEPTH + 2)
    text = f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{body}}}]}}]}}]}}'
    assert isinstance(only(list(protojson.read_logs(text.encode()))), MalformedInput)


def test_scopes_without_end_are_refused() -> None:
    with pytest.raises(TooLarge):
        list(protobuf.read_logs(b"\x0a\x00" * (MAX_GROUPS + 1)))
    with pytest.raises(TooLarge):
        scopes = b"\x12\x00" * (MAX_GROUPS + 1)
        list(protobuf.read_logs(b"\x0a" + varint(len(scopes)) + scopes))
    with pytest.raises(TooLarge):
        list(protojson.read_logs(b'{"resourceLogs":[' + b",".join([b"{}"] * (MAX_GROUPS + 1)) + b"]}"))


# --- Events -------------------------------------------------------------------------------------------------------

ATTRIBUTES = {
    "cloudevents.event_id": "access-1",
    "cloudevents.event_source": "/shop",
    "cloudevents.event_type": "transfer-ledger.access.v1",
    "cloudevents.event_subject": "live-1",
    "transfer_ledger.phase": "storage",
}
DATA = {"principal": "role/editor", "action": "read", "outcome": "allowed"}


def record(**changes: Any) -> LogRecord:
    made = {
        "attributes": ATTRIBUTES,
        "resource": {},
        "body": DATA,
        "time": TIME,
        "observed": 0,
        "trace_id": b"",
        "span_id": b"",
        "flags": 0,
        "event_name": "",
        "dropped": 0,
    }
    return LogRecord(**{**made, **changes})


def test_a_record_becomes_an_event() -> None:
    assert event_of(record()) == {
        "specversion": "1.0",
        "id": "access-1",
        "source": "/shop",
        "type": "transfer-ledger.access.v1",
        "subject": "live-1",
        "phase": "storage",
        "time": "2026-07-01T12:00:00Z",
        "data": DATA,
    }


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (TIME, "2026-07-01T12:00:00Z"),
        (TIME + 250_000_000, "2026-07-01T12:00:00.25Z"),
        (TIME + 1, "2026-07-01T12:00:00.000000001Z"),
        (TIME + 100, "2026-07-01T12:00:00.0000001Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (2**64 - 1, "2554-07-21T23:34:33.709551615Z"),
    ],
)
def test_times_keep_every_digit(nanos: int, text: str) -> None:
    assert event_of(record(time=nanos))["time"] == text


def test_a_record_without_a_time_has_that_of_its_observation() -> None:
    assert event_of(record(time=0, observed=TIME))["time"] == "2026-07-01T12:00:00Z"
    assert event_of(record(time=TIME, observed=TIME + 10**9))["time"] == "2026-07-01T12:00:00Z"


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ATTRIBUTES.items() if name not in names}


def test_the_event_name_stands_for_the_type_and_the_attribute_goes_first() -> None:
    named = record(attributes=without("cloudevents.event_type"), event_name="transfer-ledger.hop.v1")
    assert event_of(named)["type"] == "transfer-ledger.hop.v1"
    assert event_of(record(event_name="transfer-ledger.hop.v1"))["type"] == "transfer-ledger.access.v1"


def test_what_a_whole_service_has_alike_may_be_the_resources() -> None:
    shared = {"cloudevents.event_source": "/all", "transfer_ledger.phase": "transit", "service.name": "shop"}
    given = record(attributes=without("cloudevents.event_source", "transfer_ledger.phase"), resource=shared)
    assert (event_of(given)["source"], event_of(given)["phase"]) == ("/all", "transit")
    assert event_of(record(resource=shared))["source"] == "/shop"


def test_an_id_is_never_the_resources() -> None:
    with pytest.raises(InvalidEvent) as caught:
        event_of(record(attributes=without("cloudevents.event_id"), resource={"cloudevents.event_id": "all"}))
    assert caught.value.details["problems"] == [{"at": "cloudevents.event_id", "problem": "missing"}]


def test_data_may_come_as_attributes_and_other_attributes_stay_behind() -> None:
    attributes = {
        **ATTRIBUTES,
        "transfer_ledger.data.principal": "x",
        "http.route": "/",
        "code.line.number": 7,
    }
    assert event_of(record(attributes=attributes, body="text stays behind"))["data"] == {"principal": "x"}
    both = {**ATTRIBUTES, "transfer_ledger.data.reason": "x"}
    assert event_of(record(attributes=both))["data"] == {**DATA, "reason": "x"}


TRACE, SPAN = bytes(range(16)), bytes(range(8))


@pytest.mark.parametrize(
    ("trace", "span", "flags", "traceparent"),
    [
        (TRACE, SPAN, 1, "00-000102030405060708090a0b0c0d0e0f-0001020304050607-01"),
        (TRACE, SPAN, 0xFFFFFF00, "00-000102030405060708090a0b0c0d0e0f-0001020304050607-00"),
        (TRACE, b"", 1, None),
        (b"", SPAN, 1, None),
        (bytes(16), SPAN, 1, None),
        (TRACE, bytes(8), 1, None),
        (TRACE[:15], SPAN, 1, None),
        (TRACE, SPAN + b"\0", 1, None),
    ],
)
def test_the_trace_becomes_a_traceparent_if_it_is_one(
    trace: bytes, span: bytes, flags: int, traceparent: str | None
) -> None:
    assert event_of(record(trace_id=trace, span_id=span, flags=flags)).get("traceparent") == traceparent


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"attributes": {}}, [*ATTRIBUTES]),
        ({"time": 0}, ["timeUnixNano"]),
        ({"body": None}, ["body"]),
        ({"body": "text"}, ["body"]),
        ({"body": [1]}, ["body"]),
        ({"attributes": {**ATTRIBUTES, "transfer_ledger.data.principal": "x"}}, ["attributes"]),
        ({"attributes": {**ATTRIBUTES, "transfer_ledger.date.reason": "x"}}, ["attributes"]),
        ({"resource": {"transfer_ledger.data.reason": "x"}}, ["attributes"]),
        ({"dropped": 1}, ["droppedAttributesCount"]),
    ],
)
def test_a_record_that_lacks_something_is_refused_and_all_of_it_is_named(
    changes: dict[str, Any], places: list[str]
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        event_of(record(**changes))
    assert [problem["at"] for problem in caught.value.details["problems"]] == places


# --- Taking the good ones -----------------------------------------------------------------------------------------


class Log:
    """Takes events as a log does, all or none: those whose id begins with `bad` are refused."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}
        self.pushes = 0

    def check(self, event: Any) -> None:
        if event["id"].startswith("bad"):
            raise InvalidEvent("bad", details={"problems": [{"at": "id", "problem": "bad"}]})
        if event["id"].startswith("big"):
            raise TooLarge("big", expected="small")

    def push(self, events: Any) -> None:
        self.pushes += 1
        for event in events:
            self.check(event)
        known = dict(self.events)
        conflicts = []
        for event in events:
            if known.setdefault(event["id"], event) != event:
                position = 0 if event["id"] in self.events else None
                conflicts.append({"source": event["source"], "id": event["id"], "position": position})
        if conflicts:
            raise Conflict("other content", events=conflicts)
        self.events = known


def named(*ids: str, **changes: Any) -> list[Read]:
    return [record(attributes={**ATTRIBUTES, "cloudevents.event_id": id}, **changes) for id in ids]


def test_good_records_are_taken_in_one_push() -> None:
    log = Log()
    assert take(named("a", "b", "c"), 10, log.check, log.push) == {}
    assert (list(log.events), log.pushes) == (["a", "b", "c"], 1)


def test_bad_records_are_refused_with_their_places_and_the_good_ones_taken() -> None:
    log = Log()
    reads = [*named("a", "bad", "b", "big"), record(time=0), MalformedInput("broken"), *named("c")]
    refused = take(reads, 10, log.check, log.push)
    assert refused == {
        1: "id: bad",
        3: "big: expected small",
        4: "timeUnixNano: missing",
        5: "broken",
    }
    assert list(log.events) == ["a", "b", "c"]


def test_records_with_other_content_are_refused_and_the_others_taken() -> None:
    log = Log()
    log.push([event_of(record())])
    clash = record(body={**DATA, "action": "write"})
    refused = take([*named("a"), clash, *named("b"), record()], 10, log.check, log.push)
    assert refused.keys() == {1, 3}, "whatever has the name of a clash"
    assert list(log.events) == ["access-1", "a", "b"]


def test_of_two_contents_of_one_new_name_the_first_is_taken() -> None:
    log = Log()
    refused = take([*named("a"), *named("a", time=TIME + 1)], 10, log.check, log.push)
    assert refused.keys() == {1}
    assert log.events["a"]["time"] == "2026-07-01T12:00:00Z"


def test_what_concerns_no_single_record_passes_through() -> None:
    def full(events: Any) -> None:
        raise TooLarge("too many events at once")

    with pytest.raises(TooLarge, match="too many events"):
        take(named("a", "b"), 10, Log().check, full)
    with pytest.raises(TooLarge, match="log records"):
        take(named("a", "b", "c"), 2, Log().check, full)


def test_nothing_is_pushed_where_nothing_is_good() -> None:
    log = Log()
    assert take([], 10, log.check, log.push) == {}
    assert take([record(time=0)], 10, log.check, log.push).keys() == {0}
    assert log.pushes == 0


def test_only_the_first_refusals_are_told() -> None:
    assert tell({}) == ""
    told = tell({n: f"reason {n}" for n in range(TOLD + 5)})
    assert f"[{TOLD - 1}] reason {TOLD - 1}" in told
    assert f"[{TOLD}]" not in told
    assert told.endswith("and 5 more")
