"""The client of the HTTP measurements: a program of its own, which does nothing but send and count.

    parent ── {"url": …, "path": …, "headers": {…}, "connections": 64, "bodies": file, "limit_s": 3} ──►
    parent ◄── ready ──                 the file holds one body a line, and all requests are now bytes in memory
    parent ── go ──►
    parent ◄── {"seconds": …, "requests": 2000, "statuses": {"201": 2000}, "cpu_s": …, "p50_ms": …, …} ──

Each connection is kept alive and sends its next request when the whole answer to the one before has come; after
`limit_s`, or when there are no more bodies, none is sent any more. Of an answer only the status and the length are
read. Only the standard library is imported, so that starting costs nothing.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 120.0
_CHUNK = 1 << 18


class Connection:
    """One keep-alive connection: a request goes out, its answer comes in, one at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.sent_at = 0.0
        self.unsent = memoryview(b"")
        self._head = bytearray()
        self._missing = -1

    def send(self, request: bytes) -> bool:
        """Begin a request; whether all of it has gone out."""
        self.sent_at = time.perf_counter()
        self.unsent = memoryview(request)
        return self.send_more()

    def send_more(self) -> bool:
        while self.unsent:
            try:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
            except BlockingIOError:
                return False
        return True

    def receive(self) -> int | None:
        """Take what has come; the status once the answer is whole."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server closed a connection that was to be kept alive")
        self._head += data
        if self._missing < 0 and (end := self._head.find(b"\r\n\r\n")) >= 0:
            self._missing = end + 4 + _length(bytes(self._head[:end]))
        if self._missing < 0 or len(self._head) < self._missing:
            return None
        status = int(self._head[9:12])
        self._head.clear()
        self._missing = -1
        return status


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise ConnectionError(f"an answer without its length: {head[:200]!r}")


class Load:
    """Sends requests over connections, for at most `limit` seconds, and waits for their answers."""

    def __init__(
        self, address: tuple[str, int], connections: int, requests: Sequence[bytes], limit: float
    ) -> None:
        self._limit = limit
        self._until = 0.0
        self._requests: Iterator[bytes] = iter(requests)
        self._selector = selectors.DefaultSelector()
        self._connections = [Connection(address) for _ in range(min(connections, len(requests)))]
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []

    def run(self) -> None:
        self._until = time.perf_counter() + self._limit
        for connection in self._connections:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._next(connection)
        while self._selector.get_map():
            ready = self._selector.select(PATIENCE)
            if not ready:
                raise TimeoutError(f"no answer in {PATIENCE:.0f} s")
            for key, events in ready:
                if events & selectors.EVENT_WRITE:
                    self._watch(key.data, sent=key.data.send_more())
                if events & selectors.EVENT_READ:
                    self._read(key.data)

    def _read(self, connection: Connection) -> None:
        status = connection.receive()
        if status is not None:
            self.seconds.append(time.perf_counter() - connection.sent_at)
            self.statuses[status] += 1
            self._next(connection)

    def _next(self, connection: Connection) -> None:
        over = self.seconds and time.perf_counter() > self._until
        request = None if over else next(self._requests, None)
        if request is None:
            self._selector.unregister(connection.socket)
            connection.socket.close()
        else:
            self._watch(connection, sent=connection.send(request))

    def _watch(self, connection: Connection, *, sent: bool) -> None:
        events = selectors.EVENT_READ if sent else selectors.EVENT_READ | selectors.EVENT_WRITE
        if self._selector.get_key(connection.socket).events != events:
            self._selector.modify(connection.socket, events, connection)


def requests_of(spec: dict[str, Any]) -> list[bytes]:
    """The whole bytes of every request."""
    host = urlsplit(spec["url"]).netloc
    head = f"POST {spec['path']} HTTP/1.1\r\nHost: {host}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in spec["headers"].items())
    bodies = Path(spec["bodies"]).read_bytes().splitlines()
    return [head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]


def main() -> None:
    spec: dict[str, Any] = json.loads(sys.stdin.readline())
    parts = urlsplit(spec["url"])
    load = Load(
        (parts.hostname or "", parts.port or 80), spec["connections"], requests_of(spec), spec["limit_s"]
    )
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, began = time.process_time(), time.perf_counter()
    load.run()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    slowest = sorted(load.seconds)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "requests": len(slowest),
                "statuses": load.statuses,
                "cpu_s": cpu,
                "p50_ms": 1000 * slowest[len(slowest) // 2],
                "p99_ms": 1000 * slowest[len(slowest) * 99 // 100],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
