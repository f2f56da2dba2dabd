"""Compile the contracts into `contracts/artifacts`.

::

    python contracts/compile.py            compile and write
    python contracts/compile.py --check    compile and compare; exits 1 if what is committed is something else

The compiler is the npm package `solc`, pinned in `package-lock.json`, which py-solc-x runs through the script `solc`
beside this file. Its output depends on nothing but the sources, the version and `SETTINGS`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import solcx

from ledger.adapters.node import node
from ledger.errors import ToolMissing

HERE = Path(__file__).parent
ARTIFACTS = HERE / "artifacts"
NODE_MODULES = HERE / "node_modules"
SOLC = HERE / "solc"

CONTRACTS = ("TransferLog",)

# Shanghai is the newest rule set that both Anvil and Ganache run. Without the metadata's hash a change of a comment
# leaves the bytecode as it was. Logs are anchored for years, so the optimizer weighs running above deploying.
SETTINGS: dict[str, Any] = {
    "evmVersion": "shanghai",
    "metadata": {"bytecodeHash": "none"},
    "optimizer": {"enabled": True, "runs": 1_000_000},
    "viaIR": True,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compile the contracts into contracts/artifacts.")
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed artifacts, write nothing"
    )
    check = parser.parse_args(arguments).check
    try:
        texts = {ARTIFACTS / f"{name}.json": to_text(made) for name, made in compile_all().items()}
    except ToolMissing as error:
        print(error, file=sys.stderr)
        return 1
    except solcx.exceptions.SolcError as error:
        print(error.message, file=sys.stderr)  # its whole text repeats the compiler's input and output
        return 1
    if check:
        return report_differences(texts)
    ARTIFACTS.mkdir(exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, "utf-8")
        print(f"wrote {path}")
    return 0


def compile_all() -> dict[str, dict[str, Any]]:
    """The artifacts by contract name. Raises `ToolMissing` or `solcx.exceptions.SolcError`."""
    _put_node_on_path()
    sources = {
        f"src/{file.name}": {"content": file.read_text("utf-8")} for file in sorted(HERE.glob("src/*.sol"))
    }
    outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "metadata"]
    request = {
        "language": "Solidity",
        "sources": sources,
        "settings": SETTINGS | {"outputSelection": {"*": {"*": outputs}}},
    }
    answer = solcx.compile_standard(request, solc_binary=SOLC)
    if warnings := [message["formattedMessage"] for message in answer.get("errors", [])]:
        raise solcx.exceptions.SolcError("The compiler warns:\n" + "\n".join(warnings))
    return {name: _artifact(name, answer["contracts"][f"src/{name}.sol"][name]) for name in CONTRACTS}


def to_text(members: dict[str, Any]) -> str:
    """An artifact as it is written: the same members always give the same text."""
    return json.dumps(members, indent=2, sort_keys=True) + "\n"


def report_differences(texts: dict[Path, str]) -> int:
    """Say on stderr which committed artifacts are not `texts`; 1 if any, else 0."""
    committed = {path: path.read_text("utf-8") for path in ARTIFACTS.glob("*.json")}
    different = sorted(
        path.name for path in texts.keys() | committed.keys() if texts.get(path) != committed.get(path)
    )
    for name in different:
        print(f"contracts/artifacts/{name} is not what the sources compile to", file=sys.stderr)
    if different:
        print("Run `python contracts/compile.py` and commit the result.", file=sys.stderr)
    return 1 if different else 0


def _artifact(name: str, output: dict[str, Any]) -> dict[str, Any]:
    metadata = json.loads(output["metadata"])
    return {
        "abi": output["abi"],
        "bytecode": "0x" + output["evm"]["bytecode"]["object"],
        "compiler": metadata["compiler"]["version"],
        "contractName": name,
        "deployedBytecode": "0x" + output["evm"]["deployedBytecode"]["object"],
        "settings": SETTINGS,
        "sources": {path: _sha256(path) for path in metadata["sources"]},
    }


def _sha256(source: str) -> str:
    folder = HERE if source.startswith("src/") else NODE_MODULES
    return hashlib.sha256((folder / source).read_bytes()).hexdigest()


def _put_node_on_path() -> None:
    if not (NODE_MODULES / "solc").is_dir():
        raise ToolMissing("The compiler is not in contracts/node_modules", advice="Run ./scripts/setup.")
    os.environ["PATH"] = f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"


if __name__ == "__main__":
    sys.exit(main())
