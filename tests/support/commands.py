"""The command line in tests: commands as their users run them, and data folders to run them on."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.chains import DevelopmentChain
from support.logs import logging_put_back

from ledger.adapters.anvil import fund
from ledger.adapters.evm import address_of
from ledger.adapters.keys import EvmKeyFile
from ledger.cli import main

ORIGIN = "ledger.example/acme-live"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def assert_refused(self, code: int, *words: str) -> None:
        assert self.code == code, (self.code, self.out, self.err)
        assert "Traceback" not in self.err + self.out
        assert "error" in self.err.lower() or "REFUTED" in self.out
        for word in words:
            assert word in self.err + self.out, (word, self.err, self.out)


def run(*words: str | Path, stdin: bytes = b"") -> Ran:
    """The command `transfer-ledger` with these arguments, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before = sys.argv, sys.stdin, os.environ.get("COLUMNS")
    sys.argv, sys.stdin = ["transfer-ledger", *map(str, words)], io.TextIOWrapper(io.BytesIO(stdin))
    os.environ["COLUMNS"] = "200"
    code: Any = 0
    try:
        with logging_put_back(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv, sys.stdin = before[:2]
        os.environ.pop("COLUMNS")
        if before[2] is not None:
            os.environ["COLUMNS"] = before[2]
    return Ran(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Folder:
    """An initialised data folder on the session's chain."""

    path: Path
    key: Path
    contract: str
    node: DevelopmentChain

    def run(self, *words: str | Path, stdin: bytes = b"") -> Ran:
        return run("--data", self.path, *words, stdin=stdin)

    @property
    def chain(self) -> tuple[str, ...]:
        return ("--rpc", self.node.url, "--contract", self.contract)


def ndjson(values: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def initialised(path: Path, node: DevelopmentChain) -> Folder:
    path.mkdir(mode=0o700)
    for name in ("operator", "registrar"):
        fund(node.url, address_of(EvmKeyFile(path / "keys" / f"{name}.key").load_or_create()), 100)
    made = run("--data", path, "init", "--rpc", node.url)
    assert made.code == 0, made.err
    contract = made.out.split("contract ")[1].split()[0]
    assert (
        run(
            "--data", path, "party", "add", "acme", "--name", "ACME", "--role", "platform", "--country", "CN"
        ).code
        == 0
    )
    created = run("--data", path, "log", "create", ORIGIN, "--party", "acme")
    assert created.code == 0, created.err
    key = path / "log.vkey"
    key.write_text(created.out)
    return Folder(path, key, contract, node)
