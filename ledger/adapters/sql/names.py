"""Words that recur in a log's events — types, phases, subjects, parties — as numbers."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, insert, select

from ledger.adapters.sql import reading
from ledger.adapters.sql.rows import NameRow

_TABLE = NameRow.table()
_name = _TABLE.c


def numbers(connection: Connection, log: int, words: Iterable[str]) -> dict[str, int]:
    """The numbers of these words; those that are new get one. Call it under the log's lock."""
    wanted = sorted(set(words))
    known: dict[str, int] = reading.look_up(connection, log, _name.text, _name.id, wanted)
    if new := [word for word in wanted if word not in known]:
        highest = select(func.coalesce(func.max(_name.id), 0)).where(_name.log == log)
        first = connection.execute(highest).scalar_one() + 1
        given = dict(zip(new, range(first, first + len(new)), strict=True))
        connection.execute(
            insert(_TABLE), [{"log": log, "id": id, "text": word} for word, id in given.items()]
        )
        known |= given
    return known
