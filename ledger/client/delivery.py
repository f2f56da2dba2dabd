"""Delivery: from an outbox to the ledger, batch after batch, as steps.

1. The batch that was sent and not answered, else the next one, is pushed.
2. A refusal that is about events sets these aside, with the reason; where it names none, halves of the batch are tried.
   One that is about something else (the key, the log, the signature, the ledger's silence) ends the delivery, and the
   batch stays.
3. An answer is held against what was sent. Where its receipts do not show as much as they should, because the ledger
   had the events before, the entries are read and compared, if the API key may.
4. Receipts are kept and events go, in one transaction. What was not shown to be in the log is set aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.client.api import Api, ListedEntry
from ledger.client.outbox import Batch, Outbox
from ledger.client.pushes import (
    GivenReceipt,
    PushAnswer,
    PushedEvent,
    Ready,
    Shown,
    events_ready,
    signed_ready,
)
from ledger.client.steps import Steps
from ledger.entry import Event, parse_entry, same_content
from ledger.errors import (
    AccessError,
    Conflict,
    InclusionRefuted,
    InputError,
    InvalidEvent,
    MalformedInput,
    TooLarge,
)
from ledger.merkle import leaf_hash, tree_root

if TYPE_CHECKING:
    from ledger.ports import Signer

_OF_EVENTS = (InvalidEvent, Conflict, TooLarge, MalformedInput)
"""Refusals that are about what was pushed. Others would be the same whatever is pushed."""

UNSHOWN = "the ledger says that it has this event already, and what it shows does not show that"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a delivery came to."""

    accepted: int = 0
    duplicates: int = 0
    set_aside: int = 0
    receipts: tuple[str, ...] = ()

    def plus(self, other: Delivered) -> Delivered:
        return Delivered(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.set_aside + other.set_aside,
            (*self.receipts, *other.receipts),
        )


def deliver(outbox: Outbox, api: Api, signer: Signer | None) -> Steps[Delivered]:
    """Push what waits in an outbox, in its order, until nothing does. Raises as `deliver_batch`."""
    total = Delivered()
    while (delivered := (yield from deliver_batch(outbox, api, signer))) is not None:
        total = total.plus(delivered)
    return total


def deliver_batch(outbox: Outbox, api: Api, signer: Signer | None) -> Steps[Delivered | None]:
    """Push the next batch of an outbox; None if nothing waits.

    Raises:
        MalformedInput: the client has no key, or no signer for a signed outbox, or is of another log.
        InputError, AccessError: refused for something else than an event.
        Unavailable: no answer after all tries, or the outbox cannot be used.
        VerificationError: a receipt that does not hold. Nothing left the outbox for it.
    """
    _check_setup(outbox, api, signer)
    batch = outbox.next_batch()
    if batch is None:
        return None
    ready = _ready(batch, api, signer)
    try:
        answer = yield from api.push(ready)
    except _OF_EVENTS as refusal:
        return Delivered(set_aside=_refuse(outbox, batch, refusal))
    unshown = yield from _unshown(api, batch, answer)
    outbox.acknowledge(batch, answer, unshown)
    receipts = tuple(receipt.note for receipt in answer.receipts)
    return Delivered(answer.accepted, answer.duplicates, len(unshown), receipts)


def _check_setup(outbox: Outbox, api: Api, signer: Signer | None) -> None:
    if outbox.origin != api.origin:
        raise MalformedInput("the outbox is another log's", expected=api.origin, got=outbox.origin)
    if api.key is None:
        raise MalformedInput("no key to hold receipts against", expected="the log's verifier key")
    if outbox.signed and signer is None:
        raise MalformedInput(
            "no key to sign with", expected="the party's key: the outbox is of signed events"
        )


def _ready(batch: Batch, api: Api, signer: Signer | None) -> Ready:
    if not batch.signed:
        return events_ready(batch.values())
    assert signer is not None, "a signed outbox is delivered with a signer"
    return signed_ready(batch.statements(), api.origin, signer)


# --- Refusals -----------------------------------------------------------------------------------------------------


def _refuse(outbox: Outbox, batch: Batch, refusal: InputError) -> int:
    """Set aside what a refusal is about, or halve the batch to find out; answers how many were set aside."""
    problems = _problems(batch, refusal)
    if problems:
        outbox.set_aside(batch, problems)
    else:
        outbox.halve(batch)
    return len(problems)


def _problems(batch: Batch, refusal: InputError) -> dict[int, str]:
    """Reasons by index in the batch, as far as the refusal names events; all of it for a batch of one."""
    count = len(batch.queued)
    if count == 1:
        return {0: str(refusal)}
    found: dict[int, list[str]] = {}
    for problem in _objects(refusal.details.get("problems")):
        match = re.match(r"\[([0-9]{1,9})\]", str(problem.get("at")))
        if match and int(match[1]) < count:
            found.setdefault(int(match[1]), []).append(f"{problem.get('at')}: {problem.get('problem')}")
    names = {(c.get("source"), c.get("id")) for c in _objects(refusal.details.get("conflicts"))}
    if names:
        for index, event in enumerate(batch.events()):
            if (event.source, event.id) in names:
                found.setdefault(index, []).append(str(refusal))
    return {index: "; ".join(reasons) for index, reasons in found.items()}


def _objects(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# --- Answers ------------------------------------------------------------------------------------------------------


def _unshown(api: Api, batch: Batch, answer: PushAnswer) -> Steps[dict[int, str]]:
    """The events that neither receipt nor entries show to be in the log, with a reason, by index."""
    needed = Shown.COMPUTED if batch.signed else Shown.ANSWERED
    unshown: dict[int, str] = {}
    for number, receipt in enumerate(answer.receipts):
        if receipt.shown < needed:
            events = {i: event for i, event in enumerate(answer.events) if event.receipt == number}
            unshown |= yield from _compare(api, receipt, events, batch.events())
    return unshown


def _compare(
    api: Api, receipt: GivenReceipt, answered: Mapping[int, PushedEvent], events: Sequence[Event]
) -> Steps[dict[int, str]]:
    """Read the entries that a receipt covers, and compare. Raises InclusionRefuted if they are not the receipt's."""
    opened = receipt.opened
    assert opened is not None, "a delivery has a key"
    try:
        listed = yield from api.entries(opened.first, opened.count)
    except AccessError:
        return dict.fromkeys(answered, f"{UNSHOWN}; a key with the scopes read and disclose could find out")
    root = tree_root([leaf_hash(it.entry) for it in listed])
    if root != opened.root:
        raise InclusionRefuted(
            "entries that do not give the receipt's root", step="receipt", expected=opened.root, got=root
        )
    return {
        index: UNSHOWN
        for index, event in answered.items()
        if not _same(events[index], listed[event.position - opened.first])
    }


def _same(event: Event, listed: ListedEntry) -> bool:
    return same_content(event, parse_entry(listed.entry), listed.disclosures)
