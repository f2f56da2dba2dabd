"""What is told of requests: a log line, a span and an id for each, without anything that a caller could put in.

A line has the method, the route's template, the status, how long it took, and the request's id, which the answer
carries as `X-Request-Id`. Paths, queries, headers and addresses are not in it: they may name persons.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import structlog
from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.services import of_app

log = structlog.get_logger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask every few seconds: told at debug level only, while the answer is good."""


_IDS = random.Random()  # noqa: S311  # an id is no secret, and of the system's bytes each draw is a system call


def route_of(scope: Scope) -> str:
    """The template of the route that a request went to, such as `/v1/logs/{log}/events`; `other` for none."""
    return getattr(scope.get("route"), "path_format", "other")


class RequestTelemetry:
    """ASGI middleware that tells of every HTTP request. `refuse` makes the answer for a defect."""

    def __init__(self, app: ASGIApp, refuse: Callable[[Request, Exception], Response]) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, answer = time.perf_counter(), _Answer(send, stopping=of_app(scope).stopping.is_set())
        method = scope["method"] if scope["method"] in METHODS else "other"
        span = of_app(scope).tracer.span(method, {"http.request.method": method}, parent=_parent(scope))
        with structlog.contextvars.bound_contextvars(request=answer.id), span as told:
            try:
                await self._app(scope, receive, answer.send)
            except Exception as error:
                if answer.status:  # too late for another answer: the connection breaks
                    raise
                await self._refuse(Request(scope), error)(scope, receive, answer.send)
            finally:
                route, status = route_of(scope), answer.status
                told.tell({"http.route": route, "http.response.status_code": status}, f"{method} {route}")
                duration = round((time.perf_counter() - begun) * 1000, 1)
                tell = log.debug if route in QUIET and 0 < status < 400 else log.info
                tell("request", method=method, route=route, status=status, ms=duration)


class _Answer:
    """An answer on its way: takes note of its status (0 until it begins), and adds headers."""

    def __init__(self, send: Send, *, stopping: bool) -> None:
        self.id = f"{_IDS.getrandbits(64):016x}"
        self.status = 0
        self._send = send
        self._headers = [(b"x-request-id", self.id.encode())]
        if stopping:  # so that the caller goes elsewhere before the connection is closed
            self._headers.append((b"connection", b"close"))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)


def _parent(scope: Scope) -> dict[str, str]:
    """The caller's place in a trace. `tracestate` stays behind: a caller could write anything into it."""
    found = [value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"]
    return {"traceparent": found[0]} if len(found) == 1 else {}
