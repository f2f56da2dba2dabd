"""Grants: their normal form, and when one covers another."""

from __future__ import annotations

import fnmatch
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedInput
from ledger.permissions import patterns
from ledger.permissions.grants import (
    Effect,
    Grant,
    covers,
    make_grant,
    parse_grant,
    parse_grants,
    reaches,
    to_value,
)

names = st.sampled_from(["*", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/b", "PUBLIC"])
actions = st.sampled_from(["*", "s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", "S3:getobject", "SELECT"])
resources = st.sampled_from(
    [None, "*", "arn:aws:s3:::replays", "arn:aws:s3:::replays/*", "arn:aws:s3:::replays/2026/*"]
)
conditions = st.sampled_from(
    [
        None,
        {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2"}},
        {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2", "aws:SourceVpce": "vpce-1"}},
        {"NotAction": ["s3:Delete*"]},
        {"NotAction": ["s3:Delete*", "s3:Put*"], "Bool": {"aws:SecureTransport": "true"}},
    ]
)
grants: st.SearchStrategy[Grant] = st.builds(
    lambda principal, listed, resource, effect, condition: make_grant(
        principal, listed, resource, effect=effect, condition=condition
    ),
    names,
    st.lists(actions, min_size=1, max_size=3),
    resources,
    st.sampled_from(list(Effect)),
    conditions,
)
FULL: dict[str, Any] = {
    "principal": "arn:aws:iam::111122223333:root",
    "kind": "account",
    "actions": ["s3:ListBucket", "s3:GetObject"],
    "resource": "arn:aws:s3:::replays/*",
    "effect": "deny",
    "condition": {"Bool": {"aws:SecureTransport": "false"}},
    "source": "bucket policy",
}


# --- The normal form


def test_a_grant_is_read_and_written_again() -> None:
    grant = parse_grant(FULL)
    assert to_value(grant) == {**FULL, "actions": ["s3:GetObject", "s3:ListBucket"]}
    assert parse_grant(to_value(grant)) == grant


@given(grants)
def test_every_grant_is_read_back(grant: Grant) -> None:
    assert parse_grant(to_value(grant)) == grant


def test_allow_is_what_a_grant_does_unless_it_says_otherwise() -> None:
    assert parse_grant({"principal": "a", "actions": []}) == Grant("a", ())
    assert parse_grant({"principal": "a", "actions": [], "effect": None, "kind": None}) == Grant("a", ())


@pytest.mark.parametrize(
    "change",
    [
        {"principal": None},
        {"principal": ""},
        {"principal": 7},
        {"actions": None},
        {"actions": "s3:GetObject"},
        {"actions": [""]},
        {"actions": [1]},
        {"effect": "Allow"},
        {"effect": True},
        {"condition": []},
        {"condition": {"NotAction": "iam:*"}},
        {"condition": {"NotPrincipal": [1]}},
        {"resource": ["a"]},
        {"resources": "a"},
        {"kind": False},
    ],
    ids=str,
)
def test_what_is_no_grant_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput, match="not a grant"):
        parse_grant({**FULL, **change})


def test_a_refusal_quotes_nothing() -> None:
    with pytest.raises(MalformedInput) as refused:
        parse_grant({**FULL, "ann@example.com": 1})
    assert "ann" not in str(refused.value)


@pytest.mark.parametrize("value", [None, {}, "x", [[]]])
def test_grants_are_a_list_of_grants(value: Any) -> None:
    with pytest.raises(MalformedInput):
        parse_grants(value)


def test_the_order_and_repeats_of_grants_mean_nothing() -> None:
    a, b = {"principal": "a", "actions": ["y", "x"]}, {"principal": "b", "actions": []}
    assert parse_grants([b, a, {**a, "actions": ["x", "y", "x"]}]) == parse_grants([a, b])


# --- Wildcards


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("*", "s3:*"),
        ("s3:*", "s3:Get*"),
        ("s3:Get*", "s3:GetObject"),
        ("s3:*", "s3:GetObject"),
        ("s3:Get*", "s3:GetObject*"),
        ("s3:?etObject", "s3:GetObject"),
        ("a?*", "a*?"),
        ("a*?b", "a?*b"),
        ("**", "*"),
        ("*c*", "*abc*"),
        ("arn:aws:s3:::replays/*", "arn:aws:s3:::replays/2026/*"),
        ("a${*}", "a${*}"),
        ("a*", "a${*}"),
        ("${$}", "$"),
        ("home/${aws:username}/*", "home/${aws:username}/a"),
        ("home/*", "home/${aws:username}/*"),
        ("", ""),
    ],
)
def test_a_pattern_covers(wide: str, narrow: str) -> None:
    assert patterns.covers(wide, narrow)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("s3:Get*", "s3:*"),
        ("s3:GetObject", "s3:Get*"),
        ("s3:Get*", "s3:PutObject"),
        ("s3:?", "s3:*"),
        ("?", "*"),
        ("a?*", "a*"),
        ("arn:aws:s3:::replays", "arn:aws:s3:::replays/*"),
        ("arn:aws:s3:::replays/*", "arn:aws:s3:::replays-old/*"),
        ("a${*}", "ab"),
        ("a${*}", "a*"),
        ("home/${aws:username}/*", "home/ann/*"),
        ("", "*"),
    ],
)
def test_a_pattern_does_not_cover(wide: str, narrow: str) -> None:
    assert not patterns.covers(wide, narrow)


def test_actions_ignore_case_and_resources_do_not() -> None:
    wide = make_grant("a", ["S3:GET*"], "arn:aws:s3:::Replays/*")
    assert reaches(wide, "s3:getobject", "arn:aws:s3:::Replays/1")
    assert not reaches(wide, "s3:GetObject", "arn:aws:s3:::replays/1")


def test_an_object_whose_key_has_an_asterisk_is_one_object() -> None:
    assert patterns.matches("a*", "a*b")
    assert not patterns.matches("a?", "a*b")
    assert not patterns.matches("a?b", "a**b")
    assert patterns.matches("a?b", "a*b")
    assert patterns.matches(patterns.literal("a*?$b"), "a*?$b")
    assert not patterns.matches(patterns.literal("a*b"), "axb")


def test_a_variable_may_stand_for_anything() -> None:
    assert patterns.matches("home/${aws:username}/*", "home/ann/1")
    assert patterns.has_variable("home/${aws:username}/*")
    assert not patterns.has_variable("home/${*}/*")
    assert not patterns.has_wildcard("home/${*}")


small = st.text("ab*?", max_size=6)


@given(small, small)
def test_covering_is_sound(wide: str, narrow: str) -> None:
    """Held against the standard library's matching, over every short text of a larger alphabet."""
    if patterns.covers(wide, narrow):
        for length in range(5):
            for letters in itertools.product("abc", repeat=length):
                text = "".join(letters)
                assert not fnmatch.fnmatchcase(text, narrow) or fnmatch.fnmatchcase(text, wide)


@given(small, st.text("abc", max_size=6))
def test_matching_is_the_standard_library_s(pattern: str, name: str) -> None:
    assert patterns.matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize("middle", ["a", "a?"])
def test_a_long_pattern_is_not_compared_with_a_long_name_at_each_of_its_places(middle: str) -> None:
    """Whoever writes both could otherwise keep a reader busy for hours."""
    half = 100_000 if middle == "a" else 4000
    assert not patterns.matches(f"*{'a' * half}b{middle}*", "a" * 2 * half)
    assert patterns.matches(f"*{'a' * half}{middle}*", "a" * 2 * half)


@given(small, small, small)
def test_covering_is_an_order(a: str, b: str, c: str) -> None:
    assert patterns.covers(a, a)
    if patterns.covers(a, b) and patterns.covers(b, c):
        assert patterns.covers(a, c)


# --- Grants


@given(grants)
def test_a_grant_covers_itself(grant: Grant) -> None:
    assert covers(grant, grant)


@given(grants, grants, grants)
def test_covering_of_grants_is_transitive(a: Grant, b: Grant, c: Grant) -> None:
    if covers(a, b) and covers(b, c):
        assert covers(a, c)


def test_fewer_conditions_are_wider() -> None:
    free = make_grant("*", ["s3:*"])
    bound = make_grant("*", ["s3:*"], condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})
    other = make_grant("*", ["s3:*"], condition={"StringEquals": {"aws:PrincipalOrgID": "o-2"}})
    listed = make_grant("*", ["s3:*"], condition={"StringEquals": {"AWS:principalorgid": ["o-1"]}})
    assert covers(free, bound)
    assert not covers(bound, free)
    assert not covers(bound, other)
    assert covers(bound, listed)
    assert covers(listed, bound)


def test_what_is_taken_out_makes_narrower() -> None:
    power = make_grant("a", ["*"], condition={"NotAction": ["iam:*"]})
    more_out = make_grant("a", ["*"], condition={"NotAction": ["iam:*", "s3:*"]})
    assert covers(make_grant("a", ["*"]), power)
    assert covers(power, more_out)
    assert not covers(more_out, power)


def test_what_not_action_takes_out_is_not_reached() -> None:
    power = make_grant(
        "a", ["*"], "*", condition={"NotAction": ["iam:*"], "NotResource": ["arn:aws:s3:::safe/*"]}
    )
    assert reaches(power, "s3:GetObject", "arn:aws:s3:::replays/1")
    assert not reaches(power, "IAM:CreateUser", "arn:aws:iam::111122223333:user/x")
    assert not reaches(power, "s3:GetObject", "arn:aws:s3:::safe/1")


def test_a_grant_that_does_not_tell_its_actions_covers_none_that_are_told() -> None:
    untold = make_grant("a", [])
    assert covers(untold, untold)
    assert covers(make_grant("a", ["*"]), untold)
    assert not covers(make_grant("a", ["s3:*"]), untold)
    assert not covers(untold, make_grant("a", ["s3:GetObject"]))
