"""The pushes of a package that their parties have signed: a line for each, written and checked.

::

    {"first":3,"others":[{"index":1,"leaf":"…32 bytes, base64…"}],"signature":"transfer-ledger/push/v1\\n…"}

The push's statements are, in order, those of the package's entries from position `first` on, and the `others` at their
indexes: events that the log had already, or that stand outside the package. Together they give the root that the party
signed, so no other entry, and no other order, can stand in their place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.errors import (
    InputError,
    IntegrityError,
    LedgerError,
    MalformedInput,
    PackageRefuted,
    VerificationError,
)
from ledger.merkle import leaf_hash, tree_root
from ledger.note import VerifierKey
from ledger.ports import Store
from ledger.push import PushHead, check_push, leaves_with, others_among
from ledger.statement import statement_of
from ledger.types import Digest, Origin, PartyId, Position

MEMBERS = ("first", "others", "signature")


def push_lines(store: Store, origin: Origin, start: Position, stop: Position) -> Iterator[bytes]:
    """A line for each signed push of the events `start` to `stop − 1`."""
    for kept in store.signatures(origin, start, stop):
        first, end = max(kept.first, start), Position(min(kept.first + kept.count, stop))
        mine = (
            leaf_hash(statement_of(event.entry, origin, event.party, event.received))
            for event in store.scan(origin, first, end)
        )
        try:
            others: list[Value] = [
                {"index": index, "leaf": leaf.base64} for index, leaf in others_among(kept.leaves, mine)
            ]
        except ValueError:
            raise IntegrityError(f"the signature of position {kept.first} is over another push") from None
        yield canonical.encode({"first": first, "others": others, "signature": kept.note}) + b"\n"


class PushCheck:
    """Holds entries, one after the other, against the lines of their pushes; sibling of `push_lines`.

    Args:
        lines: each of exactly `MEMBERS`.
        keys: those of parties that the verifier trusts.
        period: counted are the events received in it.
    """

    def __init__(
        self, lines: Iterator[Object], origin: Origin, keys: Sequence[VerifierKey], period: range
    ) -> None:
        self._lines = lines
        self._origin = origin
        self._keys = keys
        self._trusted = {key.name for key in keys}
        self._period = period
        self._next = self._read()
        self._open: _OpenPush | None = None
        self.signed: Counter[bool] = Counter()
        """Events of the period that their party has signed, by whether that was held against a key."""
        self.unheld: Position | None = None
        """The first event of the period that is of a trusted key's party, and not held against one."""

    def add(
        self, first: int, parties: Sequence[PartyId], statements: Sequence[Digest], received: Sequence[int]
    ) -> None:
        """Take the next entries, from position `first` on.

        Args:
            statements: the leaf hashes of what the parties say; none are needed without signed pushes.
            received: Unix milliseconds.

        Raises:
            VerificationError: of the step `pushes`.
        """
        if self._trusted or self._open is not None or self._next is not None:
            for position, (party, statement, at) in enumerate(
                zip_longest(parties, statements, received), first
            ):
                self._add(Position(position), party, statement, at)

    def _add(self, position: Position, party: PartyId, statement: Digest | None, received: int) -> None:
        if self._next is not None and self._next[0] == position:
            self._begin(*self._next, party=party)
            self._next = self._read()
        push = self._open
        if push is not None and statement is not None:
            push.add(statement, party)
            if push.complete:
                push.check()
                self._open = None
        self._count(position, party, received, push)

    def finish(self) -> None:
        """Nothing may be left over: no line, no push that lacks entries."""
        if self._open is not None or self._next is not None:
            raise PackageRefuted("a signed push whose entries are not there", step="pushes")

    def _count(self, position: Position, party: PartyId, received: int, push: _OpenPush | None) -> None:
        if received not in self._period:
            return
        if push is not None:
            self.signed[push.held] += 1
        if party in self._trusted and not (push and push.held) and self.unheld is None:
            self.unheld = position

    def _begin(
        self, first: Position, note: str, others: Sequence[tuple[int, Digest]], *, party: PartyId
    ) -> None:
        if self._open is not None:
            raise PackageRefuted("two signed pushes of one entry", step="pushes", got=f"position {first}")
        try:
            head, signed = check_push(note, self._origin, party, self._keys)
        except (VerificationError, InputError) as error:
            raise _refused(error) from None
        self._open = _OpenPush(head, others, party, held=signed.held)

    def _read(self) -> tuple[Position, str, list[tuple[int, Digest]]] | None:
        try:
            value = next(self._lines, None)
            return None if value is None else _parse(value)
        except InputError as error:
            raise _refused(error) from None


class _OpenPush:
    """A push whose entries are being read."""

    def __init__(
        self, head: PushHead, others: Sequence[tuple[int, Digest]], party: PartyId, *, held: bool
    ) -> None:
        self._head = head
        self._others = others
        self._party = party
        self.held = held
        self._mine: list[Digest] = []

    @property
    def complete(self) -> bool:
        return len(self._mine) + len(self._others) >= self._head.count

    def add(self, statement: Digest, party: PartyId) -> None:
        if party != self._party:
            raise PackageRefuted(
                "an entry of another party in a signed push", step="pushes", expected=self._party, got=party
            )
        self._mine.append(statement)

    def check(self) -> None:
        try:
            root = tree_root(leaves_with(self._head.count, self._others, self._mine))
        except ValueError as error:
            raise PackageRefuted(f"a signed push with {error}", step="pushes") from None
        if root != self._head.root:
            raise PackageRefuted(
                "the entries do not give the root that their party signed",
                step="pushes",
                expected=self._head.root,
                got=root,
            )


def _parse(value: Object) -> tuple[Position, str, list[tuple[int, Digest]]]:
    match value:
        case {"first": int(first), "signature": str(note), "others": list(others)} if not isinstance(
            first, bool
        ):
            return Position(first), note, [_other(other) for other in others]
    raise MalformedInput("a line of pushes.ndjson is out of form", expected=", ".join(MEMBERS))


def _other(value: Value) -> tuple[int, Digest]:
    match value:
        case {"index": int(index), "leaf": str(leaf), **more} if not (more or isinstance(index, bool)):
            return index, Digest.from_base64(leaf)
    raise MalformedInput("a line of pushes.ndjson is out of form", expected="others of index and leaf")


def _refused(error: LedgerError) -> PackageRefuted:
    return PackageRefuted(error.message, step="pushes", expected=error.expected, got=error.got)
