"""Pushes that their party has signed: what is taken with what evidence, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from support.ledgers import OTHER_PARTY, PARTY, Bed, LedgerMaker, access, accesses
from support.signing import SignedPush, party_signer, register_key, salted, signed_push

from ledger.commit import PushResult, PushStatus
from ledger.disclosure import disclose
from ledger.entry import parse_entry
from ledger.errors import Conflict, InvalidEvent, MalformedInput, NotSigned
from ledger.merkle import leaf_hash
from ledger.note import sign_note
from ledger.push import PushHead, sign_push
from ledger.receipt import open_receipt
from ledger.records import PartyKey
from ledger.statement import statement_of
from ledger.types import Origin, Position, to_base64url

SIGNER = party_signer()
ACCEPTED, DUPLICATE = PushStatus


@pytest.fixture(scope="module")
def bed(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with ledgers(tmp_path_factory.mktemp("signed")) as made:
        register_key(made, SIGNER)
        yield made


@pytest.fixture
def strict(bed: Bed) -> Origin:
    """A log that takes signed pushes only."""
    return bed.create_log(require_signature=True)


def push(bed: Bed, origin: Origin, made: SignedPush) -> PushResult:
    return bed.pipeline.push(origin, PARTY, made.values, made.note)


def statuses(result: PushResult) -> list[PushStatus]:
    return [pushed.status for pushed in result.events]


# --- what is taken ------------------------------------------------------------------------------------------


def test_what_is_committed_is_what_the_party_signed(bed: Bed, strict: Origin) -> None:
    made = signed_push(strict, accesses(range(3)))
    result = push(bed, strict, made)
    receipt = open_receipt(result.receipts[0], bed.key(strict))
    assert (receipt.first, receipt.count) == (0, 3)
    for statement, committed in zip(
        made.statements, bed.store.scan(strict, Position(0), Position(3)), strict=True
    ):
        assert statement_of(committed.entry, strict, PARTY, receipt.received) == statement.content
        assert committed.disclosures == tuple(d.text for d in statement.disclosures)


def test_the_signature_is_kept_with_every_event_of_the_push(bed: Bed, strict: Origin) -> None:
    first, second = (signed_push(strict, accesses(numbers)) for numbers in (range(3), range(3, 5)))
    push(bed, strict, first)
    push(bed, strict, second)
    kept = [bed.store.signature(strict, Position(position)) for position in range(6)]
    assert [it and (it.first, it.count, it.note) for it in kept] == [
        *[(0, 3, first.note)] * 3,
        *[(3, 2, second.note)] * 2,
        None,
    ]
    assert [s.first for s in bed.store.signatures(strict, Position(1), Position(4))] == [0, 3]
    assert [s.first for s in bed.store.signatures(strict, Position(3), Position(9))] == [3]


def test_the_same_push_again_is_answered_with_the_first_receipt(bed: Bed, strict: Origin) -> None:
    made = signed_push(strict, accesses(range(3)))
    first = push(bed, strict, made)
    bed.clock.move(60_000)
    again = push(bed, strict, made)
    assert again.receipts == first.receipts
    assert statuses(again) == [DUPLICATE] * 3
    assert len(list(bed.store.signatures(strict, Position(0), Position(9)))) == 1


def test_the_same_content_with_other_salts_is_the_same_event(bed: Bed, strict: Origin) -> None:
    made = signed_push(strict, accesses(range(3)))
    first = push(bed, strict, made)
    other = signed_push(strict, accesses(range(3)))
    assert other.note != made.note
    again = push(bed, strict, other)
    assert (again.receipts, statuses(again)) == (first.receipts, [DUPLICATE] * 3)
    kept = bed.store.signature(strict, Position(0))
    assert kept is not None
    assert kept.note == made.note, "the first signature stands: the entry holds its salts"


def test_a_push_of_old_and_new_events_keeps_the_signature_of_the_new_ones(bed: Bed, strict: Origin) -> None:
    push(bed, strict, signed_push(strict, accesses([1, 2])))
    made = signed_push(strict, accesses([0, 1, 3, 2, 4]))
    result = push(bed, strict, made)
    assert statuses(result) == [ACCEPTED, DUPLICATE, ACCEPTED, DUPLICATE, ACCEPTED]
    kept = bed.store.signature(strict, Position(2))
    assert kept is not None
    assert (kept.first, kept.count) == (2, 3)
    assert kept.leaves == tuple(leaf_hash(statement.content) for statement in made.statements)


def test_an_event_that_came_unsigned_stays_so(bed: Bed, origin: Origin) -> None:
    first = bed.push(origin, 1)
    again = push(bed, origin, signed_push(origin, [access(1)]))
    assert (again.receipts, statuses(again)) == (first.receipts, [DUPLICATE])
    assert bed.store.signature(origin, Position(0)) is None


def test_signed_and_unsigned_pushes_may_stand_in_one_log(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    push(bed, origin, signed_push(origin, [access(2)]))
    bed.push(origin, 3)
    assert [bed.store.signature(origin, Position(n)) is not None for n in range(3)] == [False, True, False]


def test_a_conflict_is_a_conflict_whoever_signs(bed: Bed, strict: Origin) -> None:
    push(bed, strict, signed_push(strict, [access(1)]))
    with pytest.raises(Conflict):
        push(bed, strict, signed_push(strict, [access(0), access(1, subject="other")]))
    [kept] = bed.store.conflicts(strict)
    assert parse_entry(kept.entry).attributes["subject"] == "other"
    assert bed.store.head(strict).size == 1


# --- keys ---------------------------------------------------------------------------------------------------


def test_a_key_signs_from_its_first_moment_to_its_last(bed: Bed) -> None:
    now = bed.clock.now()
    signer = party_signer(seed=20)
    register_key(bed, signer, since=now, until=now + 10)
    origin = bed.create_log()
    push(bed, origin, signed_push(origin, [access(1)], signer))
    bed.clock.move(9)
    push(bed, origin, signed_push(origin, [access(2)], signer))
    bed.clock.move(1)
    with pytest.raises(NotSigned, match="not valid now"):
        push(bed, origin, signed_push(origin, [access(3)], signer))
    assert bed.store.head(origin).size == 2


def test_a_key_of_the_future_signs_nothing_yet(bed: Bed, origin: Origin) -> None:
    signer = party_signer(seed=21)
    register_key(bed, signer, since=bed.clock.now() + 1)
    with pytest.raises(NotSigned, match="not valid now"):
        push(bed, origin, signed_push(origin, [access(1)], signer))


def test_a_lost_answer_is_still_given_after_its_key_has_ended(bed: Bed, strict: Origin) -> None:
    signer = party_signer(seed=22)
    key = register_key(bed, signer, since=bed.clock.now())
    made = signed_push(strict, [access(1)], signer)
    first = push(bed, strict, made)
    bed.clock.move(10)
    bed.store.end_party_key(key, bed.clock.now())
    assert push(bed, strict, made).receipts == first.receipts


def test_keys_rotate_without_a_gap(bed: Bed, strict: Origin) -> None:
    old, new = party_signer(seed=23), party_signer(seed=24)
    at = bed.clock.now() + 5
    register_key(bed, old, since=bed.clock.now(), until=at)
    register_key(bed, new, since=at)
    push(bed, strict, signed_push(strict, [access(1)], old))
    bed.clock.move(5)
    push(bed, strict, signed_push(strict, [access(2)], new))
    with pytest.raises(NotSigned):
        push(bed, strict, signed_push(strict, [access(3)], old))


# --- what is refused ----------------------------------------------------------------------------------------


def test_a_log_that_asks_for_signatures_takes_nothing_unsigned(bed: Bed, strict: Origin) -> None:
    with pytest.raises(NotSigned, match="signed"):
        bed.push(strict, 1)
    assert bed.store.head(strict).size == 0


def swapped(made: SignedPush, origin: Origin) -> SignedPush:
    return replace(made, statements=made.statements[::-1])


def shortened(made: SignedPush, origin: Origin) -> SignedPush:
    return replace(made, statements=made.statements[:-1])


def lengthened(made: SignedPush, origin: Origin) -> SignedPush:
    return replace(made, statements=(*made.statements, salted(access(9))))


def resalted(made: SignedPush, origin: Origin) -> SignedPush:
    return replace(made, statements=(salted(access(0)), *made.statements[1:]))


def altered(made: SignedPush, origin: Origin) -> SignedPush:
    return replace(made, statements=(salted(access(0, subject="other")), *made.statements[1:]))


def of_another_log(made: SignedPush, origin: Origin) -> SignedPush:
    other = signed_push(Origin("ledger.example/other"), accesses(range(3)))
    return replace(made, note=other.note, statements=other.statements)


def by_an_unregistered_key(made: SignedPush, origin: Origin) -> SignedPush:
    return signed_push(origin, accesses(range(3)), party_signer(seed=90))


def by_another_party(made: SignedPush, origin: Origin) -> SignedPush:
    return signed_push(origin, accesses(range(3)), party_signer(OTHER_PARTY, 91))


def in_the_name_of_the_party(made: SignedPush, origin: Origin) -> SignedPush:
    """Signed by another key, under the registered key's id."""
    head = PushHead.over(origin, [leaf_hash(s.content) for s in made.statements])
    return replace(made, note=sign_push(head, SIGNER.key, party_signer(seed=90).sign))


def a_bit_flipped(made: SignedPush, origin: Origin) -> SignedPush:
    text, _, line = made.note.rpartition(" ")
    flipped = line[:20] + ("A" if line[20] != "A" else "B") + line[21:]
    return replace(made, note=f"{text} {flipped}")


NOT_SIGNED = (
    *(swapped, shortened, lengthened, resalted, altered, of_another_log),
    *(by_an_unregistered_key, by_another_party, in_the_name_of_the_party, a_bit_flipped),
)


@pytest.mark.parametrize("attack", NOT_SIGNED, ids=lambda attack: attack.__name__)
def test_a_push_other_than_the_signed_one_is_refused(
    bed: Bed, strict: Origin, attack: Callable[[SignedPush, Origin], SignedPush]
) -> None:
    register = PartyKey(OTHER_PARTY, str(party_signer(OTHER_PARTY, 91).key), 0)
    bed.store.add_party_key(register)
    with pytest.raises(NotSigned):
        push(bed, strict, attack(signed_push(strict, accesses(range(3))), strict))
    assert bed.store.head(strict).size == 0


def test_a_party_cannot_push_what_another_has_signed(bed: Bed, origin: Origin) -> None:
    made = signed_push(origin, [access(1)])
    with pytest.raises(NotSigned, match="not registered"):
        bed.pipeline.push(origin, OTHER_PARTY, made.values, made.note)


@pytest.mark.parametrize("kind", ["receipt", "checkpoint", "two signatures", "no note"])
def test_another_note_is_no_signature(bed: Bed, strict: Origin, kind: str) -> None:
    made = signed_push(strict, [access(1)])
    text, _, line = made.note.partition("\n\n")
    note = {
        "receipt": sign_note(text.replace("push/v1", "receipt/v1") + "\n", SIGNER.key, SIGNER.sign),
        "checkpoint": sign_note(f"{strict}\n1\n{'A' * 43}=\n", SIGNER.key, SIGNER.sign),
        "two signatures": made.note + line,
        "no note": "signed, acme",
    }[kind]
    with pytest.raises(MalformedInput):
        push(bed, strict, replace(made, note=note))


# --- statements ---------------------------------------------------------------------------------------------

PERSON = "zhang.wei@example.org"


def text_of(array: str) -> str:
    return to_base64url(array.encode())


SALT = to_base64url(b"\x07" * 16)


def no_object(value: Any) -> Any:
    return [value]


def a_member_more(value: Any) -> Any:
    return {**value, PERSON: 1}


def a_member_less(value: Any) -> Any:
    return {"event": value["event"], "disclosures": value["disclosures"]}


def data_in_the_event(value: Any) -> Any:
    return {**value, "event": {**value["event"], "data": {}}}


def disclosing(text: Any) -> Callable[[Any], Any]:
    return lambda value: {**value, "disclosures": [*value["disclosures"], text]}


def attribute(name: str, to: Any) -> Callable[[Any], Any]:
    return lambda value: {**value, "event": {**value["event"], name: to}}


def showing(name: str, to: Any) -> Callable[[Any], Any]:
    return lambda value: {**value, "visible": {**value["visible"], name: to}}


def a_member_shown_that_is_to_be_salted(value: Any) -> Any:
    return {
        **value,
        "visible": {**value["visible"], "principal": PERSON},
        "disclosures": value["disclosures"][1:],
    }


def a_member_salted_that_is_to_be_shown(value: Any) -> Any:
    visible = {name: member for name, member in value["visible"].items() if name != "outcome"}
    hidden = disclose(b"\x08" * 16, "outcome", "allowed").text
    return {**value, "visible": visible, "disclosures": [*value["disclosures"], hidden]}


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no object": (no_object, "[1]"),
    "a member more": (a_member_more, "[1]"),
    "a member less": (a_member_less, "[1]"),
    "data in the event": (data_in_the_event, "[1].event.data"),
    "an attribute of a wrong form": (attribute("subject", PERSON), "[1].subject"),
    "an attribute that is none": (attribute("person", PERSON), "[1].person"),
    "an unknown type": (attribute("type", "transfer-ledger.unheard-of.v1"), "[1].type"),
    "a member that its type does not have": (showing("passport", PERSON), "[1].data.passport"),
    "a visible member of a wrong form": (showing("outcome", PERSON), "[1].data.outcome"),
    "a reserved visible member": (showing("_sd", []), "[1].data._sd"),
    "a member that is shown and may be personal": (a_member_shown_that_is_to_be_salted, "[1].visible.principal"),
    "a member that is hidden and never personal": (a_member_salted_that_is_to_be_shown, "[1].visible.outcome"),
    "no text": (disclosing(7), "[1].disclosures[3]"),
    "no base64url": (disclosing("="), "[1].disclosures[3]"),
    "no array": (disclosing(text_of("{}")), "[1].disclosures[3]"),
    "an array of two": (disclosing(text_of(f'["{SALT}","reason"]')), "[1].disclosures[3]"),
    "a reserved name": (disclosing(text_of(f'["{SALT}","_sd",1]')), "[1].disclosures[3]"),
    "a name twice within": (disclosing(text_of(f'["{SALT}","reason",{{"a":1,"a":2}}]')), "[1].disclosures[3]"),
    "a short salt": (disclosing(disclose(bytes(16), "reason", PERSON).text[:-4]), "[1].disclosures[3]"),
    "a salt of 15 bytes": (disclosing(text_of(f'["{to_base64url(bytes(15))}","reason","x"]')), "[1].disclosures[3]"),
    "a salt of 17 bytes": (disclosing(text_of(f'["{to_base64url(bytes(17))}","reason","x"]')), "[1].disclosures[3]"),
    "a salt in loose base64": (disclosing(text_of(f'["{SALT[:-1]}x","reason","x"]')), "[1].disclosures[3]"),
    "white space": (disclosing(text_of(f'["{SALT}", "reason","x"]')), "[1].disclosures[3]"),
    "another spelling": (disclosing(text_of(f'["{SALT}","reason","\\u0078"]')), "[1].disclosures[3]"),
    "a member twice": (disclosing(disclose(b"\x01" * 16, "principal", "x").text), "[1].disclosures[3]"),
    "a visible member again": (disclosing(disclose(b"\x01" * 16, "outcome", "allowed").text), "[1].disclosures[3]"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_statement_that_is_not_good_is_refused_at_its_place(bed: Bed, strict: Origin, name: str) -> None:
    change, place = REFUSED[name]
    made = signed_push(strict, accesses(range(3)))
    values = made.values
    values[1] = change(values[1])
    with pytest.raises(InvalidEvent) as caught:
        bed.pipeline.push(strict, PARTY, values, made.note)
    assert [problem["at"] for problem in caught.value.details["problems"]] == [place]
    assert "zhang" not in str(caught.value) + str(caught.value.details)
    assert bed.store.head(strict).size == 0


def test_a_salt_that_stands_twice_in_a_push_is_refused(bed: Bed, strict: Origin) -> None:
    made = signed_push(strict, accesses(range(2)))
    salts = iter([bytes(16)] * 3)
    statements = (made.statements[0], salted(access(5), lambda: next(salts)))
    with pytest.raises(InvalidEvent) as caught:
        bed.pipeline.push(strict, PARTY, replace(made, statements=statements).values, made.note)
    assert [problem["at"] for problem in caught.value.details["problems"]] == [
        "[1].disclosures[1]",
        "[1].disclosures[2]",
    ]


def test_every_problem_of_a_signed_push_is_told_at_once(bed: Bed, strict: Origin) -> None:
    made = signed_push(strict, accesses(range(3)))
    values = [attribute("phase", "later")(made.values[0]), made.values[1], disclosing(7)(made.values[2])]
    with pytest.raises(InvalidEvent) as caught:
        bed.pipeline.push(strict, PARTY, values, made.note)
    assert [p["at"] for p in caught.value.details["problems"]] == ["[0].phase", "[2].disclosures[3]"]


def test_nothing_signed_is_nothing_to_push(bed: Bed, strict: Origin) -> None:
    with pytest.raises(InvalidEvent, match="nothing to push"):
        bed.pipeline.push(strict, PARTY, [], signed_push(strict, [access(1)]).note)
