"""`Client` and `AsyncClient`: the operations of `ledger.client.api`, run to their ends."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack

import httpx

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.client.api import Api, ListedEntry
from ledger.client.delivery import Delivered, deliver, deliver_batch
from ledger.client.outbox import Outbox
from ledger.client.pushes import PushAnswer, Ready, events_ready, lines_ready, salted, signed_ready
from ledger.client.retries import Retries
from ledger.client.steps import Steps, run, run_async
from ledger.disclosure import SALT_BYTES
from ledger.errors import MalformedInput
from ledger.note import VerifierKey
from ledger.types import Origin, Position

if TYPE_CHECKING:
    from ledger.ports import Signer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PushSummary:
    """Counts of one push, and its receipts (signed notes)."""

    accepted: int
    duplicates: int
    receipts: tuple[str, ...]

    @classmethod
    def of(cls, answer: PushAnswer) -> Self:
        return cls(answer.accepted, answer.duplicates, tuple(receipt.note for receipt in answer.receipts))


class Options(TypedDict, total=False):
    """What may be told to a client beside where the ledger is.

    `key` is the log's verifier key, from a source that you trust: receipts are held against it
    (`ledger.client.pushes`). With `signer`, the party's key pair, pushes are salted here and signed. `timeout` is in
    seconds, for one answer.
    """

    key: VerifierKey | None
    signer: Signer | None
    timeout: float
    retries: Retries | None


def signed_events(events: Iterable[Value], origin: Origin, signer: Signer) -> Ready:
    """A push of these events, salted here and signed. Raises InvalidEvent for an envelope out of form."""
    statements = [salted(event, lambda: secrets.token_bytes(SALT_BYTES)) for event in events]
    return signed_ready(statements, origin, signer)


class _Setup:
    """What both clients are made of, less the way to the network."""

    def __init__(self, url: str, api_key: str, origin: Origin, **options: Unpack[Options]) -> None:
        key = options.get("key")
        if key is not None and key.name != origin:
            raise MalformedInput("the key is another log's", expected=origin, got=key.name)
        self.api = Api(origin, key, options.get("retries") or Retries())
        self.signer = options.get("signer")
        try:
            self.base_url = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise MalformedInput("not the URL of a ledger", got=str(error)) from None
        self.headers = {"Authorization": f"Bearer {api_key}"}
        self.timeout = options.get("timeout", 60.0)

    def ready(self, events: Iterable[Value]) -> Ready:
        return (
            events_ready(events)
            if self.signer is None
            else signed_events(events, self.api.origin, self.signer)
        )

    def ready_lines(self, lines: bytes) -> Ready:
        if self.signer is None and self.api.key is None:
            return lines_ready(lines)
        return self.ready([canonical.parse(line) for line in lines.split(b"\n") if line.strip()])


class Client:
    """One log behind the API at `url`, reached with an API key. Close it, or use it in a `with`.

    Every operation raises InputError or AccessError where the ledger refuses it (nothing was taken then), and
    Unavailable where there is no answer after all tries; a push can then be made again, whole. A push raises
    VerificationError, too: for a receipt that does not hold.
    """

    def __init__(self, url: str, api_key: str, origin: Origin, **options: Unpack[Options]) -> None:
        self._setup = made = _Setup(url, api_key, origin, **options)
        self._http = httpx.Client(base_url=made.base_url, headers=made.headers, timeout=made.timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @property
    def api(self) -> Api:
        return self._setup.api

    @property
    def signer(self) -> Signer | None:
        return self._setup.signer

    def run(self, steps: Steps[T]) -> T:
        """Run an operation of several requests to its end."""
        return run(steps, self._http)

    def push(self, events: Iterable[Object]) -> PushAnswer:
        """Push events, all or none. Pushing again what was not answered is safe: the ledger takes an event once."""
        return self.run(self.api.push(self._setup.ready(events)))

    def push_lines(self, lines: bytes) -> PushSummary:
        """Push NDJSON, one event a line."""
        return PushSummary.of(self.run(self.api.push(self._setup.ready_lines(lines))))

    def flush(self, outbox: Outbox) -> Delivered:
        """Push what waits in an outbox, in its order (`ledger.client.delivery`); what is not answered stays there."""
        return self.run(deliver(outbox, self.api, self.signer))

    def flush_batch(self, outbox: Outbox) -> Delivered | None:
        """As `flush`, one batch; None if nothing waits."""
        return self.run(deliver_batch(outbox, self.api, self.signer))

    def proof(self, position: Position, show: str | None) -> bytes:
        """The proof document of an event. See `Api.proof`."""
        return self.run(self.api.proof(position, show))

    def entries(self, first: Position, count: int) -> list[ListedEntry]:
        """The entries at `count` positions from `first` on. See `Api.entries`."""
        return self.run(self.api.entries(first, count))

    def evidence(self, since: str, until: str, out: IO[bytes]) -> None:
        """Write the evidence package of a period to `out`."""
        self.run(self.api.evidence(since, until, out))

    def get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """The JSON at a path of the API."""
        return self.run(self.api.get(path, parameters))

    def download(self, path: str, parameters: Mapping[str, Any], out: IO[bytes]) -> None:
        """Write what the API answers at a path to `out`."""
        self.run(self.api.download(path, parameters, out))


class AsyncClient:
    """As `Client`, for asyncio: in an `async with`, each operation awaited."""

    def __init__(self, url: str, api_key: str, origin: Origin, **options: Unpack[Options]) -> None:
        self._setup = made = _Setup(url, api_key, origin, **options)
        self._http = httpx.AsyncClient(base_url=made.base_url, headers=made.headers, timeout=made.timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    @property
    def api(self) -> Api:
        return self._setup.api

    @property
    def signer(self) -> Signer | None:
        return self._setup.signer

    async def run(self, steps: Steps[T]) -> T:
        """As `Client.run`."""
        return await run_async(steps, self._http)

    async def push(self, events: Iterable[Object]) -> PushAnswer:
        """As `Client.push`."""
        return await self.run(self.api.push(self._setup.ready(events)))

    async def flush(self, outbox: Outbox) -> Delivered:
        """As `Client.flush`."""
        return await self.run(deliver(outbox, self.api, self.signer))

    async def proof(self, position: Position, show: str | None) -> bytes:
        """As `Client.proof`."""
        return await self.run(self.api.proof(position, show))

    async def entries(self, first: Position, count: int) -> list[ListedEntry]:
        """As `Client.entries`."""
        return await self.run(self.api.entries(first, count))

    async def evidence(self, since: str, until: str, out: IO[bytes]) -> None:
        """As `Client.evidence`."""
        await self.run(self.api.evidence(since, until, out))

    async def get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """As `Client.get`."""
        return await self.run(self.api.get(path, parameters))
