"""Reconciliations as JSON: a page of one, as the API answers it, and the whole that its pages make.

Everything counted in a page is of that page alone. `whole` adds pages up, and only what it answers, or a page that is
the whole by itself, says `complete`. Of a single allowance `unused` is true only where its whole life is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from typing_extensions import TypedDict

from ledger import canonical, documents
from ledger.documents import JudgementDocument
from ledger.grant_use import Stretch, UsePage
from ledger.permissions import resource_key
from ledger.types import Origin, format_time

MOST_UNEXPLAINED = 1000
"""Accesses that nothing explains which the whole lists; all are counted."""


class GrantUseDocument(TypedDict):
    """An allowance, and how often it was used.

    `since` is `null` if it stood before this page already, `until` if it still stands, or stood at the end of the page.
    `unused` is `null` where this page alone cannot tell.
    """

    resource: str
    source_system: str | None
    grant: dict[str, Any]
    since: str | None
    until: str | None
    uses: int
    last_used: str | None
    unused: bool | None


class ReconciliationDocument(TypedDict):
    """Accesses by verdict; those that were done and that nothing permitted; grants and their use.

    It is of the first `events` events of the log, and of what was up to `through`, `null` for the end. Unless it is
    `complete`, it is one page of several: counts add up over all of them, and no grant is unused before the last.
    """

    complete: bool
    events: int
    through: str | None
    examined: int
    accesses: int
    verdicts: dict[str, int]
    unexplained_count: int
    unexplained: list[JudgementDocument]
    unused_grants: int | None
    grants: list[GrantUseDocument]
    next: str | None


def page(origin: Origin, value: UsePage) -> ReconciliationDocument:
    """One page; unused grants first, if it is complete."""
    is_last = value.next is None
    grants = [_use(stretch, is_last) for stretch in value.stretches]
    complete = value.is_first and is_last
    return {
        "complete": complete,
        "events": value.events,
        "through": None if value.next is None else format_time(value.next.time),
        "examined": value.examined,
        "accesses": value.verdicts.total(),
        "verdicts": {verdict.value: count for verdict, count in sorted(value.verdicts.items())},
        "unexplained_count": len(value.unexplained),
        "unexplained": [documents.judgement(origin, found) for found in value.unexplained],
        "unused_grants": _unused(grants) if complete else None,
        "grants": sorted(grants, key=_unused_first) if complete else grants,
        "next": None if value.next is None else str(value.next),
    }


def _use(stretch: Stretch, is_last: bool) -> GrantUseDocument:
    is_whole = stretch.since is not None and (stretch.until is not None or is_last)
    return {
        "resource": stretch.resource,
        "source_system": stretch.source_system,
        "grant": documents.grant(stretch.grant),
        "since": _time(stretch.since),
        "until": _time(stretch.until),
        "uses": stretch.uses,
        "last_used": _time(stretch.last_used),
        "unused": False if stretch.uses else True if is_whole else None,
    }


def whole(
    pages: Iterable[ReconciliationDocument], progress: Callable[[int], None] = lambda done: None
) -> ReconciliationDocument:
    """What all pages from the first to the last say together. Memory grows with the grants, not with the accesses.

    Args:
        progress: told after each page how many accesses were judged.

    Raises:
        ValueError: these are not all pages of one reconciliation.
    """
    sums, verdicts = Counter[str](), Counter[str]()
    unexplained: list[JudgementDocument] = []
    uses = _Uses()
    last: ReconciliationDocument | None = None
    for found in pages:
        if last is not None and (last["next"] is None or last["events"] != found["events"]):
            raise ValueError("a page behind the last, or of another state of the log")
        last = found
        sums["examined"] += found["examined"]
        sums["accesses"] += found["accesses"]
        sums["unexplained_count"] += found["unexplained_count"]
        for verdict, count in found["verdicts"].items():
            verdicts[verdict] += count
        unexplained += found["unexplained"][: MOST_UNEXPLAINED - len(unexplained)]
        for use in found["grants"]:
            uses.add(use)
        progress(sums["examined"])
    if last is None or last["next"] is not None:
        raise ValueError("the last page is missing")
    grants = sorted(uses.finish(), key=_unused_first)
    return {
        "complete": True,
        "events": last["events"],
        "through": None,
        "examined": sums["examined"],
        "accesses": sums["accesses"],
        "verdicts": dict(sorted(verdicts.items())),
        "unexplained_count": sums["unexplained_count"],
        "unexplained": unexplained,
        "unused_grants": _unused(grants),
        "grants": grants,
        "next": None,
    }


class _Uses:
    """The allowances, put together out of the parts of their lives that pages tell."""

    def __init__(self) -> None:
        self._ended: list[GrantUseDocument] = []
        self._open: dict[tuple[str, str | None, bytes], GrantUseDocument] = {}

    def add(self, part: GrantUseDocument) -> None:
        key = resource_key(part["resource"]), part["source_system"], canonical.encode(part["grant"])
        known = self._open.pop(key, None)
        if (known is None) != (part["since"] is not None):
            raise ValueError("an allowance whose beginning is missing, or told twice")
        merged: GrantUseDocument = {**part}
        if known is not None:
            merged |= {
                "resource": known["resource"],
                "since": known["since"],
                "uses": known["uses"] + part["uses"],
                "last_used": part["last_used"] or known["last_used"],
            }
        if merged["until"] is None:
            self._open[key] = merged
        else:
            self._ended.append(merged)

    def finish(self) -> list[GrantUseDocument]:
        return [{**use, "unused": use["uses"] == 0} for use in (*self._ended, *self._open.values())]


def _unused(grants: Iterable[GrantUseDocument]) -> int:
    return sum(use["unused"] is True for use in grants)


def _unused_first(use: GrantUseDocument) -> tuple[object, ...]:
    system, since = use["source_system"] or "", use["since"] or ""
    return use["uses"], use["resource"], system, since, use["until"] or "~", canonical.encode(use["grant"])


def _time(millis: int | None) -> str | None:
    return None if millis is None else format_time(millis)
