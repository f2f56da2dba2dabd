"""Transfer facts, the view of a transfer, and its completeness: pure, from events."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from support.events import ASSESSED, DECLARED, STORED, committed, event
from support.records import transfer_fact
from support.stores import ACME

from ledger import catalogue
from ledger.canonical import Object
from ledger.catalogue.base import PROPOSED
from ledger.entry import Event, Phase, event_time, parse_event
from ledger.projections import open_event, project
from ledger.projections.completeness import (
    BY_OWN_TIME,
    DUE_AFTER,
    EXPECTED,
    TOLD_LATER,
    Matrix,
    Presence,
    completeness,
)
from ledger.projections.facts import PAPERS
from ledger.projections.transfers import PhaseState, TransferView, transfer_view
from ledger.records import LOG_WIDE, Committed, Party, Projected, Role, TransferFact
from ledger.scenario import WHOLE, scenario
from ledger.types import PartyId

YEAR = event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")
DAY = 86_400_000


def hop(here: str, there: str, at: int = 0, **members: Any) -> Object:
    data: Object = {"sequence": 0, "from": {"country": here}, "to": {"country": there}, **members}
    return event("hop", data, at=at, phase="transit")


def views(events: list[Committed], *, now: int = YEAR[1]) -> dict[str, tuple[TransferView, Matrix]]:
    """Each transfer's view and matrix."""
    projected = project(events)
    register = {"acme": ACME, "cdn-one": Party(PartyId("cdn-one"), "CDN One", Role.CDN, "MY")}
    found = {}
    for subject in sorted({fact.subject for fact in projected.facts} - {LOG_WIDE}):
        facts = [fact for fact in projected.facts if fact.subject == subject]
        log_wide = [fact for fact in projected.facts if fact.subject == LOG_WIDE]
        papers = [(p.position, opened(events, p.position)) for p in projected.papers if p.subject == subject]
        view = transfer_view(subject, facts, log_wide, papers, register.get, ACME, now)
        found[subject] = view, completeness(subject, facts, log_wide, now)
    return found


def opened(events: list[Committed], position: int) -> Event:
    return open_event(events[position])


def view_of(*events: Object, now: int = YEAR[1]) -> TransferView:
    ((view, _),) = views(committed(events), now=now).values()
    return view


def cells(matrix: Matrix) -> dict[str, Presence]:
    return {f"{cell.evidence.phase.value}/{cell.evidence.name}": cell.presence for cell in matrix.cells}


def matrix_of(*events: Object, now: int = YEAR[1]) -> dict[str, Presence]:
    return cells(views(committed(events), now=now)["live-1"][1])


# --- Facts ------------------------------------------------------------------------------------------------------------


def test_every_event_of_a_year_is_counted_once_in_its_transfer() -> None:
    events = committed(scenario(1, 600, *YEAR))
    for subject, (view, _) in views(events).items():
        mine = [e for e in events if e.subject == subject]
        assert view.events == len(mine) == sum(phase.events for phase in view.phases)
        assert (view.first_time, view.last_time) == (mine[0].time, mine[-1].time)
        for phase in view.phases:
            types = [e.type for e in mine if e.phase is phase.phase]
            assert dict(phase.by_type) == {name: types.count(name) for name in types}


def test_facts_are_the_same_in_whatever_portions_the_events_come() -> None:
    events = committed(scenario(1, 400, *YEAR))
    whole = project(events)
    merged: dict[object, TransferFact] = {}
    for start in range(0, len(events), 37):
        for fact in project(events[start : start + 37]).facts:
            merged[fact.key] = merged[fact.key].merged(fact) if fact.key in merged else fact
    assert sorted(merged.values(), key=lambda f: f.key) == list(whole.facts)


def test_merging_facts_forgets_no_order() -> None:
    facts = [transfer_fact("live-1", "tls", "1.1", at=at) for at in (5, 2, 9)]
    for order in itertools.permutations(facts):
        merged = order[0].merged(order[1]).merged(order[2])
        assert (merged.count, merged.first_time, merged.last_time) == (3, 1002, 1009)
        assert (merged.first, merged.last) == (2, 9)


def test_a_paper_is_evidence_for_the_transfers_it_names_and_for_no_other() -> None:
    assessment: Object = {**ASSESSED, "transfers": ["live-1", "live-2", "not a subject", "*"]}
    projected = project(committed([event("impact-assessment", assessment, subject="papers-2026")]))
    evidence = {fact.subject for fact in projected.facts if fact.name == "evidence"}
    assert evidence == {"live-1", "live-2"} == {paper.subject for paper in projected.papers}
    assert [f.subject for f in projected.facts if f.name == "event"] == ["papers-2026"]


@pytest.mark.parametrize("told", [{}, {"transfers": None}, {"transfers": []}])
def test_a_paper_that_names_no_transfer_is_evidence_for_its_own(told: Object) -> None:
    found = matrix_of(event("impact-assessment", {**ASSESSED, **told}))
    assert found["before/impact-assessment"] is Presence.PRESENT


def test_a_transfer_cannot_be_called_as_the_whole_log() -> None:
    value = event("hop", {"sequence": 0, "from": {"country": "CN"}, "to": {"country": "JP"}}, phase="transit")
    with pytest.raises(catalogue.InvalidEvent):
        parse_event({**value, "subject": LOG_WIDE})


def test_an_opaque_event_is_counted_and_nothing_of_it_is_read() -> None:
    value = event("com.example.heartbeat", {"transfers": ["live-2"], "country": "JP"})
    projected = project(committed([value], opaque=True))
    assert {(f.subject, f.name, f.value) for f in projected.facts} == {
        ("live-1", "event", "opaque"),
        ("live-1", "party", "acme"),
        (LOG_WIDE, "party", "acme"),
    }
    assert projected == Projected(facts=projected.facts, accesses=[], snapshots=[], papers=[])


def test_whatever_is_pushed_a_transfer_has_a_bounded_number_of_facts() -> None:
    """Types that nobody knows, dates without end, the same said many times over: none crowds out what is looked for."""
    strange = committed([event(f"com.example.t{n}", {}, at=n) for n in range(400)], opaque=True)
    dated = committed(
        event("storage", {**STORED, "retain_until": f"{y}-01-01T00:00:00Z"}, at=y, phase="storage")
        for y in range(2000, 2400)
    )
    repeated = committed(
        [event("declaration", {**DECLARED, "data_categories": [{"category": "x", "tier": 2}] * 9})]
    )
    assert len(project(strange).facts) == 3
    assert len(project(dated).facts) == len(project(dated[:1]).facts)
    assert {fact.count for fact in project(repeated).facts} == {1}


def test_something_is_to_be_deleted_when_the_first_of_its_times_comes() -> None:
    events = [
        event("storage", {**STORED, "retain_until": until}, at=at, phase="storage")
        for at, until in enumerate(
            ("2026-09-01T00:00:00Z", "2026-05-31T23:00:00-04:00", "2027-01-01T00:00:00Z")
        )
    ]
    ends = event_time("2026-06-01T03:00:00Z")
    assert matrix_of(*events, now=ends - 1)["storage/deletion"] is Presence.NOT_DUE
    assert matrix_of(*events, now=ends)["storage/deletion"] is Presence.MISSING


def test_members_that_are_not_disclosed_give_no_fact() -> None:
    (whole,) = committed([hop("CN", "JP", tls_version="1.1")])
    names = {fact.name for fact in project([whole._replace(disclosures=())]).facts}
    assert names == {"event", "party", "evidence", "tls"}


# --- Views ------------------------------------------------------------------------------------------------------------


def test_a_transfer_names_its_parties_by_their_capacity() -> None:
    view = view_of(event("declaration", {**DECLARED}))
    assert [h.party for h in view.exporters] == ["acme"]
    assert [h.party for h in view.importers] == ["acme-jp"]
    assert [h.party for h in view.processors] == ["cdn-one"]
    registered = {h.party: h.registered and h.registered.country for h in view.handlers}
    assert registered == {"acme": "CN", "cdn-one": "MY", "acme-jp": None}


def test_the_newest_declaration_counts_by_its_own_time_and_not_by_when_it_came() -> None:
    newer = event("declaration", {**DECLARED, "version": "2", "purposes": ["analytics"]}, at=60)
    older = event("declaration", {**DECLARED}, at=30)
    view = view_of(newer, older)
    assert view.purposes == ("analytics",)
    assert [(p.kind, p.id, p.version) for p in view.papers] == [
        ("declaration", "d-1", "2"),
        ("declaration", "d-1", "1"),
    ]


def test_the_three_jurisdictions_are_told_apart() -> None:
    stored: Object = {**STORED, "country": "SG"}
    view = view_of(
        event("declaration", {**DECLARED}),
        hop("CN", "PA", at=1),
        event("storage", stored, at=2, phase="storage"),
    )
    places = view.jurisdictions
    assert (places.platform, places.persons, places.stored) == (("CN",), ("CN",), ("SG",))
    assert places.passed == ("CN", "PA")
    assert places.undeclared == ("PA", "SG")


def test_who_got_in_from_abroad_shows_where_the_data_went_and_who_was_refused_does_not() -> None:
    def access(country: str, outcome: str, at: int) -> Object:
        told: Object = {"principal": "p", "action": "read", "outcome": outcome, "country": country}
        return event("access", told, at=at, phase="storage")

    view = view_of(
        event("declaration", {**DECLARED}),
        *(
            access(*said, at)
            for at, said in enumerate((("JP", "allowed"), ("US", "refused"), ("RU", "allowed")))
        ),
    )
    assert view.jurisdictions.accessed_from == ("JP", "RU")
    assert view.jurisdictions.undeclared == ("RU",)


def test_a_declaration_of_the_first_version_tells_all_but_where_the_persons_are() -> None:
    data = {name: value for name, value in DECLARED.items() if name != "persons_countries"}
    view = view_of(event("declaration", data) | {"type": catalogue.DECLARATION_1.name})
    assert view.declared
    assert view.jurisdictions.persons == ()
    assert view.jurisdictions.declared_recipients == ("JP",)


def test_a_transfer_that_nobody_declared_is_shown_all_the_same() -> None:
    view = view_of(hop("CN", "JP"))
    assert (view.declared, view.handlers, view.jurisdictions.platform) == (False, (), ("CN",))
    assert view.jurisdictions.undeclared == ("JP",)
    states = {phase.phase: phase.state for phase in view.phases}
    assert states[Phase.BEFORE] is PhaseState.NOTHING
    assert states[Phase.TRANSIT] is PhaseState.INCOMPLETE


def test_every_kind_of_paper_has_its_id_shown() -> None:
    events = committed(scenario(1, 2 * WHOLE, *YEAR))
    shown = {paper.kind: paper.id for view, _ in views(events).values() for paper in view.papers}
    assert shown.keys() == PAPERS - {"model-export"} or shown.keys() == PAPERS
    assert all(id for kind, id in shown.items() if kind != "route")


# --- Completeness -----------------------------------------------------------------------------------------------------


def test_a_whole_session_has_everything_that_is_expected() -> None:
    events = committed(scenario(1, 8 * 250, *YEAR))
    wanting = {
        subject: {f"{cell.evidence.phase.value}/{cell.evidence.name}" for cell in matrix.wanting}
        for subject, (_, matrix) in views(events).items()
    }
    # The generator leaves the snapshots out of one session in eight, and of no other anything.
    faulty = {subject: found for subject, found in wanting.items() if found}
    assert list(faulty.values()) == [{"transit/permission-snapshot", "storage/permission-snapshot"}]


def test_without_any_paper_everything_before_is_missing() -> None:
    found = matrix_of(hop("CN", "JP"))
    before = {
        name
        for name, presence in found.items()
        if name.startswith("before/") and presence is Presence.MISSING
    }
    assert before == {
        f"before/{kind}"
        for kind in (
            *("declaration", "impact-assessment", "country-assessment", "route", "sign-off"),
            *("consent-prompt", "consent", "permission-snapshot"),
        )
    }
    assert found["transit/hop"] is Presence.PRESENT
    assert found["before/deidentification"] is Presence.NOT_EXPECTED


def test_each_recipient_country_wants_an_assessment_which_holds_for_all_transfers() -> None:
    assessed: Object = {
        "assessment_id": "ca-1",
        "version": "1",
        "country": "JP",
        "sources": [{"title": "law"}],
        "rating": "adequate",
        "assessor": "office",
        "valid_until": "2027-01-01T00:00:00Z",
    }
    declared: Object = {**DECLARED, "recipient_countries": ["JP", "SG"]}
    events = committed(
        [event("country-assessment", assessed, subject="countries"), event("declaration", declared, at=1)]
    )
    found = cells(views(events)["live-1"][1])
    assert found["before/country-assessment:JP"] is Presence.PRESENT
    assert found["before/country-assessment:SG"] is Presence.MISSING


@pytest.mark.parametrize(("at", "presence"), [(5, Presence.PRESENT), (15, Presence.LATE)])
@pytest.mark.parametrize("crossing", ["hop", "storage"])
def test_evidence_that_came_after_data_first_crossed_is_late(
    at: int, presence: Presence, crossing: str
) -> None:
    """Also where nobody told of a hop: what lies abroad has crossed."""
    attested: Object = {
        "attestation_id": "a-1",
        "data_categories": ["interaction"],
        "methods": ["pseudonymisation"],
        "performed": "2026-03-01T12:00:00Z",
        "attested_by": "acme",
    }
    crossed = (
        hop("CN", "JP", at=10) if crossing == "hop" else event("storage", STORED, at=10, phase="storage")
    )
    found = matrix_of(event("declaration", {**DECLARED}), event("deidentification", attested, at=at), crossed)
    assert found["before/deidentification"] is presence
    assert found["before/declaration"] is Presence.PRESENT


@pytest.mark.parametrize(
    ("at", "told_first", "presence", "timing"),
    [
        (5, True, Presence.PRESENT, None),
        (5, False, Presence.PRESENT, TOLD_LATER),
        (15, True, Presence.LATE, BY_OWN_TIME),
        (15, False, Presence.LATE, BY_OWN_TIME),
    ],
)
def test_evidence_that_came_into_the_ledger_after_data_had_crossed_is_told_whatever_its_own_time(
    at: int, told_first: bool, presence: Presence, timing: str | None
) -> None:
    """A time can be dated back, a position cannot."""
    declared, crossed = event("declaration", {**DECLARED}, at=at), hop("CN", "JP", at=10)
    events = [declared, crossed] if told_first else [crossed, declared]
    (cell,) = (
        cell
        for cell in views(committed(events))["live-1"][1].cells
        if (cell.evidence.phase, cell.evidence.kind) == (Phase.BEFORE, "declaration")
    )
    assert (cell.presence, cell.timing) == (presence, timing)


def test_where_nothing_crossed_and_in_other_phases_nothing_is_said_of_timing() -> None:
    for events in ([event("declaration", {**DECLARED})], [hop("CN", "JP", at=10)]):
        cells_of = views(committed(events))["live-1"][1].cells
        assert {cell.timing for cell in cells_of} == {None}


@pytest.mark.parametrize(
    ("tier", "expected"),
    [(1, set()), (2, {"deidentification"}), (3, {"encryption", "plugin-authorisation"})],
)
def test_what_was_declared_decides_what_is_expected(tier: int, expected: set[str]) -> None:
    declared: Object = {**DECLARED, "data_categories": [{"category": "x", "tier": tier}]}
    found = matrix_of(event("declaration", declared))
    conditional = ("deidentification", "encryption", "plugin-authorisation")
    assert {kind for kind in conditional if found[f"before/{kind}"] is Presence.MISSING} == expected


def test_where_a_model_goes_in_place_of_data_nothing_is_expected_to_cross() -> None:
    model: Object = {
        "model_id": "m",
        "version": "1",
        "sha256": "ab" * 32,
        "leakage_tests": [{"method": "membership-inference", "result": "passed"}],
        "raw_data_exported": False,
        "recipient_countries": ["JP"],
    }
    found = matrix_of(event("declaration", {**DECLARED}), event("model-export", model, at=1))
    assert found["transit/hop"] is found["storage/storage"] is Presence.NOT_EXPECTED
    assert found["before/impact-assessment"] is Presence.MISSING


def test_what_is_not_due_yet_is_not_missing() -> None:
    stored: Object = {**STORED, "retain_until": "2026-06-01T00:00:00Z"}
    at = event_time("2026-03-01T12:00:00Z")
    events = [event("storage", stored, phase="storage")]
    deferred = ("storage/use-report", "storage/review", "storage/deletion")
    early = matrix_of(*events, now=at + DAY)
    assert {early[name] for name in deferred} == {Presence.NOT_DUE}
    later = matrix_of(*events, now=at + DUE_AFTER)
    assert [later[name] for name in deferred] == [Presence.MISSING, Presence.MISSING, Presence.NOT_DUE]
    last = matrix_of(*events, now=event_time("2026-06-01T00:00:00Z"))
    assert last["storage/deletion"] is Presence.MISSING
    nothing = matrix_of(hop("CN", "JP"))
    assert {nothing[name] for name in deferred} == {Presence.NOT_EXPECTED}


def test_every_expectation_names_a_kind_of_the_catalogue_in_its_phase() -> None:
    types = {type_.kind: type_ for type_ in catalogue.newest_types()}
    for expected in EXPECTED:
        assert expected.phase in types[expected.kind].phases
        assert re.search(r"\[[TPSM]\]", expected.source) or expected.source == PROPOSED


def test_nothing_that_is_only_proposed_is_shown_as_law() -> None:
    """The law asks for permissions, an officer, audits; snapshots in each phase, sign-offs, reports are proposed."""
    sources = {(expected.phase, expected.kind): expected.source for expected in EXPECTED}
    proposed = {kind for (_, kind), source in sources.items() if PROPOSED in source}
    assert proposed == {
        *("sign-off", "country-assessment", "permission-snapshot", "use-report", "review"),
        *(
            "consent-prompt",
            "plugin-authorisation",
            "deidentification",
            "encryption",
            "hop",
            "segment",
            "access",
        ),
    }
