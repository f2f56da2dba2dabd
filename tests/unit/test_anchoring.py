"""The anchoring state machine under every fault: with a strict stand-in chain, and on a real Anvil."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from support.chains import wired
from support.ledgers import (
    PARTY,
    Bed,
    HandClock,
    LedgerMaker,
    access,
    anchor_all,
    assert_settled,
    new_origin,
    pipeline_of,
    policy,
)
from support.processes import wait_for
from support.strict_chain import Fate, Killed, Mortal, StrictChain

from ledger import anchoring
from ledger.adapters.keys import FileKeyring
from ledger.adapters.sql import open_store
from ledger.errors import AnchorRefuted, ChainUnavailable, HistoryForked
from ledger.pipeline import Pipeline
from ledger.policy import Policy
from ledger.ports import Store
from ledger.records import Anchoring, AnchorState, Log, Party, Role
from ledger.types import Origin, log_id

INTENDED, SENT, MINED, FINAL, REORGED, FAILED = AnchorState


@pytest.fixture(autouse=True)
def few_attempts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every log here is long, and each fault one that has to be looked for further back."""
    monkeypatch.setattr(anchoring, "NEWEST", 2)
    monkeypatch.setattr(anchoring, "FURTHER", 2)


@dataclass
class World:
    """A store, a strict chain, and one log."""

    store: Store
    chain: StrictChain
    keyring: FileKeyring
    clock: HandClock
    origin: Origin
    numbers: Iterator[int]
    policy: Policy

    def process(self, fate: Fate | None = None, **changes: Any) -> Pipeline:
        """A process that has just started, and that `fate` may kill."""
        fate = fate or Fate()
        chain = Mortal(self.chain, fate)
        parts = {"store": Mortal(self.store, fate), "chain": chain, "anchorer": chain, "policy": self.policy}
        return pipeline_of(keyring=self.keyring, clock=self.clock, **{**parts, **changes})

    def add(self, batches: int = 1) -> None:
        """Seal more batches, of three events each, without asking the chain."""
        pipeline = self.process()
        pipeline.guard._held.add(self.origin)
        pipeline.push(self.origin, PARTY, [access(next(self.numbers)) for _ in range(3 * batches)])
        pipeline.seal(self.origin, force=True)

    def states(self) -> list[AnchorState]:
        return [attempt.state for attempt in self.store.anchorings(self.origin)]

    def live(self) -> list[Anchoring]:
        return [attempt for attempt in self.store.anchorings(self.origin) if not attempt.state.ended]

    def assert_settled(self) -> None:
        assert_settled(self.store, self.chain, self.origin)
        mine = [number for log, number in self.chain.anchored() if log == log_id(self.origin)]
        assert mine == list(range(self.store.head(self.origin).batches)), "nothing is anchored twice"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """In memory where there is a file system for that: who dies here dies between commits, not within one."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        store = open_store(f"sqlite:///{folder}/ledger.db")
        store.add_party(Party(PARTY, "ACME Live", Role.PLATFORM, "CN"))
        yield store
        store.close()


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> FileKeyring:
    return FileKeyring(tmp_path_factory.mktemp("keys"))


def make_world(store: Store, keyring: FileKeyring, **changes: Any) -> World:
    origin, chain = new_origin(), StrictChain()
    chain.register(origin)
    signer = keyring.create(origin)
    store.add_log(Log(origin, PARTY, str(signer.key), chain.contract, 0))
    return World(
        store, chain, keyring, HandClock(), origin, itertools.count(), policy(batch_leaves=3, **changes)
    )


@pytest.fixture
def world(store: Store, keyring: FileKeyring) -> World:
    return make_world(store, keyring)


# --- the happy way --------------------------------------------------------------------------------------


def test_sealed_batches_are_anchored_by_one_transaction(world: World) -> None:
    world.add(3)
    [attempt] = world.process().anchor(world.origin)
    assert (attempt.first, attempt.count, attempt.state) == (0, 3, FINAL)
    world.assert_settled()


def test_nothing_sealed_is_nothing_anchored_and_no_checkpoint(world: World) -> None:
    assert world.process().anchor(world.origin) == []
    assert world.store.checkpoint(world.origin) is None


def test_anchoring_again_sends_nothing_more(world: World) -> None:
    world.add(2)
    for _ in range(3):
        world.process().anchor(world.origin)
    assert len(world.chain.sent) == 1
    world.assert_settled()


class Counting:
    """A store that counts the attempts that are read from it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name not in ("anchorings", "newest_anchorings", "attempts"):
            return method

        def counted(*args: Any) -> list[Anchoring]:
            found: list[Anchoring] = method(*args)
            self.read += len(found)
            return found

        return counted


def test_what_a_round_reads_does_not_grow_with_the_log(store: Store, keyring: FileKeyring) -> None:
    world = make_world(store, keyring, batches_per_transaction=1)
    read = []
    for _ in range(3):
        world.add(20)
        anchor_all(world.process(), world.origin)
        counting = Counting(world.store)
        world.process(store=counting).anchor(world.origin)
        read.append(counting.read)
    assert len(set(read)) == 1
    assert read[0] < 40
    world.assert_settled()


def test_more_batches_than_a_transaction_takes_go_in_several(store: Store, keyring: FileKeyring) -> None:
    world = make_world(store, keyring, batches_per_transaction=2)
    world.add(5)
    anchor_all(world.process(), world.origin)
    assert [(a.first, a.count) for a in world.live()] == [(0, 2), (2, 2), (4, 1)]
    world.assert_settled()


def test_an_anchor_is_final_only_under_enough_blocks(store: Store, keyring: FileKeyring) -> None:
    world = make_world(store, keyring, confirmations=2)
    world.add(1)
    for expected in (MINED, MINED, FINAL):
        [attempt] = world.process().anchor(world.origin)
        assert attempt.state is expected
        assert (world.store.checkpoint(world.origin) is not None) == (expected is FINAL)
        world.chain.mine()
    world.assert_settled()


# --- dying at every step --------------------------------------------------------------------------------


def test_a_process_that_dies_at_any_step_is_resumed_by_the_next(store: Store, keyring: FileKeyring) -> None:
    for at in itertools.count():
        world = make_world(store, keyring, batches_per_transaction=2)
        world.add(3)
        fate = Fate(at)
        try:
            anchor_all(world.process(fate), world.origin)
        except Killed:
            anchor_all(world.process(), world.origin)
            world.assert_settled()
            assert len(world.chain.sent) == 2, "a resumed process sends what is kept, not something new"
        else:
            assert fate.steps >= 20, "the walk reached the end of a whole run"
            return


def test_a_process_that_dies_while_sealing_or_pushing_leaves_whole_events(
    store: Store, keyring: FileKeyring
) -> None:
    for at in itertools.count():
        world = make_world(store, keyring)
        events = [access(n) for n in range(5)]

        def work(pipeline: Pipeline, world: World = world, events: list[Any] = events) -> None:
            pipeline.push(world.origin, PARTY, events[:3])
            pipeline.push(world.origin, PARTY, events)
            pipeline.seal(world.origin, force=True)
            anchor_all(pipeline, world.origin)
            pipeline.project(world.origin)

        try:
            work(world.process(Fate(at)))
        except Killed:
            work(world.process())
            assert world.store.head(world.origin).size == 5
            assert world.store.projected(world.origin) == 5
            world.assert_settled()
        else:
            return


def test_a_process_that_dies_again_and_again_still_gets_there(store: Store, keyring: FileKeyring) -> None:
    world = make_world(store, keyring, batches_per_transaction=1)
    world.add(4)
    dice = Random(7)
    for _ in range(60):
        try:
            world.process(Fate(dice.randrange(14))).anchor(world.origin)
        except Killed:
            continue
    anchor_all(world.process(), world.origin)
    world.assert_settled()


# --- sending --------------------------------------------------------------------------------------------


def test_an_answer_that_is_lost_after_sending_is_looked_up_and_nothing_is_sent_twice(world: World) -> None:
    world.add()
    world.chain.lose_answer = True
    with pytest.raises(ChainUnavailable):
        world.process().anchor(world.origin)
    assert world.states() == [INTENDED]
    anchor_all(world.process(), world.origin)
    assert world.states() == [FINAL]
    assert len(world.chain.sent) == 1
    world.assert_settled()


def test_what_waits_is_neither_sent_nor_intended_again(world: World) -> None:
    world.chain.automine = False
    world.add()
    for _ in range(3):
        world.process().anchor(world.origin)
    world.add()
    world.process().anchor(world.origin)
    assert (world.states(), len(world.chain.sent)) == ([SENT], 1)
    world.chain.mine()
    world.chain.automine = True
    anchor_all(world.process(), world.origin)
    world.assert_settled()


def test_a_transaction_that_the_node_forgot_is_sent_again_as_it_was(world: World) -> None:
    world.chain.automine = False
    world.add()
    world.process().anchor(world.origin)
    world.chain.drop()
    world.process().anchor(world.origin)
    assert len(set(world.chain.sent)) == 1
    assert len(world.chain.sent) == 2
    world.chain.mine()
    anchor_all(world.process(), world.origin)
    assert world.states() == [FINAL]
    world.assert_settled()


def test_a_reverted_transaction_fails_and_the_batches_are_intended_again(world: World) -> None:
    world.add(2)
    world.chain.burn_gas()
    anchor_all(world.process(), world.origin)
    assert world.states() == [FAILED, FINAL]
    assert [a.attempt for a in world.store.anchorings(world.origin)] == [0, 1]
    world.assert_settled()


def test_a_transaction_whose_nonce_was_used_fails_and_the_batches_are_intended_again(world: World) -> None:
    world.chain.automine = False
    world.add()
    world.process().anchor(world.origin)
    world.chain.drop()
    world.chain.overtake()
    world.chain.automine = True
    anchor_all(world.process(), world.origin)
    assert world.states() == [FAILED, FINAL]
    world.assert_settled()


def test_a_nonce_that_is_used_between_intent_and_sending_fails_the_intent(world: World) -> None:
    world.add()
    die_after_intending(world)
    assert world.states() == [INTENDED]
    world.chain.overtake()
    anchor_all(world.process(), world.origin)
    assert world.states() == [FAILED, FINAL]
    world.assert_settled()


def die_after_intending(world: World) -> None:
    """Let processes die, each one step later, until one has left an intent and not sent it."""
    for at in itertools.count():
        with pytest.raises(Killed):
            world.process(Fate(at)).anchor(world.origin)
        if world.states():
            assert world.chain.sent == []
            return


def test_a_transaction_that_is_mined_after_it_was_given_up_is_adopted(world: World) -> None:
    world.chain.automine = False
    world.add(2)
    [sent] = world.process().anchor(world.origin)
    # Another node of the same chain still has it, while ours says that its nonce is used up.
    late = world.chain.pool[0]
    world.chain.drop()
    world.chain.overtake()
    world.process().anchor(world.origin)
    assert world.states()[0] is FAILED
    world.chain.drop()
    world.chain.reorg(1, "lose")
    world.chain.pool[0] = late
    world.chain.mine()
    world.chain.automine = True
    anchor_all(world.process(), world.origin)
    assert {a.tx_hash for a in world.live()} == {sent.tx_hash}
    world.assert_settled()


def test_two_workers_at_once_anchor_everything_once(store: Store, keyring: FileKeyring) -> None:
    """Every interleaving of one worker's whole round within another's, at each of its steps."""
    for at in itertools.count():
        world = make_world(store, keyring)
        world.add(2)
        other = world.process()

        class Interrupted(Fate):
            def step(self, other: Pipeline = other, world: World = world) -> None:
                if self.under_lock:  # where the other would wait
                    return
                self.steps += 1
                if self.steps - 1 == self.at:
                    other.anchor(world.origin)

            read = step

        fate = Interrupted(at)
        with contextlib.suppress(AnchorRefuted, ChainUnavailable):  # told, and tried again in the next round
            world.process(fate).anchor(world.origin)
        anchor_all(world.process(), world.origin)
        world.assert_settled()
        assert REORGED not in world.states(), "a chain that only grew lost nothing"
        if fate.steps <= at:
            return


# --- reorganisations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["return", "lose"])
@pytest.mark.parametrize("state", [MINED, FINAL])
def test_an_anchor_that_a_reorganisation_undoes_is_anchored_again(
    store: Store, keyring: FileKeyring, state: AnchorState, fate: Any
) -> None:
    world = make_world(store, keyring, confirmations=1)
    world.add(2)
    world.process().anchor(world.origin)
    if state is FINAL:
        world.chain.mine()
        world.process().anchor(world.origin)
    assert world.states() == [state]
    signed = world.store.checkpoint(world.origin)
    world.chain.reorg(2, fate)
    settle_mining(world)
    world.assert_settled()
    if signed is not None:
        assert world.store.checkpoint(world.origin) == signed, "the same history is not signed twice"


def settle_mining(world: World) -> None:
    for _ in range(12):
        world.process().anchor(world.origin)
        world.chain.mine()
    world.process().anchor(world.origin)


@pytest.mark.parametrize("confirmations", [0, 1])
def test_an_anchor_that_moves_to_another_block_is_told_at_its_new_place(
    store: Store, keyring: FileKeyring, confirmations: int
) -> None:
    world = make_world(store, keyring, confirmations=confirmations)
    world.add(2)
    settle_mining(world)
    world.add(1)
    settle_mining(world)
    world.assert_settled()
    world.chain.reorg(len(world.chain.blocks) - 1, "return")
    world.chain.mine()  # in again before anybody looked
    settle_mining(world)
    world.assert_settled()
    assert len(world.chain.sent) == 2, "nothing had to be sent for that"


def test_a_batch_that_another_transaction_anchored_after_a_reorganisation_is_told_there(world: World) -> None:
    world.add(1)
    anchor_all(world.process(), world.origin)
    [first] = world.live()
    headers = [sealed.header for sealed in world.store.batches(world.origin, 0, 1)]  # type: ignore[arg-type]
    world.chain.reorg(1, "lose")
    world.chain.send(world.chain.sign_anchor(headers))  # another worker, with another transaction
    for _ in range(3):
        world.process().anchor(world.origin)
    world.assert_settled()
    assert first.tx_hash not in {attempt.tx_hash for attempt in world.live()}


def test_a_chain_that_was_rolled_back_is_given_all_its_batches_again(world: World) -> None:
    for _ in range(3):
        world.add(1)
        anchor_all(world.process(), world.origin)
    checkpoints = world.store.checkpoints(world.origin)
    world.chain.reorg(100, "lose")
    assert world.chain.anchored() == []
    for _ in range(3):
        world.process().anchor(world.origin)
    world.assert_settled()
    assert world.store.checkpoints(world.origin) == checkpoints


def test_what_waits_behind_an_anchor_that_the_chain_lost_makes_way(world: World) -> None:
    world.add(1)
    anchor_all(world.process(), world.origin)
    world.chain.automine = False
    world.add(1)
    world.process().anchor(world.origin)
    assert world.states() == [FINAL, SENT]
    world.chain.reorg(100, "lose")  # the waiting transaction's nonce is now one too high, for ever
    world.chain.automine = True
    anchor_all(world.process(), world.origin)
    assert FAILED in world.states()
    world.process().anchor(world.origin)
    world.assert_settled()


# --- I6 -------------------------------------------------------------------------------------------------


def test_a_chain_with_more_batches_than_the_store_stops_anchoring(world: World, keyring: FileKeyring) -> None:
    world.add(1)
    anchor_all(world.process(), world.origin)
    [header] = [sealed.header for sealed in world.store.batches(world.origin, 0, 1)]  # type: ignore[arg-type]
    foreign = next_header(header)
    world.chain.send(world.chain.sign_anchor([foreign]))
    sent = list(world.chain.sent)
    with pytest.raises(HistoryForked, match="behind the chain"):
        world.process().anchor(world.origin)
    with pytest.raises(HistoryForked):
        world.process().push(world.origin, PARTY, [access(99)])
    assert world.chain.sent == sent


def test_a_chain_with_other_batches_than_the_store_stops_anchoring(world: World) -> None:
    world.add(1)
    anchor_all(world.process(), world.origin)
    [header] = [sealed.header for sealed in world.store.batches(world.origin, 0, 1)]  # type: ignore[arg-type]
    world.chain.send(world.chain.sign_anchor([next_header(header)]))
    world.chain.reorg(0, "lose")
    signed = world.store.checkpoints(world.origin)
    hold_without_looking(world).push(world.origin, PARTY, [access(50)])
    hold_without_looking(world).seal(world.origin, force=True)
    with pytest.raises(HistoryForked, match="different batches"):
        world.process().anchor(world.origin)
    assert world.store.checkpoints(world.origin) == signed


def hold_without_looking(world: World) -> Pipeline:
    """A process that held the log against the chain before the chain changed."""
    pipeline = world.process()
    pipeline.guard._held.add(world.origin)
    return pipeline


def next_header(header: Any) -> Any:
    from ledger.batch import close_batch
    from ledger.merkle import leaf_hash

    return close_batch(header.log_id, header.batch_no + 1, header.end, [leaf_hash(b"foreign")], 1)


def test_a_process_without_the_anchoring_key_sends_nothing_and_says_so(world: World) -> None:
    world.add()
    with pytest.raises(ChainUnavailable, match="no anchoring key"):
        world.process(anchorer=None).anchor(world.origin)
    assert world.chain.sent == []


# --- everything at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_a_walk_through_all_faults_ends_with_every_batch_anchored_once(
    store: Store, keyring: FileKeyring, seed: int
) -> None:
    dice = Random(seed)
    world = make_world(
        store, keyring, confirmations=dice.randrange(3), batches_per_transaction=dice.randint(1, 3)
    )
    chain = world.chain
    chain.automine = dice.random() < 0.5

    def work() -> None:
        with contextlib.suppress(Killed, ChainUnavailable, AnchorRefuted):
            world.process(Fate(dice.choice([None, None, dice.randrange(12)]))).anchor(world.origin)

    faults = [
        lambda: world.add(dice.randint(1, 2)),
        work,
        work,
        work,
        chain.mine,
        chain.mine,
        chain.drop,
        chain.overtake,
        chain.burn_gas,
        lambda: chain.reorg(dice.randint(1, 3), dice.choice(["return", "lose"])),
        lambda: setattr(chain, "lose_answer", True),
        lambda: setattr(chain, "away", True),
        lambda: setattr(chain, "away", False),
    ]
    for _ in range(25):
        dice.choice(faults)()
    chain.away = chain.lose_answer = False
    chain.reverts, chain.automine = 0, True
    world.add(1)
    for _ in range(20):
        with contextlib.suppress(AnchorRefuted, ChainUnavailable):
            world.process().anchor(world.origin)
        chain.mine()
    world.assert_settled()


# --- on a real chain ------------------------------------------------------------------------------------


def test_on_anvil_batches_are_anchored_and_final(bed: Bed, origin: Origin) -> None:
    bed.push(origin, *range(9))
    bed.settle(origin)
    assert_settled(bed.store, bed.chain, origin)
    assert bed.store.head(origin).batches == 3


def test_on_anvil_a_lost_answer_is_looked_up(
    ledgers: LedgerMaker, bed: Bed, origin: Origin, tmp_path: Any
) -> None:
    from ledger.adapters.evm import EvmAnchorer, EvmChain

    bed.push(origin, 1, 2)
    bed.pipeline.seal(origin, force=True)
    with wired(bed.node.url) as wire:
        chain = EvmChain(wire.url, bed.chain.contract, timeout=5)
        pipeline = bed.restarted(chain=chain, anchorer=EvmAnchorer(chain, bed.operator_key))
        wire.lose.add("eth_sendRawTransaction")
        with pytest.raises(ChainUnavailable):
            pipeline.anchor(origin)
        wire.lose.clear()
        anchor_all(pipeline, origin)
        assert wire.asked.count("eth_sendRawTransaction") == 1
        chain.close()
    assert_settled(bed.store, bed.chain, origin)


def test_on_anvil_what_waits_for_a_block_is_sent_once(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    bed.pipeline.seal(origin, force=True)
    with bed.node.paused():
        for _ in range(3):
            [attempt] = bed.restarted().anchor(origin)
            assert attempt.state is SENT
    anchor_all(bed.restarted(), origin)
    assert_settled(bed.store, bed.chain, origin)


def test_on_anvil_what_the_node_dropped_is_sent_again(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    bed.pipeline.seal(origin, force=True)
    with bed.node.paused():
        [attempt] = bed.pipeline.anchor(origin)
        bed.node.ask("anvil_dropTransaction", attempt.tx_hash.hex0x)
        bed.pipeline.anchor(origin)
    anchor_all(bed.pipeline, origin)
    assert_settled(bed.store, bed.chain, origin)


def test_on_anvil_a_rolled_back_chain_is_given_its_batches_again(bed: Bed, origin: Origin) -> None:
    bed.push(origin, *range(6))
    with bed.node.undone():
        bed.settle(origin)
        checkpoint = bed.store.checkpoint(origin)
    assert bed.chain.size_of(log_id(origin)).batches == 0  # type: ignore[union-attr]
    wait_for(lambda: {one.state for one in bed.pipeline.anchor(origin)} == {AnchorState.FINAL})
    assert_settled(bed.store, bed.chain, origin)
    assert bed.store.checkpoint(origin) == checkpoint


def test_on_anvil_a_reorganisation_that_moves_the_anchor_is_followed(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    with bed.node.undone():
        bed.settle(origin)
        [attempt] = bed.store.anchorings(origin)
    bed.node.ask("evm_mine")
    bed.node.ask("eth_sendRawTransaction", "0x" + attempt.raw_tx.hex())
    for _ in range(2):
        bed.restarted().anchor(origin)
    assert_settled(bed.store, bed.chain, origin)


def test_on_anvil_another_operators_log_is_refused_and_named(
    bed: Bed, ledgers: LedgerMaker, tmp_path: Any
) -> None:
    with ledgers(tmp_path / "other") as other:
        origin = other.create_log()
        other.push(origin, 1)
        other.pipeline.seal(origin, force=True)
        stranger = other.restarted(anchorer=bed.restarted()._anchoring._anchorer)
        with pytest.raises(AnchorRefuted, match="NotOperator"):
            stranger.anchor(origin)
        assert other.store.anchorings(origin) == []
