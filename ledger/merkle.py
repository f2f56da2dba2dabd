"""Merkle trees of RFC 6962 §2.1 (= RFC 9162 §2.1) over SHA-256: roots, proofs and their checks.

::

    leaf  = SHA-256(0x00 ‖ data)            node = SHA-256(0x01 ‖ left ‖ right)

A tree of n leaves splits at the largest power of two below n, so everything left of the split is *perfect* and never
changes again. The same trees stand at both levels of the ledger: events in a batch, batch headers in a log.

Two ways to make them, one way to check:

* `BatchTree` holds a closed batch in memory and is built by merkletools' `MerkleTools`. Its odd-node promotion gives
  RFC 6962's shape once its hash function puts 0x01 before the two children. Its own `validate_proof` binds neither
  index nor size and swallows errors, so it is not used.
* A growing log keeps its perfect subtrees (`Node`), which never change; `append_nodes` says which ones a new leaf
  completes, and roots and proofs of *any* past size read O(log n) of them through a `NodeReader`.
* `check_inclusion` and `check_consistency` are RFC 9162 §2.1.3.2 and §2.1.4.2 and know nothing of how a proof was made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from blockcerts_merkletools import MerkleTools

from ledger.errors import ConsistencyRefuted, InclusionRefuted
from ledger.types import Digest, to_base64

EMPTY_ROOT = Digest.of(b"")
"""Root of the tree without leaves: SHA-256 of nothing (RFC 9162 §2.1.1)."""

Path: TypeAlias = tuple[Digest, ...]
"""Sibling hashes from the leaf upwards."""

NodeId: TypeAlias = tuple[int, int]
"""(level, index) of a perfect subtree: it covers leaves [index·2^level, (index+1)·2^level)."""

NodeReader: TypeAlias = Callable[[Sequence[NodeId]], Sequence[Digest]]
"""Answers the hashes of perfect subtrees, in the order asked."""


def leaf_hash(data: bytes) -> Digest:
    """SHA-256(0x00 ‖ data) (RFC 9162 §2.1.1)."""
    return Digest.of(b"\x00" + data)


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """As `leaf_hash` of each, at once."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> Digest:
    """SHA-256(0x01 ‖ left ‖ right) (RFC 9162 §2.1.1)."""
    return Digest.of(b"\x01" + left + right)


class _TaggedMerkleTools(MerkleTools):  # type: ignore[misc]  # the package has no types
    """MerkleTools over raw leaf hashes, with RFC 6962's prefix for nodes.

    With `only_root` the levels below are dropped as soon as the next one is made: there are no proofs then.
    """

    def __init__(self, leaves: Sequence[bytes], *, only_root: bool = False) -> None:
        super().__init__("sha256")
        sha256 = hashlib.sha256
        self.hash_function = lambda pair: sha256(b"\x01" + pair)
        self._only_root = only_root
        self.leaves = list(leaves)
        self.make_tree()

    def _calculate_next_level(self) -> None:
        super()._calculate_next_level()
        if self._only_root:
            del self.levels[1:]


class BatchTree:
    """The tree of one closed batch, in memory.

    Args:
        leaves: leaf hashes (not the data) in order; at least one.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise ValueError("a batch has at least one leaf")
        self._tools = _TaggedMerkleTools(leaves)
        self.size = len(leaves)

    @property
    def root(self) -> Digest:
        return Digest(self._tools.levels[0][0])

    def path(self, index: int) -> Path:
        """Inclusion proof of leaf `index`, for `check_inclusion` (RFC 9162 §2.1.3.1)."""
        if not 0 <= index < self.size:
            raise IndexError(f"leaf {index} of a tree of {self.size}")
        return tuple(
            Digest.from_hex(hash_) for step in self._tools.get_proof(index) for hash_ in step.values()
        )


def tree_root(leaves: Sequence[bytes]) -> Digest:
    """Root over leaf hashes; `EMPTY_ROOT` for none. Holds no more than two levels of the tree beside them."""
    return Digest(_TaggedMerkleTools(leaves, only_root=True).levels[0][0]) if leaves else EMPTY_ROOT


# --- A growing log: perfect subtrees, kept once, read by any later size -------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """The hash of a perfect subtree of the log."""

    level: int
    index: int
    hash: Digest


def append_nodes(size: int, leaf: Digest, read: NodeReader) -> list[Node]:
    """The perfect subtrees that leaf number `size` (from 0) completes, itself first.

    There are as many as `size` has trailing one bits, plus one; each needs its left sibling from `read`.
    """
    nodes = [Node(0, size, leaf)]
    siblings: list[NodeId] = []
    level, index = 0, size
    while index & 1:
        siblings.append((level, index - 1))
        level, index = level + 1, index >> 1
    for left in read(siblings) if siblings else ():
        last = nodes[-1]
        nodes.append(Node(last.level + 1, last.index >> 1, node_hash(left, last.hash)))
    return nodes


def log_root(size: int, read: NodeReader) -> Digest:
    """Root of the log's first `size` leaves."""
    return _range_hash(0, size, read) if size else EMPTY_ROOT


def log_inclusion(index: int, size: int, read: NodeReader) -> Path:
    """Inclusion proof of leaf `index` in the log's first `size` leaves (RFC 9162 §2.1.3.1)."""
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} of a log of {size}")
    return _range_hashes(_inclusion_ranges(index, 0, size), read)


def log_consistency(old: int, new: int, read: NodeReader) -> Path:
    """Consistency proof between the log's first `old` and first `new` leaves (RFC 9162 §2.1.4.1).

    Empty for `old` = `new` and for `old` = 0, where there is nothing to show.
    """
    if not 0 <= old <= new:
        raise IndexError(f"no consistency from {old} to {new}")
    if old in (0, new):
        return ()
    return _range_hashes(_consistency_ranges(old, 0, new, whole=True), read)


def _split(width: int) -> int:
    """Largest power of two below `width` (RFC 9162 §2.1.1)."""
    return 1 << ((width - 1).bit_length() - 1)


def _inclusion_ranges(index: int, low: int, high: int) -> Iterator[tuple[int, int]]:
    if high - low == 1:
        return
    middle = low + _split(high - low)
    if index < middle:
        yield from _inclusion_ranges(index, low, middle)
        yield middle, high
    else:
        yield from _inclusion_ranges(index, middle, high)
        yield low, middle


def _consistency_ranges(old: int, low: int, high: int, *, whole: bool) -> Iterator[tuple[int, int]]:
    if old == high:
        if not whole:
            yield low, high
        return
    middle = low + _split(high - low)
    if old <= middle:
        yield from _consistency_ranges(old, low, middle, whole=whole)
        yield middle, high
    else:
        yield from _consistency_ranges(old, middle, high, whole=False)
        yield low, middle


def _perfect_nodes(low: int, high: int) -> list[NodeId]:
    """The perfect subtrees that tile [low, high), left to right; `low` is where a subtree of RFC 6962 starts."""
    nodes = []
    while low < high:
        level = (high - low).bit_length() - 1
        nodes.append((level, low >> level))
        low += 1 << level
    return nodes


def _fold(hashes: Sequence[Digest]) -> Digest:
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def _range_hash(low: int, high: int, read: NodeReader) -> Digest:
    return _fold(read(_perfect_nodes(low, high)))


def _range_hashes(ranges: Iterator[tuple[int, int]], read: NodeReader) -> Path:
    """All ranges' hashes with one read."""
    tiles = [_perfect_nodes(low, high) for low, high in ranges]
    wanted = [node for tile in tiles for node in tile]
    found = iter(read(wanted) if wanted else ())
    return tuple(_fold([next(found) for _ in tile]) for tile in tiles)


# --- Checks: siblings of the proofs above, by the RFC's own algorithms ---------------------------------------------


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that `path` leads to from `leaf` (RFC 9162 §2.1.3.2).

    Raises:
        InclusionRefuted: if the path has not exactly the length that index and size prescribe.
    """
    if not 0 <= index < size:
        raise InclusionRefuted(
            "an index outside the tree", step="inclusion", expected=f"0 ≤ index < {size}", got=index
        )
    fn, sn, root = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            raise _wrong_length(index, size, path)
        if fn & 1 or fn == sn:
            root = node_hash(sibling, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise _wrong_length(index, size, path)
    return root


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise `InclusionRefuted` unless `leaf` sits at `index` of the tree of `size` leaves under `root`.

    RFC 9162 §2.1.3.2. Index and path length are bound to the size. The size is not bound to the root by any path
    (leaf 0 has the same way up in trees of 3 and 4), so it must come from where the root came: a header or checkpoint.
    """
    computed = root_from_path(leaf, index, size, path)
    if computed != root:
        raise InclusionRefuted(
            "the path leads to another root",
            step="inclusion",
            expected=to_base64(root),
            got=to_base64(computed),
        )


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raise `ConsistencyRefuted` unless the tree (`old`, `old_root`) is a prefix of (`new`, `new_root`).

    RFC 9162 §2.1.4.2. An empty tree is a prefix of every tree, with an empty path and the empty root.
    """
    if not 0 <= old <= new:
        raise ConsistencyRefuted(
            "sizes out of order", step="consistency", expected="0 ≤ old ≤ new", got=f"{old}, {new}"
        )
    if new == 0 and new_root != EMPTY_ROOT:
        raise _other_root("new", EMPTY_ROOT, new_root)
    if old in (0, new):
        expected = EMPTY_ROOT if old == 0 else new_root
        if path:
            raise ConsistencyRefuted(
                "a path where none is needed", step="consistency", expected=0, got=len(path)
            )
        if old_root != expected:
            raise _other_root("old", expected, old_root)
        return
    computed_old, computed_new = _roots_from_path(old, new, old_root, path)
    if computed_old != old_root:
        raise _other_root("old", old_root, computed_old)
    if computed_new != new_root:
        raise _other_root("new", new_root, computed_new)


def _roots_from_path(old: int, new: int, old_root: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise ConsistencyRefuted("an empty path", step="consistency")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = steps[0]
    for sibling in steps[1:]:
        if sn == 0:
            raise ConsistencyRefuted("a path that is too long", step="consistency", got=len(path))
        if fn & 1 or fn == sn:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ConsistencyRefuted("a path that is too short", step="consistency", got=len(path))
    return first, second


def _other_root(which: str, expected: bytes, got: bytes) -> ConsistencyRefuted:
    return ConsistencyRefuted(
        f"another root of the {which} tree",
        step="consistency",
        expected=to_base64(expected),
        got=to_base64(got),
    )


def _wrong_length(index: int, size: int, path: Sequence[bytes]) -> InclusionRefuted:
    return InclusionRefuted(
        "a path of the wrong length",
        step="inclusion",
        expected=f"that of leaf {index} of {size}",
        got=len(path),
    )
