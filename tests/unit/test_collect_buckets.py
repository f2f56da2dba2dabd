"""Buckets of S3 and of OSS, and policies of RAM, as permission snapshots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.collecting import assert_hidden, data, event, events, reasons, run, run_on

from ledger import canonical
from ledger.catalogue import PERMISSION_SNAPSHOT
from ledger.collect import SetAside, collect
from ledger.collect.alibaba import OssBuckets, RamPolicies
from ledger.collect.aws_buckets import AwsBuckets
from ledger.collect.snapshots import ResourceKeys, SnapshotOptions
from ledger.entry import Phase
from ledger.errors import MalformedInput, NotFound
from ledger.permissions import Owner
from ledger.types import Digest

ME, OTHER = "111122223333", "444455556666"
AT = "2026-07-01T12:00:00Z"
KEYS = ResourceKeys(b"sixteen bytes or more")
OPTIONS = SnapshotOptions(KEYS, AT, Owner(frozenset({ME})))

POLICY = {
    "Version": "2012-10-17",
    "Id": "readers",
    "Statement": [
        {
            "Sid": "Partner",
            "Effect": "Allow",
            "Principal": {"AWS": [OTHER, f"arn:aws:iam::{ME}:role/ingest"]},
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": "arn:aws:s3:::ann-lee-replays/*",
        },
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::ann-lee-replays", "arn:aws:s3:::ann-lee-replays/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    ],
}
ALL_USERS = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
ACL = {
    "Owner": {"DisplayName": "ann", "ID": "75aa57f0"},
    "Grants": [
        {
            "Grantee": {"DisplayName": "ann", "ID": "75aa57f0", "Type": "CanonicalUser"},
            "Permission": "FULL_CONTROL",
        }
    ],
}
NO_BLOCK = {"PublicAccessBlockConfiguration": None}
BUCKET: dict[str, Any] = {"Bucket": "ann-lee-replays", "Policy": json.dumps(POLICY), **ACL, **NO_BLOCK}


def of(folder: Path, record: dict[str, Any], options: SnapshotOptions = OPTIONS) -> dict[str, Any]:
    return data(run_on(AwsBuckets(options), folder, json.dumps(record), "b.json"))


def acl(grantee: dict[str, Any], permission: str = "READ") -> dict[str, Any]:
    return {**ACL, "Grants": [*ACL["Grants"], {"Grantee": grantee, "Permission": permission}]}


# --- S3


def test_a_bucket_becomes_a_snapshot(tmp_path: Path) -> None:
    options = SnapshotOptions(KEYS, AT, Owner(frozenset({ME})), "live-1", Phase.BEFORE)
    found = event(run_on(AwsBuckets(options), tmp_path, json.dumps(BUCKET, indent=4), "b.json"))
    key = KEYS.of("aws.s3", "ann-lee-replays")
    members = found.pop("data")
    assert found == {
        "specversion": "1.0",
        "id": f"aws.s3-{key}-2026-07-01T12:00:00.000Z",
        "source": f"/aws/s3/{ME}",
        "type": PERMISSION_SNAPSHOT.name,
        "subject": "live-1",
        "time": "2026-07-01T12:00:00.000Z",
        "phase": "before",
    }
    grants = members.pop("grants")
    assert members == {
        "resource": "arn:aws:s3:::ann-lee-replays",
        "api_call": "s3:GetBucketAcl s3:GetBucketPolicy s3:GetPublicAccessBlock",
        "owner": ME,
        "public": False,
        "external_principals": [f"arn:aws:iam::{OTHER}:root"],
        "source_system": "aws.s3",
        "completeness": "complete",
        "raw_sha256": Digest.of(canonical.encode(BUCKET)).hex(),
    }
    assert [(g["principal"], g["effect"], g.get("resource")) for g in grants] == [
        ("*", "deny", "arn:aws:s3:::ann-lee-replays"),
        ("*", "deny", "arn:aws:s3:::ann-lee-replays/*"),
        ("75aa57f0", "allow", None),
        (f"arn:aws:iam::{ME}:role/ingest", "allow", "arn:aws:s3:::ann-lee-replays/*"),
        (f"arn:aws:iam::{OTHER}:root", "allow", "arn:aws:s3:::ann-lee-replays/*"),
    ]


def test_nothing_of_a_bucket_stands_in_its_entry(tmp_path: Path) -> None:
    found = event(run_on(AwsBuckets(OPTIONS), tmp_path, json.dumps(BUCKET), "b.json"))
    assert_hidden(found, "ann-lee", "role/ingest", OTHER, "s3:GetObject", "75aa57f0")


def test_the_name_of_a_bucket_stands_in_the_id_only_where_the_party_says_so(tmp_path: Path) -> None:
    plain = SnapshotOptions(ResourceKeys.plain(), AT)
    found = event(run_on(AwsBuckets(plain), tmp_path, json.dumps(BUCKET), "b.json"))
    assert found["id"] == "aws.s3-ann-lee-replays-2026-07-01T12:00:00.000Z"
    keyed = {KEYS.of("aws.s3", "a"), KEYS.of("aws.s3", "b"), KEYS.of("aliyun.oss", "a")}
    keyed |= {ResourceKeys(b"another secret, as long").of("aws.s3", "a")}
    assert len(keyed) == 4
    with pytest.raises(MalformedInput, match="too short"):
        ResourceKeys(b"short")
    with pytest.raises(MalformedInput, match="cannot stand in an id"):
        ResourceKeys.plain().of("posix", "ann@example.com")
    assert "sixteen" not in repr(OPTIONS)


def test_one_call_s_answer_is_a_record_of_which_not_all_is_known(tmp_path: Path) -> None:
    answer = json.dumps({"Policy": json.dumps(POLICY)}, indent=2)
    found = data(run_on(AwsBuckets(OPTIONS, bucket="replays"), tmp_path, answer, "policy.json"))
    assert found["resource"] == "arn:aws:s3:::replays"
    assert found["completeness"] == "best-effort"
    assert "public" not in found


def test_several_buckets_stand_on_lines_of_one_file(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps({**BUCKET, "Bucket": f"b-{n}-x"}) for n in range(3))
    assert len({e["id"] for e in events(run_on(AwsBuckets(OPTIONS), tmp_path, lines, "b.ndjson"))}) == 3


def test_a_record_s_own_time_comes_first_and_one_is_needed(tmp_path: Path) -> None:
    own = {**BUCKET, "captured_at": "2026-07-02T01:00:00+08:00"}
    found = event(run_on(AwsBuckets(OPTIONS), tmp_path, json.dumps(own), "b.json"))
    assert found["time"] == "2026-07-01T17:00:00.000Z"
    outcomes = run_on(AwsBuckets(SnapshotOptions(KEYS)), tmp_path, json.dumps(BUCKET), "b.json")
    assert "a snapshot without its time" in reasons(outcomes)[1]


@pytest.mark.parametrize(
    ("grantee", "permission", "public", "external"),
    [
        (ALL_USERS, "READ", True, []),
        ({**ALL_USERS, "URI": ALL_USERS["URI"].replace("All", "Authenticated")}, "WRITE", True, []),
        ({"Type": "Group", "URI": "http://acs.amazonaws.com/groups/s3/LogDelivery"}, "WRITE", False, []),
        ({"Type": "CanonicalUser", "ID": "c0ffee"}, "READ_ACP", False, ["c0ffee"]),
        (
            {"Type": "AmazonCustomerByEmail", "EmailAddress": "x@example.com"},
            "WRITE_ACP",
            False,
            ["x@example.com"],
        ),
    ],
    ids=str,
)
def test_a_list_s_grants_are_told_apart(
    tmp_path: Path, grantee: dict[str, Any], permission: str, public: bool, external: list[str]
) -> None:
    found = of(tmp_path, {"Bucket": "replays", "Policy": None, **acl(grantee, permission), **NO_BLOCK})
    assert (found["public"], found["external_principals"]) == (public, external)


def test_block_public_access_stands_among_the_grants_and_counts(tmp_path: Path) -> None:
    flags = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": False,
        "RestrictPublicBuckets": False,
    }
    record = {"Bucket": "replays", "Policy": None, **acl(ALL_USERS), "PublicAccessBlockConfiguration": flags}
    found = of(tmp_path, record)
    assert found["public"] is False
    blocks = [g["condition"] for g in found["grants"] if g["effect"] == "deny"]
    assert blocks == [{"PublicAccessBlock": "BlockPublicAcls"}, {"PublicAccessBlock": "IgnorePublicAcls"}]
    account = {"AccountPublicAccessBlockConfiguration": flags}
    assert of(tmp_path, {**record, **NO_BLOCK, **account})["public"] is False
    assert of(tmp_path, {**record, **NO_BLOCK})["public"] is True


def test_aws_s_own_word_counts_where_it_says_public(tmp_path: Path) -> None:
    public = {"PolicyStatus": {"IsPublic": True}}
    assert of(tmp_path, {**BUCKET, **public})["public"] is True
    assert of(tmp_path, {"Bucket": "replays", **public})["public"] is True
    assert "public" not in of(tmp_path, {"Bucket": "replays", "PolicyStatus": {"IsPublic": False}})
    restricted = {"PublicAccessBlockConfiguration": {"RestrictPublicBuckets": True}}
    assert of(tmp_path, {**BUCKET, **public, **restricted})["public"] is False


def test_a_bucket_in_china_has_the_partition_of_china(tmp_path: Path) -> None:
    found = of(tmp_path, {**BUCKET, "LocationConstraint": "cn-north-1"})
    assert found["resource"] == "arn:aws-cn:s3:::ann-lee-replays"
    assert found["region"] == "cn-north-1"


STATEMENT: dict[str, Any] = POLICY["Statement"][0]  # type: ignore[assignment, index]


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "allow"},
        {"Effect": None},
        {"action": "s3:PutObject"},
        {"NotAction": "s3:PutObject"},
        {"Action": None},
        {"Action": []},
        {"Action": [1]},
        {"Principal": None},
        {"Principal": {}},
        {"Principal": OTHER},
        {"Principal": {"AWS": []}},
        {"NotPrincipal": "*"},
        {"Resource": ""},
        {"Condition": {"Bool": "true"}},
        {"Condition": []},
    ],
    ids=str,
)
def test_a_policy_with_one_bad_statement_is_refused_as_a_whole(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    bad = {name: value for name, value in {**STATEMENT, **change}.items() if value is not None}
    record = {**BUCKET, "Policy": json.dumps({"Statement": [STATEMENT, bad]})}
    outcomes = run_on(AwsBuckets(OPTIONS), tmp_path, json.dumps(record), "b.json")
    assert "not a policy" in reasons(outcomes)[1]
    assert "ann" not in reasons(outcomes)[1]


@pytest.mark.parametrize(
    "record",
    [
        {"Policy": json.dumps(POLICY)},
        {"Bucket": "replays"},
        {"Bucket": "re/plays", "Policy": None},
        {"Bucket": "replays", "Policy": '{"Statement":[],"Statement":[]}'},
        {"Bucket": "replays", "Policy": 7},
        {"Bucket": "replays", "Grants": {}},
        {"Bucket": "replays", "Grants": [{"Grantee": {}, "Permission": "READ"}]},
        {"Bucket": "replays", "Grants": [{"Grantee": ALL_USERS, "Permission": "read"}]},
        {"Bucket": "replays", "PublicAccessBlockConfiguration": {"IgnorePublicAcls": "true"}},
        [],
    ],
    ids=str,
)
def test_what_is_no_bucket_is_set_aside(tmp_path: Path, record: Any) -> None:
    assert len(reasons(run_on(AwsBuckets(OPTIONS), tmp_path, json.dumps(record), "b.json"))) == 1


@pytest.mark.parametrize("text", ["", "  \n", "{", '{"Bucket":\n', "not json\n{}"])
def test_a_file_that_is_no_json_loses_nothing(tmp_path: Path, text: str) -> None:
    outcomes = run_on(AwsBuckets(OPTIONS), tmp_path, text, "b.json")
    assert len(outcomes) == len(reasons(outcomes)) == bool(text.strip())


def test_a_policy_whose_grants_multiply_is_refused_before_they_are_compared(tmp_path: Path) -> None:
    many = {
        **STATEMENT,
        "Principal": {"AWS": [f"{n:012}" for n in range(100)]},
        "Resource": [f"arn:aws:s3:::ann-lee-replays/{n}/*" for n in range(100)],
    }
    denied = {**many, "Effect": "Deny"}
    record = {**BUCKET, "Policy": json.dumps({"Statement": [many, denied]})}
    outcomes = run_on(AwsBuckets(OPTIONS), tmp_path, json.dumps(record), "b.json")
    assert "more grants than an event holds" in reasons(outcomes)[1]


def test_statements_without_a_list_and_what_is_not_meant(tmp_path: Path) -> None:
    policy = {
        "Statement": {
            "Effect": "Allow",
            "NotPrincipal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
            "NotAction": ["s3:Put*", "s3:Delete*"],
            "NotResource": "arn:aws:s3:::replays/private/*",
        }
    }
    found = of(tmp_path, {"Bucket": "replays", "Policy": policy, **ACL, **NO_BLOCK})
    assert found["public"] is True
    (grant,) = [g for g in found["grants"] if g["principal"] == "*"]
    assert (grant["actions"], grant["resource"]) == (["*"], "*")
    assert grant["condition"] == {
        "NotAction": ["s3:Delete*", "s3:Put*"],
        "NotPrincipal": [f"arn:aws:iam::{OTHER}:root"],
        "NotResource": ["arn:aws:s3:::replays/private/*"],
    }


# --- A folder for each bucket


def test_a_folder_is_a_bucket(tmp_path: Path) -> None:
    for name in ("replays", "orders"):
        folder = tmp_path / "s3" / name
        folder.mkdir(parents=True)
        (folder / "policy.json").write_text(json.dumps({"Policy": json.dumps(POLICY)}, indent=4))
        (folder / "acl.json").write_text(json.dumps(ACL))
        (folder / "block.json").write_text(
            json.dumps({"PublicAccessBlockConfiguration": {"IgnorePublicAcls": False}})
        )
        block = {"PublicAccessBlockConfiguration": {"IgnorePublicAcls": True}}
        (folder / "account-public-access-block.json").write_text(json.dumps(block))
    found: list[Any] = [e["data"] for e in events(run(AwsBuckets(OPTIONS), tmp_path))]
    assert [d["resource"] for d in found] == ["arn:aws:s3:::orders", "arn:aws:s3:::replays"]
    assert {d["completeness"] for d in found} == {"complete"}
    assert [g["source"] for g in found[0]["grants"] if g.get("kind") == "public" and "source" in g][-1:] == [
        "bucket policy"
    ]
    assert any(g["source"].startswith("AccountPublicAccessBlock") for g in found[0]["grants"])


def test_files_of_one_bucket_that_differ_are_set_aside_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"Policy":null}')
    (tmp_path / "b.json").write_text('{"Policy":"{}"}')
    (outcome,) = run(AwsBuckets(OPTIONS), tmp_path)
    assert isinstance(outcome, SetAside)
    assert "two files of one bucket that differ" in outcome.reason


def test_files_that_are_named_and_files_of_lines_are_records_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for bucket, name in (("replays", "a.json"), ("orders", "folder/b.ndjson")):
        (tmp_path / name).write_text(json.dumps({**BUCKET, "Bucket": bucket}))
    found = events(run(AwsBuckets(OPTIONS), tmp_path / "a.json", tmp_path / "folder"))
    resources = [e["data"]["resource"] for e in found]
    assert resources == ["arn:aws:s3:::replays", "arn:aws:s3:::orders"]


def test_a_folder_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(NotFound):
        next(collect(AwsBuckets(OPTIONS), [tmp_path / "a.json", tmp_path / "none"]))


# --- OSS

UID, USER_ID = "1234567890123456", "2098765432109876"
OSS: dict[str, Any] = {
    "Bucket": "replays",
    "Region": "oss-eu-central-1",
    "AccessControlPolicy": {
        "Owner": {"ID": UID, "DisplayName": UID},
        "AccessControlList": {"Grant": "private"},
    },
    "Policy": {
        "Version": "1",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["oss:GetObject"],
                "Principal": [USER_ID],
                "Resource": [f"acs:oss:*:{UID}:replays/*"],
            }
        ],
    },
}


def oss(folder: Path, **changes: Any) -> dict[str, Any]:
    return data(run_on(OssBuckets(OPTIONS), folder, json.dumps({**OSS, **changes}), "oss.json"))


def test_a_bucket_of_oss_becomes_a_snapshot(tmp_path: Path) -> None:
    found = oss(tmp_path)
    assert found["resource"] == "acs:oss:::replays"
    assert (found["public"], found["external_principals"]) == (False, [USER_ID])
    assert found["grants"] == [
        {
            "principal": UID,
            "kind": "account",
            "actions": ["oss:*"],
            "effect": "allow",
            "source": "ACL: owner",
        },
        {
            "principal": USER_ID,
            "kind": "unknown",
            "actions": ["oss:GetObject"],
            "resource": "acs:oss:*:*:replays/*",
            "effect": "allow",
            "source": "bucket policy",
        },
    ]


@pytest.mark.parametrize(
    ("acl", "actions"),
    [
        ("public-read", ["oss:GetObject", "oss:ListObjects"]),
        (
            "public-read-write",
            [
                "oss:AbortMultipartUpload",
                "oss:DeleteObject",
                "oss:GetObject",
                "oss:ListObjects",
                "oss:PutObject",
            ],
        ),
    ],
)
def test_a_public_list_of_oss_is_the_public(tmp_path: Path, acl: str, actions: list[str]) -> None:
    found = oss(tmp_path, Acl=acl)
    assert found["public"] is True
    assert [g["actions"] for g in found["grants"] if g["principal"] == "*"] == [actions]
    for level in ("PublicAccessBlockConfiguration", "AccountPublicAccessBlockConfiguration"):
        for on in (True, "true"):
            assert oss(tmp_path, Acl=acl, **{level: {"BlockPublicAccess": on}})["public"] is False
        for off in (False, "false"):
            assert oss(tmp_path, Acl=acl, **{level: {"BlockPublicAccess": off}})["public"] is True


def test_a_snapshot_of_oss_names_the_calls_that_were_asked(tmp_path: Path) -> None:
    asked = oss(tmp_path, Policy=None, AccountPublicAccessBlockConfiguration=None)
    assert asked["api_call"] == "oss:GetBucketAcl oss:GetBucketPolicy oss:GetPublicAccessBlock"


def test_the_list_of_oss_may_stand_as_its_command_line_prints_it(tmp_path: Path) -> None:
    printed = {"AccessControlList": {"Grant": "public-read"}, "Owner": {"DisplayName": UID, "ID": UID}}
    record = json.dumps({"Bucket": "replays", "Policy": None, **printed})
    found = data(run_on(OssBuckets(OPTIONS), tmp_path, record, "oss.json"))
    assert (found["public"], found["owner"], found["completeness"]) == (True, UID, "complete")


@pytest.mark.parametrize("flag", [1, "True", None, [], {}], ids=str)
def test_a_block_that_is_neither_on_nor_off_is_set_aside(tmp_path: Path, flag: Any) -> None:
    record = json.dumps({**OSS, "PublicAccessBlockConfiguration": {"BlockPublicAccess": flag}})
    outcomes = run_on(OssBuckets(OPTIONS), tmp_path, record, "oss.json")
    assert "BlockPublicAccess: true or false" in reasons(outcomes)[1]


def test_an_unknown_list_of_oss_is_set_aside(tmp_path: Path) -> None:
    outcomes = run_on(
        OssBuckets(OPTIONS), tmp_path, json.dumps({"Bucket": "replays", "Acl": "Public"}), "o.json"
    )
    assert "an unknown ACL" in reasons(outcomes)[1]


def test_a_bucket_of_oss_without_policy_is_private_and_one_that_was_not_asked_is_not_known(
    tmp_path: Path,
) -> None:
    assert oss(tmp_path, Policy=None)["public"] is False
    record = {name: value for name, value in OSS.items() if name != "Policy"}
    found = data(run_on(OssBuckets(OPTIONS), tmp_path, json.dumps(record), "oss.json"))
    assert ("public" in found, found["completeness"]) == (False, "best-effort")


# --- RAM

RAM: dict[str, Any] = {
    "AccountId": UID,
    "Policy": {"PolicyName": "replay-readers", "PolicyType": "Custom"},
    "DefaultPolicyVersion": {
        "VersionId": "v2",
        "PolicyDocument": json.dumps(
            {
                "Version": "1",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "oss:Get*",
                        "Resource": f"acs:oss:cn-hangzhou:{UID}:replays/*",
                    }
                ],
            }
        ),
    },
}


def ram(folder: Path, **changes: Any) -> dict[str, Any]:
    return data(run_on(RamPolicies(OPTIONS), folder, json.dumps({**RAM, **changes}), "ram.json"))


def test_a_policy_of_ram_grants_to_itself_until_it_is_attached(tmp_path: Path) -> None:
    (grant,) = ram(tmp_path)["grants"]
    assert (grant["principal"], grant["kind"]) == (f"acs:ram::{UID}:policy/replay-readers", "policy")
    attached = {"Users": {"User": [{"UserName": "ann"}]}, "Roles": {"Role": [{"RoleName": "ingest"}]}}
    found = ram(tmp_path, **attached)
    assert {g["principal"] for g in found["grants"]} == {
        f"acs:ram::{UID}:user/ann",
        f"acs:ram::{UID}:role/ingest",
    }
    assert {g["resource"] for g in found["grants"]} == {"acs:oss:*:*:replays/*"}
    assert (found["public"], found["external_principals"]) == (False, [])


def test_a_policy_of_the_provider_has_its_own_account(tmp_path: Path) -> None:
    policy = {"PolicyName": "AliyunOSSReadOnlyAccess", "PolicyType": "System"}
    assert ram(tmp_path, Policy=policy)["resource"] == "acs:ram::system:policy/AliyunOSSReadOnlyAccess"


@pytest.mark.parametrize(
    "change",
    [
        {"Policy": {}},
        {"DefaultPolicyVersion": {}},
        {"DefaultPolicyVersion": {"PolicyDocument": "{}"}},
        {"Users": {"User": [{}]}},
    ],
    ids=str,
)
def test_what_is_no_policy_of_ram_is_set_aside(tmp_path: Path, change: dict[str, Any]) -> None:
    outcomes = run_on(RamPolicies(OPTIONS), tmp_path, json.dumps({**RAM, **change}), "ram.json")
    assert len(reasons(outcomes)) == 1
