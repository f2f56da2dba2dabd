"""Receipts judged: has the ledger kept what it promised? (docs/spec.md 10.2)

A receipt promises that its entries stand at its positions, each in a batch that is anchored by a time. It is

- `kept`       the log's batches hold leaves at these positions that give its root
- `broken`     they hold others; or a batch was anchored too late; or the time has passed and no batch has them
- `pending`    no batch has them all yet, and the time has not passed
- `undecided`  what was shown does not reach: an old package, another part of the log, a contract without its leaves
- `refuted`    the receipt is not signed by the log's key, or what was shown is not what that key signed

The batches come from a `Source`, which believes nothing that is not signed: evidence packages, or the API. With
a chain, each batch is held against the contract, too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import IO, Protocol

from ledger.anchor import check_anchored
from ledger.batch import BatchHeader
from ledger.client import Client
from ledger.errors import (
    ConsistencyRefuted,
    InclusionRefuted,
    InputError,
    MalformedInput,
    NotFound,
    Pending,
    VerificationError,
)
from ledger.evidence import Progress, check_package
from ledger.merkle import leaf_hash, tree_root
from ledger.note import VerifierKey, parse_note
from ledger.ports import Chain
from ledger.proof import check_proof, parse_proof
from ledger.receipt import HEADLINE, Receipt, open_receipt
from ledger.types import Digest, Position, format_time, log_id


class Verdict(StrEnum):
    KEPT = "kept"
    PENDING = "pending"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    REFUTED = "refuted"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a receipt is, and why. `receipt` is None where its signature does not hold.

    `batches` hold its entries, as far as they were shown; the last of them was anchored at `anchored_at` (Unix
    seconds), if a chain was asked. `step` is the failing one of what is refuted.
    """

    receipt: Receipt | None
    verdict: Verdict
    reason: str
    batches: tuple[int, ...] = ()
    anchored_at: int | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class ShownBatch:
    """A batch whose header is under a checkpoint that the log's key signed, and whose leaves give the header's root."""

    header: BatchHeader
    leaves: Sequence[Digest]


class Absent(Enum):
    """Why a source has no batch to show for a position."""

    NO_BATCH = "no batch has it"
    NOT_SHOWN = "its batch is not shown"


class Source(Protocol):
    """Who shows batches of one log."""

    @property
    def as_of(self) -> int | None:
        """When the newest batch was the newest, Unix milliseconds; None for now."""
        ...

    def batch_at(self, position: Position) -> ShownBatch | Absent:
        """The batch that holds a position.

        Raises:
            VerificationError: what is shown is not what the log's key signed.
            Unavailable: no answer.
        """
        ...


def split_receipts(text: str) -> list[str]:
    """The signed notes of a file of receipts, each followed by an empty line, the last one or not; repeats left out.

    Raises:
        MalformedInput: something else stands in it.
    """
    parts = text.removesuffix("\n").split("\n\n") if text.strip() else []
    if len(parts) % 2:
        raise MalformedInput(
            "not a file of receipts", expected="signed notes, each followed by an empty line"
        )
    tails = [part.removesuffix("\n") for part in parts[1::2]]
    notes = [f"{head}\n\n{tail}\n" for head, tail in zip(parts[::2], tails, strict=True)]
    for note in notes:
        if not parse_note(note).text.startswith(HEADLINE + "\n"):
            raise MalformedInput("not a receipt", expected=HEADLINE, got=repr(note[:60]))
    return list(dict.fromkeys(notes))


def judge(
    note: str, key: VerifierKey, now: int, source: Source | None = None, chain: Chain | None = None
) -> Judgement:
    """What a receipt is, by what the source shows and the chain holds.

    Args:
        note: the receipt, a signed note.
        key: the log's, from a source other than the ledger.
        now: the verifier's own clock, Unix milliseconds.

    Raises:
        MalformedInput: not a receipt.
        Unavailable: source or chain do not answer; nothing is said.
    """
    try:
        receipt = open_receipt(note, key)
    except VerificationError as error:
        return Judgement(None, Verdict.REFUTED, error.message, step=error.step)
    try:
        return _Case(receipt, now, chain).judge(source)
    except VerificationError as error:
        return Judgement(receipt, Verdict.REFUTED, error.message, step=error.step)


class _Case:
    """One receipt whose signature holds."""

    def __init__(self, receipt: Receipt, now: int, chain: Chain | None) -> None:
        self.receipt = receipt
        self.end = receipt.first + receipt.count
        self.now = now
        self.chain = chain
        self.batches: list[ShownBatch] = []
        self.anchored_at: int | None = None

    def judge(self, source: Source | None) -> Judgement:
        absent = Absent.NOT_SHOWN if source is None else self._collect(source)
        if late := self._late():
            return self._judged(Verdict.BROKEN, late)
        if absent is None:
            return self._compared()
        return self._not_all(absent, source)

    def _collect(self, source: Source) -> Absent | None:
        """Take the batches that hold the entries; why not all of them, if so."""
        position = self.receipt.first
        while position < self.end:
            found = source.batch_at(position)
            if isinstance(found, Absent):
                return found
            self.batches.append(found)
            position = found.header.end
        return None

    def _late(self) -> str | None:
        """Hold the batches against the contract; what is wrong if one was anchored too late."""
        if self.chain is None:
            return None
        for batch in self.batches:
            header = batch.header
            anchored = self.chain.batch_of(header.log_id, header.batch_no)
            check_anchored(header, anchored)
            self.anchored_at = anchored.anchored_at
            if anchored.anchored_at > self.receipt.include_by // 1000:
                return f"batch {header.batch_no} was anchored {format_time(anchored.anchored_at * 1000)}, too late"
        return None

    def _compared(self) -> Judgement:
        leaves: list[Digest] = []
        for batch in self.batches:
            first = batch.header.first_leaf
            leaves += batch.leaves[max(0, self.receipt.first - first) : self.end - first]
        if (root := tree_root(leaves)) != self.receipt.root:
            return self._judged(
                Verdict.BROKEN,
                f"the batches hold other entries: expected root {self.receipt.root}, got {root}",
            )
        return self._judged(Verdict.KEPT, "its batches hold its entries")

    def _not_all(self, absent: Absent, source: Source | None) -> Judgement:
        if self.now <= self.receipt.include_by:
            return self._judged(Verdict.PENDING, f"until {format_time(self.receipt.include_by)}")
        held = self._held_by_contract()
        if held is not None and held < self.end:
            return self._judged(
                Verdict.BROKEN, f"the time has passed, and the contract holds {held} entries only"
            )
        if absent is Absent.NOT_SHOWN:
            return self._judged(Verdict.UNDECIDED, "the time has passed, and its batches are not shown")
        if held is not None:
            return self._judged(Verdict.UNDECIDED, "the contract holds batches that are not shown")
        as_of = None if source is None else source.as_of
        if as_of is not None and as_of <= self.receipt.include_by:
            return self._judged(Verdict.UNDECIDED, f"what is shown was made before, {format_time(as_of)}")
        return self._judged(Verdict.BROKEN, "the time has passed, and no batch has all of its entries")

    def _held_by_contract(self) -> int | None:
        if self.chain is None:
            return None
        size = self.chain.size_of(log_id(self.receipt.origin))
        return 0 if size is None else size.leaves

    def _judged(self, verdict: Verdict, reason: str) -> Judgement:
        numbers = tuple(batch.header.batch_no for batch in self.batches)
        return Judgement(self.receipt, verdict, reason, numbers, self.anchored_at)


class PackageSource:
    """Batches out of evidence packages, at least one.

    Args:
        key: the log's.
        wanted: receipts; the leaves of batches that hold an entry of theirs are kept.
    """

    def __init__(self, key: VerifierKey, wanted: Iterable[Receipt]) -> None:
        self._key = key
        self._spans = [(receipt.first, receipt.first + receipt.count) for receipt in wanted]
        self._batches: dict[int, ShownBatch] = {}
        self._headers: Sequence[BatchHeader] = ()
        self._ends: list[Position] = []
        self.as_of: int | None = None

    def add(self, file: IO[bytes], progress: Progress = lambda done, total: None) -> None:
        """Check a package and take from it what is needed.

        Raises:
            MalformedInput, VerificationError: as `check_package`; ConsistencyRefuted if it is of another history than
                one that was added before.
        """
        report = check_package(file, self._key, progress, watch=self._watch)
        shared = min(len(report.headers), len(self._headers))
        if tuple(report.headers[:shared]) != tuple(self._headers[:shared]):
            raise ConsistencyRefuted("two packages of different histories", step="consistency")
        if len(report.headers) >= len(self._headers):
            self._headers = report.headers
            self._ends = [header.end for header in report.headers]
            self.as_of = max(self.as_of or 0, report.manifest.made)

    def _watch(self, header: BatchHeader, leaves: Sequence[Digest]) -> None:
        if any(first < header.end and header.first_leaf < end for first, end in self._spans):
            self._batches[header.batch_no] = ShownBatch(header, leaves)

    def batch_at(self, position: Position) -> ShownBatch | Absent:
        number = bisect_right(self._ends, position)
        if number == len(self._ends):
            return Absent.NO_BATCH
        return self._batches.get(number, Absent.NOT_SHOWN)


class ApiSource:
    """Batches out of the ledger's API, which is believed nothing: a proof gives the header, all entries its root."""

    as_of = None

    def __init__(self, client: Client, key: VerifierKey) -> None:
        self._client = client
        self._key = key
        self._last: ShownBatch | None = None
        # A ledger that does not have the log would say of each receipt that no batch has its entries.
        log = client.get(f"/v1/logs/{key.name}", {})
        if not isinstance(log, dict) or log.get("verifier_key") != str(key):
            raise InputError(
                "the ledger there keeps the log under another key",
                expected=str(key),
                advice="Is it the ledger that gave the receipts?",
            )

    def batch_at(self, position: Position) -> ShownBatch | Absent:
        if (last := self._last) and last.header.first_leaf <= position < last.header.end:
            return last
        try:
            proof = self._client.proof(position, "")
        except (Pending, NotFound):
            return Absent.NO_BATCH
        proven = check_proof(parse_proof(proof), self._key)
        if proven.position != position:
            raise InclusionRefuted(
                "a proof of another position", step="batch", expected=position, got=proven.position
            )
        header = proven.header
        listed = self._client.entries(header.first_leaf, header.leaf_count)
        leaves = [leaf_hash(it.entry) for it in listed]
        if (root := tree_root(leaves)) != header.root:
            raise InclusionRefuted(
                f"the entries do not rebuild batch {header.batch_no}",
                step="batch",
                expected=header.root,
                got=root,
            )
        self._last = ShownBatch(header, leaves)
        return self._last


def wanted_of(notes: Iterable[str], key: VerifierKey) -> Iterator[Receipt]:
    """The receipts among these notes whose signatures hold."""
    for note in notes:
        try:
            yield open_receipt(note, key)
        except VerificationError:
            continue
