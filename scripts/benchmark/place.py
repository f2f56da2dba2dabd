"""Where a run works: a folder of its own, a PostgreSQL server, a chain with the contract, and ledgers.

Each is made when it is first asked for, and is gone when the run ends. All ledgers anchor in one contract on one
managed Anvil, each with an operator's key and a log of its own.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psycopg
from support.postgres import running_postgres

from benchmark.meters import Figures
from benchmark.processes import Server, serving
from ledger.adapters.anvil import ManagedAnvil, fund
from ledger.adapters.evm import address_of
from ledger.adapters.keys import EvmKeyFile
from ledger.bootstrap import Wired, create_api_key, initialise, open_ledger, open_store_only
from ledger.records import Party, Role, Scope
from ledger.settings import CONFIG, PREFIX, Settings
from ledger.types import Origin, PartyId, parse_origin

if TYPE_CHECKING:
    from benchmark.filling import Filled, Wanted
    from benchmark.show import Show
    from benchmark.sizes import Sizes

SQLITE, POSTGRESQL = "sqlite", "postgresql"
DATABASES = (SQLITE, POSTGRESQL)
PROGRAM = str(Path(sys.executable).with_name("transfer-ledger"))
_AT_ONCE = {f"{PREFIX}UNREADY_SECONDS": "0"}
"""A server ends when it is told to: there is no load balancer that would have to hear of it first."""
PARTY = Party(PartyId("acme"), "ACME Live", Role.PLATFORM, "CN")


@dataclass(frozen=True, slots=True)
class Home:
    """A ledger's data folder, with its database and its one log."""

    data: Path
    kind: str
    database: str
    origin: Origin

    @classmethod
    def of(cls, data: str, kind: str, database: str, origin: str) -> Self:
        """What `arguments` says."""
        return cls(Path(data), kind, database, Origin(origin))

    def arguments(self) -> Figures:
        """For a function that runs apart."""
        return {"data": str(self.data), "kind": self.kind, "database": self.database, "origin": self.origin}

    def open(self, **settings: Any) -> AbstractContextManager[Wired]:
        """The ledger in this process."""
        return open_ledger(Settings.load(data=self.data, **settings))

    def api_key(self, *scopes: Scope) -> str:
        with open_store_only(Settings.load(data=self.data)) as (store, _, clock):
            return create_api_key(store, clock, PARTY.id, self.origin, frozenset(scopes))

    @contextmanager
    def served(self, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
        """The ledger's API as a process of its own: `transfer-ledger serve`."""
        with serving(
            lambda port: [PROGRAM, "--data", str(self.data), "serve", "--port", port, *options],
            "/readyz",
            self.data / "serve.log",
            {**_AT_ONCE, **(environment or {})},
        ) as server:
            yield server


class Place:
    """One run's. `stack` ends what is started."""

    def __init__(self, folder: Path, sizes: Sizes, show: Show, stack: ExitStack) -> None:
        self.folder = folder
        self.sizes = sizes
        self.show = show
        self.log = folder / "programs.log"
        self._stack = stack
        self.filled: dict[Wanted, Filled] = {}
        """Ledgers that several parts read (`filling`)."""

    @cached_property
    def postgres(self) -> str:
        """URL of the server's own database."""
        return self._stack.enter_context(running_postgres())

    @cached_property
    def chain(self) -> Settings:
        """The ledger whose `init` made the contract; a node runs."""
        data = self.folder / "chain"
        rpc = self._stack.enter_context(ManagedAnvil(data / "chain"))
        settings = Settings.load(data=data, rpc=rpc)
        for file in (settings.operator_key_file, settings.registrar_key_file):
            fund(rpc, address_of(EvmKeyFile(file).load_or_create()))
        initialise(settings)
        return Settings.load(data=data)

    def database(self, kind: str, name: str) -> str:
        """URL of a new, empty database."""
        if kind == SQLITE:
            return f"sqlite:///{self.folder / name}.db"
        with psycopg.connect(driver_url(self.postgres), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.postgres.replace("/postgres?", f"/{name}?")

    def drop(self, home: Home) -> None:
        """Remove a ledger that nobody reads any more."""
        shutil.rmtree(home.data, ignore_errors=True)
        if home.database.startswith("sqlite"):
            for file in self.folder.glob(f"{Path(home.database).name}*"):
                file.unlink()
            return
        name = home.database.rpartition("/postgres@/")[2].partition("?")[0]
        with psycopg.connect(driver_url(self.postgres), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def ledger(self, kind: str, name: str) -> Home:
        """A new ledger with a party and an empty log."""
        name = f"{name}-{kind}"
        origin = parse_origin(f"ledger.example/{name}")
        data, database = self.folder / name, self.database(kind, name)
        chain = self.chain
        data.mkdir(mode=0o700)
        (data / CONFIG).write_text(
            f'contract = "{chain.contract}"\nrpc = "{chain.rpc}"\ndatabase = "{database}"\n'
            f'registrar_key = "{chain.registrar_key_file}"\n'
        )
        operator = EvmKeyFile(Settings.load(data=data).operator_key_file).load_or_create()
        fund(str(chain.rpc), address_of(operator))
        home = Home(data, kind, database, origin)
        with home.open() as ledger:
            ledger.store.add_party(PARTY)
            ledger.create_log(origin, PARTY.id)
        return home


def driver_url(url: str) -> str:
    """A database URL of SQLAlchemy's as psycopg takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://")
