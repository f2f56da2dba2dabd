"""A verifier written from docs/spec.md alone: with SHA-256, JSON, ZIP and Ed25519, and no code of the ledger's.

The numbers in its headings are the specification's.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
ORIGIN = re.compile(rf"(?:{LABEL}\.)+{LABEL}(?::[1-9][0-9]{{0,4}})?(?:/[a-z0-9][a-z0-9._~-]*)+")
PARTY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
ID = r"[A-Za-z0-9][A-Za-z0-9:._~+=/-]{0,127}"
URI = r"[A-Za-z0-9/][A-Za-z0-9:._~/-]{0,254}"
EVENT_TIME = r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
REQUIRED = {
    "specversion": r"1\.0",
    "id": ID,
    "source": URI,
    "type": r"[a-z0-9][a-z0-9.-]{0,127}",
    "subject": ID,
    "time": EVENT_TIME,
    "phase": "before|transit|storage",
}
ATTRIBUTES = {
    **REQUIRED,
    "datacontenttype": "application/json",
    "dataschema": URI,
    "traceparent": r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
}
RESERVED_SEGMENTS = {
    "anchors", "batch", "batches", "checkpoint", "consistency", "events", "evidence", "tile",
}  # fmt: skip
RESERVED = {"_sd", "_sd_alg", "..."}
BATCH_ANCHORED = "0xade7d1dc46e9f1d49d632029733d0ca5273250e21b24e262dea0f7721c76b64a"
FILES = ["headers.ndjson", "entries.ndjson", "anchors.ndjson", "checkpoint"]

Ask = Callable[..., Any]
"""Asks a node: method and parameters; answers the result, or None where a call reverts."""


class Refused(Exception):
    def __init__(self, step: str, why: str = "") -> None:
        super().__init__(f"{step}: {why}")
        self.step = step


class OutOfForm(Exception):
    pass


def must(condition: object, why: str = "") -> None:
    if not condition:
        raise OutOfForm(why)


@contextmanager
def at(step: str) -> Iterator[None]:
    """What is out of form inside fails this step."""
    try:
        yield
    except (OutOfForm, UnicodeError) as error:
        raise Refused(step, str(error)) from error


# --- 2. JSON and texts


def read_json(text: str) -> Any:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        must(len(dict(pairs)) == len(pairs), "a name twice")
        return dict(pairs)

    def refuse(text: str) -> None:
        raise OutOfForm(text)

    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise OutOfForm(str(error)) from None
    check_json(value, 0)
    return value


def check_json(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        must(depth < 64, "too deep")
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            check_json(item, depth + 1)
    elif isinstance(value, str):
        must(not re.search("[\ud800-\udfff]", value), "a lone surrogate")
    elif isinstance(value, int | float):
        must(abs(value) <= 2**53 - 1 or (isinstance(value, float) and 1e21 <= abs(value) < float("inf")))


def exactly(value: Any, **members: type) -> list[Any]:
    must(type(value) is dict and set(value) == set(members), "other members")
    for name, kind in members.items():
        must(type(value[name]) is kind, name)
    return [value[name] for name in members]


def from_base64(text: Any, size: int | None = None) -> bytes:
    must(isinstance(text, str))
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise OutOfForm("not base64") from None
    must(base64.b64encode(data).decode() == text and size in (None, len(data)), "another spelling")
    return data


def from_base64url(text: Any) -> bytes:
    must(isinstance(text, str) and re.fullmatch("[A-Za-z0-9_-]*", text))
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise OutOfForm("not base64url") from None
    must(base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text, "another spelling")
    return data


def read_time(text: str) -> str:
    must(TIME.fullmatch(text))
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise OutOfForm(text) from None
    return text  # in this form, times are in order if their texts are


def read_origin(text: str) -> str:
    must(len(text) <= 255 and ORIGIN.fullmatch(text) and not RESERVED_SEGMENTS & set(text.split("/")[1:]))
    return text


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# --- 4, 5. Disclosures and entries


def read_disclosure(text: Any) -> tuple[str, str]:
    """Name and digest."""
    array = read_json(from_base64url(text).decode())
    must(type(array) is list and len(array) == 3)
    salt, name, _ = array
    must(isinstance(salt, str) and re.fullmatch("[A-Za-z0-9_-]{22,}", salt))
    must(isinstance(name, str) and name not in RESERVED)
    return name, base64.urlsafe_b64encode(sha256(text.encode())).rstrip(b"=").decode()


def read_entry(text: str, origin: str) -> dict[str, Any]:
    entry = read_json(text)
    data, event, log, party, received, v = exactly(
        entry, data=dict, event=dict, log=str, party=str, received=str, v=int
    )
    must(v == 1 and log == origin and PARTY.fullmatch(party))
    read_time(received)
    must(type(data.get("_sd")) is list and data.get("_sd_alg") == "sha-256" and "..." not in data)
    for digest in data["_sd"]:
        must(len(from_base64url(digest)) == 32)
    must(data["_sd"] == sorted(set(data["_sd"])))
    must(set(REQUIRED) <= set(event) <= set(ATTRIBUTES))
    for name, value in event.items():
        must(isinstance(value, str) and re.fullmatch(ATTRIBUTES[name], value, re.ASCII), name)
    try:
        datetime.fromisoformat(event["time"])
    except ValueError:
        raise OutOfForm("time") from None
    return dict(entry)


def check_disclosures(texts: list[Any], entry: dict[str, Any]) -> None:
    left, names = set(entry["data"]["_sd"]), set(entry["data"])
    for name, digest in map(read_disclosure, texts):
        must(digest in left and name not in names, name)
        left.remove(digest)
        names.add(name)


# --- 6, 7. Trees and headers


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data)


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def root_of(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(root_of(leaves[:split]), root_of(leaves[split:]))


def check_inclusion(found: bytes, index: int, size: int, root: bytes, path: list[bytes]) -> None:
    must(0 <= index < size, "index")
    fn, sn, r = index, size - 1, found
    for p in path:
        must(sn != 0, "too long")
        if fn % 2 or fn == sn:
            r = node(p, r)
            while fn % 2 == 0 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    must(sn == 0 and r == root, "another root")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes]) -> None:
    with at("consistency"):
        must(0 <= old <= new)
        must(new or new_root == sha256(b""))
        if old == new:
            must(not path and old_root == new_root)
            return
        if old == 0:
            must(not path and old_root == sha256(b""))
            return
        path = [old_root, *path] if old & (old - 1) == 0 else path
        must(path)
        fn, sn = old - 1, new - 1
        while fn % 2:
            fn, sn = fn >> 1, sn >> 1
        fr = sr = path[0]
        for p in path[1:]:
            must(sn)
            if fn % 2 or fn == sn:
                fr, sr = node(p, fr), node(p, sr)
                while fn % 2 == 0 and fn:
                    fn, sn = fn >> 1, sn >> 1
            else:
                sr = node(sr, p)
            fn, sn = fn >> 1, sn >> 1
        must(sn == 0 and fr == old_root and sr == new_root)


class Header:
    def __init__(self, data: bytes) -> None:
        must(len(data) == 92, "92 bytes")
        self.data = data
        fields = struct.unpack(">32sQQIQ32s", data)
        self.log_id, self.batch_no, self.first, self.count, self.closed, self.root = fields
        must(self.count > 0, "no leaves")
        must(max(self.batch_no, self.first + self.count, self.closed) <= 2**53 - 1, "a number out of range")


# --- 8, 9, 10. Notes, checkpoints, receipts


class Key:
    def __init__(self, text: str) -> None:
        self.name, self.key_id, key = text.split("+", 2)
        data = from_base64(key, 33)
        must(data[0] == 1)
        must(sha256(self.name.encode() + b"\n" + data)[:4].hex() == self.key_id, "key id")
        self.public = Ed25519PublicKey.from_public_bytes(data[1:])

    def signed(self, text: str, signature: bytes) -> bool:
        try:
            self.public.verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    must(len(note) <= 1_000_000 and note.endswith("\n") and "\n\n" in note)
    must(not re.search("[\x00-\x09\x0b-\x1f\ud800-\udfff]", note))
    text, _, tail = note[:-1].rpartition("\n\n")
    signatures = []
    for line in tail.split("\n"):
        match = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
        must(match)
        assert match is not None
        signatures.append((match[1], from_base64(match[2])))
        must(len(signatures[-1][1]) >= 5)
    return text + "\n", signatures


def open_note(note: str, key: Key) -> str:
    text, signatures = split_note(note)
    mine = [s for name, s in signatures if name == key.name and s[:4].hex() == key.key_id]
    must(mine, "not signed by this key")
    must(all(len(s) == 68 and key.signed(text, s[4:]) for s in mine), "a wrong signature")
    return text


def read_checkpoint(text: str) -> tuple[str, int, bytes]:
    lines = text.split("\n")
    must(len(lines) >= 4 and lines[-1] == "" and all(lines[:-1]))
    must(re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]))
    return read_origin(lines[0]), int(lines[1]), from_base64(lines[2], 32)


def open_checkpoint(note: str, key: Key) -> tuple[int, bytes]:
    origin, size, root = read_checkpoint(open_note(note, key))
    must(origin == key.name, "another log")
    return size, root


RECEIPT = re.compile(
    "transfer-ledger/receipt/v1\n(.+)\nfirst (0|[1-9][0-9]{0,17})\ncount ([1-9][0-9]{0,9})\nroot (.+)\n"
    "received (.+)\ninclude-by (.+)\n"
)


def verify_receipt(note: str, key: Key, entries: list[str]) -> int:
    """The first position of these entries, if the receipt is theirs."""
    with at("signature"):
        match = RECEIPT.fullmatch(open_note(note, key))
        must(match)
        assert match is not None
        must(read_origin(match[1]) == key.name)
        root = from_base64(match[4], 32)
        read_time(match[5]), read_time(match[6])
        must(int(match[3]) == len(entries) and root_of([leaf(e.encode()) for e in entries]) == root)
        must(all(read_entry(e, key.name)["received"] == match[5] for e in entries))
    return int(match[2])


# --- 11. Proofs


def read_anchor(value: Any) -> tuple[int, str, str, int, str]:
    chain_id, contract, tx_hash, number, block = exactly(
        value, chain_id=int, contract=str, tx_hash=str, block_number=int, block_hash=str
    )
    must(chain_id >= 0 and number >= 0 and re.fullmatch("0x[0-9a-fA-F]{40}", contract))
    must(all(re.fullmatch("0x[0-9a-f]{64}", value) for value in (tx_hash, block)))
    return chain_id, contract.lower(), tx_hash, number, block


def verify_proof(
    document: bytes,
    key: Key | None = None,
    *,
    ask: Ask | None = None,
    contract: str = "",
    origin: str = "",
) -> tuple[int, dict[str, Any]]:
    """Position and entry. With a key, a node and a contract's address, or both."""
    assert key or ask
    origin = key.name if key else origin
    with at("form"):
        must(len(document) <= 4 * 2**20)
        form, entry_text, shown, batch, log, note, anchor_value, _ = exactly(
            read_json(document.decode()),
            format=str,
            entry=str,
            disclosures=list,
            batch=dict,
            log=dict,
            checkpoint=str,
            anchor=dict,
            unauthenticated=dict,
        )
        must(form == "transfer-ledger/proof/v1")
        encoded, index, path = exactly(batch, header=str, index=int, path=list)
        header, path = Header(from_base64(encoded)), [from_base64(p, 32) for p in path]
        log_index, log_path = exactly(log, index=int, path=list)
        log_path = [from_base64(p, 32) for p in log_path]
        read_checkpoint(split_note(note)[0])
        anchor = read_anchor(anchor_value)
        for text in shown:
            read_disclosure(text)
    size, root = 0, b""
    if key:
        with at("signature"):
            size, root = open_checkpoint(note, key)
    with at("header"):
        must(header.log_id == sha256(origin.encode()) and header.batch_no == log_index)
    if key:
        with at("log"):
            check_inclusion(leaf(header.data), log_index, size, root, log_path)
    if ask:
        with at("chain"):
            check_header(ask, contract, header)
            check_anchor(ask, contract, header, anchor)
    with at("batch"):
        check_inclusion(leaf(entry_text.encode()), index, header.count, header.root, path)
    with at("entry"):
        entry = read_entry(entry_text, origin)
    with at("disclosures"):
        check_disclosures(shown, entry)
    return header.first + index, entry


# --- 12. The chain


def call(ask: Ask, contract: str, data: bytes) -> list[int]:
    answer = ask("eth_call", {"to": contract, "data": "0x" + data.hex()}, "latest")
    must(answer is not None, "reverted")
    raw = bytes.fromhex(answer[2:])
    return [int.from_bytes(raw[at : at + 32]) for at in range(0, len(raw), 32)]


def word(number: int) -> bytes:
    return number.to_bytes(32)


def size_of(ask: Ask, contract: str, log_id: bytes) -> list[int]:
    return call(ask, contract, bytes.fromhex("fd970bfb") + log_id)


def check_header(ask: Ask, contract: str, header: Header) -> None:
    data = bytes.fromhex("6f74911f") + header.log_id + word(header.batch_no)
    held = call(ask, contract, data)
    mine = [int.from_bytes(header.root), header.first, header.count, header.closed]
    must(held[:4] == mine, "the contract holds another batch")


def verify_event(
    ask: Ask, contract: str, header: Header, found: bytes, index: int, path: list[bytes]
) -> bool:
    head = header.log_id + word(header.batch_no) + found + word(index) + word(0xA0) + word(len(path))
    return call(ask, contract, bytes.fromhex("763fb625") + head + b"".join(path)) == [1]


def check_anchor(ask: Ask, contract: str, header: Header, anchor: tuple[int, str, str, int, str]) -> None:
    chain_id, address, tx_hash, number, block = anchor
    must(address == contract.lower() and chain_id == int(ask("eth_chainId"), 16), "another contract")
    receipt = ask("eth_getTransactionReceipt", tx_hash)
    must(receipt and int(receipt["status"], 16) == 1, "no such transaction")
    must(int(receipt["blockNumber"], 16) == number and receipt["blockHash"] == block, "another block")
    must(ask("eth_getBlockByNumber", hex(number), False)["hash"] == block, "not in the chain")
    topics = [BATCH_ANCHORED, "0x" + header.log_id.hex(), "0x" + word(header.batch_no).hex()]
    logs = [log for log in receipt["logs"] if log["address"].lower() == address]
    must(any(log["topics"] == topics for log in logs), "it anchored something else")


# --- 13. Evidence packages

N = "(0|[1-9][0-9]{0,17})"
MANIFEST = re.compile(
    f"transfer-ledger/evidence/v1\n(.+)\nfrom (.+)\nto (.+)\nbatches {N} {N}\nevents {N} {N}\nmade (.+)\n"
    + "".join(f"file {re.escape(name)} {N} (.+)\n" for name in FILES)
)


def lines_of(data: bytes, **members: type) -> Iterator[list[Any]]:
    for line in data.decode().removesuffix("\n").split("\n"):
        yield exactly(read_json(line), **members)


def verify_package(package: bytes, key: Key, *, ask: Ask | None = None, contract: str = "") -> dict[str, Any]:
    """What the package was shown to hold."""
    with at("form"):
        try:
            with zipfile.ZipFile(io.BytesIO(package)) as archive:
                infos = archive.infolist()
                must(sorted(i.filename for i in infos) == sorted([*FILES, "manifest"]))
                must(all(i.compress_type in (0, 8) for i in infos))
                data = {
                    i.filename: archive.read(i) for i in infos
                }  # all at once: a test's packages are small
        except (zipfile.BadZipFile, ValueError, RuntimeError) as error:
            raise OutOfForm(str(error)) from None
        manifest_note = data["manifest"].decode()
        split_note(manifest_note)
    with at("signature"):
        match = MANIFEST.fullmatch(open_note(manifest_note, key))
        must(match)
        assert match is not None
        origin, since, until = read_origin(match[1]), read_time(match[2]), read_time(match[3])
        must(origin == key.name)
        first_batch, batches, first, events = (int(match[n]) for n in (4, 5, 6, 7))
        read_time(match[8])
        digests = [from_base64(match[10 + 2 * n], 32) for n in range(4)]
    with at("files"):
        for n, name in enumerate(FILES):
            must(len(data[name]) == int(match[9 + 2 * n]) and sha256(data[name]) == digests[n], name)
    with at("checkpoint"):
        size, root = open_checkpoint(data["checkpoint"].decode(), key)
    with at("log"):
        headers = read_headers(data["headers.ndjson"], origin)
        must((len(headers), root_of([leaf(h.data) for h in headers])) == (size, root))
    inside = headers[first_batch : first_batch + batches]
    with at("batches"):
        must(inside and len(inside) == batches)
        must((inside[0].first, sum(h.count for h in inside)) == (first, events))
        lines = list(lines_of(data["entries.ndjson"], position=int, entry=str, disclosures=list))
        must([line[0] for line in lines] == list(range(first, first + events)))
        for header in inside:
            of = lines[header.first - first : header.first - first + header.count]
            must(root_of([leaf(entry.encode()) for _, entry, _ in of]) == header.root)
    with at("entries"):
        entries = [read_entry(line[1], origin) for line in lines]
        times = [entry["received"] for entry in entries]
        must(times == sorted(times))
    with at("disclosures"):
        for line, entry in zip(lines, entries, strict=True):
            check_disclosures(line[2], entry)
    with at("period"):
        must(since < until)
        must(times[0] < since or first_batch == 0)
        must(times[-1] >= until or inside[-1] is headers[-1])
    with at("anchors"):
        found = list(lines_of(data["anchors.ndjson"], batch_no=int, anchor=dict))
        must([line[0] for line in found] == list(range(first_batch, first_batch + batches)))
        anchors = [read_anchor(line[1]) for line in found]
        must(len({anchor[:2] for anchor in anchors}) == 1)
    if ask:
        with at("chain"):
            held = size_of(ask, contract, sha256(origin.encode()))
            must(held[0] >= size)
            for header in headers:
                check_header(ask, contract, header)
            for header, anchor in zip(inside, anchors, strict=True):
                check_anchor(ask, contract, header, anchor)
    return {"events": sum(since <= t < until for t in times), "open": times[-1] < until}


def read_headers(data: bytes, origin: str) -> list[Header]:
    headers: list[Header] = []
    for batch_no, encoded in lines_of(data, batch_no=int, header=str):
        header = Header(from_base64(encoded))
        end = headers[-1].first + headers[-1].count if headers else 0
        expected = (sha256(origin.encode()), len(headers), end)
        must((header.log_id, header.batch_no, header.first) == expected and batch_no == len(headers))
        headers.append(header)
    return headers
