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
