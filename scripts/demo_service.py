"""The API as a process of its own, started for the demo and always ended with it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from demo_show import Command, DemoStopped, Show

START_SECONDS = 60.0
STOP_SECONDS = 60.0


@contextmanager
def serving(show: Show, command: Command, url: str, log: Path) -> Iterator[None]:
    """Run `command` (`serve …`) while the block runs; it is ready when the block begins.

    It has a session of its own, so that Ctrl-C reaches only the demo, which then ends it in order.
    """
    show.show_command(command)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command.argv(),
            env=command.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, url, log)
        yield
    finally:
        _end(process)


def port_to_use(wanted: int | None) -> int:
    """The port that was asked for; else 8420 if nobody listens there, else a free one."""
    if wanted is not None:
        return wanted
    for port in (8420, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise DemoStopped("no port is free to listen on")


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    answer = "nothing"
    while time.monotonic() < end:
        if process.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            raise DemoStopped(f"the API ended with exit code {process.returncode}; the end of {log}:\n{tail}")
        with contextlib.suppress(httpx.TransportError):
            ready = httpx.get(f"{url}/readyz", timeout=10)
            answer = ready.text
            if ready.status_code == 200:
                return
        time.sleep(0.05)
    raise DemoStopped(f"the API is not ready after {START_SECONDS:.0f} s: {answer}; see {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then patience: the service finishes its task, and the chain writes itself out."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
