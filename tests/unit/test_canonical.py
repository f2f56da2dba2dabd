import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from support.shared_data import shared_files

from ledger import canonical
from ledger.canonical import (
    MAX_DEPTH,
    Value,
    are_plain,
    encode,
    encode_each,
    parse,
    parse_canonical,
    parse_each,
    parse_elements,
    parse_object,
    parse_text,
)
from ledger.errors import MalformedInput

EVERY_CHARACTER = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF]

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=20)
integers = st.integers(-(2**53) + 1, 2**53 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not 2**53 - 1 < abs(x) < 1e21)


def values(numbers: st.SearchStrategy[Any], names: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | numbers | texts
    return st.recursive(
        leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(names, v, max_size=4), max_leaves=20
    )


def _nested(levels: int, opening: str, closing: str, inside: str = "") -> bytes:
    return (opening * levels + inside + closing * levels).encode()


# --- Vectors of RFC 8785 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", shared_files("vectors/rfc8785/input", "*.json"))
def test_a_vector_of_rfc_8785_is_written_as_published(file: Path) -> None:
    vectors = file.parent.parent
    written = encode(parse(file.read_bytes()))
    assert written == (vectors / "output" / file.name).read_bytes()
    assert written == bytes.fromhex((vectors / "outhex" / file.with_suffix(".txt").name).read_text())
    assert encode(parse(written)) == written


@given(values(integers | floats), st.integers(0, 2000))
def test_the_size_of_what_is_written_is_found_or_is_below(value: Any, over: int) -> None:
    written, size = len(encode(value)), canonical.size(value, over)
    assert size == written or (size == 0 and written <= over)
    assert canonical.size(value) == written


@pytest.mark.parametrize("number", [9e15, -9e15, 1e15, 1e-6, 5e-324, 2**53 - 1])
def test_no_number_is_written_longer_than_was_reckoned_with(number: float) -> None:
    assert len(encode([number] * 1000)) <= canonical._GROWTH * len(json.dumps([float(number)] * 1000))
    assert canonical.size([number] * 1000, over=len(encode([number] * 1000)) - 1) > 0


# --- Writing: the fast path is the reference ----------------------------------------------------------------------


def _chunks(width: int = 4096) -> list[list[str]]:
    return [EVERY_CHARACTER[i : i + width] for i in range(0, len(EVERY_CHARACTER), width)]


def test_every_character_in_a_value_is_written_as_the_reference_writes_it() -> None:
    for chunk in _chunks():
        value = ["".join(chunk), *chunk[:256]]
        assert canonical._is_plain(value, 0), "values never leave the fast path"
        assert encode(value) == rfc8785.dumps(value)


def test_every_character_in_a_name_is_written_and_sorted_by_utf_16_unit() -> None:
    for chunk in _chunks():
        members = sorted(chunk, key=lambda character: character.encode("utf-16-be"))
        expected = ",".join(f"{json.dumps(character, ensure_ascii=False)}:1" for character in members)
        assert encode(dict.fromkeys(reversed(chunk), 1)).decode() == f"{{{expected}}}"


def test_names_are_sorted_by_utf_16_unit_and_not_by_code_point() -> None:
    assert encode({"\ufb33": 1, "\U0001f602": 2}) == '{"\U0001f602":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize("character", [chr(c) for c in range(0x80)], ids=lambda c: f"U+{ord(c):04X}")
def test_every_ascii_name_sorts_among_others_as_in_the_reference(character: str) -> None:
    value = {character: 1, "": 2, "a": 3, "a" + character: 4, character + "a": 5}
    assert encode(value) == rfc8785.dumps(value)


@given(values(integers, st.text(st.characters(max_codepoint=0x7F), max_size=6)))
def test_what_the_fast_path_takes_is_written_as_the_reference_writes_it(value: Any) -> None:
    assert canonical._is_plain(value, 0)
    assert encode(value) == rfc8785.dumps(value)


@given(values(integers | floats))
def test_any_value_is_written_as_the_reference_writes_it(value: Any) -> None:
    assert encode(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("bits", "text"),
    # RFC 8785 appendix B, in range.
    [
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"),
        (0xFFEFFFFFFFFFFFFF, "-1.7976931348623157e+308"),
        (0x433FFFFFFFFFFFFF, "9007199254740991"),
        (0x44B52D02C7E14AF5, "9.999999999999997e+22"),
        (0x44B52D02C7E14AF6, "1e+23"),
        (0x44B52D02C7E14AF7, "1.0000000000000001e+23"),
        (0x444B1AE4D6E2EF50, "1e+21"),
        (0x3EB0C6F7A0B5ED8C, "9.999999999999997e-7"),
        (0x3EB0C6F7A0B5ED8D, "0.000001"),
        (0x41B3DE4355555553, "333333333.3333332"),
        (0x41B3DE4355555557, "333333333.33333343"),
        (0xBECBF647612F3696, "-0.0000033333333333333333"),
    ],
)
def test_a_number_of_appendix_b_is_written_as_published(bits: int, text: str) -> None:
    (number,) = struct.unpack(">d", bits.to_bytes(8, "big"))
    assert encode([number]).decode() == f"[{text}]"


# --- Writing and reading are siblings -----------------------------------------------------------------------------


@given(values(integers | floats))
def test_what_was_written_reads_back(value: Any) -> None:
    written = encode(value)
    again = parse(written)
    assert encode(again) == written
    assert again == value


@given(values(integers | floats))
def test_any_spelling_of_a_value_has_the_same_canonical_bytes(value: Any) -> None:
    for spelling in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=3)):
        assert encode(parse(spelling.encode())) == encode(value)


@given(st.dictionaries(texts, values(integers | floats), max_size=5))
def test_the_canonical_spelling_is_the_only_canonical_one(value: dict[str, Any]) -> None:
    written = encode(value)
    assert parse_canonical(written) == value
    for other in (b" " + written, written + b"\n", json.dumps(value, indent=1).encode() + b" "):
        with pytest.raises(MalformedInput, match="not canonical JSON"):
            parse_canonical(other)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"b":1,"a":2}', id="names unsorted"),
        pytest.param(b'{"a": 1}', id="white space"),
        pytest.param(b'{"a":1.0}', id="integer spelled with a fraction"),
        pytest.param(b'{"a":1e0}', id="integer spelled with an exponent"),
        pytest.param(b'{"a":-0}', id="minus zero"),
        pytest.param(b'{"a":-0.0}', id="minus zero with a fraction"),
        pytest.param(b'{"a":1E+21}', id="upper case exponent"),
        pytest.param(b'{"a":0.10}', id="trailing zero"),
        pytest.param(b'{"a":"\\u0061"}', id="needless escape"),
        pytest.param(b'{"a":"\\/"}', id="escaped slash"),
        pytest.param(b'{"a":"\\u000A"}', id="long escape"),
        pytest.param(b'{"a":"\\u001F"}', id="upper case escape"),
        pytest.param(b'{"\xef\xac\xb3":1,"\xf0\x9f\x98\x82":2}', id="names sorted by code point"),
    ],
)
def test_a_second_spelling_is_not_canonical(data: bytes) -> None:
    parse(data)
    with pytest.raises(MalformedInput, match="not canonical JSON"):
        parse_canonical(data)


@pytest.mark.parametrize("data", [b"[]", b"1", b'"{}"', b"null", b"true"])
def test_an_object_is_asked_for_and_something_else_came(data: bytes) -> None:
    for read in (parse_object, parse_canonical):
        with pytest.raises(MalformedInput, match="not a JSON object"):
            read(data)


# --- Reading: the fast path is the slow one -----------------------------------------------------------------------


def _spelled(text: str) -> st.SearchStrategy[str]:
    """Any JSON spelling of a string: each character as it is, where it may be, or escaped."""

    def spellings(character: str) -> list[str]:
        units = character.encode("utf-16-be")
        escaped = "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
        plain = [character] if character >= " " and character not in '"\\' else []
        return [*plain, escaped, escaped.replace("\\u", "\x00").upper().replace("\x00", "\\u")]

    return st.tuples(*(st.sampled_from(spellings(c)) for c in text)).map(lambda it: f'"{"".join(it)}"')


_names = st.sampled_from(["", "a", "b", ":", '":', "\\", '\\":', "é", "u003a"]).flatmap(_spelled)
_space = st.sampled_from(["", " ", "\n\t"])
_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,24})([.][0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
_numbers |= st.sampled_from(["-0", "9007199254740991", "9007199254740992", "1e21", "1000000000000000000000"])


def _objects(members: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.builds(lambda n, s, v: f"{n}{s}:{s}{v}", _names, _space, members)
    return st.lists(member, max_size=4).map(lambda them: f"{{{','.join(them)}}}")


def _arrays(members: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(members, max_size=3).map(lambda them: f"[{','.join(them)}]")


_documents = st.recursive(
    _names | _numbers | st.sampled_from(["null", "true", "[", "}", "nul"]),
    lambda inner: _objects(inner) | _arrays(inner),
    max_leaves=12,
)


def _told(read: Any, data: Any) -> str:
    """What was read, types told apart, or what was refused."""
    try:
        return repr(read(data))
    except MalformedInput as error:
        return str(error)


@settings(max_examples=1000)
@given(_numbers)
def test_numbers_are_read_as_the_strict_decoder_reads_them(number: str) -> None:
    assert _told(parse, number.encode()) == _told(parse_text, number)


@settings(max_examples=1000)
@given(_objects(_documents) | _documents)
def test_what_is_read_is_what_the_strict_decoder_reads(document: str) -> None:
    assert _told(parse, document.encode()) == _told(parse_text, document)


def _element_by_element(data: bytes) -> list[Any]:
    return list(parse_elements(data))


_white = st.text(" \t\r\n", max_size=2)
_junk = st.sampled_from(["", "", "", "", ",", "]", "[", "{", "}", '"', "x", "\\", "\x00", ", ,", "]]"])


@settings(max_examples=2000)
@given(
    st.lists(st.tuples(_white, _objects(_documents) | _documents, _white, _junk), max_size=4), _white, _junk
)
def test_an_array_is_the_same_read_element_by_element(
    parts: list[tuple[str, str, str, str]], white: str, junk: str
) -> None:
    document = f"{white}[{','.join(''.join(part) for part in parts)}{white}]{junk}"
    whole, apart = _told(parse, document.encode()), _told(_element_by_element, document.encode())
    # Both read it, to the same values, or neither does.
    assert apart == whole or not (apart.startswith("[") or whole.startswith("["))


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{}",
        "1",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "[{]}",
        "[1]]",
        "[1] x",
        '["a]',
        "[[1]",
    ],
)
def test_what_is_no_whole_array_is_not_read_as_one(document: str) -> None:
    assert not _told(_element_by_element, document.encode()).startswith("[")


@pytest.mark.parametrize(
    "document", ["[]", " [ ] ", "[[]]", '["]"]', '["\\"]"]', '[{"a":[1,{"b":","}]},"x"]']
)
def test_what_is_an_array_is_read(document: str) -> None:
    assert _element_by_element(document.encode()) == parse(document.encode())


def test_an_array_is_nested_as_deep_whole_or_element_by_element() -> None:
    deepest = b"[" * 64 + b"]" * 64
    assert _element_by_element(deepest) == parse(deepest)
    for read in (_element_by_element, parse):
        assert "nested too deep" in _told(read, b"[" + deepest + b"]")


def test_elements_are_read_one_by_one() -> None:
    elements = parse_elements(b"[1, 2, nonsense")
    assert [next(elements), next(elements)] == [1, 2]
    with pytest.raises(MalformedInput):
        next(elements)


_colons = st.sampled_from(["a", ":", '":', "::"]).flatmap(_spelled)


@settings(max_examples=500)
@given(st.lists(st.tuples(_colons, _colons), max_size=3))
def test_colons_tell_whether_a_name_stands_twice(members: list[tuple[str, str]]) -> None:
    document = f"{{{','.join(f'{name} : {value}' for name, value in members)}}}"
    again = len({json.loads(name) for name, _ in members}) < len(members)
    assert ("stands twice" in _told(parse, document.encode())) is again


def test_a_plain_document_does_not_need_the_strict_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "_DECODER", None)
    assert parse(rb'[{"a" : "x:\"y\u00e9", "b": [1, true, null, {}, -0.5e3]}, "\ud83d\ude02"]')
    assert parse_canonical('{"a":"é:","b":{"c":-9007199254740991}}'.encode())


# --- Reading refuses what two parsers could understand differently ------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"a":1,"a":1}', id="at the top"),
        pytest.param(b'{"a":1,"b":2,"\\u0061":3}', id="one of them escaped"),
        pytest.param(b'[{"a":1,"a":2}]', id="in an array"),
        pytest.param(b'{"x":{"a":1,"a":2}}', id="in a member"),
        pytest.param(b'{"a":{"a":1,"a":2}}', id="in a member of that name"),
        pytest.param(b'{"":1,"":2}', id="the empty name"),
    ],
)
def test_a_name_that_stands_twice_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInput, match="stands twice"):
        parse(data)


@pytest.mark.parametrize("levels", range(MAX_DEPTH))
def test_a_name_that_stands_twice_is_refused_at_every_depth(levels: int) -> None:
    with pytest.raises(MalformedInput, match="stands twice"):
        parse(_nested(levels, '{"a":', "}", '{"b":1,"b":2}'))


def test_the_same_name_in_two_objects_is_fine() -> None:
    assert parse(b'{"a":{"a":{"a":1}},"b":{"a":2}}') == {"a": {"a": {"a": 1}}, "b": {"a": 2}}


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1E309", "9" * 400 + ".0"]
)
def test_a_number_that_is_not_finite_is_refused(number: str) -> None:
    for data in (number, f"[{number}]", f'{{"a":{number}}}'):
        with pytest.raises(MalformedInput):
            parse(data.encode())


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53) + 1, 0, 9007199254740990])
def test_an_integer_that_every_parser_holds_is_read(number: int) -> None:
    assert parse(str(number).encode()) == number
    assert parse(encode(number)) == number


@pytest.mark.parametrize(
    "number",
    [
        "9007199254740992",
        "-9007199254740992",
        "9007199254740993",
        "18446744073709551616",
        "9007199254740992.0",
        "9007199254740993.5",
        "1e20",
        "-1e20",
        "999999999999999868928.0",
        "1e17",
    ],
)
def test_an_integer_beyond_what_every_parser_holds_is_refused(number: str) -> None:
    with pytest.raises(MalformedInput, match="out of range"):
        parse(number.encode())


def test_a_double_that_no_parser_reads_as_an_integer_is_read() -> None:
    assert parse(b"1e21") == 1e21
    assert encode(1e21) == b"1e+21"


@pytest.mark.parametrize(
    "data",
    [
        rb'"\ud800"',
        rb'"\udc00"',
        rb'"\ud800\ud800"',
        rb'"\udc00\ud800"',
        rb'"x\ud83dy"',
        rb'{"\ud800":1}',
        rb'[{"a":["\udfff"]}]',
    ],
)
def test_a_lone_surrogate_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInput, match="lone surrogate"):
        parse(data)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse(rb'"\ud83d\ude02"') == "\U0001f602"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff", id="no such byte"),
        pytest.param(b'"\xc0\xaf"', id="overlong slash"),
        pytest.param(b'"\xe0\x80\xaf"', id="overlong slash of three"),
        pytest.param(b'"\xed\xa0\x80"', id="encoded surrogate"),
        pytest.param(b'"\xf4\x90\x80\x80"', id="beyond Unicode"),
        pytest.param(b'"\xe2\x82"', id="cut short"),
        pytest.param('"é"'.encode("latin-1"), id="Latin-1"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
    ],
)
def test_invalid_utf_8_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInput, match="not UTF-8"):
        parse(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"", id="nothing"),
        pytest.param(b" ", id="only space"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"{}x", id="text after"),
        pytest.param(b"{}\x00", id="zero byte after"),
        pytest.param(b"{}\xc2\xa0", id="no-break space after"),
        pytest.param(b"\x0c{}", id="form feed before"),
        pytest.param(b"{,}", id="lone comma"),
        pytest.param(b'{"a":1,}', id="comma at the end"),
        pytest.param(b"[1,]", id="comma at the end of an array"),
        pytest.param(b"{a:1}", id="name without quotes"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b"{1:2}", id="number for a name"),
        pytest.param(b"// x\n{}", id="comment"),
        pytest.param(b"+1", id="plus sign"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"-", id="only a sign"),
        pytest.param(b".5", id="no integer part"),
        pytest.param(b"1.", id="no fraction"),
        pytest.param(b"1e", id="no exponent"),
        pytest.param(b"0x1", id="hexadecimal"),
        pytest.param(b"1_000", id="underscore"),
        pytest.param("١".encode(), id="Arabic digit"),
        pytest.param(b'"\n"', id="newline in a string"),
        pytest.param(b'"\x00"', id="zero byte in a string"),
        pytest.param(b'"\\x41"', id="hexadecimal escape"),
        pytest.param(b'"\\u00g0"', id="bad escape"),
        pytest.param(b'"\\u+041"', id="escape with a sign"),
        pytest.param(b'"\\u00_1"', id="escape with an underscore"),
        pytest.param(b'"abc', id="string without an end"),
        pytest.param(b"True", id="Python's True"),
        pytest.param(b"nul", id="half of null"),
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInput, match="not JSON"):
        parse(data)


@pytest.mark.parametrize("inside", ["", "1", '"x"', "null"])
def test_64_levels_are_read_and_65_refused(inside: str) -> None:
    parse(_nested(MAX_DEPTH, "[", "]", inside))
    with pytest.raises(MalformedInput, match="nested too deep"):
        parse(_nested(MAX_DEPTH + 1, "[", "]", inside))
    inside = inside or "{}"
    levels = MAX_DEPTH - (inside == "{}")
    parse(_nested(levels, '{"a":', "}", inside))
    with pytest.raises(MalformedInput, match="nested too deep"):
        parse(_nested(levels + 1, '{"a":', "}", inside))


@pytest.mark.parametrize("levels", [65, 500, 999, 5_000, 200_000])
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack(opening: str, levels: int) -> None:
    closing = {"[": "]", '{"a":': "}", '[{"a":': "}]"}[opening]
    for data in (_nested(levels, opening, closing, "1"), (opening * levels).encode()):
        with pytest.raises(MalformedInput):
            parse(data)


# --- Writing refuses the same -------------------------------------------------------------------------------------


def _deep(levels: int, innermost: Any) -> Any:
    for _ in range(levels):
        innermost = [innermost]
    return innermost


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(math.nan, id="NaN"),
        pytest.param(math.inf, id="infinity"),
        pytest.param([1.5, -math.inf], id="minus infinity"),
        pytest.param(2**53, id="integer too large"),
        pytest.param(-(2**53), id="integer too small"),
        pytest.param(10**5000, id="integer of 5,000 digits"),
        pytest.param(2.0**53, id="double too large for an integer"),
        pytest.param([1.5, {"a": 1e20}], id="double that prints as an integer"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param(["é", 1.5, "\ud800"], id="lone surrogate beside a float"),
        pytest.param({"\ud800": 1}, id="lone surrogate in a name"),
        pytest.param({1: 2}, id="number for a name"),
        pytest.param(b"x", id="bytes"),
        pytest.param({1, 2}, id="a set"),
        pytest.param(_deep(65, 1), id="65 levels"),
        pytest.param(_deep(65, 1.5), id="65 levels about a float"),
        pytest.param(_deep(100_000, 1), id="100,000 levels"),
    ],
)
def test_a_value_that_reading_would_refuse_is_not_written(value: Any) -> None:
    with pytest.raises(MalformedInput):
        encode(value)


@pytest.mark.parametrize("innermost", [1, 1.5, [], {}])
def test_64_levels_are_written_and_read(innermost: Any) -> None:
    value = _deep(MAX_DEPTH - isinstance(innermost, list | dict), innermost)
    assert parse(encode(value)) == value


# --- Bounded work -------------------------------------------------------------------------------------------------


def test_an_object_of_100_000_members_is_read_and_written() -> None:
    value = {f"member {n}": n for n in range(100_000)}
    assert parse(encode(value)) == value


def test_a_name_that_stands_twice_among_100_000_is_found() -> None:
    members = ",".join(f'"{n}":{n}' for n in range(100_000))
    with pytest.raises(MalformedInput, match="stands twice"):
        parse(f'{{{members},"99999":1}}'.encode())


@pytest.mark.parametrize("digits", ["9" * 4_000_000, "-" + "9" * 4_000_000])
def test_an_integer_of_millions_of_digits_is_refused_unread(digits: str) -> None:
    # Reading it would take hours and, past 4,300 digits, raise Python's own ValueError.
    with pytest.raises(MalformedInput, match="out of range"):
        parse(digits.encode())


def test_a_fraction_of_millions_of_digits_is_read() -> None:
    assert parse(b"0." + b"1" * 2_000_000) == 0.1111111111111111


# --- Arbitrary input ----------------------------------------------------------------------------------------------


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_any_bytes_are_i_json_or_malformed(data: bytes) -> None:
    try:
        value = parse(data)
    except MalformedInput:
        return
    assert parse(encode(value)) == value


@settings(max_examples=500)
@given(st.text('{}[]",:0123456789.eE+-\\utrfalsn \ud800\n', max_size=60))
def test_any_text_is_i_json_or_malformed(text: str) -> None:
    try:
        value = parse_text(text)
    except MalformedInput:
        return
    assert parse(encode(value)) == value


# --- Several at once ---------------------------------------------------------------------------------------------

PIECES = [
    b'["s","n",1]', b'["s","n",[[1]', b'["x"]]]', b'["a","b",1],["c","d",2]', b"[1", b"2]", b"1,2", b"1", b"",
    b" 1", b"1 ", b'{"a":1}', b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'"a', b'b"', b'","', b"1e2", b"100.0", b"-0",
    b"-0.0", b"9007199254740992", b"9007199254740993.0", b"null", b"NaN", b'"\xff"', b'"\\ud800"', b'"\\u0041"', b'"A"',
    b"[" * 63 + b"]" * 63, b"[" * 64 + b"]" * 64, b"[" * 65 + b"]" * 65,
]  # fmt: skip
"""Some are values only where they stand beside others."""


def _each(items: list[bytes]) -> list[Value]:
    return [parse(item) for item in items]


@given(st.lists(st.sampled_from(PIECES), max_size=4))
def test_several_at_once_are_read_as_each_by_itself(items: list[bytes]) -> None:
    try:
        expected = _each(items)
    except MalformedInput:
        with pytest.raises(MalformedInput):
            parse_each(items)
        return
    assert repr(parse_each(items)) == repr(expected)


@pytest.mark.parametrize("first", PIECES)
@pytest.mark.parametrize("second", PIECES)
def test_two_at_once_are_read_as_each_by_itself(first: bytes, second: bytes) -> None:
    assert _told(lambda _: parse_each([first, second]), b"") == _told(lambda _: _each([first, second]), b"")


MEMBERS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**54), 2**54)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["\n", ",\n,", "\u2028", "\ud800", "名"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(MEMBERS, max_size=5), st.lists(st.text(max_size=5), max_size=2))
def test_several_at_once_are_written_as_each_by_itself(values: list[Value], texts: list[str]) -> None:
    made: list[Value] = [*({"name": value, "texts": list(texts)} for value in values), *values, *texts]
    plain = are_plain(values)
    try:
        expected = [encode(value) for value in made]
    except MalformedInput:
        with pytest.raises(MalformedInput):
            encode_each(made, plain=plain)
        return
    assert encode_each(made, plain=plain) == expected


@pytest.mark.parametrize(
    "value", [1.0, 2**53, -(2**53), {"名": 1}, [[{"a": {"é": 1}}]], [0.5], {"a": [1e22]}]
)
def test_what_orjson_might_spell_otherwise_is_not_plain(value: Value) -> None:
    assert not are_plain(["text", value])


@pytest.mark.parametrize("value", [None, True, 2**53 - 1, "名", {"a": ["名", {"b": "é"}]}, [], {}])
def test_what_has_one_spelling_is_plain(value: Value) -> None:
    assert are_plain([value])
    assert encode_each([value, value], plain=True) == [encode(value)] * 2


def test_none_at_once_are_none() -> None:
    assert encode_each([], plain=True) == encode_each([], plain=False) == []
