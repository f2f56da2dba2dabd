"""The API over a real store and a real chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from support.ledgers import Bed, serving

from ledger.records import Scope
from ledger.types import Origin

ALL = (Scope.PUSH, Scope.READ, Scope.DISCLOSE)


@pytest.fixture(scope="module")
def client(bed: Bed) -> Iterator[httpx.Client]:
    with serving(bed) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


@dataclass(frozen=True)
class Caller:
    """Requests about one log with one API key."""

    client: httpx.Client
    origin: Origin
    key: str | None

    def get(self, path: str, **parameters: Any) -> Any:
        return self.client.get(self._path(path), params=parameters, headers=self.headers)

    def post(self, path: str, content: bytes | str, media: str) -> Any:
        headers = {**self.headers, "Content-Type": media}
        return self.client.post(self._path(path), content=content, headers=headers)

    def push(self, value: Any) -> Any:
        return self.client.post(self._path("/events"), json=value, headers=self.headers)

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def _path(self, path: str) -> str:
        return path if path.startswith("/v1") else f"/v1/logs/{self.origin}{path}"


@pytest.fixture
def caller(client: httpx.Client, bed: Bed, origin: Origin) -> Caller:
    """Somebody with every scope on a fresh log."""
    return Caller(client, origin, bed.api_key(origin, *ALL))


def assert_problem(answer: Any, status: int, kind: str | None = None) -> dict[str, Any]:
    """`answer` is a problem document (RFC 9457) of this status; its members."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["type"].startswith("urn:transfer-ledger:problem:")
    if kind is not None:
        assert body["type"] == f"urn:transfer-ledger:problem:{kind}"
    return body
