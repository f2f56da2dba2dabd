"""Bearer API keys: `tl_<id>_<secret>`, bound to a party and a log, with scopes.

Only SHA-256 of the secret is stored; the secret has 256 random bits, so no slower hash is needed.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from api.services import KnownLog, Ledger, Services
from ledger.errors import Forbidden, NotFound, Unauthenticated
from ledger.keys import secret_hash, split_key
from ledger.records import ApiKey, Log, Scope

bearer = HTTPBearer(auto_error=False, description="An API key made by `transfer-ledger key create`.")


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def caller(ledger: Ledger, credentials: Credentials) -> ApiKey:
    """The valid API key of this request."""
    id, secret = _presented(credentials)
    return _checked(_read(ledger, id), secret)


async def frequent_caller(ledger: Ledger, credentials: Credentials) -> ApiKey:
    """As `caller`, by what the store said within the last second (`RecentKeys`)."""
    id, secret = _presented(credentials)
    key = ledger.keys.get(id)
    if key is None:
        key = await run_in_threadpool(_read, ledger, id)
        ledger.keys.put(key)
    return _checked(key, secret)


def _presented(credentials: HTTPAuthorizationCredentials | None) -> tuple[str, str]:
    if credentials is None:
        raise Unauthenticated("no API key")
    return split_key(credentials.credentials)


def _read(ledger: Services, id: str) -> ApiKey:
    try:
        return ledger.store.api_key(id)
    except NotFound:
        raise Unauthenticated("an unknown API key") from None


def _checked(key: ApiKey, secret: str) -> ApiKey:
    if not hmac.compare_digest(key.secret_hash, secret_hash(secret)):
        raise Unauthenticated("an unknown API key")
    if key.revoked is not None:
        raise Unauthenticated("an API key that was revoked")
    return key


Caller = Annotated[ApiKey, Depends(caller)]


def requires(scope: Scope) -> Callable[..., Awaitable[ApiKey]]:
    """A dependency: the caller's key, if it has `scope` on the log in the path."""

    async def check(key: Caller, log: KnownLog) -> ApiKey:
        return _on_log(key, log, scope)

    return check


async def pusher(key: Annotated[ApiKey, Depends(frequent_caller)], log: KnownLog) -> ApiKey:
    """The caller's key, if it may push to the log in the path."""
    return _on_log(key, log, Scope.PUSH)


def _on_log(key: ApiKey, log: Log, scope: Scope) -> ApiKey:
    if key.origin != log.origin:
        raise Forbidden("this API key is bound to another log", expected=key.origin, got=log.origin)
    return with_scope(key, scope)


def _log_of_key(scope: Scope) -> Callable[..., Log]:
    """A dependency: the log that the caller's key is bound to, if it has `scope` and is the one that is asked for."""

    def find(
        key: Caller,
        ledger: Ledger,
        log: Annotated[
            str | None, Query(description="The log; by default the one that the key is bound to.")
        ] = None,
    ) -> Log:
        if log not in (None, key.origin):
            raise Forbidden("this API key is bound to another log", expected=key.origin, got=log)
        with_scope(key, scope)
        return ledger.store.log(key.origin)

    return find


def with_scope(key: ApiKey, scope: Scope) -> ApiKey:
    """`key`, if it has `scope`. Raises Forbidden."""
    if scope not in key.scopes:
        raise Forbidden(
            f"this API key does not have the scope {scope.value!r}",
            got=", ".join(sorted(key.scopes)) or "none",
        )
    return key


def _reader(key: Caller) -> ApiKey:
    """A dependency: the caller's key, if it may read at all."""
    return with_scope(key, Scope.READ)


ReadKey = Annotated[ApiKey, Depends(_reader)]
ReadLog = Annotated[Log, Depends(_log_of_key(Scope.READ))]
DisclosedLog = Annotated[Log, Depends(_log_of_key(Scope.DISCLOSE))]
"""Rows of projections hold what disclosures say, so reading them needs the scope for these."""
Pusher = Annotated[ApiKey, Depends(pusher)]
Reader = Annotated[ApiKey, Depends(requires(Scope.READ))]
Discloser = Annotated[ApiKey, Depends(requires(Scope.DISCLOSE))]
