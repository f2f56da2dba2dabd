"""The benchmark is run as its users run it, on so few events that it says nothing of speed; and interrupted."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from benchmark.keys import RATES, RATIOS
from benchmark.run import PARTS

ROOT = Path(__file__).parents[2]
PATIENCE = 600

pytestmark = pytest.mark.timeout(PATIENCE + 60)


def command(*options: str | Path) -> list[str]:
    return [sys.executable, "-m", "benchmark", "--smoke", *map(str, options)]


def left_running(folder: Path) -> list[str]:
    """Command lines that have the folder in them; a chain that is about to end has a moment for it."""
    end = time.monotonic() + 30
    while True:
        lines = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
        found = [line for line in lines if str(folder) in line]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where PostgreSQL can be run by whoever runs it."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == tmp_path.owner() and parent != Path(parent.anchor):
            parent.chmod(parent.stat().st_mode | 0o011)
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("figures") / "figures.json"
    done = subprocess.run(command("--json", file), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def test_everything_is_measured(figures: dict[str, Any]) -> None:
    assert figures["failures"] == {}
    assert figures["parts"].keys() == PARTS.keys()
    assert figures["ratios"].keys() == {key.name for key in RATIOS}
    assert figures["rates"].keys() == {key.name for key in RATES}
    assert all(value > 0 for value in (*figures["ratios"].values(), *figures["rates"].values()))


def test_every_figure_that_is_a_number_is_one_that_can_be_measured(figures: dict[str, Any]) -> None:
    def negative(value: Any, path: str) -> list[str]:
        if isinstance(value, dict):
            return [place for name, it in value.items() for place in negative(it, f"{path}/{name}")]
        return [path] if isinstance(value, float | int) and value < 0 else []

    assert negative(figures["parts"], "") == []


def test_queries_find_what_they_are_to_find(figures: dict[str, Any]) -> None:
    for kind in ("sqlite", "postgresql"):
        for way in ("ordered", "shuffled", "http"):
            queries = figures["parts"]["queries"][kind][way]
            assert queries["no filter"]["rows"] == 100
            assert queries["phase and outcome"]["rows"] == 100
            assert queries["two that never meet"]["rows"] == queries["nobody"]["rows"] == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(folder: Path, how: signal.Signals) -> None:
    argv = command("--only", "ingest", "--folder", folder)
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as bench:
        assert bench.stderr is not None
        said = []
        for line in bench.stderr:
            said.append(line)
            if "connections: 1" in line:  # servers, database and chain run
                bench.send_signal(how)
    assert bench.returncode == 130, "".join(said)
    assert left_running(folder) == []
    assert list(folder.iterdir()) == []


def test_the_help_has_an_example() -> None:
    done = subprocess.run([ROOT / "scripts" / "bench", "--help"], capture_output=True, text=True, check=True)
    assert "scripts/bench --quick --only ingest" in done.stdout
    assert all(f"  {part} " in done.stdout for part in PARTS)


def test_an_unknown_part_is_refused() -> None:
    argv = command("--only", "everything")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "invalid choice: 'everything'" in done.stderr
