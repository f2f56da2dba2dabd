"""The entries of a package, one after the other: what steps 6 to 8 of `ledger.evidence.check` ask of each by itself.

But for the order of receipt no entry needs the one before it, so runs of lines are checked apart, also by several
processes, and what they hold is added up in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from io import BytesIO
from itertools import count
from typing import Any

from ledger.canonical import Object
from ledger.disclosure import check_disclosures, parse_disclosures
from ledger.entry import Entry, parse_entry
from ledger.errors import InputError, PackageRefuted, VerificationError
from ledger.evidence.lines import MAX_LINE, as_step, check_number, naming, parse_line, string, strings
from ledger.evidence.manifest import ENTRIES, Manifest
from ledger.evidence.plain import Checked, check_plain
from ledger.merkle import leaf_hash
from ledger.statement import statement_of
from ledger.types import Digest, PartyId, digests

_AT_ONCE = 50
"""Lines that are tried together to be plain. If a disclosure is out of form, none of them are."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive lines, of which the first should be of position `first`. As one text they go cheaply to a process."""

    first: int
    text: bytes

    @property
    def lines(self) -> list[bytes]:
        """Each with its end; the last of a member may have none."""
        return BytesIO(self.text).readlines()


@dataclass(slots=True)
class Tally:
    """What a run of lines was shown to hold, as far as it was; `failure` is why not further.

    `leaves`, `received` (Unix milliseconds) and `parties` are the entries', in order; so are `statements`, the leaf
    hashes of what the parties said, but there are none where the package has no signed push. The counts are of entries
    within the period.
    """

    leaves: list[Digest] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    parties: list[PartyId] = field(default_factory=list)
    statements: list[Digest] = field(default_factory=list)
    by_phase: Counter[str] = field(default_factory=Counter)
    by_type: Counter[str] = field(default_factory=Counter)
    disclosed: int = 0
    withheld: int = 0
    failure: VerificationError | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # From one process to another a digest by itself takes longer than computing it.
        members = {item.name: getattr(self, item.name) for item in fields(self)}
        leaves, statements = (b"".join(members.pop(name)) for name in ("leaves", "statements"))
        return _made_again, (leaves, statements, members)


def _made_again(leaves: bytes, statements: bytes, members: dict[str, Any]) -> Tally:
    return Tally(leaves=digests(leaves), statements=digests(statements), **members)


def runs(blocks: Iterable[bytes], first: int) -> Iterator[Run]:
    """All lines of a member that comes in blocks, some at a time. What is too long for a line comes without its end."""
    begun = b""
    for block in blocks:
        whole, end, rest = block.rpartition(b"\n")
        if end:
            yield (run := Run(first, begun + whole + end))
            first, begun = first + run.text.count(b"\n"), rest
        else:
            begun += rest
        if len(begun) > MAX_LINE:
            break
    if begun:
        yield Run(first, begun)


def check_run(manifest: Manifest, run: Run) -> Tally:
    """Check a run of lines by themselves, up to the first that fails."""
    tally = Tally()
    try:
        with naming(step="batches"):
            lines = run.lines
            for start in range(0, len(lines), _AT_ONCE):
                _check_lines(manifest, run.first + start, lines[start : start + _AT_ONCE], tally)
    except VerificationError as error:
        tally.failure = error
    return tally


def check_order(before: int, after: int, position: int) -> None:
    """Raise unless an entry was received no earlier than the one before it."""
    if after < before:
        raise PackageRefuted("an entry was received before the one before it", step="entries", got=position)


def _check_lines(manifest: Manifest, first: int, lines: Sequence[bytes], tally: Tally) -> None:
    for position, line, checked in zip(
        count(first), lines, check_plain(manifest.origin, first, lines), strict=False
    ):
        if checked is not None:
            _check_follows(tally, checked.received, position)
        _add(manifest, tally, checked or _check_line(manifest, position, line, tally))


def _check_line(manifest: Manifest, position: int, line: bytes, before: Tally) -> Checked:
    """What a line holds, in whatever spelling. `before` is of the lines before it."""
    value = parse_line(ENTRIES, line, "position", "entry", "disclosures")
    check_number(value, "position", position, step="batches")
    data = string(value, "entry").encode()
    entry = _read_entry(data, manifest)
    _check_follows(before, entry.received, position)
    shown = _count_disclosures(value, entry)
    phase, type_ = entry.attributes["phase"], entry.attributes["type"]
    return Checked(data, entry.received, entry.party, phase, type_, len(entry.sd), shown)


def _check_follows(before: Tally, received: int, position: int) -> None:
    if before.received:
        check_order(before.received[-1], received, position)


def _add(manifest: Manifest, tally: Tally, line: Checked) -> None:
    data, received, party, phase, type_, committed, shown = line
    tally.leaves.append(leaf_hash(data))
    tally.received.append(received)
    tally.parties.append(party)
    if manifest.signed:
        tally.statements.append(leaf_hash(statement_of(data, manifest.origin, party, received)))
    if manifest.since <= received < manifest.until:
        tally.by_phase[phase] += 1
        tally.by_type[type_] += 1
        tally.disclosed += shown
        tally.withheld += committed - shown


def _read_entry(data: bytes, manifest: Manifest) -> Entry:
    try:
        entry = parse_entry(data)
    except InputError as error:
        raise PackageRefuted(f"an entry is out of form: {error.message}", step="entries") from None
    if entry.origin != manifest.origin:
        raise PackageRefuted(
            "an entry of another log", step="entries", expected=manifest.origin, got=entry.origin
        )
    return entry


def _count_disclosures(value: Object, entry: Entry) -> int:
    """How many disclosures a line shows, each of which opens a digest of the entry."""
    try:
        shown = parse_disclosures(strings(value, "disclosures"))
    except InputError as error:
        raise as_step(error, "disclosures") from None
    check_disclosures(shown, entry.sd, entry.visible)
    return len(shown)
