"""nginx: the usual formats, one's own, JSON; a line that another format wrote is never guessed at."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from support.collecting import LINE_END, assert_hidden, data, event, events, reasons, run_on

from ledger.collect import Nginx
from ledger.collect.nginx import COMBINED
from ledger.entry import Phase
from ledger.errors import MalformedInput
from ledger.types import Digest

LINE = (
    '198.51.100.7 - ann [01/Jul/2026:20:00:03 +0800] "GET /live/%E7%9B%B4.m3u8?token=5eC HTTP/2.0" 200 4518 '
    '"https://acme.example/" "Mozilla/5.0 (\\x22Macintosh\\x22)"'
)
TLS = LINE + " TLSv1.3 TLS_AES_128_GCM_SHA256"


def one(folder: Path, line: str, collector: Nginx | None = None) -> dict[str, Any]:
    return data(run_on(collector or Nginx(), folder, line + "\n"))


def test_a_line_becomes_an_access(tmp_path: Path) -> None:
    assert event(run_on(Nginx("live-1", Phase.STORAGE, "edge-1"), tmp_path, TLS + "\n", "access.log")) == {
        "specversion": "1.0",
        "id": "access.log:2026-07-01T12:00:03.000Z:1",
        "source": "/nginx/edge-1",
        "type": "transfer-ledger.access.v1",
        "subject": "live-1",
        "time": "2026-07-01T20:00:03+08:00",
        "phase": "storage",
        "data": {
            "principal": "ann",
            "action": "GET",
            "resource": "/live/直.m3u8",
            "outcome": "allowed",
            "source_address": "198.51.100.7",
            "tls_version": "1.3",
            "cipher": "TLS_AES_128_GCM_SHA256",
            "bytes": 4518,
            "read_only": True,
            "user_agent": 'Mozilla/5.0 ("Macintosh")',
            "source_system": "nginx",
            "completeness": "unknown",
            "class_uid": 4002,
            "raw_sha256": Digest.of(TLS.encode()).hex(),
        },
    }


def test_nothing_personal_stands_in_the_entry(tmp_path: Path) -> None:
    found = event(run_on(Nginx(), tmp_path, TLS + "\n"))
    assert_hidden(found, "ann", "198.51.100.7", "Macintosh", "/live/")
    assert "5eC" not in str(found)


@pytest.mark.parametrize(
    ("line", "version"),
    [
        (LINE, None),
        (TLS, "1.3"),
        (LINE + " - -", "none"),
        (LINE + " TLSv1 AES128-SHA", "1.0"),
        (LINE + ' "203.0.113.1, 198.51.100.7"', None),
        (LINE + ' "203.0.113.1, 198.51.100.7" TLSv1.2 AES128-SHA', "1.2"),
    ],
)
def test_the_usual_formats_are_told_apart(tmp_path: Path, line: str, version: str | None) -> None:
    found = one(tmp_path, line)
    assert found.get("tls_version") == version
    assert found["user_agent"] == 'Mozilla/5.0 ("Macintosh")'


@pytest.mark.parametrize("extra", [" 0.003 0.002", " TLSv1.3", ' "a" "b"', " rt=0.1", " ", " TLSv1.3 A B"])
def test_a_line_of_another_format_is_set_aside_and_not_guessed_at(tmp_path: Path, extra: str) -> None:
    outcomes = run_on(Nginx(), tmp_path, f"{LINE}{extra}\n{LINE}\n")
    assert list(reasons(outcomes)) == [1]
    assert "log_format" in reasons(outcomes)[1]


def test_a_format_of_one_s_own_is_read_by_its_variables(tmp_path: Path) -> None:
    format = "[$time_iso8601] ${remote_addr}|$request_method $scheme://$host$is_args $request_uri ($status) $request_id"
    with pytest.raises(MalformedInput, match="something between each two"):
        Nginx(formats=(format,))
    collector = Nginx(formats=(format.replace("$is_args", ""),))
    line = (
        "[2026-07-01T20:00:03+08:00] 198.51.100.7|POST https://acme.example /order?x=1 (401) 5f0c0ffee5f0c0ff"
    )
    found = event(run_on(collector, tmp_path, line + "\n"))
    assert (found["id"], found["time"]) == ("5f0c0ffee5f0c0ff", "2026-07-01T20:00:03+08:00")
    assert found["data"]["resource"] == "acme.example/order"
    assert (found["data"]["outcome"], found["data"]["read_only"]) == ("refused", False)


def test_the_common_format_is_read(tmp_path: Path) -> None:
    found = one(tmp_path, '198.51.100.7 - - [1/Jul/2026:20:00:03 +0800] "GET /a HTTP/1.1" 200 -')
    assert (found["action"], found["resource"], found.get("bytes")) == ("GET", "/a", None)


@pytest.mark.parametrize(
    ("request_line", "action", "resource"),
    [
        ("GET /a b?c=d e HTTP/1.1", "GET", "acme.example/a b"),
        ("GET /a HTTP/1.1 /b HTTP/1.1", "GET", "acme.example/a HTTP/1.1 /b"),
        ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*"),
        ("GET http://other.example/a?b HTTP/1.1", "GET", "http://other.example/a"),
        ("CONNECT other.example:443 HTTP/1.1", "CONNECT", "other.example:443"),
        ("GET /a", "GET", "acme.example/a"),
        ("hello", "unknown", None),
        ("get /a HTTP/1.1", "unknown", None),
    ],
)
def test_a_request_line_tells_method_and_path(
    tmp_path: Path, request_line: str, action: str, resource: str | None
) -> None:
    line = {"msec": "1782907203.0", "status": 200, "host": "acme.example", "uri": "/index.php"}
    found = one(tmp_path, json.dumps(line | {"request": request_line}))
    assert (found["action"], found.get("resource", "acme.example/index.php")) == (
        action,
        resource or "acme.example/index.php",
    )


PIPES = "$remote_addr|$time_iso8601|$request|$status|$http_user_agent"
FORWARDED = '$http_x_forwarded_for $remote_addr - $remote_user [$time_local] "$request" $status'
REST = ' [01/Jul/2026:20:00:03 +0800] "GET / HTTP/1.1" 200'


@pytest.mark.parametrize(
    ("format", "before", "client", "after"),
    [
        (COMBINED, "198.51.100.7 - ", "ann [01/Jan/2020:00:00:00 +0000]", REST + ' 1 "-" "-"'),
        (COMBINED, "198.51.100.7 - ", "ann - lee", REST + ' 1 "-" "-"'),
        (PIPES, "198.51.100.7|2026-07-01T12:00:03Z|", "GET /a HTTP/1.1|404|b", "|200|curl"),
        (PIPES, "198.51.100.7|2026-07-01T12:00:03Z|GET / HTTP/1.1|200|", "a|b", ""),
        (FORWARDED, "", "192.0.2.1 192.0.2.2 - admin", " 198.51.100.7 - -" + REST),
    ],
)
def test_a_client_that_writes_the_end_of_its_value_is_set_aside_and_costs_no_neighbour(
    tmp_path: Path, format: str, before: str, client: str, after: str
) -> None:
    good, crafted = before + "ann" + after, before + client + after
    outcomes = run_on(Nginx(formats=(format,)), tmp_path, f"{good}\n{crafted}\n{good}\n")
    assert list(reasons(outcomes)) == [2]
    assert "log_format" in reasons(outcomes)[2]


def test_a_format_without_variables_is_refused() -> None:
    with pytest.raises(MalformedInput):
        Nginx(formats=("combined",))


@pytest.mark.parametrize(
    "time",
    [
        {"time_iso8601": "2026-07-01T12:00:03Z"},
        {"msec": "1782907203.000"},
        {"@timestamp": "2026-07-01T12:00:03Z"},
    ],
)
def test_json_is_read_by_the_names_of_its_members(tmp_path: Path, time: dict[str, str]) -> None:
    record: dict[str, Any] = time | {
        "remote_addr": "198.51.100.7",
        "remote_user": "",
        "request": 'GET /a"b HTTP/1.1',
        "host": "acme.example",
        "status": 304,
        "body_bytes_sent": "0",
        "http_user_agent": "curl",
        "ssl_protocol": "",
        "http_cf_ipcountry": "SG",
        "request_id": "5f0c0ffee5f0c0ff",
        "upstream_response_time": None,
    }
    found = event(run_on(Nginx(), tmp_path, json.dumps(record) + "\n"))
    assert (found["id"], found["time"]) == ("5f0c0ffee5f0c0ff", "2026-07-01T12:00:03Z")
    assert found["data"]["principal"] == "anonymous"
    assert found["data"]["resource"] == 'acme.example/a"b'
    assert (found["data"]["country"], found["data"]["tls_version"]) == ("SG", "none")
    assert_hidden(found, "198.51.100.7", "acme.example", "curl")


def test_members_may_have_the_usual_words_for_variables(tmp_path: Path) -> None:
    written = {"date": "2026-07-01T20:00:03+08:00", "ip": "198.51.100.7", "path": "/a?b", "verb": "HEAD"}
    found = one(tmp_path, json.dumps(written | {"response": "200", "agent": "curl", "bytes": 7}))
    told = ("source_address", "resource", "action", "outcome", "user_agent", "bytes")
    assert [found[name] for name in told] == ["198.51.100.7", "/a", "HEAD", "allowed", "curl", 7]


def test_a_country_that_is_none_is_left_out(tmp_path: Path) -> None:
    line = {"msec": 1782907203.5, "status": "200", "request": "GET / HTTP/1.1", "geoip_country_code": "XX"}
    found = event(run_on(Nginx(), tmp_path, json.dumps(line) + "\n"))
    assert "country" not in found["data"]
    assert found["time"] == "2026-07-01T12:00:03.5Z"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("- ann [", "- ann of acme [", {"principal": "ann of acme"}),
        ("- ann [", "- - [", {"principal": "anonymous", "principal_type": "anonymous"}),
        ('"GET /live/%E7%9B%B4.m3u8?token=5eC HTTP/2.0" 200', '"\\x16\\x03\\x01" 400', {"action": "unknown"}),
        (
            '"GET /live/%E7%9B%B4.m3u8?token=5eC HTTP/2.0" 200',
            '"" 408',
            {"action": "unknown", "outcome": "failed"},
        ),
        (" 200 ", " 499 ", {"outcome": "failed", "reason": "HTTP 499"}),
        ("\\x22Macintosh\\x22", "\\xFF", {"user_agent": "Mozilla/5.0 (\\xFF)"}),
    ],
)
def test_odd_lines_are_still_accesses(tmp_path: Path, old: str, new: str, expected: dict[str, str]) -> None:
    found = one(tmp_path, TLS.replace(old, new))
    assert {name: found.get(name) for name in expected} == expected


def test_what_is_no_access_is_set_aside_and_the_others_stand(tmp_path: Path) -> None:
    bad: dict[int, tuple[bytes, str]] = {
        2: (b"\x00\xff\x01", "not a line of this log_format"),
        3: (b"2026/07/01 20:00:03 [error] 7#7: *1 open() failed", "not a line of this log_format"),
        4: (TLS.replace("01/Jul", "32/Jul").encode(), "time: expected"),
        5: (TLS.replace("+0800", "CST").encode(), "not a time"),
        6: (b'{"msec": -, "status": 200}', "not JSON"),
        7: (b'{"status": 200}', "a line without its time"),
        8: (b'{"msec": "1782907203.0"}', "no HTTP status"),
        9: (TLS[:60].encode(), "not a line of this log_format"),
        10: (TLS.replace("Macintosh", "x" * 9000).encode(), "data.user_agent: expected"),
    }
    good = TLS.encode()
    outcomes = run_on(
        Nginx(), tmp_path, b"\r\n".join([good, *(text for text, _ in bad.values()), good]) + b"\r\n"
    )
    assert list(reasons(outcomes)) == list(bad)
    assert all(bad[number][1] in reason for number, reason in reasons(outcomes).items())
    assert len(events([outcomes[0], outcomes[-1]])) == 2


def test_half_a_line_an_empty_file_and_a_packed_one(tmp_path: Path) -> None:
    assert reasons(run_on(Nginx(), tmp_path, TLS[:-3]))[1].startswith(LINE_END)
    assert run_on(Nginx(), tmp_path, "") == []
    assert len(events(run_on(Nginx(), tmp_path, gzip.compress(TLS.encode() + b"\n"), "access.log.2.gz"))) == 1
