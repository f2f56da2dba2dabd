import base64
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LedgerError, MalformedInput, SignatureRefuted
from ledger.note import (
    MAX_BYTES,
    MAX_SIGNATURES,
    Note,
    Signature,
    VerifierKey,
    open_note,
    parse_note,
    sign_note,
)
from ledger.types import to_base64

from .building import key_pair

TEXT = "ledger.example/acme-live\n3\nqg2I1s5EnkBdEkxMRVqKBOCoHpJ4+iWlXvqYkYIPbRE=\n"
MINE = key_pair("ledger.example/acme-live", 1)
WITNESS = key_pair("witness.example/w1", 2)
NOTE = sign_note(TEXT, MINE.key, MINE.sign)
SIGNATURE = NOTE.removeprefix(TEXT + "\n")


def _line(
    text: str, pair: object = WITNESS, spoil: Callable[[bytes], bytes] = lambda signature: signature
) -> str:
    """One signature line over `text`."""
    signature = spoil(pair.sign(text.encode()))  # type: ignore[attr-defined]
    return f"— {pair.key.name} {to_base64(pair.key.key_id + signature)}\n"  # type: ignore[attr-defined]


def _refused(note: str, key: VerifierKey = MINE.key) -> None:
    with pytest.raises(SignatureRefuted) as caught:
        open_note(note, key)
    assert caught.value.step == "signature"


def _malformed(note: str) -> None:
    with pytest.raises(MalformedInput):
        parse_note(note)
    with pytest.raises(MalformedInput):
        open_note(note, MINE.key)


# --- Other implementations' notes ---------------------------------------------------------------------------------

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = "EKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


def test_the_example_of_go_s_note_package_opens() -> None:
    key = VerifierKey.parse(GO_KEY)
    assert str(key) == GO_KEY
    assert (key.name, key.key_id.hex()) == ("PeterNeumann", "c74f20a3")
    assert open_note(GO_TEXT + "\n" + GO_SIGNATURE, key) == GO_TEXT


def test_we_sign_go_s_example_as_go_does() -> None:
    seed = base64.b64decode("AY" + GO_SEED)[1:]  # 0x01, then the seed
    private = Ed25519PrivateKey.from_private_bytes(seed)
    assert sign_note(GO_TEXT, VerifierKey.parse(GO_KEY), private.sign) == GO_TEXT + "\n" + GO_SIGNATURE


def test_the_example_of_c2sp_s_signed_note_opens() -> None:
    key = VerifierKey.parse(C2SP_KEY)
    assert str(key) == C2SP_KEY
    assert open_note(C2SP_NOTE, key) == "This is an example message.\n"


# --- Sign and open ------------------------------------------------------------------------------------------------


def test_a_signed_note_opens() -> None:
    assert open_note(NOTE, MINE.key) == TEXT
    assert str(parse_note(NOTE)) == NOTE


printable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(32)]))


@given(st.lists(printable, min_size=1, max_size=5))
def test_any_printable_lines_can_be_signed_and_opened(lines: list[str]) -> None:
    text = "".join(line + "\n" for line in lines)
    assert open_note(sign_note(text, MINE.key, MINE.sign), MINE.key) == text


@pytest.mark.parametrize("text", ["a\n\nb\n", "\n", "\n\n", "a\n\n", "\n\na\n", f"x\n\n{SIGNATURE}"])
def test_a_text_may_have_blank_lines_and_even_look_like_a_note(text: str) -> None:
    assert open_note(sign_note(text, MINE.key, MINE.sign), MINE.key) == text


@pytest.mark.parametrize("text", ["", "a", "a\nb", "a\r\n", "a\tb\n", "\x00\n", "a\x1b[2J\n", "\ud800\n"])
def test_a_text_out_of_form_is_not_signed(text: str) -> None:
    with pytest.raises(MalformedInput):
        sign_note(text, MINE.key, MINE.sign)


# --- Whose signature ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(SIGNATURE + _line(TEXT), id="a witness after"),
        pytest.param(_line(TEXT) + SIGNATURE, id="a witness before"),
        pytest.param(SIGNATURE + _line("other\n"), id="a witness whose signature is wrong"),
        pytest.param(SIGNATURE + "— witness.example/w2 AAAAAAA=\n", id="a signature of one byte"),
        pytest.param(SIGNATURE + _line(TEXT, key_pair(MINE.key.name, 3)), id="another key of the same name"),
        pytest.param(SIGNATURE * 2, id="the same signature twice"),
    ],
)
def test_signatures_by_unknown_keys_are_ignored(tail: str) -> None:
    assert open_note(TEXT + "\n" + tail, MINE.key) == TEXT


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(_line(TEXT), id="signed by a witness only"),
        pytest.param(_line(TEXT, key_pair(MINE.key.name, 3)), id="another key of the same name"),
        pytest.param(SIGNATURE.replace("acme-live", "acme-like"), id="another name for the same key"),
        pytest.param(_line("other\n", MINE), id="a signature over another text"),
        pytest.param(
            _line(TEXT.removesuffix("\n"), MINE), id="a signature over the text without its last newline"
        ),
        pytest.param(_line(TEXT + "\n", MINE), id="a signature over the text with the blank line"),
        pytest.param(_line(TEXT, MINE, lambda s: s[:-1]), id="a signature of 63 bytes"),
        pytest.param(_line(TEXT, MINE, lambda s: s + b"\0"), id="a signature of 65 bytes"),
        pytest.param(_line(TEXT, MINE, lambda _: bytes(64)), id="a signature of zeros"),
        pytest.param(
            f"— {MINE.key.name} {to_base64(WITNESS.key.key_id + MINE.sign(TEXT.encode()))}\n",
            id="a wrong key id",
        ),
        pytest.param(
            f"— {MINE.key.name} {to_base64(MINE.key.key_id + WITNESS.sign(TEXT.encode()))}\n",
            id="the trusted key id on another's signature",
        ),
    ],
)
def test_a_note_without_a_valid_signature_of_the_trusted_key_is_refused(tail: str) -> None:
    _refused(TEXT + "\n" + tail)


@pytest.mark.parametrize("first", [True, False])
def test_a_bad_signature_by_the_trusted_key_beside_a_good_one_refuses_the_note(first: bool) -> None:
    bad = _line("other\n", MINE)
    _refused(TEXT + "\n" + (bad + SIGNATURE if first else SIGNATURE + bad))


def test_a_signature_with_another_scalar_of_the_same_class_is_refused() -> None:
    """Ed25519's malleability: S + L verifies where a verifier forgets to bound S (RFC 8032 §5.1.7)."""
    order = 2**252 + 27742317777372353535851937790883648493

    def shifted(signature: bytes) -> bytes:
        return signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")

    _refused(TEXT + "\n" + _line(TEXT, MINE, shifted))


def test_every_flipped_bit_of_a_note_is_refused() -> None:
    data = NOTE.encode()
    for place in range(len(data)):
        for bit in range(8):
            bent = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            # What is not UTF-8 any more comes in as lone surrogates at worst.
            with pytest.raises((SignatureRefuted, MalformedInput)):
                open_note(bent.decode(errors="surrogateescape"), MINE.key)


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    for place in range(64):
        for bit in range(8):

            def bent(signature: bytes, place: int = place, bit: int = bit) -> bytes:
                return signature[:place] + bytes([signature[place] ^ 1 << bit]) + signature[place + 1 :]

            _refused(TEXT + "\n" + _line(TEXT, MINE, bent))


def test_a_note_cut_off_anywhere_is_refused() -> None:
    for end in range(len(NOTE)):
        with pytest.raises((SignatureRefuted, MalformedInput)):
            open_note(NOTE[:end], MINE.key)


def test_a_line_taken_away_or_doubled_is_refused() -> None:
    lines = TEXT.splitlines(keepends=True)
    for n in range(len(lines)):
        _refused("".join(lines[:n] + lines[n + 1 :]) + "\n" + SIGNATURE)
        _refused("".join(lines[: n + 1] + lines[n:]) + "\n" + SIGNATURE)


# --- Form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "note",
    [
        pytest.param("", id="nothing"),
        pytest.param("\n", id="a newline"),
        pytest.param("\n\n", id="two newlines"),
        pytest.param(TEXT, id="no signatures"),
        pytest.param(TEXT + "\n", id="a blank line and no signatures"),
        pytest.param(TEXT + SIGNATURE, id="no blank line"),
        pytest.param("\n" + SIGNATURE, id="no text"),
        pytest.param(NOTE.removesuffix("\n"), id="no newline at the end"),
        pytest.param(NOTE + "\n", id="a blank line at the end"),
        pytest.param(NOTE + " ", id="a space at the end"),
        pytest.param(NOTE + "x\n", id="text after the signatures"),
        pytest.param(TEXT + "\n" + SIGNATURE + "\n" + "x\n", id="text after a second blank line"),
        pytest.param(NOTE.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(NOTE.replace("\n", "\r"), id="CR"),
        pytest.param(NOTE.replace("3\n", "3\t\n"), id="a tab"),
        pytest.param("\ufeff" + NOTE.replace("3", "\x00"), id="a zero byte"),
        pytest.param(TEXT + "\n" + SIGNATURE.removesuffix("\n") + " \n", id="a space after a signature"),
        pytest.param(TEXT + "\n" + " " + SIGNATURE, id="a space before a signature"),
        pytest.param(TEXT + "\n" + SIGNATURE.replace(" ", "  ", 1), id="two spaces after the dash"),
        pytest.param(TEXT + "\n" + SIGNATURE.replace("e ", "e  "), id="two spaces before the signature"),
        pytest.param(TEXT + "\n" + SIGNATURE.replace(" ", "\u00a0", 1), id="a no-break space"),
        pytest.param(TEXT + "\n" + SIGNATURE.replace("—", "-"), id="a hyphen"),
        pytest.param(TEXT + "\n" + SIGNATURE.replace("—", "–"), id="an en dash"),
        pytest.param(TEXT + "\n" + SIGNATURE.replace("acme-live", "acme+live"), id="a plus in the name"),
        pytest.param(
            TEXT + "\n" + SIGNATURE.replace("acme-live", "acme\u2003live"), id="an em space in the name"
        ),
        pytest.param(
            TEXT + "\n" + SIGNATURE.replace("acme-live", "acme\x01live"), id="a control in the name"
        ),
        pytest.param(
            TEXT + "\n" + SIGNATURE.replace("acme-live", "acme\ud800live"), id="a surrogate in the name"
        ),
        pytest.param(TEXT + "\n" + SIGNATURE + "— w1 AAAAAA==\n", id="a key id without a signature"),
        pytest.param(TEXT + "\n" + SIGNATURE + "— w1 \n", id="an empty signature"),
        pytest.param(TEXT + "\n" + SIGNATURE + "— w1\n", id="a name without a signature"),
        pytest.param(TEXT + "\n" + SIGNATURE + "— w1 AAAAAAB=\n", id="bits after the last byte"),
        pytest.param(TEXT + "\n" + SIGNATURE + "— w1 AAAAAAA\n", id="no padding"),
        pytest.param(TEXT + "\n" + SIGNATURE + "— w1 AAAA-_A=\n", id="the URL-safe alphabet"),
        pytest.param("x" * MAX_BYTES + NOTE, id="over a million bytes"),
    ],
)
def test_a_note_out_of_form_is_refused(note: str) -> None:
    _malformed(note)


def test_a_blank_line_before_the_signatures_too_many_is_part_of_the_text() -> None:
    _refused(TEXT + "\n\n" + SIGNATURE)
    assert parse_note(TEXT + "\n\n" + SIGNATURE).text == TEXT + "\n"


def test_100_signatures_are_read_and_101_refused() -> None:
    others = "".join(_line(TEXT, key_pair(f"w{n}.example/w", n + 10)) for n in range(MAX_SIGNATURES - 1))
    assert open_note(TEXT + "\n" + others + SIGNATURE, MINE.key) == TEXT
    _malformed(TEXT + "\n" + others + _line(TEXT) + SIGNATURE)


# --- Keys ---------------------------------------------------------------------------------------------------------

KEY = str(MINE.key)
PARTS = KEY.split("+", 2)


def test_a_verifier_key_reads_back() -> None:
    assert VerifierKey.parse(KEY) == MINE.key


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(PARTS[0], id="only a name"),
        pytest.param(f"{PARTS[0]}+{PARTS[1]}", id="no key"),
        pytest.param(f"{PARTS[0]}++{PARTS[2]}", id="no key id"),
        pytest.param(f"+{PARTS[1]}+{PARTS[2]}", id="no name"),
        pytest.param(f"{PARTS[0]}+{PARTS[1].upper()}+{PARTS[2]}", id="key id in upper case"),
        pytest.param(f"{PARTS[0]}+00000000+{PARTS[2]}", id="another key id"),
        pytest.param(f"{PARTS[0]}x+{PARTS[1]}+{PARTS[2]}", id="another name"),
        pytest.param(f"{PARTS[0]} x+{PARTS[1]}+{PARTS[2]}", id="a name with a space"),
        pytest.param(
            "+".join([*PARTS[:2], to_base64(b"\x02" + MINE.key.public_key)]), id="another algorithm"
        ),
        pytest.param("+".join([*PARTS[:2], to_base64(MINE.key.public_key)]), id="no algorithm"),
        pytest.param("+".join([*PARTS[:2], to_base64(b"\x01" + MINE.key.public_key[:-1])]), id="31 bytes"),
        pytest.param("+".join([*PARTS[:2], to_base64(b"\x01" + MINE.key.public_key + b"\0")]), id="33 bytes"),
        pytest.param(KEY + "=", id="padding too much"),
        pytest.param(f"PRIVATE+KEY+{KEY}", id="a signer key"),
    ],
)
def test_a_verifier_key_out_of_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "a\u00a0", "a\x00", "\ud800"])
def test_a_key_s_name_has_neither_white_space_nor_plus(name: str) -> None:
    with pytest.raises(MalformedInput):
        VerifierKey(name, bytes(32))


def test_a_public_key_that_is_no_point_verifies_nothing() -> None:
    for public_key in (b"\xff" * 32, b"\x02" + bytes(31)):
        assert not VerifierKey("x", public_key).verifies(b"message", bytes(64))


# --- Arbitrary input ----------------------------------------------------------------------------------------------


@given(
    st.text(st.sampled_from("ab — \n\r+=A\x00\ud800\u2028"), max_size=60)
    | st.text(max_size=50).map(lambda t: t + "\n\n" + SIGNATURE)
    | st.text(max_size=50).map(lambda t: TEXT + "\n" + t)
)
def test_any_text_is_a_note_or_refused(text: str) -> None:
    try:
        assert str(parse_note(text)) == text
        assert open_note(text, MINE.key) == TEXT
    except LedgerError:
        pass


def test_a_note_is_printed_as_it_was_read() -> None:
    signature = Signature("w1", b"\0\1\2\3", b"\4")
    assert str(Note("text\n", (signature,))) == "text\n\n— w1 AAECAwQ=\n"
