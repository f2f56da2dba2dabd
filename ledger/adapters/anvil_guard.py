"""The guard: a small process between the ledger and its managed Anvil, `python -m ledger.adapters.anvil_guard`.

It starts Anvil, keeps its state on disk, starts it again at the same address if it dies, and ends it when nobody uses
it any more. It outlives whoever started it; that is its use, because a process that dies by SIGKILL cannot tidy up.

::

    chain.lock    held by the guard and, through it, by Anvil: a chain runs on this folder
    guard.lock    held by the guard alone: somebody keeps that chain
    users.lock    held in common by every process that uses the chain; when the guard gets it alone, all are gone
    anvil.json    {"url", "chain_id", "guard", "anvil", "warnings"} while the chain answers, or {"failed": why}

The locks are the operating system's (flock), so they are released however a process ends. Anvil's blocks are in
memory; the guard writes them out as soon as it sees a new one, for at most a tenth of the time. Anvil itself writes
them out when it is ended by a signal, which on Linux it also is when the guard dies. What can be lost is what Anvil
mined in the moment before it died by SIGKILL, or the machine did.

Only the standard library is imported, so that this starts in a few hundredths of a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ledger.adapters.anvil_state import BrokenState, ChainFiles

LOOK_SECONDS = 0.1
START_SECONDS = 60.0
STOP_SECONDS = 60.0
ANSWER_SECONDS = 60.0
MAX_QUICK_DEATHS = 3
QUICK_SECONDS = 5.0
SAVE_AGAIN_SECONDS = 10.0

GENESIS_SECONDS = 1_700_000_000
"""Anvil makes block 0 anew at every start; with a time of its own it is the same one, and block 1's parent."""

_PR_SET_PDEATHSIG = 1


class ChainFailed(Exception):
    """The chain cannot be started or kept; the text goes to whoever started the guard."""


class NoAnswer(Exception):
    """The node does not answer."""


class RpcError(Exception):
    """The node answered with an error."""


def ask(url: str, method: str, *parameters: Any, seconds: float = ANSWER_SECONDS) -> Any:
    """The result of one JSON-RPC request to a development node.

    Raises NoAnswer if none comes, RpcError if it is an error.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(
        parts.hostname or "", parts.port, timeout=seconds
    )
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    try:
        connection.request("POST", parts.path or "/", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"{type(error).__name__} on {method}") from None
    finally:
        connection.close()
    if not isinstance(answer, dict) or "result" not in answer:
        raise RpcError(f"{method}: {str(answer)[:200]}")
    return answer["result"]


def try_lock(file: IO[str], how: int) -> bool:
    """Take a lock (`fcntl.LOCK_SH` or `fcntl.LOCK_EX`) if that is possible at once."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Replace anvil.json whole."""
    path = folder / "anvil.json.new"
    path.write_text(json.dumps(record), "utf-8")
    path.replace(folder / "anvil.json")


class Guard:
    """Keeps one Anvil on one folder, from `run` until nobody uses it."""

    def __init__(self, folder: Path, chain_id: int, command: list[str]) -> None:
        self._folder = folder
        self._chain_id = chain_id
        self._command = command
        self._warnings: list[str] = []
        self._files = ChainFiles(folder, self._warn)
        self._port = 0
        self._anvil: subprocess.Popen[bytes] | None = None
        self._saved_head = ""
        self._next_save = 0.0
        self._ended = False

    def run(self, chain: IO[str]) -> None:
        """Start the chain, keep it, end it. Whatever fails is told in anvil.json. `chain` is the lock, held."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_ended", True))
        with (self._folder / "users.lock").open("w") as users:
            try:
                self._start(chain)
                self._watch(users, chain)
            except (ChainFailed, BrokenState) as failure:
                self._warn(str(failure))
                write_record(self._folder, {"failed": str(failure)})
            else:
                (self._folder / "anvil.json").unlink(missing_ok=True)
            finally:
                self._stop()

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _start(self, chain: IO[str]) -> None:
        """Start Anvil from the newest whole state, at the port that it had before, and say where it is."""
        state = self._files.prepare()
        end = time.monotonic() + START_SECONDS
        again = self._port != 0
        for _ in range(MAX_QUICK_DEATHS):  # a free port can be taken before Anvil listens
            self._port = self._port if again else _free_port()
            self._anvil = self._spawn(state, chain)
            if self._wait_until_it_answers(self._anvil, end):
                break
        else:
            raise ChainFailed(
                f"Anvil ends while it starts; its last words are in {self._folder / 'anvil.log'}"
            )
        self._files.started()
        self._set_time()
        self._saved_head = self._head() if state else ""
        write_record(
            self._folder,
            {
                "url": self._url,
                "chain_id": self._chain_id,
                "guard": os.getpid(),
                "anvil": self._anvil.pid,
                "warnings": self._warnings,
            },
        )

    def _spawn(self, state: Path | None, chain: IO[str]) -> subprocess.Popen[bytes]:
        command = [*self._command, "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--chain-id", str(self._chain_id), "--dump-state", str(self._files.at_exit)]
        command += ["--timestamp", str(GENESIS_SECONDS)]
        if state is not None:
            command += ["--load-state", str(state)]
        with (self._folder / "anvil.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # the settings name the program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                pass_fds=[chain.fileno()],
                preexec_fn=_end_with_parent() if sys.platform == "linux" else None,  # noqa: PLW1509  # no threads
            )

    def _wait_until_it_answers(self, anvil: subprocess.Popen[bytes], end: float) -> bool:
        while anvil.poll() is None:
            with contextlib.suppress(NoAnswer, RpcError):
                if ask(self._url, "eth_chainId", seconds=1) == hex(self._chain_id):
                    return True
            if time.monotonic() > end:
                raise ChainFailed(f"Anvil does not answer at {self._url}")
            time.sleep(0.01)
        return False

    def _set_time(self) -> None:
        """Have new blocks bear the real time; Anvil counts from block 0's."""
        try:
            ask(self._url, "evm_setTime", int(time.time()))
        except RpcError as error:
            self._warn(f"the chain's clock cannot be set: {error}")

    def _watch(self, users: IO[str], chain: IO[str]) -> None:
        """Until nobody uses the chain: save new blocks, and start Anvil again if it dies."""
        started, deaths = time.monotonic(), 0
        while not self._ended and not try_lock(users, fcntl.LOCK_EX):
            if self._anvil is not None and self._anvil.poll() is not None:
                deaths = deaths + 1 if time.monotonic() - started < QUICK_SECONDS else 1
                if deaths > MAX_QUICK_DEATHS:
                    raise ChainFailed(f"Anvil died {deaths} times in a row, with {self._anvil.returncode}")
                self._warn(f"Anvil ended with {self._anvil.returncode} and is started again")
                self._start(chain)
                started = time.monotonic()
            self._save_if_new()
            time.sleep(LOOK_SECONDS)

    def _save_if_new(self) -> None:
        began = time.monotonic()
        if began < self._next_save:
            return
        try:
            if (head := self._head()) == self._saved_head:
                return
            self._files.save(bytes.fromhex(ask(self._url, "anvil_dumpState")[2:]))
        except NoAnswer:
            return  # the next look says whether it is dead
        except (RpcError, OSError) as error:
            self._warn(f"the chain cannot be saved: {error}")
            self._next_save = began + SAVE_AGAIN_SECONDS
            return
        self._saved_head = head
        now = time.monotonic()
        self._next_save = now + 9 * (now - began)

    def _head(self) -> str:
        return str(ask(self._url, "eth_getBlockByNumber", "latest", False)["hash"])

    def _stop(self) -> None:
        """End Anvil, which writes out its state, and take that over."""
        if self._anvil is None:
            return
        self._anvil.terminate()
        try:
            self._anvil.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._warn(f"Anvil does not end within {STOP_SECONDS:g} s and is killed")
            self._anvil.kill()
            self._anvil.wait()
        self._anvil = None
        self._files.take_exit_dump()

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
        sys.stderr.flush()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> Callable[[], None]:
    """Have Linux send SIGTERM to the child when this process dies, however it dies (prctl(2))."""
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) and None


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Put what nobody foresaw into the log and anvil.json: a guard has nobody to raise to."""
    try:
        yield
    except Exception as error:
        write_record(folder, {"failed": f"the guard failed with {type(error).__name__}: {error}"})
        raise


def main() -> None:
    """Arguments: the folder, the chain id, and Anvil's command line. Returns at once; a child does the work.

    The locks are taken before, so that whoever started this knows that there is a guard.
    """
    folder, chain_id, *command = sys.argv[1:]
    with (Path(folder) / "chain.lock").open("w") as chain, (Path(folder) / "guard.lock").open("w") as guard:
        if not try_lock(chain, fcntl.LOCK_EX):
            return
        fcntl.flock(guard, fcntl.LOCK_EX)
        if os.fork():
            os._exit(0)  # so that nobody has to wait for the guard, nor keeps it as a zombie
        os.setsid()
        with _told(Path(folder)):
            Guard(Path(folder), int(chain_id), command).run(chain)


if __name__ == "__main__":
    main()
