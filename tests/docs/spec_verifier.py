"""A verifier written from docs/spec.md alone: with SHA-256, JSON, deflate and Ed25519, and no code of the ledger's.

The numbers in its headings are the specification's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
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
    "anchors", "batch", "batches", "checkpoint", "consistency", "events", "evidence", "otlp", "tile",
}  # fmt: skip
RESERVED = {"_sd", "_sd_alg", "..."}
BATCH_ANCHORED = "0xade7d1dc46e9f1d49d632029733d0ca5273250e21b24e262dea0f7721c76b64a"
FILES = ["headers.ndjson", "entries.ndjson", "anchors.ndjson", "checkpoint"]
SIGNED_FILES = ["headers.ndjson", "entries.ndjson", "pushes.ndjson", "anchors.ndjson", "checkpoint"]

SMALL_ORDER = [
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
]

Ask = Callable[..., Any]
"""Asks a node: method and parameters; answers the JSON-RPC answer, with its `result` or `error`."""


class Refused(Exception):
    def __init__(self, step: str, why: str = "") -> None:
        super().__init__(f"{step}: {why}")
        self.step = step


class OutOfForm(Exception):
    pass


class SaysNothing(Exception):
    """No answer of the node's, or none in its form: neither verified nor refuted."""


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


def canonical(value: Any) -> str:
    """RFC 8785."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


def number(value: float) -> str:
    """As ECMAScript writes it; Python finds the same digits."""
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{Decimal(repr(abs(value))).normalize():e}".lower().partition("e")
    digits, point = mantissa.replace(".", ""), int(exponent) + 1
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


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
    must(canonical(entry) == text, "not canonical")
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
        datetime.fromisoformat(event["time"]).astimezone(UTC)
    except (ValueError, OverflowError):
        raise OutOfForm("time") from None
    return dict(entry)


def check_disclosures(texts: list[Any], entry: dict[str, Any]) -> None:
    left, names = set(entry["data"]["_sd"]), set(entry["data"])
    for name, digest in map(read_disclosure, texts):
        must(digest in left and name not in names, name)
        left.remove(digest)
        names.add(name)


def statement_of(text: str, entry: dict[str, Any]) -> bytes:
    """5.1."""
    log, party, received = entry["log"], entry["party"], entry["received"]
    end = f',"log":"{log}","party":"{party}","received":"{received}","v":1}}'
    must(text.endswith(end), "another end")
    return (text[: -len(end)] + ',"v":1}').encode()


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
        must(max(self.batch_no, self.first + self.count) <= 2**53 - 1, "a number out of range")
        must(self.closed <= 253402300799, "after the year 9999")


# --- 8, 9, 10. Notes, checkpoints, receipts


NAME = r"[^\s+]+"  # in Python, white space is what the specification calls so


class Key:
    def __init__(self, text: str) -> None:
        parts = text.strip().split("+", 2)
        must(len(parts) == 3)
        self.name, self.key_id, key = parts
        must(re.fullmatch(NAME, self.name) and not re.search("[\x00-\x1f\ud800-\udfff]", self.name), "name")
        data = from_base64(key, 33)
        must(data[0] == 1)
        must(data[1:32] + bytes([data[32] & 0x7F]) not in SMALL_ORDER, "small order")
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
        match = re.fullmatch(rf"— ({NAME}) (\S+)", line)
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


PUSH = re.compile("transfer-ledger/push/v1\n(.+)\ncount ([1-9][0-9]{0,9})\nroot (.+)\n")


def read_push(note: str, origin: str, party: str | None, keys: list[Key]) -> tuple[int, bytes, Key | None]:
    """10.3: count and root of what the party has signed for this log, and which of the keys it is held against."""
    text, signatures = split_note(note)
    must(len(signatures) == 1, "one signature")
    [(name, signature)] = signatures
    match = PUSH.fullmatch(text)
    must(match)
    assert match is not None
    count, root = int(match[2]), from_base64(match[3], 32)
    must(read_origin(match[1]) == origin or party is None, "another log")
    must(party in (None, name), "another party")
    held = None
    for key in keys:
        if key.name == name and key.key_id == signature[:4].hex():
            open_note(note, key)
            held = key
    return count, root, held


def verify_push(document: bytes, key: Key, origin: str) -> int:
    """The number of statements in what a party sends, if it has signed them for this log."""
    with at("push"):
        note, statements = exactly(read_json(document.decode()), signature=str, statements=list)
        count, root, held = read_push(note, origin, key.name, [key])
        salts, leaves = set(), []
        for value in statements:
            event, visible, texts = exactly(value, event=dict, visible=dict, disclosures=list)
            for text in texts:
                spelled = from_base64url(text).decode()
                array = read_json(spelled)
                must(len(array) == 3 and canonical(array) == spelled, "not canonical")
                salt = from_base64url(array[0])
                must(len(salt) == 16 and salt not in salts, "a salt")
                salts.add(salt)
            digests = sorted(read_disclosure(text)[1] for text in texts)
            data = {**visible, "_sd": digests, "_sd_alg": "sha-256"}
            leaves.append(leaf(canonical({"v": 1, "event": event, "data": data}).encode()))
        must(held and (count, root) == (len(leaves), root_of(leaves)))
    return count


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
    chain_id: int | None = None,
    origin: str = "",
    party_keys: list[Key] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Position and entry. With a key, a node and a contract's address, or both; and the chain id, if known.

    With keys of the party, only what one of them has signed.
    """
    assert key or ask
    origin = key.name if key else origin
    with at("form"):
        must(len(document) <= 4 * 2**20)
        value = read_json(document.decode())
        signed = type(value) is dict and value.get("format") == "transfer-ledger/proof/v2"
        form, entry_text, shown, batch, log, note, anchor_value, _, *push = exactly(
            value,
            format=str,
            entry=str,
            disclosures=list,
            batch=dict,
            log=dict,
            checkpoint=str,
            anchor=dict,
            unauthenticated=dict,
            **({"push": dict} if signed else {}),
        )
        must(signed or form == "transfer-ledger/proof/v1")
        encoded, index, path = exactly(batch, header=str, index=int, path=list)
        header, path = Header(from_base64(encoded)), [from_base64(p, 32) for p in path]
        log_index, log_path = exactly(log, index=int, path=list)
        log_path = [from_base64(p, 32) for p in log_path]
        read_checkpoint(split_note(note)[0])
        anchor = read_anchor(anchor_value)
        for text in shown:
            read_disclosure(text)
        push_note, push_index, push_path = "", 0, []
        if push:
            push_note, push_index, push_path = exactly(push[0], signature=str, index=int, path=list)
            push_path = [from_base64(p, 32) for p in push_path]
            read_push(push_note, origin, None, [])
    size, root = 0, b""
    if key:
        with at("signature"):
            size, root = open_checkpoint(note, key)
    with at("header"):
        must(header.log_id == sha256(origin.encode()) and header.batch_no == log_index)
        must(header.first >= header.batch_no if header.batch_no else header.first == 0, "leaves before it")
    if key:
        with at("log"):
            check_inclusion(leaf(header.data), log_index, size, root, log_path)
    with at("batch"):
        check_inclusion(leaf(entry_text.encode()), index, header.count, header.root, path)
    with at("entry"):
        entry = read_entry(entry_text, origin)
    with at("disclosures"):
        check_disclosures(shown, entry)
    with at("push"):
        held = None
        if push:
            count, root, held = read_push(push_note, origin, entry["party"], party_keys or [])
            statement = leaf(statement_of(entry_text, entry))
            check_inclusion(statement, push_index, count, root, push_path)
        must(held or not party_keys, "not signed by the party's key")
    if ask:
        with at("chain"):
            check_contract(ask, contract, chain_id, anchor)
            check_header(ask, contract, header)
            check_anchor(ask, header, anchor)
    return header.first + index, entry


# --- 12. The chain


UNKNOWN_LOG, UNKNOWN_BATCH = bytes.fromhex("3d199f11"), bytes.fromhex("3cbf4f57")


@contextmanager
def answer() -> Iterator[None]:
    """An answer that is not in its form says nothing."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise SaysNothing(str(error)) from None


def quantity(value: str) -> int:
    if not re.fullmatch("0x[0-9a-fA-F]+", value):
        raise ValueError(value)
    return int(value, 16)


def octets(value: str, size: int | None = None) -> bytes:
    if not re.fullmatch("0x([0-9a-fA-F]{2})*", value) or size not in (None, len(value) // 2 - 1):
        raise ValueError(value)
    return bytes.fromhex(value[2:])


def result(ask: Ask, method: str, *parameters: Any) -> Any:
    with answer():
        return ask(method, *parameters)["result"]


def call(ask: Ask, contract: str, selector: str, arguments: bytes, *sizes: int) -> list[int]:
    """The words of an answer, each of so many bytes at most."""
    data = bytes.fromhex(selector) + arguments
    with answer():
        got = ask("eth_call", {"to": contract, "data": "0x" + data.hex()}, "latest")
        if "error" in got:
            must(not denies(got["error"], arguments), "not in the contract")
            raise SaysNothing(str(got["error"]))
        raw = octets(got["result"], 32 * len(sizes))
        words = [int.from_bytes(raw[at : at + 32]) for at in range(0, len(raw), 32)]
        if any(word >> 8 * size for word, size in zip(words, sizes, strict=True)):
            raise ValueError("out of range")
    return words


def denies(error: dict[str, Any], arguments: bytes) -> bool:
    """Whether a revert says that the log or batch asked for is not there."""
    data = error.get("data")
    if isinstance(data, dict):
        data = data.get("data", data.get("result"))
    try:
        raw = octets(data) if isinstance(data, str) else b""
    except ValueError:
        return False
    if raw == UNKNOWN_LOG + arguments[:32]:
        return True
    return len(raw) == 68 and len(arguments) >= 64 and raw[:4] + raw[36:] == UNKNOWN_BATCH + arguments[32:64]


def word(number: int) -> bytes:
    return number.to_bytes(32)


def size_of(ask: Ask, contract: str, log_id: bytes) -> list[int]:
    return call(ask, contract, "fd970bfb", log_id, 8, 8)


def root_held(ask: Ask, contract: str, log_id: bytes) -> bytes:
    return call(ask, contract, "6d6f398e", log_id, 32)[0].to_bytes(32)


def check_header(ask: Ask, contract: str, header: Header) -> None:
    held = call(ask, contract, "6f74911f", header.log_id + word(header.batch_no), 32, 8, 4, 8, 8)
    mine = [int.from_bytes(header.root), header.first, header.count, header.closed]
    must(held[:4] == mine, "the contract holds another batch")


def verify_event(
    ask: Ask, contract: str, header: Header, found: bytes, index: int, path: list[bytes]
) -> bool:
    head = header.log_id + word(header.batch_no) + found + word(index) + word(0xA0) + word(len(path))
    return call(ask, contract, "763fb625", head + b"".join(path), 1) == [1]


Anchor = tuple[int, str, str, int, str]


def check_contract(ask: Ask, contract: str, chain_id: int | None, anchor: Anchor) -> None:
    must(anchor[1] == contract.lower() and chain_id in (None, anchor[0]), "another contract")
    with answer():
        chain = quantity(result(ask, "eth_chainId"))
        if chain_id not in (None, chain):
            raise SaysNothing("another chain")
        must(anchor[0] == chain, "another chain")
        if not octets(result(ask, "eth_getCode", contract, "latest")):
            raise SaysNothing("no contract")


def check_anchor(ask: Ask, header: Header, anchor: Anchor) -> None:
    _, address, tx_hash, number, block = anchor
    topics = [bytes.fromhex(BATCH_ANCHORED[2:]), header.log_id, word(header.batch_no)]
    with answer():
        receipt = result(ask, "eth_getTransactionReceipt", tx_hash)
        must(receipt is not None and receipt["blockHash"] is not None, "no such transaction")
        must(quantity(receipt["status"]) == 1, "a transaction that failed")
        must(quantity(receipt["blockNumber"]) == number, "another block")
        must(octets(receipt["blockHash"], 32) == octets(block), "another block")
        now = result(ask, "eth_getBlockByNumber", hex(number), False)
        must(now is not None and octets(now["hash"], 32) == octets(block), "not in the chain")
        logs = [
            [octets(topic, 32) for topic in log["topics"]]
            for log in receipt["logs"]
            if log["address"].lower() == address and not log.get("removed", False)
        ]
        must(topics in logs, "it anchored something else")


# --- 13. Evidence packages

N = "(0|[1-9][0-9]{0,17})"
MANIFESTS = [
    re.compile(
        f"transfer-ledger/evidence/v{version}\n(.+)\nfrom (.+)\nto (.+)\nbatches {N} {N}\nevents {N} {N}\nmade (.+)\n"
        + "".join(f"file {re.escape(name)} {N} (.+)\n" for name in files)
    )
    for version, files in ((1, FILES), (2, SIGNED_FILES))
]


def lines_of(data: bytes, **members: type) -> Iterator[list[Any]]:
    text = data.decode()
    must(text.endswith("\n") or not text, "a line that is not ended")
    for line in text.removesuffix("\n").split("\n") if text else ():
        must(len(line.encode()) < 16 * 2**20, "a long line")
        yield exactly(read_json(line), **members)


class Member:
    """A member of a ZIP file: found by the central directory, and by nothing else."""

    def __init__(self, package: bytes, record: tuple[Any, ...], name: bytes, extra: bytes) -> None:
        flags, self.method, self.crc, packed, size, self.start = record
        numbers = iter(zip64_numbers(extra, [size, packed, self.start].count(0xFFFFFFFF)))
        self.size = next(numbers) if size == 0xFFFFFFFF else size
        packed = next(numbers) if packed == 0xFFFFFFFF else packed
        self.start = next(numbers) if self.start == 0xFFFFFFFF else self.start
        must(not flags & 0b1001 and self.method in (0, 8), "encrypted, described behind, or another method")
        local = package[self.start : self.start + 30]
        must(len(local) == 30 and local[:4] == b"PK\x03\x04", "no local header")
        flags, method, _, crc, *sizes, name_size, extra_size = struct.unpack_from("<HHIIIIHH", local, 6)
        must(not flags & ~0x0806, "encrypted, or described behind")
        data = self.start + 30 + name_size + extra_size
        extra = package[self.start + 30 + name_size : data]
        if sizes == [0xFFFFFFFF] * 2:
            must(len(extra) == 20 and extra[:4] == b"\1\0\x10\0")
            sizes = list(struct.unpack("<QQ", extra[4:]))[::-1]
        else:
            must(not extra, "an extra field")
        must(
            (method, crc, sizes) == (self.method, self.crc, [packed, self.size]), "not as the directory says"
        )
        must(package[self.start + 30 :][:name_size] == name, "another name")
        self.end = data + packed
        self.packed = package[data : self.end]
        self.name = name.decode("ascii")

    def unpack(self, limit: int) -> bytes:
        data = self.packed
        if self.method == 8:
            inflate = zlib.decompressobj(-15)
            try:
                data = inflate.decompress(data, limit + 1)
            except zlib.error as error:
                raise OutOfForm(str(error)) from None
            must(inflate.eof and not inflate.unused_data, "more than its size, or cut off")
        must(len(data) == self.size and zlib.crc32(data) == self.crc, "damaged")
        return data


def zip64_numbers(extra: bytes, count: int) -> list[int]:
    while count and len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == 1:
            must(8 * count <= size <= len(extra) - 4)
            return list(struct.unpack_from(f"<{count}Q", extra, 4))
        extra = extra[4 + size :]
    must(not count)
    return []


def read_zip(package: bytes) -> dict[str, Member]:
    """13.1: the layout is strict, so that there is nothing to look for."""
    must(len(package) >= 22 and package[-22:-18] == b"PK\x05\x06", "no end record")
    disk, first, here, count, size, start, comment = struct.unpack("<HHHHIIH", package[-18:])
    must(disk == first == comment == 0 and here == count)
    end = len(package) - 22
    if count == 0xFFFF or 0xFFFFFFFF in (size, start):
        must(package[end - 20 : end - 16] == b"PK\x06\x07" and package[end - 76 : end - 72] == b"PK\x06\x06")
        here, count, size, start = struct.unpack_from("<QQQQ", package, end - 76 + 24)
        end -= 76
    must(count in (5, 6) and start + size == end, "another number of members, or something in between")
    members, place = [], start
    for _ in range(count):
        record = package[place : place + 46]
        must(len(record) == 46 and record[:4] == b"PK\x01\x02")
        flags, method, _, crc, packed, unpacked, named, extra, comment = struct.unpack_from(
            "<HHIIIIHHH", record, 8
        )
        (offset,) = struct.unpack_from("<I", record, 42)
        name = package[place + 46 :][:named]
        more = package[place + 46 + named :][:extra]
        members.append(Member(package, (flags, method, crc, packed, unpacked, offset), name, more))
        place += 46 + named + extra + comment
    must(place == end)
    at = 0
    for member in sorted(members, key=lambda member: member.start):
        must(member.start == at, "a gap")
        at = member.end
    must(at == start, "a gap")
    names = sorted(member.name for member in members)
    must(names in (sorted([*FILES, "manifest"]), sorted([*SIGNED_FILES, "manifest"])))
    return {member.name: member for member in members}


def verify_package(
    package: bytes,
    key: Key,
    *,
    ask: Ask | None = None,
    contract: str = "",
    chain_id: int | None = None,
    party_keys: list[Key] | None = None,
) -> dict[str, Any]:
    """What the package was shown to hold."""
    with at("form"):
        members = read_zip(package)
        manifest_note = members["manifest"].unpack(1_000_000).decode()
        split_note(manifest_note)
    with at("signature"):
        text = open_note(manifest_note, key)
        match = MANIFESTS[0].fullmatch(text) or MANIFESTS[1].fullmatch(text)
        must(match)
        assert match is not None
        origin, since, until = read_origin(match[1]), read_time(match[2]), read_time(match[3])
        must(origin == key.name)
        first_batch, batches, first, events = (int(match[n]) for n in (4, 5, 6, 7))
        read_time(match[8])
        files = SIGNED_FILES if match.re is MANIFESTS[1] else FILES
        digests = [from_base64(match[10 + 2 * n], 32) for n in range(len(files))]
    with at("files"):
        data = {}
        must(set(members) == {*files, "manifest"})
        for n, name in enumerate(files):
            data[name] = members[name].unpack(int(match[9 + 2 * n]))
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
    with at("pushes"):
        texts = {line[0]: line[1] for line in lines}
        pushes = data.get("pushes.ndjson", b"")
        signed = check_pushes(pushes, origin, first, texts, entries, party_keys or [])
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
            check_contract(ask, contract, chain_id, anchors[0])
            log_id = sha256(origin.encode())
            held = size_of(ask, contract, log_id)
            must(held[0] >= size)
            if held[0] == size:
                there = root_held(ask, contract, log_id)
                must(there == root or size_of(ask, contract, log_id) != held, "another root")
            for header in headers:
                check_header(ask, contract, header)
            for header, anchor in zip(inside, anchors, strict=True):
                check_anchor(ask, header, anchor)
    inside_period = {first + n for n, time in enumerate(times) if since <= time < until}
    return {
        "events": len(inside_period),
        "open": times[-1] < until,
        "signed": len(inside_period & set(signed)),
        "held": len({n for n in inside_period & set(signed) if signed[n]}),
    }


def check_pushes(
    data: bytes,
    origin: str,
    start: int,
    texts: dict[int, str],
    entries: list[dict[str, Any]],
    keys: list[Key],
) -> dict[int, bool]:
    """13.6: the positions that are signed, and whether that was held against a key."""
    signed: dict[int, bool] = {}
    for first, note, others in lines_of(data, first=int, signature=str, others=list):
        must(start <= first < start + len(entries) and not [n for n in signed if n >= first], "order")
        party = entries[first - start]["party"]
        count, root, held = read_push(note, origin, party, keys)
        leaves: list[bytes | None] = [None] * count
        before = -1
        for index, other in (exactly(other, index=int, leaf=str) for other in others):
            must(before < index < count, "an index")
            leaves[index], before = from_base64(other, 32), index
        must(len(others) < count, "covers nothing")
        position = first
        for index in range(count):
            if leaves[index] is None:
                must(position in texts, "an entry that is not there")
                entry = entries[position - start]
                must(entry["party"] == party, "another party")
                leaves[index] = leaf(statement_of(texts[position], entry))
                signed[position] = held is not None
                position += 1
        must(root_of([found for found in leaves if found]) == root, "another root")
    return signed


def read_headers(data: bytes, origin: str) -> list[Header]:
    headers: list[Header] = []
    for batch_no, encoded in lines_of(data, batch_no=int, header=str):
        header = Header(from_base64(encoded))
        end = headers[-1].first + headers[-1].count if headers else 0
        expected = (sha256(origin.encode()), len(headers), end)
        must((header.log_id, header.batch_no, header.first) == expected and batch_no == len(headers))
        headers.append(header)
    return headers
