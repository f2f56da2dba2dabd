"""Access records: kept as numbers of terms, found by sets of places.

What an access can be filtered by (`ACCESS_FILTERS`) is kept once as a term; a posting says which accesses of a block of
positions have the term (`bits`). Filters are answered by intersecting the postings of their terms, block by block in
the order of positions, until the page is full. So however many filters there are, and however often each of them holds,
a page costs its own rows and at most one small posting for each filter and block; a term that no access has costs one
look-up.

Time is no term. A block says between which times its accesses are, so blocks outside of the span are passed over, and
those inside need no more looking. Of the others, a span in which at most `FEW` accesses lie is answered by the index
on time, and what is left by reading the times of those that the terms leave over.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from ledger.adapters.sql import codec, reading
from ledger.adapters.sql.bits import BLOCK, block_of, gather, pack, places, unpack
from ledger.adapters.sql.columns import AnyQuery, AnyRow, clip
from ledger.adapters.sql.rows import AccessRow, BlockRow, PostingRow, TermRow
from ledger.adapters.sql.rows import Row as TableRow
from ledger.entry import Phase
from ledger.records import ACCESS_FILTERS, AccessRecord, ViewFilter
from ledger.types import PartyId, Position

TERMS = (*ACCESS_FILTERS, "reason", "source_address", "cipher", "completeness")
"""Members that are kept as numbers of terms; of those that cannot be filtered by there are no postings."""

FEW = 5000
"""Accesses in a span of time up to which the index on time is asked, and their places held in memory."""
BLOCKS_AT_ONCE = 32
ONE_BY_ONE = 1000
"""Accesses of a block up to which their times are looked up one by one; from there on the block's are read."""

_access = AccessRow.table().c
_AT = {column.name: at for at, column in enumerate(AccessRow.table().columns) if column.name in TERMS}
"""Where a row has its terms."""
_term = TermRow.table().c
_posting = PostingRow.table().c
_block = BlockRow.table().c


def term_tag(member: str, text: str) -> bytes:
    """What a term is looked up by: 192 bits of SHA-256 over the member's name and the text.

    Of two texts of one tag, one would be shown in place of the other. Whoever writes both looks for such a pair in 2^96
    steps; of 128 bits it would be 2^64, which can be bought.
    """
    return hashlib.sha256(f"{member}\0{text}".encode("utf-8", "surrogatepass")).digest()[:24]


# --- Taking accesses in


def keep(connection: Connection, log: int, records: Sequence[AccessRecord]) -> None:
    """Add the rows of these records, in the order of their positions, and what finds them."""
    if not records:
        return
    numbers = _number_terms(connection, log, records)
    rows = [_row(log, record, numbers) for record in records]
    connection.execute(insert(AccessRow.table()), rows)
    _post(connection, log, rows)
    _span(connection, log, rows)


def _texts(record: AccessRecord) -> Iterator[tuple[str, str]]:
    for member in TERMS:
        if (text := getattr(record, member)) is not None:
            yield member, str(text)


def _number_terms(
    connection: Connection, log: int, records: Iterable[AccessRecord]
) -> dict[tuple[str, str], int]:
    """The number of each term. New ones are counted on in the order in which they first come: always the same one."""
    texts = dict.fromkeys(term for record in records for term in _texts(record))
    tags = {term: term_tag(*term) for term in texts}
    known = reading.look_up(connection, log, _term.tag, _term.id, list(tags.values()))
    if new := [term for term in texts if tags[term] not in known]:
        highest = select(func.coalesce(func.max(_term.id), 0)).where(_term.log == log)
        first = connection.execute(highest).scalar_one() + 1
        rows = [
            {"log": log, "id": id, "tag": tags[term], "text": term[1]} for id, term in enumerate(new, first)
        ]
        connection.execute(insert(TermRow.table()), rows)
        known |= {row["tag"]: row["id"] for row in rows}
    return {term: known[tag] for term, tag in tags.items()}


def _row(log: int, record: AccessRecord, numbers: Mapping[tuple[str, str], int]) -> codec.Stored:
    return {
        "log": log,
        "position": record.position,
        "time": record.time,
        **dict.fromkeys(TERMS),
        **{term[0]: numbers[term] for term in _texts(record)},
        "transferred": record.bytes,
        "class_uid": record.class_uid,
        "raw_sha256": None if record.raw_sha256 is None else bytes.fromhex(record.raw_sha256),
    }


def _post(connection: Connection, log: int, rows: Sequence[codec.Stored]) -> None:
    """Add the accesses to the postings of their terms."""
    found: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for row in rows:
        block, place = block_of(row["position"])
        for member in ACCESS_FILTERS:
            if (term := row[member]) is not None:
                found[term, block].append(place)
    # Everything before the first of these positions is taken in, so only its block can have been begun.
    begun = block_of(rows[0]["position"])[0]
    terms = [term for term, block in found if block == begun]
    where = (_posting.log == log, _posting.block == begun)
    kept: dict[int, bytes] = {}
    for some in reading.portions(terms):
        query = select(_posting.term, _posting.places).where(*where, _posting.term.in_(some))
        kept |= {row.term: row.places for row in connection.execute(query)}
    values = [
        {
            "log": log,
            "term": term,
            "block": block,
            "places": pack(gather(added) | (unpack(kept[term]) if block == begun and term in kept else 0)),
        }
        for (term, block), added in found.items()
    ]
    put(connection, PostingRow, values)


def _span(connection: Connection, log: int, rows: Sequence[codec.Stored]) -> None:
    """Add the accesses to their blocks."""
    found: defaultdict[int, list[codec.Stored]] = defaultdict(list)
    for row in rows:
        found[block_of(row["position"])[0]].append(row)
    begun = min(found)
    query = select(BlockRow.table()).where(_block.log == log, _block.block == begun)
    kept = connection.execute(query).one_or_none()
    values = []
    for block, inside in found.items():
        bits, times = gather(block_of(row["position"])[1] for row in inside), [row["time"] for row in inside]
        if kept is not None and block == begun:
            bits, times = bits | unpack(kept.places), [*times, kept.first_time, kept.last_time]
        values.append(
            {
                "log": log,
                "block": block,
                "places": pack(bits),
                "first_time": min(times),
                "last_time": max(times),
            }
        )
    put(connection, BlockRow, values)


def put(connection: Connection, row: type[TableRow], values: Sequence[codec.Stored]) -> None:
    """Insert rows, or put them in the place of those with the same key."""
    make: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    table = row.table()
    put = make(table)
    others = {column.name: put.excluded[column.name] for column in table.columns if not column.primary_key}
    connection.execute(put.on_conflict_do_update(index_elements=list(table.primary_key), set_=others), values)


# --- Finding them


def list_records(
    connection: Connection, log: int, which: ViewFilter, after: Position | None, limit: int
) -> list[AccessRecord]:
    """Accesses that match, in order of position, those after `after` only, at most `limit`."""
    terms = terms_asked(connection, log, which.equal)
    if terms is None:
        return []
    found = matching(connection, log, list(terms.values()), which, 0 if after is None else after + 1)
    return read(connection, log, list(islice(found, limit)))


def terms_asked(connection: Connection, log: int, equal: Mapping[str, str | bool]) -> dict[str, int] | None:
    """The terms that are asked for, by member; None if there is one that no access has."""
    if strange := set(equal) - set(ACCESS_FILTERS):
        raise ValueError(f"accesses cannot be listed by {sorted(strange)}")
    tags = {member: term_tag(member, str(text)) for member, text in equal.items()}
    known = reading.look_up(connection, log, _term.tag, _term.id, list(tags.values()))
    if len(known) < len(tags):
        return None
    return {member: known[tag] for member, tag in tags.items()}


def matching(
    connection: Connection, log: int, terms: Sequence[int], which: ViewFilter, start: int
) -> Iterator[int]:
    """Positions from `start` on of the accesses that have all terms and are in the span of time, ascending."""
    limited = which.since is not None or which.until is not None
    few = _few_in_time(connection, log, which) if limited else None
    first, place = block_of(clip(start))
    for row in _blocks(connection, _candidates(log, terms, which), first, few):
        bits = unpack(row.places)
        for posting in row[4:]:
            bits &= unpack(posting)
        if few is not None:
            bits &= few[row.block]
        elif limited and not _is_within(row.first_time, row.last_time, which):
            bits = _in_time(connection, log, row.block, bits, which)
        yield from (row.block * BLOCK + at for at in places(bits, place if row.block == first else 0))


def _blocks(
    connection: Connection, query: AnyQuery, first: int, few: Mapping[int, int] | None
) -> Iterator[AnyRow]:
    """The candidates' blocks from `first` on, ascending; only those of `few` if there is such."""
    if few is not None:
        for some in reading.portions(sorted(block for block in few if block >= first)):
            yield from connection.execute(query.where(_block.block.in_(some))).all()
        return
    while rows := connection.execute(query.where(_block.block >= first).limit(BLOCKS_AT_ONCE)).all():
        yield from rows
        first = rows[-1].block + 1


def _candidates(log: int, terms: Sequence[int], which: ViewFilter) -> AnyQuery:
    """Blocks with the postings of all terms that may hold accesses in the span of time."""
    source: Any = BlockRow.table()
    columns = []
    for number, term in enumerate(terms):
        posting = PostingRow.table().alias(f"posting_{number}")
        source = source.join(
            posting,
            (posting.c.log == _block.log) & (posting.c.term == term) & (posting.c.block == _block.block),
        )
        columns.append(posting.c.places.label(f"places_{number}"))
    where = [_block.log == log]
    if which.since is not None:
        where.append(_block.last_time >= clip(which.since))
    if which.until is not None:
        where.append(_block.first_time < clip(which.until))
    return (
        select(_block.block, _block.places, _block.first_time, _block.last_time, *columns)
        .select_from(source)
        .where(*where)
        .order_by(_block.block)
    )


def _is_within(first: int, last: int, which: ViewFilter) -> bool:
    return (which.since is None or which.since <= first) and (which.until is None or last < which.until)


def _within(which: ViewFilter) -> list[ColumnElement[bool]]:
    where = []
    if which.since is not None:
        where.append(_access.time >= clip(which.since))
    if which.until is not None:
        where.append(_access.time < clip(which.until))
    return where


def _few_in_time(connection: Connection, log: int, which: ViewFilter) -> dict[int, int] | None:
    """The accesses in the span of time as sets of places by block; None if they are not few."""
    query = select(_access.position).where(_access.log == log, *_within(which))
    positions = connection.execute(query.order_by(_access.time).limit(FEW + 1)).scalars().all()
    if len(positions) > FEW:
        return None
    found: defaultdict[int, list[int]] = defaultdict(list)
    for position in positions:
        block, place = block_of(position)
        found[block].append(place)
    return {block: gather(inside) for block, inside in found.items()}


def _in_time(connection: Connection, log: int, block: int, bits: int, which: ViewFilter) -> int:
    """Those accesses of a block that are in the span of time."""
    start = block * BLOCK
    query = select(_access.position).where(_access.log == log, *_within(which))
    if bits.bit_count() > ONE_BY_ONE:
        # The times are compared here: asked for a span of them, a planner may read all of its accesses.
        near = select(_access.position, _access.time).where(
            _access.log == log, _access.position >= start, _access.position < start + BLOCK
        )
        return bits & gather(
            row.position - start for row in connection.execute(near) if _is_within(row.time, row.time, which)
        )
    found: list[int] = []
    for some in reading.portions([start + place for place in places(bits)]):
        found += connection.execute(query.where(_access.position.in_(some))).scalars()
    return gather(position - start for position in found)


# --- Reading them


def read(connection: Connection, log: int, positions: Sequence[int]) -> list[AccessRecord]:
    """The records at these positions, ascending; one that is not there is left out."""
    rows: list[AnyRow] = []
    for some in reading.portions(positions):
        query = select(AccessRow.table()).where(_access.log == log, _access.position.in_(some))
        rows += connection.execute(query)
    rows.sort(key=lambda row: int(row.position))
    return records(connection, log, rows)


def records(connection: Connection, log: int, rows: Sequence[AnyRow]) -> list[AccessRecord]:
    """The records of these rows."""
    texts: dict[int, str] = {}
    numbers = {row[at] for row in rows for at in _AT.values()} - {None}
    for some in reading.portions(sorted(numbers)):
        query = select(_term.id, _term.text).where(_term.log == log, _term.id.in_(some))
        texts.update({row.id: row.text for row in connection.execute(query)})

    def access_record(row: AnyRow) -> AccessRecord:
        return _record(row, texts)

    return codec.read_all(rows, access_record)


def _record(row: AnyRow, texts: Mapping[int, str]) -> AccessRecord:
    told: dict[str, Any] = {member: texts.get(row[at]) for member, at in _AT.items()}
    if any(text is None and row[_AT[member]] is not None for member, text in told.items()):
        raise ValueError("a term that is not there")
    told |= {"phase": Phase(told["phase"]), "party": PartyId(told["party"])}
    raw = row.raw_sha256
    return AccessRecord(
        position=Position(row.position),
        time=row.time,
        bytes=row.transferred,
        class_uid=row.class_uid,
        raw_sha256=None if raw is None else raw.hex(),
        **told,
    )


def list_by_time(
    connection: Connection, log: int, which: ViewFilter, after: tuple[int, int] | None, limit: int
) -> list[AccessRecord]:
    """Accesses that match, in order of time and position, those after this one only, at most `limit`."""
    terms = terms_asked(connection, log, which.equal)
    if terms is None:
        return []
    return records(connection, log, connection.execute(_by_time(log, which, terms, after, limit)).all())


def _by_time(
    log: int, which: ViewFilter, terms: Mapping[str, int], after: tuple[int, int] | None, limit: int
) -> AnyQuery:
    query = select(AccessRow.table()).where(_access.log == log, *_within(which))
    query = query.where(*(_access[member] == term for member, term in terms.items()))
    if after is not None:
        time, position = map(clip, after)
        query = query.where(_access.time >= time, (_access.time > time) | (_access.position > position))
    return query.order_by(_access.time, _access.position).limit(clip(limit))


# --- Checking them


@dataclass
class Check:
    """Holds terms, postings and blocks against the rows, portion by portion, and lastly counts them."""

    log: int
    seen: set[int] = field(default_factory=set)
    postings: int = 0
    blocks: int = 0

    def problems(self, connection: Connection) -> Iterator[str]:
        """Every place where they are not what the rows give."""
        start = -1
        while (found := self._next_block(connection, start)) is not None:
            if (found + 1) * BLOCK <= start + 1:  # a damaged index answers what was not asked, for ever
                yield f"log {self.log}: accesses are not in order"
                return
            start = (found + 1) * BLOCK - 1
            yield from self._check_block(connection, found)
        for row, expected in (
            (TermRow, len(self.seen)),
            (PostingRow, self.postings),
            (BlockRow, self.blocks),
        ):
            table = row.table()
            query = select(func.count()).select_from(table).where(table.c.log == self.log)
            if (kept := connection.execute(query).scalar_one()) != expected:
                yield f"log {self.log}: {kept} rows in {table.name}, not {expected}"

    def _next_block(self, connection: Connection, after: int) -> int | None:
        query = select(func.min(_access.position)).where(_access.log == self.log, _access.position > after)
        position = connection.scalar(query)
        return None if position is None else block_of(position)[0]

    def _check_block(self, connection: Connection, block: int) -> Iterator[str]:
        log, start = self.log, block * BLOCK
        query = select(AccessRow.table()).where(
            _access.log == log, _access.position >= start, _access.position < start + BLOCK
        )
        rows = connection.execute(query).all()
        sets: defaultdict[int, list[int]] = defaultdict(list)
        members: dict[int, str] = {}
        for row in rows:
            for member, at in _AT.items():
                if (term := row[at]) is not None:
                    members[term] = member
                    if member in ACCESS_FILTERS:
                        sets[term].append(row.position - start)
        self.postings += len(sets)
        self.blocks += 1
        yield from self._check_terms(connection, members)
        times = [row.time for row in rows]
        kept = connection.execute(
            select(_block.places, _block.first_time, _block.last_time).where(
                _block.log == log, _block.block == block
            )
        ).one_or_none()
        span = (pack(gather(row.position - start for row in rows)), min(times), max(times))
        if kept is None or tuple(kept) != span:
            yield f"log {log}: block {block} of the accesses is not what its rows give"
        for some in reading.portions(sorted(sets)):
            found = select(_posting.term, _posting.places).where(
                _posting.log == log, _posting.block == block, _posting.term.in_(some)
            )
            postings = {row.term: row.places for row in connection.execute(found)}
            for term in some:
                if postings.get(term) != pack(gather(sets[term])):
                    yield f"log {log}: the posting of term {term} in block {block} is not what the rows give"

    def _check_terms(self, connection: Connection, members: Mapping[int, str]) -> Iterator[str]:
        for some in reading.portions(sorted(members.keys() - self.seen)):
            query = select(_term.id, _term.tag, _term.text).where(_term.log == self.log, _term.id.in_(some))
            kept = {row.id: row for row in connection.execute(query)}
            for id in some:
                if id not in kept or kept[id].tag != term_tag(members[id], kept[id].text):
                    yield f"log {self.log}: term {id} of the accesses is not there or carries another tag"
        self.seen |= members.keys()
