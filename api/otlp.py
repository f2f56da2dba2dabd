"""OTLP over HTTP: the body of a request within limits, and every answer in the encoding of its request.

That goes for errors, too: where the rest of the API answers with problem documents, OTLP wants a `google.rpc.Status`
(OTLP specification, "OTLP/HTTP Response"). Statuses are the same; what a sender may repeat says when.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from api import errors
from api.gunzip import Gunzip
from ledger.errors import TooLarge, UnsupportedMedia
from ledger.otlp import Read, protobuf, protojson

MAX_BYTES = 20 * 1024 * 1024
"""Of a body, and of what it unpacks to: the limit that OTLP recommends."""
RETRY_SECONDS = "2"
"""Exporters give a request up after ten seconds by default, the time between their attempts included."""


class Encoding(Protocol):
    """A module that reads and writes OTLP's messages."""

    def read_logs(self, body: bytes, /) -> Iterator[Read]: ...
    def export_response(self, rejected: int, message: str, /) -> bytes: ...
    def status(self, message: str, /) -> bytes: ...


ENCODINGS: Mapping[str, Encoding] = {"application/x-protobuf": protobuf, "application/json": protojson}


@dataclass(frozen=True, slots=True)
class Sent:
    """The body of a request, unpacked, and its media type."""

    media: str
    body: bytes

    @property
    def encoding(self) -> Encoding:
        return ENCODINGS[self.media]


async def sent(request: Request) -> Sent:
    """What was sent, refused as soon as it is longer than `MAX_BYTES`, packed or unpacked."""
    media, coding = media_of(request), request.headers.get("content-encoding", "identity").strip().lower()
    if media not in ENCODINGS:
        raise UnsupportedMedia(
            "a body of a type that is not taken", expected=" or ".join(ENCODINGS), got=media[:80] or "none"
        )
    if coding not in ("identity", "gzip"):
        raise UnsupportedMedia("an encoding that is not taken", expected="gzip, or no Content-Encoding")
    gunzip = Gunzip() if coding == "gzip" else None
    chunks, packed, size = [], 0, 0
    async for chunk in request.stream():
        packed += len(chunk)
        chunks.append(gunzip.feed(chunk, MAX_BYTES + 1 - size) if gunzip else chunk)
        size += len(chunks[-1])
        if max(packed, size) > MAX_BYTES:
            raise TooLarge("a body that is too large", expected=f"at most {MAX_BYTES} bytes, unpacked")
    if gunzip:
        gunzip.end()
    return Sent(media, b"".join(chunks))


Body = Annotated[Sent, Depends(sent)]


def media_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class OtlpRoute(APIRoute):
    """A route whose errors are answered in the encoding of the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is answered, and told to the operator
                return refuse(request, error)

        return answer


def refuse(request: Request, error: Exception) -> Response:
    """The answer to an error: a `google.rpc.Status`, but a problem document for an encoding that is not OTLP's."""
    encoding = ENCODINGS.get(media := media_of(request))
    if encoding is None:
        return errors.refuse(request, error)
    refusal = errors.refusal_of(error)
    errors.tell(request, error, refusal)
    said = [refusal.title, *(refusal.members.get(name) for name in ("detail", "expected", "got", "advice"))]
    headers = dict(refusal.headers)
    if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = RETRY_SECONDS
    message = ". ".join(str(part) for part in said if part)
    return Response(encoding.status(message), refusal.status, headers, media_type=media)
