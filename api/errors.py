"""The one map from errors to HTTP, as problem documents (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.schemas import Problem
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


_TEXTS = {
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
    return {status: {"model": Problem, "description": _TEXTS[status]} for status in statuses}


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
    app.add_exception_handler(errors.LedgerError, _ledger_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)


def problem(
    status: int, kind: str, title: str, headers: dict[str, str] | None = None, **members: Any
) -> JSONResponse:
    """A problem document of the type `urn:transfer-ledger:problem:<kind>`."""
    body = {"type": f"urn:transfer-ledger:problem:{kind}", "title": title, "status": status}
    body |= {name: value for name, value in members.items() if value not in (None, "")}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def _nearest(error: errors.LedgerError, table: Mapping[type[errors.LedgerError], T], default: T) -> T:
    return next((table[kind] for kind in type(error).__mro__ if kind in table), default)


def _ledger_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.LedgerError)
    status = _nearest(error, _STATUS, HTTPStatus.BAD_REQUEST)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("refused", path=request.url.path, error=str(error))
    name = type(error).__name__
    return problem(
        status,
        re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower(),
        re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize(),
        _nearest(error, _HEADERS, {}),
        detail=error.message,
        expected=_text(error.expected),
        got=_text(error.got),
        advice=error.advice,
        **error.details,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # The input itself is left out: it may be personal.
    problems = [{"at": ".".join(map(str, e["loc"])), "problem": e["msg"]} for e in error.errors()]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-parameter",
        "Invalid parameter",
        detail=f"{problems[0]['at']}: {problems[0]['problem']}" if problems else None,
        problems=problems,
    )


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    advice = "See /docs for what there is." if status is HTTPStatus.NOT_FOUND else None
    headers = dict(error.headers or {})
    return problem(status, status.name.lower().replace("_", "-"), status.phrase, headers, advice=advice)


def _defect(request: Request, error: Exception) -> JSONResponse:
    log.error("defect", path=request.url.path, exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal-server-error",
        "A defect of the ledger",
        advice="Nothing was acknowledged. Please report it with the time of the request.",
    )
