"""The parties of a log: who takes part, in which role, from which country, with which keys.

A key shows those of its own log: the party that the log belongs to, those that ever got an API key on it, and those
that said something in it. Of the others it cannot even be told whether they are registered.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api import schemas
from api.auth import ReadLog
from api.errors import problems
from api.parameters import Limit
from api.services import Ledger
from ledger import documents
from ledger.documents import PartyDocument
from ledger.errors import NotFound
from ledger.types import PartyId

router = APIRouter(prefix="/v1", tags=["parties"], responses=problems(400, 401, 403, 404, 422, 503))

AfterParty = Annotated[
    str | None,
    Query(max_length=63, description="Only parties after this one: the `next` of the page before."),
]


@router.get("/parties", summary="List parties")
def list_parties(
    log: ReadLog, ledger: Ledger, after: AfterParty = None, limit: Limit = 100
) -> schemas.NamedPage[PartyDocument]:
    """The parties of the log by id, with the keys that they sign with and when they are valid.

    Who has neither an API key nor the log itself is there from its first event on, as soon as that is projected.
    """
    parties = ledger.store.parties_of(log.origin, None if after is None else PartyId(after), limit)
    items = [documents.party(party, ledger.store.party_keys(party.id)) for party in parties]
    return schemas.NamedPage(items=items, next=parties[-1].id if len(parties) == limit else None)


@router.get("/parties/{id}", summary="Read a party")
def read_party(
    log: ReadLog, ledger: Ledger, id: Annotated[str, Path(max_length=63, examples=["acme"])]
) -> PartyDocument:
    """One of the parties of the log."""
    try:
        party = ledger.store.party_of(log.origin, PartyId(id))
    except NotFound:
        raise NotFound(
            "no such party in this log", got=repr(id), advice="`GET /v1/parties` lists them."
        ) from None
    return documents.party(party, ledger.store.party_keys(party.id))
