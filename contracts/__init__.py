"""The contracts' compiled form: what the ledger deploys and whom it talks to by ABI.

`src/*.sol` are the sources, `artifacts/*.json` what `compile.py` makes of them. The artifacts are committed, so that
running the ledger needs no compiler; a test recompiles and compares. Each is one JSON object::

    {"abi": […], "bytecode": "0x…", "compiler": "0.8.…+commit.…", "contractName": "TransferLog",
     "deployedBytecode": "0x…", "settings": {…}, "sources": {"path.sol": "SHA-256 in hex", …}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

__all__ = ["Artifact", "artifact"]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    `bytecode` is what a deployment sends (constructor arguments go behind it), `deployed_bytecode` what then lies at
    the address, immutables aside; both are hex with `0x`. `sources` are the SHA-256 of every file compiled.
    """

    contract_name: str
    compiler: str
    settings: Mapping[str, Any]
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_bytecode: str
    sources: Mapping[str, str]


def artifact(name: str) -> Artifact:
    """The artifact of the contract `name`, such as `TransferLog`.

    Raises `FileNotFoundError` if there is no such contract: names are the program's own, never input.
    """
    text = resources.files(__name__).joinpath("artifacts", f"{name}.json").read_text("utf-8")
    members = json.loads(text)
    return Artifact(
        contract_name=members["contractName"],
        compiler=members["compiler"],
        settings=members["settings"],
        abi=members["abi"],
        bytecode=members["bytecode"],
        deployed_bytecode=members["deployedBytecode"],
        sources=members["sources"],
    )
