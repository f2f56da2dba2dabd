"""Imports and watches that are killed, interrupted and left without a ledger: nothing missing, nothing twice."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from support.chains import free_port
from support.ledgers import Bed, serving

from ledger import canonical, catalogue
from ledger.cli.delivery import CHUNK_EVENTS
from ledger.entry import Event, invalid
from ledger.records import Scope
from ledger.types import Origin, Position

LINE = '198.51.100.7 - - [01/Jul/2026:20:{:02}:{:02} +0800] "GET /{} HTTP/1.1" 200 51 "-" "curl"\n'
PATIENCE = 120


def line(number: int) -> str:
    return LINE.format(number // 60 % 60, number % 60, number)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)


@dataclass
class Importer:
    """The command in a process of its own, against a log behind an API."""

    bed: Bed
    origin: Origin
    url: str
    key: str
    folder: Path

    @contextmanager
    def running(self, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
        command = [str(Path(sys.executable).parent / "transfer-ledger"), "import", "nginx", *map(str, words)]
        command += ["--url", self.url, "--log", self.origin, "--json", "--set-aside", str(self.aside)]
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "TRANSFER_LEDGER_API_KEY": self.key, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def wait_for(self, size: int, process: subprocess.Popen[str]) -> None:
        """Until the log has so many events, or the process has ended."""
        wait_until(lambda: self.size >= size or process.poll() is not None, f"{size} events are there")

    def finish(self, *words: str | Path) -> dict[str, int]:
        with self.running(*words) as process:
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, err
            counts: dict[str, int] = json.loads(out)
            return counts

    @property
    def aside(self) -> Path:
        return self.folder / "aside" / "set-aside.ndjson"

    @property
    def size(self) -> int:
        return self.bed.store.head(self.origin).size

    def taken(self) -> Counter[str]:
        """Ids of all events in the log."""
        stored = self.bed.store.scan(self.origin, Position(0), self.size)
        entries: list[Any] = [canonical.parse_object(event.entry) for event in stored]
        return Counter(entry["event"]["id"] for entry in entries)

    def set_aside(self) -> list[str]:
        if not self.aside.exists():
            return []
        return [json.loads(text)["raw"] for text in self.aside.read_text().splitlines()]

    def marks(self) -> list[Path]:
        return list(self.aside.parent.glob("*.mark*"))

    def assert_set_aside_once(self) -> None:
        assert max(Counter(self.set_aside()).values()) == 1

    def assert_all_there(self, lines: int, rubbish: int) -> None:
        taken = self.taken()
        assert len(taken) == taken.total() == lines
        assert sorted(self.set_aside()) == sorted(f"rubbish {n}" for n in range(rubbish))


@pytest.fixture
def importer(bed: Bed, origin: Origin, tmp_path: Path) -> Iterator[Importer]:
    (tmp_path / "aside").mkdir()
    with serving(bed) as url:
        yield Importer(bed, origin, url, bed.api_key(origin, Scope.PUSH), tmp_path)


def make_logs(folder: Path, files: int, lines: int) -> tuple[int, int]:
    """Files of lines and rubbish, every other one packed. Answers how many of each."""
    folder.mkdir()
    rubbish = 0
    for file in range(files):
        text = []
        for number in range(lines):
            text.append(line(file * lines + number))
            if number % 50 == 7:
                text.append(f"rubbish {rubbish}\n")
                rubbish += 1
        content = "".join(text).encode()
        path = folder / f"server-{file}.log{'.gz' if file % 2 else ''}"
        path.write_bytes(gzip.compress(content) if file % 2 else content)
    return files * lines, rubbish


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "Ctrl-C"])
def test_an_import_that_is_interrupted_goes_on(importer: Importer, number: signal.Signals) -> None:
    logs = importer.folder / "logs"
    lines, rubbish = make_logs(logs, files=4, lines=2500)
    chance, interruptions = random.Random(number), 0
    while True:
        with importer.running(logs) as process:
            importer.wait_for(importer.size + chance.randrange(1, 2 * CHUNK_EVENTS), process)
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(number)
            code = process.wait()
            err = process.stderr.read() if process.stderr else ""
        if not importer.marks():
            break  # it was done, whether or not it came to say so
        # An interrupt that comes while Python itself starts or ends has its own code.
        assert code == -number or (number is signal.SIGINT and code == 130), err
        interruptions += 1
    assert interruptions > 0
    importer.assert_all_there(lines, rubbish)


@pytest.mark.timeout(300)
def test_what_was_dealt_with_is_not_read_again(importer: Importer) -> None:
    logs = importer.folder / "logs"
    lines, rubbish = make_logs(logs, files=4, lines=700)
    with importer.running(logs) as process:
        wait_until(lambda: importer.size >= 2 * CHUNK_EVENTS, "two chunks are there")
        process.send_signal(signal.SIGSTOP)
        before, told = importer.size, len(importer.set_aside())
        process.kill()
    counts = importer.finish(logs)
    assert counts["duplicates"] <= CHUNK_EVENTS, "at most the chunk that was under way"
    assert counts["accepted"] == lines - before
    assert counts["set_aside"] >= rubbish - told
    importer.assert_all_there(lines, rubbish)
    again = importer.finish(logs, "--set-aside", importer.folder / "other.ndjson")
    assert again == {"read": lines + rubbish, "accepted": 0, "duplicates": lines, "set_aside": rubbish}


def test_a_record_in_conflict_keeps_no_other_out(importer: Importer) -> None:
    logs = importer.folder / "logs"
    lines, rubbish = make_logs(logs, files=2, lines=600)
    other = importer.folder / "other"
    other.mkdir()
    # Another server's file of the same name: its first line is the same, its second another at the same place.
    (other / "server-1.log").write_text(line(600) + line(601).replace("curl", "wget"))
    importer.finish(other)
    counts = importer.finish(logs)
    assert counts == {
        "read": lines + rubbish,
        "accepted": lines - 2,
        "duplicates": 1,
        "set_aside": rubbish + 1,
    }
    importer.assert_set_aside_once()
    assert sorted(importer.set_aside()) == sorted(
        [*(f"rubbish {n}" for n in range(rubbish)), line(601).rstrip()]
    )
    reasons = [json.loads(text) for text in importer.aside.read_text().splitlines()]
    [reason] = [told["reason"] for told in reasons if told["raw"] == line(601).rstrip()]
    assert reason == "another record of this id stands at position 1"
    taken = importer.taken()
    assert len(taken) == taken.total() == lines
    assert len(list(importer.bed.store.conflicts(importer.origin))) == 1, "the attempt was kept"


def test_what_only_the_ledger_refuses_keeps_no_other_out(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a ledger that is of another version than the command."""
    check = catalogue.check_event

    def stricter(event: Event, **options: Any) -> Any:
        if re.search(r":07(\.0+)?(Z|[+])", event.attributes["time"]):
            raise invalid([("data.bytes", "expected fewer")])
        return check(event, **options)

    monkeypatch.setattr(catalogue, "check_event", stricter)
    logs = importer.folder / "logs"
    lines, rubbish = make_logs(logs, files=2, lines=600)
    refused = [line(n).rstrip() for n in range(lines) if ":07 " in line(n)]
    counts = importer.finish(logs)
    assert counts == {
        "read": lines + rubbish,
        "accepted": lines - len(refused),
        "duplicates": 0,
        "set_aside": rubbish + len(refused),
    }
    assert sorted(importer.set_aside()) == sorted([*(f"rubbish {n}" for n in range(rubbish)), *refused])
    told = [json.loads(text) for text in importer.aside.read_text().splitlines()]
    reasons = {one["reason"] for one in told if one["raw"] in refused}
    assert reasons == {"the ledger refuses it: data.bytes: expected fewer"}


class Server:
    """What writes the logs: lines, rubbish, rotations of every kind."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        folder.mkdir()
        self.log, self.chance = folder / "access.log", chance
        self.lines = self.rubbish = self.rotations = 0
        self.file: IO[str] = self.log.open("a")

    def close(self) -> None:
        self.file.close()

    def work(self) -> None:
        self.write()
        if self.chance.random() < 0.3:
            self.rotate()

    def write(self) -> None:
        for _ in range(self.chance.randrange(1, 80)):
            text = line(self.lines)
            self.lines += 1
            at = self.chance.randrange(len(text))
            for part in (text[:at], text[at:]):
                self.file.write(part)
                self.file.flush()
        self.file.write(f"rubbish {self.rubbish}\n")
        self.rubbish += 1
        self.file.flush()

    def rotate(self) -> None:
        self.rotations += 1
        target = self.log.with_name(f"access.log.{self.rotations}")
        self.log.rename(target)
        if self.chance.random() < 0.5:
            self.file.write(line(self.lines))
            self.lines += 1
        self.file.close()
        self.file = self.log.open("a")
        if self.chance.random() < 0.5:
            target.with_name(target.name + ".gz").write_bytes(gzip.compress(target.read_bytes()))
            target.unlink()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("named", [False, True], ids=["folder", "file"])
def test_a_watch_that_is_killed_goes_on(importer: Importer, named: bool) -> None:
    chance = random.Random(7)
    with closing(Server(importer.folder / "logs", chance)) as server:
        path = server.log if named else server.log.parent
        for round in range(4):
            with importer.running(path, "--watch") as process:
                for _ in range(0 if round else 2):
                    # What a named file was before the watch began is not its concern.
                    server.write()
                    importer.wait_for(server.lines, process)
                for _ in range(4):
                    server.work()
                    time.sleep(chance.uniform(0.1, 0.9))
                process.kill()
            # What is written while nobody watches is there after the next start.
            server.work()
        with importer.running(path, "--watch") as process:
            importer.wait_for(server.lines, process)
            server.work()
            importer.wait_for(server.lines, process)
            wait_until(lambda: len(importer.set_aside()) >= server.rubbish, "all rubbish is there")
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, err
            counts = json.loads(out)
            assert counts["accepted"] + counts["duplicates"] + counts["set_aside"] == counts["read"]
    assert server.rotations > 2
    importer.assert_all_there(server.lines, server.rubbish)
    assert importer.finish(path)["read"] == 0, "a plain import takes what is new since the watch"


def test_a_watch_ends_after_pushing_what_it_has_read(importer: Importer) -> None:
    """Killed softly while it reads: what it says that it read is there, and no more."""
    logs = importer.folder / "logs"
    lines, rubbish = make_logs(logs, files=4, lines=500)
    with importer.running(logs, "--watch") as process:
        wait_until(lambda: importer.size > 0, "it is under way")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    counts = json.loads(out)
    assert counts["read"] == importer.size + len(importer.set_aside())
    with importer.running(logs, "--watch") as process:
        wait_until(lambda: importer.size >= lines, "all is there")
        wait_until(lambda: len(importer.set_aside()) >= rubbish, "all rubbish, too")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    importer.assert_all_there(lines, rubbish)


def test_a_watch_waits_for_a_ledger_that_does_not_answer(bed: Bed, origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "aside").mkdir()
    port, log = free_port(), tmp_path / "access.log"
    log.write_text(line(0))
    importer = Importer(bed, origin, f"http://127.0.0.1:{port}", bed.api_key(origin, Scope.PUSH), tmp_path)
    with importer.running(log, "--watch") as process:
        assert process.stderr is not None
        with serving(bed, port=port):
            wait_until(lambda: importer.size == 1, "the first is there")
        with log.open("a") as file:
            file.write(line(1))
        assert "waiting, and nothing is lost: no answer" in process.stderr.readline()
        with log.open("a") as file:
            file.write(line(2))
        with serving(bed, port=port):
            wait_until(lambda: importer.size == 3, "what was written meanwhile is there")
            assert "the ledger answers again" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, err
            assert err == ""
    importer.assert_all_there(3, 0)


def test_a_watch_that_is_ended_while_it_waits_says_that_the_ledger_is_away(importer: Importer) -> None:
    log = importer.folder / "access.log"
    log.write_text(line(0))
    url, importer.url = importer.url, f"http://127.0.0.1:{free_port()}"
    with importer.running(log, "--watch") as process:
        assert process.stderr is not None
        assert "waiting" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 3
    importer.url = url
    assert importer.finish(log)["accepted"] == 1


def test_the_same_import_twice_at_a_time_is_refused(importer: Importer) -> None:
    log = importer.folder / "access.log"
    log.write_text(line(0))
    with importer.running(log, "--watch") as process:
        wait_until(lambda: importer.size == 1, "it is under way")
        with importer.running(log) as second:
            _, err = second.communicate(timeout=PATIENCE)
            assert second.returncode == 3
            assert "the same import is running already" in err
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
