"""The examples of docs/client.md are run, in their order, against a ledger that is served."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ledgers import PARTY, Bed, LedgerMaker, serving

from ledger.adapters.clock import SystemClock
from ledger.note import VerifierKey
from ledger.records import PartyKey, Scope
from ledger.types import Position, parse_origin

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
BLOCK = re.compile(r"(<!-- operator -->\n)?^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ORIGIN = parse_origin("ledger.example/acme-live")
EXAMPLE_URL = "http://127.0.0.1:8420"


@pytest.fixture
def bed(ledgers: LedgerMaker, tmp_path: Path) -> Iterator[Bed]:
    with ledgers(tmp_path / "ledger") as made:
        made.clock.time = SystemClock().now()  # `verify` goes by the machine's
        made.ledger.create_log(ORIGIN, PARTY)
        yield made


def test_the_examples_run_as_they_stand(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "party"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TRANSFER_LEDGER_API_KEY", bed.api_key(ORIGIN, Scope.PUSH, Scope.READ))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    Path("acme.vkey").write_text(bed.log(ORIGIN).verifier_key)
    names: dict[str, Any] = {"__name__": "example"}
    told = ""
    with serving(bed) as url:
        for operator, language, block in BLOCK.findall(PAGE.read_text()):
            source = block.replace(EXAMPLE_URL, url)
            if operator:
                register(bed)
            elif language == "python":
                exec(compile(source, str(PAGE), "exec"), names)
            else:
                bed.settle(ORIGIN)
                told += shell(source)
    printed = capsys.readouterr().out
    assert "2 new 0 there already" in printed
    assert "5 new" in printed
    assert "10 delivered 0 wait" in printed
    assert "view-000041 is set aside: [1].data.outcome: missing" in printed
    assert "50 accepted · 0 duplicates" in told
    assert "3 pending" in told
    assert "3 kept" in told
    size = bed.store.head(ORIGIN).size
    assert size == 2 + 5 + 2 + 10 + 2 + 50
    assert bed.store.signature(ORIGIN, Position(size - 1)) is not None


def register(bed: Bed) -> None:
    """What the operator's command does, in the data folder."""
    key = VerifierKey.parse(Path("acme.party.vkey").read_text())
    bed.store.add_party_key(PartyKey(PARTY, str(key), bed.clock.now()))


def shell(source: str) -> str:
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{source}"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
