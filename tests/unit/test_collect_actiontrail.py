"""ActionTrail: an array, lines or one event; every real shape becomes an access."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from support.collecting import assert_hidden, data, event, events, reasons, run, run_on

from ledger import canonical
from ledger.collect import ActionTrail
from ledger.types import Digest

EVENT: dict[str, Any] = {
    "eventId": "5D8B4A4B-74EF-4BC5-9D8B-BD8A1B913142",
    "eventVersion": 1,
    "eventTime": "2026-07-01T12:00:03Z",
    "eventName": "GetBucketAcl",
    "eventType": "ApiCall",
    "eventRW": "Read",
    "eventSource": "oss-cn-hangzhou.aliyuncs.com",
    "serviceName": "Oss",
    "acsRegion": "cn-hangzhou",
    "recipientAccountId": "1657136100000001",
    "sourceIpAddress": "198.51.100.7",
    "userAgent": "aliyun-cli/3.0",
    "userIdentity": {
        "type": "ram-user",
        "principalId": "216000000000000000",
        "accountId": "1657136100000001",
        "userName": "ann",
    },
    "resourceType": "ACS::OSS::Bucket",
    "resourceName": "replays",
    "requestParameters": {"SecurityToken": "5eCret"},
}
LINE = json.dumps(EVENT).encode()
TEXT = json.dumps(LINE.decode()).encode()


def one(folder: Path, **changes: Any) -> dict[str, Any]:
    record = {name: value for name, value in {**EVENT, **changes}.items() if value is not None}
    return data(run_on(ActionTrail(), folder, json.dumps(record)))


def test_an_event_becomes_an_access(tmp_path: Path) -> None:
    assert event(run_on(ActionTrail("live-1"), tmp_path, LINE)) == {
        "specversion": "1.0",
        "id": EVENT["eventId"],
        "source": "/aliyun/actiontrail/1657136100000001/cn-hangzhou",
        "type": "transfer-ledger.access.v1",
        "subject": "live-1",
        "time": "2026-07-01T12:00:03Z",
        "phase": "storage",
        "data": {
            "principal": "acs:ram::1657136100000001:ann",
            "principal_type": "ram-user",
            "principal_account": "1657136100000001",
            "action": "oss:GetBucketAcl",
            "resource": "ACS::OSS::Bucket/replays",
            "resource_account": "1657136100000001",
            "outcome": "allowed",
            "source_address": "198.51.100.7",
            "read_only": True,
            "region": "cn-hangzhou",
            "user_agent": "aliyun-cli/3.0",
            "source_system": "aliyun.actiontrail",
            "completeness": "best-effort",
            "class_uid": 6003,
            "raw_sha256": Digest.of(canonical.encode(EVENT)).hex(),
        },
    }


def test_nothing_personal_stands_in_the_entry(tmp_path: Path) -> None:
    found = event(run_on(ActionTrail(), tmp_path, LINE))
    assert_hidden(found, ":ann", "198.51.100.7", "aliyun-cli", "replays")
    assert "5eCret" not in str(found)


@pytest.mark.parametrize(
    "content",
    [
        b"[%s,%s]" % (LINE, LINE),
        b"\xef\xbb\xbf [\r\n%s\n,\n%s\n]\n" % (LINE, LINE),
        b"%s\r\n\n%s" % (LINE, LINE),
        gzip.compress(b"[%s,%s]" % (LINE, LINE)),
        b'{"event":%s}\n{"event":%s}\n' % (LINE, LINE),
        b'{"__topic__":"actiontrail_audit_event","event":%s,"__time__":1}\n' % TEXT * 2,
        b'{"EndTime":"2026-07-02T00:00:00Z","Events":[%s,%s],"NextToken":"a"}' % (LINE, LINE),
    ],
    ids=["array", "array-spread", "lines", "packed", "log-service", "log-service-text", "looked-up"],
)
def test_every_shape_gives_the_same_events(tmp_path: Path, content: bytes) -> None:
    one, two = events(run_on(ActionTrail(), tmp_path, content))
    assert one == two == event(run_on(ActionTrail(), tmp_path, json.dumps(EVENT, indent=2)))


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"errorCode": "NoPermission"}, "refused"),
        ({"errorCode": "Forbidden.RAM"}, "refused"),
        ({"errorCode": "InvalidAccessKeyId.NotFound"}, "refused"),
        ({"errorCode": "Throttling.User"}, "failed"),
        ({"errorCode": "InvalidInstanceId.NotFound"}, "failed"),
        ({"eventType": "ConsoleSignin", "errorMessage": "wrong password"}, "refused"),
        ({"eventType": "ConsoleSignin", "errorMessage": "success"}, "allowed"),
        ({"eventType": "ConsoleSignin", "errorMessage": ""}, "allowed"),
    ],
)
def test_refused_is_access_control_and_failed_is_all_other_errors(
    tmp_path: Path, changes: dict[str, str], outcome: str
) -> None:
    found = one(tmp_path, **changes)
    assert (found["outcome"], found.get("reason")) == (outcome, changes.get("errorCode"))


@pytest.mark.parametrize(
    ("identity", "principal"),
    [
        (
            {"type": "root-account", "principalId": "1657", "accountId": "1657", "userName": "root"},
            "acs:ram::1657:root",
        ),
        ({"type": "assumed-role", "principalId": "35:session"}, "35:session"),
        ({"accountId": "1657"}, "1657"),
        (None, "oss-cn-hangzhou.aliyuncs.com"),
    ],
)
def test_the_principal_is_named_as_well_as_the_event_does(
    tmp_path: Path, identity: Any, principal: str
) -> None:
    assert one(tmp_path, userIdentity=identity)["principal"] == principal


def test_members_that_an_event_does_not_tell_are_left_out(tmp_path: Path) -> None:
    found = one(tmp_path, eventRW=None, resourceType=None, acsRegion=None, eventType="AliyunServiceEvent")
    assert found["resource"] == "replays"
    assert not {"read_only", "region", "class_uid", "tls_version"} & set(found)


def test_resources_that_are_only_listed_are_named_all(tmp_path: Path) -> None:
    listed = {"ACS::ECS::Instance": ["i-1", "i-2"], "ACS::ECS::Disk": ["d-1"], "odd": None}
    found = one(tmp_path, resourceType=None, resourceName=None, referencedResources=listed)
    assert found["resource"] == "ACS::ECS::Instance/i-1,i-2;ACS::ECS::Disk/d-1"
    assert "resource" not in one(tmp_path, resourceType=None, resourceName=None, referencedResources={})


def test_delivered_files_are_found_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "AliyunLogs" / "Actiontrail" / "cn-hangzhou" / "2026" / "07" / "01"
    folder.mkdir(parents=True)
    name = "Actiontrail_cn-hangzhou_20260701120003_1002_1_900_0123456789abcdef0123456789abcdef.gz"
    (folder / name).write_bytes(gzip.compress(b"[%s]" % LINE))
    assert len(events(run(ActionTrail(), tmp_path))) == 1


def test_what_is_no_event_is_set_aside_and_the_others_stand(tmp_path: Path) -> None:
    bad = {
        2: (b"{}", "not an ActionTrail event"),
        3: (LINE.replace(b"eventTime", b"when"), "not an ActionTrail event"),
        4: (LINE.replace(b"5D8B4A4B", b"ann@example.com "), "id: expected"),
        5: (LINE.replace(b"eventName", b"name"), "data.action: missing"),
        6: (b"\x00\xff", "not UTF-8"),
        7: (LINE[:100], "not JSON"),
    }
    outcomes = run_on(ActionTrail(), tmp_path, b"\n".join([LINE, *(line for line, _ in bad.values()), LINE]))
    assert list(reasons(outcomes)) == list(bad)
    assert all(bad[number][1] in reason for number, reason in reasons(outcomes).items())
    assert len(events([outcomes[0], outcomes[-1]])) == 2


@pytest.mark.parametrize(
    ("content", "bad"),
    [
        (b"", {}),
        (b"[]", {}),
        (b"[%s" % LINE, {1: "the file ends before its array does"}),
        (b"[%s]}" % LINE, {2: "text after the last record"}),
        (b"[%s],[" % LINE, {2: "text after the last record"}),
        (b"{\n%s" % LINE, {1: "the file ends within this record"}),
    ],
)
def test_a_file_out_of_shape_says_where(tmp_path: Path, content: bytes, bad: dict[int, str]) -> None:
    found = reasons(run_on(ActionTrail(), tmp_path, content))
    assert list(found) == list(bad)
    assert all(bad[number] in reason for number, reason in found.items())
