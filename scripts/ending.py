"""How the long runs of this folder begin and end: without the user's own settings, and in order when they are told."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from ledger.settings import PREFIX, Settings

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Callable[[], int]) -> None:
    """Call `main` and exit as it says, or with 130 if a signal came: what it has started is ended first."""
    for ending in _ENDINGS:
        signal.signal(ending, _end_in_order)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)


def forget_settings() -> None:
    """What the person has set for a ledger of their own is not for the ledgers that are made here."""
    for name in Settings.model_fields:
        os.environ.pop(f"{PREFIX}{name.upper()}", None)


def _end_in_order(number: int, frame: FrameType | None) -> None:
    # Whoever is impatient must not interrupt that.
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    print(f"Ending, for {signal.Signals(number).name} came.", file=sys.stderr, flush=True)
    raise KeyboardInterrupt
