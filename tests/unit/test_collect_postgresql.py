"""PostgreSQL's logs in lines of our own: what each message tells, and what nobody can make it tell.

The lines are in the forms that PostgreSQL 15 with pgaudit 1.7 and PostgreSQL 18 were seen to write.
"""

import gzip
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from support.collecting import LINE_END, assert_hidden, data, event, events, reasons, run, run_on

from ledger.collect import PostgresqlLogs
from ledger.collect.files import MAX_RECORD
from ledger.collect.postgresql_logs import Form
from ledger.collect.postgresql_messages import Message, access_data, commands_of, split_csv_line
from ledger.collect.postgresql_prefix import DEFAULT, LinePrefix
from ledger.errors import MalformedInput
from ledger.types import Digest

TIME = "2026-07-01 12:00:03.123 UTC"
NO_ACCESS = "tells of no access"
RECORD = {
    "timestamp": TIME,
    "user": "analyst",
    "dbname": "shop",
    "pid": 4242,
    "remote_host": "198.51.100.7",
    "remote_port": 50123,
    "session_id": "6a4501c3.1092",
    "line_num": 7,
    "ps": "SELECT",
    "session_start": "2026-07-01 12:00:03 UTC",
    "vxid": "3/36",
    "txid": 0,
    "error_severity": "LOG",
    "message": "statement: select 1",
    "application_name": "psql",
    "backend_type": "client backend",
    "query_id": -8291467329911254123,
}
AUDIT = 'AUDIT: SESSION,4,1,READ,SELECT,TABLE,public.orders,"select *\nfrom orders, t",<not logged>'


def line(**changes: Any) -> str:
    """One record of jsonlog; a change of None takes the member away, as PostgreSQL does."""
    members = RECORD | changes
    order = [*(name for name in members if name != "query_id"), "query_id"]
    kept = {name: members[name] for name in order if members[name] is not None}
    return json.dumps(kept, separators=(",", ":")) + "\n"


def one(folder: Path, **changes: Any) -> dict[str, Any]:
    return data(run_on(PostgresqlLogs(), folder, line(**changes)))


def stderr(folder: Path, text: str, prefix: LinePrefix = DEFAULT) -> dict[str, Any]:
    return data(run_on(PostgresqlLogs(prefix=prefix), folder, text))


def aside(folder: Path, text: str, prefix: LinePrefix = DEFAULT) -> dict[int, str]:
    return reasons(run_on(PostgresqlLogs(prefix=prefix), folder, text))


# --- what a record becomes ----------------------------------------------------------------------------------------


def test_a_line_of_pgaudit_becomes_an_access_to_the_table_that_it_names(tmp_path: Path) -> None:
    text = line(message=AUDIT)
    assert event(run_on(PostgresqlLogs("shop-1", node="db 1"), tmp_path, text)) == {
        "specversion": "1.0",
        "id": "jsonlog:6a4501c3.1092:7",
        "source": "/postgresql/db-1",
        "type": "transfer-ledger.access.v1",
        "subject": "shop-1",
        "time": "2026-07-01T12:00:03.123Z",
        "phase": "storage",
        "data": {
            "principal": "analyst",
            "principal_type": "role",
            "action": "SELECT",
            "resource": "shop/public.orders",
            "outcome": "allowed",
            "source_address": "198.51.100.7",
            "read_only": True,
            "user_agent": "psql",
            "source_system": "postgresql.pgaudit",
            "completeness": "best-effort",
            "class_uid": 6005,
            "raw_sha256": Digest.of(text.rstrip("\n").encode()).hex(),
        },
    }


def test_nothing_personal_stands_in_the_entry_and_no_statement_anywhere(tmp_path: Path) -> None:
    found = event(run_on(PostgresqlLogs(), tmp_path, line(message=AUDIT)))
    assert_hidden(found, "analyst", "198.51.100.7", "psql", "shop/public.orders")
    assert "from orders" not in str(found)


@pytest.mark.parametrize(
    ("columns", "resource", "read_only", "action"),
    [
        ("READ,SELECT,TABLE,public.orders,select 1,<none>", "shop/public.orders", True, "SELECT"),
        ("READ,SELECT,TABLE,public.orders,select 1,<none>,2", "shop/public.orders", True, "SELECT"),
        ('WRITE,INSERT,TABLE,"public.""Or""""der""",x,"1,""a"""', 'shop/public.Or"der', False, "INSERT"),
        ("DDL,CREATE TABLE,TABLE,live.persons,<not logged>,<not logged>", "shop/live.persons", False, None),
        ("FUNCTION,EXECUTE,FUNCTION,public.f(integer),select f(1),1", "shop/public.f(integer)", None, None),
        ("ROLE,GRANT,TABLE,,<previously logged>,<previously logged>", "shop", False, "GRANT"),
        ("MISC,SET,,,SET x = 1,<none>,0", "shop", None, "SET"),
        ("MISC,???,VIEW,pg_catalog.pg_roles,SELECT 1,<none>,15", "shop/pg_catalog.pg_roles", True, "SELECT"),
    ],
)
def test_columns_of_pgaudit(
    tmp_path: Path, columns: str, resource: str, read_only: bool | None, action: str | None
) -> None:
    for kind in ("SESSION", "OBJECT"):
        found = one(tmp_path, message=f"AUDIT: {kind},1,1,{columns}")
        assert (found["resource"], found.get("read_only")) == (resource, read_only)
        assert found["action"] == f"{action or columns.split(',')[1]}"


@pytest.mark.parametrize(
    "columns", ["", "SESSION,1,1,READ", 'SESSION,1,1,READ,SELECT,TABLE,a.b,"x,y', "X,1,1,READ,SELECT,,,x,y"]
)
def test_pgaudit_out_of_form_is_set_aside(tmp_path: Path, columns: str) -> None:
    assert "out of form" in aside(tmp_path, line(message=f"AUDIT: {columns}"))[1]


@pytest.mark.parametrize(
    ("message", "action", "read_only"),
    [
        ("statement: select * from t", "SELECT", True),
        ("statement: (select 1) union (select 2)", "SELECT", True),
        ("statement:  -- hello\n/* a; */ Insert into t values (1)", "INSERT", False),
        ("statement: begin; delete from t; commit", "BEGIN+DELETE+COMMIT", False),
        ("statement: select 'a;drop'; select $x$;drop$x$", "SELECT", True),
        ("statement: WITH a AS (SELECT 1) SELECT * FROM a", "SELECT", True),
        ("statement: hunter2", "SELECT", True),
        ("statement: ;", "SELECT", True),
        ("execute <unnamed>: select 1", "SELECT", True),
        ("execute fetch from s: x/c: select 1", "SELECT", True),
        ("duration: 0.812 ms  statement: copy t to stdout", "COPY", None),
        ("duration: 0.812 ms  execute s1: update t set a = 1", "SELECT", True),
        ('fastpath function call: "lo_open" (OID 952)', "FASTPATH", None),
        ("received replication command: BASE_BACKUP ( LABEL 'x' )", "BASE_BACKUP", None),
        ("received replication command: hunter2", "unknown", None),
    ],
)
def test_statements_are_told_by_their_commands(
    tmp_path: Path, message: str, action: str, read_only: bool | None
) -> None:
    """The session executes a SELECT, as the record's `ps` says: which counts where the text is the client's alone."""
    found = one(tmp_path, message=message)
    assert (found["action"], found.get("read_only")) == (f"{action}", read_only)
    assert (found["outcome"], found["completeness"], found["resource"]) == ("allowed", "unknown", "shop")


def test_words_that_are_no_command_are_never_taken_over() -> None:
    assert list(commands_of("hunter2; select 1; geheim")) == ["unknown", "SELECT", "unknown"]
    assert access_data(Message("LOG", "statement: hunter2"))["action"] == "unknown"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "user=ann database=shop SSL enabled (protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)",
            {"tls_version": "1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
        ),
        (
            "user=ann database=shop application_name=my app SSL enabled (protocol=TLSv1.2, cipher=X-Y, bits=8, z=off)",
            {"tls_version": "1.2", "cipher": "X-Y", "user_agent": "my app"},
        ),
        ("user=ann database=shop application_name=psql", {"tls_version": "none", "user_agent": "psql"}),
        ("user=ann database=shop GSS (authenticated=yes, encrypted=yes, principal=ann@X)", {}),
        ("user=ann database=shop GSS (authenticated=yes, encrypted=no)", {"tls_version": "none"}),
    ],
)
def test_a_connection_tells_its_encryption(tmp_path: Path, message: str, expected: dict[str, str]) -> None:
    found = stderr(tmp_path, f"{TIME} [42] LOG:  connection authorized: {message}\n")
    assert (found["principal"], found["resource"]) == ("ann", "shop")
    assert (found["action"], found["class_uid"]) == ("CONNECT", 3002)
    assert {
        name: found[name] for name in ("tls_version", "cipher", "user_agent") if name in found
    } == expected


def test_a_connection_for_replication(tmp_path: Path) -> None:
    found = one(tmp_path, dbname=None, message="replication connection authorized: user=analyst")
    assert found["action"] == "CONNECT REPLICATION"
    assert "resource" not in found


FAILURES = [
    ("ERROR", "42501", "permission denied for table orders", "select 1", "SELECT", "refused"),
    ("ERROR", "42P01", 'relation "x" does not exist', "select 1", "SELECT", "failed"),
    ("ERROR", "42601", 'syntax error at or near "selec"', "selec 1", "SELECT", "failed"),
    ("FATAL", "57P01", "terminating connection due to administrator command", "select 1", "SELECT", "failed"),
    ("ERROR", "42501", "permission denied for schema live", None, "SELECT", "refused"),
    ("FATAL", "28P01", 'password authentication failed for user "analyst"', None, "CONNECT", "refused"),
    ("FATAL", "28000", 'role "analyst" is not permitted to log in', None, "CONNECT", "refused"),
    ("FATAL", "42501", 'permission denied for database "shop"', None, "CONNECT", "refused"),
    ("FATAL", "3D000", 'database "shop" does not exist', None, "CONNECT", "failed"),
    ("FATAL", "53300", "sorry, too many clients already", None, "CONNECT", "failed"),
]


@pytest.mark.parametrize(("severity", "state", "message", "statement", "action", "outcome"), FAILURES)
def test_a_refusal_is_told_from_a_failure_by_its_code(
    tmp_path: Path, severity: str, state: str, message: str, statement: str | None, action: str, outcome: str
) -> None:
    found = one(
        tmp_path, error_severity=severity, state_code=state, message=message, statement=statement, context="c"
    )
    assert (found["action"], found["outcome"]) == (f"{action}", outcome)
    assert found["reason"] == state


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('password authentication failed for user "ann"', {"principal": "ann"}),
        (
            'no pg_hba.conf entry for host "198.51.100.7", user "ann", database "shop", no encryption',
            {"principal": "ann", "resource": "shop", "source_address": "198.51.100.7", "tls_version": "none"},
        ),
        (
            'pg_hba.conf rejects connection for host "2001:db8::7", user "ann", database "shop", SSL encryption',
            {"principal": "ann", "resource": "shop", "source_address": "2001:db8::7"},
        ),
        ('role "ann" does not exist', {"principal": "ann"}),
    ],
)
def test_without_a_code_a_refused_login_is_told_by_its_words(
    tmp_path: Path, message: str, expected: dict[str, str]
) -> None:
    text = f"{TIME} [42] FATAL:  {message}\n{TIME} [42] DETAIL:  Connection matched pg_hba.conf line 2\n"
    found = stderr(tmp_path, text)
    assert (found["action"], found["outcome"]) == ("CONNECT", "refused")
    names = ("principal", "resource", "source_address", "tls_version", "reason")
    assert {name: found[name] for name in names if name in found} == expected


# --- what tells no access -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"message": "checkpoint starting: time", "user": None, "dbname": None},
        {"message": "connection received: host=198.51.100.7 port=50123"},
        {"message": 'connection authenticated: identity="ann" method=peer (pg_hba.conf:1)'},
        {"message": "disconnection: session time: 0:00:00.008 user=ann database=shop host=[local]"},
        {"message": "duration: 0.812 ms"},
        {"message": "duration: 0.812 ms  parse <unnamed>: select 1"},
        {"message": "duration: 0.812 ms  bind s1: select 1"},
        {"message": 'relation "t" already exists, skipping', "error_severity": "NOTICE"},
        {"message": "canceling autovacuum task", "error_severity": "ERROR", "user": None, "dbname": None},
        {"message": "could not open file", "error_severity": "FATAL", "state_code": "58P01", "user": None},
    ],
)
def test_other_messages_are_set_aside_for_one_reason(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert aside(tmp_path, line(**changes))[1].startswith(NO_ACCESS)


@pytest.mark.parametrize(
    "message",
    [
        AUDIT,
        "statement: select 1",
        "execute <unnamed>: select 1",
        'fastpath function call: "lo_open" (OID 952)',
        "connection authorized: user=postgres database=shop",
        "received replication command: BASE_BACKUP",
    ],
)
@pytest.mark.parametrize(
    "given", [{"statement": "do $$ … $$"}, {"context": "PL/pgSQL function inline_code_block"}]
)
def test_what_a_user_raises_is_not_what_postgresql_says(
    tmp_path: Path, message: str, given: dict[str, str]
) -> None:
    """`RAISE LOG` writes any message, with its statement and context: the server's own have neither."""
    assert aside(tmp_path, line(message=message, **given))[1].startswith(NO_ACCESS)


def test_a_replication_command_comes_with_itself_as_its_statement(tmp_path: Path) -> None:
    message = "received replication command: BASE_BACKUP ( LABEL 'x' )"
    found = one(tmp_path, message=message, statement="BASE_BACKUP ( LABEL 'x' )")
    assert found["action"] == "BASE_BACKUP"


# --- jsonlog and csvlog -------------------------------------------------------------------------------------------


def test_a_query_id_may_be_larger_than_json_allows(tmp_path: Path) -> None:
    assert one(tmp_path, query_id=2**63 - 1)["principal"] == "analyst"


def test_json_that_is_no_record_is_set_aside(tmp_path: Path) -> None:
    bad = {
        1: ('{"message":"x"}', "timestamp, session_id, line_num"),
        2: ("{", "not JSON"),
        3: (line(timestamp="yesterday").rstrip(), "not a time"),
        4: (line(session_id="Ann Lee").rstrip(), "id: expected an opaque id"),
        5: (line(line_num=1.5).rstrip(), "line_num"),
    }
    found = aside(tmp_path, "".join(text + "\n" for text, _ in bad.values()))
    assert list(found) == list(bad)
    assert all(bad[number][1] in reason for number, reason in found.items()), found


def csv_line(message: str, *, columns: int = 26, state: str = "00000", severity: str = "LOG") -> str:
    quoted = message.replace('"', '""')
    before = f'{TIME},"analyst","shop",4242,"2001:db8::7:50123",6a4501c3.1092,7,"SELECT",2026-07-01 12:00:03 UTC,3/36,0'
    after = [",,,,,,,,", '"psql"', '"client backend"', "", "-8291467329911254123"]
    return f'{before},{severity},{state},"{quoted}"{",".join(after[: columns - 21])}\n'


@pytest.mark.parametrize("columns", [23, 24, 26])
def test_a_csv_record_over_many_lines_is_one(tmp_path: Path, columns: int) -> None:
    first = csv_line('statement: select *\n2026-07-01 12:00:03.123 UTC,"x"\n\nfrom t', columns=columns)
    second = csv_line(AUDIT, columns=columns)
    outcomes = run_on(PostgresqlLogs(), tmp_path, first + second, "postgresql.csv")
    one, two = events(outcomes)
    assert (one["data"]["action"], two["data"]["resource"]) == ("SELECT", "shop/public.orders")
    assert one["data"]["source_address"] == "2001:db8::7"
    assert one["data"]["raw_sha256"] == Digest.of(first.rstrip("\n").encode()).hex()
    assert [outcome.where.rsplit(":", 1)[1] for outcome in outcomes] == ["1", "5"]
    assert one["id"] == "csvlog:6a4501c3.1092:7"


def test_csv_that_is_no_record_is_set_aside(tmp_path: Path) -> None:
    few = f'{TIME},"a","b"\n'
    assert "23, 24 or 26 columns" in aside(tmp_path, few)[1]
    assert LINE_END in aside(tmp_path, csv_line("x").rstrip("\n"))[1]
    assert "within a quoted value" in aside(tmp_path, csv_line("x") + f'{TIME},"open\n')[2]
    open_quote = (
        f'{TIME},"{"x" * 100}\n' + ("y" * 99 + "\n") * (MAX_RECORD // 100) + csv_line("statement: select 1")
    )
    outcomes = run_on(PostgresqlLogs(), tmp_path, open_quote)
    assert "a record of over" in reasons(outcomes)[1]
    assert len(events(outcomes[-1:])) == 1, "and reading goes on after it"


def test_of_several_forms_of_one_log_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(line())
    (tmp_path / "p.csv").write_text(csv_line("statement: select 1"))
    (tmp_path / "p.log").write_text(f"{TIME} [42] LOG:  statement: select 1\n")
    assert len(events(run(PostgresqlLogs(), tmp_path))) == 3
    for form in Form:
        found = event(run(PostgresqlLogs(form=form), tmp_path))
        assert found["id"].startswith("p.log" if form is Form.STDERR else form)


def test_strays_before_the_first_record_do_not_hide_the_form(tmp_path: Path) -> None:
    outcomes = run_on(
        PostgresqlLogs(), tmp_path, "rsync: error\n" + csv_line("statement: select 1\n\nfrom t")
    )
    assert reasons(outcomes).keys() == {1}
    assert len(outcomes) == 2


def test_columns_are_split_as_postgresql_joins_them() -> None:
    assert split_csv_line('a,,"b,""c""\n",') == ["a", "", 'b,"c"\n', ""]
    assert split_csv_line('a,"b') is None
    assert split_csv_line('a,b"c') is None
    assert split_csv_line('"a"b') is None


# --- stderr -------------------------------------------------------------------------------------------------------

LONG = LinePrefix("%m [%p] %e %c %l %q%u@%d %r ")


def test_lines_that_go_on_belong_to_their_record(tmp_path: Path) -> None:
    text = (
        f"{TIME} [42] LOG:  database system is ready\n"
        f"{TIME} [42] ERROR:  permission denied for table orders\n"
        f"{TIME} [42] DETAIL:  one\n\ttwo\n"
        f"{TIME} [42] HINT:  three\n"
        f"{TIME} [42] STATEMENT:  delete\n\t\n\tfrom orders\n"
        f"{TIME} [42] LOG:  statement: select 1\n"
    )
    outcomes = run_on(PostgresqlLogs(), tmp_path, text, "postgresql-2026-07-01_120000.log")
    assert [outcome.where.rsplit(":", 1)[1] for outcome in outcomes] == ["1", "2", "9"]
    refused, allowed = events(outcomes[1:])
    assert (refused["data"]["action"], refused["data"]["outcome"]) == ("DELETE", "refused")
    whole = "\n".join(text.split("\n")[1:8])
    assert refused["data"]["raw_sha256"] == Digest.of(whole.encode()).hex()
    assert allowed["id"] == "postgresql.log:2026-07-01T12:00:03.123Z:9"


def test_a_line_of_another_process_does_not_go_on(tmp_path: Path) -> None:
    text = f"{TIME} [42] ERROR:  permission denied for x\n{TIME} [43] STATEMENT:  delete from x\n"
    found = aside(tmp_path, text)
    assert "not a line of this log_line_prefix" in found[2]


def test_pgaudit_over_many_lines_loses_the_tabs_again(tmp_path: Path) -> None:
    text = f"{TIME} [42] LOG:  {AUDIT}\n".replace("select *\n", "select *\n\t")
    assert stderr(tmp_path, text)["resource"] == "public.orders"


def test_a_long_prefix_tells_what_jsonlog_tells(tmp_path: Path) -> None:
    prefix = f"{TIME} [42] 42501 6a4501c3.1092 9 Ann Lee@shop 198.51.100.7(50123) "
    text = f"{prefix}ERROR:  permission denied for x\n{prefix}STATEMENT:  select 1\n"
    found = event(run_on(PostgresqlLogs(prefix=LONG), tmp_path, text))
    assert found["id"] == "stderr:6a4501c3.1092:9"
    told = found["data"]
    assert (told["principal"], told["resource"], told["source_address"], told["reason"]) == (
        "Ann Lee",
        "shop",
        "198.51.100.7",
        "42501",
    )


def test_verbose_logs_tell_the_code_before_the_message(tmp_path: Path) -> None:
    text = (
        f"{TIME} [42] ERROR:  42501: permission denied for x\n"
        f"{TIME} [42] LOCATION:  aclcheck_error, aclchk.c:3655\n"
        f"{TIME} [42] STATEMENT:  select 1\n"
    )
    assert stderr(tmp_path, text)["reason"] == "42501"


def test_lines_of_no_session_end_where_the_prefix_says(tmp_path: Path) -> None:
    text = f"{TIME} [1] 00000 6a4501c3.1 1 LOG:  checkpoint starting: time\n"
    assert aside(tmp_path, text, LONG)[1].startswith(NO_ACCESS)


@pytest.mark.parametrize(
    "user",
    [
        "x@shop [local] LOG:  connection authorized: user=postgres database=shop",
        "a@b",
        "x@shop [local] DETAIL:  ",
    ],
)
def test_a_name_that_spills_over_its_place_is_set_aside(tmp_path: Path, user: str) -> None:
    """Who is refused chose the name that stands in the prefix, and could make the line say anything."""
    before = f"{TIME} [41] 00000 6a4501c3.1091 1 ann@shop [local] LOG:  statement: select 1\n"
    prefix = f"{TIME} [42] 28P01 6a4501c3.1092 2 {user}@shop [local] "
    text = f'{prefix}FATAL:  password authentication failed for user "x"\n'
    outcomes = run_on(PostgresqlLogs(prefix=LONG), tmp_path, before + text)
    assert len(events(outcomes[:1])) == 1
    assert reasons(outcomes).keys() == {2}


def test_another_prefix_is_told(tmp_path: Path) -> None:
    text = f"{TIME} ann@shop LOG:  statement: select 1\n"
    assert "'%m [%p] ', and a label such as LOG" in aside(tmp_path, text)[1]
    assert stderr(tmp_path, text, LinePrefix("%m %u@%d "))["principal"] == "ann"


@pytest.mark.parametrize("format", ["", "[%p] ", "%u@%d ", "%"])
def test_a_prefix_without_a_time_is_refused(format: str) -> None:
    with pytest.raises(MalformedInput, match="tells no time"):
        LinePrefix(format)


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("%t:%r:%u@%d:[%p]: ", "2026-07-01 12:00:03 UTC:198.51.100.7(50123):ann@shop:[42]: "),
        ("%n %-6p %%%u%% ", "1782907203.123 42     %ann% "),
        ("<%m %h> %10a|%u ", f"<{TIME} 198.51.100.7>       psql|ann "),
        ("%m [%p] %i %b %s %v %x %Q %u ", f"{TIME} [42] idle client backend {TIME[:19]} UTC 3/36 0 -82 ann "),
    ],
)
def test_prefixes_are_read_as_postgresql_writes_them(tmp_path: Path, format: str, text: str) -> None:
    found = event(
        run_on(PostgresqlLogs(prefix=LinePrefix(format)), tmp_path, f"{text}LOG:  statement: select 1\n")
    )
    assert found["data"]["principal"] == "ann"
    assert found["time"].startswith("2026-07-01T12:00:03")


def test_half_a_line_an_empty_file_a_packed_one_and_strays(tmp_path: Path) -> None:
    good = f"{TIME} [42] LOG:  statement: select 1\n"
    assert LINE_END in aside(tmp_path, good + good[:-3])[2]
    assert run_on(PostgresqlLogs(), tmp_path, "") == []
    assert len(events(run_on(PostgresqlLogs(), tmp_path, gzip.compress(good.encode()), "p.log.1.gz"))) == 1
    assert list(aside(tmp_path, "\ta stray\nrsync: error\n\n" + good)) == [1, 2]


# --- times --------------------------------------------------------------------------------------------------------


def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zones")


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("2026-07-01 12:00:03.123 GMT", None, "2026-07-01T12:00:03.123Z"),
        ("2026-07-01 12:00:03.123 +08", None, "2026-07-01T12:00:03.123+08:00"),
        ("2026-07-01 12:00:03 -0330", None, "2026-07-01T12:00:03-03:30"),
        ("2026-07-01 12:00:03.123 CST", "Asia/Shanghai", "2026-07-01T12:00:03.123000+08:00"),
        ("2026-01-01 12:00:03.123 CST", "America/Chicago", "2026-01-01T12:00:03.123000-06:00"),
        ("2026-10-25 02:30:00.000 CEST", "Europe/Berlin", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25 02:30:00.000 CET", "Europe/Berlin", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_times_are_read_in_their_zone(tmp_path: Path, text: str, name: str | None, expected: str) -> None:
    collector = PostgresqlLogs(zone=zone(name) if name else None)
    assert event(run_on(collector, tmp_path, line(timestamp=text)))["time"] == expected


@pytest.mark.parametrize(
    ("text", "name"), [("CST", None), ("CST", "Europe/Berlin"), ("CEST", "Europe/Berlin")]
)
def test_a_zone_that_is_not_told_is_never_guessed(tmp_path: Path, text: str, name: str | None) -> None:
    collector = PostgresqlLogs(zone=zone(name) if name else None)
    found = reasons(run_on(collector, tmp_path, line(timestamp=f"2026-01-01 12:00:03.123 {text}")))
    assert "a time in a zone whose offset is not told" in found[1]
