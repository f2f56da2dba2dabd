"""Collectors: other systems' logs, turned into events.

A collector knows two things of its source, how a file falls into records and what event a record is, and nothing of
files, folders or compression::

    class Nginx:
        suffixes = (".log",)

        def records(self, file: BinaryIO) -> Iterator[RawRecord]:
            return split_lines(file)

        def event(self, raw: bytes) -> Object:
            ...                                     # raise MalformedInput for what is no record

    for outcome in tally.watch(collect(Nginx(), [Path("/var/log/nginx")])):
        ...

Nothing is lost: every record of every file comes out once, as `Collected` or as `SetAside` with its place and the
reason. What is collected has passed the envelope's and the catalogue's rules, so it can be pushed as it is.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from ledger.canonical import Object
from ledger.catalogue import check_event
from ledger.collect.files import RawRecord, find_files, open_file
from ledger.entry import parse_event
from ledger.errors import InputError


@dataclass(frozen=True, slots=True)
class Collected:
    """A record that became an event, ready to be pushed. `where` is `file:record`, counted from 1."""

    where: str
    event: Object


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that did not. `raw` are its bytes as far as they were read, at most `files.MAX_RECORD`."""

    where: str
    reason: str
    raw: bytes


Outcome: TypeAlias = Collected | SetAside


class Collector(Protocol):
    """One kind of source."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the files that it reads in a folder, in lower case; each may be followed by `.gz`."""

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        """The records of one file, which is open at its start, can seek, and is already decompressed.

        Holds one record at a time. Errors of reading pass through.
        """

    def event(self, raw: bytes) -> Object:
        """The CloudEvents object of one record: always the same for the same bytes, so that importing again changes
        nothing. Raises `InputError` for what is no record of this source."""


@dataclass(slots=True)
class Tally:
    """Counts of one import: `read` is always `collected` plus `set_aside`."""

    read: int = 0
    collected: int = 0
    set_aside: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def watch(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Hand the outcomes on, counting."""
        for outcome in outcomes:
            self.read += 1
            match outcome:
                case Collected():
                    self.collected += 1
                case SetAside():
                    self.set_aside += 1
                    self.reasons[outcome.reason] += 1
            yield outcome


def collect(collector: Collector, paths: Iterable[Path]) -> Iterator[Outcome]:
    """Every record under `paths`, in the order of the paths, sorted within each folder.

    In a folder, at any depth, only files with the collector's suffixes are read; a file that is named itself is read
    whatever its name.

    Raises:
        NotFound: before anything is read, for a path that does not exist.
    """
    for path in find_files(paths, collector.suffixes):
        yield from _collect_file(collector, path)


def _collect_file(collector: Collector, path: Path) -> Iterator[Outcome]:
    number = 0
    try:
        with open_file(path) as file:
            for record in collector.records(file):
                number = record.number
                yield _judge(collector, f"{path}:{number}", record)
    except (OSError, EOFError, zlib.error) as error:
        # A broken gzip stream says so only where it breaks: what came before it stands.
        yield SetAside(f"{path}:{number + 1}", f"the file cannot be read from here on: {_why(error)}", b"")


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _judge(collector: Collector, where: str, record: RawRecord) -> Outcome:
    if record.problem is not None:
        return SetAside(where, record.problem, record.raw)
    try:
        event = collector.event(record.raw)
        check_event(parse_event(event))
    except InputError as error:
        return SetAside(where, _reason(error), record.raw)
    return Collected(where, event)


def _reason(error: InputError) -> str:
    problems = error.details.get("problems")
    return "; ".join(f"{p['at']}: {p['problem']}" for p in problems) if problems else str(error)
