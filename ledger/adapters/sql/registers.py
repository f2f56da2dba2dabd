"""The registers: parties, logs and API keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.adapters.sql import codec
from ledger.adapters.sql.columns import AnyQuery, AnyRow
from ledger.adapters.sql.engine import Database
from ledger.adapters.sql.rows import ApiKeyRow, HeadRow, LogRow, PartyKeyRow, PartyRow, ProjectionRow
from ledger.adapters.sql.rows import Row as TableRow
from ledger.errors import AlreadyExists, NotFound
from ledger.records import ApiKey, Log, Party, PartyKey
from ledger.types import Origin, PartyId

T = TypeVar("T")

_party = PartyRow.table().c
_party_key = PartyKeyRow.table().c
_log = LogRow.table().c
_api_key = ApiKeyRow.table().c

_PARTIES = select(PartyRow.table())
_PARTY_KEYS = select(PartyKeyRow.table())
_LOGS = select(LogRow.table())
_API_KEYS = select(*(column for column in _api_key), _log.origin).join_from(
    ApiKeyRow.table(), LogRow.table(), _api_key.log == _log.id
)


class Registers:
    """The part of the store that knows who is there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[Origin, int] = {}

    def add_party(self, party: Party) -> None:
        with self._database.writing() as connection:
            _register(
                connection,
                PartyRow,
                codec.party_row(party),
                lambda: _one(connection, _PARTIES, _party.id == party.id, codec.party),
                party,
            )

    def party(self, id: PartyId) -> Party:
        with self._database.reading() as connection:
            return _one(connection, _PARTIES, _party.id == id, codec.party)

    def parties(self) -> list[Party]:
        with self._database.reading() as connection:
            return codec.read_all(connection.execute(_PARTIES.order_by(_party.id)), codec.party)

    def add_party_key(self, key: PartyKey) -> None:
        with self._database.writing() as connection:
            _one(connection, _PARTIES, _party.id == key.party, codec.party)
            _register(
                connection,
                PartyKeyRow,
                codec.party_key_row(key),
                lambda: _one(connection, _PARTY_KEYS, _is_party_key(key), codec.party_key),
                key,
            )

    def end_party_key(self, key: PartyKey, at: int) -> None:
        with self._database.writing() as connection:
            kept = _one(connection, _PARTY_KEYS.with_for_update(), _is_party_key(key), codec.party_key)
            if kept.valid_until is None:
                values = codec.party_key_row(replace(kept, valid_until=at))
                connection.execute(update(PartyKeyRow.table()).where(_is_party_key(key)).values(values))

    def party_keys(self, party: PartyId) -> list[PartyKey]:
        query = _PARTY_KEYS.where(_party_key.party == party)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(_party_key.valid_from, _party_key.verifier_key))
            return codec.read_all(rows, codec.party_key)

    def add_log(self, log: Log) -> None:
        with self._database.writing() as connection:
            _one(connection, _PARTIES, _party.id == log.party, codec.party)
            _register(
                connection,
                LogRow,
                codec.log_row(log),
                lambda: _one(connection, _LOGS, _log.origin == log.origin, codec.log),
                log,
            )
            number = _number(connection, log.origin)
            zero = {column.name: 0 for column in HeadRow.table().c}
            _insert_new(connection, HeadRow, {**zero, "log": number})
            _insert_new(connection, ProjectionRow, {"log": number, "projected": 0, "dropped": 0})

    def log(self, origin: Origin) -> Log:
        with self._database.reading() as connection:
            return _one(connection, _LOGS, _log.origin == origin, codec.log)

    def logs(self) -> list[Log]:
        with self._database.reading() as connection:
            return codec.read_all(connection.execute(_LOGS.order_by(_log.origin)), codec.log)

    def add_api_key(self, key: ApiKey) -> None:
        with self._database.writing() as connection:
            _one(connection, _PARTIES, _party.id == key.party, codec.party)
            _register(
                connection,
                ApiKeyRow,
                codec.api_key_row(key, _number(connection, key.origin)),
                lambda: _one(connection, _API_KEYS, _api_key.id == key.id, codec.api_key),
                key,
            )

    def api_key(self, id: str) -> ApiKey:
        with self._database.reading() as connection:
            return _one(connection, _API_KEYS, _api_key.id == id, codec.api_key)

    def api_keys(self) -> list[ApiKey]:
        with self._database.reading() as connection:
            return codec.read_all(connection.execute(_API_KEYS.order_by(_api_key.id)), codec.api_key)

    def revoke_api_key(self, id: str, now: int) -> None:
        with self._database.writing() as connection:
            query = select(ApiKeyRow.table()).where(_api_key.id == id).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                raise _not_found("API key")
            if row.revoked is None:
                values = codec.digested(ApiKeyRow, {**row._asdict(), "revoked": now})
                connection.execute(update(ApiKeyRow.table()).where(_api_key.id == id).values(values))

    def _number_of(self, origin: Origin) -> int:
        """The log's number in this database, which never changes, so it is asked for once. Raises NotFound."""
        if origin not in self._numbers:
            with self._database.reading() as connection:
                self._numbers[origin] = _number(connection, origin)
        return self._numbers[origin]


def _is_party_key(key: PartyKey) -> ColumnElement[bool]:
    return (_party_key.party == key.party) & (_party_key.verifier_key == key.verifier_key)


def _register(
    connection: Connection, row: type[TableRow], values: codec.Stored, find: Callable[[], T], value: T
) -> None:
    """Insert a row unless one of its name is there; then that one must be equal."""
    if not _insert_new(connection, row, values) and find() != value:
        kind = type(value).__name__
        raise AlreadyExists(f"another {kind} of that name is registered already")


def _insert_new(connection: Connection, row: type[TableRow], values: codec.Stored) -> bool:
    """Whether the row was new. Waits for whoever is inserting the same at this moment."""
    make: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    table = row.table()
    key = next(iter(table.primary_key.columns))
    inserted = connection.execute(make(table).values(values).on_conflict_do_nothing().returning(key))
    return inserted.first() is not None


def _number(connection: Connection, origin: Origin) -> int:
    number: int | None = connection.scalar(select(_log.id).where(_log.origin == origin))
    if number is None:
        raise _not_found("log")
    return number


def _one(
    connection: Connection, query: AnyQuery, where: ColumnElement[bool], make: Callable[[AnyRow], T]
) -> T:
    row = connection.execute(query.where(where)).one_or_none()
    if row is None:
        raise _not_found(make.__name__.replace("_", " "))
    return codec.read(row, make)


def _not_found(kind: str) -> NotFound:
    return NotFound(f"no such {kind}")
