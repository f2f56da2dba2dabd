import base64
import contextlib
import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedInput
from ledger.types import (
    Digest,
    format_time,
    from_base64,
    from_base64url,
    from_hex,
    log_id,
    parse_origin,
    parse_party_id,
    parse_time,
    to_base64,
    to_base64_each,
    to_base64url,
    to_base64url_each,
)

YEAR_1 = -62_135_596_800_000
YEAR_9999_END = 253_402_300_799_999


# --- Digests ------------------------------------------------------------------------------------------------------


def test_a_digest_is_sha_256() -> None:
    assert Digest.of(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_digest_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MalformedInput, match="expected 32 bytes"):
        Digest(bytes(size))


def test_a_digest_reads_back_from_each_of_its_clothes() -> None:
    digest = Digest.of(b"x")
    assert Digest.from_base64(digest.base64) == digest
    assert Digest.from_hex(digest.hex0x) == digest
    assert Digest.from_hex(digest.hex().upper()) == digest
    assert str(digest) == digest.base64
    assert digest.base64 in repr(digest)


# --- Origins and parties ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "ledger.example/acme-live",
        "ledger.example:8443/acme",
        "a.b/c",
        "ledger.example/acme/2026",
        "xn--bcher-kva.example/l~o_g.1",
    ],
)
def test_an_origin_is_a_schema_less_url_prefix(text: str) -> None:
    assert parse_origin(text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("ledger.example", id="no path"),
        pytest.param("ledger.example/", id="empty path"),
        pytest.param("ledger.example//acme", id="empty segment"),
        pytest.param("ledger.example/acme/", id="slash at the end"),
        pytest.param("ledger.example/..", id="parent folder"),
        pytest.param("ledger.example/.hidden", id="dot first"),
        pytest.param("ledger/acme", id="host without a dot"),
        pytest.param("transfer-ledger/receipt/v1", id="headline of a receipt"),
        pytest.param("Ledger.example/acme", id="upper case host"),
        pytest.param("ledger.example/Acme", id="upper case path"),
        pytest.param("https://ledger.example/acme", id="scheme"),
        pytest.param("user@ledger.example/acme", id="user"),
        pytest.param("ledger.example/acme?x", id="query"),
        pytest.param("ledger.example/acme#x", id="fragment"),
        pytest.param("ledger.example/acme live", id="space"),
        pytest.param("ledger.example/acme+live", id="plus"),
        pytest.param("ledger.example/acme\n", id="newline at the end"),
        pytest.param("ledger.example/acme\n3", id="two lines"),
        pytest.param("ledger.example:0443/acme", id="port with a leading zero"),
        pytest.param("-ledger.example/acme", id="label starts with a hyphen"),
        pytest.param("ledger-.example/acme", id="label ends with a hyphen"),
        pytest.param("a" * 64 + ".example/acme", id="label of 64"),
        pytest.param("ledger.example/" + "a" * 241, id="256 characters"),
        pytest.param("ledger.example/аcme", id="Cyrillic a"),
        pytest.param("ledger.example/acme\u0663", id="Arabic digit"),
    ],
)
def test_another_origin_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        parse_origin(text)


def test_the_id_of_a_log_is_the_sha_256_of_its_origin() -> None:
    origin = parse_origin("ledger.example/acme-live")
    assert log_id(origin) == hashlib.sha256(b"ledger.example/acme-live").digest()


@pytest.mark.parametrize("text", ["a", "acme", "7-eleven", "acme.cn_1", "a" * 63])
def test_the_id_of_a_party_is_short_and_opaque(text: str) -> None:
    assert parse_party_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "Acme", "-acme", ".acme", "ac me", "alice@acme", "acme\n", "a" * 64, "é", "٣"]
)
def test_another_party_id_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        parse_party_id(text)


# --- Times --------------------------------------------------------------------------------------------------------


@given(st.integers(YEAR_1, YEAR_9999_END))
def test_a_time_reads_back(millis: int) -> None:
    text = format_time(millis)
    assert len(text) == len("2026-01-31T23:59:59.123Z")
    assert parse_time(text) == millis


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (YEAR_1, "0001-01-01T00:00:00.000Z"),
        (YEAR_9999_END, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_the_form_of_a_time(millis: int, text: str) -> None:
    assert format_time(millis) == text
    assert parse_time(text) == millis


@pytest.mark.parametrize("millis", [YEAR_1 - 1, YEAR_9999_END + 1, 2**64, -(2**64), 2**64 * 1000, 2**200])
def test_a_time_outside_the_calendar_cannot_be_written(millis: int) -> None:
    with pytest.raises(MalformedInput):
        format_time(millis)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-01-31T23:59:59Z", id="no decimals"),
        pytest.param("2026-01-31T23:59:59.12Z", id="two decimals"),
        pytest.param("2026-01-31T23:59:59.1234Z", id="four decimals"),
        pytest.param("2026-01-31T23:59:59,123Z", id="comma"),
        pytest.param("2026-01-31T23:59:59.123+00:00", id="offset"),
        pytest.param("2026-01-31T23:59:59.123z", id="lower case z"),
        pytest.param("2026-01-31t23:59:59.123Z", id="lower case t"),
        pytest.param("2026-01-31 23:59:59.123Z", id="space"),
        pytest.param("2026-02-29T00:00:00.000Z", id="no such day"),
        pytest.param("2026-01-31T24:00:00.000Z", id="hour 24"),
        pytest.param("2026-12-31T23:59:60.000Z", id="leap second"),
        pytest.param("0000-01-01T00:00:00.000Z", id="year 0"),
        pytest.param(" 2026-01-31T23:59:59.123Z", id="space before"),
        pytest.param("2026-01-31T23:59:59.123Z\n", id="newline after"),
        pytest.param("2026-01-31T23:59:59.１２３Z", id="full-width decimals"),
        pytest.param("２０２６-01-31T23:59:59.123Z", id="full-width year"),
        pytest.param("2026-W05-6T23:59:59.123Z", id="week date"),
        pytest.param("", id="empty"),
    ],
)
def test_another_spelling_of_a_time_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        parse_time(text)


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_malformed(text: str) -> None:
    with contextlib.suppress(MalformedInput):
        assert format_time(parse_time(text)) == text


# --- Base64 and hexadecimal ---------------------------------------------------------------------------------------


@given(st.binary(max_size=100))
def test_bytes_read_back(data: bytes) -> None:
    assert from_base64(to_base64(data)) == data
    assert from_base64url(to_base64url(data)) == data
    assert from_hex(data.hex()) == from_hex("0x" + data.hex()) == data


@given(st.lists(st.binary(max_size=80), max_size=9))
def test_many_are_spelled_as_each(items: list[bytes]) -> None:
    assert to_base64_each(items) == [to_base64(item) for item in items]
    assert to_base64url_each(items) == [to_base64url(item) for item in items]


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AA",
        "AAA",
        "AA=",
        "AB==",
        "AAB=",
        "AA==\n",
        " AA==",
        "A A==",
        "AA==AA==",
        "-_8=",
        "AAAA=",
        "=",
        "é",
        "\ud800",
    ],
)
def test_lax_base64_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        from_base64(text)


@pytest.mark.parametrize("text", ["A", "AA==", "AB", "AAB", "AA\n", "A A", "+/8", "-_8=", "é", "\ud800"])
def test_lax_base64url_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        from_base64url(text)


def test_every_short_text_is_base64url_just_if_its_bytes_are_written_so() -> None:
    for size in range(5):
        for characters in itertools.product("AEQgw8_-+/=\n", repeat=size):
            text = "".join(characters)
            try:
                lax = base64.urlsafe_b64decode(text + "==")
            except ValueError:
                lax = b""
            if to_base64url(lax) == text:
                assert from_base64url(text) == lax
            else:
                with pytest.raises(MalformedInput):
                    from_base64url(text)


@pytest.mark.parametrize("text", ["0", "0x0", "0X00", "0x0x00", "zz", "00 00", "00\n", "+0", "٣٣", "\ud800a"])
def test_lax_hexadecimal_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        from_hex(text)


@given(st.text(alphabet=st.characters(), max_size=20))
def test_any_text_is_base64_or_malformed(text: str) -> None:
    for read, write in ((from_base64, to_base64), (from_base64url, to_base64url)):
        with contextlib.suppress(MalformedInput):
            assert write(read(text)) == text


@pytest.mark.parametrize("word", ["batch", "events", "tile", "checkpoint"])
def test_an_origin_holds_no_word_that_follows_an_origin(word: str) -> None:
    with pytest.raises(MalformedInput, match="reserved"):
        parse_origin(f"ledger.example/acme/{word}")
    with pytest.raises(MalformedInput, match="reserved"):
        parse_origin(f"ledger.example/{word}/7")
    assert parse_origin(f"ledger.example/{word}-7")
