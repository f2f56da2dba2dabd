"""The commands as their users run them: exit codes, named steps, and never a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from support.chains import DevelopmentChain, free_port
from support.commands import ORIGIN, Folder, initialised, ndjson, run
from support.ledgers import Bed, accesses, serving

from ledger.cli import app, feed
from ledger.client import Retries
from ledger.note import VerifierKey
from ledger.proof import parse_proof
from ledger.records import Scope
from ledger.types import parse_origin

EVENTS = 30
YEAR = ("--from", "2020-01-01", "--to", "2035-01-01")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TRANSFER_LEDGER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def folder(anvil: DevelopmentChain, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """With events that are sealed and anchored. Only read it."""
    made = initialised(tmp_path_factory.mktemp("cli") / "data", anvil)
    assert made.run("push", "--log", ORIGIN, stdin=ndjson(accesses(range(EVENTS)))).code == 0
    assert made.run("worker", "--once").code == 0
    return made


@pytest.fixture
def fresh(anvil: DevelopmentChain, tmp_path: Path) -> Folder:
    return initialised(tmp_path / "data", anvil)


@pytest.fixture
def proof(folder: Folder, tmp_path: Path) -> Path:
    file = tmp_path / "proof.json"
    assert folder.run("prove", "--log", ORIGIN, "7", "-o", file).code == 0
    return file


# --- help -----------------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, ...]]:
    def walk(group: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*path, name))
            else:
                yield (*path, name)

    yield from walk(typer.main.get_command(app), ())


@pytest.mark.parametrize("command", [pytest.param(c, id=" ".join(c)) for c in commands()])
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    ran = run(*command, "--help")
    assert ran.code == 0
    assert "Usage" in ran.out
    takes_much = command[-1] not in ("list", "revoke")
    assert "Example" in ran.out or not takes_much, "and shows an example"


def test_nothing_asked_is_help_and_nonsense_is_2() -> None:
    assert "Usage" in run().out + run().err
    assert run("nonsense").code == 2
    assert run("prove").code == 2
    assert run("--version").code == 0


# --- setting up -----------------------------------------------------------------------------------------


def test_setting_up_twice_changes_nothing(fresh: Folder) -> None:
    config = (fresh.path / "ledger.toml").read_text()
    again = fresh.run("init")
    assert again.code == 0, again.err
    assert fresh.contract in again.out
    assert (fresh.path / "ledger.toml").read_text() == config
    assert fresh.run("log", "create", ORIGIN, "--party", "acme").out == fresh.key.read_text()


def test_what_is_private_is_for_its_owner_only(folder: Folder) -> None:
    for file in [
        folder.path,
        folder.path / "ledger.toml",
        folder.path / "ledger.db",
        *folder.path.glob("keys/**/*"),
    ]:
        assert file.stat().st_mode & 0o077 == 0, file


def test_lists_are_tables_or_json(folder: Folder) -> None:
    for what, member, value in (("party", "id", "acme"), ("log", "origin", ORIGIN)):
        assert value in folder.run(what, "list").out
        assert [row[member] for row in folder.run(what, "list", "--json").json] == [value]


def test_api_keys_are_made_listed_and_revoked(fresh: Folder) -> None:
    made = fresh.run(
        "key", "create", "--log", ORIGIN, "--party", "acme", "--scope", "push", "--scope", "read"
    )
    key = made.out.strip()
    [row] = fresh.run("key", "list", "--json").json
    assert (row["id"], row["scopes"], row["revoked"]) == (key[3:15], "push,read", "")
    assert key[16:] not in fresh.run("key", "list").out
    assert fresh.run("key", "revoke", row["id"]).code == 0
    assert fresh.run("key", "list", "--json").json[0]["revoked"] != ""
    fresh.run("key", "revoke", "0" * 12).assert_refused(2)
    fresh.run("key", "create", "--log", "a.example/x", "--party", "acme", "--scope", "push").assert_refused(2)
    fresh.run("key", "create", "--log", ORIGIN, "--party", "nobody", "--scope", "push").assert_refused(2)


BAD_PARTIES = [
    ("acme", "--name", "Other", "--role", "platform", "--country", "CN"),
    ("Zhang Wei", "--name", "x", "--role", "platform", "--country", "CN"),
    ("x", "--name", "x", "--role", "king", "--country", "CN"),
    ("x", "--name", "x", "--role", "cdn", "--country", "XX"),
]


@pytest.mark.parametrize("words", BAD_PARTIES, ids=["differs", "id", "role", "country"])
def test_a_party_that_cannot_be_is_refused(folder: Folder, words: tuple[str, ...]) -> None:
    folder.run("party", "add", *words).assert_refused(2)


@pytest.mark.parametrize(
    "origin", ["https://x.example/log", "no-dot", "a.example/ö", "", "a.example/" + "x" * 300]
)
def test_a_log_that_cannot_be_named_is_refused(folder: Folder, origin: str) -> None:
    folder.run("log", "create", origin, "--party", "acme").assert_refused(2)


NEEDS_FOLDER: list[tuple[str, ...]] = [
    ("status",),
    ("doctor",),
    ("doctor", "--offline"),
    ("worker", "--once"),
    ("serve", "--port", "0"),
    ("rebuild",),
    ("party", "list"),
    ("log", "create", ORIGIN, "--party", "acme"),
    ("push", "--log", ORIGIN),
    ("prove", "--log", ORIGIN, "0"),
    ("evidence", "build", "--log", ORIGIN, *YEAR, "-o", "e.zip"),
]


@pytest.mark.parametrize("words", NEEDS_FOLDER, ids=" ".join)
def test_a_folder_that_is_not_initialised_is_named_with_what_to_do(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        run("--data", folder, *words).assert_refused(2, "not initialised", "init")
    assert list(tmp_path.iterdir()) == [], "and nothing is left behind"


def test_a_file_as_a_data_folder_is_refused(tmp_path: Path, anvil: DevelopmentChain) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    run("--data", file, "status").assert_refused(2)
    run("--data", file, "init", "--rpc", anvil.url).assert_refused(2)


@pytest.mark.parametrize(
    "config", ["contract = 7", "not toml at all [", "unknown = 1", 'contract = "0x12"', b"\xff\xfe"], ids=repr
)
def test_settings_that_are_broken_are_named(tmp_path: Path, config: str | bytes) -> None:
    (tmp_path / "ledger.toml").write_bytes(config if isinstance(config, bytes) else config.encode())
    run("--data", tmp_path, "worker", "--once").assert_refused(2)


def test_a_key_file_that_is_broken_or_gone_is_named(fresh: Folder) -> None:
    file = fresh.path / "keys" / "operator.key"
    whole = file.read_text()
    for content in ("", "0x", "0x" + "0" * 64, whole[:-4]):
        file.write_text(content)
        fresh.run("worker", "--once").assert_refused(2, "operator.key")
    file.unlink()
    ran = fresh.run("worker", "--once")
    ran.assert_refused(2, "operator.key")
    assert whole.strip()[2:] not in ran.err


# --- pushing --------------------------------------------------------------------------------------------


def test_events_are_pushed_from_a_file_or_standard_input(fresh: Folder, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(ndjson(accesses(range(5))))
    assert "5 accepted" in fresh.run("push", "--log", ORIGIN, file).out
    ran = fresh.run("push", "--log", ORIGIN, "--json", stdin=ndjson(accesses(range(3, 8))))
    assert ran.json == {"accepted": 3, "duplicates": 2}
    assert not file.with_name("events.ndjson.push-mark").exists()
    assert fresh.run("push", "--log", ORIGIN, "--json", stdin=b"").json == {"accepted": 0, "duplicates": 0}


def test_receipts_are_kept_on_request(fresh: Folder, tmp_path: Path) -> None:
    receipts = tmp_path / "receipts"
    fresh.run("push", "--log", ORIGIN, "--receipts", receipts, stdin=ndjson(accesses(range(3))))
    assert receipts.read_text().startswith("transfer-ledger/receipt/v1\n")


def test_refused_events_are_told_with_their_lines_and_places(fresh: Folder) -> None:
    values = [*accesses(range(3)), {**accesses([9])[0], "phase": "later"}]
    ran = fresh.run("push", "--log", ORIGIN, stdin=ndjson(values))
    ran.assert_refused(2, "lines 1 to 4", "[3].phase")
    assert fresh.run("status", "--json").json[0]["events"] == 0


@pytest.mark.parametrize("line", [b"{", b"\xff\xff", b'{"a":1,"a":2}', b"[" * 5000, b"NaN", b"[]"], ids=repr)
def test_lines_that_are_no_events_are_refused(fresh: Folder, line: bytes) -> None:
    fresh.run("push", "--log", ORIGIN, stdin=ndjson(accesses([1])) + line + b"\n").assert_refused(
        2, "lines 1 to 2"
    )


def test_a_conflict_is_told(fresh: Folder) -> None:
    fresh.run("push", "--log", ORIGIN, stdin=ndjson(accesses([1])))
    other = {**accesses([1])[0], "subject": "other"}
    fresh.run("push", "--log", ORIGIN, stdin=ndjson([other])).assert_refused(2, "other content", "new id")
    assert fresh.run("status", "--json").json[0]["conflicts"] == 1


def test_a_push_to_what_is_not_there_is_refused(folder: Folder, tmp_path: Path) -> None:
    folder.run("push", "--log", ORIGIN, tmp_path / "nothing.ndjson").assert_refused(2, "nothing.ndjson")
    folder.run("push", "--log", ORIGIN, tmp_path).assert_refused(2)
    folder.run("push", "--log", "ledger.example/nobody", stdin=b"").assert_refused(2)
    folder.run("push", "--log", ORIGIN, "--url", "http://127.0.0.1:1", stdin=b"").assert_refused(2, "API key")


def test_an_interrupted_push_goes_on_where_it_was(
    fresh: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CHUNK_EVENTS", 4)
    file = tmp_path / "events.ndjson"
    file.write_bytes(ndjson(accesses(range(14))))
    pushed: list[int] = []
    push_lines = feed.LocalTarget.push_lines

    def interrupted(self: feed.LocalTarget, lines: bytes) -> Any:
        pushed.append(lines.count(b"\n"))
        if len(pushed) == 3:
            raise KeyboardInterrupt
        return push_lines(self, lines)

    monkeypatch.setattr(feed.LocalTarget, "push_lines", interrupted)
    assert fresh.run("push", "--log", ORIGIN, file).code == 130
    ran = fresh.run("push", "--log", ORIGIN, file, "--json")
    assert ran.json == {"accepted": 6, "duplicates": 0}
    assert "going on at byte" in ran.err
    assert pushed == [4, 4, 4, 4, 2]
    assert fresh.run("push", "--log", ORIGIN, file, "--json").json == {"accepted": 0, "duplicates": 14}


def test_a_mark_of_another_file_is_ignored(
    fresh: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(ndjson(accesses(range(6))))
    mark = file.with_name("events.ndjson.push-mark")
    for content in ("", "{}", "[]", "7", '{"target": 1, "offset": "x"}', f'{{"target": " {ORIGIN}", "offset": 400}}',
                    f'{{"target": " {ORIGIN}", "offset": -5, "tail": ""}}', '{"offset": 1e400}'):  # fmt: skip
        mark.write_text(content)
        assert sum(fresh.run("push", "--log", ORIGIN, file, "--json").json.values()) == 6, content


def test_events_are_pushed_to_a_server(bed: Bed, tmp_path: Path) -> None:
    origin = bed.create_log()
    key = bed.api_key(origin, Scope.PUSH, Scope.READ, Scope.DISCLOSE)
    with serving(bed) as url:
        remote = ("--url", url, "--api-key", key)
        ran = run("push", "--log", origin, *remote, "--json", stdin=ndjson(accesses(range(6))))
        assert ran.json == {"accepted": 6, "duplicates": 0}
        run("push", "--log", origin, *remote, stdin=b'{"id":1}\n').assert_refused(2, "lines 1 to 1", "[0].id")
        run("push", "--log", origin, "--url", url, "--api-key", "wrong", stdin=b"{}\n").assert_refused(2)
        bed.settle(origin)
        assert run("prove", "--log", origin, *remote, "3", "-o", tmp_path / "p.json").code == 0
        assert run("evidence", "build", "--log", origin, *remote, *YEAR, "-o", tmp_path / "e.zip").code == 0
    vkey = bed.log(origin).verifier_key
    assert run("verify", tmp_path / "p.json", "--key", vkey).code == 0
    assert run("evidence", "verify", tmp_path / "e.zip", "--key", vkey).code == 0


@pytest.fixture
def _one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.client.clients.Retries", lambda: Retries(tries=1))


@pytest.mark.usefixtures("_one_try")
def test_a_server_that_is_away_is_3() -> None:
    away = ("--url", f"http://127.0.0.1:{free_port()}", "--api-key", "x")
    run("push", "--log", ORIGIN, *away, stdin=b"{}\n").assert_refused(3, "no answer")
    run("prove", "--log", ORIGIN, *away, "0").assert_refused(3)
    run("evidence", "build", "--log", ORIGIN, *away, *YEAR, "-o", "e.zip").assert_refused(3)
    assert not Path("e.zip").exists()


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://[", "http://x:99999"])
@pytest.mark.usefixtures("_one_try")
def test_a_url_that_is_none_is_refused(url: str) -> None:
    ran = run("push", "--log", ORIGIN, "--url", url, "--api-key", "x", stdin=b"{}\n")
    assert ran.code in (2, 3)
    assert "Traceback" not in ran.err


def test_a_scenario_can_be_pushed_as_it_is(fresh: Folder) -> None:
    made = run("scenario", "--events", "40")
    assert made.out.count("\n") == 40
    assert fresh.run("push", "--log", ORIGIN, "--json", stdin=made.out.encode()).json["accepted"] == 40
    run("scenario", "--events", "0").assert_refused(2)
    run("scenario", "--since", "yesterday").assert_refused(2)


# --- proving and verifying ------------------------------------------------------------------------------


def test_a_proof_is_verified_by_key_by_chain_and_by_both(folder: Folder, proof: Path) -> None:
    by_key = run("verify", proof, "--key", folder.key)
    assert (by_key.code, "VERIFIED by key:" in by_key.out) == (0, True), by_key.err
    by_chain = run("verify", proof, "--log", ORIGIN, *folder.chain)
    assert "VERIFIED by chain:" in by_chain.out
    both = run("verify", proof, "--key", folder.key.read_text().strip(), *folder.chain, "--json").json
    assert (both["verified"], both["by"], both["position"]) == (True, ["key", "chain"], 7)
    assert both["event"]["id"] == "access-000007"
    assert both["withheld_members"] == 0


def test_a_proof_shows_what_was_asked_for(folder: Folder, tmp_path: Path) -> None:
    for show, names in (("principal,action", {"principal", "action"}), ("", set())):
        ran = folder.run("prove", "--log", ORIGIN, "3", "--show", show)
        assert {d.name for d in parse_proof(ran.out.encode().strip()).disclosures} == names
    folder.run("prove", "--log", ORIGIN, "3", "--show", "nothing").assert_refused(2)


def test_what_cannot_be_proved_is_refused(folder: Folder, fresh: Folder) -> None:
    folder.run("prove", "--log", ORIGIN, str(EVENTS)).assert_refused(2, "no such event")
    folder.run("prove", "--log", "ledger.example/nobody", "0").assert_refused(2)
    assert folder.run("prove", "--log", ORIGIN, "-1").code == 2
    fresh.run("push", "--log", ORIGIN, stdin=ndjson(accesses([1])))
    fresh.run("prove", "--log", ORIGIN, "0").assert_refused(2, "no batch yet")


def test_nothing_is_verified_without_a_trust_root(folder: Folder, proof: Path) -> None:
    run("verify", proof).assert_refused(2, "nothing to trust")
    run("verify", proof, "--log", ORIGIN).assert_refused(2, "nothing to trust")
    run("verify", proof, *folder.chain).assert_refused(2, "nothing to trust")
    run("verify", proof, "--key", folder.key, "--rpc", folder.node.url).assert_refused(2, "half a chain")
    run("verify", proof, "--key", folder.key, "--log", "a.example/b").assert_refused(2, "another log's")
    assert run("evidence", "verify", proof).code == 2


@pytest.mark.parametrize("key", ["nothing.vkey", "a+b", "a+b+c", "", "x+00000000+AAAA"])
def test_a_key_that_is_none_is_refused(proof: Path, key: str) -> None:
    run("verify", proof, "--key", key).assert_refused(2)
    run("evidence", "verify", proof, "--key", key).assert_refused(2)


def test_another_key_refutes(folder: Folder, proof: Path) -> None:
    other = VerifierKey(parse_origin(ORIGIN), b"\x01" * 32)
    run("verify", proof, "--key", str(other)).assert_refused(1, "REFUTED at step signature")


TAMPERED = {
    "batch": ('"v\\":1', '"v\\":1 '),
    "header": ('"log":{"index":0', '"log":{"index":1'),
    "signature": (f'"checkpoint":"{ORIGIN}\\n1\\n', f'"checkpoint":"{ORIGIN}\\n2\\n'),
    "disclosures": ('"disclosures":["', '"disclosures":["WyJBQUFBQUFBQUFBQUFBQUFBQUFBQUFBIiwieCIsMV0","'),
}


@pytest.mark.parametrize("step", TAMPERED)
def test_a_tampered_proof_is_1_with_its_step(folder: Folder, proof: Path, step: str) -> None:
    text = proof.read_text()
    changed = text.replace(*TAMPERED[step], 1)
    assert changed != text
    proof.write_text(changed)
    run("verify", proof, "--key", folder.key).assert_refused(1, f"REFUTED at step {step}")
    told = run("verify", proof, "--key", folder.key, "--json")
    assert (told.code, told.json["verified"], told.json["step"]) == (1, False, step)


def test_a_proof_of_another_block_is_refuted_by_the_chain(folder: Folder, proof: Path) -> None:
    document = json.loads(proof.read_text())
    document["anchor"]["block_number"] += 1
    proof.write_text(json.dumps(document))
    assert run("verify", proof, "--key", folder.key).code == 0
    run("verify", proof, "--key", folder.key, *folder.chain).assert_refused(1, "REFUTED at step chain")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 5000, b"null"], ids=lambda b: repr(b[:9]))
def test_what_is_no_proof_is_2(folder: Folder, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    run("verify", file, "--key", folder.key).assert_refused(2)
    told = run("verify", file, "--key", folder.key, "--json")
    assert (told.code, told.json["verified"], told.json["step"]) == (2, False, "form")
    run("evidence", "verify", file, "--key", folder.key).assert_refused(2)


def test_a_file_that_is_not_there_is_named(folder: Folder) -> None:
    run("verify", "nothing.json", "--key", folder.key).assert_refused(2, "nothing.json")
    run("evidence", "verify", "nothing.zip", "--key", folder.key).assert_refused(2, "nothing.zip")
    run("verify", ".", "--key", folder.key).assert_refused(2)


def test_a_node_that_is_away_is_3_and_says_nothing_about_the_proof(folder: Folder, proof: Path) -> None:
    away = ("--rpc", f"http://127.0.0.1:{free_port()}", "--contract", folder.contract)
    ran = run("verify", proof, "--key", folder.key, *away)
    ran.assert_refused(3)
    assert "VERIFIED" not in ran.out
    assert "REFUTED" not in ran.out


def test_another_contract_or_chain_is_not_the_one_that_was_trusted(folder: Folder, proof: Path) -> None:
    here = ("verify", proof, "--key", folder.key, "--rpc", folder.node.url)
    run(*here, "--contract", "0x" + "1" * 40).assert_refused(3, "no contract")
    run(*here, "--contract", folder.contract, "--chain-id", "7").assert_refused(3, "another chain")
    run(*here, "--contract", "0x12").assert_refused(2)


def test_evidence_is_built_and_verified(folder: Folder, tmp_path: Path) -> None:
    file = tmp_path / "e.zip"
    assert folder.run("evidence", "build", "--log", ORIGIN, *YEAR, "-o", file).code == 0
    told = run("evidence", "verify", file, "--key", folder.key, *folder.chain, "--json").json
    assert (told["verified"], told["events_in_period"], told["withheld_members"]) == (True, EVENTS, 0)
    assert f"{EVENTS} events" in run("evidence", "verify", file, "--key", folder.key).out
    file.write_bytes(file.read_bytes()[:-100])
    run("evidence", "verify", file, "--key", folder.key).assert_refused(2)


def test_evidence_that_cannot_be_built_leaves_no_file(folder: Folder, fresh: Folder, tmp_path: Path) -> None:
    build = ("evidence", "build", "--log", ORIGIN)
    fresh.run(*build, *YEAR, "-o", tmp_path / "e.zip").assert_refused(2, "anchored yet")
    folder.run(*build, "--from", "2030-01-01", "--to", "2029-01-01", "-o", tmp_path / "e.zip").assert_refused(
        2
    )
    folder.run(*build, "--from", "x", "--to", "y", "-o", tmp_path / "e.zip").assert_refused(2)
    folder.run(*build, *YEAR, "-o", tmp_path / "no" / "e.zip").assert_refused(2, "cannot be written")
    assert not list(tmp_path.glob("e.zip*"))


# --- looking after --------------------------------------------------------------------------------------


def test_status_and_doctor_tell_where_the_log_stands(folder: Folder) -> None:
    [state] = folder.run("status", "--json").json
    assert (state["events"], state["waiting"], state["batches"], state["checkpoint"]) == (EVENTS, 0, 1, 1)
    assert f"events: {EVENTS}" in folder.run("status").out
    sound = folder.run("doctor", "--json")
    assert (sound.code, sound.json["sound"], sound.json["differences"]) == (0, True, [])
    assert folder.run("doctor", "--offline").code == 0
    assert folder.run("rebuild").code == 0


def test_a_ledger_that_is_not_sound_is_1_with_the_first_place(fresh: Folder) -> None:
    import sqlite3

    fresh.run("push", "--log", ORIGIN, stdin=ndjson(accesses(range(3))))
    with contextlib.closing(sqlite3.connect(fresh.path / "ledger.db")) as database:
        database.execute("UPDATE events SET received = received + 1 WHERE position = 1")
        database.commit()
    ran = fresh.run("doctor")
    assert ran.code == 1
    assert f"the first: entries: {ORIGIN} position 1" in ran.out
    assert fresh.run("doctor", "--json").json["sound"] is False
    (fresh.path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    ran = fresh.run("doctor")
    assert ran.code in (1, 3)
    assert "Traceback" not in ran.err


def test_a_ledger_whose_node_is_away_is_3(fresh: Folder) -> None:
    config = fresh.path / "ledger.toml"
    config.write_text(config.read_text().replace(fresh.node.url, f"http://127.0.0.1:{free_port()}"))
    fresh.run("doctor").assert_refused(3)
    fresh.run("worker", "--once").assert_refused(3)
    fresh.run("push", "--log", ORIGIN, stdin=ndjson(accesses([1]))).assert_refused(3)
    assert fresh.run("doctor", "--offline").code == 0
    assert fresh.run("status").code == 0


def test_the_reader_of_an_output_may_leave(folder: Folder) -> None:
    command = f"{sys.executable} -m ledger.cli scenario --events 3000 | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
