"""The worked example of docs/spec.md: a tiny log, made by the ledger's own code, the same bytes each time.

    python tests/docs/make_examples.py

writes `tests/vectors/spec/` and fills in the blocks of `docs/spec.md` that stand behind `<!-- example: NAME -->`.
Only what has no meaning of its own is made up: salts, transaction and block hashes, block times.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from web3 import Web3

from ledger import catalogue
from ledger.adapters.evm.abi import language
from ledger.anchor import ContractRef
from ledger.batch import BatchHeader, close_batch
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.disclosure import Disclosure
from ledger.entry import parse_event
from ledger.evidence import build_package
from ledger.merkle import BatchTree, NodeId, append_nodes, leaf_hash, log_consistency, log_root
from ledger.note import VerifierKey
from ledger.proof import proof_document
from ledger.proving import prove
from ledger.push import PushHead, push_document, sign_push
from ledger.receipt import Receipt, sign_receipt
from ledger.records import (
    Anchoring,
    AnchorState,
    Committed,
    Log,
    PushSignature,
    SealedBatch,
    StoredCheckpoint,
)
from ledger.salted import statement_object
from ledger.signer import KeySigner
from ledger.statement import Statement, commit_event, make_entry
from ledger.types import BatchNo, Digest, Origin, PartyId, Position, from_base64url, log_id, parse_time

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "spec"
SPEC = ROOT / "docs" / "spec.md"
BLOCK = re.compile(r"(<!-- example: (\S+) -->\n```[a-z]*\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)

ORIGIN = Origin("ledger.example/acme-live")
PARTY = PartyId("acme")
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
"""The secret key of RFC 8032 §7.1, TEST 1."""
PARTY_SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
"""The secret key of RFC 8032 §7.1, TEST 2."""
CONTRACT = ContractRef(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")

EVENTS: list[dict[str, Any]] = [
    {
        "specversion": "1.0",
        "id": "consent-8fd1",
        "source": "/app/consent",
        "type": "transfer-ledger.consent.v1",
        "subject": "live-2026-07-01-tokyo",
        "time": "2026-07-01T11:58:40Z",
        "phase": "before",
        "data": {
            "record_id": "c-8fd1",
            "pii_principal_id": "Zk3tq0xw9n1VbD7e2cJrMA",
            "choice": "granted",
            "separate": True,
        },
    },
    {
        "specversion": "1.0",
        "id": "access-000017",
        "source": "/s3/ap-northeast-1",
        "type": "transfer-ledger.access.v1",
        "subject": "live-2026-07-01-tokyo",
        "time": "2026-07-01T12:00:00Z",
        "phase": "storage",
        "data": {
            "principal": "role/replay-editor",
            "action": "s3:GetObject",
            "resource": "replays/直播-2026-07-01.mp4",
            "outcome": "allowed",
        },
    },
    {
        "specversion": "1.0",
        "id": "access-000018",
        "source": "/s3/ap-northeast-1",
        "type": "transfer-ledger.access.v1",
        "subject": "live-2026-07-01-tokyo",
        "time": "2026-07-01T14:00:30+02:00",
        "phase": "storage",
        "data": {"principal": "user/guest", "action": "s3:GetObject", "outcome": "refused", "country": "JP"},
    },
]
PUSHES = [("2026-07-01T12:00:01.250Z", EVENTS[:2]), ("2026-07-01T12:00:31.500Z", EVENTS[2:])]
REPEATED = EVENTS[1]
"""What the second signed push has before its own event, salted anew."""
CLOSED = ["2026-07-01T12:00:11.000Z", "2026-07-01T12:00:41.000Z"]
ANCHORED = ["2026-07-01T12:00:12.000Z", "2026-07-01T12:00:42.000Z"]
PERIOD = ("2026-07-01T12:00:00.000Z", "2026-07-01T12:00:30.000Z")
MADE = "2026-07-02T08:00:00.000Z"
INCLUDE_WITHIN = 600_000


def pretty(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


class ExampleLog:
    """The example's log: its signer, and as much of a store as proving and packing ask for.

    With `signed`, its party has signed what it pushed.
    """

    def __init__(self, *, signed: bool = False) -> None:
        self.signed = signed
        self.party = KeySigner(PARTY, Ed25519PrivateKey.from_private_bytes(PARTY_SECRET))
        self.statements: list[Statement] = []
        self.pushed: list[list[Statement]] = []
        self.signatures_kept: list[PushSignature] = []
        private = Ed25519PrivateKey.from_private_bytes(SECRET)
        self.sign = private.sign
        self.key = VerifierKey(ORIGIN, private.public_key().public_bytes_raw())
        self.log = Log(ORIGIN, PARTY, str(self.key), CONTRACT, parse_time(PUSHES[0][0]))
        self.committed: list[Committed] = []
        self.disclosures: list[tuple[Disclosure, ...]] = []
        self.receipts: list[str] = []
        self.sealed: list[SealedBatch] = []
        self.node: dict[NodeId, Digest] = {}
        salts = numbered_salts(b"salt %d")
        for number, (received, values) in enumerate(PUSHES):
            self._push(parse_time(received), values, salts)
            self._seal(number, parse_time(CLOSED[number]) // 1000)

    def _push(self, received: int, values: list[dict[str, Any]], salts: Iterator[bytes]) -> None:
        first = len(self.committed)
        for value in values:
            statement = salted(value, salts)
            event = statement.event
            entry = make_entry(statement, ORIGIN, PARTY, received)
            self.statements.append(statement)
            self.disclosures.append(statement.disclosures)
            self.committed.append(
                Committed(
                    position=Position(len(self.committed)),
                    leaf=leaf_hash(entry),
                    entry=entry,
                    disclosures=tuple(d.text for d in statement.disclosures),
                    key=event.key,
                    type=event.type,
                    phase=event.phase,
                    subject=event.subject,
                    time=event.time,
                    party=PARTY,
                    received=received,
                )
            )
        root = BatchTree([event.leaf for event in self.committed[first:]]).root
        receipt = Receipt(ORIGIN, Position(first), len(values), root, received, received + INCLUDE_WITHIN)
        self.receipts.append(sign_receipt(receipt, self.key, self.sign))
        repeated = [salted(REPEATED, numbered_salts(b"other salt %d"))] if first else []
        self.pushed.append(repeated + self.statements[first:])
        leaves = tuple(leaf_hash(statement.content) for statement in self.pushed[-1])
        note = sign_push(PushHead.over(ORIGIN, leaves), self.party.key, self.party.sign)
        self.signatures_kept.append(PushSignature(Position(first), len(values), note, leaves))

    def _seal(self, number: int, closed_at: int) -> None:
        first = self.sealed[-1].header.end if self.sealed else Position(0)
        leaves = [event.leaf for event in self.committed[first:]]
        header = close_batch(log_id(ORIGIN), BatchNo(number), first, leaves, closed_at)
        for node in append_nodes(number, header.leaf, lambda ids: self.nodes(ORIGIN, ids)):
            self.node[node.level, node.index] = node.hash
        anchoring = Anchoring(
            first=BatchNo(number),
            count=1,
            attempt=0,
            state=AnchorState.FINAL,
            tx_hash=Digest.of(b"transaction %d" % number),
            raw_tx=b"",
            updated=0,
            block_number=100 + number,
            block_hash=Digest.of(b"block %d" % number),
        )
        self.sealed.append(SealedBatch(header, anchoring))

    # As much of a store as `prove` and `build_package` ask for.

    def event(self, origin: Origin, position: Position) -> Committed:
        return self.committed[position]

    def scan(self, origin: Origin, start: Position, stop: Position) -> Iterator[Committed]:
        return iter(self.committed[start:stop])

    def leaves(self, origin: Origin, start: Position, stop: Position) -> list[bytes]:
        return [event.leaf for event in self.committed[start:stop]]

    def batches(self, origin: Origin, start: BatchNo, stop: BatchNo) -> list[SealedBatch]:
        return self.sealed[start:stop]

    def batch_at(self, origin: Origin, position: Position) -> SealedBatch | None:
        return next((s for s in self.sealed if s.header.first_leaf <= position < s.header.end), None)

    def nodes(self, origin: Origin, ids: Sequence[NodeId]) -> list[Digest]:
        return [self.node[id] for id in ids]

    def signature(self, origin: Origin, position: Position) -> PushSignature | None:
        kept = (it for it in self.signatures_kept if it.first <= position < it.first + it.count)
        return next(kept, None) if self.signed else None

    def signatures(self, origin: Origin, start: Position, stop: Position) -> Iterator[PushSignature]:
        return iter(self.signatures_kept if self.signed else ())

    def read(self, ids: Sequence[NodeId]) -> list[Digest]:
        return self.nodes(ORIGIN, ids)

    def checkpoint(self, origin: Origin, size: int = len(PUSHES)) -> StoredCheckpoint:
        head = Checkpoint(origin, size, log_root(size, self.read))
        return StoredCheckpoint(size, sign_checkpoint(head, self.key, self.sign))


def numbered_salts(text: bytes) -> Iterator[bytes]:
    return (Digest.of(text % n)[:16] for n in range(100))


def salted(value: dict[str, Any], salts: Iterator[bytes]) -> Statement:
    event = parse_event(value)
    return commit_event(event, catalogue.check_event(event).visible, lambda: next(salts))


def build() -> dict[str, bytes]:
    """Every example file by its name."""
    example = ExampleLog()
    first = example.checkpoint(ORIGIN, 1)
    consistency = {"old": 1, "new": 2, "path": [d.base64 for d in log_consistency(1, 2, example.read)]}
    proof = prove(example, example.log, Position(1), ["action", "resource"])  # type: ignore[arg-type]
    members = {f"evidence-{name}": content for name, content in _package(example).items()}
    return {
        **_signed(),
        "key.txt": _key(example).encode(),
        "log.vkey": f"{example.key}\n".encode(),
        **{f"event-{n}.json": pretty(event) for n, event in enumerate(EVENTS)},
        "disclosures.txt": _disclosures(example).encode(),
        **{f"entry-{n}.json": event.entry for n, event in enumerate(example.committed)},
        "trees.txt": _trees(example).encode(),
        "checkpoint-1.txt": first.note.encode(),
        "checkpoint-2.txt": example.checkpoint(ORIGIN).note.encode(),
        "consistency.json": pretty(consistency),
        **{f"receipt-{n}.txt": note.encode() for n, note in enumerate(example.receipts)},
        "proof.json": pretty(proof_document(proof)),
        "chain.json": pretty(_chain(example)),
        **members,
    }


def _signed() -> dict[str, bytes]:
    """The files of the same log, had its party signed what it pushed."""
    example = ExampleLog(signed=True)
    proof = prove(example, example.log, Position(1), ["action", "resource"])  # type: ignore[arg-type]
    first, second = example.signatures_kept
    push = push_document(first.note, [statement_object(it) for it in example.pushed[0]])
    members = _package(example)
    return {
        "party-key.txt": _party_key(example).encode(),
        "party.vkey": f"{example.party.key}\n".encode(),
        "statement-1.json": example.statements[1].content,
        "push-0.json": pretty(push),
        "signature-0.txt": first.note.encode(),
        "signature-1.txt": second.note.encode(),
        "statements.txt": _statements(example).encode(),
        "proof-signed.json": pretty(proof_document(proof)),
        "signed-pushes.ndjson": members["pushes.ndjson"],
        "signed-manifest": members["manifest"],
    }


def _package(example: ExampleLog) -> dict[str, bytes]:
    """The members of an evidence package, by name."""
    out = io.BytesIO()
    since, until = map(parse_time, PERIOD)
    build_package(example, example.log, example, since, until, parse_time(MADE), out)  # type: ignore[arg-type]
    with zipfile.ZipFile(out) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packages(files: dict[str, bytes]) -> dict[str, bytes]:
    """The evidence packages of these example files, unsigned and signed."""
    shared = ("headers.ndjson", "entries.ndjson", "anchors.ndjson", "checkpoint")
    unsigned = {name: files[f"evidence-{name}"] for name in (*shared, "manifest")}
    changed = {name: files[f"signed-{name}"] for name in ("pushes.ndjson", "manifest")}
    return {"evidence.zip": package(unsigned), "evidence-signed.zip": package({**unsigned, **changed})}


def package(members: dict[str, bytes]) -> bytes:
    """These members in a ZIP file, stored: what deflate makes of them differs between versions."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def _key(example: ExampleLog) -> str:
    return (
        f"secret key    {SECRET.hex()}\n"
        f"public key    {example.key.public_key.hex()}\n"
        f"key id        {example.key.key_id.hex()}\n"
        f"verifier key  {example.key}\n"
        f"logId         {log_id(ORIGIN).hex()}\n"
    )


def _party_key(example: ExampleLog) -> str:
    return (
        f"secret key    {PARTY_SECRET.hex()}\n"
        f"public key    {example.party.key.public_key.hex()}\n"
        f"key id        {example.party.key.key_id.hex()}\n"
        f"verifier key  {example.party.key}\n"
    )


def _statements(example: ExampleLog) -> str:
    lines = []
    for number, kept in enumerate(example.signatures_kept):
        lines += [f"push {number}, leaf {index}  {leaf.hex()}" for index, leaf in enumerate(kept.leaves)]
        lines.append(f"push {number}, root    {PushHead.over(ORIGIN, kept.leaves).root.hex()}")
    return "\n".join(lines) + "\n"


def _disclosures(example: ExampleLog) -> str:
    lines = []
    for disclosure in example.disclosures[1]:
        lines += [
            f"array   {from_base64url(disclosure.text).decode()}",
            f"text    {disclosure.text}",
            f"digest  {disclosure.digest}",
            "",
        ]
    return "\n".join(lines[:-1]) + "\n"


def _trees(example: ExampleLog) -> str:
    lines = [f"leaf {event.position}          {event.leaf.hex()}" for event in example.committed]
    for sealed in example.sealed:
        header = sealed.header
        lines += [
            f"root of batch {header.batch_no} {header.root.hex()}",
            f"header {header.batch_no}        {bytes(header).hex()}",
            f"its leaf        {header.leaf.hex()}",
        ]
    lines += [f"root of size {size}  {log_root(size, example.read).hex()}" for size in (1, 2)]
    return "\n".join(lines) + "\n"


def _chain(example: ExampleLog) -> dict[str, Any]:
    words, encode = language(), Web3().codec.encode
    name, leaves = log_id(ORIGIN), [event.leaf for event in example.committed]
    calls = {
        "sizeOf(logId)": (words.call("sizeOf", name), encode(["uint64", "uint64"], [2, 3])),
        "rootOf(logId)": (words.call("rootOf", name), bytes(log_root(2, example.read))),
    }
    for number, sealed in enumerate(example.sealed):
        header = sealed.header
        calls[f"batchOf(logId, {number})"] = (
            words.call("batchOf", name, number),
            encode(["bytes32", "uint64", "uint32", "uint64", "uint64"], _batch(header, number)),
        )
    arguments = (name, 0, leaves[1], 1, [leaves[0]])
    calls["verifyEvent(logId, 0, leaf 1, 1, [leaf 0])"] = (
        words.call("verifyEvent", *arguments),
        encode(["bool"], [True]),
    )
    return {
        "calls": {
            label: {"data": data, "result": "0x" + result.hex()} for label, (data, result) in calls.items()
        },
        "BatchAnchored of batch 0": {
            "topics": words.topics(name, 0),
            "data": "0x" + encode(["uint64", "uint32", "uint64", "bytes32"], _anchored(example)).hex(),
        },
    }


def _batch(header: BatchHeader, number: int) -> list[Any]:
    anchored_at = parse_time(ANCHORED[number]) // 1000
    return [bytes(header.root), header.first_leaf, header.leaf_count, header.closed_at, anchored_at]


def _anchored(example: ExampleLog) -> list[Any]:
    header = example.sealed[0].header
    return [header.first_leaf, header.leaf_count, header.closed_at, bytes(header.root)]


def fill(spec: str, files: dict[str, bytes]) -> str:
    """The specification with the example blocks' contents replaced."""

    def block(match: re.Match[str]) -> str:
        content = files[match[2]].decode()
        return match[1] + content + ("" if content.endswith("\n") else "\n") + match[4]

    return BLOCK.sub(block, spec)


def main() -> None:
    files = build()
    VECTORS.mkdir(parents=True, exist_ok=True)
    for name, content in {**files, **packages(files)}.items():
        (VECTORS / name).write_bytes(content)
    if SPEC.exists():
        SPEC.write_text(fill(SPEC.read_text(), files))


if __name__ == "__main__":
    main()
