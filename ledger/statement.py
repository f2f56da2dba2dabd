"""Statements: what a party says, apart from what the ledger adds.

A statement is an entry (`ledger.entry`) less `log`, `party` and `received`. These three stand side by side behind
`event` and before `v`, so a statement is made out of an entry, and the other way round, without reading JSON::

    entry      {"data":{…},"event":{…},"log":"ledger.example/acme-live","party":"acme","received":"…","v":1}
    statement  {"data":{…},"event":{…},"v":1}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeAlias, cast

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.disclosure import (
    RESERVED,
    SALT_BYTES,
    Disclosure,
    DisclosureTexts,
    Salting,
    members_text,
    parse_disclosures,
    salt_members,
)
from ledger.entry import SD_ALG, VERSION, Attributed, Event, event_keys
from ledger.errors import MalformedInput
from ledger.types import Digest, Origin, PartyId, digests, format_time

_END = b',"v":1}'


class _Said(NamedTuple):
    attributes: Mapping[str, str]
    content: bytes
    texts: Sequence[str]
    key: Digest
    time: int


class Statement(_Said, Attributed):
    """An event turned into commitments, with the texts of the disclosures that open them.

    `content` is what the party says, in canonical bytes; `key` and `time` are the event's. What the bytes say is read
    when it is asked for.
    """

    __slots__ = ()

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


Columns: TypeAlias = (
    "tuple[list[Mapping[str, str]], list[bytes], list[bytes | tuple[str, ...]], bytes, list[int]]"
)


def to_columns(statements: Sequence[Statement]) -> Columns:
    """Statements as what goes cheaply from one process to another: by itself each would take longer than its bytes."""
    attributes, contents, texts, keys, times = zip(*statements, strict=True) if statements else ((),) * 5
    arrays = [each.arrays if type(each) is DisclosureTexts else tuple(each) for each in texts]
    return list(attributes), list(contents), arrays, b"".join(keys), list(times)


def of_columns(columns: Columns) -> list[Statement]:
    """Sibling of `to_columns`."""
    attributes, contents, arrays, keys, times = columns
    texts = [DisclosureTexts(each) if type(each) is bytes else each for each in arrays]
    return list(
        map(Statement, attributes, contents, cast("list[Sequence[str]]", texts), digests(keys), times)
    )


def make_statement(event: Event, visible: Object, digests: Iterable[str], texts: Sequence[str]) -> Statement:
    """The statement of an event whose data is committed to by visible members and digests, which `texts` open."""
    content = canonical.encode(_content(event, visible, digests))
    return Statement(event.attributes, content, texts, event.key, event.time)


def _content(event: Event, visible: Object, digests: Iterable[str]) -> Object:
    data: Object = {**visible, "_sd": cast(list[Value], sorted(digests)), "_sd_alg": SD_ALG}
    return {"v": VERSION, "event": cast(Object, event.attributes), "data": data}


def commit_event(event: Event, visible: frozenset[str], salt: Callable[[], bytes]) -> Statement:
    """Turn `data` into salted digests, sorted, beside the members that its type keeps visible (RFC 9901 §4.2.4.1).

    `salt` answers 16 fresh random bytes at each call.
    """

    def salts(count: int) -> bytes:
        drawn = [salt() for _ in range(count)]
        if not set(map(len, drawn)) <= {SALT_BYTES}:
            raise ValueError(f"a salt has {SALT_BYTES} bytes, not {sorted(map(len, drawn))}")
        return b"".join(drawn)

    (statement,) = commit_events([(event, visible)], salts)
    return statement


def commit_events(
    events: Sequence[tuple[Event, frozenset[str]]],
    salts: Callable[[int], bytes],
    *,
    plain: bool = False,
    salting: Salting = salt_members,
) -> list[Statement]:
    """As `commit_event` of each event and its visible members: faster for some at once, if nothing in them is a float.

    `salts` answers that many times 16 fresh random bytes. `plain` says that all their data is known to be so
    (`canonical.are_plain`).
    """
    parts = _told_apart(events)
    plain = plain or canonical.are_plain([event.data for event, _ in events])
    texts, committed = salting(
        members_text(parts.hidden, plain=plain), salts(len(parts.hidden)), parts.counts
    )
    spans = [slice(*span) for span in pairwise([0, *accumulate(parts.counts)])]
    contents = [
        _content(event, visible, committed[span])
        for (event, _), visible, span in zip(events, parts.visible, spans, strict=True)
    ]
    spelled = canonical.encode_each(contents, plain=plain)
    keys = event_keys([event for event, _ in events])
    return [
        Statement(event.attributes, content, DisclosureTexts(arrays), key, event.time)
        for (event, _), content, arrays, key in zip(events, spelled, texts, keys, strict=True)
    ]


class _Parts(NamedTuple):
    """The members of some events: of each those that stay visible, of all the others, and how many are each one's."""

    visible: list[Object]
    hidden: list[tuple[str, Value]]
    counts: list[int]


def _told_apart(events: Sequence[tuple[Event, frozenset[str]]]) -> _Parts:
    shown: list[Object] = []
    hidden: list[tuple[str, Value]] = []
    counts: list[int] = []
    for event, visible in events:
        data, before = event.data, len(hidden)
        shown.append({name: data[name] for name in visible if name in data})
        hidden += [member for member in data.items() if member[0] not in visible]
        counts.append(len(hidden) - before)
    return _Parts(shown, hidden, counts)


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
