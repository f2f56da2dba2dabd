"""What a party signs: the text, the bytes of statements, the tree; each pair of siblings against each other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import canonical
from ledger.checkpoint import open_checkpoint
from ledger.entry import parse_entry
from ledger.errors import InclusionRefuted, MalformedInput, SignatureRefuted, VerificationError
from ledger.merkle import leaf_hash, tree_root
from ledger.note import sign_note
from ledger.push import (
    HEADLINE,
    PushHead,
    PushProof,
    check_push,
    check_statement,
    leaves_with,
    open_push,
    others_among,
    parse_push,
    prove_statement,
    push_document,
    read_push,
    sign_push,
)
from ledger.receipt import Receipt, open_receipt
from ledger.salted import StatementReader, statement_object
from ledger.statement import entry_of, make_entry, statement_of
from ledger.types import Digest, Origin, PartyId, Position, format_time

from .building import ORIGIN, OTHER_ORIGIN, PARTY, RECEIVED, event_value, key_pair, statement

ROOT = Digest.of(b"root")
SIGNER = key_pair(PARTY)
HEAD = PushHead(ORIGIN, 3, ROOT)
TEXT = f"""\
transfer-ledger/push/v1
ledger.example/acme-live
count 3
root {ROOT.base64}
"""
SIZE = 9
STATEMENTS = [statement(n).content for n in range(SIZE)]
LEAVES = [leaf_hash(text) for text in STATEMENTS]
NOTE = sign_push(PushHead.over(ORIGIN, LEAVES), SIGNER.key, SIGNER.sign)

heads = st.builds(
    PushHead,
    origin=st.just(ORIGIN),
    count=st.integers(1, 10**10 - 1),
    root=st.binary(min_size=32, max_size=32).map(Digest),
)


# --- The text -----------------------------------------------------------------------------------------------------


def test_the_head_of_a_push_is_four_lines() -> None:
    assert str(HEAD) == TEXT
    assert PushHead.parse(TEXT) == HEAD


@given(heads)
def test_a_signed_head_opens_as_it_was(head: PushHead) -> None:
    note = sign_push(head, SIGNER.key, SIGNER.sign)
    assert open_push(note, SIGNER.key) == head
    assert read_push(note)[0] == head


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(TEXT.removesuffix("\n"), id="no newline at the end"),
        pytest.param(TEXT + "more\n", id="a fifth line"),
        pytest.param("\n" + TEXT, id="a blank line before"),
        pytest.param(TEXT.replace("/v1", "/v2"), id="another version"),
        pytest.param(TEXT.replace("push", "receipt"), id="another kind"),
        pytest.param(TEXT.replace(HEADLINE + "\n", ""), id="no headline"),
        pytest.param(TEXT.replace("count 3\n", ""), id="no count"),
        pytest.param(TEXT.replace("count 3\n", "count 3\ncount 3\n"), id="a line twice"),
        pytest.param(TEXT.replace("count 3", "count 0"), id="a push of nothing"),
        pytest.param(TEXT.replace("count 3", "count 03"), id="a leading zero"),
        pytest.param(TEXT.replace("count 3", "count -3"), id="a minus"),
        pytest.param(TEXT.replace("count 3", "count 3٣"), id="an Arabic digit"),
        pytest.param(TEXT.replace("count 3", "count " + "9" * 5000), id="5,000 digits"),
        pytest.param(TEXT.replace("=", ""), id="a root without padding"),
        pytest.param(TEXT.replace(ROOT.base64, "AAAA"), id="a root of three bytes"),
        pytest.param(TEXT.replace("ledger.example", "LEDGER.example"), id="another spelling of the origin"),
        pytest.param(TEXT.replace("\n", "\r\n"), id="CRLF"),
    ],
)
def test_another_text_is_no_head_of_a_push(text: str) -> None:
    with pytest.raises(MalformedInput):
        PushHead.parse(text)


@given(st.text(max_size=20), st.sampled_from(TEXT.split("\n")))
def test_any_change_of_a_line_is_malformed_or_prints_the_same(new: str, line: str) -> None:
    text = TEXT.replace(line, new)
    try:
        assert str(PushHead.parse(text)) == text
    except MalformedInput:
        return


def test_a_signed_push_opens_as_nothing_else_and_nothing_else_as_one() -> None:
    log = key_pair()
    own = sign_push(HEAD, log.key, log.sign)
    for open_ in (open_checkpoint, open_receipt):
        with pytest.raises(MalformedInput):
            open_(own, log.key)
    checkpoint = f"{ORIGIN}\n3\n{ROOT.base64}\n"
    receipt = Receipt(ORIGIN, Position(0), 3, ROOT, RECEIVED, RECEIVED)
    for text in (checkpoint, str(receipt)):
        with pytest.raises(MalformedInput):
            open_push(sign_note(text, log.key, log.sign), log.key)


def test_a_push_carries_one_signature() -> None:
    line = NOTE.partition("\n\n")[2]
    for note in (NOTE + line, NOTE.replace(line, "")):
        with pytest.raises(MalformedInput):
            read_push(note)


def test_the_document_of_a_push_reads_back() -> None:
    document = push_document(NOTE, [statement_object(statement(1))])
    assert parse_push(canonical.parse(canonical.encode(document))) == (NOTE, document["statements"])
    for other in (
        None,
        [],
        {},
        {**document, "more": 1},
        {"signature": NOTE},
        {**document, "signature": 1},
        {**document, "statements": {}},
    ):
        with pytest.raises(MalformedInput):
            parse_push(other)  # type: ignore[arg-type]


# --- Statements ---------------------------------------------------------------------------------------------------

parties = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
times = st.integers(0, 250_000_000_000_000)


@given(st.integers(1, 50), st.sampled_from([ORIGIN, OTHER_ORIGIN]), parties, times)
def test_a_statement_comes_out_of_its_entry_and_goes_into_it(
    n: int, origin: Origin, party: str, received: int
) -> None:
    made = statement(n)
    entry = make_entry(made, origin, PartyId(party), received)
    text = statement_of(entry, origin, PartyId(party), received)
    assert text == made.content
    assert entry_of(text, origin, PartyId(party), received) == entry
    value = canonical.parse_object(entry)
    for name in ("log", "party", "received"):
        value.pop(name)
    assert text == canonical.encode(value), "the entry less three members"


def test_an_entry_of_another_log_party_or_time_gives_no_statement() -> None:
    entry = make_entry(statement(1), ORIGIN, PARTY, RECEIVED)
    for origin, party, received in (
        (OTHER_ORIGIN, PARTY, RECEIVED),
        (ORIGIN, PartyId("other"), RECEIVED),
        (ORIGIN, PARTY, RECEIVED + 1),
    ):
        with pytest.raises(MalformedInput):
            statement_of(entry, origin, party, received)
    with pytest.raises(MalformedInput):
        entry_of(b"{}", ORIGIN, PARTY, RECEIVED)


def test_what_stands_in_data_cannot_pass_for_what_the_ledger_adds() -> None:
    """A value that spells the end of an entry stays in its string."""
    end = f',"log":"{ORIGIN}","party":"{PARTY}","received":"{format_time(RECEIVED)}","v":1}}'
    data = {**event_value()["data"], "outcome": end}
    made = statement(1, data=data)
    entry = make_entry(made, ORIGIN, PARTY, RECEIVED)
    assert statement_of(entry, ORIGIN, PARTY, RECEIVED) == made.content
    assert parse_entry(entry).visible["outcome"] == end


@given(st.sets(st.sampled_from(["principal", "count", "outcome"])))
def test_a_statement_reads_back_from_what_is_sent_of_it(shown: set[str]) -> None:
    made = statement(1, visible=frozenset(shown))
    sent = canonical.parse(canonical.encode(statement_object(made)))
    read = StatementReader().read(sent, lambda event: frozenset(shown))
    assert read.content == made.content
    assert read.disclosures == made.disclosures
    assert read.event.data == made.event.data


# --- Proofs of statements -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(1, SIZE + 1))
def test_every_statement_is_proven_in_its_push_and_in_no_other_place(size: int) -> None:
    leaves = LEAVES[:size]
    note = sign_push(PushHead.over(ORIGIN, leaves), SIGNER.key, SIGNER.sign)
    for index in range(size):
        proof = prove_statement(note, leaves, STATEMENTS[index])
        signed = check_statement(proof, STATEMENTS[index], ORIGIN, PARTY, [SIGNER.key])
        assert (signed.party, signed.key_id, signed.held) == (PARTY, SIGNER.key.key_id, True)
        for place in set(range(-1, size + 2)) - {index}:
            with pytest.raises(InclusionRefuted) as caught:
                check_statement(
                    PushProof(note, place, proof.path), STATEMENTS[index], ORIGIN, PARTY, [SIGNER.key]
                )
            assert caught.value.step == "push"


def test_a_statement_that_is_not_in_the_push_cannot_be_proven() -> None:
    with pytest.raises(ValueError, match="not in list"):
        prove_statement(NOTE, LEAVES[:5], STATEMENTS[7])


PROOF = prove_statement(NOTE, LEAVES, STATEMENTS[3])


def refuted(
    proof: PushProof, text: bytes = STATEMENTS[3], origin: Origin = ORIGIN, party: str = PARTY
) -> str:
    with pytest.raises(VerificationError) as caught:
        check_statement(proof, text, origin, PartyId(party), [SIGNER.key])
    assert caught.value.step == "push"
    return caught.value.message


def test_another_statement_log_party_path_or_push_is_refuted() -> None:
    other = sign_push(PushHead.over(ORIGIN, LEAVES[::-1]), SIGNER.key, SIGNER.sign)
    assert "another root" in refuted(PROOF, STATEMENTS[4])
    assert "another log" in refuted(PROOF, origin=OTHER_ORIGIN)
    assert "another party" in refuted(PROOF, party="cdn-one")
    assert "another root" in refuted(PushProof(NOTE, 3, PROOF.path[::-1]))
    assert "wrong length" in refuted(PushProof(NOTE, 3, PROOF.path[:-1]))
    assert "wrong length" in refuted(PushProof(NOTE, 3, (*PROOF.path, ROOT)))
    assert "another root" in refuted(PushProof(other, 3, PROOF.path))


def test_a_signature_of_another_is_refuted_under_the_name_of_a_trusted_key() -> None:
    forged = sign_push(PushHead.over(ORIGIN, LEAVES), SIGNER.key, key_pair(PARTY, 2).sign)
    assert "does not verify" in refuted(PushProof(forged, 3, PROOF.path))


def test_a_signature_by_a_key_that_is_not_trusted_is_told_as_not_held() -> None:
    for keys in ([], [key_pair(PARTY, 2).key], [key_pair("other").key]):
        signed = check_statement(PROOF, STATEMENTS[3], ORIGIN, PARTY, keys)
        assert (signed.key_id, signed.held) == (SIGNER.key.key_id, False)


def test_the_one_key_of_several_that_signed_is_found() -> None:
    keys = [key_pair(PARTY, 2).key, SIGNER.key, key_pair("other").key]
    head, signed = check_push(NOTE, ORIGIN, PARTY, keys)
    assert (head, signed.held) == (PushHead.over(ORIGIN, LEAVES), True)


def test_every_flipped_bit_of_a_signature_is_refuted_or_malformed() -> None:
    for place in range(len(NOTE)):
        for bit in range(7):
            flipped = NOTE[:place] + chr(ord(NOTE[place]) ^ 1 << bit) + NOTE[place + 1 :]
            try:
                _, signed = check_push(flipped, ORIGIN, PARTY, [SIGNER.key])
            except (MalformedInput, SignatureRefuted):
                continue
            assert not signed.held, place


# --- Leaves that are in a package, and others ---------------------------------------------------------------------


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_others_and_mine_give_the_push_again(kept: Sequence[bool]) -> None:
    leaves = [Digest.of(b"%d" % n) for n in range(len(kept))]
    mine = [leaf for leaf, keep in zip(leaves, kept, strict=True) if keep]
    others = others_among(leaves, mine)
    assert [leaf for _, leaf in others] == [leaf for leaf in leaves if leaf not in mine]
    assert leaves_with(len(leaves), others, mine) == leaves


def test_of_equal_leaves_the_first_is_mine() -> None:
    same = Digest.of(b"same")
    assert others_among([same, ROOT, same], [same]) == [(1, ROOT), (2, same)]


def test_what_is_not_in_the_push_or_not_in_its_order_is_not_mine() -> None:
    for mine in ([ROOT], [LEAVES[1], LEAVES[0]], [LEAVES[0], LEAVES[0]]):
        with pytest.raises(ValueError, match="not in the push"):
            others_among(LEAVES, mine)


@pytest.mark.parametrize(
    ("count", "others", "mine"),
    [
        (3, [], 2),
        (3, [], 4),
        (3, [1], 1),
        (3, [1], 3),
        (3, [1, 1], 1),
        (3, [2, 1], 1),
        (3, [-1], 2),
        (3, [3], 3),
        (3, [7], 2),
        (3, [0, 1, 2], 1),
        (3, [1, 2, 3], 0),
        (2, [10**9], 1),
    ],
)
def test_indexes_that_do_not_fit_give_no_push(count: int, others: list[int], mine: int) -> None:
    with pytest.raises(ValueError, match=r"leaves|order"):
        leaves_with(count, [(index, ROOT) for index in others], LEAVES[:mine])


def test_a_root_over_others_and_mine_is_the_push_s() -> None:
    others = others_among(LEAVES, LEAVES[2:5])
    assert tree_root(leaves_with(SIZE, others, LEAVES[2:5])) == PushHead.over(ORIGIN, LEAVES).root
