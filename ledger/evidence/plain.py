"""Plain lines: what nearly all lines of a package's entries look like, shown to hold by few operations.

`ledger.evidence.entries` defines what a line must hold, reads it member by member, and says what is wrong with it. That
takes several times longer than hashing it. A line is *plain* if it is spelled as the ledger spells it::

    {"disclosures":["…","…"],"entry":"{\\"data\\":{\\"_sd\\":[…],\\"_sd_alg\\":\\"sha-256\\",…},\\"event\\":{…},…}","position":7}

Nearly all of these the native part shows to hold, where there is one (`ledger.native`). Of the others, the pieces stand
where they stand in every other line, so they are cut out and matched, and what they share with lines before is looked
up. The disclosures of many lines are read together; and where an entry is wholly disclosed, its digests need not be
read: they are those of the disclosures, sorted, or something is wrong.

Nothing is refused here. What is not shown to hold is left to `entries`, be it wrong or only spelled in another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import repeat
from typing import NamedTuple

from ledger import canonical, native
from ledger.disclosure import digests_of_ascii, disclosed_names
from ledger.entry import ATTRIBUTES, DIGEST, REQUIRED, Phase, event_time
from ledger.errors import MalformedInput
from ledger.evidence.lines import MAX_LINE
from ledger.merkle import leaf_hashes
from ledger.statement import statement_of
from ledger.types import Origin, PartyId, parse_party_id, parse_time

_SHOWN, _NOTHING_SHOWN = b'{"disclosures":["', b'{"disclosures":[],"entry":'
_ENTRY = b'"],"entry":'

_COMMITTED = '{"data":{"_sd":['
_VISIBLE = '],"_sd_alg":"sha-256"'
_EVENT = '},"event":{'
_TOLD = {"phase", "time", "type"}
_ATTRIBUTES = "".join(
    rf'(?:"{name}":"({"" if name in _TOLD else "?:"}{form.pattern})"{"" if name == "type" else ","})'
    + ("" if name in REQUIRED else "?")
    for name, (form, _) in sorted(ATTRIBUTES.items())  # of which "type" is the last
)
_EVENT_TO_END = re.compile(rf'{_EVENT}{_ATTRIBUTES}\}}(,"log":.{{0,400}})')
"""Of an entry from its event on: what is told of it, and what the ledger added."""
_ADDED = re.compile(r',"log":"([^"]*)","party":"([^"]*)","received":"([^"]*)","v":1\}')
_DIGESTS = re.compile(rf'(?:"{DIGEST}"(?:,"{DIGEST}")*)?')
_SD_ALG = "_sd_alg"

_MAX_VISIBLE = 4096
"""Characters of visible members that are kept in mind; with more, a line is not plain."""


_AT_ONCE = 50
"""Lines that Python reads together. If a disclosure of them is out of form, none of them is plain."""
_PHASES = tuple(map(str, Phase))


class Checked(NamedTuple):
    """What a line was shown to hold.

    `leaf` is the entry's leaf hash and `statement` that of what the party said, or empty where it is not wanted.
    `received` is Unix milliseconds, `committed` and `shown` count members.
    """

    leaf: bytes
    statement: bytes
    received: int
    party: PartyId
    phase: str
    type: str
    committed: int
    shown: int


class _Line(NamedTuple):
    """A line of which the disclosures are still to be held against the entry's digests, `sd`."""

    data: bytes
    received: int
    party: PartyId
    phase: str
    type: str
    sd: str
    visible: frozenset[str]
    texts: list[bytes]


def check_plain(origin: Origin, first: int, count: int, text: bytes, *, signed: bool) -> list[Checked | None]:
    """What each of the `count` lines of a text holds, the first of position `first`; None where that is not shown.

    Args:
        signed: whether statements' leaf hashes are wanted, too.
    """
    if native.library is None:
        checked: list[Checked | None] = [None] * count
    else:
        lines_read = native.library.read_lines(text, first, count, longest=MAX_LINE, statements=signed)
        checked = _natively(origin, text, lines_read)
    rest = [number for number, line in enumerate(checked) if line is None]
    lines = lines_of(text) if rest else []
    for start in range(0, len(rest), _AT_ONCE):
        numbers = rest[start : start + _AT_ONCE]
        numbered = [(first + number, lines[number]) for number in numbers]
        for number, line in zip(numbers, _by_python(origin, numbered, signed=signed), strict=True):
            checked[number] = line
    return checked


def lines_of(text: bytes) -> list[bytes]:
    """Each with its end; the last of a member may have none."""
    return BytesIO(text).readlines()


def _natively(origin: Origin, text: bytes, lines: Iterable[native.Line]) -> list[Checked | None]:
    checked: list[Checked | None] = []
    for line in lines:
        leaf, statement, added, added_size, at, size, phase, committed, shown, plain = line
        said = _said_there(text[added : added + added_size], origin) if plain else None
        if said is None:
            checked.append(None)
        else:
            type_ = _text(text[at : at + size])
            checked.append(Checked(leaf, statement, *said, _PHASES[phase], type_, committed, shown))
    return checked


def _by_python(
    origin: Origin, numbered: Sequence[tuple[int, bytes]], *, signed: bool
) -> list[Checked | None]:
    read = [_read(origin, position, line) for position, line in numbered]
    texts = [text for line in read if line for text in line.texts]
    try:
        names = disclosed_names(texts)
    except MalformedInput:
        return [None] * len(read)
    digests = digests_of_ascii(texts)
    held: list[_Line | None] = []
    start = 0
    for line in read:
        stop = start + len(line.texts) if line else start
        is_held = line and _is_opened(line, names[start:stop], digests[start:stop])
        held.append(line if is_held else None)
        start = stop
    return _hashed(origin, held, signed=signed)


def _hashed(origin: Origin, lines: Sequence[_Line | None], *, signed: bool) -> list[Checked | None]:
    entries = [line.data for line in lines if line]
    leaves = iter(leaf_hashes(entries))
    statements: Iterator[bytes] = repeat(b"")
    if signed:
        statements = iter(
            leaf_hashes(statement_of(line.data, origin, line.party, line.received) for line in lines if line)
        )
    return [line and _checked(line, next(leaves), next(statements)) for line in lines]


def _checked(line: _Line, leaf: bytes, statement: bytes) -> Checked:
    committed = (len(line.sd) + 1) // 46
    return Checked(
        leaf, statement, line.received, line.party, line.phase, line.type, committed, len(line.texts)
    )


def _read(origin: Origin, position: int, line: bytes) -> _Line | None:
    """A line, if it is plain as far as can be seen without its disclosures."""
    end = b',"position":%d}\n' % position
    if not line.endswith(end) or len(line) > MAX_LINE:
        return None
    if line.startswith(_NOTHING_SHOWN):
        texts, start = [], len(_NOTHING_SHOWN)
    elif line.startswith(_SHOWN) and (stop := line.find(_ENTRY)) >= 0:
        texts, start = line[len(_SHOWN) : stop].split(b'","'), stop + len(_ENTRY)
    else:
        return None
    try:
        entry = canonical.parse_string(line[start : -len(end)])
    except MalformedInput:
        return None
    return _read_entry(origin, entry, texts)


def _read_entry(origin: Origin, entry: str, texts: list[bytes]) -> _Line | None:
    sd_end = entry.find(_VISIBLE)
    event = entry.find(_EVENT, sd_end)
    found = (
        _EVENT_TO_END.fullmatch(entry, event) if entry.startswith(_COMMITTED) and 0 < sd_end < event else None
    )
    if found is None:
        return None
    phase, time, type_, added = found.groups()
    members = entry[sd_end + len(_VISIBLE) : event]
    visible = _visible_names(members) if len(members) <= _MAX_VISIBLE else None
    said = _said(added, origin)
    if visible is None or said is None or not _is_day(time[:10]):
        return None
    return _Line(entry.encode(), *said, phase, type_, entry[len(_COMMITTED) : sd_end], visible, texts)


def _is_opened(line: _Line, names: Sequence[str], digests: list[str]) -> bool:
    """Whether each disclosure opens one digest of its entry, under a name of its own."""
    # Equal texts would have equal names: where names differ, so do digests.
    if len({*line.visible, *names}) != len(line.visible) + len(names):
        return False
    is_all = bool(digests) and '"' + '","'.join(sorted(digests)) + '"' == line.sd
    return is_all or _is_among(digests, line.sd)


def _is_among(digests: list[str], sd: str) -> bool:
    """Whether `sd` spells sorted and distinct digests, and these are among them."""
    committed = sd[1:-1].split('","') if sd else []
    return (
        _DIGESTS.fullmatch(sd) is not None
        and committed == sorted(set(committed))
        and set(committed).issuperset(digests)
    )


@lru_cache(maxsize=4096)
def _visible_names(members: str) -> frozenset[str] | None:
    """The names in members that follow upon `_sd_alg`, each behind its comma; None if that is not canonical there."""
    if not members:
        return frozenset()
    try:
        names = frozenset(canonical.parse_canonical(b"{%b}" % members[1:].encode()))
    except MalformedInput:
        return None
    # They stand one level deeper than they were read, and behind a name that is none of them.
    is_shallow = members.count("[") + members.count("{") < canonical.MAX_DEPTH - 1
    return names if members[0] == "," and names and min(names) > _SD_ALG and is_shallow else None


@lru_cache(maxsize=256)
def _said(added: str, origin: Origin) -> tuple[int, PartyId] | None:
    """When an entry of this log was received, and of whom; None if what the ledger added says otherwise."""
    found = _ADDED.fullmatch(added)
    try:
        return (parse_time(found[3]), parse_party_id(found[2])) if found and found[1] == origin else None
    except MalformedInput:
        return None


@lru_cache(maxsize=256)
def _said_there(added: bytes, origin: Origin) -> tuple[int, PartyId] | None:
    """As `_said`, spelled as within a line."""
    return _said(added.replace(b'\\"', b'"').decode("ascii"), origin)


@lru_cache(maxsize=256)
def _text(ascii_: bytes) -> str:
    return ascii_.decode("ascii")


@lru_cache(maxsize=4096)
def _is_day(date: str) -> bool:
    """Whether any time on a day, in any offset, is a time: not if there is no such day, or none before or after it."""
    try:
        event_time(f"{date}T00:00:00+23:59")
        event_time(f"{date}T23:59:59-23:59")
    except MalformedInput:
        return False
    return True
