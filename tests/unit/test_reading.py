"""Reading goes on at any record, for every collector, and never at the wrong one."""

import gzip
import io
import json
from pathlib import Path

import pytest

from ledger.collect import (
    S3,
    ActionTrail,
    CloudFront,
    CloudTrail,
    Collector,
    Nginx,
    Oss,
    PostgresqlLogs,
    Zeek,
)
from ledger.collect.file_acls import FileAcls
from ledger.collect.files import unpacked
from ledger.collect.reading import Place, Read, Reading
from ledger.collect.snapshots import ResourceKeys, SnapshotOptions

from .test_collect_actiontrail import LINE as ACTIONTRAIL
from .test_collect_cloudfront import HEAD as W3C_HEAD
from .test_collect_cloudfront import line as w3c_line
from .test_collect_generic import HEAD as CSV_HEAD
from .test_collect_generic import PLAIN, generic
from .test_collect_nginx import TLS
from .test_collect_oss import LINE as OSS
from .test_collect_postgresql import csv_line, line
from .test_collect_s3 import LINE as S3_LINE
from .test_collect_zeek import CONN, PLACES, log

PG = "2026-07-01 12:00:0{0}.123 UTC [4{0}] "
TRAIL = {
    "eventID": "",
    "eventTime": "2026-07-01T12:00:00Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "Get",
}
ACLS = SnapshotOptions(ResourceKeys.plain(), "2026-07-01T12:00:00Z")
ACL = "# file: share{}\n# owner: ann\n# group: staff\nuser::rwx\ngroup::r-x\nother::r--\n"


def trail(numbers: range) -> list[str]:
    return [json.dumps({**TRAIL, "eventID": f"event-{number}"}) for number in numbers]


FILES: dict[str, tuple[Collector, str]] = {
    "nginx": (Nginx(), "".join(TLS.replace("200", f"20{n}") + "\n" for n in range(7))),
    "nginx with rubbish and blanks": (Nginx(), f"x\n{TLS}\n\n\ny\n{TLS}\n \nz\n{TLS}\n"),
    "nginx, half a line": (Nginx(), f"{TLS}\n{TLS}\n{TLS[:40]}"),
    "s3": (S3(), "".join(S3_LINE.replace("2026/1.ts", f"{n}.ts") + "\n" for n in range(5))),
    "oss": (Oss(), f"{OSS}\r\n" * 4),
    "cloudtrail, lines": (CloudTrail(), "".join(f"{text}\n" for text in trail(range(5)))),
    "cloudtrail, an array": (CloudTrail(), '{"Records":[' + ",\n".join(trail(range(5))) + "]}"),
    "cloudtrail, half an array": (CloudTrail(), '{"Records":[' + ",".join(trail(range(3)))),
    "cloudtrail, objects over several lines": (
        CloudTrail(),
        "".join(json.dumps(json.loads(text), indent=1) + "\n" for text in trail(range(4))),
    ),
    "cloudtrail, arrays one after the other": (
        CloudTrail(),
        "".join('{"Records":[' + ",".join(trail(range(n, n + 2))) + "]}\n" for n in (0, 2, 4)),
    ),
    "cloudtrail, a bad element": (CloudTrail(), '{"Records":[' + ",5,".join(trail(range(3))) + "]}"),
    "actiontrail": (ActionTrail(), "[" + ",".join([ACTIONTRAIL.decode()] * 3) + "]"),
    "w3c": (CloudFront(), W3C_HEAD + w3c_line() * 3),
    "w3c, begun again with other fields": (
        CloudFront(),
        W3C_HEAD
        + w3c_line() * 2
        + "#Version: 1.0\n#Fields: date time c-ip\n"
        + w3c_line()
        + W3C_HEAD
        + w3c_line() * 2,
    ),
    "zeek": (
        Zeek(places=PLACES),
        log(CONN, CONN, CONN) + log(dict(reversed(CONN.items())), CONN, separator=";"),
    ),
    "csv": (generic(), CSV_HEAD + PLAIN * 4),
    "csv over several lines": (generic(), CSV_HEAD + PLAIN + PLAIN.replace("ann", '"a\n\nn"') + PLAIN),
    "csv with a bad header": (generic(), f'"{"x" * 140_000}\n{CSV_HEAD}' + PLAIN * 3),
    "jsonlog": (PostgresqlLogs(), "".join(line(line_num=n) for n in range(4))),
    "csvlog": (PostgresqlLogs(), "".join(csv_line(f"statement: select\n\n{n}\n") for n in range(4))),
    "stderr": (
        PostgresqlLogs(),
        "".join(
            f"{PG.format(n)}ERROR:  permission denied for x\n{PG.format(n)}STATEMENT:  select\n\t\n\t{n}\n"
            for n in range(4)
        ),
    ),
    "file acls": (FileAcls(ACLS), "\n\n".join(ACL.format(n) for n in range(4))),
}


def read(collector: Collector, content: bytes, place: Place | None = None) -> list[Read] | None:
    """What comes out after `place`; None if that is none of this content."""
    reading = Reading(collector, Path("x.log"), unpacked(io.BytesIO(content)), None)
    return list(reading) if place is None or reading.go_on(place) else None


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("name", FILES)
def test_what_comes_after_each_place_is_what_comes_after_its_record(name: str, packed: bool) -> None:
    collector, text = FILES[name]
    content = gzip.compress(text.encode()) if packed else text.encode()
    whole = read(collector, content)
    assert whole is not None
    assert len(whole) > 2
    for number, here in enumerate(whole, 1):
        assert read(collector, content, here.place) == whole[number:]


LINES = ["nginx", "w3c", "zeek", "csv", "csvlog", "stderr", "cloudtrail, lines", "csv over several lines"]


@pytest.mark.parametrize("name", LINES)
def test_lines_are_gone_on_with_without_reading_those_before(name: str) -> None:
    collector, text = FILES[name]
    content = text.encode()
    whole = read(collector, content) or []
    place = whole[-2].place
    assert place.offset is not None
    # What stands there no longer matters, so it was not read.
    dark = b"\0" * (place.offset - 1) + b"\n" + content[place.offset :]
    assert read(collector, dark, place) == whole[-1:]


@pytest.mark.parametrize("name", FILES)
def test_another_file_is_read_from_its_start(name: str) -> None:
    collector, text = FILES[name]
    whole = read(collector, text.encode()) or []
    for other in (b"", b"\n", text.replace("2", "3").encode(), text[: len(text) // 9].encode()):
        theirs = {(one.place.number, one.place.digest) for one in read(collector, other) or []}
        for here in whole:
            reading = Reading(collector, Path("x.log"), io.BytesIO(other), None)
            if (here.place.number, here.place.digest) not in theirs:
                assert not reading.go_on(here.place)
                assert list(reading) == read(collector, other)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_known_by_its_first_record(name: str) -> None:
    collector, text = FILES[name]
    packed = gzip.compress(text.encode())
    plain, other = (
        Reading(collector, Path(n), unpacked(io.BytesIO(c)), None).first
        for n, c in (("a", text.encode()), ("b", packed))
    )
    assert plain is not None
    assert plain == other


def test_a_file_of_no_records_is_not_known() -> None:
    for content in (b"", b"\n\n", W3C_HEAD.encode(), b"\x1f\x8b broken"):
        assert Reading(CloudFront(), Path("x"), unpacked(io.BytesIO(content)), None).first is None


@pytest.mark.parametrize(
    ("collector", "content", "is_open"),
    [
        (Nginx(), f"{TLS}\n{TLS}\n", False),
        (Nginx(), f"{TLS}\n{TLS}", True),
        (CloudTrail(), trail(range(1))[0] + "\n", False),
        (CloudTrail(), trail(range(1))[0], True),
        (CloudTrail(), '{"Records":[' + trail(range(1))[0], True),
        (PostgresqlLogs(), csv_line("x"), False),
        (PostgresqlLogs(), csv_line('x"')[:-50], True),
        (PostgresqlLogs(), f"{PG.format(1)}LOG:  x\n", True),
        (generic(), CSV_HEAD + PLAIN, False),
        (generic(), CSV_HEAD + PLAIN.replace("ann", '"a\nb'), True),
    ],
)
def test_only_the_record_that_the_file_ends_with_is_open(
    collector: Collector, content: str, is_open: bool
) -> None:
    reads = read(collector, content.encode()) or []
    assert [one.is_open for one in reads] == [False] * (len(reads) - 1) + [is_open]


def test_a_broken_stream_is_open_where_it_breaks_and_gone_on_with_when_it_is_whole() -> None:
    content = gzip.compress("".join(f"{TLS}{n}\n" for n in range(2000)).encode(), compresslevel=0)
    broken = read(Nginx(), content[: len(content) // 2]) or []
    assert "cannot be read from here on" in getattr(broken[-1].outcome, "reason", "")
    assert broken[-1].is_open
    whole = read(Nginx(), content) or []
    assert read(Nginx(), content, broken[-2].place) == whole[len(broken) - 1 :]


def test_too_many_header_lines_cost_time_and_nothing_else() -> None:
    text = W3C_HEAD + w3c_line() + "#Remark: x\n" * 10_000 + w3c_line() * 3
    whole = read(CloudFront(), text.encode()) or []
    assert [one.place.offset is None for one in whole] == [False, True, True, True]
    assert read(CloudFront(), text.encode(), whole[2].place) == whole[3:]
