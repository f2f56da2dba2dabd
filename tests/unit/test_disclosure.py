import base64
import contextlib
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.disclosure import (
    RESERVED,
    SALT_BYTES,
    Disclosure,
    check_disclosures,
    disclose,
    parse_disclosure,
    parse_disclosures,
)
from ledger.errors import DisclosureRefuted, MalformedInput
from ledger.types import from_base64url, to_base64url

SALT = "_26bc4LT-ac6q2KI6cBW5es"


def _written(array: Any) -> str:
    text = array if isinstance(array, str) else json.dumps(array)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _made(name: str, value: Any, salt: int = 0) -> Disclosure:
    return disclose(salt.to_bytes(SALT_BYTES, "big"), name, value)


def _refused(
    shown: Sequence[Disclosure], committed: Sequence[str], visible: dict[str, Any] | None = None
) -> None:
    with pytest.raises(DisclosureRefuted) as caught:
        check_disclosures(shown, committed, visible or {})
    assert caught.value.step == "disclosures"


# --- The example of RFC 9901 §4.2.1 and §4.2.3 --------------------------------------------------------------------


def test_the_example_of_rfc_9901_is_read_and_has_its_published_digest() -> None:
    text = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert from_base64url(text).decode() == f'["{SALT}", "family_name", "Möbius"]'
    disclosure = parse_disclosure(text)
    assert disclosure == Disclosure(text, "family_name", "Möbius")
    assert disclosure.digest == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(f'["{SALT}", "family_name", "M\\u00f6bius"]', id="escaped umlaut"),
        pytest.param(f'["{SALT}","family_name","Möbius"]', id="no white space"),
        pytest.param(f'[\n"{SALT}",\n"family_name",\n"Möbius"\n]', id="line breaks"),
    ],
)
def test_each_spelling_is_the_same_member_under_a_digest_of_its_own(array: str) -> None:
    disclosure = parse_disclosure(_written(array))
    assert (disclosure.name, disclosure.value) == ("family_name", "Möbius")
    assert disclosure.digest != "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"
    assert disclosure.digest == to_base64url(hashlib.sha256(_written(array).encode()).digest())


# --- Make and read ------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3),
    max_leaves=8,
)


@given(
    st.binary(min_size=16, max_size=16), st.text(max_size=20).filter(lambda n: n not in RESERVED), json_values
)
def test_a_disclosure_reads_back(salt: bytes, name: str, value: Any) -> None:
    made = disclose(salt, name, value)
    assert parse_disclosure(made.text) == made
    assert json.loads(from_base64url(made.text)) == [to_base64url(salt), name, value]


def test_the_same_member_under_two_salts_has_two_digests() -> None:
    assert _made("name", "Ann", 1).digest != _made("name", "Ann", 2).digest


@pytest.mark.parametrize("size", [0, 8, 15, 17, 32])
def test_a_salt_of_another_length_is_a_programming_error(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        disclose(bytes(size), "name", "Ann")


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_neither_made_nor_read(name: str) -> None:
    with pytest.raises(MalformedInput, match="reserved"):
        _made(name, 1)
    with pytest.raises(MalformedInput):
        parse_disclosure(_written([SALT, name, 1]))


@pytest.mark.parametrize(
    "array",
    [
        pytest.param([], id="empty"),
        pytest.param([SALT], id="only a salt"),
        pytest.param([SALT, "name"], id="an array element's disclosure"),
        pytest.param([SALT, "name", 1, 2], id="four elements"),
        pytest.param({"salt": SALT, "name": "name", "value": 1}, id="an object"),
        pytest.param(SALT, id="not JSON"),
        pytest.param(f'"{SALT}"', id="a string"),
        pytest.param([SALT, 1, 1], id="number for a name"),
        pytest.param([SALT, None, 1], id="null for a name"),
        pytest.param([1, "name", 1], id="number for a salt"),
        pytest.param(["", "name", 1], id="empty salt"),
        pytest.param([SALT[:21], "name", 1], id="salt of under 128 bits"),
        pytest.param(["+" * 22, "name", 1], id="salt in another alphabet"),
        pytest.param([SALT + "\n", "name", 1], id="salt with a newline"),
        pytest.param(f'["{SALT}","name",NaN]', id="not a number"),
        pytest.param(f'["{SALT}","name",{{"a":1,"a":2}}]', id="a name twice in the value"),
        pytest.param(f'["{SALT}","name","\\ud800"]', id="lone surrogate"),
        pytest.param(f'["{SALT}","name",1] x', id="text after"),
        pytest.param(f'["{SALT}","name",' + "[" * 64 + "]" * 64 + "]", id="nested too deep"),
    ],
)
def test_another_array_is_refused(array: Any) -> None:
    with pytest.raises(MalformedInput):
        parse_disclosure(_written(array))


@pytest.mark.parametrize(
    "spoil", [lambda t: t + "=", lambda t: t + "\n", lambda t: " " + t, lambda t: t[:-1] + "!"]
)
def test_lax_base64url_is_refused(spoil: Any) -> None:
    with pytest.raises(MalformedInput):
        parse_disclosure(spoil(_made("name", "Ann").text))


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: _written(b.decode("latin-1"))))
def test_any_text_is_a_disclosure_or_malformed(text: str) -> None:
    with contextlib.suppress(MalformedInput):
        assert parse_disclosure(text).text == text


# --- Checks -------------------------------------------------------------------------------------------------------

ANN, COUNTRY = _made("name", "Ann", 1), _made("country", "SG", 2)
COMMITTED = sorted([ANN.digest, COUNTRY.digest])


@pytest.mark.parametrize("shown", [[], [ANN], [COUNTRY], [ANN, COUNTRY], [COUNTRY, ANN]])
def test_any_part_of_what_was_committed_may_be_shown(shown: list[Disclosure]) -> None:
    check_disclosures(shown, COMMITTED, {"outcome": "allowed"})


def test_a_foreign_disclosure_is_refused() -> None:
    _refused([_made("name", "Ann", 3)], COMMITTED)


def test_a_disclosure_with_another_value_under_the_same_salt_is_refused() -> None:
    _refused([_made("name", "Bob", 1)], COMMITTED)


def test_another_spelling_of_a_committed_disclosure_is_refused() -> None:
    array = json.dumps(json.loads(from_base64url(ANN.text)))
    _refused([parse_disclosure(_written(array))], COMMITTED)


def test_a_disclosure_shown_twice_is_refused() -> None:
    _refused([ANN, ANN], COMMITTED)


def test_a_disclosure_shown_twice_is_refused_though_its_digest_is_committed_twice() -> None:
    _refused([ANN, ANN], [ANN.digest, ANN.digest])


def test_two_committed_disclosures_of_one_name_cannot_both_be_shown() -> None:
    ann, bob = _made("name", "Ann", 1), _made("name", "Bob", 2)
    _refused([ann, bob], [ann.digest, bob.digest])


def test_a_disclosure_that_shadows_a_visible_member_is_refused() -> None:
    denied = _made("outcome", "denied")
    _refused([denied], [denied.digest], {"outcome": "allowed"})


def test_nothing_can_be_shown_of_an_entry_that_commits_to_nothing() -> None:
    _refused([ANN], [])


def test_the_digest_is_over_the_text_and_not_over_the_claimed_name_and_value() -> None:
    _refused([ANN._replace(text=COUNTRY.text, name="name")], [ANN.digest])


def test_a_refusal_names_the_member_in_one_short_line() -> None:
    with pytest.raises(DisclosureRefuted) as caught:
        check_disclosures([_made("x\n" * 1000, 1)], COMMITTED, {})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@given(st.lists(st.tuples(st.binary(min_size=16, max_size=16), st.text(max_size=8), json_values), max_size=5))
def test_several_at_once_are_read_as_each_by_itself(members: list[tuple[bytes, str, Any]]) -> None:
    made = [disclose(*member) for member in members if member[1] not in RESERVED]
    assert parse_disclosures([one.text for one in made]) == made


@pytest.mark.parametrize("bad", [_written([SALT, "name"]), _written([SALT, "_sd", 1]), "A", "é", "_w"])
def test_among_several_one_that_is_none_is_refused(bad: str) -> None:
    good = _made("name", "Ann").text
    with pytest.raises(MalformedInput):
        parse_disclosures([good, bad, good])
