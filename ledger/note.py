"""Signed notes (C2SP signed-note): a text, a blank line, signatures.

::

    ledger.example/acme-live
    3
    qg2I1s5EnkBdEkxMRVqKBOCoHpJ4+iWlXvqYkYIPbRE=

    — ledger.example/acme-live wXyzAb…base64(key id (4 bytes) ‖ Ed25519 signature (64 bytes))…=

The signature is over the text, its last newline included. A key is known by name and key id: the first four bytes of
SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key), where 0x01 says Ed25519. A verifier key is written
`name+8 hex digits of the key id+base64(0x01 ‖ public key)`.

Signatures by keys that the reader does not know are ignored: that is how witnesses add theirs. A signature that claims
a known key and does not verify makes the whole note invalid.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.errors import MalformedInput, SignatureRefuted
from ledger.types import Digest, from_base64, to_base64

_SMALL_ORDER = frozenset(
    bytes.fromhex(y)
    for y in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""Encodings of Ed25519's points of small order, less their sign bit: under such a key a signature fits any text."""

MAX_BYTES = 1_000_000
MAX_SIGNATURES = 100

_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 public key (32 bytes) under a name without white space or plus signs."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.public_key) != 32:
            raise MalformedInput("not a verifier key", expected="a name without spaces or plus, and 32 bytes")
        if self.public_key[:31] + bytes([self.public_key[31] & 0x7F]) in _SMALL_ORDER:
            raise MalformedInput(
                "a verifier key of small order", expected="a key that one signature cannot fit all"
            )

    @property
    def key_id(self) -> bytes:
        """Four bytes that name the key beside its name."""
        return Digest.of(self.name.encode() + b"\n" + _ED25519 + self.public_key)[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(_ED25519 + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name+keyid+base64` strictly; the key id must be the one that name and key give."""
        parts = text.strip().split("+", 2)
        key = from_base64(parts[2]) if len(parts) == 3 else b""
        if len(key) != 33 or key[:1] != _ED25519:
            raise MalformedInput(
                "not a verifier key",
                expected="<name>+<8 hex digits>+<base64 of 0x01 and 32 bytes>",
                got=repr(text[:120]),
            )
        verifier = cls(parts[0], key[1:])
        if verifier.key_id.hex() != parts[1]:
            raise MalformedInput(
                "a verifier key with a wrong key id", expected=verifier.key_id.hex(), got=parts[1][:20]
            )
        return verifier

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's over `message` (RFC 8032 §5.1.7)."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: whose, and the bytes (64 for Ed25519)."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text, ending in a newline, and its signatures, in order."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        lines = [f"— {s.name} {to_base64(s.key_id + s.signature)}\n" for s in self.signatures]
        return self.text + "\n" + "".join(lines)


def sign_note(text: str, key: VerifierKey, sign: Callable[[bytes], bytes]) -> str:
    """The note of `text`, signed. `sign` answers the 64-byte Ed25519 signature by the key pair of `key`."""
    _check_text(text)
    return str(Note(text, (Signature(key.name, key.key_id, sign(text.encode())),)))


def parse_note(note: str) -> Note:
    """Read a note strictly, without looking at who signed.

    Raises:
        MalformedInput: unless printing the note gives the same text again.
    """
    if len(note) > MAX_BYTES:
        raise MalformedInput(
            "a note that is too long", expected=f"at most {MAX_BYTES} characters", got=len(note)
        )
    text, blank, tail = note.rpartition("\n\n")
    text += "\n"
    if not blank or not tail.endswith("\n"):
        raise MalformedInput("not a signed note", expected="text, a blank line, signature lines")
    _check_text(note)
    lines = tail.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedInput("too many signatures", expected=f"at most {MAX_SIGNATURES}", got=len(lines))
    parsed = Note(text, tuple(map(_parse_signature, lines)))
    if str(parsed) != note:
        raise MalformedInput("not a signed note", expected="one spelling of each line")
    return parsed


def open_note(note: str, key: VerifierKey) -> str:
    """The text of a note that `key` has signed.

    Raises:
        MalformedInput: not a signed note.
        SignatureRefuted: no signature by `key`, or one that does not verify.
    """
    parsed = parse_note(note)
    mine = [s for s in parsed.signatures if (s.name, s.key_id) == (key.name, key.key_id)]
    if not mine:
        raise SignatureRefuted(
            "no signature by the trusted key",
            step="signature",
            expected=f"{key.name} {key.key_id.hex()}",
            got=", ".join(f"{s.name[:80]} {s.key_id.hex()}" for s in parsed.signatures[:5]),
        )
    message = parsed.text.encode()
    if not all(key.verifies(message, s.signature) for s in mine):
        raise SignatureRefuted(
            "a signature that does not verify", step="signature", expected=f"a signature by {key.name}"
        )
    return parsed.text


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise MalformedInput("not the text of a note", expected="lines of printable characters, each ended")


def _parse_signature(line: str) -> Signature:
    match = _SIGNATURE.fullmatch(line)
    data = from_base64(match[2]) if match else b""
    if match is None or len(data) < 5:
        raise MalformedInput("not a signature line", expected="— <name> <base64>", got=repr(line[:120]))
    return Signature(match[1], data[:4], data[4:])
