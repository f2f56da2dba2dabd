"""`kill -9` at any time: what was acknowledged is there, once, and is anchored once; a restart needs no help.

`scripts/crash` does the same for hundreds of times, each point on both databases.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.crashing import DATABASES, crashing
from support.halting import POINTS, Point
from support.ledgers import access, assert_settled
from support.processes import ACME, ORIGIN, make_ledger

from ledger.bootstrap import open_ledger
from ledger.doctor import Doctor
from ledger.settings import Settings

ROOT = Path(__file__).parents[2]
ROUNDS = 2
SEED = 20261123
HALVES = [(DATABASES[0], POINTS[::2]), (DATABASES[1], POINTS[1::2])]
"""Half of the points on each database: every point is reached, in half the time."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("database", "points"), HALVES, ids=DATABASES)
def test_a_kill_at_a_point_loses_nothing_and_doubles_nothing(
    database: str, points: tuple[Point, ...], tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    with crashing(database, tmp_path, chance) as crashes:
        for point in chance.sample(points, len(points)):
            crashes.kill_at(point)
        assert crashes.kills == len(points)
        assert crashes.examine(), "something was acknowledged"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("database", DATABASES)
def test_a_kill_at_any_time_loses_nothing_and_doubles_nothing(database: str, tmp_path: Path) -> None:
    with crashing(database, tmp_path, random.Random(SEED), managed=True) as crashes:
        for _ in range(ROUNDS):
            crashes.kill_at_any_time()
        crashes.examine()


def test_the_points_have_names_of_their_own_and_can_be_listed() -> None:
    command = [sys.executable, "scripts/crash.py", "--list"]
    path = os.pathsep.join(str(ROOT / name) for name in ("scripts", "tests"))
    told = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    names = told.stdout.splitlines()
    assert set(names) > {point.name for point in POINTS}
    assert len(set(names)) == len(names) == len(POINTS) + 1


@pytest.mark.timeout(300)
def test_a_killed_chain_is_caught_up(tmp_path: Path) -> None:
    """The managed Anvil is killed and may lose its last blocks: the batches in them are anchored again."""
    settings = make_ledger(Settings.load(data=tmp_path / "data")).settings
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
        assert_settled(ledger.store, ledger.chain, ORIGIN)
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
