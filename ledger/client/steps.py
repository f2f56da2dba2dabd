"""What the client does, apart from how: once as steps, run by a synchronous and an asynchronous runner.

An operation is a generator of what it wants of the world, a request sent or a pause made, and returns its result::

    def operation() -> Steps[int]:
        reply = yield Send(Request("GET", "/v1/logs"))
        ...
        yield Pause(0.5)
        return 7

A runner sends the reply into it. A request that was not answered comes back as `Unavailable`, thrown into it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias, TypeVar

import httpx

from ledger.errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request below the ledger's address. With `out`, a good answer's body is written there as it comes."""

    method: str
    path: str
    parameters: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    out: IO[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `content` is empty where it was written to a request's `out`."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Send:
    request: Request


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


class BrokenOff(Unavailable):
    """An answer that ended before its end, after some of it was written: only its reader can begin anew."""


Step: TypeAlias = Send | Pause
Steps: TypeAlias = Generator[Step, Reply | None, T]


def run(steps: Steps[T], http: httpx.Client) -> T:
    """Run an operation to its end."""
    reply: Reply | Unavailable | None = None
    while True:
        ended, step = _advance(steps, reply)
        if ended:
            return step  # type: ignore[no-any-return]
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            reply = None
        else:
            reply = _send(http, step.request)


async def run_async(steps: Steps[T], http: httpx.AsyncClient) -> T:
    """As `run`. What happens between the steps may wait for a disk, so it has a thread of its own."""
    reply: Reply | Unavailable | None = None
    while True:
        ended, step = await asyncio.to_thread(_advance, steps, reply)
        if ended:
            return step  # type: ignore[no-any-return]
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            reply = None
        else:
            reply = await _send_async(http, step.request)


def _advance(steps: Steps[Any], reply: Reply | Unavailable | None) -> tuple[bool, Any]:
    """The next step, or the result; whether it is the result stands first."""
    try:
        step = steps.throw(reply) if isinstance(reply, Unavailable) else steps.send(reply)
    except StopIteration as end:
        return True, end.value
    return False, step


def _send(http: httpx.Client, request: Request) -> Reply | Unavailable:
    written = False
    try:
        with http.stream(*_how(request)[0], **_how(request)[1]) as answer:
            if request.out is None or not answer.is_success:
                return _reply(answer, answer.read())
            for chunk in answer.iter_bytes():
                written = bool(request.out.write(chunk)) or written
            return _reply(answer, b"")
    except httpx.RequestError as error:
        return _silent(http.base_url, error, written=written)


async def _send_async(http: httpx.AsyncClient, request: Request) -> Reply | Unavailable:
    written = False
    try:
        async with http.stream(*_how(request)[0], **_how(request)[1]) as answer:
            if request.out is None or not answer.is_success:
                return _reply(answer, await answer.aread())
            async for chunk in answer.aiter_bytes():
                written = bool(request.out.write(chunk)) or written
            return _reply(answer, b"")
    except httpx.RequestError as error:
        return _silent(http.base_url, error, written=written)


def _how(request: Request) -> tuple[tuple[str, str], dict[str, Any]]:
    return (request.method, request.path), {
        "params": list(request.parameters),
        "content": request.content,
        "headers": dict(request.headers),
    }


def _reply(answer: httpx.Response, content: bytes) -> Reply:
    return Reply(answer.status_code, answer.headers, content)


def _silent(url: httpx.URL, error: httpx.RequestError, *, written: bool) -> Unavailable:
    kind = BrokenOff if written else Unavailable
    return kind(
        f"no answer from {url}",
        got=str(error)[:200] or type(error).__name__,
        advice="Is the ledger running there? What was pushed can be pushed again.",
    )
