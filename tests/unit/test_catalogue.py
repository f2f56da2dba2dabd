"""The catalogue: what each type takes, what it refuses, and that its refusals and visible members tell nothing."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from ledger import catalogue
from ledger.canonical import Object
from ledger.entry import Phase, parse_event
from ledger.errors import InvalidEvent

PSEUDONYM = "q3xR0sY2kVb7nDfA"

GOOD: dict[str, Object] = {
    "impact-assessment": {
        "assessment_id": "pia-1",
        "version": "1",
        "recipient_countries": ["SG"],
        "conclusion": "approved",
    },
    "consent": {"record_id": "c-1", "pii_principal_id": PSEUDONYM, "choice": "watch-only", "separate": True},
    "hop": {"sequence": 0, "from": {"country": "CN"}, "to": {"country": "SG", "node": "edge-1"}},
    "access": {"principal": "arn:aws:iam::1:user/benjamin", "action": "s3:GetObject", "outcome": "allowed"},
    "permission-snapshot": {
        "resource": "arn:aws:s3:::replays",
        "public": False,
        "grants": [{"principal": "*", "actions": ["s3:*"]}],
    },
    "storage": {"object_id": "o-1", "kind": "replay", "country": "SG"},
}
PHASES = {
    "impact-assessment": {"before"},
    "consent": {"before"},
    "hop": {"transit"},
    "access": {"before", "transit", "storage"},
    "permission-snapshot": {"before", "transit", "storage"},
    "storage": {"storage"},
}


def event(kind: str, /, *, phase: str | None = None, drop: str = "", **members: Any) -> Object:
    data = {name: value for name, value in {**GOOD[kind], **members}.items() if name != drop}
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/unit",
        "type": f"transfer-ledger.{kind}.v1",
        "subject": "live-2026-07-01-tokyo",
        "time": "2026-07-01T12:00:00Z",
        "phase": phase or min(PHASES[kind]),
        "data": data,
    }


def problems(value: Object) -> dict[str, str]:
    with pytest.raises(InvalidEvent) as refusal:
        catalogue.check_event(parse_event(value))
    return {p["at"]: p["problem"] for p in refusal.value.details["problems"]}


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_event_of_each_type_is_accepted(kind: str) -> None:
    assert catalogue.check_event(parse_event(event(kind))).kind == kind


def test_every_type_is_tried_here() -> None:
    assert {t.kind for t in catalogue.all_types()} == set(GOOD)


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("phase", Phase)
def test_a_type_comes_only_in_its_phases(kind: str, phase: Phase) -> None:
    if phase in PHASES[kind]:
        catalogue.check_event(parse_event(event(kind, phase=phase)))
    else:
        assert "phase" in problems(event(kind, phase=phase))


def test_an_unknown_type_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(InvalidEvent) as refusal:
        catalogue.find("transfer-ledger.rumour.v1")
    assert "transfer-ledger.access.v1" in refusal.value.advice
    assert refusal.value.details["problems"] == [{"at": "type", "problem": "not in the catalogue"}]


@pytest.mark.parametrize("kind", GOOD)
def test_each_required_member_is_missed(kind: str) -> None:
    model = catalogue.find(f"transfer-ledger.{kind}.v1").model
    required = [f.alias or name for name, f in model.model_fields.items() if f.is_required()]
    assert required
    for name in required:
        assert problems(event(kind, drop=name)) == {f"data.{name}": "missing"}


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        ("access", "bytes", "1"),
        ("access", "bytes", True),
        ("access", "bytes", -1),
        ("access", "bytes", 1.5),
        ("access", "read_only", 1),
        ("access", "principal", 12),
        ("access", "principal", ""),
        ("access", "outcome", "perhaps"),
        ("access", "country", "XX"),
        ("access", "country", "sg"),
        ("access", "country", "Singapore"),
        ("access", "tls_version", "TLSv1.2"),
        ("access", "raw_sha256", "AB" * 32),
        ("access", "source_system", "benjamin@example.com"),
        ("consent", "choice", "yes"),
        ("consent", "event_time", "2026-07-01T12:00:00"),
        ("consent", "event_time", "2026-02-30T12:00:00Z"),
        ("consent", "event_time", "٢٠٢٦-07-01T12:00:00Z"),
        ("consent", "pii_principal_id", "benjamin"),
        ("storage", "retain_until", "2029-07-01"),
    ],
)
def test_a_member_of_another_form_is_refused_and_never_turned_into_a_good_one(
    kind: str, member: str, value: Any
) -> None:
    found = problems(event(kind, **{member: value}))
    assert list(found) == [f"data.{member}"]
    assert found[f"data.{member}"].startswith("expected ")


def test_null_says_that_a_member_is_not_known() -> None:
    catalogue.check_event(parse_event(event("access", cipher=None, country=None)))


def test_every_place_is_reported_at_once() -> None:
    wrong = event("hop", **{"from": {"country": "CN", "city": "x"}, "sequence": "0", "phone": 1})
    assert set(problems(wrong)) == {"data.from.city", "data.sequence", "data.phone"}


def test_a_refusal_names_places_and_never_values() -> None:
    secret = "benjamin@example.com"
    values: list[Any] = [secret, {secret: secret}, [secret], [{secret: secret}]]
    for kind in GOOD:
        model = catalogue.find(f"transfer-ledger.{kind}.v1").model
        for name, field in model.model_fields.items():
            for value in values:
                try:
                    catalogue.check_event(parse_event(event(kind, **{field.alias or name: value})))
                except InvalidEvent as error:
                    assert secret not in f"{error} {error.details} {error.advice}"


def test_a_strange_member_name_is_not_repeated() -> None:
    assert problems(event("access", **{"+86 138 0013 8000": 1})) == {"data.?": "not a member of this type"}


def test_the_schema_that_an_event_names_is_its_own() -> None:
    own = event("access") | {"dataschema": "https://ledger.example/v1/types/transfer-ledger.access.v1"}
    catalogue.check_event(parse_event(own))
    catalogue.check_event(parse_event(own | {"dataschema": "/v1/types/transfer-ledger.access.v1"}))
    other = own | {"dataschema": "https://ledger.example/v1/types/transfer-ledger.hop.v1"}
    assert "dataschema" in problems(other)


@pytest.mark.parametrize("type_", catalogue.all_types(), ids=lambda t: t.kind)
@pytest.mark.parametrize(
    "personal",
    [
        "benjamin@example.com",
        "+86 138 0013 8000",
        "198.51.100.7",
        "13800138000",
        "Wang Xiaoming",
        "王小明",
        "2001:db8::1",
    ],
)
def test_a_visible_member_has_no_room_for_a_person(type_: catalogue.EventType, personal: str) -> None:
    for name in type_.visible:
        for value in (personal, [personal]):
            assert f"data.{name}" in str(problems(event(type_.kind, **{name: value})))


@pytest.mark.parametrize("type_", catalogue.all_types(), ids=lambda t: t.kind)
def test_what_could_be_personal_is_not_visible(type_: catalogue.EventType) -> None:
    personal = {
        "principal", "source_address", "user_agent", "resource", "raw_sha256", "pii_principal_id", "choice",
        "external_principals", "grants", "from", "to", "object_id", "payload_digest", "reason", "session_id",
    }  # fmt: skip
    assert not type_.visible & personal


@pytest.mark.parametrize("type_", catalogue.all_types(), ids=lambda t: t.kind)
def test_a_type_has_a_json_schema_of_its_own(type_: catalogue.EventType) -> None:
    schema = json.loads(json.dumps(type_.schema()))
    assert schema["$id"] == f"/v1/types/{type_.name}"
    assert schema["additionalProperties"] is False
    assert set(GOOD[type_.kind]) <= set(schema["properties"])
    assert type_.visible <= set(schema["properties"])


@pytest.mark.parametrize("kind", GOOD)
def test_another_validator_reads_the_schema_as_the_ledger_does(kind: str) -> None:
    schema = catalogue.find(f"transfer-ledger.{kind}.v1").schema()
    jsonschema_rs.meta.validate(schema)
    validator = jsonschema_rs.Draft202012Validator(schema)
    validator.validate(GOOD[kind])
    for name in GOOD[kind]:
        wrong = GOOD[kind] | {name: {"no": "such"}}
        assert not validator.is_valid(wrong)
        assert problems(event(kind, **{name: wrong[name]}))
    assert not validator.is_valid(GOOD[kind] | {"phone": "1"})
