"""Work spread over processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2
"""Items that wait for each process."""


def spread(function: Callable[[T], R], items: Iterable[T], processes: int) -> Generator[R]:
    """As `map`, in order and in bounded memory, by so many processes.

    They are spawned, so they take nothing of this one's threads and locks along. Where they cannot be (a script that
    does its work on import), or are killed, this one goes on alone.
    """
    if processes == 1:
        yield from map(function, items)
        return
    waiting: deque[Callable[[], R]] = deque()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for item in items:
                waiting.append(_submitted(pool, function, item))
                if len(waiting) > _AHEAD * processes:
                    yield waiting.popleft()()
            while waiting:
                yield waiting.popleft()()
        finally:
            pool.shutdown(cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, function: Callable[[T], R], item: T) -> Callable[[], R]:
    """What answers the result for an item, once it is wanted."""
    here = partial(function, item)
    try:
        future = pool.submit(function, item)
    except BrokenProcessPool:
        return here

    def result() -> R:
        try:
            return future.result()
        except BrokenProcessPool:
            return here()

    return result
