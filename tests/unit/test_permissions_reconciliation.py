"""Accesses held against the snapshots in force, and grants against their use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import access_record, snapshot_record

from ledger.errors import MalformedInput
from ledger.permissions import (
    GrantUse,
    Judgement,
    Owner,
    Reconciliation,
    Snapshot,
    Verdict,
    reconcile,
    resource_key,
)
from ledger.permissions.grants import Effect, Grant, Kind, make_grant
from ledger.permissions.judging import MOST_IN_FORCE, Caveat
from ledger.records import AccessRecord
from ledger.types import Position

ME, OTHER = "111122223333", "444455556666"
OWNER = Owner(frozenset({ME}))
BUCKET = "arn:aws:s3:::replays"
USER, OUTSIDER = f"arn:aws:iam::{ME}:user/b", f"arn:aws:iam::{OTHER}:user/x"
ACCOUNT = make_grant(f"arn:aws:iam::{OTHER}:root", ["s3:Get*"], f"{BUCKET}/*", kind=Kind.ACCOUNT)


def access(time: int = 10, **changes: Any) -> AccessRecord:
    members: dict[str, Any] = {
        "time": time,
        "subject": "live",
        "principal": OUTSIDER,
        "action": "s3:GetObject",
        "resource": f"{BUCKET}/2026/1.ts",
        "outcome": "allowed",
    }
    return access_record(100 + time, **{**members, **changes})


def snapshot(*grants: Grant, time: int = 0, resource: str = BUCKET) -> Snapshot:
    return Snapshot(Position(time), time, resource, grants)


def judge(of: AccessRecord, *snapshots: Snapshot, owner: Owner = OWNER) -> Judgement:
    (found,) = [r for r in reconcile(snapshots, [of], owner) if isinstance(r, Judgement)]
    return found


# --- One access


def test_an_access_is_permitted_by_the_grant_that_speaks_of_it() -> None:
    other = make_grant(OUTSIDER, ["s3:PutObject"], f"{BUCKET}/*", kind=Kind.USER)
    found = judge(access(), snapshot(ACCOUNT, other))
    assert (found.verdict, found.grants, found.positions) == (Verdict.PERMITTED, (ACCOUNT,), (0,))
    assert found.caveats == (Caveat.WHOLE_ACCOUNT,)


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "s3:PutObject"},
        {"resource": f"{BUCKET}"},
        {"principal": "arn:aws:iam::777788889999:user/x"},
        {"principal": "anonymous"},
    ],
    ids=str,
)
def test_an_outsider_s_access_that_no_grant_speaks_of_is_not_permitted(changes: dict[str, Any]) -> None:
    found = judge(access(**changes), snapshot(ACCOUNT))
    assert found.verdict is Verdict.NOT_PERMITTED
    assert found.is_unexplained
    assert not judge(access(**changes, outcome="refused"), snapshot(ACCOUNT)).is_unexplained


def test_without_a_snapshot_nothing_is_said() -> None:
    assert judge(access()).verdict is Verdict.NO_SNAPSHOT
    assert judge(access(), snapshot(ACCOUNT, resource="arn:aws:s3:::other")).verdict is Verdict.NO_SNAPSHOT
    assert judge(access(), snapshot(ACCOUNT, time=11)).verdict is Verdict.NO_SNAPSHOT
    assert judge(access(), snapshot(ACCOUNT, resource="arn:aws:s3:::repl")).verdict is Verdict.NO_SNAPSHOT


def test_the_snapshot_in_force_is_the_newest_before_the_access() -> None:
    history = [snapshot(), snapshot(ACCOUNT, time=5), snapshot(time=10)]
    times = {t: judge(access(t), *history).verdict for t in (4, 5, 9, 10)}
    assert times == {
        4: Verdict.NOT_PERMITTED,
        5: Verdict.PERMITTED,
        9: Verdict.PERMITTED,
        10: Verdict.NOT_PERMITTED,
    }


@pytest.mark.parametrize("missing", ["principal", "action"])
def test_what_is_not_disclosed_cannot_be_judged(missing: str) -> None:
    found = judge(access(**{missing: None}), snapshot(ACCOUNT))
    assert (found.verdict, found.caveats) == (Verdict.UNKNOWN, (Caveat.UNDISCLOSED,))


def test_an_access_that_names_no_resource_is_held_against_what_its_principal_may_do() -> None:
    calls = access(principal=USER, action="ec2:DescribeInstances", resource=None)
    everywhere = make_grant(USER, ["ec2:Describe*"], "*", kind=Kind.USER)
    somewhere = make_grant(USER, ["ec2:Describe*"], "arn:aws:ec2:*:*:instance/i-1", kind=Kind.USER)
    assert judge(calls, snapshot(everywhere, resource=USER)).verdict is Verdict.PERMITTED
    found = judge(calls, snapshot(somewhere, resource=USER))
    assert (found.verdict, found.caveats) == (Verdict.CONDITIONAL, (Caveat.RESOURCE,))
    assert judge(calls, snapshot(resource=USER)).verdict is Verdict.NOT_PERMITTED
    assert judge(calls, snapshot()).caveats == (Caveat.RESOURCE,)


def test_grants_that_are_not_disclosed_clear_and_accuse_nobody() -> None:
    found = judge(access(), Snapshot(Position(0), 0, BUCKET, None))
    assert (found.verdict, found.caveats) == (Verdict.UNKNOWN, (Caveat.UNDISCLOSED,))


def test_what_a_snapshot_that_cannot_be_read_denies_may_override_what_another_allows() -> None:
    unread = replace(snapshot(time=1), grants=None, source_system="another")
    found = judge(access(), snapshot(ACCOUNT), unread)
    assert found.verdict is Verdict.CONDITIONAL
    assert Caveat.UNDISCLOSED in found.caveats


def test_a_grant_that_came_into_the_ledger_only_after_the_access_is_told() -> None:
    """Whoever needs a permission afterwards can date it back; its position is not his to choose."""
    done, late = access(), replace(snapshot(ACCOUNT), position=Position(500), source_system="another")
    found = judge(done, late)
    assert found.verdict is Verdict.PERMITTED
    assert Caveat.LATER in found.caveats
    assert Caveat.LATER in judge(done, late, snapshot()).caveats
    assert Caveat.LATER not in judge(done, late, snapshot(ACCOUNT)).caveats
    assert Caveat.LATER not in judge(done, snapshot(ACCOUNT)).caveats


def test_of_systems_without_end_not_every_one_is_read() -> None:
    crowd = [replace(snapshot(ACCOUNT), source_system=f"s{n}") for n in range(MOST_IN_FORCE + 1)]
    assert judge(access(), *crowd[1:]).verdict is Verdict.PERMITTED
    found = judge(access(), *crowd)
    assert (found.verdict, found.caveats, found.grants) == (Verdict.UNKNOWN, (Caveat.TOO_MANY,), ())


def test_only_a_role_is_known_without_its_path() -> None:
    role = "arn:aws:iam::111122223333:role/{}reader"
    assert resource_key(role.format("a/b/")) == resource_key(role.format(""))
    inside = f"{BUCKET}/{role}"
    assert resource_key(inside.format("a/")) != resource_key(inside.format("b/"))


def test_what_the_owner_s_own_users_may_do_stands_elsewhere() -> None:
    found = judge(access(principal=USER), snapshot(ACCOUNT))
    assert (found.verdict, found.caveats) == (Verdict.UNKNOWN, (Caveat.OWN_POLICIES,))
    assert judge(access(), snapshot(), owner=Owner()).verdict is Verdict.UNKNOWN


def test_the_snapshot_of_the_principal_tells_it() -> None:
    held = make_grant(USER, ["s3:*"], "arn:aws:s3:::*", kind=Kind.USER)
    own = snapshot(held, resource=USER)
    assert judge(access(principal=USER), snapshot(), own).grants == (held,)
    other = make_grant(USER, ["ec2:*"], "*", kind=Kind.USER)
    found = judge(access(principal=USER), snapshot(), snapshot(other, resource=USER))
    assert found.verdict is Verdict.NOT_PERMITTED


def test_a_grant_for_the_principal_s_own_resource_is_for_no_other() -> None:
    own = snapshot(make_grant(USER, ["*"], kind=Kind.USER), resource=USER)
    assert judge(access(principal=USER), own).verdict is Verdict.NOT_PERMITTED


def test_a_session_is_known_by_its_role_whatever_the_role_s_path() -> None:
    role = f"arn:aws:iam::{ME}:role/team/media/Reader"
    session = f"arn:aws:sts::{ME}:assumed-role/Reader/ann"
    held = make_grant(role, ["s3:GetObject"], "*", kind=Kind.ROLE)
    found = judge(access(principal=session), snapshot(held, resource=role))
    assert (found.verdict, found.caveats) == (Verdict.PERMITTED, (Caveat.ROLE_ASSUMED,))
    assert judge(access(principal=session), snapshot(held)).verdict is Verdict.PERMITTED
    foreign = f"arn:aws:sts::{OTHER}:assumed-role/Reader/ann"
    assert judge(access(principal=foreign), snapshot(held)).verdict is Verdict.NOT_PERMITTED


@pytest.mark.parametrize(
    ("grant", "caveat"),
    [
        (make_grant("*", ["s3:*"], condition={"Bool": {"aws:SecureTransport": "true"}}), Caveat.CONDITION),
        (make_grant(OUTSIDER, ["s3:*"], f"{BUCKET}/${{aws:username}}/*"), Caveat.VARIABLE),
        (make_grant("*", ["s3:*"], condition={"NotPrincipal": [USER]}, kind=Kind.PUBLIC), Caveat.CONDITION),
    ],
    ids=["condition", "variable", "not-principal"],
)
def test_what_hangs_on_the_request_is_permitted_conditionally(grant: Grant, caveat: Caveat) -> None:
    found = judge(access(), snapshot(grant))
    assert (found.verdict, found.grants) == (Verdict.CONDITIONAL, (grant,))
    assert caveat in found.caveats


def test_a_certain_grant_comes_before_a_conditional_one() -> None:
    maybe = make_grant("*", ["s3:*"], condition={"Bool": {"aws:SecureTransport": "true"}})
    found = judge(access(), snapshot(maybe, ACCOUNT))
    assert (found.verdict, found.grants) == (Verdict.PERMITTED, (ACCOUNT,))


def test_what_is_taken_out_is_not_permitted() -> None:
    power = make_grant("*", ["*"], condition={"NotAction": ["s3:GET*"]}, kind=Kind.PUBLIC)
    assert judge(access(), snapshot(power)).verdict is Verdict.NOT_PERMITTED
    assert judge(access(action="s3:PutObject"), snapshot(power)).verdict is Verdict.PERMITTED


def test_a_denial_overrides_and_a_conditional_one_leaves_a_doubt() -> None:
    denial = make_grant("*", ["s3:GetObject"], f"{BUCKET}/*", effect=Effect.DENY, kind=Kind.PUBLIC)
    found = judge(access(), snapshot(ACCOUNT, denial))
    assert (found.verdict, found.grants) == (Verdict.NOT_PERMITTED, (denial,))
    maybe = make_grant(
        "*", ["s3:*"], effect=Effect.DENY, condition={"Bool": {"aws:SecureTransport": "false"}}
    )
    found = judge(access(), snapshot(ACCOUNT, maybe))
    assert (found.verdict, Caveat.DENIAL in found.caveats) == (Verdict.CONDITIONAL, True)


def test_block_public_access_puts_only_the_public_in_doubt() -> None:
    public = make_grant("*", ["s3:GetObject"], kind=Kind.PUBLIC, source="bucket policy")
    block = make_grant(
        "*", ["*"], effect=Effect.DENY, condition={"PublicAccessBlock": "RestrictPublicBuckets"}
    )
    assert judge(access(), snapshot(public, block)).verdict is Verdict.CONDITIONAL
    assert judge(access(), snapshot(ACCOUNT, block)).verdict is Verdict.PERMITTED


def test_a_permission_without_actions_leaves_a_doubt() -> None:
    found = judge(access(), snapshot(make_grant(OUTSIDER, [], kind=Kind.USER)))
    assert (found.verdict, found.caveats) == (Verdict.UNKNOWN, (Caveat.UNSTATED,))


def test_whoever_shows_no_credentials_is_no_authenticated_user() -> None:
    anyone = make_grant("AuthenticatedUsers", ["s3:ListBucket"], kind=Kind.AUTHENTICATED)
    listing = {"action": "s3:ListBucket", "resource": BUCKET}
    assert judge(access(**listing), snapshot(anyone)).verdict is Verdict.PERMITTED
    nobody = access(**listing, principal="anonymous")
    assert judge(nobody, snapshot(anyone)).verdict is Verdict.NOT_PERMITTED


def test_a_folder_s_list_is_not_its_files_list() -> None:
    folder = snapshot(make_grant("ann", ["read"], "/srv/replays"), resource="/srv/replays")
    read = access(principal="ann", action="read", resource="/srv/replays/1.ts")
    assert judge(read, folder).verdict is Verdict.NO_SNAPSHOT


# --- Use


def uses(snapshots: list[Snapshot], accesses: list[AccessRecord]) -> list[GrantUse]:
    return [r for r in reconcile(snapshots, accesses, OWNER) if isinstance(r, GrantUse)]


def test_a_grant_that_nobody_used_is_told() -> None:
    never = make_grant(USER, ["s3:PutObject"], kind=Kind.USER)
    found = uses([snapshot(ACCOUNT, never)], [access(3), access(7), access(8, outcome="refused")])
    assert {u.grant: (u.uses, u.last_used, u.until) for u in found} == {
        ACCOUNT: (2, 7, None),
        never: (0, None, None),
    }


def test_a_grant_that_stands_in_the_next_snapshot_goes_on() -> None:
    history = [snapshot(ACCOUNT, time=1), snapshot(ACCOUNT, time=5), snapshot(time=9)]
    (found,) = uses(history, [access(2), access(6), access(9)])
    assert found == GrantUse(ACCOUNT, BUCKET, None, since=1, until=9, uses=2, last_used=6)


def test_denials_and_what_others_carry_have_no_use_of_their_own() -> None:
    denial = make_grant("*", ["s3:*"], effect=Effect.DENY)
    group = make_grant(f"arn:aws:iam::{ME}:group/g", ["s3:*"], kind=Kind.GROUP)
    policy = make_grant(f"arn:aws:iam::{ME}:policy/p", ["s3:*"], kind=Kind.POLICY)
    assert uses([snapshot(denial, group, policy)], []) == []


@pytest.mark.parametrize(
    ("snapshots", "accesses"),
    [
        ([snapshot(time=5), snapshot(time=4)], []),
        ([], [access(5), access(4)]),
    ],
    ids=["snapshots", "accesses"],
)
def test_a_stream_out_of_order_is_refused(snapshots: list[Snapshot], accesses: list[AccessRecord]) -> None:
    with pytest.raises(ValueError, match="order of time"):
        list(reconcile(snapshots, accesses))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=30))
def test_every_access_is_judged_once_and_every_grant_accounted_for(script: list[tuple[bool, int]]) -> None:
    snapshots = [
        snapshot(*([ACCOUNT] if n % 2 else []), time=t) for n, (s, t) in enumerate(sorted(script)) if s
    ]
    snapshots.sort(key=lambda s: s.time)
    accesses = [access(t) for s, t in sorted(script) if not s]
    found = list(reconcile(snapshots, accesses, OWNER))
    judgements = [r for r in found if isinstance(r, Judgement)]
    assert [j.access for j in judgements] == accesses
    counted = sum(u.uses for u in found if isinstance(u, GrantUse))
    assert counted == sum(j.verdict is Verdict.PERMITTED for j in judgements)


def test_memory_holds_one_snapshot_for_each_resource() -> None:
    state = Reconciliation(OWNER)
    for time in range(1000):
        state.snapshot(snapshot(ACCOUNT, make_grant(f"user-{time}", ["s3:*"]), time=time))
        state.access(access(time))
    assert len(state._in_force) == 1
    assert len(state._in_force[BUCKET][""].uses) == 2


def test_what_one_system_tells_does_not_end_what_another_told() -> None:
    """CloudTrail tells of a bucket's policy alone; its access control list stays in force beside it."""
    state = Reconciliation(OWNER)
    reader = make_grant(OUTSIDER, ["s3:GetObject"], f"{BUCKET}/*")
    state.snapshot(Snapshot(Position(0), 0, BUCKET, (reader,), source_system="aws.s3"))
    assert state.snapshot(Snapshot(Position(1), 1, BUCKET, (), source_system="aws.cloudtrail")) == ()
    assert state.access(access(2)).verdict is Verdict.PERMITTED
    (ended,) = state.snapshot(Snapshot(Position(2), 3, BUCKET, (), source_system="aws.s3"))
    assert (ended.grant, ended.uses) == (reader, 1)
    assert state.access(access(4)).verdict is Verdict.NOT_PERMITTED


# --- Records


def test_a_snapshot_comes_from_its_record() -> None:
    grants = '[{"actions":["s3:*"],"principal":"a"}]'
    record = snapshot_record(7, time=9, captured=5, resource=BUCKET, grants=grants, owner="111122223333")
    assert Snapshot.of(record) == Snapshot(
        Position(7), 5, BUCKET, (make_grant("a", ["s3:*"]),), "111122223333"
    )


def test_a_record_without_resource_is_none_and_grants_out_of_form_are_refused() -> None:
    assert Snapshot.of(snapshot_record(resource=None, grants="[]")) is None
    undisclosed = Snapshot.of(snapshot_record(resource=BUCKET, grants=None))
    assert undisclosed is not None
    assert undisclosed.grants is None
    with pytest.raises(MalformedInput):
        Snapshot.of(snapshot_record(resource=BUCKET, grants="{}"))
