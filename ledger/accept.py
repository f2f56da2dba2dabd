"""Accept: events held against the envelope and their types, and salted; the first stage of a push.

It needs no log, store or lock, only chance for the salts: so a large push can be accepted in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ledger import catalogue, native
from ledger.canonical import Value
from ledger.disclosure import SALT_BYTES, salt_members
from ledger.entry import Event, parse_event
from ledger.errors import InvalidEvent, TooLarge
from ledger.salted import StatementReader
from ledger.statement import Statement, commit_events

MOST_PROBLEMS = 100
"""Problems of a push that are told one by one; all are counted."""

_AT_ONCE = 32
"""Events that are salted together: few enough that what is made of one is still at hand for the next step."""


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
    reader = StatementReader()
    salting = native.library.salt_members if native.library else salt_members
    commit = partial(commit_events, salts=lambda count: random_bytes(count * SALT_BYTES), salting=salting)
    type_of = partial(catalogue.check_event, allow_opaque=opaque)
    problems: list[dict[str, str]] = []
    count = 0
    statements: list[Statement] = []
    unsalted: list[tuple[Event, frozenset[str]]] = []
    plain = True
    for number, value in enumerate(values):
        if number == most:
            raise TooLarge("too many events at once", expected=f"at most {most}")
        try:
            if signed:
                statements.append(reader.read(value, lambda event: type_of(event).visible))
            else:
                event = parse_event(value)
                type_ = type_of(event)
                unsalted.append((event, type_.visible))
                plain = plain and type_.plain
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
        if len(unsalted) == _AT_ONCE:
            statements += commit(unsalted, plain=plain)
            unsalted.clear()
            plain = True
    if problems:
        first = problems[0]
        raise InvalidEvent(
            f"{count} problem(s), the first at {first['at']}: {first['problem']}",
            advice="Nothing of this push was taken; correct it and push it whole again.",
            details={"problems": problems},
        )
    statements += commit(unsalted, plain=plain)
    if not statements:
        raise InvalidEvent("nothing to push", expected="at least one event")
    return statements
