"""Build an evidence package out of a store. Memory does not grow with the period."""

from __future__ import annotations

import hashlib
import zipfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from ledger import canonical
from ledger.checkpoint import Checkpoint
from ledger.errors import MalformedInput, Pending
from ledger.evidence.manifest import (
    ANCHORS,
    CHECKPOINT,
    ENTRIES,
    HEADERS,
    MANIFEST,
    PUSHES,
    FileDigest,
    Manifest,
)
from ledger.evidence.pushes import push_lines
from ledger.note import parse_note, sign_note
from ledger.ports import Signer, Store
from ledger.proof import anchor_document
from ledger.proving import anchor_of
from ledger.records import Log, SealedBatch
from ledger.types import BatchNo, Digest, Position, to_base64

_STEP = 1000


def build_package(
    store: Store,
    log: Log,
    signer: Signer,
    since: int,
    until: int,
    now: int,
    out: IO[bytes],
    *,
    disclose: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Write the package of all events received from `since` to `until` (Unix milliseconds, excluded).

    Whole batches are taken, and one batch more on either side where there is one, so that the borders can be shown.

    Args:
        out: a binary file to write the ZIP to, seekable: its layout has no data descriptors (`ledger.evidence.layout`).
        disclose: put in the disclosures of the period's events, as far as they have not been erased.
        progress: called with (events written, events in all).

    Raises:
        MalformedInput: an empty period.
        Pending: no batch is anchored yet.
    """
    if since >= until:
        raise MalformedInput("an empty period", expected="from before to")
    checkpoint = store.checkpoint(log.origin)
    if checkpoint is None:
        raise Pending(f"no batch of {log.origin} is anchored yet")
    size = Checkpoint.parse(parse_note(checkpoint.note).text).size
    first, last = _batches_of(store, log, size, since, until)
    start, stop = first.header.first_leaf, last.header.end
    # Events outside the period are there to fence it in; their content is nobody's business.
    period = range(since, until) if disclose else range(0)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        signed = next(store.signatures(log.origin, start, stop), None) is not None
        batches = first.header.batch_no, last.header.batch_no + 1
        files = (
            _write(archive, HEADERS, _header_lines(store, log, size)),
            _write(archive, ENTRIES, _entry_lines(store, log, start, stop, period, progress)),
            *([_write(archive, PUSHES, push_lines(store, log.origin, start, stop))] if signed else []),
            _write(archive, ANCHORS, _anchor_lines(store, log, *batches)),
            _write(archive, CHECKPOINT, [checkpoint.note.encode()]),
        )
        manifest = Manifest(
            origin=log.origin,
            since=since,
            until=until,
            first_batch=first.header.batch_no,
            batches=last.header.batch_no + 1 - first.header.batch_no,
            first_event=start,
            events=stop - start,
            made=now,
            files=files,
        )
        _write(archive, MANIFEST, [sign_note(str(manifest), signer.key, signer.sign).encode()])
    return manifest


def _batches_of(store: Store, log: Log, size: int, since: int, until: int) -> tuple[SealedBatch, SealedBatch]:
    """First and last batch to take: those that hold the last event before and the first event after the period."""
    end = store.batches(log.origin, BatchNo(size - 1), BatchNo(size))[0].header.end
    positions = range(end)

    def received(position: int) -> int:
        return store.event(log.origin, Position(position)).received

    before = max(bisect_left(positions, since, key=received) - 1, 0)
    after = min(bisect_left(positions, until, key=received), end - 1)
    first, last = (store.batch_at(log.origin, Position(p)) for p in (before, after))
    assert first is not None and last is not None, "positions under a checkpoint are in a batch"
    return first, last


def _write(archive: zipfile.ZipFile, name: str, chunks: Iterable[bytes]) -> FileDigest:
    hasher, size = hashlib.sha256(), 0
    # A fixed date keeps two packages of the same content alike.
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as member:
        for chunk in chunks:
            hasher.update(chunk)
            size += len(chunk)
            member.write(chunk)
    return FileDigest(name, size, Digest(hasher.digest()))


def _line(value: canonical.Object) -> bytes:
    return canonical.encode(value) + b"\n"


def _sealed(store: Store, log: Log, start: int, stop: int) -> Iterator[SealedBatch]:
    for low in range(start, stop, _STEP):
        yield from store.batches(log.origin, BatchNo(low), BatchNo(min(low + _STEP, stop)))


def _header_lines(store: Store, log: Log, size: int) -> Iterator[bytes]:
    for sealed in _sealed(store, log, 0, size):
        yield _line({"batch_no": sealed.header.batch_no, "header": to_base64(bytes(sealed.header))})


def _anchor_lines(store: Store, log: Log, start: int, stop: int) -> Iterator[bytes]:
    for sealed in _sealed(store, log, start, stop):
        yield _line({"batch_no": sealed.header.batch_no, "anchor": anchor_document(anchor_of(log, sealed))})


def _entry_lines(
    store: Store,
    log: Log,
    start: Position,
    stop: Position,
    period: range,
    progress: Callable[[int, int], None],
) -> Iterator[bytes]:
    for event in store.scan(log.origin, start, stop):
        yield _line(
            {
                "position": event.position,
                "entry": event.entry.decode(),
                "disclosures": list(event.disclosures) if event.received in period else [],
            }
        )
        progress(event.position - start + 1, stop - start)
