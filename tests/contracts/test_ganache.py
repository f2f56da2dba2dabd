"""The same bytecode on Ganache, whose newest rule set is Shanghai."""

from __future__ import annotations

from driver import Deployment, running_node, some_batches

from ledger import merkle
from ledger.adapters.node import tool


def test_a_log_is_anchored_on_ganache() -> None:
    options = ["--server.port", "{port}", "--chain.hardfork", "shanghai", "--logging.quiet"]
    with running_node([*tool("ganache"), *options]) as web3:
        contract = Deployment.on(web3)
        log = contract.register("ledger.example/acme-live")
        log.anchor(*some_batches(3))
        log.anchor(*some_batches(1, 3))
        assert log.size == (4, log.leaves)
        assert log.root == merkle.tree_root([merkle.leaf_hash(header) for header in log.headers])
        assert [log.batch(number) for number in range(4)] == log.batches
