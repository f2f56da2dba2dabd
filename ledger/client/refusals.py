"""Problem documents (RFC 9457), as the errors of `ledger.errors` that they were."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from ledger import errors
from ledger.client.steps import Reply
from ledger.errors import AccessError, InputError, LedgerError, TooLarge, Unavailable, VerificationError

_TYPE = "urn:transfer-ledger:problem:"
_KNOWN = ("type", "title", "status", "detail", "expected", "got", "advice")
_STOPPED = frozenset({"integrity-error", "history-forked"})
"""Problems of a ledger that has stopped: only its operator can help."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was refused; whether it may be made `again`, and `after` how many seconds at the earliest."""

    error: LedgerError
    again: bool
    after: float | None = None


def read_refusal(reply: Reply, now: float) -> Refusal:
    """What an answer that is not good means. `now` is Unix seconds, for a `Retry-After` that names a date."""
    problem = _problem(reply.content)
    name = str(problem.get("type", "")).removeprefix(_TYPE)
    error = _kind(reply.status, name)(
        str(problem.get("detail") or problem.get("title") or f"HTTP {reply.status}"),
        expected=problem.get("expected"),
        got=problem.get("got"),
        advice=str(problem.get("advice", "")),
        details={member: value for member, value in problem.items() if member not in _KNOWN},
    )
    again = isinstance(error, Unavailable) and name not in _STOPPED
    return Refusal(error, again, _seconds(reply.headers.get("retry-after", ""), now))


def _problem(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _kind(status: int, name: str) -> type[LedgerError]:
    """The error of that name, if it is one that a refusal of this status can be; else the status's own."""
    general: type[LedgerError] = InputError
    if status in (401, 403):
        general = AccessError
    elif status == 413:  # of a proxy before the ledger, too
        general = TooLarge
    elif status >= 500 or status == 429:
        general = Unavailable
    named = _NAMED.get(name, general)
    return named if issubclass(named, general) else general


def _errors(kind: type[LedgerError]) -> Iterator[type[LedgerError]]:
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__ and not issubclass(below, VerificationError):
            yield below
            yield from _errors(below)


_NAMED = {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower(): kind for kind in _errors(LedgerError)}
"""The errors by the names of their problems (docs/spec.md 14.3)."""


def _seconds(text: str, now: float) -> float | None:
    """What `Retry-After` says (RFC 9110 §10.2.3): seconds, or a date."""
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
