"""Delivering what an import reads: events to the ledger, the rest to the file of what was set aside, in chunks.

A chunk is dealt with in this order, so that it may be cut off anywhere and be repeated: its events are pushed (what is
pushed again is taken once), its other records are put aside (what is there already is not written again), its marks are
saved. A record whose id stands in the log with other content is put aside too: a log may have many such, when its ids
are not what they should be, and one of them must not keep the others out. So is one that the ledger refuses, being of
another version than what read it, or stricter.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from ledger import canonical
from ledger.canonical import Object
from ledger.cli.feed import CHUNK_BYTES, CHUNK_EVENTS, Target
from ledger.cli.shared import err, plain
from ledger.client import PushSummary
from ledger.collect import Collected, Outcome, SetAside, Tally
from ledger.collect.aside import AsideFile
from ledger.collect.marks import Mark, Marks
from ledger.errors import InputError, Unavailable

HOLD_SECONDS = 2.0
"""How long an event that was read may wait for others to go with it."""
_AT = re.compile(r"\[([0-9]{1,9})\]\.?")
"""How a refusal begins to say where: the event's number in the push."""
RETRY_SECONDS = (1.0, 30.0)
"""How long a watch waits for a ledger that does not answer, at first and at most."""


class Delivery:
    """Where an import's records go.

    Args:
        marks: where it is kept that they are dealt with; None if that is not kept.
        patience: asked when the ledger does not answer; None to give up.
    """

    def __init__(
        self, target: Target, aside: AsideFile, marks: Marks | None = None, patience: Patience | None = None
    ) -> None:
        self._target, self._aside, self._marks, self._patience = target, aside, marks, patience
        self.tally, self.summary = Tally(), PushSummary(0, 0, ())
        self._start_chunk()
        if marks is not None and marks.set_aside is None:
            marks.save((), aside.size)

    def _start_chunk(self) -> None:
        self._collected: list[tuple[Collected, bytes]] = []
        self._set_aside: list[SetAside] = []
        self._moved: dict[int, Mark] = {}
        self._size = 0
        self._due = time.monotonic() + HOLD_SECONDS

    @property
    def note(self) -> str:
        """How far it is, in a few words."""
        return f"{self.tally.read:,} records · {self.tally.set_aside:,} set aside"

    def take(self, outcome: Outcome | None, mark: Mark | None = None) -> None:
        """One more record, and the mark that holds once it is dealt with."""
        if not (self._collected or self._set_aside):
            self._due = time.monotonic() + HOLD_SECONDS
        match outcome:
            case Collected(_, events):
                lines = b"".join(canonical.encode(event) + b"\n" for event in events)
                self._collected.append((outcome, lines))
                self._size += len(lines)
            case SetAside():
                self._set_aside.append(outcome)
                self._size += len(outcome.raw)
        if outcome is not None:
            self.tally.count(outcome)
        if mark is not None:
            self._moved[mark.id] = mark
        if (
            max(len(self._collected), len(self._set_aside), len(self._moved)) >= CHUNK_EVENTS
            or self._size >= CHUNK_BYTES
            or time.monotonic() >= self._due
        ):
            self.flush()

    def flush(self) -> None:
        """Deal with the chunk. Raises what pushing raises; the chunk's marks are not saved then."""
        while self._collected:
            try:
                pushed = self._push(b"".join(lines for _, lines in self._collected))
            except InputError as error:
                if not self._part(error):
                    raise
            else:
                self.summary = PushSummary(
                    self.summary.accepted + pushed.accepted, self.summary.duplicates + pushed.duplicates, ()
                )
                break
        self._aside.put(self._set_aside)
        if self._marks is not None and self._moved:
            self._marks.save(self._moved.values(), self._aside.size)
        self._start_chunk()

    def _part(self, error: InputError) -> bool:
        """Set the records aside that the ledger refused, or named as conflicts (I3); False if there are none such."""
        refused: dict[int, str] = {}
        for problem in error.details.get("problems", ()):
            if at := _AT.match(place := str(problem["at"])):
                said = f"{place[at.end() :]}: {problem['problem']}".removeprefix(": ")
                refused.setdefault(int(at[1]), f"the ledger refuses it: {said}")
        standing = {
            (str(c["source"]), str(c["id"])): c["position"] for c in error.details.get("conflicts", ())
        }
        seen: dict[tuple[str, str], Object] = {}
        staying: list[tuple[Collected, bytes]] = []
        number = 0
        for collected, lines in self._collected:
            numbers = range(number, number := number + len(collected.events))
            reason = next((refused[n] for n in numbers if n in refused), None)
            for event in collected.events:
                key = str(event["source"]), str(event["id"])
                if key in standing and standing[key] is not None:
                    reason = f"another record of this id stands at position {standing[key]}"
                elif key in standing and seen.setdefault(key, event) != event:
                    reason = "another record of this id stands before it"
            if reason is None:
                staying.append((collected, lines))
            else:
                aside = SetAside(collected.where, reason, collected.raw)
                self.tally.take_back(collected, aside)
                self._set_aside.append(aside)
        parted = len(staying) < len(self._collected)
        self._collected = staying
        return parted

    def _push(self, lines: bytes) -> PushSummary:
        while True:
            try:
                summary = self._target.push_lines(lines)
            except Unavailable as error:
                if self._patience is None or not self._patience.wait(error):
                    raise
            else:
                if self._patience is not None:
                    self._patience.end()
                return summary


class Patience:
    """A watch's: it waits for a ledger that does not answer, and tells it once, until `stop` is set."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._seconds: float | None = None

    def wait(self, error: Unavailable) -> bool:
        """Wait; False if there is to be no further try."""
        first, most = RETRY_SECONDS
        if self._seconds is None:
            err.print(plain(f"waiting, and nothing is lost: {error}"), markup=False)
        self._seconds = first if self._seconds is None else min(2 * self._seconds, most)
        return not self._stop.wait(self._seconds)

    def end(self) -> None:
        """It answers."""
        if self._seconds is not None:
            err.print("the ledger answers again; going on")
        self._seconds = None


@contextmanager
def stopped_by_signals() -> Iterator[Event]:
    """An event that Ctrl-C and SIGTERM set. A second one ends the process as ever."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        restore()

    for number in before:
        signal.signal(number, end)
    try:
        yield stop
    finally:
        restore()
