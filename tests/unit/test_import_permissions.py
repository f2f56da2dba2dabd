"""The commands that import permission snapshots, on a real ledger and, where it is told, from the real systems."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from support.chains import DevelopmentChain
from support.commands import ORIGIN, Folder, Ran, initialised, run
from support.postgres import psql, running_postgres
from support.shared_data import shared_file
from support.stores import fresh_database

from ledger.adapters.sql import open_store
from ledger.collect.snapshots import ResourceKeys
from ledger.projections import open_event
from ledger.settings import Settings
from ledger.types import Position, parse_origin

AT = "2026-07-01T12:00:00Z"
ME, OTHER = "111122223333", "444455556666"
STATEMENT = {
    "Effect": "Allow",
    "Principal": {"AWS": OTHER},
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::ann-lee-replays/*",
}
POLICY = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})}
BUCKET: dict[str, Any] = {
    "Bucket": "ann-lee-replays",
    "captured_at": AT,
    **POLICY,
    "Owner": {"ID": "75aa57f0"},
    "Grants": [],
    "PublicAccessBlockConfiguration": None,
}


@dataclass(frozen=True)
class Ledger:
    """A data folder into which one log's permissions are imported."""

    folder: Folder
    log: str

    def imported(self, *words: str | Path) -> Ran:
        return self.folder.run("import", *words, "--log", self.log, "--json")

    def counts(self, *words: str | Path) -> tuple[int, int, int, int]:
        """Read, accepted, duplicates and set aside; of permissions each record is one event."""
        ran = self.imported(*words)
        assert ran.code == 0, ran.err
        counts = ran.json
        assert counts["read"] == counts["accepted"] + counts["duplicates"] + counts["set_aside"]
        return counts["read"], counts["accepted"], counts["duplicates"], counts["set_aside"]

    def events(self) -> list[dict[str, Any]]:
        """What the ledger committed and can disclose."""
        origin = parse_origin(self.log)
        with closing(open_store(Settings.load(data=self.folder.path).database_url)) as store:
            stored = list(store.scan(origin, Position(0), store.head(origin).size))
        opened = [(open_event(event), event.entry) for event in stored]
        return [{**event.attributes, "data": event.data, "entry": entry} for event, entry in opened]

    def event(self) -> dict[str, Any]:
        (found,) = self.events()
        return found

    @property
    def secret(self) -> Path:
        return self.folder.path / "keys" / "ids.secret"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TRANSFER_LEDGER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def folder(anvil: DevelopmentChain, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return initialised(tmp_path_factory.mktemp("permissions") / "data", anvil)


@pytest.fixture
def ledger(folder: Folder, tmp_path: Path) -> Ledger:
    log = f"ledger.example/{tmp_path.name.replace('_', '-').lower()[:40].rstrip('-')}"
    assert folder.run("log", "create", log, "--party", "acme").code == 0
    return Ledger(folder, log)


def write(name: str, *records: Any) -> Path:
    path = Path(name)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


# --- How ids name resources


def test_the_data_folder_keeps_the_secret_of_ids(ledger: Ledger) -> None:
    write("b.ndjson", BUCKET)
    assert ledger.counts("aws-buckets", "b.ndjson") == (1, 1, 0, 0)
    keys = ResourceKeys(bytes.fromhex(ledger.secret.read_text()))
    found = ledger.event()
    assert found["id"] == f"aws.s3-{keys.of('aws.s3', 'ann-lee-replays')}-2026-07-01T12:00:00.000Z"
    assert b"ann-lee" not in found["entry"]
    assert ledger.secret.stat().st_mode & 0o777 == 0o600
    assert ledger.counts("aws-buckets", "b.ndjson") == (1, 0, 1, 0), "under the same secret, the same event"


def test_a_secret_may_come_from_a_file_and_gives_the_same_ids(ledger: Ledger) -> None:
    write("b.ndjson", BUCKET)
    ledger.counts("aws-buckets", "b.ndjson")
    shutil.copy(ledger.secret, "ids.secret")
    assert ledger.counts("aws-buckets", "b.ndjson", "--id-secret", "ids.secret") == (1, 0, 1, 0)
    Path("other.secret").write_text("0" * 64)
    assert ledger.counts("aws-buckets", "b.ndjson", "--id-secret", "other.secret") == (1, 1, 0, 0)


def test_names_stand_in_ids_only_where_that_is_asked_for(ledger: Ledger) -> None:
    write("b.ndjson", BUCKET)
    ledger.counts("aws-buckets", "b.ndjson", "--plain-names")
    assert ledger.event()["id"] == "aws.s3-ann-lee-replays-2026-07-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--id-secret", "s", "--plain-names"), ("expected --id-secret or --plain-names",)),
        (("--id-secret", "nowhere"), ("there is no secret nowhere", "openssl rand -hex 32")),
        (("--id-secret", "s"), ("64 hexadecimal digits",)),
        (("--url", "http://127.0.0.1:9"), ("--id-secret FILE with --url", "openssl rand -hex 32")),
        (("--captured", "yesterday"), ("not a time", "RFC 3339")),
        (("--captured", "2026-07-01T12:00:00"), ("not a time", "with its offset")),
        (("--owner", "acme"), ("numbers or canonical ids of accounts", "got acme")),
        (("--owner", "o-aaaaaaaaaa", "--owner", "o-bbbbbbbbbb"), ("at most one organisation",)),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused(
    ledger: Ledger, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    write("b.ndjson", BUCKET)
    Path("s").write_text("a password")
    ran = ledger.imported("aws-buckets", "b.ndjson", *options)
    ran.assert_refused(2, *words)
    assert "a password" not in ran.err
    assert ledger.events() == []


def test_a_folder_that_is_no_ledger_gets_no_secret(ledger: Ledger, tmp_path: Path) -> None:
    write("b.ndjson", BUCKET)
    elsewhere = Folder(tmp_path / "none", tmp_path, "", ledger.folder.node)
    ran = elsewhere.run("import", "aws-buckets", "b.ndjson", "--log", ORIGIN)
    ran.assert_refused(2, "is not initialised")
    assert not (tmp_path / "none").exists()


# --- What they read


def test_the_real_account_is_imported_whole(ledger: Ledger) -> None:
    export = shared_file("iam", "account-authorization-details.json")
    assert ledger.counts("aws-iam", export, "--captured", AT) == (211, 211, 0, 0)
    assert ledger.counts("aws-iam", export, "--captured", AT) == (211, 0, 211, 0)


@pytest.mark.parametrize("command", ["aws-iam", "file-acls"])
def test_an_export_that_never_tells_its_time_needs_one(ledger: Ledger, command: str) -> None:
    write("export", {})
    ledger.imported(command, "export").assert_refused(2, "no time of the export", "--captured")


def test_a_folder_of_answers_is_a_bucket(ledger: Ledger) -> None:
    for bucket in ("replays", "orders"):
        Path("s3", bucket).mkdir(parents=True)
        write(f"s3/{bucket}/policy.json", POLICY)
        write(f"s3/{bucket}/acl.json", {"Owner": {"ID": "75aa57f0"}, "Grants": []})
        write(f"s3/{bucket}/block.json", {"PublicAccessBlockConfiguration": None})
        write(f"s3/{bucket}/policy-status.json", {"PolicyStatus": {"IsPublic": False}})
    Path("s3/broken").mkdir()
    Path("s3/broken/acl.json").write_text("{")
    read = ledger.counts("aws-buckets", "s3", "--captured", AT, "--owner", ME)
    assert read == (3, 2, 0, 1)
    assert json.loads(Path("set-aside.ndjson").read_text())["where"] == "s3/broken"
    assert [e["data"]["resource"] for e in ledger.events()] == ["arn:aws:s3:::orders", "arn:aws:s3:::replays"]
    assert {e["data"]["completeness"] for e in ledger.events()} == {"complete"}


def test_who_is_no_outsider_is_said_by_option(ledger: Ledger) -> None:
    write("b.ndjson", BUCKET)
    owners = ("--owner", ME, "--owner", OTHER, "--owner", "o-a1b2c3d4e5")
    ledger.counts("aws-buckets", "b.ndjson", *owners, "--transfer", "live-1", "--phase", "before")
    found = ledger.event()
    assert found["data"]["external_principals"] == []
    assert (found["subject"], found["phase"], found["time"]) == (
        "live-1",
        "before",
        "2026-07-01T12:00:00.000Z",
    )


def test_a_record_without_its_bucket_takes_the_option_s(ledger: Ledger) -> None:
    write("policy.json", {**POLICY, "captured_at": AT})
    assert ledger.counts("aws-buckets", "policy.json") == (1, 0, 0, 1)
    assert ledger.counts("aws-buckets", "policy.json", "--bucket", "replays") == (1, 1, 0, 0)


def test_alibaba_cloud_s_buckets_and_policies_are_imported(ledger: Ledger) -> None:
    account = "1234567890123456"
    write("oss.ndjson", {"Bucket": "replays", "captured_at": AT, "Acl": "public-read", "Policy": None})
    policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:Get*", "Resource": "*"}]}
    write(
        "ram.ndjson",
        {
            "Policy": {"PolicyName": "readers", "PolicyType": "Custom"},
            "DefaultPolicyVersion": {"PolicyDocument": json.dumps(policy)},
        },
    )
    assert ledger.counts("oss-buckets", "oss.ndjson", "--owner", account) == (1, 1, 0, 0)
    assert ledger.counts("ram-policies", "ram.ndjson", "--owner", account) == (1, 0, 0, 1), "without a time"
    assert ledger.counts("ram-policies", "ram.ndjson", "--owner", account, "--captured", AT) == (1, 1, 0, 0)
    assert [e["source"] for e in ledger.events()] == [f"/aliyun/oss/{account}", f"/aliyun/ram/{account}"]


LISTS = """\
# file: srv/replays
# owner: ingest
# group: media
user::rwx
user:alice:r-x
group::r-x
mask::r-x
other::---

# file: srv/replays/1.ts
# owner: ingest
# group: media
user::rw-
group::r--
other::---

no list
"""
"""As `getfacl -R srv/replays` prints it, with the forms of acl(5); made here."""


def test_lists_of_files_are_imported(ledger: Ledger) -> None:
    Path("nas.acl").write_text(LISTS)
    read = ledger.counts("file-acls", "nas.acl", "--captured", AT, "--host", "nas-1", "--root", "/")
    assert read == (3, 2, 0, 1)
    assert [(e["source"], e["data"]["resource"]) for e in ledger.events()] == [
        ("/files/nas-1", "/srv/replays"),
        ("/files/nas-1", "/srv/replays/1.ts"),
    ]


@pytest.mark.skipif(shutil.which("getfacl") is None, reason="there is no getfacl here")
def test_what_a_real_getfacl_prints_is_imported(ledger: Ledger) -> None:
    for name in ("replays/a.ts", "replays/名 b.ts"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch(mode=0o640)
    printed = subprocess.run(["getfacl", "-R", "replays"], capture_output=True, check=True).stdout
    Path("nas.acl").write_bytes(printed)
    assert ledger.counts("file-acls", "nas.acl", "--captured", AT) == (3, 3, 0, 0)
    resources = {e["data"]["resource"] for e in ledger.events()}
    assert resources == {"replays", "replays/a.ts", "replays/名 b.ts"}


# --- PostgreSQL


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """A connection string of a database with two tables, one of them under row policies."""
    with running_postgres() as server, fresh_database(server) as url:
        conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(conninfo) as connection:
            connection.execute("""
                CREATE ROLE ann;
                CREATE TABLE orders (id int, name text);
                GRANT SELECT ON orders TO ann;
                ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
                CREATE POLICY own ON orders TO ann USING (name = current_user);
                CREATE TABLE notices (text text)
            """)
        yield conninfo
        with psycopg.connect(conninfo) as connection:
            connection.execute("DROP TABLE orders, notices; DROP ROLE ann")


def test_a_running_postgresql_is_asked(ledger: Ledger, shop: str) -> None:
    assert ledger.counts("postgresql-grants", "--connect", shop, "--server", "shop-1") == (2, 2, 0, 0)
    orders = next(e for e in ledger.events() if e["data"]["resource"].endswith("/public.orders"))
    assert orders["source"] == "/postgresql/shop-1"
    (grant,) = [g for g in orders["data"]["grants"] if g["principal"] == "ann"]
    assert grant["actions"] == ["SELECT"]
    assert [policy["name"] for policy in grant["condition"]["RowSecurity"]] == ["own"]
    assert b"orders" not in orders["entry"]


def test_what_psql_writes_with_the_printed_query_is_imported(ledger: Ledger, shop: str) -> None:
    printed = ledger.folder.run("import", "postgresql-grants", "--query")
    assert printed.code == 0, printed.err
    Path("permissions.sql").write_text(printed.out)
    options = ("--no-psqlrc", "--tuples-only", "--no-align", "--file", "permissions.sql")
    written = subprocess.run([psql(), *options, shop], capture_output=True, check=True).stdout
    Path("permissions.ndjson").write_bytes(written)
    assert ledger.counts("postgresql-grants", "permissions.ndjson") == (2, 2, 0, 0)
    assert ledger.counts("postgresql-grants", ".") == (2, 0, 2, 0)


@pytest.mark.parametrize("words", [(), ("permissions.ndjson", "--connect", "dbname=shop")], ids=str)
def test_files_or_a_server_are_read_and_not_both_nor_none(ledger: Ledger, words: tuple[str, ...]) -> None:
    ledger.imported("postgresql-grants", *words).assert_refused(2, "expected files, or --connect")


def test_a_server_that_is_not_there_is_no_answer_and_its_password_is_not_told(
    ledger: Ledger, tmp_path: Path
) -> None:
    nowhere = f"host={tmp_path} user=ann password=hunter2 connect_timeout=2"
    ran = ledger.imported("postgresql-grants", "--connect", nowhere)
    ran.assert_refused(3, "PostgreSQL does not tell its permissions")
    wrong = ledger.imported("postgresql-grants", "--connect", "nonsense password=hunter2")
    wrong.assert_refused(2, "not a connection string")
    assert "hunter2" not in ran.err + ran.out + wrong.err + wrong.out


# --- CloudTrail


def test_cloudtrail_gives_snapshots_in_the_same_run(ledger: Ledger) -> None:
    folder = shared_file("cloudtrail", "stratus-attack")
    first = ledger.imported("cloudtrail", folder)
    assert first.json == {"read": 2900, "accepted": 2909, "duplicates": 0, "set_aside": 0}
    again = ledger.imported("cloudtrail", folder)
    assert again.json == {"read": 2900, "accepted": 0, "duplicates": 2909, "set_aside": 0}
    snapshots = [e["data"] for e in ledger.events() if "grants" in e["data"]]
    assert len(snapshots) == 9
    outside = [d for d in snapshots if d["external_principals"]]
    assert [(d["resource"], d["external_principals"]) for d in outside] == [
        ("arn:aws:s3:::stratus-red-team-bdbp-lhfzvgcamn", ["arn:aws:iam::193672423079:root"])
    ]


@pytest.mark.parametrize(
    "name", ["aws-iam", "aws-buckets", "oss-buckets", "ram-policies", "postgresql-grants", "file-acls"]
)
def test_each_command_takes_the_shared_options(name: str) -> None:
    shown = run("import", name, "--help").out
    for option in ("captured", "owner", "transfer", "phase", "id-secret", "plain-names"):
        assert f"--{option}" in shown, option
