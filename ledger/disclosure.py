"""Salted disclosures: one member of an event's `data`, in the form of SD-JWT (RFC 9901 §4.2).

A disclosure is the base64url text of a JSON array of three::

    ["_26bc4LT-ac6q2KI6cBW5es","principal","arn:aws:iam::111122223333:user/benjamin"]
     salt: 128 random bits     name        value, any JSON

and its digest, the only thing that an entry commits to, is the base64url of SHA-256 over that *text* (the ASCII of the
base64url, not the JSON under it). Without the salt a digest says nothing about the member: destroying the disclosure
erases the member and changes no digest (I4, I5).

The ledger writes the array in canonical JSON, so it keeps the array and derives the text. A verifier must take the
text as it stands and may not rewrite it; other writers' white space is theirs.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import accumulate, pairwise
from struct import iter_unpack
from typing import NamedTuple, TypeAlias, cast, overload

from ledger import canonical
from ledger.canonical import Value
from ledger.errors import DisclosureRefuted, MalformedInput
from ledger.types import (
    BASE64_OF_URLSAFE,
    Digest,
    from_base64url,
    same_size_to_base64url,
    to_base64url,
    to_base64url_ascii,
    to_base64url_each,
)

SALT_BYTES = 16
"""128 bits, as RFC 9901 §9.3 recommends."""

RESERVED = frozenset({"_sd", "_sd_alg", "..."})
"""Names that mean something in RFC 9901 and so cannot be members."""

_SALT = re.compile(r"[A-Za-z0-9_-]{22,}")

_ENDS = (b"Cgos", b"!", b"oKCgos", b"KCgos")
"""What completes a base64url text by how many characters stand in its last group: "\\n\\n," in a group of its own.

Before that spare bits become line feeds if they are zero, as they should be, and otherwise what stands behind no array.
One character in the last group is a mistake, and "!" no base64.
"""
_STRING = r'"[^"\\\x00-\x1f]*+(?:\\["\\/bfnrt][^"\\\x00-\x1f]*+)*+"'
_SCALAR = rf"{_STRING}|-?(?:0|[1-9][0-9]{{0,14}}+)(?:\.[0-9]{{1,15}}+)?|true|false|null"
_LINE = re.compile(
    # a disclosure without white space, escapes in its name (nor what reserved names begin with), members or elements
    rf'\["{_SALT.pattern}+","(?![_.])([^"\\\x00-\x1f]*+)",(?:{_SCALAR})\]\n++,'
    r"|[^\n]*+\n++,"  # any other text
)
_BROKEN_LINE = re.compile(r"\n[^\n,]")


class Disclosure(NamedTuple):
    """One member with its salt.

    `text` is what is shown and hashed (RFC 9901 §4.2.1); `name` and `value` are what it says.
    """

    text: str
    name: str
    value: Value

    @property
    def digest(self) -> str:
        """See `digest_of`."""
        return digest_of(self.text)


class DisclosureTexts(Sequence[str]):
    """The texts of an event's disclosures, kept as the arrays that they are the base64url of.

    `arrays` are canonical JSON, so none holds a line feed, and one stands between two. Equal to any sequence of the
    same texts.
    """

    __slots__ = ("arrays",)

    def __init__(self, arrays: bytes) -> None:
        self.arrays = arrays

    def _texts(self) -> tuple[str, ...]:
        return tuple(to_base64url_each(self.arrays.split(b"\n"))) if self.arrays else ()

    def __len__(self) -> int:
        return self.arrays.count(b"\n") + 1 if self.arrays else 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts())

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self._texts()[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DisclosureTexts):
            return self.arrays == other.arrays
        return isinstance(other, tuple | list) and self._texts() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._texts())

    def __repr__(self) -> str:
        return repr(self._texts())


def members_text(members: Sequence[tuple[str, Value]], *, plain: bool = False) -> bytes:
    """Names and values in canonical JSON, as `salt_members` takes them.

    Args:
        plain: whether the values are, by `canonical.are_plain`.

    Raises:
        MalformedInput: a reserved name, or a value that JSON cannot hold.
    """
    if reserved := RESERVED.intersection([name for name, _ in members]):
        raise MalformedInput(
            "a reserved member name", expected=f"none of {sorted(RESERVED)}", got=repr(min(reserved))
        )
    pairs = members if plain else list(map(list, members))
    return canonical.encode_joined(cast("Sequence[Value]", pairs), plain=plain)


Salting: TypeAlias = "Callable[[bytes, bytes, Sequence[int]], tuple[list[bytes], list[str]]]"
"""`salt_members`, or what does the same faster."""


def salt_members(members: bytes, salts: bytes, counts: Sequence[int]) -> tuple[list[bytes], list[str]]:
    """Members of some events as disclosures, and what commits to them.

    Args:
        members: `members_text` of all events' members, one after the other.
        salts: as many salts of 16 fresh random bytes, one behind the other.
        counts: how many of the members are each event's.

    Returns:
        For each event the arrays of its disclosures, as `DisclosureTexts` takes them; and for all members digests by
        `digest_of`, of which each event's are sorted.

    Raises:
        ValueError: members, salts and counts are not as many.
    """
    each = members.split(canonical.BETWEEN) if members else []
    if (number := sum(counts)) != len(each):
        raise ValueError(f"not {number} members")
    if len(salts) != number * SALT_BYTES:
        raise ValueError(f"not {number} salts of {SALT_BYTES} bytes: {len(salts)} bytes")
    drawn = [salt for (salt,) in iter_unpack(f"{SALT_BYTES}s", salts)]
    spelled = "\n".join(same_size_to_base64url(drawn, SALT_BYTES)).encode().split(b"\n") if drawn else []
    arrays = [b'["%b",%b' % (salt, member[1:]) for salt, member in zip(spelled, each, strict=True)]
    digests = digests_of_ascii(to_base64url_ascii(arrays))
    spans = [slice(*span) for span in pairwise([0, *accumulate(counts)])]
    return (
        [b"\n".join(arrays[span]) for span in spans],
        [digest for span in spans for digest in sorted(digests[span])],
    )


def digest_of(text: str) -> str:
    """base64url of SHA-256 over the ASCII of a disclosure's text (RFC 9901 §4.2.3)."""
    return to_base64url(sha256(text.encode("ascii")).digest())


def digests_of(texts: Iterable[str]) -> list[str]:
    """As `digest_of` of each, at once."""
    return digests_of_ascii([text.encode("ascii") for text in texts])


def digests_of_ascii(texts: Iterable[bytes]) -> list[str]:
    """As `digest_of` of each, at once, for the ASCII of texts."""
    return same_size_to_base64url([sha256(text).digest() for text in texts], Digest.SIZE)


def disclose(salt: bytes, name: str, value: Value) -> Disclosure:
    """The disclosure of one member. `salt` is 16 fresh random bytes that no other disclosure uses."""
    [array], _ = salt_members(members_text([(name, value)]), salt, [1])
    return Disclosure(to_base64url(array), name, value)


def parse_disclosure(text: str) -> Disclosure:
    """Read a disclosure strictly: base64url of a JSON array of salt, name and value.

    Raises:
        MalformedInput: for anything else, a salt of under 128 bits or a reserved name included.
    """
    return _said(text, canonical.parse(from_base64url(text)))


def parse_disclosures(texts: Sequence[str]) -> list[Disclosure]:
    """As `parse_disclosure` of each, at once: faster for those of an event."""
    return list(map(_said, texts, canonical.parse_each(list(map(from_base64url, texts)))))


def disclosed_names(texts: Sequence[bytes]) -> list[str]:
    """As the names of what `parse_disclosure` reads of each, at once: faster for many. `texts` are in ASCII.

    Raises:
        MalformedInput: as `parse_disclosure` for one of them.
    """
    names = _plain_names(texts)
    if names is None:
        return [_name(text) for text in texts]
    return [name or _name(text) for name, text in zip(names, texts, strict=True)] if "" in names else names


def _plain_names(texts: Sequence[bytes]) -> list[str] | None:
    """The name in each text that is plainly a disclosure, "" for any other; None if they cannot be told apart.

    All are decoded as one, each followed by line feeds and a comma. Where line feeds stand before commas only, the
    pattern's matches join without gap, and each has line feeds at its end and nowhere else. So each text ends where a
    match ends; and if there are no more matches than texts, each match is a text.
    """
    ends = [text + _ENDS[len(text) % 4] for text in texts]
    try:
        lines = a2b_base64(b"".join(ends).translate(BASE64_OF_URLSAFE), strict_mode=True).decode()
    except ValueError:
        return None
    names = _LINE.findall(lines) if _BROKEN_LINE.search(lines) is None else []
    return names if len(names) == len(texts) else None


def _name(text: bytes) -> str:
    return parse_disclosure(text.decode("ascii", "replace")).name


def _said(text: str, array: Value) -> Disclosure:
    if type(array) is list and len(array) == 3:
        salt, name, value = array
        if type(salt) is str and _SALT.fullmatch(salt) and type(name) is str and name not in RESERVED:
            return Disclosure(text, name, value)
    raise MalformedInput(
        "not a disclosure",
        expected='["salt of ≥ 128 bits in base64url", "name", value]',
        got="another array",
    )


def check_disclosures(
    shown: Iterable[Disclosure], committed: Iterable[str], visible: Mapping[str, Value]
) -> None:
    """Raise unless every shown disclosure is committed, once, under a name of its own (RFC 9901 §7.1).

    Args:
        shown: the disclosures in hand.
        committed: the entry's `_sd`, base64url digests.
        visible: the entry's always-visible members, whose names no disclosure may take.

    Raises:
        DisclosureRefuted: naming the member.
    """
    open_digests = set(committed)
    names = set(visible)
    listed = list(shown)
    digests = digests_of(disclosure.text for disclosure in listed)
    for (_, name, _), digest in zip(listed, digests, strict=True):
        if digest not in open_digests:
            raise DisclosureRefuted(
                f"the entry does not commit to the shown member {name[:80]!r}",
                step="disclosures",
                expected="a digest that stands in `_sd`, each used once",
                got=digest,
            )
        if name in names:
            raise DisclosureRefuted(f"the member {name[:80]!r} is shown twice", step="disclosures")
        open_digests.remove(digest)
        names.add(name)
