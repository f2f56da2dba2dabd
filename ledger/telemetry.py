"""What the ledger tells of its own work while it runs: counts and durations to a `Meter`, spans to a `Tracer`.

Both are ports with an implementation that does nothing (`NO_METER`, `NO_TRACER`), so whoever has something to tell
needs neither Prometheus nor OpenTelemetry::

    with self.meter.committing(origin), self.store.writing(origin) as transaction: ...
    self.meter.queued(pushes=3, size=4711)
    with self.tracer.span("anchor", {"log": origin}): ...

What is told is kept for long, and shown to people who may not read events. So it never holds an id, subject, key,
address or anything else out of a request or an event: only origins of logs that exist, names of types, and words of the
code, such as the `kind` of an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeAlias

from ledger.errors import Conflict, IntegrityError, LedgerError, Unavailable
from ledger.types import Origin

Attributes: TypeAlias = Mapping[str, str | int]


class Meter(Protocol):
    """Takes counts and durations. No method raises, or waits for anything. Safe to use from several threads."""

    def pushed(self, origin: Origin, outcome: str, events: Mapping[tuple[str, str], int]) -> None:
        """One push is done.

        Args:
            outcome: accepted, duplicate (nothing was new), conflict, refused or unavailable.
            events: how many events of this type had this outcome. The type is empty where nothing was taken.
        """
        ...

    def committing(self, origin: Origin) -> AbstractContextManager[None]:
        """Measures one durable commit of pushes, from waiting for the log's lock to the end of the transaction."""
        ...

    def queued(self, pushes: int, events: int) -> None:
        """How many pushes wait for their commit now, and how many events they have."""
        ...

    def refused(self, problem: str, error: Exception) -> None:
        """A request was answered with a problem document of this kind, for this error."""
        ...

    def sealed(self, origin: Origin, leaves: int) -> None:
        """One batch was sealed."""
        ...

    def anchoring(self, origin: Origin, state: str, batches: int) -> None:
        """An attempt to anchor so many batches came into this state (`ledger.records.AnchorState`)."""
        ...

    def failed(self, origin: str, task: str, error: Exception) -> None:
        """A background task failed. `origin` is `*` where it is about no single log."""
        ...


class Exposition(Protocol):
    """What a meter has taken, for whoever asks."""

    @property
    def media_type(self) -> str: ...

    def render(self) -> bytes: ...


class Span(Protocol):
    """Something that takes time, while it does."""

    def tell(self, attributes: Attributes, name: str | None = None) -> None:
        """Add what was not known at its begin."""
        ...


class Tracer(Protocol):
    """Makes spans. A span that begins within another, in the same thread or task, is its child."""

    def span(
        self, name: str, attributes: Attributes, *, parent: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Span]:
        """A span around a block. An exception marks it as failed and passes through; its message is not kept.

        Args:
            parent: the header `traceparent` of a request (W3C Trace Context), if it has one; with it, or with an empty
                mapping, it is a server's span.
        """
        ...


class _NoMeter:
    def pushed(self, origin: Origin, outcome: str, events: Mapping[tuple[str, str], int]) -> None: ...
    def committing(self, origin: Origin) -> AbstractContextManager[None]:
        return _NOTHING

    def queued(self, pushes: int, events: int) -> None: ...
    def refused(self, problem: str, error: Exception) -> None: ...
    def sealed(self, origin: Origin, leaves: int) -> None: ...
    def anchoring(self, origin: Origin, state: str, batches: int) -> None: ...
    def failed(self, origin: str, task: str, error: Exception) -> None: ...


class _NoSpan:
    def tell(self, attributes: Attributes, name: str | None = None) -> None: ...


class _NoTracer:
    def span(
        self, name: str, attributes: Attributes, *, parent: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Span]:
        return _NO_SPAN


_NOTHING: AbstractContextManager[None] = nullcontext()
_NO_SPAN: AbstractContextManager[Span] = nullcontext(_NoSpan())
NO_METER: Meter = _NoMeter()
NO_TRACER: Tracer = _NoTracer()


class _Typed(Protocol):
    @property
    def type(self) -> str: ...


class _Pushed(Protocol):
    @property
    def statement(self) -> _Typed: ...
    @property
    def status(self) -> str: ...


class _Result(Protocol):
    @property
    def events(self) -> Sequence[_Pushed]: ...


def tell_pushed(meter: Meter, origin: Origin, outcome: _Result | LedgerError, events: int) -> None:
    """Tell of what became of one push of so many events."""
    if isinstance(outcome, LedgerError):
        named = _outcome(outcome)
        meter.pushed(origin, named, {("", named): events})
        return
    counts = Counter((pushed.statement.type, str(pushed.status)) for pushed in outcome.events)
    new = any(status == "accepted" for _, status in counts)
    meter.pushed(origin, "accepted" if new else "duplicate", counts)


def _outcome(error: LedgerError) -> str:
    if isinstance(error, Unavailable | IntegrityError):
        return "unavailable"
    return "conflict" if isinstance(error, Conflict) else "refused"
