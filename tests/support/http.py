"""A server that gives the answers of a script, to hold a client against what a real one would hardly say."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Answer = bytes | Callable[[bytes], bytes]
"""The bytes of an answer, or what makes them of the request."""


def answer(status: int, body: Any, media: str = "application/problem+json", **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {
        "Content-Type": media,
        "Content-Length": str(len(content)),
        "Connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} x\r\n{head}\r\n".encode() + content


@dataclass
class Script:
    """A running server; `asked` are the requests that came."""

    url: str
    asked: list[bytes] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    @property
    def bodies(self) -> list[bytes]:
        return [request.partition(b"\r\n\r\n")[2] for request in self.asked]


@contextmanager
def scripted(*answers: Answer) -> Iterator[Script]:
    """Gives these answers, one after the other, and then hangs up on everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = Script(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(listener, iter(answers), script))
        thread.start()
        try:
            yield script
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
        if script.errors:
            raise script.errors[0]


def _serve(listener: socket.socket, answers: Iterator[Answer], script: Script) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(ConnectionError):
            request = _read(connection)
            script.asked.append(request)
            given = next(answers, b"")
            try:
                connection.sendall(given if isinstance(given, bytes) else given(request))
            except Exception as error:  # noqa: BLE001  # a mistake of the test's: told at the end, not waited for
                script.errors.append(error)


def _read(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += _some(connection)
    head, _, body = request.partition(b"\r\n\r\n")
    length = next(
        (int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionError
    return received
