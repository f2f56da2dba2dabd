"""Lists, page by page.

A page has a number of rows at most, and ends earlier where they are long: a row may hold a quarter of a megabyte, which
whoever pushed it chose. So a page may be short before the last; only `Page.next` says which is the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
C = TypeVar("C")

PAGE_SIZE = 4 * 2**20
"""What the rows of a page come to, by their `size`, after which it ends."""
FIRST_ROWS = 16
"""Rows that are read before their size is known."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T, C]):
    """Rows in order, and after what to go on; None if there are no more."""

    rows: Sequence[T]
    next: C | None


def read_page(
    read: Callable[[C | None, int], Sequence[T]],
    after: C | None,
    limit: int,
    *,
    size: Callable[[T], int],
    cursor: Callable[[T], C],
) -> Page[T, C]:
    """The rows after a cursor, at most `limit`, until they come to `PAGE_SIZE`.

    Args:
        read: answers the rows after a cursor, at most so many; fewer only if there are no more.
        size: of a row.
        cursor: of a row: the rows after it.
    """
    rows: list[T] = []
    total, step = 0, min(limit, FIRST_ROWS)
    while True:
        found = read(after, step)
        rows += found
        if len(found) < step:
            return Page(rows, None)
        after, total = cursor(found[-1]), total + sum(map(size, found))
        left = min(limit - len(rows), (PAGE_SIZE - total) * len(rows) // max(total, 1))
        if left <= 0:
            return Page(rows, after)
        # Longer rows may follow short ones.
        step = min(left, 8 * len(rows))


def all_rows(page: Callable[[C | None], Page[T, C]]) -> Iterator[T]:
    """The rows of all pages. `page` answers the one after a cursor."""
    after: C | None = None
    while True:
        found = page(after)
        yield from found.rows
        if (after := found.next) is None:
            return
