"""The managed Anvil: what it keeps, whoever dies; and who may share it."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ledger.adapters.anvil import ManagedAnvil, fund
from ledger.adapters.anvil_guard import NoAnswer, ask
from ledger.adapters.anvil_state import BrokenState, ChainFiles
from ledger.adapters.evm import EvmAnchorer, EvmChain, EvmRegistrar, address_of, deploy
from ledger.anchor import ContractRef
from ledger.batch import close_batch
from ledger.errors import ChainUnavailable, ToolMissing
from ledger.merkle import leaf_hash
from ledger.types import BatchNo, Position, log_id, parse_origin

ORIGIN = parse_origin("ledger.example/acme-live")
LOG = log_id(ORIGIN)
PROGRAM = """
import sys, time
from pathlib import Path
from ledger.adapters.anvil import ManagedAnvil
anvil = ManagedAnvil(Path(sys.argv[1]))
print(anvil.start(), flush=True)
sys.stdin.readline()
anvil.stop()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a chain; afterwards nothing may run there."""
    folder = tmp_path / "chain"
    yield folder
    if (folder / "chain.lock").exists():
        wait(lambda: not ManagedAnvil(folder)._is_held("chain.lock"), "the chain has ended")
        assert not (folder / "load.json").exists()


class Work:
    """A contract with a log on a chain, a few batches, and everything that the chain says about them."""

    def __init__(self, url: str) -> None:
        self.key = secrets.token_bytes(32)
        fund(url, address_of(self.key))
        self.contract: ContractRef = deploy(url, self.key).contract
        with self.chain(url) as chain:
            EvmRegistrar(chain, self.key).register_log(ORIGIN, address_of(self.key))
        self.batches = 0
        self.anchor(url, 3)

    @contextmanager
    def chain(self, url: str) -> Iterator[EvmChain]:
        chain = EvmChain(url, self.contract)
        yield chain
        chain.close()

    def anchor(self, url: str, count: int = 1) -> None:
        with self.chain(url) as chain:
            anchorer = EvmAnchorer(chain, self.key)
            for _ in range(count):
                number = self.batches
                header = close_batch(
                    LOG, BatchNo(number), Position(number), [leaf_hash(b"%d" % number)], number
                )
                transaction = anchorer.sign_anchor([header])
                assert anchorer.send(transaction)
                wait(lambda: chain.outcome(transaction.hash), "mined")  # noqa: B023
                self.batches += 1

    def seen(self, url: str) -> dict[str, Any]:
        """Blocks, transactions, receipts, events, nonce, money, code and what the contract answers."""
        head = int(ask(url, "eth_blockNumber"), 16)
        blocks = [ask(url, "eth_getBlockByNumber", hex(number), True) for number in range(head + 1)]
        sent = [transaction["hash"] for block in blocks for transaction in block["transactions"]]
        account = address_of(self.key)
        with self.chain(url) as chain:
            return {
                "blocks": blocks,
                "by hash": [ask(url, "eth_getBlockByHash", block["hash"], False)["number"] for block in blocks],
                "transactions": [ask(url, "eth_getTransactionByHash", one) for one in sent],
                "receipts": [ask(url, "eth_getTransactionReceipt", one) for one in sent],
                "events": ask(url, "eth_getLogs", {"fromBlock": "0x0", "address": self.contract.address}),
                "nonce": ask(url, "eth_getTransactionCount", account, "latest"),
                "money": ask(url, "eth_getBalance", account, "latest"),
                "code": ask(url, "eth_getCode", self.contract.address, "latest"),
                "size": chain.size_of(LOG),
                "root": chain.root_of(LOG),
                "anchors": [chain.find_anchor(LOG, BatchNo(number)) for number in range(self.batches)],
                "batches": [chain.batch_of(LOG, BatchNo(number)) for number in range(self.batches)],
            }  # fmt: skip


class Other:
    """Another process that uses the chain of a folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    @property
    def url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        self.process.communicate("\n", timeout=30)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


def wait(look: Callable[[], Any], for_what: str, seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, for_what
        time.sleep(0.02)
    return found


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "anvil.json").read_text())
    return found


def saved(folder: Path, url: str) -> bool:
    """Whether the newest block is on disk."""
    head = int(ask(url, "eth_blockNumber"), 16)
    try:
        text = gzip.decompress((folder / "state.json.gz").read_bytes())
    except FileNotFoundError:
        return False
    return bool(json.loads(text)["best_block_number"] == head)


def answers(url: str) -> bool:
    try:
        ask(url, "eth_chainId", seconds=2)
    except NoAnswer:
        return False
    return True


# --- What is kept


def test_everything_is_there_again_after_a_stop(folder: Path) -> None:
    with ManagedAnvil(folder) as url:
        work = Work(url)
        before = work.seen(url)
    assert not answers(url)
    for _ in range(3):
        with ManagedAnvil(folder) as url:
            assert work.seen(url) == before
    with ManagedAnvil(folder) as url:
        work.anchor(url, 2)
        after = work.seen(url)
        assert after["blocks"][: len(before["blocks"])] == before["blocks"]
        assert after["blocks"][-2]["parentHash"] == before["blocks"][-1]["hash"]


def test_a_start_is_quick(folder: Path) -> None:
    began = time.monotonic()
    with ManagedAnvil(folder):
        assert time.monotonic() - began < 2  # mostly a fifth of that


def test_blocks_have_the_real_time(folder: Path) -> None:
    for _ in range(2):
        with ManagedAnvil(folder) as url:
            for _ in range(20):
                ask(url, "evm_mine")
            newest = ask(url, "eth_getBlockByNumber", "latest", False)
            assert abs(int(newest["timestamp"], 16) - time.time()) < 3


def test_nobody_has_money_whose_key_is_known(folder: Path) -> None:
    known = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    with ManagedAnvil(folder) as url:
        assert ask(url, "eth_accounts") == []
        assert ask(url, "eth_getBalance", known, "latest") == "0x0"


def test_it_says_loudly_that_it_is_for_development(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ManagedAnvil(folder) as url:
        assert "DEVELOPMENT CHAIN" in caplog.text
        assert url in caplog.text


# --- Whoever dies


def test_all_is_kept_when_the_ledger_is_killed(folder: Path) -> None:
    ledger = Other(folder)
    work = Work(url := ledger.url)
    before = work.seen(url)
    anvil = record(folder)["anvil"]
    ledger.kill()
    wait(lambda: not alive(anvil), "the guard ends Anvil")
    with ManagedAnvil(folder) as url:
        assert work.seen(url) == before


def test_a_restart_may_follow_a_kill_at_once(folder: Path) -> None:
    ledger = Other(folder)
    work = Work(url := ledger.url)
    before = work.seen(url)
    ledger.kill()
    with ManagedAnvil(folder) as url:
        assert work.seen(url) == before


def test_anvil_is_started_again_at_the_same_address_when_it_is_killed(folder: Path) -> None:
    with ManagedAnvil(folder) as url:
        work = Work(url)
        before = work.seen(url)
        for _ in range(2):
            wait(lambda: saved(folder, url), "saved")
            os.kill(killed := record(folder)["anvil"], signal.SIGKILL)
            wait(lambda: record(folder)["anvil"] != killed and answers(url), "Anvil is back")
            assert work.seen(url) == before
        work.anchor(url)
        before = work.seen(url)
    with ManagedAnvil(folder) as again:
        assert work.seen(again) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_all_is_kept_when_the_guard_is_killed(folder: Path) -> None:
    anvil = ManagedAnvil(folder)
    work = Work(url := anvil.start())
    before = work.seen(url)
    os.kill(record(folder)["guard"], signal.SIGKILL)
    wait(lambda: not anvil._is_held("guard.lock"), "the guard is gone")
    with ManagedAnvil(folder) as again:
        anvil.stop()
        assert work.seen(again) == before


def test_what_was_saved_is_kept_when_all_are_killed(folder: Path) -> None:
    ledger = Other(folder)
    work = Work(url := ledger.url)
    before = work.seen(url)
    wait(lambda: saved(folder, url), "saved")
    pids = record(folder)
    for name in ("anvil", "guard"):  # in this order, lest the guard starts Anvil again
        os.kill(pids["guard"], signal.SIGSTOP)
        os.kill(pids[name], signal.SIGKILL)
    ledger.kill()
    with ManagedAnvil(folder) as url:
        assert work.seen(url) == before


def test_a_chain_of_which_nothing_was_saved_is_not_started_as_another(folder: Path) -> None:
    with ManagedAnvil(folder):
        pass
    for name in ("state.json.gz", "state.previous.json.gz"):
        (folder / name).write_bytes(b"\x1f\x8b broken")
    with pytest.raises(ChainUnavailable, match="can be read"):
        ManagedAnvil(folder).start()
    assert (folder / "state.json.gz").read_bytes() == b"\x1f\x8b broken"


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_broken_dump_is_put_aside_and_the_one_before_it_used(
    folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ManagedAnvil(folder) as url:
        work = Work(url)
        before = work.seen(url)
    with ManagedAnvil(folder) as url:
        pass
    state = folder / "state.json.gz"
    good = state.read_bytes()
    flipped = bytes([good[len(good) // 2] ^ 1])
    state.write_bytes(
        {
            "cut": good[:-100],
            "flipped": good[: len(good) // 2] + flipped + good[len(good) // 2 + 1 :],
            "emptied": b"",
        }[damage]
    )
    with ManagedAnvil(folder) as url:
        assert work.seen(url) == before
    assert "put aside" in caplog.text
    assert (folder / "state.json.broken").exists()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- Sharing


def test_two_processes_share_one_chain_until_the_last_has_stopped(folder: Path) -> None:
    first = Other(folder)
    url = first.url
    with ManagedAnvil(folder) as shared:
        assert shared == url
        work = Work(url)
        first.stop()
        work.anchor(url)
        before = work.seen(url)
        second = Other(folder)
        assert second.url == url
    assert work.seen(url) == before
    second.stop()
    assert not answers(url)


def test_many_that_start_at_once_get_the_same_chain(folder: Path) -> None:
    others = [Other(folder) for _ in range(6)]
    assert len({other.url for other in others}) == 1
    for other in others[::2]:
        other.kill()
    for other in others[1::2]:
        other.stop()


def test_starting_and_stopping_in_turns_loses_nothing(folder: Path) -> None:
    with ManagedAnvil(folder) as url:
        work = Work(url)
    for _ in range(10):
        with ManagedAnvil(folder) as url:
            work.anchor(url)
            before = work.seen(url)
    with ManagedAnvil(folder) as url:
        assert work.seen(url) == before


def test_a_stale_record_is_no_chain(folder: Path) -> None:
    with ManagedAnvil(folder):
        stale = record(folder)
    (folder / "anvil.json").write_text(json.dumps(stale))
    with ManagedAnvil(folder) as url:
        assert answers(url)


def test_another_chain_id_on_a_running_chain_is_refused(folder: Path) -> None:
    with ManagedAnvil(folder), pytest.raises(ChainUnavailable, match="expected 5, got 31337"):
        ManagedAnvil(folder, chain_id=5).start()


def test_the_chain_id_can_be_chosen(folder: Path) -> None:
    with ManagedAnvil(folder, chain_id=424_242) as url:
        assert ask(url, "eth_chainId") == hex(424_242)


def test_starting_twice_is_a_programming_error_and_stopping_twice_is_nothing(folder: Path) -> None:
    anvil = ManagedAnvil(folder)
    anvil.start()
    with pytest.raises(RuntimeError):
        anvil.start()
    anvil.stop()
    anvil.stop()


# --- What cannot be started


def test_without_anvil_there_is_advice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFER_LEDGER_ANVIL", "/nowhere/anvil")
    with pytest.raises(ToolMissing):
        ManagedAnvil(folder).start()


def test_an_anvil_that_does_not_run_says_where_its_words_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "TRANSFER_LEDGER_ANVIL", f"'{sys.executable}' -c 'import sys; sys.exit(\"no chain today\")'"
    )
    with pytest.raises(ChainUnavailable, match=r"anvil\.log"):
        ManagedAnvil(folder).start()
    assert "no chain today" in (folder / "anvil.log").read_text()


# --- The files, step by step


def dump(height: int) -> bytes:
    return gzip.compress(json.dumps({"best_block_number": height}).encode())


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def files(tmp_path: Path, warnings: list[str]) -> ChainFiles:
    return ChainFiles(tmp_path, warnings.append)


def loaded(files: ChainFiles) -> int | None:
    path = files.prepare()
    return None if path is None else int(json.loads(path.read_bytes())["best_block_number"])


def test_an_empty_folder_has_no_state(files: ChainFiles, warnings: list[str]) -> None:
    assert loaded(files) is None
    assert warnings == []


def test_the_newest_dump_is_loaded(files: ChainFiles, warnings: list[str]) -> None:
    for height in range(3):
        files.save(dump(height))
    assert loaded(files) == 2
    files.started()
    assert not files.to_load.exists()
    assert warnings == []


def test_a_save_that_was_cut_short_is_nothing(files: ChainFiles, warnings: list[str]) -> None:
    files.save(dump(1))
    files._new.write_bytes(dump(2)[:-1])
    assert loaded(files) == 1
    assert warnings == []


def test_a_save_that_was_not_put_in_place_is_finished(files: ChainFiles) -> None:
    files.save(dump(1))
    files._new.write_bytes(dump(2))
    assert loaded(files) == 2
    files._new.write_bytes(dump(3))
    files.current.replace(files.previous)
    assert loaded(files) == 3


def test_what_anvil_wrote_at_its_end_is_the_newest(files: ChainFiles, warnings: list[str]) -> None:
    files.save(dump(1))
    files.at_exit.write_bytes(gzip.decompress(dump(2)))
    assert loaded(files) == 2
    assert not files.at_exit.exists()
    assert warnings == []


@pytest.mark.parametrize("content", [b"", b'{"best_block', b'{"best_block_number": 0}', b"[]"])
def test_what_anvil_did_not_finish_is_put_aside(
    files: ChainFiles, warnings: list[str], content: bytes
) -> None:
    files.save(dump(1))
    files.at_exit.write_bytes(content)
    assert loaded(files) == 1
    assert "put aside" in warnings[0]


def test_dumps_that_are_all_broken_are_left_as_they_are(files: ChainFiles) -> None:
    files.save(b"one")
    files.save(b"two")
    with pytest.raises(BrokenState):
        files.prepare()
    assert (files.current.read_bytes(), files.previous.read_bytes()) == (b"two", b"one")
