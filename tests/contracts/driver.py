"""What the contract tests share: a node's process, and a TransferLog spoken to in the tests' own words."""

from __future__ import annotations

import hashlib
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from eth_abi import decode, encode
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError
from web3.types import TxReceipt
from web3.utils.abi import abi_to_signature

from contracts import artifact

HEADER = struct.Struct(">32sQQLQ32s")
"""logId ‖ batchNo ‖ firstLeaf ‖ leafCount ‖ closedAt ‖ root, written here once more, from the specification."""


@contextmanager
def running_node(command: Sequence[str], *, patience: float = 60) -> Iterator[Web3]:
    """A node's process for as long as the block lasts; `{port}` in the command becomes a free port."""
    port = _free_port()
    process = subprocess.Popen([word.format(port=port) for word in command])
    try:
        web3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
        end = time.monotonic() + patience
        while not web3.is_connected():
            assert process.poll() is None, f"the node ended with {process.returncode}"
            assert time.monotonic() < end, f"the node did not answer in {patience} s"
            time.sleep(0.05)
        yield web3
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NewBatch(NamedTuple):
    root: bytes
    leaf_count: int = 1
    closed_at: int = 1_767_225_600


class Batch(NamedTuple):
    root: bytes
    first_leaf: int
    leaf_count: int
    closed_at: int
    anchored_at: int


def some_root(number: int) -> bytes:
    return hashlib.sha256(b"root %d" % number).digest()


def some_batches(count: int, start: int = 0) -> list[NewBatch]:
    """Batches that differ in every field."""
    numbers = range(start, start + count)
    return [NewBatch(some_root(n), 1 + n * 7 % 500, 1_767_225_600 + n * 60) for n in numbers]


@dataclass(frozen=True)
class Deployment:
    """A TransferLog and the accounts around it."""

    web3: Web3
    code: Contract
    registrar: str
    operator: str
    other: str
    receipt: TxReceipt

    @classmethod
    def on(cls, web3: Web3, registrar: str | None = None) -> Deployment:
        first, operator, other, *_ = web3.eth.accounts
        made = artifact("TransferLog")
        factory = web3.eth.contract(abi=made.abi, bytecode=made.bytecode)
        sent = factory.constructor(registrar or first).transact({"from": first})
        receipt = web3.eth.wait_for_transaction_receipt(sent)
        code = web3.eth.contract(receipt["contractAddress"], abi=made.abi)
        return cls(web3, code, first, operator, other, receipt)

    def send(self, function: str, *arguments: Any, sender: str) -> TxReceipt:
        sent = self.code.functions[function](*arguments).transact({"from": sender})
        receipt = self.web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)
        assert receipt["status"] == 1
        return receipt

    def ask(self, function: str, *arguments: Any) -> Any:
        return self.code.functions[function](*arguments).call()

    def ask_all(self, function: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers to many calls of one function, in one request, encoded without web3's ceremony for each."""
        entry = next(entry for entry in self.code.abi if entry.get("name") == function)
        takes = [item["type"] for item in entry["inputs"]]
        gives = [item["type"] for item in entry["outputs"]]
        selector = Web3.keccak(text=abi_to_signature(entry))[:4]
        requests = [
            (
                "eth_call",
                [{"to": self.code.address, "data": "0x" + (selector + encode(takes, call)).hex()}, "latest"],
            )
            for call in calls
        ]
        answers = self.web3.provider.make_batch_request(requests)
        return [decode(gives, bytes.fromhex(answer["result"][2:]))[0] for answer in answers]

    def register(self, origin: str) -> Log:
        self.send("registerLog", origin, self.operator, sender=self.registrar)
        return Log(self, hashlib.sha256(origin.encode()).digest())

    def events(self, name: str, receipt: TxReceipt) -> list[dict[str, Any]]:
        return [dict(event["args"]) for event in self.code.events[name]().process_receipt(receipt)]

    @contextmanager
    def refuses(self, error: str, **arguments: Any) -> Iterator[None]:
        """The block must end in this custom error with these arguments."""
        with pytest.raises(ContractCustomError) as caught:
            yield
        assert self._decoded(str(caught.value.data)) == (error, arguments)

    def _decoded(self, data: str) -> tuple[str, dict[str, Any]]:
        raw = bytes.fromhex(data.removeprefix("0x"))
        for entry in self.code.abi:
            if entry["type"] == "error" and Web3.keccak(text=abi_to_signature(entry))[:4] == raw[:4]:
                values = decode([item["type"] for item in entry["inputs"]], raw[4:])
                names = [item["name"] for item in entry["inputs"]]
                return entry["name"], {
                    name: Web3.to_checksum_address(value) if item["type"] == "address" else value
                    for name, value, item in zip(names, values, entry["inputs"], strict=True)
                }
        raise AssertionError(f"an error that the ABI does not know: {data}")


@dataclass
class Log:
    """A registered log, and beside it what the contract ought to know."""

    contract: Deployment
    id: bytes
    headers: list[bytes] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    leaves: int = 0

    def anchor(self, *new: NewBatch, sender: str | None = None) -> TxReceipt:
        """Anchor as the operator, at the right place, and note down what was anchored."""
        place = len(self.headers), self.leaves
        operator = sender or self.contract.operator
        receipt = self.contract.send("anchor", self.id, *place, list(new), sender=operator)
        time_ = self.contract.web3.eth.get_block(receipt["blockNumber"])["timestamp"]
        for root, leaf_count, closed_at in new:
            header = HEADER.pack(self.id, len(self.headers), self.leaves, leaf_count, closed_at, root)
            self.headers.append(header)
            self.batches.append(Batch(root, self.leaves, leaf_count, closed_at, time_))
            self.leaves += leaf_count
        return receipt

    def try_to_anchor(
        self, batch_no: int, first_leaf: int, new: Sequence[NewBatch], sender: str | None = None
    ) -> None:
        operator = sender or self.contract.operator
        self.contract.send("anchor", self.id, batch_no, first_leaf, list(new), sender=operator)

    @property
    def root(self) -> bytes:
        return bytes(self.contract.ask("rootOf", self.id))

    @property
    def size(self) -> tuple[int, int]:
        batches, leaves = self.contract.ask("sizeOf", self.id)
        return batches, leaves

    def batch(self, number: int) -> Batch:
        return Batch(*self.contract.ask("batchOf", self.id, number))
