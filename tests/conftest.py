"""What tests of several folders share: one development chain with one contract, and ledgers on it."""

from __future__ import annotations

from support.ledgers import anvil, bed, contract, ledgers, origin, registrar_key

__all__ = ["anvil", "bed", "contract", "ledgers", "origin", "registrar_key"]
