"""Whether a push may come in: what its party has signed, held against the keys that the party has registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import LedgerError, NotSigned
from ledger.merkle import leaf_hash
from ledger.note import VerifierKey
from ledger.push import PushHead, open_push, read_push
from ledger.records import Log, PartyKey, PushSignature
from ledger.statement import Statement
from ledger.types import Digest, PartyId, Position, format_time


@dataclass(frozen=True, slots=True)
class CheckedSignature:
    """A party's signature over its push, by a key that is its own. `leaves` are those of all its statements."""

    note: str
    leaves: tuple[Digest, ...]
    key: PartyKey

    def kept(self, first: Position, count: int, received: int) -> PushSignature:
        """What is kept of it with the `count` events from `first` on that were new in the push.

        Raises:
            NotSigned: the key was not valid when the push was received.
        """
        if not self.key.is_valid(received):
            until = self.key.valid_until
            raise NotSigned(
                "the push is signed with a key that is not valid now",
                expected=f"a key valid at {format_time(received)}",
                got=f"one from {format_time(self.key.valid_from)}"
                + (f" to {format_time(until)}" if until is not None else ""),
            )
        return PushSignature(first, count, self.note, self.leaves)


def check_signature(
    log: Log, party: PartyId, statements: Sequence[Statement], note: str | None, keys: Sequence[PartyKey]
) -> CheckedSignature | None:
    """The signature over these statements; None for a push without one to a log that takes such.

    Args:
        keys: those that the party has registered, valid or not.

    Raises:
        NotSigned: the log takes only signed pushes, or the signature does not hold.
    """
    if note is None:
        if log.require_signature:
            raise NotSigned("this log takes only pushes that their party has signed")
        return None
    leaves = tuple(leaf_hash(statement.content) for statement in statements)
    key = _signer(note, party, keys)
    try:
        head = open_push(note, VerifierKey.parse(key.verifier_key))
    except LedgerError as error:
        raise NotSigned(f"the push is not signed: {error.message}") from None
    expected = PushHead.over(log.origin, leaves)
    if head != expected:
        raise NotSigned("the signature is over another push", expected=_spelled(expected), got=_spelled(head))
    return CheckedSignature(note, leaves, key)


def _signer(note: str, party: PartyId, keys: Sequence[PartyKey]) -> PartyKey:
    _, signature = read_push(note)
    for key in keys:
        verifier = VerifierKey.parse(key.verifier_key)
        if (verifier.name, verifier.key_id) == (signature.name, signature.key_id):
            return key
    raise NotSigned(
        "the push is signed with a key that its party has not registered",
        expected=f"a key of {party}",
        got=f"{signature.name[:80]!r} {signature.key_id.hex()}",
    )


def _spelled(head: PushHead) -> str:
    return f"{head.count} of {head.origin} with root {head.root}"
