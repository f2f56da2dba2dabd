"""The doctor re-reads everything and says where the records differ: from each other, or from the chain.

In this order, and by place within each, so that the first finding is the first place that differs:

1. `store`        what the database itself finds wrong
2. `entries`      positions without gap; leaf, index columns and disclosures as the entry says; time never backwards
3. `receipts`     they tile the positions, are signed by the log's key, and their roots are the entries'
4. `signatures`   parties' signatures are by keys that they registered, over the entries' statements; none is missing
                  where the log asks for them
5. `batches`      they tile the positions from the first, and their roots are the entries'
6. `log`          the stored nodes are exactly those that the headers give
7. `checkpoints`  signed by the log's key, each over the root of its size
8. `conflicts`    each refused attempt is about the event that stands at its position
9. `views`        the projections are what the events give
10. `anchors`     the contract holds every batch that is said to be anchored, and no others

Where some events cannot be read, they are named, and it goes on after them. Nothing is changed. Memory grows with the
numbers of batches, of transfers and of their papers only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from ledger.anchor import check_anchored
from ledger.batch import BatchHeader
from ledger.checkpoint import open_checkpoint
from ledger.disclosure import check_disclosures, parse_disclosures
from ledger.entry import event_key, event_time, parse_entry
from ledger.errors import (
    ChainUnavailable,
    IntegrityError,
    LedgerError,
    NotFound,
    StoreUnavailable,
    VerificationError,
)
from ledger.merkle import BatchTree, Node, NodeId, append_nodes, leaf_hash, log_root, tree_root
from ledger.note import VerifierKey
from ledger.ports import Chain, Store
from ledger.projections import project
from ledger.push import PushHead, check_push, others_among
from ledger.receipt import open_receipt
from ledger.records import (
    LOG_WIDE,
    AnchorState,
    Committed,
    Log,
    Paper,
    Projected,
    PushSignature,
    SealedBatch,
    TransferFact,
    ViewFilter,
)
from ledger.statement import statement_of
from ledger.types import BatchNo, Digest, Position, log_id

Progress = Callable[[str, int, int], None]
_STEP = 1000
_EVENTS = 128
"""Events that are in memory at once, each of which may be large."""
_MISSING = "missing, though the log's head counts it"
_MOST_UNREADABLE = 10_000
"""Events that are asked for one by one, since they cannot be read together."""

_UNREADABLE = (LedgerError, ValueError, TypeError, AttributeError, LookupError, OverflowError)
"""What reading may end in: a damaged page can put a value of any type into any column."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place that differs: the check, the place, and what is wrong there."""

    check: str
    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.check}: {self.place}: {self.problem}"


@dataclass(frozen=True, slots=True)
class LogSummary:
    """What was re-read of a log without a difference in its numbers."""

    events: int
    batches: int
    anchored: int


class Doctor:
    """Examines a store.

    Args:
        chain: None leaves out step 10.
        progress: called with (check, done, total).
    """

    def __init__(
        self, store: Store, chain: Chain | None, progress: Progress = lambda check, done, total: None
    ) -> None:
        self._store = store
        self._chain = chain
        self.progress = progress
        self.summaries: dict[str, LogSummary] = {}

    def examine(self) -> Iterator[Difference]:
        """Every difference, in the order above, log by log."""
        for problem in self._store.self_check():
            yield Difference("store", "database", problem)
        try:
            for log in self._store.logs():
                examination = _LogExamination(self._store, self._chain, log, self.progress, self.summaries)
                yield from examination.run()
        except ChainUnavailable:
            raise
        except LedgerError as error:
            yield Difference("store", "database", f"cannot be read any further: {error}")


class _LogExamination:
    def __init__(
        self,
        store: Store,
        chain: Chain | None,
        log: Log,
        progress: Progress,
        summaries: dict[str, LogSummary],
    ) -> None:
        self.store = store
        self.chain = chain
        self.log = log
        self.progress = progress
        self.summaries = summaries
        self.head = store.head(log.origin)
        self.headers: list[Digest] = []
        self.unreadable = 0

    def run(self) -> Iterator[Difference]:
        steps: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
            "entries": self.entries,
            "receipts": self.receipts,
            "signatures": self.signatures,
            "batches": self.batches,
            "log": self.nodes,
            "checkpoints": self.checkpoints,
            "conflicts": self.conflicts,
            "views": self.views,
        }
        if self.chain is not None:
            steps["anchors"] = self.anchors
        for check, step in steps.items():
            try:
                for place, problem in step():
                    yield Difference(check, f"{self.log.origin} {place}".rstrip(), problem)
            except ChainUnavailable:
                raise
            except _UNREADABLE as error:
                # What cannot be read differs, too; the steps that follow say what is sound nonetheless.
                yield Difference(check, self.log.origin, f"cannot be read any further: {error}")
        with suppress(*_UNREADABLE):  # told above
            anchored = sum(1 for sealed in self._sealed() if sealed.anchoring and sealed.anchoring.block_hash)
            self.summaries[self.log.origin] = LogSummary(self.head.size, self.head.batches, anchored)

    def entries(self) -> Iterator[tuple[str, str]]:
        start, last = 0, 0
        while start < self.head.size:
            stop = min(start + _EVENTS, self.head.size)
            events, unreadable = self._read(Position(start), Position(stop))
            problems: list[tuple[int, str]] = []
            for position in range(start, stop):
                if (event := events.get(position)) is None:
                    problems.append((position, unreadable.get(position, _MISSING)))
                    continue
                problems += [(position, problem) for problem in self._entry_problems(event, last)]
                last = max(last, event.received)
            yield from _by_span(problems)
            if not events and not unreadable and stop < self.head.size:
                following = next(iter(self.store.scan(self.log.origin, Position(stop), self.head.size)), None)
                start, stop = stop, self.head.size if following is None else max(stop, following.position)
                if start < stop:
                    yield f"positions {start} to {stop - 1}", _MISSING
            self.progress("entries", stop, self.head.size)
            start = stop

    def _read(self, start: Position, stop: Position) -> tuple[dict[int, Committed], dict[int, str]]:
        """The events that can be read, and why others cannot be, by position."""
        events: dict[int, Committed] = {}
        unreadable: dict[int, str] = {}
        try:
            return {event.position: event for event in self.store.scan(self.log.origin, start, stop)}, {}
        except StoreUnavailable:
            raise
        except _UNREADABLE:  # one of them: which?
            for position in map(Position, range(start, stop)):
                try:
                    events[position] = self.store.event(self.log.origin, position)
                except StoreUnavailable:
                    raise
                except NotFound:
                    pass
                except _UNREADABLE as error:
                    self.unreadable += 1
                    if self.unreadable > _MOST_UNREADABLE:
                        raise
                    unreadable[position] = error.message if isinstance(error, LedgerError) else str(error)
        return events, unreadable

    def _entry_problems(self, event: Committed, last: int) -> Iterator[str]:
        if leaf_hash(event.entry) != event.leaf:
            yield "the entry does not hash to its leaf"
        try:
            entry = parse_entry(event.entry)
            disclosures = parse_disclosures(event.disclosures)
            check_disclosures(disclosures, entry.sd, entry.visible)
        except LedgerError as error:
            yield error.message
            return
        told = entry.attributes
        if entry.origin != self.log.origin:
            yield "an entry of another log"
        says = (
            told["type"],
            told["phase"],
            told["subject"],
            event_time(told["time"]),
            entry.party,
            entry.received,
        )
        if says != (event.type, event.phase, event.subject, event.time, event.party, event.received):
            yield "the columns are not what the entry says"
        if event.key != event_key(told["source"], told["id"]):
            yield "the key is not that of the entry's source and id"
        if event.received < last:
            yield "received before the event before it"

    def receipts(self) -> Iterator[tuple[str, str]]:
        key = VerifierKey.parse(self.log.verifier_key)
        expected = 0
        for stored in self.store.receipts(self.log.origin):
            place = f"receipt of position {stored.first}"
            if stored.first != expected:
                yield place, f"the receipts do not tile the log: position {expected} should follow"
            expected = stored.first + stored.count
            try:
                receipt = open_receipt(stored.note, key)
            except LedgerError as error:
                yield place, error.message
                continue
            if (receipt.first, receipt.count) != (stored.first, stored.count):
                yield place, "the columns are not what the receipt says"
            elif receipt.root != tree_root(
                self.store.leaves(self.log.origin, stored.first, Position(expected))
            ):
                yield place, "the entries do not give the receipt's root"
        if expected != self.head.size:
            yield f"position {expected}", "no receipt covers it"

    def signatures(self) -> Iterator[tuple[str, str]]:
        """Whether a key was valid at the time is not asked: its end may be set later, for a time in the past."""
        expected = Position(0)
        for kept in self.store.signatures(self.log.origin, Position(0), self.head.size):
            place = f"signature of position {kept.first}"
            if self.log.require_signature and kept.first != expected:
                yield f"position {expected}", "not signed, though the log takes signed pushes only"
            expected = Position(kept.first + kept.count)
            try:
                self._check_signature(kept, expected)
            except (LedgerError, ValueError) as error:
                yield place, str(error)
        if self.log.require_signature and expected != self.head.size:
            yield f"position {expected}", "not signed, though the log takes signed pushes only"

    def _check_signature(self, kept: PushSignature, stop: Position) -> None:
        """Raise LedgerError, or ValueError, unless the signature is its party's over the push that is kept with it."""
        origin = self.log.origin
        party = self.store.event(origin, kept.first).party
        keys = [VerifierKey.parse(key.verifier_key) for key in self.store.party_keys(party)]
        head, signed = check_push(kept.note, origin, party, keys)
        if not signed.held:
            raise ValueError("signed with a key that its party has not registered")
        if head != PushHead.over(origin, kept.leaves):
            raise ValueError("the leaves do not give the root that was signed")
        # An entry of another party does not end in that party's name, and so fails here.
        statements = (
            statement_of(event.entry, origin, party, event.received)
            for event in self.store.scan(origin, kept.first, stop)
        )
        others_among(kept.leaves, map(leaf_hash, statements))

    def _sealed(self) -> Iterator[SealedBatch]:
        for start in range(0, self.head.batches, _STEP):
            yield from self.store.batches(
                self.log.origin, BatchNo(start), BatchNo(min(start + _STEP, self.head.batches))
            )

    def batches(self) -> Iterator[tuple[str, str]]:
        end = Position(0)
        for number, sealed in enumerate(self._sealed()):
            header = sealed.header
            if (header.log_id, header.batch_no, header.first_leaf) != (log_id(self.log.origin), number, end):
                yield f"batch {number}", "it does not follow the batch before it"
            leaves = self.store.leaves(self.log.origin, header.first_leaf, header.end)
            if len(leaves) != header.leaf_count or BatchTree(leaves).root != header.root:
                yield f"batch {number}", "the entries do not rebuild its root"
            end = header.end
            self.headers.append(header.leaf)
            self.progress("batches", number + 1, self.head.batches)
        if len(self.headers) != self.head.batches or end != self.head.sealed:
            yield f"batch {len(self.headers)}", f"missing: the log's head says {self.head.batches} batches"

    def nodes(self) -> Iterator[tuple[str, str]]:
        """Compares by level, so that memory holds one level of the tree at a time."""
        stored = self.store.scan_nodes(self.log.origin)
        for expected in _all_nodes(self.headers):
            found = next(stored, None)
            if found != expected:
                yield f"node {expected.level}/{expected.index}", "missing or not what the headers give"
                return
        if (extra := next(stored, None)) is not None:
            yield f"node {extra.level}/{extra.index}", "no header gives it"

    def checkpoints(self) -> Iterator[tuple[str, str]]:
        key = VerifierKey.parse(self.log.verifier_key)
        if key.name != self.log.origin:
            yield "key", "the log's key is named for another log"
        roots = _roots(
            self.headers, {checkpoint.size for checkpoint in self.store.checkpoints(self.log.origin)}
        )
        for stored in self.store.checkpoints(self.log.origin):
            place = f"checkpoint of size {stored.size}"
            try:
                checkpoint = open_checkpoint(stored.note, key)
            except LedgerError as error:
                yield place, error.message
                continue
            if checkpoint.size != stored.size or checkpoint.root != roots.get(stored.size):
                yield place, "the headers do not give its root"

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for attempt in self.store.conflicts(self.log.origin):
            place = f"conflict at position {attempt.position}"
            entry = parse_entry(attempt.entry)
            check_disclosures(parse_disclosures(attempt.disclosures), entry.sd, entry.visible)
            standing = self.store.event(self.log.origin, attempt.position)
            if standing.key != event_key(entry.attributes["source"], entry.attributes["id"]):
                yield place, "another event stands there"

    def views(self) -> Iterator[tuple[str, str]]:
        origin = self.log.origin
        projected = self.store.projected(origin)
        if projected > self.head.size:
            yield f"position {self.head.size}", "projected, but not in the log"
        seen: dict[object, TransferFact] = {}
        papers: list[Paper] = []
        for start in range(0, projected, _STEP):
            stop = min(start + _STEP, projected)
            expected = project(self.store.scan(origin, Position(start), Position(stop)))
            yield from self._rows(start, stop, expected)
            for fact in expected.facts:
                seen[fact.key] = seen[fact.key].merged(fact) if fact.key in seen else fact
            papers += expected.papers
            self.progress("views", stop, projected)
        yield from self._facts(seen)
        yield from self._papers(papers)

    def _rows(self, start: int, stop: int, expected: Projected) -> Iterator[tuple[str, str]]:
        origin, every = self.log.origin, ViewFilter({})
        after = Position(start - 1) if start else None
        for name, rows, found in (
            ("access", expected.accesses, self.store.accesses(origin, every, after, _STEP)),
            ("snapshot", expected.snapshots, self.store.snapshots(origin, every, after, _STEP)),
        ):
            inside = [row for row in found if row.position < stop]
            if inside != rows:
                yield f"{name} rows of positions {start} to {stop - 1}", "not what the events give"

    def _facts(self, seen: Mapping[object, TransferFact]) -> Iterator[tuple[str, str]]:
        facts: defaultdict[str, list[TransferFact]] = defaultdict(list)
        for fact in seen.values():
            facts[fact.subject].append(fact)
        for subject in sorted({LOG_WIDE, *facts, *self._transfer_names()}):
            kept = self.store.facts(self.log.origin, [subject])
            if sorted(kept, key=_key_of) != sorted(facts[subject], key=_key_of):
                yield f"facts of transfer {subject}", "not what the events give"

    def _papers(self, papers: Iterable[Paper]) -> Iterator[tuple[str, str]]:
        expected = Counter(papers)
        expected.subtract(self.store.scan_papers(self.log.origin))
        for paper, count in expected.items():
            if count:
                yield (
                    f"{paper.kind} at position {paper.position} of transfer {paper.subject}",
                    "not kept as a paper" if count > 0 else "kept as a paper, which no event gives",
                )

    def _transfer_names(self) -> set[str]:
        found: set[str] = set()
        after = None
        while names := self.store.transfers(self.log.origin, after, _STEP):
            # Where an index is damaged, what comes after a name may be a name before it, for ever.
            if not found.isdisjoint(names):
                raise IntegrityError("the names of transfers are not in order")
            found.update(names)
            after = names[-1]
        return found

    def anchors(self) -> Iterator[tuple[str, str]]:
        assert self.chain is not None
        name = log_id(self.log.origin)
        size = self.chain.size_of(name)
        held = size.batches if size else 0
        if held > self.head.batches:
            yield (
                f"batch {self.head.batches}",
                f"the chain holds {held} batches, the store {self.head.batches} (I6)",
            )
        if held and held <= len(self.headers) and self.chain.root_of(name) != tree_root(self.headers[:held]):
            yield "root", "the contract's root is not the one that the headers give"
        for sealed in self._sealed():
            yield from self._anchor_problems(sealed.header, sealed, held)
            self.progress("anchors", sealed.header.batch_no + 1, self.head.batches)

    def _anchor_problems(
        self, header: BatchHeader, sealed: SealedBatch, held: int
    ) -> Iterator[tuple[str, str]]:
        assert self.chain is not None
        place = f"batch {header.batch_no}"
        if header.batch_no < held:
            try:
                check_anchored(header, self.chain.batch_of(header.log_id, header.batch_no))
            except VerificationError as error:
                yield place, str(error)
        anchoring = sealed.anchoring
        if anchoring is None or anchoring.state not in (AnchorState.MINED, AnchorState.FINAL):
            return
        if header.batch_no >= held:
            yield place, "said to be anchored, but the contract does not hold it"
            return
        seen = self.chain.anchored_in(anchoring.tx_hash, header.log_id, header.batch_no)
        if seen is None or (seen.block_number, seen.block_hash) != (
            anchoring.block_number,
            anchoring.block_hash,
        ):
            yield place, "not anchored in the transaction and block that the store says"
        if seen is not None and seen.contract != self.log.contract:
            yield place, "anchored in another contract than the log's"


def _by_span(problems: Iterable[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Problems of positions; where neighbours have the same, it is told once."""
    for (problem, _), some in groupby(enumerate(problems), lambda it: (it[1][1], it[1][0] - it[0])):
        positions = [position for _, (position, _) in some]
        first, last = positions[0], positions[-1]
        yield (f"position {first}" if first == last else f"positions {first} to {last}"), problem


def _key_of(fact: TransferFact) -> tuple[str, ...]:
    return fact.key


def _all_nodes(leaves: Sequence[Digest]) -> Iterator[Node]:
    """All perfect subtrees over these leaves, by level and index."""
    level, hashes = 0, list(leaves)
    while hashes:
        yield from (Node(level, index, hash_) for index, hash_ in enumerate(hashes))
        pairs = zip(hashes[::2], hashes[1::2], strict=False)
        level, hashes = level + 1, [BatchTree(pair).root for pair in pairs]


def _roots(leaves: Sequence[Digest], sizes: set[int]) -> dict[int, Digest]:
    """Roots of the log at these sizes, in one pass."""
    nodes: dict[NodeId, Digest] = {}
    roots = {}
    for size, leaf in enumerate(leaves, 1):
        for node in append_nodes(size - 1, leaf, lambda ids: [nodes[id] for id in ids]):
            nodes[node.level, node.index] = node.hash
        if size in sizes:
            roots[size] = log_root(size, lambda ids: [nodes[id] for id in ids])
    return roots
