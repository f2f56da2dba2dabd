"""The commands of who pushes: signing, the outbox, and receipts judged."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.chains import free_port
from support.commands import ORIGIN, Folder, Ran, ndjson, run
from support.ledgers import PARTY, START, Bed, LedgerMaker, access, accesses, serving
from support.signing import register_key

from ledger.client import Outbox, Retries
from ledger.note import VerifierKey
from ledger.receipt import Receipt, sign_receipt
from ledger.records import Scope
from ledger.signer import KeySigner
from ledger.types import Digest, Origin, Position, format_time

from .test_cli import _no_settings_of_this_machine, fresh

__all__ = ["_no_settings_of_this_machine", "fresh"]


@dataclass(frozen=True)
class Served:
    """A log behind the API, with files of keys as their holders have them."""

    bed: Bed
    origin: Origin
    url: str
    api_key: str
    log_key: Path
    sign: Path
    party_key: Path

    def push(self, *words: str | Path, stdin: bytes = b"", url: str | None = None) -> Ran:
        remote = ("--url", url or self.url, "--api-key", self.api_key)
        return run("push", "--log", self.origin, *remote, *words, stdin=stdin)

    @property
    def signing(self) -> tuple[str | Path, ...]:
        return ("--key", self.log_key, "--sign", self.sign, "--party", PARTY)


@pytest.fixture(scope="module")
def bed(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with ledgers(tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.fixture(scope="module")
def url(bed: Bed) -> Iterator[str]:
    with serving(bed) as served:
        yield served


@pytest.fixture
def served(bed: Bed, url: str, tmp_path: Path) -> Served:
    origin = bed.create_log(require_signature=True)
    sign = tmp_path / "acme.pem"
    made = run("party", "key", "create", PARTY, "-o", sign)
    assert made.code == 0, made.err
    register_key(bed, KeySigner.from_pem(sign.read_bytes(), PARTY))
    (tmp_path / "acme.party.vkey").write_text(made.out)
    (tmp_path / "log.vkey").write_text(bed.log(origin).verifier_key)
    key = bed.api_key(origin, Scope.PUSH, Scope.READ)
    return Served(bed, origin, url, key, tmp_path / "log.vkey", sign, tmp_path / "acme.party.vkey")


@pytest.fixture(autouse=True)
def _one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.client.clients.Retries", lambda: Retries(tries=1))


# --- keys -------------------------------------------------------------------------------------------------------


def test_a_party_makes_its_key_itself_and_once(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "acme.pem"
    made = run("party", "key", "create", "acme", "-o", file)
    key = VerifierKey.parse(made.out)
    assert key.name == "acme"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = run("party", "key", "create", "acme", "-o", file)
    assert (again.code, again.out) == (0, made.out)
    assert file.read_text().splitlines()[1] not in made.out + made.err
    file.write_text("something else")
    run("party", "key", "create", "acme", "-o", file).assert_refused(2, "broken")
    run("party", "key", "create", "Ms Wang", "-o", tmp_path / "x").assert_refused(2)


# --- signing ----------------------------------------------------------------------------------------------------


def test_a_signed_push_is_proven_as_signed(served: Served, tmp_path: Path) -> None:
    assert served.push(*served.signing, "--json", stdin=ndjson(accesses(range(3)))).json == {
        "accepted": 3,
        "duplicates": 0,
    }
    served.bed.settle(served.origin)
    proof = tmp_path / "proof.json"
    remote = ("--url", served.url, "--api-key", served.api_key)
    assert run("prove", "--log", served.origin, "1", *remote, "-o", proof).code == 0
    by_party = run("verify", proof, "--key", served.log_key, "--party-key", served.party_key)
    assert by_party.code == 0, by_party.err
    assert "signature: by acme" in by_party.out
    assert "held against the key given" in by_party.out
    without = run("verify", proof, "--key", served.log_key)
    assert "NOT held against a key" in without.out
    told = run("verify", proof, "--key", served.log_key, "--json").json["signature"]
    assert (told["party"], told["held"]) == ("acme", False)
    other = KeySigner.generate("acme").key
    run("verify", proof, "--key", served.log_key, "--party-key", str(other)).assert_refused(
        1, "REFUTED at step push"
    )


def test_an_unsigned_push_to_a_log_that_asks_for_signatures_says_what_to_do(served: Served) -> None:
    served.push(stdin=ndjson([access(1)])).assert_refused(2, "signed", "party key add")


def test_a_key_of_nobody_signs_nothing(served: Served, tmp_path: Path) -> None:
    words = ("--sign", served.sign)
    served.push(*words, stdin=ndjson([access(1)])).assert_refused(2, "--party")
    served.push(*words, "--party", "cdn-one", stdin=ndjson([access(1)])).assert_refused(2, "not registered")
    served.push("--sign", tmp_path / "no.pem", "--party", PARTY, stdin=b"").assert_refused(2, "no.pem")


def test_a_receipt_that_does_not_hold_is_1(served: Served) -> None:
    other = served.bed.create_log()
    stranger = VerifierKey(served.origin, served.bed.key(other).public_key)
    words = ("--key", str(stranger), "--sign", served.sign, "--party", PARTY)
    served.push(*words, stdin=ndjson([access(1)])).assert_refused(1, "signature")
    served.push("--key", str(served.bed.key(other)), stdin=b"").assert_refused(2, "another log")


def test_a_local_push_is_signed_too(fresh: Folder, tmp_path: Path) -> None:
    strict = "ledger.example/strict"
    sign, key = tmp_path / "acme.pem", tmp_path / "acme.party.vkey"
    key.write_text(run("party", "key", "create", "acme", "-o", sign).out)
    assert fresh.run("party", "key", "add", "acme", "--key", key).code == 0
    log_key = tmp_path / "strict.vkey"
    log_key.write_text(fresh.run("log", "create", strict, "--party", "acme", "--require-signed").out)
    assert [row["signed"] for row in fresh.run("log", "list", "--json").json] == [False, True]
    fresh.run("push", "--log", strict, stdin=ndjson([access(1)])).assert_refused(2, "signed")
    pushed = fresh.run("push", "--log", strict, "--sign", sign, stdin=ndjson(accesses(range(5))))
    assert "5 accepted" in pushed.out, pushed.err
    assert fresh.run("worker", "--once").code == 0
    package = tmp_path / "e.zip"
    year = ("--from", "2020-01-01", "--to", "2035-01-01")
    assert fresh.run("evidence", "build", "--log", strict, *year, "-o", package).code == 0
    verify = ("evidence", "verify", package, "--key", log_key)
    told = run(*verify, "--party-key", key, "--require-signed", "--json").json
    assert (told["signed_events"], told["signed_events_held"], told["first_event_not_held"]) == (5, 5, None)
    assert "5 events are signed by their party, 0 by a key that was given" in run(*verify).out
    other = str(KeySigner.generate("acme").key)
    assert "not all of that party's are signed" in run(*verify, "--party-key", other).out
    run(*verify, "--party-key", other, "--require-signed").assert_refused(1, "REFUTED at step pushes")
    run(*verify, "--require-signed").assert_refused(2, "--party-key")
    assert fresh.run("doctor", "--offline").code == 0


# --- the outbox -------------------------------------------------------------------------------------------------


def test_what_a_ledger_does_not_answer_waits_in_the_outbox(served: Served, tmp_path: Path) -> None:
    outbox, events = tmp_path / "outbox.db", tmp_path / "events.ndjson"
    events.write_bytes(ndjson(accesses(range(7))))
    words = (*served.signing, "--outbox", outbox)
    away = served.push(*words, events, url=f"http://127.0.0.1:{free_port()}")
    away.assert_refused(3, "7 event(s) wait", "no answer")
    assert run("outbox", "status", outbox, "--json").json == {
        "log": served.origin,
        "signed": True,
        "waiting": 7,
        "sent": 7,
        "set_aside": 0,
        "receipts": 0,
    }
    assert "waiting: 7" in run("outbox", "status", outbox).out
    flush = ("outbox", "flush", outbox, "--url", served.url, "--api-key", served.api_key, *served.signing)
    assert run(*flush, "--json").json == {"accepted": 7, "duplicates": 0, "set_aside": 0}
    assert run("outbox", "status", outbox, "--json").json["waiting"] == 0
    assert served.bed.store.head(served.origin).size == 7
    notes = run("outbox", "receipts", outbox).out
    assert notes.startswith("transfer-ledger/receipt/v1\n")
    more = served.push(*words, "--json", stdin=ndjson(accesses(range(7, 9))))
    assert more.json == {"accepted": 2, "duplicates": 0}


def test_poison_is_told_and_can_be_corrected(served: Served, tmp_path: Path) -> None:
    outbox = tmp_path / "outbox.db"
    bad = access(1, data={"outcome": "allowed"})
    words = (*served.signing, "--outbox", outbox)
    ran = served.push(*words, "--json", stdin=ndjson([access(0), bad, access(2)]))
    assert (ran.code, ran.json) == (0, {"accepted": 2, "duplicates": 0})
    assert "1 event(s) are set aside" in ran.err
    [line] = run("outbox", "set-aside", outbox).out.splitlines()
    told = json.loads(line)
    assert told["event"] == bad
    assert "data.principal: missing" in told["problem"]
    assert "1 event(s) wait again" in run("outbox", "set-aside", outbox, "--again").out
    flush = ("outbox", "flush", outbox, "--url", served.url, "--api-key", served.api_key, *served.signing)
    assert run(*flush, "--json").json == {"accepted": 0, "duplicates": 0, "set_aside": 1}
    assert served.push(*words, stdin=ndjson([access(1)])).code == 0
    assert run("outbox", "status", outbox, "--json").json["set_aside"] == 0, "the correction took its place"
    served.push(*words, stdin=ndjson([access(5, data={})]))
    assert "1 event(s) deleted" in run("outbox", "set-aside", outbox, "--drop").out
    run("outbox", "set-aside", outbox, "--drop", "--again").assert_refused(2)


def test_a_flush_that_is_refused_says_so_and_keeps_everything(served: Served, tmp_path: Path) -> None:
    outbox = tmp_path / "outbox.db"
    with Outbox(outbox, served.origin, signed=True) as made:
        made.put(accesses(range(3)))
    flush = ("outbox", "flush", outbox, "--url", served.url)
    run(*flush, "--api-key", "wrong", *served.signing).assert_refused(2, "3 event(s) wait")
    run(*flush, *served.signing).assert_refused(2, "API key")
    run(*flush, "--api-key", served.api_key).assert_refused(2, "no key to hold receipts")
    run(*flush, "--api-key", served.api_key, "--key", served.log_key).assert_refused(2, "no key to sign")
    run("outbox", "flush", outbox).assert_refused(2, "--url")
    run("outbox", "status", tmp_path / "nothing.db").assert_refused(2, "no outbox")
    assert run("outbox", "status", outbox, "--json").json["waiting"] == 3


def test_an_outbox_needs_a_server_and_a_key(served: Served, tmp_path: Path, fresh: Folder) -> None:
    outbox = tmp_path / "outbox.db"
    served.push("--outbox", outbox, stdin=b"").assert_refused(2, "--key")
    fresh.run("push", "--log", ORIGIN, "--outbox", outbox, stdin=b"").assert_refused(2, "--url")
    assert not outbox.exists()


RECORD = {
    "eventVersion": "1.08",
    "eventID": "6b54e0ad-c23c-4850-b896-7533a3558526",
    "eventTime": "2026-07-01T12:00:00Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "GetObject",
    "awsRegion": "ap-northeast-1",
    "sourceIPAddress": "192.0.2.7",
    "recipientAccountId": "111122223333",
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/example"},
    "requestParameters": {"bucketName": "replays"},
    "readOnly": True,
}


def test_an_import_takes_the_same_from_the_environment(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, outbox = tmp_path / "AWSLogs", tmp_path / "outbox.db"
    logs.mkdir()
    (logs / "one.json").write_text(json.dumps({"Records": [RECORD]}))
    for name, value in (
        ("LOG_KEY", served.log_key),
        ("SIGN", served.sign),
        ("PARTY", PARTY),
        ("OUTBOX", outbox),
        ("API_KEY", served.api_key),
    ):
        monkeypatch.setenv(f"TRANSFER_LEDGER_{name}", str(value))
    ran = run("import", "cloudtrail", "--log", served.origin, "--url", served.url, logs, "--json")
    assert ran.json["accepted"] == 1, ran.err
    assert served.bed.store.signature(served.origin, Position(0)) is not None
    assert run("outbox", "status", outbox, "--json").json["receipts"] == 1


# --- receipts ---------------------------------------------------------------------------------------------------


@pytest.fixture
def receipts(served: Served, tmp_path: Path) -> Path:
    """Of two pushes that are in batches and one that waits."""
    file = tmp_path / "receipts.txt"
    for numbers in (range(3), range(3, 6)):
        served.push(*served.signing, "--receipts", file, stdin=ndjson(accesses(numbers)))
    served.bed.settle(served.origin)
    served.push(*served.signing, "--receipts", file, stdin=ndjson(accesses(range(6, 8))))
    return file


def at(after: int) -> str:
    return format_time(START + after)


def test_receipts_are_judged_by_the_api(served: Served, receipts: Path) -> None:
    judge = ("verify", receipts, "--key", served.log_key, "--url", served.url, "--api-key", served.api_key)
    ran = run(*judge, "--at", at(0))
    assert ran.code == 0, ran.err
    assert [line.split(":")[0] for line in ran.out.splitlines()] == [
        "KEPT",
        "KEPT",
        "PENDING",
        f"3 receipt(s) of {served.origin}",
    ]
    late = run(*judge, "--at", at(10**9), "--json")
    assert late.code == 1
    told = late.json
    assert (told["log"], told["kept"], told["pending"], told["broken"]) == (served.origin, 2, 0, 1)
    assert [(r["verdict"], r["first"], r["count"]) for r in told["receipts"]] == [
        ("kept", 0, 3),
        ("kept", 3, 3),
        ("broken", 6, 2),
    ]
    assert told["receipts"][0]["batches"] == [0]


def test_receipts_are_judged_by_a_package(served: Served, receipts: Path, tmp_path: Path) -> None:
    package = tmp_path / "e.zip"
    reader = served.bed.api_key(served.origin, Scope.DISCLOSE)
    built = run(
        *("evidence", "build", "--log", served.origin, "--from", "2020-01-01", "--to", "2035-01-01"),
        *("--url", served.url, "--api-key", reader, "-o", package),
    )
    assert built.code == 0, built.err
    judge = ("verify", receipts, "--key", served.log_key, "--package", package)
    assert run(*judge, "--at", at(0)).code == 0
    undecided = run(*judge, "--at", at(10**9))
    assert undecided.code == 3
    assert "UNDECIDED" in undecided.out
    assert "1 undecided" in undecided.out
    package.write_bytes(package.read_bytes()[:-30])
    run(*judge).assert_refused(2)


def test_receipts_alone_are_pending_or_undecided(served: Served, receipts: Path) -> None:
    judge = ("verify", receipts, "--key", served.log_key)
    assert run(*judge, "--at", at(0)).code == 0
    ran = run(*judge, "--at", at(10**9))
    assert ran.code == 3
    assert "--package" in ran.err


def test_a_forged_or_altered_receipt_is_1(served: Served, receipts: Path) -> None:
    receipts.write_text(receipts.read_text().replace("count 3", "count 4", 1))
    ran = run("verify", receipts, "--key", served.log_key, "--at", at(0))
    assert ran.code == 1
    assert "REFUTED at step signature" in ran.out
    assert run("verify", receipts, "--key", served.log_key, "--at", at(0), "--json").json["refuted"] == 1


def test_a_broken_promise_is_1(served: Served, receipts: Path) -> None:
    """What a hostile ledger has signed: its receipt is for something else than its batches hold."""
    signer = served.bed.ledger.keyring.signer(served.origin)
    lie = Receipt(served.origin, Position(0), 3, Digest.of(b"what was pushed"), START, START + 1000)
    receipts.write_text(receipts.read_text() + sign_receipt(lie, signer.key, signer.sign) + "\n")
    ran = run(
        *("verify", receipts, "--key", served.log_key, "--at", at(0)),
        *("--url", served.url, "--api-key", served.api_key),
    )
    assert ran.code == 1
    assert "BROKEN: positions 0 to 2" in ran.out
    assert "other entries" in ran.out


def test_receipts_need_a_key_and_a_form(served: Served, receipts: Path, tmp_path: Path) -> None:
    run("verify", receipts).assert_refused(2, "--key")
    receipts.write_text(receipts.read_text() + "more\n")
    told = run("verify", receipts, "--key", served.log_key, "--json")
    assert (told.code, told.json["step"]) == (2, "form")
    receipts.write_bytes(b"transfer-ledger/receipt/v1\n\xff")
    run("verify", receipts, "--key", served.log_key).assert_refused(2)
    proof = tmp_path / "proof.json"
    proof.write_text("{}")
    run("verify", proof, "--key", served.log_key, "--at", at(0)).assert_refused(2, "for receipts")


def test_a_ledger_that_is_away_decides_nothing(served: Served, receipts: Path) -> None:
    away = ("--url", f"http://127.0.0.1:{free_port()}", "--api-key", served.api_key)
    run("verify", receipts, "--key", served.log_key, *away).assert_refused(3, "no answer")
