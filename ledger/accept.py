"""Accept: events held against the envelope and their types, and salted; the first stage of a push.

It needs no log, store or lock, only chance for the salts: so a large push can be accepted in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ledger import catalogue
from ledger.canonical import Value
from ledger.disclosure import salts
from ledger.entry import Event, parse_event
from ledger.errors import InvalidEvent, TooLarge
from ledger.salted import StatementReader, VisibleMembers
from ledger.statement import Statement, commit_event

MOST_PROBLEMS = 100
"""Problems of a push that are told one by one; all are counted."""


def accept(
    values: Iterable[Value],
    random_bytes: Callable[[int], bytes],
    most: int,
    *,
    opaque: bool = False,
    signed: bool = False,
) -> list[Statement]:
    """What a push says, of all its events or of none.

    Args:
        values: events; with `signed`, statements, which their party has salted (`ledger.salted`). They are taken one by
            one, and what they raise passes through.
        random_bytes: answers that many bytes of a cryptographic source, for salts.
        most: events that one push may have.
        opaque: types that the catalogue does not know are taken too (`ledger.catalogue.OpaqueType`).

    Raises:
        InvalidEvent: one or more events are refused; `details["problems"]` places each.
        TooLarge: too many events, or one that is too large.
    """
    read = StatementReader().read if signed else _salted(salts(random_bytes))
    problems: list[dict[str, str]] = []
    count = 0
    statements = []
    for number, value in enumerate(values):
        if number == most:
            raise TooLarge("too many events at once", expected=f"at most {most}")
        try:
            statements.append(read(value, lambda event: _visible(event, opaque=opaque)))
        except InvalidEvent as error:
            found = error.details.get("problems", [{"at": "", "problem": error.message}])
            count += len(found)
            problems += [
                {"at": f"[{number}].{problem['at']}".rstrip("."), "problem": problem["problem"]}
                for problem in found[: MOST_PROBLEMS - len(problems)]
            ]
        except TooLarge as error:
            raise TooLarge(
                f"event {number}: {error.message}", expected=error.expected, got=error.got
            ) from None
    if problems:
        first = problems[0]
        raise InvalidEvent(
            f"{count} problem(s), the first at {first['at']}: {first['problem']}",
            advice="Nothing of this push was taken; correct it and push it whole again.",
            details={"problems": problems},
        )
    if not statements:
        raise InvalidEvent("nothing to push", expected="at least one event")
    return statements


def _salted(salt: Callable[[], bytes]) -> Callable[[Value, VisibleMembers], Statement]:
    """Reads an event, and salts it."""

    def read(value: Value, visible: VisibleMembers) -> Statement:
        event = parse_event(value)
        return commit_event(event, visible(event), salt)

    return read


def _visible(event: Event, *, opaque: bool) -> frozenset[str]:
    """The members that the event's type keeps visible. Raises InvalidEvent unless it is a good event of its type."""
    return catalogue.check_event(event, allow_opaque=opaque).visible
