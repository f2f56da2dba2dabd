"""The API as a source of the auditor's answers, where what answers is something else."""

from __future__ import annotations

from typing import Any

import pytest
from support.http import answer

from ledger.cli.source import RemoteSource
from ledger.errors import InputError, MalformedInput
from ledger.records import ViewFilter

from .test_client import ORIGIN, client_of


@pytest.mark.parametrize("body", [[], "text", 5, None, {}, {"items": None}, {"items": {}}])
def test_an_answer_that_is_no_page_is_told(body: Any) -> None:
    with client_of(answer(200, body)) as (client, _), pytest.raises(InputError, match="no ledger"):
        list(RemoteSource(client, ORIGIN).accesses(ViewFilter({})))


def test_pages_are_read_on_from_whatever_place_the_one_before_ended_at() -> None:
    pages = [{"items": [1], "next": 0}, {"items": [], "next": 7}, {"items": [2], "next": None}]
    with client_of(*(answer(200, page) for page in pages)) as (client, script):
        assert list(RemoteSource(client, ORIGIN).accesses(ViewFilter({}))) == [1, 2]
    lines = [request.partition(b" HTTP")[0] for request in script.asked]
    assert [line.partition(b"after=")[2] for line in lines] == [b"", b"0", b"7"]


def test_an_argument_that_is_not_utf_8_is_refused_before_it_is_sent() -> None:
    with client_of() as (client, script), pytest.raises(MalformedInput, match="not UTF-8"):
        RemoteSource(client, ORIGIN).transfer("\udcff")
    assert script.asked == []


def grants_page(next: str | None, **changes: Any) -> dict[str, Any]:
    counts = {"examined": 1, "accesses": 1, "verdicts": {"permitted": 1}, "unexplained_count": 0}
    use = {
        "resource": "b",
        "source_system": None,
        "grant": {"principal": "ann"},
        "until": None,
        "unused": None,
    }
    told = {"complete": False, "events": 9, "through": None, "unexplained": [], "unused_grants": None}
    grants = [{**use, "since": None, "uses": 0, "last_used": None, **changes}] if changes else []
    return {**told, **counts, "grants": grants, "next": next}


def test_the_pages_of_a_reconciliation_are_added_up_and_progress_is_told() -> None:
    first, second = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"
    pages = [
        grants_page("9.1.0.0", since=first),
        grants_page("9.2.1.4"),
        grants_page(None, uses=2, last_used=second, unused=False),
    ]
    done: list[int] = []
    with client_of(*(answer(200, page) for page in pages)) as (client, script):
        found = RemoteSource(client, ORIGIN).reconcile(ViewFilter({"subject": "live-1"}), done.append)
    lines = [request.partition(b" HTTP")[0] for request in script.asked]
    assert [line.partition(b"after=")[2] for line in lines] == [b"", b"9.1.0.0", b"9.2.1.4"]
    assert all(b"transfer=live-1" in line for line in lines)
    assert done == [1, 2, 3]
    (use,) = found["grants"]
    assert (use["since"], use["uses"], use["last_used"], use["unused"]) == (first, 2, second, False)
    assert (found["accesses"], found["verdicts"], found["complete"]) == (3, {"permitted": 3}, True)


@pytest.mark.parametrize(
    "pages",
    [
        [{}],
        [{"items": [], "next": None}],
        [grants_page(None, uses=1)],
        [{**grants_page(None), "grants": [5]}],
        [{**grants_page(None), "verdicts": []}],
        [{**grants_page(None), "examined": "many"}],
        [grants_page("9.1.0.0"), {**grants_page(None), "events": 8}],
    ],
)
def test_what_is_no_reconciliation_is_never_added_up(pages: list[Any]) -> None:
    """Such as the answer of a ledger of another version, whose use before a page would be lost."""
    answers = [answer(200, page) for page in pages]
    with client_of(*answers) as (client, _), pytest.raises(InputError, match="no ledger"):
        RemoteSource(client, ORIGIN).reconcile(ViewFilter({}), lambda done: None)
