"""What the store keeps, as values. Times are Unix milliseconds unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ledger.anchor import ContractRef
from ledger.batch import BatchHeader
from ledger.entry import Phase
from ledger.types import BatchNo, Digest, Origin, PartyId, Position


class Role(StrEnum):
    """What a party does (shared vocabulary of the party register)."""

    PLATFORM = "platform"
    STREAMER = "streamer"
    MCN = "mcn"
    CDN = "cdn"
    PAYMENT = "payment"
    PLUGIN_DEVELOPER = "plugin-developer"
    RECIPIENT = "recipient"
    AUDITOR = "auditor"
    CERTIFIER = "certifier"
    REGULATOR = "regulator"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation. `country` is ISO 3166-1 alpha-2."""

    id: PartyId
    name: str
    role: Role
    country: str


@dataclass(frozen=True, slots=True)
class PartyKey:
    """An Ed25519 key with which a party signs, from `valid_from` on and before `valid_until` (None: without end).

    `verifier_key` is a signed note's verifier key named after the party. A key is ended, never removed: what it signed
    while it was valid stays signed.
    """

    party: PartyId
    verifier_key: str
    valid_from: int
    valid_until: int | None = None

    def is_valid(self, at: int) -> bool:
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


@dataclass(frozen=True, slots=True)
class Log:
    """A log as it was created. `verifier_key` is the text of the key that signs its notes (`ledger.note`).

    `opaque` says that it takes types that the catalogue does not know (`ledger.catalogue.OpaqueType`),
    `require_signature` that it takes only pushes that their party has signed (`ledger.push`).
    """

    origin: Origin
    party: PartyId
    verifier_key: str
    contract: ContractRef
    created: int
    opaque: bool = False
    require_signature: bool = False


class Scope(StrEnum):
    """What an API key allows on its log."""

    PUSH = "push"
    READ = "read"
    """Entries, proofs and lists, without the disclosed members."""
    DISCLOSE = "disclose"
    """The disclosed members too."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer key, bound to a party and a log. `secret_hash` is SHA-256 of its 256-bit random secret."""

    id: str
    secret_hash: Digest
    party: PartyId
    origin: Origin
    scopes: frozenset[Scope]
    created: int
    revoked: int | None = None


class Committed(NamedTuple):
    """An event as it stands in the log for ever, with the disclosures that have not been erased.

    `entry` are the committed bytes and `leaf` their leaf hash; `disclosures` are base64url texts (`ledger.disclosure`).
    The other members repeat what the entry says, to find it by.
    """

    position: Position
    leaf: Digest
    entry: bytes
    disclosures: Sequence[str]
    key: Digest
    type: str
    phase: Phase
    subject: str
    time: int
    party: PartyId
    received: int

    @property
    def size(self) -> int:
        """Bytes of the entry and its disclosures."""
        return len(self.entry) + sum(map(len, self.disclosures))


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt as it was given: covers positions `first` to `first + count − 1`. `note` is the signed text."""

    first: Position
    count: int
    note: str


@dataclass(frozen=True, slots=True)
class PushSignature:
    """A party's signature over a push (`ledger.push`), with the `count` events from `first` on that were new in it.

    `note` is the signed text; `leaves` are the leaf hashes of all the push's statements, those of other events too.
    """

    first: Position
    count: int
    note: str
    leaves: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class ConflictAttempt:
    """A refused attempt to push other content under a known `(source, id)` (I3), kept like an entry."""

    position: Position
    """Of the event that stands."""
    entry: bytes
    disclosures: Sequence[str]
    received: int


@dataclass(frozen=True, slots=True)
class LogHead:
    """Where a log stands: `size` events, of which the first `sealed` are in the first `batches` batches.

    `last_received` is the newest event's (0 in an empty log); `last_closed` the newest batch's, in Unix seconds.
    """

    size: Position
    last_received: int
    batches: BatchNo
    sealed: Position
    last_closed: int


class AnchorState(StrEnum):
    """sealed (no anchoring yet) → intended → sent → mined → final; mined or final → reorged; any → failed.

    After `reorged` or `failed` the same batches are intended again, as a further attempt.
    """

    INTENDED = "intended"
    SENT = "sent"
    MINED = "mined"
    FINAL = "final"
    REORGED = "reorged"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether this attempt can no longer anchor its batches."""
        return self in (AnchorState.REORGED, AnchorState.FAILED)


@dataclass(frozen=True, slots=True)
class Anchoring:
    """One attempt to anchor batches `first` to `first + count − 1` with one transaction.

    `raw_tx` is the signed transaction, kept before it is sent. `block_number` and `block_hash` are set once mined.
    """

    first: BatchNo
    count: int
    attempt: int
    state: AnchorState
    tx_hash: Digest
    raw_tx: bytes
    updated: int
    block_number: int | None = None
    block_hash: Digest | None = None

    @property
    def end(self) -> BatchNo:
        """First batch after these."""
        return BatchNo(self.first + self.count)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A signed checkpoint over the first `size` batches."""

    size: int
    note: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; None means any. Times are Unix milliseconds, `until` excluded."""

    type: str | None = None
    phase: Phase | None = None
    subject: str | None = None
    party: PartyId | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """One access in its normal form, as the auditor reads it; None where a member is not disclosed or was not given.

    `class_uid` is OCSF's class, `raw_sha256` the digest of the raw record in lower-case hexadecimal.
    """

    position: Position
    phase: Phase
    time: int
    subject: str
    party: PartyId
    """Who said so."""
    principal: str | None
    action: str | None
    resource: str | None
    outcome: str | None
    reason: str | None
    country: str | None
    source_address: str | None
    tls_version: str | None
    cipher: str | None
    bytes: int | None
    class_uid: int | None
    source_system: str | None
    completeness: str | None
    raw_sha256: str | None

    @property
    def size(self) -> int:
        """Characters of what may be long."""
        texts = (self.principal, self.action, self.resource, self.reason, self.source_address, self.cipher)
        return sum(len(text) for text in texts if text is not None)


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One permission snapshot. `grants` is the canonical JSON of the grants, or None if not disclosed.

    `captured` is Unix milliseconds: the event's time, unless the snapshot says that it was taken at another.
    """

    position: Position
    phase: Phase
    time: int
    subject: str
    party: PartyId
    captured: int
    resource: str | None
    owner: str | None
    public: bool | None
    external_principals: tuple[str, ...]
    grants: str | None
    collector: str | None
    api_call: str | None
    region: str | None
    country: str | None
    source_system: str | None
    completeness: str | None
    raw_sha256: str | None

    @property
    def size(self) -> int:
        """Characters of what may be long."""
        return len(self.grants or "") + sum(map(len, self.external_principals))


@dataclass(frozen=True, slots=True)
class SnapshotPlace:
    """When a snapshot was captured, where it stands, which system told it, and of what it is."""

    captured: int
    position: Position
    source_system: str | None
    phase: Phase
    subject: str
    party: PartyId


LOG_WIDE = "*"
"""In place of a transfer: what is said of all transfers of a log. No transfer can be called so."""


@dataclass(frozen=True, slots=True)
class TransferFact:
    """Something that `count` events say alike of one transfer in one phase, and the span of their times and positions.

    Two facts of one `key` add up to one (`merged`), in whatever order.
    """

    subject: str
    phase: Phase
    name: str
    value: str
    count: int
    first_time: int
    last_time: int
    first: Position
    last: Position

    @property
    def key(self) -> tuple[str, Phase, str, str]:
        return (self.subject, self.phase, self.name, self.value)

    def merged(self, other: TransferFact) -> TransferFact:
        """This fact and the other together."""
        return TransferFact(
            *self.key,
            self.count + other.count,
            min(self.first_time, other.first_time),
            max(self.last_time, other.last_time),
            min(self.first, other.first),
            max(self.last, other.last),
        )


@dataclass(frozen=True, slots=True)
class Paper:
    """That the event at `position`, of a kind of which a transfer has few, is about a transfer."""

    subject: str
    kind: str
    position: Position


@dataclass(frozen=True, slots=True)
class Projected:
    """What a run of events adds to the projections; facts are merged already."""

    accesses: Sequence[AccessRecord] = ()
    snapshots: Sequence[SnapshotRecord] = ()
    facts: Sequence[TransferFact] = ()
    papers: Sequence[Paper] = ()


@dataclass(frozen=True, slots=True)
class ViewFilter:
    """Which rows of a projection to list: equal values by column name, and a span of time (`until` excluded)."""

    equal: Mapping[str, str | bool]
    since: int | None = None
    until: int | None = None


ACCESS_FILTERS = (
    "phase",
    "subject",
    "party",
    "principal",
    "action",
    "resource",
    "outcome",
    "country",
    "tls_version",
    "source_system",
)
SNAPSHOT_FILTERS = ("phase", "subject", "party", "resource", "public", "source_system")


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A batch with what is known of its anchoring: the newest attempt, or None."""

    header: BatchHeader
    anchoring: Anchoring | None
