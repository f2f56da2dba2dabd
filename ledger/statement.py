"""Statements: what a party says, apart from what the ledger adds.

A statement is an entry (`ledger.entry`) less `log`, `party` and `received`. These three stand side by side behind
`event` and before `v`, so a statement is made out of an entry, and the other way round, without reading JSON::

    entry      {"data":{…},"event":{…},"log":"ledger.example/acme-live","party":"acme","received":"…","v":1}
    statement  {"data":{…},"event":{…},"v":1}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from ledger import canonical
from ledger.canonical import Object
from ledger.disclosure import (
    RESERVED,
    Disclosure,
    DisclosureTexts,
    digests_of_ascii,
    disclosure_arrays,
    parse_disclosures,
)
from ledger.entry import SD_ALG, VERSION, Attributed, Event
from ledger.errors import MalformedInput
from ledger.types import Digest, Origin, PartyId, format_time, to_base64url_ascii

_END = b',"v":1}'


@dataclass(frozen=True, slots=True)
class Statement(Attributed):
    """An event turned into commitments, with the texts of the disclosures that open them.

    `content` is what the party says, in canonical bytes; `key` and `time` are the event's. It holds little but bytes,
    so that it goes cheaply from one process to another; what they say is read when it is asked for.
    """

    attributes: Mapping[str, str]
    content: bytes
    texts: Sequence[str]
    key: Digest
    time: int

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process as plain bytes: objects would take longer than what they hold.
        arrays = self.texts.arrays if isinstance(self.texts, DisclosureTexts) else tuple(self.texts)
        return _made_again, (self.attributes, self.content, arrays, bytes(self.key), self.time)

    @property
    def data(self) -> Object:
        """Visible members, and the digests of the others."""
        return cast(Object, canonical.parse_object(self.content)["data"])

    @property
    def visible(self) -> Object:
        """The members that stay visible."""
        return {name: value for name, value in self.data.items() if name not in RESERVED}

    @property
    def disclosures(self) -> tuple[Disclosure, ...]:
        return tuple(parse_disclosures(self.texts))

    @property
    def event(self) -> Event:
        """The event as its party sent it."""
        return Event(self.attributes, {**self.visible, **{d.name: d.value for d in self.disclosures}})


def _made_again(
    attributes: Mapping[str, str], content: bytes, texts: bytes | tuple[str, ...], key: bytes, time: int
) -> Statement:
    disclosures = DisclosureTexts(texts) if isinstance(texts, bytes) else texts
    return Statement(attributes, content, disclosures, Digest(key), time)


def make_statement(event: Event, visible: Object, digests: Iterable[str], texts: Sequence[str]) -> Statement:
    """The statement of an event whose data is committed to by visible members and digests, which `texts` open."""
    content = _content(cast(Object, event.attributes), visible, sorted(digests))
    return Statement(event.attributes, content, texts, event.key, event.time)


def _content(attributes: Object, visible: Object, digests: list[str]) -> bytes:
    """Canonical JSON of `{"data": {"_sd": digests, "_sd_alg": …, **visible}, "event": attributes, "v": 1}`."""
    if min(visible, default="a") <= "_sd_alg":  # members that stand before those that commit
        data: Object = {**visible, "_sd": list(digests), "_sd_alg": SD_ALG}
        return canonical.encode({"v": VERSION, "event": attributes, "data": data})
    # Spelled out, since digests need not be looked at one by one.
    committed = b'"_sd":%b,"_sd_alg":"%b"' % (canonical.encode_texts(digests), SD_ALG.encode())
    if visible:
        committed += b"," + canonical.encode(visible)[1:-1]
    return b'{"data":{%b},"event":%b,"v":%d}' % (committed, canonical.encode(attributes), VERSION)


def commit_event(event: Event, visible: frozenset[str], salt: Callable[[], bytes]) -> Statement:
    """Turn `data` into salted digests, sorted, beside the members that its type keeps visible (RFC 9901 §4.2.4.1).

    `salt` answers 16 fresh random bytes at each call.
    """
    (statement,) = commit_events([(event, visible)], salt)
    return statement


def commit_events(
    events: Sequence[tuple[Event, frozenset[str]]], salt: Callable[[], bytes]
) -> list[Statement]:
    """As `commit_event` of each event and its visible members: a little faster for some at once."""
    hidden = [
        (name, value)
        for event, visible in events
        for name, value in event.data.items()
        if name not in visible
    ]
    arrays = disclosure_arrays(hidden, salt)
    digests = digests_of_ascii(to_base64url_ascii(arrays))
    statements, start = [], 0
    for event, visible in events:
        shown = {name: value for name, value in event.data.items() if name in visible} if visible else {}
        stop = start + len(event.data) - len(shown)
        texts = DisclosureTexts(b"\n".join(arrays[start:stop]))
        statements.append(make_statement(event, shown, digests[start:stop], texts))
        start = stop
    return statements


def make_entry(statement: Statement, origin: Origin, party: PartyId, received: int) -> bytes:
    """The canonical bytes that are committed. `received` is Unix milliseconds."""
    return entry_of(statement.content, origin, party, received)


def entry_of(statement: bytes, origin: Origin, party: PartyId, received: int) -> bytes:
    """The entry that commits to a statement; sibling of `statement_of`. `received` is Unix milliseconds."""
    if not statement.endswith(_END):
        raise MalformedInput("not a statement", expected=f"canonical JSON that ends in {_END.decode()}")
    return statement.removesuffix(_END) + _added(origin, party, received)


def statement_of(entry: bytes, origin: Origin, party: PartyId, received: int) -> bytes:
    """The statement in an entry, which says this log, party and time.

    Raises:
        MalformedInput: the entry does not end as such an entry does.
    """
    added = _added(origin, party, received)
    if not entry.endswith(added):
        raise MalformedInput("not an entry", expected="log, party, received and v at its end")
    return entry.removesuffix(added) + _END


@lru_cache(maxsize=64)
def _added(origin: Origin, party: PartyId, received: int) -> bytes:
    # None of the three forms has a character that JSON would escape.
    return f',"log":"{origin}","party":"{party}","received":"{format_time(received)}"'.encode() + _END
