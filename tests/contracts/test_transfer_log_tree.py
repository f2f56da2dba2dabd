"""TransferLog's trees against the ledger's own and an independent implementation's."""

from __future__ import annotations

import hashlib
import itertools

from driver import Deployment, Log, NewBatch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from ledger import merkle

LARGEST = 33
ENTRIES = [b"entry %d" % number for number in range(LARGEST + 2)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]

_numbers = itertools.count()

new_batches = st.builds(
    NewBatch,
    root=st.binary(min_size=32, max_size=32),
    leaf_count=st.integers(1, 2**32 - 1),
    closed_at=st.integers(0, 2**40 - 1),
)
calls = st.lists(st.lists(new_batches, min_size=1, max_size=6), max_size=8)


def ledger_root(headers: list[bytes]) -> bytes:
    return bytes(merkle.tree_root([merkle.leaf_hash(header) for header in headers]))


def pymerkle_root(headers: list[bytes]) -> bytes:
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries(headers)
    return bytes(tree.get_root())


@settings(max_examples=40, deadline=None)
@given(calls=calls)
def test_the_root_is_the_rfc6962_root_of_the_headers(shared: Deployment, calls: list[list[NewBatch]]) -> None:
    log = shared.register(f"property/{next(_numbers)}")
    for new in calls:
        log.anchor(*new)
        assert log.root == ledger_root(log.headers) == pymerkle_root(log.headers)
    assert log.size == (len(log.headers), log.leaves)
    assert [log.batch(number) for number in range(len(log.batches))] == log.batches


def test_the_root_holds_at_every_size_up_to_130(shared: Deployment) -> None:
    log = shared.register("every size")
    for number in range(130):
        log.anchor(NewBatch(hashlib.sha256(b"%d" % number).digest(), leaf_count=1 + number))
        assert log.root == ledger_root(log.headers), f"at {number + 1} batches"
    assert log.root == pymerkle_root(log.headers)


def test_grouping_into_calls_does_not_change_the_root(shared: Deployment) -> None:
    new = [NewBatch(hashlib.sha256(b"%d" % number).digest()) for number in range(21)]
    roots, headers = [], []
    for group in (1, 2, 5, 21):
        log = shared.register(f"grouped by {group}")
        for start in range(0, len(new), group):
            log.anchor(*new[start : start + group])
        headers.append([header[32:] for header in log.headers])
        roots.append(log.root == ledger_root(log.headers))
    assert all(roots)
    assert all(one == headers[0] for one in headers)


# --- verifyEvent. Batch number n-1 has n leaves, for n from 1 to 33.


def tree(size: int) -> merkle.BatchTree:
    return merkle.BatchTree(LEAVES[:size])


def anchored(shared: Deployment) -> Log:
    log = shared.register(f"batches of 1 to {LARGEST}/{next(_numbers)}")
    log.anchor(*(NewBatch(bytes(tree(size).root), leaf_count=size) for size in range(1, LARGEST + 1)))
    return log


def test_every_event_of_every_small_batch_is_verified(shared: Deployment) -> None:
    log = anchored(shared)
    for size in range(1, LARGEST + 1):
        good = [
            (log.id, size - 1, LEAVES[index], index, list(tree(size).path(index))) for index in range(size)
        ]
        assert shared.ask_all("verifyEvent", good) == [True] * size, f"batch of {size}"


def test_every_attack_on_every_small_batch_fails(shared: Deployment) -> None:
    log = anchored(shared)
    for size in range(1, LARGEST + 1):
        attacks = {
            name: (log.id, size - 1, *attack)
            for index in range(size)
            for name, attack in attacks_on(size, index).items()
        }
        answers = shared.ask_all("verifyEvent", list(attacks.values()))
        passed = [name for name, answer in zip(attacks, answers, strict=True) if answer]
        assert not passed


def attacks_on(size: int, index: int) -> dict[str, tuple[bytes, int, list[bytes]]]:
    """Wrong (leaf, index, path) by what is wrong about them."""
    path: list[bytes] = list(tree(size).path(index))
    leaf: bytes = LEAVES[index]
    at = f"leaf {index} of {size}"
    attacks = {
        f"{at}: another leaf": (LEAVES[index + 1], index, path),
        f"{at}: the entry's plain hash": (hashlib.sha256(ENTRIES[index]).digest(), index, path),
        f"{at}: the index before": (leaf, index - 1 if index else size, path),
        f"{at}: the index after": (leaf, index + 1, path),
        f"{at}: the index beyond the batch": (leaf, index + size, path),
        f"{at}: the index a power of two further": (leaf, index + (1 << len(path)), path),
        f"{at}: the largest index": (leaf, 2**32 - 1, path),
        f"{at}: an empty path": (leaf, index, [] if path else [bytes(32)]),
        f"{at}: a node more at the end": (leaf, index, [*path, bytes(32)]),
        f"{at}: a node more at the start": (leaf, index, [bytes(32), *path]),
        f"{at}: the root at the end": (leaf, index, [*path, bytes(tree(size).root)]),
    }
    if path:
        attacks |= {
            f"{at}: the last node cut off": (leaf, index, path[:-1]),
            f"{at}: the first node cut off": (leaf, index, path[1:]),
            f"{at}: the first node as leaf": (path[0], index, [leaf, *path[1:]]),
            f"{at}: an inner node as leaf": inner_node_as_leaf(leaf, index, path),
        }
    if len(path) > 1:
        attacks[f"{at}: the path turned round"] = (leaf, index, path[::-1])
    for step, node in enumerate(path):
        flipped = bytes([node[0] ^ 1]) + node[1:]
        attacks[f"{at}: a bit flipped in node {step}"] = (
            leaf,
            index,
            [*path[:step], flipped, *path[step + 1 :]],
        )
    return attacks


def inner_node_as_leaf(leaf: bytes, index: int, path: list[bytes]) -> tuple[bytes, int, list[bytes]]:
    left, right = (path[0], leaf) if index & 1 else (leaf, path[0])
    return bytes(merkle.node_hash(left, right)), index >> 1, path[1:]


def test_every_bit_of_a_leaf_and_a_path_counts(shared: Deployment) -> None:
    log, size, index = anchored(shared), 21, 20
    path = [bytes(node) for node in tree(size).path(index)]
    words = [bytes(LEAVES[index]), *path]
    calls = []
    for word, bit in itertools.product(range(len(words)), range(256)):
        changed = list(words)
        changed[word] = (int.from_bytes(words[word]) ^ 1 << bit).to_bytes(32)
        calls.append((log.id, size - 1, changed[0], index, changed[1:]))
    assert not any(shared.ask_all("verifyEvent", calls))


def test_a_path_for_another_size_fails(shared: Deployment) -> None:
    """The path of the same leaf in a batch that is one leaf larger or smaller, held against this batch's root."""
    log = anchored(shared)
    calls = []
    for size in range(2, LARGEST + 1):
        for other in (size - 1, size + 1):
            calls += [
                (log.id, size - 1, LEAVES[index], index, list(tree(other).path(index)))
                for index in range(min(size, other))
                if tree(other).path(index) != tree(size).path(index)
            ]
    assert len(calls) > 500
    assert not any(shared.ask_all("verifyEvent", calls))


def test_the_size_is_bound(shared: Deployment) -> None:
    """A root anchored with a wrong leafCount: the true path of the last leaf does not fit the size any more."""
    wrong = shared.register("wrong size")
    wrong.anchor(NewBatch(bytes(tree(5).root), leaf_count=6), NewBatch(bytes(tree(5).root), leaf_count=4))
    path = list(tree(5).path(4))
    assert shared.ask("verifyEvent", wrong.id, 0, LEAVES[4], 4, path) is False
    assert shared.ask("verifyEvent", wrong.id, 1, LEAVES[4], 4, path) is False


def test_a_path_that_climbs_above_the_size_fails(shared: Deployment) -> None:
    """A root anchored with too small a leafCount: what it covers beyond cannot be shown as part of the batch."""
    above = hashlib.sha256(b"above").digest()
    log = shared.register("too small a size")
    log.anchor(NewBatch(bytes(merkle.node_hash(above, tree(5).root)), leaf_count=5))
    for index in range(5):
        assert (
            shared.ask("verifyEvent", log.id, 0, LEAVES[index], index, [*tree(5).path(index), above]) is False
        )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_large_batch_is_verified_where_it_should_be(shared: Deployment, data: st.DataObject) -> None:
    size = data.draw(st.integers(34, 600))
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(size)]
    big = merkle.BatchTree(leaves)
    log = shared.register(f"large/{next(_numbers)}")
    log.anchor(NewBatch(bytes(big.root), leaf_count=size))
    index, claimed = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size + 1))
    path = list(big.path(index))
    assert shared.ask("verifyEvent", log.id, 0, leaves[index], index, path) is True
    assert shared.ask("verifyEvent", log.id, 0, leaves[index], claimed, path) is (claimed == index)
