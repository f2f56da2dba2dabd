"""Feed a log: push events, make a scenario. `imports` does the same with what other systems logged."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Protocol

import typer

from ledger import canonical
from ledger.bootstrap import Wired, open_ledger
from ledger.cli.dispatch import Dispatch, LogKeyOption, OutboxOption, SigningPartyOption, SignOption
from ledger.cli.shared import (
    ApiKeyOption,
    JsonOption,
    LogOption,
    UrlOption,
    app,
    emit,
    err,
    load_settings,
    out,
    print_json,
    progress_bar,
)
from ledger.client import PushSummary, signed_events
from ledger.commit import PushStatus
from ledger.entry import event_time
from ledger.errors import InputError, MalformedInput
from ledger.ports import Signer
from ledger.push import parse_push
from ledger.scenario import scenario
from ledger.types import Origin, parse_origin

CHUNK_EVENTS = 500
CHUNK_BYTES = 4 * 1024 * 1024


class Target(Protocol):
    """Where events are pushed: the API, or the ledger in the data folder."""

    def push_lines(self, lines: bytes) -> PushSummary:
        """Push NDJSON; see `ledger.client.Client.push_lines`."""
        ...


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """The ledger in the data folder, without a server; its log's own party pushes."""

    ledger: Wired
    origin: Origin
    signer: Signer | None = None

    def push_lines(self, lines: bytes) -> PushSummary:
        values = [canonical.parse(line) for line in lines.split(b"\n") if line.strip()]
        party = self.ledger.store.log(self.origin).party
        note = None
        if self.signer:
            note, values = parse_push(canonical.parse(signed_events(values, self.origin, self.signer).body))
        result = self.ledger.pipeline.push(self.origin, party, values, note)
        accepted = sum(pushed.status is PushStatus.ACCEPTED for pushed in result.events)
        return PushSummary(accepted, len(result.events) - accepted, result.receipts)


def open_target(
    context: typer.Context,
    log: str,
    url: str | None,
    api_key: str | None,
    dispatch: Dispatch | None = None,
) -> AbstractContextManager[Target]:
    """The API at `url`, or without one the ledger in the data folder; dispatched as the environment says by default."""
    origin = parse_origin(log)
    dispatch = dispatch or Dispatch.from_environment()
    return dispatch.target(url, api_key, origin) if url else _local(context, origin, dispatch)


@contextmanager
def _local(context: typer.Context, origin: Origin, dispatch: Dispatch) -> Iterator[Target]:
    if dispatch.outbox is not None:
        raise MalformedInput("an outbox without a server", expected="--url beside --outbox")
    with open_ledger(load_settings(context)) as ledger:
        yield LocalTarget(ledger, origin, dispatch.signer(ledger.store.log(origin).party))


@app.command()
def push(
    context: typer.Context,
    log: LogOption,
    file: Annotated[
        Path | None, typer.Argument(help="NDJSON, one CloudEvent a line; standard input if left out.")
    ] = None,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    receipts: Annotated[Path | None, typer.Option(help="Append the signed receipts to this file.")] = None,
    key: LogKeyOption = None,
    sign: SignOption = None,
    party: SigningPartyOption = None,
    outbox: OutboxOption = None,
    json: JsonOption = False,
) -> None:
    """Push events, one CloudEvent a line, in order.

    A file is pushed on from where an interrupted push of it ended; pushing anything twice is harmless. With --outbox,
    what the ledger does not answer waits in a file (`outbox flush`), and what it refuses is set aside there.

    Example: `transfer-ledger push --log ledger.example/acme-live events.ndjson`
    """
    total = PushSummary(0, 0, ())
    dispatch = Dispatch(key, sign, party, outbox)
    with open_target(context, log, url, api_key, dispatch) as target, _source(file) as source:
        mark = _Mark(file, f"{url or ''} {log}") if file else None
        start = mark.seek(source) if mark else 0
        size = file.stat().st_size if file else None
        with progress_bar("pushing bytes") as update:
            done = start
            for first, lines in _chunks(source):
                summary = _push_chunk(target, first, lines, resumed=start > 0)
                total = PushSummary(
                    total.accepted + summary.accepted, total.duplicates + summary.duplicates, ()
                )
                _keep(receipts, summary.receipts)
                done += len(lines)
                update(done, size)
                if mark:
                    mark.set(source, done)
        if mark:
            mark.clear()
    report({"accepted": total.accepted, "duplicates": total.duplicates}, as_json=json)


def _push_chunk(target: Target, first: int, lines: bytes, *, resumed: bool) -> PushSummary:
    try:
        return target.push_lines(lines)
    except InputError as error:
        last = first + lines.count(b"\n") - 1
        since = " since the resumed place" if resumed else ""
        error.message = f"in lines {first} to {last}{since}: {error.message}"
        error.args = (error.message,)
        raise


@contextmanager
def _source(file: Path | None) -> Iterator[IO[bytes]]:
    if file is None:
        yield sys.stdin.buffer
        return
    try:
        with file.open("rb") as opened:
            yield opened
    except OSError as error:
        raise MalformedInput(f"{file} cannot be read", got=error.strerror or str(error)) from None


def _chunks(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines in chunks, each with the number of its first line, from 1."""
    first, size, lines = 1, 0, list[bytes]()
    while line := source.readline():
        lines.append(line)
        size += len(line)
        if len(lines) >= CHUNK_EVENTS or size >= CHUNK_BYTES:
            yield first, b"".join(lines)
            first, size, lines = first + len(lines), 0, []
    if b"".join(lines).strip():
        yield first, b"".join(lines)


class _Mark:
    """How far a file has been pushed, kept beside it until it is done: `FILE.push-mark`.

    It holds a digest of what stands before that place, so that a file that was replaced is pushed from its start.
    """

    TAIL = 64 * 1024

    def __init__(self, file: Path, target: str) -> None:
        self._path = file.with_name(file.name + ".push-mark")
        self._target = target

    def seek(self, source: IO[bytes]) -> int:
        """Go to where an interrupted push to the same target ended. A mark that does not fit is ignored."""
        try:
            mark = json.loads(self._path.read_text())
            offset = int(mark["offset"])
            fits = mark == self._mark(source, offset)
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            fits = False
        source.seek(offset if fits else 0)
        if fits:
            err.print(f"going on at byte {offset}, where a push of this file was interrupted")
        return source.tell()

    def set(self, source: IO[bytes], offset: int) -> None:
        """Keep that everything before `offset` is pushed."""
        place = source.tell()
        mark = self._mark(source, offset)
        source.seek(place)
        temporary = self._path.with_name(self._path.name + ".new")
        temporary.write_text(json.dumps(mark))
        temporary.replace(self._path)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)

    def _mark(self, source: IO[bytes], offset: int) -> dict[str, str | int]:
        start = max(0, offset - self.TAIL)
        source.seek(start)
        tail = source.read(offset - start)
        return {"target": self._target, "offset": offset, "tail": hashlib.sha256(tail).hexdigest()}


def _keep(path: Path | None, receipts: tuple[str, ...]) -> None:
    if path is not None:
        with path.open("a") as file:
            file.writelines(note + "\n" for note in receipts)


@app.command("scenario")
def make_scenario(
    events: Annotated[int, typer.Option(help="How many events.")] = 3000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 1,
    since: Annotated[str, typer.Option(help="Start of the year.")] = "2025-11-01T00:00:00Z",
    until: Annotated[str, typer.Option(help="End of the year.")] = "2026-11-01T00:00:00Z",
) -> None:
    """Print a year of cross-border live commerce, with some faults, as NDJSON. For trying things out.

    Example: `transfer-ledger scenario --events 100 | transfer-ledger push --log ledger.example/acme-live`
    """
    for event in scenario(seed, events, event_time(since), event_time(until)):
        emit(canonical.encode(event) + b"\n")


def report(counts: dict[str, int], *, as_json: bool) -> None:
    """Print counts, by their names."""
    if as_json:
        print_json({name.replace(" ", "_"): count for name, count in counts.items()})
    else:
        out.print(" · ".join(f"{count} {name}" for name, count in counts.items()), markup=False)
