"""The contract on an EVM chain, over any node's JSON-RPC. web3's types stay in here.

    node.py       one node: requests, and its failures as `ChainUnavailable`
    abi.py        the contract's language: calls, events, custom errors
    chain.py      `EvmChain`, which only reads and needs no key
    sender.py     `EvmAnchorer`, `EvmRegistrar` and `deploy`, which sign and send

Importing web3 imports py_ecc, which raises the interpreter's recursion limit to 100,000. Under that limit a JSON text
of that many brackets does not raise RecursionError but overflows the stack and ends the process, wherever in it the
text is parsed. So the limit is put back.
"""

import sys

_SANE_LIMIT = 10_000
_limit = sys.getrecursionlimit()

from ledger.adapters.evm.chain import EvmChain, chain_id_of  # noqa: E402
from ledger.adapters.evm.sender import Deployment, EvmAnchorer, EvmRegistrar, address_of, deploy  # noqa: E402

sys.setrecursionlimit(_limit if _limit <= _SANE_LIMIT else 1000)

__all__ = ["Deployment", "EvmAnchorer", "EvmChain", "EvmRegistrar", "address_of", "chain_id_of", "deploy"]
