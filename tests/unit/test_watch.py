"""A watch finds each record once, whatever becomes of the files: they grow, rotate, are packed, cut off, replaced."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from ledger.collect import CloudTrail, Collected, Collector, Nginx, PostgresqlLogs, SetAside, Watch
from ledger.collect.marks import Mark
from ledger.collect.watch import QUIET, SETTLED, Found
from ledger.errors import NotFound

LINE = '198.51.100.7 - - [01/Jul/2026:20:{:02}:{:02} +0800] "GET /{} HTTP/1.1" 200 51 "-" "curl"\n'


def line(number: int) -> str:
    return LINE.format(number // 60, number % 60, number)


class Desk:
    """A watch, and what it found: paths of the lines that became events, and the raw bytes of what was set aside."""

    def __init__(self, *paths: Path, collector: Collector | None = None) -> None:
        self.paths, self.collector = paths, collector or Nginx()
        self.events: list[str] = []
        self.ids: list[str] = []
        self.aside: list[SetAside] = []
        self.saved: dict[int, Mark] = {}
        self.restart()

    def restart(self) -> None:
        """A new process, which knows what was saved."""
        self.watch = Watch(self.collector, self.paths, None, [self.saved[id] for id in sorted(self.saved)])

    def look(self, times: int = 1, *, is_last: bool = False) -> None:
        for _ in range(times):
            for found in self.watch.look(is_last=is_last):
                self.deal_with(found)

    def deal_with(self, found: Found) -> None:
        match found.outcome:
            case Collected(_, events):
                self.events += [str(event["data"].get("resource", "?")) for event in events]  # type: ignore[union-attr]
                self.ids += [str(event["id"]) for event in events]
            case SetAside():
                self.aside.append(found.outcome)
        self.saved[found.mark.id] = found.mark

    def settle(self) -> None:
        self.look(SETTLED + QUIET + 1)


def paths(numbers: range) -> list[str]:
    return [f"/{number}" for number in numbers]


def append(path: Path, *texts: str) -> None:
    with path.open("a") as file:
        file.write("".join(texts))


def lines(numbers: range) -> str:
    return "".join(map(line, numbers))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_text(lines(range(5)))
    return path


@pytest.fixture(params=["folder", "file"])
def desk(request: pytest.FixtureRequest, log: Path) -> Desk:
    return Desk(log.parent if request.param == "folder" else log)


# --- growing ------------------------------------------------------------------------------------------------------


def test_what_is_there_is_found_and_then_what_is_new(desk: Desk, log: Path) -> None:
    desk.look()
    assert desk.events == paths(range(5))
    desk.look(3)
    append(log, lines(range(5, 8)))
    desk.look()
    desk.look()
    assert desk.events == paths(range(8))
    assert desk.ids[7] == "access.log:2026-07-01T12:00:00.000Z:8"


def test_a_new_file_in_a_folder_is_found(desk: Desk, log: Path) -> None:
    desk.look()
    (log.parent / "b").mkdir()
    (log.parent / "b" / "other.log").write_text(lines(range(90, 93)))
    desk.look()
    found = paths(range(90, 93)) if desk.paths == (log.parent,) else []
    assert desk.events == paths(range(5)) + found


def test_a_watch_that_starts_again_goes_on(desk: Desk, log: Path) -> None:
    for number in range(5, 25):
        append(log, line(number), "rubbish\n")
        desk.look()
        desk.restart()
    desk.settle()
    assert desk.events == paths(range(25))
    assert len(desk.aside) == 20
    assert desk.aside[-1].where == f"{log}:45"


def test_half_a_line_waits_for_its_end(desk: Desk, log: Path) -> None:
    append(log, line(5)[:40])
    desk.look(SETTLED)
    append(log, line(5)[40:], line(6)[:-1])
    desk.look(SETTLED)
    append(log, "\n")
    desk.look()
    assert desk.events == paths(range(7))
    assert desk.aside == []


def test_half_a_line_that_stays_is_set_aside_once_and_is_an_event_when_it_ends(desk: Desk, log: Path) -> None:
    append(log, line(5)[:40])
    desk.settle()
    assert [aside.where for aside in desk.aside] == [f"{log}:6"]
    desk.restart()
    os.utime(log, (0, 0))
    log.rename(log.with_name("access.log.1"))
    desk.settle()
    assert len(desk.aside) == 1
    append(log.with_name("access.log.1"), line(5)[40:])
    desk.look()
    assert desk.events == paths(range(6))
    assert len(desk.aside) == 1


def test_a_first_line_that_is_half_written_is_no_file_s_name(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    append(tmp_path / "access.log", line(0)[:30])
    desk.settle()
    assert len(desk.aside) == 1
    append(tmp_path / "access.log", line(0)[30:], line(1))
    desk.look(2)
    assert desk.events == paths(range(2))
    assert len(desk.saved) == 1


def test_a_record_of_several_lines_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    path, desk = tmp_path / "p.log", Desk(tmp_path, collector=PostgresqlLogs())
    begin = "2026-07-01 12:00:03.123 UTC [42] "
    append(path, f"{begin}LOG:  statement: select 1\n{begin}ERROR:  permission denied for x\n")
    desk.look()
    append(path, f"{begin}STATEMENT:  delete from x\n")
    desk.look()
    append(path, f"{begin}LOG:  statement: select 2\n")
    desk.look()
    assert len(desk.events) == 2, "the third may go on"
    desk.look(QUIET)
    assert len(desk.events) == 3
    assert desk.aside == []


def test_an_array_in_the_making_is_read_as_it_comes(tmp_path: Path) -> None:
    record = {"eventTime": "2026-07-01T12:00:00Z", "eventSource": "s3.amazonaws.com", "eventName": "Get"}
    records = [json.dumps({**record, "eventID": f"event-{n}"}) for n in range(9)]
    whole = '{"Records":[' + ",".join(records) + "]}"
    desk = Desk(tmp_path, collector=CloudTrail())
    for end in range(0, len(whole), 97):
        (tmp_path / "a.json").write_text(whole[:end])
        desk.look(1 + end % 3)
        if end % 5 == 0:
            desk.restart()
    (tmp_path / "a.json").write_text(whole)
    desk.settle()
    assert desk.ids == [f"event-{n}" for n in range(9)]
    assert desk.aside == []


# --- rotation -----------------------------------------------------------------------------------------------------


def compress(path: Path) -> None:
    """As gzip does: the new file is whole before the old one is removed."""
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    shutil.copystat(path, target)
    path.unlink()


def test_a_log_that_is_renamed_is_read_to_its_end_and_the_new_one_from_its_start(
    desk: Desk, log: Path
) -> None:
    desk.look()
    append(log, line(5), "rubbish\n")
    log.rename(log.with_name("access.log.1"))
    log.write_text(lines(range(6, 8)))
    desk.look()
    # The server goes on writing to the old file until it is told.
    append(log.with_name("access.log.1"), line(8))
    append(log, line(9))
    desk.look()
    assert sorted(desk.events) == paths(range(10))
    assert len(desk.aside) == 1
    desk.settle()
    desk.restart()
    desk.settle()
    assert len(desk.events) == 10
    assert len(desk.aside) == 1


def test_a_log_that_is_renamed_and_compressed_is_read_to_its_end(desk: Desk, log: Path) -> None:
    append(log, "rubbish\n")
    desk.look()
    append(log, line(5), "more rubbish\n")
    log.rename(log.with_name("access.log.1"))
    compress(log.with_name("access.log.1"))
    log.write_text(line(6))
    desk.settle()
    assert sorted(desk.events) == paths(range(7))
    assert [aside.raw for aside in desk.aside] == [b"rubbish", b"more rubbish"]


def test_compressing_while_it_looks_takes_nothing_twice(desk: Desk, log: Path) -> None:
    append(log, "rubbish\n")
    desk.look()
    packed = gzip.compress(log.read_bytes())
    target = log.with_name("access.log.1.gz")
    for end in range(0, len(packed), 20):
        target.write_bytes(packed[:end])
        desk.look(2)
    target.write_bytes(packed)
    desk.look(SETTLED // 2)
    log.unlink()
    desk.settle()
    assert desk.events == paths(range(5))
    assert len(desk.aside) == 1


def test_a_log_that_is_copied_and_cut_off_is_read_to_its_end(desk: Desk, log: Path) -> None:
    append(log, "rubbish\n")
    desk.look()
    append(log, line(5))
    shutil.copy2(log, log.with_name("access.log.1"))
    desk.look(2)
    log.write_text("")
    desk.look()
    append(log, line(6))
    desk.settle()
    assert sorted(desk.events) == paths(range(7))
    assert len(desk.aside) == 1


def test_what_was_read_between_copy_and_cut_comes_with_the_copy_again_under_the_same_ids(
    desk: Desk, log: Path
) -> None:
    shutil.copy2(log, log.with_name("access.log.1"))
    append(log, line(5))
    desk.look()
    log.write_text("")
    desk.settle()
    assert {*desk.events} == {*paths(range(6))}
    assert len({*desk.ids}) == 6


def test_lines_between_the_last_look_and_the_copy_are_in_the_copy(desk: Desk, log: Path) -> None:
    desk.look()
    append(log, line(5))
    shutil.copy2(log, log.with_name("access.log.1"))
    log.write_text(line(6))
    desk.settle()
    assert sorted(desk.events) == paths(range(7))
    assert len(desk.events) == 7


def test_what_was_rotated_while_nobody_watched_is_found(desk: Desk, log: Path) -> None:
    """Three days: the log at which it ended is the oldest, two more came and went."""
    desk.look()
    append(log, line(5))
    os.utime(log, (2e9, 2e9))
    days = [log]
    for day in range(1, 4):
        for number in range(len(days) - 1, -1, -1):
            target = log.with_name(f"access.log.{number + 1}")
            days[number].rename(target)
            days[number] = target
        log.write_text(lines(range(day * 10, day * 10 + 3)))
        os.utime(log, (2e9 + day, 2e9 + day))
        days.insert(0, log)
    compress(days[3])
    compress(days[2])
    desk.restart()
    desk.settle()
    expected = [0, 1, 2, 3, 4, 5, 10, 11, 12, 20, 21, 22, 30, 31, 32]
    assert sorted(desk.events) == sorted(f"/{n}" for n in expected)


def test_a_file_by_its_name_does_not_bring_along_what_was_rotated_before(log: Path) -> None:
    log.with_name("access.log.1").write_text(lines(range(90, 93)))
    os.utime(log.with_name("access.log.1"), (1, 1))
    desk = Desk(log)
    desk.settle()
    assert desk.events == paths(range(5))


# --- other changes ------------------------------------------------------------------------------------------------


def test_a_log_that_is_cut_off_is_read_from_its_start(desk: Desk, log: Path) -> None:
    desk.look()
    log.write_text("")
    desk.look()
    append(log, lines(range(7, 9)))
    desk.look()
    log.write_text(lines(range(9, 19)))
    desk.settle()
    assert desk.events == paths(range(5)) + paths(range(7, 19))


def test_a_log_that_is_replaced_is_read_from_its_start(desk: Desk, log: Path) -> None:
    desk.look()
    log.unlink()
    desk.look()
    log.write_text(lines(range(30, 40)))
    desk.settle()
    assert desk.events == paths(range(5)) + paths(range(30, 40))


def test_two_files_that_begin_alike_are_two(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "access.log").write_text(lines(range(3)))
    desk = Desk(tmp_path)
    desk.look()
    assert len(desk.events) == 3, "it may be a copy in the making"
    append(tmp_path / "b" / "access.log", line(3))
    append(tmp_path / "a" / "access.log", line(4))
    desk.settle()
    assert Counter(desk.events) == {"/0": 2, "/1": 2, "/2": 2, "/3": 1, "/4": 1}
    desk.restart()
    append(tmp_path / "a" / "access.log", line(5))
    append(tmp_path / "b" / "access.log", line(6))
    desk.settle()
    assert len(desk.events) == 10


def test_an_empty_file_and_one_of_headers_come_to_life(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("\n")
    desk = Desk(tmp_path)
    desk.look(3)
    append(tmp_path / "access.log", line(0))
    desk.look()
    assert desk.events == paths(range(1))
    assert len(desk.saved) == 1


def test_a_file_that_cannot_be_read_costs_only_itself_and_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(line(0))
    (tmp_path / "broken.log").write_bytes(gzip.compress(lines(range(9)).encode())[:40])
    os.mkfifo(tmp_path / "pipe.log")
    desk = Desk(tmp_path)
    desk.settle()
    assert desk.events == paths(range(1))
    assert ["cannot be read from here on" in aside.reason for aside in desk.aside] == [True]
    desk.restart()
    desk.settle()
    assert len(desk.aside) == 1


def test_a_file_that_vanishes_costs_only_itself(log: Path) -> None:
    gone = log.with_name("b.log")
    gone.write_text(line(9))
    log.with_name("c.log").write_text(line(8))
    desk = Desk(log.parent)
    found = desk.watch.look(is_last=True)
    desk.deal_with(next(found))
    gone.unlink()
    for one in found:
        desk.deal_with(one)
    assert desk.events == [*paths(range(5)), "/8"]
    assert [(aside.where, aside.reason) for aside in desk.aside] == [
        (f"{gone}:1", "the file cannot be read from here on: No such file or directory")
    ]


def test_a_folder_that_cannot_be_listed_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(line(0))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        desk = Desk(tmp_path)
        desk.look(3)
        desk.look(is_last=True)
    finally:
        os.seteuid(user)
        closed.chmod(0o755)
    assert desk.events == paths(range(1))
    assert [(aside.where, aside.reason) for aside in desk.aside] == [
        (f"{closed}:1", "the file cannot be read from here on: Permission denied")
    ]


def test_a_path_that_is_nowhere_is_refused_unless_it_was_known(desk: Desk, log: Path) -> None:
    with pytest.raises(NotFound):
        Watch(Nginx(), [log.parent / "nowhere"], None)
    desk.look()
    if desk.paths == (log,):
        log.unlink()
        desk.restart()
        desk.look(3)
        assert desk.aside == []


def test_the_last_look_takes_everything_as_it_is(log: Path) -> None:
    append(log, line(5)[:30])
    log.with_name("b.log").write_text(lines(range(5)))
    log.with_name("c.log.gz").write_bytes(gzip.compress(line(9).encode()))
    desk = Desk(log.parent)
    desk.look(is_last=True)
    assert len(desk.events) == 11
    assert len(desk.aside) == 1
    assert desk.watch.done == desk.watch.total == sum(path.stat().st_size for path in log.parent.iterdir())


def test_bytes_are_counted_as_they_lie_there(log: Path) -> None:
    packed = log.with_name("b.log.gz")
    packed.write_bytes(gzip.compress("".join(lines(range(1000))).encode(), mtime=0))
    watch = Watch(Nginx(), [log.parent], None)
    done = [watch.done for _ in watch.look(is_last=True)]
    assert done == sorted(done)
    assert watch.total == log.stat().st_size + packed.stat().st_size
    assert len(set(done)) > 3
    assert done[-1] == watch.total


# --- everything at once -------------------------------------------------------------------------------------------


class Writer:
    """A server and its logrotate, by chance. It never loses a line that it has written."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.log, self.chance = folder / "access.log", chance
        self.written: list[str] = []
        self.rubbish = 0
        self.half = ""
        self.rotations = 0

    def step(self) -> None:
        self.chance.choice(
            [self.write, self.write, self.write, self.write_half, self.spoil, self.rotate, self.compress]
        )()

    def write(self) -> None:
        self.end_half()
        for _ in range(self.chance.randrange(1, 4)):
            append(self.log, line(len(self.written)))
            self.written.append(f"/{len(self.written)}")

    def write_half(self) -> None:
        self.end_half()
        whole = line(len(self.written))
        at = self.chance.randrange(1, len(whole))
        append(self.log, whole[:at])
        self.half = whole[at:]
        self.written.append(f"/{len(self.written)}")

    def end_half(self) -> None:
        append(self.log, self.half)
        self.half = ""

    def spoil(self) -> None:
        self.end_half()
        append(self.log, f"rubbish {self.rubbish}\n")
        self.rubbish += 1

    def rotate(self) -> None:
        if not self.log.exists():
            return
        self.end_half()
        self.rotations += 1
        target = self.log.with_name(f"access.log.{self.rotations}")
        if self.chance.random() < 0.5:
            self.log.rename(target)
        else:
            shutil.copy2(self.log, target)
            self.log.write_text("")

    def compress(self) -> None:
        plain = [p for p in self.log.parent.glob("access.log.*") if p.suffix != ".gz"]
        if plain:
            compress(self.chance.choice(sorted(plain)))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_writer_does_each_line_comes_once(tmp_path: Path, seed: int) -> None:
    """In a folder: each copy that a rotation makes is seen, so nothing may be missing and nothing come twice."""
    chance = random.Random(seed)
    writer, desk = Writer(tmp_path, chance), Desk(tmp_path)
    for _ in range(60):
        writer.step()
        desk.look(chance.choice([0, 1, 1, 2]))
        if chance.random() < 0.1:
            desk.restart()
    writer.end_half()
    desk.settle()
    assert sorted(desk.events) == sorted(writer.written)
    assert len(set(desk.ids)) == len(desk.ids)
    assert sorted(aside.raw for aside in desk.aside) == sorted(
        f"rubbish {n}".encode() for n in range(writer.rubbish)
    )


@pytest.mark.parametrize("seed", range(30))
def test_a_watch_that_is_killed_finds_nothing_less_and_only_the_last_again(tmp_path: Path, seed: int) -> None:
    """Killed while it deals with something: what it did not save comes again, under the same ids."""
    chance = random.Random(seed)
    writer, desk = Writer(tmp_path, chance), Desk(tmp_path)
    for _ in range(60):
        writer.step()
        saved, limit = dict(desk.saved), chance.randrange(1, 6)
        for number, found in enumerate(desk.watch.look()):
            desk.deal_with(found)
            if number == limit:
                desk.saved = saved if chance.random() < 0.5 else desk.saved
                desk.restart()
                break
    writer.end_half()
    desk.settle()
    assert sorted({*desk.events}) == sorted(writer.written)
    assert len({*desk.ids}) == len(writer.written)
    assert {aside.raw for aside in desk.aside} == {f"rubbish {n}".encode() for n in range(writer.rubbish)}
