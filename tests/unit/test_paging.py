"""Pages: nothing is lost between them, whatever their rows are like, and none is longer than it may be."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ledger.paging import FIRST_ROWS, PAGE_SIZE, Page, all_rows, read_page

Row = tuple[int, int]
"""Its place, and its size."""

LARGEST = PAGE_SIZE // 16


def page_of(rows: Sequence[Row], after: int | None, limit: int) -> Page[Row, int]:
    def read(after: int | None, most: int) -> Sequence[Row]:
        assert most > 0
        return [row for row in rows if after is None or row[0] > after][:most]

    return read_page(read, after, limit, size=lambda row: row[1], cursor=lambda row: row[0])


@given(
    sizes=st.lists(st.integers(0, LARGEST) | st.just(0), max_size=60),
    limit=st.integers(1, 70),
)
def test_all_pages_together_are_all_rows(sizes: list[int], limit: int) -> None:
    rows = list(enumerate(sizes))
    assert list(all_rows(lambda after: page_of(rows, after, limit))) == rows
    page = page_of(rows, None, limit)
    assert len(page.rows) <= limit
    assert (page.next is None) or page.next == page.rows[-1][0]


def test_a_page_of_short_rows_has_as_many_as_were_asked_for() -> None:
    rows = [(n, 100) for n in range(5000)]
    assert len(page_of(rows, None, 1000).rows) == 1000
    assert len(page_of(rows, 4990, 1000).rows) == 9


def test_a_page_of_long_rows_ends_when_they_come_to_what_a_page_may_have() -> None:
    page = page_of([(n, LARGEST) for n in range(5000)], None, 1000)
    assert len(page.rows) == FIRST_ROWS
    assert page.next == page.rows[-1][0]
    mixed = page_of([(n, LARGEST if n > 20 else 10) for n in range(5000)], None, 1000)
    assert sum(size for _, size in mixed.rows) <= 9 * FIRST_ROWS * LARGEST
