"""The view of one transfer: who, where, which phases, read from its facts and papers.

    TransferView
    ├── parties         exporter, importer, processors …: the roles of the newest declaration
    ├── jurisdictions   the platform's registration, where data are stored, where the persons are
    ├── phases          before, transit, storage: how many events, from when to when, what is missing
    └── papers          declarations, assessments, routes … with their positions

Facts and papers are what was *said*. Where two sayings could differ, as declared and observed countries, both are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ledger.canonical import Object
from ledger.catalogue.base import kind_of
from ledger.entry import Event, Phase
from ledger.projections.completeness import Matrix, completeness
from ledger.projections.members import objects, text, texts
from ledger.records import Party, TransferFact
from ledger.types import PartyId, Position


class PhaseState(StrEnum):
    """How far a phase is evidenced."""

    NOTHING = "nothing"
    """No event of it."""
    INCOMPLETE = "incomplete"
    COMPLETE = "complete"
    """Everything that is expected of it is there, and in time."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A party to a transfer as its newest declaration names it; `registered` is its entry in the party register."""

    party: str
    role: str | None
    capacity: str | None
    country: str | None
    registered: Party | None

    @property
    def country_differs(self) -> bool:
        """Whether the register says another country than the declaration."""
        return self.registered is not None and self.country not in (None, self.registered.country)


@dataclass(frozen=True, slots=True)
class Jurisdictions:
    """The three jurisdictions of a transfer, as ISO 3166-1 codes, sorted; and the countries on its way.

    `declared…` come from declarations, the others were observed.
    """

    platform: tuple[str, ...]
    """Where the platform is registered: the party register's word, or else the declaration's."""
    persons: tuple[str, ...]
    """Where the persons are, by the declarations."""
    stored: tuple[str, ...]
    """Where objects came to rest, or may be read by permission."""
    declared_recipients: tuple[str, ...]
    declared_path: tuple[str, ...]
    passed: tuple[str, ...]
    """Countries of the hops."""
    accessed_from: tuple[str, ...]
    onward: tuple[str, ...]

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Countries in which the data were seen and which no declaration names."""
        declared = {*self.declared_recipients, *self.declared_path, *self.platform, *self.persons}
        return tuple(sorted({*self.passed, *self.stored, *self.onward} - declared))


@dataclass(frozen=True, slots=True)
class PhaseView:
    """One phase: number of events, their span in Unix milliseconds (None without any), and how far it is evidenced."""

    phase: Phase
    state: PhaseState
    events: int
    first_time: int | None
    last_time: int | None
    missing: tuple[str, ...]
    by_type: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PaperView:
    """A paper of the transfer: its kind, its own id and version, and where it stands."""

    position: Position
    kind: str
    time: int
    id: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class TransferView:
    """All that is said of one transfer. `declared` is false where no declaration names it."""

    subject: str
    events: int
    first_time: int
    last_time: int
    declared: bool
    purposes: tuple[str, ...]
    handlers: tuple[Handler, ...]
    reporters: tuple[PartyId, ...]
    """Parties that pushed its events."""
    jurisdictions: Jurisdictions
    phases: tuple[PhaseView, ...]
    papers: tuple[PaperView, ...]

    def handlers_in(self, *capacities: str) -> tuple[Handler, ...]:
        return tuple(handler for handler in self.handlers if handler.capacity in capacities)

    @property
    def exporters(self) -> tuple[Handler, ...]:
        return self.handlers_in("data-exporter", "data-controller", "joint-data-controllers")

    @property
    def importers(self) -> tuple[Handler, ...]:
        return self.handlers_in("data-importer", "recipient")

    @property
    def processors(self) -> tuple[Handler, ...]:
        return self.handlers_in("data-processor", "data-sub-processor")


PaperEvent = tuple[Position, Event]
"""A paper as far as it is disclosed, and its position."""


def transfer_view(
    subject: str,
    facts: Sequence[TransferFact],
    log_wide: Sequence[TransferFact],
    papers: Sequence[PaperEvent],
    party: Callable[[str], Party | None],
    platform: Party | None,
    now: int,
) -> TransferView:
    """The view of a transfer.

    Args:
        facts: those of the transfer, at least one.
        log_wide: those of all transfers of the log (`LOG_WIDE`).
        papers: the newest of each kind, in order of position.
        party: a party of the register by id; None if there is none.
        platform: the party that the log belongs to.
        now: Unix milliseconds; what is not due yet is not missing.
    """
    declarations = [event for _, event in papers if kind_of(event.type) == "declaration"]
    newest = max(declarations, key=lambda event: event.time).data if declarations else {}
    matrix = completeness(subject, facts, log_wide, now)
    spans = [fact for fact in facts if fact.name == "event"] or list(facts)
    return TransferView(
        subject=subject,
        events=sum(fact.count for fact in facts if fact.name == "event"),
        first_time=min(fact.first_time for fact in spans),
        last_time=max(fact.last_time for fact in spans),
        declared=any((fact.name, fact.value) == ("evidence", "declaration") for fact in facts),
        purposes=tuple(texts(newest, "purposes")),
        handlers=tuple(_handler(named, party) for named in objects(newest, "parties")),
        reporters=tuple(PartyId(value) for value in _values(facts, "party")),
        jurisdictions=_jurisdictions(facts, platform),
        phases=tuple(_phase(phase, facts, matrix) for phase in Phase),
        papers=tuple(_paper(position, event) for position, event in papers),
    )


def _handler(named: Object, party: Callable[[str], Party | None]) -> Handler:
    id = text(named, "party") or ""
    return Handler(id, text(named, "role"), text(named, "capacity"), text(named, "country"), party(id))


def _jurisdictions(facts: Sequence[TransferFact], platform: Party | None) -> Jurisdictions:
    return Jurisdictions(
        platform=(platform.country,) if platform else _values(facts, "platform-in"),
        persons=_values(facts, "persons-in"),
        stored=_values(facts, "stored-in", "reachable-in", phases=(Phase.STORAGE,)),
        declared_recipients=_values(facts, "recipient-in"),
        declared_path=_values(facts, "path-through"),
        passed=_values(facts, "hop-from", "hop-to"),
        accessed_from=_values(facts, "access-from"),
        onward=_values(facts, "onward-to"),
    )


def _values(
    facts: Iterable[TransferFact], *names: str, phases: Sequence[Phase] = tuple(Phase)
) -> tuple[str, ...]:
    return tuple(sorted({fact.value for fact in facts if fact.name in names and fact.phase in phases}))


def _phase(phase: Phase, facts: Sequence[TransferFact], matrix: Matrix) -> PhaseView:
    types = [fact for fact in facts if fact.phase is phase and fact.name == "event"]
    missing = tuple(
        cell.evidence.name for cell in matrix.cells if cell.evidence.phase is phase and cell.is_wanting
    )
    state = PhaseState.INCOMPLETE if missing else PhaseState.COMPLETE
    return PhaseView(
        phase=phase,
        state=state if types or not missing else PhaseState.NOTHING,
        events=sum(fact.count for fact in types),
        first_time=min((fact.first_time for fact in types), default=None),
        last_time=max((fact.last_time for fact in types), default=None),
        missing=missing,
        by_type=tuple((fact.value, fact.count) for fact in types),
    )


_IDS = {
    "declaration": "declaration_id",
    "impact-assessment": "assessment_id",
    "country-assessment": "assessment_id",
    "route": "reference",
    "sign-off": "signoff_id",
    "deidentification": "attestation_id",
    "encryption": "attestation_id",
    "model-export": "model_id",
}


def _paper(position: Position, event: Event) -> PaperView:
    kind = kind_of(event.type)
    id = text(event.data, _IDS[kind]) if kind in _IDS else None
    return PaperView(position, kind, event.time, id, text(event.data, "version"))
