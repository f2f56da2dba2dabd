"""Statements: what a party says, apart from what the ledger adds.

A statement is an entry (`ledger.entry`) less `log`, `party` and `received`. These three stand side by side behind
`event` and before `v`, so a statement is made out of an entry, and the other way round, without reading JSON::

    entry      {"data":{…},"event":{…},"log":"ledger.example/acme-live","party":"acme","received":"…","v":1}
    statement  {"data":{…},"event":{…},"v":1}

A party that signs its push (`ledger.push`) salts its own disclosures and sends, for each statement, a JSON object of
exactly three members, of which the digests follow::

    {"event": {…attributes…}, "visible": {…members that the type keeps visible…}, "disclosures": ["WyI…", …]}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.disclosure import RESERVED, SALT_BYTES, Disclosure, disclose
from ledger.entry import SD_ALG, VERSION, Event, Statement, invalid, parse_event
from ledger.errors import MalformedInput
from ledger.types import Origin, PartyId, format_time, from_base64url

VisibleMembers: TypeAlias = "Callable[[Event], frozenset[str]]"
"""Holds an event against its type (raises InvalidEvent), and answers which members that keeps visible."""

_END = b',"v":1}'
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
"""A name that may be told in an error: one that looks otherwise might be somebody's address."""


def statement_bytes(statement: Statement) -> bytes:
    """The canonical bytes of a statement."""
    return canonical.encode({"v": VERSION, "event": dict(statement.event.attributes), "data": statement.data})


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


def _added(origin: Origin, party: PartyId, received: int) -> bytes:
    # None of the three forms has a character that JSON would escape.
    return f',"log":"{origin}","party":"{party}","received":"{format_time(received)}"'.encode() + _END


def statement_object(statement: Statement) -> Object:
    """What a party sends of a statement; sibling of `StatementReader.read`."""
    return {
        "event": dict(statement.event.attributes),
        "visible": {name: value for name, value in statement.data.items() if name not in ("_sd", "_sd_alg")},
        "disclosures": list(statement.texts),
    }


class StatementReader:
    """Reads the statements of one push, in which no salt may stand twice."""

    def __init__(self) -> None:
        self._salts: set[bytes] = set()

    def read(self, value: Value, visible_of: VisibleMembers) -> Statement:
        """The statement that a party sent as a JSON value, held against the rules of its envelope and its type.

        A disclosure must be canonical and its salt of 16 bytes. The members that are not disclosures must be those
        that the type keeps visible: what may be personal would stand in the log for ever (I4), and what never is
        would be missing where everybody may read it.

        Raises:
            InvalidEvent: with `details["problems"]`, each naming a place.
            TooLarge: as `parse_event`.
        """
        attributes, visible, texts = _members(value)
        problems: list[tuple[str, str]] = []
        disclosures: list[Disclosure] = []
        names = set(visible)
        for number, text in enumerate(texts):
            disclosure = self._disclosure(text)
            if isinstance(disclosure, str):
                problems.append((f"disclosures[{number}]", disclosure))
            elif disclosure.name in names:
                problems.append((f"disclosures[{number}]", "a member that is there already"))
            else:
                names.add(disclosure.name)
                disclosures.append(disclosure)
        if problems:
            raise invalid(problems)
        data = {**visible, **{d.name: d.value for d in disclosures}}
        event = parse_event({**attributes, "data": data})
        problems = _misplaced(event, visible.keys(), visible_of(event))
        if problems:
            raise invalid(problems)
        return Statement(event, _committed(visible, disclosures), tuple(d.text for d in disclosures))

    def _disclosure(self, text: Value) -> Disclosure | str:
        """A disclosure, or what is wrong with it: in words that quote nothing of it."""
        try:
            array = canonical.parse(from_base64url(text)) if isinstance(text, str) else None
            match array:
                case [str(spelled), str(name), value] if name not in RESERVED:
                    salt = from_base64url(spelled)
                case _:
                    return 'expected the base64url of ["salt", "name", value]'
        except MalformedInput:
            return 'expected the base64url of ["salt", "name", value]'
        if len(salt) != SALT_BYTES:
            return f"expected a salt of {SALT_BYTES} bytes"
        if salt in self._salts:
            return "a salt that stands twice in the push"
        self._salts.add(salt)
        disclosure = disclose(salt, name, value)
        if disclosure.text != text:
            return "expected canonical JSON (RFC 8785) under the base64url"
        return disclosure


def _members(value: Value) -> tuple[Object, Object, list[Value]]:
    match value:
        case {"event": dict(event), "visible": dict(visible), "disclosures": list(disclosures), **more} if (
            not more
        ):
            if "data" in event:
                raise invalid([("event.data", "expected in visible and disclosures")])
            return event, visible, disclosures
    raise invalid([("", "expected a JSON object of event, visible and disclosures")])


def _committed(visible: Mapping[str, Value], disclosures: Sequence[Disclosure]) -> Object:
    digests: list[Value] = []
    digests += sorted(disclosure.digest for disclosure in disclosures)
    return {**visible, "_sd": digests, "_sd_alg": SD_ALG}


def _misplaced(event: Event, shown: AbstractSet[str], visible: frozenset[str]) -> list[tuple[str, str]]:
    """Members that are shown though their type salts them, and the other way round."""
    problems = [
        (f"visible.{name}" if _NAME.fullmatch(name) else "visible", "expected as a disclosure")
        for name in sorted(shown - visible)
    ]
    hidden = (event.data.keys() & visible) - shown
    return problems + [(f"visible.{name}", "missing: its type keeps it visible") for name in sorted(hidden)]
