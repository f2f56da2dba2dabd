"""`kill -9` at any time: what was acknowledged is there, once, and is anchored once; a restart needs no help."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.ledgers import access, assert_settled
from support.postgres import running_postgres

from ledger import canonical
from ledger.bootstrap import initialise, open_ledger
from ledger.doctor import Doctor
from ledger.note import VerifierKey
from ledger.receipt import open_receipt
from ledger.records import Party, Role, Scope
from ledger.settings import Settings
from ledger.types import Origin, PartyId, Position, parse_origin

ORIGIN = parse_origin("ledger.example/acme-live")
ACME = PartyId("acme")
ROUNDS = 6
PUSH = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    if request.param == "sqlite":
        yield Settings.load(data=tmp_path / "data")
        return
    with running_postgres() as url:
        yield Settings.load(data=tmp_path / "data", database=url)


@contextmanager
def serving(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`transfer-ledger serve`, ready; killed at the end, if it still runs."""
    options = {"SEAL_LEAVES": "50", "SEAL_SECONDS": "0.2", "POLL_SECONDS": "0.05", "LOG_LEVEL": "error"}
    with subprocess.Popen(
        [
            str(Path(sys.executable).parent / "transfer-ledger"),
            "--data",
            str(folder),
            "serve",
            "--port",
            str(port),
        ],
        env={**os.environ, **{f"TRANSFER_LEDGER_{name}": value for name, value in options.items()}},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until_ready(process, port)
            yield process
        finally:
            process.kill()


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        assert process.poll() is None, f"serve ended with {process.returncode}"
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("serve did not become ready")


class Pusher(threading.Thread):
    """Pushes until the server goes away, and keeps what was acknowledged."""

    def __init__(self, port: int, api_key: str, first: int) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{port}/v1/logs/{ORIGIN}/events"
        self.headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/x-ndjson"}
        self.next = first
        self.answers: list[dict[str, Any]] = []

    def run(self) -> None:
        with httpx.Client(timeout=30) as http:
            while True:
                lines = b"\n".join(canonical.encode(access(n)) for n in range(self.next, self.next + PUSH))
                try:
                    answer = http.post(self.url, content=lines, headers=self.headers)
                except httpx.TransportError:
                    return  # the answer is lost; the next round pushes the same events again
                assert answer.status_code in (200, 201), answer.text
                self.answers.append(answer.json())
                self.next += PUSH


def make_ledger(settings: Settings) -> tuple[Settings, str, VerifierKey]:
    initialise(settings)
    settings = Settings.load(data=settings.data)
    with open_ledger(settings) as ledger:
        ledger.store.add_party(Party(ACME, "ACME", Role.PLATFORM, "CN"))
        log = ledger.create_log(ORIGIN, ACME)
        api_key = ledger.create_api_key(ACME, ORIGIN, frozenset({Scope.PUSH}))
    return settings, api_key, VerifierKey.parse(log.verifier_key)


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_and_nothing_is_anchored_twice(settings: Settings) -> None:
    settings, api_key, key = make_ledger(settings)
    chance = random.Random(20261123)
    answers: list[dict[str, Any]] = []
    following = 0
    for _ in range(ROUNDS):
        port = free_port()
        with serving(settings.data, port) as server:
            pusher = Pusher(port, api_key, following)
            pusher.start()
            time.sleep(chance.uniform(0.3, 2.0))
            server.send_signal(signal.SIGKILL)
            server.wait()
            pusher.join()
        answers += pusher.answers
        following = pusher.next
    assert following, "something was acknowledged"
    assert_all_there(settings, key, answers)


def assert_all_there(settings: Settings, key: VerifierKey, answers: list[dict[str, Any]]) -> None:
    with open_ledger(settings) as ledger:
        assert ledger.worker().settle(60)
        assert_settled(ledger.store, ledger.chain, ORIGIN)
        size = ledger.store.head(ORIGIN).size
        places: dict[str, int] = {}
        for event in ledger.store.scan(ORIGIN, Position(0), size):
            id = canonical.parse_object(event.entry)["event"]["id"]  # type: ignore[index,call-overload]
            assert id not in places, "twice"
            assert event.position == len(places), "a gap"
            places[str(id)] = event.position
        assert len(places) == size
        for answer in answers:
            receipts = [open_receipt(note, key) for note in answer["receipts"]]
            for pushed in answer["events"]:
                receipt = receipts[pushed["receipt"]]
                assert places[pushed["id"]] == pushed["position"]
                assert receipt.first <= pushed["position"] < receipt.first + receipt.count
        assert list(Doctor(ledger.store, ledger.chain).examine()) == []


@pytest.mark.timeout(300)
def test_a_killed_chain_is_caught_up(tmp_path: Path) -> None:
    """The managed Anvil is killed and may lose its last blocks: the batches in them are anchored again."""
    settings, _, _ = make_ledger(Settings.load(data=tmp_path / "data"))
    with open_ledger(settings) as ledger:
        for number in range(5):
            ledger.pipeline.push(ORIGIN, ACME, [access(number)])
            assert ledger.worker().settle(60)
        processes = anvils(settings.data)
        assert processes
        for process in processes:
            os.kill(process, signal.SIGKILL)
        ledger.pipeline.push(ORIGIN, ACME, [access(5)])
    with open_ledger(settings) as ledger:
        worker = ledger.worker()
        assert any(worker.settle(60) for _ in range(10)), "it recovers by itself"
        assert_settled(ledger.store, ledger.chain, Origin(ORIGIN))
        assert list(Doctor(ledger.store, ledger.chain).examine()) == []


def anvils(data: Path) -> list[int]:
    """Processes of the chain in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if Path(os.fsdecode(words[0])).name == "anvil" and any(
                os.fsencode(data) in word for word in words
            ):
                found.append(int(entry.name))
    return found
