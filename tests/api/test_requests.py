"""What every request gets: an id, a line in the log, an answer of ours even for a defect, and notice of the end."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from conftest import Caller, assert_problem
from google.rpc.status_pb2 import Status
from support.ledgers import Bed, access, serving_services
from support.ledgers import services as made_services
from support.processes import wait_for

from ledger import logs
from ledger.records import Scope
from ledger.types import Origin

PERSON = "zhangwei"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """The lines that are logged of requests in this test; a request's own comes after its answer."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logs.set_up("info")
    yield lambda: [line for line in written.getvalue().splitlines() if " request=" in line]


def test_every_answer_has_an_id_of_its_own_and_never_the_callers(caller: Caller) -> None:
    headers = {"X-Request-Id": PERSON}
    answers = [
        caller.client.get("/healthz", headers=headers),
        caller.client.get("/v1/logs/ledger.example/nowhere", headers=headers),
        caller.client.get(f"/{PERSON}", headers=headers),
        caller.push(access(1)),
    ]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", id) for id in ids)


def test_the_id_of_an_answer_is_that_of_its_line(caller: Caller, lines: Callable[[], list[str]]) -> None:
    answer = caller.push(access(1))
    [line] = wait_for(lines)
    assert f"request={answer.headers['X-Request-Id']}" in line
    assert "method=POST route=/v1/logs/{log}/events status=201" in line


class Defective:
    """A store with a defect: whatever is asked, it raises what nobody expects."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(PERSON)


@pytest.fixture
def defective(bed: Bed) -> Iterator[str]:
    services = made_services(bed.restarted(store=Defective()), None)
    with serving_services(services) as url:
        yield url


def test_a_defect_is_a_problem_document_and_a_line_without_its_message(
    defective: str, lines: Callable[[], list[str]]
) -> None:
    answer = httpx.get(f"{defective}/v1/logs?{PERSON}")
    body = assert_problem(answer, 500, "internal-server-error")
    assert "X-Request-Id" in body["advice"]
    assert PERSON not in answer.text
    defect, request = wait_for(lambda: found if len(found := lines()) == 2 else None)
    assert "level=error event=defect route=/v1/logs request=" in defect
    assert re.search('exception="RuntimeError at .* > api/test_requests.py:[0-9]+"$', defect)
    assert "status=500" in request
    for line in (defect, request):
        assert f"request={answer.headers['X-Request-Id']}" in line
        assert PERSON not in line


@pytest.mark.parametrize("media", ["application/json", "application/x-protobuf"])
def test_a_defect_is_a_status_for_opentelemetry(defective: str, origin: Origin, media: str) -> None:
    headers = {"Content-Type": media, "Authorization": f"Bearer {PERSON}"}
    answer = httpx.post(f"{defective}/v1/logs/{origin}/otlp", content=b"", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (500, media)
    said = answer.json()["message"] if "json" in media else Status.FromString(answer.content).message
    assert "defect" in said
    assert PERSON not in said


def test_before_the_end_it_is_not_ready_takes_pushes_and_lets_go_of_connections(
    bed: Bed, origin: Origin
) -> None:
    services = made_services(bed.pipeline, None)
    key = bed.api_key(origin, Scope.PUSH)
    with serving_services(services) as url, httpx.Client(base_url=url, timeout=30) as client:
        caller = Caller(client, origin, key)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["stopping"]) == (200, False)
        assert "connection" not in ready.headers
        services.stopping.set()
        for answer, status in ((client.get("/readyz"), 503), (caller.push(access(1)), 201)):
            assert answer.status_code == status
            assert answer.headers["connection"] == "close"
        unready = json.loads(client.get("/readyz").text)
        assert (unready["ready"], unready["stopping"]) == (False, True)
        assert (unready["store"], unready["chain"]) == ("ok", "ok")
