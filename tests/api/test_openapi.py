"""The OpenAPI document: valid, whole, with examples; and what it describes, tried with made-up requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from conftest import ALL, Caller
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.definitions import OPENAPI_31
from support.ledgers import PARTY, Bed

from api.app import create_app
from ledger import catalogue
from ledger.entry import event_time
from ledger.push import MEDIA_TYPE as SIGNED_PUSH
from ledger.push import parse_push
from ledger.salted import StatementReader
from ledger.scenario import scenario

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
DOCUMENT: dict[str, Any] = create_app(None).openapi()  # type: ignore[arg-type]
CLOSED = (
    *("/v1/access", "/v1/snapshots", "/v1/reconciliation", "/v1/parties"),
    *("/v1/transfers", "/v1/timeline", "/v1/completeness"),
)
"""Paths of the lists that need a key."""
OPERATIONS = [(m, p) for p, item in DOCUMENT["paths"].items() for m in item if m in METHODS]


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    document = json.loads(json.dumps(DOCUMENT))
    errors = [error.message for error in jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(document)]
    assert errors == []


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                yield reference
            value = list(value.values())
        if isinstance(value, list):
            for member in value:
                yield from references(member)

    for reference in set(references(DOCUMENT)):
        target: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_route_is_documented(method: str, path: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert operation["summary"]
    assert operation["description"].strip()
    assert operation["tags"]
    good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    assert good
    assert all(answer["description"] for answer in good)
    assert any("content" in answer for answer in good)


OTLP = "/v1/logs/{log}/otlp"


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p in OPERATIONS if p.startswith("/v1")])
def test_every_refusal_of_a_route_is_a_problem_document(method: str, path: str) -> None:
    responses = DOCUMENT["paths"][path][method]["responses"]
    refusals = {status: answer for status, answer in responses.items() if status >= "4"}
    assert refusals
    for status, answer in refusals.items():
        of_otlp = path == OTLP and status != "415"  # a status in the encoding of the request, if there is one
        expected = {"application/json", "application/x-protobuf"} if of_otlp else {"application/problem+json"}
        assert set(answer["content"]) == expected


def test_what_needs_a_key_says_so_and_what_does_not_needs_none() -> None:
    closed = {path for method, path in OPERATIONS if DOCUMENT["paths"][path][method].get("security")}
    assert closed == {
        path
        for _, path in OPERATIONS
        if "/events" in path or path.startswith(CLOSED) or path.endswith(("/evidence", "/otlp", "/person"))
    } | {"/metrics"}
    assert all(m == "get" or p == "/v1/verify" or p in closed for m, p in OPERATIONS), (
        "nothing is written openly"
    )


def test_a_push_has_an_example_of_every_media_type() -> None:
    content = DOCUMENT["paths"]["/v1/logs/{log}/events"]["post"]["requestBody"]["content"]
    assert all("example" in media or "examples" in media for media in content.values())


def test_the_example_of_a_push_can_be_pushed(caller: Caller) -> None:
    content = DOCUMENT["paths"]["/v1/logs/{log}/events"]["post"]["requestBody"]["content"]
    for media, body in content.items():
        if media == SIGNED_PUSH:
            continue  # an example has no key
        example = body["example"]
        answer = caller.post("/events", example if isinstance(example, str) else json.dumps(example), media)
        assert answer.status_code in (200, 201), (media, answer.text)


def test_the_example_of_a_signed_push_is_in_its_form() -> None:
    content = DOCUMENT["paths"]["/v1/logs/{log}/events"]["post"]["requestBody"]["content"]
    example = content[SIGNED_PUSH]["example"]
    jsonschema_rs.Draft202012Validator(content[SIGNED_PUSH]["schema"]).validate(example)
    _, [statement] = parse_push(example)
    event = StatementReader().read(statement, lambda event: catalogue.find(event.type).visible).event
    assert event.type == "transfer-ledger.access.v1"


# --- made-up requests -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def target(bed: Bed, client: httpx.Client) -> Caller:
    """A log with something of everything in it."""
    origin = bed.create_log()
    times = event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")
    bed.pipeline.push(origin, PARTY, list(scenario(5, 24, *times)))
    bed.settle(origin)
    return Caller(client, origin, bed.api_key(origin, *ALL))


SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = (
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_made_up_request_finds_a_defect(target: Caller, method: str, path: str) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=SCHEMA[path][method.upper()].as_strategy())
    def ask(case: Any) -> None:
        if "log" in case.path_parameters:
            case.path_parameters["log"] = target.origin  # a made-up one would only ever be 404
        answer = case.call(base_url=str(target.client.base_url), headers=target.headers)
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=CHECKS)

    ask()
