"""Permissions of a real PostgreSQL: what the catalogue says, and what the roles then can really do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from support.collecting import assert_hidden, events, run_on
from support.stores import fresh_database

from ledger.adapters.postgresql_grants import read_permissions
from ledger.collect.postgresql_grants import PostgresqlGrants
from ledger.collect.snapshots import ResourceKeys, SnapshotOptions
from ledger.errors import Unavailable
from ledger.permissions import difference, in_words, parse_grants

OPTIONS = SnapshotOptions(ResourceKeys(b"sixteen bytes or more"))
ROLES = ("shop_owner", "reader", "ann", "auditor", "backup", "nobody_else")


@pytest.fixture(scope="module")
def shop(postgres: str) -> Iterator[str]:
    """A database with roles, grants of every kind and a table under row policies."""
    with fresh_database(postgres) as url:
        conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(conninfo) as connection:
            for role in ROLES:
                connection.execute(f"CREATE ROLE {role}")
            connection.execute("""
                ALTER ROLE backup BYPASSRLS;
                GRANT reader TO ann;
                CREATE SCHEMA live AUTHORIZATION shop_owner;
                GRANT USAGE ON SCHEMA live TO PUBLIC;
                SET ROLE shop_owner;
                CREATE TABLE live.orders (id int, name text, total int);
                INSERT INTO live.orders VALUES (1, 'ann', 10), (2, 'bob', 20);
                GRANT SELECT, INSERT ON live.orders TO reader;
                GRANT SELECT (id, total) ON live.orders TO auditor;
                GRANT SELECT ON live.orders TO backup WITH GRANT OPTION;
                ALTER TABLE live.orders ENABLE ROW LEVEL SECURITY;
                CREATE POLICY own ON live.orders FOR SELECT TO reader USING (name = current_user);
                CREATE POLICY new ON live.orders FOR INSERT WITH CHECK (total > 0);
                CREATE TABLE live.notices (text text);
                GRANT SELECT ON live.notices TO PUBLIC;
                CREATE VIEW live.totals AS SELECT sum(total) FROM live.orders;
                RESET ROLE
            """)
        yield conninfo
        with psycopg.connect(conninfo) as connection:
            connection.execute("DROP SCHEMA live CASCADE")
            for role in reversed(ROLES):
                connection.execute(f"DROP ROLE {role}")


def snapshots(conninfo: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The `data` of each table's snapshot, by the table's name."""
    rows = b"\n".join(read_permissions(conninfo))
    found = events(run_on(PostgresqlGrants(OPTIONS, server="shop-1"), folder, rows, "p.ndjson"))
    return {e["data"]["resource"].split(".")[-1]: e["data"] for e in found}


def held(snapshot: dict[str, Any], principal: str) -> dict[str, dict[str, Any]]:
    return {g["source"]: g for g in snapshot["grants"] if g["principal"] == principal}


def test_every_table_and_view_has_its_snapshot(shop: str, tmp_path: Path) -> None:
    found = snapshots(shop, tmp_path)
    assert sorted(found) == ["notices", "orders", "totals"]
    assert {d["owner"] for d in found.values()} == {"shop_owner"}
    assert {d["completeness"] for d in found.values()} == {"best-effort"}


def test_grants_say_who_may_what_by_which_way(shop: str, tmp_path: Path) -> None:
    orders = snapshots(shop, tmp_path)["orders"]
    assert held(orders, "postgres")["pg_roles.rolsuper"]["actions"] == ["*"]
    assert "SELECT" in held(orders, "shop_owner")["relacl"]["actions"]
    assert held(orders, "backup")["relacl"]["actions"] == ["GRANT SELECT", "SELECT"]
    assert held(orders, "auditor")["attacl"]["condition"]["Columns"] == ["id", "total"]
    inherited = [(g["source"], g["actions"]) for g in orders["grants"] if g["principal"] == "ann"]
    assert sorted(inherited) == [("member of reader", ["INSERT"]), ("member of reader", ["SELECT"])]
    assert not held(orders, "nobody_else")


def test_row_policies_bind_whom_they_bind(shop: str, tmp_path: Path) -> None:
    orders = snapshots(shop, tmp_path)["orders"]
    for exempt in ("postgres", "shop_owner", "backup"):
        assert not any("condition" in grant for grant in held(orders, exempt).values()), exempt
    bound = [g for g in orders["grants"] if g["principal"] == "ann"]
    by_action = {action: g["condition"]["RowSecurity"] for g in bound for action in g["actions"]}
    assert [policy["name"] for policy in by_action["SELECT"]] == ["own"]
    assert [policy["name"] for policy in by_action["INSERT"]] == ["new"]
    # The auditor has columns and no policy: PostgreSQL then shows no row.
    assert held(orders, "auditor")["attacl"]["condition"]["RowSecurity"] == []


def test_public_is_every_user_and_not_the_public(shop: str, tmp_path: Path) -> None:
    notices = snapshots(shop, tmp_path)["notices"]
    assert held(notices, "*")["relacl"] == {
        "principal": "*",
        "kind": "every-user",
        "actions": ["SELECT"],
        "effect": "allow",
        "source": "relacl",
    }
    assert "public" not in notices


def test_postgresql_agrees_with_the_snapshot(shop: str, tmp_path: Path) -> None:
    """Each role tries each privilege: it has it exactly if the snapshot grants it, columns aside."""
    found = snapshots(shop, tmp_path)
    with psycopg.connect(shop) as connection:
        for table, snapshot in found.items():
            for role in (*ROLES, "postgres"):
                for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
                    row = connection.execute(
                        "SELECT has_table_privilege(%s, %s, %s)", (role, f"live.{table}", privilege)
                    ).fetchone()
                    granted = any(
                        g["principal"] in {role, "*"}
                        and {privilege, "*"} & set(g["actions"])
                        and "Columns" not in g.get("condition", {})
                        for g in snapshot["grants"]
                    )
                    assert row == (granted,), (table, role, privilege)


def test_who_asks_changes_nothing(shop: str, tmp_path: Path) -> None:
    asked = snapshots(f"{shop}&options=-c%20role%3Dnobody_else", tmp_path)
    mine = snapshots(shop, tmp_path)
    assert {t: d["grants"] for t, d in asked.items()} == {t: d["grants"] for t, d in mine.items()}


def test_a_grant_is_seen_as_a_difference(shop: str, tmp_path: Path) -> None:
    before = snapshots(shop, tmp_path)["notices"]
    with psycopg.connect(shop) as connection:
        connection.execute("GRANT DELETE ON live.notices TO ann")
    after = snapshots(shop, tmp_path)["notices"]
    with psycopg.connect(shop) as connection:
        connection.execute("REVOKE DELETE ON live.notices FROM ann")
    change = difference(parse_grants(before["grants"]), parse_grants(after["grants"]))
    assert in_words(change) == ["ann may now DELETE on the whole resource."]


def test_rows_have_their_time_and_opaque_ids(shop: str, tmp_path: Path) -> None:
    rows = list(read_permissions(shop))
    found = events(run_on(PostgresqlGrants(OPTIONS), tmp_path, b"\n".join(rows), "p.ndjson"))
    assert len({e["time"] for e in found}) == 1
    again = events(run_on(PostgresqlGrants(OPTIONS), tmp_path, b"\n".join(reversed(rows)), "p.ndjson"))
    assert {e["id"] for e in again} == {e["id"] for e in found}
    for event in found:
        assert_hidden(event, "shop_owner", event["data"]["resource"])


def test_a_server_that_is_not_there_is_unavailable_and_its_address_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        list(read_permissions(f"host={tmp_path} user=ann password=secret connect_timeout=2"))
    assert "secret" not in str(refused.value)
    assert "ann" not in str(refused.value).split()


@pytest.mark.parametrize(
    "change", [{"owner": None}, {"grants": [{}]}, {"superusers": "postgres"}, {"bypass": [1]}], ids=str
)
def test_what_is_no_row_is_set_aside(shop: str, tmp_path: Path, change: dict[str, Any]) -> None:
    row = {**json.loads(next(read_permissions(shop))), **change}
    (outcome,) = run_on(PostgresqlGrants(OPTIONS), tmp_path, json.dumps(row), "p.ndjson")
    assert type(outcome).__name__ == "SetAside"
