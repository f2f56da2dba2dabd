"""Writing to the contract: signed transactions, and who signs them.

A signed transaction is bytes with a hash that is known before it is sent; it can be sent any number of times and takes
effect at most once. So the caller keeps it first and sends it then, and when an answer is lost it asks the chain.

::

    nonce   the account's count of transactions, those that wait for a block included
    gas     the node's estimate and a quarter more; an estimate that reverts is the contract's refusal
    fee     EIP-1559 with room for the base fee to grow fourfold, as what was signed cannot be raised later;
            a plain gas price where blocks have no base fee
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import rlp
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from ledger.adapters.evm.abi import language
from ledger.adapters.evm.chain import EvmChain
from ledger.adapters.evm.node import Node, RpcRefused, digest, quantity
from ledger.anchor import ContractRef
from ledger.batch import BatchHeader
from ledger.errors import AlreadyExists, AnchorRefuted, ChainUnavailable, MalformedInput, TooLarge
from ledger.ports import SignedTransaction
from ledger.types import Digest, Origin, log_id

T = TypeVar("T")

MAX_GAS = 2**24
"""The most gas that Ethereum takes in one transaction (EIP-7825); well over 200 batches."""

BASE_FEE_ROOM = 4
DEFAULT_TIP = 10**9
"""Wei per gas, where a node does not suggest any."""

MINED_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """A contract that was just made, and where."""

    contract: ContractRef
    tx_hash: Digest
    block_number: int
    block_hash: Digest


class EvmAnchorer:
    """`Anchorer` with the operator's key. May be used from several threads at once."""

    def __init__(self, chain: EvmChain, private_key: bytes) -> None:
        self._chain = chain
        self._sender = _Sender(chain.node, chain.contract.chain_id, private_key)

    @property
    def address(self) -> str:
        return self._sender.address

    def sign_anchor(self, headers: Sequence[BatchHeader]) -> SignedTransaction:
        first = _first_of(headers)
        call = {
            "from": self.address,
            "data": language().call(
                "anchor",
                first.log_id,
                first.batch_no,
                first.first_leaf,
                [(header.root, header.leaf_count, header.closed_at) for header in headers],
            ),
        }
        gas = self._chain.execute(
            call, what=f"batch {first.batch_no}", read=quantity, method="eth_estimateGas"
        )
        return self._sender.sign({"to": self._chain.contract.address, "data": call["data"]}, gas)

    def send(self, transaction: SignedTransaction) -> bool:
        self._chain.ready()  # on another chain the same account's nonces say nothing
        return self._sender.send(transaction)


class EvmRegistrar:
    """`Registrar` with the registrar's key: waits until its transaction is in a block."""

    def __init__(self, chain: EvmChain, private_key: bytes, mined_seconds: float = MINED_SECONDS) -> None:
        self._chain = chain
        self._sender = _Sender(chain.node, chain.contract.chain_id, private_key)
        self._mined_seconds = mined_seconds

    @property
    def address(self) -> str:
        return self._sender.address

    def register_log(self, origin: Origin, operator: str) -> None:
        operator = _address(operator)
        if self._is_registered(origin, operator):
            return
        data = language().call("registerLog", origin, operator)
        try:
            gas = self._chain.execute(
                {"from": self.address, "data": data},
                what=f"log {origin}",
                read=quantity,
                method="eth_estimateGas",
            )
        except AnchorRefuted:
            if self._is_registered(origin, operator):  # somebody was faster
                return
            raise
        transaction = self._sender.sign({"to": self._chain.contract.address, "data": data}, gas)
        if self._sender.send(transaction):
            _wait(lambda: self._chain.outcome(transaction.hash), self._mined_seconds, transaction.hash)
        if not self._is_registered(origin, operator):
            raise ChainUnavailable(
                f"the transaction that was to register log {origin} had no effect",
                advice="Another transaction of the registrar's account came between: register the log again.",
                details={"tx": transaction.hash.hex0x},
            )

    def _is_registered(self, origin: Origin, operator: str) -> bool:
        registered = self._chain.operator_of(log_id(origin))
        if registered not in (None, operator):
            raise AlreadyExists(
                f"log {origin} is registered with another operator",
                expected=operator,
                got=registered,
                advice="Use that operator's key, or let the registrar rotate the operator.",
            )
        return registered is not None


def address_of(private_key: bytes) -> str:
    """The address of an EVM private key (32 bytes), in EIP-55's mixed case."""
    return str(_account(private_key).address)


def deploy(
    rpc_url: str,
    private_key: bytes,
    *,
    registrar: str | None = None,
    timeout: float = 10.0,
    mined_seconds: float = MINED_SECONDS,
) -> Deployment:
    """Create a `TransferLog` and wait until it is in a block.

    Args:
        private_key: of the account that pays.
        registrar: address that may register logs; the paying account if None.

    Raises:
        ChainUnavailable: no answer, no funds, or not mined in time. A contract may have been made nonetheless; it is
            empty and harmless.
    """
    node = Node(rpc_url, timeout)
    try:
        chain_id = node.require("eth_chainId", [], quantity)
        sender = _Sender(node, chain_id, private_key)
        data = language().creation(_address(registrar) if registrar else sender.address)
        gas = node.require("eth_estimateGas", [{"from": sender.address, "data": data}], quantity)
        transaction = sender.sign({"data": data}, gas)
        sender.send(transaction)

        def made() -> Deployment | None:
            return node.require(
                "eth_getTransactionReceipt",
                [transaction.hash.hex0x],
                lambda receipt: _deployment(chain_id, transaction.hash, receipt),
            )

        return _wait(made, mined_seconds, transaction.hash)
    finally:
        node.close()


class _Sender:
    """One account on one chain: makes transactions and hands them to the node."""

    def __init__(self, node: Node, chain_id: int, private_key: bytes) -> None:
        self._node = node
        self._chain_id = chain_id
        self._account = _account(private_key)

    @property
    def address(self) -> str:
        return str(self._account.address)

    def sign(self, transaction: Mapping[str, Any], gas: int) -> SignedTransaction:
        """Sign with the next nonce and today's fees."""
        if gas > MAX_GAS:
            raise TooLarge(
                "too much for one transaction",
                expected=f"at most {MAX_GAS:,} gas",
                got=f"{gas:,}",
                advice="Anchor fewer batches at once.",
            )
        whole = {
            **transaction,
            "value": 0,
            "chainId": self._chain_id,
            "nonce": self._nonce(self.address, "pending"),
            "gas": min(gas + gas // 4, MAX_GAS),
            **self._fees(),
        }
        signed = self._account.sign_transaction(whole)
        return SignedTransaction(Digest(signed.hash), bytes(signed.raw_transaction))

    def send(self, transaction: SignedTransaction) -> bool:
        """As `Anchorer.send`. Asks first: Ganache takes a transaction with nonce 0 a second time and runs it."""
        possible = self._can_be_sent(transaction)
        if possible is not None:
            return possible
        try:
            sent = self._node.ask("eth_sendRawTransaction", ["0x" + transaction.raw.hex()], digest)
        except RpcRefused as refused:
            # Known by now, or overtaken by another: what counts is what the chain says, not in which words.
            possible = self._can_be_sent(transaction)
            if possible is not None:
                return possible
            raise self._node.refusal("eth_sendRawTransaction", refused) from None
        if sent != transaction.hash:
            raise ChainUnavailable(
                f"the EVM node at {self._node.name} sent another transaction than it was given",
                expected=transaction.hash.hex0x,
                got=sent.hex0x,
            )
        return True

    def _can_be_sent(self, transaction: SignedTransaction) -> bool | None:
        """True if the node knows it already, False if its nonce is used up, None if it is still to be sent.

        The count is read before the transaction: were it this transaction that used the nonce, it would be found.
        """
        signer, nonce = _parse(transaction)
        used = self._nonce(signer, "latest")
        known = self._node.require(
            "eth_getTransactionByHash",
            [transaction.hash.hex0x],
            lambda found: found is not None and digest(found["hash"]) == transaction.hash,
        )
        if known:
            return True
        return False if nonce < used else None

    def _nonce(self, address: str, block: str) -> int:
        return self._node.require("eth_getTransactionCount", [address, block], quantity)

    def _fees(self) -> dict[str, int]:
        base = self._node.require("eth_getBlockByNumber", ["latest", False], _base_fee)
        if base is None:
            return {"gasPrice": self._node.require("eth_gasPrice", [], quantity)}
        try:
            tip = self._node.ask("eth_maxPriorityFeePerGas", [], quantity)
        except RpcRefused:
            tip = DEFAULT_TIP
        return {"maxFeePerGas": base * BASE_FEE_ROOM + tip, "maxPriorityFeePerGas": tip}


def _account(private_key: bytes) -> LocalAccount:
    try:
        account: LocalAccount = Account.from_key(private_key)
    except Exception:  # noqa: BLE001  # eth_keys raises several of its own, and some quote the key
        raise MalformedInput(
            "not an EVM private key", expected="32 bytes, not zero, below the curve's order"
        ) from None
    return account


def _address(text: str) -> str:
    if not Web3.is_address(text):
        raise MalformedInput("not an EVM address", expected="0x and 40 hex digits", got=repr(text[:80]))
    return str(Web3.to_checksum_address(text))


def _first_of(headers: Sequence[BatchHeader]) -> BatchHeader:
    """The first of consecutive batches of one log; anything else is a programming error."""
    if not headers:
        raise ValueError("there is nothing to anchor")
    for one, next_ in itertools.pairwise(headers):
        if (next_.log_id, next_.batch_no, next_.first_leaf) != (one.log_id, one.batch_no + 1, one.end):
            raise ValueError(f"batch {next_.batch_no} does not follow batch {one.batch_no}")
    return headers[0]


def _parse(transaction: SignedTransaction) -> tuple[str, int]:
    """Who signed a transaction, and its nonce: the first field, or the second of a typed one (EIP-2718)."""
    raw = transaction.raw
    typed = raw[0] < 0x80
    fields = rlp.decode(raw[1:] if typed else raw)
    return str(Account.recover_transaction(raw)), int.from_bytes(fields[1 if typed else 0])


def _base_fee(block: Any) -> int | None:
    fee = block.get("baseFeePerGas")
    return None if fee is None else quantity(fee)


def _deployment(chain_id: int, tx_hash: Digest, receipt: Any) -> Deployment | None:
    if receipt is None or receipt["blockHash"] is None:
        return None
    if quantity(receipt["status"]) != 1:
        raise ValueError("the contract's constructor failed")
    contract = ContractRef(chain_id, _address(receipt["contractAddress"]))
    return Deployment(contract, tx_hash, quantity(receipt["blockNumber"]), digest(receipt["blockHash"]))


def _wait(ask: Callable[[], T | None], seconds: float, tx_hash: Digest) -> T:
    """Ask, at growing intervals, until there is an answer."""
    end, pause = time.monotonic() + seconds, 0.02
    while (answer := ask()) is None:
        if time.monotonic() > end:
            raise ChainUnavailable(
                f"transaction {tx_hash.hex0x} is in no block after {seconds:g} s",
                advice="It may still be mined: look before doing this again.",
                details={"tx": tx_hash.hex0x},
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
    return answer
