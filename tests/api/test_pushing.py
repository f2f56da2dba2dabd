"""Pushing over HTTP: media types, receipts, duplicates, conflicts, refusals."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import httpx
import pytest
import zstandard
from conftest import Caller, assert_problem
from support.ledgers import Bed, access, accesses, assert_settled

from api import body as body_module
from api import push_body
from api.body import read_limited
from api.push_body import MAX_BYTES
from api.services import Room
from ledger.entry import parse_entry
from ledger.errors import Overloaded
from ledger.receipt import open_receipt
from ledger.types import Position

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


def test_an_array_too_large_to_be_read_at_once_is_taken_as_a_small_one(caller: Caller) -> None:
    values = accesses(range(4000))
    body = json.dumps(values)
    assert len(body) > push_body._WHOLE
    answer = caller.post("/events", body, BATCH)
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["events"]) == 4000
    assert caller.get("/events/3999").json()["event"] == values[3999]
    broken = body.replace('"id": "access-003000"', '"id": access-003000')
    problem = assert_problem(caller.post("/events", broken, BATCH), 400)
    assert problem["detail"].startswith("event 3000: ")
    assert_problem(caller.post("/events", body[:-1], BATCH), 400)
    twice = body.replace('"id": "access-003000"', '"id": "x", "id": "access-003000"')
    assert_problem(caller.post("/events", twice, BATCH), 400)


def test_the_same_push_again_is_200_with_the_same_receipt(caller: Caller, bed: Bed) -> None:
    first = caller.push([access(1), access(2)])
    bed.clock.move(5000)
    again = caller.push([access(1), access(2)])
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["receipts"] == first.json()["receipts"]
    assert {event["status"] for event in again.json()["events"]} == {"duplicate"}
    assert caller.get("/events/1/receipt").text == first.json()["receipts"][0]


def test_a_clock_that_stepped_back_is_503_until_it_has_caught_up_and_nothing_is_lost(
    caller: Caller, bed: Bed
) -> None:
    taken = caller.push(access(1)).json()
    before, tolerance = bed.clock.now(), bed.pipeline.policy.clock_tolerance
    bed.clock.move(-3_600_000)
    try:
        for value in (access(2), access(1)):
            answer = caller.push(value)
            body = assert_problem(answer, 503)
            assert body["detail"] == "the clock is behind the log"
            assert body["got"] == "3600000 ms before it"
            assert "Set the clock right" in body["advice"]
            assert int(answer.headers["Retry-After"]) > 0
        assert bed.store.head(caller.origin).size == 1, "nothing of it was taken"
        assert caller.get("/events/0/receipt").text == taken["receipts"][0]
        bed.settle(caller.origin)  # what was taken before is anchored all the same
        bed.clock.time = before - tolerance  # it goes on by itself, and nobody starts anything again
        assert caller.push(access(1)).json()["receipts"] == taken["receipts"]
        assert [event["position"] for event in caller.push(access(2)).json()["events"]] == [1]
    finally:
        bed.clock.time = before
    bed.settle(caller.origin)
    assert_settled(bed.store, bed.chain, caller.origin)
    assert [event.received for event in bed.store.scan(caller.origin, Position(0), Position(2))] == [
        before
    ] * 2


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


@pytest.mark.parametrize("media", [EITHER, LINES])
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_compressed_body_is_taken_as_what_it_unpacks_to(caller: Caller, media: str, encoding: str) -> None:
    values = accesses(range(300))
    body = lines(*values).encode() if media == LINES else json.dumps(values).encode()
    packed = _packed(body, encoding)
    answer = caller.client.post(
        f"/v1/logs/{caller.origin}/events",
        content=packed,
        headers={**caller.headers, "Content-Type": media, "Content-Encoding": encoding},
    )
    assert answer.status_code == 201, answer.text
    assert [event["position"] for event in answer.json()["events"]] == list(range(300))
    # The same events uncompressed are the same events.
    assert caller.post("/events", body, media).status_code == 200


def _packed(body: bytes, encoding: str) -> bytes:
    if encoding == "zstd":
        half = len(body) // 2
        return b"".join(map(zstandard.ZstdCompressor().compress, (body[:half], body[half:])))
    return gzip.compress(body[:1000]) + gzip.compress(body[1000:])


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("media", [EITHER, LINES])
def test_a_bomb_is_refused_before_it_has_unpacked(caller: Caller, encoding: str, media: str) -> None:
    body = _packed(b" " * (64 * 1024 * 1024), encoding)
    assert len(body) < 100_000
    assert_problem(_encoded(caller, body, encoding, media), 413)


def test_a_frame_that_asks_for_a_huge_window_is_refused(caller: Caller) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    body = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = body.compress(json.dumps(accesses([1])).encode()) + body.flush()
    assert_problem(_encoded(caller, packed, "zstd", EITHER), 400)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_cannot_be_unpacked_is_refused(caller: Caller, encoding: str) -> None:
    whole = _packed(json.dumps(accesses(range(50))).encode(), encoding)
    for body in (b"", b"\x1f\x8b", whole[:-5], b"nonsense", whole[: len(whole) // 2] + b"\x00" * 20):
        answer = _encoded(caller, body, encoding, EITHER)
        assert answer.status_code in (400, 422), (body[:8], answer.text)
        assert_problem(answer, answer.status_code)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_that_is_cut_off_at_the_end_of_a_line_is_not_taken_for_whole(
    caller: Caller, encoding: str
) -> None:
    if encoding == "zstd":
        packer = zstandard.ZstdCompressor().compressobj()
        half = packer.compress(lines(access(1)).encode()) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    else:
        deflate = zlib.compressobj(wbits=31)
        half = deflate.compress(lines(access(1)).encode()) + deflate.flush(zlib.Z_SYNC_FLUSH)
    assert_problem(_encoded(caller, half, encoding, LINES), 400)


def _encoded(caller: Caller, body: bytes, encoding: str, media: str) -> httpx.Response:
    headers = {**caller.headers, "Content-Type": media, "Content-Encoding": encoding}
    return caller.client.post(f"/v1/logs/{caller.origin}/events", content=body, headers=headers)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "GZIP;q=1"])
def test_a_body_of_another_encoding_is_415(caller: Caller, encoding: str) -> None:
    assert_problem(_encoded(caller, b"\x1f\x8b", encoding, EITHER), 415)


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


async def _body_of(chunks: list[bytes], room: Room) -> int:
    """Reads a body that comes in these chunks, and answers how many bytes are taken while it is there."""

    class Request:
        headers: ClassVar[dict[str, str]] = {}

        async def stream(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

    with room.taken() as take:
        await read_limited(Request(), take=take)  # type: ignore[arg-type]
        return room.used


def test_pushes_in_flight_take_bounded_room_and_give_it_back() -> None:
    room = Room(limit=100)
    assert asyncio.run(_body_of([b"x" * 30] * 3, room)) == 90
    assert room.used == 0
    with room.taken() as take:
        take(60)
        with pytest.raises(Overloaded, match="90 bytes in flight"):
            asyncio.run(_body_of([b"x" * 30] * 2, room))
        assert room.used == 60
    # One that is larger than all the room is taken while nothing else is there.
    assert asyncio.run(_body_of([b"x" * 300], room)) == 300


def test_a_body_that_does_not_come_in_time_is_a_408(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "MAX_SECONDS", 0.2)
    head = (
        f"POST /v1/logs/{caller.origin}/events HTTP/1.1\r\nHost: x\r\nContent-Type: {EITHER}\r\n"
        f"Authorization: Bearer {caller.key}\r\nContent-Length: 100\r\n\r\n{{"
    )
    url = caller.client.base_url
    with socket.create_connection((url.host, url.port or 80)) as slow:
        slow.sendall(head.encode())
        slow.settimeout(20)
        answer = slow.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
