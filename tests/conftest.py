"""What tests of several folders share: one development chain with one contract, and ledgers on it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest
import structlog
from support.ledgers import anvil, bed, contract, ledgers, origin, registrar_key
from support.logs import logging_put_back

__all__ = ["anvil", "bed", "contract", "ledgers", "origin", "registrar_key"]

# Whoever runs the tests in the background of a script has Ctrl-C ignored, and so would every program started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """No test logs to what another test had for its standard error."""
    with logging_put_back():
        yield
