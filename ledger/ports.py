"""What the pipeline asks of the world. Each port promises behaviour; one suite per port holds every adapter to it.

Adapters raise the errors named here and no others: a database or node that does not answer is `StoreUnavailable` or
`ChainUnavailable`, with nothing half done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ledger.anchor import Anchor, AnchoredBatch, ContractRef
from ledger.batch import BatchHeader
from ledger.entry import Phase
from ledger.merkle import Node, NodeId
from ledger.note import VerifierKey
from ledger.records import (
    AccessRecord,
    Anchoring,
    ApiKey,
    Committed,
    ConflictAttempt,
    EventFilter,
    Log,
    LogHead,
    Paper,
    Party,
    PartyKey,
    Projected,
    PushSignature,
    SealedBatch,
    SnapshotPlace,
    SnapshotRecord,
    StoredCheckpoint,
    StoredReceipt,
    TransferFact,
    ViewFilter,
)
from ledger.types import BatchNo, Digest, LogId, Origin, PartyId, Position


class Clock(Protocol):
    """The time. Read once per operation and passed on."""

    def now(self) -> int:
        """Unix milliseconds, UTC."""
        ...


class Signer(Protocol):
    """A log's Ed25519 key pair."""

    @property
    def key(self) -> VerifierKey: ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032 §5.1.6)."""
        ...


class Keyring(Protocol):
    """The key pairs of this ledger's logs."""

    def signer(self, origin: Origin) -> Signer:
        """Raises NotFound if this ledger does not hold the log's key."""
        ...

    def create(self, origin: Origin) -> Signer:
        """Make the log's key pair, durable before this returns; the one that is there already if there is one."""
        ...


class LogTransaction(Protocol):
    """Exclusive work on one log: everything becomes durable together when the block ends, or nothing does."""

    @property
    def head(self) -> LogHead:
        """Where the log stood when the block began; nobody else moves it until the block ends."""
        ...

    def find(self, keys: Sequence[Digest]) -> dict[Digest, Committed]:
        """The events with these keys (`ledger.entry.event_key`), by key; keys that are not there are left out."""
        ...

    def append(self, events: Sequence[Committed], *receipts: StoredReceipt) -> None:
        """Append events, at least one, whose positions follow the head without gap, with the receipts that cover them.

        Each receipt is of one push; together they tile the events in order. At most once in a block.

        Raises IntegrityError if the positions do not follow, the receipts are for others, or a key is there already.
        After any failed write the block cannot commit any more, even if it catches the error.
        """
        ...

    def keep_signature(self, signature: PushSignature) -> None:
        """Keep the party's signature over a push that `append` has taken in this block.

        Raises IntegrityError unless it is for the events of that push's receipt.
        """
        ...

    def keep_conflicts(self, attempts: Sequence[ConflictAttempt]) -> None:
        """Keep refused attempts (I3)."""
        ...

    def leaves(self, start: Position, stop: Position) -> list[bytes]:
        """Leaf hashes of positions `start` to `stop − 1`, in order. Raises IntegrityError if one is missing."""
        ...

    def received(self, position: Position) -> int:
        """When the event at `position` was received. Raises NotFound."""
        ...

    def nodes(self, ids: Sequence[NodeId]) -> list[Digest]:
        """Perfect subtrees of the log tree, in the order asked. Raises IntegrityError if one is missing."""
        ...

    def add_batch(self, header: BatchHeader, nodes: Sequence[Node]) -> None:
        """Add the next batch and the log tree's nodes that its header completes.

        Raises IntegrityError unless the header is the next: its number and first leaf follow the head.
        """
        ...

    def save_anchoring(self, anchoring: Anchoring) -> None:
        """Insert the attempt, or update the one with the same `first` and `attempt`.

        Raises IntegrityError if a batch is not there, or the attempt was for another number of them.
        """
        ...

    def add_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Keep a signed checkpoint. The same size again with the same text is nothing; with another, IntegrityError."""
        ...


class Store(Protocol):
    """Everything durable. All methods may be called from several threads and processes at once.

    Raises:
        StoreUnavailable: the database is away, locked for too long, read-only, full or damaged. Nothing was changed,
            but for one case: if the connection is lost during a commit, nobody knows. The same call may be repeated.
        IntegrityError: a stored row cannot be read.
        NotFound: there is no log of that origin.
    """

    # The registers. Adding what is there already and equal changes nothing; unequal raises AlreadyExists.
    def add_party(self, party: Party) -> None: ...
    def party(self, id: PartyId) -> Party:
        """Raises NotFound."""
        ...

    def parties(self) -> list[Party]: ...
    def add_party_key(self, key: PartyKey) -> None:
        """Raises NotFound if the party is not registered."""
        ...

    def end_party_key(self, key: PartyKey, at: int) -> None:
        """End the validity of a key at a time. An end that is set is never moved. Raises NotFound."""
        ...

    def party_keys(self, party: PartyId) -> list[PartyKey]:
        """By the begin of their validity."""
        ...

    def add_log(self, log: Log) -> None:
        """Raises NotFound if the log's party is not registered."""
        ...

    def log(self, origin: Origin) -> Log:
        """Raises NotFound."""
        ...

    def logs(self) -> list[Log]: ...
    def add_api_key(self, key: ApiKey) -> None:
        """Raises NotFound if the key's party or log is not registered."""
        ...

    def api_key(self, id: str) -> ApiKey:
        """Raises NotFound."""
        ...

    def api_keys(self) -> list[ApiKey]: ...
    def revoke_api_key(self, id: str, now: int) -> None:
        """Raises NotFound; revoking twice keeps the first time."""
        ...

    # Writing to a log.
    def writing(self, origin: Origin) -> AbstractContextManager[LogTransaction]:
        """Exclusive work on a log, across processes. Commits at the end, durably; rolls back on any exception.

        Raises NotFound if there is no such log.
        """
        ...

    # Reading a log; each call sees one consistent state.
    def head(self, origin: Origin) -> LogHead: ...
    def event(self, origin: Origin, position: Position) -> Committed:
        """Raises NotFound."""
        ...

    def events(
        self, origin: Origin, which: EventFilter, after: Position | None, limit: int
    ) -> list[Committed]:
        """Events that match, in order of position, those after `after` only, at most `limit`."""
        ...

    def events_at(self, origin: Origin, positions: Sequence[Position]) -> list[Committed]:
        """The events at these positions, in order; positions at which there is none are left out."""
        ...

    def scan(self, origin: Origin, start: Position, stop: Position) -> Iterator[Committed]:
        """All events from `start` to `stop − 1` in order, streamed in bounded memory."""
        ...

    def leaves(self, origin: Origin, start: Position, stop: Position) -> list[bytes]:
        """As `LogTransaction.leaves`."""
        ...

    def receipt(self, origin: Origin, position: Position) -> StoredReceipt:
        """The receipt that covers a position. Raises NotFound."""
        ...

    def receipts(self, origin: Origin) -> Iterator[StoredReceipt]:
        """All receipts in order, streamed."""
        ...

    def signature(self, origin: Origin, position: Position) -> PushSignature | None:
        """The signature over the push that brought the event at a position; None if its party did not sign it."""
        ...

    def signatures(self, origin: Origin, start: Position, stop: Position) -> Iterator[PushSignature]:
        """Those over pushes that brought one or more of the events `start` to `stop − 1`, in order, streamed."""
        ...

    def conflicts(self, origin: Origin) -> list[ConflictAttempt]: ...
    def batches(self, origin: Origin, start: BatchNo, stop: BatchNo) -> list[SealedBatch]:
        """Batches `start` to `stop − 1` that exist, in order, each with its newest anchoring."""
        ...

    def batch_at(self, origin: Origin, position: Position) -> SealedBatch | None:
        """The batch that holds a position, or None while it is not sealed."""
        ...

    def nodes(self, origin: Origin, ids: Sequence[NodeId]) -> list[Digest]:
        """As `LogTransaction.nodes`."""
        ...

    def scan_nodes(self, origin: Origin) -> Iterator[Node]:
        """All stored nodes of the log tree, by level and index."""
        ...

    def anchorings(
        self, origin: Origin, after: tuple[BatchNo, int] | None = None, limit: int | None = None
    ) -> list[Anchoring]:
        """Attempts by first batch and attempt: those behind the two in `after`, at most `limit`; by default all."""
        ...

    def newest_anchorings(self, origin: Origin, limit: int) -> list[Anchoring]:
        """The `limit` attempts that were begun last, by first batch and attempt."""
        ...

    def attempts(self, origin: Origin, first: BatchNo) -> list[Anchoring]:
        """All attempts that begin with a batch."""
        ...

    def checkpoint(self, origin: Origin) -> StoredCheckpoint | None:
        """The newest."""
        ...

    def checkpoints(self, origin: Origin) -> list[StoredCheckpoint]:
        """All, by size."""
        ...

    # Projections: derived views, which can be dropped and made again. Until they have taken in as many events again,
    # reading them is StoreUnavailable: nobody must take for all there is what is being made.
    def projected(self, origin: Origin) -> Position:
        """How many events, from the first, the projections have taken in."""
        ...

    def project(self, origin: Origin, start: Position, stop: Position, projected: Projected) -> None:
        """Add what events `start` to `stop − 1` give, and move `projected` to `stop`, together.

        Does nothing if `projected` is not `start`: another worker was first.
        """
        ...

    def drop_projections(self, origin: Origin) -> None:
        """Drop all rows, and set `projected` to 0. They are whole again once as many events are taken in as were."""
        ...

    def projections_digest(self, origin: Origin) -> Digest:
        """SHA-256 over all rows of the projections. The same for the same events, on every database."""
        ...

    def accesses(
        self, origin: Origin, which: ViewFilter, after: Position | None, limit: int
    ) -> list[AccessRecord]:
        """Accesses that match, in order of position, those after `after` only, at most `limit`.

        Costs as much as the page, however many accesses there are and however many filters.
        """
        ...

    def accesses_by_time(
        self, origin: Origin, which: ViewFilter, after: tuple[int, Position] | None, limit: int
    ) -> list[AccessRecord]:
        """Accesses that match, in order of time and position, those after this one only, at most `limit`."""
        ...

    def snapshots(
        self, origin: Origin, which: ViewFilter, after: Position | None, limit: int
    ) -> list[SnapshotRecord]:
        """Permission snapshots that match, in order of position, those after `after` only, at most `limit`."""
        ...

    def newest_snapshot(self, origin: Origin, which: ViewFilter) -> Position | None:
        """The one of the snapshots that match that was captured last, and of those the one of the last position."""
        ...

    def snapshots_by_capture(
        self, origin: Origin, after: tuple[int, Position] | None, limit: int
    ) -> list[SnapshotRecord]:
        """Snapshots in order of capture and position, those after this one only, at most `limit`."""
        ...

    def snapshots_of(self, origin: Origin, resource: str) -> list[SnapshotPlace]:
        """The snapshots of a resource (`ledger.permissions.resource_key`), in order of capture and position."""
        ...

    def transfers(self, origin: Origin, after: str | None, limit: int) -> list[str]:
        """The transfers of a log by name, in the order of code points, those after `after` only, at most `limit`."""
        ...

    def facts(self, origin: Origin, subjects: Sequence[str]) -> list[TransferFact]:
        """What is said of these transfers, or of all (`LOG_WIDE`); by key."""
        ...

    def papers(self, origin: Origin, subject: str, kinds: Iterable[str], each: int) -> list[Position]:
        """Where the newest papers of a transfer are, at most `each` of each of these kinds, in order of position."""
        ...

    def parties_of(self, origin: Origin, after: PartyId | None, limit: int) -> list[Party]:
        """The parties of a log by id, those after `after` only, at most `limit`.

        They are the one that it belongs to, those that ever got an API key on it, and those that said something in it.
        """
        ...

    def party_of(self, origin: Origin, id: PartyId) -> Party:
        """One of the parties of a log. Raises NotFound, for a party of other logs as for one that there is not."""
        ...

    def scan_papers(self, origin: Origin) -> Iterator[Paper]:
        """All papers of a log, streamed, by transfer, kind and position."""
        ...

    def timeline(
        self,
        origin: Origin,
        subject: str,
        phase: Phase | None,
        types: Sequence[str],
        after: tuple[int, Position] | None,
        limit: int,
    ) -> list[Committed]:
        """Events of a transfer, of any of `types` if there are some, in order of time and position, at most `limit`.

        Those after this time and position only.
        """
        ...

    def self_check(self) -> Iterator[str]:
        """What the database itself finds wrong: broken pages, indexes, references, register rows. Nothing if sound."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ChainSize:
    """What the contract holds of a log."""

    batches: int
    leaves: int


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction that can be sent any number of times and takes effect at most once."""

    hash: Digest
    raw: bytes


@dataclass(frozen=True, slots=True)
class TransactionOutcome:
    """A transaction that is in a block; `succeeded` is False if it reverted."""

    succeeded: bool
    block_number: int
    block_hash: Digest


class Chain(Protocol):
    """One `TransferLog` contract, read and written through one node.

    Raises:
        ChainUnavailable: no answer, another chain id than expected, or no contract at the address.
    """

    @property
    def contract(self) -> ContractRef: ...

    def check(self) -> None:
        """Raise ChainUnavailable unless the node answers, is the expected chain and has the contract."""
        ...

    def block_number(self) -> int:
        """Number of the newest block."""
        ...

    def size_of(self, log: LogId) -> ChainSize | None:
        """None if the log is not registered."""
        ...

    def root_of(self, log: LogId) -> Digest:
        """The contract's root of the log tree. Raises AnchorRefuted if the log is not registered."""
        ...

    def batch_of(self, log: LogId, batch_no: BatchNo) -> AnchoredBatch:
        """Raises AnchorRefuted if the contract has no such batch."""
        ...

    def anchored_in(self, tx_hash: Digest, log: LogId, batch_no: BatchNo) -> Anchor | None:
        """Where this transaction anchored this batch by this contract; None if it did not, or is not known."""
        ...

    def find_anchor(self, log: LogId, batch_no: BatchNo) -> Anchor | None:
        """Where the batch was anchored, looked for among the contract's `BatchAnchored` events."""
        ...

    def outcome(self, tx_hash: Digest) -> TransactionOutcome | None:
        """None while the transaction is in no block of the node's chain."""
        ...


class Anchorer(Protocol):
    """The operator's hand on the contract: signs and sends `anchor` transactions."""

    def sign_anchor(self, headers: Sequence[BatchHeader]) -> SignedTransaction:
        """Sign, but do not send, one transaction that anchors these consecutive batches of one log.

        It takes the account's next nonce, so of two signed for the same nonce only one can take effect.
        Raises AnchorRefuted if the contract would refuse it, naming the contract's error.
        """
        ...

    def send(self, transaction: SignedTransaction) -> bool:
        """Hand it to the node. Sending again what is known already is nothing.

        Answers False if it can never take effect: its nonce has been used by another transaction.
        """
        ...


class Registrar(Protocol):
    """The registrar's hand on the contract."""

    def register_log(self, origin: Origin, operator: str) -> None:
        """Register a log with its operator's address. Nothing if it is so already; AlreadyExists if it differs."""
        ...
