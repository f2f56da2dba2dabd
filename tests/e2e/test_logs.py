"""What a ledger writes at debug level, while parties push, ask and go wrong with words that would be known again."""

from __future__ import annotations

import gzip
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from support.ledgers import access
from support.processes import FAST, ORIGIN, Made, Running, make_ledger, running, wait_for

from ledger.settings import Settings

PERSON = "zhangwei"
"""Stands in everything that a party can put anywhere."""
CALLER = "127.0.0.77"
"""Address that the requests come from."""
LINE = re.compile(
    r'timestamp=\S+ level=(debug|info|warning|error|critical) event=("[^\n]*?"|\S+)( [a-z_]+=.*)?'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(Settings.load(data=tmp_path_factory.mktemp("logs") / "data"))


@pytest.fixture(scope="module")
def server(made: Made) -> Iterator[Running]:
    """A server that everything below was done to, and that has ended."""
    settings = {**FAST, "LOG_LEVEL": "debug", "UNREADY_SECONDS": "0"}
    with running(made.settings.data, "serve", "--port", "0", settings=settings) as server:
        url = server.ready()
        transport = httpx.HTTPTransport(local_address=CALLER)
        with httpx.Client(base_url=url, transport=transport, timeout=30) as http:
            misuse(http, made.api_key)
        misuse_the_protocol(url)
        wait_for(lambda: "checkpoint signed" in server.written())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        yield server


def misuse(http: httpx.Client, key: str) -> None:
    """Requests good and bad, each of which names the person wherever it can."""
    headers = {
        "Authorization": f"Bearer {key}",
        "User-Agent": PERSON,
        "Cookie": PERSON,
        "X-Request-Id": PERSON,
    }
    events, otlp = f"/v1/logs/{ORIGIN}/events", f"/v1/logs/{ORIGIN}/otlp"
    named = access(1, data={**access(1)["data"], "principal": PERSON, "reason": PERSON})
    clash = {**named, "data": {**named["data"], "reason": f"{PERSON} again"}}
    assert http.post(events, json=named, headers=headers).status_code == 201
    assert http.post(events, json=clash, headers=headers).status_code == 409
    for value in (
        *(access(2, **{name: f"{PERSON} {name}"}) for name in ("id", "source", "subject", "time", "type")),
        access(2, **{PERSON: 1}),
        access(2, data={PERSON: PERSON}),
        {PERSON: PERSON},
        [PERSON],
    ):
        assert http.post(events, json=value, headers=headers).status_code == 422
    assert http.post(
        events, content=f"{{{PERSON}", headers=headers | {"Content-Type": "application/json"}
    ).is_error
    assert http.post(events, content=b"{}", headers=headers | {"Content-Type": PERSON}).status_code == 415
    assert http.get(events, params={"transfer": PERSON, "since": PERSON}, headers=headers).status_code == 400
    assert http.get(events, params={"transfer": PERSON}, headers=headers).status_code == 200
    assert http.get("/v1/access", params={"principal": PERSON}, headers=headers).status_code == 200
    assert http.get(f"/v1/transfers/{PERSON}", headers=headers).status_code in (200, 404)
    assert http.get(f"/v1/logs/{PERSON}/checkpoint").status_code == 404
    assert http.get(f"/{PERSON}?{PERSON}={PERSON}#{PERSON}").status_code == 404
    assert http.request(PERSON.upper(), events).status_code == 405
    for wrong in (PERSON, f"tl_0123456789ab_{PERSON:_<43}", f"{key[:-5]}{PERSON[:5]}"):
        assert http.post(events, json=named, headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    assert http.post(otlp, json=logged(), headers=headers).json() == {}
    assert http.post(otlp, json=logged(body={"stringValue": PERSON}), headers=headers).json() != {}
    assert http.post(otlp, json={PERSON: PERSON, "resourceLogs": PERSON}, headers=headers).status_code == 400
    packed = headers | {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    assert http.post(otlp, content=gzip.compress(PERSON.encode()), headers=packed).status_code == 400
    traced = headers | {"traceparent": PERSON, "tracestate": f"{PERSON}={PERSON}", "baggage": PERSON}
    assert http.get("/healthz", headers=traced).status_code == 200
    upgrade = headers | {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": PERSON}
    assert http.get(f"/v1/types?{PERSON}", headers=upgrade).status_code == 200


def logged(**changes: Any) -> dict[str, Any]:
    event = access(3)
    attributes = {
        "cloudevents.event_id": event["id"],
        "cloudevents.event_source": event["source"],
        "cloudevents.event_type": event["type"],
        "cloudevents.event_subject": event["subject"],
        "transfer_ledger.phase": event["phase"],
        PERSON: PERSON,
    }
    data = {**event["data"], "principal": PERSON}
    record = {
        "timeUnixNano": "1782907200000000000",
        "severityText": PERSON,
        "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()],
        "body": {
            "kvlistValue": {"values": [{"key": k, "value": {"stringValue": v}} for k, v in data.items()]}
        },
        **changes,
    }
    return {"resourceLogs": [{"scopeLogs": [{"scope": {"name": PERSON}, "logRecords": [record]}]}]}


def misuse_the_protocol(url: str) -> None:
    """What is no HTTP."""
    at = urlsplit(url)
    for said in (
        f"{PERSON}\r\n\r\n",
        f"GET /{PERSON} HTTP/9.9\r\n\r\n",
        f"GET / HTTP/1.1\r\n{PERSON}\r\n\r\n",
    ):
        with socket.create_connection((at.hostname, at.port), source_address=(CALLER, 0)) as connection:
            connection.sendall(said.encode())
            connection.recv(1000)


def test_nothing_that_a_party_sent_is_in_it(server: Running, made: Made) -> None:
    written = server.written()
    assert PERSON not in written.lower()
    assert CALLER not in written
    assert made.api_key.split("_", 2)[2] not in written
    for word in ("access-000001", "live-2026-07-01", "role", "replays", "Traceback"):
        assert word not in written


def test_every_line_has_the_same_form(server: Running) -> None:
    lines = server.written().splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_every_request_has_a_line_with_its_route(server: Running) -> None:
    requests = [line for line in server.written().splitlines() if "event=request" in line]
    told = [dict(part.split("=", 1) for part in line.split(" ") if "=" in part) for line in requests]
    for one in told:
        assert one.keys() == {"timestamp", "level", "event", "method", "ms", "request", "route", "status"}
        assert re.fullmatch("[0-9a-f]{16}", one["request"])
    seen = {(one["method"], one["route"], one["status"]) for one in told}
    assert {
        ("POST", "/v1/logs/{log}/events", "201"),
        ("POST", "/v1/logs/{log}/events", "409"),
        ("POST", "/v1/logs/{log}/events", "401"),
        ("POST", "/v1/logs/{log}/otlp", "200"),
        ("GET", "/v1/transfers/{transfer}", "404"),
        ("GET", "other", "404"),
        ("other", "/v1/logs/{log}/events", "405"),
        ("GET", "/healthz", "200"),
    } <= seen
    assert len({one["request"] for one in told}) == len(told)


def test_what_the_server_does_is_told(server: Running) -> None:
    written = server.written()
    for event in ("sealed", '"anchor final"', '"checkpoint signed"', "stopping", '"Uvicorn running on'):
        assert f"event={event}" in written
