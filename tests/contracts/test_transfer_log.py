"""TransferLog on a real Anvil: what it takes, what it refuses and with which words, what it answers."""

from __future__ import annotations

import hashlib

import pytest
from driver import HEADER, Deployment, Log, NewBatch, some_batches, some_root
from web3 import Web3

from ledger import merkle

NOBODY = "0x" + "00" * 20
UNKNOWN = hashlib.sha256(b"no such log").digest()
MAX_LEAVES = 2**48 - 1
MAX_TIME = 2**40 - 1
REGISTRAR_ROLE = Web3.keccak(text="REGISTRAR_ROLE")
ADMIN_ROLE = bytes(32)


def rfc6962_root(headers: list[bytes]) -> bytes:
    return bytes(merkle.tree_root([merkle.leaf_hash(header) for header in headers]))


# --- Registering


def test_a_log_is_named_by_the_sha256_of_its_origin(contract: Deployment) -> None:
    origin = "ledger.example/直播-1"
    receipt = contract.send("registerLog", origin, contract.operator, sender=contract.registrar)
    log_id = hashlib.sha256(origin.encode()).digest()
    assert contract.events("LogRegistered", receipt) == [
        {"logId": log_id, "origin": origin, "operator": contract.operator}
    ]
    assert contract.ask("operatorOf", log_id) == contract.operator


def test_register_returns_the_log_id(contract: Deployment) -> None:
    call = contract.code.functions.registerLog("a", contract.operator)
    assert call.call({"from": contract.registrar}) == hashlib.sha256(b"a").digest()


def test_an_empty_origin_is_refused(contract: Deployment) -> None:
    with contract.refuses("EmptyOrigin"):
        contract.send("registerLog", "", contract.operator, sender=contract.registrar)


def test_registering_without_an_operator_is_refused(contract: Deployment) -> None:
    with contract.refuses("ZeroOperator"):
        contract.send("registerLog", "a", NOBODY, sender=contract.registrar)


def test_registering_twice_is_refused(contract: Deployment, log: Log) -> None:
    with contract.refuses("LogAlreadyRegistered", logId=log.id):
        contract.send("registerLog", "ledger.example/acme-live", contract.other, sender=contract.registrar)
    assert contract.ask("operatorOf", log.id) == contract.operator


def test_only_the_registrar_registers(contract: Deployment) -> None:
    with contract.refuses(
        "AccessControlUnauthorizedAccount", account=contract.other, neededRole=bytes(REGISTRAR_ROLE)
    ):
        contract.send("registerLog", "a", contract.other, sender=contract.other)


def test_an_unknown_log_has_no_operator(contract: Deployment) -> None:
    assert contract.ask("operatorOf", UNKNOWN) == NOBODY


# --- Roles


def test_the_registrar_is_admin_too(contract: Deployment) -> None:
    assert contract.ask("REGISTRAR_ROLE") == REGISTRAR_ROLE
    for role in (REGISTRAR_ROLE, ADMIN_ROLE):
        assert contract.ask("hasRole", role, contract.registrar)
        assert not contract.ask("hasRole", role, contract.other)


def test_a_deployment_without_a_registrar_is_refused(contract: Deployment) -> None:
    with contract.refuses("ZeroRegistrar"):
        Deployment.on(contract.web3, registrar=NOBODY)


def test_a_second_registrar_can_be_named_and_removed(contract: Deployment) -> None:
    contract.send("grantRole", REGISTRAR_ROLE, contract.other, sender=contract.registrar)
    contract.send("registerLog", "a", contract.operator, sender=contract.other)
    contract.send("revokeRole", REGISTRAR_ROLE, contract.other, sender=contract.registrar)
    with contract.refuses(
        "AccessControlUnauthorizedAccount", account=contract.other, neededRole=bytes(REGISTRAR_ROLE)
    ):
        contract.send("registerLog", "b", contract.operator, sender=contract.other)


def test_a_rotation_lets_the_new_operator_anchor_and_refuses_the_old(contract: Deployment, log: Log) -> None:
    log.anchor(*some_batches(3))
    receipt = contract.send("rotateOperator", log.id, contract.other, sender=contract.registrar)
    assert contract.events("OperatorRotated", receipt) == [
        {"logId": log.id, "previous": contract.operator, "current": contract.other}
    ]
    assert contract.ask("operatorOf", log.id) == contract.other
    with contract.refuses("NotOperator", expected=contract.other, got=contract.operator):
        log.try_to_anchor(3, log.leaves, some_batches(1, 3))
    log.anchor(*some_batches(2, 3), sender=contract.other)
    assert (log.root, log.size) == (rfc6962_root(log.headers), (5, log.leaves))


def test_only_the_registrar_rotates(contract: Deployment, log: Log) -> None:
    with contract.refuses(
        "AccessControlUnauthorizedAccount", account=contract.operator, neededRole=bytes(REGISTRAR_ROLE)
    ):
        contract.send("rotateOperator", log.id, contract.other, sender=contract.operator)


def test_a_rotation_to_nobody_is_refused(contract: Deployment, log: Log) -> None:
    with contract.refuses("ZeroOperator"):
        contract.send("rotateOperator", log.id, NOBODY, sender=contract.registrar)


def test_a_rotation_of_an_unknown_log_is_refused(contract: Deployment) -> None:
    with contract.refuses("UnknownLog", logId=UNKNOWN):
        contract.send("rotateOperator", UNKNOWN, contract.other, sender=contract.registrar)


def test_the_registrar_cannot_anchor(contract: Deployment, log: Log) -> None:
    with contract.refuses("NotOperator", expected=contract.operator, got=contract.registrar):
        log.try_to_anchor(0, 0, some_batches(1), sender=contract.registrar)


def test_the_operator_of_one_log_cannot_anchor_to_another(contract: Deployment, log: Log) -> None:
    contract.send("registerLog", "another", contract.other, sender=contract.registrar)
    with contract.refuses("NotOperator", expected=contract.operator, got=contract.other):
        log.try_to_anchor(0, 0, some_batches(1), sender=contract.other)


# --- Anchoring


def test_each_batch_is_announced_with_the_fields_of_its_header(contract: Deployment, log: Log) -> None:
    log.anchor(*some_batches(2))
    receipt = log.anchor(*some_batches(3, 2))
    events = contract.events("BatchAnchored", receipt)
    assert len(events) == 3
    fields = ("logId", "batchNo", "firstLeaf", "leafCount", "closedAt", "root")
    assert [HEADER.pack(*(event[name] for name in fields)) for event in events] == log.headers[2:]


def test_nothing_to_anchor_is_refused(contract: Deployment, log: Log) -> None:
    with contract.refuses("NothingToAnchor"):
        log.try_to_anchor(0, 0, [])


def test_anchoring_to_an_unknown_log_is_refused(contract: Deployment) -> None:
    with contract.refuses("UnknownLog", logId=UNKNOWN):
        Log(contract, UNKNOWN).try_to_anchor(0, 0, some_batches(1))


def test_anchoring_a_batch_again_is_refused(contract: Deployment, log: Log) -> None:
    log.anchor(*some_batches(3))
    with contract.refuses("WrongBatchNo", expected=3, got=0):
        log.try_to_anchor(0, 0, some_batches(1))
    with contract.refuses("WrongBatchNo", expected=3, got=2):
        log.try_to_anchor(2, log.batches[2].first_leaf, [NewBatch(some_root(99))])


def test_a_gap_is_refused(contract: Deployment, log: Log) -> None:
    log.anchor(*some_batches(3))
    with contract.refuses("WrongBatchNo", expected=3, got=4):
        log.try_to_anchor(4, log.leaves, some_batches(1))


@pytest.mark.parametrize("off", [-1, 1])
def test_a_gap_or_an_overlap_between_leaves_is_refused(contract: Deployment, log: Log, off: int) -> None:
    log.anchor(*some_batches(3))
    with contract.refuses("WrongFirstLeaf", expected=log.leaves, got=log.leaves + off):
        log.try_to_anchor(3, log.leaves + off, some_batches(1))


def test_an_empty_log_begins_at_zero(contract: Deployment, log: Log) -> None:
    with contract.refuses("WrongBatchNo", expected=0, got=1):
        log.try_to_anchor(1, 0, some_batches(1))
    with contract.refuses("WrongFirstLeaf", expected=0, got=1):
        log.try_to_anchor(0, 1, some_batches(1))


def test_an_empty_batch_is_refused_and_with_it_the_whole_call(contract: Deployment, log: Log) -> None:
    with contract.refuses("EmptyBatch", batchNo=1):
        log.try_to_anchor(0, 0, [NewBatch(some_root(0)), NewBatch(some_root(1), leaf_count=0)])
    assert log.size == (0, 0)


def test_a_closing_time_that_is_not_in_seconds_is_refused(contract: Deployment, log: Log) -> None:
    log.anchor(NewBatch(some_root(0), closed_at=MAX_TIME))
    with contract.refuses("ClosedAtTooLate", max=MAX_TIME, got=MAX_TIME + 1):
        log.try_to_anchor(1, 1, [NewBatch(some_root(1), closed_at=MAX_TIME + 1)])
    assert log.batch(0) == log.batches[0]


def test_more_leaves_than_a_log_can_hold_are_refused(contract: Deployment, log: Log) -> None:
    log.anchor(NewBatch(some_root(0), leaf_count=10))
    pretend_leaves(log, MAX_LEAVES - 5)
    with contract.refuses("TooManyLeaves", max=MAX_LEAVES, got=MAX_LEAVES + 1):
        log.try_to_anchor(1, MAX_LEAVES - 5, [NewBatch(some_root(1), leaf_count=6)])
    log.try_to_anchor(1, MAX_LEAVES - 5, [NewBatch(some_root(1), leaf_count=5)])
    assert log.size == (2, MAX_LEAVES)
    assert log.batch(1)[1:3] == (MAX_LEAVES - 5, 5)


def pretend_leaves(log: Log, leaves: int) -> None:
    """Write into the contract's storage that the log holds so many leaves: nobody could anchor them in a test."""
    web3, address = log.contract.web3, log.contract.code.address
    slot = int.from_bytes(Web3.keccak(log.id + (1).to_bytes(32, "big")))
    head = int.from_bytes(web3.eth.get_storage_at(address, slot))
    assert head >> 208 == log.leaves, "the slot is another one now"
    head = head & (2**208 - 1) | leaves << 208
    web3.provider.make_request("anvil_setStorageAt", [address, hex(slot), "0x" + head.to_bytes(32).hex()])


def test_logs_do_not_touch_each_other(contract: Deployment, log: Log) -> None:
    another = contract.register("another")
    for number in range(5):
        log.anchor(*some_batches(2, 2 * number))
        another.anchor(*some_batches(1, 100 + number))
    for one in (log, another):
        assert one.root == rfc6962_root(one.headers)
        assert [one.batch(number) for number in range(len(one.batches))] == one.batches


# --- Answering


def test_an_empty_log_has_the_hash_of_nothing_as_root(log: Log) -> None:
    assert log.size == (0, 0)
    assert log.root == hashlib.sha256(b"").digest()


def test_the_root_of_one_batch_is_its_leaf(log: Log) -> None:
    log.anchor(NewBatch(some_root(7), 3, 1_700_000_000))
    header = (
        log.id + bytes(8) + bytes(8) + bytes([0, 0, 0, 3]) + (1_700_000_000).to_bytes(8, "big") + some_root(7)
    )
    assert len(header) == 92
    assert log.root == hashlib.sha256(b"\x00" + header).digest()


def test_a_batch_keeps_every_field_to_its_width(log: Log) -> None:
    log.anchor(NewBatch(b"\xff" * 32, 2**32 - 1, MAX_TIME), NewBatch(bytes(32), 1, 0))
    log.anchor(NewBatch(b"\x80" + bytes(31), 2**32 - 1, MAX_TIME))
    assert [log.batch(number) for number in range(3)] == log.batches


def test_a_batch_knows_when_its_block_was(contract: Deployment, log: Log) -> None:
    now = contract.web3.eth.get_block("latest")["timestamp"]
    for number in range(4):
        contract.web3.provider.make_request("evm_setNextBlockTimestamp", [now + 1000 * (number + 1)])
        log.anchor(*some_batches(1, number))
    assert [log.batch(number).anchored_at - now for number in range(4)] == [1000, 2000, 3000, 4000]


@pytest.mark.parametrize("anchored", [0, 3])
def test_a_batch_that_is_not_there_is_refused(contract: Deployment, log: Log, anchored: int) -> None:
    if anchored:
        log.anchor(*some_batches(anchored))
    for number in (anchored, 2**48, 2**64 - 1):
        with contract.refuses("UnknownBatch", size=anchored, got=number):
            log.batch(number)
        with contract.refuses("UnknownBatch", size=anchored, got=number):
            contract.ask("verifyEvent", log.id, number, some_root(0), 0, [])


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("sizeOf", ()), ("rootOf", ()), ("batchOf", (0,)), ("verifyEvent", (0, bytes(32), 0, []))],
)
def test_questions_about_an_unknown_log_are_refused(
    contract: Deployment, function: str, arguments: tuple[object, ...]
) -> None:
    with contract.refuses("UnknownLog", logId=UNKNOWN):
        contract.ask(function, UNKNOWN, *arguments)
