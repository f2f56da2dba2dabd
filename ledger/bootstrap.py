"""Wires ports to adapters, once: the only module that knows both.

Adapters are imported where they are wired: verifying a proof offline needs no database, and loading web3 takes longer
than most commands.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from ledger.adapters.chance import DrawnAhead
from ledger.adapters.clock import SystemClock
from ledger.adapters.keys import EvmKeyFile, FileKeyring, SecretFile, SignerFile
from ledger.anchor import ContractRef
from ledger.errors import InputError, NotFound
from ledger.keys import api_key_text
from ledger.pipeline import Pipeline
from ledger.ports import Chain, Clock, Keyring, Registrar, Signer, Store
from ledger.records import ApiKey, Log, Scope
from ledger.settings import CONFIG, Settings
from ledger.telemetry import NO_METER, NO_TRACER, Exposition, Tracer
from ledger.types import Origin, PartyId
from ledger.vitals import Vitals, vitals_of
from ledger.workers import Worker

if TYPE_CHECKING:
    from ledger.adapters.evm import EvmChain
    from ledger.adapters.prometheus import PrometheusMeter

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wired:
    """A ledger with its world. `operator` is the address that anchors, `exposition` what is counted, if anything is."""

    settings: Settings
    store: Store
    chain: Chain
    keyring: Keyring
    clock: Clock
    pipeline: Pipeline
    registrar: Registrar | None
    operator: str
    exposition: Exposition | None = None

    def worker(self) -> Worker:
        return Worker(self.pipeline, self.settings.poll_seconds)

    def create_log(
        self, origin: Origin, party: PartyId, *, opaque: bool = False, require_signature: bool = False
    ) -> Log:
        """Make a log: its key, its place in the contract, its record, in this order. Again changes nothing.

        Args:
            opaque: take types that the catalogue does not know, too.
            require_signature: take only pushes that their party has signed. Neither can be changed later.

        Raises:
            NotFound: no such party.
            AlreadyExists: the log is another party's, or registered with another operator.
            ChainUnavailable: no answer; call again.
        """
        self.store.party(party)
        signer = self.keyring.create(origin)
        if self.registrar is not None:
            self.registrar.register_log(origin, self.operator)
        try:
            created = self.store.log(origin).created
        except NotFound:
            created = self.clock.now()
        log = Log(origin, party, str(signer.key), self.chain.contract, created, opaque, require_signature)
        self.store.add_log(log)
        return log

    def create_api_key(self, party: PartyId, origin: Origin, scopes: frozenset[Scope]) -> str:
        """See `create_api_key`."""
        return create_api_key(self.store, self.clock, party, origin, scopes)


def create_api_key(
    store: Store, clock: Clock, party: PartyId, origin: Origin, scopes: frozenset[Scope]
) -> str:
    """Make an API key and answer its text, which is not kept. Needs no chain.

    Raises:
        NotFound: no such party or log.
    """
    store.party(party)
    store.log(origin)
    id, text, hashed = api_key_text(secrets.token_bytes(6), secrets.token_bytes(32))
    store.add_api_key(ApiKey(id, hashed, party, origin, scopes, clock.now()))
    return text


def initialise(settings: Settings) -> ContractRef:
    """Make the data folder, the schema, the keys and the contract, as far as they are not there; answer the contract.

    Without `rpc` the chain is a managed Anvil; with it, the registrar's key pays for the contract unless `contract`
    names one.

    Raises:
        ChainUnavailable: no answer, or the registrar's account has no funds.
    """
    from ledger.adapters.evm import EvmChain, deploy
    from ledger.adapters.sql import open_store

    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(
            f"{settings.data} cannot be a data folder", got=error.strerror, advice="Name another with --data."
        ) from None
    open_store(settings.database_url).close()
    EvmKeyFile(settings.operator_key_file).load_or_create()
    registrar = EvmKeyFile(settings.registrar_key_file).load_or_create()
    with _rpc(settings) as rpc:
        if settings.contract is None:
            contract = deploy(rpc, registrar, timeout=settings.rpc_timeout_seconds).contract
        else:
            contract = ContractRef(settings.chain_id, settings.contract)
        chain = EvmChain(rpc, contract, settings.rpc_timeout_seconds)
        try:
            chain.check()
        finally:
            chain.close()
    _write_config(settings, contract)
    return contract


def _write_config(settings: Settings, contract: ContractRef) -> None:
    """Keep what `initialise` settled; a file that is there is the user's."""
    path = settings.data / CONFIG
    if path.exists():
        return
    lines = [f'contract = "{contract.address}"', f"chain_id = {contract.chain_id}"]
    lines += [f'rpc = "{settings.rpc}"'] if settings.rpc else []
    lines += [f'database = "{settings.database}"'] if settings.database else []
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)  # a database URL may hold a password


@contextmanager
def open_ledger(settings: Settings, *, service: bool = False) -> Iterator[Wired]:
    """The ledger in the data folder, with its chain; a managed chain runs while this is open.

    Args:
        service: count and trace the work, as settings and environment say.

    Raises:
        InputError: the folder is not initialised.
        Unavailable: the store or the managed chain does not start.
    """
    from ledger.adapters.evm import EvmAnchorer, EvmChain, address_of

    contract = _contract(settings)
    with ExitStack() as stack:
        store = stack.enter_context(_store(settings))
        rpc = stack.enter_context(_rpc(settings))
        chain = EvmChain(rpc, contract, settings.rpc_timeout_seconds)
        stack.callback(chain.close)
        operator_key = EvmKeyFile(settings.operator_key_file).load()
        keyring, clock = FileKeyring(settings.data / "keys" / "logs"), SystemClock()
        meter = _meter(store, clock, settings) if service and settings.metrics != "off" else None
        pipeline = Pipeline(
            store=store,
            chain=chain,
            anchorer=EvmAnchorer(chain, operator_key),
            keyring=keyring,
            clock=clock,
            random_bytes=DrawnAhead(),
            policy=settings.policy,
            meter=meter or NO_METER,
            tracer=stack.enter_context(_tracer()) if service else NO_TRACER,
        )
        yield Wired(
            settings=settings,
            store=store,
            chain=chain,
            keyring=keyring,
            clock=clock,
            pipeline=pipeline,
            registrar=_registrar(settings, chain),
            operator=address_of(operator_key),
            exposition=meter,
        )


def _meter(store: Store, clock: Clock, settings: Settings) -> PrometheusMeter:
    from ledger.adapters.prometheus import PrometheusMeter

    def read() -> list[Vitals]:
        now = clock.now()
        return [vitals_of(store, log.origin, now, settings.policy) for log in store.logs()]

    meter = PrometheusMeter()
    meter.watch(read)
    return meter


@contextmanager
def _tracer() -> Iterator[Tracer]:
    """OpenTelemetry's, if its environment names an endpoint for traces and its SDK is installed."""
    if not _traces_wanted(os.environ):
        yield NO_TRACER
        return
    try:
        from ledger.adapters.opentelemetry import OpenTelemetryTracer
    except ImportError:
        log.warning("traces are wanted, but the extra otel is not installed")
        yield NO_TRACER
        return
    tracer = OpenTelemetryTracer()
    try:
        yield tracer
    finally:
        tracer.close()


def _traces_wanted(environment: Mapping[str, str]) -> bool:
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    named = any(environment.get(name) for name in endpoints)
    return named and not off and environment.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"


@contextmanager
def open_node(settings: Settings) -> Iterator[tuple[str, ContractRef]]:
    """URL of the ledger's own node, and its contract; a managed chain runs while this is open."""
    contract = _contract(settings)
    with _rpc(settings) as rpc:
        yield rpc, contract


@contextmanager
def open_store_only(settings: Settings) -> Iterator[tuple[Store, Keyring, Clock]]:
    """The store and the keys alone, for commands that need no chain."""
    _contract(settings)
    with _store(settings) as store:
        yield store, FileKeyring(settings.data / "keys" / "logs"), SystemClock()


@contextmanager
def open_chain(rpc: str, address: str, chain_id: int | None = None, timeout: float = 10.0) -> Iterator[Chain]:
    """A verifier's view of a contract through a node of the verifier's choice. Needs no data folder.

    Args:
        chain_id: that the node must have; None for whatever it has.
    """
    from ledger.adapters.evm import EvmChain, chain_id_of

    if chain_id is None:
        chain_id = chain_id_of(rpc, timeout)
    chain = EvmChain(rpc, ContractRef(chain_id, address), timeout)
    try:
        chain.check()
        yield chain
    finally:
        chain.close()


def create_party_key(path: Path, party: PartyId) -> Signer:
    """A party's key pair in a file of its own, made once. Needs no data folder.

    Raises:
        InputError: the file holds something else, or cannot be written.
    """
    return SignerFile(path).load_or_create(party)


def party_signer(path: Path, party: PartyId) -> Signer:
    """A party's key pair out of a file. Raises NotFound, or MalformedInput if the file holds something else."""
    return SignerFile(path).load(party)


def now() -> int:
    """This machine's time, Unix milliseconds."""
    return SystemClock().now()


def id_secret(settings: Settings) -> bytes:
    """The secret under which ids name resources, which the data folder keeps; made once.

    Raises:
        InputError: the folder is not initialised, or the secret cannot be read.
    """
    _contract(settings)
    return SecretFile(settings.id_secret_file).load_or_create()


def metrics_secret(settings: Settings) -> str | None:
    """What who scrapes metrics must show; made once. None if nobody must show anything.

    Raises:
        InputError: the secret cannot be read.
    """
    if settings.metrics != "secret":
        return None
    return SecretFile(settings.metrics_secret_file).load_or_create().hex()


def read_secret(path: Path) -> bytes:
    """A secret in a file of its own. Raises NotFound, or MalformedInput if the file holds something else."""
    return SecretFile(path).load()


def postgresql_permissions(conninfo: str) -> Iterator[bytes]:
    """The permissions of a running PostgreSQL. See `ledger.adapters.postgresql_grants.read_permissions`."""
    from ledger.adapters.postgresql_grants import read_permissions

    return read_permissions(conninfo)


def _contract(settings: Settings) -> ContractRef:
    if settings.contract is None:
        raise InputError(
            f"{settings.data} is not initialised",
            expected=f"a contract in {settings.data / CONFIG}",
            advice=f"Run `transfer-ledger --data {settings.data} init`.",
        )
    return ContractRef(settings.chain_id, settings.contract)


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    from ledger.adapters.sql import open_store

    store = open_store(settings.database_url)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _rpc(settings: Settings) -> Iterator[str]:
    """The node's URL: the one in the settings, or a managed Anvil whose accounts need no funds of their own."""
    if settings.rpc is not None:
        yield settings.rpc
        return
    from ledger.adapters.anvil import ManagedAnvil, fund
    from ledger.adapters.evm import address_of

    with ManagedAnvil(settings.data / "chain", chain_id=settings.chain_id) as rpc:
        for file in (settings.operator_key_file, settings.registrar_key_file):
            fund(rpc, address_of(EvmKeyFile(file).load()))
        yield rpc


def _registrar(settings: Settings, chain: EvmChain) -> Registrar | None:
    """None where the registrar's key is somebody else's, as it should be in production."""
    from ledger.adapters.evm import EvmRegistrar

    try:
        return EvmRegistrar(chain, EvmKeyFile(settings.registrar_key_file).load())
    except NotFound:
        return None
