"""Pushes over HTTP, beside the floor (`floor`): the same bytes, the same client, the same kind of server, in turns.

Floor and ledger run all the time, each with a database of its own, and have their turns A B A B …, so that whatever
else the machine does hits both. The ledger's process only takes pushes (`serve --no-worker`), as in production; what
it takes with all background work in the same process is measured after that, alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmark.events import Events, batches
from benchmark.meters import Figures, median, memory
from benchmark.place import DATABASES, Home, Place
from benchmark.processes import BenchFailed, Server, failed, line_of, serving, started, tell
from ledger.bootstrap import Wired
from ledger.records import Scope
from ledger.settings import PREFIX

BATCH = 1000
SINGLE_CONNECTIONS = 64
SOON = {f"{PREFIX}SEAL_SECONDS": "1"}
"""So that the last events do not wait for ten seconds, which is no work."""
QUIET = {f"{PREFIX}LOG_LEVEL": "warning"}
"""As the floor: no line for each request."""
PATIENCE = 900.0
FLOOR, LEDGER = "floor", "ledger"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a push goes: the path of one event, the path of many."""

    name: str
    server: Server
    one: str
    many: str
    headers: dict[str, str]


class Turns:
    """Gives targets their turns; every turn has events of its own."""

    def __init__(self, place: Place, events: Events) -> None:
        self._place = place
        self._events = events
        self._numbers = count()
        self._file = place.folder / "bodies"

    def batched(self, target: Target, connections: int) -> Figures:
        """One turn of pushes of 1,000 events."""
        bodies = batches(self._events.fresh(next(self._numbers)), BATCH)
        return self._turn(target, target.many, bodies, connections, BATCH)

    def single(self, target: Target) -> Figures:
        """One turn of pushes of one event."""
        return self._turn(target, target.one, self._events.fresh(next(self._numbers)), SINGLE_CONNECTIONS, 1)

    def _turn(
        self, target: Target, path: str, bodies: Sequence[bytes], connections: int, each: int
    ) -> Figures:
        self._file.write_bytes(b"\n".join(bodies))
        spec = {
            "url": target.server.url,
            "path": path,
            "headers": target.headers,
            "connections": connections,
            "bodies": str(self._file),
            "limit_s": self._place.sizes.turn_seconds,
        }
        told = send(spec, self._place.log)
        if told["statuses"] != {"201": told["requests"]}:
            raise BenchFailed(f"the {target.name} answered {told['statuses']} to pushes of new events")
        events = each * told["requests"]
        return {
            "events": events,
            "events_per_s": events / told["seconds"],
            "p50_ms": told["p50_ms"],
            "p99_ms": told["p99_ms"],
            "client_share_of_core": told["cpu_s"] / told["seconds"],
        }


def send(spec: Figures, log: Path) -> Figures:
    """Run the client (`load`) once."""
    with started([sys.executable, "-m", "benchmark.load"], log, piped=True) as client:
        tell(client, json.dumps(spec))
        if line_of(client.stdout) != "ready\n":
            raise failed("the client did not start", log)
        tell(client, "go")
        if not (line := line_of(client.stdout)):
            raise failed("the client gave up", log)
        answer: Figures = json.loads(line)
        return answer


def measure(place: Place) -> Figures:
    """The part `ingest`."""
    events = Events(place.sizes.turn_events)
    return {kind: _on(place, kind, events) for kind in DATABASES}


def _on(place: Place, kind: str, events: Events) -> Figures:
    sizes, home = place.sizes, place.ledger(kind, "ingest")
    turns = Turns(place, events)
    with _floor(place, kind) as floor, _ledger(home, "--no-worker", QUIET) as ledger:
        targets = (floor, ledger)
        for target in targets:  # caches, prepared statements, the first pages of the database
            turns.single(target)
        figures: Figures = {}
        numbers = ", ".join(map(str, sizes.connections))
        batched: dict[int, list[dict[str, Figures]]] = {connections: [] for connections in sizes.connections}
        with place.show.step(f"{kind}: pushes of {BATCH}, connections: {numbers}") as told:
            for number in range(sizes.rounds):  # all numbers in each, since their best are compared
                for connections, rounds in batched.items():
                    rounds.append({t.name: turns.batched(t, connections) for t in targets})
                told(number + 1, sizes.rounds)
        figures |= {f"batch_{connections}": _summary(rounds) for connections, rounds in batched.items()}
        with place.show.step(f"{kind}: single events, connections: {SINGLE_CONNECTIONS}") as told:
            rounds = []
            for number in range(sizes.rounds):
                rounds.append({t.name: turns.single(t) for t in targets})
                told(number + 1, sizes.rounds)
        figures["single"] = _summary(rounds)
        figures["memory_peak_bytes"] = {t.name: memory("VmHWM", t.server.pid) for t in targets}
    figures["batch"] = _best(figures, sizes.connections)
    place.drop(home)
    with place.show.step(f"{kind}: pushes with sealing, anchoring and projecting in the same process"):
        figures["sustained"] = _sustained(place, place.ledger(kind, "sustained"), turns)
    return figures


def _summary(rounds: Sequence[dict[str, Figures]]) -> Figures:
    """Medians over the rounds, and the ratio of the medians."""
    names = ("events_per_s", "p50_ms", "p99_ms", "client_share_of_core")
    systems = {
        system: {name: median([turn[system][name] for turn in rounds]) for name in names}
        for system in (FLOOR, LEDGER)
    }
    return {
        **systems,
        "ratio": systems[LEDGER]["events_per_s"] / systems[FLOOR]["events_per_s"],
        "rounds": {s: [turn[s]["events_per_s"] for turn in rounds] for s in (FLOOR, LEDGER)},
    }


def _best(figures: Figures, connections: Sequence[int]) -> Figures:
    """Each system at the number of connections at which it takes most."""
    best: Figures = {}
    for system in (FLOOR, LEDGER):
        turns = [figures[f"batch_{number}"][system] for number in connections]
        best[system] = max(turns, key=lambda turn: float(turn["events_per_s"]))
    return {**best, "ratio": best[LEDGER]["events_per_s"] / best[FLOOR]["events_per_s"]}


@contextmanager
def _floor(place: Place, kind: str) -> Iterator[Target]:
    argv = [sys.executable, "-m", "benchmark.floor", "--database", place.database(kind, f"floor-{kind}")]
    with serving(lambda port: [*argv, "--port", port], "/healthz", place.log) as server:
        yield Target(FLOOR, server, "/event", "/events", {"Content-Type": "application/json"})


@contextmanager
def _ledger(home: Home, option: str, environment: Mapping[str, str] | None = None) -> Iterator[Target]:
    path = f"/v1/logs/{home.origin}/events"
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {home.api_key(Scope.PUSH)}"}
    with home.served(option, environment=environment) as server:
        yield Target(LEDGER, server, path, path, headers)


def _sustained(place: Place, home: Home, turns: Turns) -> Figures:
    """Push with the background work in the same process, then wait until it has caught up."""
    with home.open() as ledger, _ledger(home, "--worker", environment=SOON) as target:
        began, pushed = time.perf_counter(), 0
        while time.perf_counter() - began < place.sizes.sustained_seconds:
            pushed += turns.batched(target, 1)["events"]
        _wait(ledger, home)
        seconds = time.perf_counter() - began
        size = ledger.store.head(home.origin).size
    if size != pushed:
        raise BenchFailed(f"{pushed} events were acknowledged, {size} are there")
    place.drop(home)
    return {"events": pushed, "settled_per_s": pushed / seconds}


def _wait(ledger: Wired, home: Home) -> None:
    """Until every event is sealed, anchored and projected."""
    store, until = ledger.store, time.monotonic() + PATIENCE
    while True:
        head, checkpoint = store.head(home.origin), store.checkpoint(home.origin)
        anchored = checkpoint.size if checkpoint else 0
        if (head.sealed, anchored, store.projected(home.origin)) == (head.size, head.batches, head.size):
            return
        if time.monotonic() > until:
            raise BenchFailed(f"{home.origin} has not caught up in {PATIENCE:.0f} s")
        time.sleep(0.05)
