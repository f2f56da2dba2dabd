"""SIGTERM: it says so, finishes what it has and ends within a bound; nothing acknowledged is lost, no push hangs."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from support.ledgers import access, assert_settled
from support.postgres import running_postgres
from support.processes import ACME, FAST, ORIGIN, Made, Running, make_ledger, running, wait_for

from ledger import canonical
from ledger.bootstrap import open_ledger
from ledger.doctor import Doctor
from ledger.receipt import open_receipt
from ledger.settings import Settings
from ledger.shutdown import TOO_LATE

PUSHERS = 6
PUSH = 10


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    if request.param == "sqlite":
        yield make_ledger(Settings.load(data=tmp_path / "data"))
        return
    with running_postgres() as url:
        yield make_ledger(Settings.load(data=tmp_path / "data", database=url))


@pytest.fixture
def small(tmp_path: Path) -> Made:
    """One on SQLite."""
    return make_ledger(Settings.load(data=tmp_path / "data"))


class Pusher(threading.Thread):
    """Pushes over one connection until the server does not listen any more, and keeps what was acknowledged."""

    def __init__(self, url: str, api_key: str, number: int) -> None:
        super().__init__()
        self.url = f"{url}/v1/logs/{ORIGIN}/events"
        self.headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/x-ndjson"}
        self.next = number * 1_000_000
        self.answers: list[dict[str, Any]] = []
        self.longest = 0.0
        self.unexpected: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=60) as http:
            while True:
                lines = b"\n".join(canonical.encode(access(n)) for n in range(self.next, self.next + PUSH))
                begun = time.monotonic()
                try:
                    answer = http.post(self.url, content=lines, headers=self.headers)
                except httpx.ConnectError:
                    return  # nobody listens
                except httpx.TransportError as error:
                    if isinstance(error, httpx.TimeoutException):
                        self.unexpected.append("no answer")
                        return
                    continue  # an idle connection was closed: the same push again
                finally:
                    self.longest = max(self.longest, time.monotonic() - begun)
                if answer.status_code not in (200, 201):
                    self.unexpected.append(answer.text)
                    return
                self.answers.append(answer.json())
                self.next += PUSH


@pytest.mark.timeout(300)
def test_a_graceful_end_under_load_answers_every_push_and_loses_none(ledger: Made) -> None:
    with running(ledger.settings.data, "serve", "--port", "0") as server:
        url = server.ready()
        pushers = [Pusher(url, ledger.api_key, number) for number in range(PUSHERS)]
        for pusher in pushers:
            pusher.start()
        wait_for(lambda: all(len(pusher.answers) >= 5 for pusher in pushers))
        acknowledged = sum(len(pusher.answers) for pusher in pushers)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert until_it_stops_listening(url) == 503
        assert server.process.wait(30) == 0, server.written()
        assert time.monotonic() - begun < ledger.settings.shutdown_seconds
        for pusher in pushers:
            pusher.join(30)
            assert not pusher.is_alive()
            assert not pusher.unexpected
            assert pusher.longest < ledger.settings.shutdown_seconds
    assert sum(len(pusher.answers) for pusher in pushers) > acknowledged, "what was under way was finished"
    assert_all_there(ledger, [answer for pusher in pushers for answer in pusher.answers])


def until_it_stops_listening(url: str) -> int:
    """The last status of `/readyz`."""
    status = 0
    while True:
        try:
            status = httpx.get(f"{url}/readyz", timeout=30).status_code
        except httpx.TransportError:
            return status


def assert_all_there(made: Made, answers: list[dict[str, Any]]) -> None:
    with open_ledger(made.settings) as ledger:
        # What it sealed is whole, before anything else is done.
        assert list(Doctor(ledger.store, ledger.chain).examine()) == []
        events = ledger.store.scan(ORIGIN, 0, ledger.store.head(ORIGIN).size)  # type: ignore[arg-type]
        places = {str(canonical.parse_object(e.entry)["event"]["id"]): e.position for e in events}  # type: ignore[index,call-overload]
        for answer in answers:
            receipts = [open_receipt(note, made.key) for note in answer["receipts"]]
            for pushed in answer["events"]:
                assert places[pushed["id"]] == pushed["position"]
                receipt = receipts[pushed["receipt"]]
                assert receipt.first <= pushed["position"] < receipt.first + receipt.count
        assert ledger.worker().settle(60)
        assert_settled(ledger.store, ledger.chain, ORIGIN)


# --- The bound, and a second signal -------------------------------------------------------------------------------


def stuck_request(url: str, api_key: str) -> socket.socket:
    """A push whose body never comes."""
    at = urlsplit(url)
    connection = socket.create_connection((at.hostname, at.port))
    head = f"POST /v1/logs/{ORIGIN}/events HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Length: 100\r\n"
    head += f"Content-Type: application/json\r\nAuthorization: Bearer {api_key}\r\n\r\n"
    connection.sendall(head.encode() + b"{")
    return connection


def stopping(server: Running) -> bool:
    return "event=stopping" in server.written()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(small: Made, number: signal.Signals) -> None:
    with (
        running(small.settings.data, "serve", "--port", "0") as server,
        closing(stuck_request(server.ready(), small.api_key)),
    ):
        server.process.send_signal(number)
        wait_for(lambda: stopping(server))
        with pytest.raises(subprocess.TimeoutExpired):  # it waits for the request
            server.process.wait(1.5)
        server.process.send_signal(number)
        assert server.process.wait(5) == 128 + number


def test_a_request_that_never_ends_holds_it_up_no_longer_than_the_bound(small: Made) -> None:
    settings = {**FAST, "SHUTDOWN_SECONDS": "4", "UNREADY_SECONDS": "0"}
    with (
        running(small.settings.data, "serve", "--port", "0", settings=settings) as server,
        closing(stuck_request(server.ready(), small.api_key)),
    ):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(4) == 0, server.written()


def test_a_worker_ends_its_task_and_exits_with_0(small: Made) -> None:
    with running(small.settings.data, "worker") as worker, open_ledger(small.settings) as ledger:
        ledger.pipeline.push(ORIGIN, ACME, [access(1)])
        wait_for(lambda: "event=sealed" in worker.written())
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0, worker.written()


def test_a_task_that_never_ends_holds_it_up_no_longer_than_the_bound(small: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a node that takes connections and says nothing
        settings = {
            **FAST,
            "RPC": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "RPC_TIMEOUT_SECONDS": "60",
            "SHUTDOWN_SECONDS": "2",
        }
        with running(small.settings.data, "worker", settings=settings) as worker:
            with closing(silent.accept()[0]):
                worker.process.send_signal(signal.SIGTERM)
                assert worker.process.wait(10) == TOO_LATE
            assert "level=error" in worker.written()
