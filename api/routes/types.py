"""The catalogue of event types: public, and what the `dataschema` of an event leads to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from api.errors import problems
from ledger import catalogue
from ledger.catalogue import EventType
from ledger.entry import Phase
from ledger.errors import InvalidEvent, NotFound

router = APIRouter(prefix="/v1", tags=["types"], responses=problems(405))

MEDIA_TYPE = "application/schema+json"
# A published type stays as it is, but for better words and new countries.
_CACHED = {"Cache-Control": "public, max-age=3600"}


class TypeOut(BaseModel):
    """A type of the catalogue. Members that are not visible are committed as salted digests."""

    name: str = Field(examples=["transfer-ledger.access.v1"])
    title: str = Field(examples=["Access"])
    title_zh: str = Field(examples=["访问日志"])
    phases: list[Phase]
    visible: list[str] = Field(examples=[["outcome", "country"]])
    dataschema: str = Field(
        description="Path of the JSON Schema.", examples=["/v1/types/transfer-ledger.access.v1"]
    )
    superseded_by: str | None = Field(
        description="The newer version to send instead; this one is still taken.",
        examples=["transfer-ledger.declaration.v2"],
    )


class SchemaResponse(JSONResponse):
    media_type = MEDIA_TYPE


@router.get("/types", summary="List event types")
def list_types() -> list[TypeOut]:
    """Every event type that this ledger knows, in the order of the phases."""
    newest = {type_.kind: type_ for type_ in catalogue.newest_types()}
    return [_type_out(type_, newest[type_.kind]) for type_ in catalogue.all_types()]


@router.get(
    "/types/{name}",
    summary="The JSON Schema of an event type",
    response_class=SchemaResponse,
    responses={
        200: {"description": "JSON Schema 2020-12.", "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}},
        **problems(404, 422),
    },
)
def read_type(
    name: Annotated[str, Path(max_length=128, examples=["transfer-ledger.access.v1"])],
) -> SchemaResponse:
    """What the type's `data` has to keep to. `x-source` names the law or vocabulary that a member comes from."""
    try:
        type_ = catalogue.find(name)
    except InvalidEvent:
        raise NotFound("no such event type", advice="`GET /v1/types` lists the types.") from None
    return SchemaResponse(type_.schema(), headers=_CACHED)


def _type_out(type_: EventType, newest: EventType) -> TypeOut:
    return TypeOut(
        name=type_.name,
        title=type_.title_en,
        title_zh=type_.title_zh,
        phases=[phase for phase in Phase if phase in type_.phases],
        visible=sorted(type_.visible),
        dataschema=type_.schema_path,
        superseded_by=None if type_ is newest else newest.name,
    )
