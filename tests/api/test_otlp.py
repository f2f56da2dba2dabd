"""OpenTelemetry's logs over OTLP/HTTP: its own exporter in protobuf, and requests in the JSON of its specification."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import Caller, assert_problem
from google.rpc.status_pb2 import Status
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from support.ledgers import Bed, access

from api.otlp import MAX_BYTES
from ledger.records import Scope

BINARY, JSON = "application/x-protobuf", "application/json"
TIME = 1_782_907_200_000_000_000
"""2026-07-01T12:00:00Z in nanoseconds."""


# --- OpenTelemetry's SDK and exporter -----------------------------------------------------------------------------


@pytest.fixture
def environment(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user sets, and nothing else."""
    url = str(caller.client.base_url.join(f"/v1/logs/{caller.origin}/otlp"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_HEADERS", f"authorization=Bearer%20{caller.key}")


@pytest.fixture
def provider(environment: None) -> Iterator[LoggerProvider]:
    source = {"cloudevents.event_source": "/shop/ap-northeast-1", "service.name": "shop"}
    provider = LoggerProvider(resource=Resource.create(source), shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    yield provider
    provider.shutdown()


def emit(provider: LoggerProvider, n: int, **changes: Any) -> None:
    """An event of `support.ledgers.access` as an application would log it."""
    event = access(n)
    provider.get_logger("shop").emit(
        LogRecord(
            **{
                "timestamp": TIME + n * 10**9,
                "severity_number": SeverityNumber.INFO,
                "event_name": event["type"],
                "attributes": {
                    "cloudevents.event_id": event["id"],
                    "cloudevents.event_subject": event["subject"],
                    "transfer_ledger.phase": event["phase"],
                },
                "body": event["data"],
                **changes,
            }
        )
    )


def test_what_opentelemetrys_exporter_sends_is_taken(
    provider: LoggerProvider, caller: Caller, bed: Bed
) -> None:
    for n in range(25):
        emit(provider, n)
    assert provider.force_flush()
    assert bed.store.head(caller.origin).size == 25
    for n in (0, 24):
        event = caller.get(f"/events/{n}").json()["event"]
        assert event == access(n, source="/shop/ap-northeast-1")


def test_it_is_taken_gzipped(
    monkeypatch: pytest.MonkeyPatch, environment: None, caller: Caller, bed: Bed
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip")
    provider = LoggerProvider(
        resource=Resource.create({"cloudevents.event_source": "/shop"}), shutdown_on_exit=False
    )
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    emit(provider, 1)
    provider.shutdown()
    assert bed.store.head(caller.origin).size == 1


def test_sent_again_nothing_is_taken_twice(provider: LoggerProvider, caller: Caller, bed: Bed) -> None:
    for _ in range(2):
        for n in range(3):
            emit(provider, n)
        assert provider.force_flush()
    assert bed.store.head(caller.origin).size == 3


def test_the_trace_that_a_record_was_logged_in_becomes_its_traceparent(
    provider: LoggerProvider, caller: Caller
) -> None:
    with TracerProvider(shutdown_on_exit=False).get_tracer("shop").start_as_current_span("checkout") as span:
        emit(provider, 1)
    assert provider.force_flush()
    context = span.get_span_context()
    expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    assert caller.get("/events/0").json()["event"]["traceparent"] == expected


def test_data_may_be_attributes(provider: LoggerProvider, caller: Caller) -> None:
    event = access(1)
    data = {f"transfer_ledger.data.{name}": value for name, value in event["data"].items()}
    attributes = {
        "cloudevents.event_id": event["id"],
        "cloudevents.event_subject": event["subject"],
        "transfer_ledger.phase": event["phase"],
        "http.route": "/checkout",
        **data,
    }
    emit(provider, 1, attributes=attributes, body="somebody read something")
    assert provider.force_flush()
    assert caller.get("/events/0").json()["event"]["data"] == event["data"]


def test_records_that_lack_something_do_not_keep_the_others_out(
    provider: LoggerProvider, caller: Caller, bed: Bed
) -> None:
    for n in range(4):
        emit(provider, n)
    emit(provider, 5, body={"principal": "nobody"})
    emit(provider, 6, attributes={})
    assert provider.force_flush()
    assert bed.store.head(caller.origin).size == 4


def test_the_exporter_takes_a_key_that_may_not_push_for_final(
    environment: None,
    bed: Bed,
    caller: Caller,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = bed.api_key(caller.origin, Scope.READ)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_HEADERS", f"authorization=Bearer%20{key}")
    exporter = OTLPLogExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    with caplog.at_level(logging.ERROR):
        emit(provider, 1)
        provider.shutdown()
    assert "code: 403" in caplog.text
    assert bed.store.head(caller.origin).size == 0


# --- Requests made by hand ----------------------------------------------------------------------------------------


def value(of: Any) -> dict[str, Any]:
    if isinstance(of, str):
        return {"stringValue": of}
    return {"kvlistValue": {"values": [{"key": k, "value": value(v)} for k, v in of.items()]}}


def log_record(n: int, **changes: Any) -> dict[str, Any]:
    event = access(n)
    attributes = {
        "cloudevents.event_id": event["id"],
        "cloudevents.event_source": event["source"],
        "cloudevents.event_type": event["type"],
        "cloudevents.event_subject": event["subject"],
        "transfer_ledger.phase": event["phase"],
    }
    return {
        "timeUnixNano": str(TIME + n * 10**9),
        "severityNumber": 9,
        "severityText": "Info",
        "attributes": [{"key": name, "value": value(of)} for name, of in attributes.items()],
        "body": value(event["data"]),
        **changes,
    }


def request(*records: Any) -> str:
    scope = {"scope": {"name": "shop", "version": "1.0.0", "attributes": []}, "logRecords": records}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]})


def send(caller: Caller, content: str | bytes, media: str = JSON, **headers: str) -> httpx.Response:
    path = f"/v1/logs/{caller.origin}/otlp"
    return caller.client.post(
        path, content=content, headers={**caller.headers, "Content-Type": media, **headers}
    )


def test_json_is_taken_and_answered_in_json(caller: Caller) -> None:
    answer = send(caller, request(log_record(1), log_record(2)))
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, JSON, b"{}")
    assert caller.get("/events/0").json()["event"] == access(1)


def test_a_type_with_parameters_is_the_same_type(caller: Caller) -> None:
    answer = send(caller, request(log_record(1)), "application/json; charset=utf-8")
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)


def test_a_full_success_in_protobuf_is_an_empty_message(caller: Caller) -> None:
    answer = send(caller, b"", BINARY)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, BINARY, b"")


@pytest.mark.parametrize(("media", "body"), [(BINARY, b""), (JSON, b"{}"), (JSON, b'{"resourceLogs":[]}')])
def test_a_request_without_records_is_a_success(caller: Caller, media: str, body: bytes) -> None:
    assert send(caller, body, media).status_code == 200


PERSON = "zhang.wei@example.org"


def test_a_partial_success_counts_and_explains_and_quotes_nothing(caller: Caller, bed: Bed) -> None:
    bad = [
        log_record(2, attributes=[]),
        log_record(3, body=value({"principal": PERSON})),
        log_record(4, timeUnixNano="0"),
        log_record(5, traceId=PERSON),
    ]
    answer = send(caller, request(log_record(1), *bad, log_record(6)))
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedLogRecords"] == "4"
    for word in ("[1] cloudevents.event_id: missing", "[2] data.action: missing", "[3] timeUnixNano", "[4]"):
        assert word in partial["errorMessage"]
    assert PERSON not in answer.text
    assert bed.store.head(caller.origin).size == 2


def test_a_partial_success_in_protobuf_is_read_by_the_library(caller: Caller, bed: Bed) -> None:
    made = ExportLogsServiceRequest()
    made.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=TIME)
    answer = send(caller, made.SerializeToString(), BINARY)
    assert (answer.status_code, answer.headers["content-type"]) == (200, BINARY)
    partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_log_records == 1
    assert "cloudevents.event_id" in partial.error_message


def test_other_content_under_a_known_id_is_rejected_and_the_attempt_kept(caller: Caller, bed: Bed) -> None:
    assert send(caller, request(log_record(1))).content == b"{}"
    answer = send(caller, request(log_record(1, timeUnixNano=str(TIME)), log_record(2)))
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert bed.store.head(caller.origin).size == 2
    assert len(bed.store.conflicts(caller.origin)) == 1


def test_more_conflicts_than_are_told_are_all_rejected_in_one_request(caller: Caller, bed: Bed) -> None:
    assert send(caller, request(*map(log_record, range(250)))).content == b"{}"
    clashes = [log_record(n, timeUnixNano=str(TIME + 1)) for n in range(250)]
    answer = send(caller, request(*clashes, log_record(999)))
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] == "250"
    assert bed.store.head(caller.origin).size == 251


@pytest.mark.parametrize("coding", ["gzip", "GZIP"])
def test_gzip_is_taken(caller: Caller, bed: Bed, coding: str) -> None:
    packed = gzip.compress(request(log_record(1)).encode())
    assert send(caller, packed, **{"Content-Encoding": coding}).content == b"{}"
    assert bed.store.head(caller.origin).size == 1


def test_gzip_in_several_members_is_taken(caller: Caller, bed: Bed) -> None:
    text = request(log_record(1)).encode()
    packed = gzip.compress(text[:100]) + gzip.compress(text[100:])
    assert send(caller, packed, **{"Content-Encoding": "gzip"}).content == b"{}"


BOMB = gzip.compress(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize("media", [JSON, BINARY])
def test_a_gzip_bomb_is_413_and_its_answer_a_status(caller: Caller, media: str) -> None:
    assert len(BOMB) < 100_000
    answer = send(caller, BOMB, media, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, media)
    assert "too large" in message(answer)


def message(answer: httpx.Response) -> str:
    """What a `google.rpc.Status` says, in the encoding of the answer."""
    if answer.headers["content-type"] == BINARY:
        return Status.FromString(answer.content).message
    return str(answer.json()["message"])


def test_a_body_over_the_limit_is_413(caller: Caller) -> None:
    assert send(caller, b" " * (MAX_BYTES + 1)).status_code == 413


def test_too_many_records_are_413(caller: Caller, bed: Bed) -> None:
    records = [{}] * (bed.pipeline.policy.max_push + 1)
    answer = send(caller, request(*records))
    assert answer.status_code == 413
    assert str(bed.pipeline.policy.max_push) in message(answer)


@pytest.mark.parametrize("media", [JSON, BINARY])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\x0a", {}),
        (b"{", {}),
        (b"\x0a", {"Content-Encoding": "gzip"}),
        (gzip.compress(b"{}" * 100, mtime=0)[:-9], {"Content-Encoding": "gzip"}),
        (gzip.compress(b"{}", mtime=0) + b"more", {"Content-Encoding": "gzip"}),
        (b"", {"Content-Encoding": "gzip"}),
    ],
)
def test_what_cannot_be_read_is_400_in_the_encoding_of_the_request(
    caller: Caller, media: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = send(caller, body, media, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, media)
    assert message(answer)
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("media", [JSON, BINARY])
def test_refusals_of_a_key_and_of_a_log_are_statuses(caller: Caller, bed: Bed, media: str) -> None:
    nobody = Caller(caller.client, caller.origin, None)
    other = Caller(caller.client, caller.origin, bed.api_key(bed.create_log(), Scope.PUSH))
    for who, status in ((nobody, 401), (other, 403)):
        answer = send(who, b"{}", media)
        assert (answer.status_code, answer.headers["content-type"]) == (status, media)
        assert message(answer)
    path = "/v1/logs/ledger.example/nowhere/otlp"
    answer = caller.client.post(path, content=b"{}", headers={**caller.headers, "Content-Type": media})
    assert (answer.status_code, answer.headers["content-type"]) == (404, media)


def test_another_type_or_encoding_is_415(caller: Caller) -> None:
    assert_problem(send(caller, b"{}", "text/plain"), 415, "unsupported-media")
    assert send(caller, b"{}", JSON, **{"Content-Encoding": "br"}).status_code == 415


def test_what_an_exporter_may_send_again_is_503_and_says_when(
    bed: Bed, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(caller, request(log_record(1)))
    bed.clock.move(-60_000)  # then the ledger waits until its clock is right
    try:
        for media, body in (
            (JSON, request(log_record(2)).encode()),
            (BINARY, as_protobuf(log_record(2))),
        ):
            answer = send(caller, body, media)
            assert (answer.status_code, answer.headers["content-type"]) == (503, media)
            assert int(answer.headers["Retry-After"]) > 0
            assert "clock" in message(answer)
    finally:
        bed.clock.move(60_000)
    assert send(caller, request(log_record(2))).content == b"{}"


def test_the_exporter_sends_again_what_was_503_until_it_is_taken(
    provider: LoggerProvider, bed: Bed, caller: Caller
) -> None:
    bed.push(caller.origin, 100)
    bed.clock.move(-60_000)
    back = ClockBack(bed)
    logging.getLogger("opentelemetry.exporter.otlp.proto.http._log_exporter").addHandler(back)
    try:
        emit(provider, 1)
        assert provider.force_flush()
    finally:
        logging.getLogger("opentelemetry.exporter.otlp.proto.http._log_exporter").removeHandler(back)
        back.put_right()
    assert bed.store.head(caller.origin).size == 2


class ClockBack(logging.Handler):
    """Puts the ledger's clock right as soon as the exporter says that it will try again."""

    def __init__(self, bed: Bed) -> None:
        super().__init__()
        self.bed = bed
        self.right = False

    def emit(self, record: logging.LogRecord) -> None:
        assert "retrying" in record.getMessage()
        self.put_right()

    def put_right(self) -> None:
        if not self.right:
            self.right = True
            self.bed.clock.move(60_000)


def as_protobuf(record: dict[str, Any]) -> bytes:
    made = ExportLogsServiceRequest()
    added = (
        made.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=int(record["timeUnixNano"]))
    )
    for attribute in record["attributes"]:
        added.attributes.add(key=attribute["key"]).value.string_value = attribute["value"]["stringValue"]
    for member in record["body"]["kvlistValue"]["values"]:
        added.body.kvlist_value.values.add(key=member["key"]).value.string_value = member["value"][
            "stringValue"
        ]
    return made.SerializeToString()


def test_the_same_event_in_either_encoding_or_as_cloudevent_is_one_event(caller: Caller, bed: Bed) -> None:
    assert send(caller, request(log_record(1))).content == b"{}"
    assert send(caller, as_protobuf(log_record(1)), BINARY).content == b""
    assert caller.push(access(1)).status_code == 200, "nothing new"
    assert bed.store.head(caller.origin).size == 1


def test_the_example_of_the_documentation_is_taken(caller: Caller) -> None:
    operation = caller.client.get("/openapi.json").json()["paths"]["/v1/logs/{log}/otlp"]["post"]
    example = operation["requestBody"]["content"][JSON]["example"]
    assert send(caller, json.dumps(example)).content == b"{}"
