import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree
from support.shared_data import shared_files

from ledger.errors import ConsistencyRefuted, InclusionRefuted, MalformedInput, VerificationError
from ledger.merkle import (
    EMPTY_ROOT,
    BatchTree,
    NodeId,
    append_nodes,
    check_consistency,
    check_inclusion,
    leaf_hash,
    log_consistency,
    log_inclusion,
    log_root,
    node_hash,
    root_from_path,
    tree_root,
)
from ledger.types import Digest, from_base64

MOST = 128
SMALL = 20
DATA = [f"entry {n}".encode() for n in range(MOST)]
LEAVES = [leaf_hash(data) for data in DATA]
SIZES = range(1, MOST + 1)

# --- RFC 6962 §2.1, written down a second time: recursive, over the data, knowing nothing of ledger.merkle ----------


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _k(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


@cache
def mth(low: int, high: int) -> bytes:
    """Merkle Tree Hash of DATA[low:high] (§2.1)."""
    n = high - low
    if n == 0:
        return _sha256(b"")
    if n == 1:
        return _sha256(b"\x00" + DATA[low])
    k = _k(n)
    return _sha256(b"\x01" + mth(low, low + k) + mth(low + k, high))


def rfc_path(m: int, low: int, high: int) -> list[bytes]:
    """PATH(m, D[low:high]) (§2.1.1)."""
    n = high - low
    if n == 1:
        return []
    k = _k(n)
    if m < k:
        return [*rfc_path(m, low, low + k), mth(low + k, high)]
    return [*rfc_path(m - k, low + k, high), mth(low, low + k)]


def rfc_sides(m: int, n: int) -> str:
    """On which side each sibling of PATH(m, D[n]) stands."""
    if n == 1:
        return ""
    k = _k(n)
    return rfc_sides(m, k) + "R" if m < k else rfc_sides(m - k, n - k) + "L"


def rfc_proof(m: int, n: int) -> list[bytes]:
    """PROOF(m, D[n]) (§2.1.2)."""

    def subproof(m: int, low: int, high: int, whole: bool) -> list[bytes]:
        n = high - low
        if m == n:
            return [] if whole else [mth(low, high)]
        k = _k(n)
        if m <= k:
            return [*subproof(m, low, low + k, whole), mth(low + k, high)]
        return [*subproof(m - k, low + k, high, False), mth(low, low + k)]

    return subproof(m, 0, n, True)


# --- A log's node storage: strict, and counting what is read -------------------------------------------------------


class Nodes:
    """Perfect subtrees in memory. Adding one twice or reading one that is not there fails the test."""

    def __init__(self) -> None:
        self.hashes: dict[NodeId, Digest] = {}
        self.read_count = 0
        self.size = 0

    def append(self, leaf: Digest) -> None:
        for node in append_nodes(self.size, leaf, self.read):
            assert (node.level, node.index) not in self.hashes, "a perfect subtree never changes"
            self.hashes[node.level, node.index] = node.hash
        self.size += 1

    def read(self, ids: Sequence[NodeId]) -> list[Digest]:
        assert ids, "nothing is read for nothing"
        self.read_count += len(ids)
        return [self.hashes[id] for id in ids]


@pytest.fixture(scope="module")
def log() -> Nodes:
    nodes = Nodes()
    for leaf in LEAVES:
        nodes.append(leaf)
    return nodes


@pytest.fixture(scope="module")
def theirs() -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for data in DATA:
        tree.append_entry(data)
    return tree


def _refused(call: Callable[..., Any], *arguments: Any) -> None:
    error = InclusionRefuted if call is check_inclusion else ConsistencyRefuted
    with pytest.raises(error) as caught:
        call(*arguments)
    assert caught.value.step == ("inclusion" if call is check_inclusion else "consistency")


# --- Vectors ------------------------------------------------------------------------------------------------------


REFUSED_ONLY_AS_DIGESTS = {
    "single-entry/empty-root-and-leaf",  # plain bytes cannot tell that neither is a digest
    "additional/size1-is-zero-and-size2-is-not-zero",  # the empty log is a prefix of every log; root2 is no digest
}
"""Vectors that the checks, which take plain bytes for leaves and roots, leave to `Digest`."""


def _check_vector(vector: dict[str, Any], digest: Callable[[bytes], bytes]) -> None:
    path = [Digest(from_base64(element)) for element in vector["proof"] or ()]
    if "leafHash" in vector:
        leaf, root = (digest(from_base64(vector[name])) for name in ("leafHash", "root"))
        check_inclusion(leaf, vector["leafIdx"], vector["treeSize"], path, root)
    else:
        old_root, new_root = (digest(from_base64(vector[name])) for name in ("root1", "root2"))
        check_consistency(vector["size1"], vector["size2"], old_root, new_root, path)


@pytest.mark.parametrize("file", shared_files("vectors/rfc6962", "*/**/*.json"))
def test_a_vector_of_rfc_6962_is_judged_as_published(file: Path) -> None:
    vector = json.loads(file.read_text())
    digest: Callable[[bytes], bytes] = bytes
    if f"{file.parent.name}/{file.stem}" in REFUSED_ONLY_AS_DIGESTS:
        digest = Digest
    if not vector["wantErr"]:
        _check_vector(vector, digest)
        return
    with pytest.raises((VerificationError, MalformedInput)):
        _check_vector(vector, digest)


def test_the_roots_of_rfc_6962s_first_log_are_the_well_known_ones() -> None:
    # The eight leaves of the certificate-transparency-go tests; roots as in the vectors above.
    leaves = [b"", b"\x00", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert base64.b64encode(tree_root(hashes[:1])) == b"bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="
    assert base64.b64encode(tree_root(hashes)) == b"XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="


# --- All trees of up to 128 leaves: ours in a batch, ours in a log, the RFC's own recursion, and pymerkle ----------


def test_the_empty_tree_has_the_hash_of_nothing_for_a_root(log: Nodes, theirs: InmemoryTree) -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert tree_root([]) == log_root(0, log.read) == mth(0, 0) == theirs.get_root(0) == EMPTY_ROOT


@pytest.mark.parametrize("size", SIZES)
def test_four_implementations_agree_on_the_root(log: Nodes, theirs: InmemoryTree, size: int) -> None:
    expected = mth(0, size)
    assert BatchTree(LEAVES[:size]).root == tree_root(LEAVES[:size]) == expected
    assert log_root(size, log.read) == expected
    assert theirs.get_root(size) == expected


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proven_and_checked(log: Nodes, theirs: InmemoryTree, size: int) -> None:
    tree = BatchTree(LEAVES[:size])
    for index in range(size):
        path = tree.path(index)
        assert list(path) == rfc_path(index, 0, size)
        assert log_inclusion(index, size, log.read) == path
        check_inclusion(LEAVES[index], index, size, path, tree.root)
        assert root_from_path(LEAVES[index], index, size, path) == tree.root
        # pymerkle counts from 1, lists the leaf among its siblings and orders them by place, not by height.
        nodes = theirs.prove_inclusion(index + 1, size).serialize()["path"]
        assert sorted(nodes) == sorted(node.hex() for node in (LEAVES[index], *path))


@pytest.mark.parametrize("new", SIZES)
def test_every_earlier_log_is_proven_a_prefix_and_checked(log: Nodes, new: int) -> None:
    for old in range(new + 1):
        path = log_consistency(old, new, log.read)
        assert list(path) == (rfc_proof(old, new) if old else [])
        check_consistency(old, new, mth(0, old), mth(0, new), path)


@pytest.mark.parametrize("size", SIZES)
def test_a_proof_reads_few_nodes(log: Nodes, size: int) -> None:
    height = size.bit_length()
    for question in (
        lambda: log_root(size, log.read),
        lambda: log_inclusion(size // 2, size, log.read),
        lambda: log_consistency(size // 3, size, log.read),
    ):
        log.read_count = 0
        question()
        assert log.read_count <= 2 * height


def test_a_log_keeps_two_nodes_a_leaf_at_most(log: Nodes) -> None:
    assert len(log.hashes) == 2 * MOST - 1


def test_the_proofs_of_an_old_log_stay_the_same_when_it_grows() -> None:
    nodes = Nodes()
    seen = []
    for size, leaf in enumerate(LEAVES[:40], start=1):
        nodes.append(leaf)
        seen.append((size, log_root(size, nodes.read), log_inclusion(0, size, nodes.read)))
    for size, root, path in seen:
        assert (log_root(size, nodes.read), log_inclusion(0, size, nodes.read)) == (root, path)


# --- Large logs of random size ------------------------------------------------------------------------------------


@cache
def _uniform(level: int) -> Digest:
    """A perfect subtree whose leaves are all the same: all subtrees of a level are equal, so any log is computable."""
    return node_hash(_uniform(level - 1), _uniform(level - 1)) if level else LEAVES[0]


@given(st.integers(1, 2**64), st.data())
def test_proofs_of_a_log_of_any_size_check_and_read_few_nodes(size: int, data: st.DataObject) -> None:
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))

    def read(ids: Sequence[NodeId]) -> list[Digest]:
        assert len(ids) <= 2 * size.bit_length()
        for level, place in ids:
            assert (place + 1) << level <= size, "an unfinished subtree was read"
        return [_uniform(level) for level, _ in ids]

    root, old_root = log_root(size, read), log_root(old, read)
    path, proof = log_inclusion(index, size, read), log_consistency(old, size, read)
    check_inclusion(LEAVES[0], index, size, path, root)
    check_consistency(old, size, old_root, root, proof)
    if path:
        _refused(check_inclusion, LEAVES[0], index, size, path[:-1], root)
    _refused(check_inclusion, LEAVES[0], index, size, (*path, LEAVES[0]), root)
    _refused(check_consistency, old, size, old_root, root, (*proof, LEAVES[0]))


@settings(max_examples=30)
@given(st.integers(1, 3000), st.data())
def test_proofs_of_a_large_log_check(size: int, data: st.DataObject) -> None:
    nodes = _large_log()
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    root = log_root(size, nodes.read)
    assert root == BatchTree(_large_leaves()[:size]).root
    path = log_inclusion(index, size, nodes.read)
    check_inclusion(_large_leaves()[index], index, size, path, root)
    proof = log_consistency(old, size, nodes.read)
    check_consistency(old, size, log_root(old, nodes.read), root, proof)
    for other in {index - 1, index + 1, index ^ 1} - {index}:
        _refused(check_inclusion, _large_leaves()[index], other, size, path, root)
    if 0 < old < size:
        _refused(check_consistency, old, size, Digest.of(b"x"), root, proof)
        _refused(check_consistency, old, size, log_root(old, nodes.read), Digest.of(b"x"), proof)


@cache
def _large_leaves() -> list[Digest]:
    return [leaf_hash(b"%d" % n) for n in range(3000)]


@cache
def _large_log() -> Nodes:
    nodes = Nodes()
    for leaf in _large_leaves():
        nodes.append(leaf)
    return nodes


# --- Attacks on inclusion -----------------------------------------------------------------------------------------


def _proofs() -> Iterator[tuple[int, int, tuple[Digest, ...], bytes]]:
    for size in range(1, SMALL + 1):
        tree = BatchTree(LEAVES[:size])
        for index in range(size):
            yield index, size, tree.path(index), tree.root


def _flips(data: bytes, *, all_bits: bool) -> Iterator[bytes]:
    for place in range(len(data)):
        for bit in range(8) if all_bits else (place % 8,):
            yield data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def test_every_wrong_index_is_refused() -> None:
    for index, size, path, root in _proofs():
        for wrong in {*range(-2, size + 3), index + 2**32, index + 2**64, -index - 1} - {index}:
            _refused(check_inclusion, LEAVES[index], wrong, size, path, root)


def test_every_wrong_size_that_prescribes_another_way_up_is_refused() -> None:
    for index, size, path, root in _proofs():
        for wrong in {*range(-1, 2 * SMALL), size + 2**32, 2**64} - {size}:
            if index < wrong <= 2 * SMALL and rfc_sides(index, wrong) == rfc_sides(index, size):
                check_inclusion(LEAVES[index], index, wrong, path, root)  # why a size comes with its root
            else:
                _refused(check_inclusion, LEAVES[index], index, wrong, path, root)


def test_every_other_place_that_prescribes_another_way_up_is_refused() -> None:
    """Index and size forged together, a path too long for a smaller tree included."""
    for index, size, path, root in _proofs():
        for other_size in range(1, SMALL + 2):
            for other in range(other_size):
                if rfc_sides(other, other_size) != rfc_sides(index, size):
                    _refused(check_inclusion, LEAVES[index], other, other_size, path, root)


def test_every_other_leaf_is_refused() -> None:
    for index, size, path, root in _proofs():
        for other in range(SMALL):
            if other != index:
                _refused(check_inclusion, LEAVES[other], index, size, path, root)


def test_every_truncated_path_is_refused() -> None:
    for index, size, path, root in _proofs():
        for end in range(len(path)):
            _refused(check_inclusion, LEAVES[index], index, size, path[:end], root)
            _refused(check_inclusion, LEAVES[index], index, size, path[end + 1 :], root)


def test_every_extended_path_is_refused() -> None:
    for index, size, path, root in _proofs():
        for place in range(len(path) + 1):
            for extra in (root, LEAVES[index], EMPTY_ROOT, bytes(32), *path):
                longer = (*path[:place], Digest(extra), *path[place:])
                _refused(check_inclusion, LEAVES[index], index, size, longer, root)


def test_every_reordered_path_is_refused() -> None:
    for index, size, path, root in _proofs():
        for i in range(len(path)):
            for j in range(i):
                swapped = list(path)
                swapped[i], swapped[j] = swapped[j], swapped[i]
                _refused(check_inclusion, LEAVES[index], index, size, swapped, root)


@pytest.mark.parametrize("size", range(1, SMALL + 1))
def test_every_flipped_bit_is_refused(size: int) -> None:
    tree = BatchTree(LEAVES[:size])
    for index in range(size):
        path = tree.path(index)
        for place, element in enumerate(path):
            for flipped in _flips(element, all_bits=size <= 8):
                bent = (*path[:place], flipped, *path[place + 1 :])
                _refused(check_inclusion, LEAVES[index], index, size, bent, tree.root)
        for flipped in _flips(LEAVES[index], all_bits=size <= 8):
            _refused(check_inclusion, flipped, index, size, path, tree.root)
        for flipped in _flips(tree.root, all_bits=size <= 8):
            _refused(check_inclusion, LEAVES[index], index, size, path, flipped)


def test_a_node_presented_as_a_leaf_is_refused() -> None:
    """The second-preimage attack: a node's children, taken for an entry, would sit one level up."""
    for size in range(2, SMALL + 1):
        tree = BatchTree(LEAVES[:size])
        for index in range(0, size - 1, 2):
            children = LEAVES[index] + LEAVES[index + 1]
            shorter = tree.path(index)[1:]
            # The node itself does lead to the root of the tree of half the size; what no entry hashes to is the node.
            assert node_hash(LEAVES[index], LEAVES[index + 1]) != leaf_hash(children)
            _refused(check_inclusion, leaf_hash(children), index // 2, (size + 1) // 2, shorter, tree.root)
            _refused(
                check_inclusion,
                leaf_hash(b"\x01" + children),
                index // 2,
                (size + 1) // 2,
                shorter,
                tree.root,
            )


def test_an_entry_that_starts_with_the_prefix_of_a_node_is_a_leaf() -> None:
    children = b"\x01" + LEAVES[0] + LEAVES[1]
    assert leaf_hash(children) not in {node_hash(LEAVES[0], LEAVES[1]), _sha256(children)}


@pytest.mark.parametrize("leaf", [b"", b"x", bytes(31), bytes(33)])
def test_a_leaf_that_is_no_digest_is_refused(leaf: bytes) -> None:
    for index, size, path, root in _proofs():
        _refused(check_inclusion, leaf, index, size, path, root)


def test_nothing_is_in_the_empty_tree() -> None:
    _refused(check_inclusion, LEAVES[0], 0, 0, (), EMPTY_ROOT)
    _refused(check_inclusion, EMPTY_ROOT, 0, 0, (), EMPTY_ROOT)


def test_a_path_of_a_million_elements_is_refused_at_its_first_element_too_many() -> None:
    _refused(check_inclusion, LEAVES[0], 0, 2**64, [LEAVES[1]] * 1_000_000, EMPTY_ROOT)


# --- Attacks on consistency ---------------------------------------------------------------------------------------


def _consistencies(most: int = SMALL) -> Iterator[tuple[int, int, list[bytes]]]:
    for new in range(2, most + 1):
        for old in range(1, new):
            yield old, new, rfc_proof(old, new)


def test_every_truncated_consistency_path_is_refused() -> None:
    for old, new, path in _consistencies():
        for end in range(len(path)):
            for cut in (path[:end], path[end + 1 :]):
                _refused(check_consistency, old, new, mth(0, old), mth(0, new), cut)


def test_every_extended_consistency_path_is_refused() -> None:
    for old, new, path in _consistencies():
        for place in range(len(path) + 1):
            for extra in (mth(0, old), mth(0, new), bytes(32), *path):
                longer = [*path[:place], extra, *path[place:]]
                _refused(check_consistency, old, new, mth(0, old), mth(0, new), longer)


def test_every_reordered_consistency_path_is_refused() -> None:
    for old, new, path in _consistencies():
        for i in range(len(path)):
            for j in range(i):
                swapped = list(path)
                swapped[i], swapped[j] = swapped[j], swapped[i]
                _refused(check_consistency, old, new, mth(0, old), mth(0, new), swapped)


@pytest.mark.parametrize("new", range(2, SMALL + 1))
def test_every_flipped_bit_of_a_consistency_proof_is_refused(new: int) -> None:
    for old in range(1, new):
        path = rfc_proof(old, new)
        for place, element in enumerate(path):
            for flipped in _flips(element, all_bits=new <= 8):
                bent = [*path[:place], flipped, *path[place + 1 :]]
                _refused(check_consistency, old, new, mth(0, old), mth(0, new), bent)
        for flipped in _flips(mth(0, old), all_bits=new <= 8):
            _refused(check_consistency, old, new, flipped, mth(0, new), path)
        for flipped in _flips(mth(0, new), all_bits=new <= 8):
            _refused(check_consistency, old, new, mth(0, old), flipped, path)


def test_a_wrong_old_size_is_refused() -> None:
    for old, new, path in _consistencies():
        for wrong in {*range(-1, new + 2), old + 2**64} - {old}:
            _refused(check_consistency, wrong, new, mth(0, old), mth(0, new), path)


def test_sizes_and_roots_that_change_places_are_refused() -> None:
    for old, new, path in _consistencies():
        _refused(check_consistency, new, old, mth(0, new), mth(0, old), path)
        _refused(check_consistency, new, old, mth(0, old), mth(0, new), path)
        _refused(check_consistency, old, new, mth(0, new), mth(0, old), path)


def test_a_log_that_dropped_or_changed_a_leaf_has_no_consistency_path() -> None:
    """A rewritten log cannot be proven with its own honest path nor with that of the log it rewrote."""
    for old, new, path in _consistencies(12):
        for victim in range(old):
            rewritten = [*LEAVES[:victim], leaf_hash(b"rewritten"), *LEAVES[victim + 1 : new]]
            nodes = Nodes()
            for leaf in rewritten:
                nodes.append(leaf)
            for offered in (path, log_consistency(old, new, nodes.read)):
                _refused(check_consistency, old, new, mth(0, old), tree_root(rewritten), offered)


@pytest.mark.parametrize("size", range(1, SMALL + 1))
def test_the_empty_log_is_a_prefix_of_every_log_and_only_with_its_own_root(size: int) -> None:
    check_consistency(0, size, EMPTY_ROOT, mth(0, size), ())
    _refused(check_consistency, 0, size, mth(0, size), mth(0, size), ())
    _refused(check_consistency, 0, size, EMPTY_ROOT, mth(0, size), (mth(0, size),))


def test_the_empty_log_has_one_root() -> None:
    check_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, ())
    _refused(check_consistency, 0, 0, EMPTY_ROOT, LEAVES[0], ())
    _refused(check_consistency, 0, 0, LEAVES[0], EMPTY_ROOT, ())
    _refused(check_consistency, 0, 0, LEAVES[0], LEAVES[0], ())


# --- Programming errors -------------------------------------------------------------------------------------------


def test_asking_for_what_is_not_there_is_a_programming_error(log: Nodes) -> None:
    tree = BatchTree(LEAVES[:3])
    for call in (
        lambda: tree.path(3),
        lambda: tree.path(-1),
        lambda: log_inclusion(3, 3, log.read),
        lambda: log_inclusion(-1, 3, log.read),
        lambda: log_consistency(4, 3, log.read),
        lambda: log_consistency(-1, 3, log.read),
    ):
        with pytest.raises(IndexError):
            call()
    with pytest.raises(ValueError, match="at least one leaf"):
        BatchTree([])


# --- Arbitrary input ----------------------------------------------------------------------------------------------

hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(-5, 70) | st.integers(-(2**65), 2**65)


@given(hashes, numbers, numbers, st.lists(hashes, max_size=70), hashes)
def test_an_arbitrary_inclusion_proof_is_refused(
    leaf: bytes, index: int, size: int, path: list[bytes], root: bytes
) -> None:
    try:
        check_inclusion(leaf, index, size, path, root)
    except InclusionRefuted:
        return
    assert (index, size, path) == (0, 1, [])
    assert leaf == root


@given(numbers, numbers, hashes, hashes, st.lists(hashes, max_size=70))
def test_an_arbitrary_consistency_proof_is_refused(
    old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes]
) -> None:
    try:
        check_consistency(old, new, old_root, new_root, path)
    except ConsistencyRefuted:
        return
    assert old == new
    assert old_root == new_root


def test_leaves_in_another_order_give_another_root() -> None:
    shuffled = LEAVES[:SMALL]
    random.Random(7).shuffle(shuffled)
    assert tree_root(shuffled) != tree_root(LEAVES[:SMALL])


def test_a_last_leaf_repeated_gives_another_root() -> None:
    """Trees that copy an odd last node (Bitcoin's) cannot tell these apart."""
    for size in range(1, SMALL + 1):
        assert tree_root(LEAVES[:size]) != tree_root([*LEAVES[:size], LEAVES[size - 1]])
