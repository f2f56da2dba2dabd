"""Logging as it was: what a command or a test sets up is put back, since its standard error is gone afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from ledger.logs import OWN


@contextmanager
def logging_put_back() -> Iterator[None]:
    """Whatever happens inside, logging is afterwards what it was before."""
    loggers = [logging.root, *map(logging.getLogger, OWN)]
    config, handlers, levels = (
        structlog.get_config(),
        logging.root.handlers[:],
        [one.level for one in loggers],
    )
    try:
        yield
    finally:
        structlog.configure(**config)
        logging.root.handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
