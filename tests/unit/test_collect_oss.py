"""OSS access logs: quotes almost everywhere, fields that came later, and what is no access."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from support.collecting import LINE_END, assert_hidden, data, event, events, reasons, run_on

from ledger.collect import Oss
from ledger.types import Digest

OLD = (
    '198.51.100.7 - - [01/Jul/2026:20:00:03 +0800] "GET /2026/%E7%9B%B4.ts?Signature=5eC HTTP/1.1" 200 4518 21 '
    '"https://acme.example/" "aliyun-sdk-python/2.18 (Linux)" "replays.oss-cn-hangzhou.aliyuncs.com" '
    '"64A00C03EXAMPLE37363930" "true" "1657136100000000" "GetObject" "replays" "2026%2F%E7%9B%B4.ts" 4518 20 "-" 350 '
    '"1657136100000001"'
)
LINE = OLD + ' - "-" "standard" "-" "-" "LTAI5tEXAMPLE"'


def one(folder: Path, old: str = "", new: str = "", line: str = LINE) -> dict[str, Any]:
    return data(run_on(Oss(), folder, line.replace(old, new) + "\n"))


def test_a_line_becomes_an_access(tmp_path: Path) -> None:
    assert event(run_on(Oss("live-1"), tmp_path, LINE + "\n")) == {
        "specversion": "1.0",
        "id": "64A00C03EXAMPLE37363930",
        "source": "/aliyun/oss/1657136100000001",
        "type": "transfer-ledger.access.v1",
        "subject": "live-1",
        "time": "2026-07-01T20:00:03+08:00",
        "phase": "storage",
        "data": {
            "principal": "1657136100000000",
            "principal_account": "1657136100000000",
            "action": "oss:GetObject",
            "resource": "acs:oss:::replays/2026/直.ts",
            "resource_account": "1657136100000001",
            "outcome": "allowed",
            "source_address": "198.51.100.7",
            "bytes": 4518,
            "read_only": True,
            "region": "cn-hangzhou",
            "user_agent": "aliyun-sdk-python/2.18 (Linux)",
            "source_system": "aliyun.oss",
            "completeness": "best-effort",
            "class_uid": 6003,
            "raw_sha256": Digest.of(LINE.encode()).hex(),
        },
    }


def test_nothing_personal_stands_in_the_entry(tmp_path: Path) -> None:
    found = event(run_on(Oss(), tmp_path, LINE + "\n"))
    assert_hidden(found, "1657136100000000", "198.51.100.7", "aliyun-sdk", "replays", "直")
    assert "Signature" not in str(found)


@pytest.mark.parametrize("line", [OLD, OLD + " -", LINE, LINE + ' "acs:oss:::replays" 7'])
def test_fields_at_the_end_may_be_missing_or_new(tmp_path: Path, line: str) -> None:
    assert one(tmp_path, line=line)["resource"] == "acs:oss:::replays/2026/直.ts"


@pytest.mark.parametrize(
    ("change", "outcome", "reason"),
    [
        ((' 200 4518 21 "', ' 403 4518 21 "'), "refused", "HTTP 403"),
        ((' 20 "-" 350', ' 20 "AccessDenied" 350'), "allowed", "AccessDenied"),
        ((' 200 4518 21 "', ' 404 0 21 "'), "failed", "HTTP 404"),
    ],
)
def test_the_status_tells_the_outcome(
    tmp_path: Path, change: tuple[str, str], outcome: str, reason: str
) -> None:
    found = one(tmp_path, *change)
    assert (found["outcome"], found["reason"]) == (outcome, reason)


def test_who_asked_is_the_account_else_its_key_else_nobody(tmp_path: Path) -> None:
    unnamed = LINE.replace('"1657136100000000"', '"-"')
    assert one(tmp_path, line=unnamed)["principal"] == "LTAI5tEXAMPLE"
    found = one(tmp_path, "LTAI5tEXAMPLE", "-", unnamed)
    assert (found["principal"], found["principal_type"]) == ("anonymous", "anonymous")


def test_a_line_without_a_request_id_is_known_by_its_place(tmp_path: Path) -> None:
    found = event(run_on(Oss(), tmp_path, LINE.replace("64A00C03EXAMPLE37363930", "-") + "\n", "replays2026"))
    assert found["id"] == "replays2026:2026-07-01T12:00:03.000Z:1"


def test_what_is_no_access_is_set_aside_and_the_others_stand(tmp_path: Path) -> None:
    bad = {
        2: (OLD.rsplit(" ", 1)[0], "22 fields or more"),
        3: ("\x00\x7f\x01", "22 fields or more"),
        4: (LINE.replace("01/Jul/2026", "2026-07-01"), "not a time"),
        5: (LINE.replace('" 200 ', '" ok '), "no HTTP status"),
        6: (LINE.replace("(Linux)", 'a " b'), "field 13"),
        7: (LINE.replace("64A00C03EXAMPLE37363930", "ann lee"), "id: expected an opaque id"),
        8: (LINE.replace('"GetObject"', '"-"'), "data.action: missing"),
        9: (LINE + ' "a"' * 6, "33 fields at most"),
        10: (LINE.replace("4518 20", "4518 20ms"), "a number or - as field 19"),
    }
    outcomes = run_on(
        Oss(), tmp_path, "\r\n".join([LINE, *(line for line, _ in bad.values()), LINE]) + "\r\n"
    )
    assert list(reasons(outcomes)) == list(bad)
    assert all(bad[number][1] in reason for number, reason in reasons(outcomes).items())
    assert len(events([outcomes[0], outcomes[-1]])) == 2


AGENT = "aliyun-sdk-python/2.18 (Linux)"
WORDS = "- a b.oss-cn-beijing.aliyuncs.com 1 true 7 GetObject b k 1 1 - 1 7 - - IA - - L - - -"
FORGED = [f'"{word}"' for word in WORDS.split()]


@pytest.mark.parametrize("moved", range(1, 22))
@pytest.mark.parametrize("line", [OLD, LINE])
def test_a_client_that_ends_its_user_agent_and_goes_on_is_set_aside(
    tmp_path: Path, line: str, moved: int
) -> None:
    fields = FORGED[2 : 2 + moved]
    crafted = line.replace(AGENT, f'a" {" ".join(fields)}'.removesuffix('"'))
    outcomes = run_on(Oss(), tmp_path, f"{line}\n{crafted}\n{line}\n")
    assert list(reasons(outcomes)) == [2]


@pytest.mark.parametrize("moved", range(1, 23))
def test_a_client_that_ends_its_referrer_and_goes_on_is_set_aside(tmp_path: Path, moved: int) -> None:
    fields = FORGED[1 : 1 + moved]
    crafted = LINE.replace("https://acme.example/", f'a" {" ".join(fields)}'.removesuffix('"'))
    assert list(reasons(run_on(Oss(), tmp_path, crafted + "\n"))) == [1]


SERVICE = {
    "__topic__": "oss_access_log",
    "__time__": "1782907203",
    "time": "01/Jul/2026:20:00:03",
    "client_ip": "198.51.100.7",
    "http_method": "GET",
    "request_uri": "/2026/%E7%9B%B4.ts?Signature=5eC",
    "http_status": "200",
    "response_body_length": "4518",
    "content_length_out": "4700",
    "referer": "https://acme.example/",
    "user_agent": "aliyun-sdk-python/2.18 (Linux)",
    "host": "replays.oss-cn-hangzhou.aliyuncs.com",
    "request_id": "64A00C03EXAMPLE37363930",
    "requester_id": "1657136100000000",
    "operation": "GetObject",
    "bucket": "replays",
    "object": "2026%2F%E7%9B%B4.ts",
    "error_code": "-",
    "owner_id": "1657136100000001",
    "access_id": "LTAI5tEXAMPLE",
    "http_type": "HTTPS",
}


def test_a_record_of_the_log_service_is_the_same_access(tmp_path: Path) -> None:
    found = event(run_on(Oss(), tmp_path, json.dumps(SERVICE)))
    of_a_file = event(run_on(Oss(), tmp_path, LINE + "\n"))
    assert (found.pop("time"), of_a_file.pop("time")) == ("2026-07-01T12:00:03Z", "2026-07-01T20:00:03+08:00")
    assert (found.pop("source"), of_a_file.pop("source")) == (
        "/aliyun/sls/1657136100000001",
        "/aliyun/oss/1657136100000001",
    )
    assert found["data"].pop("raw_sha256") == Digest.of(json.dumps(SERVICE).encode()).hex()
    del of_a_file["data"]["raw_sha256"]
    assert found == of_a_file
    assert one(tmp_path, line=json.dumps(SERVICE | {"http_type": "HTTP"}))["tls_version"] == "none"


def test_the_objects_of_a_batch_are_known_by_their_places(tmp_path: Path) -> None:
    batch = json.dumps(SERVICE | {"__topic__": "oss_batch_delete_log", "__time__": 1782907203})
    found = events(run_on(Oss(), tmp_path, f"{json.dumps(SERVICE)}\n{batch}\n{batch}\n", "a.json"))
    assert [e["id"] for e in found[1:]] == [f"a.json:2026-07-01T12:00:03.000Z:{n}" for n in (2, 3)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"__topic__": "oss_metering_log"}, "the topic oss_access_log"),
        ({"__time__": None}, "not a time"),
        ({"http_status": None}, "no HTTP status"),
    ],
)
def test_what_else_the_log_service_holds_is_set_aside(
    tmp_path: Path, changes: dict[str, str | None], reason: str
) -> None:
    assert reason in reasons(run_on(Oss(), tmp_path, json.dumps(SERVICE | changes)))[1]


def test_half_a_line_an_empty_file_and_a_packed_one(tmp_path: Path) -> None:
    assert reasons(run_on(Oss(), tmp_path, OLD))[1].startswith(LINE_END)
    assert run_on(Oss(), tmp_path, "\n\n") == []
    assert len(events(run_on(Oss(), tmp_path, gzip.compress(LINE.encode() + b"\n")))) == 1
