"""Receipts: the ledger's signed promise, given at push, that these entries will be in a batch by a time.

A signed note over seven lines::

    transfer-ledger/receipt/v1
    ledger.example/acme-live
    first 120
    count 3
    root qg2I1s5EnkBdEkxMRVqKBOCoHpJ4+iWlXvqYkYIPbRE=
    received 2026-11-23T16:00:02.123Z
    include-by 2026-11-23T16:10:02.123Z

`root` is the RFC 6962 root over the leaf hashes of the push's entries, which have positions `first` to
`first + count − 1`. The first line is no origin (it has no dot), so a receipt cannot be taken for a checkpoint though
the same key signs both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from ledger.errors import MalformedInput, SignatureRefuted
from ledger.note import VerifierKey, open_note, sign_note
from ledger.types import Digest, Origin, Position, format_time, parse_origin, parse_time

HEADLINE = "transfer-ledger/receipt/v1"

_FORM = re.compile(
    HEADLINE + r"\n([^\n]+)\nfirst (0|[1-9][0-9]{0,17})\ncount ([1-9][0-9]{0,9})\nroot ([^\n]+)\n"
    r"received ([^\n]+)\ninclude-by ([^\n]+)\n"
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The promise for one push. Times are Unix milliseconds."""

    origin: Origin
    first: Position
    count: int
    root: Digest
    received: int
    include_by: int

    def __str__(self) -> str:
        return (
            f"{HEADLINE}\n{self.origin}\nfirst {self.first}\ncount {self.count}\nroot {self.root.base64}\n"
            f"received {format_time(self.received)}\ninclude-by {format_time(self.include_by)}\n"
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a receipt strictly."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise MalformedInput("not a receipt", expected=f"{HEADLINE} and six lines", got=repr(text[:80]))
        origin, first, count, root, received, include_by = match.groups()
        return cls(
            parse_origin(origin),
            Position(int(first)),
            int(count),
            Digest.from_base64(root),
            parse_time(received),
            parse_time(include_by),
        )


def sign_receipt(receipt: Receipt, key: VerifierKey, sign: Callable[[bytes], bytes]) -> str:
    """The signed note of `receipt`."""
    return sign_note(str(receipt), key, sign)


def open_receipt(note: str, key: VerifierKey) -> Receipt:
    """The receipt in a note that `key` signed, of the log that `key` is named for."""
    receipt = Receipt.parse(open_note(note, key))
    if receipt.origin != key.name:
        raise SignatureRefuted(
            "a receipt of another log", step="signature", expected=key.name, got=receipt.origin
        )
    return receipt
