"""Signed pushes: a party's signature over what it pushes, so that it cannot disown it.

The party salts its own disclosures, and signs a note over four lines with its key, which is named after the party::

    transfer-ledger/push/v1
    ledger.example/acme-live
    count 3
    root qg2I1s5EnkBdEkxMRVqKBOCoHpJ4+iWlXvqYkYIPbRE=

    — acme wXyzAb…

`root` is the RFC 6962 root over the leaf hashes of the push's statements (`ledger.statement`) in the order of the push,
those of events that the log has already included. Signing the events themselves would make the ledger keep a bare hash
of personal data (I4); a statement holds salted digests only. The first line is no origin, so the signature cannot be
taken for one over a checkpoint, nor over a receipt.

A push travels as JSON, media type `application/vnd.transfer-ledger.push+json`::

    {"signature": "transfer-ledger/push/v1\\n…", "statements": [{"event": {…}, "visible": {…}, "disclosures": […]}, …]}

What it says of one event is shown by an inclusion path of that event's statement in the push's tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

from ledger.canonical import Object, Value
from ledger.errors import InclusionRefuted, MalformedInput, SignatureRefuted
from ledger.merkle import BatchTree, Path, check_inclusion, leaf_hash, tree_root
from ledger.note import Note, Signature, VerifierKey, open_note, parse_note, sign_note
from ledger.types import Digest, Origin, PartyId, parse_origin

HEADLINE = "transfer-ledger/push/v1"
MEDIA_TYPE = "application/vnd.transfer-ledger.push+json"

_FORM = re.compile(HEADLINE + r"\n([^\n]+)\ncount ([1-9][0-9]{0,9})\nroot ([^\n]+)\n")


@dataclass(frozen=True, slots=True)
class PushHead:
    """What a party signs: the log that it pushes to, the number of its statements, and their root."""

    origin: Origin
    count: int
    root: Digest

    def __str__(self) -> str:
        return f"{HEADLINE}\n{self.origin}\ncount {self.count}\nroot {self.root.base64}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a signed push strictly."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise MalformedInput(
                "not the head of a push", expected=f"{HEADLINE} and three lines", got=repr(text[:80])
            )
        return cls(parse_origin(match[1]), int(match[2]), Digest.from_base64(match[3]))

    @classmethod
    def over(cls, origin: Origin, leaves: Sequence[Digest]) -> Self:
        """The head of a push of statements with these leaf hashes, at least one."""
        return cls(origin, len(leaves), tree_root(leaves))


def push_document(note: str, statements: Sequence[Value]) -> Object:
    """What travels: the signature, and the statements as `ledger.salted.statement_object` gives them."""
    return {"signature": note, "statements": list(statements)}


def parse_push(value: Value) -> tuple[str, list[Value]]:
    """The signature and the statements of a push, both still to be read; sibling of `push_document`."""
    match value:
        case {"signature": str(note), "statements": list(statements), **more} if not more:
            return note, statements
    raise MalformedInput("not a signed push", expected="a JSON object of signature and statements")


def sign_push(head: PushHead, key: VerifierKey, sign: Callable[[bytes], bytes]) -> str:
    """The signed note of a push."""
    return sign_note(str(head), key, sign)


def open_push(note: str, key: VerifierKey) -> PushHead:
    """The head in a note that `key` signed; sibling of `sign_push`."""
    return PushHead.parse(open_note(note, key))


def read_push(note: str) -> tuple[PushHead, Signature]:
    """The head in a note and the one signature under it, believed by nobody yet.

    Other signatures have no place here: whatever stands in their names would stay in the ledger for ever.
    """
    parsed: Note = parse_note(note)
    if len(parsed.signatures) != 1:
        raise MalformedInput("not a signed push", expected="one signature", got=len(parsed.signatures))
    return PushHead.parse(parsed.text), parsed.signatures[0]


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Who signed a statement. `held` says whether the signature was held against a key that the verifier trusts."""

    party: PartyId
    key_id: bytes
    held: bool


@dataclass(frozen=True, slots=True)
class PushProof:
    """That a statement is in a signed push: the note, and the way from its leaf to the root that the note is over."""

    note: str
    index: int
    path: Path


def others_among(leaves: Sequence[Digest], mine: Iterable[Digest]) -> list[tuple[int, Digest]]:
    """The leaves of a push that are not `mine`, with their indexes; `mine` are some of them, in their order.

    Raises ValueError if they are not. Of equal leaves the first is mine: the event came in with it.
    """
    others, rest = [], iter(mine)
    expected = next(rest, None)
    for index, leaf in enumerate(leaves):
        if leaf == expected:
            expected = next(rest, None)
        else:
            others.append((index, leaf))
    if expected is not None:
        raise ValueError("a leaf that is not in the push")
    return others


def leaves_with(count: int, others: Iterable[tuple[int, Digest]], mine: Iterable[Digest]) -> list[Digest]:
    """The `count` leaves of a push; sibling of `others_among`. Raises ValueError if they do not give so many."""
    leaves: list[Digest] = []
    rest = iter(mine)
    for index, other in [*others, (count, None)]:
        if index < len(leaves):
            raise ValueError("indexes that are not in order")
        leaves += islice(rest, index - len(leaves))
        if len(leaves) != index:
            raise ValueError("too few leaves")
        if other is not None:
            leaves.append(other)
    if next(rest, None) is not None:
        raise ValueError("too many leaves")
    return leaves


def prove_statement(note: str, leaves: Sequence[Digest], statement: bytes) -> PushProof:
    """The proof that a push of statements with these leaf hashes holds this one. Raises ValueError if it does not."""
    index = list(leaves).index(leaf_hash(statement))
    return PushProof(note, index, BatchTree(leaves).path(index))


def check_statement(
    proof: PushProof, statement: bytes, origin: Origin, party: PartyId, keys: Iterable[VerifierKey]
) -> SignedBy:
    """Hold a statement of a party against the push that it is said to be signed with; sibling of `prove_statement`.

    Raises:
        VerificationError: of the step `push`.
    """
    head, signed = check_push(proof.note, origin, party, keys)
    try:
        check_inclusion(leaf_hash(statement), proof.index, head.count, proof.path, head.root)
    except InclusionRefuted as error:
        error.step = "push"
        raise
    return signed


def check_push(
    note: str, origin: Origin, party: PartyId, keys: Iterable[VerifierKey]
) -> tuple[PushHead, SignedBy]:
    """Hold the note of a push against the log and party that it is said to be of, and against that party's keys.

    Args:
        keys: those that the verifier trusts; a signature by none of them is told as not held.

    Raises:
        SignatureRefuted: of another log or party, or not by the key that it names.
    """
    head, signature = read_push(note)
    if head.origin != origin:
        raise SignatureRefuted(
            "a signature over a push to another log", step="push", expected=origin, got=head.origin
        )
    if signature.name != party:
        raise SignatureRefuted(
            "a push that is signed by another party", step="push", expected=party, got=signature.name[:80]
        )
    mine = [key for key in keys if (key.name, key.key_id) == (party, signature.key_id)]
    try:
        for key in mine:
            open_push(note, key)
    except SignatureRefuted as error:
        error.step = "push"
        raise
    return head, SignedBy(party, signature.key_id, held=bool(mine))
