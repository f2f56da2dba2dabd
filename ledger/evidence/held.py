"""What consecutive lines of a package's entries were shown to hold, whichever way it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ledger import native
from ledger.entry import Phase
from ledger.evidence.lines import MAX_LINE
from ledger.evidence.plain import Checked, said_by
from ledger.merkle import leaf_hashes
from ledger.statement import statement_of
from ledger.types import Digest, Origin, PartyId

_PHASES = tuple(map(str, Phase))


@dataclass(slots=True)
class Held:
    """An item of each line in each column, in their order.

    `leaves` are leaf hashes of entries, and `statements` those of what the parties said, one behind the other; there
    are no statements where none are wanted. `received` is Unix milliseconds, `committed` and `shown` count members.
    """

    leaves: bytearray = field(default_factory=bytearray)
    statements: bytearray = field(default_factory=bytearray)
    received: list[int] = field(default_factory=list)
    parties: list[PartyId] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    committed: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.received)

    def add(self, others: Held) -> None:
        """Add the lines behind these."""
        for column in fields(self):
            mine: Any = getattr(self, column.name)
            mine += getattr(others, column.name)

    def cut(self, count: int) -> None:
        """Leave only the first so many lines."""
        for column in fields(self):
            mine: Any = getattr(self, column.name)
            del mine[count * Digest.SIZE if isinstance(mine, bytearray) else count :]


def held_by(lines: Sequence[Checked], origin: Origin, *, signed: bool) -> Held:
    """What these hold, with the leaf hashes of their statements if they are `signed`."""
    if not lines:
        return Held()
    entries, received, parties, phases, types, committed, shown = map(list, zip(*lines, strict=True))
    statements = (
        [statement_of(line.data, origin, line.party, line.received) for line in lines] if signed else []
    )
    return Held(
        bytearray().join(leaf_hashes(entries)),
        bytearray().join(leaf_hashes(statements)),
        received,
        parties,
        phases,
        types,
        committed,
        shown,
    )


def held_natively(
    text: bytes, start: int, first: int, count: int, origin: Origin, *, signed: bool
) -> tuple[Held, int]:
    """What lines in a row hold, up to the first that is not plain, and where in the text that begins.

    Args:
        text: of which the line of position `first` begins at `start`; at most `count` lines are looked at.
        signed: whether the leaf hashes of statements are wanted.
    """
    assert native.library is not None
    plain = native.library.plain_lines(text, start, first, count, longest=MAX_LINE, statements=signed)
    added, types = plain.added, plain.types
    said = {line: said_by(_unescaped(plain.added_text(line)), origin) for line in set(added)}
    if None in said.values():
        others = next(number for number, line in enumerate(added) if said[line] is None)
        return held_natively(text, start, first, others, origin, signed=signed)
    received, parties = zip(*[said[line] or () for line in added], strict=True) if added else ((), ())
    names = {line: plain.type_text(line).decode("ascii") for line in set(types)}
    held = Held(
        bytearray(plain.leaves),
        bytearray(plain.statements),
        list(received),
        list(parties),
        [_PHASES[phase] for phase in plain.phases],
        [names[line] for line in types],
        plain.committed,
        plain.shown,
    )
    return held, plain.end


def _unescaped(text: bytes) -> str:
    return text.replace(b'\\"', b'"').decode("ascii")
