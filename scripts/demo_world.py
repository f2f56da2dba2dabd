"""What the steps of the demo share: who has which folder, the commands as each party types them, what was counted.

Each party has a folder of its own, with what that party holds::

    .demo/ledger       the operator's data folder: database, keys, managed chain
    .demo/platform     API key, events, the receipts that it was given
    .demo/auditor      API key, trust roots (the log's verifier key, the contract), proofs
    .demo/certifier    API key, evidence packages
    .demo/attacks      what attackers made
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from demo_show import Command, DemoStopped, Ran, Show

from ledger.bootstrap import open_chain
from ledger.note import VerifierKey
from ledger.ports import Chain
from ledger.settings import PREFIX
from ledger.types import Origin

ORIGIN = Origin("ledger.example/acme-live")
LOG = f"/v1/logs/{ORIGIN}"
PATIENCE = 60.0
_FOLDERS = ("ledger", "platform", "auditor", "certifier", "attacks")


@dataclass(slots=True)
class Totals:
    """What the summary tells."""

    events: int = 0
    transfers: int = 0
    batches: int = 0
    transactions: int = 0
    findings: int = 0
    proofs: int = 0
    alterations: int = 0
    evidence: int = 0
    attacks: list[str] = field(default_factory=list)


class World:
    """One demo: its folder, its parties, its service at `url`."""

    def __init__(self, show: Show, folder: Path, url: str) -> None:
        self.show = show
        self.url = url
        self.totals = Totals()
        self.data, self.platform, self.auditor, self.certifier, self.attacks = (
            folder / name for name in _FOLDERS
        )
        self.service_log = folder / "service.log"
        self.key_file = self.auditor / "acme-live.vkey"
        self.contract_file = self.auditor / "contract"
        shutil.rmtree(self.attacks, ignore_errors=True)
        for path in (self.platform, self.auditor, self.certifier, self.attacks):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.chain: dict[str, Any] = {}
        """The ledger's node and contract, as its operator names them: `rpc`, `chain_id`, `contract`."""

    # --- commands ------------------------------------------------------------------------------------------------

    def operator(self, *words: str | Path | int) -> Command:
        """A command of the operator, on the data folder."""
        return Command(("--data", self.data, *words))

    def with_api_key(self, who: str, *words: str | Path | int) -> Command:
        """A command of somebody who has an API key, and nothing else of the ledger's."""
        return Command(words, secrets={f"{PREFIX}API_KEY": self.api_key_file(who)})

    def verifier(self, *words: str | Path | int, exit: int = 0, chain: bool = True) -> Command:
        """A command of a verifier, with the verifier's own trust roots: none comes out of what is verified."""
        roots = ("--rpc", self.chain["rpc"], "--contract", self.contract()) if chain else ()
        return Command((*words, "--key", self.key_file, *roots), exit=exit)

    def must(self, command: Command, *, lines: int = 4) -> Ran:
        """Run a command without which nothing further can be shown."""
        return self.must_all([command], lines=lines)[0]

    def must_all(self, commands: Sequence[Command], *, lines: int = 4) -> list[Ran]:
        """Run such commands, two at a time."""
        results = self.show.run_all(commands, lines=lines)
        for ran in results:
            if ran.exit != ran.command.exit:
                raise DemoStopped(f"`{ran.command.line()}` failed")
        return results

    # --- what the parties hold -----------------------------------------------------------------------------------

    def api_key_file(self, who: str) -> Path:
        return {"platform": self.platform, "auditor": self.auditor, "certifier": self.certifier}[
            who
        ] / "api.key"

    def api_key(self, who: str) -> str:
        return self.api_key_file(who).read_text().strip()

    def key(self) -> VerifierKey:
        """The log's key as the auditor has it."""
        return VerifierKey.parse(self.key_file.read_text())

    def contract(self) -> str:
        """The contract's address as the auditor has it."""
        return self.contract_file.read_text().strip()

    # --- what runs -----------------------------------------------------------------------------------------------

    def http(self, who: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.api_key(who)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def log(self, http: httpx.Client) -> dict[str, Any]:
        """The log as the API tells of it: `size`, `batches` and more."""
        answer: dict[str, Any] = http.get(LOG).raise_for_status().json()
        return answer

    @contextmanager
    def trusted_chain(self) -> Iterator[Chain]:
        """The contract that the auditor trusts, through a node."""
        with open_chain(self.chain["rpc"], self.contract(), self.chain["chain_id"]) as opened:
            yield opened

    # --- what is found out ---------------------------------------------------------------------------------------

    def caught(self, held: bool, what: str, words: str) -> None:
        """An attack, whether it was caught, and the tool's own words."""
        if self.show.expect(held, f"{'caught' if held else 'NOT CAUGHT'}: {what}"):
            self.totals.attacks.append(what)
        self.show.quote(words)

    def refuted(self, ran: Ran, what: str, step: str) -> None:
        """An attack that a verifier must refute at `step`."""
        self.caught(ran.exit == 1 and ran.reason.startswith(f"[{step}] "), what, ran.reason)


def forget(folder: Path) -> None:
    """Remove what earlier runs left, and nothing else that may be there."""
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


def day(offset: int) -> str:
    """Midnight UTC, so many days from today, in RFC 3339."""
    return f"{datetime.now(UTC).date() + timedelta(days=offset)}T00:00:00Z"


def wait_until(reached: Callable[[], bool], what: str) -> None:
    """Look every twentieth of a second. Raises DemoStopped if that does not help."""
    end = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > end:
            raise DemoStopped(f"not so after {PATIENCE:.0f} s: {what}")
        time.sleep(0.05)
