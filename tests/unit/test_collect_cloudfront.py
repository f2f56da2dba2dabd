"""CloudFront's logs and other W3C extended ones: what the #Fields line says counts."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from support.collecting import LINE_END, assert_hidden, data, event, events, reasons, run_on

from ledger.collect import CloudFront
from ledger.entry import Phase
from ledger.types import Digest

FIELDS = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) "
    "cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken "
    "x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    "fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    "sc-range-start sc-range-end"
)
NAMES = FIELDS.split()
VALUES = dict.fromkeys(NAMES, "-") | {
    "date": "2026-07-01",
    "time": "12:00:03",
    "x-edge-location": "HKG62-P2",
    "sc-bytes": "4518",
    "c-ip": "2001:db8::7",
    "cs-method": "GET",
    "cs(Host)": "d111111abcdef8.cloudfront.net",
    "cs-uri-stem": "/live/ann%2520lee.m3u8",
    "sc-status": "200",
    "cs(User-Agent)": "Mozilla/5.0%20(Macintosh)",
    "cs-uri-query": "token=5eC",
    "cs(Cookie)": "session=5eC",
    "x-edge-request-id": "-Xq3_EXAMPLEy5bFPsyHBnHkQ==",
    "x-host-header": "live.acme.example",
    "cs-protocol": "https",
    "ssl-protocol": "TLSv1.3",
    "ssl-cipher": "TLS_AES_128_GCM_SHA256",
}
HEAD = "#Version: 1.0\n#Fields: " + FIELDS + "\n"


def line(**changes: str) -> str:
    return "\t".join((VALUES | changes).values()) + "\n"


def one(folder: Path, changes: dict[str, str]) -> dict[str, Any]:
    return data(run_on(CloudFront(), folder, HEAD + line(**changes)))


def test_a_line_becomes_an_access(tmp_path: Path) -> None:
    assert event(run_on(CloudFront("live-1", Phase.STORAGE, "E2EXAMPLE"), tmp_path, HEAD + line())) == {
        "specversion": "1.0",
        "id": "edge:-Xq3_EXAMPLEy5bFPsyHBnHkQ==",
        "source": "/aws/cloudfront/E2EXAMPLE",
        "type": "transfer-ledger.access.v1",
        "subject": "live-1",
        "time": "2026-07-01T12:00:03Z",
        "phase": "storage",
        "data": {
            "principal": "anonymous",
            "principal_type": "anonymous",
            "action": "GET",
            "resource": "https://live.acme.example/live/ann%20lee.m3u8",
            "outcome": "allowed",
            "source_address": "2001:db8::7",
            "tls_version": "1.3",
            "cipher": "TLS_AES_128_GCM_SHA256",
            "bytes": 4518,
            "read_only": True,
            "region": "HKG62-P2",
            "user_agent": "Mozilla/5.0 (Macintosh)",
            "source_system": "aws.cloudfront",
            "completeness": "best-effort",
            "class_uid": 4002,
            "raw_sha256": Digest.of(line().rstrip("\n").encode()).hex(),
        },
    }


def test_nothing_personal_stands_in_the_entry(tmp_path: Path) -> None:
    found = event(run_on(CloudFront(), tmp_path, HEAD + line()))
    assert_hidden(found, "2001:db8::7", "ann%20lee", "Macintosh", "acme.example")
    assert "5eC" not in str(found)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sc-status": "403"}, {"outcome": "refused", "reason": "HTTP 403"}),
        ({"sc-status": "000"}, {"outcome": "failed", "reason": "HTTP 000"}),
        ({"cs-protocol": "http", "ssl-protocol": "-", "ssl-cipher": "-"}, {"tls_version": "none"}),
        ({"ssl-protocol": "SSLv3"}, {"tls_version": "ssl3"}),
        ({"cs-method": "DELETE"}, {"read_only": False}),
        ({"cs-uri-stem": "/%FF"}, {"resource": "https://live.acme.example/%FF"}),
    ],
)
def test_fields_are_read_in_the_catalogue_s_words(
    tmp_path: Path, changes: dict[str, str], expected: dict[str, Any]
) -> None:
    found = one(tmp_path, changes)
    assert {name: found.get(name) for name in expected} == expected


def test_the_fields_line_says_what_stands_where_and_may_come_again(tmp_path: Path) -> None:
    short = "#Fields: timestamp(ms) c-country sc-status cs-method x-edge-request-id\n1782907203456\tSG\t200\tGET\tabc\n"
    first, second, third = events(run_on(CloudFront(), tmp_path, HEAD + line() + short + HEAD + line()))
    assert first == third
    assert (second["time"], second["data"]["country"]) == ("2026-07-01T12:00:03.456Z", "SG")


def test_a_log_of_another_server_is_read_by_its_spaces_and_known_by_its_place(tmp_path: Path) -> None:
    iis = (
        "#Software: IIS\r\n#Date: 2026-07-01 12:00:00\r\n"
        "#Fields: date time s-ip cs-method cs-uri-stem cs-username c-ip cs(User-Agent) sc-status sc-bytes\r\n"
        "2026-07-01 12:00:03 10.0.0.1 POST /order/7 ACME\\ann 198.51.100.7 Mozilla/5.0+(Macintosh) 500 12\r\n"
    )
    found = event(run_on(CloudFront(node="web-1"), tmp_path, iis, "u_ex.log"))
    assert (found["id"], found["source"]) == ("u_ex.log:2026-07-01T12:00:03.000Z:4", "/w3c/web-1")
    assert found["data"]["principal"] == "ACME\\ann"
    assert found["data"]["user_agent"] == "Mozilla/5.0 (Macintosh)"
    assert (found["data"]["completeness"], found["data"]["source_system"]) == ("unknown", "w3c")
    assert_hidden(found, "ann", "198.51.100.7", "Macintosh", "/order/7")


W3C = "#Fields: date time s-port cs-method cs-uri-stem c-ip cs(User-Agent) cs-host sc-status\n"
W3C_LINE = "2026-07-01 12:00:03 80 GET /a 198.51.100.7 {} web.acme.example 200\n"


@pytest.mark.parametrize(
    ("written", "agent"),
    [
        ("Mozilla/5.0+(Macintosh)", "Mozilla/5.0 (Macintosh)"),
        ('say+"hi', 'say "hi'),
        ('"hi+there', '"hi there'),
        ("[a]b", "[a]b"),
        ('"Mozilla/5.0 (Macintosh)"', "Mozilla/5.0 (Macintosh)"),
        ('"curl"', "curl"),
        ("-", None),
    ],
)
def test_quotes_part_fields_only_where_spaces_do_not(tmp_path: Path, written: str, agent: str | None) -> None:
    found = data(run_on(CloudFront(), tmp_path, W3C + W3C_LINE.format(written)))
    assert found.get("user_agent") == agent
    assert found["outcome"] == "allowed"


def test_a_quote_of_a_path_stays_in_it(tmp_path: Path) -> None:
    content = W3C + W3C_LINE.format("-").replace("/a", '/a"')
    assert data(run_on(CloudFront(), tmp_path, content))["resource"] == 'web.acme.example/a"'


@pytest.mark.parametrize("agent", ['"a" evil.example 200 "', '"a" b"', 'a" "b', "a\tb", "a b c"])
def test_a_user_agent_adds_no_fields_and_costs_no_neighbour(tmp_path: Path, agent: str) -> None:
    lines = [W3C_LINE.format('"a b"'), W3C_LINE.format(agent), W3C_LINE.format('"a b"')]
    outcomes = run_on(CloudFront(), tmp_path, W3C + "".join(lines))
    assert list(reasons(outcomes)) == [3]


def test_a_scheme_is_told_only_where_it_was_logged(tmp_path: Path) -> None:
    assert (
        data(run_on(CloudFront(), tmp_path, W3C + W3C_LINE.format("-")))["resource"] == "web.acme.example/a"
    )
    whole = W3C.replace("cs-uri-stem", "cs-uri") + W3C_LINE.format("-").replace(
        " /a ", " acme.example/a?token=5eC "
    )
    assert data(run_on(CloudFront(), tmp_path, whole))["resource"] == "acme.example/a"


def test_json_names_its_fields_itself(tmp_path: Path) -> None:
    values = VALUES | {"sc-status": 200, "sc-bytes": 4518}
    found = event(run_on(CloudFront(), tmp_path, json.dumps(values) + "\n"))
    in_text = event(run_on(CloudFront(), tmp_path, HEAD + line()))
    assert found["data"].pop("raw_sha256") != in_text["data"].pop("raw_sha256")
    assert found == in_text
    assert list(reasons(run_on(CloudFront(), tmp_path, '{"sc-status":200}\n[]\n'))) == [1, 2]


def test_what_is_no_access_is_set_aside_and_the_others_stand(tmp_path: Path) -> None:
    bad = {
        3: (line().replace("\t", " "), "not a line of these #Fields"),
        4: (line().replace("HKG62-P2\t", ""), "expected 33 fields, got 32"),
        5: ("\x00\x01\n", "33 fields"),
        6: (line(date="-"), "a line without its time"),
        7: (line(date="2026-02-31"), "time: expected"),
        8: (line(**{"sc-status": "-"}), "no HTTP status"),
        9: (line(**{"cs-method": "-"}), "data.action: missing"),
        10: (line(**{"x-edge-request-id": "ann@example.com"}), "id: expected"),
    }
    bad[3] = (line().replace("\t", "  "), "single spaces")
    content = HEAD + "".join(text for text, _ in bad.values()) + line()
    outcomes = run_on(CloudFront(), tmp_path, content.replace("\n", "\r\n"))
    assert list(reasons(outcomes)) == list(bad)
    assert all(bad[number][1] in reason for number, reason in reasons(outcomes).items())
    assert len(events(outcomes[-1:])) == 1


def test_lines_before_any_fields_line_are_set_aside(tmp_path: Path) -> None:
    outcomes = run_on(CloudFront(), tmp_path, line() + HEAD + line())
    assert reasons(outcomes) == {1: "a line before any #Fields"}
    assert len(outcomes) == 2


def test_half_a_line_an_empty_file_and_a_packed_one(tmp_path: Path) -> None:
    assert reasons(run_on(CloudFront(), tmp_path, HEAD + line()[:-4]))[3].startswith(LINE_END)
    assert run_on(CloudFront(), tmp_path, HEAD) == run_on(CloudFront(), tmp_path, "") == []
    assert len(events(run_on(CloudFront(), tmp_path, gzip.compress((HEAD + line()).encode())))) == 1
