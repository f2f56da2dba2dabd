r"""PostgreSQL's server logs, in their three forms: each statement, connection and refusal is one access.

A record in each of them (`log_destination`)::

    jsonlog  {"timestamp":"2026-07-01 12:00:03.123 UTC","user":"analyst","dbname":"shop","pid":4242,"remote_host":…,
              "session_id":"6a4501c3.1092","line_num":7,…,"error_severity":"LOG","message":"statement: select …",…}
    csvlog   2026-07-01 12:00:03.123 UTC,"analyst","shop",4242,"198.51.100.7:50123",6a4501c3.1092,7,"idle",…
    stderr   2026-07-01 12:00:03.123 UTC [4242] ERROR:  permission denied for table orders
             2026-07-01 12:00:03.123 UTC [4242] STATEMENT:  select *
             <tab>from orders

Names and order of the columns are those of the documentation's “Error Reporting and Logging”. In CSV a value may hold
line ends. In stderr's form `prefix` (`log_line_prefix`) says how lines begin; a line that begins with a tab goes on,
and DETAIL, HINT, QUERY, CONTEXT, LOCATION, BACKTRACE and STATEMENT belong to the line before. Each is one record.

What stderr's form can tell is what its prefix does: `%m`, `%t` or `%n` the time, which it must have; `%u` the role,
`%d` the database, `%h` or `%r` the address, `%a` the application, `%e` the SQLSTATE, `%c` and `%l` the record's id.
Without them the role is `unknown` and database and address are absent, except where the message names them. A client
that is not even authenticated chooses the text of `%u` and `%d`: a line that can be read in two ways is set aside, and
names with line ends in them can still make up lines, which jsonlog and csvlog do not allow.

- `id` is `<form>:<session id>:<line number>` (`jsonlog:6a4501c3.1092:7`); without `%c` and `%l` the record is known by
  its place (see `base`). Each form counts lines by itself: import one form of a log, or each access comes twice.
- `source` is `/postgresql/<node>`, the server.
- `principal` is the role that logged in, whatever SET ROLE did since.
- `resource` is `<database>/<schema>.<table>` where pgaudit names it, else the database.
- `outcome` is `refused` for SQLSTATE 42501 and class 28, `failed` for other errors. PostgreSQL logs `statement:` before
  it executes, and `connection authorized` before it looks for role and database: what then fails has a second record.
- Times in a zone other than UTC need `zone`: PostgreSQL writes its abbreviation only, and CST is several.
- `completeness` is `best-effort` for pgaudit, in its own words; else `unknown`, since settings decide what is logged.

`postgresql_messages` says what a message tells; statements and parameters stay behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import BinaryIO
from zoneinfo import ZoneInfo

from ledger import canonical
from ledger.canonical import Object
from ledger.catalogue import ACCESS
from ledger.collect.files import (
    MAX_RECORD,
    NO_HEADER,
    UNFINISHED,
    Header,
    RawRecord,
    read_lines,
    split_text,
)
from ledger.collect.members import decode, raw_digest, segment, text_at, unix_time
from ledger.collect.postgresql_messages import Message, access_data, split_csv_line
from ledger.collect.postgresql_prefix import DEFAULT, SECONDARY, Line, LinePrefix
from ledger.entry import Phase
from ledger.errors import MalformedInput


class Form(StrEnum):
    """A form of the log."""

    JSONLOG = "jsonlog"
    CSVLOG = "csvlog"
    STDERR = "stderr"


_ENDINGS = {Form.JSONLOG: ".json", Form.CSVLOG: ".csv", Form.STDERR: ".log"}


@dataclass(frozen=True, slots=True)
class PostgresqlLogs:
    """The collector. `node` names the server; `zone` is its `log_timezone`, where that is not UTC.

    `form` is the one whose files are read in a folder; None for all.
    """

    subject: str = "postgresql"
    phase: Phase = Phase.STORAGE
    node: str = "default"
    prefix: LinePrefix = DEFAULT
    zone: ZoneInfo | None = None
    form: Form | None = None

    @property
    def suffixes(self) -> tuple[str, ...]:
        return tuple(_ENDINGS.values()) if self.form is None else (_ENDINGS[self.form],)

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        form = self._form_in(file)
        file.seek(0)
        match form:
            case Form.JSONLOG:
                return split_text(file)
            case Form.CSVLOG:
                return split_csvlog(file)
            case Form.STDERR:
                return split_stderr(file, self.prefix)

    def _form_in(self, file: BinaryIO) -> Form:
        """The form of a file, by the first of its lines that is in one."""
        for _, line in islice(read_lines(file), 100):
            form = form_of(line)
            if form is not Form.STDERR or _readable(self.prefix, line):
                return form
        return Form.STDERR

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        form = form_of(raw)
        match form:
            case Form.JSONLOG:
                logged = _json(raw)
            case Form.CSVLOG:
                logged = _csv(raw)
            case Form.STDERR:
                logged = _stderr(raw, self.prefix)
        event: Object = {
            "specversion": "1.0",
            "source": f"/postgresql/{segment(self.node)}",
            "type": ACCESS.name,
            "subject": self.subject,
            "time": read_time(logged.time, self.zone),
            "phase": self.phase.value,
            "data": {**access_data(logged.message), "raw_sha256": raw_digest(raw)},
        }
        if logged.session is None or logged.line is None:
            return event
        return event | {"id": f"{form}:{logged.session}:{logged.line}"}


# --- records ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Held:
    """The lines of a record as they are read."""

    start: int
    lines: list[bytes]
    size: int = 0
    quotes: int = 0

    def add(self, line: bytes) -> None:
        self.size += len(line)
        self.quotes += line.count(b'"')
        if self.size <= MAX_RECORD or not self.lines:
            self.lines.append(line)

    def record(self) -> RawRecord:
        raw = b"".join(self.lines).removesuffix(b"\n").removesuffix(b"\r")
        problem = None
        if self.size > MAX_RECORD:
            problem = f"a record of over {MAX_RECORD} bytes"
        elif not self.lines[-1].endswith(b"\n"):
            problem = UNFINISHED
        return RawRecord(self.start, raw[:MAX_RECORD], problem)


def split_csvlog(file: BinaryIO) -> Iterator[RawRecord]:
    """The records of a csvlog, each known by the number of its first line: one ends where no quote is open.

    A quote that is never closed takes what follows with it, up to `files.MAX_RECORD`: what looks like the start of a
    record may stand in a statement.
    """
    held: _Held | None = None
    for number, line in read_lines(file):
        if held is None and not line.strip():
            continue
        held = held or _Held(number, [])
        held.add(line)
        if held.quotes % 2 == 0 or held.size > MAX_RECORD:
            yield held.record()
            held = None
    if held is not None:
        yield RawRecord(held.start, held.record().raw, "the file ends within a quoted value")


def split_stderr(file: BinaryIO, prefix: LinePrefix) -> Iterator[RawRecord]:
    """The records of a stderr log, each known by the number of its first line."""
    held: _Held | None = None
    begun: Line | None = None
    for number, line in read_lines(file):
        goes_on, found = line.startswith(b"\t"), None
        if not goes_on:
            found = _readable(prefix, line)
            goes_on = found is not None and found.belongs_to(begun)
        if held is not None and not goes_on:
            yield held.record()
            held = None
        if held is not None or line.strip():
            begun = begun if held is not None else found
            held = held or _Held(number, [])
            held.add(line)
    if held is not None:
        yield held.record()


def _readable(prefix: LinePrefix, line: bytes) -> Line | None:
    try:
        return prefix.read(decode(line.rstrip(b"\r\n")))
    except MalformedInput:
        return None


# --- forms --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Logged:
    """A record, whatever its form. `session` and `line` are None where the log does not tell them."""

    time: str
    session: str | None
    line: str | None
    message: Message


_CSV_START = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,15} [^,\"\s]+,")


def form_of(record: bytes) -> Form:
    """The form of a record, by how it begins."""
    if record.startswith(b"{"):
        return Form.JSONLOG
    return Form.CSVLOG if _CSV_START.match(record) else Form.STDERR


_QUERY_ID = re.compile(rb',"query_id":-?[0-9]+(?=\}$)')


def _json(raw: bytes) -> _Logged:
    # The last member has 64 bits, more than JSON's integers may be relied on for (RFC 7493 §2.2).
    record = canonical.parse_object(_QUERY_ID.sub(b"", raw))
    time, session, line = text_at(record, "timestamp"), text_at(record, "session_id"), record.get("line_num")
    if time is None or session is None or not isinstance(line, int) or "message" not in record:
        raise MalformedInput(
            "not a record of jsonlog", expected="timestamp, session_id, line_num and message"
        )
    return _Logged(
        time,
        session,
        str(line),
        Message(
            severity=text_at(record, "error_severity") or "",
            text=text_at(record, "message") or "",
            state=_state(text_at(record, "state_code")),
            statement=text_at(record, "statement"),
            context=text_at(record, "context"),
            user=text_at(record, "user"),
            database=text_at(record, "dbname"),
            address=text_at(record, "remote_host"),
            application=text_at(record, "application_name"),
            command=text_at(record, "ps"),
        ),
    )


_CSV_COLUMNS = (23, 24, 26)
"""Before version 13, in 13, and since 14."""


def _csv(raw: bytes) -> _Logged:
    columns = split_csv_line(decode(raw))
    if columns is None or len(columns) not in _CSV_COLUMNS:
        raise MalformedInput(
            "not a record of csvlog", expected="23, 24 or 26 columns", got=len(columns) if columns else None
        )
    time, user, database, _, address, session, line, command, *_ = (column or None for column in columns)
    severity, state, text, *_ = columns[11:]
    context, statement, application = (columns[at] or None for at in (18, 19, 22))
    if time is None or session is None or line is None:
        raise MalformedInput("not a record of csvlog", expected="its time, session and line number")
    return _Logged(
        time,
        session,
        line,
        Message(
            severity=severity,
            text=text,
            state=_state(state),
            statement=statement,
            context=context,
            user=user,
            database=database,
            address=address and re.sub(r":[0-9]+$", "", address),
            application=application,
            command=command,
        ),
    )


def _stderr(raw: bytes, prefix: LinePrefix) -> _Logged:
    first, *rest = decode(raw).split("\n")
    line = prefix.read(first)
    if line is None or line.label in SECONDARY:
        raise MalformedInput(
            "not a line of this log_line_prefix",
            expected=f"{prefix.format!r}, and a label such as LOG",
            advice="Give the log_line_prefix that wrote the log.",
        )
    texts, label = {line.label: [line.text]}, line.label
    for following in rest:
        if following.startswith("\t"):
            texts[label].append(following[1:])
        elif part := prefix.read(following):
            label = part.label
            texts[label] = [part.text]
    text = "\n".join(texts[line.label])
    verbose = re.match(r"([0-9A-Z]{5}): ", text) if "LOCATION" in texts else None
    fields = {name: value for name, value in line.fields.items() if value != "[unknown]"}
    return _Logged(
        next(fields[name] for name in ("m", "t", "n") if name in fields),
        fields.get("c"),
        fields.get("l"),
        Message(
            severity=line.label,
            text=text.removeprefix(verbose[0]) if verbose else text,
            state=_state(verbose[1] if verbose else fields.get("e")),
            statement="\n".join(texts["STATEMENT"]) if "STATEMENT" in texts else None,
            context="\n".join(texts["CONTEXT"]) if "CONTEXT" in texts else None,
            user=fields.get("u"),
            database=fields.get("d"),
            address=re.sub(r"\([0-9]+\)$", "", fields.get("h") or fields.get("r") or "") or None,
            application=fields.get("a"),
            command=fields.get("i"),
        ),
    )


def _state(code: str | None) -> str | None:
    return None if code in (None, "", "00000") else code


# --- times --------------------------------------------------------------------------------------------------------

_TIME = re.compile(r"([0-9-]{10}) ([0-9:]{8}(?:\.[0-9]{1,6})?) ([A-Za-z]+|[+-][0-9]{2}(?:[0-9]{2})?)")


def read_time(text: str, zone: ZoneInfo | None) -> str:
    """RFC 3339 of a time as PostgreSQL logs it: local, with the abbreviation of its zone; or Unix time.

    Raises:
        MalformedInput: no time, or of a zone whose offset neither the text nor `zone` tells.
    """
    if re.fullmatch(r"[0-9]+\.[0-9]{3}", text):
        return unix_time(text)
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedInput("not a time", expected="the form 2026-07-01 12:00:03.123 UTC")
    day, clock, name = match.groups()
    if name in ("UTC", "GMT"):
        return f"{day}T{clock}Z"
    if name[0] in "+-":
        return f"{day}T{clock}{name[:3]}:{name[3:] or '00'}"
    return _in_zone(f"{day}T{clock}", name, zone)


def _in_zone(local: str, name: str, zone: ZoneInfo | None) -> str:
    """The moment at which the clocks of `zone` show `local` and call it `name`, which tells summer from winter."""
    try:
        moments = [datetime.fromisoformat(local).replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    except ValueError:
        raise MalformedInput("not a time", expected="a day and a time of day") from None
    for moment in moments if zone else []:
        if moment.tzname() == name:
            return moment.isoformat()
    raise MalformedInput(
        "a time in a zone whose offset is not told",
        expected="UTC" if zone is None else f"a time of {zone.key}",
        got=name,
        advice="Give the server's log_timezone.",
    )
