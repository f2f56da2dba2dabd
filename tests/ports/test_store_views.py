"""Projections, on every store: accesses, permission snapshots, transfers."""

from __future__ import annotations

import multiprocessing
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest
from support.events import ASSESSED, committed
from support.events import event as event_of
from support.records import access_record, snapshot_record, transfer_fact
from support.stores import ACME, ORIGIN, OTHER, append, append_some, event, pipeline_on, project_all

from ledger.adapters.sql.bits import BLOCK, gather, pack, places, unpack
from ledger.entry import Phase, event_time
from ledger.errors import NotFound, StoreUnavailable
from ledger.ports import Store
from ledger.records import (
    LOG_WIDE,
    AccessRecord,
    ApiKey,
    Paper,
    Party,
    Projected,
    Role,
    Scope,
    SnapshotRecord,
    ViewFilter,
)
from ledger.scenario import scenario
from ledger.types import Digest, Origin, PartyId, Position

EVERY = ViewFilter({})


def access(position: int, **changes: Any) -> AccessRecord:
    told = {
        "time": event(position).time,
        "principal": f"user {position % 2}",
        "action": "read",
        "resource": "a\x00b\\c",
        "outcome": "allowed",
        "country": "SG",
        "tls_version": "1.3",
        "bytes": 2**53 - 1,
        "class_uid": 6003,
        "raw_sha256": f"{position:064x}",
    }
    return access_record(position, **{**told, **changes})


def snapshot(position: int, public: bool | None, **changes: Any) -> SnapshotRecord:
    told = {
        "time": event(position).time,
        "resource": "bucket",
        "public": public,
        "external_principals": ("艾", "b\x00") if public else (),
        "grants": '{"grants":[]}',
        "source_system": "aws-s3",
        "owner": "111122223333",
    }
    return snapshot_record(position, **{**told, **changes})


def project(store: Store, start: int, stop: int, **projected: Any) -> None:
    store.project(ORIGIN, Position(start), Position(stop), Projected(**projected))


def test_projections_come_back_as_they_were(store: Store) -> None:
    append_some(store, 8)
    accesses = [access(n) for n in range(4)]
    accesses.append(access(7, principal=None, bytes=None, resource=None, raw_sha256=None))
    snapshots = [snapshot(4, True), snapshot(5, False), snapshot(6, None, captured=5, resource=None)]
    project(store, 0, 8, accesses=accesses, snapshots=snapshots)
    assert store.projected(ORIGIN) == 8
    assert store.accesses(ORIGIN, EVERY, None, 99) == accesses
    assert store.snapshots(ORIGIN, EVERY, None, 99) == snapshots
    assert store.accesses(ORIGIN, EVERY, Position(1), 2) == accesses[2:4]
    assert list(store.self_check()) == []


def test_projections_are_listed_by_equal_values_and_time(store: Store) -> None:
    append_some(store, 8)
    accesses = [access(n, principal="x" * 9000 if n == 5 else f"user {n % 2}") for n in range(6)]
    snapshots = [snapshot(6, True), snapshot(7, False)]
    project(store, 0, 8, accesses=accesses, snapshots=snapshots)

    def listed(since: int | None = None, until: int | None = None, **equal: str) -> list[int]:
        return [it.position for it in store.accesses(ORIGIN, ViewFilter(equal, since, until), None, 99)]

    assert listed(principal="user 1") == [1, 3]
    assert listed(principal="x" * 9000) == [5]
    assert listed(principal="user 0", outcome="denied") == []
    assert listed(principal="read") == []  # a term of another member
    assert listed(resource="a\x00b\\c", subject="live-1", phase="storage") == list(range(6))
    assert listed(since=accesses[2].time, until=accesses[4].time) == [2, 3]
    assert listed(since=-(2**70), until=2**70) == list(range(6))
    assert listed(phase="transit") == []
    public = ViewFilter({"public": True, "source_system": "aws-s3"})
    assert store.snapshots(ORIGIN, public, None, 99) == snapshots[:1]
    assert store.snapshots(ORIGIN, ViewFilter({"resource": "bucket"}), Position(6), 99) == snapshots[1:]
    with pytest.raises(ValueError, match="bytes"):
        listed(bytes="1")
    with pytest.raises(ValueError, match="grants"):
        store.snapshots(ORIGIN, ViewFilter({"grants": "x"}), None, 1)


def test_only_the_first_of_two_workers_projects(store: Store) -> None:
    append_some(store, 4)
    fact = transfer_fact("live-1", "event", "t")
    project(store, 0, 2, accesses=[access(0)], facts=[fact])
    project(store, 0, 2, accesses=[access(0), access(1)], facts=[fact])
    project(store, 3, 4, accesses=[access(3)], facts=[fact])
    assert store.projected(ORIGIN) == 2
    assert [it.position for it in store.accesses(ORIGIN, EVERY, None, 9)] == [0]
    assert store.facts(ORIGIN, ["live-1"]) == [fact]


def test_dropped_projections_are_gone_and_can_be_made_again(store: Store) -> None:
    append_some(store, 2)
    empty = store.projections_digest(ORIGIN)
    digests = set()
    for _ in range(2):
        facts, papers = [transfer_fact("live-1", "event", "t")], [Paper("live-1", "route", Position(1))]
        project(store, 0, 2, accesses=[access(0)], snapshots=[snapshot(1, False)], facts=facts, papers=papers)
        digests.add(store.projections_digest(ORIGIN))
        store.drop_projections(ORIGIN)
        assert store.projected(ORIGIN) == 0
        assert list(store.self_check()) == []
    assert len(digests) == 1
    project(store, 0, 2)
    assert store.accesses(ORIGIN, EVERY, None, 9) == store.snapshots(ORIGIN, EVERY, None, 9) == []
    assert store.transfers(ORIGIN, None, 9) == store.papers(ORIGIN, "live-1", ["route"], 9) == []
    assert store.projections_digest(ORIGIN) == empty
    assert empty not in digests


READINGS: dict[str, Callable[[Store], object]] = {
    "accesses": lambda store: store.accesses(ORIGIN, EVERY, None, 9),
    "accesses that nobody made": lambda store: store.accesses(ORIGIN, ViewFilter({"action": "x"}), None, 9),
    "accesses by time": lambda store: store.accesses_by_time(ORIGIN, EVERY, None, 9),
    "snapshots": lambda store: store.snapshots(ORIGIN, EVERY, None, 9),
    "newest snapshot": lambda store: store.newest_snapshot(ORIGIN, EVERY),
    "snapshots by capture": lambda store: store.snapshots_by_capture(ORIGIN, None, 9),
    "snapshots of a resource": lambda store: store.snapshots_of(ORIGIN, "bucket"),
    "transfers": lambda store: store.transfers(ORIGIN, None, 9),
    "facts": lambda store: store.facts(ORIGIN, ["live-1"]),
    "papers": lambda store: store.papers(ORIGIN, "live-1", ["route"], 9),
    "parties": lambda store: store.parties_of(ORIGIN, None, 9),
    "a party": lambda store: store.party_of(ORIGIN, ACME.id),
    "all papers": lambda store: list(store.scan_papers(ORIGIN)),
    "digest": lambda store: store.projections_digest(ORIGIN),
}


@pytest.mark.parametrize("reading", READINGS)
def test_nobody_reads_less_than_there_was_while_projections_are_made_again(
    store: Store, reading: str
) -> None:
    """Or a list that was read meanwhile would pass for the whole."""
    append_some(store, 4)
    project(store, 0, 2, accesses=[access(0)])
    project(store, 2, 3, accesses=[access(2)])
    store.drop_projections(ORIGIN)
    with pytest.raises(StoreUnavailable, match="being made again"):
        READINGS[reading](store)
    project(store, 0, 2, accesses=[access(0)])
    store.drop_projections(ORIGIN)
    project(store, 0, 2, accesses=[access(0)])
    with pytest.raises(StoreUnavailable, match="expected 3 events taken in, got 2"):
        READINGS[reading](store)
    project(store, 2, 4, accesses=[access(2)])
    READINGS[reading](store)
    assert list(store.self_check()) == []


def test_the_digest_of_the_projections_is_the_same_in_whatever_portions_they_came(store: Store) -> None:
    accesses = [access(n, resource=f"名/{n * 7 % 11}", country="JP" if n % 3 else None) for n in range(40)]
    facts = [transfer_fact(f"live-{n % 3}", "event", "t", at=n) for n in range(40)]
    append_some(store, 40)
    project(store, 0, 40, accesses=accesses, facts=_merged(facts))
    once = store.projections_digest(ORIGIN)
    store.drop_projections(ORIGIN)
    for start in range(0, 40, 7):
        stop = min(start + 7, 40)
        project(store, start, stop, accesses=accesses[start:stop], facts=_merged(facts[start:stop]))
    assert store.projections_digest(ORIGIN) == once
    # On every database: made on SQLite and PostgreSQL alike, it is this one.
    assert once.hex()[:16] == DIGEST


DIGEST = "ca4153a0cdf6064c"


def _merged(facts: list[Any]) -> list[Any]:
    kept: dict[Any, Any] = {}
    for fact in facts:
        kept[fact.key] = kept[fact.key].merged(fact) if fact.key in kept else fact
    return list(kept.values())


# --- Accesses


def test_accesses_are_found_by_any_filters_together_as_reading_all_of_them_finds_them(store: Store) -> None:
    """Over several blocks of positions, with times in disorder, against a plain search."""
    draw, size = random.Random(7), 2 * BLOCK + 2000
    # The store asks for no events where there are no references to them, and these many would take long.
    records = [
        access_record(
            n,
            time=draw.randrange(10**6) if n > BLOCK else n,
            subject=f"live-{draw.randrange(20)}",
            phase=draw.choice(list(Phase)),
            principal=f"user {draw.randrange(300)}",
            outcome="refused" if draw.random() < 0.02 else "allowed",
            country=draw.choice(("JP", "SG", None)),
        )
        for n in range(size)
        if n % 4
    ]
    for start in range(0, size, 5000):
        append_some(store, min(5000, size - start))
    for start in range(0, size, 3001):
        stop = min(start + 3001, size)
        project(store, start, stop, accesses=[r for r in records if start <= r.position < stop])
    for _ in range(150):
        equal = {
            name: value
            for name, value in {
                "subject": f"live-{draw.randrange(21)}",
                "phase": draw.choice(list(Phase)).value,
                "principal": f"user {draw.randrange(310)}",
                "outcome": draw.choice(("refused", "allowed")),
                "country": draw.choice(("JP", "SG", "XX")),
            }.items()
            if draw.random() < 0.4
        }
        since, until = (draw.choice((None, draw.randrange(10**6), draw.randrange(BLOCK))) for _ in "..")
        after, limit = draw.choice((None, draw.randrange(size))), draw.choice((1, 50, 1000))
        expected = [
            r.position
            for r in records
            if (after is None or r.position > after)
            and all(getattr(r, name) == value for name, value in equal.items())
            and (since is None or since <= r.time)
            and (until is None or r.time < until)
        ][:limit]
        which = ViewFilter(equal, since, until)
        found = store.accesses(ORIGIN, which, None if after is None else Position(after), limit)
        assert [r.position for r in found] == expected, (which, after, limit)
    matching = sorted(
        (r for r in records if r.country == "JP" and r.time >= 1000), key=lambda r: (r.time, r.position)
    )
    which = ViewFilter({"country": "JP"}, since=1000)
    assert store.accesses_by_time(ORIGIN, which, None, 10**9) == matching
    for at in draw.sample(range(len(matching)), 5):
        after = matching[at].time, matching[at].position
        assert store.accesses_by_time(ORIGIN, which, after, 7) == matching[at + 1 : at + 8]
    assert store.accesses_by_time(ORIGIN, ViewFilter({"country": "XX"}), None, 9) == []
    assert list(store.self_check()) == []


def test_a_page_follows_the_one_before_while_accesses_are_taken_in(store: Store) -> None:
    append_some(store, 10)
    project(store, 0, 5, accesses=[access(n) for n in range(5)])
    first = store.accesses(ORIGIN, ViewFilter({"action": "read"}), None, 3)
    project(store, 5, 10, accesses=[access(n, time=0) for n in range(5, 10)])
    second = store.accesses(ORIGIN, ViewFilter({"action": "read"}), first[-1].position, 99)
    assert [it.position for it in (*first, *second)] == list(range(10))


@pytest.mark.parametrize("count", [0, 1, 2, 511, 512, 513, BLOCK - 1, BLOCK])
def test_sets_of_places_are_the_shorter_of_two_forms_and_come_back(count: int) -> None:
    inside = sorted(random.Random(count).sample(range(BLOCK), count))
    packed = pack(gather(inside))
    assert len(packed) == min(2 * count, BLOCK // 8)
    assert list(places(unpack(packed))) == inside
    assert list(places(unpack(packed), 100)) == [place for place in inside if place >= 100]


@pytest.mark.parametrize("data", [b"\x00", b"\x20\x00", bytes(BLOCK // 8 + 2)[:-2] + b"\xff\xff\x00"])
def test_what_is_no_set_of_places_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a set"):
        unpack(data)


# --- Snapshots


def test_the_snapshots_of_a_resource_come_in_the_order_of_their_capture(store: Store) -> None:
    append_some(store, 5)
    role = "arn:aws:iam::111122223333:role/{}reader"
    snapshots = [
        snapshot(0, None, captured=30),
        snapshot(1, None, captured=10),
        snapshot(2, None, captured=10, resource="other"),
        snapshot(3, None, captured=7, resource=role.format("team/")),
        snapshot(4, None, captured=8, resource=role.format("")),
    ]
    project(store, 0, 5, snapshots=snapshots)

    def places(resource: str) -> list[tuple[int, int]]:
        return [(place.captured, place.position) for place in store.snapshots_of(ORIGIN, resource)]

    assert places("bucket") == [(10, 1), (30, 0)]
    told = {(it.source_system, it.phase, it.subject, it.party) for it in store.snapshots_of(ORIGIN, "bucket")}
    assert told == {("aws-s3", snapshots[0].phase, snapshots[0].subject, snapshots[0].party)}
    assert places("nothing") == []
    # A session of a role does not tell the role's path, so snapshots of it are found without.
    assert places(role.format("other/")) == [(7, 3), (8, 4)]
    assert store.snapshots(ORIGIN, ViewFilter({"resource": role.format("")}), None, 9) == [snapshots[4]]
    in_order = [3, 4, 1, 2, 0]
    assert [it.position for it in store.snapshots_by_capture(ORIGIN, None, 9)] == in_order
    for at, position in enumerate(in_order):
        after = snapshots[position].captured, Position(position)
        found = [it.position for it in store.snapshots_by_capture(ORIGIN, after, 2)]
        assert found == in_order[at + 1 : at + 3]
    assert store.newest_snapshot(ORIGIN, ViewFilter({"resource": "bucket"})) == 0
    assert (
        store.newest_snapshot(ORIGIN, ViewFilter({"source_system": "aws-s3"}, since=snapshots[1].time)) == 2
    )
    assert store.newest_snapshot(ORIGIN, ViewFilter({"resource": "nothing"})) is None


# --- Transfers


def test_facts_of_one_key_add_up(store: Store) -> None:
    append_some(store, 10)
    project(store, 0, 5, facts=[transfer_fact("live-1", "tls", "1.1", at=4, count=2)])
    others = [
        transfer_fact("live-1", "tls", "1.1", at=2, count=3),
        transfer_fact("live-1", "tls", "1.1", phase=Phase.TRANSIT),
    ]
    project(store, 5, 10, facts=others)
    found = store.facts(ORIGIN, ["live-1", "no such"])
    assert [(f.phase, f.count, f.first_time, f.last_time, f.first, f.last) for f in found] == [
        (Phase.STORAGE, 5, 1002, 1004, 2, 4),
        (Phase.TRANSIT, 1, 1000, 1000, 0, 0),
    ]


def test_papers_that_name_thousands_of_transfers_are_projected_in_bounded_portions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each name gives a fact and a paper: so what is taken at once goes by what it gives, not by its bytes alone."""
    names = [f"live-{n:06}" for n in range(8000)]
    papers = [event_of("impact-assessment", {**ASSESSED, "transfers": names}, at=at) for at in range(4)]
    append(store, *committed([*papers, *scenario(4, 60, 0, 10**9)]))
    taken: list[Projected] = []
    keep = store.project

    def project_and_tell(origin: Origin, start: Position, stop: Position, projected: Projected) -> None:
        taken.append(projected)
        keep(origin, start, stop, projected)

    monkeypatch.setattr(store, "project", project_and_tell)
    pipeline_on(store).project(ORIGIN, most_bytes=2 * 2**20)
    assert len(taken) > 2
    assert max(len(it.papers) for it in taken) <= 2 * len(names) + 100
    found = {
        (f.subject, f.count, f.first, f.last) for f in store.facts(ORIGIN, names) if f.name == "evidence"
    }
    assert found == {(name, 4, 0, 3) for name in names}
    in_portions = store.projections_digest(ORIGIN)
    store.drop_projections(ORIGIN)
    pipeline_on(store).project(ORIGIN)
    assert store.projections_digest(ORIGIN) == in_portions


def test_transfers_are_listed_by_name_page_by_page(store: Store) -> None:
    append_some(store, 1)
    names = ["Z-1", "a", "a-2", "b", "live.1", "~"]
    facts = [transfer_fact(name, fact, "x") for name in (*names, LOG_WIDE) for fact in ("event", "party")]
    project(store, 0, 1, facts=facts)
    assert store.transfers(ORIGIN, None, 99) == sorted(names)
    assert store.transfers(ORIGIN, "a", 2) == ["a-2", "b"]
    assert store.transfers(ORIGIN, "~", 2) == []
    assert [fact.name for fact in store.facts(ORIGIN, [LOG_WIDE])] == ["event", "party"]


def test_the_parties_of_a_log_are_its_owner_who_has_a_key_and_who_spoke(store: Store) -> None:
    store.add_log(OTHER)
    for id in ("keyed", "revoked", "spoke", "elsewhere", "zulu"):
        store.add_party(Party(PartyId(id), id.upper(), Role.RECIPIENT, "SG"))
    for id, origin in (
        ("keyed", ORIGIN),
        ("revoked", ORIGIN),
        ("elsewhere", OTHER.origin),
        ("keyed", OTHER.origin),
    ):
        secret = Digest.of(id.encode())
        store.add_api_key(
            ApiKey(f"{id}-{origin[-4:]}", secret, PartyId(id), origin, frozenset({Scope.READ}), 1)
        )
    store.revoke_api_key(f"revoked-{ORIGIN[-4:]}", 5)
    append_some(store, 4)
    facts = [
        transfer_fact(LOG_WIDE, "party", "spoke"),
        transfer_fact(LOG_WIDE, "party", "not-registered"),
        transfer_fact(LOG_WIDE, "country", "zulu"),
        transfer_fact("live-1", "party", "elsewhere"),
    ]
    project(store, 0, 4, facts=sorted(facts, key=lambda fact: fact.key))
    every = ["acme", "keyed", "revoked", "spoke"]
    assert [party.id for party in store.parties_of(ORIGIN, None, 9)] == every
    assert [party.id for party in store.parties_of(OTHER.origin, None, 9)] == ["acme", "elsewhere", "keyed"]
    for at, id in enumerate(every):
        found = [party.id for party in store.parties_of(ORIGIN, PartyId(id), 2)]
        assert found == every[at + 1 : at + 3]
        assert store.party_of(ORIGIN, PartyId(id)) == store.party(PartyId(id))
    assert [party.id for party in store.parties_of(ORIGIN, PartyId("b"), 1)] == ["keyed"]
    for id in ("elsewhere", "zulu", "nobody", "not-registered", "a\0"):
        with pytest.raises(NotFound, match="no such party"):
            store.party_of(ORIGIN, PartyId(id))


def test_papers_are_the_newest_of_each_kind_in_order(store: Store) -> None:
    events = append_some(store, 6)
    papers = [
        Paper(subject, kind, Position(position))
        for subject, kind, position in (
            *(("live-1", "route", n) for n in (0, 2, 4)),
            *(("live-1", "sign-off", n) for n in (1, 2, 5)),
            ("live-2", "route", 2),
        )
    ]
    project(store, 0, 6, papers=papers)
    assert store.papers(ORIGIN, "live-1", ["sign-off", "route"], 2) == [2, 2, 4, 5]
    assert store.papers(ORIGIN, "live-1", ["route"], 99) == [0, 2, 4]
    assert store.papers(ORIGIN, "live-2", ["route", "declaration"], 9) == [2]
    assert list(store.scan_papers(ORIGIN)) == papers
    assert store.events_at(ORIGIN, [Position(4), Position(2), Position(9)]) == [events[2], events[4]]
    assert store.events_at(ORIGIN, []) == []


def test_a_timeline_is_in_the_order_of_time(store: Store) -> None:
    times = (50, 10, 30, 30, 20, 40)
    types = [f"transfer-ledger.{kind}.v1" for kind in ("hop", "access", "hop", "access", "hop", "access")]
    append(
        store,
        *(
            event(
                n,
                time=time,
                type=types[n],
                phase=Phase.TRANSIT if n < 4 else Phase.STORAGE,
                subject="live-2" if n == 5 else "live-1",
                party=PartyId("acme"),
            )
            for n, time in enumerate(times)
        ),
    )

    def timeline(
        phase: Phase | None = None, types: tuple[str, ...] = (), after: tuple[int, int] | None = None
    ) -> list[int]:
        start = None if after is None else (after[0], Position(after[1]))
        return [e.position for e in store.timeline(ORIGIN, "live-1", phase, types, start, 99)]

    assert timeline() == [1, 4, 2, 3, 0]
    assert timeline(after=(30, 2)) == [3, 0]
    assert timeline(phase=Phase.TRANSIT) == [1, 2, 3, 0]
    assert timeline(types=("transfer-ledger.hop.v1",)) == [4, 2, 0]
    assert timeline(types=(*types[:2], "no.such")) == [1, 4, 2, 3, 0]
    assert store.timeline(ORIGIN, "no such", None, (), None, 99) == []
    assert [e.position for e in store.timeline(ORIGIN, "live-2", None, (), None, 1)] == [5]


# --- Several workers --------------------------------------------------------------------------------------------------

WORK = 600


def _filled(store: Store) -> None:
    times = event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")
    append(store, *committed(scenario(1, WORK, *times)))


def _digest_of_one_worker(store: Store) -> Digest:
    pipeline_on(store).project(ORIGIN)
    digest = store.projections_digest(ORIGIN)
    store.drop_projections(ORIGIN)
    return digest


def test_workers_in_several_processes_give_the_projections_that_one_gives(url: str, store: Store) -> None:
    _filled(store)
    digest = _digest_of_one_worker(store)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=project_all, args=(url, step)) for step in (50, 50, 70)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 3
    pipeline_on(store).project(ORIGIN)
    assert store.projections_digest(ORIGIN) == digest
    assert list(store.self_check()) == []


def test_a_worker_that_is_killed_while_it_projects_leaves_nothing_half_done(url: str, store: Store) -> None:
    _filled(store)
    digest = _digest_of_one_worker(store)
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        start = store.projected(ORIGIN)
        worker = context.Process(target=project_all, args=(url, 5))
        worker.start()
        while store.projected(ORIGIN) < start + 30:
            assert worker.is_alive()
        worker.kill()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
        assert list(store.self_check()) == []
    assert store.projected(ORIGIN) < WORK
    pipeline_on(store).project(ORIGIN)
    assert store.projections_digest(ORIGIN) == digest
