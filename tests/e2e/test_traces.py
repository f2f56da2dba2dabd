"""Traces by OpenTelemetry's SDK, exported by a real ledger to a collector that listens."""

from __future__ import annotations

import gzip
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.ledgers import access
from support.processes import FAST, ORIGIN, Made, make_ledger, running, wait_for

from ledger.bootstrap import open_ledger
from ledger.settings import Settings
from ledger.telemetry import NO_TRACER

PERSON = "zhangwei"
TRACE, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


class Collector:
    """Takes traces over OTLP/HTTP."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(Settings.load(data=tmp_path_factory.mktemp("traces") / "data"))


@pytest.fixture(scope="module")
def collector(made: Made) -> Iterator[Collector]:
    """What was exported by a ledger that took a traced push, refused one, and has ended."""
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    environment = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url}
    with running(
        made.settings.data, "serve", "--port", "0", settings=FAST, environment=environment
    ) as server:
        url = server.ready()
        events = f"{url}/v1/logs/{ORIGIN}/events"
        headers = {
            "Authorization": f"Bearer {made.api_key}",
            "traceparent": f"00-{TRACE}-{PARENT}-01",
            "tracestate": f"{PERSON}={PERSON}",
            "User-Agent": PERSON,
        }
        named = access(1, data={**access(1)["data"], "principal": PERSON})
        assert httpx.post(events, json=named, headers=headers).status_code == 201
        assert httpx.post(f"{events}?{PERSON}", json={PERSON: PERSON}, headers=headers).status_code == 422
        assert httpx.get(f"{url}/{PERSON}").status_code == 404
        wait_for(lambda: "checkpoint signed" in server.written())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0, server.written()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()
    thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def test_a_request_is_a_server_span_under_the_callers(collector: Collector) -> None:
    accepted, refused = (span for span in collector.spans if span.parent_span_id.hex() == PARENT)
    assert accepted.name == refused.name == "POST /v1/logs/{log}/events"
    assert accepted.trace_id.hex() == TRACE
    assert accepted.kind == 2, "SPAN_KIND_SERVER"
    assert attributes(accepted) == {
        "http.request.method": "POST",
        "http.route": "/v1/logs/{log}/events",
        "http.response.status_code": 201,
    }
    assert attributes(refused)["http.response.status_code"] == 422


def test_a_push_is_a_span_of_its_request_and_a_refused_one_has_failed(collector: Collector) -> None:
    requests = {span.span_id: span for span in collector.spans if span.kind == 2}
    accepted, refused = (span for span in collector.spans if span.name == "push")
    assert requests[accepted.parent_span_id].name == "POST /v1/logs/{log}/events"
    assert attributes(accepted) == {"log": ORIGIN, "events": 1}
    assert accepted.status.code == 0
    assert attributes(refused)["error.type"] == "InvalidEvent"
    assert refused.status.code == 2, "STATUS_CODE_ERROR"
    assert not refused.events, "an exception's message is not kept"


def test_background_work_has_spans_only_where_there_was_something_to_do(collector: Collector) -> None:
    names = [span.name for span in collector.spans]
    assert names.count("seal") == 1
    assert names.count("project") == 1
    assert 1 <= names.count("anchor") < 20


def test_the_service_is_named(collector: Collector) -> None:
    resources = [group.resource for request in collector.requests for group in request.resource_spans]
    assert {attributes(resource)["service.name"] for resource in resources} == {"transfer-ledger"}


def test_spans_hold_nothing_that_a_party_sent(collector: Collector) -> None:
    assert collector.spans
    for request in collector.requests:
        assert PERSON not in str(request)


def test_without_an_endpoint_there_is_no_tracer(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    with open_ledger(made.settings, service=True) as ledger:
        assert ledger.pipeline.tracer is NO_TRACER


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_traces_can_be_turned_off_as_everywhere(
    made: Made, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(name, value)
    with open_ledger(made.settings, service=True) as ledger:
        assert ledger.pipeline.tracer is NO_TRACER


def test_a_collector_that_is_away_holds_up_neither_a_push_nor_the_end(tmp_path: Path) -> None:
    made = make_ledger(Settings.load(data=tmp_path / "data"))
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "TRANSFER_LEDGER_SHUTDOWN_SECONDS": "15",
    }
    with running(
        made.settings.data, "serve", "--port", "0", settings=FAST, environment=environment
    ) as server:
        events = f"{server.ready()}/v1/logs/{ORIGIN}/events"
        headers = {"Authorization": f"Bearer {made.api_key}"}
        assert httpx.post(events, json=access(1), headers=headers).status_code == 201
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 0, server.written()
