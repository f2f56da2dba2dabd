"""Proof documents: one event, its place in its batch, its batch's place in the log, the log's signed head.

JSON, media type `application/vnd.transfer-ledger.proof+json`::

    {"format": "transfer-ledger/proof/v1",
     "entry": "{\\"data\\":…}",               the entry's canonical text; its UTF-8 bytes are what was committed
     "disclosures": ["WyI2…", …],            the members being shown; may be empty
     "batch": {"header": "…92 bytes…", "index": 5, "path": ["…32 bytes…", …]},
     "log": {"index": 7, "path": ["…", …]},
     "checkpoint": "ledger.example/acme-live\\n9\\n…",
     "anchor": {"chain_id": 31337, "contract": "0x…", "tx_hash": "0x…", "block_number": 12, "block_hash": "0x…"},
     "unauthenticated": {…}}                  anything; no check covers it

The proof of an event that its party has signed (`ledger.push`) has the format `transfer-ledger/proof/v2`, and a member
more::

     "push": {"signature": "transfer-ledger/push/v1\\n…", "index": 2, "path": ["…", …]}

Bytes are standard base64, except on the chain's side, which is hexadecimal. The checks go from the trust root inwards,
so nothing is interpreted before it is authenticated:

1. `form`         the document has exactly these members, each in its form
2. `signature`    the checkpoint is signed by the trusted log key, and names that key's log
3. `header`       the header is of that log, and its batch number is `log.index`
4. `log`          the header is at `log.index` of the log tree under the checkpoint
5. `batch`        the entry is at `batch.index` of the batch tree under the header
6. `entry`        the entry is in canonical form and of that log
7. `disclosures`  each disclosure opens one digest of the entry
8. `push`         the entry's statement is at `push.index` of the tree that its party signed, for that log
9. `chain`        the contract, read through the verifier's own node, holds this header, and the anchor is where it says

`check_proof` is steps 2–8. For who trusts a contract rather than, or beside, a key, `check_content` is what can be said
before a node is asked (steps 3 and 5–8), and `check_proof_on_chain` the same under step 9. A verifier that trusts keys
of the party gives them, and step 8 holds only if one of them signed; without, a signature is told as not held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from ledger import canonical
from ledger.anchor import Anchor, AnchoredBatch, ContractRef, check_anchored
from ledger.batch import BatchHeader
from ledger.canonical import Object, Value
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.disclosure import Disclosure, check_disclosures, parse_disclosure
from ledger.entry import Entry, parse_entry
from ledger.errors import (
    AnchorRefuted,
    InclusionRefuted,
    InputError,
    MalformedInput,
    SignatureRefuted,
    VerificationError,
)
from ledger.merkle import Path, check_inclusion, leaf_hash
from ledger.note import VerifierKey, parse_note
from ledger.push import PushProof, SignedBy, check_statement, read_push
from ledger.statement import statement_of
from ledger.types import Digest, Origin, Position, from_base64, from_hex, log_id, to_base64

FORMAT = "transfer-ledger/proof/v1"
SIGNED_FORMAT = "transfer-ledger/proof/v2"
MEDIA_TYPE = "application/vnd.transfer-ledger.proof+json"
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof document, parsed but not yet checked."""

    entry: bytes
    disclosures: tuple[Disclosure, ...]
    header: BatchHeader
    batch_index: int
    batch_path: Path
    log_index: int
    log_path: Path
    checkpoint: str
    anchor: Anchor
    unauthenticated: Object = field(default_factory=dict)
    push: PushProof | None = None


@dataclass(frozen=True, slots=True)
class ProvenEvent:
    """What a checked proof says: this entry, at this position of this log; and by whom it is signed, if it is."""

    origin: Origin
    position: Position
    entry: Entry
    disclosures: tuple[Disclosure, ...]
    header: BatchHeader
    signed: SignedBy | None = None


def proof_document(proof: Proof) -> Object:
    """The JSON object of a proof."""
    anchor = proof.anchor
    return {
        "format": SIGNED_FORMAT if proof.push else FORMAT,
        "entry": proof.entry.decode(),
        "disclosures": [d.text for d in proof.disclosures],
        "batch": {
            "header": to_base64(bytes(proof.header)),
            "index": proof.batch_index,
            "path": [d.base64 for d in proof.batch_path],
        },
        "log": {"index": proof.log_index, "path": [d.base64 for d in proof.log_path]},
        "checkpoint": proof.checkpoint,
        **({"push": _push_document(proof.push)} if proof.push else {}),
        "anchor": anchor_document(anchor),
        "unauthenticated": proof.unauthenticated,
    }


def _push_document(push: PushProof) -> Object:
    return {"signature": push.note, "index": push.index, "path": [d.base64 for d in push.path]}


def anchor_document(anchor: Anchor) -> Object:
    """The JSON object of an anchor."""
    return {
        "chain_id": anchor.contract.chain_id,
        "contract": anchor.contract.address,
        "tx_hash": anchor.tx_hash.hex0x,
        "block_number": anchor.block_number,
        "block_hash": anchor.block_hash.hex0x,
    }


def parse_proof(data: bytes) -> Proof:
    """Step 1, `form`: read a proof document strictly.

    Raises:
        MalformedInput: naming the member that is out of form.
    """
    if len(data) > MAX_BYTES:
        raise MalformedInput(
            "a proof that is too large", expected=f"at most {MAX_BYTES} bytes", got=len(data)
        )
    match canonical.parse_object(data):
        case {
            "format": str(format),
            "entry": str(entry),
            "disclosures": list(disclosures),
            "batch": {
                "header": str(header),
                "index": int(batch_index),
                "path": list(batch_path),
                **more_batch,
            },
            "log": {"index": int(log_index), "path": list(log_path), **more_log},
            "checkpoint": str(checkpoint),
            "anchor": dict(anchor),
            "unauthenticated": dict(unauthenticated),
            **more,
        } if not (more_batch or more_log) and not _any_bool(batch_index, log_index):
            Checkpoint.parse(parse_note(checkpoint).text)
            return Proof(
                entry=entry.encode(),
                disclosures=tuple(parse_disclosure(_text(d, "disclosures")) for d in disclosures),
                header=BatchHeader.parse(from_base64(header)),
                batch_index=batch_index,
                batch_path=_path(batch_path, "batch.path"),
                log_index=log_index,
                log_path=_path(log_path, "log.path"),
                checkpoint=checkpoint,
                anchor=parse_anchor(anchor),
                unauthenticated=unauthenticated,
                push=_parse_push(format, more),
            )
        case _:
            raise _no_proof()


def _parse_push(format: str, more: Mapping[str, Value]) -> PushProof | None:
    """What the format has beyond the members of both."""
    match format, more:
        case ("transfer-ledger/proof/v1", {**rest}) if not rest:
            return None
        case (
            "transfer-ledger/proof/v2",
            {"push": {"signature": str(note), "index": int(index), "path": list(path), **more_push}, **rest},
        ) if not (rest or more_push or _any_bool(index)):
            read_push(note)
            return PushProof(note, index, _path(path, "push.path"))
        case _:
            raise _no_proof()


def _no_proof() -> MalformedInput:
    return MalformedInput(
        "not a proof document",
        expected=f"format {FORMAT}, entry, disclosures, batch, log, checkpoint, anchor, unauthenticated; "
        f"{SIGNED_FORMAT} has push, too",
    )


_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH = re.compile(r"0x[0-9a-f]{64}")


def parse_anchor(value: Value) -> Anchor:
    """Read the JSON object of an anchor strictly; hashes in lower case."""
    match value:
        case {
            "chain_id": int(chain_id),
            "contract": str(contract),
            "tx_hash": str(tx_hash),
            "block_number": int(block_number),
            "block_hash": str(block_hash),
            **more,
        } if (
            not more
            and not _any_bool(chain_id, block_number)
            and min(chain_id, block_number) >= 0
            and _ADDRESS.fullmatch(contract)
            and _HASH.fullmatch(tx_hash)
            and _HASH.fullmatch(block_hash)
        ):
            return Anchor(
                ContractRef(chain_id, contract),
                Digest(from_hex(tx_hash)),
                block_number,
                Digest(from_hex(block_hash)),
            )
        case _:
            raise MalformedInput(
                "not an anchor",
                expected="chain_id, contract, tx_hash, block_number, block_hash in their forms",
            )


def check_proof(proof: Proof, key: VerifierKey, party_keys: Sequence[VerifierKey] = ()) -> ProvenEvent:
    """Steps 2–8: hold a proof against the log's key, and against keys of the party if there are some.

    Raises:
        VerificationError: `step` names the check that failed.
    """
    checkpoint = open_checkpoint(proof.checkpoint, key)
    _check_header(proof, checkpoint.origin)
    with _step("log"):
        check_inclusion(proof.header.leaf, proof.log_index, checkpoint.size, proof.log_path, checkpoint.root)
    return _check_event(proof, checkpoint.origin, party_keys)


def check_content(proof: Proof, origin: Origin, party_keys: Sequence[VerifierKey] = ()) -> ProvenEvent:
    """Steps 3 and 5–8: what can be checked under the header, for who trusts a contract and holds it against that next.

    Raises:
        VerificationError: `step` names the check that failed.
    """
    _check_header(proof, origin)
    return _check_event(proof, origin, party_keys)


def check_proof_on_chain(
    proof: Proof,
    origin: Origin,
    contract: ContractRef,
    anchored: AnchoredBatch,
    seen: Anchor | None,
    party_keys: Sequence[VerifierKey] = (),
) -> ProvenEvent:
    """Steps 3, 9 and 5–8: hold a proof against what the contract answers through the verifier's own node.

    Args:
        origin: the log that the verifier asks about.
        contract: the contract that the verifier trusts.
        anchored: its `batchOf` for the header's batch.
        seen: where that node saw the batch anchored, or None if it has no record of the proof's transaction.
    """
    _check_header(proof, origin)
    check_contract(proof, contract)
    check_anchored(proof.header, anchored)
    if seen is None or (seen.tx_hash, seen.block_number, seen.block_hash) != (
        proof.anchor.tx_hash,
        proof.anchor.block_number,
        proof.anchor.block_hash,
    ):
        raise AnchorRefuted(
            "the batch was not anchored where the proof says",
            step="chain",
            expected=anchor_document(seen) if seen else "a transaction that anchored the batch",
            got=anchor_document(proof.anchor),
        )
    return _check_event(proof, origin, party_keys)


def check_contract(proof: Proof, contract: ContractRef) -> None:
    """The part of step 9 that needs no node: the proof names the contract that the verifier trusts."""
    named = proof.anchor.contract
    if (named.chain_id, named.address.lower()) != (contract.chain_id, contract.address.lower()):
        raise AnchorRefuted("the proof names another contract", step="chain", expected=contract, got=named)


def claimed_checkpoint(proof: Proof) -> Checkpoint:
    """What the proof's checkpoint says, unchecked: for telling which key or node to ask."""
    return Checkpoint.parse(parse_note(proof.checkpoint).text)


def _check_header(proof: Proof, origin: Origin) -> None:
    if proof.header.log_id != log_id(origin):
        raise InclusionRefuted(
            "a header of another log",
            step="header",
            expected=log_id(origin).hex(),
            got=proof.header.log_id.hex(),
        )
    if proof.header.batch_no != proof.log_index:
        raise InclusionRefuted(
            "a header of another batch", step="header", expected=proof.log_index, got=proof.header.batch_no
        )
    # Every batch before it has a leaf or more, and before the first there is none.
    least, most = proof.header.batch_no, proof.header.first_leaf if proof.header.batch_no else 0
    if not least <= proof.header.first_leaf <= most:
        raise InclusionRefuted(
            "a header whose batches before it cannot hold the leaves before it",
            step="header",
            expected=f"firstLeaf ≥ {least}" if least else "firstLeaf 0",
            got=proof.header.first_leaf,
        )


def _check_event(proof: Proof, origin: Origin, party_keys: Sequence[VerifierKey]) -> ProvenEvent:
    header = proof.header
    with _step("batch"):
        check_inclusion(
            leaf_hash(proof.entry), proof.batch_index, header.leaf_count, proof.batch_path, header.root
        )
    try:
        entry = parse_entry(proof.entry)
    except InputError as error:
        raise InclusionRefuted(f"the entry is out of form: {error.message}", step="entry") from None
    if entry.origin != origin:
        raise InclusionRefuted("an entry of another log", step="entry", expected=origin, got=entry.origin)
    check_disclosures(proof.disclosures, entry.sd, entry.visible)
    signed = _check_push(proof, entry, party_keys)
    position = Position(header.first_leaf + proof.batch_index)
    return ProvenEvent(origin, position, entry, proof.disclosures, header, signed)


def _check_push(proof: Proof, entry: Entry, party_keys: Sequence[VerifierKey]) -> SignedBy | None:
    signed = None
    if proof.push is not None:
        statement = statement_of(proof.entry, entry.origin, entry.party, entry.received)
        signed = check_statement(proof.push, statement, entry.origin, entry.party, party_keys)
    if party_keys and not (signed and signed.held):
        raise SignatureRefuted(
            "the event is not signed by a trusted key of its party",
            step="push",
            expected=", ".join(f"{key.name} {key.key_id.hex()}" for key in party_keys),
            got=f"{signed.party} {signed.key_id.hex()}" if signed else "no signature",
        )
    return signed


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Name the step in which a general check failed."""
    try:
        yield
    except VerificationError as error:
        error.step = name
        raise


def _any_bool(*values: object) -> bool:
    # In Python, True is an int; in JSON it is not a number.
    return any(isinstance(value, bool) for value in values)


def _text(value: Value, member: str) -> str:
    if not isinstance(value, str):
        raise MalformedInput(f"{member} is out of form", expected="strings", got=type(value).__name__)
    return value


def _path(values: Sequence[Value], member: str) -> Path:
    return tuple(Digest.from_base64(_text(value, member)) for value in cast(list[Value], values))
