"""The tables, as SQLModel classes. They are rows, never the domain, and do not leave this package.

::

    parties ─┬─ logs ─┬─ heads, projections            one row each: where the log, and its projections, stand
             │        ├─ names                         words that recur in a log, by number
             │        ├─ bundles ── bundle_disclosures                             the log itself
             │        ├─ events ── access_records, snapshot_records, papers        what finds an event; projections
             │        ├─ access_terms, access_postings, access_blocks              how accesses are found
             │        ├─ transfer_facts                                            what is said of a transfer
             │        ├─ receipts ── push_signatures
             │        ├─ conflicts
             │        ├─ batches ── anchorings
             │        └─ nodes, checkpoints
             └─ party_keys, api_keys

A log is known by a small number, a row in it by that number and its position, so most keys take a few bytes. Types,
phases, subjects and parties recur in every event and are kept once per log, in `names`: nothing personal is among them
(`ledger.entry`), so nothing there is ever to be erased.

On SQLite all tables are strict, and narrow ones keep their rows in the primary key (WITHOUT ROWID). Wide ones do not:
there a row over a quarter of a page would spill into pages of its own.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import ForeignKeyConstraint, Index, MetaData, Table, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from ledger.adapters.sql.columns import BIG, BLOB, AnyText

METADATA = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

WIDE = {"sqlite_strict": True}
NARROW = {"sqlite_strict": True, "sqlite_with_rowid": False}


class Row(SQLModel, registry=registry(metadata=METADATA)):
    """Base of all rows."""

    __table_args__: ClassVar[Any]

    @classmethod
    def table(cls) -> Table:
        return METADATA.tables[str(cls.__tablename__)]


def big(**keywords: Any) -> Any:
    return Field(sa_type=BIG, **keywords)


def text(**keywords: Any) -> Any:
    return Field(sa_type=AnyText, **keywords)


def blob(**keywords: Any) -> Any:
    return Field(sa_type=BLOB, **keywords)


def key_of_log(**keywords: Any) -> Any:
    return Field(foreign_key="logs.id", **keywords)


class PartyRow(Row, table=True):
    __tablename__ = "parties"
    __table_args__ = NARROW
    id: str = text(primary_key=True)
    name: str = text()
    role: str = text()
    country: str = text()
    digest: bytes = blob()


class PartyKeyRow(Row, table=True):
    __tablename__ = "party_keys"
    __table_args__ = NARROW
    party: str = text(primary_key=True, foreign_key="parties.id")
    verifier_key: str = text(primary_key=True)
    valid_from: int = big()
    valid_until: int | None = big()
    digest: bytes = blob()


class LogRow(Row, table=True):
    __tablename__ = "logs"
    __table_args__ = WIDE
    id: int | None = Field(default=None, primary_key=True)
    origin: str = text(unique=True)
    party: str = text(foreign_key="parties.id")
    verifier_key: str = text()
    chain_id: int = big()
    contract: str = text()
    created: int = big()
    opaque: int
    """0 or 1, as the next."""
    require_signature: int
    digest: bytes = blob()


class ApiKeyRow(Row, table=True):
    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "log", "party"), NARROW)
    id: str = text(primary_key=True)
    secret_hash: bytes = blob()
    party: str = text(foreign_key="parties.id")
    log: int = key_of_log()
    scopes: str = text()
    """Sorted, joined by commas."""
    created: int = big()
    revoked: int | None = big()
    digest: bytes = blob()


class HeadRow(Row, table=True):
    """`ledger.records.LogHead`. PostgreSQL's writers lock this row."""

    __tablename__ = "heads"
    __table_args__ = WIDE
    log: int = key_of_log(primary_key=True, sa_column_kwargs={"autoincrement": False})
    size: int = big()
    last_received: int = big()
    batches: int = big()
    sealed: int = big()
    last_closed: int = big()


class NameRow(Row, table=True):
    __tablename__ = "names"
    __table_args__ = (UniqueConstraint("log", "text"), NARROW)
    log: int = key_of_log(primary_key=True)
    id: int = Field(primary_key=True)
    text: str = text()


class BundleRow(Row, table=True):
    """Entries of `count` events from position `first` on, and their leaf hashes (`ledger.adapters.sql.bundles`)."""

    __tablename__ = "bundles"
    __table_args__ = WIDE
    log: int = key_of_log(primary_key=True)
    first: int = big(primary_key=True)
    count: int
    leaves: bytes = blob()
    """One behind the other. Before the entries, so that reading them passes by those."""
    entries: bytes = blob()
    """Packed (`packing`)."""


class DisclosuresRow(Row, table=True):
    """The disclosures of a bundle's events that are not erased, packed (`packing`); no row if there are none."""

    __tablename__ = "bundle_disclosures"
    __table_args__ = (ForeignKeyConstraint(["log", "bundle"], ["bundles.log", "bundles.first"]), WIDE)
    log: int = Field(primary_key=True)
    bundle: int = big(primary_key=True)
    packed: bytes = blob()


class EventRow(Row, table=True):
    """What finds an event. `type`, `phase`, `subject` and `party` are numbers of names, `bundle` is its bundle's first.

    That the log and the bundle are there is checked by `selfcheck`: foreign keys would have them looked up for every
    row, which PostgreSQL does by a query each.
    """

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("log", "key"),
        Index(None, "log", "subject", "position"),
        Index(None, "log", "subject", "time", "position"),
        Index(None, "log", "type", "position"),
        Index(None, "log", "phase", "position"),
        NARROW,
    )
    log: int = Field(primary_key=True)
    position: int = big(primary_key=True)
    key: bytes = blob()
    type: int
    phase: int
    subject: int
    time: int = big()
    party: int
    received: int = big()
    bundle: int = big()


def of_event() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["log", "position"], ["events.log", "events.position"])


class ReceiptRow(Row, table=True):
    __tablename__ = "receipts"
    __table_args__ = WIDE
    log: int = key_of_log(primary_key=True)
    first: int = big(primary_key=True)
    count: int = big()
    note: str = text()
    digest: bytes = blob()


class SignatureRow(Row, table=True):
    """`ledger.records.PushSignature`; its leaves one behind the other."""

    __tablename__ = "push_signatures"
    __table_args__ = (
        ForeignKeyConstraint(["log", "first"], ["receipts.log", "receipts.first"]),
        WIDE,
    )
    log: int = Field(primary_key=True)
    first: int = big(primary_key=True)
    count: int = big()
    note: str = text()
    leaves: bytes = blob()
    digest: bytes = blob()


class ConflictRow(Row, table=True):
    """A refused attempt; `number` counts a log's attempts, `position` is of the event that stands."""

    __tablename__ = "conflicts"
    __table_args__ = (of_event(), WIDE)
    log: int = key_of_log(primary_key=True)
    number: int = big(primary_key=True)
    position: int = big()
    entry: bytes = blob()
    packed: bytes | None = blob()
    received: int = big()
    digest: bytes = blob()


class AnchoringRow(Row, table=True):
    """An attempt; `number` counts a log's attempts, so that of two over the same batch the newer is known."""

    __tablename__ = "anchorings"
    __table_args__ = (UniqueConstraint("log", "first", "attempt"), WIDE)
    log: int = key_of_log(primary_key=True)
    number: int = big(primary_key=True)
    first: int = big()
    count: int = big()
    attempt: int = big()
    state: str = text()
    tx_hash: bytes = blob()
    raw_tx: bytes = blob()
    updated: int = big()
    block_number: int | None = big()
    block_hash: bytes | None = blob()
    digest: bytes = blob()


class BatchRow(Row, table=True):
    """A header without its log id, which the origin gives, and the number of its newest anchoring."""

    __tablename__ = "batches"
    __table_args__ = (
        UniqueConstraint("log", "first_leaf"),
        ForeignKeyConstraint(["log", "anchoring"], ["anchorings.log", "anchorings.number"]),
        NARROW,
    )
    log: int = key_of_log(primary_key=True)
    number: int = big(primary_key=True)
    first_leaf: int = big()
    leaf_count: int = big()
    closed_at: int = big()
    root: bytes = blob()
    anchoring: int | None = big()


class NodeRow(Row, table=True):
    __tablename__ = "nodes"
    __table_args__ = NARROW
    log: int = key_of_log(primary_key=True)
    level: int = Field(primary_key=True)
    place: int = big(primary_key=True)
    """The node's index in its level."""
    hash: bytes = blob()


class CheckpointRow(Row, table=True):
    __tablename__ = "checkpoints"
    __table_args__ = WIDE
    log: int = key_of_log(primary_key=True)
    size: int = big(primary_key=True)
    note: str = text()
    digest: bytes = blob()


class ProjectionRow(Row, table=True):
    """How many events the projections have taken in.

    `dropped` is how many they had taken in when they were dropped, until as many are in again; then 0.
    """

    __tablename__ = "projections"
    __table_args__ = WIDE
    log: int = key_of_log(primary_key=True, sa_column_kwargs={"autoincrement": False})
    projected: int = big()
    dropped: int = big()


class AccessRow(Row, table=True):
    """`ledger.records.AccessRecord`, its texts as numbers of terms."""

    __tablename__ = "access_records"
    __table_args__ = (of_event(), Index(None, "log", "time", "position"), NARROW)
    log: int = Field(primary_key=True)
    position: int = big(primary_key=True)
    time: int = big()
    phase: int | None
    subject: int | None
    party: int | None
    principal: int | None
    action: int | None
    resource: int | None
    outcome: int | None
    reason: int | None
    country: int | None
    source_address: int | None
    tls_version: int | None
    cipher: int | None
    source_system: int | None
    completeness: int | None
    raw_sha256: bytes | None = blob()
    class_uid: int | None = big()
    transferred: int | None = big()
    """Bytes."""


class TermRow(Row, table=True):
    """A text of access records, by number. `tag` is what it is looked up by: a text may be longer than an index takes.

    Like everything in a projection it goes when the projection is dropped, so what was erased does not come back.
    """

    __tablename__ = "access_terms"
    __table_args__ = (UniqueConstraint("log", "tag"), NARROW)
    log: int = key_of_log(primary_key=True)
    id: int = Field(primary_key=True)
    tag: bytes = blob()
    text: str = text()


class PostingRow(Row, table=True):
    """Which accesses of a block of positions have a term (`bits`)."""

    __tablename__ = "access_postings"
    __table_args__ = NARROW
    log: int = key_of_log(primary_key=True)
    term: int = Field(primary_key=True)
    block: int = big(primary_key=True)
    places: bytes = blob()


class BlockRow(Row, table=True):
    """Which positions of a block are accesses, and the span of their times."""

    __tablename__ = "access_blocks"
    __table_args__ = NARROW
    log: int = key_of_log(primary_key=True)
    block: int = big(primary_key=True)
    places: bytes = blob()
    first_time: int = big()
    last_time: int = big()


class SnapshotRow(Row, table=True):
    """`ledger.records.SnapshotRecord`. `public` is 0 or 1.

    `resource_tag` finds the snapshots of one resource (`views.resource_tag`).
    """

    __tablename__ = "snapshot_records"
    __table_args__ = (
        of_event(),
        Index(None, "log", "resource_tag", "position"),
        Index(None, "log", "captured", "position"),
        Index(None, "log", "subject", "position"),
        Index(None, "log", "public", "position"),
        WIDE,
    )
    log: int = Field(primary_key=True)
    position: int = big(primary_key=True)
    time: int = big()
    phase: str = text()
    subject: str = text()
    party: str = text()
    captured: int = big()
    resource: str | None = text()
    resource_tag: bytes | None = blob()
    owner: str | None = text()
    public: int | None = Field(default=None)
    external_principals: str = text()
    """A JSON array."""
    grants: str | None = text()
    collector: str | None = text()
    api_call: str | None = text()
    region: str | None = text()
    country: str | None = text()
    source_system: str | None = text()
    completeness: str | None = text()
    raw_sha256: str | None = text()


class FactRow(Row, table=True):
    """`ledger.records.TransferFact`."""

    __tablename__ = "transfer_facts"
    __table_args__ = NARROW
    log: int = key_of_log(primary_key=True)
    subject: str = text(primary_key=True)
    phase: str = text(primary_key=True)
    name: str = text(primary_key=True)
    value: str = text(primary_key=True)
    count: int = big()
    first_time: int = big()
    last_time: int = big()
    first: int = big()
    last: int = big()


class PaperRow(Row, table=True):
    """`ledger.records.Paper`."""

    __tablename__ = "papers"
    __table_args__ = (of_event(), NARROW)
    log: int = Field(primary_key=True)
    subject: str = text(primary_key=True)
    kind: str = text(primary_key=True)
    position: int = big(primary_key=True)


PROJECTIONS: tuple[type[Row], ...] = (
    AccessRow,
    TermRow,
    PostingRow,
    BlockRow,
    SnapshotRow,
    FactRow,
    PaperRow,
)
"""Rows that are made from events, and can be dropped."""

DIGESTED: tuple[type[Row], ...] = (
    PartyRow,
    PartyKeyRow,
    LogRow,
    ApiKeyRow,
    ReceiptRow,
    SignatureRow,
    ConflictRow,
    AnchoringRow,
    CheckpointRow,
)
"""Rows that carry a digest of themselves."""
