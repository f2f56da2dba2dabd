"""Signed pushes to test with: a party's key, its events salted by itself, its signature over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.ledgers import PARTY, START, Bed

from ledger import canonical, catalogue
from ledger.entry import parse_event
from ledger.merkle import leaf_hash
from ledger.push import PushHead, push_document, sign_push
from ledger.records import PartyKey
from ledger.salted import statement_object
from ledger.signer import KeySigner
from ledger.statement import Statement, commit_event
from ledger.types import Digest, Origin, PartyId

_salts = itertools.count(1)


def next_salt() -> bytes:
    """A salt that no other disclosure of this process has."""
    return Digest.of(b"salt %d" % next(_salts))[:16]


def party_signer(party: str = PARTY, seed: int = 1) -> KeySigner:
    """A party's key pair; the same for the same seed."""
    return KeySigner(party, Ed25519PrivateKey.from_private_bytes(Digest.of(b"party %d" % seed)))


def salted(value: Any, salt: Callable[[], bytes] = next_salt) -> Statement:
    """An event as its party salts it."""
    event = parse_event(value)
    type_ = catalogue.check_event(event, allow_opaque=True)
    return commit_event(event, type_.visible, salt)


@dataclass(frozen=True)
class SignedPush:
    """A push as a party makes it."""

    note: str
    statements: tuple[Statement, ...]

    @property
    def values(self) -> list[Any]:
        return [statement_object(statement) for statement in self.statements]

    @property
    def body(self) -> bytes:
        return canonical.encode(push_document(self.note, self.values))


def signed_push(origin: Origin, values: Sequence[Any], signer: KeySigner | None = None) -> SignedPush:
    signer = signer or party_signer()
    statements = tuple(map(salted, values))
    head = PushHead.over(origin, [leaf_hash(statement.content) for statement in statements])
    return SignedPush(sign_push(head, signer.key, signer.sign), statements)


def register_key(
    bed: Bed, signer: KeySigner, party: PartyId = PARTY, since: int = START - 1000, until: int | None = None
) -> PartyKey:
    key = PartyKey(party, str(signer.key), since, until)
    bed.store.add_party_key(key)
    return key
