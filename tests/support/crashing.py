"""A ledger under load that is killed again and again, and what must hold of it afterwards.

    with crashing("sqlite", folder, chance) as crashes:
        crashes.kill_at(point)              # by SIGKILL, when it stands there
        crashes.kill_at_any_time()
        crashes.examine()                   # nothing acknowledged is missing, or there twice, …

Whoever pushes repeats what was not answered, in the next round, as a client should. Nothing else is done between two
rounds: what was left half done, the next process must bring to an end by itself.
"""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from support.chains import DevelopmentChain, running_anvil
from support.halting import Point
from support.ledgers import access, assert_settled
from support.postgres import running_postgres
from support.processes import ACME, FAST, ORIGIN, Made, Running, make_ledger, running

from ledger import canonical
from ledger.adapters.anvil import fund
from ledger.adapters.evm import address_of
from ledger.adapters.keys import EvmKeyFile
from ledger.bootstrap import open_ledger
from ledger.doctor import Doctor
from ledger.merkle import tree_root
from ledger.receipt import open_receipt
from ledger.records import Committed
from ledger.settings import Settings
from ledger.types import Position

DATABASES = ("sqlite", "postgresql")
PUSHERS = 3
PUSH = 10
PATIENCE = 120.0
"""Seconds after which a point will not be reached any more, or a push not be answered."""
SETTLE_SECONDS = 120.0


class Pusher(threading.Thread):
    """Pushes until the server goes away, and keeps what was acknowledged."""

    def __init__(self, server: Running, api_key: str, first: int) -> None:
        super().__init__()
        self.server = server
        self.headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/x-ndjson"}
        self.next = first
        self.answers: list[dict[str, Any]] = []
        self.unexpected: list[str] = []

    def run(self) -> None:
        try:
            url = f"{self.server.url()}/v1/logs/{ORIGIN}/events"
        except AssertionError:
            return  # killed before it listened
        with httpx.Client(timeout=PATIENCE) as http:
            while not self.unexpected:
                lines = b"\n".join(canonical.encode(access(n)) for n in range(self.next, self.next + PUSH))
                try:
                    answer = http.post(url, content=lines, headers=self.headers)
                except httpx.TransportError:
                    return  # the answer is lost; the next round pushes the same events again
                if answer.status_code in (200, 201):
                    self.answers.append(answer.json())
                    self.next += PUSH
                elif answer.status_code == 503:  # a lock is held by who stands still
                    time.sleep(0.1)
                else:
                    self.unexpected.append(answer.text)


@dataclass
class Crashes:
    """One ledger and its history of kills. `node` is None if its chain is a managed Anvil."""

    made: Made
    node: DevelopmentChain | None
    chance: random.Random
    following: list[int] = field(default_factory=lambda: [n * 10**6 for n in range(PUSHERS)])
    answers: list[dict[str, Any]] = field(default_factory=list)
    kills: int = 0

    def kill_at(self, point: Point) -> None:
        """Start it again, let it reach the point some times under load, and kill it there."""
        reached, told = os.pipe()
        # What needs no block, or is made once, comes once.
        times = self.chance.randint(1, 3) if point.command == "serve" and point.blocks else 1
        words = ["-m", "support.halting", point.name, str(times), str(told)]
        command = [sys.executable, *words, "--data", str(self.made.settings.data), point.command]
        if point.command == "serve":
            command += ["--port", "0"]
        if not point.blocks and self.node:
            self.node.ask("evm_setAutomine", False)
        try:
            with self._running(command, told) as server:
                pushers = self._pushers(server) if point.command == "serve" else []
                self._await(server, reached, point)
                self._kill(server, pushers)
        finally:
            os.close(reached)
            if not point.blocks and self.node:
                self.node.ask("evm_mine")
                self.node.ask("evm_setAutomine", True)

    def kill_at_any_time(self) -> None:
        """Start it again, and kill it some time after it took something."""
        with running(self.made.settings.data, "serve", "--port", "0", settings=FAST) as server:
            server.ready()
            pushers = self._pushers(server)
            time.sleep(self.chance.uniform(0.0, 1.5))
            self._kill(server, pushers)

    @contextmanager
    def _running(self, command: list[str], told: int) -> Iterator[Running]:
        output = self.made.settings.data.with_name("halting.log")
        given = {f"TRANSFER_LEDGER_{name}": value for name, value in FAST.items()}
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        with (
            output.open("wb") as file,
            subprocess.Popen(
                command,
                env={**os.environ, **given, "PYTHONPATH": path},
                stdout=file,
                stderr=file,
                pass_fds=[told],
            ) as process,
        ):
            os.close(told)  # so that the end of the process is the end of the pipe
            try:
                yield Running(process, output)
            finally:
                process.kill()

    def _pushers(self, server: Running) -> list[Pusher]:
        pushers = [Pusher(server, self.made.api_key, first) for first in self.following]
        for pusher in pushers:
            pusher.start()
        return pushers

    def _await(self, server: Running, reached: int, point: Point) -> None:
        readable, _, _ = select.select([reached], [], [], PATIENCE)
        stands = bool(readable) and os.read(reached, 1) == b"!"
        assert stands, f"never reached {point.name!r}: {server.process.poll()}, {server.written()[-2000:]}"

    def _kill(self, server: Running, pushers: list[Pusher]) -> None:
        server.process.kill()
        server.process.wait()
        self.kills += 1
        for pusher in pushers:
            pusher.join()
            assert not pusher.unexpected
        self.answers += [answer for pusher in pushers for answer in pusher.answers]
        self.following = [pusher.next for pusher in pushers] or self.following

    def examine(self) -> int:
        """Open it once more, and see what all of that has left. Answers how many events were acknowledged."""
        with open_ledger(self.made.settings) as ledger:
            # What stands is whole before anything else is done, but for projections that were being made again.
            found = list(Doctor(ledger.store, ledger.chain).examine())
            differences = [it for it in found if "are being made again" not in it.problem]
            assert not differences, differences
            worker = ledger.worker()
            assert worker.settle(SETTLE_SECONDS), worker.failures
            assert_settled(ledger.store, ledger.chain, ORIGIN)
            size = ledger.store.head(ORIGIN).size
            events = list(ledger.store.scan(ORIGIN, Position(0), size))
            assert [event.position for event in events] == list(range(size)), "a gap"
            assert ledger.store.projected(ORIGIN) == size
            differences = list(Doctor(ledger.store, ledger.chain).examine())
            assert not differences, differences
        return self._hold_against(events)

    def _hold_against(self, events: list[Committed]) -> int:
        """What was acknowledged against what is there."""
        ids = [str(canonical.parse_object(event.entry)["event"]["id"]) for event in events]  # type: ignore[index,call-overload]
        places = {id: position for position, id in enumerate(ids)}
        assert len(places) == len(ids), "twice"
        acknowledged = set()
        for answer in self.answers:
            receipts = [open_receipt(note, self.made.key) for note in answer["receipts"]]
            for receipt in receipts:
                covered = events[receipt.first : receipt.first + receipt.count]
                assert tree_root([event.leaf for event in covered]) == receipt.root, "a second history"
            for pushed in answer["events"]:
                receipt = receipts[pushed["receipt"]]
                assert places[pushed["id"]] == pushed["position"], "missing, or elsewhere"
                assert receipt.first <= pushed["position"] < receipt.first + receipt.count
                acknowledged.add(pushed["id"])
        return len(acknowledged)


@contextmanager
def crashing(
    database: str, folder: Path, chance: random.Random, *, managed: bool = False
) -> Iterator[Crashes]:
    """A new ledger to be killed: on a node of its own, which can be told to make no blocks, or on a managed Anvil."""
    with ExitStack() as stack:
        url = stack.enter_context(running_postgres()) if database == "postgresql" else None
        data, node = folder / "data", None
        if not managed:
            node = stack.enter_context(running_anvil())
            for name in ("operator", "registrar"):
                fund(node.url, address_of(EvmKeyFile(data / "keys" / f"{name}.key").load_or_create()), 100)
        settings = Settings.load(data=data, database=url, rpc=node.url if node else None)
        made = make_ledger(settings)
        with open_ledger(
            made.settings
        ) as ledger:  # so that there is something to project again at the first kill
            ledger.pipeline.push(ORIGIN, ACME, [access(10**7)])
        yield Crashes(made, node, chance)
