"""Pushing over HTTP: media types, receipts, duplicates, conflicts, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Caller, assert_problem
from support.ledgers import Bed, access

from api.body import MAX_BYTES
from ledger.entry import parse_entry
from ledger.receipt import open_receipt

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
EITHER = "application/json"


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.mark.parametrize(
    ("body", "media", "count"),
    [
        (json.dumps(access(1)), ONE, 1),
        (json.dumps([access(1), access(2)]), BATCH, 2),
        (lines(access(1), access(2), access(3)), LINES, 3),
        (lines(access(1)) + "\n  \n" + lines(access(2)), "application/jsonl", 2),
        (lines(access(1)).replace("\n", "\r\n"), "application/ndjson", 1),
        (json.dumps(access(1)), EITHER, 1),
        (json.dumps([access(1), access(2)]), EITHER, 2),
        (json.dumps(access(1)), "Application/CloudEvents+JSON; charset=utf-8", 1),
    ],
    ids=[
        "one",
        "batch",
        "ndjson",
        "blank lines",
        "carriage returns",
        "json object",
        "json array",
        "parameters",
    ],
)
def test_every_media_type_of_a_push_is_taken(
    caller: Caller, bed: Bed, body: str, media: str, count: int
) -> None:
    answer = caller.post("/events", body, media)
    assert answer.status_code == 201, answer.text
    pushed = answer.json()
    assert [event["position"] for event in pushed["events"]] == list(range(count))
    assert {event["status"] for event in pushed["events"]} == {"accepted"}
    [note] = pushed["receipts"]
    assert open_receipt(note, bed.key(caller.origin)).count == count


def test_the_same_push_again_is_200_with_the_same_receipt(caller: Caller, bed: Bed) -> None:
    first = caller.push([access(1), access(2)])
    bed.clock.move(5000)
    again = caller.push([access(1), access(2)])
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["receipts"] == first.json()["receipts"]
    assert {event["status"] for event in again.json()["events"]} == {"duplicate"}
    assert caller.get("/events/1/receipt").text == first.json()["receipts"][0]


def test_a_push_with_something_new_is_201(caller: Caller) -> None:
    caller.push(access(1))
    answer = caller.push([access(1), access(2), access(2)])
    assert answer.status_code == 201
    assert [e["status"] for e in answer.json()["events"]] == ["duplicate", "accepted", "duplicate"]
    assert [e["receipt"] for e in answer.json()["events"]] == [0, 1, 1]


def test_a_conflict_is_409_names_the_event_and_is_kept(caller: Caller, bed: Bed) -> None:
    caller.push(access(1))
    other = access(1, subject="another-transfer")
    body = assert_problem(caller.push([access(5), other]), 409, "conflict")
    assert body["conflicts"] == [{"source": other["source"], "id": other["id"], "position": 0}]
    assert "new id" in body["advice"]
    [kept] = bed.store.conflicts(caller.origin)
    assert parse_entry(kept.entry).attributes["subject"] == "another-transfer"
    assert bed.store.head(caller.origin).size == 1


def test_a_push_that_conflicts_with_itself_is_409(caller: Caller, bed: Bed) -> None:
    assert_problem(caller.push([access(1), access(1, subject="other")]), 409, "conflict")
    assert bed.store.head(caller.origin).size == 0


PERSON = "Zhang Wei zhang.wei@example.org +86 139 1234 5678"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (access(1, id=PERSON), "[0].id"),
        (access(1, subject=PERSON), "[0].subject"),
        (access(1, time=PERSON), "[0].time"),
        (access(1, phase=PERSON), "[0].phase"),
        (access(1, type=PERSON), "[0].type"),
        (access(1, type="transfer-ledger.unheard-of.v1"), "[0].type"),
        (access(1, data=PERSON), "[0].data"),
        (access(1, data={}), "[0].data.principal"),
        (access(1, data={**access(1)["data"], "outcome": PERSON}), "[0].data.outcome"),
        (access(1, data={**access(1)["data"], "bytes": PERSON}), "[0].data.bytes"),
        (access(1, data={**access(1)["data"], PERSON: 1}), "[0].data.?"),
        (access(1, data={**access(1)["data"], "_sd": [PERSON]}), "[0].data._sd"),
        (access(1, subject=None), "[0].subject"),
        (PERSON, "[0]"),
        (17, "[0]"),
        (None, "[0]"),
        ([access(1)], "[0]"),
    ],
)
def test_an_invalid_event_is_422_with_its_place_and_without_what_it_said(
    caller: Caller, value: Any, place: str
) -> None:
    answer = caller.push([value])
    body = assert_problem(answer, 422, "invalid-event")
    assert place in [problem["at"] for problem in body["problems"]]
    for word in ("Zhang", "zhang", "139 1234"):
        assert word not in answer.text


def test_a_member_of_the_envelope_that_the_ledger_does_not_take_is_refused(caller: Caller) -> None:
    body = assert_problem(caller.push(access(1, nickname="x")), 422, "invalid-event")
    assert body["problems"][0]["at"] == "[0].nickname"


def test_an_envelope_name_that_is_personal_is_not_told_back(caller: Caller) -> None:
    answer = caller.push(access(1, **{"zhang.wei@example.org": 1}))
    assert_problem(answer, 422, "invalid-event")
    assert "zhang" not in answer.text


def test_every_problem_of_a_push_is_told_and_nothing_is_taken(caller: Caller, bed: Bed) -> None:
    bad = [access(0), access(1, phase="later"), access(2), access(3, id="")]
    body = assert_problem(caller.push(bad), 422)
    assert [problem["at"] for problem in body["problems"]] == ["[1].phase", "[3].id"]
    assert bed.store.head(caller.origin).size == 0


@pytest.mark.parametrize(
    ("body", "media"),
    [
        ("[]", BATCH),
        ("", LINES),
        ("\n\n", LINES),
        (json.dumps([access(1)]), ONE),
        (json.dumps(access(1)), BATCH),
        ('"text"', EITHER),
        ("null", EITHER),
        ("7", ONE),
    ],
    ids=["empty array", "no lines", "blank", "array as one", "one as array", "text", "null", "number"],
)
def test_a_body_that_is_not_what_its_type_says_is_422(caller: Caller, body: str, media: str) -> None:
    assert_problem(caller.post("/events", body, media), 422, "invalid-event")


DEEP = 20_000
BAD_JSON = {
    "not json": b"{,}",
    "cut off": json.dumps(access(1)).encode()[:-3],
    "two values": b"{} {}",
    "duplicate name": b'{"id":"a","id":"b"}',
    "duplicate name inside": json.dumps(access(1)).replace('"principal"', '"action"').encode(),
    "not utf-8": b'{"id":"\xff\xfe"}',
    "utf-16": json.dumps(access(1)).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(access(1)).encode(),
    "lone surrogate": b'{"id":"\\ud800"}',
    "NaN": b'{"n":NaN}',
    "infinity": b'{"n":-Infinity}',
    "overflowing float": b'{"n":1e999}',
    "huge integer": b'{"n":' + b"9" * 1_000_000 + b"}",
    "2^53": b'{"n":9007199254740992}',
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "null byte": b'{"id":"\x00"}',
    "single quotes": b"{'id':1}",
    "comment": b"{/**/}",
}


@pytest.mark.parametrize("media", [ONE, LINES, EITHER])
@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_400_in_every_media_type(caller: Caller, name: str, media: str) -> None:
    assert_problem(caller.post("/events", BAD_JSON[name], media), 400, "malformed-input")


def test_nothing_at_all_is_400_where_one_value_is_expected(caller: Caller) -> None:
    for media in (ONE, BATCH, EITHER):
        assert_problem(caller.post("/events", b"", media), 400, "malformed-input")


def test_bad_json_names_its_line_and_quotes_nothing_personal(caller: Caller) -> None:
    body = lines(access(1), access(2)) + '{"principal": "zhang.wei", "principal": 1}\n'
    answer = caller.post("/events", body, LINES)
    assert "line 3" in assert_problem(answer, 400)["detail"]
    assert "zhang" not in answer.text


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/xml", "multipart/form-data", "application/json5"]
)
def test_another_media_type_is_415(caller: Caller, media: str) -> None:
    body = assert_problem(caller.post("/events", json.dumps(access(1)), media), 415, "unsupported-media")
    assert ONE in body["expected"]


def test_a_compressed_body_is_415(caller: Caller) -> None:
    headers = {**caller.headers, "Content-Type": EITHER, "Content-Encoding": "gzip"}
    answer = caller.client.post(f"/v1/logs/{caller.origin}/events", content=b"\x1f\x8b", headers=headers)
    assert_problem(answer, 415)


def test_a_body_over_the_limit_is_413(caller: Caller) -> None:
    assert_problem(caller.post("/events", b" " * (MAX_BYTES + 1), EITHER), 413, "too-large")


def test_an_event_over_the_limit_is_413(caller: Caller) -> None:
    big = access(1, data={**access(1)["data"], **{f"m{n}": "x" * 8000 for n in range(40)}})
    assert_problem(caller.push([access(2), big]), 413, "too-large")


def test_too_many_events_are_413(caller: Caller, bed: Bed) -> None:
    count = bed.pipeline.policy.max_push + 1
    assert_problem(caller.post("/events", lines({}) * count, LINES), 413, "too-large")


def test_what_was_pushed_stands_as_it_was_sent(caller: Caller) -> None:
    value = access(
        1, data={**access(1)["data"], "reason": 'üñí "quoted" \\ \u2028 \u0001 日本', "bytes": 2**53 - 1}
    )
    assert caller.push(value).status_code == 201
    assert caller.get("/events/0").json()["event"] == value
