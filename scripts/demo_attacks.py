"""The demo's attacks, each really carried out on a copy: on a proof, on an evidence package, on the database.

The last three are the operator's own: who holds the log's key can sign any history, and who holds the database can
write anything into it.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from ledger import canonical
from ledger.adapters.sql.bundles import LEAF
from ledger.adapters.sql.packing import pack, unpack
from ledger.batch import BatchHeader
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.disclosure import parse_disclosure
from ledger.evidence.manifest import CHECKPOINT, ENTRIES, FILES, HEADERS, MANIFEST, FileDigest, Manifest
from ledger.merkle import leaf_hash, tree_root
from ledger.note import Note, parse_note, sign_note
from ledger.ports import Signer
from ledger.types import Digest, Origin, Position, from_base64, from_base64url, to_base64, to_base64url

Document = dict[str, Any]


# --- on a proof -----------------------------------------------------------------------------------------------------


def other_value(proof: Document, name: str, value: str) -> None:
    """Say something else in a disclosed member, salt and all else kept."""
    texts = proof["disclosures"]
    for place, text in enumerate(texts):
        shown = parse_disclosure(text)
        if shown.name == name:
            salt = json.loads(from_base64url(text))[0]
            texts[place] = to_base64url(canonical.encode([salt, name, value]))


def other_transfer(proof: Document) -> None:
    """Have the committed event be about another transfer."""
    entry: Document = json.loads(proof["entry"])
    entry["event"]["subject"] += "-2"
    proof["entry"] = canonical.encode(entry).decode()


def other_path(proof: Document) -> None:
    """Flip one bit of the first hash on the way to the batch's root."""
    first = bytearray(from_base64(proof["batch"]["path"][0]))
    first[0] ^= 1
    proof["batch"]["path"][0] = to_base64(bytes(first))


def back_dated(proof: Document) -> None:
    """Have the batch closed a month earlier."""
    header = BatchHeader.parse(from_base64(proof["batch"]["header"]))
    earlier = replace(header, closed_at=header.closed_at - 30 * 86_400)
    proof["batch"]["header"] = to_base64(bytes(earlier))


def tampered(proof: bytes, attack: Callable[[Document], None]) -> bytes:
    """A proof document after an attack on it."""
    document: Document = canonical.parse_object(proof)
    attack(document)
    return canonical.encode(document)


def one_character_changed(proof: bytes, random: Random) -> bytes:
    """A proof with one character changed at random, anywhere but in the part that says that no check covers it."""
    document: Document = canonical.parse_object(proof)
    kept = document.pop("unauthenticated")
    text = canonical.encode(document).decode()
    place = random.randrange(1, len(text) - 1)
    # Not the same letter in the other case: an address on the chain means the same in both.
    other = random.choice([letter for letter in "abcxyz0189+/" if letter != text[place].lower()])
    changed = text[:place] + other + text[place + 1 : -1]
    return f'{changed},"unauthenticated":{canonical.encode(kept).decode()}}}'.encode()


# --- on an evidence package -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Package:
    """An evidence package in memory: its members, and what its manifest says."""

    members: dict[str, bytes]
    manifest: Manifest
    note: Note

    @classmethod
    def read(cls, path: Path) -> Package:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        note = parse_note(members[MANIFEST].decode())
        return cls(members, Manifest.parse(note.text), note)

    def write(self, path: Path, manifest_note: str) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in FILES:
                archive.writestr(name, self.members[name])
            archive.writestr(MANIFEST, manifest_note)


def leave_out(package: Package, position: int) -> Package:
    """Drop one entry and renumber those after it; the manifest's digests and counts say so."""
    lines = [canonical.parse_object(line) for line in package.members[ENTRIES].splitlines()]
    kept = [line for line in lines if line["position"] != position]
    numbered = [{**line, "position": package.manifest.first_event + n} for n, line in enumerate(kept)]
    return _with(package, {ENTRIES: _lines(numbered)}, events=len(numbered))


def with_old_signature(package: Package) -> str:
    """The manifest that somebody without the key can make: the new text over the old signature."""
    return str(Note(str(package.manifest), package.note.signatures))


def rewrite_history(package: Package, position: int, signer: Signer) -> Package:
    """What the operator can do with the log's own key: the whole history without one event, consistent and signed.

    All batches from the event's on get other headers, the log tree another root, the checkpoint a new signature.
    """
    thinned = leave_out(package, position)
    leaves = [
        leaf_hash(str(canonical.parse_object(line)["entry"]).encode())
        for line in thinned.members[ENTRIES].splitlines()
    ]
    headers: list[BatchHeader] = []
    for line in package.members[HEADERS].splitlines():
        header = BatchHeader.parse(from_base64(str(canonical.parse_object(line)["header"])))
        first = headers[-1].end if headers else Position(0)
        count = header.leaf_count - (header.first_leaf <= position < header.end)
        root = tree_root(leaves[first : first + count])
        headers.append(replace(header, first_leaf=first, leaf_count=count, root=root))
    checkpoint = Checkpoint(
        package.manifest.origin, len(headers), tree_root([header.leaf for header in headers])
    )
    members = {
        HEADERS: _lines([{"batch_no": h.batch_no, "header": to_base64(bytes(h))} for h in headers]),
        CHECKPOINT: sign_checkpoint(checkpoint, signer.key, signer.sign).encode(),
    }
    return _with(thinned, members, events=thinned.manifest.events)


def signed(package: Package, signer: Signer) -> str:
    """The manifest, signed with the log's key."""
    return sign_note(str(package.manifest), signer.key, signer.sign)


def _with(package: Package, members: dict[str, bytes], events: int) -> Package:
    every = {**package.members, **members}
    files = tuple(FileDigest(name, len(every[name]), Digest(sha256(every[name]).digest())) for name in FILES)
    return Package(every, replace(package.manifest, events=events, files=files), package.note)


def _lines(values: list[canonical.Object]) -> bytes:
    return b"".join(canonical.encode(value) + b"\n" for value in values)


# --- on the database ------------------------------------------------------------------------------------------------


def copy_data_folder(data: Path, to: Path) -> None:
    """A copy of what the operator holds, the database as it stands at one moment; without the chain."""
    to.mkdir(parents=True)
    for file in data.rglob("*"):
        name = file.relative_to(data)
        if file.is_file() and name.parts[0] != "chain" and not file.name.startswith("ledger.db"):
            (to / name).parent.mkdir(exist_ok=True, mode=0o700)
            (to / name).write_bytes(file.read_bytes())
            (to / name).chmod(0o600)
    with (
        closing(sqlite3.connect(data / "ledger.db")) as source,
        closing(sqlite3.connect(to / "ledger.db")) as target,
    ):
        source.backup(target)


def edit_database(data: Path, origin: Origin, position: int) -> None:
    """Put another event's entry in the place of one, with its leaf hash, as a careful operator would."""
    with closing(sqlite3.connect(data / "ledger.db")) as database, database:
        log, first, count, leaves, packed = database.execute(
            "SELECT log, first, count, leaves, entries FROM bundles JOIN logs ON logs.id = log"
            " WHERE origin = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            (origin, position),
        ).fetchone()
        place = position - first
        other = place - 1 if place else place + 1
        entries = unpack(packed, count)
        entries[place] = entries[other]
        hashes = [leaves[at : at + LEAF] for at in range(0, len(leaves), LEAF)]
        hashes[place] = hashes[other]
        database.execute(
            "UPDATE bundles SET leaves = ?, entries = ? WHERE log = ? AND first = ?",
            (b"".join(hashes), pack(entries), log, first),
        )
