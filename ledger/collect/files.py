"""Files of records: finding them, opening them whether compressed or not, and cutting them into records.

Two shapes are cut here. *Lines*: one record on each line, as in NDJSON; blank lines are none. *Records*: one JSON
object that holds an array, `{"Records":[{…},{…}]}`, which is cut without being read as a whole: strings and brackets
tell where an element ends, so one bad element costs only itself, however deep it nests and whatever its numbers are.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ledger.errors import NotFound

MAX_RECORD = 4 * 1024 * 1024
"""Size over which a record is not held in memory, in bytes. An event may have 256 KiB."""

_CHUNK = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952 §2.3.1
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class RawRecord:
    """The bytes of one record, `number` counted from 1 (for lines, the line's). `problem` says why they are none."""

    number: int
    raw: bytes
    problem: str | None = None


def find_files(paths: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """The files that `paths` name: each file itself, and of each folder those with the suffixes, at any depth, sorted.

    Raises:
        NotFound: for a path that does not exist.
    """
    endings = suffixes + tuple(suffix + ".gz" for suffix in suffixes)
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(f for f in path.rglob("*") if f.name.lower().endswith(endings) and f.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise NotFound("no such file or folder", got=str(path))
    return list(dict.fromkeys(found))


def open_file(path: Path) -> BinaryIO:
    """Open for reading, through gzip if the file's first bytes say so, whatever its name says."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
    if packed:
        return cast(BinaryIO, io.BufferedReader(gzip.open(path), _CHUNK))
    return path.open("rb")


def split_lines(file: BinaryIO) -> Iterator[RawRecord]:
    """Each line that is not blank, without its line end. A byte order mark before the first is dropped."""
    number = 0
    while line := file.readline(MAX_RECORD + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line) > MAX_RECORD:
            raw = line[:MAX_RECORD]
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_RECORD)
            yield RawRecord(number, raw, f"a line of over {MAX_RECORD} bytes")
        elif stripped := line.strip():
            yield RawRecord(number, stripped)


def split_json(file: BinaryIO, name: str) -> Iterator[RawRecord]:
    """The records of a JSON file of either shape: the array `name` of one object, or one record on each line.

    One JSON text over several lines that is neither is one record, and no good one.
    """
    if starts_array(file, name):
        yield from split_array(file)
        return
    first = file.read(_CHUNK).removeprefix(_BOM).lstrip()
    file.seek(0)
    if re.match(rb"[\[{][ \t]*\r?\n", first):
        problem = f'neither {{"{name}":[…]}} nor one record on each line'
        yield RawRecord(1, file.read(MAX_RECORD), problem)
        return
    yield from split_lines(file)


def starts_array(file: BinaryIO, name: str) -> bool:
    """Whether the file is a JSON object whose first member `name` is an array; if so, it then stands in that array.

    If not, it stands at its start.
    """
    opening = re.compile(rb'\s*\{\s*"' + re.escape(name.encode()) + rb'"\s*:\s*\[')
    head = file.read(_CHUNK)
    body = head.removeprefix(_BOM)
    match = opening.match(body)
    file.seek(0 if match is None else len(head) - len(body) + match.end())
    return match is not None


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.DOTALL)


def split_array(file: BinaryIO) -> Iterator[RawRecord]:
    """The elements of the JSON array in which the file stands, up to the end of the object around it.

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
                yield from _after(file, buffer, number, token[0])
                return
    # Everything from here on is one record: where the next one begins cannot be told.
    if len(buffer) > MAX_RECORD:
        problem = f"a record of over {MAX_RECORD} bytes; the rest of the file was not read"
    else:
        problem = "the file ends before its array does"
    yield RawRecord(number + 1, buffer[:MAX_RECORD], problem)


def _after(file: BinaryIO, buffer: bytes, number: int, closing: bytes) -> Iterator[RawRecord]:
    rest = closing + buffer + file.read(MAX_RECORD)
    if not re.fullmatch(rb"\]\s*\}\s*", rest):
        yield RawRecord(number + 1, rest[:MAX_RECORD], "text after the last record")
