"""What the client believes of an answer to a push: honest ones as far as they go, and no hostile one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from support.ledgers import PARTY, Bed, LedgerMaker, access, accesses
from support.signing import next_salt, party_signer, register_key

from api.views import push_json
from ledger import canonical
from ledger.client import Shown
from ledger.client.pushes import (
    PushAnswer,
    Ready,
    events_ready,
    lines_ready,
    read_answer,
    salted,
    signed_ready,
)
from ledger.errors import InclusionRefuted, InputError, SignatureRefuted
from ledger.merkle import leaf_hash, tree_root
from ledger.push import parse_push
from ledger.receipt import Receipt, open_receipt, sign_receipt
from ledger.statement import entry_of
from ledger.types import Digest, Origin, Position

SIGNER = party_signer()


@pytest.fixture(scope="module")
def bed(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with ledgers(tmp_path_factory.mktemp("receipts")) as made:
        register_key(made, SIGNER)
        yield made


@dataclass(frozen=True)
class Talk:
    """A log, what its ledger answers, and what the client makes of it."""

    bed: Bed
    origin: Origin

    def signed(self, values: Sequence[Any]) -> Ready:
        return signed_ready([salted(value, next_salt) for value in values], self.origin, SIGNER)

    def answer(self, ready: Ready) -> dict[str, Any]:
        """What the real ledger answers to a push."""
        note, values = None, None
        if ready.statements is None:
            values = [canonical.parse(line) for line in ready.body.splitlines()]
        else:
            note, values = parse_push(canonical.parse(ready.body))
        answer: dict[str, Any] = json.loads(
            push_json(self.bed.pipeline.push(self.origin, PARTY, values, note))
        )
        return answer

    def read(self, ready: Ready, answer: Any) -> PushAnswer:
        return read_answer(json.dumps(answer).encode(), ready, self.origin, self.bed.key(self.origin))

    def push(self, ready: Ready) -> PushAnswer:
        return self.read(ready, self.answer(ready))

    def receipt(self, answer: Any, number: int = 0) -> Receipt:
        return open_receipt(answer["receipts"][number], self.bed.key(self.origin))

    def sign(self, receipt: Receipt) -> str:
        """What the holder of the log's key can sign."""
        signer = self.bed.ledger.keyring.signer(receipt.origin)
        return sign_receipt(receipt, signer.key, signer.sign)


@pytest.fixture
def talk(bed: Bed, origin: Origin) -> Talk:
    return Talk(bed, origin)


def shown(answer: PushAnswer) -> list[Shown]:
    return [receipt.shown for receipt in answer.receipts]


# --- Honest answers -----------------------------------------------------------------------------------------


def test_the_leaves_of_a_signed_push_are_computed(talk: Talk) -> None:
    answer = talk.push(talk.signed(accesses(range(5))))
    assert shown(answer) == [Shown.COMPUTED]
    assert (answer.accepted, answer.duplicates) == (5, 0)


def test_the_same_push_again_shows_as_much(talk: Talk) -> None:
    ready = talk.signed(accesses(range(5)))
    first = talk.push(ready)
    talk.bed.clock.move(60_000)
    again = talk.push(ready)
    assert shown(again) == [Shown.COMPUTED]
    assert [r.note for r in again.receipts] == [r.note for r in first.receipts]
    assert again.duplicates == 5


def test_the_same_events_salted_anew_show_what_the_ledger_says(talk: Talk) -> None:
    talk.push(talk.signed(accesses(range(5))))
    assert shown(talk.push(talk.signed(accesses(range(5))))) == [Shown.ANSWERED]


def test_unsigned_events_show_what_the_ledger_says(talk: Talk) -> None:
    ready = events_ready(accesses(range(5)))
    assert shown(talk.push(ready)) == [Shown.ANSWERED]
    assert shown(talk.push(ready)) == [Shown.ANSWERED]
    assert shown(talk.push(lines_ready(ready.body))) == [Shown.ANSWERED]


def test_some_events_of_a_receipt_show_only_who_signed_it(talk: Talk) -> None:
    talk.push(talk.signed(accesses(range(5))))
    answer = talk.push(talk.signed([access(3), access(7), access(8)]))
    assert shown(answer) == [Shown.SIGNED, Shown.COMPUTED]
    assert [(e.duplicate, e.receipt) for e in answer.events] == [(True, 0), (False, 1), (False, 1)]


def test_an_event_twice_in_a_push_stands_once(talk: Talk) -> None:
    answer = talk.push(talk.signed([access(1), access(2), access(1)]))
    assert shown(answer) == [Shown.COMPUTED]
    assert [event.position for event in answer.events] == [0, 1, 0]


def test_without_a_key_nothing_is_shown(talk: Talk) -> None:
    ready = talk.signed([access(1)])
    answer = read_answer(json.dumps(talk.answer(ready)).encode(), ready, talk.origin, None)
    assert [(r.opened, r.shown) for r in answer.receipts] == [(None, Shown.NOTHING)]


def test_an_event_of_a_type_that_the_client_does_not_know_is_salted_whole(bed: Bed) -> None:
    origin = bed.create_log(opaque=True)
    talk = Talk(bed, origin)
    value = access(1, type="com.example.heartbeat", data={"outcome": "allowed", "n": 1})
    assert shown(talk.push(talk.signed([value]))) == [Shown.COMPUTED]
    [event] = bed.store.scan(origin, Position(0), Position(1))
    assert len(event.disclosures) == 2


# --- Hostile answers ----------------------------------------------------------------------------------------

Attack = Callable[[Talk, Ready, Any], None]


def a_receipt_of_another_log(talk: Talk, ready: Ready, answer: Any) -> None:
    other = talk.bed.create_log()
    answer["receipts"] = [talk.sign(replace(talk.receipt(answer), origin=other))]


def altered_times(talk: Talk, ready: Ready, answer: Any) -> None:
    answer["receipts"] = [answer["receipts"][0].replace("include-by 20", "include-by 21")]


def no_signature_of_the_log(talk: Talk, ready: Ready, answer: Any) -> None:
    receipt = replace(talk.receipt(answer), origin=talk.bed.create_log())
    line = talk.sign(receipt).partition("\n\n")[2]
    answer["receipts"] = [f"{talk.receipt(answer)}\n{line}"]


@pytest.mark.parametrize(
    "attack",
    [a_receipt_of_another_log, altered_times, no_signature_of_the_log],
    ids=lambda attack: attack.__name__,
)
def test_a_receipt_that_the_log_s_key_did_not_sign_is_refuted(talk: Talk, attack: Attack) -> None:
    ready = talk.signed(accesses(range(3)))
    answer = talk.answer(ready)
    attack(talk, ready, answer)
    with pytest.raises(SignatureRefuted):
        talk.read(ready, answer)


def other_content(talk: Talk, ready: Ready, answer: Any) -> None:
    """The ledger has stored something else, and answers with its leaves and a receipt over them."""
    receipt = talk.receipt(answer)
    leaves = [Digest.of(b"other %d" % n) for n in range(3)]
    for event, leaf in zip(answer["events"], leaves, strict=True):
        event["leaf"] = leaf.base64
    answer["receipts"] = [talk.sign(replace(receipt, root=tree_root(leaves)))]


def other_party(talk: Talk, ready: Ready, answer: Any) -> None:
    """The statements are stored as another party's."""
    receipt, statements = talk.receipt(answer), ready.statements
    assert statements is not None
    leaves = [leaf_hash(entry_of(s, talk.origin, "cdn-one", receipt.received)) for s in statements]
    answer["receipts"] = [talk.sign(replace(receipt, root=tree_root(leaves)))]


def another_time_in_the_entries(talk: Talk, ready: Ready, answer: Any) -> None:
    """The receipt says another time than the entries: what is dated into another period could be left out of both."""
    answer["receipts"] = [
        talk.sign(replace(talk.receipt(answer), received=talk.receipt(answer).received + 1))
    ]


def another_order(talk: Talk, ready: Ready, answer: Any) -> None:
    first, second, third = answer["events"]
    first["position"], second["position"] = second["position"], first["position"]
    first["leaf"], second["leaf"] = second["leaf"], first["leaf"]
    assert third["position"] == 2


def one_entry_fewer(talk: Talk, ready: Ready, answer: Any) -> None:
    receipt = talk.receipt(answer)
    leaves = [Digest.from_base64(event["leaf"]) for event in answer["events"]]
    answer["receipts"] = [talk.sign(replace(receipt, count=2, root=tree_root(leaves[:2])))]


def one_entry_more(talk: Talk, ready: Ready, answer: Any) -> None:
    receipt = talk.receipt(answer)
    leaves = [Digest.from_base64(event["leaf"]) for event in answer["events"]]
    answer["receipts"] = [talk.sign(replace(receipt, count=4, root=tree_root([*leaves, leaves[0]])))]


def another_root(talk: Talk, ready: Ready, answer: Any) -> None:
    answer["receipts"] = [talk.sign(replace(talk.receipt(answer), root=Digest.of(b"root")))]


def positions_outside(talk: Talk, ready: Ready, answer: Any) -> None:
    for event in answer["events"]:
        event["position"] += 100


def an_event_dropped(talk: Talk, ready: Ready, answer: Any) -> None:
    del answer["events"][1]


def an_event_for_another(talk: Talk, ready: Ready, answer: Any) -> None:
    answer["events"][1]["id"] = "access-000099"


def events_in_another_order(talk: Talk, ready: Ready, answer: Any) -> None:
    answer["events"].reverse()


def a_receipt_that_is_not_there(talk: Talk, ready: Ready, answer: Any) -> None:
    answer["events"][1]["receipt"] = 1


def no_receipt(talk: Talk, ready: Ready, answer: Any) -> None:
    answer["receipts"] = []


def a_receipt_too_many(talk: Talk, ready: Ready, answer: Any) -> None:
    answer["receipts"] *= 2


HOSTILE = (
    *(other_content, other_party, another_time_in_the_entries, another_order),
    *(one_entry_fewer, one_entry_more, another_root, positions_outside, an_event_dropped),
    *(an_event_for_another, events_in_another_order, a_receipt_that_is_not_there, no_receipt),
    *(a_receipt_too_many,),
)


@pytest.mark.parametrize("attack", HOSTILE, ids=lambda attack: attack.__name__)
def test_a_ledger_that_answers_for_something_else_is_caught(talk: Talk, attack: Attack) -> None:
    ready = talk.signed(accesses(range(3)))
    answer = talk.answer(ready)
    attack(talk, ready, answer)
    with pytest.raises(InclusionRefuted) as caught:
        talk.read(ready, answer)
    assert caught.value.step == "receipt"


def test_a_ledger_that_says_that_it_knows_new_events_shows_nothing(talk: Talk) -> None:
    """The answer is for events 0 to 2; what was pushed are 3 to 5, which no ledger has."""
    old = talk.answer(talk.signed(accesses(range(3))))
    ready = talk.signed(accesses(range(3, 6)))
    names = [{"source": source, "id": id} for source, id in ready.names or ()]
    lie = {
        **old,
        "events": [{**e, **n, "status": "duplicate"} for e, n in zip(old["events"], names, strict=True)],
    }
    assert shown(talk.read(ready, lie)) == [Shown.ANSWERED], (
        "less than an honest answer to this push would show"
    )
    for event in lie["events"]:
        event["status"] = "accepted"
    with pytest.raises(InclusionRefuted):
        talk.read(ready, lie)


UNSIGNED = (
    *(one_entry_fewer, one_entry_more, another_root, positions_outside, an_event_dropped),
    *(an_event_for_another, events_in_another_order, a_receipt_that_is_not_there, no_receipt),
)


@pytest.mark.parametrize("attack", UNSIGNED, ids=lambda attack: attack.__name__)
def test_what_can_be_caught_without_a_signature_is(talk: Talk, attack: Attack) -> None:
    ready = events_ready(accesses(range(3)))
    answer = talk.answer(ready)
    attack(talk, ready, answer)
    with pytest.raises(InclusionRefuted):
        talk.read(ready, answer)


OUT_OF_FORM: list[Any] = [
    None,
    [],
    {},
    {"events": [], "receipts": 1},
    {"events": {}, "receipts": []},
    {"events": [1], "receipts": []},
    {"events": [], "receipts": [1]},
]


@pytest.mark.parametrize("body", OUT_OF_FORM, ids=repr)
def test_an_answer_out_of_form_is_no_ledger_s(talk: Talk, body: Any) -> None:
    ready = talk.signed([access(1)])
    with pytest.raises(InputError, match="no ledger"):
        talk.read(ready, body)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("status", "stored"),
        ("position", -1),
        ("position", 1.5),
        ("position", "0"),
        ("leaf", "AAAA"),
        ("leaf", None),
        ("receipt", None),
        ("source", 1),
    ],
)
def test_an_event_of_an_answer_has_its_form(talk: Talk, member: str, value: Any) -> None:
    ready = talk.signed([access(1)])
    answer = talk.answer(ready)
    answer["events"][0][member] = value
    with pytest.raises(InputError, match="no ledger"):
        talk.read(ready, answer)
