"""Pieces of a large push: what they say together is what the push says, or one of them cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.push_body import Arrived, parse_body, pieces, unpacking
from ledger.errors import InvalidEvent, MalformedInput

BATCH, LINES = "application/cloudevents-batch+json", "application/x-ndjson"

TEXTS = st.text(alphabet='},{"\\[] \n:a名', max_size=12)
VALUES = st.recursive(
    TEXTS | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), min_size=1, max_size=8)
COUNTS = st.integers(1, 9)


def said(arrived: Arrived) -> list[Any]:
    return list(parse_body(unpacking(arrived.encoding)(arrived.body), arrived.media).values)


def check(body: bytes, media: str, count: int) -> int:
    """How many pieces were made."""
    whole = Arrived(body, media, "", 10_000, False)
    cut = pieces(whole, count, 1)
    assert 1 <= len(cut) <= count
    try:
        together = [value for piece in cut for value in said(piece)]
    except (MalformedInput, InvalidEvent):
        assert len(cut) > 1, "alone it is the push itself, which can be read"
    else:
        assert together == said(whole)
    return len(cut)


@given(OBJECTS, COUNTS, st.sampled_from([(",", ":"), (", ", ": "), ("\r\n,\t ", ":")]))
def test_of_an_array(values: list[Any], count: int, separators: tuple[str, str]) -> None:
    check(json.dumps(values, separators=separators, ensure_ascii=False).encode(), BATCH, count)


@given(OBJECTS, COUNTS, st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_of_lines(values: list[Any], count: int, end: str, ended: bool) -> None:
    body = end.join(map(json.dumps, values)) + end * ended
    check(body.encode(), LINES, count)


@given(st.binary(max_size=200) | TEXTS.map(str.encode), COUNTS)
def test_what_is_out_of_form_is_not_made_good(body: bytes, count: int) -> None:
    for media in (BATCH, LINES):
        whole = Arrived(body, media, "", 10_000, False)
        try:
            said(whole)
        except (MalformedInput, InvalidEvent):
            with pytest.raises((MalformedInput, InvalidEvent)):
                for piece in pieces(whole, count, 1):
                    said(piece)


@pytest.mark.parametrize("separator", [",", " ,\n "])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_events_are_cut_into_as_many_as_there_may_be(count: int, separator: str) -> None:
    body = separator.join(json.dumps({"id": n, "data": {"x": [1, "y"]}}) for n in range(50))
    assert check(b"[%b]" % body.encode(), BATCH, count) == count
    assert check(body.replace(separator, "\n").encode(), LINES, count) == count


@pytest.mark.parametrize(
    ("body", "media", "encoding"),
    [
        (b'{"a":1},{"b":2}', BATCH, ""),
        (b'[{"a":1},{"b":2}]', "application/cloudevents+json", ""),
        (b'[{"a":1},{"b":2}]', "application/vnd.transfer-ledger.push+json", ""),
        (b'[{"a":1},{"b":2}]', BATCH, "gzip"),
        (b'[{"a":1}]', BATCH, ""),
        (b'[{"a":1}' + b" " * (1 << 19) + b',{"b":2}]', BATCH, ""),
    ],
    ids=["no array", "one event", "signed", "packed", "one in an array", "a gap without an end in sight"],
)
def test_what_cannot_be_cut_stays_whole(body: bytes, media: str, encoding: str) -> None:
    whole = Arrived(body, media, encoding, 10_000, False)
    assert pieces(whole, 4, 1) == [whole]


def test_no_piece_is_smaller_than_is_worth_it() -> None:
    whole = Arrived(json.dumps([{"a": n} for n in range(100)]).encode(), BATCH, "", 10_000, False)
    assert len(pieces(whole, 8, len(whole.body) // 3)) == 3
    assert pieces(whole, 8, len(whole.body)) == [whole]
