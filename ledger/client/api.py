"""The requests of the API about one log, as steps (`ledger.client.steps`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from ledger import canonical
from ledger.canonical import Value
from ledger.client.pushes import PushAnswer, Ready, read_answer
from ledger.client.retries import Retries, exchange
from ledger.client.steps import Reply, Request, Steps
from ledger.disclosure import Disclosure, parse_disclosures
from ledger.errors import InputError, MalformedInput
from ledger.note import VerifierKey
from ledger.types import Origin, Position

PAGE = 1000
"""Events of one page of a list, at most."""


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """An entry as the ledger lists it: nothing of it is shown to be true yet."""

    entry: bytes
    disclosures: tuple[Disclosure, ...]


class Api:
    """The API of a ledger about the log `origin`.

    Every operation raises InputError or AccessError where it is refused, and Unavailable where there was no answer
    after all tries.

    Args:
        key: the log's verifier key, from a source that the user trusts; receipts are held against it.
    """

    def __init__(self, origin: Origin, key: VerifierKey | None, retries: Retries) -> None:
        self.origin = origin
        self.key = key
        self._retries = retries
        self._log = f"/v1/logs/{origin}"

    def push(self, ready: Ready) -> Steps[PushAnswer]:
        """Push, and hold the answer against what was sent. Raises as `read_answer`, too."""
        headers = {"Content-Type": ready.media}
        reply = yield from self._ask(
            Request("POST", f"{self._log}/events", content=ready.body, headers=headers)
        )
        return read_answer(reply.content, ready, self.origin, self.key)

    def proof(self, position: Position, show: str | None) -> Steps[bytes]:
        """The proof document of an event. `show` names members to disclose, by commas; None for all there are."""
        parameters = {} if show is None else {"show": show}
        reply = yield from self._ask(self._get(f"{self._log}/events/{position}/proof", parameters))
        return reply.content

    def entries(self, first: Position, count: int) -> Steps[list[ListedEntry]]:
        """The entries at `count` positions from `first` on, with what the key may see disclosed; as the ledger says."""
        found: list[ListedEntry] = []
        while len(found) < count:
            after = first + len(found) - 1
            parameters: dict[str, Any] = {"limit": min(PAGE, count - len(found))}
            if after >= 0:
                parameters["after"] = after
            page = yield from self.get(f"{self._log}/events", parameters)
            items = _entries(page)
            if not items:
                raise InputError("the ledger lists fewer events than it has", expected=count, got=len(found))
            found += items
        return found[:count]

    def evidence(self, since: str, until: str, out: IO[bytes]) -> Steps[None]:
        """Write the evidence package of a period to `out`."""
        yield from self.download(f"{self._log}/evidence", {"from": since, "to": until}, out)

    def get(self, path: str, parameters: Mapping[str, Any]) -> Steps[Any]:
        """The JSON at a path of the API."""
        reply = yield from self._ask(self._get(path, parameters))
        try:
            return canonical.parse(reply.content)
        except MalformedInput:
            raise InputError("what answers is no ledger", advice="Is the URL right?") from None

    def download(self, path: str, parameters: Mapping[str, Any], out: IO[bytes]) -> Steps[None]:
        """Write what the API answers at a path to `out`."""
        yield from self._ask(self._get(path, parameters, out))

    def _ask(self, request: Request) -> Steps[Reply]:
        return exchange(request, self._retries)

    @staticmethod
    def _get(path: str, parameters: Mapping[str, Any], out: IO[bytes] | None = None) -> Request:
        return Request("GET", path, _of_parameters(parameters), out=out)


def _of_parameters(parameters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Query parameters: a list is a parameter that is repeated."""
    return tuple(
        (name, str(one).lower() if isinstance(one, bool) else str(one))
        for name, value in parameters.items()
        for one in (value if isinstance(value, list) else [value])
    )


def _entries(page: Value) -> list[ListedEntry]:
    try:
        match page:
            case {"items": list(items)}:
                return [_entry(item) for item in items]
    except MalformedInput:
        pass
    raise InputError("what answers is no ledger", advice="Is the URL right?")


def _entry(item: Value) -> ListedEntry:
    match item:
        case {"entry": str(entry), "disclosures": list(texts)}:
            return ListedEntry(entry.encode(), tuple(parse_disclosures(list(map(str, texts)))))
    raise MalformedInput("not an event of a list")
