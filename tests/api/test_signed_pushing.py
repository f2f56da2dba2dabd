"""Signed pushes over HTTP: the body, the answers, and what is refused how."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from conftest import Caller, assert_problem
from support.ledgers import OTHER_PARTY, Bed, access, accesses
from support.signing import SignedPush, party_signer, register_key, signed_push

from ledger.merkle import leaf_hash
from ledger.note import VerifierKey
from ledger.proof import parse_proof
from ledger.proving import verify
from ledger.push import MEDIA_TYPE, PushHead, sign_push
from ledger.records import Scope
from ledger.types import Origin

SIGNER = party_signer()


@pytest.fixture
def strict(bed: Bed, client: Any) -> Caller:
    """Somebody with every scope on a fresh log that takes signed pushes only."""
    register_key(bed, SIGNER)
    origin = bed.create_log(require_signature=True)
    return Caller(client, origin, bed.api_key(origin, *Scope))


def post(caller: Caller, made: SignedPush) -> Any:
    return caller.post("/events", made.body, MEDIA_TYPE)


def test_a_signed_push_is_taken_and_proven_with_its_signature(bed: Bed, strict: Caller) -> None:
    made = signed_push(strict.origin, accesses(range(3)))
    answer = post(strict, made)
    assert answer.status_code == 201, answer.text
    assert [event["status"] for event in answer.json()["events"]] == ["accepted"] * 3
    again = post(strict, made)
    assert (again.status_code, again.json()["receipts"]) == (200, answer.json()["receipts"])
    bed.settle(strict.origin)
    proof = parse_proof(strict.get("/events/1/proof").content)
    verified = verify(proof, bed.key(strict.origin), strict.origin, None, [SIGNER.key])
    assert verified.event.signed is not None
    assert verified.event.signed.held
    listed = strict.get("/events/1").json()["event"]
    assert listed["data"]["principal"] == accesses([1])[0]["data"]["principal"]


def test_a_log_says_whether_it_takes_signed_pushes_only(strict: Caller, caller: Caller) -> None:
    assert strict.get("").json()["require_signature"] is True
    assert caller.get("").json()["require_signature"] is False


def test_an_unsigned_push_to_such_a_log_is_422_and_says_what_to_do(strict: Caller) -> None:
    body = assert_problem(strict.push(access(1)), 422, "not-signed")
    assert "signed" in body["detail"]
    assert "party key add" in body["advice"]


def test_a_signature_that_does_not_hold_is_422(strict: Caller) -> None:
    made = signed_push(strict.origin, accesses(range(2)))
    assert_problem(post(strict, replace(made, statements=made.statements[::-1])), 422, "not-signed")
    assert_problem(
        post(strict, signed_push(strict.origin, [access(1)], party_signer(seed=77))), 422, "not-signed"
    )
    assert_problem(post(strict, signed_push(Origin("ledger.example/other"), [access(1)])), 422, "not-signed")


def test_another_party_s_key_cannot_push_what_was_signed(bed: Bed, strict: Caller) -> None:
    made = signed_push(strict.origin, [access(1)])
    thief = replace(strict, key=bed.api_key(strict.origin, Scope.PUSH, party=OTHER_PARTY))
    assert_problem(post(thief, made), 422, "not-signed")


def test_a_conflict_of_a_signed_push_is_409(strict: Caller) -> None:
    post(strict, signed_push(strict.origin, [access(1)]))
    assert_problem(post(strict, signed_push(strict.origin, [access(1, subject="other")])), 409, "conflict")


def test_problems_of_statements_name_their_places_and_nothing_personal(strict: Caller) -> None:
    made = signed_push(strict.origin, accesses(range(2)))
    values = made.values
    values[1]["visible"]["zhang.wei@example.org"] = 1
    values[1]["disclosures"].append("zhang.wei@example.org")
    document = json.dumps({"signature": made.note, "statements": values})
    answer = strict.post("/events", document, MEDIA_TYPE)
    body = assert_problem(answer, 422, "invalid-event")
    assert [problem["at"] for problem in body["problems"]] == ["[1].disclosures[3]"]
    assert "zhang" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        json.dumps(access(1)).encode(),
        b'{"signature":1,"statements":[]}',
        b'{"signature":"","statements":[],"more":1}',
        b'{"signature":"","signature":"","statements":[]}',
        b'{"signature":"","statements":[{}]}',
    ],
)
def test_a_body_that_is_no_signed_push_is_a_clear_4xx(strict: Caller, body: bytes) -> None:
    answer = strict.post("/events", body, MEDIA_TYPE)
    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code)


def verdict_on(caller: Caller, document: Any) -> Any:
    kind = "application/vnd.transfer-ledger.proof+json"
    body = json.dumps(document)
    return caller.client.post("/v1/verify", content=body, headers={"Content-Type": kind}).json()


def test_the_ledger_s_own_verdict_covers_the_signature(bed: Bed, strict: Caller) -> None:
    post(strict, signed_push(strict.origin, accesses(range(2))))
    bed.settle(strict.origin)
    document = strict.get("/events/1/proof").json()
    verdict = verdict_on(strict, document)
    assert (verdict["verified"], verdict["signature"]) == (True, "held")
    document["push"]["index"] = 0
    verdict = verdict_on(strict, document)
    assert (verdict["verified"], verdict["step"], verdict["signature"]) == (False, "push", None)


def test_a_signature_by_a_key_that_the_party_has_not_registered_is_refuted(bed: Bed, strict: Caller) -> None:
    made = signed_push(strict.origin, accesses(range(2)))
    post(strict, made)
    bed.settle(strict.origin)
    document = strict.get("/events/1/proof").json()
    stranger = party_signer(seed=77)
    head = PushHead.over(strict.origin, [leaf_hash(statement.content) for statement in made.statements])
    document["push"]["signature"] = sign_push(head, stranger.key, stranger.sign)
    verdict = verdict_on(strict, document)
    assert (verdict["verified"], verdict["step"]) == (False, "push")


def test_an_unsigned_event_is_verified_and_told_to_be_so(bed: Bed, caller: Caller) -> None:
    caller.push(access(1))
    bed.settle(caller.origin)
    verdict = verdict_on(caller, caller.get("/events/0/proof").json())
    assert (verdict["verified"], verdict["signature"]) == (True, "none")


def test_the_party_s_keys_are_listed_for_auditors(bed: Bed, strict: Caller) -> None:
    party = strict.get("/v1/parties/acme").json()
    assert str(SIGNER.key) in [key["verifier_key"] for key in party["keys"]]
    assert VerifierKey.parse(str(SIGNER.key)).name == "acme"
