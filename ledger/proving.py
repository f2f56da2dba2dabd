"""Prove and verify: reads a proof out of a store, holds a proof against a key and a chain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ledger.anchor import Anchor
from ledger.disclosure import parse_disclosure
from ledger.entry import parse_entry
from ledger.errors import IntegrityError, NotFound, Pending
from ledger.merkle import BatchTree, log_inclusion
from ledger.note import VerifierKey
from ledger.ports import Chain, Store
from ledger.proof import (
    Proof,
    ProvenEvent,
    check_content,
    check_contract,
    check_proof,
    check_proof_on_chain,
)
from ledger.push import PushProof, prove_statement
from ledger.records import AnchorState, Committed, Log, SealedBatch, StoredCheckpoint
from ledger.statement import statement_of
from ledger.types import Origin, Position, format_time, log_id


def prove(store: Store, log: Log, position: Position, show: Collection[str] | None) -> Proof:
    """The proof of one event.

    Args:
        show: names of the members of `data` to disclose; None for all that have not been erased. Members that are
            visible anyway may be named, too.

    Raises:
        NotFound: no such event, or a name in `show` that it has no disclosure for.
        Pending: it is not in a batch that a signed checkpoint covers yet.
    """
    committed = store.event(log.origin, position)
    sealed, checkpoint = _covering(store, log.origin, position)
    header = sealed.header
    index = position - header.first_leaf
    tree = BatchTree(store.leaves(log.origin, header.first_leaf, header.end))
    return Proof(
        entry=committed.entry,
        disclosures=tuple(parse_disclosure(text) for text in _shown(committed, show)),
        header=header,
        batch_index=index,
        batch_path=tree.path(index),
        log_index=header.batch_no,
        log_path=log_inclusion(header.batch_no, checkpoint.size, lambda ids: store.nodes(log.origin, ids)),
        checkpoint=checkpoint.note,
        anchor=anchor_of(log, sealed),
        unauthenticated={"position": position, "closed_at": format_time(header.closed_at * 1000)},
        push=_push_proof(store, log.origin, committed),
    )


def _push_proof(store: Store, origin: Origin, committed: Committed) -> PushProof | None:
    kept = store.signature(origin, committed.position)
    if kept is None:
        return None
    statement = statement_of(committed.entry, origin, committed.party, committed.received)
    try:
        return prove_statement(kept.note, kept.leaves, statement)
    except ValueError:
        raise IntegrityError(
            f"event {committed.position} is not in the push that its signature is over"
        ) from None


def anchor_of(log: Log, sealed: SealedBatch) -> Anchor:
    """Where a batch is anchored. Raises Pending while it is in no block."""
    anchoring = sealed.anchoring
    if anchoring is None or anchoring.block_number is None or anchoring.block_hash is None:
        raise Pending(f"batch {sealed.header.batch_no} is sealed but not anchored yet")
    return Anchor(log.contract, anchoring.tx_hash, anchoring.block_number, anchoring.block_hash)


def _covering(store: Store, origin: Origin, position: Position) -> tuple[SealedBatch, StoredCheckpoint]:
    sealed = store.batch_at(origin, position)
    if sealed is None:
        raise Pending(f"event {position} is in no batch yet")
    checkpoint = store.checkpoint(origin)
    final = sealed.anchoring is not None and sealed.anchoring.state is AnchorState.FINAL
    if checkpoint is None or checkpoint.size <= sealed.header.batch_no or not final:
        raise Pending(f"batch {sealed.header.batch_no} is sealed but not finally anchored yet")
    return sealed, checkpoint


def _shown(committed: Committed, show: Collection[str] | None) -> list[str]:
    if show is None:
        return list(committed.disclosures)
    by_name = {parse_disclosure(text).name: text for text in committed.disclosures}
    missing = set(show) - by_name.keys()
    if missing and (missing := missing - parse_entry(committed.entry).visible.keys()):
        raise NotFound(
            f"event {committed.position} has no disclosure of that name",
            expected=f"some of {', '.join(sorted(by_name))}"[:500],
            got=", ".join(sorted(missing))[:200],
        )
    return [text for name, text in by_name.items() if name in set(show)]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified of a proof, and against which trust roots. `anchored_at` is the block's Unix seconds.

    `event.signed` says who signed it, and whether that was held against a key of the party.
    """

    event: ProvenEvent
    by_key: bool
    by_chain: bool
    anchored_at: int | None


def verify_offline(
    proof: Proof, key: VerifierKey | None, origin: Origin, party_keys: Sequence[VerifierKey] = ()
) -> ProvenEvent:
    """What needs no node. It comes first: a node that does not answer must not hide what is refuted without it.

    Raises:
        VerificationError: `step` names the check that failed.
    """
    return check_proof(proof, key, party_keys) if key else check_content(proof, origin, party_keys)


def verify(
    proof: Proof,
    key: VerifierKey | None,
    origin: Origin,
    chain: Chain | None,
    party_keys: Sequence[VerifierKey] = (),
) -> Verified:
    """Hold a proof against the verifier's own trust roots: the log's key, the contract, or both.

    Args:
        key: the log's key, from a source other than the proof.
        origin: the log asked about; the key's name where there is a key.
        chain: the trusted contract through the verifier's own node.
        party_keys: keys of the party, from a source other than the proof; then one of them must have signed.

    Raises:
        VerificationError: `step` names the check that failed.
        ChainUnavailable: the node does not answer; nothing is said about the proof.
    """
    if key is None and chain is None:
        raise ValueError("a verifier needs a key, a chain, or both")
    event = verify_offline(proof, key, origin, party_keys)
    anchored_at = None
    if chain is not None:
        check_contract(proof, chain.contract)
        anchored = chain.batch_of(log_id(origin), proof.header.batch_no)
        seen = chain.anchored_in(proof.anchor.tx_hash, log_id(origin), proof.header.batch_no)
        event = check_proof_on_chain(proof, origin, chain.contract, anchored, seen, party_keys)
        anchored_at = anchored.anchored_at
    return Verified(event, by_key=key is not None, by_chain=chain is not None, anchored_at=anchored_at)
