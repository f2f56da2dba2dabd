"""API keys as text: `tl_<id>_<secret>`."""

from __future__ import annotations

import re

from ledger.errors import Unauthenticated
from ledger.types import Digest, to_base64url

_FORM = re.compile(r"tl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


def api_key_text(id: bytes, secret: bytes) -> tuple[str, str, Digest]:
    """The id, the whole key (to be shown once) and the hash to store.

    Args:
        id: 6 random bytes.
        secret: 32 random bytes.
    """
    text = to_base64url(secret)
    return id.hex(), f"tl_{id.hex()}_{text}", secret_hash(text)


def split_key(key: str) -> tuple[str, str]:
    """Id and secret of a key. Raises Unauthenticated if it is not one."""
    match = _FORM.fullmatch(key)
    if match is None:
        raise Unauthenticated("not an API key", expected="tl_<12 hex digits>_<43 characters>")
    return match[1], match[2]


def secret_hash(secret: str) -> Digest:
    """What is stored of a secret: SHA-256. It has 256 random bits, so a slow hash would protect nothing more."""
    return Digest.of(secret.encode())
