"""A long run of `transfer-ledger serve` under steady load, to see whether it loses something, or grows.

Run by `scripts/soak`, which describes the options.

What flat means. When the load begins, the process still fills what is meant to be filled: pools of connections and of
threads, prepared statements, the allocator's arenas. So the first fifth of the run is for warming up, and the rest is
four quarters. The median of the last quarter may exceed that of the first by `SHARE` of it and `SLACK` at most. A leak
of a few hundred bytes an event exceeds that in the default run, a smaller one in a longer run: it grows, and the bound
does not.

SQLite, which runs inside the process, keeps up to `CACHE` of pages for each connection (`ledger.adapters.sql.engine`),
and fills that as the file grows, for longer than most runs last. So there the last quarter may exceed the first by that
as well, for as many connections as are open. The run on PostgreSQL, whose pages are not ours, is the sharper one.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from benchmark.meters import memory
from benchmark.place import PROGRAM
from benchmark.processes import BenchFailed, serving
from benchmark.show import quiet
from ending import forget_settings
from ending import run as run_to_its_end
from support.ledgers import access, assert_settled
from support.postgres import running_postgres
from support.processes import ORIGIN, Made, make_ledger

from ledger import canonical
from ledger.adapters.sql.engine import CACHE
from ledger.bootstrap import open_ledger
from ledger.doctor import Doctor
from ledger.errors import LedgerError
from ledger.settings import PREFIX, Settings
from ledger.types import Position

LOG = f"logs/{ORIGIN}"
PUSH = 25
"""Events of a push."""
PUSHERS = 2
SETTINGS = {"SEAL_SECONDS": "1", "POLL_SECONDS": "0.25", "LOG_LEVEL": "warning"}
"""Small batches, often: what is done for each batch is done many times."""
WARMING = 0.2
"""Share of the run."""
SHARE, SLACK = 0.05, 8 * 2**20
SETTLE_SECONDS = 120.0
POOL = 10
MIB = 2**20


@dataclass
class Tally:
    """What the threads of the load have seen. `wrong` is what should not have been."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[int, int] = field(default_factory=dict)
    """Where each acknowledged event stands, by its number."""
    wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def acknowledged(self, numbers: Sequence[int], answer: dict[str, Any]) -> None:
        with self._lock:
            for number, pushed in zip(numbers, answer["events"], strict=True):
                stands = self.places.setdefault(number, pushed["position"])
                if stands != pushed["position"]:
                    self.wrong.append(f"event {number} was at {stands}, and is at {pushed['position']} now")
                self.counts[pushed["status"]] += 1


@dataclass(frozen=True)
class Sample:
    """Bytes of a process: resident, and how many of them may be pages of SQLite."""

    resident: int
    pages: int


class Load(threading.Thread):
    """One thread of the load: a `turn` every so often until it is told to stop."""

    def __init__(self, url: str, made: Made, tally: Tally, interval: float, seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.tally = tally
        self._interval = interval
        self._told_to_stop = threading.Event()
        headers = {"Authorization": f"Bearer {made.api_key}"}
        self.http = httpx.Client(base_url=f"{url}/v1/", headers=headers, timeout=60)

    def turn(self) -> None:
        raise NotImplementedError

    def run(self) -> None:
        with self.http:
            following = time.monotonic()
            while not self._told_to_stop.wait(max(0.0, following - time.monotonic())):
                following = max(following + self._interval, time.monotonic())
                try:
                    self.turn()
                except httpx.TransportError as error:
                    self.tally.wrong.append(f"no answer: {error!r}")
                    return

    def stop(self) -> None:
        self._told_to_stop.set()


class Pusher(Load):
    """Pushes events of numbers that no other has: most of them new, some again, some among old ones."""

    def __init__(self, *arguments: Any, first: int) -> None:
        super().__init__(*arguments)
        self._first = self._next = first

    def turn(self) -> None:
        numbers = self._numbers()
        body = b"\n".join(canonical.encode(access(number)) for number in numbers)
        answer = self.http.post(
            f"{LOG}/events", content=body, headers={"Content-Type": "application/x-ndjson"}
        )
        if answer.status_code not in (200, 201):
            self.tally.wrong.append(f"a push was answered {answer.status_code}: {answer.text[:200]}")
            return
        self.tally.acknowledged(numbers, answer.json())

    def _numbers(self) -> list[int]:
        kind = self.chance.choices(("new", "again", "mixed"), (6, 2, 2))[0]
        old = range(self._first, self._next)
        if len(old) < PUSH or kind == "new":
            return self._new(PUSH)
        if kind == "again":
            start = self.chance.randrange(self._first, self._next - PUSH + 1)
            return list(range(start, start + PUSH))
        mixed = [*self.chance.sample(old, PUSH // 2), *self._new(PUSH - PUSH // 2)]
        self.chance.shuffle(mixed)
        return mixed

    def _new(self, count: int) -> list[int]:
        self._next += count
        return list(range(self._next - count, self._next))


class Auditor(Load):
    """Reads what auditors read: checkpoints, proofs, events, the access log."""

    def turn(self) -> None:
        size = len(self.tally.places)
        if not size:
            return
        position = self.chance.randrange(size)
        path = self.chance.choice(
            (
                f"{LOG}/events/{position}/proof",
                f"{LOG}/events/{position}/proof",
                f"{LOG}/events/{position}/receipt",
                f"{LOG}/checkpoint",
                "access?outcome=refused&limit=50",
                f"access?resource=replays/{position}.mp4",
                f"{LOG}/anchors",
            )
        )
        status = self.http.get(path).status_code
        # A proof waits for its anchor, and so does the first checkpoint.
        waits = status in (404, 409) and path.endswith(("proof", "checkpoint"))
        if status != 200 and not waits:
            self.tally.wrong.append(f"{path} was answered {status}")
        self.tally.count("questions")


def main() -> int:
    options = arguments()
    quiet()
    forget_settings()
    try:
        with folder(options.folder) as home:
            return soak(options, home)
    except (AssertionError, BenchFailed, LedgerError, OSError) as error:
        say(f"soak: {error}")
        return 1


def soak(options: argparse.Namespace, home: Path) -> int:
    with ExitStack() as stack:
        database = None
        if options.database == "postgresql":
            say("starting PostgreSQL")
            database = stack.enter_context(running_postgres())
        say("making a ledger")
        made = make_ledger(Settings.load(data=home / "data", database=database))
        tally = Tally()
        samples = under_load(made, tally, options)
        verdicts = [flat(samples, sqlite=database is None), *examined(made, tally)]
    print(
        f"{options.database}: {options.seconds:.0f} s, {len(tally.places):,} events accepted,"
        f" {tally.counts['duplicate']:,} pushed again, {tally.counts['questions']:,} questions"
    )
    for sound, text in verdicts:
        print(f"{'ok' if sound else 'FAILED':8}{text}")
    return 0 if all(sound for sound, _ in verdicts) else 1


def under_load(made: Made, tally: Tally, options: argparse.Namespace) -> list[Sample]:
    """The process, once a second while the load lasts."""
    log = made.settings.data.with_name("serve.log")
    command = [PROGRAM, "--data", str(made.settings.data), "serve", "--port"]
    environment = {f"{PREFIX}{name}": value for name, value in SETTINGS.items()}
    with serving(lambda port: [*command, port], "/readyz", log, environment) as server:
        interval = PUSHERS * PUSH / options.rate
        loads: list[Load] = [
            Pusher(server.url, made, tally, interval, number, first=number * 10**9)
            for number in range(PUSHERS)
        ]
        loads.append(Auditor(server.url, made, tally, 0.3, PUSHERS))
        for load in loads:
            load.start()
        say("under load")
        try:
            return watched(server.pid, tally, options.seconds)
        finally:
            for load in loads:
                load.stop()
            for load in loads:
                load.join()


def watched(pid: int, tally: Tally, seconds: float) -> list[Sample]:
    samples: list[Sample] = []
    began = told = time.monotonic()
    while (now := time.monotonic()) - began < seconds and not tally.wrong:
        samples.append(Sample(resident(pid), pages(pid)))
        if now - told >= 10:
            told = now
            size = samples[-1].resident / MIB
            say(f"{now - began:4.0f} of {seconds:.0f} s: {len(tally.places):,} events, {size:.1f} MiB")
        time.sleep(1)
    return samples


def resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    if Path("/proc/self/status").exists():
        return memory("VmRSS", pid)
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(told.stdout) * 1024


def pages(pid: int) -> int:
    """Bytes of pages that a process may keep of SQLite: so much for each time that it has a database open."""
    open_files = Path(f"/proc/{pid}/fd")
    if not open_files.exists():  # another system: as many connections as the pool keeps
        return POOL * CACHE
    names = [os.path.basename(os.readlink(file)) for file in open_files.iterdir() if file.is_symlink()]  # noqa: PTH115, PTH119
    return names.count("ledger.db") * CACHE


def flat(samples: Sequence[Sample], sqlite: bool) -> tuple[bool, str]:
    """The last quarter of the steady time against its first."""
    steady = [sample.resident for sample in samples[int(len(samples) * WARMING) :]]
    quarter = len(steady) // 4
    if not quarter:
        return False, "memory: the run was too short to say anything"
    first, last = (statistics.median(part) for part in (steady[:quarter], steady[-quarter:]))
    kept = max(sample.pages for sample in samples) if sqlite else 0
    most = first * (1 + SHARE) + SLACK + kept
    text = (
        f"memory: {first / MIB:.1f} MiB in the first steady quarter, {last / MIB:.1f} MiB in the last,"
        f" at most {max(steady) / MIB:.1f} MiB; allowed are {most / MIB:.1f} MiB"
    )
    return last <= most, f"{text}, {kept / MIB:.0f} of them pages of SQLite" if sqlite else text


def examined(made: Made, tally: Tally) -> Iterator[tuple[bool, str]]:
    """What the store and the chain hold, once all of it is anchored."""
    yield not tally.wrong, tally.wrong[0] if tally.wrong else "every request was answered as it should be"
    say("examining")
    with open_ledger(made.settings) as ledger:
        worker = ledger.worker()
        settled = worker.settle(SETTLE_SECONDS)
        yield settled, f"settled; {worker.failures or 'nothing failed'}"
        if settled:
            assert_settled(ledger.store, ledger.chain, ORIGIN)
        size = ledger.store.head(ORIGIN).size
        ids = (
            canonical.parse_object(event.entry)["event"]["id"]  # type: ignore[index,call-overload]
            for event in ledger.store.scan(ORIGIN, Position(0), size)
        )
        stand = {str(id): position for position, id in enumerate(ids)}
        pushed = {access(number)["id"]: position for number, position in tally.places.items()}
        missing = sum(stand.get(id) != position for id, position in pushed.items())
        yield (
            not missing,
            f"{missing} of {len(pushed):,} acknowledged events are not where they were said to be",
        )
        yield len(stand) == size, f"{size - len(stand)} of {size:,} events stand twice"
        differences = list(Doctor(ledger.store, ledger.chain).examine())
        yield not differences, f"doctor: {differences[0] if differences else 'sound'}"


@contextmanager
def folder(within: Path | None) -> Iterator[Path]:
    """A folder of this run's own, which is gone at the end."""
    if within is not None:
        within.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(within.absolute())
    made = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description="`scripts/soak --help` says more.")
    parser.add_argument("--seconds", type=positive, default=300.0)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rate", type=positive, default=400.0)
    parser.add_argument("--folder", type=Path)
    return parser.parse_args()


def positive(text: str) -> float:
    if not 0 < (number := float(text)) < float("inf"):
        raise ValueError(text)
    return number


if __name__ == "__main__":
    run_to_its_end(main)
