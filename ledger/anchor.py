"""Anchors: a batch as the contract recorded it, and where on the chain to see it.

The contract's answer to `batchOf` is the evidence; the transaction and block only say where to look.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.batch import BatchHeader
from ledger.errors import AnchorRefuted
from ledger.types import Digest, Position


@dataclass(frozen=True, slots=True)
class ContractRef:
    """Which contract on which chain. `address` is 0x-prefixed, EIP-55 checksummed."""

    chain_id: int
    address: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a batch was anchored: the transaction and its block."""

    contract: ContractRef
    tx_hash: Digest
    block_number: int
    block_hash: Digest


@dataclass(frozen=True, slots=True)
class AnchoredBatch:
    """What the contract holds of one batch (`batchOf`). Times are Unix seconds; `anchored_at` is the block's."""

    root: Digest
    first_leaf: Position
    leaf_count: int
    closed_at: int
    anchored_at: int


def check_anchored(header: BatchHeader, anchored: AnchoredBatch) -> None:
    """Raise `AnchorRefuted` unless the contract holds exactly this header."""
    expected = (anchored.root, anchored.first_leaf, anchored.leaf_count, anchored.closed_at)
    got = (header.root, header.first_leaf, header.leaf_count, header.closed_at)
    for name, theirs, ours in zip(("root", "firstLeaf", "leafCount", "closedAt"), expected, got, strict=True):
        if theirs != ours:
            raise AnchorRefuted(
                f"the contract holds another {name} for batch {header.batch_no}",
                step="chain",
                expected=theirs,
                got=ours,
            )
