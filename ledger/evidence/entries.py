"""The entries of a package, one after the other: what steps 6 to 8 of `ledger.evidence.check` ask of each by itself.

But for the order of receipt no entry needs the one before it, so runs of lines are checked apart, also by several
processes, and what they hold is added up in order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pickle import PickleBuffer
from typing import Any, SupportsIndex

from ledger.canonical import Object
from ledger.disclosure import check_disclosures, parse_disclosures
from ledger.entry import Entry, parse_entry
from ledger.errors import InputError, PackageRefuted, VerificationError
from ledger.evidence.lines import MAX_LINE, as_step, check_number, naming, parse_line, string, strings
from ledger.evidence.manifest import ENTRIES, Manifest
from ledger.evidence.plain import Checked, check_plain, lines_of
from ledger.merkle import leaf_hash
from ledger.statement import statement_of
from ledger.types import PartyId


@dataclass(frozen=True, slots=True)
class Run:
    """So many consecutive lines, of which the first should be of position `first`; the last may have no end."""

    first: int
    lines: int
    text: bytes

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        # As a buffer the text need not go through a pipe (`ledger.passage`).
        return Run, (self.first, self.lines, PickleBuffer(self.text) if int(protocol) >= 5 else self.text)


@dataclass(slots=True)
class Tally:
    """What a run of lines was shown to hold, as far as it was; `failure` is why not further.

    `leaves` (leaf hashes, one behind the other), `received` (Unix milliseconds) and `parties` are the entries', in
    order; so are `statements`, the leaf hashes of what the parties said, but there are none where the package has no
    signed push. The counts are of entries within the period.
    """

    leaves: bytes = b""
    received: list[int] = field(default_factory=list)
    parties: list[PartyId] = field(default_factory=list)
    statements: bytes = b""
    by_phase: Counter[str] = field(default_factory=Counter)
    by_type: Counter[str] = field(default_factory=Counter)
    disclosed: int = 0
    withheld: int = 0
    failure: VerificationError | None = None


def runs(blocks: Iterable[bytes], first: int) -> Iterator[Run]:
    """All lines of a member that comes in blocks, some at a time. What is too long for a line comes without its end."""
    begun = b""
    for block in blocks:
        whole, end, rest = block.rpartition(b"\n")
        if end:
            text = begun + whole + end
            yield (run := Run(first, text.count(b"\n"), text))
            first, begun = first + run.lines, rest
        else:
            begun += rest
        if len(begun) > MAX_LINE:
            break
    if begun:
        yield Run(first, 1, begun)


def check_run(manifest: Manifest, run: Run) -> Tally:
    """Check a run of lines by themselves, up to the first that fails."""
    checked = list[Checked]()
    failure = None
    try:
        with naming(step="batches"):
            for line in _check_lines(manifest, run):
                checked.append(line)
    except VerificationError as error:
        failure = error
    return _tally(manifest, checked, failure)


def check_order(before: int, after: int, position: int) -> None:
    """Raise unless an entry was received no earlier than the one before it."""
    if after < before:
        raise PackageRefuted("an entry was received before the one before it", step="entries", got=position)


def _check_lines(manifest: Manifest, run: Run) -> Iterator[Checked]:
    """What each line holds, up to the first that fails."""
    found = check_plain(manifest.origin, run.first, run.lines, run.text, signed=manifest.signed)
    lines = lines_of(run.text) if None in found else []
    before = None
    for number, plain in enumerate(found):
        position = run.first + number
        if plain is not None and before is not None:
            check_order(before, plain.received, position)
        line = plain or _check_line(manifest, position, lines[number], before)
        before = line.received
        yield line


def _check_line(manifest: Manifest, position: int, line: bytes, before: int | None) -> Checked:
    """What a line holds, in whatever spelling. `before` is when the entry before it was received, if one is known."""
    value = parse_line(ENTRIES, line, "position", "entry", "disclosures")
    check_number(value, "position", position, step="batches")
    data = string(value, "entry").encode()
    entry = _read_entry(data, manifest)
    if before is not None:
        check_order(before, entry.received, position)
    shown = _count_disclosures(value, entry)
    return Checked(
        leaf_hash(data),
        leaf_hash(statement_of(data, manifest.origin, entry.party, entry.received))
        if manifest.signed
        else b"",
        entry.received,
        entry.party,
        entry.attributes["phase"],
        entry.attributes["type"],
        len(entry.sd),
        shown,
    )


def _tally(manifest: Manifest, checked: Sequence[Checked], failure: VerificationError | None) -> Tally:
    if not checked:
        return Tally(failure=failure)
    leaves, statements, received, parties, phases, types, committed, shown = zip(*checked, strict=True)
    inside = slice(bisect_left(received, manifest.since), bisect_left(received, manifest.until))
    return Tally(
        leaves=b"".join(leaves),
        received=list(received),
        parties=list(parties),
        statements=b"".join(statements) if manifest.signed else b"",
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
