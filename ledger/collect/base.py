"""Collectors: other systems' logs, turned into events.

A collector knows two things of its source, how a file falls into records and what event a record is, and nothing of
files, folders or compression::

    class Nginx:
        suffixes = (".log",)

        def records(self, file: BinaryIO) -> Iterator[RawRecord]:
            return split_lines(file)

        def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
            ...                                     # raise MalformedInput for what is no record

    for outcome in tally.watch(collect(Nginx(), [Path("/var/log/nginx")])):
        ...

Nothing is lost: every record of every file comes out once, as `Collected` or as `SetAside` with its place and the
reason. What is collected has passed the envelope's and the catalogue's rules, so it can be pushed as it is. A record
that tells of more than one thing becomes as many events: all of them, or it is set aside.

Ids decide what importing again means, and stand in the entry for ever. So a record's id is the one that its source gave
it (an event id, a request id). A source that gives none leaves `id` out, and the record is known by its place::

    access.log:2026-07-01T00:00:03.000Z:17
    │          │                        └── number of the record in its file, from 1
    │          └── time of the file's first record that could be read
    └── name of the file, before it was rotated and compressed

None of the three is derived from what a record says of a person, as a hash of its line would be; and none changes when
the file grows, is renamed to `access.log.1`, or is compressed, so importing it again takes nothing twice. It must be
the file as it was written: an extract has other numbers. The name goes into the entry, so one with characters that
names of persons and addresses need is refused; `collect` takes another name to use in its place. Two files of one name
and one first time (two servers') differ by `source`, which therefore names the server.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

from ledger.canonical import Object
from ledger.catalogue import check_event
from ledger.collect.files import NO_HEADER, Header, RawRecord, find_files, open_file, unrotated
from ledger.entry import event_time, parse_event
from ledger.errors import InputError, MalformedInput
from ledger.types import format_time


@dataclass(frozen=True, slots=True)
class Collected:
    """A record that became events, most often one, ready to be pushed. `where` is `file:record`, counted from 1."""

    where: str
    events: tuple[Object, ...]
    raw: bytes = field(default=b"", compare=False)
    """The record's bytes, for whoever sets it aside after all."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that did not. `raw` are its bytes as far as they were read, at most `files.MAX_RECORD`."""

    where: str
    reason: str
    raw: bytes


Outcome: TypeAlias = Collected | SetAside
Placed: TypeAlias = tuple[str, RawRecord]
"""A record, and where it is from."""


class Collector(Protocol):
    """One kind of source."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the files that it reads in a folder, in lower case, before rotation and compression."""

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        """The records of one file, which is open at its start, can seek, and is already decompressed.

        Holds one record at a time. Errors of reading pass through.
        """

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object | list[Object]:
        """The CloudEvents object of one record: always the same for the same bytes, so that importing again changes
        nothing. Without `id` where the source gives none; it is then made of the record's place. A list of them, each
        with an id of its own, for a record that tells of more than one thing. Raises `InputError` for what is no
        record of this source."""


@runtime_checkable
class Gatherer(Collector, Protocol):
    """A collector that finds its records itself: where several files make one, or where a server is asked."""

    def gather(self, paths: Iterable[Path]) -> Iterator[Placed]:
        """The records under `paths`, each with where it is from. Raises as `collect`, and what a server answers."""


@dataclass(slots=True)
class Tally:
    """Counts of one import: of records, `read` is always `collected` plus `set_aside`; `events` is what they became."""

    read: int = 0
    collected: int = 0
    set_aside: int = 0
    events: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def watch(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Hand the outcomes on, counting."""
        for outcome in outcomes:
            self.count(outcome)
            yield outcome

    def count(self, outcome: Outcome) -> None:
        self.read += 1
        match outcome:
            case Collected():
                self.collected += 1
                self.events += len(outcome.events)
            case SetAside():
                self.set_aside += 1
                self.reasons[outcome.reason] += 1

    def take_back(self, collected: Collected, aside: SetAside) -> None:
        """Count a record as set aside that was counted as collected."""
        self.read -= 1
        self.collected -= 1
        self.events -= len(collected.events)
        self.count(aside)


def collect(collector: Collector, paths: Iterable[Path], name: str | None = None) -> Iterator[Outcome]:
    """Every record under `paths`, in the order of the paths, sorted within each folder.

    In a folder, at any depth, only files with the collector's suffixes are read; a file that is named itself is read
    whatever its name. `name` stands in ids in place of the files' own names.

    Raises:
        NotFound: before anything is read, for a path that does not exist.
    """
    if isinstance(collector, Gatherer):
        ids = Ids(name or "")
        for where, record in collector.gather(paths):
            yield judge(collector, where, record, ids)
        return
    for path in find_files(paths, collector.suffixes):
        ids = Ids.of(path, name)
        for where, record in records_of(collector, path):
            yield judge(collector, where, record, ids)


def records_of(collector: Collector, path: Path) -> Iterator[Placed]:
    """The records of one file, and as a last one with a problem that it cannot be read to its end."""
    number = 0
    try:
        with open_file(path) as file:
            for record in collector.records(file):
                number = record.number
                yield f"{path}:{number}", record
    except READING_ERRORS as error:
        yield f"{path}:{number + 1}", unreadable(number + 1, error)


READING_ERRORS = (OSError, EOFError, zlib.error)
"""What reading a file can raise. A broken gzip stream says so only where it breaks: what came before it stands."""


def unreadable(number: int, error: Exception) -> RawRecord:
    """The record that is none, in place of what could not be read."""
    why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return RawRecord(number, b"", f"the file cannot be read from here on: {why}")


_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(slots=True)
class Ids:
    """Ids of one file's records that have none of their own; see the module's docstring.

    `first` is the time of the first record that can be read, once there was one.
    """

    name: str
    first: str = ""

    @classmethod
    def of(cls, path: Path, name: str | None) -> Ids:
        """Those of the file at `path`, under `name` if there is one."""
        return cls(unrotated(path.name) if name is None else name)

    def complete(self, event: Object, number: int) -> Object:
        """`event` with an id. Raises `MalformedInput` for a time that is none, and a name that cannot be in an id."""
        time = event.get("time")
        if not self.first and isinstance(time, str):
            self.first = format_time(event_time(time))
        if "id" in event:
            return event
        if not _FILE_NAME.fullmatch(self.name):
            raise MalformedInput(
                "records without ids of their own in a file whose name cannot stand in an id",
                expected="1 to 64 letters, digits and . _ -",
                advice="Rename the file, or give a name for it.",
            )
        return {**event, "id": f"{self.name}:{self.first}:{number}"}


def judge(collector: Collector, where: str, record: RawRecord, ids: Ids) -> Outcome:
    """What a record becomes."""
    if record.problem is not None:
        return SetAside(where, record.problem, record.raw)
    try:
        made = collector.event(record.raw, record.header)
        events = [
            ids.complete(event, record.number) for event in (made if isinstance(made, list) else [made])
        ]
        for event in events:
            check_event(parse_event(event))
    except InputError as error:
        return SetAside(where, _reason(error), record.raw)
    return Collected(where, tuple(events), record.raw)


def _reason(error: InputError) -> str:
    problems = error.details.get("problems")
    return "; ".join(f"{p['at']}: {p['problem']}" for p in problems) if problems else str(error)
