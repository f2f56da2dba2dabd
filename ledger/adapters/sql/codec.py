"""Rows to values and back.

A value is read strictly: whatever a row holds that its record cannot, `IntegrityError` names the table and row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Table

from ledger.adapters.sql.bundles import Bundle
from ledger.adapters.sql.columns import UNREADABLE, AnyRow, held
from ledger.adapters.sql.driver import Values
from ledger.adapters.sql.packing import pack_disclosures, row_digest, separated, unpack_disclosures
from ledger.adapters.sql.rows import (
    AnchoringRow,
    ApiKeyRow,
    CheckpointRow,
    ConflictRow,
    LogRow,
    PartyKeyRow,
    PartyRow,
    ReceiptRow,
    SignatureRow,
)
from ledger.adapters.sql.rows import Row as TableRow
from ledger.adapters.sql.squeeze import squeeze, unsqueeze
from ledger.anchor import ContractRef
from ledger.batch import BatchHeader
from ledger.entry import Phase
from ledger.errors import IntegrityError, MalformedInput
from ledger.merkle import Node
from ledger.records import (
    Anchoring,
    AnchorState,
    ApiKey,
    Committed,
    ConflictAttempt,
    Log,
    Party,
    PartyKey,
    PushSignature,
    Role,
    Scope,
    SealedBatch,
    StoredCheckpoint,
    StoredReceipt,
)
from ledger.types import BatchNo, Digest, LogId, Origin, PartyId, Position, digests

T = TypeVar("T")
Stored: TypeAlias = "dict[str, Any]"
"""A row to be stored, by column."""


def read(row: AnyRow, make: Callable[[AnyRow], T]) -> T:
    """What `make` makes of a row. Raises IntegrityError if it cannot."""
    try:
        return make(row)
    except (*UNREADABLE, MalformedInput):
        name = make.__name__.replace("_", " ")
        key = ", ".join(str(part)[:60] for part in row[:1])
        raise IntegrityError(f"a stored {name} cannot be read", got=f"the row of {key}") from None


def read_all(rows: Iterable[AnyRow], make: Callable[[AnyRow], T]) -> list[T]:
    return [read(row, make) for row in rows]


def digested(row: type[TableRow], values: Stored) -> Stored:
    """The row with its digest."""
    return {**values, "digest": digest_of(row.table(), values)}


def digest_of(table: Table, values: Mapping[str, Any]) -> Digest:
    """The digest that a row of these values should carry. A log's number is the database's, so not in it."""
    counted = "id" if table is LogRow.table() else None
    names = (column.name for column in table.columns if column.name not in ("digest", counted))
    return row_digest(table.name, (values[name] for name in names))


# --- Registers -----------------------------------------------------------------------------------------------------


def party(row: AnyRow) -> Party:
    return Party(PartyId(row.id), row.name, Role(row.role), row.country)


def party_row(value: Party) -> Stored:
    return digested(
        PartyRow,
        {"id": value.id, "name": value.name, "role": value.role.value, "country": value.country},
    )


def party_key(row: AnyRow) -> PartyKey:
    return PartyKey(PartyId(row.party), row.verifier_key, row.valid_from, row.valid_until)


def party_key_row(value: PartyKey) -> Stored:
    return digested(
        PartyKeyRow,
        {
            "party": value.party,
            "verifier_key": value.verifier_key,
            "valid_from": value.valid_from,
            "valid_until": value.valid_until,
        },
    )


def log(row: AnyRow) -> Log:
    contract = ContractRef(row.chain_id, row.contract)
    return Log(
        Origin(row.origin),
        PartyId(row.party),
        row.verifier_key,
        contract,
        row.created,
        opaque=_flag(row.opaque),
        require_signature=_flag(row.require_signature),
    )


def _flag(value: int) -> bool:
    if value not in (0, 1):
        raise ValueError("neither 0 nor 1")
    return value == 1


def log_row(value: Log) -> Stored:
    return digested(
        LogRow,
        {
            "origin": value.origin,
            "party": value.party,
            "verifier_key": value.verifier_key,
            "chain_id": value.contract.chain_id,
            "contract": value.contract.address,
            "created": value.created,
            "opaque": int(value.opaque),
            "require_signature": int(value.require_signature),
        },
    )


def api_key(row: AnyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        secret_hash=Digest(row.secret_hash),
        party=PartyId(row.party),
        origin=Origin(row.origin),
        scopes=frozenset(map(Scope, row.scopes.split(","))) if row.scopes else frozenset(),
        created=row.created,
        revoked=row.revoked,
    )


def api_key_row(value: ApiKey, log_number: int) -> Stored:
    return digested(
        ApiKeyRow,
        {
            "id": value.id,
            "secret_hash": value.secret_hash,
            "party": value.party,
            "log": log_number,
            "scopes": ",".join(sorted(value.scopes)),
            "created": value.created,
            "revoked": value.revoked,
        },
    )


# --- Events --------------------------------------------------------------------------------------------------------


def event(row: AnyRow, bundle: Bundle | None) -> Committed:
    """From a row of `reading.events_query` and the bundle that it names. Raises IntegrityError if it cannot be."""

    def event(row: AnyRow) -> Committed:
        position, key, type_, phase, subject, time, party_, received, _ = row
        if bundle is None or None in (type_, subject, party_):
            raise TypeError("an event without its entry or a name")
        leaf, entry, disclosures = bundle.at(position)
        return Committed(
            position=Position(position),
            leaf=Digest(leaf),
            entry=entry,
            disclosures=separated(disclosures),
            key=Digest(key),
            type=type_,
            phase=Phase(phase),
            subject=subject,
            time=time,
            party=PartyId(party_),
            received=received,
        )

    return read(row, event)


def receipt(row: AnyRow) -> StoredReceipt:
    return StoredReceipt(Position(row.first), row.count_, row.note)


def receipt_values(value: StoredReceipt, log_number: int) -> Values:
    row = digested(
        ReceiptRow, {"log": log_number, "first": value.first, "count": value.count, "note": value.note}
    )
    return log_number, value.first, value.count, held(value.note), bytearray(row["digest"])


def signature(row: AnyRow) -> PushSignature:
    return PushSignature(Position(row.first), row.count_, row.note, tuple(digests(row.leaves)))


def signature_row(value: PushSignature, log_number: int) -> Stored:
    return digested(
        SignatureRow,
        {
            "log": log_number,
            "first": value.first,
            "count": value.count,
            "note": value.note,
            "leaves": b"".join(value.leaves),
        },
    )


def conflict(row: AnyRow) -> ConflictAttempt:
    return ConflictAttempt(
        Position(row.position),
        unsqueeze(row.entry),
        () if row.packed is None else unpack_disclosures(row.packed),
        row.received,
    )


def conflict_row(value: ConflictAttempt, log_number: int, number: int) -> Stored:
    return digested(
        ConflictRow,
        {
            "log": log_number,
            "number": number,
            "position": value.position,
            "entry": squeeze(value.entry),
            "packed": pack_disclosures(value.disclosures) if value.disclosures else None,
            "received": value.received,
        },
    )


# --- Batches -------------------------------------------------------------------------------------------------------


def batch(row: AnyRow, id: LogId) -> SealedBatch:
    """From a row of `reading.BATCHES`."""
    header = BatchHeader(
        log_id=id,
        batch_no=BatchNo(row.number),
        first_leaf=Position(row.first_leaf),
        leaf_count=row.leaf_count,
        closed_at=row.closed_at,
        root=Digest(row.root),
    )
    return SealedBatch(header, None if row.anchoring is None else anchoring(row))


def batch_row(header: BatchHeader, log_number: int) -> Stored:
    return {
        "log": log_number,
        "number": header.batch_no,
        "first_leaf": header.first_leaf,
        "leaf_count": header.leaf_count,
        "closed_at": header.closed_at,
        "root": header.root,
    }


def node(row: AnyRow) -> Node:
    return Node(row.level, row.place, Digest(row.hash))


def anchoring(row: AnyRow) -> Anchoring:
    return Anchoring(
        first=BatchNo(row.first),
        count=row.count_,
        attempt=row.attempt,
        state=AnchorState(row.state),
        tx_hash=Digest(row.tx_hash),
        raw_tx=row.raw_tx,
        updated=row.updated,
        block_number=row.block_number,
        block_hash=None if row.block_hash is None else Digest(row.block_hash),
    )


def anchoring_row(value: Anchoring, log_number: int, number: int) -> Stored:
    return digested(
        AnchoringRow,
        {
            "log": log_number,
            "number": number,
            "first": value.first,
            "count": value.count,
            "attempt": value.attempt,
            "state": value.state.value,
            "tx_hash": value.tx_hash,
            "raw_tx": value.raw_tx,
            "updated": value.updated,
            "block_number": value.block_number,
            "block_hash": value.block_hash,
        },
    )


def checkpoint(row: AnyRow) -> StoredCheckpoint:
    return StoredCheckpoint(row.size, row.note)


def checkpoint_row(value: StoredCheckpoint, log_number: int) -> Stored:
    return digested(CheckpointRow, {"log": log_number, "size": value.size, "note": value.note})
