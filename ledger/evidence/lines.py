"""A package's members as the manifest says them, the lines of those in NDJSON, and the steps that fail in them."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from ledger import canonical
from ledger.canonical import Object
from ledger.errors import DisclosureRefuted, InputError, MalformedInput, PackageRefuted, VerificationError
from ledger.evidence.manifest import FileDigest
from ledger.types import Digest

MAX_LINE = 16 * 1024 * 1024
BLOCK = 1024 * 1024
"""Bytes that are unpacked at a time."""


def read_file(archive: zipfile.ZipFile, file: FileDigest) -> Iterator[bytes]:
    """A member in blocks, none of them empty; no more is unpacked than the manifest allows, so it cannot be a bomb.

    Raises:
        PackageRefuted: it is damaged; or behind the last block, it does not have the manifest's size and digest.
    """
    hasher, size = hashlib.sha256(), 0
    try:
        with archive.open(file.name) as member:
            while size <= file.size and (block := member.read(min(BLOCK, file.size - size + 1))):
                hasher.update(block)
                size += len(block)
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise PackageRefuted(f"{file.name} is damaged", step="files", got=str(error)[:120]) from None
    if (size, digest := Digest(hasher.digest())) != (file.size, file.digest):
        raise PackageRefuted(
            f"{file.name} is not what the manifest says",
            step="files",
            expected=f"{file.size} bytes, {file.digest}",
            got=f"{size} bytes, {digest}",
        )


def read_lines(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """The lines of a member as they are, each with its end; what is too long for one comes without."""
    # `zipfile` splits lines in Python; the buffer does it many times faster.
    with archive.open(name) as member, io.BufferedReader(cast(io.RawIOBase, member), BLOCK) as buffer:
        while line := buffer.readline(MAX_LINE):
            yield line


def parse_line(member: str, line: bytes, *names: str) -> Object:
    """The object of exactly these names in a line. Raises MalformedInput for anything else."""
    if not line.endswith(b"\n") or len(line) > MAX_LINE:
        raise MalformedInput(f"a line of {member} without its end", expected=f"at most {MAX_LINE} bytes")
    value = canonical.parse_object(line)
    if value.keys() != set(names):
        raise MalformedInput(f"a line of {member} is out of form", expected=", ".join(names))
    return value


def check_number(value: Object, name: str, expected: int, *, step: str) -> None:
    # In Python, 1 == True == 1.0; a line's number is an integer.
    got = value.get(name)
    if type(got) is not int or got != expected:
        raise PackageRefuted(
            "a line is missing or out of order", step=step, expected=f"{name} {expected}", got=got
        )


def string(value: Object, name: str) -> str:
    if not isinstance(text := value.get(name), str):
        raise MalformedInput(f"a line without {name!r}", expected="a string")
    return text


def strings(value: Object, name: str) -> list[str]:
    texts = value.get(name)
    if not isinstance(texts, list) or not {*map(type, texts)} <= {str}:
        raise MalformedInput(f"a line without {name!r}", expected="a list of strings")
    return cast(list[str], texts)


@contextmanager
def naming(*, step: str) -> Iterator[None]:
    """Name the step in which a general check failed; one that names a step of packages itself keeps it."""
    try:
        yield
    except (PackageRefuted, DisclosureRefuted):
        raise
    except VerificationError as error:
        error.step = step
        raise
    except InputError as error:
        raise as_step(error, step) from None


def as_step(error: InputError, step: str) -> PackageRefuted:
    """What is out of form behind the signature fails the step that reads it."""
    return PackageRefuted(error.message, step=step, expected=error.expected, got=error.got)
