"""Work spread over processes comes back as from one: in order, with its errors, and though a process is killed."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
from collections.abc import Iterator

import pytest

from ledger.errors import LedgerError, PackageRefuted, VerificationError
from ledger.evidence.processes import spread


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


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order(processes: int) -> None:
    assert list(spread(double, range(100), processes)) == list(range(0, 200, 2))


@pytest.mark.parametrize("processes", [1, 2])
def test_what_one_raises_is_raised_at_its_place(processes: int) -> None:
    results = spread(refuse_three, range(100), processes)
    assert list(itertools.islice(results, 3)) == [0, 1, 2]
    with pytest.raises(PackageRefuted) as caught:
        next(results)
    assert (caught.value.step, caught.value.expected, caught.value.got) == ("batches", "another number", 3)


def test_few_items_are_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = spread(double, items(), 2)
    assert next(results) == 0
    assert len(taken) <= 5
    results.close()


def test_a_process_that_is_killed_is_done_without() -> None:
    assert list(spread(die_in_a_child, [os.getpid()] * 20, 2)) == [os.getpid()] * 20


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
