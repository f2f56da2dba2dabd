"""The managed Anvil of the embedded default: a chain of one's own, kept in a folder, with nothing to install or start.

It is a development chain. Whoever can reach its port, or write its folder, can change its blocks; it proves nothing to
anybody else. For evidence that others shall believe, the settings name a node of a chain that others run, too.

Processes that use the same folder share one Anvil: the first starts it, the last ends it, and a process that dies by
SIGKILL counts as gone. How, stands in `anvil_guard`, the process that keeps it; where its blocks are, in `anvil_state`.
Blocks, receipts, events, nonces and contracts are the same after a restart. Needs POSIX (flock, fork).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ledger.adapters.anvil_guard import STOP_SECONDS, NoAnswer, RpcError, ask, try_lock
from ledger.adapters.node import tool
from ledger.errors import ChainUnavailable

CHAIN_ID = 31337
START_SECONDS = 60.0
LOOK_SECONDS = 0.01
ETHER = 10**18

# No accounts with keys that everybody knows; no states of old blocks, which nobody asks for; no web pages.
_OPTIONS = ["--accounts", "0", "--prune-history", "--no-cors", "--quiet"]

_log = logging.getLogger(__name__)


class ManagedAnvil:
    """This process's share in the Anvil of a folder.

    ::

        with ManagedAnvil(folder) as url: ...

    Args:
        folder: for the chain's files only; made if it is not there.
        chain_id: must stay the same for a folder.
    """

    def __init__(self, folder: Path, chain_id: int = CHAIN_ID) -> None:
        self._folder = folder.absolute()
        self._chain_id = chain_id
        self._users: IO[str] | None = None

    def start(self) -> str:
        """The URL of the chain's JSON-RPC, which stays the same until every user has stopped.

        Raises:
            ToolMissing: Anvil is not installed.
            ChainUnavailable: it cannot be started, or the folder's chain has another chain id.
        """
        if self._users is not None:
            raise RuntimeError("already started")
        command = [*tool("anvil"), *_OPTIONS]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        users = (self._folder / "users.lock").open("w")
        try:
            # A guard that is ending the chain holds this lock alone; then a new chain is started behind it.
            _wait(
                lambda: try_lock(users, fcntl.LOCK_SH), STOP_SECONDS, "the chain of this folder does not end"
            )
            with self._starting():
                if not self._is_held("chain.lock"):
                    (self._folder / "anvil.json").unlink(missing_ok=True)  # of a chain that has ended
                record = _wait(
                    lambda: self._found(command), START_SECONDS, f"no chain came up in {self._folder}"
                )
        except BaseException:
            users.close()
            raise
        self._users = users
        for warning in record["warnings"]:
            _log.warning("managed Anvil: %s", warning)
        _log.warning(
            "DEVELOPMENT CHAIN: a managed Anvil at %s, kept in %s. It convinces nobody but its owner.",
            record["url"],
            self._folder,
        )
        return str(record["url"])

    def stop(self) -> None:
        """Give up this process's share. The last to do so waits until the chain is on disk and Anvil has ended."""
        users, self._users = self._users, None
        if users is None:
            return
        with users:
            fcntl.flock(users, fcntl.LOCK_UN)
            with suppress(ChainUnavailable):
                _wait(lambda: self._is_settled(users), STOP_SECONDS, "")

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"ManagedAnvil({str(self._folder)!r}, chain_id={self._chain_id})"

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """One process starts a chain at a time; the others then find it."""
        with (self._folder / "start.lock").open("w") as lock:
            _wait(
                lambda: try_lock(lock, fcntl.LOCK_EX),
                2 * START_SECONDS,
                "another process is stuck in starting",
            )
            yield

    def _found(self, command: list[str]) -> dict[str, Any] | None:
        """The chain that runs; if none does, a guard is started. An Anvil that lost its guard is waited for."""
        record = self._record()
        if record is None and not self._is_held("chain.lock"):
            self._spawn_guard(command)
        return record

    def _is_held(self, name: str) -> bool:
        with (self._folder / name).open("a") as lock:
            return not try_lock(lock, fcntl.LOCK_SH)

    def _spawn_guard(self, command: list[str]) -> None:
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with (self._folder / "anvil.log").open("ab") as log:
            subprocess.run(  # noqa: S603  # our own guard
                [sys.executable, "-m", "ledger.adapters.anvil_guard", str(self._folder), str(self._chain_id), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                check=True,
            )  # fmt: skip

    def _record(self) -> dict[str, Any] | None:
        """What the guard says, once the chain answers."""
        try:
            record: dict[str, Any] = json.loads((self._folder / "anvil.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        if "failed" in record:
            raise ChainUnavailable(
                f"the managed Anvil cannot be started: {record['failed']}",
                advice=f"See {self._folder / 'anvil.log'}, and keep the folder as it is.",
            )
        if record["chain_id"] != self._chain_id:
            raise ChainUnavailable(
                "the managed Anvil of this folder runs with another chain id",
                expected=self._chain_id,
                got=record["chain_id"],
                advice="Use the chain id that the folder was made with.",
            )
        if not self._is_held("guard.lock"):
            return None  # its guard was killed
        try:
            ask(record["url"], "eth_chainId", seconds=5)
        except (NoAnswer, RpcError):
            return None
        return record

    def _is_settled(self, users: IO[str]) -> bool:
        """Whether the chain has ended, or is others' business."""
        if try_lock(users, fcntl.LOCK_EX):  # nobody uses it
            over = not self._is_held("chain.lock")
            fcntl.flock(users, fcntl.LOCK_UN)
            return over
        # Either others use it, and then this one may, too; or the guard is ending it.
        return try_lock(users, fcntl.LOCK_SH)


def fund(rpc_url: str, address: str, ether: int = 10_000) -> None:
    """Give an account money on a development chain, Anvil's or Ganache's, and mine a block so that it is kept.

    Raises ChainUnavailable if the node does not answer or is not one that gives money away.
    """
    refusals = []
    for method in ("anvil_setBalance", "evm_setAccountBalance"):
        try:
            ask(rpc_url, method, address, hex(ether * ETHER))
            ask(rpc_url, "evm_mine")
        except RpcError as error:
            refusals.append(str(error))
        except NoAnswer as error:
            raise ChainUnavailable(
                f"the development chain does not answer: {error}", advice="See that it runs."
            ) from None
        else:
            return
    raise ChainUnavailable(
        "the node does not give money away: it is not a development chain",
        got=refusals[0],
        advice="Have the account paid by somebody who has money on that chain.",
    )


def _wait(look: Callable[[], Any], seconds: float, otherwise: str) -> Any:
    """The first answer that is true."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise ChainUnavailable(otherwise, advice="See which processes use the folder, and end them.")
        time.sleep(LOOK_SECONDS)
    return found
