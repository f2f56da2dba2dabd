"""A year of cross-border live commerce, made up: events to try the ledger with, the same for the same arguments.

A platform in China streams shopping shows to viewers abroad. Each live session is one transfer, and its events come in
the order of its phases. Before: what is declared, assessed, signed and attested, prompts and consents, a permission
snapshot. In transit: hops through CDN countries, segments, accesses and a snapshot. After: replays stored abroad,
snapshots and accesses, reports of use, requests, a review. Six sessions in eight have one fault each, which an auditor
should find (`FAULTS`). Nobody in it exists: viewers are pseudonyms, addresses are from the ranges for documentation
(RFC 5737), the account numbers from vendors' examples.

Sessions of fewer than `WHOLE` events have no papers and no prompts; of the rest, all types of the catalogue come in any
two sessions that follow each other.

    world.py      cities, accounts, faults
    session.py    one live session: consents, hops, accesses, snapshots
    papers.py     what is declared, attested, reported and asked about it
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ledger.canonical import Object
from ledger.errors import MalformedInput
from ledger.scenario.session import Session
from ledger.scenario.world import FAULTS, WHOLE

__all__ = ["DEFAULT_EVENTS", "FAULTS", "WHOLE", "scenario"]

DEFAULT_EVENTS = 3000


def scenario(seed: int, events: int, start: int, end: int) -> Iterator[Object]:
    """Exactly `events` CloudEvents objects between `start` and `end` (Unix milliseconds), in time order.

    Each is valid under the catalogue. The same arguments give the same events with the same ids, so that pushing them
    twice is pushing them once. One session is held in memory at a time.
    """
    if events < 1 or end <= start:
        raise MalformedInput("an empty scenario", expected="at least one event, and a start before the end")
    run = hashlib.sha256(f"{seed}/{events}/{start}/{end}".encode()).hexdigest()[:10]
    sessions = min(max(events // 250, 1), 365)
    for number in range(sessions):
        share = (number + 1) * events // sessions - number * events // sessions
        opens, closes = (start + (end - start) * n // sessions for n in (number, number + 1))
        session = Session(run, seed, number, opens, closes)
        yield from session.play(share)
