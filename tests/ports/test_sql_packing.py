"""What the SQL store packs comes back as it was, and what it has packed once stays readable."""

from __future__ import annotations

import hashlib
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stores import ORIGIN, append, event, register

from ledger.adapters.sql import open_store
from ledger.adapters.sql.packing import _pack, joined, pack_disclosures, row_digest, unpack_disclosures
from ledger.adapters.sql.squeeze import _DICTIONARY, _FROZEN, squeeze, unsqueeze
from ledger.errors import IntegrityError
from ledger.types import Position, to_base64url

ENTRY = (
    b'{"data":{"_sd":["8PHy8_T19vf4-fr7_P3-__Dx8vP09fb3-Pn6-_z9_v8","AAAAAAA'
    b'AAAAAAAAAAAAAAA"],"_sd_alg":"sha-256"},"event":{"type":"transfer-ledger.access.v1"}}'
)
SQUEEZED = (
    "01c38ca67f582306396408bbb21600f0f1f2f3f4f5f6f7f8f9fafbfcfdfefff0f1f2f3f4f5f6f7f8f9fafbfcfd"
    "feff00000000000000000000000000000000"
)
FRAME = (
    "28b52ffd2200809afd010003c30937d87ee367bc46fb68a0abb64094ea6a9185cf3a108d06a22c1a0c77a1cae535a9d4641e8"
    "9250b06fc50a28a6fc6503204938eb58e6fbbfa5c264002"
)
FROZEN = "0672f83319432d370c1398d1b5f125ba15e83127a41939dbd4816086104d9a22"
DICTIONARY = "21d5495769903cb30fe1a1e98de73c17b3a060bdee195326bf1e0850ab5780e2"

_base64url = st.binary(max_size=40).map(to_base64url)
_quoted = st.one_of(
    st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16), st.binary(max_size=40)
).map(lambda data: b'"' + to_base64url(data).encode() + b'"')


@settings(deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), _quoted, st.text().map(str.encode))).map(b",".join))
def test_any_bytes_come_back(data: bytes) -> None:
    assert unsqueeze(squeeze(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01\xfe\xff",
        b'"' + b"A" * 43 + b'"',
        b'"' + b"A" * 42 + b'B"',  # base64url with spare bits that are not zero
        b'"' + b"A" * 21 + b'B"',
        b'"' + b"+" * 43 + b'"',
        b'"' + b"_" * 42 + b'8""' + b"-" * 21 + b'w"',
        b'""""' + b"A" * 22 + b'""',
    ],
)
def test_bytes_that_look_like_what_is_lifted_come_back(data: bytes) -> None:
    assert unsqueeze(squeeze(data)) == data


@pytest.mark.parametrize("cut", ["tag", "text", "lifted", "more"])
def test_bytes_that_are_not_whole_are_refused(cut: str) -> None:
    squeezed = squeeze(b'{"_sd":["' + b"A" * 43 + b'"],"_sd_alg":"sha-256"}')
    wrong = {
        "tag": b"\x02" + squeezed[1:],
        "text": squeezed[:5],
        "lifted": squeezed[:-1],
        "more": squeezed + b"\x00",
    }[cut]
    with pytest.raises(ValueError, match="bytes"):
        unsqueeze(wrong)


def test_what_was_squeezed_once_stays_readable() -> None:
    assert unsqueeze(bytes.fromhex(SQUEEZED)) == ENTRY
    digest = hashlib.sha256(_DICTIONARY).hexdigest()
    assert digest == DICTIONARY, "rows are read with the dictionary they were written with: make a second one"


def test_what_was_squeezed_into_a_frame_once_stays_readable() -> None:
    assert unsqueeze(bytes.fromhex(FRAME)) == ENTRY
    digest = hashlib.sha256(_FROZEN.as_bytes()).hexdigest()
    assert (digest, _FROZEN.dict_id()) == (FROZEN, 32768), (
        "make a second dictionary, with a number of its own"
    )


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(FRAME[:8] + "e2" + FRAME[10:14] + "ff" * 7 + "00" + FRAME[16:], id="too large to hold"),
        pytest.param(FRAME[:10] + "0180" + FRAME[14:], id="another dictionary"),
        pytest.param(FRAME[:8], id="only its first bytes"),
    ],
)
def test_a_frame_that_cannot_be_read_is_refused(frame: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        unsqueeze(bytes.fromhex(frame))


def test_threads_squeeze_at_once() -> None:
    data = [b'{"n":%d,"text":"%d"}' % (n, n * n) for n in range(3000)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda it: unsqueeze(squeeze(it)), data)) == data


@given(
    st.lists(st.sampled_from(["W10", "WzFd", "e30", "", "W1td", "WwpbXQ", "Cg", "CltdCg", "PQ", "AB", "é"]))
)
def test_disclosures_are_joined_at_once_as_one_by_one(texts: list[str]) -> None:
    assert joined(texts) == b"\n".join(map(_pack, texts))


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(_base64url, st.text(st.characters(codec="utf-8", exclude_characters="\n"))), min_size=1
    )
)
def test_any_disclosures_come_back_as_the_texts_they_were(texts: list[str]) -> None:
    assert unpack_disclosures(pack_disclosures(texts)) == tuple(texts)


@pytest.mark.parametrize(
    "array", [b"", b"=", b"\n", b'[\n"salt", "name", 1\n]', b"=[]", b"\xff\xfe", b"[]\r\n"]
)
def test_arrays_that_others_wrote_come_back_as_the_texts_they_were(array: bytes) -> None:
    texts = (to_base64url(array), to_base64url(b'["s","n",1]'))
    assert unpack_disclosures(pack_disclosures(texts)) == texts


@pytest.mark.parametrize("text", ["AB", "é", "a+b=", "=", "===="])
def test_texts_that_are_not_base64url_come_back(text: str) -> None:
    assert unpack_disclosures(pack_disclosures([text, text])) == (text, text)


def test_a_disclosure_with_a_line_feed_is_refused() -> None:
    with pytest.raises(IntegrityError):
        pack_disclosures(["e30", "e3\n0"])


def test_rows_that_differ_in_one_value_have_other_digests() -> None:
    rows = [("t", ["a", 1, None]), ("u", ["a", 1, None]), ("t", ["a", 1, "x"]), ("t", ["a,1", None, None])]
    assert len({row_digest(table, values) for table, values in rows}) == len(rows)


def test_a_scan_holds_a_part_of_the_events_in_memory(sqlite_url: str) -> None:
    store, random, size = open_store(sqlite_url), Random(1), 20_000
    register(store)
    for start in range(0, 1500, 500):
        append(store, *(event(n, entry=random.randbytes(size)) for n in range(start, start + 500)))
    tracemalloc.start()
    read = sum(len(it.entry) for it in store.scan(ORIGIN, Position(0), Position(1500)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    store.close()
    assert read == 1500 * size
    assert peak < read / 2
