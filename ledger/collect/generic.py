"""CSV and JSON of any source, by a mapping: each record is one event of the type that the mapping names.

A mapping is a TOML file, here whole but for JSON's `array`::

    type = "transfer-ledger.access.v1"
    format = "csv"                       # or "json": an array, one object on each line, or one object
    source = "/gateway/eu-west-1"        # whose log it is; visible for ever, like the ids
    time = "When"                        # column of the time
    time_format = "%d.%m.%Y %H:%M:%S"    # rfc3339 (if left out), unix, unix-ms, -us, -ns, or a pattern of strptime
    utc_offset = "+02:00"                # of a pattern without %z
    id = "Request"                       # column of ids that the source gives; without it, by place (see `base`)
    phase = "storage"                    # if left out, the type's only phase or the caller's
    delimiter = ";"                      # if left out, a comma

    [members]                            # member = column; "from.country" reaches into an object
    principal = "User"
    action = "What"
    outcome = "Result"

    [constants]                          # the same for every record
    source_system = "gateway"
    completeness = "unknown"

    [values.outcome]                     # the source's words, and the ledger's; others stay as they are
    ok = "allowed"                       # in JSON a number or truth value as it is written: 200, true
    denied = "refused"

In JSON a column is a path, `user.name`; names with dots in them are found as they are first. The first record of CSV
names the columns; values may be quoted and hold line ends. Empty text is a member left out; text for a member that is a
number is read as one. `raw_sha256`, where the type has it, is SHA-256 over the record's bytes less its line end.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.catalogue import EventType, find
from ledger.collect.files import (
    MAX_RECORD,
    NO_HEADER,
    Header,
    RawRecord,
    read_lines,
    split_json,
    too_long,
)
from ledger.collect.members import raw_digest, unix_time
from ledger.entry import Phase
from ledger.errors import MalformedInput

Scalar = str | int | float | bool


class FieldMapping(BaseModel):
    """A mapping file; `parse_mapping` reads one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    format: Literal["csv", "json"]
    source: str
    time: str
    time_format: str = "rfc3339"
    utc_offset: str | None = Field(default=None, pattern=r"^[+-][0-9]{2}:[0-9]{2}$")
    id: str | None = None
    phase: Phase | None = None
    array: str | None = None
    delimiter: str = Field(default=",", pattern=r"^[^\r\n\"]$")
    members: dict[str, str]
    constants: dict[str, Scalar | list[Scalar]] = {}
    values: dict[str, dict[str, Scalar]] = {}


def parse_mapping(text: str) -> FieldMapping:
    """The mapping in a TOML text.

    Raises:
        MalformedInput: with `details["problems"]`, a list of `{"at", "problem"}`.
    """
    try:
        mapping = FieldMapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MalformedInput("a mapping that is not TOML", got=str(error)) from None
    except ValidationError as error:
        raise _wrong([(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]) from None
    members = _members(find(mapping.type))
    problems = [
        (f"{table}.{name}", f"not a member of {mapping.type}")
        for table, names in (("members", mapping.members), ("constants", mapping.constants))
        for name in names
        if name.split(".")[0] not in members
    ]
    problems += [(f"values.{n}", "not among the members") for n in mapping.values if n not in mapping.members]
    problems += [(f"constants.{n}", "a member as well") for n in mapping.constants if n in mapping.members]
    if mapping.utc_offset and "%" not in mapping.time_format:
        problems.append(("utc_offset", f"{mapping.time_format} needs none"))
    if "%" not in mapping.time_format and mapping.time_format not in _TIME_FORMATS:
        problems.append(("time_format", f"expected {', '.join(_TIME_FORMATS)}, or a pattern of strptime"))
    if problems:
        raise _wrong(problems)
    return mapping


_UNIX = {"unix": 0, "unix-ms": 3, "unix-us": 6, "unix-ns": 9}
"""How many decimals of a second a Unix time counts as whole numbers."""
_TIME_FORMATS = ("rfc3339", *_UNIX)


def _wrong(problems: list[tuple[str, str]]) -> MalformedInput:
    place, problem = problems[0]
    return MalformedInput(
        f"a mapping that cannot be used: {place}: {problem}",
        details={"problems": [{"at": at, "problem": what} for at, what in problems]},
    )


def _members(type: EventType) -> Mapping[str, Any]:
    return cast("dict[str, Any]", type.schema()["properties"])


@dataclass(frozen=True, slots=True)
class Generic:
    """The collector. `subject` is the transfer; `phase` counts where the mapping names none."""

    mapping: FieldMapping
    subject: str = "import"
    phase: Phase | None = None

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".csv", ".tsv") if self.mapping.format == "csv" else (".json", ".ndjson", ".jsonl")

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        if self.mapping.format == "csv":
            return split_csv(file, self.mapping.delimiter)
        return split_json(file, *filter(None, [self.mapping.array]))

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        mapping, type = self.mapping, find(self.mapping.type)
        if mapping.format == "csv":
            record = _csv_record(raw, header)
            _check_columns(mapping, record)
        else:
            record = canonical.parse_object(raw)
        phase = mapping.phase or (min(type.phases) if len(type.phases) == 1 else self.phase) or Phase.STORAGE
        event: Object = {
            "specversion": "1.0",
            "source": mapping.source,
            "type": type.name,
            "subject": self.subject,
            "time": read_time(_at(record, mapping.time), mapping.time_format, mapping.utc_offset),
            "phase": phase.value,
            "data": self._data(record, _members(type), raw),
        }
        if mapping.id is None:
            return event
        id = _at(record, mapping.id)
        return event | {"id": str(id) if isinstance(id, int) else id}

    def _data(self, record: Object, members: Mapping[str, Any], raw: bytes) -> Object:
        data: Object = {}
        for name, column in self.mapping.members.items():
            value, words = _at(record, column), self.mapping.values.get(name, {})
            if value is None or value == "":
                continue
            if not isinstance(value, list | dict) and (word := _word(value)) in words:
                _put(data, name, words[word])
            else:
                _put(data, name, _number(value, members.get(name)))
        for name, constant in self.mapping.constants.items():
            _put(data, name, cast(Value, constant))
        if "raw_sha256" in members and "raw_sha256" not in data:
            data["raw_sha256"] = raw_digest(raw)
        return data


def _check_columns(mapping: FieldMapping, record: Object) -> None:
    named = [mapping.time, *([mapping.id] if mapping.id else []), *mapping.members.values()]
    if missing := [column for column in named if column not in record]:
        raise MalformedInput("columns of the mapping that the header does not name", got=", ".join(missing))


def _put(data: Object, name: str, value: Value) -> None:
    first, _, rest = name.partition(".")
    if not rest:
        data[first] = value
        return
    inner = data.setdefault(first, {})
    if isinstance(inner, dict):
        _put(inner, rest, value)


def _at(record: Object, column: str) -> Value:
    """The value of a column, which in JSON may be a path; None where the record has none."""
    if column in record:
        return record[column]
    value: Value = record
    for step in column.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _word(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Value, schema: Any) -> Value:
    """A whole number, for text that is one and a member that wants one."""
    wants = [schema, *(schema or {}).get("anyOf", [])]
    if isinstance(value, str) and any(s and s.get("type") == "integer" for s in wants):
        return int(value) if re.fullmatch(r"[0-9]{1,15}", value) else value
    return value


def read_time(value: Value, format: str, utc_offset: str | None) -> Value:
    """A time as RFC 3339; what is in that form already is judged by the envelope. Raises `MalformedInput`."""
    if format == "rfc3339":
        return value
    text = "" if isinstance(value, bool | None) else str(value)
    if format in _UNIX:
        whole, _, decimals = text.partition(".")
        point = max(len(whole) - _UNIX[format], 0)
        decimals = whole[point:] + decimals
        return unix_time(f"{whole[:point]}.{decimals}" if decimals else whole)
    try:
        moment = datetime.strptime(text, format)  # noqa: DTZ007  its offset may stand in the mapping
    except ValueError:
        raise MalformedInput("not a time of the mapping's time_format") from None
    if moment.tzinfo is None:
        moment = datetime.fromisoformat(moment.isoformat() + (utc_offset or "+00:00"))
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def split_csv(file: BinaryIO, delimiter: str) -> Iterator[RawRecord]:
    """The records of a CSV file after its first, which names the columns; quoted values may hold line ends.

    Numbers are those of the lines on which records start. A value of over 128 KiB, as an unclosed quote makes one, is
    set aside with its lines, and reading goes on after them.
    """
    header: Header | None = None
    held: list[bytes] = []
    start = 0

    def lines() -> Iterator[str]:
        nonlocal start
        for number, line in numbered:
            if not held:
                start = number
            held.append(line)
            yield line.decode("utf-8", "surrogateescape")

    numbered = read_lines(file)
    while True:
        row, problem = list[str](), None
        try:
            row = next(csv.reader(lines(), delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"not CSV: {error}"
        raw = b"".join(held).removesuffix(b"\n").removesuffix(b"\r")
        cut = any(len(line) > MAX_RECORD for line in held)
        held.clear()
        if cut or problem:
            header = header or Header(
                ()
            )  # a header that cannot be read is not made up for by the record after it
            yield too_long(start, raw) if cut else RawRecord(start, raw[:MAX_RECORD], problem)
        elif header is None and row:
            header = Header(tuple(row), delimiter)
        elif row:
            yield RawRecord(start, raw, None, header or NO_HEADER)


def _csv_record(raw: bytes, header: Header) -> Object:
    try:
        lines = re.findall(r"[^\n]*\n|[^\n]+", raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise MalformedInput("not UTF-8") from None
    if not header.names:
        raise MalformedInput("a record under a header that cannot be read")
    row = next(csv.reader(lines, delimiter=header.separator))
    if len(set(header.names)) != len(header.names):
        raise MalformedInput("the header names a column twice")
    if len(row) != len(header.names):
        raise MalformedInput(
            "not a record of this header", expected=f"{len(header.names)} columns", got=len(row)
        )
    return dict(zip(header.names, row, strict=True))
