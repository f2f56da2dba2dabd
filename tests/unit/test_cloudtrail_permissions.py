"""Calls that change a bucket's policy give a permission snapshot beside the access."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.collecting import assert_hidden, entry, events, reasons, run, run_on
from support.shared_data import shared_file
from support.stores import event as committed

from ledger import canonical
from ledger.catalogue import ACCESS, PERMISSION_SNAPSHOT
from ledger.collect import CloudTrail
from ledger.entry import Phase, parse_event
from ledger.permissions import (
    GrantUse,
    Judgement,
    Owner,
    Snapshot,
    Verdict,
    difference,
    in_words,
    parse_grants,
    reconcile,
)
from ledger.projections.access import access_record
from ledger.projections.snapshots import snapshot_record
from ledger.records import AccessRecord
from ledger.types import Digest

ME, OTHER = "111122223333", "444455556666"
ARN = "arn:aws:s3:::ann-lee-replays"
STATEMENT = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
    "Action": "s3:GetObject",
    "Resource": f"{ARN}/*",
}
POLICY = {"Version": "2012-10-17", "Statement": [STATEMENT]}
RECORD: dict[str, Any] = {
    "eventVersion": "1.08",
    "eventID": "6a7c2a58-90ff-4c3e-8bf7-5b0ec27ed2c5",
    "eventTime": "2026-07-01T12:00:01Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "PutBucketPolicy",
    "eventType": "AwsApiCall",
    "awsRegion": "eu-west-1",
    "recipientAccountId": ME,
    "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ME}:user/b", "accountId": ME},
    "requestParameters": {"bucketName": "ann-lee-replays", "bucketPolicy": POLICY, "policy": ""},
    "resources": [{"accountId": ME, "type": "AWS::S3::Bucket", "ARN": ARN}],
}
BUCKET = {"bucketName": "ann-lee-replays"}


def of(folder: Path, collector: CloudTrail | None = None, **changes: Any) -> list[dict[str, Any]]:
    """The events of RECORD, changed; None takes a member away."""
    record = {name: value for name, value in {**RECORD, **changes}.items() if value is not None}
    return events(run_on(collector or CloudTrail(), folder, json.dumps(record) + "\n", "log.ndjson"))


def put(folder: Path, policy: Any) -> dict[str, Any]:
    """The `data` of the snapshot beside the access that put this policy."""
    access, snapshot = of(folder, requestParameters={**BUCKET, "bucketPolicy": policy})
    assert (access["type"], access["data"]["action"]) == (ACCESS.name, "s3:PutBucketPolicy")
    return dict(snapshot["data"])


# --- One record


def test_a_policy_that_was_put_is_a_snapshot_beside_the_access(tmp_path: Path) -> None:
    access, snapshot = of(tmp_path, CloudTrail(subject="live-1", phase=Phase.TRANSIT))
    assert (access["type"], access["id"]) == (ACCESS.name, RECORD["eventID"])
    assert snapshot == {
        "specversion": "1.0",
        "id": f"{RECORD['eventID']}:permissions",
        "source": f"/aws/cloudtrail/{ME}/eu-west-1",
        "type": PERMISSION_SNAPSHOT.name,
        "subject": "live-1",
        "time": "2026-07-01T12:00:01Z",
        "phase": "transit",
        "data": {
            "resource": ARN,
            "api_call": "s3:PutBucketPolicy",
            "region": "eu-west-1",
            "owner": ME,
            "external_principals": [f"arn:aws:iam::{OTHER}:root"],
            "grants": [
                {
                    "principal": f"arn:aws:iam::{OTHER}:root",
                    "kind": "account",
                    "actions": ["s3:GetObject"],
                    "resource": f"{ARN}/*",
                    "effect": "allow",
                    "source": "bucket policy",
                }
            ],
            "source_system": "aws.cloudtrail",
            "completeness": "best-effort",
            "raw_sha256": Digest.of(canonical.encode(RECORD)).hex(),
        },
    }


def test_nothing_of_the_bucket_stands_in_the_entry(tmp_path: Path) -> None:
    _, snapshot = of(tmp_path)
    assert_hidden(snapshot, "ann-lee", OTHER, "s3:GetObject")
    assert ME in entry(snapshot), "the trail's account is part of the source, as with every access"


def test_a_policy_that_lets_everybody_in_is_public(tmp_path: Path) -> None:
    assert put(tmp_path, {"Statement": {**STATEMENT, "Principal": "*"}})["public"] is True


def test_no_word_is_said_of_a_public_that_a_list_might_let_in(tmp_path: Path) -> None:
    assert "public" not in put(tmp_path, POLICY)


@pytest.mark.parametrize("call", ["DeleteBucketPolicy", "CreateBucket"])
def test_a_bucket_without_policy_has_no_grants(tmp_path: Path, call: str) -> None:
    _, snapshot = of(tmp_path, eventName=call, requestParameters=BUCKET, resources=None)
    found = snapshot["data"]
    assert (found["resource"], found["grants"], found["external_principals"]) == (ARN, [], [])
    assert (found["api_call"], found["owner"]) == (f"s3:{call}", ME)
    assert "public" not in found


def test_a_bucket_that_was_there_already_is_not_made_new(tmp_path: Path) -> None:
    """In us-east-1 making it again succeeds and leaves its policy: a snapshot without grants would hide it."""
    assert len(of(tmp_path, eventName="CreateBucket", awsRegion="us-east-1", requestParameters=BUCKET)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"errorCode": "AccessDenied"},
        {"errorCode": "MalformedPolicy", "errorMessage": "Invalid principal in policy"},
        {"errorMessage": "Failed"},
        {"eventName": "GetBucketPolicy"},
        {"eventName": "PutBucketAcl"},
        {"eventSource": "s3express.amazonaws.com"},
        {"requestParameters": {"bucketPolicy": POLICY}},
        {"requestParameters": None},
    ],
    ids=str,
)
def test_other_calls_and_failed_ones_are_accesses_only(tmp_path: Path, changes: dict[str, Any]) -> None:
    (access,) = of(tmp_path, **changes)
    assert access["type"] == ACCESS.name


@pytest.mark.parametrize(
    "policy",
    [
        {"omitted": True, "originalSize": 250_000, "reason": "too large"},
        {"Statement": [{**STATEMENT, "Effect": "Maybe"}]},
        {"Statement": [{**STATEMENT, "Resource": "x" * 9000}]},
        {"Statement": [{**STATEMENT, "Resource": [f"{ARN}/{n}/*" for n in range(2000)]}]},
        "{",
        None,
    ],
    ids=["omitted", "no policy", "a long text", "many grants", "no json", "none"],
)
def test_a_policy_that_was_not_read_clears_nobody_and_loses_no_access(tmp_path: Path, policy: Any) -> None:
    found = put(tmp_path, policy)
    assert found["grants"] == [
        {
            "principal": "*",
            "kind": "unknown",
            "actions": [],
            "effect": "allow",
            "source": "bucket policy, which could not be read",
        }
    ]
    assert "public" not in found


def test_the_owner_is_whom_the_record_names_and_not_a_caller_from_another_account(tmp_path: Path) -> None:
    """The caller's trail holds the call as well; in it the caller must not pass for the owner."""
    _, snapshot = of(tmp_path, recipientAccountId=OTHER)
    assert snapshot["source"] == f"/aws/cloudtrail/{OTHER}/eu-west-1"
    assert snapshot["data"]["owner"] == ME
    assert snapshot["data"]["external_principals"] == [f"arn:aws:iam::{OTHER}:root"]


def test_a_bucket_in_china_has_the_partition_of_china(tmp_path: Path) -> None:
    _, snapshot = of(tmp_path, awsRegion="cn-north-1", resources=None)
    assert snapshot["data"]["resource"] == "arn:aws-cn:s3:::ann-lee-replays"


def test_a_record_that_is_set_aside_gives_no_snapshot_either(tmp_path: Path) -> None:
    record = json.dumps({**RECORD, "eventID": "b@example.com"}) + "\n"
    outcomes = run_on(CloudTrail(), tmp_path, record, "log.ndjson")
    assert len(outcomes) == len(reasons(outcomes)) == 1


# --- The exercise

ATTACKED, ATTACKER = "arn:aws:s3:::stratus-red-team-bdbp-lhfzvgcamn", "193672423079"
VICTIM = Owner(frozenset({"123837392027"}))


@pytest.fixture(scope="module")
def exercise() -> list[dict[str, Any]]:
    outcomes = run(CloudTrail(), shared_file("cloudtrail", "stratus-attack"))
    assert len(outcomes) == 2900
    return sorted(events(outcomes), key=lambda event: str(event["time"]))


def of_type(found: list[dict[str, Any]], type: str) -> Iterator[Any]:
    """The projected records of the events of one type, in order."""
    record = access_record if type == ACCESS.name else snapshot_record
    for position, value in enumerate(found):
        if value["type"] == type:
            event = parse_event(value)
            of = {name: getattr(event, name) for name in ("type", "phase", "subject", "time")}
            yield record(committed(position, **of), event)


def test_every_record_comes_out_once_and_some_tell_more(exercise: list[dict[str, Any]]) -> None:
    """Counted in the records: 5 buckets made, 3 policies put, 1 deleted, all of them done."""
    assert Counter(e["type"] for e in exercise) == {ACCESS.name: 2900, PERMISSION_SNAPSHOT.name: 9}
    assert len({(e["source"], e["id"]) for e in exercise}) == 2909


def test_the_outside_account_comes_and_goes(exercise: list[dict[str, Any]]) -> None:
    snapshots = [e["data"] for e in exercise if e["type"] == PERMISSION_SNAPSHOT.name]
    attacked = [data for data in snapshots if data["resource"] == ATTACKED]
    assert [(d["api_call"], d["external_principals"]) for d in attacked] == [
        ("s3:CreateBucket", []),
        ("s3:PutBucketPolicy", [f"arn:aws:iam::{ATTACKER}:root"]),
        ("s3:DeleteBucketPolicy", []),
    ]
    before, during, after = (parse_grants(d["grants"]) for d in attacked)
    assert before == after == ()
    actions = "s3:GetBucketLocation, s3:GetObject, s3:ListBucket"
    assert in_words(difference(before, during)) == [
        f"arn:aws:iam::{ATTACKER}:root may now {actions} on {where}." for where in (ATTACKED, f"{ATTACKED}/*")
    ]
    assert in_words(difference(during, after)) == [
        f"arn:aws:iam::{ATTACKER}:root may no longer {actions} on {where}."
        for where in (ATTACKED, f"{ATTACKED}/*")
    ]


def test_its_grant_was_never_used(exercise: list[dict[str, Any]]) -> None:
    snapshots = [Snapshot.of(record) for record in of_type(exercise, PERMISSION_SNAPSHOT.name)]
    accesses: list[AccessRecord] = list(of_type(exercise, ACCESS.name))
    found = list(reconcile([s for s in snapshots if s], accesses, VICTIM))
    uses = [u for u in found if isinstance(u, GrantUse) and u.resource == ATTACKED]
    assert [(u.grant.principal, u.uses) for u in uses] == [(f"arn:aws:iam::{ATTACKER}:root", 0)] * 2
    assert {(u.until or 0) - u.since for u in uses} == {343_000}
    judged = [j for j in found if isinstance(j, Judgement)]
    assert len(judged) == 2900
    # What a policy permitted in the exercise is CloudTrail itself looking at the buckets of its own trails.
    explained = {(j.verdict, j.access.principal, j.access.action) for j in judged if j.grants}
    assert explained == {(Verdict.PERMITTED, "cloudtrail.amazonaws.com", "s3:GetBucketAcl")}
    assert not [j for j in judged if j.verdict is Verdict.NOT_PERMITTED]
