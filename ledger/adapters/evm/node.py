"""One EVM node, asked over JSON-RPC. Whatever is wrong with it becomes `ChainUnavailable`.

Requests go out once: nothing here retries. Answers are taken as the plain JSON of the Ethereum execution API, because
web3's own result types refuse what permissioned chains put into their blocks (`extraData` of more than 32 bytes).

A node's URL often carries an API key. Errors therefore name only scheme, host and port, and do not keep the HTTP
library's exceptions, which quote the whole URL.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3Exception, Web3RPCError
from web3.types import RPCEndpoint

from ledger.errors import ChainUnavailable, MalformedInput
from ledger.types import Digest

T = TypeVar("T")

CONNECT_SECONDS = 3.0
_POOL = 32
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_UNEXPECTED = (Web3Exception, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


class RpcRefused(Exception):
    """The node answered with a JSON-RPC error object. For this package only; never leaves it."""

    def __init__(self, message: str, code: int | None, data: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data


class Node:
    """A connection to one node. May be used from several threads at once.

    Args:
        url: of its JSON-RPC, http or https.
        timeout: seconds to wait for an answer; connecting has `CONNECT_SECONDS` at most.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.name = _speakable(url)
        self._session = requests.Session()
        self._session.max_redirects = 0  # another host's answer is not this node's
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_POOL))
        if _is_loopback(url):
            self._session.trust_env = False  # a proxy for the world outside does not lead back here
        # web3 gives each thread a session of its own unless it is handed one; one pool serves all and can be closed.
        provider = HTTPProvider(
            url,
            request_kwargs={"timeout": (min(CONNECT_SECONDS, timeout), timeout)},
            session=self._session,
            exception_retry_configuration=None,
        )
        # No middleware: it would resolve names, fill in gas prices and ask for the chain id before each transaction.
        self._manager = Web3(provider, middleware=[]).manager

    def close(self) -> None:
        self._session.close()

    def ask(self, method: str, parameters: list[Any], read: Callable[[Any], T]) -> T:
        """`read` of the result of one request.

        Raises:
            RpcRefused: the node answered with an error.
            ChainUnavailable: it did not answer, or not in a form that `read` understands.
        """
        try:
            return read(self._manager.request_blocking(RPCEndpoint(method), parameters))
        except RpcRefused:
            raise
        except Web3RPCError as error:
            raise _refused(error) from None
        except requests.ConnectionError:
            raise self._silent(method, "does not answer") from None
        except requests.Timeout:
            raise self._silent(method, "took too long to answer") from None
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            raise self._silent(method, f"answered with HTTP status {status}") from None
        except _UNEXPECTED as error:
            raise self._silent(
                method, f"gave an answer that is not Ethereum's ({type(error).__name__})"
            ) from None

    def require(self, method: str, parameters: list[Any], read: Callable[[Any], T]) -> T:
        """As `ask`, for requests that a node has no reason to refuse."""
        try:
            return self.ask(method, parameters, read)
        except RpcRefused as refused:
            raise self.refusal(method, refused) from None

    def refusal(self, method: str, refused: RpcRefused) -> ChainUnavailable:
        """The error for a request that the node refused."""
        return ChainUnavailable(
            f"the EVM node at {self.name} refused {method}: {_one_line(refused.message)}",
            advice="See the node's log, and whether the settings name the right node and contract.",
            details={"code": refused.code},
        )

    def _silent(self, method: str, what: str) -> ChainUnavailable:
        return ChainUnavailable(
            f"the EVM node at {self.name} {what} (asked for {method})",
            advice="See that the node runs and that the settings name its JSON-RPC address.",
        )


def quantity(value: Any) -> int:
    """A JSON-RPC quantity, `0x` and hexadecimal digits."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ValueError("not a quantity")
    return int(value, 16)


def digest(value: Any) -> Digest:
    """32 bytes of JSON-RPC data."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError("not data")
    try:
        return Digest.from_hex(value)
    except MalformedInput:
        raise ValueError("not 32 bytes") from None


def _refused(error: Web3RPCError) -> RpcRefused:
    body: Any = (error.rpc_response or {}).get("error") or {}
    return RpcRefused(str(body.get("message", "")), body.get("code"), body.get("data"))


def _one_line(text: str, limit: int = 200) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip()


def _speakable(url: str) -> str:
    """Scheme, host and port: what of a URL is no secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https"):
        raise MalformedInput("not the address of an EVM node", expected="http://host:port or https://host/…")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
