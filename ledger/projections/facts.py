"""Transfer facts: what events say of the transfer that they belong to, counted.

An event of a transfer gives one fact for its type, one for the party that says so, and a few more, each from a closed
vocabulary or a country's code::

    live-1  transit  event         transfer-ledger.hop.v1   × 9, first at position 4, last at 31
    live-1  transit  hop-to        SG                       × 3
    live-1  before   tier          2                        × 1
    live-1  before   evidence      impact-assessment        × 1
    live-1  storage  retain-until  replay                   × 1     (its times are those until when)
    *       before   country       JP                       × 1     (of all transfers of the log: it was assessed)
    *       transit  party         acme                     × 9     (of the log: who said something in it)

`evidence` says that something is there for a transfer; papers that name the transfers they cover are evidence for those
and for no other. Facts of one key add up, so the same events give the same facts in whatever portions they come. A
transfer has a bounded number of them, whatever is pushed: nothing that a view or a matrix goes by can be crowded out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ledger import catalogue
from ledger.catalogue.base import kind_of
from ledger.entry import Event, is_subject
from ledger.projections.members import integer, member, moment, objects, text, texts
from ledger.records import LOG_WIDE, Committed, Paper, TransferFact


class Said(NamedTuple):
    """Name and value of a fact; `time` where it is of another time than its event, Unix milliseconds."""

    name: str
    value: str
    time: int | None = None


OPAQUE = "opaque"
"""In place of a type that the catalogue does not know: there may be any number of those."""

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
    said = [Said("event", event.type if kind else OPAQUE), Said("party", committed.party)]
    said += _READERS.get(kind, _nothing)(event)
    # An event says a thing once, however often it stands in it.
    for it in dict.fromkeys(said):
        yield _fact(committed, event, event.subject, it)
    yield _fact(committed, event, LOG_WIDE, Said("party", committed.party))
    for subject in _covered(event):
        yield _fact(committed, event, subject, Said("evidence", kind))
    if kind == "country-assessment" and (country := text(event.data, "country")):
        yield _fact(committed, event, LOG_WIDE, Said("country", country))


def papers_of(committed: Committed, event: Event) -> Iterator[Paper]:
    """The transfers that the event is a paper of."""
    if (kind := kind_of(event.type)) in PAPERS:
        for subject in sorted(_covered(event)):
            yield Paper(subject, kind, committed.position)


def _covered(event: Event) -> frozenset[str]:
    """The transfers that an event is evidence for: those it lists, its own if it lists none; none if it is opaque."""
    if not kind_of(event.type):
        return frozenset()
    listed = texts(event.data, "transfers")
    return frozenset(filter(is_subject, listed)) if listed else frozenset({event.subject})


_COVERING = frozenset(
    type_.name for type_ in catalogue.all_types() if "transfers" in type_.model.model_fields
)
"""Types that list transfers."""
_SPREAD = 16
"""How many times more than another such an event may take: each name, of ten bytes or so, gives a fact and a paper."""


def weight(committed: Committed) -> int:
    """What it takes to project an event, in bytes of one that names no transfers: one paper may name 24,000."""
    return committed.size * _SPREAD if committed.type in _COVERING else committed.size


def _fact(committed: Committed, event: Event, subject: str, said: Said) -> TransferFact:
    time, position = event.time if said.time is None else said.time, committed.position
    return TransferFact(subject, event.phase, said.name, said.value, 1, time, time, position, position)


# --- What the kinds say besides


def _nothing(event: Event) -> Iterator[Said]:
    return iter(())


STREAMS = frozenset({"stream", "audio", "video", "face", "voice"})
"""Categories of data that cross as audio or video."""


def _declaration(event: Event) -> Iterator[Said]:
    for category in objects(event.data, "data_categories"):
        if (tier := integer(category, "tier")) is not None:
            yield Said("tier", str(tier))
        if category.get("category") in STREAMS:
            yield Said("stream", "declared")
    for name, members in (
        ("recipient-in", "recipient_countries"),
        ("persons-in", "persons_countries"),
        ("path-through", "declared_path"),
    ):
        for country in texts(event.data, members):
            yield Said(name, country)
    for party in objects(event.data, "parties"):
        if text(party, "role") == "platform":
            yield from _told("platform-in", text(party, "country"))


def _hop(event: Event) -> Iterator[Said]:
    yield from _told("hop-from", text(member(event.data, "from"), "country"))
    yield from _told("hop-to", text(member(event.data, "to"), "country"))
    yield from _told("tls", text(event.data, "tls_version"))


def _access(event: Event) -> Iterator[Said]:
    # Anybody may knock from anywhere: only who got in says where the data went.
    if text(event.data, "outcome") == "allowed":
        yield from _told("access-from", text(event.data, "country"))
    yield from _told("outcome", text(event.data, "outcome"))
    yield from _told("tls", text(event.data, "tls_version"))


def _snapshot(event: Event) -> Iterator[Said]:
    yield from _told("reachable-in", text(event.data, "country"))
    if event.data.get("public") is True:
        yield Said("public", "true")


def _stored(event: Event) -> Iterator[Said]:
    yield from _told("stored-in", text(event.data, "country"))
    yield from _told("stored", text(event.data, "kind"))
    if (until := moment(event.data, "retain_until")) is not None:
        yield Said("retain-until", text(event.data, "kind") or "other", until)


def _consent(event: Event) -> Iterator[Said]:
    yield from _told("choice", text(event.data, "choice"))
    for country in texts(event.data, "storage_locations"):
        yield Said("consented-in", country)


def _onward(event: Event) -> Iterator[Said]:
    if text(event.data, "status") == "performed":
        yield from _told("onward-to", text(event.data, "country"))


def _status(event: Event) -> Iterator[Said]:
    yield from _told("status", text(event.data, "status"))


def _told(name: str, value: str | None) -> Iterator[Said]:
    if value is not None:
        yield Said(name, value)


_READERS: dict[str, Callable[[Event], Iterator[Said]]] = {
    catalogue.DECLARATION.kind: _declaration,
    catalogue.HOP.kind: _hop,
    catalogue.ACCESS.kind: _access,
    catalogue.PERMISSION_SNAPSHOT.kind: _snapshot,
    catalogue.STORED.kind: _stored,
    catalogue.CONSENT.kind: _consent,
    catalogue.ONWARD_TRANSFER.kind: _onward,
    catalogue.INCIDENT.kind: _status,
    catalogue.ROUTE.kind: _status,
}
