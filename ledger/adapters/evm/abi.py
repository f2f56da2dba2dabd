"""The language of `TransferLog`: calls to it, its answers, its event, and its errors by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.exceptions import DecodingError
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    function_signature_to_4byte_selector,
)
from web3 import Web3

from contracts import artifact
from ledger.adapters.evm.node import RpcRefused
from ledger.errors import AnchorRefuted

CONTRACT = "TransferLog"
_PLAIN_REASON = function_signature_to_4byte_selector("Error(string)")
_PANIC = function_signature_to_4byte_selector("Panic(uint256)")


@dataclass(frozen=True, slots=True)
class Revert:
    """Why the contract refused a call: one of its custom errors, with its arguments by name."""

    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"


class Language:
    """Encodes and decodes by the ABI of the committed artifact. Immutable, so threads may share it."""

    def __init__(self) -> None:
        made = artifact(CONTRACT)
        self._web3 = Web3()
        self._contract = self._web3.eth.contract(abi=made.abi, bytecode=made.bytecode)
        self._outputs = {entry["name"]: _types(entry["outputs"]) for entry in _of(made.abi, "function")}
        self._errors = {function_abi_to_4byte_selector(entry): entry for entry in _of(made.abi, "error")}
        [anchored] = [entry for entry in _of(made.abi, "event") if entry["name"] == "BatchAnchored"]
        self.batch_anchored = "0x" + event_abi_to_log_topic(anchored).hex()

    def call(self, function: str, *arguments: Any) -> str:
        """A call's data, in hexadecimal with `0x`."""
        return str(self._contract.encode_abi(function, list(arguments)))

    def creation(self, registrar: str) -> str:
        """The data of the transaction that creates the contract."""
        return str(self._contract.constructor(registrar).data_in_transaction)

    def answer(self, function: str, data: Any) -> tuple[Any, ...]:
        """The values that a call returned. Raises ValueError unless encoding them gives the same data again."""
        types, raw = self._outputs[function], _bytes(data)
        values = self._decode(types, raw)
        if self._web3.codec.encode(types, values) != raw:
            raise ValueError("not the one encoding of its values")
        return values

    def topics(self, log: bytes, batch_no: int) -> list[str]:
        """The topics of the event that anchored a batch."""
        return [self.batch_anchored, "0x" + log.hex(), "0x" + batch_no.to_bytes(32).hex()]

    def revert(self, refused: RpcRefused) -> Revert | None:
        """The contract's reason, if it was the contract that refused and not the node."""
        data = _revert_data(refused.data)
        if data is None:
            return Revert("reverted", {}) if _says_reverted(refused) else None
        selector, rest = data[:4], data[4:]
        try:
            if selector == _PLAIN_REASON:
                return Revert("Error", {"reason": self._decode(["string"], rest)[0]})
            if selector == _PANIC:
                return Revert("Panic", {"code": self._decode(["uint256"], rest)[0]})
            entry = self._errors[selector]
            values = self._decode(_types(entry["inputs"]), rest)
        except (LookupError, ValueError):
            return Revert("reverted", {"data": "0x" + data[:68].hex()})
        names = [item["name"] for item in entry["inputs"]]
        kinds = [item["type"] for item in entry["inputs"]]
        return Revert(entry["name"], dict(zip(names, map(_shown, kinds, values), strict=True)))

    def _decode(self, types: list[str], data: bytes) -> tuple[Any, ...]:
        try:
            values: tuple[Any, ...] = self._web3.codec.decode(types, data)
        except (DecodingError, OverflowError) as error:
            raise ValueError(str(error)) from None
        return values


@cache
def language() -> Language:
    """The one `Language`, made at first use."""
    return Language()


def refuted(what: str, revert: Revert) -> AnchorRefuted:
    """The error for a call that the contract refused; `details` name the custom error and its arguments."""
    return AnchorRefuted(
        f"the contract refuses {what} with {revert}",
        step="chain",
        advice=_ADVICE.get(revert.name, ""),
        details={"error": revert.name, "arguments": dict(revert.arguments)},
    )


_ADVICE = {
    "UnknownLog": "Register the log with this contract, or look whether the settings name the right contract.",
    "NotOperator": "Use the key of the log's operator, or let the registrar rotate the operator.",
    "AccessControlUnauthorizedAccount": "Only the contract's registrar may do this: use the registrar's key.",
}


def _of(abi: list[dict[str, Any]], kind: str) -> list[Any]:
    return [entry for entry in abi if entry["type"] == kind]


def _types(items: list[Any]) -> list[str]:
    return [collapse_if_tuple(item) for item in items]


def _bytes(data: Any) -> bytes:
    if not isinstance(data, str) or not data.startswith("0x"):
        raise ValueError("not data")
    return bytes.fromhex(data[2:])


def _shown(kind: str, value: Any) -> Any:
    if kind == "address":
        return Web3.to_checksum_address(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _revert_data(data: object) -> bytes | None:
    """Geth, Anvil and Ganache's eth_call put it into `data`; Ganache's eth_estimateGas a level deeper."""
    if isinstance(data, Mapping):
        data = data.get("result", data.get("data"))
    if not isinstance(data, str):
        return None
    try:
        raw = _bytes(data.removeprefix("Reverted "))  # Besu and OpenEthereum say so before it
    except ValueError:
        return None
    return raw if len(raw) >= 4 else None


def _says_reverted(refused: RpcRefused) -> bool:
    return refused.code == 3 or "revert" in refused.message.lower()
