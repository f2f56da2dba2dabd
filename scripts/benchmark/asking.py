"""Asking the API, over one connection that is kept alive."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmark.place import Home
from benchmark.processes import BenchFailed
from ledger.records import Scope

PATIENCE = 60.0


class Api:
    """The API of one ledger, as an auditor reads it who may see what was disclosed."""

    def __init__(self, connection: http.client.HTTPConnection, key: str) -> None:
        self._connection = connection
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str, parameters: Mapping[str, str | int]) -> Any:
        """The JSON of an answer."""
        url = f"{path}?{urlencode(parameters)}"
        try:
            status, body = self._ask(url)
        except ConnectionError:  # the server closes a connection that was idle for some seconds
            self._connection.close()
            status, body = self._ask(url)
        if status != 200:
            raise BenchFailed(f"the API answered {status} to {path}: {body[:200].decode()}")
        return json.loads(body)

    def _ask(self, url: str) -> tuple[int, bytes]:
        self._connection.request("GET", url, headers=self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


@contextmanager
def api_of(home: Home) -> Iterator[Api]:
    """The ledger served while the block runs."""
    key = home.api_key(Scope.READ, Scope.DISCLOSE)
    with home.served("--no-worker") as server:
        address = urlsplit(server.url)
        with closing(
            http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE)
        ) as opened:
            yield Api(opened, key)
