"""The catalogue over HTTP: a list, and a JSON Schema for each type, open to all."""

from __future__ import annotations

from typing import Any

import httpx
import jsonschema_rs
import pytest
from conftest import assert_problem

from ledger import catalogue
from ledger.entry import event_time, parse_event
from ledger.scenario import scenario

YEAR = event_time("2026-01-01T00:00:00Z"), event_time("2027-01-01T00:00:00Z")


def test_every_type_is_listed_with_what_it_keeps_visible(client: httpx.Client) -> None:
    listed = {item["name"]: item for item in client.get("/v1/types").json()}
    assert list(listed) == [type_.name for type_ in catalogue.all_types()]
    assert listed["transfer-ledger.permission-snapshot.v1"] == {
        "name": "transfer-ledger.permission-snapshot.v1",
        "title": "Permission snapshot",
        "title_zh": "权限快照",
        "phases": ["before", "transit", "storage"],
        "visible": ["completeness", "country", "public", "source_system"],
        "dataschema": "/v1/types/transfer-ledger.permission-snapshot.v1",
        "superseded_by": None,
    }
    declared = listed["transfer-ledger.declaration.v1"]
    assert declared["superseded_by"] == "transfer-ledger.declaration.v2"


def test_the_dataschema_of_each_type_leads_to_its_json_schema(client: httpx.Client) -> None:
    for item in client.get("/v1/types").json():
        answer = client.get(item["dataschema"])
        assert answer.headers["content-type"] == "application/schema+json"
        schema: dict[str, Any] = answer.json()
        jsonschema_rs.meta.validate(schema)
        assert schema["$id"] == item["dataschema"]
        assert schema["title"] == item["title"]
        assert set(item["visible"]) <= set(schema["properties"])


def test_an_event_may_name_the_address_at_which_it_found_its_schema(client: httpx.Client) -> None:
    for event in scenario(1, 500, *YEAR):
        address = client.base_url.join(f"/v1/types/{event['type']}")
        catalogue.check_event(parse_event({**event, "dataschema": str(address)}))


def test_what_the_schema_takes_the_ledger_takes(client: httpx.Client) -> None:
    validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
    for event in scenario(1, 500, *YEAR):
        name = str(event["type"])
        if name not in validators:
            validators[name] = jsonschema_rs.Draft202012Validator(client.get(f"/v1/types/{name}").json())
        validators[name].validate(event["data"])
    assert len(validators) == len(catalogue.newest_types())


@pytest.mark.parametrize("name", ["transfer-ledger.rumour.v1", "transfer-ledger.access.v2", "13800138000"])
def test_an_unknown_type_is_a_problem(client: httpx.Client, name: str) -> None:
    problem = assert_problem(client.get(f"/v1/types/{name}"), 404, "not-found")
    assert "/v1/types" in problem["advice"]
    assert name not in str(problem)


def test_the_catalogue_is_only_read(client: httpx.Client) -> None:
    assert_problem(client.post("/v1/types", json={}), 405)
