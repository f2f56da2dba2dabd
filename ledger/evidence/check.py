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

`check_package` is steps 1–11, `ledger.evidence.on_chain` step 12. Steps 6–9 are one pass over the entries. What is out
of form behind the signature (a header of 91 bytes, a line with a stray member) fails the step that reads it.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, cast

from ledger import canonical
from ledger.anchor import Anchor
from ledger.batch import BatchHeader
from ledger.canonical import Object
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.disclosure import check_disclosures, parse_disclosure
from ledger.entry import Entry, parse_entry
from ledger.errors import (
    DisclosureRefuted,
    InputError,
    MalformedInput,
    PackageRefuted,
    VerificationError,
)
from ledger.evidence.layout import check_layout
from ledger.evidence.manifest import (
    ANCHORS,
    CHECKPOINT,
    ENTRIES,
    FILES,
    HEADERS,
    MANIFEST,
    PUSHES,
    SIGNED_FILES,
    FileDigest,
    Manifest,
)
from ledger.evidence.pushes import MEMBERS as PUSH_MEMBERS
from ledger.evidence.pushes import PushCheck
from ledger.merkle import leaf_hash, tree_root
from ledger.note import VerifierKey, open_note
from ledger.proof import parse_anchor
from ledger.types import Digest, Position, from_base64, log_id

_MAX_NOTE = 1_000_000
_MAX_LINE = 16 * 1024 * 1024
_CHUNK = 1024 * 1024

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
    watch: Watch = lambda header, leaves: None,
) -> PackageReport:
    """Steps 1–11.

    Args:
        file: the package, seekable.
        key: the log's, from a source other than the package.
        party_keys: parties' keys, from such a source too, against which signatures of pushes are held.
        watch: called with the header and leaf hashes of each of the package's batches, once these give its root.

    Raises:
        MalformedInput: not a package at all (step `form`).
        VerificationError: `step` names the check that failed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            check_layout(file, archive)
            return _Check(archive, key, progress, party_keys, watch).run()
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
        watch: Watch,
    ) -> None:
        self.archive = archive
        self.key = key
        self.progress = progress
        self.party_keys = party_keys
        self.watch = watch

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
        self._files(manifest)
        with _step("checkpoint"):
            checkpoint = open_checkpoint(self._small(CHECKPOINT), self.key)
        with _step("log"):
            headers = self._headers(checkpoint)
        inside = headers[manifest.first_batch : manifest.first_batch + manifest.batches]
        if not inside or len(inside) != manifest.batches or inside[0].first_leaf != manifest.first_event:
            raise PackageRefuted("the manifest's batches are not under the checkpoint", step="batches")
        with _step("batches"):
            tally = self._entries(manifest, inside)
        tally.check_period(manifest, last_under_checkpoint=inside[-1] == headers[-1])
        with _step("anchors"):
            anchors = self._anchors(manifest)
        return PackageReport(
            manifest=manifest,
            checkpoint=checkpoint,
            headers=tuple(headers),
            anchors=anchors,
            events_in_period=sum(tally.by_phase.values()),
            disclosed_members=tally.disclosed,
            withheld_members=tally.withheld,
            by_phase=dict(sorted(tally.by_phase.items())),
            by_type=dict(sorted(tally.by_type.items())),
            open_end=tally.last < manifest.until,
            first_received=tally.first_inside,
            last_received=tally.last_inside,
            signed_events=tally.pushes.signed.total(),
            held_events=tally.pushes.signed[True],
            unheld=tally.pushes.unheld,
            batch_received=tuple(tally.batch_received),
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
        names = {info.filename for info in self.archive.infolist()}
        if names != {MANIFEST, *(file.name for file in manifest.files)}:
            raise PackageRefuted("other members than the manifest says", step="files", got=sorted(names))
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
            header = BatchHeader.parse(from_base64(_string(value, "header")))
            _number(value, "batch_no", len(headers), step="log")
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

    def _entries(self, manifest: Manifest, headers: Sequence[BatchHeader]) -> _Tally:
        pushes = self._lines(PUSHES, *PUSH_MEMBERS) if manifest.signed else iter(())
        period = range(manifest.since, manifest.until)
        tally = _Tally(manifest, PushCheck(pushes, manifest.origin, self.party_keys, period))
        lines = self._lines(ENTRIES, "position", "entry", "disclosures")
        position = manifest.first_event
        for header in headers:
            leaves = []
            for _ in range(header.leaf_count):
                value = next(lines, None)
                if value is None:
                    raise PackageRefuted("an entry is missing", step="batches", expected=position)
                _number(value, "position", position, step="batches")
                entry = _string(value, "entry").encode()
                leaves.append(leaf_hash(entry))
                tally.add(position, entry, value)
                position = type(position)(position + 1)
                self.progress(position - manifest.first_event, manifest.events)
            tally.batch_received.append(tally.last)
            if (root := tree_root(leaves)) != header.root:
                raise PackageRefuted(
                    f"the entries do not rebuild batch {header.batch_no}",
                    step="batches",
                    expected=header.root,
                    got=root,
                )
            self.watch(header, leaves)
        if next(lines, None) is not None or position - manifest.first_event != manifest.events:
            raise PackageRefuted(
                "more entries than the batches hold", step="batches", expected=manifest.events
            )
        tally.pushes.finish()
        return tally

    def _anchors(self, manifest: Manifest) -> tuple[Anchor, ...]:
        anchors = []
        lines = self._lines(ANCHORS, "batch_no", "anchor")
        for number, value in enumerate(lines, manifest.first_batch):
            _number(value, "batch_no", number, step="anchors")
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
        # `zipfile` splits lines in Python; the buffer does it many times faster.
        with self.archive.open(name) as member, io.BufferedReader(member, _CHUNK) as lines:  # type: ignore[type-var]
            while line := lines.readline(_MAX_LINE):
                if not line.endswith(b"\n"):
                    raise MalformedInput(
                        f"a line of {name} without its end", expected=f"at most {_MAX_LINE} bytes"
                    )
                value = canonical.parse_object(line)
                if value.keys() != set(names):
                    raise MalformedInput(f"a line of {name} is out of form", expected=", ".join(names))
                yield value


class _Tally:
    """Checks entries one after the other and counts them."""

    def __init__(self, manifest: Manifest, pushes: PushCheck) -> None:
        self.manifest = manifest
        self.pushes = pushes
        self.by_phase: Counter[str] = Counter()
        self.by_type: Counter[str] = Counter()
        self.disclosed = self.withheld = 0
        self.first = self.last = -1
        self.first_inside: int | None = None
        self.last_inside: int | None = None
        self.batch_received: list[int] = []

    def add(self, position: Position, data: bytes, value: Object) -> None:
        entry = _read_entry(data, self.manifest)
        if entry.received < self.last:
            raise PackageRefuted(
                "an entry was received before the one before it", step="entries", got=position
            )
        self.first = entry.received if self.first < 0 else self.first
        self.last = entry.received
        with _step("disclosures"):
            shown = [parse_disclosure(text) for text in _strings(value, "disclosures")]
            check_disclosures(shown, entry.sd, entry.visible)
        self.pushes.add(position, data, entry)
        if self.manifest.since <= entry.received < self.manifest.until:
            self.by_phase[entry.attributes["phase"]] += 1
            self.by_type[entry.attributes["type"]] += 1
            self.disclosed += len(shown)
            self.withheld += len(entry.sd) - len(shown)
            self.first_inside = entry.received if self.first_inside is None else self.first_inside
            self.last_inside = entry.received

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


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Name the step in which a general check failed; one that names a step of packages itself keeps it."""
    try:
        yield
    except (PackageRefuted, DisclosureRefuted):
        raise
    except VerificationError as error:
        error.step = name
        raise
    except InputError as error:
        raise PackageRefuted(error.message, step=name, expected=error.expected, got=error.got) from None


def _number(value: Object, name: str, expected: int, *, step: str) -> None:
    # In Python, 1 == True == 1.0; a line's number is an integer.
    got = value.get(name)
    if type(got) is not int or got != expected:
        raise PackageRefuted(
            "a line is missing or out of order", step=step, expected=f"{name} {expected}", got=got
        )


def _string(value: Object, name: str) -> str:
    if not isinstance(text := value.get(name), str):
        raise MalformedInput(f"a line without {name!r}", expected="a string")
    return text


def _strings(value: Object, name: str) -> list[str]:
    texts = value.get(name)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise MalformedInput(f"a line without {name!r}", expected="a list of strings")
    return cast(list[str], texts)
