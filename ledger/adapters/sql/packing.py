r"""Bytes that the store makes itself: what a bundle holds in one value, and the digest of a row.

Packed
    Some items of bytes, squeezed together, so that what they repeat is kept once::

        length of each item (u32, big-endian) ‖ the items, one after the other

Disclosures of an event
    A disclosure is base64url of a JSON array; the array's bytes are kept, joined by line feeds::

        ["_26bc4LT-ac6q2KI6cBW5es","principal","arn:…"]⏎["eluV5Og3gSNII8EYnsxA_A","outcome","allowed"]

    The ledger writes canonical JSON, which has no line feeds. Others may write what they like, and the text must come
    back as it was, so what could not is kept as `=` and its base64url text: arrays that hold a line feed, begin with
    `=`, are empty, or are not base64url at all.

Row digest
    SHA-256 of the canonical JSON array of the table's name and the row's values, numbers and bytes (base64) as text.
    It shows accidents. Somebody who rewrites a row can rewrite its digest; against that there are signatures, Merkle
    trees and the chain.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from ledger import canonical
from ledger.adapters.sql.squeeze import squeeze, unsqueeze
from ledger.canonical import Value
from ledger.disclosure import DisclosureTexts
from ledger.errors import IntegrityError, MalformedInput
from ledger.types import Digest, from_base64url, to_base64, to_base64url


def pack(items: Sequence[bytes]) -> bytes:
    """Sibling of `unpack`. An item is shorter than 4 GiB."""
    return squeeze(b"".join([struct.pack(f">{len(items)}I", *map(len, items)), *items]))


def unpack(packed: bytes, count: int) -> list[bytes]:
    """The very items that `pack` was given. Raises ValueError if it was not `count` of them."""
    data, start = unsqueeze(packed), 4 * count
    if len(data) < start:
        raise ValueError("packed items that are cut short")
    ends = list(accumulate(struct.unpack_from(f">{count}I", data), initial=start))
    if ends[-1] != len(data):
        raise ValueError("packed items of other lengths than they say")
    return [data[one:next] for one, next in pairwise(ends)]


def pack_disclosures(texts: Sequence[str]) -> bytes:
    """One value for the disclosures of one event that is in no bundle; sibling of `unpack_disclosures`."""
    return squeeze(joined(texts))


def unpack_disclosures(packed: bytes) -> Sequence[str]:
    """The very texts that `pack_disclosures` was given."""
    return separated(unsqueeze(packed))


def joined(texts: Sequence[str]) -> bytes:
    """An event's disclosures in one value; empty if there are none. Sibling of `separated`."""
    if isinstance(texts, DisclosureTexts):
        return texts.arrays
    if not texts:
        return b""
    try:
        lines = b"\n".join([b"", *map(from_base64url, texts)])
    except MalformedInput:
        lines = b""
    if lines.count(b"\n") == lines.count(b"\n[") == len(texts):  # each is a line, and begins as an array does
        return lines[1:]
    return b"\n".join(map(_pack, texts))


def separated(item: bytes) -> Sequence[str]:
    """The very texts that `joined` was given."""
    if item.startswith(b"=") or b"\n=" in item:
        return tuple(map(_unpack, item.split(b"\n")))
    return DisclosureTexts(item)


def _pack(text: str) -> bytes:
    try:
        array = from_base64url(text)
    except MalformedInput:
        array = b""
    if array and b"\n" not in array and not array.startswith(b"="):
        return array
    if "\n" in text:
        raise IntegrityError("a disclosure that holds a line feed", got=repr(text[:40]))
    return b"=" + text.encode()


def _unpack(item: bytes) -> str:
    return item[1:].decode() if item.startswith(b"=") else to_base64url(item)


def row_digest(table: str, values: Iterable[str | bytes | int | None]) -> Digest:
    """The digest of a row, its columns in the table's order."""
    content: list[Value] = [str(table)]  # SQLAlchemy's name of a table is a string with more to it
    content.extend(_text(value) for value in values)
    return Digest.of(canonical.encode(content))


def _text(value: str | bytes | int | None) -> str | None:
    if isinstance(value, bytes):
        return to_base64(value)
    return value if value is None else str(value)
