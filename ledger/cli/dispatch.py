"""How events leave: signed or not, with receipts checked or not, through an outbox or straight."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import typer

from ledger import canonical
from ledger.bootstrap import party_signer
from ledger.cli.shared import err, read_key, require_api_key
from ledger.client import Client, Delivered, Outbox, PushSummary
from ledger.errors import MalformedInput, Unavailable
from ledger.ports import Signer
from ledger.settings import PREFIX
from ledger.types import Origin, PartyId, parse_party_id

LogKeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar=f"{PREFIX}LOG_KEY",
        help="The log's verifier key, or a file that holds it: receipts are held against it.",
    ),
]
SignOption = Annotated[
    Path | None,
    typer.Option(
        "--sign", envvar=f"{PREFIX}SIGN", help="File with the party's private key: pushes are signed with it."
    ),
]
SigningPartyOption = Annotated[
    str | None,
    typer.Option("--party", envvar=f"{PREFIX}PARTY", help="The party's id, for --sign with --url."),
]
OutboxOption = Annotated[
    Path | None,
    typer.Option(
        "--outbox",
        envvar=f"{PREFIX}OUTBOX",
        help="With --url: keep the events in this file until they are delivered against checked receipts.",
    ),
]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What the options above were given; a command that does not have them takes their variables."""

    key: str | None = None
    sign: Path | None = None
    party: str | None = None
    outbox: Path | None = None

    @classmethod
    def from_environment(cls) -> Self:
        key, sign, party, outbox = (
            os.environ.get(PREFIX + name) or None for name in ("LOG_KEY", "SIGN", "PARTY", "OUTBOX")
        )
        return cls(key, Path(sign) if sign else None, party, Path(outbox) if outbox else None)

    def signer(self, party: PartyId | None = None) -> Signer | None:
        """Who signs; of the party named, else of `party`."""
        if self.sign is None:
            return None
        named = parse_party_id(self.party) if self.party else party
        if named is None:
            raise MalformedInput("a key of nobody", expected="--party beside --sign")
        return party_signer(self.sign, named)

    def client(self, url: str, api_key: str | None, origin: Origin) -> Client:
        key = read_key(self.key) if self.key else None
        return Client(url, require_api_key(api_key), origin, key=key, signer=self.signer())

    @contextmanager
    def target(self, url: str, api_key: str | None, origin: Origin) -> Iterator[Client | OutboxTarget]:
        """Where to push, by way of the API at `url`."""
        with ExitStack() as stack:
            client = stack.enter_context(self.client(url, api_key, origin))
            if self.outbox is None:
                yield client
                return
            if self.key is None:
                raise MalformedInput(
                    "an outbox without a key", expected="--key: receipts are held against it"
                )
            outbox = stack.enter_context(Outbox(self.outbox, origin, signed=self.sign is not None))
            target = OutboxTarget(outbox, client)
            yield target
            target.finish()


class OutboxTarget:
    """Events go into an outbox first, and from there to the ledger while it answers."""

    def __init__(self, outbox: Outbox, client: Client) -> None:
        self._outbox = outbox
        self._client = client
        self._silence: Unavailable | None = None

    def push_lines(self, lines: bytes) -> PushSummary:
        """Put NDJSON in, and deliver what waits; once the ledger is away, only put in."""
        self._outbox.put([canonical.parse(line) for line in lines.split(b"\n") if line.strip()])
        delivered = Delivered()
        try:
            while self._silence is None and (more := self._client.flush_batch(self._outbox)) is not None:
                delivered = delivered.plus(more)
        except Unavailable as error:
            self._silence = error
        return PushSummary(delivered.accepted, delivered.duplicates, delivered.receipts)

    def finish(self) -> None:
        """Tell what is left. Raises Unavailable if the ledger was away."""
        tell_what_is_left(self._outbox)
        if self._silence is not None:
            raise self._silence


def tell_what_is_left(outbox: Outbox) -> None:
    """On standard error: what waits, and what was set aside."""
    status = outbox.status()
    if status.waiting:
        err.print(f"{status.waiting} event(s) wait in {outbox.path}: outbox flush", markup=False)
    if status.set_aside:
        err.print(
            f"{status.set_aside} event(s) are set aside in {outbox.path}: outbox set-aside", markup=False
        )
