"""Ids of records that have none: the same file gives the same ids whatever became of it, and no id tells a person."""

import gzip
from pathlib import Path

import pytest
from support.collecting import entry, event, events, reasons, run, run_on

from ledger.collect import Nginx
from ledger.collect.files import unrotated

LINE = '198.51.100.7 - ann [01/Jul/2026:20:00:0{} +0800] "GET /{} HTTP/1.1" 200 51 "-" "curl"\n'
LOG = "".join(LINE.format(second, f"page-{second}") for second in range(3, 8))
FIRST = "2026-07-01T12:00:03.000Z"


def test_an_id_is_the_file_s_name_its_first_time_and_the_line(tmp_path: Path) -> None:
    found = events(run_on(Nginx(), tmp_path, LOG, "access.log"))
    assert [e["id"] for e in found] == [f"access.log:{FIRST}:{number}" for number in range(1, 6)]


@pytest.mark.parametrize(
    "name", ["access.log.1", "access.log.2.gz", "access.log-20260702", "access-2026-07-02.log.gz"]
)
def test_a_rotated_file_gives_the_same_events(tmp_path: Path, name: str) -> None:
    before = events(run_on(Nginx(), tmp_path, LOG, "access.log"))
    content = gzip.compress(LOG.encode()) if name.endswith(".gz") else LOG
    assert events(run_on(Nginx(), tmp_path, content, name)) == before


def test_a_file_that_grew_gives_the_same_events_and_the_new_ones(tmp_path: Path) -> None:
    before = events(run_on(Nginx(), tmp_path, LOG, "access.log"))
    assert events(run_on(Nginx(), tmp_path, LOG + LINE.format(9, "new"), "access.log"))[:5] == before


def test_a_new_file_of_the_same_name_gives_other_ids(tmp_path: Path) -> None:
    before = {e["id"] for e in events(run_on(Nginx(), tmp_path, LOG, "access.log"))}
    after = {e["id"] for e in events(run_on(Nginx(), tmp_path, LINE.format(9, "new"), "access.log"))}
    assert before.isdisjoint(after)


def test_the_first_time_is_of_the_first_line_that_can_be_read(tmp_path: Path) -> None:
    outcomes = run_on(Nginx(), tmp_path, "rubbish\n\n" + LINE.format(3, "a"), "access.log")
    assert event(outcomes[1:])["id"] == f"access.log:{FIRST}:3"


@pytest.mark.parametrize(
    "name", ["ann lee.log", "ann@example.com.log", "直播.log", "a" * 65 + ".log", ".log"]
)
def test_a_name_that_could_be_a_person_s_is_refused_and_another_can_be_given(
    tmp_path: Path, name: str
) -> None:
    outcomes = run_on(Nginx(), tmp_path, LOG, name)
    assert len(outcomes) == len(reasons(outcomes)) == 5
    assert "whose name cannot stand in an id" in reasons(outcomes)[1]
    found = events(run(Nginx(), tmp_path / name, name="edge"))
    assert found[4]["id"] == f"edge:{FIRST}:5"


def test_two_servers_differ_by_their_source(tmp_path: Path) -> None:
    one, two = (event(run_on(Nginx(node=n), tmp_path, LINE.format(3, "a"))) for n in ("web 1", "web-2"))
    assert (one["source"], two["source"]) == ("/nginx/web-1", "/nginx/web-2")
    assert one["id"] == two["id"]


def test_an_id_is_not_made_of_what_the_line_says(tmp_path: Path) -> None:
    one, two = (event(run_on(Nginx(), tmp_path, LINE.format(3, path))) for path in ("ann", "bob"))
    assert one["id"] == two["id"]
    assert "ann" not in entry(one)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("access.log", "access.log"),
        ("access.log.365", "access.log"),
        ("web-2.access.log", "web-2.access.log"),
        ("access.log-2026070213.gz", "access.log"),
        ("access.log-1782907203", "access.log"),
        ("access.2026-07-02.log", "access.log"),
        ("2026-07-01-00-00-12-ABCDEF", "2026-07-01-00-00-12-ABCDEF"),
        ("E2EXAMPLE.2026-07-01-12.a1b2c3.gz", "E2EXAMPLE.a1b2c3"),
    ],
)
def test_rotation_is_told_from_the_name(name: str, before: str) -> None:
    assert unrotated(name) == before


def test_rotated_files_are_found_in_a_folder(tmp_path: Path) -> None:
    for number, name in enumerate(("access.log", "access.log.1", "notes.txt", "access.log-20260701.gz")):
        (tmp_path / name).write_text(LINE.format(number, "a"))
    assert len(run(Nginx(), tmp_path)) == 3
