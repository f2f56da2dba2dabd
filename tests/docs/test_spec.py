"""docs/spec.md is held against the code: its example, its names of steps and problems, its selectors.

And against a stranger: `spec_verifier` was written from its text alone, and has to come to the ledger's verdicts.
"""

from __future__ import annotations

import ast
import base64
import copy
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from support.processes import wait_for

from api.errors import _STATUS, _nearest
from ledger import errors, evidence, proof
from ledger.adapters.anvil import fund
from ledger.adapters.evm import EvmAnchorer, EvmChain, EvmRegistrar, address_of, deploy
from ledger.errors import LedgerError, MalformedInput, VerificationError
from ledger.note import VerifierKey, sign_note
from ledger.proving import verify
from ledger.types import RESERVED_SEGMENTS, Digest

from . import make_examples, spec_verifier
from .make_examples import BLOCK, ORIGIN, ROOT, SPEC, VECTORS, ExampleLog
from .spec_verifier import Key, Refused, SaysNothing, verify_package, verify_proof, verify_receipt

FILES = make_examples.build()
TEXT = SPEC.read_text()
KEY = FILES["log.vkey"].decode().strip()
STRANGERS_KEY = Key(KEY)
PARTY_KEY = FILES["party.vkey"].decode().strip()
STRANGERS_PARTY_KEY = Key(PARTY_KEY)
PROOF: dict[str, Any] = json.loads(FILES["proof.json"])
OTHER = base64.b64encode(bytes(32)).decode()


# --- The text


def test_the_committed_example_is_what_the_code_makes() -> None:
    committed = {path.name: path.read_bytes() for path in VECTORS.iterdir()}
    assert committed == {**FILES, **make_examples.packages(FILES)}, "run python tests/docs/make_examples.py"


def test_the_specification_shows_the_example() -> None:
    shown = {match[2]: match[3] for match in BLOCK.finditer(TEXT)}
    assert len(shown) == TEXT.count("<!-- example: ") >= 14
    for name, content in shown.items():
        assert content.removesuffix("\n") == FILES[name].decode().removesuffix("\n"), name
    assert make_examples.fill(TEXT, FILES) == TEXT
    for name in ("entry-1.json", "statement-1.json"):
        assert f"{len(FILES[name])} bytes" in TEXT


def test_all_references_to_sections_lead_somewhere() -> None:
    sections = set(re.findall(r"^#{2,3} ([0-9]+(?:\.[0-9]+)?)[. ]", TEXT, re.MULTILINE))
    named = set(re.findall(r"[Ss]ections? ([0-9]+(?:\.[0-9]+)?)", TEXT))
    named |= set(re.findall(r"\(([0-9]+\.[0-9]+)[,)]", TEXT))
    assert named <= sections


def steps_in(start: str, stop: str) -> list[str]:
    part = TEXT.partition(start)[2].partition(stop)[0]
    return re.findall(r"^\| *[0-9]+ \| `([a-z]+)` \|", part, re.MULTILINE)


def steps_of(docstring: str | None) -> list[str]:
    return re.findall(r"^[0-9]+\. `([a-z]+)` ", docstring or "", re.MULTILINE)


def test_the_steps_are_those_that_the_modules_list() -> None:
    from ledger.evidence import check

    assert steps_in("### 11.2", "## 12.") == steps_of(proof.__doc__) != []
    assert steps_in("### 13.3", "### 13.4") == steps_of(check.__doc__) != []


def test_every_step_that_the_code_names_is_in_the_specification() -> None:
    steps: set[str] = set()
    for path in (ROOT / "ledger").rglob("*.py"):
        for found in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(found, ast.keyword)
                and found.arg == "step"
                and isinstance(found.value, ast.Constant)
            ):
                steps.add(str(found.value.value))
            if isinstance(found, ast.Call) and ast.unparse(found.func) == "_step":
                steps.add(str(ast.literal_eval(found.args[0])))
    specified = set(steps_in("### 11.2", "## 12.") + steps_in("### 13.3", "### 13.4"))
    # `inclusion` is the general check's; whoever calls it names the step.
    assert steps - {"inclusion"} - specified == {"consistency", "receipt"}
    assert "the step `consistency`" in TEXT
    assert "the step `receipt`" in TEXT
    assert specified - steps == {"form"}, "a document out of form is not refuted, but cannot be used"


def test_the_problems_are_those_that_the_api_gives() -> None:
    def tree(kind: type[LedgerError]) -> Iterator[type[LedgerError]]:
        for below in kind.__subclasses__():
            yield below
            yield from tree(below)

    part = TEXT.partition("### 14.3")[2].partition("### 14.4")[0]
    listed = {
        name: int(status)
        for names, status in re.findall(r"^\| (`.*`) \| ([0-9]{3}) \|", part, re.MULTILINE)
        for name in re.findall(r"`([a-z-]+)`", names)
    }
    given = {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower(): int(
            _nearest(kind("", **({"step": ""} if issubclass(kind, VerificationError) else {})), _STATUS, 400)
        )
        for kind in tree(LedgerError)
        if kind.__module__ == errors.__name__
        and kind not in (errors.InputError, errors.AccessError, errors.VerificationError)
    }
    assert listed == {
        **given,
        "invalid-parameter": HTTPStatus.UNPROCESSABLE_ENTITY,
        "internal-server-error": HTTPStatus.INTERNAL_SERVER_ERROR,
    }


def test_the_words_that_no_origin_holds_are_those_of_the_code() -> None:
    listed = TEXT.partition("No segment of an origin's path is ")[2].partition(":")[0]
    assert set(re.findall("`([a-z]+)`", listed)) == RESERVED_SEGMENTS == spec_verifier.RESERVED_SEGMENTS


def test_selectors_and_topics_are_the_contracts() -> None:
    from eth_utils.abi import event_signature_to_log_topic, function_signature_to_4byte_selector

    signatures = re.findall(r"^\| `(\w+\([^`]*\))` \| `([0-9a-f]{8})`", TEXT, re.MULTILINE)
    assert len(signatures) == 4
    for signature, selector in signatures:
        assert function_signature_to_4byte_selector(signature).hex() == selector
    for error, selector in (("UnknownLog(bytes32)", "3d199f11"), ("UnknownBatch(uint64,uint64)", "3cbf4f57")):
        assert function_signature_to_4byte_selector(error).hex() == selector
        assert selector in TEXT
    topic = event_signature_to_log_topic("BatchAnchored(bytes32,uint64,uint64,uint32,uint64,bytes32)")
    assert topic.hex() in TEXT
    assert "0x" + topic.hex() == spec_verifier.BATCH_ANCHORED


# --- The stranger


def test_the_stranger_shares_no_code_with_the_ledger() -> None:
    tree = ast.parse(Path(spec_verifier.__file__).read_text())
    modules = set()
    for found in ast.walk(tree):
        if isinstance(found, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in found.names}
        elif isinstance(found, ast.ImportFrom):
            assert found.level == 0
            modules.add((found.module or "").partition(".")[0])
    assert modules - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_stranger_verifies_the_example() -> None:
    position, entry = verify_proof(FILES["proof.json"], STRANGERS_KEY)
    assert position == 1
    assert entry == json.loads(FILES["entry-1.json"])
    entries = [FILES[f"entry-{n}.json"].decode() for n in range(3)]
    assert verify_receipt(FILES["receipt-0.txt"].decode(), STRANGERS_KEY, entries[:2]) == 0
    assert verify_receipt(FILES["receipt-1.txt"].decode(), STRANGERS_KEY, entries[2:]) == 2
    assert verify_package((VECTORS / "evidence.zip").read_bytes(), STRANGERS_KEY) == {
        "events": 2,
        "open": False,
        "signed": 0,
        "held": 0,
    }


def test_the_stranger_verifies_what_the_party_signed() -> None:
    keys = [STRANGERS_PARTY_KEY]
    assert spec_verifier.verify_push(FILES["push-0.json"], STRANGERS_PARTY_KEY, ORIGIN) == 2
    position, entry = verify_proof(FILES["proof-signed.json"], STRANGERS_KEY, party_keys=keys)
    assert (position, entry) == (1, json.loads(FILES["entry-1.json"]))
    assert spec_verifier.statement_of(FILES["entry-1.json"].decode(), entry) == FILES["statement-1.json"]
    package = (VECTORS / "evidence-signed.zip").read_bytes()
    assert verify_package(package, STRANGERS_KEY, party_keys=keys) == {
        "events": 2,
        "open": False,
        "signed": 2,
        "held": 2,
    }
    assert verify_package(package, STRANGERS_KEY)["held"] == 0
    with pytest.raises(Refused, match="push"):
        verify_proof(FILES["proof.json"], STRANGERS_KEY, party_keys=keys)


def test_the_stranger_checks_that_the_log_only_grew() -> None:
    heads = [
        spec_verifier.open_checkpoint(FILES[f"checkpoint-{n}.txt"].decode(), STRANGERS_KEY) for n in (1, 2)
    ]
    answer = json.loads(FILES["consistency.json"])
    path = [base64.b64decode(digest) for digest in answer["path"]]
    (old, old_root), (new, new_root) = heads
    spec_verifier.check_consistency(old, new, old_root, new_root, path)
    for wrong in (
        (old, new, new_root, old_root, path),
        (old, new, old_root, new_root, []),
        (2, 1, *2 * [old_root], path),
    ):
        with pytest.raises(Refused, match="consistency"):
            spec_verifier.check_consistency(*wrong)  # type: ignore[arg-type]


# --- Both come to the same verdict on what was changed

Change = Callable[[dict[str, Any]], Any]


def put(*path: str, value: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return change


def replace(old: str, new: str) -> Change:
    def change(document: dict[str, Any]) -> None:
        assert old in document["entry"]
        document["entry"] = document["entry"].replace(old, new)

    return change


HEADER = base64.b64decode(PROOF["batch"]["header"])
NOTE: str = PROOF["checkpoint"]
DISCLOSURES = FILES["disclosures.txt"].decode()
ALL = re.findall(r"text    (\S+)", DISCLOSURES)
FOREIGN = json.loads(FILES["evidence-entries.ndjson"].splitlines()[0])["disclosures"][0]


def spelled(array: str) -> str:
    return base64.urlsafe_b64encode(array.encode()).rstrip(b"=").decode()


def header(data: bytes) -> Change:
    return put("batch", "header", value=base64.b64encode(data).decode())


def first_leaf(batch_no: int, first: int) -> Change:
    def change(document: dict[str, Any]) -> None:
        header(HEADER[:32] + batch_no.to_bytes(8) + first.to_bytes(8) + HEADER[48:])(document)
        put("log", "index", value=batch_no)(document)

    return change


CHANGES: dict[str, tuple[str | None, Change]] = {
    "nothing": (None, lambda document: None),
    "nothing that is authenticated": (None, put("unauthenticated", value={"position": 7})),
    "nothing shown": (None, put("disclosures", value=[])),
    "everything shown": (None, put("disclosures", value=ALL)),
    "a witness has signed too": (None, put("checkpoint", value=NOTE + "— witness.example AAAAAAAA\n")),
    "another format": ("form", put("format", value="transfer-ledger/proof/v2")),
    "a member more": ("form", put("more", value=1)),
    "a member less": ("form", lambda document: document.pop("anchor")),
    "an index that is true": ("form", put("batch", "index", value=True)),
    "a header of 91 bytes": ("form", header(HEADER[:-1])),
    "a header without leaves": ("form", header(HEADER[:48] + bytes(4) + HEADER[52:])),
    "a batch number that JSON cannot hold": ("form", header(HEADER[:32] + b"\x00\x20" + HEADER[34:])),
    "a close that JSON cannot hold": ("form", header(HEADER[:52] + b"\x00\x20" + HEADER[54:])),
    "a close after the year 9999": (
        "form",
        header(HEADER[:52] + (253402300800).to_bytes(8) + HEADER[60:]),
    ),
    "a close in the last second": ("log", header(HEADER[:52] + (253402300799).to_bytes(8) + HEADER[60:])),
    "an unauthenticated number that JSON cannot hold": ("form", put("unauthenticated", value={"n": 2**53})),
    "unauthenticated numbers": (None, put("unauthenticated", value={"n": [1.5, -1, 1e21, 2**53 - 1]})),
    "loose base64": ("form", put("batch", "header", value=PROOF["batch"]["header"].rstrip("="))),
    "a note without its last newline": ("form", put("checkpoint", value=NOTE[:-1])),
    "a short salt": ("form", put("disclosures", value=[spelled('["short","a",1]')])),
    "a name twice in a disclosure": (
        "form",
        put("disclosures", value=[spelled('["_26bc4LT-ac6q2KI6cBW5es","a",{"b":1,"b":2}]')]),
    ),
    "a lone surrogate in a disclosure": (
        "form",
        put("disclosures", value=[spelled(r'["_26bc4LT-ac6q2KI6cBW5es","a","\ud800"]')]),
    ),
    "a transaction in upper case": ("form", put("anchor", "tx_hash", value="0x" + "AB" * 32)),
    "a negative block": ("form", put("anchor", "block_number", value=-1)),
    "another size": ("signature", put("checkpoint", value=NOTE.replace("\n2\n", "\n3\n"))),
    "a size spelled otherwise": ("form", put("checkpoint", value=NOTE.replace("\n2\n", "\n02\n"))),
    "signed by nobody known": (
        "signature",
        put("checkpoint", value=NOTE.partition("— ")[0] + "— ledger.example/acme-live AAAAAAAA\n"),
    ),
    "a receipt for a checkpoint": ("form", put("checkpoint", value=FILES["receipt-0.txt"].decode())),
    "a header of another log": ("header", header(bytes(32) + HEADER[32:])),
    "another batch number": ("header", put("log", "index", value=1)),
    "a first batch that does not begin the log": ("header", first_leaf(0, 1)),
    "a second batch that begins the log": ("header", first_leaf(1, 0)),
    "a second batch that may follow": ("log", first_leaf(1, 1)),
    "a negative index of the log": ("header", put("log", "index", value=-1)),
    "a later close": ("log", header(HEADER[:52] + bytes(8) + HEADER[60:])),
    "one leaf more": ("log", header(HEADER[:48] + bytes([0, 0, 0, 3]) + HEADER[52:])),
    "no path in the log": ("log", put("log", "path", value=[])),
    "a longer path in the log": ("log", put("log", "path", value=[*PROOF["log"]["path"], OTHER])),
    "another index": ("batch", put("batch", "index", value=0)),
    "a negative index": ("batch", put("batch", "index", value=-1)),
    "an index outside": ("batch", put("batch", "index", value=2)),
    "another path": ("batch", put("batch", "path", value=[OTHER])),
    "a changed entry": ("batch", replace("allowed", "refused")),
    "a space in the entry": ("batch", replace('"v":1', '"v": 1')),
    "a disclosure of another event": ("disclosures", put("disclosures", value=[FOREIGN])),
    "a disclosure twice": ("disclosures", put("disclosures", value=[ALL[0], ALL[0]])),
    "a rewritten disclosure": (
        "disclosures",
        put(
            "disclosures",
            value=[spelled(base64.urlsafe_b64decode(ALL[0] + "==").decode().replace(",", ", "))],
        ),
    ),
}


def ledgers_verdict(document: bytes, *party_keys: str) -> str | None:
    try:
        keys = [VerifierKey.parse(key) for key in party_keys]
        verify(proof.parse_proof(document), VerifierKey.parse(KEY), ORIGIN, None, keys)
    except MalformedInput:
        return "form"
    except VerificationError as error:
        return error.step
    return None


def strangers_verdict(document: bytes, *party_keys: str) -> str | None:
    try:
        verify_proof(document, STRANGERS_KEY, party_keys=[Key(key) for key in party_keys])
    except Refused as refused:
        return refused.step
    return None


@pytest.mark.parametrize("name", CHANGES)
def test_both_name_the_step_at_which_a_changed_proof_fails(name: str) -> None:
    step, change = CHANGES[name]
    document = copy.deepcopy(PROOF)
    change(document)
    data = json.dumps(document).encode()
    assert ledgers_verdict(data) == step
    assert strangers_verdict(data) == step


def test_a_name_twice_in_the_document_is_refused_by_both() -> None:
    data = FILES["proof.json"].replace(b'"format"', b'"entry": "", "format"', 1)
    assert ledgers_verdict(data) == strangers_verdict(data) == "form"


def test_no_changed_byte_of_a_proof_is_verified_by_either() -> None:
    authenticated = FILES["proof.json"].index(b'"anchor"')  # what is behind needs a node
    for at in range(authenticated):
        data = bytearray(FILES["proof.json"])
        data[at] ^= 1
        ledgers, strangers = ledgers_verdict(bytes(data)), strangers_verdict(bytes(data))
        assert (ledgers is None) == (strangers is None)
        if ledgers is None:  # white space, between tokens
            assert json.loads(data) == PROOF


# --- Signed by the party

SIGNED: dict[str, Any] = json.loads(FILES["proof-signed.json"])
SIGNATURE: str = SIGNED["push"]["signature"]
OTHER_SIGNATURE = FILES["signature-1.txt"].decode()
FORGER = make_examples.KeySigner("acme", make_examples.Ed25519PrivateKey.from_private_bytes(bytes(32)))
FORGED = sign_note(SIGNATURE.partition("\n\n")[0] + "\n", FORGER.key, FORGER.sign)


def push(name: str, value: Any) -> Change:
    return put("push", name, value=value)


SIGNED_CHANGES: dict[str, tuple[str | None, str | None, Change]] = {
    "nothing": (None, None, lambda document: None),
    "a version less": ("form", "form", put("format", value="transfer-ledger/proof/v1")),
    "a version more": ("form", "form", put("format", value="transfer-ledger/proof/v3")),
    "no push": ("form", "form", lambda document: document.pop("push")),
    "a member more": ("form", "form", push("more", 1)),
    "an index that is true": ("form", "form", push("index", True)),
    "a digest in loose base64": ("form", "form", push("path", [OTHER.rstrip("=")])),
    "a checkpoint for a signature": ("form", "form", push("signature", NOTE)),
    "two signatures": ("form", "form", push("signature", SIGNATURE + SIGNATURE.partition("\n\n")[2])),
    "a count of nothing": ("form", "form", push("signature", SIGNATURE.replace("count 2", "count 0"))),
    "a witness more": ("form", "form", push("signature", SIGNATURE + "— witness.example AAAAAAAA\n")),
    "the signature of another push": ("push", "push", push("signature", OTHER_SIGNATURE)),
    "another log": ("push", "push", push("signature", SIGNATURE.replace("acme-live", "other-live"))),
    "another party": ("push", "push", push("signature", SIGNATURE.replace("— acme", "— other"))),
    "one statement more": ("push", "push", push("signature", SIGNATURE.replace("count 2", "count 3"))),
    "another index": ("push", "push", push("index", 0)),
    "a negative index": ("push", "push", push("index", -1)),
    "another path": ("push", "push", push("path", [OTHER])),
    "a longer path": ("push", "push", push("path", [*SIGNED["push"]["path"], OTHER])),
    "no path": ("push", "push", push("path", [])),
    "a key that nobody gave": (None, "push", push("signature", FORGED)),
    "a forged signature": (
        None,
        "push",
        push("signature", SIGNATURE.replace(SIGNATURE[-60:-50], "A" * 10)),
    ),
    "a changed entry": ("batch", "batch", replace("allowed", "refused")),
    "stripped": (
        None,
        "push",
        lambda document: document.update(format="transfer-ledger/proof/v1") or document.pop("push"),
    ),
}


@pytest.mark.parametrize("name", SIGNED_CHANGES)
def test_both_name_the_step_at_which_a_changed_signature_fails(name: str) -> None:
    without, against, change = SIGNED_CHANGES[name]
    document = copy.deepcopy(SIGNED)
    change(document)
    data = json.dumps(document).encode()
    assert ledgers_verdict(data) == strangers_verdict(data) == without
    assert ledgers_verdict(data, PARTY_KEY) == strangers_verdict(data, PARTY_KEY) == against


# --- Entries whose form is wrong, in a batch that is right

ENTRY: str = PROOF["entry"]
ENTRIES = {
    "a name twice": ENTRY.replace('"v":1', '"v":1,"v":1'),
    "version 2": ENTRY.replace('"v":1', '"v":2'),
    "a space": ENTRY.replace('"v":1', '"v": 1'),
    "a version with decimals": ENTRY.replace('"v":1', '"v":1.0'),
    "names in another order": ENTRY.replace(
        '"_sd_alg":"sha-256","outcome":"allowed"', '"outcome":"allowed","_sd_alg":"sha-256"'
    ),
    "a letter spelled otherwise": ENTRY.replace("allowed", "\\u0061llowed"),
    "a number spelled otherwise": ENTRY.replace('"allowed"', "1e2"),
    "a minus before nothing": ENTRY.replace('"allowed"', "-0"),
    "a leap second": ENTRY.replace("12:00:00Z", "12:00:60Z"),
    "a point without digits": ENTRY.replace("12:00:00Z", "12:00:00.Z"),
    "an offset of a day": ENTRY.replace("12:00:00Z", "12:00:00+24:00"),
    "a time before the first year": ENTRY.replace("2026-07-01T12:00:00Z", "0001-01-01T00:00:00+00:01"),
    "a lower-case z": ENTRY.replace("12:00:00Z", "12:00:00z"),
    "version true": ENTRY.replace('"v":1', '"v":true'),
    "of another log": ENTRY.replace("acme-live", "other-live"),
    "a member more": ENTRY.replace('"v":1', '"v":1,"w":1'),
    "another hash": ENTRY.replace("sha-256", "sha-512"),
    "an attribute more": ENTRY.replace('"event":{', '"event":{"email":"a",'),
    "an attribute less": ENTRY.replace('"phase":"storage",', ""),
    "a person's name as id": ENTRY.replace("access-000017", "Ms Wang"),
    "no such day": ENTRY.replace("2026-07-01T12:00:00Z", "2026-02-30T12:00:00Z"),
    "received without decimals": ENTRY.replace(".250Z", "Z"),
    "received in other digits": ENTRY.replace(".250Z", ".25٠Z"),
    "digests not in order": re.sub(r'("[^"]{43}"),("[^"]{43}")', r"\2,\1", ENTRY, count=1),
    "a digest twice": re.sub(r'"_sd":\[("[^"]*")', r'"_sd":[\1,\1', ENTRY),
    "a digest of 33 bytes": re.sub(r'"_sd":\["', r'"_sd":["AA', ENTRY),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_both_refuse_an_entry_out_of_form_though_it_was_committed(name: str) -> None:
    text = ENTRIES[name]
    assert text != ENTRY
    example = ExampleLog()
    document = copy.deepcopy(PROOF)
    sibling = base64.b64decode(PROOF["batch"]["path"][0])
    root = spec_verifier.node(sibling, spec_verifier.leaf(text.encode()))
    changed = HEADER[:60] + root
    second = base64.b64decode(PROOF["log"]["path"][0])
    head = base64.b64encode(spec_verifier.node(spec_verifier.leaf(changed), second)).decode()
    document["entry"] = text
    document["batch"]["header"] = base64.b64encode(changed).decode()
    document["checkpoint"] = sign_note(f"{ORIGIN}\n2\n{head}\n", example.key, example.sign)
    data = json.dumps(document).encode()
    assert ledgers_verdict(data) == strangers_verdict(data) == "entry"


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        -1.25,
        1e21,
        1.5e300,
        5e-324,
        1e-6,
        1.25e-7,
        123456.789,
        1e100,
        100.5,
        {"\U0001f600": 1, "\ufb01": "\x7f\b"},
    ],
)
def test_the_stranger_writes_canonical_json(value: Any) -> None:
    from ledger import canonical

    assert spec_verifier.canonical(value).encode() == canonical.encode(value)


# --- Receipts and notes


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("point", spec_verifier.SMALL_ORDER)
def test_both_refuse_a_key_of_small_order(point: bytes, sign: int) -> None:
    assert f"\n{point.hex()}\n" in TEXT
    public = point[:31] + bytes([point[31] | sign])
    key_id = Digest.of(ORIGIN.encode() + b"\n\x01" + public)[:4].hex()
    text = f"{ORIGIN}+{key_id}+{base64.b64encode(bytes([1]) + public).decode()}"
    with pytest.raises(MalformedInput):
        VerifierKey.parse(text)
    with pytest.raises(spec_verifier.OutOfForm, match="small order"):
        Key(text)


def test_white_space_around_a_key_is_not_part_of_it() -> None:
    text = f"\u2003\x1f{KEY}\u00a0\n"
    assert Key(text).name == VerifierKey.parse(text).name == ORIGIN


@pytest.mark.parametrize(
    "change",
    [
        ("first 0", "first 1"),
        ("count 2", "count 3"),
        ("12:10", "12:20"),
        ("lCNEu", "lCNEv"),
        ("receipt/v1", "receipt/v2"),
        ("\n\n", "\n"),
    ],
)
def test_a_changed_receipt_is_refused(change: tuple[str, str]) -> None:
    note = FILES["receipt-0.txt"].decode()
    assert change[0] in note
    entries = [FILES[f"entry-{n}.json"].decode() for n in range(2)]
    with pytest.raises(Refused):
        verify_receipt(note.replace(*change), STRANGERS_KEY, entries)
    with pytest.raises(Refused):
        verify_receipt(note, STRANGERS_KEY, entries[::-1])


# --- Packages

Members = dict[str, bytes]


def members() -> Members:
    names = ("headers.ndjson", "entries.ndjson", "anchors.ndjson", "checkpoint", "manifest")
    return {name: FILES[f"evidence-{name}"] for name in names}


def zipped(files: Members) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def signed_again(files: Members, **lines: str) -> Members:
    """With a manifest that fits, signed by the log's own key: what a hostile ledger could hand out."""
    example = ExampleLog()
    text = files["manifest"].decode().partition("\n\n")[0] + "\n"
    for name, value in lines.items():
        text = re.sub(rf"^{name} .*$", f"{name} {value}", text, flags=re.MULTILINE)
    for name in files.keys() - {"manifest"}:
        digest = Digest.of(files[name]).base64
        text = re.sub(
            rf"^file {name} .*$", f"file {name} {len(files[name])} {digest}", text, flags=re.MULTILINE
        )
    return {**files, "manifest": sign_note(text, example.key, example.sign).encode()}


def edited(name: str, old: str, new: str) -> Members:
    files = members()
    assert old.encode() in files[name]
    return signed_again({**files, name: files[name].replace(old.encode(), new.encode(), 1)})


def without_line(name: str, number: int, **lines: str) -> Members:
    files = members()
    kept = files[name].splitlines(keepends=True)
    del kept[number]
    return signed_again({**files, name: b"".join(kept)}, **lines)


def unended(name: str) -> Members:
    files = members()
    return signed_again({**files, name: files[name].removesuffix(b"\n")})


PACKAGES: dict[str, tuple[str | None, Callable[[], Members]]] = {
    "as it is": (None, members),
    "an open end": (None, lambda: signed_again(members(), to="2026-07-01T12:01:00.000Z")),
    "a member more": ("form", lambda: {**members(), "more": b""}),
    "a member less": ("form", lambda: {n: c for n, c in members().items() if n != "anchors.ndjson"}),
    "no note": ("form", lambda: {**members(), "manifest": b"transfer-ledger/evidence/v1\n"}),
    "another period": (
        "signature",
        lambda: {**members(), "manifest": members()["manifest"].replace(b"30.000", b"31.000")},
    ),
    "a checkpoint for a manifest": ("signature", lambda: {**members(), "manifest": members()["checkpoint"]}),
    "other digits": ("signature", lambda: signed_again(members(), batches="0 ٢")),
    "another entry": (
        "files",
        lambda: {**members(), "entries.ndjson": members()["entries.ndjson"].replace(b"refused", b"allowed")},
    ),
    "a file cut short": ("files", lambda: {**members(), "headers.ndjson": members()["headers.ndjson"][:-1]}),
    "a receipt for a checkpoint": (
        "checkpoint",
        lambda: signed_again({**members(), "checkpoint": FILES["receipt-0.txt"]}),
    ),
    "a checkpoint of another root": ("checkpoint", lambda: edited("checkpoint", "\n2\n", "\n1\n")),
    "an older checkpoint": (
        "log",
        lambda: signed_again({**members(), "checkpoint": FILES["checkpoint-1.txt"]}),
    ),
    "a header less": ("log", lambda: without_line("headers.ndjson", 1)),
    "a header of 91 bytes": ("log", lambda: edited("headers.ndjson", '"header":"O0+teM', '"header":"teM=')),
    "a header's number": ("log", lambda: edited("headers.ndjson", '"batch_no":1', '"batch_no":2')),
    "a header's number that is true": (
        "log",
        lambda: edited("headers.ndjson", '"batch_no":1', '"batch_no":true'),
    ),
    "an entry less": ("batches", lambda: without_line("entries.ndjson", 1)),
    "an entry less, and told so": ("batches", lambda: without_line("entries.ndjson", 1, events="0 2")),
    "a batch less": ("batches", lambda: without_line("entries.ndjson", 2)),
    "no batches": ("batches", lambda: signed_again(members(), batches="0 0", events="0 0")),
    "batches that are not there": ("batches", lambda: signed_again(members(), batches="0 3")),
    "a position that is true": (
        "batches",
        lambda: edited("entries.ndjson", '"position":1', '"position":true'),
    ),
    "a line with more": (
        "batches",
        lambda: edited("entries.ndjson", '"position":1', '"more":1,"position":1'),
    ),
    "a changed entry": ("batches", lambda: edited("entries.ndjson", "allowed", "refused")),
    "a foreign disclosure": (
        "disclosures",
        lambda: edited("entries.ndjson", '"disclosures":[]', f'"disclosures":["{FOREIGN}"]'),
    ),
    "a disclosure that is none": (
        "disclosures",
        lambda: edited("entries.ndjson", '"disclosures":[]', '"disclosures":["e30"]'),
    ),
    "an empty period": ("period", lambda: signed_again(members(), to="2026-07-01T12:00:00.000Z")),
    "the end is not reached": (
        "period",
        lambda: without_line("entries.ndjson", 2, batches="0 1", events="0 2", to="2026-07-01T12:00:31.000Z"),
    ),
    "an anchor less": ("anchors", lambda: without_line("anchors.ndjson", 1)),
    "an anchor out of form": (
        "anchors",
        lambda: edited("anchors.ndjson", '"block_number":100', '"block_number":-1'),
    ),
    "a contract in other letters": (
        None,
        lambda: edited(
            "anchors.ndjson",
            "0x5FbDB2315678afecb367f032d93F642f64180aa3",
            f"0x{'5FbDB2315678afecb367f032d93F642f64180aa3'.lower()}",
        ),
    ),
    "another contract": ("anchors", lambda: edited("anchors.ndjson", "0x5FbDB", "0x6FbDB")),
    "headers whose last line is not ended": ("log", lambda: unended("headers.ndjson")),
    "entries whose last line is not ended": ("batches", lambda: unended("entries.ndjson")),
    "anchors whose last line is not ended": ("anchors", lambda: unended("anchors.ndjson")),
    "two contracts": ("anchors", lambda: edited("anchors.ndjson", '"chain_id":31337', '"chain_id":1')),
}


def signed_members() -> Members:
    return {**members(), "pushes.ndjson": FILES["signed-pushes.ndjson"], "manifest": FILES["signed-manifest"]}


def pushes_edited(old: str, new: str) -> Members:
    files = signed_members()
    assert old.encode() in files["pushes.ndjson"]
    return signed_again(
        {**files, "pushes.ndjson": files["pushes.ndjson"].replace(old.encode(), new.encode(), 1)}
    )


def pushes_ordered(*numbers: int) -> Members:
    files = signed_members()
    lines = files["pushes.ndjson"].splitlines(keepends=True)
    return signed_again({**files, "pushes.ndjson": b"".join(lines[number] for number in numbers)})


OTHERS = '"others":[{"index":0,"leaf":"'
SIGNED_PACKAGES: dict[str, tuple[str | None, Callable[[], Members]]] = {
    "as it is": (None, signed_members),
    "signed again": (None, lambda: pushes_ordered(0, 1)),
    "a push left out": (None, lambda: pushes_ordered(1)),
    "all pushes left out": (None, lambda: pushes_ordered()),
    "an unsigned package with a member more": (
        "files",
        lambda: {**members(), "pushes.ndjson": FILES["signed-pushes.ndjson"]},
    ),
    "a signed package with a member less": (
        "files",
        lambda: {name: content for name, content in signed_members().items() if name != "pushes.ndjson"},
    ),
    "pushes that were not signed for": ("files", lambda: {**signed_members(), "pushes.ndjson": b""}),
    "pushes out of order": ("pushes", lambda: pushes_ordered(1, 0)),
    "a push twice": ("pushes", lambda: pushes_ordered(0, 0, 1)),
    "another first": ("pushes", lambda: pushes_edited('"first":2', '"first":1')),
    "a first that is outside": ("pushes", lambda: pushes_edited('"first":2', '"first":3')),
    "a first that is true": ("pushes", lambda: pushes_edited('"first":0', '"first":false')),
    "a member more": ("pushes", lambda: pushes_edited('"first":0', '"first":0,"more":1')),
    "another's index": ("pushes", lambda: pushes_edited('"index":0', '"index":1')),
    "an index outside": ("pushes", lambda: pushes_edited('"index":0', '"index":2')),
    "another's leaf": ("pushes", lambda: pushes_edited('"leaf":"A', '"leaf":"B')),
    "nobody's own": (
        "pushes",
        lambda: pushes_edited(OTHERS, f'"others":[{{"index":1,"leaf":"{OTHER}"}},{{"index":0,"leaf":"'),
    ),
    "all are others": (
        "pushes",
        lambda: pushes_edited('"}],', f'"}},{{"index":1,"leaf":"{OTHER}"}}],'),
    ),
    "another log": ("pushes", lambda: pushes_edited("/acme-live", "/other-live")),
    "another party": ("pushes", lambda: pushes_edited("— acme", "— other")),
    "no note": ("pushes", lambda: pushes_edited("\\n\\n", "\\n")),
    "another count": ("pushes", lambda: pushes_edited("count 2", "count 1")),
    "a line that is not ended": (
        "pushes",
        lambda: signed_again(
            {**signed_members(), "pushes.ndjson": FILES["signed-pushes.ndjson"].removesuffix(b"\n")}
        ),
    ),
}


@pytest.mark.parametrize("name", SIGNED_PACKAGES)
@pytest.mark.parametrize("keys", [(), (PARTY_KEY,)], ids=["no key", "the party's key"])
def test_both_name_the_step_at_which_a_changed_signed_package_fails(name: str, keys: tuple[str, ...]) -> None:
    step, make = SIGNED_PACKAGES[name]
    assert verdicts_on_package(zipped(make()), party_keys=keys) == (step, step)


def test_both_hold_a_package_s_signatures_against_the_party_s_key() -> None:
    forged = FORGED.replace("\n", "\\n")
    data = zipped(pushes_edited(SIGNATURE.replace("\n", "\\n"), forged))
    assert verdicts_on_package(data, party_keys=(PARTY_KEY,)) == (None, None), "by a key that nobody gave"
    head = SIGNATURE.partition("\n\n")[0] + "\n"
    lie = sign_note(head, VerifierKey.parse(PARTY_KEY), FORGER.sign).replace("\n", "\\n")
    data = zipped(pushes_edited(SIGNATURE.replace("\n", "\\n"), lie))
    assert verdicts_on_package(data) == (None, None)
    assert verdicts_on_package(data, party_keys=(PARTY_KEY,)) == ("pushes", "pushes")


def verdicts_on_package(
    data: bytes, *, open_end: bool = False, party_keys: tuple[str, ...] = ()
) -> tuple[str | None, str | None]:
    ledgers: str | None = None
    try:
        report = evidence.check_package(
            io.BytesIO(data),
            VerifierKey.parse(KEY),
            party_keys=[VerifierKey.parse(key) for key in party_keys],
        )
        assert report.open_end == open_end
    except MalformedInput:
        ledgers = "form"
    except VerificationError as error:
        ledgers = error.step
    strangers: str | None = None
    try:
        told = verify_package(data, STRANGERS_KEY, party_keys=[Key(key) for key in party_keys])
    except Refused as refused:
        strangers = refused.step
    if ledgers is strangers is None:
        assert (told["signed"], told["held"]) == (report.signed_events, report.held_events)
    return ledgers, strangers


@pytest.mark.parametrize("name", PACKAGES)
def test_both_name_the_step_at_which_a_changed_package_fails(name: str) -> None:
    step, make = PACKAGES[name]
    assert verdicts_on_package(zipped(make()), open_end=name == "an open end") == (step, step)


class Stream(io.BytesIO):
    """As a pipe: what is written to it is described behind."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError

    seek = tell  # type: ignore[assignment]


def streamed() -> bytes:
    out = Stream()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members().items():
            archive.writestr(name, content)
    return out.getvalue()


def directory_of(data: bytes) -> int:
    return int.from_bytes(data[-6:-2], "little")


def inserted(data: bytes, at: int, more: bytes) -> bytes:
    """With `more` in front of the central directory or within it, and the end record telling so."""
    start = directory_of(data) + len(more)
    return data[:at] + more + data[at:-6] + start.to_bytes(4, "little") + data[-2:]


def with_extra(extra: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members().items():
            info = zipfile.ZipInfo(name)
            info.extra = extra
            archive.writestr(info, content)
    return out.getvalue()


WHOLE = zipped(members())
DEFLATED = io.BytesIO()
with zipfile.ZipFile(DEFLATED, "w", zipfile.ZIP_DEFLATED) as written:
    for member, content in members().items():
        with written.open(member, "w", force_zip64=True) as file:
            file.write(content)
DIRECTORY = directory_of(WHOLE)
LAYOUTS: dict[str, tuple[str | None, bytes]] = {
    "deflated, with large sizes": (None, DEFLATED.getvalue()),
    "something in front": ("form", b"PK" + WHOLE),
    "something behind": ("form", WHOLE + b"\0"),
    "a comment": ("form", WHOLE[:-2] + b"\1\0c"),
    "something before the directory": ("form", inserted(WHOLE, DIRECTORY, b"more")),
    "something behind the directory": ("form", WHOLE[:-22] + b"more" + WHOLE[-22:]),
    "described behind": ("form", streamed()),
    "another local name": ("form", WHOLE.replace(b"headers.ndjson", b"Headers.ndjson", 1)),
    "another name in the directory": (
        "form",
        WHOLE[:DIRECTORY] + WHOLE[DIRECTORY:].replace(b"headers.ndjson", b"Headers.ndjson", 1),
    ),
    "encrypted, it says": ("form", WHOLE[:6] + b"\1" + WHOLE[7:]),
    "encrypted, the directory says": ("form", WHOLE[: DIRECTORY + 8] + b"\1" + WHOLE[DIRECTORY + 9 :]),
    "another method": ("form", WHOLE[: DIRECTORY + 10] + b"\x0c" + WHOLE[DIRECTORY + 11 :]),
    "another CRC in the directory": (
        "form",
        WHOLE[: DIRECTORY + 16] + bytes([WHOLE[DIRECTORY + 16] ^ 1]) + WHOLE[DIRECTORY + 17 :],
    ),
    "an extra field": ("form", with_extra(b"\x75\x70\0\0")),
    "another CRC": (
        "files",
        WHOLE.replace(WHOLE[14:18], bytes(4), 1).replace(WHOLE[14:18], bytes(4), 1),
    ),
    "a changed byte of a member": ("files", WHOLE[:60] + bytes([WHOLE[60] ^ 1]) + WHOLE[61:]),
    "a changed byte of the manifest": (
        "form",
        WHOLE[: DIRECTORY - 9] + bytes([WHOLE[DIRECTORY - 9] ^ 1]) + WHOLE[DIRECTORY - 8 :],
    ),
    "cut off": ("form", WHOLE[:-1]),
    "nothing": ("form", b""),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_both_refuse_a_package_laid_out_otherwise(name: str) -> None:
    step, data = LAYOUTS[name]
    assert verdicts_on_package(data) == (step, step)


# --- The chain


@pytest.fixture(scope="module")
def chain() -> Iterator[Any]:
    from support.chains import running_anvil

    with running_anvil() as node:
        yield node


@pytest.fixture(scope="module")
def anchored(chain: Any) -> tuple[str, list[dict[str, Any]]]:
    """The contract's address, and the anchors of the example's batches on a real chain."""
    key = Digest.of(b"somebody's key")
    fund(chain.url, address_of(key), 100)
    deployed = deploy(chain.url, key)
    evm = EvmChain(chain.url, deployed.contract)
    try:
        EvmRegistrar(evm, key).register_log(ORIGIN, address_of(key))
        anchorer, anchors = EvmAnchorer(evm, key), []
        for sealed in ExampleLog().sealed:
            transaction = anchorer.sign_anchor([sealed.header])
            assert anchorer.send(transaction)
            outcome = wait_for(lambda sent=transaction: evm.outcome(sent.hash))
            assert outcome.block_hash is not None
            anchors.append(
                {
                    "chain_id": chain.chain_id,
                    "contract": deployed.contract.address,
                    "tx_hash": transaction.hash.hex0x,
                    "block_number": outcome.block_number,
                    "block_hash": outcome.block_hash.hex0x,
                }
            )
    finally:
        evm.close()
    return deployed.contract.address, anchors


def plain(chain: Any) -> spec_verifier.Ask:
    """JSON-RPC as the specification describes it."""

    def ask(method: str, *parameters: Any) -> Any:
        import urllib.request

        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(chain.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    return ask


def test_the_contract_answers_as_the_specification_shows(chain: Any, anchored: tuple[str, Any]) -> None:
    calls = json.loads(FILES["chain.json"])["calls"]
    for label, shown in calls.items():
        answer = plain(chain)("eth_call", {"to": anchored[0], "data": shown["data"]}, "latest")["result"]
        expected = shown["result"]
        if label.startswith("batchOf"):  # the block's time is the chain's
            answer, expected = answer[:-64], expected[:-64]
        assert answer == expected, label


def test_the_stranger_verifies_on_the_chain(chain: Any, anchored: tuple[str, Any]) -> None:
    contract, anchors = anchored
    ask = plain(chain)
    document = {**PROOF, "anchor": anchors[0]}
    good = json.dumps(document).encode()
    assert verify_proof(good, STRANGERS_KEY, ask=ask, contract=contract)[0] == 1
    assert verify_proof(good, ask=ask, contract=contract, origin=ORIGIN)[0] == 1
    files = members()
    lines = [json.dumps({"batch_no": n, "anchor": anchor}) + "\n" for n, anchor in enumerate(anchors)]
    package = signed_again({**files, "anchors.ndjson": "".join(lines).encode()})
    assert verify_package(zipped(package), STRANGERS_KEY, ask=ask, contract=contract)["events"] == 2

    for named in (None, chain.chain_id):
        again = verify_proof(good, STRANGERS_KEY, ask=ask, contract=contract, chain_id=named)
        assert again[0] == 1

    for wrong in (
        PROOF["anchor"],
        anchors[1],
        {**anchors[0], "chain_id": 1},
        {**anchors[0], "contract": "0x" + "11" * 20},
        {**anchors[0], "block_number": anchors[0]["block_number"] + 1},
        {**anchors[0], "block_hash": anchors[1]["block_hash"]},
    ):
        data = json.dumps({**document, "anchor": wrong}).encode()
        with pytest.raises(Refused, match="chain"):
            verify_proof(data, STRANGERS_KEY, ask=ask, contract=contract)
    later = bytearray(HEADER)
    later[59] ^= 1
    document["batch"] = {**PROOF["batch"], "header": base64.b64encode(later).decode()}
    with pytest.raises(Refused, match="chain"):
        verify_proof(json.dumps(document).encode(), ask=ask, contract=contract, origin=ORIGIN)
    with pytest.raises(Refused, match="chain"):
        verify_package(zipped(members()), STRANGERS_KEY, ask=ask, contract=contract)


def test_the_contract_itself_verifies_an_event(chain: Any, anchored: tuple[str, Any]) -> None:
    found = spec_verifier.leaf(PROOF["entry"].encode())
    path = [base64.b64decode(digest) for digest in PROOF["batch"]["path"]]
    held = spec_verifier.Header(HEADER)
    assert spec_verifier.verify_event(plain(chain), anchored[0], held, found, 1, path)
    assert not spec_verifier.verify_event(plain(chain), anchored[0], held, found, 0, path)


# --- What a node may answer

ANSWERS: dict[str, Any] = json.loads(FILES["chain.json"])
MADE_UP: dict[str, Any] = PROOF["anchor"]
LOG_ID = "3b4fad78c1212305283ed9e4a331aadc6752e1269fa86aa43ac3b95fee6d0503"


def event_log(**members: Any) -> dict[str, Any]:
    shown = ANSWERS["BatchAnchored of batch 0"]
    return {"address": MADE_UP["contract"], "topics": shown["topics"], "data": shown["data"], **members}


def receipt(**members: Any) -> dict[str, Any]:
    return {
        "status": "0x1",
        "blockNumber": "0x64",
        "blockHash": MADE_UP["block_hash"],
        "logs": [event_log()],
        **members,
    }


def fake(**answers: Any) -> spec_verifier.Ask:
    """A node that answers as the example shows, but for these."""
    shown = {call["data"]: call["result"] for call in ANSWERS["calls"].values()}

    def ask(method: str, *parameters: Any) -> Any:
        usual = {
            "eth_chainId": "0x7a69",
            "eth_getCode": "0x60",
            "eth_getTransactionReceipt": receipt(),
            "eth_getBlockByNumber": {"hash": MADE_UP["block_hash"]},
        }
        if method == "eth_call":
            usual[method] = shown[parameters[0]["data"]]
        answer = {**usual, **answers}[method]
        return answer if isinstance(answer, dict) and "error" in answer else {"result": answer}

    return ask


def reverted(data: object) -> dict[str, Any]:
    return {"error": {"code": 3, "message": "execution reverted", "data": data}}


BATCH = ANSWERS["calls"]["batchOf(logId, 0)"]["result"]
UNKNOWN = "0x3d199f11" + LOG_ID
NODES: dict[str, tuple[type[Exception] | None, dict[str, Any]]] = {
    "as it is": (None, {}),
    "in upper case": (None, {"eth_chainId": "0x7A69"}),
    "another chain than the anchor's": (Refused, {"eth_chainId": "0x1"}),
    "a number that is no quantity": (SaysNothing, {"eth_chainId": 31337}),
    "no contract": (SaysNothing, {"eth_getCode": "0x"}),
    "no answer of a contract": (SaysNothing, {"eth_call": "0x"}),
    "an answer too short": (SaysNothing, {"eth_call": BATCH[:-64]}),
    "a leaf count of 33 bits": (SaysNothing, {"eth_call": BATCH[:129] + "0" * 46 + "1" + BATCH[176:]}),
    "another root": (Refused, {"eth_call": "0x" + "1" * 64 + BATCH[66:]}),
    "no such log": (Refused, {"eth_call": reverted(UNKNOWN)}),
    "no such log, a level deeper": (Refused, {"eth_call": reverted({"data": UNKNOWN})}),
    "no such log, as a result": (Refused, {"eth_call": reverted({"result": UNKNOWN})}),
    "no such batch": (Refused, {"eth_call": reverted("0x3cbf4f57" + "0" * 128)}),
    "another log that is not there": (SaysNothing, {"eth_call": reverted("0x3d199f11" + "1" * 64)}),
    "another batch that is not there": (SaysNothing, {"eth_call": reverted("0x3cbf4f57" + "0" * 127 + "1")}),
    "another reason": (SaysNothing, {"eth_call": reverted("0x08c379a0")}),
    "no reason": (SaysNothing, {"eth_call": reverted(None)}),
    "an error": (SaysNothing, {"eth_getTransactionReceipt": {"error": {"code": -32000}}}),
    "no receipt": (Refused, {"eth_getTransactionReceipt": None}),
    "no block": (Refused, {"eth_getBlockByNumber": None}),
    "another block there now": (Refused, {"eth_getBlockByNumber": {"hash": "0x" + "1" * 64}}),
    "a transaction that failed": (Refused, {"eth_getTransactionReceipt": receipt(status="0x0")}),
    "a log that was removed": (
        Refused,
        {"eth_getTransactionReceipt": receipt(logs=[event_log(removed=True)])},
    ),
    "a log of another contract": (
        Refused,
        {"eth_getTransactionReceipt": receipt(logs=[event_log(address="0x" + "11" * 20)])},
    ),
    "a receipt without its logs": (SaysNothing, {"eth_getTransactionReceipt": receipt(logs=None)}),
}


@pytest.mark.parametrize("name", NODES)
def test_only_an_answer_refutes(name: str) -> None:
    outcome, answers = NODES[name]

    def verdict() -> None:
        verify_proof(FILES["proof.json"], STRANGERS_KEY, ask=fake(**answers), contract=MADE_UP["contract"])

    if outcome is None:
        verdict()
    else:
        with pytest.raises(outcome, match="chain:" if outcome is Refused else None):
            verdict()


def test_the_node_is_asked_last() -> None:
    def ask(method: str, *parameters: Any) -> Any:
        raise AssertionError(method)

    changed = json.dumps({**PROOF, "entry": PROOF["entry"].replace("allowed", "refused")}).encode()
    for trusted in ({"key": STRANGERS_KEY}, {"origin": ORIGIN}):
        with pytest.raises(Refused, match="batch"):
            verify_proof(changed, ask=ask, contract=MADE_UP["contract"], **trusted)
    with pytest.raises(Refused, match="chain"):
        verify_proof(FILES["proof.json"], STRANGERS_KEY, ask=ask, contract="0x" + "11" * 20)
    with pytest.raises(Refused, match="chain"):
        verify_proof(FILES["proof.json"], STRANGERS_KEY, ask=ask, contract=MADE_UP["contract"], chain_id=1)


def test_a_node_of_another_chain_than_the_one_named_says_nothing() -> None:
    data, contract = FILES["proof.json"], MADE_UP["contract"]
    assert verify_proof(data, STRANGERS_KEY, ask=fake(), contract=contract, chain_id=31337)[0] == 1
    with pytest.raises(SaysNothing, match="another chain"):
        verify_proof(data, STRANGERS_KEY, ask=fake(eth_chainId="0x1"), contract=contract, chain_id=31337)
