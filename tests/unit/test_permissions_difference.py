"""The difference between two snapshots, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shared_data import shared_file

from ledger.collect.policies import policy_grants
from ledger.permissions import Difference, Owner, apply, difference, in_words, reach
from ledger.permissions.grants import Effect, Grant, Kind, covers, in_order, make_grant

from .test_permissions_grants import grants

snapshots = st.lists(grants, max_size=8)


@given(snapshots)
def test_a_snapshot_does_not_differ_from_itself(a: list[Grant]) -> None:
    assert difference(a, a) == Difference()
    assert difference(a, reversed(a)).is_empty
    assert in_words(difference(a, a)) == []


@given(snapshots, snapshots)
def test_the_difference_applied_gives_the_later_snapshot(a: list[Grant], b: list[Grant]) -> None:
    assert apply(difference(a, b), a) == in_order(b)


@given(snapshots, snapshots)
def test_every_grant_that_differs_has_one_place(a: list[Grant], b: list[Grant]) -> None:
    found = difference(a, b)
    changes = (*found.widened, *found.narrowed, *found.restated)
    assert sorted((*found.removed, *(c.before for c in changes)), key=key) == list(in_order(set(a) - set(b)))
    assert sorted((*found.added, *(c.after for c in changes)), key=key) == list(in_order(set(b) - set(a)))


def key(grant: Grant) -> tuple[str, ...]:
    return grant.key


@given(snapshots, snapshots)
def test_a_change_widens_or_narrows_or_restates_and_never_two_of_them(a: list[Grant], b: list[Grant]) -> None:
    found = difference(a, b)
    for change in (*found.widened, *found.narrowed, *found.restated):
        grows, shrinks = covers(change.after, change.before), covers(change.before, change.after)
        if change.after.effect is Effect.DENY:
            grows, shrinks = shrinks, grows
        assert (change in found.widened) == (grows and not shrinks)
        assert (change in found.narrowed) == (shrinks and not grows)
        assert (change in found.restated) == (grows and shrinks)
        assert change.before.principal == change.after.principal


@given(snapshots, snapshots)
def test_the_way_back_is_the_difference_turned_round(a: list[Grant], b: list[Grant]) -> None:
    there, back = difference(a, b), difference(b, a)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert {(c.before, c.after) for c in there.widened} == {(c.after, c.before) for c in back.narrowed}
    assert {(c.before, c.after) for c in there.narrowed} == {(c.after, c.before) for c in back.widened}


@given(snapshots, snapshots)
def test_there_is_a_sentence_for_each_change_in_each_language(a: list[Grant], b: list[Grant]) -> None:
    found = difference(a, b)
    parts = (found.added, found.removed, found.widened, found.narrowed, found.restated)
    for language in ("en", "zh"):
        assert len(in_words(found, language)) == sum(map(len, parts))  # type: ignore[arg-type]


def test_a_difference_of_other_grants_is_refused() -> None:
    grant = make_grant("a", ["x"])
    with pytest.raises(ValueError, match="other grants"):
        apply(difference([grant], []), [])


# --- Examples

READ = make_grant("arn:aws:iam::111122223333:user/b", ["s3:GetObject"], "arn:aws:s3:::r/*", kind=Kind.USER)
ALL = make_grant(READ.principal, ["s3:*"], "arn:aws:s3:::r/*", kind=Kind.USER)


def test_more_actions_widen_and_fewer_narrow() -> None:
    assert [c.after for c in difference([READ], [ALL]).widened] == [ALL]
    assert [c.after for c in difference([ALL], [READ]).narrowed] == [READ]
    assert in_words(difference([READ], [ALL])) == [
        "arn:aws:iam::111122223333:user/b may do more on arn:aws:s3:::r/*: s3:GetObject became s3:*."
    ]


def test_a_condition_taken_away_widens() -> None:
    bound = make_grant("*", ["s3:GetObject"], condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})
    free = make_grant("*", ["s3:GetObject"])
    assert in_words(difference([bound], [free])) == [
        "Anybody may do more on the whole resource: s3:GetObject, under a condition became s3:GetObject."
    ]


def test_a_denial_that_reaches_further_narrows() -> None:
    less = make_grant("*", ["s3:Put*"], effect=Effect.DENY)
    more = make_grant("*", ["s3:*"], effect=Effect.DENY)
    assert difference([less], [more]).narrowed
    assert in_words(difference([less], [more])) == [
        "Anybody is denied more on the whole resource: s3:Put* became s3:*."
    ]
    assert in_words(difference([more], [])) == ["Anybody is no longer denied s3:* on the whole resource."]


def test_the_same_in_other_words_is_restated() -> None:
    other = make_grant(READ.principal, ["S3:getObject"], READ.resource, kind=Kind.USER, source="elsewhere")
    assert len(difference([READ], [other]).restated) == 1


def test_neither_covers_the_other_so_one_was_added_and_one_removed() -> None:
    put = make_grant(READ.principal, ["s3:PutObject"], READ.resource, kind=Kind.USER)
    found = difference([READ], [put])
    assert (found.added, found.removed) == ((put,), (READ,))


def test_the_likeliest_partner_is_found_first() -> None:
    there = make_grant(READ.principal, ["s3:GetObject", "s3:PutObject"], READ.resource, kind=Kind.USER)
    everywhere = make_grant(READ.principal, ["s3:*"], "*", kind=Kind.USER)
    found = difference([READ], [everywhere, there])
    assert [(c.before, c.after) for c in found.widened] == [(READ, there)]
    assert found.added == (everywhere,)


def test_words_say_first_what_opens_access() -> None:
    block = make_grant(
        "*", ["*"], effect=Effect.DENY, condition={"PublicAccessBlock": "IgnorePublicAcls"}, kind=Kind.PUBLIC
    )
    everybody = make_grant("*", ["s3:GetObject"], kind=Kind.PUBLIC)
    found = difference([block, READ], [everybody])
    assert in_words(found) == [
        "Anybody may now s3:GetObject on the whole resource.",
        "Block Public Access: IgnorePublicAcls is no longer on.",
        "arn:aws:iam::111122223333:user/b may no longer s3:GetObject on arn:aws:s3:::r/*.",
    ]
    assert in_words(found, "zh")[0] == "任何人 现可对 整个资源 执行 s3:GetObject。"


# --- The exercise: a bucket policy that lets an outside account in

OWNER, OUTSIDE = "123837392027", "arn:aws:iam::193672423079:root"


def policy_changes(bucket: str) -> list[tuple[str, tuple[Grant, ...]]]:
    """The grants of the bucket after each change of its policy in the real log, in the order of time."""
    found = []
    for path in sorted(shared_file("cloudtrail", "stratus-attack").glob("*.json")):
        for record in json.loads(path.read_bytes())["Records"]:
            parameters: dict[str, Any] = record["requestParameters"] or {}
            if parameters.get("bucketName") == bucket and record["eventName"].endswith("BucketPolicy"):
                if record["eventName"] == "PutBucketPolicy":
                    policy = parameters["bucketPolicy"]
                    found.append((record["eventTime"], tuple(policy_grants(policy, source="bucket policy"))))
                elif record["eventName"] == "DeleteBucketPolicy":
                    found.append((record["eventTime"], ()))
    return sorted(found)


def test_the_difference_names_the_outside_account_that_the_attacker_let_in() -> None:
    (put_at, backdoored), (deleted_at, cleaned) = policy_changes("stratus-red-team-bdbp-lhfzvgcamn")
    assert (put_at, deleted_at) == ("2023-07-10T12:22:41Z", "2023-07-10T12:28:24Z")
    found = difference((), backdoored)
    assert {g.principal for g in found.added} == {OUTSIDE}
    assert not (found.removed or found.widened or found.narrowed or found.restated)
    assert in_words(found) == [
        f"{OUTSIDE} may now s3:GetBucketLocation, s3:GetObject, s3:ListBucket on {resource}."
        for resource in (
            "arn:aws:s3:::stratus-red-team-bdbp-lhfzvgcamn",
            "arn:aws:s3:::stratus-red-team-bdbp-lhfzvgcamn/*",
        )
    ]
    reached = reach(backdoored, Owner(frozenset({OWNER})))
    assert (reached.public, reached.external) == (False, (OUTSIDE,))
    assert difference(backdoored, cleaned).removed == found.added


def test_the_exercise_s_other_policies_let_no_outsider_in() -> None:
    for bucket in ("stratus-red-team-ctes-bucket-qyxyekjbtk", "stratus-red-team-ctlr-bucket-zqfsvooxqj"):
        ((_, after),) = policy_changes(bucket)
        assert {g.principal for g in after} == {"cloudtrail.amazonaws.com"}
        reached = reach(after, Owner(frozenset({OWNER})))
        assert (reached.public, reached.external) == (False, ())
        assert reached.notes == (
            "cloudtrail.amazonaws.com is a service of the provider: for whom it acts is not told.",
        )


def test_thousands_of_changes_are_told_without_comparing_each_with_each() -> None:
    """Whoever may write snapshots may write long ones; the answer is the same by `apply`, and comes."""
    a, b = ([make_grant("*", [f"s3:{tag}{n}*"]) for n in range(5000)] for tag in "ab")
    found = difference(a, b)
    assert (len(found.removed), len(found.added)) == (5000, 5000)
    assert apply(found, a) == in_order(b)
    wide, narrow = ([make_grant("*", [f"s3:{tag}{n}*" for n in range(20_000)])] for tag in "ab")
    assert difference(wide, narrow).added == tuple(narrow)


def test_pairs_are_found_among_few_even_beside_many() -> None:
    a = [make_grant("*", [f"s3:a{n}*"]) for n in range(2000)] + [make_grant("ann", ["s3:GetObject"])]
    b = [make_grant("*", [f"s3:b{n}*"]) for n in range(2000)] + [make_grant("ann", ["s3:*"])]
    (widened,) = difference(a, b).widened
    assert (widened.before, widened.after) == (a[-1], b[-1])
