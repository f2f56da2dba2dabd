"""The log itself: entries under their leaf hashes, some of them to a row (*entry bundles*, as in C2SP `tlog-tiles`).

A row for each entry would cost more than the entry: bundled, they are written as few large rows, and what they repeat
is squeezed once. A bundle holds what was appended together, at most `MOST` events, and no more than `BYTES` of them
unless one event alone has more: that much is read to read one. Bundles tile a log, and never change; what may be
erased, disclosures, is beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import ARRAY, Connection, func, literal, select, true

from ledger.adapters.sql import driver
from ledger.adapters.sql.columns import UNREADABLE, AnyQuery, AnyRow, clip
from ledger.adapters.sql.packing import pack, unpack
from ledger.adapters.sql.rows import BundleRow, DisclosuresRow
from ledger.errors import IntegrityError
from ledger.types import Digest

MOST = 64
"""Events of a bundle."""

BYTES = 128 << 10
"""Of a bundle's entries and disclosures, before they are squeezed."""

BUNDLES_AT_ONCE = 64
"""Those that are read by one statement."""

LEAF = Digest.SIZE

_bundle = BundleRow.table().c
_disclosures = DisclosuresRow.table().c

_CONTENTS = select(
    _bundle.first, _bundle.count.label("count_"), _bundle.leaves, _bundle.entries, _disclosures.packed
).select_from(
    BundleRow.table().outerjoin(
        DisclosuresRow.table(), (_disclosures.log == _bundle.log) & (_disclosures.bundle == _bundle.first)
    )
)
"""Rows for `_read`."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is kept of events `first` and following: leaf hashes, entries, joined disclosures (`packing.joined`)."""

    first: int
    leaves: bytes
    entries: Sequence[bytes]
    disclosures: Sequence[bytes]

    def at(self, position: int) -> tuple[bytes, bytes, bytes]:
        """Leaf hash, entry and joined disclosures of one event. Raises ValueError if it is of another bundle."""
        place = position - self.first
        if not 0 <= place < len(self.entries):
            raise ValueError("an event of another bundle")
        return self.leaves[LEAF * place : LEAF * (place + 1)], self.entries[place], self.disclosures[place]


def append(
    connection: Connection,
    log: int,
    first: int,
    leaves: Sequence[bytes],
    entries: Sequence[bytes],
    disclosures: Sequence[bytes],
) -> list[int]:
    """Write events from position `first` on: of each its leaf hash, entry and joined disclosures.

    Answers the first position of the bundle of each.
    """
    if not len(leaves) == len(entries) == len(disclosures):
        raise ValueError("other leaf hashes, entries and disclosures than events")
    spans = list(_spans(list(map(int.__add__, map(len, entries), map(len, disclosures)))))
    driver.insert_rows(
        connection,
        BundleRow.table(),
        (
            (
                log,
                first + start,
                stop - start,
                bytearray().join(leaves[start:stop]),
                bytearray(pack(entries[start:stop])),
            )
            for start, stop in spans
        ),
    )
    driver.insert_rows(
        connection,
        DisclosuresRow.table(),
        (
            (log, first + start, bytearray(pack(disclosures[start:stop])))
            for start, stop in spans
            if any(disclosures[start:stop])
        ),
    )
    return [first + start for start, stop in spans for _ in range(start, stop)]


def _spans(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """What goes into one bundle, of events of these sizes."""
    start = 0
    while start < len(sizes):
        stop = min(start + MOST, len(sizes))
        if sum(sizes[start:stop]) > BYTES:
            up_to = accumulate(sizes[start:stop])
            stop = start + max(1, sum(bytes_ <= BYTES for bytes_ in up_to))
        yield start, stop
        start = stop


def read(connection: Connection, log: int, firsts: Iterable[int]) -> Iterator[Bundle]:
    """The bundles that begin at these positions, in no order; what is not there is left out."""
    wanted = sorted(set(firsts))
    for start in range(0, len(wanted), BUNDLES_AT_ONCE):
        some = wanted[start : start + BUNDLES_AT_ONCE]
        yield from map(_read, connection.execute(_contents(connection, log, some)))


def _contents(connection: Connection, log: int, firsts: list[int]) -> AnyQuery:
    """PostgreSQL is asked for each by itself, as in `reading.look_up`."""
    of_log = _CONTENTS.where(_bundle.log == log)
    if connection.dialect.name == "sqlite":
        return of_log.where(_bundle.first.in_(firsts))
    numbers = func.unnest(literal(firsts, ARRAY(_bundle.first.type)))
    wanted = numbers.table_valued("first", name="wanted").render_derived()
    one = of_log.where(_bundle.first == wanted.c.first).limit(1).lateral("one")
    return select(*one.c).select_from(wanted.join(one, true()))


def _read(row: AnyRow) -> Bundle:
    first, count, leaves, entries, packed = row
    try:
        if len(leaves) != LEAF * count:
            raise ValueError("other leaf hashes than events")
        none = [b""] * count
        return Bundle(
            first, leaves, unpack(entries, count), none if packed is None else unpack(packed, count)
        )
    except UNREADABLE:
        raise IntegrityError("stored events cannot be read", got=f"the bundle of {first}") from None


def leaves(connection: Connection, log: int, start: int, stop: int) -> list[bytes]:
    """Leaf hashes of positions `start` to `stop − 1`. Raises IntegrityError if one is missing."""
    if start >= stop:
        return []
    of_log = _bundle.log == log
    begin = select(func.max(_bundle.first)).where(of_log, _bundle.first <= clip(start)).scalar_subquery()
    query = (
        select(_bundle.first, _bundle.count.label("count_"), _bundle.leaves)
        .where(of_log, _bundle.first >= begin, _bundle.first < clip(stop))
        .order_by(_bundle.first)
    )
    found: list[bytes] = []
    end: int | None = None
    for first, count, joined in connection.execute(query):
        try:
            # Shifted by a row that is not whole, they would still give a root, and be anchored under it.
            if count < 1 or len(joined) != LEAF * count or (end is not None and first != end):
                raise ValueError("not the next bundle, or not whole")
            skipped, end = LEAF * max(0, start - first), first + count
            found += [joined[at : at + LEAF] for at in range(skipped, len(joined), LEAF)]
        except UNREADABLE:
            raise IntegrityError("stored leaf hashes cannot be read", got=f"the bundle of {first}") from None
    if len(found) < stop - start:
        raise IntegrityError(
            f"leaves are missing among positions {start} to {stop - 1}", expected=stop - start, got=len(found)
        )
    return found[: stop - start]
