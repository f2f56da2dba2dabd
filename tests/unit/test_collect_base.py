"""What `collect` makes of any collector: whole records or none, counted once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from support.collecting import events, reasons, run, run_on
from support.ledgers import access

from ledger.canonical import Object
from ledger.collect import Collected, SetAside
from ledger.collect.base import Placed
from ledger.collect.files import NO_HEADER, Header, RawRecord, split_lines
from ledger.errors import Unavailable


@dataclass(frozen=True)
class Several:
    """Each line is a number: of how many events the record tells. The last is no event in a record of three."""

    suffixes: tuple[str, ...] = (".log",)

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return split_lines(file)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object | list[Object]:
        found: list[Any] = [access(n) for n in range(int(raw))]
        if int(raw) == 3:
            found[2]["data"].pop("action")
        return found


@dataclass(frozen=True)
class Gathered(Several):
    """Asks somebody instead of reading files."""

    answers: tuple[bytes, ...] = ()

    def gather(self, paths: Iterable[Path]) -> Iterator[Placed]:
        for number, raw in enumerate(self.answers, 1):
            if raw == b"away":
                raise Unavailable("away")
            yield f"server:{number}", RawRecord(number, raw, "no answer" if raw == b"?" else None)


def test_a_record_of_several_events_is_one_record(tmp_path: Path) -> None:
    outcomes = run_on(Several(), tmp_path, "2\n1\n")
    assert [len(o.events) for o in outcomes if isinstance(o, Collected)] == [2, 1]
    assert [event["id"] for event in events(outcomes)] == ["access-000000", "access-000001", "access-000000"]


def test_a_record_one_of_whose_events_is_none_is_set_aside_whole(tmp_path: Path) -> None:
    outcomes = run_on(Several(), tmp_path, "3\n2\n")
    assert [type(o) for o in outcomes] == [SetAside, Collected]
    assert reasons(outcomes) == {1: "data.action: missing"}


def test_what_is_gathered_is_judged_and_counted_like_what_is_read() -> None:
    outcomes = run(Gathered(answers=(b"1", b"?", b"3")))
    assert [(type(o), o.where) for o in outcomes] == [
        (Collected, "server:1"),
        (SetAside, "server:2"),
        (SetAside, "server:3"),
    ]


def test_a_server_that_goes_away_is_no_record() -> None:
    with pytest.raises(Unavailable):
        run(Gathered(answers=(b"1", b"away")))
