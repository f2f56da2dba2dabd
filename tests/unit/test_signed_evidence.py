"""Proofs and packages of events that their party has signed: what they show, and what nobody can pass off as signed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from support.ledgers import OTHER_PARTY, PARTY, Bed, LedgerMaker, access, accesses
from support.signing import party_signer, register_key, signed_push

from ledger import canonical
from ledger.adapters.keys import FileKeyring
from ledger.errors import MalformedInput, PackageRefuted, SignatureRefuted, VerificationError
from ledger.evidence import PackageReport, build_package, check_all_signed, check_package
from ledger.evidence.manifest import (
    FILES,
    MANIFEST,
    PUSHES,
    SIGNED_FILES,
    FileDigest,
    Manifest,
)
from ledger.note import VerifierKey, parse_note, sign_note
from ledger.ports import Signer
from ledger.proof import parse_proof, proof_document
from ledger.proving import Verified, prove, verify
from ledger.types import Digest, Origin, Position

SIGNER, NEXT, OTHER = party_signer(), party_signer(seed=2), party_signer(OTHER_PARTY, 3)
MINUTE = 60_000


@dataclass(frozen=True)
class Case:
    """A log with batches of four events, a minute apart.

    0 to 2 are unsigned; 3 to 8 acme signed in one push, with two that were there already; 9 to 11 the CDN; 12 to 15
    acme with its next key.
    """

    bed: Bed
    origin: Origin
    signer: Signer
    start: int

    @property
    def key(self) -> VerifierKey:
        return self.bed.key(self.origin)

    def document(self, position: int) -> dict[str, Any]:
        proof = prove(self.bed.store, self.bed.log(self.origin), Position(position), None)
        return dict(proof_document(proof))

    def verify(self, document: Any, *keys: VerifierKey) -> Verified:
        proof = parse_proof(json.dumps(document).encode())
        return verify(proof, self.key, self.origin, self.bed.chain, keys)

    def package(self, since: int = 0, until: int = 60) -> bytes:
        out, at = io.BytesIO(), self.bed.clock.now()
        log = self.bed.log(self.origin)
        begin, end = self.start + since * MINUTE, self.start + until * MINUTE
        build_package(self.bed.store, log, self.signer, begin, end, at, out)
        return out.getvalue()

    def check(self, data: bytes, *keys: VerifierKey) -> PackageReport:
        return check_package(io.BytesIO(data), self.key, party_keys=keys)


@pytest.fixture(scope="module")
def case(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("signed")
    with ledgers(folder) as bed:
        origin, start = bed.create_log(), bed.clock.now()
        register_key(bed, SIGNER)
        register_key(bed, NEXT)
        register_key(bed, OTHER, OTHER_PARTY)
        bed.push(origin, 0, 1, 2)
        bed.clock.move(MINUTE)
        for party, signer, numbers in (
            (PARTY, SIGNER, [1, 3, 4, 5, 2, 6, 7, 8]),
            (OTHER_PARTY, OTHER, [9, 10, 11]),
            (PARTY, NEXT, [12, 13, 14, 15]),
        ):
            made = signed_push(origin, accesses(numbers), signer)
            bed.pipeline.push(origin, party, made.values, made.note)
            bed.clock.move(MINUTE)
        bed.settle(origin)
        yield Case(bed, origin, FileKeyring(folder / "keys").signer(origin), start)


# --- proofs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "signer"), [*((n, SIGNER) for n in range(3, 9)), (10, OTHER), (15, NEXT)]
)
def test_a_signed_event_is_proven_with_the_signature_of_its_party(
    case: Case, position: int, signer: Any
) -> None:
    document = case.document(position)
    assert document["format"] == "transfer-ledger/proof/v2"
    proof = parse_proof(canonical.encode(document))
    assert proof_document(proof) == document
    signed = case.verify(document, signer.key).event.signed
    assert signed is not None
    assert (signed.party, signed.key_id, signed.held) == (signer.key.name, signer.key.key_id, True)


def test_a_signature_that_is_held_against_no_key_is_told_as_such(case: Case) -> None:
    signed = case.verify(case.document(4)).event.signed
    assert signed is not None
    assert signed.held is False


def test_an_unsigned_event_is_proven_as_ever(case: Case) -> None:
    document = case.document(1)
    assert document["format"] == "transfer-ledger/proof/v1"
    assert "push" not in document
    assert case.verify(document).event.signed is None


@pytest.mark.parametrize("position", [1, 4, 10, 15])
def test_with_a_key_of_a_party_only_what_that_key_signed_is_verified(case: Case, position: int) -> None:
    signer = {4: SIGNER, 10: OTHER, 15: NEXT}.get(position)
    for key in (SIGNER.key, OTHER.key, NEXT.key):
        if signer is not None and key == signer.key:
            case.verify(case.document(position), key)
            continue
        with pytest.raises(SignatureRefuted, match="not signed by a trusted key") as caught:
            case.verify(case.document(position), key)
        assert caught.value.step == "push"
    if signer is not None:
        case.verify(case.document(position), SIGNER.key, OTHER.key, NEXT.key)


def stripped(document: Any, case: Case) -> None:
    """The signature is left out, as an operator would who says that the party never signed."""
    document["format"] = "transfer-ledger/proof/v1"
    del document["push"]


def of_another_event(document: Any, case: Case) -> None:
    document["push"] = case.document(5)["push"]


def of_another_push(document: Any, case: Case) -> None:
    document["push"] = case.document(13)["push"]


def of_another_party(document: Any, case: Case) -> None:
    document["push"] = case.document(10)["push"]


def at_another_index(document: Any, case: Case) -> None:
    document["push"]["index"] += 1


def over_one_more(document: Any, case: Case) -> None:
    document["push"]["signature"] = document["push"]["signature"].replace("count 8", "count 9")


def over_another_root(document: Any, case: Case) -> None:
    note = document["push"]["signature"]
    root = note.split("root ")[1][:44]
    document["push"]["signature"] = note.replace(root, Digest.of(b"other").base64)


def to_another_log(document: Any, case: Case) -> None:
    document["push"]["signature"] = document["push"]["signature"].replace(case.origin, "ledger.example/other")


def under_another_key_id(document: Any, case: Case) -> None:
    other = sign_note(
        parse_note(document["push"]["signature"]).text, party_signer(seed=9).key, party_signer(seed=9).sign
    )
    document["push"]["signature"] = other


ATTACKS = (
    *(stripped, of_another_event, of_another_push, of_another_party, at_another_index),
    *(over_one_more, over_another_root, to_another_log, under_another_key_id),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_other_signature_passes_for_the_event_s(case: Case, attack: Callable[[Any, Case], None]) -> None:
    document = case.document(4)
    attack(document, case)
    with pytest.raises(VerificationError) as caught:
        case.verify(document, SIGNER.key, NEXT.key, OTHER.key)
    assert caught.value.step == "push"


UNHELD_BUT_REFUTED = [attack for attack in ATTACKS if attack not in (stripped, under_another_key_id)]


@pytest.mark.parametrize("attack", UNHELD_BUT_REFUTED, ids=lambda attack: attack.__name__)
def test_a_signature_of_something_else_is_refuted_without_a_key_of_the_party(
    case: Case, attack: Callable[[Any, Case], None]
) -> None:
    document = case.document(4)
    attack(document, case)
    with pytest.raises(VerificationError) as caught:
        case.verify(document)
    assert caught.value.step == "push"


def test_the_two_formats_are_not_mixed(case: Case) -> None:
    signed, unsigned = case.document(4), case.document(1)
    push = signed["push"]
    for document in (
        {**signed, "format": "transfer-ledger/proof/v1"},
        {**unsigned, "format": "transfer-ledger/proof/v2"},
        {**signed, "format": "transfer-ledger/proof/v3"},
        {**signed, "push": None},
        {**signed, "push": {**push, "more": 1}},
        {**signed, "push": {**push, "index": True}},
        {**signed, "push": {**push, "index": 1.0}},
        {**signed, "push": {**push, "path": [*push["path"], "AAAA"]}},
        {**signed, "push": {**push, "signature": signed["checkpoint"]}},
        {**signed, "push": {**push, "signature": push["signature"] + push["signature"].partition("\n\n")[2]}},
        {**signed, "push": {"signature": push["signature"], "index": push["index"]}},
    ):
        with pytest.raises(MalformedInput):
            parse_proof(json.dumps(document).encode())


# --- packages -----------------------------------------------------------------------------------------------


def unpack(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def resigned(case: Case, members: dict[str, bytes]) -> bytes:
    """These members under a manifest that fits them, signed by the log's own key: what a hostile operator can do."""
    names = SIGNED_FILES if PUSHES in members else FILES
    files = tuple(FileDigest(name, len(members[name]), Digest.of(members[name])) for name in names)
    old = Manifest.parse(parse_note(members[MANIFEST].decode()).text)
    manifest = sign_note(str(replace(old, files=files)), case.signer.key, case.signer.sign).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, members[name])
        archive.writestr(MANIFEST, manifest)
    return out.getvalue()


def test_a_package_shows_every_signed_push(case: Case) -> None:
    data = case.package()
    report = case.check(data, SIGNER.key, NEXT.key, OTHER.key)
    assert (report.events_in_period, report.signed_events, report.held_events) == (16, 13, 13)
    assert report.unheld == 0, "the first events are not signed"
    told = lines(unpack(data)[PUSHES])
    assert [(line["first"], [o["index"] for o in line["others"]]) for line in told] == [
        (3, [0, 4]),
        (9, []),
        (12, []),
    ]
    assert unpack(data)[MANIFEST].startswith(b"transfer-ledger/evidence/v2\n")


def test_signatures_that_are_held_against_no_key_are_counted_as_such(case: Case) -> None:
    report = case.check(case.package())
    assert (report.signed_events, report.held_events, report.unheld) == (13, 0, None)
    report = case.check(case.package(), OTHER.key)
    assert (report.signed_events, report.held_events, report.unheld) == (13, 3, None)
    report = case.check(case.package(), SIGNER.key)
    assert (report.signed_events, report.held_events, report.unheld) == (13, 6, 0)


def test_a_push_that_reaches_over_the_package_is_shown_all_the_same(case: Case) -> None:
    """Of batches 2 and 3, positions 8 to 15, the first push has one event in the package."""
    data = case.package(2, 3)
    told = lines(unpack(data)[PUSHES])
    assert [(line["first"], len(line["others"])) for line in told] == [(8, 7), (9, 0), (12, 0)]
    report = case.check(data, SIGNER.key, NEXT.key, OTHER.key)
    assert (report.events_in_period, report.signed_events, report.held_events) == (3, 3, 3)


def test_all_can_be_asked_to_be_signed(case: Case) -> None:
    check_all_signed(case.check(case.package(1, 60), SIGNER.key, NEXT.key, OTHER.key))
    for since, keys in ((0, [SIGNER.key, NEXT.key]), (1, [SIGNER.key])):
        with pytest.raises(PackageRefuted) as caught:
            check_all_signed(case.check(case.package(since), *keys))
        assert caught.value.step == "pushes"


def test_a_package_without_a_signed_push_is_as_ever(bed: Bed, tmp_path: Any) -> None:
    origin = bed.create_log()
    bed.push(origin, 1, 2)
    bed.settle(origin)
    out = io.BytesIO()
    signer = bed.ledger.keyring.signer(origin)
    now = bed.clock.now()
    build_package(bed.store, bed.log(origin), signer, now - 1, now + 1, now, out)
    members = unpack(out.getvalue())
    assert PUSHES not in members
    assert members[MANIFEST].startswith(b"transfer-ledger/evidence/v1\n")
    assert check_package(out, bed.key(origin)).signed_events == 0


def change_line(number: int, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, bytes]], None]:
    def attack(members: dict[str, bytes]) -> None:
        told = lines(members[PUSHES])
        change(told[number])
        members[PUSHES] = b"".join(canonical.encode(line) + b"\n" for line in told)

    return attack


def change_lines(change: Callable[[list[Any]], list[Any]]) -> Callable[[dict[str, bytes]], None]:
    def attack(members: dict[str, bytes]) -> None:
        told = change(lines(members[PUSHES]))
        members[PUSHES] = b"".join(canonical.encode(line) + b"\n" for line in told)

    return attack


def resay(line: dict[str, Any], old: str, new: str) -> None:
    line["signature"] = line["signature"].replace(old, new)


def signature_of(told: list[Any], place: int, other: int) -> list[Any]:
    return [
        {**line, "signature": told[other]["signature"]} if number == place else line
        for number, line in enumerate(told)
    ]


LEAF = Digest.of(b"leaf").base64


def put(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda line: line.update(values)


PACKAGE_ATTACKS: dict[str, Callable[[dict[str, bytes]], None]] = {
    "another first": change_line(0, put(first=4)),
    "a first outside": change_line(2, put(first=99)),
    "a first that is true": change_line(0, put(first=True)),
    "an entry claimed to be another's": change_line(1, lambda line: line["others"].append({"index": 0, "leaf": LEAF})),
    "an other left out": change_line(0, lambda line: line["others"].pop()),
    "another other": change_line(0, lambda line: line["others"][0].update(leaf=LEAF)),
    "others moved": change_line(0, lambda line: line["others"][0].update(index=2)),
    "others out of order": change_line(0, lambda line: line["others"].reverse()),
    "an index over the count": change_line(0, lambda line: line["others"][1].update(index=8)),
    "an index that is true": change_line(0, lambda line: line["others"][0].update(index=False)),
    "an other with more": change_line(0, lambda line: line["others"][0].update(more=1)),
    "a member more": change_line(0, put(more=1)),
    "no others": change_line(0, put(others=None)),
    "all others": change_line(2, put(others=[{"index": n, "leaf": LEAF} for n in range(4)])),
    "the signature of another push": change_lines(lambda told: signature_of(told, 0, 2)),
    "the signature of another party": change_lines(lambda told: signature_of(told, 1, 2)),
    "a smaller count": change_line(2, lambda line: resay(line, "count 4", "count 3")),
    "another log": change_line(2, lambda line: resay(line, "ledger.example/", "ledger.example/x-")),
    "no note": change_line(2, put(signature="signed")),
    "lines out of order": change_lines(lambda told: [told[1], told[0], told[2]]),
    "a line twice": change_lines(lambda told: [told[0], told[0], *told[1:]]),
    "no json": lambda members: members.update({PUSHES: b"{\n"}),
    "no end": lambda members: members.update({PUSHES: members[PUSHES][:-1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKAGE_ATTACKS)
@pytest.mark.parametrize("keys", [(), (SIGNER.key, NEXT.key, OTHER.key)], ids=["no key", "all keys"])
def test_a_hostile_operator_cannot_change_what_was_signed(
    case: Case, name: str, keys: tuple[VerifierKey, ...]
) -> None:
    members = unpack(case.package())
    PACKAGE_ATTACKS[name](members)
    with pytest.raises(VerificationError) as caught:
        case.check(resigned(case, members), *keys)
    assert caught.value.step == "pushes"


def test_a_forged_signature_is_refuted_by_the_party_s_key(case: Case) -> None:
    members = unpack(case.package())
    forger = party_signer(seed=9)
    change_line(
        2,
        lambda line: line.update(
            signature=sign_note(parse_note(line["signature"]).text, NEXT.key, forger.sign)
        ),
    )(members)
    data = resigned(case, members)
    assert case.check(data).held_events == 0
    with pytest.raises(PackageRefuted, match="does not verify") as caught:
        case.check(data, NEXT.key)
    assert caught.value.step == "pushes"


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_signature_that_is_left_out_is_missed_by_who_asks_for_all(case: Case, gone: int) -> None:
    members = unpack(case.package(1))
    change_lines(lambda told: told[:gone] + told[gone + 1 :])(members)
    report = case.check(resigned(case, members), SIGNER.key, NEXT.key, OTHER.key)
    assert report.unheld == (3, 9, 12)[gone]
    with pytest.raises(PackageRefuted):
        check_all_signed(report)


def test_all_signatures_left_out_are_missed_too(case: Case) -> None:
    members = unpack(case.package(1))
    del members[PUSHES]
    report = case.check(resigned(case, members), SIGNER.key)
    assert (report.signed_events, report.unheld) == (0, 3)


def test_a_package_has_the_members_of_its_version(case: Case) -> None:
    members = unpack(case.package())
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in (*FILES, MANIFEST):
            archive.writestr(name, members[name])
    with pytest.raises(PackageRefuted) as caught:
        case.check(out.getvalue())
    assert caught.value.step == "files"
    for old, new in ((b"evidence/v2", b"evidence/v1"), (b"file pushes.ndjson", b"file other.ndjson")):
        changed = members[MANIFEST].replace(old, new)
        text = parse_note(changed.decode()).text
        with pytest.raises(MalformedInput):
            Manifest.parse(text)


def test_a_repeated_push_changes_no_evidence(case: Case) -> None:
    before = unpack(case.package())
    made = signed_push(case.origin, [access(12), access(13)], NEXT)
    case.bed.pipeline.push(case.origin, PARTY, made.values, made.note)
    after = unpack(case.package())
    assert {name: after[name] for name in SIGNED_FILES} == {name: before[name] for name in SIGNED_FILES}
