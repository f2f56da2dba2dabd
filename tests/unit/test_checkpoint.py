from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.errors import LedgerError, MalformedInput, SignatureRefuted
from ledger.note import sign_note
from ledger.receipt import open_receipt
from ledger.types import Digest

from .building import ORIGIN, OTHER_ORIGIN, key_pair

ROOT = Digest.of(b"root")
SIGNER = key_pair()
HEAD = Checkpoint(ORIGIN, 3, ROOT)
TEXT = f"{ORIGIN}\n3\n{ROOT.base64}\n"


def test_a_checkpoint_is_three_lines() -> None:
    assert str(HEAD) == TEXT
    assert Checkpoint.parse(TEXT) == HEAD


@given(st.integers(0, 10**19 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_reads_back(size: int, root: bytes) -> None:
    head = Checkpoint(ORIGIN, size, Digest(root))
    assert Checkpoint.parse(str(head)) == head


def test_a_signed_checkpoint_opens() -> None:
    assert open_checkpoint(sign_checkpoint(HEAD, SIGNER.key, SIGNER.sign), SIGNER.key) == HEAD


def test_extension_lines_are_ignored_and_signed() -> None:
    text = TEXT + "an extension\nanother\n"
    assert Checkpoint.parse(text) == HEAD
    note = sign_note(text, SIGNER.key, SIGNER.sign)
    assert open_checkpoint(note, SIGNER.key) == HEAD
    with pytest.raises(SignatureRefuted):
        open_checkpoint(note.replace("another", "changed"), SIGNER.key)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(TEXT.removesuffix("\n"), id="no newline at the end"),
        pytest.param(TEXT + "\n", id="a blank line at the end"),
        pytest.param(f"{ORIGIN}\n3\n", id="no root"),
        pytest.param(f"3\n{ROOT.base64}\n", id="no origin"),
        pytest.param(f"{ORIGIN}\n\n{ROOT.base64}\n", id="no size"),
        pytest.param(f"\n{TEXT}", id="a blank line before"),
        pytest.param(f"{TEXT}\nextension\n", id="a blank line among the extensions"),
        pytest.param(TEXT.replace("\n3\n", "\n03\n"), id="a leading zero"),
        pytest.param(TEXT.replace("\n3\n", "\n00\n"), id="two zeros"),
        pytest.param(TEXT.replace("\n3\n", "\n+3\n"), id="a plus"),
        pytest.param(TEXT.replace("\n3\n", "\n-3\n"), id="a minus"),
        pytest.param(TEXT.replace("\n3\n", "\n3.0\n"), id="a fraction"),
        pytest.param(TEXT.replace("\n3\n", "\n0x3\n"), id="hexadecimal"),
        pytest.param(TEXT.replace("\n3\n", "\n 3\n"), id="a space"),
        pytest.param(TEXT.replace("\n3\n", "\n3 \n"), id="a space after"),
        pytest.param(TEXT.replace("\n3\n", "\n1_0\n"), id="an underscore"),
        pytest.param(TEXT.replace("\n3\n", "\n٣\n"), id="an Arabic digit"),
        pytest.param(TEXT.replace("\n3\n", "\n" + "9" * 20 + "\n"), id="20 digits"),
        pytest.param(TEXT.replace("\n3\n", "\n" + "9" * 5000 + "\n"), id="5,000 digits"),
        pytest.param(TEXT.replace("=", ""), id="a root without padding"),
        pytest.param(TEXT.replace(ROOT.base64, ROOT.hex()), id="a root in hexadecimal"),
        pytest.param(TEXT.replace(ROOT.base64, "AAAA"), id="a root of three bytes"),
        pytest.param(TEXT.replace("ledger.", "Ledger."), id="another spelling of the origin"),
        pytest.param(TEXT.replace("\n", "\r\n"), id="CRLF"),
    ],
)
def test_another_text_is_no_checkpoint(text: str) -> None:
    with pytest.raises(MalformedInput):
        Checkpoint.parse(text)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=50))
def test_any_text_is_a_checkpoint_or_malformed(origin: str, size: str, root: str) -> None:
    for text in (
        origin,
        f"{origin}\n{size}\n{root}\n",
        f"{ORIGIN}\n{size}\n{ROOT}\n",
        f"{ORIGIN}\n1\n{root}\n",
    ):
        try:
            assert text.startswith(str(Checkpoint.parse(text)))
        except LedgerError as error:
            assert isinstance(error, MalformedInput)


def _refused(note: str, opening: Callable[..., object] = open_checkpoint) -> SignatureRefuted:
    with pytest.raises(SignatureRefuted) as caught:
        opening(note, SIGNER.key)
    assert caught.value.step == "signature"
    return caught.value


def test_a_checkpoint_of_another_log_is_refused_though_the_trusted_key_signed_it() -> None:
    note = sign_checkpoint(Checkpoint(OTHER_ORIGIN, 3, ROOT), SIGNER.key, SIGNER.sign)
    assert "another log" in str(_refused(note))


def test_a_checkpoint_of_a_batch_is_none_of_the_log() -> None:
    batch = Checkpoint(type(ORIGIN)(f"{ORIGIN}/batch/3"), 3, ROOT)
    with pytest.raises(MalformedInput, match="reserved"):
        open_checkpoint(sign_checkpoint(batch, SIGNER.key, SIGNER.sign), SIGNER.key)


@pytest.mark.parametrize(
    ("name", "seed"), [(ORIGIN, 2), (OTHER_ORIGIN, 1), (OTHER_ORIGIN, 2)], ids=["key", "name", "both"]
)
def test_a_checkpoint_by_another_signer_is_refused(name: str, seed: int) -> None:
    other = key_pair(name, seed)
    _refused(sign_checkpoint(HEAD, other.key, other.sign))


def test_a_checkpoint_never_opens_as_a_receipt() -> None:
    for text in (TEXT, TEXT + "transfer-ledger/receipt/v1\n"):
        with pytest.raises(MalformedInput):
            open_receipt(sign_note(text, SIGNER.key, SIGNER.sign), SIGNER.key)
