"""`kill -9` of a client at any time: what was put into the outbox arrives, once, in its order."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.ledgers import PARTY, Bed, LedgerMaker, serving
from support.signing import register_key

from ledger.client import Client, Outbox
from ledger.entry import parse_entry
from ledger.merkle import tree_root
from ledger.receipt import open_receipt
from ledger.records import Scope
from ledger.signer import KeySigner
from ledger.types import Origin, Position

ROUNDS = 15

FEEDER = """
import sys
from pathlib import Path
from ledger.client import Client, KeySigner, Outbox, Retries, outbox
from ledger.errors import Unavailable
from ledger.note import VerifierKey

path, url, api_key, key, pem, first = sys.argv[1:]
key, number = VerifierKey.parse(key), int(first)
signer = KeySigner.from_pem(Path(pem).read_bytes(), "acme") if pem != "-" else None
outbox.BATCH_EVENTS = 7


def event(n):
    data = {"principal": f"user/{n}", "action": "s3:GetObject", "outcome": "allowed"}
    return {
        "specversion": "1.0", "id": f"access-{n:06}", "source": "/s3", "type": "transfer-ledger.access.v1",
        "subject": "live-1", "time": "2026-07-01T12:00:00Z", "phase": "storage", "data": data,
    }


retries = Retries(tries=2, first=0.01)
with Outbox(Path(path), key.name, signed=signer is not None) as queue:
    with Client(url, api_key, key.name, key=key, signer=signer, retries=retries) as client:
        while True:
            for _ in range(5):
                queue.put([event(number)])
                print(number, flush=True)
                number += 1
            try:
                client.flush(queue)
            except Unavailable:
                pass
"""


@contextmanager
def feeding(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that puts events in, says which are in, and delivers; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", FEEDER, *arguments],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_after(process: subprocess.Popen[str], seconds: float) -> list[int]:
    """The numbers of events of which it was said, before it was killed, that they are in."""
    told: list[int] = []
    assert process.stdout is not None
    lines = process.stdout
    first = lines.readline()
    reader = threading.Thread(target=lambda: told.extend(int(line) for line in lines if line.endswith("\n")))
    reader.start()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reader.join()
    return [int(first), *told]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_a_client_that_is_killed_again_and_again_loses_nothing(
    ledgers: LedgerMaker, tmp_path: Path, signed: bool
) -> None:
    chance = random.Random(20261124)
    with ledgers(tmp_path / "ledger") as bed, serving(bed) as url:
        origin = bed.create_log(require_signature=signed)
        signer = KeySigner.generate(PARTY)
        register_key(bed, signer)
        pem = tmp_path / "acme.pem"
        pem.write_bytes(signer.pem)
        outbox, key = tmp_path / "outbox.db", bed.log(origin).verifier_key
        api_key = bed.api_key(origin, Scope.PUSH)
        put: list[int] = []
        following = 0
        for _ in range(ROUNDS):
            words = [str(outbox), url, api_key, key, str(pem) if signed else "-", str(following)]
            with feeding(*words) as process:
                put += killed_after(process, chance.uniform(0.0, 0.4))
            following = put[-1] + 1
        assert len(put) == len(set(put)) > ROUNDS
        with (
            Outbox(outbox) as queue,
            Client(url, api_key, origin, key=bed.key(origin), signer=signer) as client,
        ):
            client.flush(queue)
            assert queue.aside() == []
            receipts = queue.receipts()
        assert_all_there(bed, origin, put, receipts)


def assert_all_there(bed: Bed, origin: Origin, put: list[int], receipts: list[str]) -> None:
    """Every event that was put in, and at most the one whose answer was lost with each kill; each once, in order."""
    size = bed.store.head(origin).size
    events = list(bed.store.scan(origin, Position(0), size))
    ids = [parse_entry(event.entry).attributes["id"] for event in events]
    assert len(set(ids)) == len(ids), "none twice"
    assert set(ids) >= {f"access-{n:06}" for n in put}, "none lost"
    assert len(ids) <= len(put) + ROUNDS
    assert ids == sorted(ids), "in their order"
    covered = sorted((open_receipt(note, bed.key(origin)) for note in receipts), key=lambda r: r.first)
    assert [r.first for r in covered] == [sum(r.count for r in covered[:n]) for n in range(len(covered))]
    assert sum(r.count for r in covered) == size, "a receipt is kept for each event"
    for receipt in covered:
        leaves = [event.leaf for event in events[receipt.first : receipt.first + receipt.count]]
        assert tree_root(leaves) == receipt.root
