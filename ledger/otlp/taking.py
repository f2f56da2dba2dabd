"""Takes what is good of a request: OTLP lets a server refuse single records, and asks it to say how many and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ledger.canonical import Object, Value
from ledger.errors import Conflict, InputError, InvalidEvent, MalformedInput, TooLarge
from ledger.otlp.events import event_of
from ledger.otlp.records import Read

TOLD = 10
"""How many refused records the answer tells of."""


def take(
    records: Iterable[Read],
    limit: int,
    check: Callable[[Value], object],
    push: Callable[[Sequence[Value]], object],
) -> Mapping[int, str]:
    """Push the events of all records that can be taken, at once, and answer why the others cannot, by their place.

    Args:
        limit: how many records may come.
        check: refuses an event that its type or the envelope refuses, with an InputError.
        push: takes events, all or none.

    Raises:
        TooLarge: more than `limit` records.
        LedgerError: as `push`, for reasons that no single event has.
    """
    refused: dict[int, str] = {}
    left: dict[int, Object] = {}
    for place, record in enumerate(records):
        if place == limit:
            raise TooLarge("too many log records in one request", expected=f"at most {limit}")
        try:
            if isinstance(record, MalformedInput):
                raise record
            left[place] = event_of(record)
        except InputError as error:
            refused[place] = _reason(error)
    while left:
        bad = _push(left, check, push)
        refused |= bad
        left = {place: event for place, event in left.items() if place not in bad} if bad else {}
    return refused


def _push(
    events: Mapping[int, Object], check: Callable[[Value], object], push: Callable[[Sequence[Value]], object]
) -> dict[int, str]:
    """Push these events; the bad ones among them, because of which none was taken, or nothing if all were."""
    try:
        push(list(events.values()))
    except (Conflict, InvalidEvent, MalformedInput, TooLarge) as error:
        # Most requests are good, so events are looked at one by one only now.
        bad = _conflicting(events, error) if isinstance(error, Conflict) else _refused(events, check)
        if not bad:
            raise
        return bad
    return {}


def _refused(events: Mapping[int, Object], check: Callable[[Value], object]) -> dict[int, str]:
    bad = {}
    for place, event in events.items():
        try:
            check(event)
        except InputError as error:
            bad[place] = _reason(error)
    return bad


def _conflicting(events: Mapping[int, Object], error: Conflict) -> dict[int, str]:
    """All events of a name that stands; of a name that has several contents in this request, all but the first."""
    stands = {(event["source"], event["id"]): event["position"] is not None for event in error.events}
    seen = set()
    bad = {}
    for place, event in events.items():
        name = (event["source"], event["id"])
        if stands.get(name) or (name in stands and name in seen):
            bad[place] = "another event has this source and id: an event is never changed"
        seen.add(name)
    return bad


def _reason(error: InputError) -> str:
    problems = error.details.get("problems", [])
    places = "; ".join(f"{problem['at']}: {problem['problem']}" for problem in problems[:3])
    expected = f": expected {error.expected}" if error.expected else ""
    return places or f"{error.message}{expected}"


def tell(refused: Mapping[int, str]) -> str:
    """The refusals in words, for the answer's `error_message`; nothing of what the records say."""
    if not refused:
        return ""
    told = [f"[{place}] {refused[place]}" for place in sorted(refused)[:TOLD]]
    more = f"; and {len(refused) - TOLD} more" if len(refused) > TOLD else ""
    return f"rejected, by place in the request: {'; '.join(told)}{more}"
