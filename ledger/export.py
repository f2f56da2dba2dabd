"""Access logs as files: NDJSON, CSV and Parquet, one row an access, with the columns of `AccessDocument`.

NDJSON and Parquet hold the values as they are. CSV is read by spreadsheets, which run a cell that begins like a
formula, and what an access says of itself is written by whoever made it: such a cell gets an apostrophe in front, and
all texts are quoted, so that no separator of another country begins a cell (OWASP, “CSV Injection”).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import IO, Any

from ledger.documents import AccessDocument
from ledger.errors import ToolMissing

COLUMNS = tuple(AccessDocument.__annotations__)
ROW_GROUP = 10_000
"""Rows that Parquet holds in memory, at most."""
GROUP_SIZE = 32 * 2**20
"""Characters of its rows at which a group ends."""

_FORMULA = re.compile(r"[\t\r\n]|[\s\x00-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@＝＋－＠]")
"""How a formula begins, full width too, after what a spreadsheet may pass over."""
_INTEGERS = ("position", "bytes", "class_uid")


class Format(StrEnum):
    """Forms of a file."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        return _MEDIA[self]


_MEDIA = {
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.PARQUET: "application/vnd.apache.parquet",
}


def write(rows: Iterable[AccessDocument], format: Format, out: IO[bytes]) -> int:
    """Write the rows; answers how many. Memory does not grow with them.

    Raises:
        ToolMissing: Parquet is asked for, and pyarrow is not installed.
    """
    return _WRITERS[format](rows, out)


def _ndjson(rows: Iterable[AccessDocument], out: IO[bytes]) -> int:
    count = 0
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        count += 1
    return count


def _csv(rows: Iterable[AccessDocument], out: IO[bytes]) -> int:
    """RFC 4180, with a header and CRLF; absent values are empty."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, COLUMNS, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    count = 0
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
        count += 1
    text.detach()
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, str) and _FORMULA.match(value):
        return "'" + value
    return value


def _parquet(rows: Iterable[AccessDocument], out: IO[bytes]) -> int:
    try:
        import pyarrow as pa  # here, since few need it
        from pyarrow import parquet
    except ImportError:
        raise ToolMissing(
            "Parquet needs pyarrow",
            advice="Install `transfer-audit-ledger[parquet]`, or take NDJSON or CSV.",
        ) from None
    kinds = {name: pa.string() for name in COLUMNS}
    kinds |= dict.fromkeys(_INTEGERS, pa.int64())
    kinds["time"] = pa.timestamp("ms", tz="UTC")
    schema = pa.schema([pa.field(name, kind) for name, kind in kinds.items()])
    count = 0
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in _groups(rows):
            columns = {name: [row[name] for row in group] for name in COLUMNS}  # type: ignore[literal-required]
            columns["time"] = pa.array(columns["time"]).cast(kinds["time"])
            writer.write_table(pa.table(columns, schema=schema))
            count += len(group)
    return count


def _groups(rows: Iterable[AccessDocument]) -> Iterator[list[AccessDocument]]:
    group: list[AccessDocument] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(group) == ROW_GROUP or size >= GROUP_SIZE:
            yield group
            group, size = [], 0
    if group:
        yield group


_WRITERS: dict[Format, Callable[[Iterable[AccessDocument], IO[bytes]], int]] = {
    Format.NDJSON: _ndjson,
    Format.CSV: _csv,
    Format.PARQUET: _parquet,
}
