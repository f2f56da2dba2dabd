"""PostgreSQL: who may read and change each table, by grants, memberships and row policies.

`QUERY` asks a database for all of it and answers one JSON object for each table, view, materialized view, foreign and
partitioned table that is not PostgreSQL's own. Its rows are the records, one on each line, whoever ran it::

    psql --no-psqlrc --tuples-only --no-align --file permissions.sql shop > permissions.ndjson

or `LivePostgresql`, over a connection. It only reads the catalogue, and any role may run it. One
record, spread over lines here::

    {"captured_at":"2026-07-01T12:00:00.000000+00:00","server":"17.2","database":"shop","schema":"public",
     "table":"orders","kind":"table","owner":"shop_owner",
     "grants":[{"grantee":"analyst","privilege":"SELECT","grantable":false,"columns":["id","total"],"via":null}],
     "row_security":true,"row_security_forced":false,
     "policies":[{"name":"own","permissive":true,"roles":["analyst"],"command":"SELECT","using":"(…)","check":null}],
     "superusers":["postgres"],"bypass":["backup"]}

- `grants` are `pg_class.relacl` and, with `columns`, `pg_attribute.attacl`, as `aclexplode` opens them: what the view
  `role_table_grants` shows, and more (it leaves out PUBLIC and roles that the asker is no member of). A table without
  an ACL has its owner's default. `via` is the role through whose membership another role has the privilege;
  memberships without INHERIT count, since SET ROLE reaches there.
- Superusers get a grant of everything. Of the others, `bypass` are exempt from row policies, and the owner is unless
  they are forced; whom they bind has them as a condition, `RowSecurity`, with the policies for its roles and command.
- `*` is PUBLIC: every role that may connect, which is not the public (`every-user`). So `public` is absent then.

The resource is `<database>/<schema>.<table>`. Who may connect at all (`pg_hba.conf`), what functions do with their
definers' rights, and what other databases hold, is not in it: `completeness` is `best-effort`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.collect.base import Placed
from ledger.collect.files import NO_HEADER, Header, RawRecord, split_lines
from ledger.collect.members import segment
from ledger.collect.snapshots import Found, SnapshotOptions, objects, snapshot_event, text
from ledger.errors import MalformedInput
from ledger.permissions.grants import EVERYBODY, Grant, Kind, make_grant

SYSTEM = "postgresql"

QUERY = """\
WITH RECURSIVE member_of AS (
    SELECT m.member, m.roleid AS role FROM pg_catalog.pg_auth_members m
  UNION
    SELECT o.member, m.roleid FROM member_of o JOIN pg_catalog.pg_auth_members m ON m.member = o.role
), acl AS (
    SELECT c.oid, a.grantee, a.privilege_type AS privilege, a.is_grantable AS grantable, NULL::name AS column_name
      FROM pg_catalog.pg_class c,
           LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) a
  UNION ALL
    SELECT t.attrelid, a.grantee, a.privilege_type, a.is_grantable, t.attname
      FROM pg_catalog.pg_attribute t, LATERAL pg_catalog.aclexplode(t.attacl) a
     WHERE NOT t.attisdropped
), held AS (
    SELECT oid, grantee, privilege, grantable, column_name, NULL::oid AS via FROM acl
  UNION
    SELECT a.oid, m.member, a.privilege, a.grantable, a.column_name, m.role
      FROM acl a JOIN member_of m ON m.role = a.grantee
), listed AS (
    SELECT oid, grantee, via, privilege, grantable,
           jsonb_agg(column_name ORDER BY column_name) FILTER (WHERE column_name IS NOT NULL) AS columns
      FROM held GROUP BY oid, grantee, via, privilege, grantable, column_name IS NULL
)
SELECT jsonb_build_object(
    'captured_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'server', current_setting('server_version'),
    'database', current_database(),
    'schema', n.nspname,
    'table', c.relname,
    'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                           WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END,
    'owner', pg_catalog.pg_get_userbyid(c.relowner),
    'grants', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'grantee', CASE l.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(l.grantee) END,
                   'privilege', l.privilege, 'grantable', l.grantable, 'columns', l.columns,
                   'via', CASE WHEN l.via IS NULL THEN NULL ELSE pg_catalog.pg_get_userbyid(l.via) END)
                   ORDER BY l.grantee, l.via, l.privilege, l.grantable, l.columns), '[]')
                 FROM listed l WHERE l.oid = c.oid),
    'row_security', c.relrowsecurity,
    'row_security_forced', c.relforcerowsecurity,
    'policies', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', p.policyname, 'permissive', p.permissive = 'PERMISSIVE', 'roles', to_jsonb(p.roles),
                   'command', p.cmd, 'using', p.qual, 'check', p.with_check) ORDER BY p.policyname), '[]')
                   FROM pg_catalog.pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname),
    'superusers', (SELECT coalesce(jsonb_agg(rolname ORDER BY rolname), '[]')
                     FROM pg_catalog.pg_roles WHERE rolsuper),
    'bypass', (SELECT coalesce(jsonb_agg(rolname ORDER BY rolname), '[]')
                 FROM pg_catalog.pg_roles WHERE rolbypassrls AND NOT rolsuper)
)::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
 ORDER BY n.nspname, c.relname;
"""


@dataclass(frozen=True, slots=True)
class PostgresqlGrants:
    """The collector. The records know their time; `server` names the server in ids and sources, never personal."""

    options: SnapshotOptions
    server: str = "postgresql"

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".ndjson", ".jsonl")

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        return split_lines(file)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        record = canonical.parse_object(raw)
        database, schema, table, owner = (text(record, n) for n in ("database", "schema", "table", "owner"))
        if database is None or schema is None or table is None or owner is None or "grants" not in record:
            raise MalformedInput("not a row of the query", expected="database, schema, table, owner, grants")
        resource = f"{database}/{schema}.{table}"
        return snapshot_event(
            self.options,
            Found(
                system=SYSTEM,
                resource=resource,
                grants=tuple(_grants(record, owner)),
                raw=raw,
                api_call="pg_class.relacl pg_attribute.attacl pg_policies",
                owner=owner,
                complete=False,
            ),
            source=f"/postgresql/{segment(self.server)}",
            key=self.options.keys.of(f"{SYSTEM}/{self.server}", resource),
            captured=text(record, "captured_at"),
        )


@dataclass(frozen=True, slots=True)
class LivePostgresql(PostgresqlGrants):
    """The collector that asks a running server, and reads no files. `ask` answers the rows of `QUERY`."""

    ask: Callable[[], Iterator[bytes]] = field(kw_only=True)

    def gather(self, paths: Iterable[Path]) -> Iterator[Placed]:
        for number, row in enumerate(self.ask(), 1):
            yield f"{self.server}:{number}", RawRecord(number, row)


def _grants(record: Object, owner: str) -> Iterator[Grant]:
    supers, bypass = _names(record, "superusers"), _names(record, "bypass")
    exempt = {*supers, *bypass} | (set() if record.get("row_security_forced") is True else {owner})
    guarded = record.get("row_security") is True
    for name in supers:
        yield make_grant(name, ["*"], kind="superuser", source="pg_roles.rolsuper")
    roles = _memberships(record)
    by_place: dict[tuple[str | None, str | None, str], set[str]] = {}
    for listed in objects(record, "grants"):
        privilege = text(listed, "privilege")
        if privilege is None:
            raise MalformedInput("a grant without its privilege")
        grantee, via = text(listed, "grantee"), text(listed, "via")
        condition: Object = {}
        if columns := _names(listed, "columns"):
            condition["Columns"] = [*columns]
        if guarded and grantee not in exempt:
            acting = {EVERYBODY, *(roles.get(grantee, set()) if grantee else set())}
            condition["RowSecurity"] = _policies(record, acting, privilege)
        place = (grantee, via, canonical.encode(condition).decode() if condition else "")
        by_place.setdefault(place, set()).add(privilege)
        if listed.get("grantable") is True:
            by_place[place].add(f"GRANT {privilege}")
    for (grantee, via, spelled), privileges in by_place.items():
        value = canonical.parse_text(spelled) if spelled else {}
        yield make_grant(
            grantee or EVERYBODY,
            privileges,
            condition=value if isinstance(value, dict) else None,
            kind=Kind.ROLE if grantee else Kind.EVERY_USER,
            source=f"member of {via}" if via else ("attacl" if "Columns" in spelled else "relacl"),
        )


def _memberships(record: Object) -> dict[str, set[str]]:
    """As whom each grantee can act on this table, as far as its grants show."""
    found: dict[str, set[str]] = {}
    for listed in objects(record, "grants"):
        if grantee := text(listed, "grantee"):
            found.setdefault(grantee, {grantee}).add(text(listed, "via") or grantee)
    return found


_COMMANDS = {"SELECT", "INSERT", "UPDATE", "DELETE"}


def _policies(record: Object, acting: set[str], privilege: str) -> list[Value]:
    """The row policies for these roles and this privilege; none of them means that no row is reached.

    `TRUNCATE`, `REFERENCES`, `TRIGGER` and `MAINTAIN` are under no row policy; they keep all of them as a reminder.
    """
    found: list[Value] = []
    for policy in objects(record, "policies"):
        roles = {EVERYBODY if name == "public" else name for name in _names(policy, "roles")}
        command = text(policy, "command")
        if not roles.isdisjoint(acting) and (command in {"ALL", privilege} or privilege not in _COMMANDS):
            found.append({name: value for name, value in policy.items() if value is not None})
    return found


def _names(record: Object, name: str) -> list[str]:
    value = record.get(name)
    listed = value if isinstance(value, list) else []
    names = [item for item in listed if isinstance(item, str)]
    if len(names) != len(listed) or not (value is None or isinstance(value, list)):
        raise MalformedInput(f"a record out of form: {name}", expected="a list of names")
    return names
