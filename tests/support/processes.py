"""Ledgers in processes of their own, as an operator runs them: `serve` and `worker`, with what they write."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from ledger.bootstrap import initialise, open_ledger
from ledger.note import VerifierKey
from ledger.records import Party, Role, Scope
from ledger.settings import Settings
from ledger.types import PartyId, parse_origin

ORIGIN = parse_origin("ledger.example/acme-live")
ACME = PartyId("acme")
T = TypeVar("T")

FAST = {"SEAL_LEAVES": "50", "SEAL_SECONDS": "0.2", "POLL_SECONDS": "0.05"}
NOTHING: Mapping[str, str] = {}
_LISTENING = re.compile(r"Uvicorn running on http://127\.0\.0\.1:([0-9]+)")


@dataclass(frozen=True)
class Made:
    """A ledger with one log, and an API key for it."""

    settings: Settings
    api_key: str
    key: VerifierKey


def make_ledger(settings: Settings) -> Made:
    initialise(settings)
    settings = Settings.load(data=settings.data)
    with open_ledger(settings) as ledger:
        ledger.store.add_party(Party(ACME, "ACME", Role.PLATFORM, "CN"))
        log = ledger.create_log(ORIGIN, ACME)
        api_key = ledger.create_api_key(ACME, ORIGIN, frozenset(Scope))
    return Made(settings, api_key, VerifierKey.parse(log.verifier_key))


@dataclass(frozen=True)
class Running:
    """A `transfer-ledger` that runs; `output` is the file of what it writes, on both streams."""

    process: subprocess.Popen[bytes]
    output: Path

    def written(self) -> str:
        return self.output.read_text()

    def url(self) -> str:
        """Where it listens, once it does."""

        def listening() -> str | None:
            assert self.process.poll() is None, self.written()
            found = _LISTENING.search(self.written())
            return f"http://127.0.0.1:{found[1]}" if found else None

        return wait_for(listening)

    def ready(self) -> str:
        """Its URL, once it is ready."""
        url = self.url()
        wait_for(lambda: httpx.get(f"{url}/readyz", timeout=30).status_code == 200)
        return url


@contextmanager
def running(
    folder: Path, *words: str, settings: Mapping[str, str] = FAST, environment: Mapping[str, str] = NOTHING
) -> Iterator[Running]:
    """`transfer-ledger` with these words on a data folder; killed at the end, if it still runs."""
    output = folder.with_name(f"{folder.name}-{words[0]}.log")
    given = {f"TRANSFER_LEDGER_{name}": value for name, value in settings.items()}
    command = [str(Path(sys.executable).parent / "transfer-ledger"), "--data", str(folder), *words]
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command, env={**os.environ, **given, **environment}, stdout=file, stderr=file
        ) as process,
    ):
        try:
            yield Running(process, output)
        finally:
            process.kill()


def wait_for(look: Callable[[], T | None], seconds: float = 90) -> T:
    """The first answer that is true."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found
