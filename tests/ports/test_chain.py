"""What every `Chain`, `Anchorer` and `Registrar` promises, on a real Anvil and a real Ganache."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from support.chains import CHAINS, DevelopmentChain, Wire, free_port, wired

from ledger.adapters.anvil import fund
from ledger.adapters.evm import Deployment, EvmAnchorer, EvmChain, EvmRegistrar, address_of, deploy, sender
from ledger.anchor import ContractRef, check_anchored
from ledger.batch import BatchHeader, close_batch
from ledger.errors import AlreadyExists, AnchorRefuted, ChainUnavailable, MalformedInput, TooLarge
from ledger.merkle import EMPTY_ROOT, NodeId, append_nodes, leaf_hash, log_root
from ledger.ports import Anchorer, Chain, ChainSize, Registrar, SignedTransaction, TransactionOutcome
from ledger.types import BatchNo, Digest, LogId, Origin, Position, log_id, parse_origin

_numbers = itertools.count()
NOBODY = "0x1111111111111111111111111111111111111111"


@dataclass
class Ledger:
    """A contract on a chain, a registered log on it, and what the contract ought to hold of it."""

    node: DevelopmentChain
    contract: ContractRef
    registrar: EvmRegistrar
    chain: EvmChain
    key: bytes
    origin: Origin
    batches: int = 0
    leaves: int = 0
    closed: list[BatchHeader] = field(default_factory=list)

    @property
    def log(self) -> LogId:
        return log_id(self.origin)

    @property
    def anchorer(self) -> EvmAnchorer:
        return EvmAnchorer(self.chain, self.key)

    def close(self, count: int = 1) -> list[BatchHeader]:
        """The next batches, of differing sizes."""
        for _ in range(count):
            number = len(self.closed)
            first = self.closed[-1].end if self.closed else Position(0)
            leaves = [leaf_hash(b"%d/%d" % (number, n)) for n in range(1 + number * 3 % 7)]
            header = close_batch(self.log, BatchNo(number), first, leaves, 1_790_000_000 + number)
            self.closed.append(header)
        return self.closed[-count:]

    def anchor(self, transaction: SignedTransaction) -> TransactionOutcome:
        """Send, and wait for the block: a node may answer before it mines."""
        assert self.anchorer.send(transaction) is True
        return self.mined(transaction)

    def mined(self, transaction: SignedTransaction) -> TransactionOutcome:
        end = time.monotonic() + 10
        while (outcome := self.chain.outcome(transaction.hash)) is None:
            assert time.monotonic() < end, "not mined"
            time.sleep(0.01)
        return outcome

    def root(self, size: int) -> Digest:
        """The log's root, by the ledger's own tree."""
        nodes: dict[NodeId, Digest] = {}
        for number in range(size):
            for node in append_nodes(number, self.closed[number].leaf, lambda ids: [nodes[i] for i in ids]):
                nodes[node.level, node.index] = node.hash
        return log_root(size, lambda ids: [nodes[i] for i in ids])


@pytest.fixture(scope="module", params=sorted(CHAINS))
def node(request: pytest.FixtureRequest) -> Iterator[DevelopmentChain]:
    with CHAINS[request.param]() as chain:
        yield chain


@pytest.fixture(scope="module")
def registrar_key(node: DevelopmentChain) -> bytes:
    return rich_key(node)


@pytest.fixture(scope="module")
def deployed(node: DevelopmentChain, registrar_key: bytes) -> Deployment:
    return deploy(node.url, registrar_key)


@pytest.fixture
def chain(node: DevelopmentChain, deployed: Deployment) -> Iterator[EvmChain]:
    chain = EvmChain(node.url, deployed.contract)
    yield chain
    chain.close()


@pytest.fixture
def ledger(node: DevelopmentChain, chain: EvmChain, registrar_key: bytes) -> Ledger:
    """A log that nobody else uses, with an operator of its own."""
    key = rich_key(node)
    ledger = Ledger(node, chain.contract, EvmRegistrar(chain, registrar_key), chain, key, new_origin())
    ledger.registrar.register_log(ledger.origin, address_of(key))
    return ledger


@pytest.fixture
def wire(node: DevelopmentChain) -> Iterator[Wire]:
    with wired(node.url) as wire:
        yield wire


def rich_key(node: DevelopmentChain) -> bytes:
    key = hashlib.sha256(secrets.token_bytes(32)).digest()
    fund(node.url, address_of(key), 100)
    return key


def new_origin() -> Origin:
    return parse_origin(f"ledger.example/log-{next(_numbers)}")


def test_the_adapters_have_the_ports_shapes(ledger: Ledger) -> None:
    chain: Chain = ledger.chain
    anchorer: Anchorer = ledger.anchorer
    registrar: Registrar = ledger.registrar
    assert chain.contract == ledger.contract
    assert anchorer
    assert registrar


# --- Deploying and registering


def test_a_deployment_says_where_it_is(node: DevelopmentChain, deployed: Deployment) -> None:
    assert deployed.contract.chain_id == node.chain_id
    block = node.ask("eth_getBlockByNumber", hex(deployed.block_number), False)
    assert block["hash"] == deployed.block_hash.hex0x
    assert block["transactions"] == [deployed.tx_hash.hex0x]


def test_deploying_without_money_is_refused(node: DevelopmentChain) -> None:
    with pytest.raises(ChainUnavailable):
        deploy(node.url, secrets.token_bytes(32))


def test_an_unregistered_log_has_no_size_and_no_root(chain: EvmChain) -> None:
    log = log_id(new_origin())
    assert chain.size_of(log) is None
    with pytest.raises(AnchorRefuted, match="UnknownLog"):
        chain.root_of(log)
    with pytest.raises(AnchorRefuted, match="UnknownLog"):
        chain.batch_of(log, BatchNo(0))
    assert chain.find_anchor(log, BatchNo(0)) is None


def test_a_registered_log_is_empty(ledger: Ledger) -> None:
    assert ledger.chain.size_of(ledger.log) == ChainSize(0, 0)
    assert ledger.chain.root_of(ledger.log) == EMPTY_ROOT
    assert ledger.chain.operator_of(ledger.log) == ledger.anchorer.address


def test_registering_again_is_nothing_and_with_another_operator_refused(ledger: Ledger) -> None:
    before = ledger.chain.block_number()
    ledger.registrar.register_log(ledger.origin, ledger.anchorer.address)
    ledger.registrar.register_log(ledger.origin, ledger.anchorer.address.lower())
    with pytest.raises(AlreadyExists, match=ledger.anchorer.address):
        ledger.registrar.register_log(ledger.origin, NOBODY)
    assert ledger.chain.block_number() == before


def test_only_the_registrar_registers(ledger: Ledger) -> None:
    with pytest.raises(AnchorRefuted, match="AccessControlUnauthorizedAccount"):
        EvmRegistrar(ledger.chain, ledger.key).register_log(new_origin(), NOBODY)


def test_an_operator_that_is_no_address_is_refused(ledger: Ledger) -> None:
    with pytest.raises(MalformedInput):
        ledger.registrar.register_log(new_origin(), "somebody")


# --- Anchoring, and reading what was anchored


def test_what_is_anchored_is_read_back_as_the_ledger_has_it(ledger: Ledger) -> None:
    anchored = 0
    for count in (1, 2, 1, 5, 13):
        headers = ledger.close(count)
        ledger.anchor(ledger.anchorer.sign_anchor(headers))
        anchored += count
        assert ledger.chain.size_of(ledger.log) == ChainSize(anchored, headers[-1].end)
        assert ledger.chain.root_of(ledger.log) == ledger.root(anchored)
    for header in ledger.closed:
        check_anchored(header, ledger.chain.batch_of(ledger.log, header.batch_no))


def test_the_anchor_says_where_it_is(ledger: Ledger) -> None:
    transaction = ledger.anchorer.sign_anchor(ledger.close(2))
    assert ledger.chain.outcome(transaction.hash) is None
    assert ledger.chain.anchored_in(transaction.hash, ledger.log, BatchNo(0)) is None
    outcome = ledger.anchor(transaction)
    assert outcome.succeeded
    assert outcome.block_number == ledger.chain.block_number()
    anchor = ledger.chain.anchored_in(transaction.hash, ledger.log, BatchNo(1))
    assert anchor is not None
    assert (anchor.contract, anchor.tx_hash) == (ledger.contract, transaction.hash)
    assert (anchor.block_number, anchor.block_hash) == (outcome.block_number, outcome.block_hash)
    assert ledger.chain.find_anchor(ledger.log, BatchNo(1)) == anchor
    assert ledger.chain.find_anchor(ledger.log, BatchNo(2)) is None
    assert ledger.chain.anchored_in(transaction.hash, ledger.log, BatchNo(2)) is None
    assert ledger.chain.anchored_in(transaction.hash, log_id(new_origin()), BatchNo(1)) is None
    block = ledger.node.ask("eth_getBlockByNumber", hex(anchor.block_number), False)
    assert ledger.chain.batch_of(ledger.log, BatchNo(1)).anchored_at == int(block["timestamp"], 16)


def test_another_contracts_event_is_no_anchor(ledger: Ledger, registrar_key: bytes) -> None:
    transaction = ledger.anchorer.sign_anchor(ledger.close())
    ledger.anchor(transaction)
    other = EvmChain(ledger.node.url, deploy(ledger.node.url, registrar_key).contract)
    assert other.anchored_in(transaction.hash, ledger.log, BatchNo(0)) is None
    assert other.find_anchor(ledger.log, BatchNo(0)) is None
    other.close()


def test_a_gap_is_refused_before_it_is_signed(ledger: Ledger) -> None:
    ledger.close()
    with pytest.raises(AnchorRefuted, match=r"WrongBatchNo\(expected=0, got=1\)") as caught:
        ledger.anchorer.sign_anchor(ledger.close())
    assert caught.value.step == "chain"
    assert caught.value.details == {"error": "WrongBatchNo", "arguments": {"expected": 0, "got": 1}}


def test_a_stranger_cannot_anchor(ledger: Ledger) -> None:
    stranger = EvmAnchorer(ledger.chain, rich_key(ledger.node))
    with pytest.raises(AnchorRefuted, match=f"NotOperator.*{stranger.address}"):
        stranger.sign_anchor(ledger.close())


def test_batches_that_do_not_follow_each_other_are_a_programming_error(ledger: Ledger) -> None:
    first, _, third = ledger.close(3)
    for wrong in ([], [first, third], [third, first]):
        with pytest.raises(ValueError, match=r"nothing|follow"):
            ledger.anchorer.sign_anchor(wrong)


def test_too_many_batches_at_once_are_refused(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "MAX_GAS", 200_000)
    with pytest.raises(TooLarge, match="fewer batches"):
        ledger.anchorer.sign_anchor(ledger.close(10))


def test_an_unknown_batch_is_refuted(ledger: Ledger) -> None:
    with pytest.raises(AnchorRefuted, match=r"UnknownBatch\(size=0, got=7\)") as caught:
        ledger.chain.batch_of(ledger.log, BatchNo(7))
    assert caught.value.step == "chain"


# --- Sending


def test_sending_again_is_nothing(ledger: Ledger) -> None:
    """Also for an account's first transaction, which Ganache runs once more when it is sent once more."""
    for _ in range(3):
        transaction = ledger.anchorer.sign_anchor(ledger.close())
        ledger.anchor(transaction)
        first = ledger.chain.outcome(transaction.hash), ledger.chain.block_number()
        assert ledger.anchorer.send(transaction) is True
        assert (ledger.chain.outcome(transaction.hash), ledger.chain.block_number()) == first
    assert ledger.chain.size_of(ledger.log) == ChainSize(3, ledger.closed[-1].end)


def test_of_two_with_the_same_nonce_the_second_can_never_take_effect(ledger: Ledger) -> None:
    for _ in range(2):
        headers = ledger.close()
        first, second = ledger.anchorer.sign_anchor(headers), ledger.anchorer.sign_anchor(
            [close_batch(ledger.log, headers[0].batch_no, headers[0].first_leaf, [leaf_hash(b"other")], 5)]
        )  # fmt: skip
        ledger.closed[-1] = headers[0]
        assert first.hash != second.hash
        ledger.anchor(first)
        assert ledger.anchorer.send(second) is False
        assert ledger.chain.outcome(second.hash) is None


def test_a_lost_answer_is_found_out_by_asking(ledger: Ledger, wire: Wire) -> None:
    behind = EvmChain(wire.url, ledger.contract)
    anchorer = EvmAnchorer(behind, ledger.key)
    transaction = anchorer.sign_anchor(ledger.close())
    wire.lose = {"eth_sendRawTransaction"}
    with pytest.raises(ChainUnavailable):
        anchorer.send(transaction)
    assert wire.asked.count("eth_sendRawTransaction") == 1, "sent once, although the answer was lost"
    wire.lose = set()
    assert ledger.mined(transaction).succeeded
    assert behind.outcome(transaction.hash) == ledger.mined(transaction)
    assert anchorer.send(transaction) is True
    behind.close()


def test_while_there_is_no_block_there_is_no_outcome(ledger: Ledger) -> None:
    transaction = ledger.anchorer.sign_anchor(ledger.close())
    with ledger.node.paused():
        assert ledger.anchorer.send(transaction) is True
        assert ledger.anchorer.send(transaction) is True
        assert ledger.chain.outcome(transaction.hash) is None
        assert ledger.chain.size_of(ledger.log) == ChainSize(0, 0)
    assert ledger.mined(transaction).succeeded


def test_a_reverted_transaction_is_mined_and_has_anchored_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = ledger.close()
    good = ledger.anchorer.sign_anchor(headers)
    monkeypatch.setattr(sender._Sender, "_nonce", lambda self, address, block: int(block == "pending"))
    late = ledger.anchorer.sign_anchor(headers)
    monkeypatch.undo()
    with ledger.node.paused():
        ledger.anchorer.send(good)
        assert ledger.anchorer.send(late) is True
    assert not ledger.mined(late).succeeded
    assert ledger.chain.anchored_in(late.hash, ledger.log, BatchNo(0)) is None
    anchor = ledger.chain.find_anchor(ledger.log, BatchNo(0))
    assert anchor is not None
    assert anchor.tx_hash == good.hash


def test_a_transaction_of_an_earlier_key_is_judged_by_that_keys_nonces(ledger: Ledger) -> None:
    transaction = ledger.anchorer.sign_anchor(ledger.close())
    ledger.anchor(transaction)
    assert EvmAnchorer(ledger.chain, rich_key(ledger.node)).send(transaction) is True


def test_without_money_nothing_is_sent(ledger: Ledger) -> None:
    poor = secrets.token_bytes(32)
    origin = new_origin()
    ledger.registrar.register_log(origin, address_of(poor))
    header = close_batch(log_id(origin), BatchNo(0), Position(0), [leaf_hash(b"")], 1)
    anchorer = EvmAnchorer(ledger.chain, poor)
    with pytest.raises(ChainUnavailable):
        anchorer.send(anchorer.sign_anchor([header]))
    assert ledger.chain.size_of(log_id(origin)) == ChainSize(0, 0)


# --- Other histories


def test_what_a_reorganisation_undoes_has_no_outcome(ledger: Ledger) -> None:
    transaction = ledger.anchorer.sign_anchor(ledger.close())
    with ledger.node.undone():
        ledger.anchor(transaction)
    assert ledger.chain.outcome(transaction.hash) is None
    assert ledger.chain.anchored_in(transaction.hash, ledger.log, BatchNo(0)) is None
    assert ledger.chain.find_anchor(ledger.log, BatchNo(0)) is None
    assert ledger.chain.size_of(ledger.log) == ChainSize(0, 0)
    ledger.anchor(transaction)
    assert ledger.chain.anchored_in(transaction.hash, ledger.log, BatchNo(0)) is not None


def test_a_block_that_another_replaces_takes_its_anchor_along(ledger: Ledger) -> None:
    if ledger.node.name != "anvil":
        pytest.skip("only Anvil can replace blocks by others")
    transaction = ledger.anchorer.sign_anchor(ledger.close())
    ledger.anchor(transaction)
    height = ledger.chain.block_number()
    ledger.node.ask("anvil_reorg", 1, [])
    assert ledger.chain.block_number() == height
    outcome = ledger.chain.outcome(transaction.hash)
    assert outcome is None
    assert ledger.chain.size_of(ledger.log) == ChainSize(0, 0)


# --- Nodes that are not what they should be


def test_another_chain_id_is_refused(ledger: Ledger) -> None:
    wrong = EvmChain(ledger.node.url, ContractRef(5, ledger.contract.address))
    for question in (wrong.check, lambda: wrong.size_of(ledger.log), wrong.block_number):
        with pytest.raises(ChainUnavailable, match="another chain: expected chain id 5"):
            question()
    wrong.close()


def test_a_transaction_is_not_sent_to_another_chain(ledger: Ledger) -> None:
    """There, the account's nonces would say that it can never take effect."""
    transaction = ledger.anchorer.sign_anchor(ledger.close())
    wrong = EvmChain(ledger.node.url, ContractRef(5, ledger.contract.address))
    with pytest.raises(ChainUnavailable, match="another chain"):
        EvmAnchorer(wrong, ledger.key).send(transaction)
    wrong.close()


def test_no_contract_at_the_address_is_refused(ledger: Ledger) -> None:
    wrong = EvmChain(ledger.node.url, ContractRef(ledger.contract.chain_id, NOBODY))
    for question in (wrong.check, lambda: wrong.size_of(ledger.log)):
        with pytest.raises(ChainUnavailable, match=f"no contract at {NOBODY}"):
            question()
    wrong.close()


def test_an_address_in_the_wrong_case_is_refused(node: DevelopmentChain) -> None:
    with pytest.raises(MalformedInput, match="EIP-55"):
        EvmChain(node.url, ContractRef(1, "0xB80ED8Df2553666354E955E2928dd55010F5f2E2"))


ANSWERS = {
    "nothing": b"",
    "HTML": b"<html>Bad gateway</html>",
    "not text": b"\xff\xfe\x00",
    "a number": b"5",
    "a list": b"[]",
    "null": b"null",
    "no result": b'{"jsonrpc":"2.0","id":0}',
    "null for a result": b'{"jsonrpc":"2.0","id":0,"result":null}',
    "a number for a result": b'{"jsonrpc":"2.0","id":0,"result":7}',
    "an object for a result": b'{"jsonrpc":"2.0","id":0,"result":{}}',
    "odd hexadecimal": b'{"jsonrpc":"2.0","id":0,"result":"0xabc"}',
    "a short word": b'{"jsonrpc":"2.0","id":0,"result":"0xabcd"}',
    "words that do not decode": b'{"jsonrpc":"2.0","id":0,"result":"0x' + b"f" * 320 + b'"}',
    "an error that is text": b'{"jsonrpc":"2.0","id":0,"error":"no"}',
    "an error without words": b'{"jsonrpc":"2.0","id":0,"error":{}}',
    "a refusal": b'{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"limit\\u0000\\nexceeded"}}',
    "an unknown method": b'{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no such method"}}',
    "deep nesting": b'{"jsonrpc":"2.0","id":0,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("what", ANSWERS)
def test_whatever_a_node_answers_the_error_is_ours(ledger: Ledger, wire: Wire, what: str) -> None:
    behind = EvmChain(wire.url, ledger.contract)
    header = ledger.close()
    transaction = ledger.anchorer.sign_anchor(header)
    behind.check()
    questions = (
        lambda: behind.size_of(ledger.log),
        lambda: behind.root_of(ledger.log),
        lambda: behind.batch_of(ledger.log, BatchNo(0)),
        lambda: EvmAnchorer(behind, ledger.key).sign_anchor(header),
        lambda: EvmAnchorer(behind, ledger.key).send(transaction),
        behind.check,
    )
    for question in questions:
        behind.check()
        wire.instead = ANSWERS[what]
        with pytest.raises(ChainUnavailable) as caught:
            question()
        assert "\n" not in str(caught.value)
        wire.instead = None
    behind.close()


def test_nested_json_still_ends_in_an_exception() -> None:
    """py_ecc, which web3 imports, would have it end the process."""
    program = "import json, ledger.adapters.evm; json.loads('[' * 1_000_000)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "RecursionError" in ran.stderr
    assert ran.returncode == 1


def test_a_node_that_is_away_is_unavailable(ledger: Ledger) -> None:
    away = EvmChain(f"http://127.0.0.1:{free_port()}/v3/secret", ledger.contract)
    for question in (away.check, away.block_number, lambda: away.size_of(ledger.log)):
        with pytest.raises(ChainUnavailable, match="does not answer") as caught:
            question()
        assert caught.value.advice
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None
    away.close()


def test_a_node_that_comes_back_as_another_is_looked_at_again(ledger: Ledger, wire: Wire) -> None:
    behind = EvmChain(wire.url, ledger.contract)
    assert behind.size_of(ledger.log) == ChainSize(0, 0)
    wire.status, wire.instead = 503, b"away"
    with pytest.raises(ChainUnavailable, match="HTTP status 503"):
        behind.size_of(ledger.log)
    wire.status, wire.instead = 200, b'{"jsonrpc":"2.0","id":0,"result":"0x5"}'
    with pytest.raises(ChainUnavailable, match="another chain"):
        behind.size_of(ledger.log)
    behind.close()


OVERTAKEN = (
    b'{"jsonrpc":"2.0","id":0,"error":{"code":-32602,'
    b'"message":"BlockOutOfRangeError: block height is 164 but requested was 163"}}'
)


def test_a_node_that_mines_while_it_is_asked_is_asked_again(ledger: Ledger, wire: Wire) -> None:
    asked = EvmChain(wire.url, ledger.contract)
    wire.first["eth_call"] = [OVERTAKEN] * 2
    assert asked.size_of(ledger.log) == ChainSize(0, 0)
    wire.first["eth_call"] = [OVERTAKEN] * 50
    with pytest.raises(ChainUnavailable, match="BlockOutOfRange"):
        asked.size_of(ledger.log)
    assert len(wire.first["eth_call"]) > 40, "not for ever"
    asked.close()


def test_a_slow_node_is_not_waited_for(ledger: Ledger, wire: Wire) -> None:
    behind = EvmChain(wire.url, ledger.contract, timeout=0.2)
    wire.delay = 0.5
    with pytest.raises(ChainUnavailable, match="too long"):
        behind.check()
    assert wire.asked == ["eth_chainId"]
    behind.close()


@pytest.mark.parametrize(
    "url", ["", "ftp://127.0.0.1", "http://", "127.0.0.1:8545", "http://[::1", "http://a:b"]
)
def test_a_url_that_is_none_is_refused(ledger: Ledger, url: str) -> None:
    with pytest.raises(MalformedInput):
        EvmChain(url, ledger.contract)


def test_keys_do_not_show(ledger: Ledger) -> None:
    for thing in (
        ledger.anchorer,
        ledger.registrar,
        ledger.anchorer._sender,
        ledger.anchorer._sender._account,
    ):
        assert ledger.key.hex() not in repr(thing) + str(thing)
    for wrong in (b"", bytes(32), b"\xff" * 32, ledger.key[:31]):
        with pytest.raises(MalformedInput) as caught:
            address_of(wrong)
        assert wrong.hex() not in str(caught.value) or not wrong


def test_a_chain_without_base_fee_is_paid_a_plain_price(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Berlin's rules: no EIP-1559."""
    price = int(ledger.node.ask("eth_gasPrice"), 16)
    monkeypatch.setattr(sender._Sender, "_fees", lambda self: {"gasPrice": price})
    transaction = ledger.anchorer.sign_anchor(ledger.close())
    assert transaction.raw[0] >= 0xC0, "a legacy transaction"
    ledger.anchor(transaction)
    assert ledger.anchorer.send(transaction) is True
    assert ledger.chain.size_of(ledger.log) == ChainSize(1, ledger.closed[-1].end)


def test_threads_may_share_one_chain(ledger: Ledger) -> None:
    ledger.anchor(ledger.anchorer.sign_anchor(ledger.close(20)))
    start = threading.Barrier(8)

    def read(number: int) -> bool:
        start.wait(10)
        for header in ledger.closed:
            check_anchored(header, ledger.chain.batch_of(ledger.log, header.batch_no))
        return ledger.chain.root_of(ledger.log) == ledger.root(20)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))
