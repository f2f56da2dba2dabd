"""`transfer-ledger`, standing still at a point of its work, so that it can be killed exactly there.

    python -m support.halting POINT TIMES FD WORD…      # `transfer-ledger WORD…`

When `POINT` is reached for the `TIMES`th time, a byte is written to the file descriptor `FD`, and the thread that got
there goes no further; the others do. The ledger knows nothing of it: functions of it are wrapped from here before it
starts. A point is before or after a call, or before or after the COMMIT of the transaction in which a call was made.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ledger.cli import main

Judge = Callable[..., bool]


class When(Enum):
    BEFORE = "before the call"
    AFTER = "after the call"
    BEFORE_COMMIT = "before the COMMIT"
    AFTER_COMMIT = "after the COMMIT"


def always(*_arguments: Any, **_named: Any) -> bool:
    return True


def in_state(state: str) -> Judge:
    """Whether an anchoring is saved in this state."""
    return lambda _transaction, anchoring: str(anchoring.state) == state


def of_several(_transaction: Any, _events: Any, *receipts: Any) -> bool:
    """Whether pushes are committed together."""
    return len(receipts) > 1


@dataclass(frozen=True)
class Point:
    """`call` is `module:name`. Of its calls only those count of whose arguments `judge` says so."""

    name: str
    call: str
    when: When
    judge: Judge = always
    blocks: bool = True
    """Whether the node makes blocks while it is waited for."""
    command: str = "serve"


_TRANSACTION = "ledger.adapters.sql.transaction:SqlLogTransaction"
_ANCHORER = "ledger.adapters.evm:EvmAnchorer"
_APPEND, _ADD_BATCH = f"{_TRANSACTION}.append", f"{_TRANSACTION}.add_batch"
_SAVE_ANCHORING, _ADD_CHECKPOINT = f"{_TRANSACTION}.save_anchoring", f"{_TRANSACTION}.add_checkpoint"
_PROJECT = "ledger.adapters.sql:SqlStore.project"
_IN_PROJECT, _IN_DROP = "ledger.adapters.sql.accesses:keep", "ledger.adapters.sql.views:delete"
"""What is called inside of their transactions: the methods themselves may read something first, and commit that."""

POINTS = (
    Point("push: checked, before its transaction", "ledger.pipeline:Pipeline.commit", When.BEFORE),
    Point("push: in its transaction, nothing written", _APPEND, When.BEFORE),
    Point("push: entries written, its receipt not", "ledger.adapters.sql.bundles:append", When.AFTER),
    Point("push: entries and receipt written, nothing to find them by", f"{_APPEND}_entries", When.AFTER),
    Point("push: written, before the commit", _APPEND, When.BEFORE_COMMIT),
    Point("push: committed, before the answer", _APPEND, When.AFTER_COMMIT),
    Point("pushes: a group written, before the commit", _APPEND, When.BEFORE_COMMIT, of_several),
    Point("pushes: a group committed, before the answers", _APPEND, When.AFTER_COMMIT, of_several),
    Point("seal: in its transaction, nothing written", _ADD_BATCH, When.BEFORE),
    Point("seal: written, before the commit", _ADD_BATCH, When.BEFORE_COMMIT),
    Point("seal: committed", _ADD_BATCH, When.AFTER_COMMIT),
    Point("anchor: signed, not recorded", f"{_ANCHORER}.sign_anchor", When.AFTER),
    Point(
        "anchor: intent written, before the commit", _SAVE_ANCHORING, When.BEFORE_COMMIT, in_state("intended")
    ),
    Point("anchor: intent committed, not sent", f"{_ANCHORER}.send", When.BEFORE),
    Point("anchor: sent and mined, not recorded", f"{_ANCHORER}.send", When.AFTER),
    Point("anchor: sent, in no block, not recorded", f"{_ANCHORER}.send", When.AFTER, blocks=False),
    Point(
        "anchor: sent, in no block, recorded",
        _SAVE_ANCHORING,
        When.AFTER_COMMIT,
        in_state("sent"),
        blocks=False,
    ),
    Point("anchor: block written, before the commit", _SAVE_ANCHORING, When.BEFORE_COMMIT, in_state("mined")),
    Point("anchor: block committed", _SAVE_ANCHORING, When.AFTER_COMMIT, in_state("mined")),
    Point("anchor: final written, before the commit", _SAVE_ANCHORING, When.BEFORE_COMMIT, in_state("final")),
    Point("anchor: final committed, no checkpoint", _SAVE_ANCHORING, When.AFTER_COMMIT, in_state("final")),
    Point("checkpoint: signed, not recorded", "ledger.anchoring:sign_checkpoint", When.AFTER),
    Point("checkpoint: written, before the commit", _ADD_CHECKPOINT, When.BEFORE_COMMIT),
    Point("checkpoint: committed", _ADD_CHECKPOINT, When.AFTER_COMMIT),
    Point("project: worked out, before its transaction", _PROJECT, When.BEFORE),
    Point("project: written, before the commit", _IN_PROJECT, When.BEFORE_COMMIT),
    Point("project: committed", _IN_PROJECT, When.AFTER_COMMIT),
    Point("rebuild: dropped, before the commit", _IN_DROP, When.BEFORE_COMMIT, command="rebuild"),
    Point("rebuild: dropped, nothing made again", _IN_DROP, When.AFTER_COMMIT, command="rebuild"),
    Point("rebuild: made again, before the commit", _IN_PROJECT, When.BEFORE_COMMIT, command="rebuild"),
)
"""Every place between two steps of which one is durable, or known to somebody else."""


class Halt:
    """Counts how often the point is reached, says so when it is time, and lets nobody go on from there."""

    def __init__(self, times: int, told: int) -> None:
        self._left = times
        self._told = told
        self._lock = threading.Lock()

    def reached(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        os.write(self._told, b"!")
        threading.Event().wait()


def halt_at(point: Point, halt: Halt) -> None:
    """Wrap what the point names, in this process."""
    here = threading.local()

    def before(*arguments: Any, **named: Any) -> None:
        if point.judge(*arguments, **named):
            halt.reached()

    def mark(*arguments: Any, **named: Any) -> None:
        here.marked = getattr(here, "marked", False) or point.judge(*arguments, **named)

    def committing(*_arguments: Any) -> None:
        if getattr(here, "marked", False):
            halt.reached()

    def ended(*_arguments: Any) -> None:
        here.marked = False

    def committed(*_arguments: Any) -> None:
        committing()
        ended()

    match point.when:
        case When.BEFORE:
            _wrap(point.call, before=before)
        case When.AFTER:
            _wrap(point.call, after=before)
        case When.BEFORE_COMMIT | When.AFTER_COMMIT:
            _wrap(point.call, before=mark)
            commit = "sqlalchemy.engine.default:DefaultDialect.do_commit"
            if point.when is When.BEFORE_COMMIT:
                _wrap(commit, before=committing, after=ended)
            else:
                _wrap(commit, after=committed)
            _wrap("sqlalchemy.engine.default:DefaultDialect.do_rollback", after=ended)


def _wrap(call: str, *, before: Callable[..., Any] = always, after: Callable[..., Any] = always) -> None:
    module, _, path = call.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    wrapped = getattr(owner, name)

    @functools.wraps(wrapped)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        before(*arguments, **named)
        answer = wrapped(*arguments, **named)
        after(*arguments, **named)
        return answer

    setattr(owner, name, wrapper)


def point_named(name: str) -> Point:
    return next(point for point in POINTS if point.name == name)


if __name__ == "__main__":
    name, times, told, *words = sys.argv[1:]
    halt_at(point_named(name), Halt(int(times), int(told)))
    sys.argv = ["transfer-ledger", *words]
    main()
