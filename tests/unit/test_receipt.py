import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import open_checkpoint
from ledger.errors import MalformedInput, SignatureRefuted
from ledger.note import sign_note
from ledger.receipt import HEADLINE, Receipt, open_receipt, sign_receipt
from ledger.types import Digest, Position

from .building import ORIGIN, OTHER_ORIGIN, RECEIVED, key_pair

ROOT = Digest.of(b"root")
SIGNER = key_pair()
RECEIPT = Receipt(ORIGIN, Position(120), 3, ROOT, RECEIVED, RECEIVED + 600_000)
TEXT = f"""\
transfer-ledger/receipt/v1
ledger.example/acme-live
first 120
count 3
root {ROOT.base64}
received 2026-11-23T16:00:02.123Z
include-by 2026-11-23T16:10:02.123Z
"""

receipts = st.builds(
    Receipt,
    origin=st.just(ORIGIN),
    first=st.integers(0, 10**18 - 1),
    count=st.integers(1, 10**10 - 1),
    root=st.binary(min_size=32, max_size=32).map(Digest),
    received=st.integers(0, 250_000_000_000_000),
    include_by=st.integers(0, 250_000_000_000_000),
)


def test_a_receipt_is_seven_lines() -> None:
    assert str(RECEIPT) == TEXT
    assert Receipt.parse(TEXT) == RECEIPT


@given(receipts)
def test_a_receipt_reads_back(receipt: Receipt) -> None:
    assert Receipt.parse(str(receipt)) == receipt
    note = sign_receipt(receipt, SIGNER.key, SIGNER.sign)
    assert open_receipt(note, SIGNER.key) == receipt


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(TEXT.removesuffix("\n"), id="no newline at the end"),
        pytest.param(TEXT + "\n", id="a blank line at the end"),
        pytest.param(TEXT + "more\n", id="an eighth line"),
        pytest.param("\n" + TEXT, id="a blank line before"),
        pytest.param(TEXT.replace("/v1", "/v2"), id="another version"),
        pytest.param(TEXT.replace(HEADLINE + "\n", ""), id="no headline"),
        pytest.param(TEXT.replace("count 3\n", ""), id="no count"),
        pytest.param(TEXT.replace("first 120\ncount 3\n", "count 3\nfirst 120\n"), id="lines swapped"),
        pytest.param(TEXT.replace("count 3\n", "count 3\ncount 3\n"), id="a line twice"),
        pytest.param(TEXT.replace("count 3", "count 0"), id="a push of nothing"),
        pytest.param(TEXT.replace("first 120", "first 0120"), id="a leading zero"),
        pytest.param(TEXT.replace("count 3", "count 03"), id="a leading zero in the count"),
        pytest.param(TEXT.replace("first 120", "first +120"), id="a plus"),
        pytest.param(TEXT.replace("first 120", "first -120"), id="a minus"),
        pytest.param(TEXT.replace("first 120", "first  120"), id="two spaces"),
        pytest.param(TEXT.replace("first 120", "first 12٠"), id="an Arabic digit"),
        pytest.param(TEXT.replace("count 3", "count 3٣"), id="an Arabic digit in the count"),
        pytest.param(TEXT.replace("first 120", "first " + "9" * 5000), id="5,000 digits"),
        pytest.param(TEXT.replace("=", ""), id="a root without padding"),
        pytest.param(TEXT.replace(ROOT.base64, "AAAA"), id="a root of three bytes"),
        pytest.param(TEXT.replace("02.123Z", "02Z"), id="times in seconds"),
        pytest.param(TEXT.replace("02.123Z", "02.12３Z"), id="a full-width digit in a time"),
        pytest.param(TEXT.replace("ledger.example", "LEDGER.example"), id="another spelling of the origin"),
        pytest.param(TEXT.replace("\n", "\r\n"), id="CRLF"),
    ],
)
def test_another_text_is_no_receipt(text: str) -> None:
    with pytest.raises(MalformedInput):
        Receipt.parse(text)


@given(st.text(max_size=20), st.sampled_from(TEXT.split("\n")))
def test_any_change_of_a_line_is_malformed_or_prints_the_same(new: str, line: str) -> None:
    text = TEXT.replace(line, new)
    try:
        assert str(Receipt.parse(text)) == text
    except MalformedInput:
        return


def test_a_receipt_of_another_log_is_refused_though_the_trusted_key_signed_it() -> None:
    other = Receipt(OTHER_ORIGIN, Position(0), 1, ROOT, RECEIVED, RECEIVED)
    with pytest.raises(SignatureRefuted, match="another log") as caught:
        open_receipt(sign_receipt(other, SIGNER.key, SIGNER.sign), SIGNER.key)
    assert caught.value.step == "signature"


def test_a_receipt_by_another_signer_is_refused() -> None:
    for other in (key_pair(seed=2), key_pair(OTHER_ORIGIN)):
        with pytest.raises(SignatureRefuted):
            open_receipt(sign_receipt(RECEIPT, other.key, other.sign), SIGNER.key)


def test_a_changed_promise_is_refused() -> None:
    note = sign_receipt(RECEIPT, SIGNER.key, SIGNER.sign)
    for old, new in (("first 120", "first 121"), ("count 3", "count 4"), ("T16:10", "T17:10")):
        with pytest.raises(SignatureRefuted):
            open_receipt(note.replace(old, new), SIGNER.key)


def test_a_receipt_never_opens_as_a_checkpoint() -> None:
    with pytest.raises(MalformedInput):
        open_checkpoint(sign_receipt(RECEIPT, SIGNER.key, SIGNER.sign), SIGNER.key)


def test_no_text_is_both_a_receipt_and_a_checkpoint() -> None:
    lines = TEXT.splitlines(keepends=True)
    both = lines[0] + "3\n" + f"{ROOT.base64}\n" + "".join(lines[1:])
    with pytest.raises(MalformedInput):
        open_checkpoint(sign_note(both, SIGNER.key, SIGNER.sign), SIGNER.key)
    with pytest.raises(MalformedInput):
        open_receipt(sign_note(both, SIGNER.key, SIGNER.sign), SIGNER.key)
