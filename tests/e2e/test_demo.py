"""The demo is run as its users run it, on a few hundred events: through, again, broken, and interrupted."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledger.note import VerifierKey

ROOT = Path(__file__).parents[2]
EVENTS = 500
PATIENCE = 500

pytestmark = pytest.mark.timeout(PATIENCE + 60)


def command(folder: Path, *options: str) -> list[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    sizes = ("--events", str(EVENTS), "--proofs", "20")
    return [sys.executable, "scripts/demo.py", "--folder", str(folder), "--port", port, *sizes, *options]


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)


def command_lines() -> list[str]:
    """Of every process, where the system has /proc."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return lines


def left_running(folder: Path) -> list[str]:
    """Command lines that have the folder in them; a chain that is about to end has a moment for it."""
    end = time.monotonic() + 30
    while (lines := [line for line in command_lines() if str(folder) in line]) and time.monotonic() < end:
        time.sleep(0.2)
    return lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder)


def test_all_of_it_holds(first: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert first.returncode == 0, first.stdout + first.stderr
    assert "✗" not in first.stdout
    assert "All of it held" in first.stdout
    assert f"{EVENTS} events in 2 batches, anchored by 2 transactions" in first.stdout
    assert "2 of the 2 faults that the generator hid were found, and 0 others" in first.stdout
    assert re.search(r"(\d+) of \1 proofs verified by key and chain", first.stdout)
    assert re.search(r"one character changed: (\d+) of \1 refuted", first.stdout)
    assert f"{EVENTS} events in it, {EVENTS} in the log" in first.stdout
    assert left_running(folder) == []


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ("an event pushed again with other content", "known source and id but other content"),
        ("a tampered event (somebody else read the replay)", "[disclosures]"),
        ("a tampered event (it belonged to another transfer)", "[batch]"),
        ("a tampered proof (another path to the root)", "[batch]"),
        ("a tampered proof (the batch closed a month earlier)", "[log]"),
        ("a left-out event (taken out of the file)", "[files]"),
        ("a left-out event (table of contents rewritten, too)", "[signature]"),
        ("a left-out event (all batches and signatures made anew by the operator)", "[chain]"),
        ("a row changed in the database", "entries: ledger.example/acme-live position"),
    ],
)
def test_every_attack_is_caught(first: subprocess.CompletedProcess[str], attack: str, words: str) -> None:
    _, _, after = first.stdout.partition(f"caught: {attack}\n")
    assert words in after.split("\n")[0], "the tool's own words stand below"


def test_again_it_goes_on_with_what_is_there(first: subprocess.CompletedProcess[str], folder: Path) -> None:
    second = run(folder)
    assert second.returncode == 0, second.stdout + second.stderr
    assert second.stdout.count("the first receipt again") == 2
    assert "the API keys of the first run are used again" in second.stdout
    assert f"{EVENTS + 250} events in 3 batches, anchored by 3 transactions" in second.stdout
    assert "All of it held" in second.stdout


def test_with_another_key_it_fails(first: subprocess.CompletedProcess[str], folder: Path) -> None:
    file = folder / "auditor" / "acme-live.vkey"
    kept = file.read_text()
    file.write_text(str(VerifierKey("ledger.example/acme-live", os.urandom(32))))
    try:
        broken = run(folder)
    finally:
        file.write_text(kept)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "FAILED: the auditor's acme-live.vkey is still the ledger's" in broken.stderr
    assert "All of it held" not in broken.stdout
    assert left_running(folder) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen(command(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "ready at" in line:
                break
        demo.send_signal(how)
        demo.stdout.read()
    assert demo.returncode == 130
    assert left_running(tmp_path) == []
