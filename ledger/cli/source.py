"""Where the auditor's commands ask: the ledger in the data folder, or the API at a URL. Both answer alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, Protocol, cast

import typer

from ledger import documents, export, reconciliations
from ledger.auditing import Auditor
from ledger.bootstrap import open_store_only
from ledger.cli.shared import load_settings, require_api_key
from ledger.client import Client
from ledger.documents import (
    AccessDocument,
    DifferenceDocument,
    JudgementDocument,
    MatrixDocument,
    MomentDocument,
    SnapshotDocument,
    TransferDocument,
)
from ledger.entry import Phase
from ledger.errors import InputError, MalformedInput
from ledger.export import Format
from ledger.paging import Page, all_rows
from ledger.permissions import Verdict
from ledger.reconciliations import ReconciliationDocument
from ledger.records import ViewFilter
from ledger.types import Origin, Position, format_time, parse_origin

PAGE = 500
Equal = Mapping[str, str | bool]
Told = Callable[[int], None]


class Source(Protocol):
    """The questions of an auditor. Lists are whole, and read as they are asked for."""

    def accesses(self, which: ViewFilter) -> Iterator[AccessDocument]: ...
    def export(self, which: ViewFilter, format: Format, out: IO[bytes]) -> None: ...
    def snapshots(self, which: ViewFilter) -> Iterator[SnapshotDocument]: ...
    def transfers(self) -> Iterator[TransferDocument]: ...
    def transfer(self, subject: str) -> TransferDocument: ...
    def matrices(self) -> Iterator[MatrixDocument]: ...
    def matrix(self, subject: str) -> MatrixDocument: ...
    def timeline(self, subject: str, phase: Phase | None, types: list[str]) -> Iterator[MomentDocument]: ...
    def compare(self, before: int, after: int) -> DifferenceDocument: ...
    def compare_phases(self, which: ViewFilter, before: Phase, after: Phase) -> DifferenceDocument: ...
    def judge(self, which: ViewFilter, verdicts: frozenset[Verdict]) -> Iterator[JudgementDocument]: ...
    def reconcile(self, which: ViewFilter, progress: Told) -> ReconciliationDocument: ...


def open_source(
    context: typer.Context, log: str, url: str | None, api_key: str | None
) -> AbstractContextManager[Source]:
    """The API at `url`, or without one the ledger in the data folder."""
    return _remote(log, url, api_key) if url else _local(context, log)


@contextmanager
def _local(context: typer.Context, log: str) -> Iterator[Source]:
    with open_store_only(load_settings(context)) as (store, _, clock):
        yield LocalSource(Auditor(store, store.log(parse_origin(log)), clock.now()))


@contextmanager
def _remote(log: str, url: str, api_key: str | None) -> Iterator[Source]:
    with Client(url, require_api_key(api_key), parse_origin(log)) as client:
        yield RemoteSource(client, log)


@dataclass(frozen=True, slots=True)
class LocalSource:
    """The ledger in the data folder."""

    auditor: Auditor

    @property
    def _origin(self) -> Origin:
        return self.auditor.log.origin

    def accesses(self, which: ViewFilter) -> Iterator[AccessDocument]:
        return (documents.access(self._origin, record) for record in self.auditor.every_access(which))

    def export(self, which: ViewFilter, format: Format, out: IO[bytes]) -> None:
        export.write(self.accesses(which), format, out)

    def snapshots(self, which: ViewFilter) -> Iterator[SnapshotDocument]:
        found = all_rows(lambda after: self.auditor.snapshots(which, after, PAGE))
        return (documents.snapshot(self._origin, record) for record in found)

    def transfers(self) -> Iterator[TransferDocument]:
        found = all_rows(lambda after: self.auditor.transfers(after, PAGE))
        return (documents.transfer(self._origin, view) for view in found)

    def transfer(self, subject: str) -> TransferDocument:
        return documents.transfer(self._origin, self.auditor.transfer(subject))

    def matrices(self) -> Iterator[MatrixDocument]:
        found = all_rows(lambda after: self.auditor.matrices(after, PAGE))
        return (documents.matrix(self._origin, matrix) for matrix in found)

    def matrix(self, subject: str) -> MatrixDocument:
        return documents.matrix(self._origin, self.auditor.completeness(subject))

    def timeline(self, subject: str, phase: Phase | None, types: list[str]) -> Iterator[MomentDocument]:
        found = all_rows(lambda after: self.auditor.timeline(subject, phase, types, after, PAGE))
        return (documents.moment(self._origin, committed, disclose=True) for committed in found)

    def compare(self, before: int, after: int) -> DifferenceDocument:
        return documents.comparison(self._origin, self.auditor.compare(Position(before), Position(after)))

    def compare_phases(self, which: ViewFilter, before: Phase, after: Phase) -> DifferenceDocument:
        return self.compare(*(self.auditor.newest_in_phase(which, phase) for phase in (before, after)))

    def judge(self, which: ViewFilter, verdicts: frozenset[Verdict]) -> Iterator[JudgementDocument]:
        found = all_rows(lambda after: self.auditor.judge_accesses(which, verdicts, after, PAGE))
        return (documents.judgement(self._origin, judgement) for judgement in found)

    def reconcile(self, which: ViewFilter, progress: Told) -> ReconciliationDocument:
        pages = (reconciliations.page(self._origin, it) for it in self.auditor.all_grant_uses(which))
        return reconciliations.whole(pages, progress)


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """The API."""

    client: Client
    log: str

    def accesses(self, which: ViewFilter) -> Iterator[AccessDocument]:
        return self._pages("/v1/access", **_parameters(which))

    def export(self, which: ViewFilter, format: Format, out: IO[bytes]) -> None:
        self.client.download(f"/v1/access.{format}", {"log": self.log, **_parameters(which)}, out)

    def snapshots(self, which: ViewFilter) -> Iterator[SnapshotDocument]:
        return self._pages("/v1/snapshots", **_parameters(which))

    def transfers(self) -> Iterator[TransferDocument]:
        return self._pages("/v1/transfers")

    def transfer(self, subject: str) -> TransferDocument:
        # By parameter: on the way of a path, `a/../b` may become `b`.
        (found,) = self._pages("/v1/transfers", transfer=subject)
        return cast(TransferDocument, found)

    def matrices(self) -> Iterator[MatrixDocument]:
        return self._pages("/v1/completeness")

    def matrix(self, subject: str) -> MatrixDocument:
        (found,) = self._pages("/v1/completeness", transfer=subject)
        return cast(MatrixDocument, found)

    def timeline(self, subject: str, phase: Phase | None, types: list[str]) -> Iterator[MomentDocument]:
        asked: dict[str, Any] = {"transfer": subject, "type": types}
        return self._pages("/v1/timeline", **asked, **({"phase": phase.value} if phase else {}))

    def compare(self, before: int, after: int) -> DifferenceDocument:
        return cast(DifferenceDocument, self._get("/v1/snapshots/diff", before=before, after=after))

    def compare_phases(self, which: ViewFilter, before: Phase, after: Phase) -> DifferenceDocument:
        asked = {**_parameters(which), "before_phase": before.value, "after_phase": after.value}
        return cast(DifferenceDocument, self._get("/v1/snapshots/diff", **asked))

    def judge(self, which: ViewFilter, verdicts: frozenset[Verdict]) -> Iterator[JudgementDocument]:
        return self._pages("/v1/reconciliation", verdict=sorted(verdicts), **_parameters(which))

    def reconcile(self, which: ViewFilter, progress: Told) -> ReconciliationDocument:
        try:
            return reconciliations.whole(self._reconciliation(which), progress)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _no_ledger() from None

    def _reconciliation(self, which: ViewFilter) -> Iterator[ReconciliationDocument]:
        path, after = "/v1/reconciliation/grants", dict[str, str]()
        while True:
            page = cast(ReconciliationDocument, self._get(path, **_parameters(which), **after))
            yield page
            if page["next"] is None:
                return
            after = {"after": page["next"]}

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        try:
            found = self.client.get(path, {"log": self.log, **parameters})
        except UnicodeEncodeError:
            raise MalformedInput("an argument that is not UTF-8") from None
        if not isinstance(found, dict):
            raise _no_ledger()
        return found

    def _pages(self, path: str, **parameters: Any) -> Iterator[Any]:
        return all_rows(
            lambda after: self._page(path, {} if after is None else {"after": after}, **parameters)
        )

    def _page(self, path: str, after: Mapping[str, Any], **parameters: Any) -> Page[Any, Any]:
        found = self._get(path, **parameters, limit=PAGE, **after)
        if not isinstance(found.get("items"), list):
            raise _no_ledger()
        return Page(found["items"], found.get("next"))


def _no_ledger() -> InputError:
    return InputError(
        "what answers at --url is no ledger, or one of another version", advice="Is the URL right?"
    )


def _parameters(which: ViewFilter) -> dict[str, Any]:
    """A filter as the API's parameters: it calls a subject a transfer."""
    equal = {"transfer" if name == "subject" else name: value for name, value in which.equal.items()}
    span = {"since": which.since, "until": which.until}
    return equal | {name: format_time(time) for name, time in span.items() if time is not None}


def at_most(rows: Iterator[Any], limit: int) -> tuple[list[Any], bool]:
    """The first rows (0: all), and whether there are more."""
    if limit == 0:
        return list(rows), False
    found = list(islice(rows, limit + 1))
    return found[:limit], len(found) > limit
