"""The auditor's commands: on the data folder and through the API they answer the same, for people and for programs."""

from __future__ import annotations

import csv
import inspect
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from support.chains import DevelopmentChain
from support.commands import ORIGIN, Folder, Ran, initialised, ndjson
from support.events import DECLARED, event
from support.ledgers import PARTY, Bed, HandClock, access, serving
from support.shared_data import shared_file

from api.routes.accesses import wanted
from ledger.bootstrap import open_ledger
from ledger.cli import queries
from ledger.entry import event_time
from ledger.note import VerifierKey
from ledger.records import Scope
from ledger.scenario import scenario
from ledger.settings import Settings
from ledger.types import parse_origin

EVENTS = 2000
TIMES = event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")
BUCKET, ATTACKER = "arn:aws:s3:::stratus-red-team-bdbp-lhfzvgcamn", "arn:aws:iam::193672423079:root"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TRANSFER_LEDGER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def folder(anvil: DevelopmentChain, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Eight sessions of the generator, projected. Only read it."""
    made = initialised(tmp_path_factory.mktemp("queries") / "data", anvil)
    events = list(scenario(1, EVENTS, *TIMES))
    assert made.run("push", "--log", ORIGIN, stdin=ndjson(events)).code == 0
    assert made.run("worker", "--once").code == 0
    return made


@contextmanager
def asking(folder: Folder, *scopes: Scope) -> Iterator[tuple[str, ...]]:
    """Options that ask the API over the same folder, with a key of these scopes: an auditor's, if none is told."""
    with open_ledger(Settings.load(data=folder.path)) as ledger:
        key = ledger.create_api_key(
            PARTY, parse_origin(ORIGIN), frozenset(scopes or (Scope.READ, Scope.DISCLOSE))
        )
        with serving(Bed(ledger, HandClock(), folder.node, b"")) as url:
            yield ("--url", url, "--api-key", key)


@pytest.fixture(scope="module")
def remote(folder: Folder) -> Iterator[tuple[str, ...]]:
    with asking(folder) as options:
        yield options


def ask(folder: Folder, *words: str) -> Ran:
    ran = folder.run(*words, "--log", ORIGIN)
    assert ran.code == 0, ran.err
    return ran


def transfers(folder: Folder) -> list[str]:
    return [item["transfer"] for item in ask(folder, "transfer", "list", "--json").json]


QUESTIONS: dict[str, tuple[str, ...]] = {
    "accesses": ("access", "--outcome", "refused", "--limit", "0"),
    "accesses of a day": ("access", "--since", "2026-02-01", "--until", "2026-02-02", "--limit", "0"),
    "snapshots": ("snapshot", "list", "--public"),
    "a system's snapshots": (
        "snapshot",
        "list",
        "--source-system",
        "aws.s3",
        "--party",
        "acme",
        "--limit",
        "3",
    ),
    "closed snapshots": ("snapshot", "list", "--no-public", "--limit", "3"),
    "transfers": ("transfer", "list"),
    "some transfers": ("transfer", "list", "--limit", "2"),
    "transfer": ("transfer", "show", "{0}"),
    "timeline": ("transfer", "timeline", "{0}", "--phase", "transit", "--limit", "0"),
    "timeline of a type": (
        *("transfer", "timeline", "{0}", "--type", "transfer-ledger.hop.v1"),
        *("--type", "transfer-ledger.route.v1"),
    ),
    "matrix": ("transfer", "completeness", "{7}"),
    "matrices": ("transfer", "completeness"),
    "difference": ("snapshot", "diff", "{snapshot0}", "{snapshot1}"),
    "difference of phases": ("snapshot", "diff", "--resource", "{ingest}", "--phases", "before", "before"),
    "judgements": ("reconcile", "--verdict", "not-permitted"),
    "reconciliation": ("reconcile", "--transfer", "{0}"),
    "reconciliation of some accesses": (
        *("reconcile", "--party", "acme", "--action", "s3:GetObject", "--outcome", "allowed"),
        *("--source-system", "aws.s3", "--since", "2026-02-01"),
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_folder_and_the_api_answer_the_same(
    folder: Folder, remote: tuple[str, ...], question: str
) -> None:
    names = transfers(folder)
    snapshots = ask(folder, "snapshot", "list", "--json", "--transfer", names[0], "--phase", "storage").json
    ingest = ask(folder, "snapshot", "list", "--json", "--phase", "before").json[0]["resource"]
    told = {f"snapshot{n}": str(snapshots[n]["position"]) for n in (0, 1)}
    words = [word.format(*names, **told, ingest=ingest) for word in QUESTIONS[question]]
    local = ask(folder, *words, "--json").json
    assert local
    assert ask(folder, *words, "--json", *remote).json == local
    table = ask(folder, *words)
    assert ask(folder, *words, *remote).out == table.out
    assert table.out.strip()
    assert not table.out.startswith(("{", "["))


def test_reconcile_takes_every_filter_that_the_api_takes() -> None:
    taken = set(inspect.signature(queries.reconcile).parameters)
    assert set(inspect.signature(wanted).parameters) <= taken
    assert set(inspect.signature(queries.list_accesses).parameters) - {"output"} <= taken


def test_a_filter_of_reconcile_narrows_what_is_counted(folder: Folder) -> None:
    every = ask(folder, "reconcile", "--json").json
    assert every["accesses"] == len(ask(folder, "access", "--limit", "0", "--json").json)
    for name, value in (
        ("outcome", "refused"),
        ("tls-version", "1.2"),
        ("country", "JP"),
        ("party", "nobody"),
        ("action", "s3:GetObject"),
        ("source-system", "aws.s3"),
    ):
        words = (f"--{name}", value)
        found = ask(folder, "reconcile", *words, "--json").json
        assert found["accesses"] == len(ask(folder, "access", *words, "--limit", "0", "--json").json)
        assert (found["complete"], found["next"], found["examined"]) == (True, None, every["accesses"])
    assert ask(folder, "reconcile", "--party", "nobody", "--json").json["grants"] == []


@pytest.mark.parametrize("name", ["x/../b", "b/timeline"])
def test_a_transfer_is_shown_by_whatever_name_it_has(
    anvil: DevelopmentChain, tmp_path: Path, name: str
) -> None:
    made = initialised(tmp_path / "data", anvil)
    assert (
        made.run(
            "push", "--log", ORIGIN, stdin=ndjson([access(n, subject=it) for n, it in enumerate(("b", name))])
        ).code
        == 0
    )
    assert made.run("worker", "--once").code == 0
    with asking(made) as options:
        for words in (("show", name), ("completeness", name)):
            local, remote = (ask(made, "transfer", *words, "--json", *there).json for there in ((), options))
            assert local == remote
            assert remote["transfer"] == name


def test_no_party_of_a_declaration_is_passed_over(anvil: DevelopmentChain, tmp_path: Path) -> None:
    """Neither one without a capacity, nor one that the register knows from another country."""
    made = initialised(tmp_path / "data", anvil)
    parties = [
        {"party": "acme", "role": "platform", "country": "SG", "capacity": "data-exporter"},
        {"party": "broker", "role": "mcn", "country": "PA"},
    ]
    declared = event("declaration", {**DECLARED, "parties": parties})
    assert made.run("push", "--log", ORIGIN, stdin=ndjson([declared])).code == 0
    assert made.run("worker", "--once").code == 0
    shown = ask(made, "transfer", "show", "live-1").out
    assert re.search(r"exporter: acme \(.*\), SG; registered in CN", shown)
    assert "takes part: broker, PA\n" in shown


def test_a_table_says_that_there_is_more(folder: Folder) -> None:
    ran = ask(folder, "access", "--limit", "2")
    assert len(ran.out.splitlines()) == 3
    assert ran.err == "the first 2; more with --limit\n"
    assert ask(folder, "access", "--principal", "nobody").out == "none\n"


@pytest.mark.parametrize("way", ["folder", "api"])
def test_an_export_is_written_whole_by_its_ending(
    folder: Folder, remote: tuple[str, ...], tmp_path: Path, way: str
) -> None:
    options = remote if way == "api" else ()
    rows = ask(folder, "access", "--outcome", "refused", "--limit", "0", "--json").json
    for ending in ("ndjson", "csv", "parquet"):
        file = tmp_path / f"refused.{ending}"
        ran = ask(folder, "access", "--outcome", "refused", "-o", str(file), *options)
        assert ran.out.startswith(f"wrote {file} (")
    lines = (tmp_path / "refused.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    with (tmp_path / "refused.csv").open(newline="") as opened:
        assert [row["proof"] for row in csv.DictReader(opened)] == [row["proof"] for row in rows]
    table = parquet.read_table(tmp_path / "refused.parquet")
    assert table["raw_sha256"].to_pylist() == [row["raw_sha256"] for row in rows]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "refused.csv",
        "refused.ndjson",
        "refused.parquet",
    ]


def test_a_file_of_another_ending_is_refused(folder: Folder, tmp_path: Path) -> None:
    ran = folder.run("access", "--log", ORIGIN, "-o", tmp_path / "refused.xlsx")
    ran.assert_refused(2, ".ndjson or .csv or .parquet", ".xlsx")


def test_what_an_event_says_cannot_write_into_the_terminal(anvil: DevelopmentChain, tmp_path: Path) -> None:
    made = initialised(tmp_path / "data", anvil)
    evil = access(1, subject="live-1")
    evil["data"] |= {"principal": "a\x1b[31m[bold]b\nrow", "resource": "\u202egnp.exe"}
    assert made.run("push", "--log", ORIGIN, stdin=ndjson([evil])).code == 0
    assert made.run("worker", "--once").code == 0
    for words in (("access",), ("transfer", "timeline", "live-1"), ("reconcile", "--verdict", "no-snapshot")):
        ran = ask(made, *words)
        assert not {"\x1b", "\u202e"} & set(ran.out)
    assert "[bold]" in ask(made, "access").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("transfer", "show", "nobody"), "no such transfer"),
        (("transfer", "timeline", "nobody"), "no such transfer"),
        (("snapshot", "diff"), "two positions, or --resource"),
        (("snapshot", "diff", "0", "1"), "no permission snapshot there"),
        (("snapshot", "diff", "--resource", "nothing"), "no snapshot of that resource"),
        (("access", "--since", "yesterday"), "not a time"),
    ],
)
@pytest.mark.parametrize("way", ["folder", "api"])
def test_a_question_that_cannot_be_answered_says_why(
    folder: Folder, remote: tuple[str, ...], words: tuple[str, ...], said: str, way: str
) -> None:
    options = remote if way == "api" else ()
    folder.run(*words, "--log", ORIGIN, *options).assert_refused(2, said)


def test_rebuilding_gives_the_same_bytes(folder: Folder) -> None:
    before = ask(folder, "access", "--limit", "0", "--json").out
    first, second = (folder.run("rebuild") for _ in range(2))
    assert first.code == second.code == 0
    assert first.out == second.out
    assert f"projected {EVENTS} events, sha256 " in first.out
    assert ask(folder, "access", "--limit", "0", "--json").out == before


# --- The exercise -----------------------------------------------------------------------------------------------------


def test_the_outside_account_of_the_exercise_shows_in_the_difference_and_in_the_reconciliation(
    anvil: DevelopmentChain, tmp_path: Path
) -> None:
    exercise = shared_file("cloudtrail", "stratus-attack")
    made = initialised(tmp_path / "data", anvil)
    counts = ask(made, "import", "cloudtrail", "--json", str(exercise)).json
    assert counts["read"] == 2900
    assert counts["set_aside"] == 0
    assert made.run("worker", "--once").code == 0
    positions = [s["position"] for s in ask(made, "snapshot", "list", "--resource", BUCKET, "--json").json]
    before, during, after = sorted(
        positions,
        key=lambda at: ask(made, "snapshot", "diff", str(at), str(at), "--json").json["before"]["captured"],
    )
    granted = ask(made, "snapshot", "diff", str(before), str(during)).out
    assert f"{ATTACKER} may now s3:GetBucketLocation, s3:GetObject, s3:ListBucket on {BUCKET}/*." in granted
    found = ask(made, "snapshot", "diff", str(before), str(during), "--json").json
    assert (found["before"]["external_principals"], found["after"]["external_principals"]) == ([], [ATTACKER])
    revoked = ask(made, "snapshot", "diff", str(during), str(after), "--json").json
    assert {grant["principal"] for grant in revoked["removed"]} == {ATTACKER}
    report = ask(made, "reconcile", "--json").json
    unused = [u for u in report["grants"] if u["resource"] == BUCKET]
    assert {(u["grant"]["principal"], u["uses"]) for u in unused} == {(ATTACKER, 0)}
    assert report["accesses"] == 2900


# --- Keys of parties --------------------------------------------------------------------------------------------------


def test_a_party_s_key_is_registered_listed_and_ended(anvil: DevelopmentChain, tmp_path: Path) -> None:
    made = initialised(tmp_path / "data", anvil)
    key = VerifierKey("acme", bytes(range(32)))
    file = tmp_path / "acme.vkey"
    file.write_text(f"{key}\n")
    words = ("party", "key", "add", "acme", "--key", file, "--from", "2026-01-01", "--until", "2027-01-01")
    for _ in range(2):
        ran = made.run(*words)
        assert ran.code == 0, ran.err
    listed: Any = made.run("party", "key", "list", "acme", "--json").json
    assert listed == [
        {"key": str(key), "from": "2026-01-01T00:00:00.000Z", "until": "2027-01-01T00:00:00.000Z"}
    ]
    made.run(*words[:-1], "2028-01-01").assert_refused(2, "registered already")
    assert made.run("party", "key", "end", "acme", "--key", str(key), "--at", "2026-02-01").code == 0
    assert made.run("party", "key", "list", "acme", "--json").json == listed, (
        "an end that is set is never moved"
    )
    other = VerifierKey("somebody", bytes(range(32)))
    made.run("party", "key", "add", "acme", "--key", str(other)).assert_refused(2, "named for somebody else")
    made.run("party", "key", "add", "nobody", "--key", str(other)).assert_refused(2, "nobody")
    made.run(*words[:6], "--from", "2027-01-01", "--until", "2026-01-01").assert_refused(2, "never valid")


def test_a_key_without_an_end_can_be_ended_once(anvil: DevelopmentChain, tmp_path: Path) -> None:
    made = initialised(tmp_path / "data", anvil)
    key = str(VerifierKey("acme", bytes(range(32))))
    assert made.run("party", "key", "add", "acme", "--key", key, "--from", "2026-01-01").code == 0
    for at in ("2026-03-01", "2026-02-01"):
        assert made.run("party", "key", "end", "acme", "--key", key, "--at", at).code == 0
    (row,) = made.run("party", "key", "list", "acme", "--json").json
    assert row["until"] == "2026-03-01T00:00:00.000Z"
    # Registering it again, as a script would, is no error and moves nothing.
    assert made.run("party", "key", "add", "acme", "--key", key).code == 0
    assert made.run("party", "key", "list", "acme", "--json").json == [row]
    other = str(VerifierKey("acme", bytes(range(1, 33))))
    made.run("party", "key", "end", "acme", "--key", other).assert_refused(2, "no such party key")


def test_a_log_that_takes_opaque_types_is_made_so(anvil: DevelopmentChain, tmp_path: Path) -> None:
    made = initialised(tmp_path / "data", anvil)
    value = access(1, type="com.example.heartbeat")
    made.run("push", "--log", ORIGIN, stdin=ndjson([value])).assert_refused(2, "not in the catalogue")
    other = "ledger.example/acme-open"
    created = made.run("log", "create", other, "--party", "acme", "--allow-opaque")
    assert created.code == 0, created.err
    assert made.run("push", "--log", other, stdin=ndjson([value])).code == 0
    opaque = {row["origin"]: row["opaque"] for row in made.run("log", "list", "--json").json}
    assert opaque == {ORIGIN: False, other: True}
    assert made.run("worker", "--once").code == 0
    proof = tmp_path / "proof.json"
    assert made.run("prove", "--log", other, "0", "-o", proof).code == 0
    (tmp_path / "open.vkey").write_text(created.out)
    verified = made.run("verify", proof, "--key", tmp_path / "open.vkey")
    assert verified.code == 0
    assert "opaque" in verified.out


# --- Records whose ids are not their own ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["folder", "api"])
def test_a_record_whose_id_has_other_content_is_set_aside_and_the_others_are_taken(
    anvil: DevelopmentChain, tmp_path: Path, way: str
) -> None:
    made = initialised(tmp_path / "data", anvil)
    record = {
        "eventID": "6b54e0ad-c23c-4850-b896-7533a3558526",
        "eventTime": "2026-07-01T12:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "awsRegion": "ap-northeast-1",
        "recipientAccountId": "111122223333",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/example"},
        "requestParameters": {"bucketName": "replays"},
    }
    first = [record, {**record, "eventID": "other"}, {**record, "eventName": "PutObject"}]
    second = [{**record, "eventName": "DeleteObject"}, record, {**record, "eventID": "third"}]
    with asking(made, *Scope) if way == "api" else nullcontext(()) as options:
        counted = []
        for number, records in enumerate((first, second)):
            file = tmp_path / f"{number}.json"
            file.write_text(json.dumps({"Records": records}))
            ran = made.run("import", "cloudtrail", "--log", ORIGIN, "--json", file, *options)
            assert ran.code == 0, ran.err
            counted.append(ran.json)
    assert [(c["read"], c["accepted"], c["duplicates"], c["set_aside"]) for c in counted] == [
        (3, 2, 0, 1),
        (3, 1, 0, 2),
    ]
    aside = [json.loads(line) for line in (tmp_path / "set-aside.ndjson").read_text().splitlines()]
    assert [item["where"].rpartition("/")[2] for item in aside] == ["0.json:3", "1.json:1", "1.json:2"]
    assert "another record of this id" in aside[0]["reason"]
    assert json.loads(aside[0]["raw"])["eventName"] == "PutObject"
