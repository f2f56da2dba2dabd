"""Proofs, checked and attacked. An attack is named in its test's id and states the step that must refuse it.

A proof is held against the log's key (steps 2–7) and against the contract (3, 5–8); both verdicts are stated: the key
says nothing about the anchor, the contract nothing about the checkpoint and the log tree.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import canonical
from ledger.anchor import Anchor, AnchoredBatch, ContractRef, check_anchored
from ledger.batch import BatchHeader
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.disclosure import Disclosure, disclose, parse_disclosure
from ledger.entry import parse_entry
from ledger.errors import (
    AnchorRefuted,
    DisclosureRefuted,
    InclusionRefuted,
    LedgerError,
    MalformedInput,
    SignatureRefuted,
    VerificationError,
)
from ledger.merkle import leaf_hash
from ledger.note import VerifierKey, sign_note
from ledger.proof import (
    MAX_BYTES,
    Proof,
    ProvenEvent,
    check_proof,
    check_proof_on_chain,
    claimed_checkpoint,
    parse_anchor,
    parse_proof,
    proof_document,
)
from ledger.receipt import Receipt, sign_receipt
from ledger.statement import make_entry
from ledger.types import Digest, Position, from_base64, from_base64url, log_id, to_base64, to_base64url

from .building import (
    CONTRACT,
    ORIGIN,
    OTHER_ORIGIN,
    PARTY,
    RECEIVED,
    History,
    history,
    key_pair,
    salts,
    statement,
)

SIZES = [3, 8, 1, 5, 2, 13, 4]
LOG = history(SIZES)
OTHER_LOG = history(SIZES, OTHER_ORIGIN, seed=2)
BATCH, INDEX = 1, 1  # so that `true` in place of a number would mean the same, if it were let through
PROOF = LOG.prove(BATCH, INDEX)
DOCUMENT: dict[str, Any] = proof_document(PROOF)
NEIGHBOUR = LOG.prove(BATCH, INDEX + 1)
ELSEWHERE = LOG.prove(3, INDEX)
FOREIGN = OTHER_LOG.prove(BATCH, INDEX)
ENTRIES = list(itertools.chain(*LOG.entries))
DISCLOSURES = list(itertools.chain(*LOG.disclosures))

ERRORS: dict[str, type[LedgerError]] = {
    "form": MalformedInput,
    "signature": SignatureRefuted,
    "header": InclusionRefuted,
    "log": InclusionRefuted,
    "batch": InclusionRefuted,
    "entry": InclusionRefuted,
    "disclosures": DisclosureRefuted,
    "chain": AnchorRefuted,
}


@dataclass(frozen=True)
class Verdict:
    """The steps which refuse a proof, by the log's key and by the contract; None where it holds."""

    by_key: str | None
    by_chain: str | None


HOLDS = Verdict(None, None)
FORM = Verdict("form", "form")
SIGNATURE = Verdict("signature", None)
HEADER = Verdict("header", "header")
IN_LOG = Verdict("log", None)
IN_BATCH = Verdict("batch", "batch")
ENTRY = Verdict("entry", "entry")
DISCLOSED = Verdict("disclosures", "disclosures")
CHAIN = Verdict(None, "chain")


def _step(check: Callable[[], ProvenEvent], proof: Proof, log: History) -> str | None:
    try:
        proven = check()
    except VerificationError as error:
        assert type(error) is ERRORS[error.step]
        return error.step
    _assert_true(proven, proof, log)
    return None


def _assert_true(proven: ProvenEvent, proof: Proof, log: History) -> None:
    """What was proven did happen, whatever else the proof says."""
    entry = list(itertools.chain(*log.entries))[proven.position]
    shown = list(itertools.chain(*log.disclosures))[proven.position]
    assert proven.origin == log.origin
    assert proof.entry == entry
    assert proven.entry == parse_entry(entry)
    assert proven.header in log.headers
    assert {d.text for d in proven.disclosures} <= {d.text for d in shown}


def judge(proof: Proof, log: History = LOG) -> Verdict:
    batch = proof.header.batch_no if proof.header.batch_no in log.anchored else BATCH
    facts, seen = log.anchored[batch], log.anchors[batch]
    return Verdict(
        _step(lambda: check_proof(proof, log.signer.key), proof, log),
        _step(lambda: check_proof_on_chain(proof, log.origin, CONTRACT, facts, seen), proof, log),
    )


def judge_text(text: str, log: History = LOG) -> Verdict:
    try:
        proof = parse_proof(text.encode(errors="surrogatepass"))
    except MalformedInput:
        return FORM
    return judge(proof, log)


def judge_document(document: Any, log: History = LOG) -> Verdict:
    return judge_text(json.dumps(document), log)


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """The honest document with one member set."""
    document = copy.deepcopy(DOCUMENT)
    holder: Any = document
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = to(holder[path[-1]]) if callable(to) else to
    return document


def member(document: Any, *path: str | int) -> Any:
    for name in path:
        document = document[name]
    return document


def flips(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        for bit in range(8):
            yield data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


# --- Honest proofs hold -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(1, len(SIZES) + 1))
def test_every_event_is_proven_under_every_later_checkpoint(size: int) -> None:
    positions = []
    for batch in range(size):
        for index in range(SIZES[batch]):
            proof = LOG.prove(batch, index, size)
            assert parse_proof(canonical.encode(proof_document(proof))) == proof
            by_key = check_proof(proof, LOG.signer.key)
            by_chain = check_proof_on_chain(proof, ORIGIN, CONTRACT, LOG.anchored[batch], LOG.anchors[batch])
            assert by_key == by_chain
            _assert_true(by_key, proof, LOG)
            positions.append(by_key.position)
    assert positions == list(range(sum(SIZES[:size])))


def test_the_document_of_a_proof_reads_back_in_any_spelling() -> None:
    for text in (
        json.dumps(DOCUMENT),
        json.dumps(DOCUMENT, indent=2, ensure_ascii=False),
        json.dumps(DOCUMENT) + "\n",
    ):
        assert parse_proof(text.encode()) == PROOF
    assert judge_document(DOCUMENT) == HOLDS


def test_a_proof_says_what_its_checkpoint_claims() -> None:
    claimed = claimed_checkpoint(PROOF)
    assert (claimed.origin, claimed.size) == (ORIGIN, len(SIZES))


@pytest.mark.parametrize("kept", list(itertools.product([0, 1], repeat=len(PROOF.disclosures))), ids=str)
def test_any_disclosures_may_be_hidden_and_come_in_any_order(kept: tuple[int, ...]) -> None:
    texts = [text for text, keep in zip(DOCUMENT["disclosures"], kept, strict=True) if keep]
    assert judge_document(changed("disclosures", to=texts)) == HOLDS
    assert judge_document(changed("disclosures", to=texts[::-1])) == HOLDS


@pytest.mark.parametrize("extra", [{}, {"x": 1}, {"position": 5, "nested": [{"a": None}]}])
def test_what_is_unauthenticated_changes_nothing(extra: Any) -> None:
    assert judge_document(changed("unauthenticated", to=extra)) == HOLDS


def test_a_witness_may_add_its_signature_to_the_checkpoint() -> None:
    witness = key_pair("witness.example/w1", 9)
    line = sign_note("x\n", witness.key, witness.sign).removeprefix("x\n\n")
    assert judge_document(changed("checkpoint", to=lambda note: note + line)) == HOLDS
    assert judge_document(changed("checkpoint", to=lambda note: note.replace("\n\n", "\n\n" + line))) == HOLDS


def test_the_letters_of_a_contract_s_address_may_have_any_case() -> None:
    for spell in (str.lower, lambda a: "0x" + a[2:].upper()):
        assert judge_document(changed("anchor", "contract", to=spell)) == HOLDS


# --- Every flipped bit --------------------------------------------------------------------------------------------


def test_every_flipped_bit_of_the_entry_is_refused() -> None:
    for bent in flips(PROOF.entry):
        assert judge(replace(PROOF, entry=bent)) == IN_BATCH


@pytest.mark.parametrize("n", range(len(PROOF.disclosures)))
def test_every_flipped_bit_of_a_disclosure_is_refused(n: int) -> None:
    verdicts = set()
    for bent in flips(from_base64url(DOCUMENT["disclosures"][n])):
        verdicts.add(judge_document(changed("disclosures", n, to=to_base64url(bent))))
    for bent in flips(DOCUMENT["disclosures"][n].encode()):
        verdicts.add(judge_document(changed("disclosures", n, to=bent.decode(errors="surrogateescape"))))
    assert verdicts == {FORM, DISCLOSED}


HEADER_STEPS = {
    "logId": (0, 32, HEADER),
    "batchNo": (32, 40, HEADER),
    "firstLeaf": (40, 48, Verdict("log", "chain")),
    "leafCount": (48, 52, Verdict("log", "chain")),
    "closedAt": (52, 60, Verdict("log", "chain")),
    "root": (60, 92, Verdict("log", "chain")),
}


@pytest.mark.parametrize("name", HEADER_STEPS)
def test_every_flipped_bit_of_the_header_is_refused(name: str) -> None:
    start, stop, expected = HEADER_STEPS[name]
    honest = bytes(PROOF.header)
    for bent in flips(honest[start:stop]):
        header = to_base64(honest[:start] + bent + honest[stop:])
        number = int.from_bytes(bent)
        empty = name == "leafCount" and number == 0
        limit = {"batchNo": 2**53 - 1, "firstLeaf": 2**53 - 1, "closedAt": 253_402_300_799}
        huge = number > limit.get(name, number)
        assert judge_document(changed("batch", "header", to=header)) == (FORM if empty or huge else expected)


@pytest.mark.parametrize(
    ("part", "expected", "n"),
    [("batch", IN_BATCH, n) for n in range(len(PROOF.batch_path))]
    + [("log", IN_LOG, n) for n in range(len(PROOF.log_path))],
)
def test_every_flipped_bit_of_a_path_is_refused(part: str, expected: Verdict, n: int) -> None:
    for bent in flips(from_base64(DOCUMENT[part]["path"][n])):
        assert judge_document(changed(part, "path", n, to=to_base64(bent))) == expected


def test_every_flipped_bit_of_the_checkpoint_is_refused() -> None:
    verdicts = set()
    for bent in flips(PROOF.checkpoint.encode()):
        verdicts.add(judge_document(changed("checkpoint", to=bent.decode(errors="surrogateescape"))))
    assert verdicts == {FORM, SIGNATURE}


def test_every_flipped_bit_of_the_signature_and_its_key_id_is_refused() -> None:
    text, _, line = PROOF.checkpoint.rpartition("\n\n")
    lead, _, signature = line.rstrip("\n").rpartition(" ")
    for bent in flips(from_base64(signature)):
        note = f"{text}\n\n{lead} {to_base64(bent)}\n"
        assert judge_document(changed("checkpoint", to=note)) == SIGNATURE


@pytest.mark.parametrize("name", ["tx_hash", "block_hash", "contract"])
def test_every_flipped_bit_of_the_anchor_is_refused_by_the_contract(name: str) -> None:
    for bent in flips(bytes.fromhex(DOCUMENT["anchor"][name][2:])):
        assert judge_document(changed("anchor", name, to="0x" + bent.hex())) == CHAIN


@pytest.mark.parametrize("name", ["chain_id", "block_number"])
def test_every_flipped_bit_of_a_number_of_the_anchor_is_refused_by_the_contract(name: str) -> None:
    for bit in range(53):
        assert judge_document(changed("anchor", name, to=DOCUMENT["anchor"][name] ^ 1 << bit)) == CHAIN
    for bit in range(53, 70):
        assert judge_document(changed("anchor", name, to=DOCUMENT["anchor"][name] ^ 1 << bit)) == FORM


@pytest.mark.parametrize(("part", "expected"), [("batch", IN_BATCH), ("log", HEADER)])
def test_every_flipped_bit_of_an_index_is_refused(part: str, expected: Verdict) -> None:
    for bit in range(53):
        assert judge_document(changed(part, "index", to=1 ^ 1 << bit)) == expected


def test_the_format_s_name_is_compared_whole() -> None:
    for bent in flips(DOCUMENT["format"].encode()):
        assert judge_document(changed("format", to=bent.decode(errors="surrogateescape"))) == FORM


# --- The structure of the document --------------------------------------------------------------------------------

OBJECTS = [(), ("batch",), ("log",), ("anchor",)]
MEMBERS = [(*path, name) for path in OBJECTS for name in member(DOCUMENT, *path)]
ELEMENTS = [("disclosures", 0), ("batch", "path", 0), ("log", "path", 0)]


def dotted(path: Any) -> str:
    return ".".join(map(str, path)) or "document"


def spell(value: Any, twice: tuple[Any, ...], path: tuple[Any, ...] = ()) -> str:
    """The JSON of `value`, with the member at `twice` standing two times."""
    if isinstance(value, dict):
        members = []
        for name, inner in value.items():
            text = f"{json.dumps(name)}:{spell(inner, twice, (*path, name))}"
            members += [text, text] if (*path, name) == twice else [text]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spell(inner, twice, (*path, n)) for n, inner in enumerate(value)) + "]"
    return json.dumps(value)


@pytest.mark.parametrize("path", MEMBERS, ids=dotted)
def test_a_document_that_lacks_a_member_is_refused(path: tuple[str, ...]) -> None:
    document = copy.deepcopy(DOCUMENT)
    del member(document, *path[:-1])[path[-1]]
    assert judge_document(document) == FORM


@pytest.mark.parametrize("path", MEMBERS, ids=dotted)
@pytest.mark.parametrize("rename", [str.upper, lambda n: n + "_", lambda n: n[1:], lambda n: n + "\0"])
def test_a_document_with_a_renamed_member_is_refused(
    path: tuple[str, ...], rename: Callable[[str], str]
) -> None:
    document = copy.deepcopy(DOCUMENT)
    holder = member(document, *path[:-1])
    holder[rename(path[-1])] = holder.pop(path[-1])
    assert judge_document(document) == FORM


@pytest.mark.parametrize("path", MEMBERS, ids=dotted)
def test_a_document_with_a_member_that_stands_twice_is_refused(path: tuple[str, ...]) -> None:
    assert spell(DOCUMENT, ()) == json.dumps(DOCUMENT, separators=(",", ":"))
    assert judge_text(spell(DOCUMENT, path)) == FORM


@pytest.mark.parametrize("path", OBJECTS, ids=dotted)
@pytest.mark.parametrize("name", ["note", "", "index ", "Format", "unauthenticated2"])
def test_a_document_with_a_member_too_many_is_refused(path: tuple[str, ...], name: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    member(document, *path)[name] = None
    assert judge_document(document) == FORM


WRONG_TYPES = [None, True, False, 0, -1, 1.5, "", "x", [], {}, [1], [None], {"a": 1}]
STILL_IN_FORM: dict[tuple[Any, ...], list[tuple[Any, Verdict]]] = {
    ("entry",): [("", IN_BATCH), ("x", IN_BATCH)],
    ("disclosures",): [([], HOLDS)],
    ("batch", "index"): [(0, IN_BATCH), (-1, IN_BATCH)],
    ("batch", "path"): [([], IN_BATCH)],
    ("log", "index"): [(0, HEADER), (-1, HEADER)],
    ("log", "path"): [([], IN_LOG)],
    ("anchor", "chain_id"): [(0, CHAIN)],
    ("anchor", "block_number"): [(0, CHAIN)],
    ("unauthenticated",): [({}, HOLDS), ({"a": 1}, HOLDS)],
}


@pytest.mark.parametrize("path", [*MEMBERS, *ELEMENTS], ids=dotted)
@pytest.mark.parametrize("value", WRONG_TYPES, ids=json.dumps)
def test_a_member_of_another_type_is_refused(path: tuple[Any, ...], value: Any) -> None:
    kept = [verdict for v, verdict in STILL_IN_FORM.get(path, []) if type(v) is type(value) and v == value]
    assert judge_document(changed(*path, to=value)) == (kept[0] if kept else FORM)


NUMBERS = [("batch", "index"), ("log", "index"), ("anchor", "chain_id"), ("anchor", "block_number")]


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
@pytest.mark.parametrize(
    "spelling",
    [
        "{}.0",
        "{}e0",
        "{}E0",
        "{}0e-1",
        "0{}",
        "+{}",
        '"{}"',
        "[{}]",
        "{}.",
        "true",
        "0x1",
        "{}_0",
        "NaN",
        "1e400",
        "9" * 5000,
    ],
)
def test_a_number_in_another_spelling_is_refused(path: tuple[str, ...], spelling: str) -> None:
    number = member(DOCUMENT, *path)
    text = json.dumps(changed(*path, to="@")).replace('"@"', spelling.replace("{}", str(number)))
    assert judge_text(text) == FORM


@pytest.mark.parametrize("path", [("batch", "header"), *ELEMENTS[1:]], ids=dotted)
@pytest.mark.parametrize(
    "spell_bytes",
    [
        pytest.param(lambda b: to_base64(b[:-1]), id="a byte too few"),
        pytest.param(lambda b: to_base64(b + b"\0"), id="a byte too many"),
        pytest.param(lambda b: to_base64(b"") + " ", id="a space"),
        pytest.param(lambda b: to_base64(b) + "\n", id="a newline after"),
        pytest.param(lambda b: to_base64(b).replace("=", "") + "*", id="no padding"),
        pytest.param(lambda b: to_base64(b) + "=", id="padding too much"),
        pytest.param(lambda b: to_base64(b)[:10] + "\n" + to_base64(b)[10:], id="a line break"),
        pytest.param(lambda b: b.hex(), id="hexadecimal"),
        pytest.param(lambda b: "0x" + b.hex(), id="hexadecimal with 0x"),
    ],
)
def test_bytes_in_another_spelling_are_refused(
    path: tuple[Any, ...], spell_bytes: Callable[[bytes], str]
) -> None:
    data = from_base64(member(DOCUMENT, *path))
    assert judge_document(changed(*path, to=spell_bytes(data))) == FORM


@pytest.mark.parametrize("name", ["contract", "tx_hash", "block_hash"])
@pytest.mark.parametrize(
    "respell",
    [
        pytest.param(lambda h: h[2:], id="no 0x"),
        pytest.param(lambda h: "0X" + h[2:], id="0X"),
        pytest.param(lambda h: h[:-1], id="a digit too few"),
        pytest.param(lambda h: h + "0", id="a digit too many"),
        pytest.param(lambda h: h[:-1] + "g", id="no digit"),
        pytest.param(lambda h: h[:-1] + "٣", id="an Arabic digit"),
        pytest.param(lambda h: h + "\n", id="a newline after"),
        pytest.param(lambda h: " " + h, id="a space before"),
        pytest.param(lambda h: to_base64(bytes.fromhex(h[2:])), id="base64"),
    ],
)
def test_hexadecimal_in_another_spelling_is_refused(name: str, respell: Callable[[str], str]) -> None:
    assert judge_document(changed("anchor", name, to=respell)) == FORM


@pytest.mark.parametrize("name", ["tx_hash", "block_hash"])
def test_a_hash_of_the_chain_is_in_lower_case(name: str) -> None:
    assert judge_document(changed("anchor", name, to=lambda h: "0x" + h[2:].upper())) == FORM


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda t: "", id="nothing"),
        pytest.param(lambda t: "\ufeff" + t, id="a byte order mark"),
        pytest.param(lambda t: t + t, id="two documents"),
        pytest.param(lambda t: f"[{t}]", id="a list of one"),
        pytest.param(lambda t: json.dumps(t), id="a string of it"),
        pytest.param(lambda t: t[:-1], id="the end missing"),
        pytest.param(lambda t: t[:-1] + ",}", id="a comma at the end"),
        pytest.param(lambda t: t.replace("{", "{/**/", 1), id="a comment"),
        pytest.param(lambda t: t.replace("acme-live", "acme-live\\ud800", 1), id="a lone surrogate"),
        pytest.param(lambda t: t[:-1] + ',"x":' + "[" * 100_000, id="deep nesting"),
        pytest.param(lambda t: t + " " * MAX_BYTES, id="over the limit of size"),
    ],
)
def test_what_is_no_document_is_refused(spoil: Callable[[str], str]) -> None:
    assert judge_text(spoil(json.dumps(DOCUMENT))) == FORM


def test_a_document_in_utf_16_is_refused() -> None:
    with pytest.raises(MalformedInput, match="not UTF-8"):
        parse_proof(json.dumps(DOCUMENT).encode("utf-16"))


# --- Indices and paths --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index", [INDEX - 1, INDEX + 1, INDEX ^ 2, INDEX ^ 4, 7, 8, 9, -1, -INDEX, 2**32 + 1, 2**53 - 1]
)
def test_another_index_in_the_batch_is_refused(index: int) -> None:
    assert judge_document(changed("batch", "index", to=index)) == IN_BATCH


@pytest.mark.parametrize("index", [BATCH - 1, BATCH + 1, 6, 7, -1, 2**32 + 1, 2**53 - 1])
def test_another_index_in_the_log_is_refused(index: int) -> None:
    assert judge_document(changed("log", "index", to=index)) == HEADER


def _bent_paths(path: list[str], others: list[str]) -> Iterator[tuple[str, list[str]]]:
    yield "emptied", []
    yield "reversed", path[::-1]
    yield "doubled", path * 2
    for n in range(len(path)):
        yield f"truncated to {n}", path[:n]
        yield f"without its element {n}", path[:n] + path[n + 1 :]
        for other in others:
            yield f"with another element {n}", [*path[:n], other, *path[n + 1 :]]
        for m in range(n):
            swapped = list(path)
            swapped[m], swapped[n] = swapped[n], swapped[m]
            yield f"with {m} and {n} swapped", swapped
    for n in range(len(path) + 1):
        for other in [*others, *path]:
            yield f"extended at {n}", [*path[:n], other, *path[n:]]


OTHER_HASHES = [
    PROOF.header.root.base64,
    PROOF.header.leaf.base64,
    leaf_hash(PROOF.entry).base64,
    claimed_checkpoint(PROOF).root.base64,
    Digest(bytes(32)).base64,
    Digest.of(b"").base64,
]


@pytest.mark.parametrize(
    ("part", "expected", "bent"),
    [
        pytest.param(part, expected, bent, id=f"{part} path {name}")
        for part, expected in (("batch", IN_BATCH), ("log", IN_LOG))
        for name, bent in _bent_paths(DOCUMENT[part]["path"], OTHER_HASHES)
        if bent != DOCUMENT[part]["path"]
    ],
)
def test_a_bent_path_is_refused(part: str, expected: Verdict, bent: list[str]) -> None:
    assert judge_document(changed(part, "path", to=bent)) == expected


def test_a_path_of_many_thousand_elements_is_refused() -> None:
    long = DOCUMENT["batch"]["path"] * 10_000
    assert judge_document(changed("batch", "path", to=long)) == IN_BATCH
    assert judge_document(changed("log", "path", to=long)) == IN_LOG


# --- Parts of other honest proofs ---------------------------------------------------------------------------------


def with_parts(other: Proof, *names: str) -> Proof:
    return replace(PROOF, **{name: getattr(other, name) for name in names})


IN_BATCH_PARTS = ("entry", "disclosures", "batch_index", "batch_path")
LOG_PARTS = ("header", "log_index", "log_path")


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        pytest.param(with_parts(NEIGHBOUR, "entry"), IN_BATCH, id="entry of the next position"),
        pytest.param(with_parts(ELSEWHERE, "entry"), IN_BATCH, id="entry of another batch"),
        pytest.param(with_parts(FOREIGN, "entry"), IN_BATCH, id="entry of another log"),
        pytest.param(with_parts(NEIGHBOUR, "disclosures"), DISCLOSED, id="disclosures of the next event"),
        pytest.param(with_parts(FOREIGN, "disclosures"), HOLDS, id="equal disclosures of another log"),
        pytest.param(with_parts(NEIGHBOUR, "batch_index"), IN_BATCH, id="index of the next position"),
        pytest.param(with_parts(NEIGHBOUR, "batch_path"), IN_BATCH, id="path of the next position"),
        pytest.param(
            with_parts(NEIGHBOUR, "batch_index", "batch_path"), IN_BATCH, id="place of the next position"
        ),
        pytest.param(with_parts(ELSEWHERE, *IN_BATCH_PARTS), IN_BATCH, id="event of another batch"),
        pytest.param(with_parts(ELSEWHERE, "header"), HEADER, id="header of another batch"),
        pytest.param(with_parts(LOG.prove(0, 0), "header"), HEADER, id="header of the batch before"),
        pytest.param(with_parts(LOG.prove(2, 0), "header"), HEADER, id="header of the batch after"),
        pytest.param(with_parts(FOREIGN, "header"), HEADER, id="header of another log"),
        pytest.param(with_parts(ELSEWHERE, "log_index"), HEADER, id="log index of another batch"),
        pytest.param(with_parts(ELSEWHERE, "log_path"), IN_LOG, id="log path of another batch"),
        pytest.param(
            with_parts(ELSEWHERE, "header", "log_index"),
            Verdict("log", "chain"),  # the anchor is still that of the first batch
            id="header and log index of another batch",
        ),
        pytest.param(
            with_parts(ELSEWHERE, "header", "log_index", "anchor"),
            Verdict("log", "batch"),
            id="header, log index and anchor of another batch",
        ),
        pytest.param(
            with_parts(ELSEWHERE, *LOG_PARTS, "anchor"),
            IN_BATCH,
            id="everything of another batch but the event",
        ),
        pytest.param(with_parts(ELSEWHERE, "anchor"), CHAIN, id="anchor of another batch"),
        pytest.param(with_parts(FOREIGN, "checkpoint"), SIGNATURE, id="checkpoint of another log"),
        pytest.param(
            with_parts(FOREIGN, "header", "log_path", "checkpoint"),
            Verdict("signature", "header"),
            id="batch and checkpoint of another log",
        ),
        pytest.param(FOREIGN, Verdict("signature", "header"), id="whole proof of another log"),
        pytest.param(
            replace(PROOF, batch_path=PROOF.log_path, log_path=PROOF.batch_path),
            Verdict("log", "batch"),
            id="paths exchanged",
        ),
        *(
            pytest.param(
                with_parts(LOG.prove(BATCH, INDEX, size), "checkpoint"),
                IN_LOG,
                id=f"checkpoint of size {size}",
            )
            for size in range(BATCH + 1, len(SIZES))
        ),
        *(
            pytest.param(
                with_parts(LOG.prove(BATCH, INDEX, size), "log_path"), IN_LOG, id=f"log path of size {size}"
            )
            for size in range(BATCH + 1, len(SIZES))
        ),
        pytest.param(
            replace(PROOF, checkpoint=LOG.checkpoint(1)), IN_LOG, id="checkpoint from before the batch"
        ),
        pytest.param(replace(PROOF, checkpoint=LOG.checkpoint(0)), IN_LOG, id="checkpoint of the empty log"),
    ],
)
def test_a_part_of_another_proof_is_refused(proof: Proof, expected: Verdict) -> None:
    assert judge(proof) == expected


PARTS = [
    "entry",
    "disclosures",
    "header",
    "batch_index",
    "batch_path",
    "log_index",
    "log_path",
    "checkpoint",
    "anchor",
]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(NEIGHBOUR, id="next position"),
        pytest.param(ELSEWHERE, id="another batch"),
        pytest.param(LOG.prove(0, 1), id="the batch before"),
        pytest.param(LOG.prove(BATCH, INDEX, 2), id="an earlier checkpoint"),
        pytest.param(FOREIGN, id="another log"),
    ],
)
def test_no_mixture_of_two_proofs_proves_what_did_not_happen(other: Proof) -> None:
    """`judge` itself asserts that whatever is accepted is an entry at its true position, shown by its own members."""
    for chosen in itertools.product([0, 1], repeat=len(PARTS)):
        names = [name for name, taken in zip(PARTS, chosen, strict=True) if taken]
        judge(with_parts(other, *names))


# --- Disclosures --------------------------------------------------------------------------------------------------

SHOWN = DOCUMENT["disclosures"]


def _respelled(text: str) -> str:
    return to_base64url(json.dumps(json.loads(from_base64url(text)), indent=1).encode())


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([SHOWN[0], SHOWN[0]], DISCLOSED, id="one shown twice"),
        pytest.param([*SHOWN, SHOWN[0]], DISCLOSED, id="one more than once among all"),
        pytest.param([d.text for d in NEIGHBOUR.disclosures], DISCLOSED, id="moved from another event"),
        pytest.param([*SHOWN, NEIGHBOUR.disclosures[0].text], DISCLOSED, id="one added from another event"),
        pytest.param([disclose(bytes(16), "count", 5).text], DISCLOSED, id="made up"),
        pytest.param(
            [disclose(bytes(16), "outcome", "denied").text], DISCLOSED, id="shadowing a visible member"
        ),
        pytest.param([_respelled(SHOWN[0])], DISCLOSED, id="in another spelling"),
        pytest.param([SHOWN[0] + "="], FORM, id="padded"),
        pytest.param([SHOWN[0] + "A"], FORM, id="extended"),
        pytest.param([SHOWN[0][:-1]], FORM, id="truncated"),
        pytest.param([SHOWN[0] + "~" + SHOWN[1]], FORM, id="joined as in an SD-JWT"),
        pytest.param([to_base64url(b'["' + b"A" * 22 + b'","_sd",[]]')], FORM, id="of a reserved name"),
        pytest.param([to_base64url(b'["' + b"A" * 22 + b'","x"]')], FORM, id="of an array element"),
        pytest.param([""], FORM, id="empty"),
        pytest.param([SHOWN], FORM, id="a list in the list"),
        pytest.param({"0": SHOWN[0]}, FORM, id="an object"),
    ],
)
def test_disclosures_that_the_entry_does_not_commit_to_are_refused(texts: Any, expected: Verdict) -> None:
    assert judge_document(changed("disclosures", to=texts)) == expected


# --- Checkpoints --------------------------------------------------------------------------------------------------

HEAD = claimed_checkpoint(PROOF)
SIGNER = LOG.signer


def _signed(head: Checkpoint, signer: Any = SIGNER) -> str:
    return sign_checkpoint(head, signer.key, signer.sign)


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        pytest.param(_signed(HEAD, key_pair(ORIGIN, 3)), SIGNATURE, id="signed by another key of that name"),
        pytest.param(_signed(HEAD, key_pair(OTHER_ORIGIN, 1)), SIGNATURE, id="signed under another name"),
        pytest.param(
            _signed(replace(HEAD, origin=OTHER_ORIGIN)), SIGNATURE, id="of another log, signed by the key"
        ),
        pytest.param(_signed(replace(HEAD, root=Digest(bytes(32)))), IN_LOG, id="of another root"),
        pytest.param(_signed(replace(HEAD, root=PROOF.header.root)), IN_LOG, id="whose root is the batch's"),
        pytest.param(
            _signed(replace(HEAD, root=PROOF.header.leaf)), IN_LOG, id="whose root is the header's leaf"
        ),
        pytest.param(
            _signed(replace(HEAD, size=1, root=PROOF.header.leaf)), IN_LOG, id="of a log of one batch"
        ),
        pytest.param(_signed(replace(HEAD, size=0)), IN_LOG, id="of size 0"),
        pytest.param(_signed(replace(HEAD, size=2)), IN_LOG, id="of a smaller size and the same root"),
        pytest.param(_signed(replace(HEAD, size=10**19 - 1)), IN_LOG, id="of a huge size"),
        pytest.param(str(HEAD), FORM, id="unsigned"),
        pytest.param(str(HEAD) + "\n", FORM, id="without a signature"),
        pytest.param(
            str(HEAD).replace("\n7\n", "\n07\n") + "\n" + PROOF.checkpoint.split("\n\n")[1],
            FORM,
            id="leading 0",
        ),
        pytest.param(
            sign_receipt(
                Receipt(ORIGIN, Position(0), 1, HEAD.root, RECEIVED, RECEIVED), SIGNER.key, SIGNER.sign
            ),
            FORM,
            id="a receipt by the same key",
        ),
        pytest.param(
            sign_note("anything\n", SIGNER.key, SIGNER.sign), FORM, id="another note by the same key"
        ),
    ],
)
def test_another_checkpoint_is_refused(note: str, expected: Verdict) -> None:
    assert judge_document(changed("checkpoint", to=note)) == expected


@pytest.mark.parametrize(
    "key", [OTHER_LOG.signer.key, key_pair(ORIGIN, 5).key, key_pair(OTHER_ORIGIN, 1).key]
)
def test_a_verifier_who_trusts_another_key_refuses_the_proof(key: VerifierKey) -> None:
    with pytest.raises(SignatureRefuted) as caught:
        check_proof(PROOF, key)
    assert caught.value.step == "signature"


# --- The chain ----------------------------------------------------------------------------------------------------

FACTS, SEEN = LOG.anchored[BATCH], LOG.anchors[BATCH]


@pytest.mark.parametrize(
    ("facts", "seen", "contract"),
    [
        pytest.param(replace(FACTS, root=Digest(bytes(32))), SEEN, CONTRACT, id="holds another root"),
        pytest.param(replace(FACTS, first_leaf=Position(4)), SEEN, CONTRACT, id="holds another first leaf"),
        pytest.param(replace(FACTS, leaf_count=9), SEEN, CONTRACT, id="holds another count"),
        pytest.param(replace(FACTS, closed_at=1), SEEN, CONTRACT, id="holds another time"),
        pytest.param(LOG.anchored[3], SEEN, CONTRACT, id="holds another batch"),
        pytest.param(
            AnchoredBatch(Digest(bytes(32)), Position(0), 0, 0, 0),
            SEEN,
            CONTRACT,
            id="holds nothing",
        ),
        pytest.param(FACTS, None, CONTRACT, id="node knows no such transaction"),
        pytest.param(FACTS, LOG.anchors[3], CONTRACT, id="node saw it elsewhere"),
        pytest.param(
            FACTS, replace(SEEN, tx_hash=Digest(bytes(32))), CONTRACT, id="node saw another transaction"
        ),
        pytest.param(
            FACTS, replace(SEEN, block_hash=Digest(bytes(32))), CONTRACT, id="block was reorganised away"
        ),
        pytest.param(FACTS, replace(SEEN, block_number=99), CONTRACT, id="node saw another block"),
        pytest.param(FACTS, SEEN, replace(CONTRACT, chain_id=1), id="verifier trusts another chain"),
        pytest.param(
            FACTS, SEEN, ContractRef(31337, "0x" + "00" * 20), id="verifier trusts another contract"
        ),
    ],
)
def test_a_proof_that_the_chain_does_not_bear_out_is_refused(
    facts: AnchoredBatch, seen: Anchor | None, contract: ContractRef
) -> None:
    with pytest.raises(AnchorRefuted) as caught:
        check_proof_on_chain(PROOF, ORIGIN, contract, facts, seen)
    assert caught.value.step == "chain"


def test_a_proof_of_another_log_than_the_one_asked_about_is_refused_on_chain() -> None:
    with pytest.raises(InclusionRefuted) as caught:
        check_proof_on_chain(PROOF, OTHER_ORIGIN, CONTRACT, FACTS, SEEN)
    assert caught.value.step == "header"


def test_the_time_of_the_block_is_not_part_of_the_header() -> None:
    check_anchored(PROOF.header, replace(FACTS, anchored_at=0))


@pytest.mark.parametrize("value", [None, True, 1, "x", [], {}, {**DOCUMENT["anchor"], "more": 1}])
def test_another_anchor_is_refused(value: Any) -> None:
    with pytest.raises(MalformedInput, match="not an anchor"):
        parse_anchor(value)


# --- A hostile operator, who signs and anchors what it likes ------------------------------------------------------


def _hostile(entry: bytes, disclosures: tuple[Disclosure, ...] = ()) -> Verdict:
    log = History()
    log.add([entry, b"{}"], [disclosures, ()])
    return judge_document(proof_document(log.prove(0, 0)), log)


SAID = statement(1)
GOOD_ENTRY = make_entry(SAID, ORIGIN, PARTY, RECEIVED)


def test_the_hostile_operator_s_tools_do_make_good_proofs() -> None:
    assert _hostile(GOOD_ENTRY, SAID.disclosures) == HOLDS


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(make_entry(SAID, OTHER_ORIGIN, PARTY, RECEIVED), id="entry of another log"),
        pytest.param(GOOD_ENTRY + b"\n", id="a newline after the entry"),
        pytest.param(json.dumps(json.loads(GOOD_ENTRY)).encode(), id="white space"),
        pytest.param(GOOD_ENTRY.replace(b'"v":1', b'"v":2'), id="another version"),
        pytest.param(GOOD_ENTRY.replace(b'"v":1', b'"v":true'), id="version true"),
        pytest.param(GOOD_ENTRY.replace(b'"v":1', b'"v":1.0'), id="version 1.0"),
        pytest.param(GOOD_ENTRY.replace(b'"v":1', b'"v":1,"v":1'), id="version twice"),
        pytest.param(GOOD_ENTRY.replace(b'"id":"a-1"', b'"id":"a@b"'), id="an id with an @"),
        pytest.param(GOOD_ENTRY.replace(b'"party"', b'"partx"'), id="a member renamed"),
        pytest.param(GOOD_ENTRY.replace(b"02.123Z", b"02Z"), id="a time of receipt in seconds"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[" * 1000, id="deep nesting"),
        pytest.param(bytes(PROOF.header).hex().encode(), id="a header"),
    ],
)
def test_an_entry_out_of_form_is_refused_though_it_was_committed(entry: bytes) -> None:
    assert _hostile(entry) == ENTRY


def test_bytes_that_are_not_utf_8_cannot_stand_in_a_document() -> None:
    log = History()
    log.add([b"\xff"], [()])
    assert judge(log.prove(0, 0), log) == ENTRY


def _with_digests(*disclosures: Disclosure) -> bytes:
    value = json.loads(GOOD_ENTRY)
    value["data"]["_sd"] = sorted(d.digest for d in disclosures)
    return canonical.encode(value)


def test_two_values_of_one_member_cannot_both_be_shown() -> None:
    draw = salts()
    yes, no = disclose(draw(), "consented", True), disclose(draw(), "consented", False)
    entry = _with_digests(yes, no)
    assert _hostile(entry, (yes, no)) == DISCLOSED
    # Which of the two it shows is its own choice: a verifier who needs to know counts the digests.
    assert _hostile(entry, (yes,)) == HOLDS
    assert _hostile(entry, (no,)) == HOLDS


def test_a_visible_member_cannot_be_shown_again_with_another_value() -> None:
    denied = disclose(bytes(16), "outcome", "denied")
    assert _hostile(_with_digests(denied), (denied,)) == DISCLOSED


def test_a_log_key_of_a_batch_s_own_checkpoint_is_none_of_the_log() -> None:
    """`<origin>/batch/<n>` is signed for other software; under the log's key it opens nothing here."""
    origin = type(ORIGIN)(f"{ORIGIN}/batch/{BATCH}")
    head = Checkpoint(origin, PROOF.header.leaf_count, PROOF.header.root)
    for signer in (SIGNER, key_pair(origin, 1)):
        assert judge_document(changed("checkpoint", to=_signed(head, signer))) == FORM


def test_a_header_with_an_empty_batch_is_refused() -> None:
    data = bytes(PROOF.header)
    assert judge_document(changed("batch", "header", to=to_base64(data[:48] + bytes(4) + data[52:]))) == FORM


@pytest.mark.parametrize("name", ["batch_no", "first_leaf", "closed_at"])
def test_a_header_with_the_largest_numbers_is_refused_in_order(name: str) -> None:
    limits = {
        "batch_no": 2**53 - 1,
        "first_leaf": 2**53 - 1 - PROOF.header.leaf_count,
        "closed_at": 253_402_300_799,
    }
    largest = limits[name]
    header: BatchHeader = replace(PROOF.header, **{name: largest})
    expected = HEADER if name == "batch_no" else Verdict("log", "chain")
    assert judge_document(changed("batch", "header", to=to_base64(bytes(header)))) == expected


def test_positions_that_json_cannot_hold_are_refused_though_they_are_signed() -> None:
    log = History()
    log.add([GOOD_ENTRY], [SAID.disclosures])
    header = replace(log.headers[0], first_leaf=Position(2**64 - 1))
    head = Checkpoint(ORIGIN, 1, header.leaf)
    proof = replace(log.prove(0, 0), header=header, checkpoint=_signed(head))
    with pytest.raises(MalformedInput, match="out of range"):
        parse_proof(canonical.encode(proof_document(proof)))


# --- Arbitrary documents: nothing but the ledger's own errors, and nothing untrue ---------------------------------

TEXT = json.dumps(DOCUMENT).encode()

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([*SHOWN, *DOCUMENT["batch"]["path"], *DOCUMENT["log"]["path"], PROOF.checkpoint, ""]),
    lambda v: (
        st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["index", "path", "x"]), v, max_size=3)
    ),
    max_leaves=6,
)


def judge_anything(data: bytes) -> None:
    """Only the ledger's errors escape; `judge` asserts that what is accepted is true."""
    try:
        proof = parse_proof(data)
    except LedgerError as error:
        assert str(error)
        return
    judge(proof)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_document_with_arbitrary_members_is_judged(data: st.DataObject) -> None:
    document = copy.deepcopy(DOCUMENT)
    for path in data.draw(
        st.lists(st.sampled_from([*MEMBERS, *ELEMENTS]), min_size=1, max_size=3, unique=True)
    ):
        try:
            member(document, *path[:-1])[path[-1]] = data.draw(json_values)
        except (KeyError, TypeError, IndexError):
            continue  # an earlier change took the place away
    judge_anything(json.dumps(document).encode())


@settings(max_examples=600, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["set", "cut", "add"]), st.integers(0, len(TEXT) - 1), st.binary(max_size=4)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_document_with_arbitrary_bytes_is_judged(changes: list[tuple[str, int, bytes]]) -> None:
    text = TEXT
    for kind, place, new in changes:
        gone = {"set": len(new), "cut": len(new) + 1, "add": 0}[kind]
        text = text[:place] + (b"" if kind == "cut" else new) + text[place + gone :]
    judge_anything(text)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_arbitrary_header_entry_and_checkpoint_are_judged(data: st.DataObject) -> None:
    header = data.draw(
        st.binary(min_size=92, max_size=92).map(to_base64) | st.binary(max_size=93).map(to_base64)
    )
    document = changed("batch", "header", to=header)
    document["entry"] = data.draw(st.text(max_size=60) | json_values.map(json.dumps))
    text = data.draw(st.text(st.sampled_from(f"{ORIGIN}\n0123456789=abc "), max_size=80))
    document["checkpoint"] = data.draw(st.just(PROOF.checkpoint) | st.just(text + "\n" + PROOF.checkpoint))
    judge_anything(json.dumps(document).encode())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()))
def test_arbitrary_bytes_are_no_proof(data: bytes) -> None:
    with pytest.raises(MalformedInput):
        parse_proof(data)


@settings(max_examples=300, deadline=None)
@given(json_values | st.fixed_dictionaries(dict.fromkeys(DOCUMENT["anchor"], json_values)))
def test_an_arbitrary_anchor_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedInput):
        parse_anchor(value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_arbitrary_disclosures_in_a_document_are_refused(data: bytes) -> None:
    assert judge_document(changed("disclosures", to=[to_base64url(data)])) in {FORM, DISCLOSED}


def test_the_headers_of_two_logs_differ_though_their_batches_are_the_same() -> None:
    assert PROOF.header.root != FOREIGN.header.root
    twin = replace(PROOF.header, log_id=log_id(OTHER_ORIGIN))
    assert twin.leaf != PROOF.header.leaf
    assert parse_disclosure(SHOWN[0]) == PROOF.disclosures[0]
