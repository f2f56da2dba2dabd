"""The client of the API: what it repeats, what it gives up on, and what it says then."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.chains import free_port
from support.ledgers import Bed, accesses, serving

from ledger import client as client_module
from ledger.client import TRIES, Client
from ledger.errors import AccessError, InputError, Unavailable
from ledger.evidence import check_package
from ledger.proof import parse_proof
from ledger.records import Scope
from ledger.types import Origin, Position

ORIGIN = Origin("ledger.example/acme-live")
PUSHED = {"events": [{"status": "accepted"}, {"status": "duplicate"}], "receipts": ["note"]}


def answer(status: int, body: Any, media: str = "application/problem+json") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} x\r\nContent-Type: {media}\r\nContent-Length: {len(content)}\r\nConnection: close"
    )
    return head.encode() + b"\r\n\r\n" + content


@contextmanager
def scripted(*answers: bytes) -> Iterator[tuple[Client, list[bytes]]]:
    """A client of a server that gives these answers, one after the other, and then hangs up on everybody."""
    asked: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        script = iter(answers)
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked.append(read_request(connection))
                connection.sendall(next(script, b""))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with Client(url, "key", ORIGIN, timeout=5, wait=0.001) as client:
                yield client, asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = next(
        (int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def test_a_push_is_summed_up() -> None:
    with scripted(answer(201, PUSHED)) as (client, asked):
        summary = client.push_lines(b"{}\n")
    assert (summary.accepted, summary.duplicates, summary.receipts) == (1, 1, ("note",))
    [request] = asked
    assert request.startswith(b"POST /v1/logs/ledger.example/acme-live/events ")
    assert b"authorization: bearer key" in request.lower()
    assert request.endswith(b"\r\n\r\n{}\n")


@pytest.mark.parametrize(
    "failure", [answer(503, {}), answer(500, b"oops"), answer(429, {}), b"", b"HTTP/1.1 2"]
)
def test_what_may_pass_is_tried_again(failure: bytes) -> None:
    with scripted(failure, failure, answer(200, PUSHED)) as (client, asked):
        assert client.push_lines(b"{}\n").accepted == 1
    assert len(asked) == 3
    assert len(set(asked)) == 1, "the very same request"


def test_what_does_not_pass_is_given_up_and_told() -> None:
    problem = {"title": "x", "detail": "the chain is away", "advice": "Wait."}
    with scripted(*[answer(503, problem)] * 20) as (client, asked), pytest.raises(Unavailable) as caught:
        client.push_lines(b"{}\n")
    assert len(asked) == TRIES
    assert (caught.value.message, caught.value.advice) == ("the chain is away", "Wait.")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InputError),
        (401, AccessError),
        (403, AccessError),
        (404, InputError),
        (409, InputError),
        (422, InputError),
    ],
)
def test_a_refusal_is_told_at_once_with_its_details(status: int, kind: type[Exception]) -> None:
    problem = {
        "detail": "no",
        "expected": "a",
        "got": "b",
        "problems": [{"at": "[0].id", "problem": "missing"}],
    }
    with scripted(answer(status, problem)) as (client, asked), pytest.raises(kind) as caught:
        client.push_lines(b"{}\n")
    assert len(asked) == 1
    error: Any = caught.value
    assert (error.message, error.expected, error.got) == ("no", "a", "b")
    assert error.details == {"problems": problem["problems"]}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b"\xff"])
def test_a_refusal_in_another_form_is_still_an_error_of_ours(body: bytes) -> None:
    with scripted(answer(404, body, "text/html")) as (client, _), pytest.raises(InputError, match="HTTP 404"):
        client.push_lines(b"{}\n")


@pytest.mark.parametrize("body", [b"", b"not json", b"{}", b"[]", b"null"])
def test_a_success_that_makes_no_sense_is_an_error_of_ours(body: bytes) -> None:
    with scripted(*[answer(200, body)] * 20) as (client, _), pytest.raises(InputError, match="no ledger"):
        client.push_lines(b"{}\n")


def test_nobody_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TRIES", 2)
    with Client(f"http://127.0.0.1:{free_port()}", "key", ORIGIN, wait=0.001) as client:
        with pytest.raises(Unavailable, match="no answer"):
            client.push_lines(b"{}\n")
        with pytest.raises(Unavailable, match="no answer"):
            client.evidence("a", "b", io.BytesIO())


def test_evidence_that_breaks_off_is_not_taken_for_whole() -> None:
    cut = answer(200, b"x" * 1000, "application/zip")[:-500]
    with scripted(cut) as (client, _), pytest.raises(Unavailable):
        client.evidence("a", "b", io.BytesIO())


def test_a_real_ledger_is_pushed_to_and_read(bed: Bed, origin: Origin) -> None:
    key = bed.api_key(origin, Scope.PUSH, Scope.READ, Scope.DISCLOSE)
    lines = b"".join(json.dumps(value).encode() + b"\n" for value in accesses(range(5)))
    with serving(bed) as url, Client(url, key, origin) as client:
        first, again = client.push_lines(lines), client.push_lines(lines)
        assert (first.accepted, again.duplicates, first.receipts) == (5, 5, again.receipts)
        bed.settle(origin)
        assert len(parse_proof(client.proof(Position(3), "principal")).disclosures) == 1
        with io.BytesIO() as file:
            client.evidence("2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", file)
            assert check_package(file, bed.key(origin)).events_in_period == 5
