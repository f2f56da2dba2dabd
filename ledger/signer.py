"""Ed25519 key pairs under a name, as they stand in files: PKCS #8, PEM (`-----BEGIN PRIVATE KEY-----`).

A log signs with one that is named after its origin, a party with one that is named after it. Nothing in here shows a
private key: no `repr`, no error.
"""

from __future__ import annotations

from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from ledger.errors import MalformedInput
from ledger.note import VerifierKey


class KeySigner:
    """`ledger.ports.Signer` whose private key is in memory."""

    __slots__ = ("_private", "key")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key = VerifierKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key pair."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes, name: str) -> Self:
        """The key pair in a file's content. Raises MalformedInput for anything but an Ed25519 key without password."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise MalformedInput("not a signing key", expected="an Ed25519 private key, PKCS #8, PEM")
        return cls(name, private)

    @property
    def pem(self) -> bytes:
        """What to keep in a file; sibling of `from_pem`."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032 §5.1.6)."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"KeySigner({self.key})"
