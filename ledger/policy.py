"""How the ledger paces itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in milliseconds.

    A batch is sealed at `seal_leaves` events or when its oldest is `seal_age` old, and holds at most `batch_leaves`.
    `include_within` is the receipt's promise. `confirmations` blocks must lie on top before an anchor is final.
    `clock_tolerance` is how far the clock may run behind the log's last event before pushes are refused.
    """

    seal_leaves: int = 1024
    seal_age: int = 10_000
    batch_leaves: int = 8192
    batches_per_transaction: int = 32
    include_within: int = 600_000
    confirmations: int = 0
    clock_tolerance: int = 5_000
    max_push: int = 10_000
    max_waiting: int = 40_000
    """Events that may wait for their commit; from there on pushes are refused."""
