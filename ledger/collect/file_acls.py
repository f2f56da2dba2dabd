"""Files and folders: access control lists of POSIX (`getfacl -R`) and of NFSv4 (`nfs4_getfacl`).

A record is what the tool prints for one file, up to the blank line. POSIX::

    # file: srv/replays
    # owner: ingest
    # group: media
    user::rwx
    user:alice:rwx           #effective:r-x
    group::r-x
    mask::r-x
    other::---
    default:other::r--

The mask limits named users and all groups, and it is the mask that is read, not the comment. NFSv4, in the order that
decides::

    # file: /srv/replays
    A::OWNER@:rwatTnNcCy
    D:g:media@example.com:wa
    A:fdi:EVERYONE@:r

Principals are named as they are there; `OWNER@`, `GROUP@` and `EVERYONE@` are POSIX's owner, group and other, and the
owner has its name where the tool tells it. `other` and `EVERYONE@` are every user of the system, which is not the
public. What holds only for files to come (`default:`, flag `i`) stands under the condition `{"AppliesTo":"new
files"}`. Permission letters become words. An entry of POSIX that names somebody and gives nothing is a denial. Audit
and alarm entries grant nothing and are left out.

That the order of NFSv4's entries decides is more than grants can say, so a denial there has the condition
`{"Order": place}`. Neither format tells whether a folder above lets anybody in: `completeness` is `best-effort`.
The resource is the path, after the option `root`; `raw_sha256` is taken over the record's bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ledger.canonical import Object
from ledger.collect.files import MAX_RECORD, NO_HEADER, Header, RawRecord
from ledger.collect.members import segment
from ledger.collect.snapshots import Found, SnapshotOptions, snapshot_event
from ledger.errors import MalformedInput
from ledger.permissions.grants import EVERYBODY, Effect, Grant, Kind, make_grant
from ledger.permissions.patterns import literal

_NEW_FILES: Object = {"AppliesTo": "new files"}


@dataclass(frozen=True, slots=True)
class FileAcls:
    """The collector. It needs `options.captured`. `host` is the machine in sources and ids; `root` precedes paths."""

    options: SnapshotOptions
    host: str = "files"
    root: str = ""

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".acl", ".facl")

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return split_blocks(file)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        comments, entries = _read(raw)
        path = self.root + comments["file"]
        nfs4 = any(_ACE.fullmatch(entry) for entry in entries)
        system = "nfsv4" if nfs4 else "posix"
        about = literal(path)
        return snapshot_event(
            self.options,
            Found(
                system=system,
                resource=path,
                grants=tuple((_nfs4 if nfs4 else _posix)(entries, comments, about)),
                raw=raw,
                api_call="nfs4_getfacl" if nfs4 else "getfacl",
                owner=comments.get("owner"),
                complete=False,
            ),
            source=f"/files/{segment(self.host)}",
            key=self.options.keys.of(f"{system}/{self.host}", path),
        )


def split_blocks(file: BinaryIO) -> Iterator[RawRecord]:
    """Runs of lines without a blank one, numbered by the line they begin at."""
    lines: list[bytes] = []
    number, start, size = 0, 1, 0
    while line := file.readline(MAX_RECORD):
        number += 1
        if line.strip():
            start = start if lines else number
            lines.append(line)
            size += len(line)
        if lines and (not line.strip() or size > MAX_RECORD):
            problem = f"a record of over {MAX_RECORD} bytes" if size > MAX_RECORD else None
            yield RawRecord(start, b"".join(lines)[:MAX_RECORD].strip(b"\n"), problem)
            lines, size = [], 0
    if lines:
        yield RawRecord(start, b"".join(lines).strip(b"\n"))


_COMMENT = re.compile(r"# ?([a-z]+): ?(.*)")


def _read(raw: bytes) -> tuple[dict[str, str], list[str]]:
    """The leading comments, by name, and the entries."""
    try:
        lines = raw.decode().splitlines()
    except UnicodeDecodeError:
        raise MalformedInput("not a list in UTF-8") from None
    comments: dict[str, str] = {}
    entries = []
    for line in lines:
        if found := _COMMENT.fullmatch(line):
            comments[found[1]] = _unescape(found[2])
        elif entry := line.partition("#")[0].strip():
            entries.append(entry)
    if not comments.get("file") or not entries:
        raise MalformedInput("not an access control list", expected="# file: … and entries")
    return comments, entries


def _unescape(text: str) -> str:
    r"""Undo getfacl's escapes: `\040` is a space, in octal."""
    try:
        return re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8) & 255]), text.encode()).decode()
    except UnicodeDecodeError:
        raise MalformedInput("a name that is not UTF-8") from None


# --- Entries of POSIX, as acl(5) has them

_ENTRY = re.compile(r"(default:)?(user|group|mask|other):([^:]*):([r-][w-][x-])")
_LETTERS = {"r": "read", "w": "write", "x": "execute"}


def _posix(entries: list[str], comments: dict[str, str], about: str) -> Iterator[Grant]:
    parsed = []
    for entry in entries:
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise MalformedInput("an entry out of form", expected="user:name:rwx")
        parsed.append((found[1] is not None, found[2], _unescape(found[3]), found[4]))
    masks = {default: bits for default, tag, _, bits in parsed if tag == "mask"}
    for default, tag, name, bits in parsed:
        if tag == "mask":
            continue
        mask = masks.get(default) if name or tag == "group" else None
        actions = [_LETTERS[bit] for bit in bits if bit != "-" and bit in (mask or "rwx")]
        principal, kind = _posix_principal(tag, name, comments)
        if not actions and not name:
            continue
        yield make_grant(
            principal,
            actions or _LETTERS.values(),
            about,
            effect=Effect.ALLOW if actions else Effect.DENY,
            condition=_NEW_FILES if default else None,
            kind=kind,
            source="default ACL" if default else "ACL entry",
        )


def _posix_principal(tag: str, name: str, comments: dict[str, str]) -> tuple[str, str]:
    if tag == "other":
        return EVERYBODY, Kind.EVERY_USER
    owner = comments.get("owner" if tag == "user" else "group")
    return name or owner or f"{tag.upper()}@", Kind.USER if tag == "user" else Kind.GROUP


# --- Entries of NFSv4, as nfs4_acl(5) has them

_ACE = re.compile(r"([ADUL]):([a-zA-Z]*):([^:]+):([a-zA-Z]*)")
_PERMISSIONS = {
    "r": "read",
    "w": "write",
    "a": "append",
    "x": "execute",
    "d": "delete",
    "D": "delete-child",
    "t": "read-attributes",
    "T": "write-attributes",
    "n": "read-named-attributes",
    "N": "write-named-attributes",
    "c": "read-acl",
    "C": "write-acl",
    "o": "write-owner",
    "y": "synchronize",
}
_GENERIC = {"R": "rntcy", "W": "watTNcCy", "X": "xtcy"}


def _nfs4(entries: list[str], comments: dict[str, str], about: str) -> Iterator[Grant]:
    for place, entry in enumerate(entries, 1):
        ace = _ACE.fullmatch(entry)
        if ace is None:
            raise MalformedInput("an entry out of form", expected="A::OWNER@:rwx")
        type_, flags, name, letters = ace.groups()
        spelled = "".join(_GENERIC.get(letter, letter) for letter in letters)
        if not set(spelled) <= set(_PERMISSIONS):
            raise MalformedInput("an entry with an unknown permission", expected="".join(_PERMISSIONS))
        if type_ in "UL" or not spelled:
            continue
        condition: Object = dict(_NEW_FILES) if "i" in flags else {}
        if type_ == "D":
            condition["Order"] = place
        principal, kind = _nfs4_principal(name, flags, comments)
        yield make_grant(
            principal,
            [_PERMISSIONS[letter] for letter in spelled],
            about,
            effect=Effect.DENY if type_ == "D" else Effect.ALLOW,
            condition=condition,
            kind=kind,
            source="NFSv4 entry",
        )


def _nfs4_principal(name: str, flags: str, comments: dict[str, str]) -> tuple[str, str]:
    match name:
        case "EVERYONE@":
            return EVERYBODY, Kind.EVERY_USER
        case "OWNER@":
            return comments.get("owner", name), Kind.USER
        case "GROUP@":
            return comments.get("group", name), Kind.GROUP
    return _unescape(name), Kind.GROUP if "g" in flags else Kind.USER
