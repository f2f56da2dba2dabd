"""Access control lists of files, as getfacl and nfs4_getfacl print them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.collecting import assert_hidden, data, event, events, reasons, run_on

from ledger.collect.file_acls import FileAcls
from ledger.collect.snapshots import ResourceKeys, SnapshotOptions
from ledger.types import Digest

OPTIONS = SnapshotOptions(ResourceKeys(b"sixteen bytes or more"), "2026-07-01T12:00:00Z")
POSIX = """\
# file: srv/replays
# owner: ingest
# group: media
# flags: -s-
user::rwx
user:alice:rwx\t\t#effective:r-x
user:mallory:---
group::r-x
group:contractors:rw-\t#effective:r--
mask::r-x
other::---
default:user::rwx
default:other::r--
"""
NFS4 = """\
# file: /srv/replays
A::OWNER@:rwatTnNcCy
D:g:media@example.com:wa
A:fdi:EVERYONE@:r
A:g:GROUP@:R
U:fdS:EVERYONE@:r
"""


def of(folder: Path, text: str, **options: Any) -> dict[str, Any]:
    return data(run_on(FileAcls(OPTIONS, **options), folder, text, "a.acl"))


def short(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (g["principal"], g["kind"], g["effect"], g["actions"], g.get("condition")) for g in found["grants"]
    ]


NEW = {"AppliesTo": "new files"}


def test_a_list_of_posix_is_read_through_its_mask(tmp_path: Path) -> None:
    assert short(of(tmp_path, POSIX)) == [
        ("*", "every-user", "allow", ["read"], NEW),
        ("alice", "user", "allow", ["execute", "read"], None),
        ("contractors", "group", "allow", ["read"], None),
        ("ingest", "user", "allow", ["execute", "read", "write"], None),
        ("ingest", "user", "allow", ["execute", "read", "write"], NEW),
        ("mallory", "user", "deny", ["execute", "read", "write"], None),
        ("media", "group", "allow", ["execute", "read"], None),
    ]


def test_a_list_becomes_a_snapshot(tmp_path: Path) -> None:
    found = event(run_on(FileAcls(OPTIONS, host="nas-1", root="/"), tmp_path, POSIX, "a.acl"))
    key = OPTIONS.keys.of("posix/nas-1", "/srv/replays")
    assert found["id"] == f"posix-{key}-2026-07-01T12:00:00.000Z"
    assert found["source"] == "/files/nas-1"
    members = found["data"]
    assert (members["resource"], members["owner"]) == ("/srv/replays", "ingest")
    assert members["raw_sha256"] == Digest.of(POSIX.strip().encode()).hex()
    assert "public" not in members
    assert_hidden(found, "alice", "srv/replays", "media")


def test_without_everybody_nobody_is_the_public_but_folders_are_not_known(tmp_path: Path) -> None:
    found = of(tmp_path, POSIX.replace("default:other::r--\n", ""))
    assert ("public" in found, found["completeness"]) == (False, "best-effort")


def test_a_list_of_nfs_keeps_that_order_decides(tmp_path: Path) -> None:
    found = of(tmp_path, NFS4)
    assert found["source_system"] == "nfsv4"
    read = ["read", "read-acl", "read-attributes", "read-named-attributes", "synchronize"]
    assert [(p, k, e, c) for p, k, e, _, c in short(found)] == [
        ("*", "every-user", "allow", NEW),
        ("GROUP@", "group", "allow", None),
        ("OWNER@", "user", "allow", None),
        ("media@example.com", "group", "deny", {"Order": 2}),
    ]
    assert found["grants"][1]["actions"] == read


def test_a_tree_is_many_records(tmp_path: Path) -> None:
    text = POSIX + "\n\n" + POSIX.replace("srv/replays", r"srv/replays/ann\040lee.ts") + "\n" + NFS4
    found = events(run_on(FileAcls(OPTIONS), tmp_path, text, "a.acl"))
    assert [e["data"]["resource"] for e in found] == ["srv/replays", "srv/replays/ann lee.ts", "/srv/replays"]
    assert len({e["id"] for e in found}) == 3


def test_a_path_with_an_asterisk_is_that_path(tmp_path: Path) -> None:
    found = of(tmp_path, POSIX.replace("srv/replays", "srv/*"))
    assert {g["resource"] for g in found["grants"]} == {"srv/${*}"}


@pytest.mark.parametrize(
    "text",
    [
        "user::rwx\n",
        "# file: a\n",
        "# file: a\nuser:rwx\n",
        "# file: a\nuser::rwz\n",
        "# file: a\nowner::rwx\n",
        "# file: a\nA::OWNER@:rq\n",
        "# file: a\nA::OWNER@:r\nuser::rwx\n",
        "# file: a\\377\nuser::rwx\n",
    ],
)
def test_what_is_no_list_is_set_aside_and_the_next_is_read(tmp_path: Path, text: str) -> None:
    outcomes = run_on(FileAcls(OPTIONS), tmp_path, f"{text}\n{POSIX}", "a.acl")
    assert len(outcomes) == 2
    assert list(reasons(outcomes)) == [1]


def test_bytes_that_are_no_text_are_set_aside(tmp_path: Path) -> None:
    assert list(reasons(run_on(FileAcls(OPTIONS), tmp_path, b"# file: \xff\nuser::rwx\n", "a.acl"))) == [1]
