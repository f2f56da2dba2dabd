"""How far grants reach: to the public and to outsiders, erring to the side of access."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.collect.policies import policy_grants
from ledger.permissions import Owner, Reach, reach
from ledger.permissions.grants import Effect, Grant, Kind, make_grant

ME, OTHER = "111122223333", "444455556666"
OWNER = Owner(frozenset({ME, "canonical-me"}), "o-mine")
BUCKET = "arn:aws:s3:::replays"

GET: dict[str, Any] = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*"}


def of(*statements: dict[str, Any], owner: Owner = OWNER) -> Reach:
    """The reach of a policy; a statement has what these leave out of `GET`."""
    listed: Any = [{name: v for name, v in {**GET, **s}.items() if v is not None} for s in statements]
    return reach(policy_grants({"Statement": listed}, source="bucket policy"), owner)


def everybody(condition: Any = None, **more: Any) -> dict[str, Any]:
    return {"Principal": "*", **({"Condition": condition} if condition else {}), **more}


DENY_ALL = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}


# --- Everybody


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": ["*"]},
        {"AWS": [f"arn:aws:iam::{ME}:root", "*"]},
        {"CanonicalUser": "*"},
        {"Service": "*"},
    ],
    ids=str,
)
def test_everybody_is_the_public_however_spelled(principal: Any) -> None:
    assert of({"Principal": principal}).public is True


def test_a_policy_that_was_not_read_tells_neither_that_it_is_public_nor_that_it_is_not() -> None:
    unread = make_grant("*", [], kind=Kind.UNKNOWN)
    assert reach([unread], OWNER).public is None
    assert reach([unread, make_grant("*", ["s3:GetObject"], kind=Kind.PUBLIC)], OWNER).public is True


def test_everybody_but_some_is_the_public() -> None:
    found = of({"NotPrincipal": {"AWS": OTHER}})
    assert found.public is True


@pytest.mark.parametrize(
    "condition",
    [
        {"Bool": {"aws:SecureTransport": "true"}},
        {"StringNotEquals": {"aws:PrincipalOrgID": "o-mine"}},
        {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-mine"}},
        {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-mine"}},
        {"StringLike": {"aws:PrincipalOrgID": "*"}},
        {"StringLike": {"aws:PrincipalOrgID": "o-*"}},
        {"StringLike": {"aws:PrincipalOrgPaths": "*/r-1/*"}},
        {"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}},
        {"StringEquals": {"aws:PrincipalOrgID": []}},
        {"StringLike": {"aws:userid": "AROAEXAMPLE:*"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/Admin"}},
        {"StringLike": {"aws:Referer": "https://example.com/*"}},
        {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
        {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/1"]}},
        {"IpAddress": {"aws:SourceIp": "::/0"}},
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/7"}},
        {"IpAddress": {"aws:SourceIp": "2001:db8::/31"}},
        {"IpAddress": {"acs:SourceIp": "0.0.0.0/7"}},
        {"StringLike": {"acs:SourceVpc": ["vpc-*"]}},
        {"StringNotLike": {"acs:SourceVpc": ["vpc-*"]}},
        {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        {"StringLike": {"aws:SourceIp": "203.0.113.*"}},
        {"Null": {"aws:PrincipalOrgID": "false"}},
    ],
    ids=str,
)
def test_a_condition_that_lets_anybody_in_is_no_narrowing(condition: Any) -> None:
    found = of(everybody(condition))
    assert found.public is True
    assert any("counts as public" in note for note in found.notes)


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}},
        {"StringEquals": {"AWS:sourcevpc": ["vpc-1", "vpc-2"]}},
        {"StringEquals": {"aws:PrincipalOrgID": "o-other"}},
        {"StringEquals": {"aws:PrincipalOrgID": ["o-mine", "o-other"]}},
        {"StringEquals": {"aws:SourceAccount": OTHER}},
        {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OTHER}:role/*"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::another-bucket"}},
        {"StringEquals": {"aws:userid": "AIDAEXAMPLE"}},
        {"StringEquals": {"s3:DataAccessPointAccount": ME}},
        {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}},
        {"IpAddress": {"aws:SourceIp": "203.0.113.7"}},
        {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}},
        {"IpAddress": {"acs:SourceIp": ["203.0.113.0/24"]}},
        {"IpAddress": {"acs:SourceVpcIp": ["10.0.0.0/8"]}},
        {"StringEquals": {"acs:SourceVpc": ["vpc-example"]}},
        {"StringEquals": {"acs:SourceVpcId": ["vpc-example"]}},
        {"StringEquals": {"acs:AccessId": ["LTAIexample"]}},
    ],
    ids=str,
)
def test_everybody_narrowed_is_an_outsider_and_not_the_public(condition: Any) -> None:
    found = of(everybody(condition))
    assert (found.public, found.external) == (False, ("*",))
    assert any("narrowed by" in note for note in found.notes)


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:PrincipalOrgID": "o-mine"}},
        {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-mine/r-1/ou-1/*"}},
        {"StringEquals": {"aws:PrincipalAccount": [ME]}},
        {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ME}:role/*"}},
        {"StringEquals": {"aws:PrincipalOrgID": "o-mine"}, "Bool": {"aws:SecureTransport": "true"}},
        {"StringEquals": {"aws:PrincipalOrgID": "o-mine", "aws:SourceVpce": "vpce-1"}},
    ],
    ids=str,
)
def test_everybody_narrowed_to_the_owner_s_own_is_nobody_else(condition: Any) -> None:
    found = of(everybody(condition))
    assert (found.public, found.external) == (False, ())


# --- Named principals


@pytest.mark.parametrize(
    ("principal", "external"),
    [
        ({"AWS": OTHER}, (f"arn:aws:iam::{OTHER}:root",)),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, (f"arn:aws:iam::{OTHER}:root",)),
        ({"AWS": f"arn:aws-cn:iam::{OTHER}:role/x"}, (f"arn:aws-cn:iam::{OTHER}:role/x",)),
        ({"AWS": f"arn:aws:sts::{OTHER}:assumed-role/x/ann"}, (f"arn:aws:sts::{OTHER}:assumed-role/x/ann",)),
        ({"AWS": "AIDAEXAMPLEOFDELETED"}, ("AIDAEXAMPLEOFDELETED",)),
        ({"CanonicalUser": "canonical-other"}, ("canonical-other",)),
        ({"Federated": "accounts.google.com"}, ("accounts.google.com",)),
        (
            {"Federated": f"arn:aws:iam::{ME}:oidc-provider/ci.example.com"},
            (f"arn:aws:iam::{ME}:oidc-provider/ci.example.com",),
        ),
        ({"AWS": ME}, ()),
        ({"AWS": f"arn:aws:iam::{ME}:user/team/b"}, ()),
        ({"CanonicalUser": "canonical-me"}, ()),
        ({"Federated": f"arn:aws:iam::{ME}:saml-provider/SSO"}, ()),
        ({"Service": "cloudtrail.amazonaws.com"}, ()),
    ],
    ids=str,
)
def test_a_named_principal_is_an_outsider_unless_it_is_the_owner_s(
    principal: Any, external: tuple[str, ...]
) -> None:
    found = of({"Principal": principal})
    assert (found.public, found.external) == (False, external)


def test_without_the_owner_every_account_is_an_outsider_and_that_is_said() -> None:
    found = of({"Principal": {"AWS": ME}}, owner=Owner())
    assert found.external == (f"arn:aws:iam::{ME}:root",)
    assert any("not known" in note for note in found.notes)


def test_a_condition_does_not_make_an_outsider_an_insider() -> None:
    found = of({"Principal": {"AWS": OTHER}, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-mine"}}})
    assert found.external == (f"arn:aws:iam::{OTHER}:root",)


def test_every_user_of_a_system_is_not_the_public_and_not_nobody() -> None:
    found = reach([make_grant("*", ["SELECT"], kind=Kind.EVERY_USER)], OWNER)
    assert (found.public, found.external) == (None, ())
    assert reach([make_grant("analyst", ["SELECT"], kind=Kind.ROLE)], OWNER).public is False


def test_a_policy_by_itself_reaches_nobody() -> None:
    policy = make_grant(f"arn:aws:iam::{OTHER}:policy/p", ["*"], kind=Kind.POLICY)
    assert reach([policy], OWNER) == Reach(False, (), ())


# --- Denials


def test_a_denial_of_everybody_overrides() -> None:
    assert of(everybody(), {"Principal": {"AWS": OTHER}}, DENY_ALL) == Reach(False, (), ())


@pytest.mark.parametrize(
    "denial",
    [
        {**DENY_ALL, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {**DENY_ALL, "Action": "s3:PutObject"},
        {**DENY_ALL, "Action": "s3:Get"},
        {**DENY_ALL, "Resource": f"{BUCKET}/2026/*"},
        {**DENY_ALL, "Principal": {"AWS": OTHER}},
        {"Effect": "Deny", "NotPrincipal": {"AWS": ME}, "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": None, "NotAction": "s3:GetObject", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": None, "NotAction": "s3:Put*", "Resource": "*"},
    ],
    ids=str,
)
def test_a_denial_that_is_not_certain_to_cover_all_takes_nothing_away(denial: dict[str, Any]) -> None:
    assert of(everybody(), denial).public is True


def test_a_denial_with_a_condition_is_mentioned() -> None:
    found = of(everybody(), {**DENY_ALL, "Condition": {"Bool": {"aws:SecureTransport": "false"}}})
    assert "A denial with a condition is not counted: the condition may not hold." in found.notes


def test_a_denial_of_an_account_is_one_of_its_principals() -> None:
    user = {"Principal": {"AWS": f"arn:aws:iam::{OTHER}:user/x"}}
    assert of(user, {**DENY_ALL, "Principal": {"AWS": OTHER}}).external == ()
    assert of({"Principal": {"AWS": OTHER}}, {**DENY_ALL, **user}).external != ()


def test_denials_together_cover_what_each_does_not() -> None:
    both = everybody(Action=["s3:GetObject", "s3:PutObject"])
    assert of(both, {**DENY_ALL, "Action": "s3:get*"}).public is True
    assert of(both, {**DENY_ALL, "Action": "s3:get*"}, {**DENY_ALL, "Action": "S3:PutObject"}).public is False


# --- Block Public Access

ANYBODY_BY_ACL = make_grant("AllUsers", ["s3:ListBucket"], kind=Kind.PUBLIC, source="ACL: READ")
ACCOUNTS_BY_ACL = make_grant(
    "AuthenticatedUsers", ["s3:ListBucket"], kind=Kind.AUTHENTICATED, source="ACL: READ"
)
ANYBODY_BY_POLICY = make_grant("*", ["s3:GetObject"], kind=Kind.PUBLIC, source="bucket policy")
NARROWED = make_grant(
    "*",
    ["s3:*"],
    kind=Kind.PUBLIC,
    condition={"Bool": {"aws:SecureTransport": "true"}},
    source="bucket policy",
)
OUTSIDER = make_grant(
    f"arn:aws:iam::{OTHER}:root", ["s3:GetObject"], kind=Kind.ACCOUNT, source="bucket policy"
)


def block(flag: str) -> Grant:
    return make_grant("*", ["*"], effect=Effect.DENY, condition={"PublicAccessBlock": flag}, kind=Kind.PUBLIC)


@pytest.mark.parametrize(
    ("grant", "flag", "public", "external"),
    [
        (ANYBODY_BY_ACL, "IgnorePublicAcls", False, ()),
        (ACCOUNTS_BY_ACL, "IgnorePublicAcls", False, ()),
        (ANYBODY_BY_ACL, "RestrictPublicBuckets", True, ()),
        (ANYBODY_BY_POLICY, "RestrictPublicBuckets", False, ()),
        (ANYBODY_BY_POLICY, "IgnorePublicAcls", True, ()),
        (ANYBODY_BY_POLICY, "BlockPublicPolicy", True, ()),
        (ANYBODY_BY_ACL, "BlockPublicAcls", True, ()),
        (ANYBODY_BY_ACL, "BlockPublicAccess", False, ()),
        (ANYBODY_BY_POLICY, "BlockPublicAccess", False, ()),
        (NARROWED, "RestrictPublicBuckets", False, ("*",)),
        (OUTSIDER, "RestrictPublicBuckets", False, (OUTSIDER.principal,)),
    ],
    ids=str,
)
def test_block_public_access_keeps_out_whom_it_is_for(
    grant: Grant, flag: str, public: bool, external: tuple[str, ...]
) -> None:
    found = reach([grant, block(flag)], OWNER)
    assert (found.public, found.external) == (public, external)


def test_of_more_denials_than_can_be_held_against_the_grants_none_is_counted() -> None:
    """It errs to the side of access, and says so."""
    denials = [make_grant("*", [f"s3:a{n}"], effect=Effect.DENY) for n in range(2000)]
    allowances = [make_grant("*", [f"s3:a{n}"], kind=Kind.PUBLIC) for n in range(2000)]
    few, many = reach([*denials[:9], *allowances[:9]], Owner()), reach([*denials, *allowances], Owner())
    assert (few.public, few.notes) == (False, ())
    assert many.public
    assert "too many denials" in many.notes[0]
