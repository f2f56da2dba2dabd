"""What is pushed, and what the answer is held against.

A push is made ready once and sent as often as needed: the same bytes, so the same salts and the same answer. The answer
of the ledger is then held against it, as far as it can be:

- each event is answered, in its place, with a position that the receipt it names covers;
- each receipt is signed by the log's key, which the user gave, for that log;
- new events stand at all the positions of their receipt, and their leaves give its root.

The leaves of a signed push (`ledger.push`) are computed from the statements that were sent, with the time in the
receipt: a ledger that commits to something else is caught. Those of unsigned events hold the ledger's salts, so there
the leaves are the ledger's word; read the entries (`Client.entries`), or sign.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from ledger import canonical, catalogue
from ledger.canonical import Value
from ledger.entry import Event, parse_event
from ledger.errors import InclusionRefuted, InputError, InvalidEvent, MalformedInput
from ledger.merkle import leaf_hash, tree_root
from ledger.note import VerifierKey
from ledger.push import MEDIA_TYPE, PushHead, push_document, sign_push
from ledger.receipt import Receipt, open_receipt
from ledger.salted import statement_object
from ledger.statement import Statement, commit_event, entry_of
from ledger.types import Digest, Origin, PartyId, Position

if TYPE_CHECKING:
    from ledger.ports import Signer

LINES = "application/x-ndjson"

Name = tuple[str, str]
"""Source and id of an event."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A push that is ready to be sent.

    `names` are its events', in order; None where nobody looked. `statements` are what the party signed, and `party` is
    who that is; None for an unsigned push.
    """

    body: bytes
    media: str
    names: tuple[Name, ...] | None = None
    statements: tuple[bytes, ...] | None = None
    party: PartyId | None = None


def lines_ready(lines: bytes) -> Ready:
    """NDJSON, sent as it is."""
    return Ready(lines, LINES)


def events_ready(values: Iterable[Value]) -> Ready:
    """Unsigned events. Raises InvalidEvent for one that has no source or id."""
    encoded, names = [], []
    for value in values:
        encoded.append(canonical.encode(value))
        names.append(name_of(value))
    return Ready(b"\n".join(encoded) + b"\n", LINES, tuple(names))


def signed_ready(statements: Sequence[Statement], origin: Origin, signer: Signer) -> Ready:
    """Statements that their party has salted, signed by it."""
    texts = tuple(statement.content for statement in statements)
    head = PushHead.over(origin, list(map(leaf_hash, texts)))
    document = push_document(
        sign_push(head, signer.key, signer.sign), [statement_object(statement) for statement in statements]
    )
    return Ready(
        canonical.encode(document),
        MEDIA_TYPE,
        tuple((statement.source, statement.id) for statement in statements),
        texts,
        PartyId(signer.key.name),
    )


def salted(value: Value, salt: Callable[[], bytes]) -> Statement:
    """An event as its party salts it: of a type that this catalogue does not know, every member.

    Raises:
        InvalidEvent: the envelope is out of form. Whether it is good under its type is the ledger's to say.
        TooLarge: as `parse_event`.
    """
    event = parse_event(value)
    return commit_event(event, _visible(event), salt)


def _visible(event: Event) -> frozenset[str]:
    try:
        return catalogue.find(event.type).visible
    except InvalidEvent:
        return frozenset()


def name_of(value: Value) -> Name:
    """Source and id of an event. Raises InvalidEvent if it has none."""
    match value:
        case {"source": str(source), "id": str(id)}:
            return source, id
    raise InvalidEvent("not an event: expected a JSON object with source and id")


class Shown(IntEnum):
    """How much of a receipt was shown to be true of what was pushed; each includes those before."""

    NOTHING = 0
    """There was no key to hold it against."""
    SIGNED = 1
    """The log's key signed it, and it covers the position; its root is over events that are not known here."""
    ANSWERED = 2
    """The leaves that the ledger answered give its root."""
    COMPUTED = 3
    """The leaves that were computed here, from what was sent, give its root."""


@dataclass(frozen=True, slots=True)
class PushedEvent:
    """One event of an answer: where it stands, whether it was there before, and which receipt covers it."""

    source: str
    id: str
    duplicate: bool
    position: Position
    leaf: Digest
    receipt: int


@dataclass(frozen=True, slots=True)
class GivenReceipt:
    """A receipt as it was given, a signed note, and how much of it was shown. `opened` is None without a key."""

    note: str
    opened: Receipt | None
    shown: Shown


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """What became of a push: its events in order, and the receipts that cover them."""

    events: tuple[PushedEvent, ...]
    receipts: tuple[GivenReceipt, ...]

    @property
    def accepted(self) -> int:
        return sum(not event.duplicate for event in self.events)

    @property
    def duplicates(self) -> int:
        return len(self.events) - self.accepted


def read_answer(content: bytes, ready: Ready, origin: Origin, key: VerifierKey | None) -> PushAnswer:
    """The ledger's answer to a push, held against what was sent and, if there is one, the log's key.

    Raises:
        InputError: not the answer of a ledger.
        SignatureRefuted: a receipt that the log's key did not sign.
        InclusionRefuted: an answer that does not fit what was sent, or a receipt for something else.
    """
    try:
        answer = canonical.parse_object(content)
        events = tuple(_event(value) for value in _list(answer.get("events")))
        notes = [_text(note) for note in _list(answer.get("receipts"))]
        opened = [None if key is None else open_receipt(note, key) for note in notes]
    except MalformedInput:
        raise InputError("what answers is no ledger", advice="Is the URL right?") from None
    names = tuple((event.source, event.id) for event in events)
    if ready.names is not None and names != ready.names:
        raise _refuted("an answer for other events than were pushed", len(ready.names), len(names))
    if {event.receipt for event in events} != set(range(len(notes))):
        raise _refuted("an answer whose events and receipts do not belong together")
    sent = _Sent(ready, origin)
    receipts = tuple(
        GivenReceipt(note, receipt, sent.check(receipt, _under(events, number)) if receipt else Shown.NOTHING)
        for number, (note, receipt) in enumerate(zip(notes, opened, strict=True))
    )
    return PushAnswer(events, receipts)


def _under(events: Sequence[PushedEvent], receipt: int) -> dict[int, PushedEvent]:
    """The events under a receipt by their indexes in the push."""
    return {index: event for index, event in enumerate(events) if event.receipt == receipt}


class _Sent:
    """What was sent, to hold receipts against."""

    def __init__(self, ready: Ready, origin: Origin) -> None:
        self._ready = ready
        self._origin = origin

    def check(self, receipt: Receipt, events: Mapping[int, PushedEvent]) -> Shown:
        """How much of a receipt these events show. Raises InclusionRefuted if it is not for them."""
        places = range(receipt.first, receipt.first + receipt.count)
        at: dict[int, list[int]] = defaultdict(list)
        for index, event in events.items():
            if event.position not in places:
                raise _refuted("a receipt that does not cover its event", places, event.position)
            at[event.position].append(index)
        new = any(not event.duplicate for event in events.values())
        if len(at) < receipt.count:
            if new:
                raise _refuted("a receipt for more events than were new", len(at), receipt.count)
            return Shown.SIGNED
        firsts = [at[place][0] for place in places]
        computed = self._computed(receipt, firsts)
        if computed is not None and tree_root(computed) == receipt.root:
            return Shown.COMPUTED
        if computed is not None and new:
            raise _refuted("a receipt for something else than was pushed", tree_root(computed), receipt.root)
        answered = [events[index].leaf for index in firsts]
        if tree_root(answered) != receipt.root:
            raise _refuted("leaves that do not give the receipt's root", tree_root(answered), receipt.root)
        return Shown.ANSWERED

    def _computed(self, receipt: Receipt, indexes: Sequence[int]) -> list[Digest] | None:
        """The leaves of these statements as the receipt dates them; None if they are the ledger's to make."""
        statements, party = self._ready.statements, self._ready.party
        if statements is None or party is None:
            return None
        return [
            leaf_hash(entry_of(statements[index], self._origin, party, receipt.received)) for index in indexes
        ]


def _refuted(message: str, expected: object = None, got: object = None) -> InclusionRefuted:
    return InclusionRefuted(message, step="receipt", expected=expected, got=got)


def _event(value: Value) -> PushedEvent:
    match value:
        case {
            "source": str(source),
            "id": str(id),
            "status": "accepted" | "duplicate" as status,
            "position": int(position),
            "leaf": str(leaf),
            "receipt": int(receipt),
        } if position >= 0:
            return PushedEvent(
                source,
                id,
                status == "duplicate",
                Position(position),
                Digest.from_base64(leaf),
                receipt,
            )
    raise MalformedInput("not an event of an answer")


def _list(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise MalformedInput("not a list")
    return value


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise MalformedInput("not a text")
    return value
