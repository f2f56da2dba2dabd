"""The one map from errors to HTTP, as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.requests import RequestTelemetry, route_of
from api.schemas import Problem
from api.services import of_app
from ledger import errors

log = structlog.get_logger(__name__)

T = TypeVar("T")
MEDIA_TYPE = "application/problem+json"

_STATUS: dict[type[errors.LedgerError], HTTPStatus] = {
    errors.MalformedInput: HTTPStatus.BAD_REQUEST,
    errors.InvalidEvent: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotSigned: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.AlreadyExists: HTTPStatus.CONFLICT,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Pending: HTTPStatus.CONFLICT,
    errors.UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.VerificationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IntegrityError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
_HEADERS: dict[type[errors.LedgerError], dict[str, str]] = {
    errors.Unauthenticated: {"WWW-Authenticate": 'Bearer realm="transfer-ledger"'},
    errors.Pending: {"Retry-After": "5"},
    errors.Unavailable: {"Retry-After": "5"},
    errors.Overloaded: {"Retry-After": "1"},
}


TEXTS = {
    400: "Out of form",
    401: "No valid API key",
    403: "The API key does not reach this far",
    404: "No such thing",
    405: "Another method",
    408: "The body did not come in time",
    409: "A conflict with what stands, or not anchored yet",
    413: "Over a limit",
    415: "A media type that is not taken",
    422: "Refused; the members name the places",
    503: "Try again later; nothing was lost",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of these problem answers, for a router or route."""
    return {status: {"model": Problem, "description": TEXTS[status]} for status in statuses}


def _as_problems(document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI files every documented model under application/json; problems have a media type of their own."""
    reference = {"$ref": "#/components/schemas/Problem"}
    for path in document["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                content = answer.get("content", {})
                kinds = [kind for kind, body in content.items() if body.get("schema") == reference]
                for kind in kinds:
                    content[MEDIA_TYPE] = content.pop(kind)
    return document


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document, and its documentation say so."""
    describe = app.openapi
    app.openapi = lambda: _as_problems(describe())  # type: ignore[method-assign]
    for kind in (errors.LedgerError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, refuse)
    app.add_middleware(RequestTelemetry, refuse=refuse)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is answered for an error: the members of a problem document, and the HTTP headers."""

    status: HTTPStatus
    kind: str
    title: str
    members: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def refuse(request: Request, error: Exception) -> JSONResponse:
    """The answer to an error: a problem document of the type `urn:transfer-ledger:problem:<kind>`."""
    refusal = refusal_of(error)
    tell(request, error, refusal)
    body = {
        "type": f"urn:transfer-ledger:problem:{refusal.kind}",
        "title": refusal.title,
        "status": refusal.status,
        **{name: value for name, value in refusal.members.items() if value not in (None, "")},
    }
    return JSONResponse(body, refusal.status, refusal.headers, media_type=MEDIA_TYPE)


def tell(request: Request, error: Exception, refusal: Refusal) -> None:
    """Count a refusal, and log what is the ledger's own trouble."""
    of_app(request.scope).meter.refused(refusal.kind, error)
    if refusal.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("defect", route=route_of(request.scope), exc_info=error)
    elif refusal.status > HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("refused", route=route_of(request.scope), error=str(error))


def refusal_of(error: Exception) -> Refusal:
    """What is answered for an error."""
    if isinstance(error, errors.LedgerError):
        return _ledger_error(error)
    if isinstance(error, RequestValidationError):
        return _validation_error(error)
    if isinstance(error, HTTPException):
        return _http_error(error)
    return Refusal(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal-server-error",
        "A defect of the ledger",
        {"advice": "Nothing was acknowledged. Please report it with the answer's X-Request-Id."},
    )


def _nearest(error: errors.LedgerError, table: Mapping[type[errors.LedgerError], T], default: T) -> T:
    return next((table[kind] for kind in type(error).__mro__ if kind in table), default)


def _ledger_error(error: errors.LedgerError) -> Refusal:
    members = {
        "detail": error.message,
        "expected": _text(error.expected),
        "got": _text(error.got),
        "advice": error.advice,
        **error.details,
    }
    return Refusal(
        _nearest(error, _STATUS, HTTPStatus.BAD_REQUEST),
        error.kind,
        error.kind.replace("-", " ").capitalize(),
        members,
        _nearest(error, _HEADERS, {}),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _validation_error(error: RequestValidationError) -> Refusal:
    # The input itself is left out: it may be personal.
    problems = [{"at": ".".join(map(str, e["loc"])), "problem": e["msg"]} for e in error.errors()]
    detail = f"{problems[0]['at']}: {problems[0]['problem']}" if problems else None
    return Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-parameter",
        "Invalid parameter",
        {"detail": detail, "problems": problems},
    )


def _http_error(error: HTTPException) -> Refusal:
    status = HTTPStatus(error.status_code)
    advice = "See /docs for what there is." if status is HTTPStatus.NOT_FOUND else None
    kind = status.name.lower().replace("_", "-")
    return Refusal(status, kind, status.phrase, {"advice": advice}, error.headers or {})
