"""The contract on an EVM chain, over any node's JSON-RPC. web3's types stay in here.

node.py       one node: requests, and its failures as `ChainUnavailable`
abi.py        the contract's language: calls, events, custom errors
chain.py      `EvmChain`, which only reads and needs no key
sender.py     `EvmAnchorer`, `EvmRegistrar` and `deploy`, which sign and send
"""

from ledger.adapters.evm.chain import EvmChain
from ledger.adapters.evm.sender import Deployment, EvmAnchorer, EvmRegistrar, address_of, deploy

__all__ = ["Deployment", "EvmAnchorer", "EvmChain", "EvmRegistrar", "address_of", "deploy"]
