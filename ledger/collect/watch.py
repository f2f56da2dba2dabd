"""Following files: an import that can be interrupted at any record, and a watch of what is written next.

`Watch.look` reads everything under its paths that is not dealt with yet, and can be called again and again::

    watch = Watch(collector, [Path("/var/log/nginx")], None, marks.load())
    while not stopped():
        for found in watch.look():
            deal_with(found.outcome)        # and then save `found.mark`
        wait(1)

A plain import is one such look, the last (`is_last`): what is there is all that there will be. Whoever calls decides
when marks are saved, looks at the clock and waits; here a span of time is a number of looks.

*Which file is which.* A log is known by its first record, so its mark is found again when it is renamed
(`access.log.1`) or compressed. If the file at its path has another first record, a new log was begun there, or the old
one cut off. A path that names a file, and no folder, includes the files that a rotation made of it since.

*When a record is whole.* One that the file ends with may be half written: it waits. If it can be read, until the file
has not changed for `QUIET` looks; if not, for `SETTLED`. It is then set aside, but its mark stays before it: once there
is more of it, it is read again.

*Copies.* A file that begins as another one does, which is still there, may be its copy in the making, before that is
removed or cut off (gzip, `copytruncate`). It waits for `SETTLED` looks; after that it is a file of its own. A
compressed file waits until it is quiet in any case.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from ledger.collect.base import Collector, Ids, Outcome, SetAside, judge, unreadable
from ledger.collect.files import files_in, is_packed, unpacked, unrotated
from ledger.collect.marks import Mark, Stat
from ledger.collect.reading import Reading
from ledger.errors import NotFound

QUIET = 1
"""Looks for which a file must not have changed before its last record counts as whole."""
SETTLED = 60
"""The same before half a record is set aside, and before a copy counts as a file of its own."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record's outcome, and the mark to save once it and all before it were dealt with.

    Without an outcome the mark says that a file was read to its end.
    """

    outcome: Outcome | None
    mark: Mark


class Watch:
    """The files under some paths.

    Args:
        name: stands in ids in place of the files' own names.
        marks: how far the files were dealt with before.

    Raises:
        NotFound: a path that does not exist, and that no mark is of.
    """

    def __init__(
        self, collector: Collector, paths: Sequence[Path], name: str | None, marks: Iterable[Mark] = ()
    ) -> None:
        self._collector, self._paths, self._name = collector, paths, name
        self._marks = _Known(marks)
        self._seen: dict[Path, tuple[Stat, int]] = {}
        self._open: BinaryIO | None = None
        self._passed = self.total = 0
        for path in paths:
            if _stat(path) is None and self._marks.at(path) is None:
                raise NotFound("no such file or folder", got=str(path))

    @property
    def done(self) -> int:
        """Bytes of `total` that were read at this look: of the files as they lie there, compressed or not."""
        return self._passed + (self._open.tell() if self._open else 0)

    def look(self, *, is_last: bool = False) -> Iterator[Found]:
        """Every record under the paths that is not dealt with yet, but for what may not be whole."""
        files = self._files()
        self._seen = {path: self._seen[path] for path in files if path in self._seen}
        sizes = [_size(path) for path in files]
        self.total, self._passed = sum(sizes), 0
        for path, size in zip(files, sizes, strict=True):
            yield from self._look_at(path, is_last=is_last)
            self._passed += size

    def _files(self) -> list[Path]:
        found: list[Path] = []
        for path in self._paths:
            if (stat := _stat(path)) and S_ISDIR(stat.st_mode):
                found += files_in(path, self._collector.suffixes)
            else:
                found += [*self._rotated(path), path]
        return list(dict.fromkeys(found))

    def _rotated(self, path: Path) -> list[Path]:
        """What rotations made of the file at `path` since it was first looked at, oldest first.

        That is what has a mark, and what changed since one that was at `path`: of the log that was there, which is
        found again by its mark, and of those that came and went after it.
        """
        since = min((mark.stat.modified for mark in self._marks.left_at(path)), default=None)
        if since is None or unrotated(path.name) != path.name:
            return []
        siblings = [p for p in _list(path.parent) if p != path and unrotated(p.name) == path.name]
        times = {p: stat.st_mtime_ns for p in siblings if (stat := _stat(p)) and S_ISREG(stat.st_mode)}
        newer = [p for p in times if times[p] >= since or self._marks.at(p) is not None]
        return sorted(newer, key=times.__getitem__)

    def _look_at(self, path: Path, *, is_last: bool) -> Iterator[Found]:
        try:
            stat = Stat.of(path.stat())
            if self._marks.is_whole(path, stat):
                return
            looks = SETTLED if is_last else self._count_look(path, stat)
            with path.open("rb") as self._open:
                if looks >= QUIET or not is_packed(self._open):
                    yield from self._read(path, stat, unpacked(self._open), looks)
        except OSError as error:
            # During a rotation a file is not there for a moment, and nothing of it is lost.
            if is_last or not isinstance(error, FileNotFoundError):
                yield from self._fail(path, error)
        finally:
            self._open = None

    def _count_look(self, path: Path, stat: Stat) -> int:
        """For how many looks the file has not changed."""
        before, looks = self._seen.get(path, (None, 0))
        looks = looks + 1 if before == stat else 0
        self._seen[path] = stat, looks
        return looks

    def _read(self, path: Path, stat: Stat, file: BinaryIO, looks: int) -> Iterator[Found]:
        reading = Reading(self._collector, path, file, self._name)
        mark = self._mark_of(path, stat, reading, looks)
        if mark is None:
            return
        if mark.place is not None and not reading.go_on(mark.place):
            mark = replace(mark, place=None, told=None)
        for read in reading:
            is_bad = isinstance(read.outcome, SetAside)
            if read.is_open and looks < (SETTLED if is_bad else QUIET):
                return
            if read.is_open and is_bad:
                told = _digest(read.outcome)
                if told == mark.told:
                    continue
                mark = replace(mark, told=told)
            else:
                mark = replace(mark, place=read.place, told=None)
            yield self._found(read.outcome, mark)
        yield self._found(None, replace(mark, is_whole=True))

    def _mark_of(self, path: Path, stat: Stat, reading: Reading, looks: int) -> Mark | None:
        """The file's mark, a new one if it has none; None if it cannot be told yet which file it is."""
        if reading.is_open and looks < QUIET:
            return None
        begun = self._marks.beginning_with(reading.first)
        for mark in sorted(begun, key=lambda mark: mark.path != path.absolute()):
            if not self._marks.lies_elsewhere(mark, path):
                return replace(mark, path=path.absolute(), stat=stat, is_whole=False)
        if begun and looks < SETTLED:
            return None
        known = self._marks.at(path)
        if known is None or known.place is not None:
            return Mark(self._marks.next_id(), path.absolute(), stat, first=reading.first)
        told = known.told if known.first == reading.first else None
        return replace(known, stat=stat, is_whole=False, first=reading.first, told=told)

    def _fail(self, path: Path, error: OSError) -> Iterator[Found]:
        outcome = judge(self._collector, f"{path}:1", unreadable(1, error), Ids.of(path, self._name))
        mark = self._marks.at(path) or Mark(self._marks.next_id(), path.absolute(), Stat(0, 0, 0, 0))
        told = _digest(outcome)
        if mark.told != told:
            yield self._found(outcome, replace(mark, told=told))

    def _found(self, outcome: Outcome | None, mark: Mark) -> Found:
        self._marks.put(mark)
        return Found(outcome, mark)


class _Known:
    """Marks by what they are looked for. Their paths are absolute; those that are asked for need not be."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        self._by_id: dict[int, Mark] = {}
        self._by_path: dict[Path, int] = {}
        self._by_first: defaultdict[bytes, list[int]] = defaultdict(list)
        self._last = 0
        for mark in marks:
            self.put(mark)

    def next_id(self) -> int:
        return self._last + 1

    def put(self, mark: Mark) -> None:
        before = self._by_id.get(mark.id)
        if before and before.path != mark.path and self._by_path.get(before.path) == mark.id:
            del self._by_path[before.path]
        if before and before.first and before.first != mark.first:
            self._by_first[before.first].remove(mark.id)
        if mark.first and (before is None or before.first != mark.first):
            self._by_first[mark.first].append(mark.id)
        self._by_id[mark.id] = mark
        self._by_path[mark.path] = mark.id
        self._last = max(self._last, mark.id)

    def at(self, path: Path) -> Mark | None:
        """The mark of the file that lay at `path` last."""
        id = self._by_path.get(path.absolute())
        return None if id is None else self._by_id[id]

    def left_at(self, path: Path) -> list[Mark]:
        """The marks of files that lay at `path` when they were last seen, also where another has taken the place."""
        there = path.absolute()
        return [mark for mark in self._by_id.values() if mark.path == there]

    def is_whole(self, path: Path, stat: Stat) -> bool:
        """Whether the file at `path` was dealt with as it is."""
        mark = self.at(path)
        return mark is not None and mark.is_whole and mark.stat == stat

    def beginning_with(self, first: bytes | None) -> list[Mark]:
        return [] if first is None else [self._by_id[id] for id in self._by_first.get(first, ())]

    def lies_elsewhere(self, mark: Mark, path: Path) -> bool:
        """Whether the mark's file is still where it was, and that is not at `path`."""
        if mark.path == path.absolute() or self.at(mark.path) is not mark:
            return False
        stat = _stat(mark.path)
        return stat is not None and Stat.of(stat).inode == mark.stat.inode


def _digest(outcome: Outcome) -> bytes:
    assert isinstance(outcome, SetAside)
    return sha256(outcome.reason.encode() + b"\n" + outcome.raw).digest()


def _size(path: Path) -> int:
    stat = _stat(path)
    return stat.st_size if stat else 0


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
