"""Verify an evidence package offline, and against the contract through the verifier's own node.

1. `form`         a ZIP of exactly the members of a package, stored or deflated, and a signed note in `manifest`
2. `signature`    the manifest is signed by the trusted log key, and is of that key's log
3. `files`        the members are those that the manifest says, each with its size and SHA-256
4. `checkpoint`   the checkpoint is signed by the same key
5. `log`          the headers are of this log, numbered and tiling without gap, and give the checkpoint's root
6. `batches`      the entries stand at consecutive positions, and rebuild every batch root of the package
7. `entries`      each entry is in canonical form, of this log, and received no earlier than the one before
8. `disclosures`  each disclosure opens one digest of its entry
9. `pushes`       the entries of each signed push give the root that their party signed, for this log
10. `period`      the package reaches over both ends of the period: nothing received in it can be missing
11. `anchors`     every batch has an anchor of one contract
12. `chain`       that contract, read through the verifier's own node, holds every header under the checkpoint

`check_package` is steps 1–11, `ledger.evidence.on_chain` step 12. Steps 6–9 are one pass over the entries. It hashes
them for step 3, too, so that they are unpacked once; if a later step fails, step 3 has its turn before that is told.
What is out of form behind the signature (a header of 91 bytes, a line with a stray member) fails the step that reads
it.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import IO

from ledger import native
from ledger.anchor import Anchor
from ledger.batch import BatchHeader
from ledger.canonical import Object
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import MalformedInput, PackageRefuted
from ledger.evidence.entries import Tally, check_order, check_run, runs
from ledger.evidence.layout import check_layout
from ledger.evidence.lines import check_number, naming, parse_line, read_file, read_lines, string
from ledger.evidence.manifest import (
    ANCHORS,
    CHECKPOINT,
    ENTRIES,
    FILES,
    HEADERS,
    MANIFEST,
    PUSHES,
    SIGNED_FILES,
    Manifest,
)
from ledger.evidence.pushes import MEMBERS as PUSH_MEMBERS
from ledger.evidence.pushes import PushCheck
from ledger.merkle import tree_root
from ledger.note import VerifierKey, open_note
from ledger.processes import spread
from ledger.proof import parse_anchor
from ledger.types import Digest, Position, digests, from_base64, log_id

_FEW = 10_000
"""Events that are checked by the time that processes have started."""
_MAX_NOTE = 1_000_000

Progress = Callable[[int, int], None]
Watch = Callable[[BatchHeader, Sequence[Digest]], None]


@dataclass(frozen=True, slots=True)
class PackageReport:
    """What a package was shown to hold.

    `open_end` is True if the period reaches past the last anchored batch, so that later events may still belong to it.
    `first_received` and `last_received` are Unix milliseconds, of the events within the period. `signed_events` of
    these are signed by their party, `held_events` by a key that the verifier trusts; `unheld` is the first event that
    is not, of a party of which the verifier trusts a key.
    """

    manifest: Manifest
    checkpoint: Checkpoint
    headers: tuple[BatchHeader, ...]
    anchors: tuple[Anchor, ...]
    events_in_period: int
    disclosed_members: int
    withheld_members: int
    by_phase: dict[str, int]
    by_type: dict[str, int]
    open_end: bool
    first_received: int | None
    last_received: int | None
    signed_events: int
    held_events: int
    unheld: Position | None
    batch_received: tuple[int, ...]
    """When the last entry of each of the package's batches was received."""


def check_package(
    file: IO[bytes],
    key: VerifierKey,
    progress: Progress = lambda done, total: None,
    *,
    party_keys: Sequence[VerifierKey] = (),
    watch: Watch | None = None,
    processes: int | None = None,
) -> PackageReport:
    """Steps 1–11.

    Args:
        file: the package, seekable.
        key: the log's, from a source other than the package.
        party_keys: parties' keys, from such a source too, against which signatures of pushes are held.
        watch: called with the header and leaf hashes of each of the package's batches, once these give its root.
        progress: called with (events checked, events in all) from time to time.
        processes: how many of them, or of threads, check the entries of a large package; one a core if None.

    Raises:
        MalformedInput: not a package at all (step `form`).
        VerificationError: `step` names the check that failed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            check_layout(file, archive)
            return _Check(archive, key, progress, party_keys, watch, processes or os.cpu_count() or 1).run()
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        EOFError,
        RuntimeError,
        OSError,  # an offset before the file's beginning, in a file
        ValueError,  # the same, in memory; and UnicodeError
    ) as error:
        raise MalformedInput(
            "not an evidence package", expected="an intact ZIP file", got=str(error)[:120]
        ) from None


def check_all_signed(report: PackageReport) -> None:
    """Raise PackageRefuted if an event of the period is not signed by a trusted key, though there is one of its party.

    Which events are so depends on the keys that `check_package` was given.
    """
    if report.unheld is not None:
        raise PackageRefuted(
            "an event that no trusted key of its party has signed",
            step="pushes",
            got=f"position {report.unheld}",
        )


class _Check:
    def __init__(
        self,
        archive: zipfile.ZipFile,
        key: VerifierKey,
        progress: Progress,
        party_keys: Sequence[VerifierKey],
        watch: Watch | None,
        processes: int,
    ) -> None:
        self.archive = archive
        self.key = key
        self.progress = progress
        self.party_keys = party_keys
        self.watch = watch
        self.processes = processes

    def run(self) -> PackageReport:
        members = self.archive.infolist()
        names = [info.filename for info in members]
        if sorted(names) not in (sorted((*FILES, MANIFEST)), sorted((*SIGNED_FILES, MANIFEST))):
            raise MalformedInput(
                "not an evidence package",
                expected=f"{[*FILES, MANIFEST]}, and {PUSHES} if there are signed pushes",
                got=str(names[:10]),
            )
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
            raise MalformedInput("not an evidence package", expected="members stored or deflated")
        manifest = self._manifest()
        try:
            return self._report(manifest)
        except Exception:
            # If the entries are not what the manifest says, that comes before whatever they were found to be.
            self._files(manifest, {*SIGNED_FILES})
            raise

    def _report(self, manifest: Manifest) -> PackageReport:
        self._files(manifest, {*SIGNED_FILES} - {ENTRIES})
        with naming(step="checkpoint"):
            checkpoint = open_checkpoint(self._small(CHECKPOINT), self.key)
        with naming(step="log"):
            headers = self._headers(checkpoint)
        inside = headers[manifest.first_batch : manifest.first_batch + manifest.batches]
        if not inside or len(inside) != manifest.batches or inside[0].first_leaf != manifest.first_event:
            raise PackageRefuted("the manifest's batches are not under the checkpoint", step="batches")
        with naming(step="batches"):
            found = self._entries(manifest, inside)
        found.check_period(manifest, last_under_checkpoint=inside[-1] == headers[-1])
        with naming(step="anchors"):
            anchors = self._anchors(manifest)
        return PackageReport(
            manifest=manifest,
            checkpoint=checkpoint,
            headers=tuple(headers),
            anchors=anchors,
            events_in_period=sum(found.by_phase.values()),
            disclosed_members=found.disclosed,
            withheld_members=found.withheld,
            by_phase=dict(sorted(found.by_phase.items())),
            by_type=dict(sorted(found.by_type.items())),
            open_end=found.last < manifest.until,
            first_received=found.first_inside,
            last_received=found.last_inside,
            signed_events=found.pushes.signed.total(),
            held_events=found.pushes.signed[True],
            unheld=found.pushes.unheld,
            batch_received=tuple(found.batch_received),
        )

    def _manifest(self) -> Manifest:
        text = open_note(self._small(MANIFEST), self.key)
        try:
            manifest = Manifest.parse(text)
        except MalformedInput as error:
            raise PackageRefuted(
                error.message, step="signature", expected=error.expected, got=error.got
            ) from None
        if manifest.origin != self.key.name:
            raise PackageRefuted(
                "a package of another log", step="signature", expected=self.key.name, got=manifest.origin
            )
        return manifest

    def _files(self, manifest: Manifest, names: Collection[str]) -> None:
        """Raise unless those of the members that are of these names are what the manifest says."""
        members = {info.filename for info in self.archive.infolist()}
        if members != {MANIFEST, *(file.name for file in manifest.files)}:
            raise PackageRefuted("other members than the manifest says", step="files", got=sorted(members))
        for file in manifest.files:
            if file.name in names:
                for _ in read_file(self.archive, file):
                    pass

    def _headers(self, checkpoint: Checkpoint) -> list[BatchHeader]:
        headers: list[BatchHeader] = []
        for value in self._lines(HEADERS, "batch_no", "header"):
            header = BatchHeader.parse(from_base64(string(value, "header")))
            check_number(value, "batch_no", len(headers), step="log")
            expected = (log_id(checkpoint.origin), len(headers), headers[-1].end if headers else 0)
            if (header.log_id, header.batch_no, header.first_leaf) != expected:
                raise PackageRefuted(f"header {len(headers)} does not follow the one before", step="log")
            headers.append(header)
        root = tree_root([header.leaf for header in headers])
        if (len(headers), root) != (checkpoint.size, checkpoint.root):
            raise PackageRefuted(
                "the headers do not give the checkpoint", step="log", expected=checkpoint.root, got=root
            )
        return headers

    def _entries(self, manifest: Manifest, headers: Sequence[BatchHeader]) -> _Found:
        """Check runs of entries, the pushes that were signed, and each batch's root once it has all its leaves."""
        pushes = self._lines(PUSHES, *PUSH_MEMBERS) if manifest.signed else iter(())
        period = range(manifest.since, manifest.until)
        found = _Found(manifest, PushCheck(pushes, manifest.origin, self.party_keys, period))
        remaining = iter(headers)
        header = next(remaining, None)
        leaves = bytearray()
        with closing(self._tallies(manifest)) as tallies:
            for tally in tallies:
                found.add(tally)
                start, stop = 0, len(tally.received)
                while start < stop:
                    if header is None:
                        raise PackageRefuted(
                            "more entries than the batches hold", step="batches", expected=manifest.events
                        )
                    held = len(leaves) // Digest.SIZE
                    some = slice(start, start + header.leaf_count - held)
                    hashes = slice(start * Digest.SIZE, some.stop * Digest.SIZE)
                    found.pushes.add(
                        Position(header.first_leaf + held),
                        tally.parties[some],
                        digests(tally.statements[hashes]),
                        tally.received[some],
                    )
                    leaves += tally.leaves[hashes]
                    if len(leaves) == header.leaf_count * Digest.SIZE:
                        _check_root(header, bytes(leaves))
                        if self.watch is not None:
                            self.watch(header, digests(bytes(leaves)))
                        found.batch_received.append(tally.received[some][-1])
                        header, leaves = next(remaining, None), bytearray()
                    start = some.stop
                if tally.failure:
                    raise tally.failure
                self.progress(found.events, manifest.events)
        if header is not None:
            raise PackageRefuted(
                "an entry is missing", step="batches", expected=manifest.first_event + found.events
            )
        if found.events != manifest.events:
            raise PackageRefuted(
                "more entries than the batches hold", step="batches", expected=manifest.events
            )
        found.pushes.finish()
        return found

    def _tallies(self, manifest: Manifest) -> Generator[Tally]:
        [file] = [file for file in manifest.files if file.name == ENTRIES]
        blocks = read_file(self.archive, file)
        workers = self.processes if manifest.events > _FEW else 1
        check, items = partial(check_run, manifest), runs(blocks, manifest.first_event)
        # The native part works in several threads at once; what it leaves to Python goes on in one of them at a time.
        return spread(check, items, workers, threads=native.library is not None)

    def _anchors(self, manifest: Manifest) -> tuple[Anchor, ...]:
        anchors = []
        lines = self._lines(ANCHORS, "batch_no", "anchor")
        for number, value in enumerate(lines, manifest.first_batch):
            check_number(value, "batch_no", number, step="anchors")
            anchors.append(parse_anchor(value.get("anchor")))
        contracts = {(anchor.contract.chain_id, anchor.contract.address.lower()) for anchor in anchors}
        if len(anchors) != manifest.batches or len(contracts) > 1:
            raise PackageRefuted(
                "not one anchor a batch, of one contract",
                step="anchors",
                expected=manifest.batches,
                got=len(anchors),
            )
        return tuple(anchors)

    def _small(self, name: str) -> str:
        with self.archive.open(name) as member:
            data = member.read(_MAX_NOTE + 1)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise MalformedInput(f"{name} is not UTF-8") from None

    def _lines(self, name: str, *names: str) -> Iterator[Object]:
        """The objects of an NDJSON member, each of exactly these names."""
        return (parse_line(name, line, *names) for line in read_lines(self.archive, name))


def _check_root(header: BatchHeader, leaves: bytes) -> None:
    root = Digest(native.library.tree_root(leaves)) if native.library else tree_root(digests(leaves))
    if root != header.root:
        raise PackageRefuted(
            f"the entries do not rebuild batch {header.batch_no}",
            step="batches",
            expected=header.root,
            got=root,
        )


class _Found:
    """What the entries hold, added up. Receipt never runs backwards among them."""

    def __init__(self, manifest: Manifest, pushes: PushCheck) -> None:
        self.manifest = manifest
        self.pushes = pushes
        self.events = 0
        self.by_phase: Counter[str] = Counter()
        self.by_type: Counter[str] = Counter()
        self.disclosed = self.withheld = 0
        self.first = self.last = -1
        self.first_inside: int | None = None
        self.last_inside: int | None = None
        self.batch_received: list[int] = []

    def add(self, tally: Tally) -> None:
        """Add the next run's."""
        received = tally.received
        if received:
            check_order(self.last, received[0], self.manifest.first_event + self.events)
            self.first = received[0] if self.first < 0 else self.first
            self.last = received[-1]
        if inside := received[
            bisect_left(received, self.manifest.since) : bisect_left(received, self.manifest.until)
        ]:
            self.first_inside = inside[0] if self.first_inside is None else self.first_inside
            self.last_inside = inside[-1]
        self.events += len(received)
        self.by_phase.update(tally.by_phase)
        self.by_type.update(tally.by_type)
        self.disclosed += tally.disclosed
        self.withheld += tally.withheld

    def check_period(self, manifest: Manifest, *, last_under_checkpoint: bool) -> None:
        """Receipt never runs backwards, so an entry before and one after the period fence it in."""
        if manifest.since >= manifest.until:
            raise PackageRefuted("an empty period", step="period", expected="from before to")
        if manifest.first_batch > 0 and self.first >= manifest.since:
            raise PackageRefuted(
                "the package does not reach back over the start of its period", step="period"
            )
        if not last_under_checkpoint and self.last < manifest.until:
            raise PackageRefuted("the package does not reach over the end of its period", step="period")
