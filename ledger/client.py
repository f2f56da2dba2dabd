"""A client of the API: push, prove, fetch evidence. Safe to repeat: the ledger takes an event once (I3)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Self

import httpx

from ledger.errors import AccessError, InputError, LedgerError, Unavailable
from ledger.types import Origin, Position

TRIES = 6
"""How often a request is made while the ledger answers that it should be repeated, or does not answer."""


@dataclass(frozen=True, slots=True)
class PushSummary:
    """Counts of one push, and its receipts (signed notes)."""

    accepted: int
    duplicates: int
    receipts: tuple[str, ...]


class Client:
    """One log behind the API at `url`, reached with an API key.

    Args:
        wait: seconds before the first repetition; doubled each time.
    """

    def __init__(
        self, url: str, api_key: str, origin: Origin, *, timeout: float = 60.0, wait: float = 0.25
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout)
        self._log = f"/v1/logs/{origin}"
        self._wait = wait

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def push_lines(self, lines: bytes) -> PushSummary:
        """Push NDJSON, one event a line.

        Raises:
            InputError: refused; nothing of it was taken. `details` are the problem document's members.
            AccessError: the key does not allow it.
            Unavailable: no answer after `TRIES` times; push the same lines again.
        """
        answer = self._request(
            "POST", f"{self._log}/events", content=lines, headers={"Content-Type": "application/x-ndjson"}
        )
        try:
            body = answer.json()
            statuses = [event["status"] for event in body["events"]]
            receipts = tuple(map(str, body["receipts"]))
        except (ValueError, KeyError, TypeError):
            raise self._no_ledger() from None
        accepted = statuses.count("accepted")
        return PushSummary(accepted, len(statuses) - accepted, receipts)

    def proof(self, position: Position, show: str | None) -> bytes:
        """The proof document of an event. Raises as `push_lines` does."""
        parameters = {} if show is None else {"show": show}
        return self._request("GET", f"{self._log}/events/{position}/proof", params=parameters).content

    def evidence(self, since: str, until: str, out: IO[bytes]) -> None:
        """Write the evidence package of a period to `out`. Raises as `push_lines` does."""
        self.download(f"{self._log}/evidence", {"from": since, "to": until}, out)

    def get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """The JSON at a path of the API. Raises as `push_lines` does."""
        answer = self._request("GET", path, params=_of_parameters(parameters))
        try:
            return answer.json()
        except ValueError:
            raise self._no_ledger() from None

    def download(self, path: str, parameters: Mapping[str, Any], out: IO[bytes]) -> None:
        """Write what the API answers at a path to `out`. Raises as `push_lines` does."""
        with self._stream("GET", path, params=_of_parameters(parameters)) as answer:
            for chunk in answer.iter_bytes():
                out.write(chunk)

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        wait = self._wait
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._http.request(method, path, **arguments)
            except httpx.TransportError as error:
                failure: LedgerError = self._silent(error)
            else:
                if answer.is_success:
                    return answer
                failure = _refusal(answer)
            if not isinstance(failure, Unavailable) or attempt == TRIES:
                raise failure
            time.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")

    @contextmanager
    def _stream(self, method: str, path: str, **arguments: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream(method, path, **arguments) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                yield answer
        except httpx.TransportError as error:
            raise self._silent(error) from None

    def _no_ledger(self) -> InputError:
        return InputError(f"what answers at {self._http.base_url} is no ledger", advice="Is the URL right?")

    def _silent(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(
            f"no answer from {self._http.base_url}",
            got=str(error)[:200],
            advice="Is the ledger running there? What was pushed can be pushed again.",
        )


def _of_parameters(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Query parameters: a list is a parameter that is repeated."""
    return [
        (name, str(one).lower() if isinstance(one, bool) else str(one))
        for name, value in parameters.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def _refusal(answer: httpx.Response) -> LedgerError:
    try:
        body = answer.json()
        problem: dict[str, Any] = body if isinstance(body, dict) else {}
    except ValueError:
        problem = {}
    kind: type[LedgerError] = InputError
    if answer.status_code in (401, 403):
        kind = AccessError
    elif answer.status_code >= 500 or answer.status_code == 429:
        kind = Unavailable
    known = ("type", "title", "status", "detail", "expected", "got", "advice")
    return kind(
        problem.get("detail") or problem.get("title") or f"HTTP {answer.status_code}",
        expected=problem.get("expected"),
        got=problem.get("got"),
        advice=problem.get("advice", ""),
        details={name: value for name, value in problem.items() if name not in known},
    )
