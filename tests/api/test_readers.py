"""Large pushes, which are read in processes of their own: the answers are those that a small push gets."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import httpx
import pytest
from conftest import ALL, Caller, assert_problem
from starlette.requests import Request
from support.ledgers import Bed, accesses, serving_services
from support.ledgers import services as made_services
from support.signing import party_signer, register_key, signed_push

from api.body import LARGE, PIECE, _read_apart, accepted
from api.push_body import Arrived, cuts, pieces, read_push
from ledger.disclosure import parse_disclosure
from ledger.errors import InvalidEvent, LedgerError, MalformedInput, TooLarge
from ledger.processes import Pool
from ledger.push import MEDIA_TYPE
from ledger.types import Position, from_base64url

JSON = "application/json"
COUNT = 500


class Watched(Pool):
    """Counts what its processes were given."""

    given = 0

    def submit(self, function: Any) -> Any:
        future = super().submit(function)
        self.given += future is not None
        return future

    def wait(self) -> None:
        for _ in range(600):
            if super().submit(os.getpid) is not None:
                return
            time.sleep(0.05)
        raise AssertionError("no process has started")


@pytest.fixture(scope="module")
def readers() -> Iterator[Watched]:
    pool = Watched(2)
    pool.wait()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def client(bed: Bed, readers: Watched) -> Iterator[httpx.Client]:
    with (
        serving_services(made_services(bed.pipeline, None, readers=readers)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def read_apart(readers: Watched, request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test here is about what the processes read."""
    readers.wait()
    before = readers.given
    yield
    assert readers.given > before


def large(start: int = 0) -> list[dict[str, Any]]:
    values = accesses(range(start, start + COUNT))
    assert len(json.dumps(values)) > 2 * LARGE, "enough to be cut in two"
    return values


def test_a_large_push_stands_as_it_was_sent_each_member_with_a_salt_of_its_own(
    caller: Caller, bed: Bed
) -> None:
    first, second = large(), large(COUNT)
    for values in (first, second):
        answer = caller.push(values)
        assert answer.status_code == 201, answer.text
    stored = list(bed.store.scan(caller.origin, Position(0), Position(2 * COUNT)))
    texts = [text for event in stored for text in event.disclosures]
    salts = {json.loads(_array(text))[0] for text in texts}
    assert len(salts) == len(texts) > 2 * COUNT
    for n in (0, COUNT - 1, COUNT, 2 * COUNT - 1):
        assert caller.get(f"/events/{n}").json()["event"] == (first + second)[n]
    again = caller.push(second)
    assert again.status_code == 200
    assert [event["position"] for event in again.json()["events"]] == list(range(COUNT, 2 * COUNT))


def _array(text: str) -> bytes:
    assert parse_disclosure(text).text == text
    return from_base64url(text)


def test_a_packed_push_is_read_apart_however_small(caller: Caller) -> None:
    body = gzip.compress(json.dumps(accesses(range(3))).encode())
    headers = {**caller.headers, "Content-Type": JSON, "Content-Encoding": "gzip"}
    answer = caller.client.post(f"/v1/logs/{caller.origin}/events", content=body, headers=headers)
    assert answer.status_code == 201, answer.text


def test_a_signed_push_is_taken(bed: Bed, client: httpx.Client) -> None:
    signer = party_signer()
    register_key(bed, signer)
    origin = bed.create_log(require_signature=True)
    strict = Caller(client, origin, bed.api_key(origin, *ALL))
    answer = strict.post("/events", signed_push(origin, large()).body, MEDIA_TYPE)
    assert answer.status_code == 201, answer.text
    assert_problem(strict.push(large(COUNT)), 422, "not-signed")


def test_what_is_refused_is_placed_and_nothing_is_taken(caller: Caller, bed: Bed) -> None:
    values = large()
    values[123]["data"] = {**values[123]["data"], "outcome": "maybe"}
    values[456]["id"] = "not an id"
    body = assert_problem(caller.push(values), 422, "invalid-event")
    assert [problem["at"] for problem in body["problems"]] == ["[123].data.outcome", "[456].id"]
    assert bed.store.head(caller.origin).size == 0


def test_a_push_is_read_by_all_processes_side_by_side(caller: Caller, bed: Bed, readers: Watched) -> None:
    before = readers.given
    assert caller.push(large()).status_code == 201
    assert readers.given == before + 2


def test_a_push_that_cannot_be_cut_where_it_seems_is_read_whole(caller: Caller, readers: Watched) -> None:
    values = large()
    for value in values:
        value["data"] = {**value["data"], "principal": "},{" * 200}
    body = json.dumps(values).encode()
    push = Arrived(body, JSON, "", COUNT, False)
    parts = list(pieces(push, cuts(push, 2, LARGE)))
    with pytest.raises(MalformedInput):
        read_push(parts[0], os.urandom)
    before = readers.given
    answer = caller.post("/events", body, JSON)
    assert answer.status_code == 201, answer.text
    assert readers.given == before + len(parts) + 1 == before + 3, "both pieces, and the whole"
    assert caller.get("/events/0").json()["event"] == values[0]


def test_too_many_events_in_pieces_are_too_many(caller: Caller, bed: Bed, readers: Watched) -> None:
    most = bed.pipeline.policy.max_push
    body = b"\n".join(json.dumps(access).encode() for access in accesses(range(3 * most)))
    before = readers.given
    assert_problem(caller.post("/events", body, "application/x-ndjson"), 413)
    assert readers.given - before < 2 / 3 * len(body) / PIECE, "no more are read than show it"
    assert bed.store.head(caller.origin).size == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * LARGE, 400),
        (json.dumps(accesses(range(COUNT))).encode()[:-1], 400),
        (json.dumps([{}] * 10_001).encode() + b" " * LARGE, 413),
        (b'{"a": "' + b"\xff" * LARGE + b'"}', 400),
    ],
    ids=["deep", "cut off", "too many", "not UTF-8"],
)
def test_what_is_out_of_form_is_refused(caller: Caller, body: bytes, status: int) -> None:
    assert_problem(caller.post("/events", body, JSON), status)


def test_a_push_whose_reader_is_killed_is_read_all_the_same(
    caller: Caller, readers: Watched, bed: Bed
) -> None:
    future = Pool.submit(readers, os.getpid)
    assert future is not None
    os.kill(future.result(), signal.SIGKILL)
    for round in range(3):
        assert caller.push(large(round * COUNT)).status_code == 201
    readers.wait()  # others have taken its place
    assert caller.push(large(3 * COUNT)).status_code == 201
    assert bed.store.head(caller.origin).size == 4 * COUNT


REFUSED = {
    "out of form": (json.dumps(accesses(range(COUNT))).encode()[:-1], MalformedInput),
    "too many": (json.dumps([{}] * 10_001).encode() + b" " * LARGE, TooLarge),
    "one is not valid": (json.dumps([*accesses(range(COUNT)), {}]).encode(), InvalidEvent),
    "in lines": (
        b"\n".join([*[json.dumps(it).encode() for it in accesses(range(COUNT))], b"{"]),
        MalformedInput,
    ),
}


@pytest.mark.parametrize(("body", "why"), REFUSED.values(), ids=REFUSED)
def test_the_body_of_a_refused_push_is_freed_at_once(
    bed: Bed, readers: Watched, body: bytes, why: type[LedgerError]
) -> None:
    """What waits for the collector of garbage is room that was given back, and is not there."""
    services, log = made_services(bed.pipeline, None, readers=readers), bed.store.log(bed.create_log())
    media = b"application/x-ndjson" if body.startswith(b"{") else JSON.encode()
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", media)]}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def push() -> None:
        with pytest.raises(why):
            async with accepted(Request(scope, receive), services, log):
                pass

    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        asyncio.run(push())
        gc.collect()
        held = [part for it in gc.garbage for part in gc.get_referents(it)]
        assert [part[:40] for part in held if isinstance(part, bytes) and len(part) >= LARGE] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_what_is_given_up_is_not_cancelled_in_the_processes(bed: Bed, readers: Watched) -> None:
    """CPython 3.11's executor forgets all others when it comes to one that was, after the loss of a process."""
    pending: Future[Any] = Future()

    class Slow(Pool):
        def submit(self, function: Any) -> Any:
            readers.submit(os.getpid)  # as every test here
            return pending

    services = made_services(bed.pipeline, None, readers=Slow(2))
    arrived = Arrived(b"[]", JSON, "", COUNT, False)

    async def give_up() -> None:
        reading = asyncio.create_task(_read_apart(arrived, services))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert reading.cancelled()

    asyncio.run(give_up())
    assert not pending.cancelled()
