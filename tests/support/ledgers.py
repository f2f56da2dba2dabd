"""Whole ledgers for tests, of real parts: a store on SQLite (or PostgreSQL), keys in files, a contract on a real chain.

::

    bed.ledger                        ledger.bootstrap.Wired, with a clock that the test sets
    origin = bed.create_log()         a log that no other test uses
    bed.push(origin, 1, 2, 3)         three events
    bed.settle(origin)                sealed, anchored, final, projected

The chain and its contract live as long as the test session; a bed, and so its store, as long as a test module.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from support.chains import DevelopmentChain, running_anvil

from api.app import create_app
from api.services import Services
from ledger.adapters.anvil import fund
from ledger.adapters.evm import EvmAnchorer, EvmChain, EvmRegistrar, address_of, deploy
from ledger.adapters.keys import FileKeyring
from ledger.adapters.sql import SqlStore, open_store
from ledger.anchor import ContractRef
from ledger.bootstrap import Wired
from ledger.checkpoint import open_checkpoint
from ledger.commit import PushResult
from ledger.intake import Intake
from ledger.note import VerifierKey
from ledger.pipeline import Pipeline
from ledger.policy import Policy
from ledger.ports import Chain, Store
from ledger.records import AnchorState, Log, Party, Role, Scope
from ledger.settings import Settings
from ledger.types import Origin, PartyId, log_id, parse_origin
from ledger.workers import Worker

START = 1_790_000_000_000
"""Unix milliseconds at which a bed's clock starts."""

PARTY = PartyId("acme")
OTHER_PARTY = PartyId("cdn-one")
POLICY = Policy(seal_leaves=4, batch_leaves=4, seal_age=10_000)

_numbers = itertools.count(1)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: int = START) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    def move(self, milliseconds: int) -> None:
        self.time += milliseconds


def access(n: int, **changes: Any) -> dict[str, Any]:
    """One valid access event as JSON; a change of None takes the member away."""
    value = {
        "specversion": "1.0",
        "id": f"access-{n:06}",
        "source": "/s3/ap-northeast-1",
        "type": "transfer-ledger.access.v1",
        "subject": "live-2026-07-01-tokyo",
        "time": f"2026-07-01T12:{n // 60 % 60:02}:{n % 60:02}Z",
        "phase": "storage",
        "data": {
            "principal": f"arn:aws:iam::111122223333:user/u{n % 7}",
            "action": "s3:GetObject",
            "resource": f"replays/{n}.mp4",
            "outcome": "allowed" if n % 3 else "refused",
            "source_system": "aws.s3",
            "completeness": "best-effort",
        },
        **changes,
    }
    return {name: member for name, member in value.items() if member is not None}


def new_origin() -> Origin:
    return parse_origin(f"ledger.example/log-{next(_numbers)}")


def rich_key(node: DevelopmentChain) -> bytes:
    key = hashlib.sha256(secrets.token_bytes(32)).digest()
    fund(node.url, address_of(key), 100)
    return key


@dataclass
class Bed:
    """A wired ledger with its clock, and short ways to use it."""

    ledger: Wired
    clock: HandClock
    node: DevelopmentChain
    operator_key: bytes

    @property
    def store(self) -> Store:
        return self.ledger.store

    @property
    def pipeline(self) -> Pipeline:
        return self.ledger.pipeline

    @property
    def chain(self) -> Chain:
        return self.ledger.chain

    def create_log(self, **options: bool) -> Origin:
        return self.ledger.create_log(new_origin(), PARTY, **options).origin

    def log(self, origin: Origin) -> Log:
        return self.store.log(origin)

    def key(self, origin: Origin) -> VerifierKey:
        return VerifierKey.parse(self.log(origin).verifier_key)

    def api_key(self, origin: Origin, *scopes: Scope, party: PartyId = PARTY) -> str:
        return self.ledger.create_api_key(party, origin, frozenset(scopes))

    def push(self, origin: Origin, *numbers: int) -> PushResult:
        return self.pipeline.push(origin, PARTY, [access(n) for n in numbers])

    def settle(self, origin: Origin) -> None:
        self.pipeline.seal(origin, force=True)
        anchor_all(self.pipeline, origin)
        self.pipeline.project(origin)

    def restarted(self, **changes: Any) -> Pipeline:
        """A pipeline of another process on the same store, chain and keys; `changes` replace parts of it."""
        return pipeline_of(
            **{
                "store": self.store,
                "chain": self.chain,
                "anchorer": EvmAnchorer(self.ledger.chain, self.operator_key),  # type: ignore[arg-type]
                "keyring": self.ledger.keyring,
                "clock": self.clock,
                "policy": self.pipeline.policy,
                **changes,
            }
        )


def pipeline_of(**parts: Any) -> Pipeline:
    return Pipeline(random_bytes=os.urandom, **parts)


def anchor_all(pipeline: Pipeline, origin: Origin, rounds: int = 50) -> None:
    """Anchor until every batch is under the checkpoint."""
    for _ in range(rounds):
        pipeline.anchor(origin)
        checkpoint = pipeline.store.checkpoint(origin)
        if checkpoint is not None and checkpoint.size == pipeline.store.head(origin).batches:
            return
    raise AssertionError(f"not settled after {rounds} rounds: {pipeline.store.anchorings(origin)}")


def assert_settled(store: Store, chain: Chain, origin: Origin) -> None:
    """Every batch is anchored once, finally, where the store says, under one signed checkpoint of the chain's root."""
    head = store.head(origin)
    assert head.sealed == head.size, "everything is sealed"
    size = chain.size_of(log_id(origin))
    assert size is not None
    assert (size.batches, size.leaves) == (head.batches, head.size)
    live = [attempt for attempt in store.anchorings(origin) if not attempt.state.ended]
    covered = [number for attempt in live for number in range(attempt.first, attempt.end)]
    assert sorted(covered) == list(range(head.batches)), "each batch is anchored once"
    for attempt in live:
        assert attempt.state is AnchorState.FINAL
        for number in range(attempt.first, attempt.end):
            seen = chain.anchored_in(attempt.tx_hash, log_id(origin), number)
            assert seen is not None
            assert (seen.block_number, seen.block_hash) == (attempt.block_number, attempt.block_hash)
    checkpoint = store.checkpoint(origin)
    assert checkpoint is not None
    opened = open_checkpoint(checkpoint.note, VerifierKey.parse(store.log(origin).verifier_key))
    assert (opened.size, opened.root) == (head.batches, chain.root_of(log_id(origin)))


LedgerMaker = Callable[..., AbstractContextManager[Bed]]


@contextmanager
def wired_bed(
    folder: Path,
    node: DevelopmentChain,
    contract: ContractRef,
    registrar_key: bytes,
    *,
    database: str | None = None,
    policy: Policy = POLICY,
    rpc: str | None = None,
    operator_key: bytes | None = None,
) -> Iterator[Bed]:
    """A ledger in `folder`. `rpc` is another way to the node; `operator_key` another ledger's, to share its logs."""
    settings = Settings.load(data=folder, database=database, rpc=node.url, contract=contract.address)
    with ExitStack() as stack:
        store: SqlStore = open_store(settings.database_url)
        stack.callback(store.close)
        chain = EvmChain(rpc or node.url, contract, timeout=5)
        stack.callback(chain.close)
        key = operator_key or rich_key(node)
        clock, keyring = HandClock(), FileKeyring(folder / "keys")
        pipeline = pipeline_of(
            store=store,
            chain=chain,
            anchorer=EvmAnchorer(chain, key),
            keyring=keyring,
            clock=clock,
            policy=policy,
        )
        registrar = EvmRegistrar(chain, registrar_key)
        ledger = Wired(settings, store, chain, keyring, clock, pipeline, registrar, address_of(key))
        store.add_party(Party(PARTY, "ACME Live", Role.PLATFORM, "CN"))
        store.add_party(Party(OTHER_PARTY, "CDN One", Role.CDN, "SG"))
        yield Bed(ledger, clock, node, key)


@pytest.fixture(scope="session")
def anvil() -> Iterator[DevelopmentChain]:
    with running_anvil() as chain:
        yield chain


@pytest.fixture(scope="session")
def registrar_key(anvil: DevelopmentChain) -> bytes:
    return rich_key(anvil)


@pytest.fixture(scope="session")
def contract(anvil: DevelopmentChain, registrar_key: bytes) -> ContractRef:
    return deploy(anvil.url, registrar_key).contract


@pytest.fixture(scope="session")
def ledgers(anvil: DevelopmentChain, contract: ContractRef, registrar_key: bytes) -> LedgerMaker:
    """Makes ledgers on the session's chain: `with ledgers(folder, policy=…) as bed`."""

    def make(folder: Path, **changes: Any) -> AbstractContextManager[Bed]:
        folder.mkdir(parents=True, exist_ok=True)
        return wired_bed(folder, anvil, contract, registrar_key, **changes)

    return make


@pytest.fixture(scope="module")
def bed(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """One ledger for the tests of a module, each of which has a log of its own."""
    with ledgers(tmp_path_factory.mktemp("bed")) as made:
        yield made


@pytest.fixture
def origin(bed: Bed) -> Origin:
    return bed.create_log()


def serving(bed: Bed, worker: Worker | None = None, port: int = 0) -> AbstractContextManager[str]:
    """The API over `bed`, served by a real server at the URL that this yields; on any port, unless one is told."""
    return serving_services(services(bed.pipeline, worker), port)


def services(pipeline: Pipeline, worker: Worker | None = None, **settings: Any) -> Services:
    """What the API is made of, over `pipeline`."""
    return Services(pipeline, worker, Intake(pipeline), **settings)


@contextmanager
def serving_services(services: Services, port: int = 0) -> Iterator[str]:
    """The API over these services, served by a real server at the URL that this yields."""
    config = uvicorn.Config(create_app(services), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            services.intake.close()


def copy_database(source: Path, target: Path) -> None:
    """What a SQLite database holds now, in one file, while others may have it open: as a backup is made."""
    with closing(sqlite3.connect(source)) as database, closing(sqlite3.connect(target)) as copy:
        database.backup(copy)
        copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def policy(**changes: Any) -> Policy:
    return replace(POLICY, **changes)


def accesses(numbers: Sequence[int]) -> list[dict[str, Any]]:
    return [access(n) for n in numbers]
