"""The one layout of a package's ZIP file, so that every reader finds the same members in it.

::

    local header, content      of the first member, at offset 0
    local header, content      of the next, directly behind …
    central directory          directly behind the last content, one record a member
    end records                directly behind, without a comment; nothing after

Readers that begin at the front and readers that begin at the end would otherwise see different packages: a forged
member before the first one is invisible to one kind, and the only one for the other. So there are no gaps, no data
descriptors, no encryption, and what a local header says is what the central directory says (PKWARE APPNOTE 4.3).
"""

from __future__ import annotations

import struct
import zipfile
from typing import IO

from ledger.errors import MalformedInput

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64_BYTES, _LOCATOR_BYTES = 56, 20
_IN_EXTRA = 0xFFFFFFFF
_FLAGS = 0x0800 | 0x0006
"""Of the flags only the name's encoding and the level of deflation may be set."""


def check_layout(file: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Raise MalformedInput unless `file` is laid out as above. `archive` is the same file, opened."""
    place = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset != place:
            raise _refused(f"{place} where {info.filename[:80]!r} begins", info.header_offset)
        place += _local_size(file, info) + info.compress_size
    if archive.start_dir != place:
        raise _refused(f"the central directory at {place}", archive.start_dir)
    _check_end(file, place, len(archive.infolist()))


def _local_size(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Bytes of a member's local header, which says what the central directory says."""
    file.seek(info.header_offset)
    mark, _, flags, method, _, _, crc, packed, size, name_size, extra_size = _LOCAL.unpack(
        _read(file, _LOCAL.size)
    )
    name, extra = _read(file, name_size), _read(file, extra_size)
    if packed == size == _IN_EXTRA and extra[:4] == b"\x01\x00\x10\x00" and len(extra) == 20:
        size, packed = struct.unpack("<2Q", extra[4:])
    elif extra:
        raise _refused("no extra fields but ZIP64 sizes", f"{extra_size} bytes")
    local = (mark, flags & ~_FLAGS, method, crc, packed, size, name)
    central = (
        b"PK\x03\x04",
        0,
        info.compress_type,
        info.CRC,
        info.compress_size,
        info.file_size,
        _name(info),
    )
    if local != central:
        raise _refused("local headers that say what the central directory says", info.filename[:80])
    return _LOCAL.size + int(name_size) + int(extra_size)


def _name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8", "replace")


def _check_end(file: IO[bytes], place: int, members: int) -> None:
    file.seek(place)
    for _ in range(members):
        fields = _CENTRAL.unpack(_read(file, _CENTRAL.size))
        _read(file, sum(fields[10:13]))
    rest = file.read(_END64_BYTES + _LOCATOR_BYTES + _END.size + 1)
    if rest[:4] == b"PK\x06\x06":
        rest = rest[_END64_BYTES + _LOCATOR_BYTES :]
    if len(rest) != _END.size or rest[:4] != b"PK\x05\x06":
        raise _refused(
            "the end record right behind the central directory, and nothing after", f"{len(rest)} bytes"
        )


def _read(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _refused("a whole file", "its end")
    return data


def _refused(expected: str, got: object) -> MalformedInput:
    return MalformedInput("a package with another layout than the one", expected=expected, got=got)
