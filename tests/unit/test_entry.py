import base64
import contextlib
import hashlib
import json
import os
import pickle
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger import canonical
from ledger import entry as entry_module
from ledger.disclosure import RESERVED, disclose
from ledger.entry import (
    MAX_EVENT_BYTES,
    REQUIRED,
    Event,
    Phase,
    event_key,
    event_time,
    parse_entry,
    parse_event,
    same_content,
)
from ledger.errors import InvalidEvent, LedgerError, MalformedInput, TooLarge
from ledger.proof import MAX_BYTES, parse_proof, proof_document
from ledger.statement import commit_event, make_entry, of_columns, to_columns
from ledger.types import Digest, to_base64url

from .building import ORIGIN, PARTY, RECEIVED, History, event, event_value, salts, statement

OUTCOME = frozenset({"outcome"})
DIGEST = to_base64url(Digest.of(b"a disclosure"))


def _problems(value: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidEvent) as caught:
        parse_event(value)
    return [(problem["at"], problem["problem"]) for problem in caught.value.details["problems"]]


# --- The envelope -------------------------------------------------------------------------------------------------


def test_an_event_is_read() -> None:
    read = event()
    assert (read.id, read.source, read.subject) == ("a-1", "/s3/eu-west-1", "live-2026-07-01")
    assert (read.type, read.phase) == ("transfer-ledger.access.v1", Phase.STORAGE)
    assert read.time == 1_782_907_200_000
    assert read.data["outcome"] == "allowed"
    assert "data" not in read.attributes
    assert read.key == event_key("/s3/eu-west-1", "a-1")


def test_optional_attributes_are_read() -> None:
    extra = {
        "datacontenttype": "application/json",
        "dataschema": "https://ledger.example/schemas/access.v1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    read = event(**extra)
    assert extra.items() <= read.attributes.items()


@pytest.mark.parametrize("value", [None, True, 1, "x", [], [{}]])
def test_what_is_no_object_is_no_event(value: Any) -> None:
    assert _problems(value) == [("", "not a JSON object")]


@pytest.mark.parametrize("name", [*REQUIRED, "data"])
def test_an_event_that_lacks_a_member_is_refused(name: str) -> None:
    assert _problems(event_value(**{name: None})) == [(name, "missing")]


def test_every_problem_is_named_at_once() -> None:
    problems = _problems(event_value(id="a b", source=None, phase="during", email="x", data={"_sd": 1}))
    assert {at for at, _ in problems} == {"id", "source", "phase", "email", "data._sd"}


@pytest.mark.parametrize("name", ["email", "data_base64", "", "ID", "Data", "log", "party", "x" * 500])
def test_an_attribute_that_the_ledger_does_not_know_is_refused(name: str) -> None:
    """Attributes stay visible for ever, so an unknown one could carry anything."""
    ((at, problem),) = _problems(event_value(**{name: "x"}))
    assert at == (name if name.isidentifier() and len(name) <= 60 else "?"), (
        "what is no name may be a person's"
    )
    assert "put it into data" in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", 1.0),
        ("id", ""),
        ("id", "alice@example.com"),
        ("id", "Alice Smith"),
        ("id", "ålice"),
        ("id", "a\n"),
        ("id", "٣"),
        ("id", "-a"),
        ("id", "a" * 129),
        ("id", 1),
        ("id", True),
        ("id", ["a"]),
        ("source", "mailto:alice@example.com"),
        ("source", "https://alice@example.com/"),
        ("source", "/search?name=alice"),
        ("source", "/#alice"),
        ("source", "/%61lice"),
        ("source", "/a b"),
        ("source", ""),
        ("source", "/" + "a" * 255),
        ("type", "Access"),
        ("type", "access v1"),
        ("type", "a" * 129),
        ("subject", "alice@example.com"),
        ("subject", "order of Alice"),
        ("subject", ""),
        ("phase", "during"),
        ("phase", "Storage"),
        ("phase", "storage\n"),
        ("datacontenttype", "text/plain"),
        ("datacontenttype", "application/json; charset=utf-8"),
        ("dataschema", "https://example.com/?alice"),
        ("traceparent", "alice"),
        ("traceparent", "00-" + "A" * 32 + "-b7ad6b7169203331-01"),
    ],
)
def test_an_attribute_out_of_form_is_refused(name: str, value: Any) -> None:
    ((at, _),) = _problems(event_value(**{name: value}))
    assert at == name


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("2026-07-01T12:00:00Z", 1_782_907_200_000),
        ("2026-07-01T12:00:00.5Z", 1_782_907_200_500),
        ("2026-07-01T12:00:00.123456789Z", 1_782_907_200_123),
        ("2026-07-01T20:00:00+08:00", 1_782_907_200_000),
        ("2026-07-01T00:00:00-12:00", 1_782_907_200_000),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
    ],
)
def test_the_time_of_an_event_may_have_any_offset(text: str, millis: int) -> None:
    assert event(time=text).time == event_time(text) == millis


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-01",
        "2026-07-01T12:00Z",
        "2026-07-01T12:00:00",
        "2026-07-01 12:00:00Z",
        "2026-07-01t12:00:00z",
        "2026-07-01T12:00:00+0800",
        "2026-07-01T12:00:00+00:60",
        "2026-07-01T12:00:00+24:00",
        "2026-07-01T24:00:00Z",
        "2026-07-01T12:60:00Z",
        "2026-06-30T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-07-01T12:00:00.Z",
        "2026-07-01T12:00:00.1234567890Z",
        "2026-07-01T12:00:00.１Z",
        "２０２６-07-01T12:00:00Z",
        "2026-W27-3T12:00:00Z",
        " 2026-07-01T12:00:00Z",
        "2026-07-01T12:00:00Z\n",
    ],
)
def test_a_time_out_of_form_is_refused(text: str) -> None:
    ((at, _),) = _problems(event_value(time=text))
    assert at == "time"


@pytest.mark.parametrize("data", [None, 1, "x", [], True])
def test_data_is_an_object(data: Any) -> None:
    value = {**event_value(), "data": data}
    assert _problems(value) == [("data", "expected a JSON object")]


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_no_member_of_data(name: str) -> None:
    assert _problems(event_value(data={name: 1})) == [(f"data.{name}", "a name that RFC 9901 reserves")]


def test_an_event_that_is_too_large_is_refused() -> None:
    room = MAX_EVENT_BYTES - len(canonical.encode(event_value(data={"x": ""})))
    assert event(data={"x": "a" * room}).data
    with pytest.raises(TooLarge):
        event(data={"x": "a" * (room + 1)})


def test_a_hundred_thousand_wrong_attributes_are_reported_in_short() -> None:
    problems = _problems({f"x{n}": 1 for n in range(100_000)})
    assert len(problems) == 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from([*REQUIRED, "data", "dataschema", "x"]), json_values)
    | st.dictionaries(st.sampled_from([*REQUIRED, "data"]), json_values).map(lambda v: {**event_value(), **v})
    | json_values
)
def test_any_value_is_an_event_or_refused(value: Any) -> None:
    with contextlib.suppress(LedgerError):
        assert dict(parse_event(value).attributes).items() <= value.items()


_texts = st.sampled_from(
    ["", "1.0", "a", "a\nb", "/a", "storage", "2026-07-01T12:00:00Z", "2026-02-30T12:00:00Z"]
)


@given(st.dictionaries(st.sampled_from([*REQUIRED, "dataschema", "traceparent", "x"]), _texts | json_values))
def test_attributes_are_sound_at_once_if_each_of_them_is(changes: dict[str, Any]) -> None:
    attributes = {name: v for name, v in event_value().items() if name != "data"} | changes
    each = [entry_module._attribute_problem(name, value) for name, value in attributes.items()]
    assert entry_module._is_sound(attributes) is not any(each)
    for name in REQUIRED:
        assert not entry_module._is_sound({n: v for n, v in attributes.items() if n != name})


@given(
    st.lists(st.sampled_from([DIGEST, DIGEST[:-1], DIGEST + "A", f"{DIGEST}\n{DIGEST}", "\n", "", 1, None]))
)
def test_digests_are_matched_at_once_if_each_of_them_is(sd: list[Any]) -> None:
    assert entry_module._are_digests(sd) is all(digest == DIGEST for digest in sd)


# --- Entries ------------------------------------------------------------------------------------------------------


def _entry(**changes: Any) -> dict[str, Any]:
    value = {
        "v": 1,
        "log": ORIGIN,
        "event": {name: v for name, v in event_value().items() if name != "data"},
        "data": {"_sd": [DIGEST], "_sd_alg": "sha-256", "outcome": "allowed"},
        "party": PARTY,
        "received": "2026-11-23T16:00:02.123Z",
        **changes,
    }
    return {name: member for name, member in value.items() if member is not None}


def test_an_entry_is_canonical_json_of_six_members() -> None:
    made = make_entry(commit_event(event(), OUTCOME, salts()), ORIGIN, PARTY, RECEIVED)
    value = json.loads(made)
    assert set(value) == {"v", "log", "event", "data", "party", "received"}
    assert canonical.encode(value) == made
    assert value["received"] == "2026-11-23T16:00:02.123Z"
    assert set(value["data"]) == {"_sd", "_sd_alg", "outcome"}
    assert len(value["data"]["_sd"]) == 2


def test_an_entry_reads_back() -> None:
    said = statement(visible=OUTCOME)
    entry = parse_entry(make_entry(said, ORIGIN, PARTY, RECEIVED))
    assert (entry.origin, entry.party, entry.received) == (ORIGIN, PARTY, RECEIVED)
    assert entry.attributes == said.event.attributes
    assert entry.visible == {"outcome": "allowed"}
    assert entry.sd == tuple(sorted(d.digest for d in said.disclosures))
    assert entry.event(said.disclosures) == said.event
    assert entry.event([]).data == {"outcome": "allowed"}


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name not in RESERVED),
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.text(max_size=20)
        | st.just(1.5),
        max_size=6,
    ),
    st.sets(st.text(max_size=8)),
)
def test_any_event_reads_back_from_its_entry(data: dict[str, Any], visible: set[str]) -> None:
    said = commit_event(event(data=data), frozenset(visible), salts())
    entry = parse_entry(make_entry(said, ORIGIN, PARTY, RECEIVED))
    assert entry.event(said.disclosures) == said.event
    assert set(entry.visible) == visible & set(data)
    assert same_content(said.event, entry, said.disclosures)


@given(
    st.dictionaries(
        st.sampled_from(
            ["", "A", "_", "_sd_al", "_sd_alg_", "`", "a", "outcome", "é", "\U0001f600", "\uffff"]
        ),
        st.text(max_size=3) | st.integers(-9, 9) | st.just(1.5),
        min_size=1,
    ),
    st.booleans(),
)
def test_visible_members_stand_in_canonical_order_wherever_that_is(data: dict[str, Any], some: bool) -> None:
    visible = frozenset(sorted(data)[1:] if some else data)
    content = commit_event(event(data=data), visible, salts()).content
    assert canonical.encode(json.loads(content)) == content
    assert visible <= json.loads(content)["data"].keys()


def test_the_example_of_this_test_is_an_entry() -> None:
    assert parse_entry(canonical.encode(_entry())).sd == (DIGEST,)


OTHER = to_base64url(Digest.of(b"another disclosure"))
LOW, HIGH = sorted([DIGEST, OTHER])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(_entry(v=None), id="no version"),
        pytest.param(_entry(v=2), id="another version"),
        pytest.param(_entry(v=0), id="version 0"),
        pytest.param(_entry(v=True), id="version true"),
        pytest.param(_entry(v="1"), id="version as text"),
        pytest.param(_entry(log=None), id="no log"),
        pytest.param(_entry(log="acme"), id="a log out of form"),
        pytest.param(_entry(event=None), id="no event"),
        pytest.param(_entry(event=[]), id="an event that is a list"),
        pytest.param(_entry(data=None), id="no data"),
        pytest.param(_entry(party=None), id="no party"),
        pytest.param(_entry(party="Acme Ltd"), id="a party out of form"),
        pytest.param(_entry(received=None), id="no time of receipt"),
        pytest.param(_entry(received="2026-11-23T16:00:02Z"), id="a time of receipt in seconds"),
        pytest.param(_entry(received=RECEIVED), id="a time of receipt as a number"),
        pytest.param(_entry(note="alice"), id="a member too many"),
        pytest.param(_entry(data={"_sd": [DIGEST]}), id="no algorithm"),
        pytest.param(_entry(data={"_sd": [DIGEST], "_sd_alg": "sha-512"}), id="another algorithm"),
        pytest.param(_entry(data={"_sd_alg": "sha-256"}), id="no digests"),
        pytest.param(_entry(data={"_sd": DIGEST, "_sd_alg": "sha-256"}), id="a digest without a list"),
        pytest.param(_entry(data={"_sd": [HIGH, LOW], "_sd_alg": "sha-256"}), id="digests unsorted"),
        pytest.param(_entry(data={"_sd": [LOW, LOW], "_sd_alg": "sha-256"}), id="a digest twice"),
        pytest.param(_entry(data={"_sd": [1], "_sd_alg": "sha-256"}), id="a number among the digests"),
        pytest.param(
            _entry(data={"_sd": ["alice@example.com"], "_sd_alg": "sha-256"}), id="text among the digests"
        ),
        pytest.param(_entry(data={"_sd": [LOW[:-1]], "_sd_alg": "sha-256"}), id="a short digest"),
        pytest.param(_entry(data={"_sd": [LOW + "A"], "_sd_alg": "sha-256"}), id="a long digest"),
        pytest.param(
            _entry(data={"_sd": [LOW[:-1] + "B"], "_sd_alg": "sha-256"}), id="bits after the last byte"
        ),
        pytest.param(_entry(data={"_sd": [LOW + "="], "_sd_alg": "sha-256"}), id="a padded digest"),
        pytest.param(_entry(data={"_sd": [LOW + "\n"], "_sd_alg": "sha-256"}), id="a digest and a newline"),
        pytest.param(_entry(data={"_sd": [LOW], "_sd_alg": "sha-256", "...": LOW}), id="a reserved name"),
        pytest.param(_entry(event={**_entry()["event"], "email": "a"}), id="an unknown attribute"),
        pytest.param(_entry(event={**_entry()["event"], "data": {}}), id="data among the attributes"),
        pytest.param(_entry(event={**_entry()["event"], "id": "a@b"}), id="an id with an @"),
        pytest.param(_entry(event={**_entry()["event"], "id": 1}), id="an id that is a number"),
        pytest.param(_entry(event={**_entry()["event"], "time": "yesterday"}), id="a time out of form"),
        *(
            pytest.param(
                _entry(event={n: v for n, v in _entry()["event"].items() if n != name}),
                id=f"an event without {name}",
            )
            for name in REQUIRED
        ),
    ],
)
def test_another_entry_is_refused(value: Any) -> None:
    with pytest.raises(MalformedInput):
        parse_entry(canonical.encode(value))


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda e: json.dumps(e), id="members unsorted"),
        pytest.param(lambda e: json.dumps(e, sort_keys=True), id="white space"),
        pytest.param(lambda e: canonical.encode(e).decode() + "\n", id="a newline at the end"),
        pytest.param(lambda e: canonical.encode(e).decode().replace('"v":1', '"v":1.0'), id="version 1.0"),
        pytest.param(lambda e: canonical.encode(e).decode().replace('"v":1', '"v":1e0'), id="version 1e0"),
        pytest.param(
            lambda e: canonical.encode(e).decode().replace('"v":1', '"v":1,"v":1'), id="a member twice"
        ),
        pytest.param(lambda e: canonical.encode(e).decode().replace("acme", "\\u0061cme"), id="an escape"),
        pytest.param(lambda e: "\ufeff" + canonical.encode(e).decode(), id="a byte order mark"),
    ],
)
def test_an_entry_in_another_spelling_is_refused(spell: Any) -> None:
    with pytest.raises(MalformedInput):
        parse_entry(spell(_entry()).encode())


@given(st.binary(max_size=100) | json_values.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_are_an_entry_or_malformed(data: bytes) -> None:
    with pytest.raises(MalformedInput):
        parse_entry(data)


# --- The same event (I3) ------------------------------------------------------------------------------------------


def test_source_and_id_make_an_event_the_same() -> None:
    assert event_key("a", "b") == Digest.of(b'["a","b"]')
    assert event_key("ab", "c") != event_key("a", "bc")


def _committed(value: Any, *, visible: bool = False) -> tuple[Any, Any]:
    said = commit_event(
        event(data={"x": value, "y": 1}), frozenset({"x"}) if visible else frozenset(), salts()
    )
    return parse_entry(make_entry(said, ORIGIN, PARTY, RECEIVED)), said.disclosures


@pytest.mark.parametrize("visible", [False, True], ids=["hidden", "visible"])
@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (0, -0.0, True),
        (0, 0.0, True),
        (100, 1e2, True),
        (1, 2, False),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (None, None, True),
        (None, False, False),
        (None, "", False),
        (1, "1", False),
        ("a", "a", True),
        ("a", "A", False),
        ("é", "e\u0301", False),
        ([], {}, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [True], False),
        ([1], [1.0], True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        (1.5, 1.5, True),
        (1e21, 1e21, True),
        (5e-324, 0, False),
    ],
)
def test_the_same_content_is_told_as_json_tells_it(left: Any, right: Any, same: bool, visible: bool) -> None:
    entry, disclosures = _committed(left, visible=visible)
    assert same_content(event(data={"x": right, "y": 1}), entry, disclosures) is same


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"x": 1}, id="a member missing"),
        pytest.param({"x": 1, "y": 1, "z": 1}, id="a member too many"),
        pytest.param({"x": 1, "z": 1}, id="a member renamed"),
        pytest.param({"x": 1, "y": 2}, id="a member changed"),
        pytest.param({"x": 1, "y": None}, id="a member emptied"),
        pytest.param({}, id="nothing"),
    ],
)
@pytest.mark.parametrize("visible", [False, True], ids=["hidden", "visible"])
def test_other_members_are_other_content(data: dict[str, Any], visible: bool) -> None:
    entry, disclosures = _committed(1, visible=visible)
    assert not same_content(event(data=data), entry, disclosures)


@pytest.mark.parametrize(
    "change",
    [{"time": "2026-07-01T12:00:00.0Z"}, {"phase": "transit"}, {"subject": "x"}, {"dataschema": "/x"}],
)
def test_another_envelope_is_other_content(change: dict[str, str]) -> None:
    entry, disclosures = _committed(1)
    assert not same_content(event(data={"x": 1, "y": 1}, **change), entry, disclosures)


def test_an_erased_member_is_compared_by_its_place_only() -> None:
    entry, disclosures = _committed(1)
    kept = [d for d in disclosures if d.name == "y"]
    assert same_content(event(data={"x": 1, "y": 1}), entry, kept)
    assert same_content(event(data={"x": "nobody can tell any more", "y": 1}), entry, kept)
    assert not same_content(event(data={"x": 1, "y": 2}), entry, kept)
    assert not same_content(event(data={"y": 1}), entry, kept)
    assert not same_content(event(data={"x": 1, "y": 1, "z": 1}), entry, kept)
    assert same_content(event(data={"x": 2, "y": 2}), entry, [])


def test_a_visible_member_is_compared_though_all_was_erased() -> None:
    entry, _ = _committed(1, visible=True)
    assert same_content(event(data={"x": 1, "y": 9}), entry, [])
    assert not same_content(event(data={"x": 2, "y": 1}), entry, [])


def test_a_member_that_moved_between_hidden_and_visible_is_still_told() -> None:
    entry, disclosures = _committed(1, visible=True)
    assert same_content(event(data={"y": 1, "x": 1}), entry, disclosures)
    assert not same_content(event(data={"y": 1, "y2": 1}), entry, disclosures)


# --- What is committed holds no personal data (I4) ----------------------------------------------------------------


def _bare_hashes(data: bytes) -> list[str]:
    found = []
    for name in ("sha256", "sha1", "md5", "sha512", "sha3_256", "blake2b"):
        digest = hashlib.new(name, data, usedforsecurity=False).digest()
        found += [digest.hex(), base64.b64encode(digest).decode().rstrip("="), to_base64url(digest)]
    return found


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8, max_size=40),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8, max_size=40),
)
def test_an_entry_holds_neither_a_hidden_value_nor_a_bare_hash_of_it(person: str, name: str) -> None:
    assume(person != name)
    said = commit_event(
        event(data={name: person, "nested": {"deep": [person]}, "outcome": "allowed"}),
        OUTCOME,
        lambda: os.urandom(16),
    )
    text = make_entry(said, ORIGIN, PARTY, RECEIVED).decode()
    assume(not any(part in canonical.encode(_entry()).decode() for part in (person, name)))
    array = canonical.encode([name, person])
    for secret in (person, name):
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in text
        assert secret.encode().hex() not in text
    hashed = [
        person,
        json.dumps(person),
        json.dumps(person, ensure_ascii=False),
        person.lower(),
        person.strip(),
    ]
    for data in [*(h.encode() for h in hashed), array, array[1:-1], name.encode()]:
        for bare in _bare_hashes(data):
            assert bare not in text


def test_no_salt_stands_in_the_entry() -> None:
    said = statement()
    text = make_entry(said, ORIGIN, PARTY, RECEIVED).decode()
    for disclosure in said.disclosures:
        salt = json.loads(base64.urlsafe_b64decode(disclosure.text + "=="))[0]
        assert salt not in text
        assert disclosure.text not in text


def test_the_same_event_committed_twice_has_other_digests_and_another_leaf() -> None:
    first, second = (commit_event(event(), OUTCOME, lambda: os.urandom(16)) for _ in range(2))
    assert not {d.digest for d in first.disclosures} & {d.digest for d in second.disclosures}
    assert make_entry(first, ORIGIN, PARTY, RECEIVED) != make_entry(second, ORIGIN, PARTY, RECEIVED)


def test_equal_members_of_one_event_have_different_digests() -> None:
    said = commit_event(event(data={"a": "Ann", "b": "Ann"}), frozenset(), salts())
    assert len({d.digest for d in said.disclosures}) == 2


def test_the_order_of_digests_does_not_tell_the_order_of_members() -> None:
    names = [f"n{n}" for n in range(20)]
    said = commit_event(event(data=dict.fromkeys(names, 1)), frozenset(), salts())
    in_entry = list(said.data["_sd"])  # type: ignore[arg-type]
    assert in_entry == sorted(in_entry)
    assert in_entry != [d.digest for d in said.disclosures]


def test_one_salt_is_drawn_for_each_hidden_member() -> None:
    drawn: list[bytes] = []

    def salt() -> bytes:
        drawn.append(os.urandom(16))
        return drawn[-1]

    said = commit_event(event(), OUTCOME, salt)
    assert len(drawn) == len(said.disclosures) == 2
    assert said.disclosures[0] == disclose(drawn[0], said.disclosures[0].name, said.disclosures[0].value)


def test_every_member_is_hidden_unless_its_type_says_otherwise() -> None:
    said = commit_event(event(), frozenset(), salts())
    assert set(said.data) == {"_sd", "_sd_alg"}
    assert {d.name for d in said.disclosures} == set(event().data)


# --- Limits fit together ------------------------------------------------------------------------------------------


def _of_tiny_members() -> Event:
    """As many members as an event may have, their names as short as they come."""
    names = (chr(33 + n % 90) + chr(33 + n // 90 % 90) + chr(33 + n // 8100) for n in range(32_000))
    return event(data=dict.fromkeys((name for name in names if not {'"', "\\"} & set(name)), 1))


def _of_quotes() -> Event:
    """A value whose canonical text doubles each time it is quoted."""
    return event(data={"outcome": '"' * 130_000})


@pytest.mark.parametrize("largest", [_of_tiny_members, _of_quotes])
def test_the_proof_of_the_largest_event_is_not_too_large_to_read(largest: Any) -> None:
    log = History()
    said = commit_event(largest(), OUTCOME, salts())
    log.add([make_entry(said, ORIGIN, PARTY, RECEIVED)], [said.disclosures])
    document = canonical.encode(proof_document(log.prove(0, 0)))
    assert len(document) < MAX_BYTES
    assert parse_proof(document).disclosures == said.disclosures


@pytest.mark.parametrize("texts", [None, ("WyI", "no base64 at all")])
def test_a_statement_reaches_another_process_whole(texts: tuple[str, ...] | None) -> None:
    said = statement()
    if texts is not None:
        said = said._replace(texts=texts)
    (again,) = of_columns(pickle.loads(pickle.dumps(to_columns([said]))))
    assert again == said
    assert (type(again.texts), type(again.key)) == (type(said.texts), type(said.key))
