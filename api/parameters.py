"""Query parameters that several routes share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from ledger.entry import event_time
from ledger.errors import MalformedInput

MAX_LIMIT = 1000

After = Annotated[
    int | None,
    Query(ge=0, le=2**53, description="Only items after this cursor: the `next` of the page before."),
]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most items on a page.")]

_TIME = "2026-07-01T00:00:00Z"


def _moment(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        # A plus sign in a query string arrives as a space.
        return event_time(text.replace(" ", "+"))
    except MalformedInput as error:
        raise MalformedInput(
            f"the parameter {name!r} is not a time", expected=error.expected, got=error.got
        ) from None


def _since(
    since: Annotated[str | None, Query(description="From this time on.", examples=[_TIME])] = None,
) -> int | None:
    return _moment("since", since)


def _until(
    until: Annotated[str | None, Query(description="Before this time.", examples=[_TIME])] = None,
) -> int | None:
    return _moment("until", until)


Since = Annotated[int | None, Depends(_since)]
Until = Annotated[int | None, Depends(_until)]
