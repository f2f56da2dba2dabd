"""The client of the API: what it repeats, what it gives up on, and what it says then."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chains import free_port
from support.http import Answer, Script, answer, scripted
from support.ledgers import Bed, access, accesses, serving

from ledger.client import AsyncClient, Client, Retries
from ledger.errors import (
    AccessError,
    Conflict,
    Forbidden,
    InputError,
    InvalidEvent,
    MalformedInput,
    NotFound,
    NotSigned,
    Pending,
    StoreUnavailable,
    TooLarge,
    Unavailable,
)
from ledger.evidence import check_package
from ledger.proof import parse_proof
from ledger.records import Scope
from ledger.types import Digest, Origin, Position

ORIGIN = Origin("ledger.example/acme-live")
FAST = Retries(first=0.001)
LEAF = Digest.of(b"leaf").base64


def pushed(*statuses: str) -> dict[str, Any]:
    return {
        "events": [
            {"source": "/s", "id": str(n), "status": status, "position": n, "leaf": LEAF, "receipt": 0}
            for n, status in enumerate(statuses)
        ],
        "receipts": ["note"],
    }


PUSHED = pushed("accepted", "duplicate")


@contextmanager
def client_of(*answers: Answer, retries: Retries = FAST) -> Iterator[tuple[Client, Script]]:
    with (
        scripted(*answers) as script,
        Client(script.url, "key", ORIGIN, timeout=5, retries=retries) as client,
    ):
        yield client, script


def test_a_push_is_summed_up() -> None:
    with client_of(answer(201, PUSHED)) as (client, script):
        summary = client.push_lines(b"{}\n")
    assert (summary.accepted, summary.duplicates, summary.receipts) == (1, 1, ("note",))
    [request] = script.asked
    assert request.startswith(b"POST /v1/logs/ledger.example/acme-live/events ")
    assert b"authorization: bearer key" in request.lower()
    assert request.endswith(b"\r\n\r\n{}\n")


# --- Repetition ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure", [answer(503, {}), answer(500, b"oops"), answer(429, {}), b"", b"HTTP/1.1 2"]
)
def test_what_may_pass_is_tried_again(failure: bytes) -> None:
    with client_of(failure, failure, answer(200, PUSHED)) as (client, script):
        assert client.push_lines(b"{}\n").accepted == 1
    assert len(script.asked) == 3
    assert len(set(script.asked)) == 1, "the very same request"


def test_what_does_not_pass_is_given_up_and_told() -> None:
    problem = {"title": "x", "detail": "the chain is away", "advice": "Wait."}
    with (
        client_of(*[answer(503, problem)] * 20) as (client, script),
        pytest.raises(Unavailable) as caught,
    ):
        client.push_lines(b"{}\n")
    assert len(script.asked) == FAST.tries
    assert (caught.value.message, caught.value.advice) == ("the chain is away", "Wait.")


def test_a_ledger_that_says_when_is_not_asked_before() -> None:
    with client_of(answer(503, {}, Retry_After="1"), answer(200, PUSHED)) as (client, script):
        start = time.monotonic()
        client.push_lines(b"{}\n")
    assert time.monotonic() - start >= 1
    assert len(script.asked) == 2


def test_a_ledger_that_asks_for_more_patience_than_there_is_is_not_asked_again() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for told in ("3600", date):
        with client_of(answer(429, {}, Retry_After=told)) as (client, script), pytest.raises(Unavailable):
            client.push_lines(b"{}\n")
        assert len(script.asked) == 1


@pytest.mark.parametrize(
    "told", ["soon", "-5", "1.5", "9" * 400, "", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 99 Jan 1970"]
)
def test_a_time_that_is_none_or_over_does_not_hold_up(told: str) -> None:
    with client_of(answer(503, {}, Retry_After=told), answer(200, PUSHED)) as (client, script):
        client.push_lines(b"{}\n")
    assert len(script.asked) == 2


@pytest.mark.parametrize("name", ["integrity-error", "history-forked"])
def test_a_ledger_that_has_stopped_is_not_asked_again(name: str) -> None:
    problem = {"type": f"urn:transfer-ledger:problem:{name}", "detail": "stopped"}
    with client_of(answer(503, problem)) as (client, script), pytest.raises(Unavailable, match="stopped"):
        client.push_lines(b"{}\n")
    assert len(script.asked) == 1


@given(
    st.builds(Retries, tries=st.integers(1, 100), first=st.floats(0, 10), longest=st.floats(0, 100)),
    st.integers(1, 200),
    st.none() | st.floats(0, 1000),
    st.floats(0, 1, exclude_max=True),
)
def test_pauses_are_bounded_and_never_shorter_than_told(
    retries: Retries, failures: int, told: float | None, chance: float
) -> None:
    pause = retries.pause(failures, told, chance)
    if failures >= retries.tries or (told is not None and told > retries.longest):
        assert pause is None
    else:
        assert pause is not None
        assert (told or 0) <= pause <= retries.longest


def test_pauses_grow_and_differ_by_chance() -> None:
    retries = Retries(tries=10, first=1, longest=10)
    assert [retries.pause(n, None, 0.0) for n in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]
    assert [retries.pause(n, None, 0.5) for n in range(1, 4)] == [0.75, 1.5, 3]


def test_nobody_there_is_unavailable() -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with Client(away, "key", ORIGIN, retries=Retries(tries=2, first=0.001)) as client:
        with pytest.raises(Unavailable, match="no answer"):
            client.push_lines(b"{}\n")
        with pytest.raises(Unavailable, match="no answer"):
            client.evidence("a", "b", io.BytesIO())


# --- Refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InputError),
        (401, AccessError),
        (403, AccessError),
        (404, InputError),
        (409, InputError),
        (422, InputError),
    ],
)
def test_a_refusal_is_told_at_once_with_its_details(status: int, kind: type[Exception]) -> None:
    problem = {
        "detail": "no",
        "expected": "a",
        "got": "b",
        "problems": [{"at": "[0].id", "problem": "missing"}],
    }
    with client_of(answer(status, problem)) as (client, script), pytest.raises(kind) as caught:
        client.push_lines(b"{}\n")
    assert len(script.asked) == 1
    error: Any = caught.value
    assert (error.message, error.expected, error.got) == ("no", "a", "b")
    assert error.details == {"problems": problem["problems"]}


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "malformed-input", MalformedInput),
        (403, "forbidden", Forbidden),
        (404, "not-found", NotFound),
        (409, "conflict", Conflict),
        (409, "pending", Pending),
        (413, "too-large", TooLarge),
        (422, "invalid-event", InvalidEvent),
        (422, "not-signed", NotSigned),
        (503, "store-unavailable", StoreUnavailable),
        (422, "signature-refuted", InputError),
        (422, "of-another-version", InputError),
        (404, "store-unavailable", InputError),
        (503, "conflict", Unavailable),
    ],
)
def test_a_problem_is_the_error_that_it_was_if_its_status_says_so(
    status: int, name: str, kind: type[Exception]
) -> None:
    problem = {"type": f"urn:transfer-ledger:problem:{name}", "detail": "no"}
    with (
        client_of(answer(status, problem), retries=Retries(tries=1)) as (client, _),
        pytest.raises(kind) as caught,
    ):
        client.push_lines(b"{}\n")
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b"\xff", b'{"type": 7, "detail": []}'])
def test_a_refusal_in_another_form_is_still_an_error_of_ours(body: bytes) -> None:
    with (
        client_of(answer(404, body, "text/html")) as (client, _),
        pytest.raises(InputError, match="HTTP 404"),
    ):
        client.push_lines(b"{}\n")


@pytest.mark.parametrize("body", [b"", b"not json", b"{}", b"[]", b"null"])
def test_a_success_that_makes_no_sense_is_an_error_of_ours(body: bytes) -> None:
    with client_of(*[answer(200, body)] * 20) as (client, _), pytest.raises(InputError, match="no ledger"):
        client.push_lines(b"{}\n")


def test_evidence_that_breaks_off_is_not_taken_for_whole() -> None:
    cut = answer(200, b"x" * 1000, "application/zip")[:-500]
    with client_of(cut, answer(200, b"")) as (client, script), pytest.raises(Unavailable):
        client.evidence("a", "b", io.BytesIO())
    assert len(script.asked) == 1, "what was written already is the reader's to throw away"


def test_evidence_is_asked_for_again_while_nothing_of_it_has_come() -> None:
    out = io.BytesIO()
    with client_of(answer(503, {}), answer(200, b"zip", "application/zip")) as (client, _):
        client.evidence("a", "b", out)
    assert out.getvalue() == b"zip"


def test_a_redirect_is_not_followed_with_the_key() -> None:
    with scripted() as other, client_of(answer(307, b"", Location=f"{other.url}/x")) as (client, _):
        with pytest.raises(InputError, match="HTTP 307"):
            client.push_lines(b"{}\n")
        assert other.asked == []


def test_a_key_of_another_log_is_refused_before_anything_is_sent(bed: Bed, origin: Origin) -> None:
    with pytest.raises(MalformedInput, match="another log"):
        Client("http://127.0.0.1:1", "key", ORIGIN, key=bed.key(origin))


# --- A real ledger ------------------------------------------------------------------------------------------------


def test_a_real_ledger_is_pushed_to_and_read(bed: Bed, origin: Origin) -> None:
    key = bed.api_key(origin, Scope.PUSH, Scope.READ, Scope.DISCLOSE)
    lines = b"".join(json.dumps(value).encode() + b"\n" for value in accesses(range(5)))
    with serving(bed) as url, Client(url, key, origin) as client:
        first, again = client.push_lines(lines), client.push_lines(lines)
        assert (first.accepted, again.duplicates, first.receipts) == (5, 5, again.receipts)
        bed.settle(origin)
        assert len(parse_proof(client.proof(Position(3), "principal")).disclosures) == 1
        with io.BytesIO() as file:
            client.evidence("2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", file)
            assert check_package(file, bed.key(origin)).events_in_period == 5


def test_entries_are_read_page_by_page(bed: Bed, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.client.api.PAGE", 3)
    bed.push(origin, *range(8))
    key = bed.api_key(origin, Scope.READ, Scope.DISCLOSE)
    stored = list(bed.store.scan(origin, Position(0), Position(8)))
    with serving(bed) as url, Client(url, key, origin) as client:
        for first, count in ((0, 8), (2, 5), (7, 1), (0, 0)):
            listed = client.entries(Position(first), count)
            assert [(it.entry, tuple(d.text for d in it.disclosures)) for it in listed] == [
                (event.entry, event.disclosures) for event in stored[first : first + count]
            ]
        with pytest.raises(InputError, match="fewer"):
            client.entries(Position(5), 9)


def test_the_asynchronous_client_does_the_same(bed: Bed, origin: Origin) -> None:
    key = bed.api_key(origin, Scope.PUSH, Scope.READ, Scope.DISCLOSE)

    async def use(url: str) -> None:
        async with AsyncClient(url, key, origin, key=bed.key(origin)) as client:
            answers = await asyncio.gather(*(client.push([access(n)]) for n in range(8)))
            assert sorted(event.position for made in answers for event in made.events) == list(range(8))
            bed.settle(origin)
            assert parse_proof(await client.proof(Position(0), "")).disclosures == ()
            assert len(await client.entries(Position(0), 8)) == 8
            assert (await client.get("/v1/logs", {}))[0]["party"] == "acme"
            with io.BytesIO() as file:
                await client.evidence("2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", file)
                assert check_package(file, bed.key(origin)).events_in_period == 8
            with pytest.raises(InvalidEvent):
                await client.push([access(1, phase="later")])

    with serving(bed) as url:
        asyncio.run(use(url))


def test_the_asynchronous_client_repeats_alike() -> None:
    async def use(url: str) -> Any:
        async with AsyncClient(url, "key", ORIGIN, retries=FAST) as client:
            return await client.get("/v1/logs", {})

    with scripted(b"", answer(503, {}), answer(200, b"[]", "application/json")) as script:
        assert asyncio.run(use(script.url)) == []
    assert len(script.asked) == 3
    with scripted(*[answer(503, {})] * 9) as script, pytest.raises(Unavailable):
        asyncio.run(use(script.url))
