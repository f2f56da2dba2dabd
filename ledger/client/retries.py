"""Requests that are made again while the ledger says, or its silence does, that this may help."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from ledger.client.refusals import Refusal, read_refusal
from ledger.client.steps import BrokenOff, Pause, Reply, Request, Send, Steps
from ledger.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and when a request is made again. Times are in seconds.

    The pause before the n-th repetition is between half of `first` · 2^(n−1) and all of it, by chance, so that clients
    that were all refused at one moment do not all come back at one moment; at most `longest`. A ledger that names a
    time by `Retry-After` is not asked before it; one that names more than `longest` is not asked again.
    """

    tries: int = 7
    first: float = 0.25
    longest: float = 30.0

    def pause(self, failures: int, told: float | None, chance: float) -> float | None:
        """Before the next try after so many failures; None for no more. `chance` is in [0, 1)."""
        if failures >= self.tries or (told is not None and told > self.longest):
            return None
        backoff: float = min(self.longest, self.first * 2.0 ** min(failures - 1, 60))
        return max(backoff * (0.5 + chance / 2), told or 0.0)


def exchange(request: Request, retries: Retries, chance: Callable[[], float] = random.random) -> Steps[Reply]:
    """A good reply to `request`.

    Raises:
        InputError, AccessError: refused.
        Unavailable: still no good answer after as many tries as `retries` allows.
    """
    for failures in count(1):
        try:
            reply = yield Send(request)
        except BrokenOff:
            raise
        except Unavailable as error:
            refusal = Refusal(error, again=True)
        else:
            assert reply is not None, "a reply to what was sent"
            if reply.good:
                return reply
            refusal = read_refusal(reply, time.time())
        pause = retries.pause(failures, refusal.after, chance()) if refusal.again else None
        if pause is None:
            raise refusal.error
        yield Pause(pause)
    raise AssertionError("unreachable")
