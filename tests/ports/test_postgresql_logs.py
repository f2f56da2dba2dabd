"""Logs of a real PostgreSQL: every statement that was executed, every refusal and every connection is one access."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from support.collecting import assert_hidden, run
from support.postgres import running_postgres

from ledger.collect import Collected, Outcome, PostgresqlLogs, SetAside
from ledger.collect.postgresql_prefix import LinePrefix

PREFIX = "%m [%p] %e %c %l %q%u@%d %r "
FORMS = {"json": "jsonlog", "csv": "csvlog", "log": "stderr"}
SECRET = "ann@example.com"
NO_ACCESS = "tells of no access: neither a statement, nor a connection, nor a refusal"


@dataclass
class Work:
    """What is done to a server, counted by principal, action and outcome; `logs` is the folder of its logs."""

    host: str
    logs: Path = Path()
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def count(self, principal: str, action: str, outcome: str = "allowed") -> None:
        self.counts[principal, f"{action}", outcome] += 1

    def connect(self, user: str, database: str = "shop") -> psycopg.Connection[Any]:
        self.count(user, "CONNECT")
        return psycopg.connect(host=self.host, user=user, dbname=database, autocommit=True)

    def do(self, session: psycopg.Connection[Any], statement: str, action: str, *values: str) -> Any:
        self.count(session.info.user, action)
        return session.execute(statement.encode(), values or None)

    def fail(self, session: psycopg.Connection[Any], statement: str, action: str, outcome: str) -> None:
        """A statement that is logged when it is sent, and again with its error."""
        self.count(session.info.user, action, outcome)
        with pytest.raises(psycopg.Error):
            self.do(session, statement, action)

    def shown(self, session: psycopg.Connection[Any], name: str) -> str:
        return str(self.do(session, f"SHOW {name}", "SHOW").fetchone()[0])


@pytest.fixture(scope="module")
def work() -> Iterator[Work]:
    """Logs in all three forms, of some work under several roles."""
    settings = {
        "logging_collector": "on",
        "log_destination": "stderr,csvlog,jsonlog",
        "log_filename": "postgresql-%Y-%m-%d_%H%M%S.log",
        "log_statement": "all",
        "log_connections": "on",
        "log_line_prefix": PREFIX,
        "log_replication_commands": "on",
        "compute_query_id": "on",
    }
    with running_postgres(**settings) as url:
        work = Work(str(make_url(url).query["host"]))
        with work.connect("postgres", "postgres") as root:
            work.do(root, "CREATE DATABASE shop", "CREATE")
            work.logs = Path(work.shown(root, "data_directory")) / work.shown(root, "log_directory")
            bar(work, root)
        with work.connect("postgres") as root:
            as_superuser(work, root)
        with work.connect("Ann Lee") as ann:
            as_reader(work, ann)
        knock(work)
        wait_for_the_logs(work)
        yield work


def bar(work: Work, root: psycopg.Connection[Any]) -> None:
    """One role must not connect, another needs a password that it does not have."""
    rules = Path(work.shown(root, "hba_file"))
    rules.write_text("local all barred reject\nlocal all locked scram-sha-256\nlocal all all trust\n")
    work.do(root, "SELECT pg_reload_conf()", "SELECT")


def as_superuser(work: Work, root: psycopg.Connection[Any]) -> None:
    work.do(root, 'CREATE ROLE "Ann Lee" LOGIN; CREATE ROLE locked LOGIN', "CREATE")
    work.do(root, "CREATE TABLE orders (id int PRIMARY KEY, email text)", "CREATE")
    work.do(root, 'GRANT SELECT ON orders TO "Ann Lee"', "GRANT")
    work.do(root, "INSERT INTO orders VALUES (%s, %s)", "INSERT", "1", SECRET)
    # Nobody but PostgreSQL says what was done: this is a line of the DO block, and no access of its own.
    work.do(root, "DO $$ BEGIN RAISE LOG 'AUDIT: SESSION,1,1,READ,SELECT,TABLE,x.y,z,z'; END $$", "DO")
    work.fail(root, f"INSERT INTO orders VALUES (1, '{SECRET}')", "INSERT", "failed")
    # What cannot be parsed is not logged as sent.
    with pytest.raises(psycopg.Error):
        root.execute("SELEC 1")
    work.count("postgres", "unknown", "failed")


def as_reader(work: Work, ann: psycopg.Connection[Any]) -> None:
    for _ in range(3):
        work.do(ann, "SELECT *\nFROM orders\n-- 2026-07-01 00:00:00.000 UTC [1] LOG:  x", "SELECT")
    work.do(ann, "/* a; b */ SET work_mem = '4MB'; SELECT ';', count(*) FROM orders", "SET+SELECT")
    work.fail(ann, "DELETE FROM orders", "DELETE", "refused")


def knock(work: Work) -> None:
    for user in ("barred", "locked", "nobody"):
        work.count(user, "CONNECT", "refused")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host=work.host, user=user, dbname="shop", password="wrong")
    work.count("nobody", "CONNECT")  # trusted, and then found not to exist


def wait_for_the_logs(work: Work) -> None:
    """The server's collector of logs writes them when it comes to it."""
    end = time.monotonic() + 60
    for ending in FORMS:
        while not any("does not exist" in path.read_text() for path in work.logs.glob(f"*.{ending}")):
            assert time.monotonic() < end, f"nothing of the last connection in the {ending}"
            time.sleep(0.01)


def collected(work: Work, ending: str) -> list[Outcome]:
    files = sorted(work.logs.glob(f"*.{ending}"))
    assert files
    return run(PostgresqlLogs(prefix=LinePrefix(PREFIX)), *files)


def told(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    return [event for outcome in outcomes if isinstance(outcome, Collected) for event in outcome.events]


WAITING = ("postgres", "CONNECT", "allowed")
"""What waiting for the server looks like in its log, any number of times."""


@pytest.mark.parametrize("ending", FORMS)
def test_counts_are_those_of_what_was_executed(work: Work, ending: str) -> None:
    outcomes = collected(work, ending)
    data = [event["data"] for event in told(outcomes)]
    counts = Counter((one["principal"], one["action"], one["outcome"]) for one in data)
    assert counts[WAITING] >= work.counts[WAITING]
    del counts[WAITING]
    assert counts == Counter({key: count for key, count in work.counts.items() if key != WAITING})
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, SetAside)} == {NO_ACCESS}


@pytest.mark.parametrize("ending", FORMS)
def test_each_form_has_ids_of_its_own(work: Work, ending: str) -> None:
    events = told(collected(work, ending))
    ids = {event["id"] for event in events}
    assert len(ids) == len(events)
    assert all(id.startswith(f"{FORMS[ending]}:") for id in ids)


@pytest.mark.parametrize("ending", ["csv", "log"])
def test_the_forms_tell_the_same(work: Work, ending: str) -> None:
    members = ("principal", "action", "outcome", "reason", "resource", "source_address", "tls_version")

    def facts(ending: str) -> list[tuple[str, ...]]:
        events = told(collected(work, ending))
        return [(event["time"], *(str(event["data"].get(name)) for name in members)) for event in events]

    assert facts(ending) == facts("json")


def test_the_usual_prefix_tells_a_role_only_where_the_message_does(work: Work, tmp_path: Path) -> None:
    """The stderr log, less what its longer prefix tells: as PostgreSQL would have written it by default."""
    usual, prefix = [], LinePrefix(PREFIX)
    for line in min(work.logs.glob("*.log")).read_text().split("\n"):
        found = prefix.read(line)
        usual.append(
            f"{found.fields['m']} [{found.fields['p']}] {found.label}:  {found.text}" if found else line
        )
    (tmp_path / "postgresql.log").write_text("\n".join(usual))
    data = [event["data"] for event in told(run(PostgresqlLogs(), tmp_path))]
    assert len(data) == len(told(collected(work, "log")))
    counts = Counter((one["principal"], one["action"]) for one in data)
    assert counts["unknown", "DELETE"] == 2
    assert counts["Ann Lee", "CONNECT"] == counts["locked", "CONNECT"] == 1
    assert {one.get("reason") for one in data} == {None}


@pytest.mark.parametrize("ending", FORMS)
def test_no_content_of_tables_comes_along(work: Work, ending: str) -> None:
    events = told(collected(work, ending))
    assert SECRET in "".join(path.read_text() for path in work.logs.glob(f"*.{ending}"))
    assert SECRET not in str(events)
    delete = next(event for event in events if event["data"]["action"] == "DELETE")
    assert_hidden(delete, "Ann Lee", "shop", "DELETE", "[local]")
