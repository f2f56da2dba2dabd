"""Plain lines: what nearly all lines of a package's entries look like, shown to hold by few operations.

`ledger.evidence.entries` defines what a line must hold, reads it member by member, and says what is wrong with it. That
takes several times longer than hashing it. A line is *plain* if it is spelled as the ledger spells it::

    {"disclosures":["…","…"],"entry":"{\\"data\\":{\\"_sd\\":[…],\\"_sd_alg\\":\\"sha-256\\",…},\\"event\\":{…},…}","position":7}

Where there is the native part, it shows that for nearly all of them (`ledger.evidence.held`). Python goes as follows.
Its pieces stand where they stand in every other one, so they are cut out and matched, and what they share with lines
before is looked up. The disclosures of many lines are read together; and where an entry is wholly disclosed, its
digests need not be read: they are those of the disclosures, sorted, or something is wrong.

Nothing is refused here. What is not shown to hold is left to `entries`, be it wrong or only spelled in another way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ledger import canonical
from ledger.disclosure import digests_of_ascii, disclosed_names
from ledger.entry import ATTRIBUTES, DIGEST, REQUIRED, event_time
from ledger.errors import MalformedInput
from ledger.evidence.lines import MAX_LINE
from ledger.types import MAX_INTEGER, Origin, PartyId, parse_party_id, parse_time

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


class Checked(NamedTuple):
    """What a line was shown to hold. `received` is Unix milliseconds, `committed` and `shown` count members."""

    data: bytes
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


def check_plain(origin: Origin, first: int, lines: Sequence[bytes]) -> list[Checked | None]:
    """What each line holds, the first of them of position `first`; None where that is not shown."""
    read = [_read(origin, position, line) for position, line in enumerate(lines, first)]
    texts = [text for line in read if line for text in line.texts]
    try:
        names = disclosed_names(texts)
    except MalformedInput:
        return [None] * len(lines)
    digests = digests_of_ascii(texts)
    checked: list[Checked | None] = []
    start = 0
    for line in read:
        stop = start + len(line.texts) if line else start
        checked.append(line and _opened(line, names[start:stop], digests[start:stop]))
        start = stop
    return checked


def _read(origin: Origin, position: int, line: bytes) -> _Line | None:
    """A line, if it is plain as far as can be seen without its disclosures."""
    end = b',"position":%d}\n' % position
    if not line.endswith(end) or len(line) > MAX_LINE or position > MAX_INTEGER:
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
    said = said_by(added, origin)
    if visible is None or said is None or not _is_day(time[:10]):
        return None
    return _Line(entry.encode(), *said, phase, type_, entry[len(_COMMITTED) : sd_end], visible, texts)


def _opened(line: _Line, names: Sequence[str], digests: list[str]) -> Checked | None:
    """The line, if each disclosure opens one digest of its entry, under a name of its own."""
    data, received, party, phase, type_, sd, visible, texts = line
    # Equal texts would have equal names: where names differ, so do digests.
    if len({*visible, *names}) != len(visible) + len(names):
        return None
    is_all = bool(digests) and '"' + '","'.join(sorted(digests)) + '"' == sd
    if not is_all and not _is_among(digests, sd):
        return None
    return Checked(data, received, party, phase, type_, (len(sd) + 1) // 46, len(texts))


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
def said_by(added: str, origin: Origin) -> tuple[int, PartyId] | None:
    """When an entry of this log was received, and of whom; None if what the ledger added says otherwise.

    `added` stands in the entry behind its event, from its comma on.
    """
    found = _ADDED.fullmatch(added)
    try:
        return (parse_time(found[3]), parse_party_id(found[2])) if found and found[1] == origin else None
    except MalformedInput:
        return None


@lru_cache(maxsize=4096)
def _is_day(date: str) -> bool:
    """Whether any time on a day, in any offset, is a time: not if there is no such day, or none before or after it."""
    try:
        event_time(f"{date}T00:00:00+23:59")
        event_time(f"{date}T23:59:59-23:59")
    except MalformedInput:
        return False
    return True
