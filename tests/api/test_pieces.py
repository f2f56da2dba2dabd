"""Pieces of a large push: what they say together is what the push says, or one of them cannot be read."""

from __future__ import annotations

import json
import os
import pickle
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ledgers import accesses

from api.push_body import Accepted, Arrived, cuts, parse_body, pieces, read_push, unpacking
from ledger.errors import InvalidEvent, MalformedInput

BATCH, LINES = "application/cloudevents-batch+json", "application/x-ndjson"
UNREADABLE = (MalformedInput, InvalidEvent)

TEXTS = st.text(alphabet='},{"\\[] \n:a名', max_size=12)
VALUES = st.recursive(
    TEXTS | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), min_size=1, max_size=8)
COUNTS = st.integers(1, 9)


def arrived(body: bytes, media: str, encoding: str = "") -> Arrived:
    return Arrived(body, media, encoding, 10_000, False)


def said(push: Arrived) -> list[Any]:
    return list(parse_body(unpacking(push.encoding)(push.body), push.media).values)


def together(push: Arrived, most: int) -> list[Any]:
    return [value for piece in pieces(push, cuts(push, most, 1)) for value in said(piece)]


def check(body: bytes, media: str, most: int) -> None:
    """Of a push that can be read."""
    push = arrived(body, media)
    try:
        values = together(push, most)
    except UNREADABLE:
        assert cuts(push, most, 1), "alone it is the push itself, which can be read"
    else:
        assert values == said(push)


@given(OBJECTS, COUNTS, st.sampled_from([(",", ":"), (", ", ": "), ("\r\n,\t ", ":")]))
def test_of_an_array(values: list[Any], most: int, separators: tuple[str, str]) -> None:
    check(json.dumps(values, separators=separators, ensure_ascii=False).encode(), BATCH, most)


@given(OBJECTS, COUNTS, st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_of_lines(values: list[Any], most: int, end: str, ended: bool) -> None:
    check((end.join(map(json.dumps, values)) + end * ended).encode(), LINES, most)


def many(separator: str) -> str:
    return separator.join(json.dumps({"id": n, "data": {"x": [1, "y"]}}) for n in range(50))


PUSHES = [(f"[{many(',')}]", BATCH), (f" [{many(' ,')}\n]", BATCH), (many("\n") + "\n", LINES)]


@pytest.mark.parametrize(("body", "media"), PUSHES)
@pytest.mark.parametrize("seed", range(40))
def test_what_is_out_of_form_is_not_made_good(body: str, media: str, seed: int) -> None:
    draw = Random(f"{seed} {body[:3]}")
    for _ in range(20):
        place, length = draw.randrange(len(body)), draw.choice((0, 1, 1, 2, 30))
        spoilt = body[:place] + draw.choice(("", *'}{[],:"\\ \n')) + body[place + length :]
        push = arrived(spoilt.encode(), media)
        try:
            said(push)
        except UNREADABLE:
            with pytest.raises(UNREADABLE):
                together(push, draw.randrange(2, 12))
        else:
            check(spoilt.encode(), media, draw.randrange(2, 12))


@pytest.mark.parametrize("most", [2, 3, 7])
@pytest.mark.parametrize(
    ("body", "media"), [(f"[{many(',')}]", BATCH), (f"[{many(' ,')}]", BATCH), (many("\n"), LINES)]
)
def test_events_are_cut_into_as_many_as_there_may_be(body: str, media: str, most: int) -> None:
    push = arrived(body.encode(), media)
    assert len(list(pieces(push, cuts(push, most, 1)))) == most
    assert together(push, most) == said(push)


@pytest.mark.parametrize(
    ("body", "media", "encoding"),
    [
        (b'{"a":1},{"b":2},{"c":3}', BATCH, ""),
        (b'[{"a":1},{"b":2},{"c":3}]', "application/cloudevents+json", ""),
        (b'[{"a":1},{"b":2},{"c":3}]', "application/vnd.transfer-ledger.push+json", ""),
        (b'[{"a":1},{"b":2},{"c":3}]', BATCH, "gzip"),
        (b'[{"a":1}]', BATCH, ""),
        (b'[{"a":"' + b" " * 90_000 + b'"},{"b":2}]', BATCH, ""),
    ],
    ids=["no array", "one event", "signed", "packed", "one in an array", "no end in sight"],
)
def test_what_cannot_be_cut_stays_whole(body: bytes, media: str, encoding: str) -> None:
    push = arrived(body, media, encoding)
    assert cuts(push, 2, 1) == []
    assert list(pieces(push, [])) == [push]


@pytest.mark.parametrize("least", [1000, 1500, 2345, 1 << 20])
def test_no_piece_is_smaller_than_is_worth_it(least: int) -> None:
    push = arrived(f"[{many(',')}]".encode(), BATCH)
    sizes = [len(piece.body) for piece in pieces(push, cuts(push, 8, least))]
    event = 1 + len(json.dumps({"id": 49, "data": {"x": [1, "y"]}}))
    assert all(size >= min(least, len(push.body)) for size in sizes[:-1])
    assert sizes[-1] >= min(least, len(push.body)) - event


def test_what_a_push_says_crosses_between_processes_whole() -> None:
    accepted = read_push(arrived(json.dumps(accesses(range(3))).encode(), BATCH), os.urandom)
    assert isinstance(accepted, Accepted)
    [one, *_] = accepted.statements
    salted_elsewhere = one._replace(texts=("WyI", "no base64 at all"))
    for each in (accepted, Accepted([salted_elsewhere, one], "a signature"), Accepted([], None)):
        again = pickle.loads(pickle.dumps(each))
        assert again == each
        assert [(type(it.texts), type(it.key)) for it in again.statements] == [
            (type(it.texts), type(it.key)) for it in each.statements
        ]
