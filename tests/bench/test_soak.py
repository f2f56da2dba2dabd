"""The soak and the crashes are run as their users run them, briefly; and interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from soak import MIB, SHARE, SLACK, Sample, flat

ROOT = Path(__file__).parents[2]
PATIENCE = 300

pytestmark = pytest.mark.timeout(PATIENCE + 60)


def command(script: str, *options: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *map(str, options)]


def left_running(folder: Path) -> list[str]:
    """Command lines that have the folder in them; a chain that is about to end has a moment for it."""
    end = time.monotonic() + 30
    while True:
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def samples(sizes: Sequence[float], pages: int = 0) -> list[Sample]:
    return [Sample(round(size * MIB), pages) for size in sizes]


def test_memory_that_grows_without_end_is_not_flat() -> None:
    sound, text = flat(samples([150 + n for n in range(100)]), sqlite=False)
    assert not sound
    assert "179.5 MiB in the first steady quarter, 239.5 MiB in the last" in text


def test_memory_that_grows_only_while_it_warms_up_is_flat() -> None:
    assert flat(samples([*range(100, 120), *[120] * 80]), sqlite=False)[0]


def test_memory_may_grow_by_the_bound_and_no_more() -> None:
    for more, sound in ((0, True), (1, False)):
        last = 100 * (1 + SHARE) + SLACK / MIB + more
        assert flat(samples([100] * 60 + [last] * 20), sqlite=False)[0] is sound


def test_pages_of_sqlite_count_on_sqlite_only() -> None:
    grown = samples([100] * 60 + [140] * 20, pages=32 * MIB)
    assert flat(grown, sqlite=True)[0]
    assert not flat(grown, sqlite=False)[0]


def test_a_run_that_is_too_short_says_so() -> None:
    sound, text = flat(samples([100, 100]), sqlite=False)
    assert not sound
    assert "too short" in text


def test_a_short_soak_ends_well(tmp_path: Path) -> None:
    argv = command("soak", "--seconds", "8", "--rate", "100", "--folder", tmp_path)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "doctor: sound" in done.stdout, done.stdout + done.stderr
    assert "every request was answered as it should be" in done.stdout
    # Whether so short a run was flat is another matter: it is still warming up.
    assert "memory: " in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("script", "line"), [("soak", "under load"), ("crash", "sqlite 2:")])
def test_interrupted_it_leaves_nothing_behind(script: str, line: str, tmp_path: Path) -> None:
    options = ("--database", "sqlite", "--folder", tmp_path)
    with subprocess.Popen(command(script, *options), stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = []
        for told in running.stderr:
            said.append(told)
            if told.startswith(line):
                running.send_signal(signal.SIGINT)
    assert running.returncode == 130, "".join(said)
    assert left_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "example"),
    [("soak", "scripts/soak --seconds 120"), ("crash", "scripts/crash --rounds 40 --database sqlite")],
)
def test_the_help_has_an_example(script: str, example: str) -> None:
    done = subprocess.run([ROOT / "scripts" / script, "--help"], capture_output=True, text=True, check=True)
    assert example in done.stdout
