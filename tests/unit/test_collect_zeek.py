"""Zeek's conn.log and ssl.log as hops, in both of its forms; what cannot be placed is set aside."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from support.collecting import LINE_END, assert_hidden, data, event, events, reasons, run_on

from ledger.collect import Place, Zeek, parse_places
from ledger.errors import MalformedInput

CONN = {
    "ts": "1782907203.120000",
    "uid": "CHhAvVGS1DHFjwGM9",
    "id.orig_h": "10.1.0.7",
    "id.orig_p": "50123",
    "id.resp_h": "203.0.113.9",
    "id.resp_p": "443",
    "proto": "tcp",
    "service": "ssl",
    "duration": "2.500001",
    "orig_bytes": "900",
    "resp_bytes": "4518",
    "conn_state": "SF",
    "tunnel_parents": "(empty)",
}
SSL = {
    **{name: CONN[name] for name in list(CONN)[:6]},
    "version": "TLSv12",
    "cipher": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "server_name": "ann.acme.example",
    "established": "T",
}
PLACES = parse_places(
    """
    ["10.0.0.0/8"]
    country = "CN"
    party = "acme"
    ["203.0.113.0/24"]
    country = "SG"
    ["203.0.113.8/29"]
    country = "US"
    party = "acme-cdn"
    """
)


def head(fields: dict[str, str], separator: str = "\t") -> str:
    kind = "conn" if "conn_state" in fields else "ssl" if "established" in fields else "other"
    written = "".join(f"\\x{ord(character):02x}" for character in separator)
    lines = [["#set_separator", ","], ["#empty_field", "(empty)"], ["#unset_field", "-"], ["#path", kind]]
    lines += [["#open", "2026-07-01-12-00-00"], ["#fields", *fields], ["#types", *["string"] * len(fields)]]
    return f"#separator {written}\n" + "".join(separator.join(line) + "\n" for line in lines)


def log(*records: dict[str, str], separator: str = "\t") -> str:
    body = "".join(separator.join(record.values()) + "\n" for record in records)
    return head(records[0], separator) + body + separator.join(["#close", "2026-07-01-13-00-00"]) + "\n"


def streamed(record: dict[str, str]) -> str:
    numbers: dict[str, Any] = {name: float(record[name]) for name in ("ts", "duration") if name in record}
    counts = {n: int(v) for n, v in record.items() if n.endswith(("_bytes", "_p"))}
    flags = {"established": True} if "established" in record else {}
    lists: dict[str, Any] = {"tunnel_parents": []} if "tunnel_parents" in record else {}
    return json.dumps({**record, **numbers, **counts, **flags, **lists}) + "\n"


def test_a_connection_becomes_a_hop(tmp_path: Path) -> None:
    collector = Zeek("live-1", "tap-1", PLACES, observer="acme", sequence=2)
    assert event(run_on(collector, tmp_path, log(CONN), "conn.log")) == {
        "specversion": "1.0",
        "id": "CHhAvVGS1DHFjwGM9:conn:2026-07-01T12:00:03.120Z",
        "source": "/zeek/tap-1",
        "type": "transfer-ledger.hop.v1",
        "subject": "live-1",
        "time": "2026-07-01T12:00:03.12Z",
        "phase": "transit",
        "data": {
            "from": {"country": "CN", "party": "acme", "node": "10.1.0.7"},
            "to": {"country": "US", "party": "acme-cdn", "node": "203.0.113.9"},
            "sequence": 2,
            "protocol": "ssl",
            "bytes": 5418,
            "started": "2026-07-01T12:00:03.12Z",
            "ended": "2026-07-01T12:00:05.620Z",
            "observer": "acme",
            "session_id": "CHhAvVGS1DHFjwGM9",
            "source_system": "zeek",
            "completeness": "best-effort",
        },
    }


def test_the_ssl_line_of_the_same_connection_tells_its_tls(tmp_path: Path) -> None:
    found = event(run_on(Zeek(places=PLACES), tmp_path, log(SSL), "ssl.log"))
    assert found["id"] == "CHhAvVGS1DHFjwGM9:ssl:2026-07-01T12:00:03.120Z"
    assert found["data"]["session_id"] == CONN["uid"]
    assert (found["data"]["tls_version"], found["data"]["cipher"]) == ("1.2", SSL["cipher"])
    assert found["data"]["protocol"] == "tls"
    assert "bytes" not in found["data"]


@pytest.mark.parametrize("record", [CONN, SSL], ids=["conn", "ssl"])
def test_both_forms_give_the_same_event(tmp_path: Path, record: dict[str, str]) -> None:
    collector = Zeek(places=PLACES)
    in_text = event(run_on(collector, tmp_path, log(record)))
    assert event(run_on(collector, tmp_path, streamed(record), "a.json")) == in_text
    assert event(run_on(collector, tmp_path, log(record, separator="|"), "a.log")) == in_text
    assert event(run_on(collector, tmp_path, gzip.compress(log(record).encode()), "a.log.gz")) == in_text


def test_nothing_personal_stands_in_the_entry(tmp_path: Path) -> None:
    for record in (CONN, SSL):
        found = event(run_on(Zeek(places=PLACES, observer="acme"), tmp_path, log(record)))
        assert_hidden(found, "10.1.0.7", "203.0.113.9", "acme-cdn")
        assert "ann.acme" not in str(found)


@pytest.mark.parametrize(
    ("collector", "countries"),
    [
        (Zeek(from_country="CN", to_country="SG"), ("CN", "SG")),
        (Zeek(places=PLACES, from_country="JP", to_country="JP"), ("CN", "US")),
        (Zeek(places=parse_places('["10.0.0.0/8"]\ncountry = "CN"'), to_country="JP"), ("CN", "JP")),
    ],
)
def test_places_count_first_and_the_options_for_the_rest(
    tmp_path: Path, collector: Zeek, countries: tuple[str, str]
) -> None:
    found = data(run_on(collector, tmp_path, log(CONN)))
    assert (found["from"]["country"], found["to"]["country"]) == countries


@pytest.mark.parametrize(
    ("collector", "side"),
    [(Zeek(to_country="SG"), "originator"), (Zeek(from_country="CN"), "responder")],
)
def test_what_cannot_be_placed_is_set_aside_with_that_reason(
    tmp_path: Path, collector: Zeek, side: str
) -> None:
    assert f"the {side} cannot be placed" in reasons(run_on(collector, tmp_path, log(CONN, CONN)))[9]


def test_the_narrowest_network_counts_and_ipv6_is_one_too(tmp_path: Path) -> None:
    places = parse_places('["::/0"]\ncountry = "CN"\n["2001:db8::/32"]\ncountry = "SG"\n')
    six = CONN | {"id.orig_h": "2001:db8::7", "id.resp_h": "2400::1"}
    found = data(run_on(Zeek(places=places), tmp_path, log(six)))
    assert (found["from"]["country"], found["to"]["country"]) == ("SG", "CN")


@pytest.mark.parametrize(
    "text",
    [
        "country =",
        '["10.0.0.0/33"]\ncountry = "CN"',
        '["10.0.0.1/8"]\ncountry = "CN"',
        '["10.0.0.0/8"]\ncountry = "cn"',
        '["10.0.0.0/8"]\nparty = "acme"',
        '["10.0.0.0/8"]\ncountry = "CN"\nparty = "Ann Lee"',
        '["10.0.0.0/8"]\ncountry = "CN"\ncity = "x"',
        '["10.0.0.0/8"]\ncountry = "CN"\nparty = 7',
        '["10.0.0.0/8"]\ncountry = ["CN"]',
        'country = "CN"',
    ],
)
def test_a_wrong_places_file_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        parse_places(text)


def test_a_place_is_read() -> None:
    ((network, place),) = parse_places('["10.0.0.0/8"]\ncountry = "CN"').items()
    assert (str(network), place) == ("10.0.0.0/8", Place("CN"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"service": "http"}, {"protocol": "http", "tls_version": "none"}),
        ({"service": "-"}, {"protocol": "tcp", "tls_version": None}),
        ({"service": "ssl,http"}, {"protocol": "ssl+http", "tls_version": None}),
        ({"service": "ann@example.com"}, {"protocol": "tcp"}),
        ({"service": "dce_rpc,-ssl"}, {"protocol": "dce-rpc"}),
        ({"service": "-", "proto": "unknown_transport"}, {"protocol": "unknown-transport"}),
        ({"duration": "-", "orig_bytes": "-", "resp_bytes": "-"}, {"ended": None, "bytes": None}),
        ({"orig_bytes": "-"}, {"bytes": 4518}),
        ({"id.orig_p": "-"}, {"bytes": 5418}),
    ],
)
def test_fields_are_read_in_the_catalogue_s_words(
    tmp_path: Path, changes: dict[str, str], expected: dict[str, Any]
) -> None:
    found = data(run_on(Zeek(places=PLACES), tmp_path, log(CONN | changes)))
    assert {name: found.get(name) for name in expected} == expected


def test_a_line_without_a_uid_is_known_by_its_place(tmp_path: Path) -> None:
    found = event(run_on(Zeek(places=PLACES), tmp_path, log(CONN | {"uid": "-"}), "conn.2026-07-01.log"))
    assert found["id"] == "conn.log:2026-07-01T12:00:03.120Z:9"
    assert "session_id" not in found["data"]


@pytest.mark.parametrize("ts", ["1782907203120", "1782907203120.0", '"2026-07-01T12:00:03.120000Z"'])
def test_times_of_json_may_be_in_milliseconds_or_written_out(tmp_path: Path, ts: str) -> None:
    line = streamed(CONN)
    other = line.replace('"ts": 1782907203.12,', f'"ts": {ts},')
    assert other != line
    assert run_on(Zeek(places=PLACES), tmp_path, other) == run_on(Zeek(places=PLACES), tmp_path, line)


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2026-07-01T12:00:00.000000Z", "2026-07-01T12:00:00Z"),
        ("2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
    ],
)
def test_a_time_that_is_written_out_loses_no_more_than_its_last_zeros(
    tmp_path: Path, written: str, time: str
) -> None:
    assert event(run_on(Zeek(places=PLACES), tmp_path, json.dumps({**CONN, "ts": written})))["time"] == time


def test_a_log_is_known_by_its_path_or_by_what_only_it_has(tmp_path: Path) -> None:
    plain = {name: value for name, value in CONN.items() if name != "conn_state"}
    found = event(run_on(Zeek(places=PLACES), tmp_path, streamed({"_path": "conn", **plain})))
    assert found == event(run_on(Zeek(places=PLACES), tmp_path, log(CONN)))
    assert found == event(
        run_on(Zeek(places=PLACES), tmp_path, log(CONN).replace("#path\tconn", "#path\tpeers"))
    )


@pytest.mark.parametrize("path", ["open_conn", "open_ssl", "conn_long"])
def test_a_connection_that_goes_on_is_no_hop_yet(tmp_path: Path, path: str) -> None:
    going_on = log(CONN).replace("#path\tconn", f"#path\t{path}")
    assert "goes on" in reasons(run_on(Zeek(places=PLACES), tmp_path, going_on))[9]
    assert "goes on" in reasons(run_on(Zeek(places=PLACES), tmp_path, streamed({"_path": path, **CONN})))[1]


@pytest.mark.parametrize(
    "other",
    [
        {"query": "acme.example", "qtype_name": "A", "rcode": "0"},
        {"analyzer": "SSL", "failure_reason": "Invalid version"},
        {"note": "SSL::Weak_Key", "msg": "weak", "sub": "acme.example"},
    ],
    ids=["dns", "dpd", "notice"],
)
def test_a_line_of_another_log_of_the_same_connection_is_no_hop(
    tmp_path: Path, other: dict[str, str]
) -> None:
    shared = {name: CONN[name] for name in list(CONN)[:7]}
    for content, line in ((log({**shared, **other}), 9), (streamed({**shared, **other}), 1)):
        found = reasons(run_on(Zeek(places=PLACES), tmp_path, content))
        assert list(found) == [line]
        assert found[line].startswith("neither a line of conn.log nor of ssl.log")


def test_what_is_no_hop_is_set_aside_and_the_others_stand(tmp_path: Path) -> None:
    rows = {
        10: ("\x00\x01", "expected 13 fields, got 1"),
        11: ("\t".join(list(CONN.values())[:-1]), "expected 13 fields, got 12"),
        12: ("\t".join((CONN | {"ts": "-"}).values()), "a line without its time"),
        13: ("\t".join((CONN | {"ts": "99999999999999"}).values()), "not a time"),
        14: ("\t".join((CONN | {"uid": "ann@example.com"}).values()), "id: expected"),
        15: (
            '{"_path":"dns","ts":1782907203.5,"query":"acme.example"}',
            "neither a line of conn.log nor of ssl.log",
        ),
        16: ('{"ts":', "not JSON"),
    }
    good = "\t".join(CONN.values())
    content = head(CONN) + "\n".join([good, *(row for row, _ in rows.values()), good]) + "\n"
    outcomes = run_on(Zeek(places=PLACES), tmp_path, content.replace("\n", "\r\n"))
    assert list(reasons(outcomes)) == list(rows)
    assert all(rows[number][1] in reason for number, reason in reasons(outcomes).items())
    assert len(events([outcomes[0], outcomes[-1]])) == 2


def test_half_a_line_an_empty_file_and_a_line_before_its_fields(tmp_path: Path) -> None:
    half = head(CONN) + "\t".join(CONN.values())
    assert reasons(run_on(Zeek(places=PLACES), tmp_path, half))[9].startswith(LINE_END)
    assert run_on(Zeek(), tmp_path, "") == run_on(Zeek(), tmp_path, head(CONN)) == []
    assert reasons(run_on(Zeek(), tmp_path, "1\t2\n")) == {1: "a line before any #fields"}
