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

from ledger import errors

log = structlog.get_logger(__name__)

T = TypeVar("T")
MEDIA_TYPE = "application/problem+json"

_STATUS: dict[type[errors.LedgerError], HTTPStatus] = {
    errors.MalformedInput: HTTPStatus.BAD_REQUEST,
    errors.InvalidEvent: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
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
}


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
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
