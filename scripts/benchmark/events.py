"""Events to push, as bytes: those of `ledger.scenario`, each time under ids that no ledger has seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from ledger.scenario import scenario

START = 1_767_225_600_000
"""2026-01-01T00:00:00Z; the made-up year ends 365 days later."""
END = START + 365 * 86_400_000

SEED = 1


class Events:
    """`count` events, and the same again for each number that `fresh` is given."""

    def __init__(self, count: int) -> None:
        values = list(scenario(SEED, count, START, END))
        self._run = str(values[0]["id"]).partition("-")[0].encode()
        self._lines = [spell(value) for value in values]

    def fresh(self, number: int) -> list[bytes]:
        """JSON objects without white space. All ids differ from those of every other number."""
        run = hashlib.sha256(b"%d" % number).hexdigest()[: len(self._run)].encode()
        return [line.replace(self._run, run) for line in self._lines]


def spell(value: object) -> bytes:
    """JSON without white space, the raw bytes that sizes are told in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def batches(lines: Sequence[bytes], size: int) -> list[bytes]:
    """JSON arrays of `size` events each."""
    return [b"[" + b",".join(lines[at : at + size]) + b"]" for at in range(0, len(lines), size)]
