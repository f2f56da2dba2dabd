"""JSON that has one spelling: strict reading of I-JSON (RFC 7493) and canonical writing (RFC 8785).

Reading refuses what two parsers could understand differently: duplicate names, NaN and infinities, integers outside
±(2^53−1), lone surrogates, invalid UTF-8, a byte order mark, text after the value, and arrays and objects nested deeper
than 64. Writing refuses the same, so what was written can be read.

    >>> encode(parse(b'{"b": 1.0, "a": [1E2, "\\u20ac"]}')).decode()
    '{"a":[100,"€"],"b":1}'

Both are defined by slow means: Python's decoder with hooks, and the reference implementation. orjson does the same many
times faster for nearly everything: *plain* values (`_is_plain`), and where it would make no difference.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import orjson
import rfc8785

from ledger.errors import MalformedInput
from ledger.types import MAX_INTEGER

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Object: TypeAlias = "dict[str, Value]"

MAX_DEPTH = 64


def parse(data: bytes) -> Value:
    """The value that `data` spells, read strictly.

    Raises:
        MalformedInput: naming the first thing that is not I-JSON.
    """
    value, plain = _read(data, floats=True)
    if plain and (b"{" not in data or _names_differ(value, data)):
        return value
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedInput(
            "not UTF-8", expected="JSON in UTF-8", got=f"an invalid byte at {error.start}"
        ) from None
    return parse_text(text)


def parse_each(items: Sequence[bytes]) -> list[Value]:
    """As `parse` of each, at once: faster for many short ones that are spelled as orjson spells them."""
    try:
        values: list[Value] = orjson.loads(b"[" + b",".join(items) + b"]")
    except orjson.JSONDecodeError:
        values = []
    # Spelled again, each must be what it was: so it is a value of its own, and in none a name stood twice.
    if _is_plain(values, 0, floats=True) and list(map(orjson.dumps, values)) == list(items):
        return values
    return [parse(item) for item in items]


def parse_elements(data: bytes) -> Iterator[Value]:
    """The elements of the array that `data` spells, read one after the other and strictly: together as by `parse`.

    Raises:
        MalformedInput: naming the first thing that is not I-JSON, or not an array, once it is come to.
    """
    opening = _OPENING.match(data)
    if opening is None:
        raise MalformedInput("not a JSON array", expected="[…]")
    start = end = opening.end()
    depth = 1
    while depth:
        found = (_DATA_TO_COMMA_OR_BRACKET if depth == 1 else _DATA_TO_BRACKET).match(data, end)
        if found is None:
            raise MalformedInput("not JSON", got="an array without its end")
        end = found.end()
        mark = data[end - 1 : end]
        if mark in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep()
        elif mark in b"]}":
            depth -= 1
        else:
            yield parse(data[start : end - 1])
            start = end
    last = data[start : end - 1]
    if start != opening.end() or last.strip(_WHITE):
        yield parse(last)
    if mark != b"]" or data[end:].strip(_WHITE):
        raise MalformedInput("not JSON", got=f"something else than an array that ends at byte {end}")


def parse_text(text: str) -> Value:
    """As `parse`, for text that is already decoded."""
    _check_nesting(text)
    try:
        value: Value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedInput("not JSON", got=f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _too_deep() from None
    _check(value, 0)
    return value


def parse_object(data: bytes) -> Object:
    """As `parse`, and the value must be a JSON object."""
    value = parse(data)
    if not isinstance(value, dict):
        raise MalformedInput("not a JSON object", expected="{…}", got=type(value).__name__)
    return value


def parse_string(data: bytes) -> str:
    """As `parse`, and the value must be a string."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, str):
        raise MalformedInput("not a JSON string", expected='"…"', got=repr(data[:80]))
    return value


def encode(value: Value) -> bytes:
    """The canonical bytes of `value` (RFC 8785).

    Raises:
        MalformedInput: for a value that I-JSON cannot hold.
    """
    try:
        if _is_plain(value, 0) and (data := _write(value)) is not None:
            return data
        _check(value, 0)
        return rfc8785.dumps(value)
    except (
        orjson.JSONEncodeError,
        rfc8785.CanonicalizationError,
        UnicodeEncodeError,
        RecursionError,
    ) as error:
        raise MalformedInput("a value that JSON cannot hold", got=str(error)) from None


def are_plain(values: Sequence[Value]) -> bool:
    """Whether `encode_each` may be told so: of these, of what they hold, and of what holds them, a level deep at most.

    What is put around them may have texts, which are plain, and names in ASCII.
    """
    return _is_plain(list(values), 0, floats=False, named=True)


def encode_each(values: Sequence[Value], *, plain: bool) -> list[bytes]:
    """As `encode` of each, at once: faster for many that are `plain`, by `are_plain`."""
    return encode_joined(values, plain=plain).split(BETWEEN) if values else []


def encode_joined(values: Sequence[Value], *, plain: bool) -> bytes:
    """As `encode_each`, with `BETWEEN` between each two."""
    if not plain or not values:
        return BETWEEN.join(map(encode, values))
    lines: list[Any] = []
    for value in values:
        lines += value, _BREAK
    try:
        return orjson.dumps(lines, option=orjson.OPT_SORT_KEYS)[1:-3]
    except orjson.JSONEncodeError:
        return BETWEEN.join(map(encode, values))


BETWEEN = b",\n,"
"""Holds values apart: within one, no line feed is spelled."""
_BREAK = orjson.Fragment(b"\n")


def size(value: Value, over: int = 0) -> int:
    """How many bytes `encode` would write; 0 if that is `over` or less for certain, which is found out sooner.

    Raises as `encode`, where it is not.
    """
    try:
        if _GROWTH * len(orjson.dumps(value)) <= over:
            return 0
    except orjson.JSONEncodeError:
        pass
    return len(encode(value))


_GROWTH = 6
"""Times that canonical bytes may be longer than orjson's: 1e15 is written out with all its zeros."""


def parse_canonical(data: bytes) -> Object:
    """The object that `data` spells, accepted only if `encode` writes the same bytes again."""
    value, plain = _read(data, floats=False)
    # A name that stood twice would stand once in what is written.
    if plain and isinstance(value, dict) and _write(value) == data:
        return value
    value = parse_object(data)
    if encode(value) != data:
        raise MalformedInput(
            "not canonical JSON",
            expected="RFC 8785: sorted names, no white space, one spelling of each value",
        )
    return value


# --- Plain values ------------------------------------------------------------------------------------------------


def _is_plain(value: Value, depth: int, floats: bool = False, named: bool = False) -> bool:
    """Whether there is no float in a value, no integer out of range and nothing nested too deep.

    With `floats`, those are plain that are not beyond the integers: larger ones may have been spelled as integers. With
    `named`, names have to be in ASCII.
    """
    kind = type(value)
    if kind is dict or kind is list:
        if depth == MAX_DEPTH or (named and kind is dict and not "".join(value).isascii()):  # type: ignore[arg-type]
            return False
        for member in value.values() if kind is dict else value:  # type: ignore[union-attr]
            if type(member) is not str and not _is_plain(member, depth + 1, floats, named):
                return False
        return True
    if kind is int or (floats and kind is float):
        return -MAX_INTEGER <= value <= MAX_INTEGER  # type: ignore[operator]
    return kind is str or kind is bool or value is None


def _read(data: bytes, *, floats: bool) -> tuple[Value, bool]:
    """What orjson reads, and whether it is plain.

    orjson keeps to RFC 8259, refuses what is not UTF-8 and lone surrogates, reads floats to the nearest double, and has
    its own limit of depth. Of what I-JSON refuses it lets pass only what is not plain, and names that stand twice, of
    which it takes the last.
    """
    try:
        value: Value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None, False
    return value, _is_plain(value, 0, floats=floats)


def _names_differ(value: Value, data: bytes) -> bool:
    """Whether no name stood twice in an object of `data`, of which `value` was read.

    So it is if the value, written again, is what `data` begins with. If it was spelled otherwise, colons tell: each
    member has one, and a string as many as before, unless one was an escape. A member that was passed over is missing.
    """
    written = orjson.dumps(value)
    if data.startswith(written):
        return True
    if b"\\u003a" in data or b"\\u003A" in data:
        return False
    return written.count(b":") == data.count(b":")


def _write(value: Value) -> bytes | None:
    """The canonical bytes of a plain value, if all its names are ASCII.

    Then sorting by code point is sorting by UTF-16 unit, and orjson's string escapes are those of RFC 8785 §3.2.2.2 (a
    test holds it against the reference for every code point).
    """
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return data if data.isascii() or _has_ascii_names(value) else None


def _has_ascii_names(value: Value) -> bool:
    members: Iterable[Value] = ()
    if isinstance(value, dict):
        if not "".join(value).isascii():
            return False
        members = value.values()
    elif isinstance(value, list):
        members = value
    for member in members:  # noqa: SIM110  # several times faster than a generator
        if type(member) is not str and not _has_ascii_names(member):
            return False
    return True


# --- Every value -------------------------------------------------------------------------------------------------


def _check(value: Value, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):
        _check_integer(value)
    elif isinstance(value, float):
        _check_float(value)
    elif isinstance(value, dict):
        _check_depth(depth)
        for name, member in value.items():
            _check_text(name)
            _check(member, depth + 1)
    elif isinstance(value, list):
        _check_depth(depth)
        for member in value:
            _check(member, depth + 1)


_HARMLESS = 1000
_WORD = r'(?:[^"\[{}\]%s]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+'
_TO_BRACKET = _WORD % "" + r"[\[{}\]]"
_TO_COMMA_OR_BRACKET = _WORD % "," + r"[\[{}\],]"
_TEXT_TO_BRACKET = re.compile(_TO_BRACKET, re.DOTALL)
_DATA_TO_BRACKET = re.compile(_TO_BRACKET.encode(), re.DOTALL)
_DATA_TO_COMMA_OR_BRACKET = re.compile(_TO_COMMA_OR_BRACKET.encode(), re.DOTALL)
_WHITE = b" \t\n\r"
_OPENING = re.compile(rb"[ \t\n\r]*\[")


def _check_nesting(text: str) -> None:
    """Refuse deep nesting before the decoder recurses into it.

    Python's own limit cannot be relied on: py_ecc, which web3 imports, raises it to 100,000, and then text such as
    `[[[[…` overflows the C stack and ends the process.
    """
    if text.count("[") + text.count("{") <= _HARMLESS:
        return
    depth = end = 0
    # Where this ends early, in a string without end, the decoder ends too.
    while found := _TEXT_TO_BRACKET.match(text, end):
        end = found.end()
        depth += 1 if text[end - 1] in "[{" else -1
        if depth > MAX_DEPTH:
            raise _too_deep()


def _check_depth(depth: int) -> None:
    if depth == MAX_DEPTH:
        raise _too_deep()


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedInput("a string with a lone surrogate", expected="Unicode scalar values") from None


def _too_deep() -> MalformedInput:
    return MalformedInput("nested too deep", expected=f"at most {MAX_DEPTH} levels")


def _members(pairs: list[tuple[str, Value]]) -> Object:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise MalformedInput("a name stands twice in one object", got=repr(twice[:80]))
    return members


def _integer(text: str) -> int:
    # The length is looked at first: reading a number of a million digits takes quadratic time.
    number = int(text) if len(text) <= 17 else MAX_INTEGER + 1
    _check_integer(number)
    return number


def _check_integer(number: int) -> None:
    if abs(number) > MAX_INTEGER:
        raise MalformedInput(
            "an integer out of range", expected="±(2^53−1)", advice="Send large numbers as strings."
        )


def _check_float(number: float) -> None:
    if not math.isfinite(number):
        raise MalformedInput("a number out of range", expected="a finite double", got=number)
    if MAX_INTEGER < abs(number) < 1e21:
        # RFC 8785 would write it as an integer that reading refuses: the canonical form must be readable.
        raise MalformedInput("a number that only an integer out of range can spell", got=number)


def _constant(text: str) -> Value:
    raise MalformedInput("not JSON", expected="a finite number", got=text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=float, parse_constant=_constant
)
