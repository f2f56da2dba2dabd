"""The file of what was set aside: NDJSON, each record once, also when the import is killed and goes on.

    {"where":"access.log:61","reason":"not a line of this log_format","raw":"rubbish"}

It is written before the marks that stand after it are saved. What an import that was killed in between wrote already
stands after the size that was saved last, and is not written again; a line that it did not finish is finished.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ledger.collect.base import SetAside
from ledger.errors import MalformedInput


class AsideFile:
    """The file at `path`, made when it is needed. `size` is what it had when marks were last saved, None for none.

    Raises `MalformedInput` where it cannot be read or written.
    """

    def __init__(self, path: Path, size: int | None) -> None:
        self._path = path
        self._written: Counter[bytes] = Counter()
        self._torn = b""
        self.size = 0
        """Bytes that it has."""
        try:
            if path.exists():
                self._read_after(size)
        except OSError as error:
            raise self._failure(error) from None

    def _read_after(self, size: int | None) -> None:
        with self._path.open("rb") as file:
            self.size = file.seek(0, os.SEEK_END)
            file.seek(max(0, self.size - 1) if size is None else min(size, self.size))
            *lines, self._torn = file.read().split(b"\n")
        self._written.update(lines)

    def put(self, outcomes: Iterable[SetAside]) -> None:
        """Write these records, durably, but for those that are there already."""
        fresh = [line for outcome in outcomes if not self._is_written(line := _line(outcome))]
        if not fresh:
            return
        before = b"\n" if self._torn else b""
        if self._torn and fresh[0].startswith(self._torn):
            before, fresh[0] = b"", fresh[0][len(self._torn) :]
        try:
            with self._path.open("ab") as file:
                file.write(before + b"".join(line + b"\n" for line in fresh))
                file.flush()
                os.fsync(file.fileno())
                self.size = file.tell()
        except OSError as error:
            raise self._failure(error) from None
        self._torn = b""

    def _is_written(self, line: bytes) -> bool:
        if self._written[line] == 0:
            return False
        self._written[line] -= 1
        return True

    def _failure(self, error: OSError) -> MalformedInput:
        return MalformedInput(
            f"{self._path} cannot take what is set aside",
            got=error.strerror,
            advice="Name another with --set-aside.",
        )


def _line(outcome: SetAside) -> bytes:
    line = {
        "where": outcome.where,
        "reason": outcome.reason,
        "raw": outcome.raw.decode("utf-8", "backslashreplace"),
    }
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace")
