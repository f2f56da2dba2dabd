"""Transfer facts: what events say of the transfer that they belong to, counted.

An event of a transfer gives one fact for its type, one for the party that says so, and a few more, each from a closed
vocabulary or a country's code::

    live-1  transit  event       transfer-ledger.hop.v1   × 9, first at position 4, last at 31
    live-1  transit  hop-to      SG                       × 3
    live-1  before   evidence    impact-assessment        × 1
    *       before   country     JP                       × 1     (of all transfers of the log: it was assessed)

`evidence` says that something is there for a transfer; papers that name the transfers they cover are evidence for those
and for no other. Facts of one key add up, so the same events give the same facts in whatever portions they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ledger import catalogue
from ledger.catalogue.base import kind_of
from ledger.entry import Event, is_subject
from ledger.projections.members import member, text, texts
from ledger.records import LOG_WIDE, Committed, Paper, TransferFact

Said = tuple[str, str]
"""Name and value of a fact."""

PAPERS = frozenset(
    {
        *("declaration", "impact-assessment", "country-assessment", "route", "sign-off"),
        *("deidentification", "encryption", "model-export"),
    }
)
"""Kinds that are read as a whole: few of each transfer, and what it is to be held against."""


def facts_of(committed: Committed, event: Event) -> Iterator[TransferFact]:
    """The facts that one event gives; `event` is what `committed` discloses."""
    kind = kind_of(event.type)
    said = [("event", event.type), ("party", committed.party)]
    covered = _covered(event)
    if event.subject in covered:
        said.append(("evidence", kind or event.type))
    said += _READERS.get(kind, _nothing)(event)
    for name, value in said:
        yield _fact(committed, event, event.subject, name, value)
    for subject in covered - {event.subject}:
        yield _fact(committed, event, subject, "evidence", kind)
    if kind == "country-assessment" and (country := text(event.data, "country")):
        yield _fact(committed, event, LOG_WIDE, "country", country)


def papers_of(committed: Committed, event: Event) -> Iterator[Paper]:
    """The transfers that the event is a paper of."""
    if kind_of(event.type) in PAPERS:
        for subject in sorted(_covered(event)):
            yield Paper(subject, committed.position)


def _covered(event: Event) -> frozenset[str]:
    """The transfers that an event is evidence for: those it lists, or else its own."""
    if "transfers" not in event.data or not kind_of(event.type):
        return frozenset({event.subject})
    return frozenset(filter(is_subject, texts(event.data, "transfers")))


def _fact(committed: Committed, event: Event, subject: str, name: str, value: str) -> TransferFact:
    time, position = event.time, committed.position
    return TransferFact(subject, event.phase, name, value, 1, time, time, position, position)


# --- What the kinds say besides


def _nothing(event: Event) -> Iterator[Said]:
    return iter(())


def _hop(event: Event) -> Iterator[Said]:
    yield from _told("hop-from", text(member(event.data, "from"), "country"))
    yield from _told("hop-to", text(member(event.data, "to"), "country"))
    yield from _told("tls", text(event.data, "tls_version"))


def _access(event: Event) -> Iterator[Said]:
    yield from _told("access-from", text(event.data, "country"))
    yield from _told("outcome", text(event.data, "outcome"))
    yield from _told("tls", text(event.data, "tls_version"))


def _snapshot(event: Event) -> Iterator[Said]:
    yield from _told("reachable-in", text(event.data, "country"))
    if event.data.get("public") is True:
        yield "public", "true"


def _stored(event: Event) -> Iterator[Said]:
    yield from _told("stored-in", text(event.data, "country"))
    yield from _told("stored", text(event.data, "kind"))
    if until := text(event.data, "retain_until"):
        yield "retain-until", until[:10]


def _consent(event: Event) -> Iterator[Said]:
    yield from _told("choice", text(event.data, "choice"))
    for country in texts(event.data, "storage_locations"):
        yield "consented-in", country


def _onward(event: Event) -> Iterator[Said]:
    if text(event.data, "status") == "performed":
        yield from _told("onward-to", text(event.data, "country"))


def _status(event: Event) -> Iterator[Said]:
    yield from _told("status", text(event.data, "status"))


def _told(name: str, value: str | None) -> Iterator[Said]:
    if value is not None:
        yield name, value


_READERS: dict[str, Callable[[Event], Iterator[Said]]] = {
    catalogue.HOP.kind: _hop,
    catalogue.ACCESS.kind: _access,
    catalogue.PERMISSION_SNAPSHOT.kind: _snapshot,
    catalogue.STORED.kind: _stored,
    catalogue.CONSENT.kind: _consent,
    catalogue.ONWARD_TRANSFER.kind: _onward,
    catalogue.INCIDENT.kind: _status,
    catalogue.ROUTE.kind: _status,
}
