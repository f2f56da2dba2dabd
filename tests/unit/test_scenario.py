"""The scenario: valid, in order, repeatable, and with the faults that it promises."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any, cast

import pytest

from ledger.canonical import Object
from ledger.catalogue import check_event, newest_types
from ledger.catalogue.base import kind_of
from ledger.entry import Event, Phase, event_time, parse_event
from ledger.errors import MalformedInput
from ledger.scenario import DEFAULT_EVENTS, FAULTS, WHOLE, scenario

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
END = START + 365 * 86_400_000


@pytest.fixture(scope="module")
def year() -> list[Object]:
    return list(scenario(1, DEFAULT_EVENTS, START, END))


@pytest.fixture(scope="module")
def events(year: list[Object]) -> list[Event]:
    return [parse_event(value) for value in year]


def of(events: list[Event], kind: str) -> list[tuple[Event, dict[str, Any]]]:
    return [(e, cast(dict[str, Any], e.data)) for e in events if kind_of(e.type) == kind]


def test_every_event_is_valid_under_the_catalogue(events: list[Event]) -> None:
    for event in events:
        check_event(event)


def test_the_events_are_as_many_as_asked_for_and_in_time_order(events: list[Event]) -> None:
    assert len(events) == DEFAULT_EVENTS
    times = [event.time for event in events]
    assert times == sorted(times)
    assert START <= times[0] <= times[-1] < END


def test_the_same_arguments_give_the_same_events(year: list[Object]) -> None:
    assert list(scenario(1, DEFAULT_EVENTS, START, END)) == year


def test_every_key_is_unique_and_no_other_scenario_shares_one(events: list[Event]) -> None:
    keys = {event.key for event in events}
    assert len(keys) == len(events)
    for other in (
        scenario(2, 500, START, END),
        scenario(1, 500, START, END),
        scenario(1, 500, START, END + 1),
    ):
        assert keys.isdisjoint(parse_event(value).key for value in other)


def test_every_type_and_every_phase_occurs(events: list[Event]) -> None:
    assert {event.type for event in events} == {t.name for t in newest_types()}
    for kind in ("access", "permission-snapshot"):
        assert {event.phase for event, _ in of(events, kind)} == set(Phase)
    assert {data["choice"] for _, data in of(events, "consent")} >= {"granted", "watch-only", "withdrawn"}


def test_every_type_comes_within_two_sessions() -> None:
    half = [parse_event(value) for value in scenario(1, 500, START, END)]
    assert {event.type for event in half} == {t.name for t in newest_types()}


def test_every_answer_follows_its_prompt_and_some_leave_without_one(events: list[Event]) -> None:
    shown = {d["prompt_id"]: (e, d) for e, d in of(events, "consent-prompt") if d["state"] == "shown"}
    answers = [(e, d) for e, d in of(events, "consent") if d["choice"] != "withdrawn"]
    assert len(answers) == len(shown)
    for answer, data in answers:
        prompt, asked = shown[data["prompt_id"]]
        assert prompt.time < answer.time
        assert asked["pii_principal_id"] == data["pii_principal_id"]
        assert data["choice"] in asked["choices"]
    assert any(data["state"] == "left" for _, data in of(events, "consent-prompt"))


def test_papers_stand_before_the_stream_and_name_its_countries(events: list[Event]) -> None:
    live = {}
    for event, data in of(events, "declaration"):
        live[event.subject] = event_time(data["planned_start"])
        assert data["recipient_countries"] == data["declared_path"][-1:]
    hops = {e.subject for e, d in of(events, "hop") if event_time(d["started"]) < live[e.subject]}
    assert not hops
    for kind in ("route", "country-assessment", "sign-off", "deidentification", "encryption", "model-export"):
        assert all(event.time < live[event.subject] for event, _ in of(events, kind)), kind


def test_a_short_session_alone_is_filed_as_one(events: list[Event]) -> None:
    spans = {e.subject: (d["planned_start"], d["planned_end"]) for e, d in of(events, "declaration")}
    routes = of(events, "route")
    assert len({data["route"] for _, data in routes}) == 5
    for event, data in routes:
        since, until = map(event_time, spans[event.subject])
        assert data["route"] != "short-term-filing" or until - since <= 86_400_000
        assert ("exemption_ground" in data) == (data["route"] == "exemption")


def test_segments_are_numbered_without_gaps_and_chained(events: list[Event]) -> None:
    streams: dict[str, list[dict[str, Any]]] = {}
    for _, data in of(events, "segment"):
        streams.setdefault(data["stream_id"], []).append(data)
    for segments in streams.values():
        assert [data["number"] for data in segments] == list(range(len(segments)))
        assert all(b["previous_sha256"] == a["sha256"] for a, b in pairwise(segments))


def test_a_request_is_answered_after_what_it_asked_for_was_done(events: list[Event]) -> None:
    done = {data["request_id"]: event.time for event, data in of(events, "deletion")}
    requests = of(events, "rights-request")
    assert {data["request_id"] for _, data in requests} == set(done)
    for event, data in requests:
        assert (event.time < done[data["request_id"]]) == (data["status"] == "forwarded")


def test_the_uses_reported_are_declared(events: list[Event]) -> None:
    declared = {event.subject: set(data["purposes"]) for event, data in of(events, "declaration")}
    for event, data in of(events, "use-report"):
        assert set(data["purposes"]) <= declared[event.subject]


def test_a_small_session_has_neither_papers_nor_prompts() -> None:
    kinds = {str(value["type"]) for value in scenario(1, WHOLE - 1, START, END)}
    assert kinds == {
        f"transfer-ledger.{kind}.v1"
        for kind in ("impact-assessment", "consent", "hop", "access", "permission-snapshot", "storage")
    }


def test_sessions_are_spread_over_the_year(events: list[Event]) -> None:
    assert len({event.subject for event in events}) == DEFAULT_EVENTS // 250
    assert any(event.subject.endswith("-tokyo") for event in events)


def test_a_hop_runs_below_tls_1_2(events: list[Event]) -> None:
    assert "tls-1.1" in FAULTS
    assert any(data["tls_version"] == "1.1" for _, data in of(events, "hop"))


def test_a_hop_passes_an_undeclared_country(events: list[Event]) -> None:
    assert any(data["to"]["country"] not in data["declared_path"] for _, data in of(events, "hop"))


def test_a_watch_only_viewer_s_interaction_leaves(events: list[Event]) -> None:
    choices = {(e.subject, data["pii_principal_id"]): data["choice"] for e, data in of(events, "consent")}
    exported = [
        choices[event.subject, data["pii_principal_id"]]
        for event, data in of(events, "hop")
        if "interaction" in data["data_categories"]
    ]
    assert "watch-only" in exported


def test_a_replay_lies_open_and_an_outside_account_reads_another(events: list[Event]) -> None:
    assert any(data["public"] for _, data in of(events, "permission-snapshot"))
    accounts = Counter(data["principal_account"] for _, data in of(events, "access"))
    assert 0 < min(accounts.values()) <= 2


def test_some_accesses_are_refused(events: list[Event]) -> None:
    outcomes = Counter(data["outcome"] for _, data in of(events, "access"))
    assert 0 < outcomes["refused"] < outcomes["allowed"] / 10


def test_a_session_lacks_its_snapshot_after_storage(events: list[Event]) -> None:
    snapshots = {e.subject for e, _ in of(events, "permission-snapshot") if e.phase is Phase.STORAGE}
    assert {e.subject for e, _ in of(events, "storage")} - snapshots


@pytest.mark.parametrize(("count", "span"), [(1, 1), (7, 10), (300, 1000), (999, 86_400_000)])
def test_small_scenarios_and_short_spans_hold_the_same_promises(count: int, span: int) -> None:
    found = [parse_event(value) for value in scenario(3, count, START, START + span)]
    assert len({event.key for event in found}) == count
    times = [event.time for event in found]
    assert times == sorted(times)
    assert all(START <= time < START + span for time in times)
    for event in found:
        check_event(event)


@pytest.mark.parametrize(("count", "end"), [(0, END), (1, START)])
def test_an_empty_scenario_is_refused(count: int, end: int) -> None:
    with pytest.raises(MalformedInput):
        list(scenario(1, count, START, end))
