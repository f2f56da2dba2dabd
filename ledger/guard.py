"""The guard of history (I6): a store is held against the chain before anything new is signed.

The contract takes only the next batch and keeps the tree itself, so it is the compare-and-swap lock that a restored
backup cannot fool: a store with fewer batches than the contract, or other ones, is not this log's history.
"""

from __future__ import annotations

from ledger.errors import ChainUnavailable, HistoryForked
from ledger.merkle import log_root
from ledger.ports import Chain, ChainSize, Store
from ledger.types import Digest, Origin, log_id


class HistoryGuard:
    """Remembers which logs this process has held against the chain. Safe to use from several threads."""

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self._chain = chain
        self._held: set[Origin] = set()

    def require_held(self, origin: Origin) -> None:
        """Hold the store against the chain once in this process's life; later calls cost nothing."""
        if origin not in self._held:
            self._store.log(origin)
            self.hold(origin)

    def hold(self, origin: Origin) -> ChainSize:
        """Hold the store against the contract now, and answer what the contract holds.

        Raises:
            HistoryForked: the contract has more batches than the store, or other ones. Pushes stop.
            ChainUnavailable: no answer, or the log is not registered. A log that was held before stays so.
        """
        # The chain is read first: meanwhile the store can only have moved ahead of it.
        size, root = self._chain_head(origin)
        head = self._store.head(origin)
        if size.batches > head.batches:
            self._held.discard(origin)
            raise HistoryForked(
                f"the store of {origin} is behind the chain",
                expected=f"{size.batches} batches",
                got=head.batches,
            )
        ours = log_root(size.batches, lambda ids: self._store.nodes(origin, ids))
        if ours != root:
            self._held.discard(origin)
            raise HistoryForked(
                f"the store of {origin} and the chain hold different batches", expected=root, got=ours
            )
        self._held.add(origin)
        return size

    def _chain_head(self, origin: Origin) -> tuple[ChainSize, Digest]:
        """Size and root of one moment: the size is the same before and after the root was read."""
        name = log_id(origin)
        size = self._chain.size_of(name)
        while size is not None:
            root = self._chain.root_of(name)
            again = self._chain.size_of(name)
            if again == size:
                return size, root
            size = again
        raise ChainUnavailable(
            f"{origin} is not registered with the contract",
            expected=f"a log at {self._chain.contract.address} on chain {self._chain.contract.chain_id}",
            advice="Register it with `transfer-ledger log create`, or point the settings at the right contract.",
        )
