"""CloudTrail: every real record becomes a valid event; what cannot be read is set aside, and nothing is lost."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.shared_data import shared_file

from ledger import canonical
from ledger.catalogue import ACCESS, check_event
from ledger.collect import CloudTrail, Collected, Outcome, SetAside, Tally, collect, files
from ledger.entry import Phase, parse_entry, parse_event
from ledger.errors import NotFound
from ledger.statement import commit_event, make_entry
from ledger.types import Digest, parse_origin, parse_party_id

RECORD: dict[str, Any] = {
    "eventVersion": "1.08",
    "eventID": "39d947ab-0336-476a-bdec-06f204aacf86",
    "eventTime": "2023-07-10T12:12:01Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "GetObject",
    "eventType": "AwsApiCall",
    "awsRegion": "eu-west-1",
    "recipientAccountId": "111122223333",
    "sourceIPAddress": "198.51.100.7",
    "userAgent": "aws-cli/2",
    "readOnly": True,
    "userIdentity": {
        "type": "IAMUser",
        "arn": "arn:aws:iam::111122223333:user/b",
        "accountId": "111122223333",
    },
    "requestParameters": {"bucketName": "replays", "key": "2026/1.ts"},
    "additionalEventData": {"bytesTransferredOut": 4518.0, "CipherSuite": "ECDHE-RSA-AES128-GCM-SHA256"},
    "tlsDetails": {"tlsVersion": "TLSv1.2"},
}


def run(*paths: Path) -> list[Outcome]:
    tally = Tally()
    outcomes = list(tally.watch(collect(CloudTrail(), paths)))
    assert tally.read == len(outcomes) == tally.collected + tally.set_aside
    assert tally.set_aside == sum(tally.reasons.values())
    return outcomes


def accesses(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """The access of each record; what else a record tells, `test_cloudtrail_permissions` looks at."""
    return [outcome.events[0] for outcome in outcomes if isinstance(outcome, Collected)]


def reasons(outcomes: list[Outcome]) -> dict[str, str]:
    return {o.where.rsplit(":", 1)[1]: o.reason for o in outcomes if isinstance(o, SetAside)}


def data(**changes: Any) -> dict[str, Any]:
    """The `data` of RECORD, changed; None takes a member away."""
    record = {name: value for name, value in {**RECORD, **changes}.items() if value is not None}
    event = CloudTrail().event(json.dumps(record).encode())
    check_event(parse_event(event))
    found: Any = event["data"]
    return dict(found)


# --- The real records


@pytest.mark.parametrize(
    ("folder", "count"),
    [("stratus-attack", 2900), ("ec2-proxy-exfiltration", 103)],
    ids=["delivered", "ndjson"],
)
def test_every_real_record_becomes_a_valid_event(folder: str, count: int) -> None:
    outcomes = run(shared_file("cloudtrail", folder))
    events = [parse_event(event) for event in accesses(outcomes)]
    assert len(outcomes) == len(events) == count
    assert len({event.key for event in events}) == count
    assert {check_event(event) for event in events} == {ACCESS}


def test_the_attack_is_read_as_aws_logged_it() -> None:
    outcomes = run(shared_file("cloudtrail", "stratus-attack"))
    found: list[Any] = [event["data"] for event in accesses(outcomes)]
    # Counted in the records themselves: 44 UnauthorizedOperation and 16 AccessDenied of 300 error codes.
    assert Counter(d["outcome"] for d in found) == {"allowed": 2600, "failed": 240, "refused": 60}
    assert Counter(d.get("tls_version") for d in found) == {"1.2": 2096, "1.3": 199, None: 605}
    assert sum(d["read_only"] for d in found) == 2326


def test_no_entry_of_a_real_record_holds_who_what_or_where_from() -> None:
    salts = itertools.count()
    origin, party = parse_origin("ledger.example/acme-live"), parse_party_id("acme")
    for event in map(parse_event, accesses(run(shared_file("cloudtrail", "stratus-attack")))):
        statement = commit_event(event, ACCESS.visible, lambda: next(salts).to_bytes(16, "big"))
        entry = make_entry(statement, origin, party, event.time).decode()
        for name in ("principal", "action", "resource", "source_address", "user_agent", "raw_sha256"):
            assert str(event.data.get(name, "nothing")) not in entry
        assert parse_entry(entry.encode()).event(statement.disclosures) == event


def test_collecting_again_gives_the_same_events() -> None:
    folder = shared_file("cloudtrail", "ec2-proxy-exfiltration")
    assert run(folder) == run(folder)


# --- One record


def test_a_record_becomes_an_access() -> None:
    event = CloudTrail(subject="live-1", phase=Phase.TRANSIT).event(json.dumps(RECORD).encode())
    assert event == {
        "specversion": "1.0",
        "id": RECORD["eventID"],
        "source": "/aws/cloudtrail/111122223333/eu-west-1",
        "type": "transfer-ledger.access.v1",
        "subject": "live-1",
        "time": "2023-07-10T12:12:01Z",
        "phase": "transit",
        "data": {
            "principal": "arn:aws:iam::111122223333:user/b",
            "principal_type": "IAMUser",
            "principal_account": "111122223333",
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::replays/2026/1.ts",
            "outcome": "allowed",
            "source_address": "198.51.100.7",
            "tls_version": "1.2",
            "cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "bytes": 4518,
            "read_only": True,
            "region": "eu-west-1",
            "user_agent": "aws-cli/2",
            "source_system": "aws.cloudtrail",
            "completeness": "best-effort",
            "class_uid": 6003,
            "raw_sha256": Digest.of(canonical.encode(RECORD)).hex(),
        },
    }


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("AccessDenied", "refused"),
        ("AccessDeniedException", "refused"),
        ("Client.UnauthorizedOperation", "refused"),
        ("ThrottlingException", "failed"),
        ("NoSuchBucketPolicy", "failed"),
        ("Client.InvalidVpcID.NotFound", "failed"),
    ],
)
def test_refused_is_access_control_and_failed_is_all_other_errors(error: str, outcome: str) -> None:
    found = data(errorCode=error)
    assert (found["outcome"], found["reason"]) == (outcome, error)


def test_a_failed_sign_in_is_refused_though_it_has_no_error_code() -> None:
    found = data(eventType="AwsConsoleSignIn", responseElements={"ConsoleLogin": "Failure"})
    assert (found["outcome"], found["class_uid"]) == ("refused", 3002)
    details = {"serviceEventDetails": {"CredentialVerification": "Failure"}, "eventType": "AwsServiceEvent"}
    assert data(eventSource="signin.amazonaws.com", **details)["outcome"] == "refused"
    assert data(eventSource="backup.amazonaws.com", **details)["outcome"] == "allowed"


@pytest.mark.parametrize(
    ("identity", "principal"),
    [
        ({"type": "AWSService", "invokedBy": "rds.amazonaws.com"}, "rds.amazonaws.com"),
        ({"type": "IAMUser", "principalId": "AIDA1"}, "AIDA1"),
        (
            {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"},
            "ANONYMOUS_PRINCIPAL",
        ),
        ({"type": "IdentityCenterUser", "accountId": "1", "onBehalfOf": {"userId": "94d0"}}, "94d0"),
        ({}, "s3.amazonaws.com"),
        (None, "s3.amazonaws.com"),
    ],
)
def test_the_principal_is_named_as_well_as_the_record_does(identity: Any, principal: str) -> None:
    assert data(userIdentity=identity)["principal"] == principal


@pytest.mark.parametrize(
    ("changes", "resource"),
    [
        ({"resources": [{"ARNPrefix": "arn:aws:s3:::r/"}, {"ARN": "arn:aws:s3:::r"}]}, "arn:aws:s3:::r"),
        ({"requestParameters": {"bucketName": "r"}}, "arn:aws:s3:::r"),
        ({"requestParameters": {"secretId": "arn:aws:secretsmanager:::s"}}, "arn:aws:secretsmanager:::s"),
        ({"requestParameters": {"roleName": "r"}, "eventSource": "iam.amazonaws.com"}, "iam:roleName/r"),
        ({"requestParameters": None}, None),
    ],
)
def test_the_resource_is_told_from_what_the_record_names(
    changes: dict[str, Any], resource: str | None
) -> None:
    assert data(**changes).get("resource") == resource


BUCKET = {"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::r", "accountId": "444455556666"}
OBJECT = {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::r/1.ts"}
KEY = {
    "type": "AWS::KMS::Key",
    "ARN": "arn:aws:kms:eu-west-1:777788889999:key/1",
    "accountId": "777788889999",
}


@pytest.mark.parametrize(
    ("listed", "resource", "account"),
    [
        ([OBJECT, BUCKET], "arn:aws:s3:::r/1.ts", "444455556666"),
        ([BUCKET, OBJECT], "arn:aws:s3:::r/1.ts", "444455556666"),
        ([OBJECT, KEY], "arn:aws:s3:::r/1.ts", None),
        ([KEY], KEY["ARN"], "777788889999"),
        ([{"arn": KEY["ARN"], "accountId": "777788889999"}], KEY["ARN"], "777788889999"),
        ([{"ARN": ""}, "arn:aws:s3:::r", None], "arn:aws:s3:::replays/2026/1.ts", None),
    ],
)
def test_an_object_comes_before_its_bucket_and_belongs_to_the_bucket_s_account(
    listed: list[Any], resource: str, account: str | None
) -> None:
    found = data(resources=listed)
    assert (found["resource"], found.get("resource_account")) == (resource, account)


@pytest.mark.parametrize(
    ("written", "version"),
    [("TLSv1.3", "1.3"), ("TLSv1", "1.0"), ("TLSv1.1", "1.1"), ("SSLv3", "ssl3"), ("QUIC", None)],
)
def test_tls_versions_are_told_in_the_catalogue_s_words(written: str, version: str | None) -> None:
    assert data(tlsDetails={"tlsVersion": written}).get("tls_version") == version


def test_the_raw_digest_is_the_same_however_the_record_was_written_down() -> None:
    spread = json.dumps(dict(reversed(RECORD.items())), indent=2).encode()
    assert CloudTrail().event(spread) == CloudTrail().event(json.dumps(RECORD).encode())


def test_nothing_personal_stands_in_the_envelope_or_a_visible_member() -> None:
    event = CloudTrail().event(json.dumps(RECORD).encode())
    found: Any = event.pop("data")
    visible = json.dumps([event, {n: v for n, v in found.items() if n in ACCESS.visible}])
    for personal in ("user/b", "198.51.100.7", "aws-cli", "replays", found["raw_sha256"]):
        assert personal not in visible


def test_a_strange_account_or_region_stays_within_the_envelope_s_characters() -> None:
    event = CloudTrail().event(
        json.dumps(RECORD | {"awsRegion": "eu west/1?", "recipientAccountId": ""}).encode()
    )
    assert event["source"] == "/aws/cloudtrail/unknown/eu-west-1-"
    parse_event(event)


# --- Files


LINE = json.dumps(RECORD).encode()
SPREAD = json.dumps(RECORD, indent=4).encode()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b'{"Records":[%s,%s]}' % (LINE, LINE),
        b'\xef\xbb\xbf {\n "Records" : [\n%s\n,\n%s\n]\n}\n' % (LINE, LINE),
        b"%s\n%s\n" % (LINE, LINE),
        b"\xef\xbb\xbf%s\r\n\r\n%s" % (LINE, LINE),
        b"\xef\xbb\xbf\n[%s,\n%s]\n" % (LINE, LINE),
        b"%s\r\n%s" % (SPREAD, SPREAD),
        b'{"Records":[%s]}{"owner":"a","Records":[%s],"n":0}\n{"Records":[]}\n' % (LINE, LINE),
        b'{"v":{"Records":[0]},"page":["Records"],"Records":[%s,%s],"token":"a\\"]","n":[], "m" :null}'
        % (LINE, LINE),
    ],
    ids=[
        "records",
        "records-spread",
        "lines",
        "lines-crlf",
        "array",
        "objects-spread",
        "several",
        "not-first",
    ],
)
def test_every_shape_is_read_whatever_the_name_and_compressed_or_not(
    tmp_path: Path, content: bytes, packed: bool
) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(gzip.compress(content) if packed else content)
    outcomes = run(path)
    assert [type(o) for o in outcomes] == [Collected, Collected]
    assert outcomes[0].where == f"{path}:1"


def _logged(message: bytes) -> bytes:
    return json.dumps({"id": "36", "timestamp": 1688991121000, "message": message.decode()}).encode()


WRAPPED = {
    "looked-up": b'{"Events":[%s]}'
    % json.dumps({"EventId": RECORD["eventID"], "CloudTrailEvent": LINE.decode()}).encode(),
    "eventbridge": b'{"version":"0","id":"9f","detail-type":"AWS API Call via CloudTrail","detail":%s}'
    % LINE,
    "subscription": b'{"messageType":"DATA_MESSAGE","subscriptionFilters":["a"],"logEvents":[%s]}'
    % _logged(LINE),
    "filtered": b'{"events":[%s],"searchedLogStreams":[]}' % _logged(LINE),
}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED)
def test_what_carried_a_record_changes_nothing(tmp_path: Path, wrapped: bytes) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(LINE)
    bare = run(path)
    path.write_bytes(wrapped)
    assert run(path) == bare
    assert isinstance(bare[0], Collected)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"digestS3Object":"AWSLogs/1/CloudTrail-Digest/d.json.gz","logFiles":[]}', "a digest"),
        (json.dumps(RECORD | {"eventType": "AwsCloudTrailInsight"}).encode(), "an insight"),
        (_logged(b"START RequestId: 1"), "not JSON"),
        (b'{"detail-type":"Scheduled Event","detail":{}}', "not a CloudTrail record"),
    ],
)
def test_what_is_no_access_is_set_aside(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(line)
    assert reasons(run(path))["1"].startswith(reason)


@pytest.mark.parametrize("shape", ["records", "lines"])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"eventID": }', "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"17", "not a JSON object"),
        (b"{}", "not a CloudTrail record"),
        (LINE.replace(b'"eventID"', b'"id"'), "not a CloudTrail record"),
        (LINE.replace(b'"eventTime"', b'"when"'), "not a CloudTrail record"),
        (LINE.replace(b"39d947ab", b"b@example.com"), "id: expected an opaque id"),
        (LINE.replace(b"2023-07-10T", b"10/07/2023 "), "time: expected"),
        (LINE.replace(b'"eventName"', b'"name"'), "data.action: missing"),
        (LINE.replace(b"4518.0", b"9007199254740993"), "an integer out of range"),
        (LINE.replace(b"4518.0", b"1e999"), "a number out of range"),
        (LINE.replace(b"4518.0", b"1" * 5000), "an integer out of range"),
        (LINE.replace(b"4518.0", b"[" * 100 + b"]" * 100), "nested too deep"),
        (LINE.replace(b"4518.0", b"[" * 100_000 + b"]" * 100_000), "nested too deep"),
        (LINE.replace(b'"eventVersion"', b'"eventID"'), "a name stands twice"),
        (LINE.replace(b"aws-cli", b"\xff"), "not UTF-8"),
        (LINE.replace(b"aws-cli", b"\\ud800"), "lone surrogate"),
        (LINE.replace(b"aws-cli", b"x" * 9000), "data.user_agent: expected"),
    ],
)
def test_one_bad_record_is_set_aside_and_the_others_stand(
    tmp_path: Path, shape: str, bad: bytes, reason: str
) -> None:
    parts = [LINE, bad, LINE]
    path = tmp_path / "log.json"
    path.write_bytes(b'{"Records":[%s]}' % b",".join(parts) if shape == "records" else b"\n".join(parts))
    outcomes = run(path)
    assert [type(o) for o in outcomes] == [Collected, SetAside, Collected]
    aside = outcomes[1]
    assert isinstance(aside, SetAside)
    assert aside.where == f"{path}:2"
    assert reason in aside.reason
    assert aside.raw == bad


@pytest.mark.parametrize(
    ("content", "good", "bad"),
    [
        (b'{"Records":[]}', 0, {}),
        (b"", 0, {}),
        (b'{"Records":[%s' % LINE, 0, {"1": "the file ends before its array does"}),
        (b'{"Records":[%s,' % LINE, 1, {"2": "the file ends before its array does"}),
        (b'{"Records":[%s,{"a":"b' % LINE, 1, {"2": "the file ends before its array does"}),
        (b'{"Records":[%s,]}' % LINE, 1, {"2": "an empty place in the array"}),
        (b'{"Records":[%s]' % LINE, 1, {"2": "text after the last record"}),
        (b'{"Records":[%s]},{}' % LINE, 1, {"2": "text after the last record"}),
        (b'{"Records":[%s}' % LINE, 1, {"2": "text after the last record"}),
        (b'{"Records":[%s],"more":{}}' % LINE, 1, {"2": "text after the last record"}),
        (b'{"Records":[%s],"Records":[%s]}' % (LINE, LINE), 1, {"2": "text after the last record"}),
        (b"[%s]}" % LINE, 1, {"2": "text after the last record"}),
        (b'{"Records":[%s]}\n{"Records":[%s' % (LINE, LINE), 1, {"2": "the file ends before its array does"}),
        (b'{"Records":[%s]}\n{"Things":[%s]}' % (LINE, LINE), 1, {"2": "text after the last record"}),
        (b"%s\n%s" % (SPREAD, SPREAD[:-9]), 1, {"2": "the file ends within this record"}),
        (b"%s\n]\n%s" % (SPREAD, SPREAD), 2, {"2": "not JSON: got Expecting value at character 0"}),
    ],
)
def test_a_file_out_of_shape_says_where(
    tmp_path: Path, content: bytes, good: int, bad: dict[str, str]
) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(content)
    outcomes = run(path)
    assert sum(isinstance(o, Collected) for o in outcomes) == good
    assert reasons(outcomes) == bad


def test_records_longer_than_a_read_are_cut_in_the_right_places(tmp_path: Path) -> None:
    tricky = {"note": 'a"b\\', "brackets": "]}[{,", "fill": "\\" * 50_000 + '"' * 50_000}
    records = [RECORD | {"eventID": f"id-{n}", "requestParameters": tricky} for n in range(20)]
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"Records": records}))
    assert [o.events[0]["id"] for o in run(path) if isinstance(o, Collected)] == [
        f"id-{n}" for n in range(20)
    ]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.dictionaries(st.text(), st.recursive(st.text() | st.integers(), st.lists), max_size=3)),
    st.booleans(),
    st.integers(1, 40),
)
def test_an_array_is_cut_where_python_cuts_it(values: list[Any], ascii_only: bool, chunk: int) -> None:
    text = json.dumps(values, ensure_ascii=ascii_only)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_CHUNK", chunk)
        file = io.BytesIO(text.encode("utf-8", "surrogatepass"))
        found = list(files.split_json(file))
    assert [json.loads(record.raw.decode("utf-8", "surrogatepass")) for record in found] == values
    assert all(record.problem is None for record in found)


@pytest.mark.parametrize("shape", ["records", "lines"])
def test_a_broken_gzip_stream_keeps_what_came_before_the_break(tmp_path: Path, shape: str) -> None:
    # Incompressible, so that the break lies among the records.
    lines = [
        json.dumps(
            RECORD | {"eventID": f"id-{n}", "requestID": random.Random(n).randbytes(500).hex()}
        ).encode()
        for n in range(2000)
    ]
    content = b'{"Records":[%s]}' % b",".join(lines) if shape == "records" else b"\n".join(lines)
    packed = gzip.compress(content)
    path = tmp_path / "log.json.gz"
    path.write_bytes(packed[: len(packed) // 2])
    outcomes = run(tmp_path)
    assert 500 < sum(isinstance(o, Collected) for o in outcomes) < 1500
    assert isinstance(outcomes[-1], SetAside)
    (reason,) = reasons(outcomes).values()
    assert reason.startswith("the file cannot be read from here on: Compressed file ended before")


def test_a_corrupted_gzip_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "log.json.gz"
    path.write_bytes(b"\x1f\x8b" + b"\x00" * 40)
    assert list(reasons(run(path))) == ["1"]


@pytest.mark.parametrize("shape", ["records", "lines"])
def test_a_record_without_an_end_does_not_fill_the_memory(
    tmp_path: Path, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_RECORD", 100_000)
    endless = LINE.replace(b"aws-cli", b"x" * 500_000)
    parts = [LINE, endless, LINE]
    path = tmp_path / "log.json"
    path.write_bytes(b'{"Records":[%s]}' % b",".join(parts) if shape == "records" else b"\n".join(parts))
    outcomes = run(path)
    aside = outcomes[1]
    assert isinstance(aside, SetAside)
    assert "over 100000 bytes" in aside.reason
    assert len(aside.raw) == 100_000
    # On lines the next record is found again; in an array it cannot be told from the endless one.
    assert len(outcomes) == (2 if shape == "records" else 3)


def test_a_folder_is_read_sorted_and_deep_and_only_where_the_name_fits(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.json", "a.ndjson", "c.jsonl.gz", "LICENSE", "c.csv"):
        (tmp_path / name).write_bytes(LINE)
    assert [o.where for o in run(tmp_path)] == [
        f"{tmp_path / n}:1" for n in ("a.ndjson", "b/2.json", "c.jsonl.gz")
    ]


def test_a_path_that_does_not_exist_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(LINE)
    with pytest.raises(NotFound):
        next(collect(CloudTrail(), [tmp_path, tmp_path / "nowhere"]))
