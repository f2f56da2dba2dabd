import hashlib
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.batch import HEADER_BYTES, BatchHeader, close_batch
from ledger.errors import MalformedInput
from ledger.merkle import leaf_hash
from ledger.types import BatchNo, Digest, LogId, Position, log_id

from .building import ORIGIN

HEADER = BatchHeader(
    log_id=LogId(bytes(range(32))),
    batch_no=BatchNo(7),
    first_leaf=Position(4096),
    leaf_count=3,
    closed_at=1_795_449_602,
    root=Digest(bytes(range(32, 64))),
)
BY_HAND = (
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"  # logId
    "0000000000000007"  # batchNo
    "0000000000001000"  # firstLeaf
    "00000003"  # leafCount
    "000000006b046302"  # closedAt: 0x6b·2^24 + 0x04·2^16 + 0x6302
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"  # root
)

headers = st.builds(
    BatchHeader,
    log_id=st.binary(min_size=32, max_size=32),
    batch_no=st.integers(0, 2**53 - 1),
    first_leaf=st.integers(0, 2**53 - 2**32),
    leaf_count=st.integers(1, 2**32 - 1),
    closed_at=st.integers(0, 253_402_300_799),
    root=st.binary(min_size=32, max_size=32).map(Digest),
)


def test_a_header_is_92_bytes_laid_out_as_published() -> None:
    assert HEADER_BYTES == 92
    assert bytes(HEADER).hex() == BY_HAND
    assert BatchHeader.parse(bytes.fromhex(BY_HAND)) == HEADER


def test_a_header_is_a_leaf_of_the_log_tree() -> None:
    assert HEADER.leaf == hashlib.sha256(b"\x00" + bytes.fromhex(BY_HAND)).digest()


@given(headers)
def test_a_header_reads_back(header: BatchHeader) -> None:
    assert BatchHeader.parse(bytes(header)) == header
    assert len(bytes(header)) == 92


@given(st.binary(min_size=92, max_size=92))
def test_any_92_bytes_are_one_header_or_none(data: bytes) -> None:
    try:
        header = BatchHeader.parse(data)
    except MalformedInput:
        return
    assert bytes(header) == data


@pytest.mark.parametrize("size", [0, 1, 91, 93, 184])
def test_a_header_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MalformedInput, match="92 bytes"):
        BatchHeader.parse(bytes.fromhex(BY_HAND * 2)[:size])


def test_a_header_without_leaves_is_refused() -> None:
    with pytest.raises(MalformedInput, match="leafCount"):
        BatchHeader.parse(bytes.fromhex(BY_HAND.replace("00000003", "00000000")))


def test_a_batch_ends_where_the_next_begins() -> None:
    assert HEADER.end == 4099


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_closed_batch_is_described_by_its_header(count: int) -> None:
    leaves = [leaf_hash(b"%d" % n) for n in range(count)]
    header = close_batch(log_id(ORIGIN), BatchNo(2), Position(10), leaves, 1_795_449_602)
    assert (header.log_id, header.batch_no, header.first_leaf) == (log_id(ORIGIN), 2, 10)
    assert (header.leaf_count, header.closed_at) == (count, 1_795_449_602)
    other = close_batch(log_id(ORIGIN), BatchNo(2), Position(10), [*leaves, leaves[0]], 1_795_449_602)
    assert other.root != header.root


def test_a_batch_of_nothing_cannot_be_closed() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        close_batch(log_id(ORIGIN), BatchNo(0), Position(0), [], 0)


OTHER_MEMBERS = {
    "log_id": LogId(bytes(32)),
    "batch_no": BatchNo(8),
    "first_leaf": Position(4097),
    "leaf_count": 4,
    "closed_at": 1_795_449_603,
    "root": Digest(bytes(32)),
}


@pytest.mark.parametrize("name", OTHER_MEMBERS)
def test_every_member_of_a_header_is_in_its_leaf(name: str) -> None:
    assert replace(HEADER, **{name: OTHER_MEMBERS[name]}).leaf != HEADER.leaf


@pytest.mark.parametrize("offset", [32, 40, 52])
def test_a_header_with_a_number_that_json_cannot_hold_is_refused(offset: int) -> None:
    data = bytearray(struct.pack(">32sQQIQ32s", bytes(32), 1, 2, 3, 4, bytes(32)))
    data[offset] = 0x20
    with pytest.raises(MalformedInput, match="out of range"):
        BatchHeader.parse(bytes(data))
