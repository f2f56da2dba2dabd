"""The entries of a package, one after the other: what steps 6 to 8 of `ledger.evidence.check` ask of each by itself.

But for the order of receipt no entry needs the one before it, so runs of lines are checked apart, also by several
processes or threads, and what they hold is added up in order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from pickle import PickleBuffer
from typing import Any, SupportsIndex

from ledger import native
from ledger.canonical import Object
from ledger.disclosure import check_disclosures, parse_disclosures
from ledger.entry import Entry, parse_entry
from ledger.errors import InputError, PackageRefuted, VerificationError
from ledger.evidence.held import Held, held_by, held_natively
from ledger.evidence.lines import MAX_LINE, as_step, check_number, naming, parse_line, string, strings
from ledger.evidence.manifest import ENTRIES, Manifest
from ledger.evidence.plain import Checked, check_plain
from ledger.types import PartyId

_AT_ONCE = 50
"""Lines that Python tries together to be plain: if a disclosure is out of form, none of them are."""
_IN_BETWEEN = 3
"""Lines that Python tries after some that hold natively, before that is tried again; if none does, ever more."""
_AHEAD = 1024
"""Lines that are tried natively at once: how many there are is said by who made the package."""


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
        if end := block.rfind(b"\n") + 1:
            text = b"".join((begun, memoryview(block)[:end]))
            lines = native.library.line_feeds(text) if native.library else text.count(b"\n")
            yield Run(first, lines, text)
            first, begun = first + lines, block[end:]
        else:
            begun += block
        if len(begun) > MAX_LINE:
            break
    if begun:
        yield Run(first, 1, begun)


def check_run(manifest: Manifest, run: Run) -> Tally:
    """Check a run of lines by themselves, up to the first that fails."""
    held = Held()
    failure = None
    try:
        with naming(step="batches"):
            _check_lines(manifest, run, held)
    except VerificationError as error:
        failure = error
    return _tally(manifest, held, failure)


def check_order(before: int, after: int, position: int) -> None:
    """Raise unless an entry was received no earlier than the one before it."""
    if after < before:
        raise PackageRefuted("an entry was received before the one before it", step="entries", got=position)


def _check_lines(manifest: Manifest, run: Run, held: Held) -> None:
    """Add what each line holds, up to the first that fails: those natively that can be, and the others in between."""
    text, at, at_once = BytesIO(run.text), 0, _AT_ONCE
    while (missing := run.lines - len(held)) > 0:
        if native.library is not None:
            lines, at = held_natively(
                run.text,
                at,
                run.first + len(held),
                min(missing, _AHEAD),
                manifest.origin,
                signed=manifest.signed,
            )
            _add_in_order(held, lines, run.first)
            at_once = _IN_BETWEEN if len(lines) else min(2 * at_once, _AT_ONCE)
            if len(lines) == _AHEAD:
                continue
        text.seek(at)
        others = [text.readline() for _ in range(min(at_once, run.lines - len(held)))]
        at = text.tell()
        _check_others(manifest, run.first + len(held), others, held)


def _add_in_order(held: Held, lines: Held, first: int) -> None:
    """Add lines, up to one that was received before the one before it. `first` is the position of the first of all."""
    before = held.received[-1:]
    received = before + lines.received
    if received == sorted(received):
        held.add(lines)
        return
    late = next(number for number, (one, next_) in enumerate(pairwise(received)) if next_ < one)
    lines.cut(late + 1 - len(before))
    held.add(lines)
    check_order(received[late], received[late + 1], first + len(held))


def _check_others(manifest: Manifest, first: int, lines: Sequence[bytes], held: Held) -> None:
    """Add what lines hold, the first of them of position `first`, up to one that fails."""
    checked = list[Checked]()
    try:
        for number, plain in enumerate(check_plain(manifest.origin, first, lines)):
            before = checked[-1].received if checked else held.received[-1] if held.received else None
            if plain is None:
                checked.append(_check_line(manifest, first + number, lines[number], before))
            else:
                if before is not None:
                    check_order(before, plain.received, first + number)
                checked.append(plain)
    finally:
        held.add(held_by(checked, manifest.origin, signed=manifest.signed))


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


def _tally(manifest: Manifest, held: Held, failure: VerificationError | None) -> Tally:
    inside = slice(bisect_left(held.received, manifest.since), bisect_left(held.received, manifest.until))
    shown = sum(held.shown[inside])
    return Tally(
        leaves=bytes(held.leaves),
        received=held.received,
        parties=held.parties,
        statements=bytes(held.statements),
        by_phase=Counter(held.phases[inside]),
        by_type=Counter(held.types[inside]),
        disclosed=shown,
        withheld=sum(held.committed[inside]) - shown,
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
