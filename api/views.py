"""Values of the ledger as answers of the API."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from api import schemas
from ledger import catalogue
from ledger.commit import PushResult
from ledger.disclosure import Disclosure, parse_disclosure
from ledger.documents import proof_path
from ledger.entry import Entry, parse_entry
from ledger.errors import Pending
from ledger.proof import anchor_document
from ledger.proving import anchor_of
from ledger.records import (
    Anchoring,
    Committed,
    Log,
    LogHead,
    Scope,
    SealedBatch,
)
from ledger.types import Origin, Position, format_time, to_base64, to_base64_each


def log_out(log: Log, head: LogHead, projected: Position) -> schemas.LogOut:
    return schemas.LogOut(
        origin=log.origin,
        party=log.party,
        verifier_key=log.verifier_key,
        contract=schemas.ContractOut(chain_id=log.contract.chain_id, address=log.contract.address),
        created=format_time(log.created),
        opaque=log.opaque,
        require_signature=log.require_signature,
        size=head.size,
        batches=head.batches,
        projected=projected,
    )


def push_json(result: PushResult) -> bytes:
    """`schemas.PushOut` as JSON: of thousands of events, models would take longer than their commit."""
    leaves = to_base64_each(pushed.leaf for pushed in result.events)
    return orjson.dumps(
        {
            "events": [
                {
                    "source": attributes["source"],
                    "id": attributes["id"],
                    "status": pushed.status,
                    "position": pushed.position,
                    "leaf": leaf,
                    "receipt": pushed.receipt,
                }
                for pushed, leaf in zip(result.events, leaves, strict=True)
                for attributes in [pushed.statement.attributes]
            ],
            "receipts": result.receipts,
        }
    )


def event_out(origin: Origin, committed: Committed, scopes: frozenset[Scope]) -> schemas.EventOut:
    shown = committed.disclosures if Scope.DISCLOSE in scopes else ()
    entry = parse_entry(committed.entry)
    return schemas.EventOut(
        position=committed.position,
        entry=committed.entry.decode(),
        event=event_object(entry, [parse_disclosure(text) for text in shown]),
        disclosures=list(shown),
        leaf=committed.leaf.base64,
        party=committed.party,
        received=format_time(committed.received),
        opaque=catalogue.is_opaque(committed.type),
        proof=proof_path(origin, committed.position),
    )


def event_object(entry: Entry, disclosures: Sequence[Disclosure]) -> dict[str, object]:
    """The CloudEvent, as far as these disclosures open it."""
    event = entry.event(disclosures)
    return {**event.attributes, "data": event.data}


def batch_out(log: Log, sealed: SealedBatch) -> schemas.BatchOut:
    header = sealed.header
    return schemas.BatchOut(
        batch_no=header.batch_no,
        first_leaf=header.first_leaf,
        leaf_count=header.leaf_count,
        closed_at=format_time(header.closed_at * 1000),
        root=header.root.base64,
        header=to_base64(bytes(header)),
        state=sealed.anchoring.state if sealed.anchoring else "sealed",
        anchor=_anchor_out(log, sealed),
    )


def _anchor_out(log: Log, sealed: SealedBatch) -> schemas.AnchorOut | None:
    try:
        return schemas.AnchorOut.model_validate(anchor_document(anchor_of(log, sealed)))
    except Pending:
        return None


def anchoring_out(anchoring: Anchoring) -> schemas.AnchoringOut:
    return schemas.AnchoringOut(
        first_batch=anchoring.first,
        batches=anchoring.count,
        attempt=anchoring.attempt,
        state=anchoring.state,
        tx_hash=anchoring.tx_hash.hex0x,
        block_number=anchoring.block_number,
        block_hash=anchoring.block_hash.hex0x if anchoring.block_hash else None,
        updated=format_time(anchoring.updated),
    )
