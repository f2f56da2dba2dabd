"""One tree of errors. Each says what was expected, what came, and what to do next.

::

    LedgerError
    ├── InputError                  what was given cannot be used                    HTTP 4xx, exit 2
    │   ├── MalformedInput          bytes, JSON, notes, proofs or names out of form
    │   ├── InvalidEvent            an event that its type or the envelope refuses
    │   ├── TooLarge                over a stated limit
    │   ├── TooSlow                 input that did not come in time
    │   ├── UnsupportedMedia        a body of a type that is not taken
    │   ├── NotFound                no such log, position, batch, party or key
    │   ├── AlreadyExists           a log, party or key of that name is there, and differs
    │   ├── Conflict                same (source, id), other content (I3)
    │   ├── NotSigned               a push that its party has not signed as it must
    │   └── Pending                 accepted, but not in an anchored batch yet
    ├── AccessError                                                                  HTTP 401/403, exit 2
    │   ├── Unauthenticated         no key, or an unknown or withdrawn one
    │   └── Forbidden               a key that does not reach this far
    ├── VerificationError           evidence is refuted; `step` names the check      exit 1
    │   ├── DisclosureRefuted       a disclosure that the entry does not commit to
    │   ├── InclusionRefuted        a leaf that is not where the proof says
    │   ├── ConsistencyRefuted      two tree heads of different histories
    │   ├── SignatureRefuted        no valid signature of the expected key
    │   ├── AnchorRefuted           the contract holds something else, or nothing
    │   └── PackageRefuted          an evidence package that is not whole
    ├── IntegrityError              the ledger's own records disagree (I1, I2)       HTTP 503, exit 1
    │   └── HistoryForked           the chain holds more, or other, than the store (I6)
    └── Unavailable                 try again later                                  HTTP 503, exit 3
        ├── StoreUnavailable
        ├── ChainUnavailable
        ├── Overloaded              more is waiting than may wait
        └── ToolMissing             a program that the ledger starts is not installed
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


class LedgerError(Exception):
    """Root of the tree.

    `message` is one line without personal data; `expected` and `got` name both sides; `advice` says what to do;
    `details` are members for machines (they become members of the problem document, RFC 9457 §3.2).
    """

    advice_default = ""

    def __init__(
        self,
        message: str,
        *,
        expected: object = None,
        got: object = None,
        advice: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.got = got
        self.advice = advice or self.advice_default
        self.details: dict[str, Any] = dict(details or {})

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would make it again of `args` alone, which are not all that its kind asks for.
        return _made_again, (type(self), self.args, self.__dict__)

    @property
    def kind(self) -> str:
        """The name of the error's class in lower case, such as `invalid-event`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(self).__name__).lower()

    def __str__(self) -> str:
        text = self.message
        if self.expected is not None:
            text += f": expected {self.expected}"
        if self.got is not None:
            text += f"{',' if self.expected is not None else ':'} got {self.got}"
        return f"{text}. {self.advice}" if self.advice else text


def _made_again(kind: type[LedgerError], args: tuple[Any, ...], members: Mapping[str, Any]) -> LedgerError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(members)
    return error


class InputError(LedgerError):
    """What was given cannot be used as it is."""


class MalformedInput(InputError):
    """Bytes or text that are not in the form which their format prescribes."""


class InvalidEvent(InputError):
    """An event that the envelope's rules or its catalogued type refuse; `details["problems"]` lists each place."""


class TooLarge(InputError):
    """Input over a stated limit."""


class TooSlow(InputError):
    """Input that did not come in time."""


class UnsupportedMedia(InputError):
    """A body of a media type or encoding that is not taken."""


class NotFound(InputError):
    """There is no such thing, or this key may not know of it."""


class AlreadyExists(InputError):
    """Something of that name exists already and is not the same."""


class Conflict(InputError):
    """The same `(source, id)` came with other content (I3). The attempt is kept, the first event stands.

    `events` are all that conflict, each with `source`, `id` and the `position` of the event that stands, or None where
    a push conflicts with itself; `details["conflicts"]` are the first of them.
    """

    advice_default = "An event is never changed: push the correction under a new id."

    def __init__(self, message: str, *, events: Sequence[Mapping[str, Any]] = (), **keywords: Any) -> None:
        super().__init__(message, **({"details": {"conflicts": list(events[:100])}} | keywords))
        self.events = tuple(events)


class NotSigned(InputError):
    """A push without the signature that its log asks for, or with one that does not hold."""

    advice_default = (
        "Sign the push with a key that the party has registered: `transfer-ledger party key add`."
    )


class Pending(InputError):
    """The event is accepted and will be in a batch, but no anchored batch holds it yet."""

    advice_default = "Ask again after the batch is sealed and anchored; the receipt says by when."


class AccessError(LedgerError):
    """The caller may not do this."""


class Unauthenticated(AccessError):
    """No API key, or one that is unknown or withdrawn."""

    advice_default = "Send `Authorization: Bearer <API key>` with a key made by `transfer-ledger key create`."


class Forbidden(AccessError):
    """The API key is valid but does not reach this log or this action."""


class VerificationError(LedgerError):
    """Evidence was checked and does not hold. `step` is the name of the failing step in `docs/spec.md`."""

    def __init__(self, message: str, *, step: str, **keywords: Any) -> None:
        super().__init__(message, **keywords)
        self.step = step


class DisclosureRefuted(VerificationError):
    """A disclosure whose digest the entry does not hold, or that is shown twice."""


class InclusionRefuted(VerificationError):
    """A leaf that is not at the stated index of the tree with the stated root."""


class ConsistencyRefuted(VerificationError):
    """A tree that is not an extension of the earlier tree."""


class SignatureRefuted(VerificationError):
    """No valid signature by the key that the verifier trusts."""


class AnchorRefuted(VerificationError):
    """The contract holds another batch or root than the evidence says, or none."""


class PackageRefuted(VerificationError):
    """An evidence package with something missing, added or changed."""


class IntegrityError(LedgerError):
    """The ledger's own records disagree with each other."""

    advice_default = "Run `transfer-ledger doctor` and keep the data folder as it is."


class HistoryForked(IntegrityError):
    """The chain holds batches that this store does not (I6): a restored backup, or somebody else's hand."""

    advice_default = (
        "Nothing more is signed. Restore the newest copy of the store, then run `transfer-ledger doctor`."
    )


class Unavailable(LedgerError):
    """Something that the ledger needs does not answer now; nothing was lost, the same call may be repeated."""


class StoreUnavailable(Unavailable):
    """The database does not answer, is read-only or full."""


class ChainUnavailable(Unavailable):
    """The EVM node does not answer or is not the chain that the settings name."""


class Overloaded(Unavailable):
    """More is waiting to be committed than may wait; nothing of this was taken."""

    advice_default = "Push the same again after the time that `Retry-After` says."


class ToolMissing(Unavailable):
    """A program that the ledger runs (Anvil, Ganache, Node) is not installed."""

    advice_default = "Run ./scripts/setup, or name the program in the settings."
