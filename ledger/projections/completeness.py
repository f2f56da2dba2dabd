"""Completeness of one transfer: for each phase, which evidence is expected, and whether it is there.

    phase    evidence            because               who asks for it      cell
    before   impact-assessment   of every transfer     PIPL 55–56 [T]       present, 1 event, first at position 12
    before   deidentification    tier 2 was declared   proposed policy      late: 3 min after the first hop
    storage  deletion            was kept until …      PIPL 47 [T]          missing

`EXPECTED` is the table of what is expected: always, or under a condition that the transfer's facts decide. A cell is
*late* where evidence of the phase before came only after data first crossed, by the events' own times. Those are their
parties' words: what is in time by them, but came into the ledger only after it was told that data crossed, is present,
and its `timing` says so; what was received when, the receipts say. Nothing here judges what a paper says: that is a
matter of rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ledger.catalogue.base import PROPOSED
from ledger.entry import Phase
from ledger.records import TransferFact
from ledger.types import Position, format_time


class Presence(StrEnum):
    """Whether evidence is there."""

    PRESENT = "present"
    LATE = "late"
    MISSING = "missing"
    NOT_DUE = "not-due"
    """Expected, but not yet."""
    NOT_EXPECTED = "not-expected"
    """The transfer does not ask for it, and it is not there."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the conditions of expectations go by."""

    kinds: frozenset[str]
    """Kinds of evidence that are there, in whatever phase."""
    tiers: frozenset[int]
    """Tiers of the declared data (proposed policy)."""
    stream: bool
    """Whether audio or video was declared, or crossed."""
    recipient_countries: tuple[str, ...]
    model_only: bool
    """A model was exported in place of data: nothing else crossed."""
    stored_since: int | None
    """When the first object came to rest abroad."""
    retained_until: int | None
    """When first something was to be deleted, Unix milliseconds."""
    now: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence that may be expected. `name` is the kind of event, with a country where there is to be one for each."""

    phase: Phase
    kind: str
    source: str
    country: str | None = None

    @property
    def name(self) -> str:
        return self.kind if self.country is None else f"{self.kind}:{self.country}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the matrix. Times are Unix milliseconds; position and times are None without an event.

    `timing` says of evidence of the phase before by what it is late, or why it may be.
    """

    evidence: Evidence
    presence: Presence
    because: str
    count: int = 0
    first_time: int | None = None
    first: Position | None = None
    timing: str | None = None

    @property
    def is_wanting(self) -> bool:
        """Whether something is not as expected."""
        return self.presence in (Presence.MISSING, Presence.LATE)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The cells of one transfer, by phase."""

    subject: str
    cells: tuple[Cell, ...]

    @property
    def wanting(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if cell.is_wanting)


Condition = Callable[[Known], str | None]
"""Why something is expected, in words; None if it is not."""

DUE_AFTER = 90 * 86_400_000
"""Milliseconds after which use abroad is to be reported and reviewed for the first time. No law names a number."""


@dataclass(frozen=True, slots=True)
class _Expected:
    phase: Phase
    kind: str
    source: str
    condition: Condition
    due: Callable[[Known], bool] = lambda known: True
    each_country: bool = False


def _always(known: Known) -> str | None:
    return "of every transfer"


def _if_data_cross(known: Known) -> str | None:
    return None if known.model_only else "data cross the border"


def _if_tier(tier: int) -> Condition:
    return lambda known: f"tier {tier} was declared" if tier in known.tiers else None


def _if_stream(known: Known) -> str | None:
    return "audio or video crosses" if known.stream else None


def _if_plugin(known: Known) -> str | None:
    return "biometric data were declared" if 3 in known.tiers else None


def _if_stored(known: Known) -> str | None:
    return "data lie abroad" if "storage" in known.kinds else None


def _if_retention_ends(known: Known) -> str | None:
    until = known.retained_until
    return None if until is None else f"something was to be kept until {format_time(until)[:10]}"


def _after_a_while(known: Known) -> bool:
    return known.stored_since is not None and known.now >= known.stored_since + DUE_AFTER


def _after_retention(known: Known) -> bool:
    return known.retained_until is not None and known.now >= known.retained_until


_SNAPSHOT = f"PIPL 51 [T]; a record of it in each phase: {PROPOSED}"

EXPECTED: tuple[_Expected, ...] = (
    _Expected(Phase.BEFORE, "declaration", "PIPL 55–56 [T]", _always),
    _Expected(Phase.BEFORE, "impact-assessment", "PIPL 55–56 [T]", _always),
    _Expected(
        Phase.BEFORE,
        "country-assessment",
        f"数据出境安全评估办法 8(2) [S]; on other routes: {PROPOSED}",
        _if_data_cross,
        each_country=True,
    ),
    _Expected(Phase.BEFORE, "route", "PIPL 38 [T]", _if_data_cross),
    _Expected(Phase.BEFORE, "sign-off", f"PIPL 52 [T]; for each transfer: {PROPOSED}", _always),
    _Expected(Phase.BEFORE, "consent-prompt", PROPOSED, _if_data_cross),
    _Expected(Phase.BEFORE, "consent", "PIPL 39 [T]", _if_data_cross),
    _Expected(Phase.BEFORE, "plugin-authorisation", PROPOSED, _if_plugin),
    _Expected(Phase.BEFORE, "deidentification", PROPOSED, _if_tier(2)),
    _Expected(Phase.BEFORE, "encryption", PROPOSED, _if_tier(3)),
    _Expected(Phase.BEFORE, "permission-snapshot", _SNAPSHOT, _always),
    _Expected(Phase.TRANSIT, "hop", PROPOSED, _if_data_cross),
    _Expected(Phase.TRANSIT, "segment", PROPOSED, _if_stream),
    _Expected(Phase.TRANSIT, "access", PROPOSED, _if_data_cross),
    _Expected(Phase.TRANSIT, "permission-snapshot", _SNAPSHOT, _if_data_cross),
    _Expected(Phase.STORAGE, "storage", "PIPL 55–56 [T]", _if_data_cross),
    _Expected(Phase.STORAGE, "permission-snapshot", _SNAPSHOT, _if_data_cross),
    _Expected(Phase.STORAGE, "access", PROPOSED, _if_data_cross),
    _Expected(
        Phase.STORAGE, "use-report", f"PIPL 6 [T]; reporting it: {PROPOSED}", _if_stored, _after_a_while
    ),
    _Expected(
        Phase.STORAGE, "review", f"PIPL 54 [T]; at set intervals: {PROPOSED}", _if_stored, _after_a_while
    ),
    _Expected(Phase.STORAGE, "deletion", "PIPL 47 [T]", _if_retention_ends, _after_retention),
)
"""What is expected of a transfer, and who asks for it.

A law is named with its mark (`ledger.catalogue.base.MARKS`). Where it asks for something, and a proposal for this
evidence of it, both are named: a cell must not read as if the law asked for more than it does.
"""

_CROSSINGS = (
    (Phase.TRANSIT, "hop"),
    (Phase.TRANSIT, "segment"),
    (Phase.STORAGE, "storage"),
    (Phase.STORAGE, "onward-transfer"),
)
"""Evidence that data crossed: of whichever is told of, the first counts."""

BY_OWN_TIME = "by the events' own times it came after data first crossed"
TOLD_LATER = (
    "by the events' own times it came before data crossed; into the ledger it came only after that was told: "
    "its time is its party's word"
)

_First = tuple[int, Position]
"""The first time by the events' own word, and the first position, which nobody can date back."""


def _first(facts: Sequence[TransferFact]) -> _First | None:
    return (min(f.first_time for f in facts), min(f.first for f in facts)) if facts else None


_There = defaultdict[tuple[Phase, str], list[TransferFact]]
"""Facts of evidence by phase and kind."""


def completeness(
    subject: str, facts: Sequence[TransferFact], log_wide: Sequence[TransferFact], now: int
) -> Matrix:
    """The matrix of one transfer; see `ledger.projections.transfers.transfer_view` for the arguments."""
    there: _There = defaultdict(list)
    for fact in facts:
        if fact.name == "evidence":
            there[fact.phase, fact.value].append(fact)
    known = _known(there, facts, now)
    crossed = _first([fact for crossing in _CROSSINGS for fact in there[crossing]])
    cells = []
    for expected in EXPECTED:
        if expected.each_country and known.recipient_countries:
            for country in known.recipient_countries:
                found = _of_country(country, log_wide)
                cells.append(_cell(expected, country, found, known, crossed))
        else:
            found = there[expected.phase, expected.kind]
            cells.append(_cell(expected, None, found, known, crossed))
    return Matrix(subject, tuple(cells))


def _of_country(country: str, log_wide: Sequence[TransferFact]) -> list[TransferFact]:
    """An assessment of a country holds for all transfers of the log."""
    return [fact for fact in log_wide if (fact.name, fact.value) == ("country", country)]


def _known(there: _There, facts: Sequence[TransferFact], now: int) -> Known:
    def told(name: str) -> list[str]:
        return sorted({fact.value for fact in facts if fact.name == name})

    kinds = frozenset(kind for (_, kind), found in there.items() if found)
    ends = (fact.first_time for fact in facts if fact.name == "retain-until")
    return Known(
        kinds=kinds,
        tiers=frozenset(map(int, told("tier"))),
        stream="segment" in kinds or bool(told("stream")),
        recipient_countries=tuple(told("recipient-in")),
        model_only="model-export" in kinds and not any(there[crossing] for crossing in _CROSSINGS),
        stored_since=min((fact.first_time for fact in there[Phase.STORAGE, "storage"]), default=None),
        retained_until=min(ends, default=None),
        now=now,
    )


def _cell(
    expected: _Expected,
    country: str | None,
    found: Sequence[TransferFact],
    known: Known,
    crossed: _First | None,
) -> Cell:
    evidence = Evidence(expected.phase, expected.kind, expected.source, country)
    because = expected.condition(known)
    if not found and because is None:
        return Cell(evidence, Presence.NOT_EXPECTED, "nothing that was declared or done asks for it")
    if not found:
        return Cell(evidence, Presence.MISSING if expected.due(known) else Presence.NOT_DUE, str(because))
    first = min(fact.first_time for fact in found), min(fact.first for fact in found)
    before = crossed if expected.phase is Phase.BEFORE else None
    late = before is not None and first[0] > before[0]
    return Cell(
        evidence,
        Presence.LATE if late and because else Presence.PRESENT,
        because or "given without being asked for",
        sum(fact.count for fact in found),
        *first,
        None if before is None else _timing(first, before),
    )


def _timing(first: _First, crossed: _First) -> str | None:
    if first[0] > crossed[0]:
        return BY_OWN_TIME
    return TOLD_LATER if first[1] > crossed[1] else None
