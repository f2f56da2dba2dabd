"""A client of the ledger's API: push, with receipts checked and nothing lost; prove; fetch evidence.

    Client, AsyncClient    one log behind the API
    Outbox                 a durable queue in a file, which events leave only against a checked receipt
    KeySigner              the party's key pair, for signed pushes

`docs/client.md` shows how to use it. Operations are written once, as steps (`steps`, `retries`, `refusals`, `api`,
`delivery`); `clients` runs them. What is pushed, and what its answer is held against, is `pushes`.
"""

from ledger.client.clients import AsyncClient, Client, PushSummary, signed_events
from ledger.client.delivery import Delivered
from ledger.client.outbox import Outbox, OutboxStatus, SetAside
from ledger.client.pushes import GivenReceipt, PushAnswer, PushedEvent, Shown
from ledger.client.retries import Retries
from ledger.signer import KeySigner

__all__ = [
    "AsyncClient",
    "Client",
    "Delivered",
    "GivenReceipt",
    "KeySigner",
    "Outbox",
    "OutboxStatus",
    "PushAnswer",
    "PushSummary",
    "PushedEvent",
    "Retries",
    "SetAside",
    "Shown",
    "signed_events",
]
