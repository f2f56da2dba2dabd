"""Reading the contract. Whoever checks an anchor does it with this and a node of their own choice (I7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from web3 import Web3

from ledger.adapters.evm.abi import language, refuted
from ledger.adapters.evm.node import Node, RpcRefused, digest, quantity
from ledger.anchor import Anchor, AnchoredBatch, ContractRef
from ledger.errors import AnchorRefuted, ChainUnavailable, MalformedInput
from ledger.ports import ChainSize, TransactionOutcome
from ledger.types import BatchNo, Digest, LogId, Position

T = TypeVar("T")

_NO_CODE = "0x"
_OVERTAKEN = "BlockOutOfRangeError"
"""What Anvil says of the newest block if the next was mined before it looked: it keeps no other's state."""
_NEWEST_TRIES = 5


@dataclass(frozen=True, slots=True)
class _Receipt:
    """A transaction in a block, as its node tells it."""

    succeeded: bool
    block_number: int
    block_hash: Digest
    logs: list[Any]


class EvmChain:
    """`Chain` over JSON-RPC. Needs no key. May be used from several threads at once.

    The chain id and the contract's code are looked at before the first answer is believed, and again after the node
    has been away. Nothing is retried.

    Args:
        rpc_url: of the node, http or https.
        contract: the one contract that is believed.
        timeout: seconds to wait for one answer.
    """

    def __init__(self, rpc_url: str, contract: ContractRef, timeout: float = 10.0) -> None:
        if not _is_address(contract.address):
            raise MalformedInput(
                "not the address of a contract",
                expected="0x and 40 hex digits, in one case or in EIP-55's",
                got=repr(contract.address[:80]),
            )
        self.node = Node(rpc_url, timeout)
        self._contract = ContractRef(contract.chain_id, Web3.to_checksum_address(contract.address))
        self._checked = False

    @property
    def contract(self) -> ContractRef:
        return self._contract

    def close(self) -> None:
        """Let go of the connections."""
        self.node.close()

    def check(self) -> None:
        self._checked = False
        chain_id = self.node.require("eth_chainId", [], quantity)
        if chain_id != self._contract.chain_id:
            raise ChainUnavailable(
                f"the EVM node at {self.node.name} is on another chain",
                expected=f"chain id {self._contract.chain_id}",
                got=chain_id,
                advice="Correct the settings, or ask a node of the expected chain.",
            )
        if self.node.require("eth_getCode", [self._contract.address, "latest"], str) == _NO_CODE:
            raise self._no_contract()
        self._checked = True

    def block_number(self) -> int:
        return self.read("eth_blockNumber", [], quantity)

    def size_of(self, log: LogId) -> ChainSize | None:
        try:
            batches, leaves = self.call("sizeOf", log)
        except AnchorRefuted as refusal:
            if refusal.details["error"] == "UnknownLog":
                return None
            raise
        return ChainSize(batches, leaves)

    def root_of(self, log: LogId) -> Digest:
        [root] = self.call("rootOf", log)
        return Digest(root)

    def batch_of(self, log: LogId, batch_no: BatchNo) -> AnchoredBatch:
        [(root, first_leaf, leaf_count, closed_at, anchored_at)] = self.call("batchOf", log, batch_no)
        return AnchoredBatch(Digest(root), Position(first_leaf), leaf_count, closed_at, anchored_at)

    def operator_of(self, log: LogId) -> str | None:
        """The address that may anchor to the log; None if the log is not registered."""
        [operator] = self.call("operatorOf", log)
        return Web3.to_checksum_address(operator) if int(operator, 16) else None

    def anchored_in(self, tx_hash: Digest, log: LogId, batch_no: BatchNo) -> Anchor | None:
        receipt = self._receipt(tx_hash)
        if receipt is None or not receipt.succeeded:
            return None
        if not any(self._anchors(entry, log, batch_no) for entry in receipt.logs):
            return None
        return Anchor(self._contract, tx_hash, receipt.block_number, receipt.block_hash)

    def find_anchor(self, log: LogId, batch_no: BatchNo) -> Anchor | None:
        which = {
            "fromBlock": "0x0",
            "toBlock": "latest",
            "address": self._contract.address,
            "topics": language().topics(log, batch_no),
        }
        hashes = self.read(
            "eth_getLogs",
            [which],
            lambda found: [digest(e["transactionHash"]) for e in found if self._anchors(e, log, batch_no)],
        )
        anchors = (self.anchored_in(tx_hash, log, batch_no) for tx_hash in hashes)
        return next((anchor for anchor in anchors if anchor is not None), None)

    def outcome(self, tx_hash: Digest) -> TransactionOutcome | None:
        receipt = self._receipt(tx_hash)
        if receipt is None:
            return None
        return TransactionOutcome(receipt.succeeded, receipt.block_number, receipt.block_hash)

    # For this package: the same node, asked with the same care.

    def ready(self) -> None:
        """Check the node, unless it has been checked and did not fail since."""
        if not self._checked:
            self.check()

    def read(self, method: str, parameters: list[Any], read: Callable[[Any], T]) -> T:
        """The answer to one request, once the node has been checked."""
        try:
            self.ready()
            return self.node.require(method, parameters, read)
        except ChainUnavailable:
            self._checked = False
            raise

    def call(self, function: str, *arguments: Any) -> tuple[Any, ...]:
        """What a view of the contract answers at the newest block. Raises AnchorRefuted if it refuses."""
        try:
            data = self.execute({"data": language().call(function, *arguments)}, what=function, read=str)
        except AnchorRefuted as refusal:
            if not _answers(refusal, arguments):
                raise ChainUnavailable(
                    f"the contract at {self._contract.address} gives no answer to {function}",
                    got=refusal.message,
                    advice="See whether the settings name a TransferLog of this version.",
                ) from None
            raise
        if data == _NO_CODE:
            self._checked = False
            raise self._no_contract()
        try:
            return language().answer(function, data)
        except ValueError:
            raise ChainUnavailable(
                f"the contract at {self._contract.address} gives no answer to {function}",
                advice="See whether the settings name a TransferLog of this version.",
            ) from None

    def execute(
        self, call: Mapping[str, Any], *, what: str, read: Callable[[Any], T], method: str = "eth_call"
    ) -> T:
        """Have the node run a call to the contract. Raises AnchorRefuted with the contract's error."""
        # Of the newest block: left to themselves, some nodes estimate on what waits for a block, too.
        parameters: list[Any] = [{"to": self._contract.address, **call}, "latest"]
        for tries_left in reversed(range(_NEWEST_TRIES)):
            try:
                self.ready()
                return self.node.ask(method, parameters, read)
            except RpcRefused as refused:
                if (revert := language().revert(refused)) is not None:
                    raise refuted(what, revert) from None
                if not (tries_left and _OVERTAKEN in refused.message):
                    raise self.node.refusal(method, refused) from None
            except ChainUnavailable:
                self._checked = False
                raise
        raise AssertionError("the last try answers or raises")

    def _receipt(self, tx_hash: Digest) -> _Receipt | None:
        """The receipt, if the block that it names is the one that the node now has at that height."""
        receipt = self.read("eth_getTransactionReceipt", [tx_hash.hex0x], _parse_receipt)
        if receipt is None:
            return None
        block = self.read("eth_getBlockByNumber", [hex(receipt.block_number), False], _parse_block_hash)
        return receipt if block == receipt.block_hash else None

    def _anchors(self, entry: Any, log: LogId, batch_no: BatchNo) -> bool:
        """Whether an event is this contract's `BatchAnchored` of this batch."""
        return (
            entry["address"].lower() == self._contract.address.lower()
            and [topic.lower() for topic in entry["topics"]] == language().topics(log, batch_no)
            and not entry.get("removed", False)
        )

    def _no_contract(self) -> ChainUnavailable:
        return ChainUnavailable(
            f"there is no contract at {self._contract.address} on chain {self._contract.chain_id}",
            advice="See whether the settings name the right node and contract, and whether the node is synchronised.",
        )


def chain_id_of(rpc_url: str, timeout: float = 10.0) -> int:
    """The chain that a node is on. Raises ChainUnavailable."""
    node = Node(rpc_url, timeout)
    try:
        return node.require("eth_chainId", [], quantity)
    finally:
        node.close()


def _is_address(text: str) -> bool:
    """0x and 40 hex digits. Mixed case is a checksum (EIP-55), which a mistyped digit breaks; one case says nothing."""
    digits = text.removeprefix("0x")
    one_case = digits in (digits.lower(), digits.upper())
    return len(text) == 42 and Web3.is_address(text) and (one_case or Web3.is_checksum_address(text))


def _answers(refusal: AnchorRefuted, asked: tuple[Any, ...]) -> bool:
    """Whether a view's revert answers what was asked: that there is no such log, or no such batch."""
    values = list(refusal.details["arguments"].values())
    match refusal.details["error"]:
        case "UnknownLog":
            return values == ["0x" + asked[0].hex()]
        case "UnknownBatch":
            return len(asked) > 1 and values[1:] == [asked[1]]
        case _:
            return False


def _parse_receipt(answer: Any) -> _Receipt | None:
    if answer is None or answer["blockHash"] is None:  # some nodes give receipts of what waits for a block
        return None
    logs = answer["logs"]
    for entry in logs:
        if not isinstance(entry["address"], str) or not all(isinstance(t, str) for t in entry["topics"]):
            raise TypeError("not an event")
    return _Receipt(
        quantity(answer["status"]) == 1,
        quantity(answer["blockNumber"]),
        digest(answer["blockHash"]),
        list(logs),
    )


def _parse_block_hash(answer: Any) -> Digest | None:
    return None if answer is None else digest(answer["hash"])
