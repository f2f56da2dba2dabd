"""The party register: who takes part, in which role, from which country, with which keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.auth import ReadKey
from api.errors import problems
from api.services import Ledger
from ledger import documents
from ledger.documents import PartyDocument
from ledger.errors import NotFound
from ledger.types import PartyId

router = APIRouter(prefix="/v1", tags=["parties"], responses=problems(401, 403, 404, 422, 503))


@router.get("/parties", summary="List parties")
def list_parties(key: ReadKey, ledger: Ledger) -> list[PartyDocument]:
    """Every registered party, with the keys that it signs with and when they are valid."""
    return [documents.party(party, ledger.store.party_keys(party.id)) for party in ledger.store.parties()]


@router.get("/parties/{id}", summary="Read a party")
def read_party(
    key: ReadKey, ledger: Ledger, id: Annotated[str, Path(max_length=63, examples=["acme"])]
) -> PartyDocument:
    """One registered party."""
    try:
        party = ledger.store.party(PartyId(id))
    except NotFound:
        raise NotFound("no such party", got=repr(id), advice="`GET /v1/parties` lists them.") from None
    return documents.party(party, ledger.store.party_keys(party.id))
