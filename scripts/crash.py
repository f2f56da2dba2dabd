"""Kill the ledger hundreds of times, and see what is left. Run by `scripts/crash`, which describes the options."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.show import quiet
from ending import forget_settings
from ending import run as run_to_its_end
from support.crashing import DATABASES, crashing
from support.halting import POINTS, Point

from ledger.errors import LedgerError

ANY_TIME = "at any time, on a managed Anvil"
ANY_TIMES = 11
"""Kills at any time, after those at each point."""


@dataclass
class Done:
    """What was done on one database."""

    kills: Counter[str] = field(default_factory=Counter)
    events: int = 0
    ledgers: int = 0

    @property
    def rounds(self) -> int:
        return self.kills.total()


def main() -> int:
    options = arguments()
    if options.list:
        print("\n".join([*(point.name for point in POINTS), ANY_TIME]))
        return 0
    forget_settings()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(options.folder.absolute())
    quiet()
    say(f"seed {options.seed}")
    chance, home = random.Random(options.seed), Path(tempfile.mkdtemp(prefix="crash-"))
    try:
        for database in [options.database] if options.database else DATABASES:
            on(database, options.rounds, home, chance)
    except (AssertionError, LedgerError, OSError) as error:
        print(f"FAILED  {type(error).__name__}: {error}\nthe data is in {home}; seed {options.seed}")
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(home, ignore_errors=True)
        raise
    shutil.rmtree(home)
    return 0


def on(database: str, rounds: int, home: Path, chance: random.Random) -> None:
    """Ledger after ledger until it was killed often enough: at the points in another order each, then at any time."""
    done, began = Done(), time.monotonic()
    while done.rounds < rounds:
        points: list[Point | None] = [*chance.sample(POINTS, len(POINTS))]
        kill(database, points[: rounds - done.rounds], home, chance, done)
        kill(database, [None] * min(ANY_TIMES, rounds - done.rounds), home, chance, done)
    print(
        f"ok      {database}: killed {done.rounds} times in {time.monotonic() - began:.0f} s, at"
        f" {len(done.kills)} points; {done.ledgers} ledgers, {done.events:,} events acknowledged, all there"
    )
    for name, count in sorted(done.kills.items()):
        print(f"        {count:4} {name}")


def kill(database: str, points: list[Point | None], home: Path, chance: random.Random, done: Done) -> None:
    """One ledger's life. None for a point is any time."""
    if not points:
        return
    folder = home / f"{database}-{done.ledgers}"
    folder.mkdir()
    with crashing(database, folder, chance, managed=points[0] is None) as crashes:
        for point in points:
            name = point.name if point else ANY_TIME
            say(f"{database} {done.rounds + 1}: {name}")
            if point:
                crashes.kill_at(point)
            else:
                crashes.kill_at_any_time()
            done.kills[name] += 1
        events = crashes.examine()
    done.events += events
    done.ledgers += 1
    say(f"{database}: {events:,} acknowledged events after {crashes.kills} kills, all there, once")
    shutil.rmtree(folder)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/crash", description="`scripts/crash --help` says more.")
    parser.add_argument("--rounds", type=positive, default=200)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    run_to_its_end(main)
