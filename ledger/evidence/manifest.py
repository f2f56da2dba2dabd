"""The manifest: the signed table of contents of an evidence package.

A package is a ZIP file of five members, in this order::

    headers.ndjson   {"batch_no":0,"header":"…92 bytes, base64…"}                   every batch under the checkpoint
    entries.ndjson   {"position":0,"entry":"…","disclosures":["…"]}                 every event of the period's batches
    anchors.ndjson   {"anchor":{"chain_id":…,…},"batch_no":0}                       of the period's batches
    checkpoint       the signed checkpoint (`ledger.checkpoint`)
    manifest         a signed note by the log's key over:

    transfer-ledger/evidence/v1
    ledger.example/acme-live
    from 2026-01-01T00:00:00.000Z
    to 2027-01-01T00:00:00.000Z
    batches 0 12                       first batch and number of batches whose entries are in the package
    events 0 11264                     first position and number of entries
    made 2026-11-23T16:00:02.123Z
    file headers.ndjson 1404 <base64 of SHA-256>
    file entries.ndjson 9630211 <…>
    file anchors.ndjson 3120 <…>
    file checkpoint 210 <…>

A package with events that their party has signed (`ledger.push`) has the headline `transfer-ledger/evidence/v2`, and
one member more, in the third place::

    pushes.ndjson    {"first":0,"others":[{"index":2,"leaf":"…"}],"signature":"…"}  every signed push of its events

The period is one of *receipt*, `from` included and `to` excluded: the ledger's own time, which never runs backwards in
a log, so that a package can show that nothing of the period was left out (`ledger.evidence.check`, step `period`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ledger.errors import MalformedInput
from ledger.types import BatchNo, Digest, Origin, Position, format_time, parse_origin, parse_time

HEADLINE = "transfer-ledger/evidence/v1"
MEDIA_TYPE = "application/vnd.transfer-ledger.evidence+zip"
SIGNED_HEADLINE = "transfer-ledger/evidence/v2"
HEADERS, ENTRIES, PUSHES, ANCHORS, CHECKPOINT, MANIFEST = (
    "headers.ndjson",
    "entries.ndjson",
    "pushes.ndjson",
    "anchors.ndjson",
    "checkpoint",
    "manifest",
)
FILES = (HEADERS, ENTRIES, ANCHORS, CHECKPOINT)
SIGNED_FILES = (HEADERS, ENTRIES, PUSHES, ANCHORS, CHECKPOINT)
_FILES_OF = {HEADLINE: FILES, SIGNED_HEADLINE: SIGNED_FILES}

_NUMBER = r"(0|[1-9][0-9]{0,17})"
_FILE = re.compile(rf"file ([a-z.]+) {_NUMBER} ([A-Za-z0-9+/=]{{44}})")
_FORM = re.compile(
    r"(transfer-ledger/evidence/v[12])\n([^\n]+)\nfrom ([^\n]+)\nto ([^\n]+)\n"
    rf"batches {_NUMBER} {_NUMBER}\nevents {_NUMBER} {_NUMBER}\n"
    r"made ([^\n]+)\n((?:file [^\n]+\n){4,5})"
)


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Length in bytes and SHA-256 of one member."""

    name: str
    size: int
    digest: Digest

    def __str__(self) -> str:
        return f"file {self.name} {self.size} {self.digest.base64}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says it holds. Times are Unix milliseconds; `until` is excluded."""

    origin: Origin
    since: int
    until: int
    first_batch: BatchNo
    batches: int
    first_event: Position
    events: int
    made: int
    files: tuple[FileDigest, ...]

    def __str__(self) -> str:
        lines = [
            SIGNED_HEADLINE if self.signed else HEADLINE,
            self.origin,
            f"from {format_time(self.since)}",
            f"to {format_time(self.until)}",
            f"batches {self.first_batch} {self.batches}",
            f"events {self.first_event} {self.events}",
            f"made {format_time(self.made)}",
            *map(str, self.files),
        ]
        return "\n".join(lines) + "\n"

    @property
    def signed(self) -> bool:
        """Whether there are events that their party has signed."""
        return any(file.name == PUSHES for file in self.files)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a manifest strictly: these lines, these files, in this order."""
        match = _FORM.fullmatch(text)
        files = [_FILE.fullmatch(line) for line in match[10].split("\n")[:-1]] if match else []
        if match is None or tuple(f[1] if f else "" for f in files) != _FILES_OF[match[1]]:
            raise MalformedInput("not a manifest", expected=f"{HEADLINE} and its lines", got=repr(text[:80]))
        return cls(
            origin=parse_origin(match[2]),
            since=parse_time(match[3]),
            until=parse_time(match[4]),
            first_batch=BatchNo(int(match[5])),
            batches=int(match[6]),
            first_event=Position(int(match[7])),
            events=int(match[8]),
            made=parse_time(match[9]),
            files=tuple(FileDigest(f[1], int(f[2]), Digest.from_base64(f[3])) for f in files if f),
        )
