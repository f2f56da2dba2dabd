"""Files of records: finding them, opening them whether compressed or not, and cutting them into records.

Four shapes are cut here. *Lines*: one record on each line, as in NDJSON; blank lines are none. *Text*: the same for
logs that are no JSON, where a last line without its end may be half written and would still look whole. *Arrays*: JSON
objects in an array, `[{…},{…}]`, or in one member of an object, `{"Records":[{…},{…}]}`. *Objects*: JSON objects one
after the other, each over several lines. Arrays and objects are cut without being read as a whole: strings and brackets
tell where an element ends, so one bad element costs only itself, however deep it nests and whatever its numbers are.

A file that a rotation renamed is still the same file: `unrotated` gives the name that it was written under.
"""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ledger.errors import NotFound

MAX_RECORD = 4 * 1024 * 1024
"""Size over which a record is not held in memory, in bytes. An event may have 256 KiB."""

UNFINISHED = "the file ends within this line; import it again when the line has its end"

_CHUNK = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952 §2.3.1
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file said of its fields, before the records that it holds for; `path` is Zeek's name of the log."""

    names: tuple[str, ...] = ()
    separator: str = "\t"
    unset: str = "-"
    path: str = ""


NO_HEADER = Header()


@dataclass(frozen=True, slots=True)
class RawRecord:
    """The bytes of one record, `number` counted from 1 (for lines, the line's). `problem` says why they are none."""

    number: int
    raw: bytes
    problem: str | None = None
    header: Header = NO_HEADER


def find_files(paths: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """The files that `paths` name: each file itself, and of each folder those with the suffixes, at any depth, sorted.

    A suffix is that of the name before rotation and compression.

    Raises:
        NotFound: for a path that does not exist.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += files_in(path, suffixes)
        elif path.exists():
            found.append(path)
        else:
            raise NotFound("no such file or folder", got=str(path))
    return list(dict.fromkeys(found))


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files in a folder with the suffixes, at any depth, sorted; then the folders that cannot be listed.

    Whoever opens those learns why, so that they do not go unnoticed.
    """
    unlisted: list[Path] = []
    found = [
        Path(at, name)
        for at, _, names in os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename)))
        for name in names
        if unrotated(name).lower().endswith(suffixes)
    ]
    return [*sorted(path for path in found if _may_be_file(path)), *sorted(unlisted)]


def _may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True


_DATE = r"[0-9]{4}-?[0-9]{2}(?:-?[0-9]{2})?[0-9T_-]*"
_ROTATION = re.compile(rf"[._-](?:{_DATE}|[0-9]{{10,}})(?=\.|$)|[.-][0-9]{{1,3}}$")


def unrotated(name: str) -> str:
    """The name under which a log was written, before it was rotated and compressed.

    >>> {unrotated(name) for name in ("access.log.2.gz", "access.log-20260701", "access-2026-07-01.log.gz")}
    {'access.log'}
    """
    return _ROTATION.sub("", re.sub(r"(?i)\.gz$", "", name))


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open for reading, through gzip if the file's first bytes say so, whatever its name says."""
    with path.open("rb") as file:
        yield unpacked(file)


def unpacked(file: BinaryIO) -> BinaryIO:
    """What an open file holds: itself, or what its gzip stream does. That is closed with it."""
    return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=file), _CHUNK)) if is_packed(file) else file


def is_packed(file: BinaryIO) -> bool:
    """Whether an open file is compressed. It then stands at its start."""
    file.seek(0)
    magic = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    return magic == _GZIP_MAGIC


def split_lines(file: BinaryIO) -> Iterator[RawRecord]:
    """Each line that is not blank, without its line end. A byte order mark before the first is dropped."""
    for number, line in read_lines(file):
        if len(line) > MAX_RECORD:
            yield too_long(number, line)
        elif stripped := line.strip():
            yield RawRecord(number, stripped)


def split_text(file: BinaryIO) -> Iterator[RawRecord]:
    """Each line that is not blank, less `\\n` or `\\r\\n` and no other byte.

    A last line that has no end is a problem: its writer may not be done with it, and a shorter number is a number too.
    A JSON object shows by itself whether it is whole.
    """
    for number, line in read_lines(file):
        raw = line.removesuffix(b"\n").removesuffix(b"\r")
        is_object = raw.startswith(b"{") and raw.rstrip().endswith(b"}")
        if len(line) > MAX_RECORD:
            yield too_long(number, line)
        elif raw.strip() and not line.endswith(b"\n") and not is_object:
            yield RawRecord(number, raw, UNFINISHED)
        elif raw.strip():
            yield RawRecord(number, raw)


def read_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Every line with its end and its number from 1, less a byte order mark before the first.

    Of a line of over `MAX_RECORD` bytes only as much comes as shows that it is.
    """
    number = 0
    while line := file.readline(MAX_RECORD + 1):
        number += 1
        yield number, line.removeprefix(_BOM) if number == 1 else line
        while len(line) > MAX_RECORD and not line.endswith(b"\n"):
            line = file.readline(MAX_RECORD + 1) or b"\n"


def too_long(number: int, line: bytes) -> RawRecord:
    """The record that is no record, for a line of over `MAX_RECORD` bytes."""
    return RawRecord(number, line[:MAX_RECORD], f"a line of over {MAX_RECORD} bytes")


def split_json(file: BinaryIO, *names: str) -> Iterator[RawRecord]:
    """The records of a JSON file: in an array, one over several lines after the other, or one on each line.

    The array may be the whole file, or the first of the members `names` that an object has; objects of that kind may
    follow one another.
    """
    scanner = _Scanner(file)
    wanted = {name.encode() for name in names}
    if _find_array(scanner.peek(), wanted):
        yield from _split_arrays(scanner, wanted)
        return
    is_spread = _SPREAD.match(scanner.peek())
    file.seek(0)
    yield from split_objects(file) if is_spread else split_lines(file)


_START = rb"(?:\xef\xbb\xbf)?\s*"
_SPREAD = re.compile(_START + rb"\{[ \t]*\r?\n")
"""A first line that holds no more than the start of an object."""
_WHOLE, _OBJECT, _MEMBER = re.compile(_START + rb"\["), re.compile(_START + rb"\{"), re.compile(rb"\s*:\s*\[")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.DOTALL)
_WHOLE_END = re.compile(rb"\]\s*")
_SCALAR = rb'(?:"(?:[^"\\]|\\.)*+"|[-+.0-9A-Za-z]+|\[\s*\])'
_OBJECT_END = re.compile(rb'\]\s*(?:,\s*"[^"\\]*+"\s*:\s*%s\s*)*+\}\s*' % _SCALAR, re.DOTALL)
"""What may follow an array within its object: members that hold nothing, such as a token for the next page."""


def _find_array(text: bytes, names: set[bytes]) -> tuple[int, re.Pattern[bytes]] | None:
    """Where the array that holds records begins in `text`, and what may follow it; None if there is none."""
    if whole := _WHOLE.match(text):
        return whole.end(), _WHOLE_END
    opening = _OBJECT.match(text)
    depth = 1
    for token in _TOKEN.finditer(text, opening.end()) if opening else ():
        if token[0] in (b"[", b"{"):
            depth += 1
        elif token[0] in (b"]", b"}"):
            depth -= 1
        elif depth == 1 and token[0][1:-1] in names and (array := _MEMBER.match(text, token.end())):
            return array.end(), _OBJECT_END
        if depth == 0:
            break
    return None


class _Scanner:
    """Walks over the brackets of JSON, and holds what was not cut off yet: at most a record and two reads."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.held, self.at = file, b"", 0

    def peek(self, size: int | None = None) -> bytes:
        """What comes next: of as many bytes as one read has, or `size`, if there are as many."""
        while len(self.held) < (size or _CHUNK) and (chunk := self.file.read(_CHUNK)):
            self.held += chunk
        return self.held

    def bracket(self) -> bytes:
        """The next bracket or comma outside of text; none at the file's end, or where a record gets too long."""
        while True:
            token = _TOKEN.search(self.held, self.at)
            if token is None or token[0] == b'"':  # nothing more to see, or text that goes on
                self.at = len(self.held) if token is None else token.start()
                chunk = self.file.read(_CHUNK)
                if not chunk or len(self.held) > MAX_RECORD:
                    return b""
                self.held += chunk
                continue
            self.at = token.end()
            if not token[0].startswith(b'"'):
                return token[0]

    def cut(self, size: int | None = None) -> bytes:
        """What was walked over since the last cut, or the next `size` bytes."""
        end = self.at if size is None else size
        passed, self.held, self.at = self.held[:end], self.held[end:], 0
        return passed

    def rest(self, number: int, problem: str) -> RawRecord:
        """Everything from here on as one record, since where the next one begins cannot be told. Nothing comes next."""
        if len(self.peek(MAX_RECORD + 1)) > MAX_RECORD:
            problem = f"over {MAX_RECORD} bytes after the last record; the rest of the file was not read"
        rest, self.held, self.file = self.held[:MAX_RECORD], b"", io.BytesIO()
        return RawRecord(number, rest, problem)


def _split_arrays(scanner: _Scanner, names: set[bytes]) -> Iterator[RawRecord]:
    number = 0
    while found := _find_array(scanner.peek(), names):
        start, end = found
        scanner.cut(start)
        for record in _split_array(scanner, number):
            number = record.number
            yield record
        after = end.match(scanner.peek())
        if after is None:
            break
        scanner.cut(after.end())
    if scanner.peek().strip():
        yield scanner.rest(number + 1, "text after the last record")


def _split_array(scanner: _Scanner, number: int) -> Iterator[RawRecord]:
    """The elements of the array that comes next, counted on from `number`, up to the bracket that closes it.

    What is not JSON between the brackets comes out as it is, for the reader of records to refuse.
    """
    before, depth = number, 0
    while bracket := scanner.bracket():
        if bracket in b"[{":
            depth += 1
        elif bracket in b"]}" and depth:
            depth -= 1
        elif depth == 0:
            element = scanner.cut(scanner.at - 1).strip()
            closed = bracket != b","
            if element or not closed or number > before:
                number += 1
                yield RawRecord(number, element, None if element else "an empty place in the array")
            if closed:
                return
            scanner.cut(1)
    yield scanner.rest(number + 1, "the file ends before its array does")


def split_objects(file: BinaryIO) -> Iterator[RawRecord]:
    """JSON objects one after the other, each over as many lines as it likes, as command lines print them."""
    scanner, depth, number = _Scanner(file), 0, 0
    while bracket := scanner.bracket():
        if bracket in b"[{":
            depth += 1
        elif bracket in b"]}":
            depth = max(depth - 1, 0)
            if depth == 0:
                number += 1
                yield RawRecord(number, scanner.cut().removeprefix(_BOM if number == 1 else b"").strip())
    if scanner.peek().strip():
        yield scanner.rest(number + 1, "the file ends within this record")
