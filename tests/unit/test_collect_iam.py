"""IAM: every user, group, role and policy of a real account, and made-up ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.collecting import entry, events, reasons, run, run_on
from support.shared_data import shared_file

from ledger.collect.aws_iam import AwsIam
from ledger.collect.snapshots import ResourceKeys, SnapshotOptions
from ledger.permissions import difference, parse_grants

ME = "111122223333"
OPTIONS = SnapshotOptions(ResourceKeys(b"sixteen bytes or more"), "2026-07-01T12:00:00Z")
REAL = ("iam", "account-authorization-details.json")


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]}


def arn(rest: str) -> str:
    return f"arn:aws:iam::{ME}:{rest}"


READ = document({"Action": "s3:Get*", "Resource": "*"})
EXPORT: dict[str, Any] = {
    "UserDetailList": [
        {
            "UserName": "ann",
            "UserId": "AIDAEXAMPLE000000001",
            "Arn": arn("user/ann"),
            "GroupList": ["media"],
            "UserPolicyList": [{"PolicyName": "own", "PolicyDocument": quote(json.dumps(READ))}],
            "AttachedManagedPolicies": [{"PolicyName": "readers", "PolicyArn": arn("policy/readers")}],
        }
    ],
    "GroupDetailList": [
        {
            "GroupName": "media",
            "GroupId": "AGPAEXAMPLE000000001",
            "Arn": arn("group/media"),
            "GroupPolicyList": [
                {"PolicyName": "in", "PolicyDocument": document({"NotAction": "iam:*", "Resource": "*"})}
            ],
            "AttachedManagedPolicies": [],
        }
    ],
    "RoleDetailList": [
        {
            "RoleName": "ingest",
            "RoleId": "AROAEXAMPLE000000001",
            "Arn": arn("role/team/ingest"),
            "AssumeRolePolicyDocument": document(
                {"Action": "sts:AssumeRole", "Principal": {"AWS": "444455556666"}}
            ),
            "RolePolicyList": [],
            "AttachedManagedPolicies": [{"PolicyName": "readers", "PolicyArn": arn("policy/readers")}],
            "PermissionsBoundary": {
                "PermissionsBoundaryType": "Policy",
                "PermissionsBoundaryArn": arn("policy/readers"),
            },
        }
    ],
    "Policies": [
        {
            "PolicyName": "readers",
            "PolicyId": "ANPAEXAMPLE000000001",
            "Arn": arn("policy/readers"),
            "PolicyVersionList": [
                {"VersionId": "v2", "IsDefaultVersion": True, "Document": READ},
                {
                    "VersionId": "v1",
                    "IsDefaultVersion": False,
                    "Document": document({"Action": "*", "Resource": "*"}),
                },
            ],
        }
    ],
}


def of(folder: Path, export: dict[str, Any] = EXPORT) -> dict[str, dict[str, Any]]:
    """The `data` of each, by what comes before the slash of its resource."""
    found = events(run_on(AwsIam(OPTIONS), folder, json.dumps(export, indent=4), "iam.json"))
    return {e["data"]["resource"].split(":")[5].split("/")[0]: e["data"] for e in found}


# --- The real account


def test_every_user_group_role_and_policy_of_the_real_account_is_accounted_for() -> None:
    found = events(run(AwsIam(OPTIONS), shared_file(*REAL)))
    kinds = Counter(e["data"]["resource"].split(":")[5].split("/")[0] for e in found)
    assert kinds == {"user": 44, "group": 5, "role": 78, "policy": 84}
    assert len({(e["source"], e["id"]) for e in found}) == len({e["data"]["resource"] for e in found}) == 211
    assert {e["data"]["completeness"] for e in found} == {"complete"}


def test_every_statement_of_the_real_account_is_in_a_grant() -> None:
    export = json.loads(shared_file(*REAL).read_bytes())
    by_resource = {
        e["data"]["resource"]: e["data"]["grants"] for e in events(run(AwsIam(OPTIONS), shared_file(*REAL)))
    }
    for policy in export["Policies"]:
        (default,) = [v for v in policy["PolicyVersionList"] if v["IsDefaultVersion"]]
        granted = by_resource[policy["Arn"]]
        for statement in default["Document"]["Statement"]:
            listed = statement.get("Action", "*")
            actions = sorted({listed} if isinstance(listed, str) else set(listed))
            resources = (
                statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            )
            for resource in resources:
                assert [g for g in granted if g["actions"] == actions and g["resource"] == resource]
    for role in export["RoleDetailList"]:
        assert [g for g in by_resource[role["Arn"]] if g["source"] == "trust policy"]


def test_the_outsiders_whom_the_real_account_trusts_are_found() -> None:
    found = events(run(AwsIam(OPTIONS), shared_file(*REAL)))
    outsiders = {p for e in found for p in e["data"]["external_principals"]}
    trusted = "arn:aws:iam::072528804237:"
    stacksets = "role/aws-service-role/stacksets.cloudformation.amazonaws.com/"
    assert outsiders == {
        f"{trusted}root",
        f"{trusted}{stacksets}AWSServiceRoleForCloudFormationStackSetsOrgAdmin",
    }
    assert not any(e["data"]["public"] for e in found)


def test_no_entry_of_the_real_account_names_anybody() -> None:
    export = json.loads(shared_file(*REAL).read_bytes())
    names = [user["UserName"] for user in export["UserDetailList"]] + ["codsec.io"]
    for event in events(run(AwsIam(OPTIONS), shared_file(*REAL))):
        committed = entry(event)
        assert not [name for name in names if name in committed]


def test_an_id_that_is_not_iam_s_own_could_be_a_name_and_needs_a_key() -> None:
    found = events(run(AwsIam(OPTIONS), shared_file(*REAL)))
    names = {e["data"]["resource"].rpartition("/")[2] for e in found}
    assert not [e["id"] for e in found if any(name in e["id"] for name in names)]
    plain = AwsIam(SnapshotOptions(ResourceKeys.plain(), "2026-07-01T12:00:00Z"))
    outcomes = run(plain, shared_file(*REAL))
    assert len(reasons(outcomes)) == 10
    assert all("cannot stand in an id" in reason for reason in reasons(outcomes).values())


# --- Made-up accounts


def test_a_user_has_its_own_grants_and_those_of_its_groups(tmp_path: Path) -> None:
    assert [(g["source"], g["actions"]) for g in of(tmp_path)["user"]["grants"]] == [
        ("inline policy own", ["s3:Get*"]),
        (f"managed policy {arn('policy/readers')}", ["s3:Get*"]),
        ("group media: inline policy in", ["*"]),
    ]


def test_a_role_has_its_trust_and_its_boundary(tmp_path: Path) -> None:
    role = of(tmp_path)["role"]
    held, trust = role["grants"]
    assert held["condition"] == {"PermissionsBoundary": arn("policy/readers")}
    assert (trust["principal"], trust["actions"], trust["resource"]) == (
        "arn:aws:iam::444455556666:root",
        ["sts:AssumeRole"],
        arn("role/team/ingest"),
    )
    assert role["external_principals"] == ["arn:aws:iam::444455556666:root"]


def test_only_the_default_version_of_a_policy_counts(tmp_path: Path) -> None:
    (grant,) = of(tmp_path)["policy"]["grants"]
    assert (grant["principal"], grant["kind"], grant["actions"]) == (
        arn("policy/readers"),
        "policy",
        ["s3:Get*"],
    )


def test_what_the_export_lacks_is_known_to_be_unknown(tmp_path: Path) -> None:
    found = of(tmp_path, {**EXPORT, "Policies": [], "GroupDetailList": []})
    assert found["user"]["completeness"] == "best-effort"
    assert [(g["source"], g["actions"]) for g in found["user"]["grants"]] == [
        ("group media, not in the export", []),
        (f"managed policy {arn('policy/readers')}, not in the export", []),
        ("inline policy own", ["s3:Get*"]),
    ]


def test_a_policy_that_gains_a_version_is_a_difference_of_all_who_hold_it(tmp_path: Path) -> None:
    wider = json.loads(json.dumps(EXPORT))
    for version in wider["Policies"][0]["PolicyVersionList"]:
        version["IsDefaultVersion"] = not version["IsDefaultVersion"]
    before, after = of(tmp_path), of(tmp_path, wider)
    for name in ("user", "role", "policy"):
        found = difference(parse_grants(before[name]["grants"]), parse_grants(after[name]["grants"]))
        assert [c.after.actions for c in found.widened] == [("*",)], name


@pytest.mark.parametrize(
    "change",
    [
        {"Policies": None},
        {"UserDetailList": {}},
        {"RoleDetailList": ["x"]},
        {"Policies": [{"Arn": "a", "PolicyVersionList": []}]},
    ],
    ids=str,
)
def test_what_is_no_export_is_set_aside_as_a_whole(tmp_path: Path, change: dict[str, Any]) -> None:
    export = {name: value for name, value in {**EXPORT, **change}.items() if value is not None}
    assert len(reasons(run_on(AwsIam(OPTIONS), tmp_path, json.dumps(export), "iam.json"))) == 1


def test_one_bad_policy_costs_only_its_holder(tmp_path: Path) -> None:
    bad = json.loads(json.dumps(EXPORT))
    bad["GroupDetailList"][0]["GroupPolicyList"][0]["PolicyDocument"]["Statement"][0]["Effect"] = "Maybe"
    outcomes = run_on(AwsIam(OPTIONS), tmp_path, json.dumps(bad), "iam.json")
    assert sorted(reasons(outcomes)) == [1, 2]
    assert len(outcomes) == 4
