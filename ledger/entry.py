"""Events, and the entries that commit to them.

An event comes as one CloudEvents 1.0 JSON object. What is committed is its *entry*, canonical JSON (RFC 8785)::

    {"data":{"_sd":["…","…"],"_sd_alg":"sha-256","outcome":"allowed"},
     "event":{"id":"a-1","phase":"storage","source":"/s3/eu-west-1","specversion":"1.0","subject":"live-2026-07-01",
              "time":"2026-07-01T12:00:00Z","type":"transfer-ledger.access.v1"},
     "log":"ledger.example/acme-live","party":"acme","received":"2026-07-01T12:00:01.250Z","v":1}

`event` holds the CloudEvents attributes, always visible: so ids are opaque, and the envelope refuses characters that
names of persons and addresses would need. Each top-level member of `data` is one disclosure (`ledger.disclosure`)
unless its type declares it never personal. The entry less `log`, `party` and `received` is the *statement*: what the
party says; the rest is what the ledger adds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import repeat
from typing import cast

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.disclosure import RESERVED, Disclosure
from ledger.errors import InvalidEvent, MalformedInput, TooLarge
from ledger.types import Digest, Origin, PartyId, parse_origin, parse_party_id, parse_time

VERSION = 1
_MEMBERS = ("v", "log", "event", "data", "party", "received")
SD_ALG = "sha-256"
MAX_EVENT_BYTES = 256 * 1024
"""Canonical size over which one event is refused."""


class Phase(StrEnum):
    """Where on the way of the data an event belongs."""

    BEFORE = "before"
    TRANSIT = "transit"
    STORAGE = "storage"


_PHASES = {phase.value: phase for phase in Phase}
"""By their words: a lookup is faster than a call of the class."""

_OPAQUE = r"[A-Za-z0-9][A-Za-z0-9:._~+=/-]"
_HOUR_MINUTE = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_RFC3339 = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_HOUR_MINUTE}:[0-5][0-9](?:\.[0-9]{{1,9}})?(?:Z|[+-]{_HOUR_MINUTE})"
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
"""A name that may be told in an error: one that looks otherwise might be somebody's address."""
DIGEST = r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
"""The base64url of 32 bytes: the last character holds four bits and two zeros."""
_DIGESTS = re.compile(rf"(?:{DIGEST}(?:\n{DIGEST})*)?")

ATTRIBUTES: dict[str, tuple[re.Pattern[str], str]] = {
    "specversion": (re.compile(r"1\.0"), "1.0"),
    "id": (re.compile(_OPAQUE + "{0,127}"), "an opaque id: 1 to 128 letters, digits and :._~+=/-"),
    "source": (
        re.compile(r"[A-Za-z0-9/][A-Za-z0-9:._~/-]{0,254}"),
        "a URI-reference without user, query or fragment",
    ),
    "type": (re.compile(r"[a-z0-9][a-z0-9.-]{0,127}"), "a catalogued type such as transfer-ledger.access.v1"),
    "subject": (
        re.compile(_OPAQUE + "{0,127}"),
        "the transfer's opaque id: 1 to 128 letters, digits and :._~+=/-",
    ),
    "time": (_RFC3339, "an RFC 3339 time with its offset"),
    "phase": (re.compile("|".join(Phase)), "before, transit or storage"),
    "datacontenttype": (re.compile(r"application/json"), "application/json"),
    "dataschema": (
        re.compile(r"[A-Za-z0-9/][A-Za-z0-9:._~/-]{0,254}"),
        "a URI without user, query or fragment",
    ),
    "traceparent": (re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"), "a W3C trace parent"),
}
"""The form of each attribute, and how it is told. None takes a character that JSON would escape."""
REQUIRED = ("specversion", "id", "source", "type", "subject", "time", "phase")
"""CloudEvents attributes that an event must have; `phase` is the ledger's one extension attribute."""
_REQUIRED = frozenset(REQUIRED)
_REQUIRED_LINES = re.compile("\n".join(f"(?:{ATTRIBUTES[name][0].pattern})" for name in REQUIRED))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1, _YEAR_10000 = -62_135_596_800_000, 253_402_300_800_000
"""Unix milliseconds between which a time has a year of four digits in UTC."""


class Attributed:
    """What has the CloudEvents attributes of an event, by their names."""

    __slots__ = ()
    attributes: Mapping[str, str]

    @property
    def source(self) -> str:
        return self.attributes["source"]

    @property
    def id(self) -> str:
        return self.attributes["id"]

    @property
    def type(self) -> str:
        return self.attributes["type"]

    @property
    def phase(self) -> Phase:
        return _PHASES[self.attributes["phase"]]

    @property
    def subject(self) -> str:
        return self.attributes["subject"]


@dataclass(frozen=True, slots=True)
class Event(Attributed):
    """One event as its party sent it: CloudEvents attributes, and `data`."""

    attributes: Mapping[str, str]
    data: Object

    @property
    def time(self) -> int:
        """When it happened, Unix milliseconds."""
        return event_time(self.attributes["time"])

    @property
    def key(self) -> Digest:
        return event_key(self.source, self.id)


def event_key(source: str, id: str) -> Digest:
    """What makes an event the same event (I3): SHA-256 of the canonical JSON array of source and id."""
    return Digest.of(canonical.encode([source, id]))


def event_keys(events: Sequence[Event]) -> list[Digest]:
    """The `key` of each, at once."""
    return list(map(Digest.of, canonical.encode_each([[it.source, it.id] for it in events], plain=True)))


def is_subject(text: str) -> bool:
    """Whether a transfer can be called so."""
    return ATTRIBUTES["subject"][0].fullmatch(text) is not None


def event_time(text: str) -> int:
    """Unix milliseconds of an RFC 3339 time with any offset; finer digits are cut off.

    A time without an offset is refused: it would mean another moment on another machine.
    """
    millis = _millis(text) if _RFC3339.fullmatch(text) else None
    if millis is None:
        raise MalformedInput("not a time", expected=ATTRIBUTES["time"][1], got=repr(text[:40]))
    return millis


@lru_cache(maxsize=1024)
def _millis(text: str) -> int | None:
    """Unix milliseconds of a time that is spelled as it should be; None if there is no such time."""
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except ValueError:
        return None
    millis = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    return millis if _YEAR_1 <= millis < _YEAR_10000 else None


def parse_event(value: Value) -> Event:
    """The event in a JSON value, held against the envelope's rules; its type's rules are the catalogue's.

    Raises:
        InvalidEvent: with `details["problems"]`, a list of `{"at", "problem"}`, each naming a place.
        TooLarge: over `MAX_EVENT_BYTES`.
    """
    if not isinstance(value, dict):
        raise invalid([("", "not a JSON object")])
    attributes = dict(value)
    data = attributes.pop("data", None)
    if not (_is_sound(attributes) and isinstance(data, dict) and RESERVED.isdisjoint(data)):
        raise invalid(_problems(value))
    if (size := canonical.size(value, over=MAX_EVENT_BYTES)) > MAX_EVENT_BYTES:
        raise TooLarge("an event that is too large", expected=f"at most {MAX_EVENT_BYTES} bytes", got=size)
    return Event(cast(dict[str, str], attributes), data)


def invalid(problems: Sequence[tuple[str, str]]) -> InvalidEvent:
    """The error for a list of (place, problem)."""
    place, problem = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InvalidEvent(
        f"not a valid event: {place or 'event'}: {problem}{more}",
        details={"problems": [{"at": at, "problem": what} for at, what in problems[:100]]},
    )


def _is_sound(attributes: Mapping[str, Value]) -> bool:
    """Whether every required attribute is there, and every attribute in form: no `_attribute_problem` in any.

    The required ones are matched at once, each in a line of its own: no pattern takes a line feed.
    """
    try:
        lines = "\n".join([cast(str, attributes[name]) for name in REQUIRED])
    except (KeyError, TypeError):
        return False
    if not _REQUIRED_LINES.fullmatch(lines) or _millis(cast(str, attributes["time"])) is None:
        return False
    if len(attributes) == len(REQUIRED):
        return True
    others = attributes.keys() - _REQUIRED
    return not any(_attribute_problem(name, attributes[name]) for name in others)


def _problems(value: Object) -> list[tuple[str, str]]:
    problems = [(name, "missing") for name in (*REQUIRED, "data") if name not in value]
    for name, attribute in value.items():
        if name == "data":
            problems += _data_problems(attribute)
        elif problem := _attribute_problem(name, attribute):
            problems.append((name if _NAME.fullmatch(name) else "?", problem))
    return problems


def _attribute_problem(name: str, value: Value) -> str | None:
    if name not in ATTRIBUTES:
        return "not an attribute that the ledger takes: it would be visible for ever; put it into data"
    pattern, expected = ATTRIBUTES[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        return f"expected {expected}"
    if name == "time":
        try:
            event_time(value)
        except MalformedInput:
            return f"expected {expected}"
    return None


def _data_problems(data: Value) -> list[tuple[str, str]]:
    if not isinstance(data, dict):
        return [("data", "expected a JSON object")]
    return [(f"data.{name}", "a name that RFC 9901 reserves") for name in data if name in RESERVED]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry, read. `sd` are the digests in `data`, `visible` its other members, `received` Unix milliseconds."""

    origin: Origin
    attributes: Mapping[str, str]
    sd: tuple[str, ...]
    visible: Object
    party: PartyId
    received: int

    def event(self, disclosures: Sequence[Disclosure]) -> Event:
        """The event as far as these disclosures, already checked, open it."""
        return Event(self.attributes, {**self.visible, **{d.name: d.value for d in disclosures}})


def parse_entry(data: bytes) -> Entry:
    """Read an entry strictly: canonical, exactly these members, digests sorted and distinct.

    Raises:
        MalformedInput: naming what is out of form.
    """
    value = canonical.parse_canonical(data)
    version, log, attributes, visible, party, received = map(value.pop, _MEMBERS, repeat(None))
    if not (
        not value
        and version == VERSION
        and version is not True
        and isinstance(log, str)
        and isinstance(attributes, dict)
        and isinstance(visible, dict)
        and isinstance(party, str)
        and isinstance(received, str)
        and isinstance(sd := visible.pop("_sd", None), list)
        and visible.pop("_sd_alg", None) == SD_ALG
        and RESERVED.isdisjoint(visible)
    ):
        raise MalformedInput("not an entry", expected="v 1, log, event, data, party, received")
    if not _are_digests(sd):
        raise MalformedInput(
            "an entry with something else among its digests", expected="base64url of 32 bytes"
        )
    digests = cast(list[str], sd)
    if digests != sorted(set(digests)):
        raise MalformedInput("an entry whose digests are not sorted and distinct")
    if not _is_sound(attributes):
        raise _malformed(attributes)
    return Entry(
        parse_origin(log),
        cast(dict[str, str], attributes),
        tuple(digests),
        visible,
        parse_party_id(party),
        parse_time(received),
    )


def _are_digests(sd: list[Value]) -> bool:
    """Whether each is the base64url of 32 bytes; matched at once, in lines, of which the length tells the number."""
    try:
        lines = "\n".join(cast(list[str], sd))
    except TypeError:
        return False
    return len(lines) == max(44 * len(sd) - 1, 0) and _DIGESTS.fullmatch(lines) is not None


def _malformed(attributes: Object) -> MalformedInput:
    if missing := [name for name in REQUIRED if name not in attributes]:
        return MalformedInput("an entry whose event lacks attributes", got=", ".join(missing))
    problems = ((name, _attribute_problem(name, value)) for name, value in attributes.items())
    name, problem = next((name, problem) for name, problem in problems if problem)
    return MalformedInput(f"an entry with a malformed attribute {name[:60]!r}", expected=problem)


def same_content(event: Event, entry: Entry, disclosures: Sequence[Disclosure]) -> bool:
    """Whether `event` is the event that `entry` commits to (I3).

    Compared through the disclosures, since nothing else in the store knows the content. Members whose disclosures
    were erased cannot be compared; then the rest, and the number of members, decide.
    """
    if dict(event.attributes) != dict(entry.attributes):
        return False
    hidden = {name: value for name, value in event.data.items() if name not in entry.visible}
    if len(hidden) != len(entry.sd) or len(hidden) + len(entry.visible) != len(event.data):
        return False
    known = {**entry.visible, **{d.name: d.value for d in disclosures}}
    return all(name in event.data and _same(event.data[name], value) for name, value in known.items())


def _same(left: Value, right: Value) -> bool:
    # Python holds 1 == True == 1.0; canonical bytes tell true from 1 and take 1.0 for 1, as JSON does.
    if type(left) is str and type(right) is str:
        return left == right
    return canonical.encode(left) == canonical.encode(right)
