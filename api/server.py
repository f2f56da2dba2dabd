"""Uvicorn, which when it is told to leave first says so, then stops listening and finishes what it has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from ledger.settings import Settings

RESERVE = 2.0
"""Seconds of a shutdown's bound that are kept for what comes after the last answer."""


class Server(uvicorn.Server):
    """A server of one application on one address.

    After `leave` it goes on as before for `unready_seconds`, half of `shutdown_seconds` at most, while `/readyz` says
    that it will not: so that a load balancer can send new requests elsewhere.
    """

    def __init__(self, app: ASGIApp, settings: Settings, port: int) -> None:
        seconds = settings.shutdown_seconds
        notice = min(settings.unready_seconds, seconds / 2)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=port,
            log_config=None,
            access_log=False,
            ws="none",  # there are none, and its protocols would log addresses and paths
            lifespan="off",
            timeout_graceful_shutdown=max(1, round(seconds - notice - RESERVE)),
        )
        super().__init__(config)
        self._notice = notice
        self._leave_at: float | None = None

    def leave(self) -> None:
        """End `run`, in a while. May be called from any thread."""
        self._leave_at = time.monotonic() + self._notice

    async def on_tick(self, counter: int) -> bool:
        if self._leave_at is not None and time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are `ledger.shutdown`'s: uvicorn would take them, and raise them again at the end."""
        yield
