"""CSV and JSON by a mapping: a wrong mapping says what is wrong, and every record of a file comes out once."""

import csv
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collecting import assert_hidden, data, event, events, reasons, run, run_on
from support.shared_data import shared_file

from ledger.collect import Generic, SetAside, parse_mapping
from ledger.collect.generic import _csv_record, split_csv
from ledger.entry import Phase
from ledger.errors import InvalidEvent, MalformedInput
from ledger.types import Digest

MAPPING = """
type = "transfer-ledger.access.v1"
format = "csv"
source = "/gateway/eu-west-1"
time = "When"
id = "Request"

[members]
principal = "User"
action = "What"
outcome = "Result"
bytes = "Size"
resource = "Path"

[constants]
source_system = "gateway"
read_only = true

[values.outcome]
ok = "allowed"
denied = "refused"
"""
HEAD = "Request,When,User,What,Result,Size,Path\n"
ROW = 'r-1,2026-07-01T12:00:03Z,ann,READ,ok,4518,"/a ""b"", c\nd"\n'
PLAIN = "r-2,2026-07-01T12:00:04Z,ann,READ,denied,,\n"


def generic(*changes: tuple[str, str], mapping: str = MAPPING, **keywords: Any) -> Generic:
    for old, new in changes:
        assert old in mapping
        mapping = mapping.replace(old, new)
    return Generic(parse_mapping(mapping), **keywords)


def test_a_record_becomes_an_event(tmp_path: Path) -> None:
    assert event(run_on(generic(subject="live-1", phase=Phase.TRANSIT), tmp_path, HEAD + ROW)) == {
        "specversion": "1.0",
        "id": "r-1",
        "source": "/gateway/eu-west-1",
        "type": "transfer-ledger.access.v1",
        "subject": "live-1",
        "time": "2026-07-01T12:00:03Z",
        "phase": "transit",
        "data": {
            "principal": "ann",
            "action": "READ",
            "outcome": "allowed",
            "bytes": 4518,
            "resource": '/a "b", c\nd',
            "source_system": "gateway",
            "read_only": True,
            "raw_sha256": Digest.of(ROW.rstrip("\n").encode()).hex(),
        },
    }


def test_nothing_personal_stands_in_the_entry(tmp_path: Path) -> None:
    found = event(run_on(generic(), tmp_path, HEAD + ROW))
    assert_hidden(found, "ann", "READ", '/a "b"', "4518")


def test_the_scans_of_an_open_bucket_are_all_imported(tmp_path: Path) -> None:
    mapping = """
        type = "transfer-ledger.access.v1"
        format = "csv"
        source = "/honeybucket"
        time = "Event DateTime"
        id = "Event ID"
        [members]
        principal = "User ID"
        action = "Event Name"
        resource = "Request Parameters"
        source_address = "Source IP"
        user_agent = "Request User Agent"
        [constants]
        outcome = "allowed"
        source_system = "aws.cloudtrail"
        completeness = "sampled"
    """
    found = events(run(generic(mapping=mapping), shared_file("cloudtrail", "honeybucket.csv")))
    assert len(found) == len({e["id"] for e in found}) == 301
    # Counted in the file itself.
    assert Counter(e["data"]["action"] for e in found) == {
        "HeadBucket": 159,
        "ListObjects": 138,
        "PutObject": 4,
    }
    for one in found:
        hidden = [str(one["data"].get(n)) for n in ("principal", "source_address", "resource")]
        assert_hidden(one, *hidden)


@pytest.mark.parametrize(
    ("change", "place", "problem"),
    [
        (("[members]", "[members"), "", "not TOML"),
        (('format = "csv"', 'format = "xml"'), "format", "'csv' or 'json'"),
        (('time = "When"\n', ""), "time", "Field required"),
        (('id = "Request"', "id = 7"), "id", "string"),
        (('id = "Request"', 'key = "Request"'), "key", "Extra inputs"),
        (("principal =", "who ="), "members.who", "not a member of transfer-ledger.access.v1"),
        (("source_system =", "system ="), "constants.system", "not a member"),
        (("[values.outcome]", "[values.result]"), "values.result", "not among the members"),
        (("read_only = true", 'action = "x"'), "constants.action", "a member as well"),
        (('time = "When"', 'time = "When"\ntime_format = "iso"'), "time_format", "strptime"),
        (('time = "When"', 'time = "When"\nutc_offset = "+8"'), "utc_offset", "match"),
        (('time = "When"', 'time = "When"\nutc_offset = "+08:00"'), "utc_offset", "needs none"),
        (('time = "When"', 'time = "When"\ndelimiter = "::"'), "delimiter", "match"),
        (('time = "When"', 'time = "When"\nphase = "after"'), "phase", "storage"),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(change: tuple[str, str], place: str, problem: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        generic(change)
    places = {
        p["at"]: p["problem"]
        for p in caught.value.details.get("problems", [{"at": "", "problem": str(caught.value)}])
    }
    assert problem in places[place]


def test_a_type_that_is_not_catalogued_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="not in the catalogue"):
        generic(("access.v1", "accesses.v1"))


@pytest.mark.parametrize(
    ("told", "written", "time"),
    [
        ("", "2026-07-01T12:00:03+08:00", "2026-07-01T12:00:03+08:00"),
        ('time_format = "unix"', "1782907203.5", "2026-07-01T12:00:03.5Z"),
        ('time_format = "unix"', "1782907203", "2026-07-01T12:00:03Z"),
        ('time_format = "unix-ms"', "1782907203500", "2026-07-01T12:00:03.5Z"),
        ('time_format = "unix-ms"', "1782907203500.25", "2026-07-01T12:00:03.50025Z"),
        ('time_format = "unix-us"', "1782907203500001", "2026-07-01T12:00:03.500001Z"),
        ('time_format = "unix-ns"', "1782907203500001002", "2026-07-01T12:00:03.500001002Z"),
        ('time_format = "%d.%m.%Y %H:%M:%S"', "01.07.2026 12:00:03", "2026-07-01T12:00:03Z"),
        (
            'time_format = "%d.%m.%Y %H:%M:%S"\nutc_offset = "+08:00"',
            "01.07.2026 20:00:03",
            "2026-07-01T12:00:03Z",
        ),
        (
            'time_format = "%Y-%m-%dT%H:%M:%S.%f%z"',
            "2026-07-01T20:00:03.5+0800",
            "2026-07-01T12:00:03.500000Z",
        ),
    ],
)
def test_times_are_read_as_the_mapping_says(tmp_path: Path, told: str, written: str, time: str) -> None:
    collector = generic(('time = "When"', f'time = "When"\n{told}'))
    assert (
        event(run_on(collector, tmp_path, HEAD + PLAIN.replace("2026-07-01T12:00:04Z", written)))["time"]
        == time
    )


@pytest.mark.parametrize("written", ["1", "12", "-1", "1.5.5", "1e9", "", "."])
@pytest.mark.parametrize("format", ["unix-ms", "unix-us", "unix-ns"])
def test_a_unix_time_too_short_for_its_unit_is_set_aside(tmp_path: Path, format: str, written: str) -> None:
    collector = generic(('time = "When"', f'time = "When"\ntime_format = "{format}"'))
    outcomes = run_on(collector, tmp_path, HEAD + PLAIN.replace("2026-07-01T12:00:04Z", written))
    assert "not a time" in reasons(outcomes)[2]


@pytest.mark.parametrize(("status", "outcome"), [(200, "allowed"), ("200", "allowed"), (True, "refused")])
def test_the_source_s_words_may_be_numbers_and_truth_values(
    tmp_path: Path, status: Any, outcome: str
) -> None:
    mapping = """
        type = "transfer-ledger.access.v1"
        format = "json"
        source = "/gateway"
        time = "at"
        [members]
        principal = "who"
        action = "what"
        outcome = "status"
        [values.outcome]
        200 = "allowed"
        true = "refused"
    """
    record = {"at": "2026-07-01T12:00:03Z", "who": "ann", "what": "GET", "status": status}
    assert data(run_on(generic(mapping=mapping), tmp_path, json.dumps(record)))["outcome"] == outcome


@pytest.mark.parametrize("format", ["unix", "unix-ms", "%d.%m.%Y"])
def test_a_time_of_another_form_is_set_aside(tmp_path: Path, format: str) -> None:
    collector = generic(('time = "When"', f'time = "When"\ntime_format = "{format}"'))
    assert "not a time" in reasons(run_on(collector, tmp_path, HEAD + PLAIN))[2]


JSON_MAPPING = """
type = "transfer-ledger.hop.v1"
format = "json"
source = "/probe"
time = "at"
array = "hops"
[members]
sequence = "n"
"from.country" = "path.src"
"to.country" = "path.dst"
"to.node" = "dst.name"
"""
HOP = {"at": "2026-07-01T12:00:03Z", "n": 1, "path": {"src": "CN", "dst": "SG"}, "dst.name": "edge-1"}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"hops": [HOP, HOP]}),
        json.dumps([HOP, HOP]),
        json.dumps(HOP) + "\r\n" + json.dumps(HOP),
        gzip.compress(json.dumps([HOP, HOP]).encode()),
    ],
    ids=["member", "array", "lines", "packed"],
)
def test_json_is_read_by_paths_and_in_every_shape(tmp_path: Path, content: str | bytes) -> None:
    first, second = events(run_on(generic(mapping=JSON_MAPPING), tmp_path, content, "hops.json"))
    assert first["data"] == {
        "sequence": 1,
        "from": {"country": "CN"},
        "to": {"country": "SG", "node": "edge-1"},
    }
    assert first["phase"] == "transit"
    assert (first["id"], second["id"]) == tuple(f"hops.json:2026-07-01T12:00:03.000Z:{n}" for n in (1, 2))


def test_a_path_that_leads_nowhere_leaves_the_member_out(tmp_path: Path) -> None:
    outcomes = run_on(generic(mapping=JSON_MAPPING), tmp_path, json.dumps(HOP | {"path": 7}))
    assert "data.from: missing" in reasons(outcomes)[1]


@pytest.mark.parametrize(
    ("content", "bad"),
    [
        ("", {}),
        (HEAD, {}),
        (HEAD + "\n" + PLAIN + "\r\n", {}),
        ("\ufeff" + HEAD + PLAIN.rstrip("\n"), {}),
        (
            HEAD.replace("User", "Who") + PLAIN,
            {2: "columns of the mapping that the header does not name: got User"},
        ),
        (HEAD.replace("Path", "User") + PLAIN, {2: "the header names a column twice"}),
        (HEAD + "r-3,x\n" + PLAIN, {2: "expected 7 columns, got 2"}),
        (HEAD + PLAIN.replace("denied", "maybe"), {2: "data.outcome"}),
        (HEAD + PLAIN.replace(",,", ",many,"), {2: "data.bytes"}),
        (HEAD + PLAIN.replace("r-2", "ann lee"), {2: "id: expected"}),
        (HEAD + PLAIN.replace("READ", '"RE"AD"'), {2: "not CSV"}),
        (HEAD + ROW + PLAIN + 'r-3,"half', {5: "not CSV: unexpected end of data"}),
        ('"Request,When\n', {1: "not CSV"}),
        ('Requ"est","Wh"en\n' + PLAIN, {1: "not CSV", 2: "under a header that cannot be read"}),
    ],
)
def test_a_file_out_of_shape_says_where(tmp_path: Path, content: str, bad: dict[int, str]) -> None:
    outcomes = run_on(generic(), tmp_path, content)
    found = reasons(outcomes)
    assert list(found) == list(bad)
    assert all(bad[number] in reason for number, reason in found.items())


def test_bytes_that_are_no_text_are_set_aside(tmp_path: Path) -> None:
    content = HEAD.encode() + b"\xff\x00" + PLAIN.encode() + PLAIN.encode()
    assert reasons(run_on(generic(), tmp_path, content)) == {2: "not UTF-8"}


def test_a_quote_that_is_never_closed_costs_no_more_than_a_value_may_have(tmp_path: Path) -> None:
    open_quote = 'r-1,2026-07-01T12:00:03Z,"ann\n'
    outcomes = run_on(generic(), tmp_path, HEAD + open_quote + PLAIN * 4000)
    assert "not CSV: field larger than field limit" in reasons(outcomes)[2]
    assert 500 < len(outcomes) < 1500
    taken = sum(outcome.raw.count(b"\n") + 1 for outcome in outcomes if isinstance(outcome, SetAside))
    assert taken + len(outcomes) - 1 == 4001


def test_another_delimiter_and_a_source_without_ids(tmp_path: Path) -> None:
    collector = generic(('id = "Request"', 'delimiter = ";"'))
    found = event(run_on(collector, tmp_path, (HEAD + PLAIN).replace(",", ";"), "gateway.csv"))
    assert found["id"] == "gateway.csv:2026-07-01T12:00:04.000Z:2"
    assert found["data"]["outcome"] == "refused"
    assert not {"bytes", "resource"} & set(data(run_on(generic(), tmp_path, HEAD + PLAIN)))


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(TEXT, TEXT)), st.sampled_from(["\n", "\r\n"]))
def test_csv_is_cut_where_python_cuts_it(rows: list[tuple[str, str]], end: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end).writerows([("a", "b"), *rows])
    records = list(split_csv(io.BytesIO(file.getvalue().encode()), ","))
    assert [record.problem for record in records] == [None] * len(rows)
    assert [tuple(_csv_record(record.raw, record.header).values()) for record in records] == rows
