"""Work spread over processes comes back as from one: in order, with its errors, and though a process is killed."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ledger import processes
from ledger.errors import LedgerError, PackageRefuted, VerificationError
from ledger.passage import Passage
from ledger.processes import Pool, spread

T = TypeVar("T")
REPOSITORY = Path(__file__).resolve().parents[2]


def double(number: int) -> int:
    return 2 * number


def refuse_three(number: int) -> int:
    if number == 3:
        raise PackageRefuted("no threes", step="batches", expected="another number", got=number)
    return number


def die_in_a_child(parent: int) -> int:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return parent


WORKERS = pytest.mark.parametrize(
    ("workers", "threads"), [(1, False), (2, False), (2, True)], ids=["one", "two processes", "two threads"]
)


@WORKERS
def test_results_come_in_order(workers: int, threads: bool) -> None:
    assert list(spread(double, range(100), workers, threads=threads)) == list(range(0, 200, 2))


@WORKERS
def test_what_one_raises_is_raised_at_its_place(workers: int, threads: bool) -> None:
    results = spread(refuse_three, range(100), workers, threads=threads)
    assert list(itertools.islice(results, 3)) == [0, 1, 2]
    with pytest.raises(PackageRefuted) as caught:
        next(results)
    assert (caught.value.step, caught.value.expected, caught.value.got) == ("batches", "another number", 3)


@dataclass(frozen=True)
class Texts:
    """An item of several buffers."""

    number: int
    texts: list[bytes]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Texts, (self.number, [*map(pickle.PickleBuffer, self.texts)] if protocol >= 5 else self.texts)


def joined(item: Texts) -> tuple[int, bytes]:
    return item.number, b" ".join(item.texts)


@pytest.mark.parametrize("room", [2**26, 1000, 0])
def test_large_and_small_items_come_as_they_were(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some or all are too large for their place, and go another way."""
    monkeypatch.setattr(processes, "Passage", lambda: Passage(room))
    items = [Texts(number, [b"%d" % number, b"", bytes(number**3)]) for number in range(100)]
    assert list(spread(joined, items, 2)) == list(map(joined, items))


def test_items_come_where_there_is_no_memory_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError("no memory")

    monkeypatch.setattr("ledger.passage.os.pwritev", refuse)
    items = [Texts(number, [b"text"]) for number in range(20)]
    assert list(spread(joined, items, 2)) == list(map(joined, items))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has memory without a name")
def test_buffers_go_through_the_passage_and_into_one_place_after_another() -> None:
    passage = Passage()
    items = [Texts(number, [b"%d" % number * 9, b"end"]) for number in range(3)]
    parcels = [passage.put(place, item) for place, item in enumerate(items)]
    assert all(parcel and b"end" not in parcel.rest for parcel in parcels)
    assert [parcel and passage.get(parcel) for parcel in parcels] == items
    passage.close()
    assert passage.put(0, items[0]) is None


@pytest.mark.parametrize("threads", [False, True])
def test_few_items_are_taken_ahead(threads: bool) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = spread(double, items(), 2, threads=threads)
    assert next(results) == 0
    assert len(taken) <= 5
    results.close()


def test_where_no_thread_can_be_started_all_is_done_here_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Item:
        pass

    alive = weakref.WeakSet[Item]()

    def items() -> Iterator[Item]:
        for _ in range(100):
            alive.add(item := Item())
            yield item

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    counts = [len(alive) for _ in spread(lambda item: None, items(), 2, threads=True)]
    assert len(counts) == 100
    assert max(counts) <= 8


def test_a_process_that_is_killed_is_done_without() -> None:
    assert list(spread(die_in_a_child, [os.getpid()] * 20, 2)) == [os.getpid()] * 20


def parents_and_mine() -> tuple[int, int]:
    return os.getppid(), os.getpid()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    raise PackageRefuted("no", step="batches")


def there(pool: Pool, function: Callable[[], T]) -> Future[T]:
    """What becomes of `function` in one of the processes, once there are some."""
    for _ in range(600):
        if (future := pool.submit(function)) is not None:
            return future
        time.sleep(0.05)
    raise AssertionError("no process has started")


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(2)
    yield made
    made.close()


def test_a_pool_works_in_other_processes_and_passes_errors_on(pool: Pool) -> None:
    parent, child = there(pool, parents_and_mine).result()
    assert parent == os.getpid() != child
    with pytest.raises(PackageRefuted):
        there(pool, refuse).result()


def test_who_comes_before_the_processes_are_there_does_it_himself(pool: Pool) -> None:
    assert pool.submit(parents_and_mine) is None


def test_a_pool_of_none_and_a_closed_one_have_no_processes(pool: Pool) -> None:
    assert Pool(0).submit(parents_and_mine) is None
    there(pool, parents_and_mine).result()
    pool.close()
    assert pool.submit(parents_and_mine) is None


def test_processes_that_are_killed_are_started_again(pool: Pool) -> None:
    _, before = there(pool, parents_and_mine).result()
    with pytest.raises(BrokenProcessPool):
        there(pool, die).result()
    _, after = there(pool, parents_and_mine).result()
    assert after != before


def test_processes_that_are_always_lost_are_given_up(pool: Pool) -> None:
    for _ in range(Pool.TRIES):
        with pytest.raises(BrokenProcessPool):
            there(pool, die).result()
    for _ in range(20):
        assert pool.submit(die) is None
        time.sleep(0.05)


def test_where_no_process_can_be_started_there_are_none(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_all(count: int) -> None:
        raise PermissionError("no semaphores")

    monkeypatch.setattr(processes, "_executor", refuse_all)
    assert pool.submit(parents_and_mine) is None
    monkeypatch.undo()
    assert pool.submit(parents_and_mine) is None, "it is not tried again at every push"


PARENT = """
import time
from tests.unit.test_processes import parents_and_mine, there
from ledger.processes import Pool

if __name__ == "__main__":
    print(*there(Pool(2), parents_and_mine).result(), flush=True)
    time.sleep(600)
"""


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        _, child = map(int, parent.stdout.readline().split())
        assert is_running(child)
        parent.kill()
    for _ in range(600):
        if not is_running(child):
            return
        time.sleep(0.05)
    raise AssertionError("it goes on")


def is_running(process: int) -> bool:
    """False too for one that has ended and whose end nobody has asked for."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def _kinds(kind: type[LedgerError]) -> Iterator[type[LedgerError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


@pytest.mark.parametrize("kind", sorted({*_kinds(LedgerError)}, key=lambda kind: kind.__name__))
def test_every_error_reaches_another_process_whole(kind: type[LedgerError]) -> None:
    step = {"step": "log"} if issubclass(kind, VerificationError) else {}
    error = kind("what", expected=1, got=2, advice="Do.", details={"problems": []}, **step)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
