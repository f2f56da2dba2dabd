"""Run a ledger: the API, and the background work."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from ledger import logs
from ledger.bootstrap import Wired, metrics_secret, open_ledger
from ledger.cli.shared import app, load_settings
from ledger.errors import InputError, Unavailable
from ledger.intake import Intake
from ledger.processes import Pool
from ledger.settings import Settings
from ledger.shutdown import Shutdown
from ledger.workers import Worker

if TYPE_CHECKING:
    from api.services import Services

log = structlog.get_logger(__name__)


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one [default: 8420].")] = None,
    worker: Annotated[bool | None, typer.Option(help="Seal, anchor and project in this process.")] = None,
) -> None:
    """Run the API, with the background work unless `--no-worker`. Ctrl-C ends it and loses nothing.

    Example: `transfer-ledger --data ./ledger-data serve --port 8420`
    """
    from api.app import create_app  # here, so that no other command waits for a web framework to load
    from api.server import Server

    settings = load_settings(context, host=host, port=port, worker=worker)
    with _service(settings) as (shutdown, ledger):
        background = ledger.worker() if settings.worker else None
        services = _services(ledger, background, shutdown, Pool(settings.reader_processes))
        server = Server(create_app(services), settings, settings.port)
        shutdown.on_request(server.leave)
        if background:
            shutdown.on_request(background.request_stop)
            background.start()
        gc.freeze()  # what is there now stays to the end: not looked through again while pushes make garbage
        gc.set_threshold(10_000, 10, 10)  # hardly any of it in cycles, and no bodies (`api.body`)
        try:
            server.run()
        finally:
            services.intake.close()
            services.readers.close()
            if background:
                background.stop()


@app.command("worker")
def run_worker(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Seal and anchor all that waits now, then end.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0, help="With --once: seconds to wait for blocks.")] = 60.0,
    port: Annotated[
        int | None, typer.Option(help="Answer /metrics, /healthz and /readyz here; by default nowhere.")
    ] = None,
) -> None:
    """Seal, anchor and project in a process of its own, beside `serve --no-worker`.

    Example: `transfer-ledger --data ./ledger-data worker --once`
    """
    settings = load_settings(context, worker_port=port)
    if once:
        logs.set_up(settings.log_level, service=True)
        with open_ledger(settings) as ledger:
            _settle(ledger.worker(), wait)
        return
    with _service(settings) as (shutdown, ledger):
        worker = ledger.worker()
        shutdown.on_request(worker.request_stop)
        with _answering(settings, _services(ledger, worker, shutdown)):
            worker.run()


def _settle(worker: Worker, seconds: float) -> None:
    if not worker.settle(seconds):
        raise Unavailable("; ".join(f"{what}: {why}" for what, why in worker.failures.items()) or "failed")


@contextmanager
def _service(settings: Settings) -> Iterator[tuple[Shutdown, Wired]]:
    """A process that serves: it logs, counts, and ends in order."""
    logs.set_up(settings.log_level, service=True)
    with Shutdown(settings.shutdown_seconds) as shutdown, open_ledger(settings, service=True) as ledger:
        yield shutdown, ledger


def _services(
    ledger: Wired, worker: Worker | None, shutdown: Shutdown, readers: Pool | None = None
) -> Services:
    from api.services import Services

    return Services(
        ledger.pipeline,
        worker,
        Intake(ledger.pipeline),
        shutdown.requested,
        ledger.exposition,
        metrics_secret(ledger.settings),
        readers=readers or Pool(0),
    )


@contextmanager
def _answering(settings: Settings, services: Services) -> Iterator[None]:
    """Answer how the worker is, on the port that the settings name, if they name one."""
    if settings.worker_port is None:
        yield
        return
    from api.app import create_worker_app
    from api.server import Server

    try:
        listener = socket.create_server((settings.host, settings.worker_port))
    except OSError as error:
        raise InputError(
            "the worker cannot listen on its port", got=error.strerror, advice="Set another with --port."
        ) from None
    log.info("worker answers", port=listener.getsockname()[1])
    server = Server(create_worker_app(services), settings, settings.worker_port)
    thread = threading.Thread(target=server.run, args=([listener],), name="ledger-worker-http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.leave()
        thread.join(settings.shutdown_seconds)
