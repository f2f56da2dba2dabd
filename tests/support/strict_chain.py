"""A strict stand-in for the contract, its chain and the operator's account, for faults that no real node can be made
to show at a wanted moment.

It takes nothing that the contract would refuse, and forgets nothing by itself. A transaction is its own bytes; blocks
hold transactions; what the contract holds is what the blocks give when they are run again from the first. What can be
done to it::

    chain.automine = False      transactions wait in the pool until `mine()`
    chain.away = True           nothing answers
    chain.lose_answer = True    the next `send` is done, and its answer lost
    chain.drop()                the pool forgets what waits
    chain.reorg(2, "return")    the last two blocks are undone, their transactions back in the pool ("lose": gone)
    chain.overtake()            the account sends something else with the next nonce, and that is mined
    chain.burn_gas()            the next transaction that is mined reverts though it should not
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from ledger.anchor import Anchor, AnchoredBatch, ContractRef
from ledger.batch import BatchHeader
from ledger.errors import AnchorRefuted, ChainUnavailable
from ledger.merkle import tree_root
from ledger.ports import ChainSize, SignedTransaction, TransactionOutcome
from ledger.types import BatchNo, Digest, LogId, Origin, from_base64, log_id, to_base64

CONTRACT = ContractRef(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")


@dataclass(frozen=True)
class Transaction:
    nonce: int
    headers: tuple[BatchHeader, ...]
    note: str = ""

    @property
    def raw(self) -> bytes:
        headers = [to_base64(bytes(header)) for header in self.headers]
        return json.dumps({"nonce": self.nonce, "headers": headers, "note": self.note}).encode()

    @property
    def hash(self) -> Digest:
        return Digest.of(self.raw)

    @classmethod
    def parse(cls, signed: SignedTransaction) -> Transaction:
        value = json.loads(signed.raw)
        headers = tuple(BatchHeader.parse(from_base64(text)) for text in value["headers"])
        made = cls(value["nonce"], headers, value["note"])
        assert (made.raw, made.hash) == (signed.raw, signed.hash), "a transaction's hash is of its bytes"
        return made


@dataclass(frozen=True)
class Block:
    number: int
    hash: Digest
    transactions: tuple[tuple[Transaction, bool], ...]


@dataclass
class StrictChain:
    """`Chain` and `Anchorer` at once, of one contract and one operator."""

    registered: set[LogId] = field(default_factory=set)
    blocks: list[Block] = field(default_factory=list)
    pool: dict[int, Transaction] = field(default_factory=dict)
    automine: bool = True
    away: bool = False
    lose_answer: bool = False
    reverts: int = 0
    sent: list[Digest] = field(default_factory=list)
    known: set[Digest] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._salt = itertools.count()
        self.mine()

    # --- what can be done to it -------------------------------------------------------------------------------------

    def register(self, origin: Origin) -> None:
        self.registered.add(log_id(origin))

    def mine(self) -> None:
        """One block with everything in the pool that can run."""
        included = []
        held = self._held()
        nonce = self._nonce()
        while nonce in self.pool:
            transaction = self.pool.pop(nonce)
            good = self.reverts == 0 and self._refusal(transaction, held) is None
            self.reverts = max(self.reverts - 1, 0)
            if good:
                self._run(transaction, held)
            included.append((transaction, good))
            self.known.add(transaction.hash)
            nonce += 1
        self._add(tuple(included))

    def drop(self) -> None:
        """Forget what waits, but for what has been in a block: every node of the chain knows that."""
        self.pool = {nonce: it for nonce, it in self.pool.items() if it.hash in self.known}

    def reorg(self, depth: int, fate: Literal["return", "lose"]) -> None:
        """Undo blocks and put as many new ones in their place, with none of their transactions yet.

        What anchored something is back in the pool, or lost; all else is back in any case.
        """
        depth = min(depth, len(self.blocks) - 1)
        undone = [self.blocks.pop() for _ in range(depth)]
        for block in undone:
            for transaction, good in block.transactions:
                if fate == "return" or not (good and transaction.headers):
                    self.pool.setdefault(transaction.nonce, transaction)
        for _ in range(depth):
            self._add(())

    def overtake(self) -> None:
        nonce = self._nonce()
        self.pool[nonce] = Transaction(nonce, (), f"something else {next(self._salt)}")
        self.mine()

    def burn_gas(self) -> None:
        self.reverts += 1

    def anchored(self) -> list[tuple[LogId, int]]:
        """Every batch that a transaction anchored, in order: the `BatchAnchored` events."""
        return [
            (header.log_id, header.batch_no)
            for block in self.blocks
            for transaction, good in block.transactions
            if good
            for header in transaction.headers
        ]

    # --- Chain ------------------------------------------------------------------------------------------------------

    @property
    def contract(self) -> ContractRef:
        return CONTRACT

    def check(self) -> None:
        self._answer()

    def block_number(self) -> int:
        self._answer()
        return self.blocks[-1].number

    def size_of(self, log: LogId) -> ChainSize | None:
        self._answer()
        if log not in self.registered:
            return None
        headers = self._held().get(log, [])
        return ChainSize(len(headers), headers[-1].end if headers else 0)

    def root_of(self, log: LogId) -> Digest:
        self._answer()
        if log not in self.registered:
            raise AnchorRefuted("UnknownLog", step="chain")
        return tree_root([header.leaf for header in self._held().get(log, [])])

    def batch_of(self, log: LogId, batch_no: BatchNo) -> AnchoredBatch:
        self._answer()
        headers = self._held().get(log, [])
        if batch_no >= len(headers):
            raise AnchorRefuted("UnknownBatch", step="chain")
        header = headers[batch_no]
        return AnchoredBatch(header.root, header.first_leaf, header.leaf_count, header.closed_at, 0)

    def anchored_in(self, tx_hash: Digest, log: LogId, batch_no: BatchNo) -> Anchor | None:
        self._answer()
        for block in self.blocks:
            for transaction, good in block.transactions:
                holds = any((h.log_id, h.batch_no) == (log, batch_no) for h in transaction.headers)
                if good and holds and transaction.hash == tx_hash:
                    return Anchor(CONTRACT, tx_hash, block.number, block.hash)
        return None

    def find_anchor(self, log: LogId, batch_no: BatchNo) -> Anchor | None:
        self._answer()
        hashes = [transaction.hash for block in self.blocks for transaction, _ in block.transactions]
        found = (self.anchored_in(tx_hash, log, batch_no) for tx_hash in hashes)
        return next((anchor for anchor in found if anchor), None)

    def outcome(self, tx_hash: Digest) -> TransactionOutcome | None:
        self._answer()
        for block in self.blocks:
            for transaction, good in block.transactions:
                if transaction.hash == tx_hash:
                    return TransactionOutcome(good, block.number, block.hash)
        return None

    # --- Anchorer ---------------------------------------------------------------------------------------------------

    def sign_anchor(self, headers: Sequence[BatchHeader]) -> SignedTransaction:
        self._answer()
        nonce = self._nonce()
        while nonce in self.pool:
            nonce += 1
        # As with a fee that differs each time: two signatures of the same call are two transactions.
        transaction = Transaction(nonce, tuple(headers), f"fee {next(self._salt)}")
        if refusal := self._refusal(transaction, self._held()):
            raise AnchorRefuted(refusal, step="chain")
        return SignedTransaction(transaction.hash, transaction.raw)

    def send(self, signed: SignedTransaction) -> bool:
        self._answer()
        transaction = Transaction.parse(signed)
        lost, self.lose_answer = self.lose_answer, False
        possible = self._send(transaction)
        if lost:
            raise ChainUnavailable("the answer was lost")
        return possible

    def _send(self, transaction: Transaction) -> bool:
        known = self.pool.get(transaction.nonce)
        if known == transaction or self.outcome(transaction.hash) is not None:
            return True
        if transaction.nonce < self._nonce():
            return False
        if known is not None:
            raise ChainUnavailable("replacement transaction underpriced")
        self.sent.append(transaction.hash)
        self.pool[transaction.nonce] = transaction
        if self.automine:
            self.mine()
        return True

    # --- inside -----------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        if self.away:
            raise ChainUnavailable("no answer")

    def _add(self, transactions: tuple[tuple[Transaction, bool], ...]) -> None:
        number = len(self.blocks)
        self.blocks.append(
            Block(number, Digest.of(b"block %d %d" % (number, next(self._salt))), transactions)
        )

    def _nonce(self) -> int:
        return sum(len(block.transactions) for block in self.blocks)

    def _held(self) -> dict[LogId, list[BatchHeader]]:
        held: dict[LogId, list[BatchHeader]] = {}
        for block in self.blocks:
            for transaction, good in block.transactions:
                if good:
                    self._run(transaction, held)
        return held

    def _run(self, transaction: Transaction, held: dict[LogId, list[BatchHeader]]) -> None:
        for header in transaction.headers:
            held.setdefault(header.log_id, []).append(header)

    def _refusal(self, transaction: Transaction, held: dict[LogId, list[BatchHeader]]) -> str | None:
        """The contract's rules: a known log, the next batch, the next leaf, and no empty batch."""
        if not transaction.headers:
            return None
        first = transaction.headers[0]
        size, leaves = len(held.get(first.log_id, [])), 0
        if size:
            leaves = held[first.log_id][-1].end
        if first.log_id not in self.registered:
            return "UnknownLog"
        for header in transaction.headers:
            if header.batch_no != size or header.log_id != first.log_id:
                return f"WrongBatchNo: expected {size}, got {header.batch_no}"
            if header.first_leaf != leaves or header.leaf_count == 0:
                return f"WrongFirstLeaf: expected {leaves}, got {header.first_leaf}"
            size, leaves = size + 1, header.end
        return None


class Killed(BaseException):
    """The process died here."""


class Fate:
    """Counts the steps that a process takes into the world, and kills it at one of them."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps = 0
        self.under_lock = False

    def step(self) -> None:
        self.steps += 1
        if self.steps - 1 == self.at:
            raise Killed(f"at step {self.at}")

    def read(self) -> None:
        """A step that changes nothing: to die at it is to die after the step before."""


class Mortal:
    """`world`, before each of whose calls stands a step. `writing` has one more, just before its commit."""

    def __init__(self, world: Any, fate: Fate) -> None:
        self._world = world
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._world, name)
        if not callable(member):
            return member
        if name == "writing":
            return self._writing
        return self._stepped(member, self._fate.step if name in _CHANGES else self._fate.read)

    def _stepped(self, call: Callable[..., Any], step: Callable[[], None]) -> Callable[..., Any]:
        def stepped(*arguments: Any) -> Any:
            step()
            return call(*arguments)

        return stepped

    @contextmanager
    def _writing(self, origin: Origin) -> Any:
        self._fate.step()
        block: AbstractContextManager[Any] = self._world.writing(origin)
        with block as transaction:
            self._fate.under_lock = True
            try:
                yield transaction
                self._fate.step()
            finally:
                self._fate.under_lock = False


_CHANGES = {"sign_anchor", "send", "project", "drop_projections"}
