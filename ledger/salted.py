"""Statements as a party sends them that has salted them itself, in order to sign them (`ledger.push`).

Each is a JSON object of exactly three members, of which the statement's digests follow::

    {"event": {…attributes…}, "visible": {…members that the type keeps visible…}, "disclosures": ["WyI…", …]}
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.disclosure import RESERVED, Disclosure, DisclosureTexts
from ledger.entry import Event, invalid, parse_event
from ledger.errors import MalformedInput
from ledger.statement import Statement, make_statement
from ledger.types import from_base64url

VisibleMembers: TypeAlias = "Callable[[Event], frozenset[str]]"
"""Holds an event against its type (raises InvalidEvent), and answers which members that keeps visible."""

_FORM = 'expected the base64url of ["salt", "name", value]'
_SALT = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
"""The base64url of 16 bytes: the last character holds two bits and four zeros."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
"""A name that may be told in an error: one that looks otherwise might be somebody's address."""


def statement_object(statement: Statement) -> Object:
    """What a party sends of a statement; sibling of `StatementReader.read`."""
    return {
        "event": dict(statement.attributes),
        "visible": statement.visible,
        "disclosures": list(statement.texts),
    }


class StatementReader:
    """Reads the statements of one push, in which no salt may stand twice."""

    def __init__(self) -> None:
        self._salts: set[str] = set()

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
        arrays = b"\n".join(from_base64url(disclosure.text) for disclosure in disclosures)
        digests = [disclosure.digest for disclosure in disclosures]
        return make_statement(event, visible, digests, DisclosureTexts(arrays))

    def _disclosure(self, text: Value) -> Disclosure | str:
        """A disclosure, or what is wrong with it: in words that quote nothing of it."""
        try:
            data = from_base64url(text) if isinstance(text, str) else b""
            array = canonical.parse(data)
        except MalformedInput:
            return _FORM
        match array:
            case [str(salt), str(name), value] if isinstance(text, str) and name not in RESERVED:
                pass
            case _:
                return _FORM
        if not _SALT.fullmatch(salt):
            return "expected a salt of 16 bytes in base64url"
        if salt in self._salts:
            return "a salt that stands twice in the push"
        self._salts.add(salt)
        if canonical.encode(array) != data:
            return "expected canonical JSON (RFC 8785) under the base64url"
        return Disclosure(text, name, value)


def _members(value: Value) -> tuple[Object, Object, list[Value]]:
    match value:
        case {"event": dict(event), "visible": dict(visible), "disclosures": list(disclosures), **more} if (
            not more
        ):
            if "data" in event:
                raise invalid([("event.data", "expected in visible and disclosures")])
            return event, visible, disclosures
    raise invalid([("", "expected a JSON object of event, visible and disclosures")])


def _misplaced(event: Event, shown: AbstractSet[str], visible: frozenset[str]) -> list[tuple[str, str]]:
    """Members that are shown though their type salts them, and the other way round."""
    problems = [
        (f"visible.{name}" if _NAME.fullmatch(name) else "visible", "expected as a disclosure")
        for name in sorted(shown - visible)
    ]
    hidden = (event.data.keys() & visible) - shown
    return problems + [(f"visible.{name}", "missing: its type keeps it visible") for name in sorted(hidden)]
