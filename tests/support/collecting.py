"""What the tests of collectors share: run one over files, and commit what it collects as the ledger would."""

import itertools
from pathlib import Path
from typing import Any

from ledger.catalogue import find
from ledger.collect import Collected, Collector, Outcome, SetAside, Tally, collect
from ledger.entry import parse_event
from ledger.statement import commit_event, make_entry
from ledger.types import parse_origin, parse_party_id

LINE_END = "the file ends within this line"


def run(collector: Collector, *paths: Path, name: str | None = None) -> list[Outcome]:
    """Every outcome; the counts add up."""
    tally = Tally()
    outcomes = list(tally.watch(collect(collector, paths, name)))
    assert tally.read == len(outcomes) == tally.collected + tally.set_aside
    assert tally.set_aside == sum(tally.reasons.values())
    assert tally.events == sum(len(o.events) for o in outcomes if isinstance(o, Collected))
    return outcomes


def run_on(collector: Collector, folder: Path, content: str | bytes, file: str = "a.log") -> list[Outcome]:
    """Run over one file with that content."""
    path = folder / file
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return run(collector, path)


def events(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """The events, where no record was set aside."""
    assert all(isinstance(outcome, Collected) for outcome in outcomes), outcomes
    return [event for outcome in outcomes if isinstance(outcome, Collected) for event in outcome.events]


def event(outcomes: list[Outcome]) -> dict[str, Any]:
    """The one event."""
    (found,) = events(outcomes)
    return found


def data(outcomes: list[Outcome]) -> dict[str, Any]:
    """The `data` of the one event."""
    return dict(event(outcomes)["data"])


def reasons(outcomes: list[Outcome]) -> dict[int, str]:
    """Why each record was set aside, by its number in its file."""
    return {int(o.where.rsplit(":", 1)[1]): o.reason for o in outcomes if isinstance(o, SetAside)}


def entry(found: dict[str, Any]) -> str:
    """The entry that the ledger would commit for an event."""
    parsed = parse_event(found)
    salts = itertools.count()
    statement = commit_event(parsed, find(parsed.type).visible, lambda: next(salts).to_bytes(16, "big"))
    origin, party = parse_origin("ledger.example/acme-live"), parse_party_id("acme")
    return make_entry(statement, origin, party, parsed.time).decode()


def assert_hidden(found: dict[str, Any], *personal: str) -> None:
    """None of the values, each of which is in the event, stands in its entry; nor does the raw record's digest."""
    committed = entry(found)
    for value in personal:
        assert value in str(found), value
        assert value not in committed, value
    assert str(found["data"].get("raw_sha256", "no digest")) not in committed
