"""Whatever a damaged file holds, every line of it comes out, and nothing else than an event or a reason."""

import random
from pathlib import Path

import pytest
from support.collecting import run

from ledger.collect import S3, ActionTrail, CloudFront, Collector, Nginx, Oss, PostgresqlLogs, Zeek

from .test_collect_actiontrail import LINE as ACTIONTRAIL
from .test_collect_cloudfront import HEAD as W3C_HEAD
from .test_collect_cloudfront import line as w3c_line
from .test_collect_generic import HEAD as CSV_HEAD
from .test_collect_generic import PLAIN, generic
from .test_collect_nginx import TLS
from .test_collect_oss import LINE as OSS
from .test_collect_postgresql import line
from .test_collect_s3 import LINE as S3_LINE
from .test_collect_zeek import CONN, PLACES, head

SOURCES: dict[str, tuple[Collector, str, str]] = {
    "s3": (S3(), "", S3_LINE),
    "oss": (Oss(), "", OSS),
    "nginx": (Nginx(), "", TLS),
    "cloudfront": (CloudFront(), W3C_HEAD, w3c_line().rstrip("\n")),
    "zeek": (Zeek(places=PLACES), head(CONN), "\t".join(CONN.values())),
    "actiontrail": (ActionTrail(), "", ACTIONTRAIL.decode()),
    "postgresql, jsonlog": (PostgresqlLogs(), "", line().rstrip("\n")),
    "postgresql, stderr": (
        PostgresqlLogs(),
        "",
        "2026-07-01 12:00:03.123 UTC [42] LOG:  statement: select 1",
    ),
    "generic": (generic(), CSV_HEAD, PLAIN.rstrip("\n")),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_damaged_line_comes_out_once(tmp_path: Path, name: str) -> None:
    collector, before, line = SOURCES[name]
    chance = random.Random(7)
    lines = []
    for _ in range(400):
        damaged = bytearray(line.encode())
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(damaged))
            # Neither a line end, which would make two of one, nor a start that makes a line a header or a CSV quote.
            damaged[at] = chance.choice([b for b in range(256) if b not in b'\n\r#"'])
        lines.append(bytes(damaged))
    path = tmp_path / "a.log"
    path.write_bytes(before.encode() + b"\n".join(lines) + b"\n")
    assert len(run(collector, path)) == sum(bool(one.strip()) for one in lines)
