"""Verify an evidence package offline, and against the contract through the verifier's own node.

1. `form`         a ZIP of exactly the five members, stored or deflated, and a signed note in `manifest`
2. `signature`    the manifest is signed by the trusted log key, and is of that key's log
3. `files`        every member has the size and SHA-256 that the manifest says
4. `checkpoint`   the checkpoint is signed by the same key
5. `log`          the headers are of this log, numbered and tiling without gap, and give the checkpoint's root
6. `batches`      the entries stand at consecutive positions, and rebuild every batch root of the package
7. `entries`      each entry is in canonical form, of this log, and received no earlier than the one before
8. `disclosures`  each disclosure opens one digest of its entry
9. `period`       the package reaches over both ends of the period: nothing received in it can be missing
10. `anchors`     every batch has an anchor of one contract
11. `chain`       that contract, read through the verifier's own node, holds every header under the checkpoint

`check_package` is steps 1–10, `check_package_on_chain` step 11. Steps 6–8 are one pass over the entries. What is out of
form behind the signature (a header of 91 bytes, a line with a stray member) fails the step that reads it.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import IO

from ledger.anchor import Anchor, check_anchored
from ledger.batch import BatchHeader
from ledger.canonical import Object
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import AnchorRefuted, MalformedInput, PackageRefuted
from ledger.evidence.entries import Tally, check_order, check_run, runs
from ledger.evidence.layout import check_layout
from ledger.evidence.lines import check_number, naming, parse_line, read_lines, string
from ledger.evidence.manifest import (
    ANCHORS,
    CHECKPOINT,
    ENTRIES,
    FILES,
    HEADERS,
    MANIFEST,
    FileDigest,
    Manifest,
)
from ledger.evidence.processes import spread
from ledger.merkle import tree_root
from ledger.note import VerifierKey, open_note
from ledger.ports import Chain
from ledger.proof import parse_anchor
from ledger.types import BatchNo, Digest, from_base64, log_id

_FEW = 10_000
"""Events that are checked before processes would have started."""
_MAX_NOTE = 1_000_000
_CHUNK = 1024 * 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PackageReport:
    """What a package was shown to hold.

    `open_end` is True if the period reaches past the last anchored batch, so that later events may still belong to it.
    `first_received` and `last_received` are Unix milliseconds, of the events within the period.
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
    batch_received: tuple[int, ...]
    """When the last entry of each of the package's batches was received."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What the contract adds to a report.

    Attributes:
        beyond: batches that it holds past the checkpoint: a package with an open end may lack what they hold.
        longest_delay: seconds from the receipt of a batch's last entry to the block that anchored it, at most.
        post_dated: batches that were anchored more than `CLOCK_TOLERANCE` seconds *before* their last entry was
            received, as the ledger says: its clock was wrong, or it moved entries into a later period.
    """

    beyond: int
    longest_delay: int
    post_dated: tuple[BatchNo, ...]


CLOCK_TOLERANCE = 60


def check_package(
    file: IO[bytes],
    key: VerifierKey,
    progress: Progress = lambda done, total: None,
    processes: int | None = None,
) -> PackageReport:
    """Steps 1–10. `file` is the package, seekable; `key` comes from a source other than the package.

    Args:
        progress: called with (events checked, events in all) from time to time.
        processes: how many check the entries of a large package; all cores if None.

    Raises:
        MalformedInput: not a package at all (step `form`).
        VerificationError: `step` names the check that failed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            check_layout(file, archive)
            return _Check(archive, key, progress, processes or os.cpu_count() or 1).run()
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


def check_package_on_chain(
    report: PackageReport, chain: Chain, progress: Progress = lambda done, total: None
) -> ChainReport:
    """Step 11: every header under the checkpoint, and the checkpoint itself, against the contract.

    Raises:
        AnchorRefuted: the contract holds something else.
        ChainUnavailable: the node does not answer; nothing is said about the package.
    """
    name = log_id(report.checkpoint.origin)
    for anchor in report.anchors:
        named = anchor.contract
        if (named.chain_id, named.address.lower()) != (
            chain.contract.chain_id,
            chain.contract.address.lower(),
        ):
            raise AnchorRefuted(
                "the package names another contract", step="chain", expected=chain.contract, got=named
            )
    size = chain.size_of(name)
    if size is None or size.batches < report.checkpoint.size:
        raise AnchorRefuted(
            "the contract holds fewer batches than the checkpoint",
            step="chain",
            expected=f"at least {report.checkpoint.size}",
            got="no such log" if size is None else size.batches,
        )
    root = chain.root_of(name)
    # The root is the checkpoint's to match only if the contract had this size before and after the root was read.
    same_size = size.batches == report.checkpoint.size and chain.size_of(name) == size
    if same_size and root != report.checkpoint.root:
        raise AnchorRefuted(
            "the contract has another root", step="chain", expected=root, got=report.checkpoint.root
        )
    first = report.manifest.first_batch
    delays: dict[BatchNo, int] = {}
    for header in report.headers:
        anchored = chain.batch_of(name, header.batch_no)
        check_anchored(header, anchored)
        if 0 <= header.batch_no - first < report.manifest.batches:
            received = report.batch_received[header.batch_no - first] // 1000
            delays[header.batch_no] = anchored.anchored_at - received
        progress(header.batch_no + 1, len(report.headers))
    for number, anchor in enumerate(report.anchors, first):
        seen = chain.anchored_in(anchor.tx_hash, name, report.headers[number].batch_no)
        # The contract was compared above: its address may be written in other cases than the node's.
        if seen is None or (seen.block_number, seen.block_hash) != (anchor.block_number, anchor.block_hash):
            raise AnchorRefuted(f"batch {number} was not anchored where the package says", step="chain")
    return ChainReport(
        beyond=size.batches - report.checkpoint.size,
        longest_delay=max(delays.values()),
        post_dated=tuple(number for number, delay in delays.items() if delay < -CLOCK_TOLERANCE),
    )


class _Check:
    def __init__(
        self, archive: zipfile.ZipFile, key: VerifierKey, progress: Progress, processes: int
    ) -> None:
        self.archive = archive
        self.key = key
        self.progress = progress
        self.processes = processes

    def run(self) -> PackageReport:
        members = self.archive.infolist()
        names = [info.filename for info in members]
        if sorted(names) != sorted((*FILES, MANIFEST)):
            raise MalformedInput(
                "not an evidence package", expected=f"{[*FILES, MANIFEST]}", got=str(names[:10])
            )
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
            raise MalformedInput("not an evidence package", expected="members stored or deflated")
        manifest = self._manifest()
        self._files(manifest)
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

    def _files(self, manifest: Manifest) -> None:
        for file in manifest.files:
            size, digest = self._digest(file)
            if (size, digest) != (file.size, file.digest):
                raise PackageRefuted(
                    f"{file.name} is not what the manifest says",
                    step="files",
                    expected=f"{file.size} bytes, {file.digest}",
                    got=f"{size} bytes, {digest}",
                )

    def _digest(self, file: FileDigest) -> tuple[int, Digest]:
        """Size and SHA-256 of a member, unpacking no more than the manifest allows: a package cannot be a bomb."""
        hasher, size = hashlib.sha256(), 0
        try:
            with self.archive.open(file.name) as member:
                while size <= file.size and (chunk := member.read(min(_CHUNK, file.size - size + 1))):
                    hasher.update(chunk)
                    size += len(chunk)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise PackageRefuted(f"{file.name} is damaged", step="files", got=str(error)[:120]) from None
        return size, Digest(hasher.digest())

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
        """Check runs of entries, and each batch's root as soon as it has all its leaves."""
        found = _Found(manifest)
        remaining = iter(headers)
        header = next(remaining, None)
        leaves: list[Digest] = []
        with closing(self._tallies(manifest)) as tallies:
            for tally in tallies:
                found.add(tally)
                for leaf, received in zip(tally.leaves, tally.received, strict=True):
                    if header is None:
                        raise PackageRefuted(
                            "more entries than the batches hold", step="batches", expected=manifest.events
                        )
                    leaves.append(leaf)
                    if len(leaves) == header.leaf_count:
                        _check_root(header, leaves)
                        found.batch_received.append(received)
                        header, leaves = next(remaining, None), []
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
        return found

    def _tallies(self, manifest: Manifest) -> Generator[Tally]:
        lines = read_lines(self.archive, ENTRIES)
        processes = self.processes if manifest.events > _FEW else 1
        return spread(partial(check_run, manifest), runs(lines, manifest.first_event), processes)

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


def _check_root(header: BatchHeader, leaves: Sequence[Digest]) -> None:
    if (root := tree_root(leaves)) != header.root:
        raise PackageRefuted(
            f"the entries do not rebuild batch {header.batch_no}",
            step="batches",
            expected=header.root,
            got=root,
        )


class _Found:
    """What the entries hold, added up. Receipt never runs backwards among them."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
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
