"""Real development chains for tests, and a wire between them and us that can be cut.

with running_anvil() as chain: ...      # or running_ganache
chain.url                               # its JSON-RPC
chain.ask("eth_blockNumber")            # any request
with chain.paused(): ...                # transactions wait for a block until the end
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ledger.adapters.anvil_guard import NoAnswer, ask
from ledger.adapters.node import tool

START_SECONDS = 60
STOP_SECONDS = 20


@dataclass(frozen=True)
class DevelopmentChain:
    name: str
    url: str
    chain_id: int

    def ask(self, method: str, *parameters: Any) -> Any:
        return ask(self.url, method, *parameters)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No blocks inside; then one with all that waits."""
        if self.name == "ganache":
            self.ask("miner_stop")
        else:
            self.ask("evm_setAutomine", False)
        try:
            yield
        finally:
            if self.name == "ganache":
                self.ask("miner_start")
            else:
                self.ask("evm_mine")
                self.ask("evm_setAutomine", True)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What happens inside has never happened."""
        state = self.ask("evm_snapshot")
        yield
        assert self.ask("evm_revert", state) is True


@contextmanager
def running_anvil(*options: str) -> Iterator[DevelopmentChain]:
    command = [*tool("anvil"), "--silent", "--accounts", "0", "--port", "{port}", *options]
    with _running(command) as url:
        yield DevelopmentChain("anvil", url, 31337)


@contextmanager
def running_ganache(*options: str) -> Iterator[DevelopmentChain]:
    """Ganache with the newest rules that it has."""
    command = [*tool("ganache"), "--server.port", "{port}", "--chain.hardfork", "shanghai", "--logging.quiet"]
    with _running([*command, *options]) as url:
        yield DevelopmentChain("ganache", url, 1337)


CHAINS: dict[str, Callable[..., AbstractContextManager[DevelopmentChain]]] = {
    "anvil": running_anvil,
    "ganache": running_ganache,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: Sequence[str]) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [word.format(port=port) for word in command], stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            end = time.monotonic() + START_SECONDS
            while not _answers(url):
                assert process.poll() is None, f"the node ended with {process.returncode}"
                assert time.monotonic() < end, f"the node did not answer in {START_SECONDS} s"
                time.sleep(0.02)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(url: str) -> bool:
    try:
        ask(url, "eth_chainId", seconds=2)
    except NoAnswer:
        return False
    return True


class Wire:
    """Between a client and a node: passes requests on, and can lose or replace answers.

    `lose` names the methods whose answers are lost, after the node has done what was asked; `instead` is answered in
    place of what the node says, with status 200, or with `status`; `first` is answered to the first requests of a
    method, one after the other.
    """

    def __init__(self, url: str, node: str) -> None:
        self.url = url
        self.node = node
        self.lose: set[str] = set()
        self.instead: bytes | None = None
        self.first: dict[str, list[bytes]] = {}
        self.status = 200
        self.delay = 0.0
        self.asked: list[str] = []

    def answer(self, body: bytes) -> bytes | None:
        method = body.split(b'"method":', 1)[1].split(b'"')[1].decode()
        self.asked.append(method)
        time.sleep(self.delay)
        if self.instead is not None:
            return self.instead
        if self.first.get(method):
            return self.first[method].pop(0)
        request = urllib.request.Request(self.node, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: bytes = response.read()
        return None if method in self.lose else answer


@contextmanager
def wired(node: str) -> Iterator[Wire]:
    """A wire to the node at this URL; `wire.url` is the client's end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            answer = wire.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.close_connection = answer is None
            if answer is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(wire.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients may hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        wire = Wire(f"http://127.0.0.1:{server.server_port}", node)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield wire
        finally:
            server.shutdown()
            thread.join()
