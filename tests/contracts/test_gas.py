"""What TransferLog costs. Gas is deterministic, so its limits are tests; the table is printed after the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driver import Deployment, Log, NewBatch, some_batches

from ledger import merkle

SteadyState = 64
LIMIT_STEADY = 96_000

Record = Callable[[str, object], None]


def anchor_calls(log: Log, count: int, group: int) -> list[int]:
    used = []
    for _ in range(count):
        start = len(log.headers)
        used.append(log.anchor(*some_batches(group, start))["gasUsed"])
    return used


def test_a_batch_in_steady_state_costs_less_than_96_000_gas(
    contract: Deployment, log: Log, record_property: Record
) -> None:
    record_property("gas: deployment", contract.receipt["gasUsed"])
    used = anchor_calls(log, 2 * SteadyState, 1)
    steady = used[SteadyState:]
    average = sum(steady) // len(steady)
    record_property("gas: anchor, the first batch of a log", used[0])
    record_property(
        f"gas: anchor, one batch per call, mean of batches {SteadyState} to {2 * SteadyState - 1}", average
    )
    record_property("gas: the dearest of them, which completes 128 batches", max(steady))
    assert average < LIMIT_STEADY


@pytest.mark.parametrize("group", [4, 16])
def test_batches_in_one_call_share_its_cost(log: Log, record_property: Record, group: int) -> None:
    anchor_calls(log, 4, 16)
    single = sum(anchor_calls(log, 16, 1)) // 16
    used = sum(anchor_calls(log, 4, group)) // (4 * group)
    record_property(f"gas: anchor, {group} batches per call, per batch", used)
    assert used < 0.8 * single


def test_registering_costs_two_words_at_most(contract: Deployment, record_property: Record) -> None:
    receipt = contract.send(
        "registerLog", "ledger.example/acme-live", contract.operator, sender=contract.registrar
    )
    record_property("gas: registerLog", receipt["gasUsed"])
    assert receipt["gasUsed"] < 60_000


def test_verifying_an_event_of_1024_costs_little(
    contract: Deployment, log: Log, record_property: Record
) -> None:
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(1024)]
    tree = merkle.BatchTree(leaves)
    log.anchor(NewBatch(bytes(tree.root), leaf_count=1024))
    call = contract.code.functions.verifyEvent(log.id, 0, leaves[700], 700, list(tree.path(700)))
    estimate = call.estimate_gas()
    record_property("gas: verifyEvent, a batch of 1024 (estimate; free as a call)", estimate)
    assert estimate < 60_000
