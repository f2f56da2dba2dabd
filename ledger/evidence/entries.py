"""The entries of a package, one after the other: what steps 6 to 8 of `ledger.evidence.check` ask of each by itself.

But for the order of receipt no entry needs the one before it, so runs of lines are checked apart, also by several
processes, and what they hold is added up in order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from io import BytesIO
from itertools import repeat
from pickle import PickleBuffer
from typing import Any, SupportsIndex

from ledger.canonical import Object
from ledger.disclosure import check_disclosures, parse_disclosures
from ledger.entry import Entry, parse_entry
from ledger.errors import InputError, PackageRefuted, VerificationError
from ledger.evidence.lines import MAX_LINE, as_step, check_number, naming, parse_line, string, strings
from ledger.evidence.manifest import ENTRIES, Manifest
from ledger.evidence.plain import Checked, check_plain
from ledger.merkle import leaf_hashes
from ledger.statement import statement_of
from ledger.types import Digest, PartyId, digests

_AT_ONCE = 50
"""Lines that are tried together to be plain. If a disclosure is out of form, none of them are."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive lines, of which the first should be of position `first`."""

    first: int
    text: bytes

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        # As a buffer the text need not go through a pipe (`ledger.passage`).
        return Run, (self.first, PickleBuffer(self.text) if int(protocol) >= 5 else self.text)

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
    lines, checked = run.lines, list[Checked]()
    failure = None
    try:
        with naming(step="batches"):
            for start in range(0, len(lines), _AT_ONCE):
                _check_lines(manifest, run.first + start, lines[start : start + _AT_ONCE], checked)
    except VerificationError as error:
        failure = error
    return _tally(manifest, checked, failure)


def check_order(before: int, after: int, position: int) -> None:
    """Raise unless an entry was received no earlier than the one before it."""
    if after < before:
        raise PackageRefuted("an entry was received before the one before it", step="entries", got=position)


def _check_lines(manifest: Manifest, first: int, lines: Sequence[bytes], checked: list[Checked]) -> None:
    """Add what these lines hold to that of the lines before them."""
    for number, plain in enumerate(check_plain(manifest.origin, first, lines)):
        before = checked[-1].received if checked else None
        if plain is None:
            checked.append(_check_line(manifest, first + number, lines[number], before))
        else:
            if before is not None:
                check_order(before, plain.received, first + number)
            checked.append(plain)


def _check_line(manifest: Manifest, position: int, line: bytes, before: int | None) -> Checked:
    """What a line holds, in whatever spelling. `before` is when the entry before it was received, if one is known."""
    value = parse_line(ENTRIES, line, "position", "entry", "disclosures")
    check_number(value, "position", position, step="batches")
    data = string(value, "entry").encode()
    entry = _read_entry(data, manifest)
    if before is not None:
        check_order(before, entry.received, position)
    shown = _count_disclosures(value, entry)
    phase, type_ = entry.attributes["phase"], entry.attributes["type"]
    return Checked(data, entry.received, entry.party, phase, type_, len(entry.sd), shown)


def _tally(manifest: Manifest, checked: Sequence[Checked], failure: VerificationError | None) -> Tally:
    if not checked:
        return Tally(failure=failure)
    entries, received, parties, phases, types, committed, shown = zip(*checked, strict=True)
    statements = (
        map(statement_of, entries, repeat(manifest.origin), parties, received) if manifest.signed else ()
    )
    inside = slice(bisect_left(received, manifest.since), bisect_left(received, manifest.until))
    return Tally(
        leaves=digests(b"".join(leaf_hashes(entries))),
        received=list(received),
        parties=list(parties),
        statements=digests(b"".join(leaf_hashes(statements))),
        by_phase=Counter(phases[inside]),
        by_type=Counter(types[inside]),
        disclosed=sum(shown[inside]),
        withheld=sum(committed[inside]) - sum(shown[inside]),
        failure=failure,
    )


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
