"""Work in processes of their own: spread over them in order, or given to a pool of them one by one.

They are spawned, so they take nothing of this one's threads and locks along. Ctrl-C is this one's to answer, and they
end with it, also if it is killed. Where they cannot be (a script that does its work on import), or are killed, this one
goes on alone. What lets other threads go on while it works needs none, and is spread over threads.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from itertools import cycle
from multiprocessing import get_context, parent_process
from typing import TypeVar

import structlog

from ledger.passage import Parcel, Passage

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger(__name__)

_SELDOM = (100_000, 20, 20)
"""How much is made until a process looks for garbage in cycles: what is called there leaves hardly any."""
_AHEAD = 2
"""Items that wait for each process or thread."""


class Pool:
    """So many processes, started when there is the first work for them; of 0, none ever. For any number of threads."""

    TRIES = 3
    """Times that processes are started, if each time some are lost before they have done anything."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._left = self.TRIES if processes else 0
        self._lock = threading.RLock()
        self._executor: ProcessPoolExecutor | None = None
        self._ready: Future[None] | None = None

    def submit(self, function: Callable[[], R]) -> Future[R] | None:
        """Have `function` called in one of the processes; None where it is to be called here: none is there (yet).

        What the future raises as `BrokenProcessPool` is to be called here as well. Function and result are pickled.
        """
        with self._lock:
            executor = self._started()
        if executor is None:
            return None
        # Without the lock: an executor that is broken may hold its own while it tells `_told`, which takes this one.
        try:
            future = executor.submit(function)
        except (BrokenProcessPool, RuntimeError):  # RuntimeError: it was closed, or the interpreter is ending
            with self._lock:
                self._lose(executor)
            return None
        future.add_done_callback(partial(self._told, executor))
        return future

    def close(self) -> None:
        """End the processes. What is submitted after that is to be done here."""
        with self._lock:
            executor, self._executor, self._left = self._executor, None, 0
        if executor is not None:
            executor.shutdown(cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor | None:
        if self._executor is None and self._left:
            try:
                self._executor = _executor(self.processes)
                self._ready, *_ = [self._executor.submit(_nothing) for _ in range(self.processes)]
            except (OSError, ImportError, RuntimeError) as error:
                # No semaphores here, no more processes, no memory: it would be so again at the next push.
                self._executor, self._left = None, 0
                log.warning("no processes", error=type(error).__name__)
                return None
            self._ready.add_done_callback(partial(self._told, self._executor))
        return self._executor if self._ready is not None and self._ready.done() else None

    def _told(self, executor: ProcessPoolExecutor, future: Future[R]) -> None:
        if future.cancelled():
            return
        with self._lock:
            if isinstance(future.exception(), BrokenProcessPool):
                self._lose(executor)
            elif future is not self._ready and self._left:
                self._left = self.TRIES

    def _lose(self, executor: ProcessPoolExecutor) -> None:
        if executor is self._executor:
            self._executor = self._ready = None
            self._left = max(0, self._left - 1)
            log.warning("processes lost", tries_left=self._left)


def spread(
    function: Callable[[T], R], items: Iterable[T], workers: int, *, threads: bool = False
) -> Generator[R]:
    """As `map`, in order and in bounded memory, by so many processes, or threads of this one."""
    if workers == 1:
        yield from map(function, items)
    elif threads:
        with ThreadPoolExecutor(workers) as pool:
            yield from _in_order(pool, _begun(pool, function, items), workers)
    else:
        with closing(Passage()) as passage, _executor(workers, passage) as pool:
            # What was in a place before has been answered by then.
            places = cycle(range(_AHEAD * workers + 1))
            answers = (
                _submitted(pool, function, item, passage, place)
                for place, item in zip(places, items, strict=False)
            )
            yield from _in_order(pool, answers, workers)


def _in_order(pool: Executor, answers: Iterable[Callable[[], R]], workers: int) -> Generator[R]:
    """What these answer, each of which is asked for when so many behind it have been submitted."""
    waiting: deque[Callable[[], R]] = deque()
    try:
        for answer in answers:
            waiting.append(answer)
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()
    finally:
        pool.shutdown(cancel_futures=True)


def _begun(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]
) -> Iterator[Callable[[], R]]:
    """What answers the result for each item, which a thread is at work on as long as threads can be started."""
    threads = True
    for item in items:
        here = partial(function, item)
        try:
            yield pool.submit(here).result if threads else here
        except RuntimeError:
            # What it was given stays with the pool, so it gets no more.
            threads = False
            yield here


def _submitted(
    pool: ProcessPoolExecutor, function: Callable[[T], R], item: T, passage: Passage, place: int
) -> Callable[[], R]:
    """What answers the result for an item, once it is wanted."""
    here = partial(function, item)
    parcel = passage.put(place, item)
    try:
        future = pool.submit(here) if parcel is None else pool.submit(_there, function, parcel)
    except BrokenProcessPool:
        return here

    def result() -> R:
        try:
            return future.result()
        except BrokenProcessPool:
            return here()

    return result


_passage: Passage
"""In a process that `spread` started: where its items come from."""


def _there(function: Callable[[T], R], parcel: Parcel) -> R:
    return function(_passage.get(parcel))


def _executor(processes: int, passage: Passage | None = None) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(passage,)
    )


def _begin(passage: Passage | None) -> None:
    """The first thing that a process does."""
    global _passage  # noqa: PLW0603  # a process has one, from its beginning
    if passage is not None:
        _passage = passage
    gc.set_threshold(*_SELDOM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # The queue that a process waits at stays open while there are others, so it would never hear of the end.
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _nothing() -> None:
    """What a process does to show that it is there."""
