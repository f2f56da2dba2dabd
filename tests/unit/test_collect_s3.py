"""S3 server access logs, old and new, and what is none."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from support.collecting import LINE_END, assert_hidden, data, event, events, reasons, run_on

from ledger.collect import S3
from ledger.entry import Phase
from ledger.types import Digest

OWNER = "7c0f" * 16
OLD = (
    f"{OWNER} replays [01/Jul/2026:12:00:03 +0000] 198.51.100.7 arn:aws:iam::111122223333:user/ann "
    '3E57427F3EXAMPLE REST.GET.OBJECT 2026/a%2Bb.ts "GET /replays/2026/a%2Bb.ts?X-Amz-Signature=5eC HTTP/1.1" '
    '200 - 4518 9036 21 20 "https://acme.example/" "aws-cli/2.15 (linux)" -'
)
NEW = (
    " s9lzHYrFp76ZVxRcpX9= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader replays.s3.eu-west-1.amazonaws.com TLSv1.3"
    " arn:aws:s3:eu-west-1:111122223333:accesspoint/ap Yes ap-east-1"
)
LINE = OLD + NEW


def one(folder: Path, old: str = "", new: str = "", line: str = LINE) -> dict[str, Any]:
    return data(run_on(S3(), folder, line.replace(old, new) + "\n"))


def test_a_line_becomes_an_access(tmp_path: Path) -> None:
    assert event(run_on(S3("live-1", Phase.TRANSIT), tmp_path, LINE + "\n")) == {
        "specversion": "1.0",
        "id": "3E57427F3EXAMPLE:REST.GET.OBJECT",
        "source": f"/aws/s3/{OWNER}",
        "type": "transfer-ledger.access.v1",
        "subject": "live-1",
        "time": "2026-07-01T12:00:03+00:00",
        "phase": "transit",
        "data": {
            "principal": "arn:aws:iam::111122223333:user/ann",
            "principal_account": "111122223333",
            "action": "REST.GET.OBJECT",
            "resource": "arn:aws:s3:::replays/2026/a+b.ts",
            "resource_account": OWNER,
            "outcome": "allowed",
            "source_address": "198.51.100.7",
            "tls_version": "1.3",
            "cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "bytes": 4518,
            "read_only": True,
            "region": "eu-west-1",
            "user_agent": "aws-cli/2.15 (linux)",
            "source_system": "aws.s3",
            "completeness": "best-effort",
            "class_uid": 6003,
            "raw_sha256": Digest.of(LINE.encode()).hex(),
        },
    }


def test_nothing_personal_stands_in_the_entry(tmp_path: Path) -> None:
    found = event(run_on(S3(), tmp_path, LINE + "\n"))
    assert_hidden(found, "user/ann", "198.51.100.7", "aws-cli", "replays", "111122223333", "a+b.ts")
    assert "Signature" not in str(found)


@pytest.mark.parametrize("fields", range(17, 28))
def test_trailing_fields_may_be_missing(tmp_path: Path, fields: int) -> None:
    later = ["-", *NEW.split()][: fields - 17]
    found = one(tmp_path, line=OLD.removesuffix(" -") + "".join(f" {field}" for field in later))
    assert found["user_agent"] == "aws-cli/2.15 (linux)"
    assert found.get("tls_version") == ("1.3" if fields >= 24 else None)


def test_fields_that_are_yet_to_come_are_not_read(tmp_path: Path) -> None:
    assert one(tmp_path, line=LINE + " a-new-one 17")["cipher"] == "ECDHE-RSA-AES128-GCM-SHA256"


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        ("403 AccessDenied", "refused", "AccessDenied"),
        ("401 -", "refused", "HTTP 401"),
        ("404 NoSuchKey", "failed", "NoSuchKey"),
        ("503 SlowDown", "failed", "SlowDown"),
        ("206 -", "allowed", None),
        ("304 -", "allowed", None),
        ("- -", "allowed", None),
    ],
)
def test_the_status_tells_the_outcome(tmp_path: Path, status: str, outcome: str, reason: str | None) -> None:
    found = one(tmp_path, '" 200 -', f'" {status}')
    assert (found["outcome"], found.get("reason")) == (outcome, reason)


def test_no_tls_is_said_so_and_a_lifecycle_has_none_to_speak_of(tmp_path: Path) -> None:
    assert one(tmp_path, "TLSv1.3", "-")["tls_version"] == "none"
    lifecycle = (
        f"{OWNER} replays [01/Jul/2026:12:00:03 +0000] - AmazonS3 AB12EXAMPLE S3.EXPIRE.OBJECT 2026/1.ts "
        '"-" - - - 9 - - "-" "-" - - - - - - - - - -'
    )
    found = one(tmp_path, line=lifecycle)
    assert (found["principal"], found["outcome"], found.get("tls_version")) == ("AmazonS3", "allowed", None)


def test_an_unsigned_request_is_anonymous(tmp_path: Path) -> None:
    found = one(tmp_path, "arn:aws:iam::111122223333:user/ann", "-")
    assert (found["principal"], found["principal_type"]) == ("anonymous", "anonymous")


def test_a_copy_and_the_objects_of_one_request_are_told_apart(tmp_path: Path) -> None:
    lines = [
        LINE.replace("REST.GET.OBJECT", "REST.COPY.OBJECT_GET"),
        LINE.replace("REST.GET.OBJECT", "REST.COPY.OBJECT"),
        LINE.replace("REST.GET.OBJECT", "BATCH.DELETE.OBJECT"),
        LINE.replace("REST.GET.OBJECT", "BATCH.DELETE.OBJECT").replace("a%2Bb", "c"),
    ]
    found = events(run_on(S3(), tmp_path, "\n".join(lines) + "\n", "2026-07-01-12-00-12-0123456789ABCDEF"))
    assert [e["id"] for e in found] == [
        "3E57427F3EXAMPLE:REST.COPY.OBJECT_GET",
        "3E57427F3EXAMPLE:REST.COPY.OBJECT",
        "2026-07-01-12-00-12-0123456789ABCDEF:2026-07-01T12:00:03.000Z:3",
        "2026-07-01-12-00-12-0123456789ABCDEF:2026-07-01T12:00:03.000Z:4",
    ]
    assert [e["data"].get("read_only") for e in found] == [True, False, None, None]


@pytest.mark.parametrize("agent", ['a "b', 'say "hi', '5"disk', 'a"', "a\\", "[a] 'b'", ""])
def test_a_user_agent_may_hold_spaces_and_quotes(tmp_path: Path, agent: str) -> None:
    found = one(tmp_path, "aws-cli/2.15 (linux)", agent)
    assert found.get("user_agent") == (agent or None)
    assert found["cipher"] == "ECDHE-RSA-AES128-GCM-SHA256"


REFERRER, AGENT = "https://acme.example/", "aws-cli/2.15 (linux)"
FORGED = "- h= SigV4 AES256 AuthHeader replays.s3.us-east-1.amazonaws.com TLSv1.3 - - -"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (AGENT, 'aws-cli "the " one'),
        (AGENT, f'a" {FORGED} "'),
        (AGENT, f'a" {FORGED}'),
        (AGENT, '" '),
        (AGENT, 'a" -'),
        (REFERRER, f'a" "b" {FORGED}'),
        (REFERRER, 'a" "b'),
        (REFERRER, f'a" "b" {FORGED} "c'),
        ("GET /replays/2026", 'GET /a HTTP/1.1" 404 NoSuchKey 9 - 1 1 "-" "b" ' + FORGED),
    ],
)
def test_a_quote_that_moves_the_fields_is_set_aside_and_costs_no_neighbour(
    tmp_path: Path, old: str, new: str
) -> None:
    plain = LINE.replace("TLSv1.3", "-")
    outcomes = run_on(S3(), tmp_path, "\n".join([plain, plain.replace(old, new), plain]) + "\n")
    assert list(reasons(outcomes)) == [2]
    assert "no quote after the user agent" in reasons(outcomes)[2] or "single spaces" in reasons(outcomes)[2]


def test_a_backslash_of_a_client_s_hides_no_quote(tmp_path: Path) -> None:
    assert one(tmp_path, REFERRER, "a\\")["tls_version"] == "1.3"


def test_bytes_that_are_no_utf_8_are_spelled(tmp_path: Path) -> None:
    found = data(run_on(S3(), tmp_path, LINE.encode().replace(b"aws-cli", b"\xff\x00") + b"\n"))
    assert found["user_agent"].startswith("\\xff")


@pytest.mark.parametrize(
    "host", ["s3.amazonaws.com", "s3.us-gov-west-1.amazonaws.com", "b.s3-accesspoint.eu-west-1.amazonaws.com"]
)
def test_the_region_is_the_host_s(tmp_path: Path, host: str) -> None:
    found = one(tmp_path, "replays.s3.eu-west-1.amazonaws.com", host)
    assert found.get("region") == {
        "s3.amazonaws.com": None,
        "s3.us-gov-west-1.amazonaws.com": "us-gov-west-1",
    }.get(host, "eu-west-1")


def test_what_is_no_access_is_set_aside_and_the_others_stand(tmp_path: Path) -> None:
    bad = {
        2: ("too short", "expected 17 fields or more"),
        4: ("\x00\x01 \x02", "17 fields or more"),
        5: (OLD.replace("01/Jul", "41/Jul"), "time: expected"),
        6: (OLD.replace("/Jul/", "/Juli/"), "not a time"),
        7: (OLD.replace('" 200', '" 2OO'), "no HTTP status"),
        8: (OLD.replace("2026/a%2Bb.ts", "a  b"), "single spaces"),
        9: (OLD.replace("3E57427F3EXAMPLE", "ann@example.com"), "id: expected an opaque id"),
        10: (OLD.rsplit('"', 1)[0], "single spaces"),
    }
    lines = [LINE, *[""] * 9]
    for number, (line, _) in bad.items():
        lines[number - 1] = line
    outcomes = run_on(S3(), tmp_path, "\r\n".join([*lines, LINE]) + "\r\n")
    assert list(reasons(outcomes)) == list(bad)
    assert all(bad[number][1] in reason for number, reason in reasons(outcomes).items())
    first, last = events([outcomes[0], outcomes[-1]])
    assert first == last


def test_half_a_line_at_the_end_is_set_aside_though_it_could_be_read(tmp_path: Path) -> None:
    outcomes = run_on(S3(), tmp_path, f"{LINE}\n{LINE[:-3]}")
    assert reasons(outcomes)[2].startswith(LINE_END)
    assert len(outcomes) == 2


def test_an_empty_file_and_a_packed_one(tmp_path: Path) -> None:
    assert run_on(S3(), tmp_path, "") == []
    assert event(run_on(S3(), tmp_path, gzip.compress(LINE.encode() + b"\n"), "a.gz"))["subject"] == "aws-s3"
