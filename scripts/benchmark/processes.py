"""Programs that are started for a while, and are always ended with the run.

Each has a session of its own, so that Ctrl-C reaches the benchmark alone, which then ends them in order; and with it
everything that they have started themselves.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

START_SECONDS = 60.0
STOP_SECONDS = 20.0
PORTS = 3


class BenchFailed(Exception):
    """Something could not be measured; the text says what and why."""


@contextmanager
def started(
    argv: Sequence[str], log: Path, *, piped: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program that runs while the block does.

    `piped`: its standard input and output are ours. `environment` is added to ours.
    """
    with log.open("a") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else out,
            stderr=out,
            text=True,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """SIGTERM, patience, then SIGKILL for it and for whatever it has left behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@dataclass(frozen=True, slots=True)
class Server:
    """A web server that runs."""

    url: str
    pid: int


@contextmanager
def serving(
    argv: Callable[[str], Sequence[str]],
    path: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A web server, which answers at `path` when the block begins. `argv` is given its port."""
    with ExitStack() as stack:
        for _ in range(PORTS):
            port = free_port()
            process = stack.enter_context(started(argv(str(port)), log, environment=environment))
            url = f"http://127.0.0.1:{port}"
            if _comes_up(process, url + path):
                break
        else:  # a port may be lost to somebody else once, but not again and again
            raise failed(f"{argv('…')[0]} does not answer at {path}", log)
        yield Server(url, process.pid)


def _comes_up(process: subprocess.Popen[str], url: str) -> bool:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        if _answers(url):
            return True
        time.sleep(0.02)
    return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def failed(what: str, log: Path) -> BenchFailed:
    """The error, with the end of the program's own log."""
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    return BenchFailed(f"{what}; the end of {log.name}:\n{tail}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def line_of(pipe: IO[str] | None) -> str:
    """The next line that a program writes; empty once it has ended."""
    assert pipe is not None
    return pipe.readline()


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to a program's standard input."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
