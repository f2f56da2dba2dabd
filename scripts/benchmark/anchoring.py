"""From push to anchor on the managed Anvil, and what an anchored event costs in gas.

A ledger as `init` makes it and `serve` runs it, with its default settings (but that it ends when it is told to, and
not a second later), is pushed two events a second; the time runs until a signed checkpoint holds the event's batch.
Most of it is waiting: a batch is closed when its oldest event is `seal_seconds` (10) old. A second ledger, at the same
time, has one second for that.

Gas is measured on batches of the contract itself, from the 65th on, where the tree's words are warm. It depends on the
batches of a transaction and not on their events, so that a batch's events share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial

from benchmark.bulk import EVENT
from benchmark.events import spell
from benchmark.meters import Figures, latencies
from benchmark.place import PARTY, SQLITE, Home, Place
from benchmark.processes import BenchFailed, Server
from benchmark.show import Tell
from ledger.adapters.anvil_guard import ask
from ledger.adapters.evm import EvmAnchorer, EvmChain
from ledger.adapters.keys import EvmKeyFile
from ledger.anchor import ContractRef
from ledger.batch import BatchHeader
from ledger.bootstrap import initialise, open_ledger
from ledger.client import Client
from ledger.ports import Store
from ledger.records import Scope
from ledger.settings import PREFIX, Settings
from ledger.types import BatchNo, Digest, Origin, Position, log_id, parse_origin

VARIANTS: dict[str, dict[str, str]] = {
    "default_settings": {},
    "seal_seconds_1": {f"{PREFIX}SEAL_SECONDS": "1"},
}
GAS_BATCHES = (1, 8, 32)
"""Batches of one transaction; the ledger takes up to 32."""
GAS_LEAVES = (1, 64, 1024, 8192)
"""Events of one batch. By default a batch is closed at 1024 events, and holds up to 8192."""
LEAVES = 1024
STEADY = 64
INTERVAL = 0.5
"""Seconds between two pushes."""
LOOK_SECONDS = 0.01
PATIENCE = 120.0


def measure(place: Place) -> Figures:
    """The part `anchoring`."""
    with place.show.step("push to anchor") as told:
        figures: Figures = {"latency": _latencies(place, told)}
    with place.show.step("gas"):
        figures["gas"] = _gas(place)
    return figures


def _latencies(place: Place, tell: Tell) -> Figures:
    with ExitStack() as stack:
        homes = [_as_delivered(place, name) for name in VARIANTS]
        with ThreadPoolExecutor() as starting:  # they take seconds
            servers = list(starting.map(partial(_served, stack), homes, VARIANTS.values()))
        watches = {
            name: _watch(home, server, stack)
            for name, home, server in zip(VARIANTS, homes, servers, strict=True)
        }
        began, pushes = time.perf_counter(), round(place.sizes.anchoring_seconds / INTERVAL)
        for number in range(pushes):
            _wait(watches.values(), lambda: time.perf_counter() > began + number * INTERVAL)  # noqa: B023
            for watch in watches.values():
                watch.push(number)
            tell(number, pushes)
        _wait(watches.values(), lambda: not any(watch.pushed for watch in watches.values()))
    return {
        name: {**latencies(watch.seconds), "push": latencies(watch.push_seconds)}
        for name, watch in watches.items()
    }


def _served(stack: ExitStack, home: Home, environment: dict[str, str]) -> Server:
    return stack.enter_context(home.served(environment=environment))


def _watch(home: Home, server: Server, stack: ExitStack) -> _Watch:
    """A ledger that is served, with a client."""
    ledger = stack.enter_context(home.open())
    client = stack.enter_context(Client(server.url, home.api_key(Scope.PUSH), home.origin))
    return _Watch(ledger.store, home.origin, client)


def _wait(watches: Iterable[_Watch], reached: Callable[[], bool]) -> None:
    """Look at all of them, again and again."""
    until = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > until:
            raise BenchFailed(f"an event is not anchored after {PATIENCE:.0f} s")
        for watch in watches:
            watch.look()
        time.sleep(LOOK_SECONDS)


def _as_delivered(place: Place, name: str) -> Home:
    """A ledger with a managed Anvil of its own."""
    data, origin = place.folder / name, parse_origin(f"ledger.example/{name.replace('_', '-')}")
    initialise(Settings.load(data=data))
    settings = Settings.load(data=data)
    with open_ledger(settings) as ledger:
        ledger.store.add_party(PARTY)
        ledger.create_log(origin, PARTY.id)
    return Home(data, SQLITE, settings.database_url, origin)


class _Watch:
    """Pushes events to one ledger, and looks which of them its checkpoint holds by now."""

    def __init__(self, store: Store, origin: Origin, client: Client) -> None:
        self._store = store
        self._origin = origin
        self._client = client
        self.pushed: dict[Position, float] = {}
        """Those that are not anchored yet, in order, and when they were pushed."""
        self.seconds: list[float] = []
        self.push_seconds: list[float] = []

    def push(self, number: int) -> None:
        began = time.perf_counter()
        self._client.push_lines(spell({**EVENT, "id": f"event-{number:010}"}))
        self.push_seconds.append(time.perf_counter() - began)
        self.pushed[Position(number)] = began

    def look(self) -> None:
        checkpoint = self._store.checkpoint(self._origin)
        if checkpoint is None:
            return
        for position in [*self.pushed]:
            batch = self._store.batch_at(self._origin, position)
            if batch is None or batch.header.batch_no >= checkpoint.size:
                return  # nor is any later one
            self.seconds.append(time.perf_counter() - self.pushed.pop(position))


def _gas(place: Place) -> Figures:
    home = place.ledger(SQLITE, "gas")
    settings = Settings.load(data=home.data)
    contract = ContractRef(settings.chain_id, str(settings.contract))
    with closing(EvmChain(str(settings.rpc), contract)) as chain:
        anchors = _Anchors(EvmAnchorer(chain, EvmKeyFile(settings.operator_key_file).load()), home)
        first = anchors.gas(1)
        for _ in range(STEADY - 1):
            anchors.gas(1)
        per_batch = {}
        for batches in GAS_BATCHES:
            count = max(STEADY // batches, 2)
            per_batch[batches] = sum(anchors.gas(batches) for _ in range(count)) / (count * batches)
    return {
        "first_batch": first,
        "per_batch": {str(batches): gas for batches, gas in per_batch.items()},
        "per_event": {
            str(leaves): {str(batches): gas / leaves for batches, gas in per_batch.items()}
            for leaves in GAS_LEAVES
        },
    }


class _Anchors:
    """Anchors made-up batches, the next one each time."""

    def __init__(self, anchorer: EvmAnchorer, home: Home) -> None:
        self._anchorer = anchorer
        self._home = home
        self._rpc = str(Settings.load(data=home.data).rpc)
        self._batches = 0

    def gas(self, batches: int) -> int:
        """Gas of one transaction that anchors so many."""
        headers = [self._header(self._batches + number) for number in range(batches)]
        self._batches += batches
        transaction = self._anchorer.sign_anchor(headers)
        self._anchorer.send(transaction)
        until = time.monotonic() + PATIENCE
        while (receipt := ask(self._rpc, "eth_getTransactionReceipt", transaction.hash.hex0x)) is None:
            if time.monotonic() > until:
                raise BenchFailed("a transaction is in no block")
            time.sleep(LOOK_SECONDS)
        return int(receipt["gasUsed"], 16)

    def _header(self, number: int) -> BatchHeader:
        return BatchHeader(
            log_id=log_id(self._home.origin),
            batch_no=BatchNo(number),
            first_leaf=Position(number * LEAVES),
            leaf_count=LEAVES,
            closed_at=int(time.time()),
            root=Digest.of(b"%d" % number),
        )
