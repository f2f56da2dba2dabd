"""Marks and the file of what was set aside: kept whole, whenever the process that writes them is killed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger.collect import SetAside
from ledger.collect.aside import AsideFile
from ledger.collect.marks import Mark, Marks, Stat
from ledger.collect.reading import Place
from ledger.errors import MalformedInput, Unavailable

STAT = Stat(2**63 - 1, 2**40, 1_790_000_000_000_000_000, 1_790_000_000_000_000_001)
PLACE = Place(17, b"\x01" * 32, "2026-07-01T12:00:03.000Z", 4711, b"#Fields: date \xff\n")
MARKS = [
    Mark(1, Path("/var/log/nginx/access.log"), STAT),
    Mark(2, Path("b/\udcff.log"), STAT, is_whole=True, first=b"\x02" * 32, place=PLACE, told=b"\x03" * 32),
    Mark(3, Path("c.json"), STAT, first=b"\x04" * 32, place=Place(9, b"\x05" * 32, "")),
]


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[Marks]:
    with closing(Marks(tmp_path / "x.mark")) as marks:
        yield marks


def test_marks_are_what_they_were(marks: Marks) -> None:
    marks.save(MARKS, 99)
    marks.close()
    again = Marks(marks.path)
    assert again.load() == MARKS
    assert again.set_aside == 99
    again.save([Mark(2, Path("d"), STAT)], 100)
    assert again.load() == [MARKS[0], Mark(2, Path("d"), STAT), MARKS[2]]
    again.close()


def test_a_watch_s_marks_stay_a_watch_s(marks: Marks) -> None:
    assert not marks.is_watch
    marks.keep()
    marks.close()
    again = Marks(marks.path)
    assert again.is_watch
    again.forget()
    assert (again.load(), again.set_aside) == ([], None)
    again.remove()


def test_nothing_is_left_of_an_import_that_is_done(marks: Marks) -> None:
    marks.save(MARKS, 0)
    marks.remove()
    assert list(marks.path.parent.iterdir()) == []


def test_the_same_import_does_not_run_twice_at_a_time(marks: Marks) -> None:
    with pytest.raises(Unavailable, match="the same import is running already"):
        Marks(marks.path)
    marks.close()
    Marks(marks.path).close()


def test_a_file_that_is_none_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.mark").write_bytes(b"not a database" * 100)
    with pytest.raises(MalformedInput, match="remove the file"):
        Marks(tmp_path / "x.mark")
    with pytest.raises(MalformedInput, match="folder that can be written to"):
        Marks(tmp_path / "nowhere" / "x.mark")
    with closing(Marks(tmp_path / "y.mark")):
        pass
    with closing(sqlite3.connect(tmp_path / "y.mark", isolation_level=None)) as database:
        database.execute("UPDATE import SET version = 2")
    with pytest.raises(MalformedInput, match="version 2"):
        Marks(tmp_path / "y.mark")


# --- set aside ----------------------------------------------------------------------------------------------------


def aside(number: int, raw: bytes = b"rubbish") -> SetAside:
    return SetAside(f"access.log:{number}", "no line", raw)


def written(path: Path) -> list[int]:
    return [int(json.loads(line)["where"].split(":")[1]) for line in path.read_text().splitlines()]


def test_records_are_lines_of_json_whatever_they_hold(tmp_path: Path) -> None:
    file = AsideFile(tmp_path / "a", None)
    file.put([SetAside("\udcff.log:1", "직접", b'\xff"\n\x00')])
    (line,) = (tmp_path / "a").read_text().splitlines()
    assert json.loads(line) == {"where": "\udcff.log:1", "reason": "직접", "raw": '\\xff"\n\x00'}


def test_the_file_is_made_when_it_is_needed(tmp_path: Path) -> None:
    AsideFile(tmp_path / "a", None).put([])
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("cut", [*range(1, 12), 30, 47, 60, 80])
def test_what_was_written_before_a_kill_is_not_written_again(tmp_path: Path, cut: int) -> None:
    """Killed after it wrote and before the marks were saved, or while it wrote: at any byte."""
    path = tmp_path / "a"
    before = AsideFile(path, None)
    before.put([aside(1), aside(2)])
    size = before.size
    before.put([aside(3), aside(3), aside(4, b"x" * 20), aside(5)])
    content = path.read_bytes()
    path.write_bytes(content[: max(size, len(content) - 2 * cut)])
    after = AsideFile(path, size)
    after.put([aside(3)])
    after.put([aside(3), aside(4, b"x" * 20), aside(5)])
    after.put([aside(6)])
    assert written(path) == [1, 2, 3, 3, 4, 5, 6]
    assert after.size == path.stat().st_size


def test_another_import_may_write_to_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    one, two = AsideFile(path, None), AsideFile(path, None)
    one.put([aside(1)])
    two.put([aside(2)])
    one.put([aside(3)])
    assert written(path) == [1, 2, 3]


def test_a_file_that_was_taken_away_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    file = AsideFile(path, None)
    file.put([aside(1)])
    path.unlink()
    again = AsideFile(path, file.size)
    again.put([aside(2)])
    path.write_bytes(path.read_bytes() + b"torn by somebody")
    AsideFile(path, None).put([aside(3)])
    assert [json.loads(line)["where"] for line in path.read_text().splitlines()[::2]] == [
        "access.log:2",
        "access.log:3",
    ]


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match="Name another with --set-aside"):
        AsideFile(tmp_path, None)
    with pytest.raises(MalformedInput, match="Name another with --set-aside"):
        AsideFile(tmp_path / "nowhere" / "a", None).put([aside(1)])
