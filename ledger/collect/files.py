"""Files of records: finding them, opening them whether compressed or not, and cutting them into records.

Three shapes are cut here. *Lines*: one record on each line, as in NDJSON; blank lines are none. *Text*: the same for
logs that are no JSON, where a last line without its end may be half written and would still look whole. *Arrays*: JSON
objects in an array, `[{…},{…}]`, or in one member of an object, `{"Records":[{…},{…}]}`, cut without being read as a
whole: strings and brackets tell where an element ends, so one bad element costs only itself, however deep it nests and
whatever its numbers are.

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
    """What a file said of its fields, before the records that it holds for."""

    names: tuple[str, ...] = ()
    separator: str = "\t"
    unset: str = "-"


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
    """
    for number, line in read_lines(file):
        raw = line.removesuffix(b"\n").removesuffix(b"\r")
        if len(line) > MAX_RECORD:
            yield too_long(number, line)
        elif raw.strip() and not line.endswith(b"\n"):
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


def split_json(file: BinaryIO, name: str) -> Iterator[RawRecord]:
    """The records of a JSON file of either shape: the array `name` of one object, or one record on each line.

    One JSON text over several lines that is neither is one record, and no good one.
    """
    if starts_array(file, name):
        yield from split_array(file)
        return
    if spread := _spread(file):
        yield RawRecord(1, spread[:MAX_RECORD], f'neither {{"{name}":[…]}} nor one record on each line')
        return
    yield from split_lines(file)


def split_events(file: BinaryIO) -> Iterator[RawRecord]:
    """The records of a JSON file of three shapes: one array, one record on each line, or one record over many lines."""
    if starts_array(file, None):
        yield from split_array(file, _ARRAY_END)
    elif whole := _spread(file):
        too_large = len(whole) > MAX_RECORD
        yield too_long(1, whole) if too_large else RawRecord(1, whole.removeprefix(_BOM).strip())
    else:
        yield from split_lines(file)


def _spread(file: BinaryIO) -> bytes:
    """The bytes of a JSON text over several lines, as many as a record may have and one; none if it is none such."""
    first = file.read(_CHUNK).removeprefix(_BOM).lstrip()
    file.seek(0)
    return file.read(MAX_RECORD + 1) if re.match(rb"[\[{][ \t]*\r?\n", first) else b""


def starts_array(file: BinaryIO, name: str | None) -> bool:
    """Whether the file is a JSON object whose first member `name` is an array, or, without a name, an array itself.

    If so, it then stands in that array; if not, at its start.
    """
    before = rb"" if name is None else rb'\{\s*"' + re.escape(name.encode()) + rb'"\s*:\s*'
    opening = re.compile(rb"\s*" + before + rb"\[")
    head = file.read(_CHUNK)
    body = head.removeprefix(_BOM)
    match = opening.match(body)
    file.seek(0 if match is None else len(head) - len(body) + match.end())
    return match is not None


_ARRAY_END = re.compile(rb"\]\s*")
_OBJECT_END = re.compile(rb"\]\s*\}\s*")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.DOTALL)


def split_array(file: BinaryIO, end: re.Pattern[bytes] = _OBJECT_END) -> Iterator[RawRecord]:
    """The elements of the JSON array in which the file stands, up to the end of the object around it, or to `end`.

    What is not JSON between the brackets comes out as it is, for the reader of records to refuse.
    """
    buffer, at, depth, number = b"", 0, 0, 0
    while True:
        token = _TOKEN.search(buffer, at)
        if token is None or token[0] == b'"':  # nothing more to see, or a string that goes on
            at = len(buffer) if token is None else token.start()
            chunk = file.read(_CHUNK)
            if not chunk or len(buffer) > MAX_RECORD:
                break
            buffer += chunk
            continue
        at = token.end()
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}" and depth:
            depth -= 1
        elif depth == 0 and token[0] in b",]}":
            element = buffer[: token.start()].strip()
            closed = token[0] != b","
            if element or not closed or number:
                number += 1
                yield RawRecord(number, element, None if element else "an empty place in the array")
            buffer, at = buffer[at:], 0
            if closed:
                yield from _after(file, token[0] + buffer, number, end)
                return
    # Everything from here on is one record: where the next one begins cannot be told.
    if len(buffer) > MAX_RECORD:
        problem = f"a record of over {MAX_RECORD} bytes; the rest of the file was not read"
    else:
        problem = "the file ends before its array does"
    yield RawRecord(number + 1, buffer[:MAX_RECORD], problem)


def _after(file: BinaryIO, buffer: bytes, number: int, end: re.Pattern[bytes]) -> Iterator[RawRecord]:
    rest = buffer + file.read(MAX_RECORD)
    if not end.fullmatch(rest):
        yield RawRecord(number + 1, rest[:MAX_RECORD], "text after the last record")
