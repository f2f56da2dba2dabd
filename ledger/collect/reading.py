"""Reading one file on from where it was left, for any collector.

A collector reads a file from its start. So that an import can go on in the middle of a log, `Reading` shows it a file
that begins later: the header lines that hold there, then the rest from the line of the last record that was dealt
with::

    #Fields: date time c-ip …             `Place.head`: lines that were no records, where records need them
    2026-07-01 12:00:03 198.51.100.7 …    the line at `Place.offset`: record `Place.number` again, of the same bytes
    2026-07-01 12:00:04 198.51.100.8 …    what is new

That record must come out again just as it did, which shows that the file is the same and that reading it from there is
no different; it is then passed over. If it does not, and for records that are no lines (arrays), all records before it
are read over and passed, and it must come out with its number. If that does not succeed either, the file is another.

A place is in the decompressed file, and says nothing of its name: it holds in a log that was renamed or compressed.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

from ledger.collect.base import READING_ERRORS, Collector, Ids, Outcome, judge, unreadable
from ledger.collect.files import NO_HEADER, RawRecord

_MAX_HEAD = 64 * 1024
"""Bytes of header lines over which a place does without."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: after record `number`, whose bytes have the SHA-256 `digest`.

    `began` is the time that stands in ids (`base.Ids.first`). `offset` is where the line begins on which the record
    does, in bytes of the decompressed file, and None for records that are no lines.
    """

    number: int
    digest: bytes
    began: str
    offset: int | None = None
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Read:
    """A record's outcome, and the place after it. `is_open` says that the file ended with it: more of it may follow."""

    outcome: Outcome
    place: Place
    is_open: bool


class Reading:
    """The records of one file that is open at its start, which come out once each.

    Args:
        path: stands in the outcomes' `where`.
        name: stands in ids, as in `base.collect`.
    """

    def __init__(self, collector: Collector, path: Path, file: BinaryIO, name: str | None) -> None:
        self._collector, self._path, self._file = collector, path, file
        self._ids = Ids.of(path, name)
        self._from_the_start()
        self.first = None if self._next is None or self._next.is_failure else self._next.digest
        """SHA-256 of the first record, by which a file is known whatever its name; None if there is none."""

    @property
    def is_open(self) -> bool:
        """Whether the file ends with the record that comes next, so that more of it may follow."""
        return self._next is not None and self._next.is_open

    def go_on(self, place: Place) -> bool:
        """Go to `place`; False if it is none of this file, which is then read from its start.

        A record may have the bytes of another file's: compare `first` before.
        """
        records = self._jump(place) or self._skip(place)
        if records is None:
            self._from_the_start()
            return False
        self._records, self._next = records, next(records, None)
        self._ids.first = place.began
        return True

    def __iter__(self) -> Iterator[Read]:
        while (found := self._next) is not None:
            self._next = next(self._records, None)
            record = found.record
            outcome = judge(self._collector, f"{self._path}:{record.number}", record, self._ids)
            place = Place(record.number, found.digest, self._ids.first, found.offset, found.head)
            yield Read(outcome, place, is_open=found.is_open and self._next is None)

    def _from_the_start(self) -> None:
        self._records = _found(self._collector, _View(self._file))
        self._next = next(self._records, None)

    def _jump(self, place: Place) -> Iterator[_Found] | None:
        """The records after `place`, by way of its line."""
        if place.offset is None:
            return None
        lines = place.head.count(b"\n")
        try:
            view = _View(self._file, place.head, place.offset)
        except READING_ERRORS:  # a gzip stream that breaks before the place
            return None
        records = _found(self._collector, view, place.number - lines - 1)
        first = next(records, None)
        return records if first is not None and first.ends_at(place) else None

    def _skip(self, place: Place) -> Iterator[_Found] | None:
        """The records after `place`, by way of all before."""
        records = _found(self._collector, _View(self._file))
        for found in records:
            if found.record.number >= place.number:
                return records if found.ends_at(place) else None
        return None


@dataclass(frozen=True, slots=True)
class _Found:
    """A record with what a place after it needs."""

    record: RawRecord
    offset: int | None
    head: bytes
    is_open: bool
    is_failure: bool = False

    @property
    def digest(self) -> bytes:
        return sha256(self.record.raw).digest()

    def ends_at(self, place: Place) -> bool:
        return (self.record.number, self.digest) == (place.number, place.digest) and not self.is_failure


def _found(collector: Collector, view: _View, shift: int = 0) -> Iterator[_Found]:
    """The records in `view`, numbered as in the whole file, and as a last one that it cannot be read to its end."""
    number = last = 0
    head: bytes | None = b""
    try:
        for record in collector.records(view.as_file()):
            offset, silent = view.pass_to(record.number, last)
            if head is not None and record.header != NO_HEADER:
                head = head + silent if len(head) + len(silent) <= _MAX_HEAD else None
            last = record.number + record.raw.count(b"\n")
            number = record.number + shift
            yield _Found(
                replace(record, number=number) if shift else record,
                None if head is None else offset,
                head or b"",
                view.at_end,
            )
    except READING_ERRORS as error:
        yield _Found(unreadable(number + 1, error), None, b"", is_open=True, is_failure=True)


class _View(io.BufferedIOBase):
    """A file as a collector sees it: `head`, and then what the file holds from `offset` on.

    It notes where lines begin, as long as only lines are read from its start, and whether its end was seen.
    """

    def __init__(self, file: BinaryIO, head: bytes = b"", offset: int = 0) -> None:
        self._file, self._head, self._offset = file, head, offset
        self.seek(0)

    def as_file(self) -> BinaryIO:
        return cast(BinaryIO, self)

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only from the start")
        self._ahead = io.BytesIO(self._head)
        self._ahead.seek(position)
        self._at = self._offset + max(0, position - len(self._head))
        self._file.seek(self._at)
        self._lines: deque[tuple[int, int, bytes]] = deque()
        self._count = 0
        self._in_line = False
        self._only_lines = position == 0
        self.at_end = False
        return position

    def readline(self, limit: int | None = -1) -> bytes:
        limit = -1 if limit is None else limit
        line = self._ahead.readline(limit)
        at = self._at
        if not line:
            line = self._file.readline(limit)
            self._at += len(line)
        if line and not self._in_line:
            self._count += 1
            self._lines.append((self._count, at, line))
        ended = line.endswith(b"\n")
        self._in_line = bool(line) and not ended
        self.at_end = not ended and not 0 <= limit <= len(line)
        return line

    def read(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        data = self._ahead.read(size)
        if size < 0 or len(data) < size:
            rest = self._file.read(size - len(data) if size >= 0 else -1)
            self._at += len(rest)
            data += rest
        self._only_lines = False
        self.at_end = size < 0 or len(data) < size
        return data

    def pass_to(self, line: int, last: int) -> tuple[int | None, bytes]:
        """Where `line` begins, if that is known, and the lines between it and line `last` that are not blank."""
        silent = b""
        while self._lines and self._lines[0][0] < line:
            number, _, text = self._lines.popleft()
            silent += text if number > last and text.strip() else b""
        known = self._only_lines and self._lines and self._lines[0][0] == line
        return (self._lines[0][1] if known else None), silent
