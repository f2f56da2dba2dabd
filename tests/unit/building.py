"""Small real logs for tests: events, keys, batches, checkpoints and what an honest contract would answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.anchor import Anchor, AnchoredBatch, ContractRef
from ledger.batch import BatchHeader, close_batch
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.disclosure import Disclosure
from ledger.entry import Event, parse_event
from ledger.merkle import BatchTree, NodeId, append_nodes, leaf_hash, log_inclusion, log_root
from ledger.note import VerifierKey
from ledger.proof import Proof
from ledger.statement import Statement, commit_event, make_entry
from ledger.types import BatchNo, Digest, Origin, PartyId, Position, log_id

ORIGIN = Origin("ledger.example/acme-live")
OTHER_ORIGIN = Origin("ledger.example/other-live")
PARTY = PartyId("acme")
RECEIVED = 1_795_449_602_123
CONTRACT = ContractRef(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 key pair under a name, the same for the same seed."""

    key: VerifierKey
    sign: Callable[[bytes], bytes]


def key_pair(name: str = ORIGIN, seed: int = 1) -> KeyPair:
    private = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))
    return KeyPair(VerifierKey(name, private.public_key().public_bytes_raw()), private.sign)


def event_value(n: int = 1, **changes: Any) -> dict[str, Any]:
    """One valid CloudEvent as JSON; a change of None takes the member away."""
    value = {
        "specversion": "1.0",
        "id": f"a-{n}",
        "source": "/s3/eu-west-1",
        "type": "transfer-ledger.access.v1",
        "subject": "live-2026-07-01",
        "time": "2026-07-01T12:00:00Z",
        "phase": "storage",
        "data": {"principal": f"arn:aws:iam::111122223333:user/u{n}", "count": n, "outcome": "allowed"},
        **changes,
    }
    return {name: member for name, member in value.items() if member is not None}


def event(n: int = 1, **changes: Any) -> Event:
    return parse_event(event_value(n, **changes))


def salts(start: int = 0) -> Callable[[], bytes]:
    """16 bytes that differ at each call."""
    counter = itertools.count(start + 1)
    return lambda: Digest.of(b"salt %d" % next(counter))[:16]


def statement(n: int = 1, visible: frozenset[str] = frozenset({"outcome"}), **changes: Any) -> Statement:
    return commit_event(event(n, **changes), visible, salts(1000 * n))


@dataclass
class History:
    """A log with all its batches, as its store would hold it, and its contract."""

    origin: Origin = ORIGIN
    signer: KeyPair = field(default_factory=key_pair)
    entries: list[list[bytes]] = field(default_factory=list)
    disclosures: list[list[tuple[Disclosure, ...]]] = field(default_factory=list)
    headers: list[BatchHeader] = field(default_factory=list)
    nodes: dict[NodeId, Digest] = field(default_factory=dict)
    anchored: dict[int, AnchoredBatch] = field(default_factory=dict)
    anchors: dict[int, Anchor] = field(default_factory=dict)

    def add(self, entries: Sequence[bytes], disclosures: Sequence[tuple[Disclosure, ...]]) -> None:
        """Seal and anchor one batch of these entries."""
        number = len(self.headers)
        first = self.headers[-1].end if self.headers else Position(0)
        closed_at = RECEIVED // 1000 + number
        leaves = [leaf_hash(entry) for entry in entries]
        header = close_batch(log_id(self.origin), BatchNo(number), first, leaves, closed_at)
        for node in append_nodes(number, header.leaf, self.read):
            self.nodes[node.level, node.index] = node.hash
        self.entries.append(list(entries))
        self.disclosures.append(list(disclosures))
        self.headers.append(header)
        self.anchored[number] = AnchoredBatch(header.root, first, len(leaves), closed_at, closed_at + 5)
        self.anchors[number] = Anchor(
            CONTRACT, Digest.of(b"transaction %d" % number), 100 + number, Digest.of(b"block %d" % number)
        )

    def read(self, ids: Sequence[NodeId]) -> list[Digest]:
        return [self.nodes[id] for id in ids]

    def checkpoint(self, size: int | None = None) -> str:
        size = len(self.headers) if size is None else size
        head = Checkpoint(self.origin, size, log_root(size, self.read))
        return sign_checkpoint(head, self.signer.key, self.signer.sign)

    def prove(self, batch: int, index: int, size: int | None = None) -> Proof:
        """The proof of one event with all its disclosures, under the head of `size` batches."""
        size = len(self.headers) if size is None else size
        return Proof(
            entry=self.entries[batch][index],
            disclosures=self.disclosures[batch][index],
            header=self.headers[batch],
            batch_index=index,
            batch_path=BatchTree([leaf_hash(entry) for entry in self.entries[batch]]).path(index),
            log_index=batch,
            log_path=log_inclusion(batch, size, self.read),
            checkpoint=self.checkpoint(size),
            anchor=self.anchors[batch],
        )


def history(sizes: Sequence[int], origin: Origin = ORIGIN, seed: int = 1) -> History:
    """A log whose batches have these sizes."""
    made = History(origin, key_pair(origin, seed))
    numbers = itertools.count(1)
    for size in sizes:
        statements = [statement(next(numbers)) for _ in range(size)]
        made.add(
            [make_entry(s, origin, PARTY, RECEIVED + n) for n, s in enumerate(statements)],
            [s.disclosures for s in statements],
        )
    return made
