"""Checkpoints: the signed head of a log (C2SP tlog-checkpoint in a C2SP signed-note).

::

    ledger.example/acme-live                        origin, which is also the name of the log's key
    3                                               number of batches, decimal, no leading zeros
    qg2I1s5EnkBdEkxMRVqKBOCoHpJ4+iWlXvqYkYIPbRE=    root of the log tree, base64

    — ledger.example/acme-live <base64>

The ledger signs one for a size only once the contract holds that size and that root (I6). Lines after the root are
extensions; the ledger writes none, and a reader ignores them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from ledger.errors import MalformedInput, SignatureRefuted
from ledger.note import VerifierKey, open_note, sign_note
from ledger.types import Digest, Origin, parse_origin

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: `size` batches under `root`."""

    origin: Origin
    size: int
    root: Digest

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{self.root.base64}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a checkpoint, strictly in its three lines."""
        lines = text.split("\n")
        if (
            len(lines) < 4
            or lines[-1]
            or any(not line for line in lines[:-1])
            or not _SIZE.fullmatch(lines[1])
        ):
            raise MalformedInput(
                "not a checkpoint", expected="origin, size and root, one a line", got=repr(text[:120])
            )
        return cls(parse_origin(lines[0]), int(lines[1]), Digest.from_base64(lines[2]))


def sign_checkpoint(checkpoint: Checkpoint, key: VerifierKey, sign: Callable[[bytes], bytes]) -> str:
    """The signed note of `checkpoint`."""
    return sign_note(str(checkpoint), key, sign)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a note that `key` signed, of the log that `key` is named for.

    Raises:
        MalformedInput: not a checkpoint.
        SignatureRefuted: not signed by `key`, or of another log.
    """
    checkpoint = Checkpoint.parse(open_note(note, key))
    if checkpoint.origin != key.name:
        raise SignatureRefuted(
            "a checkpoint of another log", step="signature", expected=key.name, got=checkpoint.origin
        )
    return checkpoint
