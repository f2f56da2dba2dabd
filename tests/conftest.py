"""What tests of several folders share: one development chain with one contract, and ledgers on it."""

from __future__ import annotations

import logging

import structlog
from support.ledgers import anvil, bed, contract, ledgers, origin, registrar_key

__all__ = ["anvil", "bed", "contract", "ledgers", "origin", "registrar_key"]

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
