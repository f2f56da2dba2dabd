"""Accesses in the shape of a large platform's: many principals, fewer resources, a few of each in most of the lines.

They belong to the transfers of `ledger.scenario`, whose other events (papers, consents, hops, snapshots) stand between
them. Most are of transfers that are going on or were lately; some of the oldest.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import accumulate, groupby

from benchmark.events import END, SEED, START
from ledger.canonical import Object
from ledger.scenario import scenario
from ledger.scenario.world import CIPHERS, CITIES, STAFF
from ledger.types import format_time

PRINCIPALS = 20_000
PARTS = 6
"""Objects of one transfer that lie abroad."""

ACTIONS = {
    "s3:GetObject": 62.0,
    "s3:ListBucket": 13.0,
    "SELECT": 12.0,
    "s3:HeadObject": 7.0,
    "s3:PutObject": 4.0,
    "s3:DeleteObject": 1.5,
    "s3:GetBucketPolicy": 0.45,
    "s3:PutBucketPolicy": 0.05,
}
OUTCOMES = {"allowed": 94.0, "refused": 4.0, "failed": 2.0}
PHASES = {"storage": 80.0, "transit": 15.0, "before": 5.0}
TLS = {"1.3": 70.0, "1.2": 29.5, "1.1": 0.5}
ABROAD = "444455556666"


class Choice:
    """Draws values by their weights."""

    def __init__(self, weights: dict[str, float], source: random.Random) -> None:
        self._values = list(weights)
        self._sums = list(accumulate(weights.values()))
        self._random = source.random

    def __call__(self) -> str:
        return self._values[bisect_right(self._sums, self._random() * self._sums[-1])]


def principal(number: int) -> str:
    """The most active first; three in five have the role that the scenario's snapshots grant something."""
    role = STAFF[max(number % len(STAFF) - 2, 0)]
    return f"arn:aws:sts::{ABROAD}:assumed-role/{role}/agent-{number:05}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer of the scenario: its own events, and what accesses of it name."""

    subject: str
    events: Sequence[Object]
    city: int

    def resource(self, part: int) -> str:
        return f"arn:aws:s3:::acme-replays-{CITIES[self.city][0]}/{self.subject}/replay/{part}"


def transfers(accesses: int) -> list[Transfer]:
    """Live sessions for so many accesses, one for each 2,500 within bounds, each with about 250 events of its own."""
    sessions = min(max(accesses // 2500, 8), 365)
    events = scenario(SEED, 250 * sessions, START, END)
    of = [
        (subject, list(group)) for subject, group in groupby(events, key=lambda event: str(event["subject"]))
    ]
    return [Transfer(subject, group, number % len(CITIES)) for number, (subject, group) in enumerate(of)]


class Accesses:
    """Access events, one after the other; the same for the same arguments."""

    def __init__(self, known: Sequence[Transfer]) -> None:
        self._transfers = known
        self._random = random.Random(SEED)
        weights = {principal(number): 1 / (number + 20) for number in range(PRINCIPALS)}
        self._principal = Choice(weights, self._random)
        self._action = Choice(ACTIONS, self._random)
        self._outcome = Choice(OUTCOMES, self._random)
        self._phase = Choice(PHASES, self._random)
        self._tls = Choice(TLS, self._random)
        self._country = Choice({city[1]: 10.0 / (n + 1) for n, city in enumerate(CITIES)}, self._random)

    def access(self, number: int, at: int, newest: int) -> Object:
        """Access `number`, at a time, when transfer `newest` was the newest one."""
        draw, action = self._random, self._action()
        transfer = self._transfers[max(newest - int(draw.expovariate(0.05)), 0)]
        database = action == "SELECT"
        system = "postgresql.pgaudit" if database else "aws.s3" if draw.random() < 0.3 else "aws.cloudtrail"
        outcome, tls = self._outcome(), self._tls()
        part = min(int(draw.expovariate(0.8)), PARTS - 1)
        _, _, _, region = CITIES[transfer.city]
        who = self._principal()
        data: Object = {
            "principal": who,
            "principal_type": "AssumedRole",
            "principal_account": ABROAD,
            "action": action,
            "resource": "orders.public.parcels" if database else transfer.resource(part),
            "outcome": outcome,
            "source_address": f"198.51.100.{draw.randrange(1, 255)}",
            "country": self._country(),
            "tls_version": tls,
            "cipher": CIPHERS[tls],
            "bytes": draw.randrange(500, 5_000_000) if outcome == "allowed" else 0,
            "region": region,
            "user_agent": "aws-sdk-java/2.29.0",
            "session_id": transfer.subject,
            "source_system": system,
            "completeness": "best-effort",
            "class_uid": 6003,
            "raw_sha256": draw.randbytes(32).hex(),
        }
        if outcome != "allowed":
            data["reason"] = "AccessDenied" if outcome == "refused" else "NoSuchKey"
        return {
            "specversion": "1.0",
            "id": f"access-{number:09}",
            "source": f"/s3/{region}",
            "type": "transfer-ledger.access.v1",
            "subject": transfer.subject,
            "time": format_time(at),
            "phase": self._phase(),
            "datacontenttype": "application/json",
            "data": data,
        }

    def in_order(self, count: int) -> Iterator[Object]:
        """The transfers' own events, and `count` accesses among them, in order of time."""
        span, made = (END - START) // len(self._transfers), 0
        for newest, transfer in enumerate(self._transfers):
            share = (newest + 1) * count // len(self._transfers) - made
            opens = START + newest * span
            accesses = (
                self.access(made + number, opens + span * number // share, newest) for number in range(share)
            )
            yield from merge(transfer.events, accesses, key=lambda event: str(event["time"]))
            made += share

    def shuffled(self, count: int) -> Iterator[Object]:
        """`count` accesses at any time of the year, in no order."""
        for number in range(count):
            newest = self._random.randrange(len(self._transfers))
            yield self.access(number, self._random.randrange(START, END), newest)
