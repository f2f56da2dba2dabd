"""Tiles of the log tree (C2SP tlog-tiles)."""

import struct

import pytest

from ledger.errors import NotFound
from ledger.merkle import append_nodes, leaf_hash, log_root, node_hash
from ledger.tiles import WIDTH, bundle, parse_tile, tile_path
from ledger.types import Digest


def root_from_tiles(size: int, read: object) -> Digest:
    """RFC 6962 root of `size` leaves, from tiles of level 0 only, by the definition."""
    hashes = [Digest(read[i * 32 : i * 32 + 32]) for i in range(size)]  # type: ignore[index]

    def root(part: list[Digest]) -> Digest:
        if len(part) == 1:
            return part[0]
        split = 1 << ((len(part) - 1).bit_length() - 1)
        return node_hash(root(part[:split]), root(part[split:]))

    return root(hashes)


@pytest.mark.parametrize(
    ("index", "path"), [(0, "000"), (67, "067"), (1234067, "x001/x234/067"), (1000, "x001/000")]
)
def test_an_index_is_written_in_groups_of_three(index: int, path: str) -> None:
    assert tile_path(index) == path


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
def test_the_tiles_of_the_leaves_give_the_root_of_every_size(size: int) -> None:
    nodes = {}
    for number in range(size):
        leaf = leaf_hash(struct.pack(">I", number))
        for node in append_nodes(number, leaf, lambda ids: [nodes[id] for id in ids]):
            nodes[node.level, node.index] = node.hash
    content = b""
    for index in range(-(-size // WIDTH)):
        width = min(WIDTH, size - index * WIDTH)
        name = tile_path(index) + (f".p/{width}" if width < WIDTH else "")
        content += b"".join(nodes[id] for id in parse_tile(f"0/{name}", size).node_ids)
    assert len(content) == 32 * size
    assert root_from_tiles(size, content) == log_root(size, lambda ids: [nodes[id] for id in ids])


def test_a_tile_above_the_leaves_holds_roots_of_full_tiles() -> None:
    tile = parse_tile("1/000.p/2", 600)
    assert tile.node_ids == [(8, 0), (8, 1)]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0/000",  # not full yet
        "0/000.p/6",  # wider than the log
        "0/000.p/0",
        "0/000.p/256",  # full tiles have no width in their name
        "0/001.p/1",
        "0/x000/000.p/5",  # a second spelling
        "0/0.p/5",
        "64/000.p/1",
        "00/000.p/5",
        "1/000.p/1",
        "-1/000.p/5",
        "data/000.p/5",
        "0/000.p/05",
        "0/000.p/٥",
    ],
)
def test_a_tile_that_is_not_there_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        parse_tile(path, 5)


def test_a_bundle_holds_each_entry_behind_its_length() -> None:
    assert bundle([b"", b"ab"]) == b"\x00\x00\x00\x02ab"
    assert parse_tile("entries/000.p/5", 5).entries == range(5)
