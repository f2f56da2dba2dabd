"""The catalogue: what each type takes, what it refuses, and that its refusals and visible members tell nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import jsonschema_rs
import pytest
from pydantic import Field, JsonValue, create_model

from ledger import catalogue
from ledger.canonical import Object, are_plain
from ledger.catalogue.base import (
    BEFORE,
    NAMESPACE,
    PROPOSED,
    Count,
    Country,
    Data,
    EventType,
    OpaqueType,
    Text,
    Time,
)
from ledger.catalogue.shared import PartyRole
from ledger.disclosure import SALT_BYTES
from ledger.entry import Phase, parse_event
from ledger.errors import InvalidEvent
from ledger.records import Role
from ledger.statement import commit_event

PSEUDONYM = "q3xR0sY2kVb7nDfA"
PUBLISHED = Path(__file__).parents[1] / "vectors" / "catalogue" / "fingerprints.json"

HASH = "ab" * 32
NOON = "2026-07-01T12:00:00Z"
PARTY: Object = {"party": "acme-jp", "role": "recipient", "country": "JP"}

GOOD: dict[str, Object] = {
    "declaration": {
        "declaration_id": "d-1",
        "version": "1",
        "parties": [PARTY],
        "purposes": ["live-commerce"],
        "data_categories": [{"category": "interaction", "tier": 2}],
        "recipient_countries": ["JP"],
        "persons_countries": ["CN"],
        "planned_start": NOON,
        "persons": 2000,
        "continuous": False,
    },
    "impact-assessment": {
        "assessment_id": "pia-1",
        "version": "1",
        "recipient_countries": ["SG"],
        "conclusion": "approved",
    },
    "country-assessment": {
        "assessment_id": "ca-1",
        "version": "1",
        "country": "JP",
        "sources": [{"title": "Act on the Protection of Personal Information", "kind": "law"}],
        "rating": "adequate",
        "assessor": "privacy-office",
        "valid_until": NOON,
    },
    "route": {
        "route": "exemption",
        "status": "in-force",
        "exemption_ground": "contract-necessity",
        "scope": {"countries": ["JP"], "retention_period": "P3Y"},
    },
    "sign-off": {
        "signoff_id": "s-1",
        "officer": "officer-1",
        "capacity": "protection-officer",
        "regarding": [{"kind": "impact-assessment", "id": "pia-1"}],
        "decision": "approved",
    },
    "consent-prompt": {
        "prompt_id": "p-1",
        "session_id": "live-1",
        "pii_principal_id": PSEUDONYM,
        "state": "left",
        "choices": ["granted", "watch-only", "refused"],
        "separate": True,
    },
    "consent": {"record_id": "c-1", "pii_principal_id": PSEUDONYM, "choice": "watch-only", "separate": True},
    "plugin-authorisation": {
        "authorisation_id": "a-1",
        "plugin": "mirror",
        "plugin_version": "2.1",
        "developer": "plug-one",
        "granted_by": "person",
        "status": "granted",
        "biometrics": True,
    },
    "deidentification": {
        "attestation_id": "a-2",
        "data_categories": ["interaction"],
        "methods": ["pseudonymisation", "noise"],
        "parameters": {"epsilon": 0.5},
        "performed": NOON,
        "attested_by": "acme",
    },
    "encryption": {
        "attestation_id": "a-3",
        "kind": "homomorphic",
        "scheme": "CKKS",
        "parameters": {"ring_dimension": 32768, "moduli_bits": [60, 40, 40, 60]},
        "key_custodian": "acme",
        "key_country": "CN",
        "ciphertext_sha256": [HASH],
        "attested_by": "acme",
        "security_bits": 128,
    },
    "model-export": {
        "model_id": "recommender",
        "version": "7",
        "sha256": HASH,
        "leakage_tests": [{"method": "membership-inference", "result": "passed"}],
        "raw_data_exported": False,
        "recipient_countries": ["JP"],
    },
    "hop": {"sequence": 0, "from": {"country": "CN"}, "to": {"country": "SG", "node": "edge-1"}},
    "segment": {
        "stream_id": "live-1/main",
        "kind": "audio-video",
        "number": 0,
        "sha256": HASH,
        "started": NOON,
        "duration_ms": 4000,
        "detected_categories": [{"category": "face", "confidence": 97, "masked": True}],
    },
    "incident": {
        "incident_id": "i-1",
        "kind": "leak",
        "severity": "high",
        "status": "suspected",
        "detected": NOON,
    },
    "access": {"principal": "arn:aws:iam::1:user/benjamin", "action": "s3:GetObject", "outcome": "allowed"},
    "permission-snapshot": {
        "resource": "arn:aws:s3:::replays",
        "public": False,
        "grants": [{"principal": "*", "actions": ["s3:*"]}],
    },
    "storage": {"object_id": "o-1", "kind": "replay", "country": "SG"},
    "use-report": {
        "report_id": "u-1",
        "recipient": "acme-jp",
        "period_from": NOON,
        "period_until": NOON,
        "purposes": ["customer-service"],
        "automated_decision": False,
    },
    "onward-transfer": {
        "onward_id": "t-1",
        "from_party": "acme-jp",
        "to_party": PARTY,
        "country": "US",
        "status": "asked",
        "to_authority": True,
    },
    "review": {
        "review_id": "r-1",
        "kinds": ["permissions", "use"],
        "period_from": NOON,
        "period_until": NOON,
        "reviewer": "privacy-office",
        "findings": [{"finding_id": "f-1", "severity": "low", "text": "a role that nobody uses"}],
        "conclusion": "conform-with-findings",
        "next_due": NOON,
    },
    "deletion": {
        "deletion_id": "x-1",
        "objects": ["o-1"],
        "reason": "retention-ended",
        "method": "erased",
        "performed": NOON,
        "attested_by": "acme-jp",
    },
    "rights-request": {
        "request_id": "q-1",
        "pii_principal_id": PSEUDONYM,
        "kind": "copy",
        "status": "received",
        "received": NOON,
    },
    "complaint": {
        "complaint_id": "k-1",
        "subject_matter": "export",
        "status": "upheld",
        "received": NOON,
    },
}
NAMES = {type_.kind: type_.name for type_ in catalogue.newest_types()}
EVERY_PHASE = {"before", "transit", "storage"}
PHASES = {
    "declaration": {"before"},
    "impact-assessment": {"before"},
    "country-assessment": {"before"},
    "route": {"before"},
    "sign-off": {"before"},
    "consent-prompt": {"before"},
    "consent": {"before"},
    "plugin-authorisation": {"before"},
    "deidentification": {"before"},
    "encryption": {"before"},
    "model-export": {"before", "transit"},
    "hop": {"transit"},
    "segment": {"transit"},
    "incident": EVERY_PHASE,
    "access": EVERY_PHASE,
    "permission-snapshot": EVERY_PHASE,
    "storage": {"storage"},
    "use-report": {"storage"},
    "onward-transfer": {"storage"},
    "review": {"storage"},
    "deletion": {"storage"},
    "rights-request": EVERY_PHASE,
    "complaint": EVERY_PHASE,
}


def event(kind: str, /, *, phase: str | None = None, drop: str = "", **members: Any) -> Object:
    data = {name: value for name, value in {**GOOD[kind], **members}.items() if name != drop}
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/unit",
        "type": NAMES[kind],
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
        ("declaration", "retention_period", "three years"),
        ("declaration", "retention_period", "P"),
        ("declaration", "retention_period", "P1YT"),
        ("encryption", "security_bits", 13_800_138_000),
        ("segment", "number", 13_800_138_000),
        ("sign-off", "decision", "maybe"),
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


@pytest.mark.parametrize("type_", catalogue.newest_types(), ids=lambda t: t.kind)
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
        13_800_138_000,
    ],
)
def test_a_visible_member_has_no_room_for_a_person(type_: catalogue.EventType, personal: str | int) -> None:
    for name in type_.visible:
        for value in (personal, [personal]):
            assert f"data.{name}" in str(problems(event(type_.kind, **{name: value})))


@pytest.mark.parametrize("type_", catalogue.all_types(), ids=lambda t: t.name)
def test_what_could_be_personal_is_not_visible(type_: catalogue.EventType) -> None:
    personal = {
        "principal", "source_address", "user_agent", "resource", "raw_sha256", "pii_principal_id", "choice",
        "external_principals", "grants", "from", "to", "object_id", "payload_digest", "reason", "session_id",
        "officer", "assessor", "reviewer", "attested_by", "reference", "parties", "state", "sha256", "persons",
    }  # fmt: skip
    assert not type_.visible & personal


@pytest.mark.parametrize("kind", ["consent", "consent-prompt", "rights-request", "complaint"])
def test_what_one_person_said_or_did_is_not_visible(kind: str) -> None:
    said = {"choice", "state", "status", "kind", "subject_matter", "outcome"}
    assert not catalogue.find(f"transfer-ledger.{kind}.v1").visible & said


@pytest.mark.parametrize("text", ["P3Y", "P1Y6M", "PT12H", "P1DT12H", "P3W"])
def test_a_duration_is_one_of_iso_8601(text: str) -> None:
    catalogue.check_event(parse_event(event("declaration", retention_period=text)))


def test_the_roles_are_those_of_the_party_register() -> None:
    assert set(get_args(PartyRole)) == set(Role)


@pytest.mark.parametrize("type_", catalogue.newest_types(), ids=lambda t: t.kind)
def test_a_type_has_a_json_schema_of_its_own(type_: catalogue.EventType) -> None:
    schema = json.loads(json.dumps(type_.schema()))
    assert schema["$id"] == f"/v1/types/{type_.name}"
    assert schema["additionalProperties"] is False
    assert set(GOOD[type_.kind]) <= set(schema["properties"])
    assert type_.visible <= set(schema["properties"])


@pytest.mark.parametrize("kind", GOOD)
def test_another_validator_reads_the_schema_as_the_ledger_does(kind: str) -> None:
    schema = catalogue.find(NAMES[kind]).schema()
    jsonschema_rs.meta.validate(schema)
    validator = jsonschema_rs.Draft202012Validator(schema)
    validator.validate(GOOD[kind])
    for name in GOOD[kind]:
        wrong = GOOD[kind] | {name: 1.5 if name == "parameters" else {"no": "such"}}
        assert not validator.is_valid(wrong)
        assert problems(event(kind, **{name: wrong[name]}))
    assert not validator.is_valid(GOOD[kind] | {"phone": "1"})


# --- types outside the catalogue --------------------------------------------------------------------------------------


def heartbeat(**attributes: str) -> Object:
    """An event of somebody's own type."""
    return {
        **event("access"),
        "type": "com.example.heartbeat",
        "data": {"phone": "1", "outcome": 2},
        **attributes,
    }


def test_an_unknown_type_is_refused_unless_opaque_ones_are_allowed() -> None:
    assert problems(heartbeat()) == {"type": "not in the catalogue"}
    type_ = catalogue.check_event(parse_event(heartbeat()), allow_opaque=True)
    assert type_ == OpaqueType("com.example.heartbeat")
    assert catalogue.is_opaque(type_.name)


def test_all_members_of_an_opaque_event_are_salted() -> None:
    opaque = parse_event(heartbeat())
    type_ = catalogue.check_event(opaque, allow_opaque=True)
    statement = commit_event(opaque, type_.visible, lambda: bytes(SALT_BYTES))
    assert set(statement.data) == {"_sd", "_sd_alg"}
    assert {d.name for d in statement.disclosures} == {"phone", "outcome"}


@pytest.mark.parametrize("phase", Phase)
def test_an_opaque_event_may_come_in_any_phase(phase: Phase) -> None:
    catalogue.check_event(parse_event(heartbeat(phase=phase.value)), allow_opaque=True)


@pytest.mark.parametrize(
    "type_", ["transfer-ledger.access.v2", "transfer-ledger.rumour.v1", "transfer-ledger.acess.v1"]
)
def test_a_name_of_the_catalogue_s_own_is_never_opaque(type_: str) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        catalogue.check_event(parse_event(heartbeat(type=type_)), allow_opaque=True)
    assert refusal.value.details["problems"][0]["at"] == "type"


@pytest.mark.parametrize(
    "type_", ["13800138000", "heartbeat", "8613800138000.call", "com.example..x", "a..b"]
)
def test_an_opaque_type_has_a_name_that_is_no_number(type_: str) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        catalogue.check_event(parse_event(heartbeat(type=type_)), allow_opaque=True)
    assert type_ not in str(refusal.value)


def test_catalogued_types_are_checked_all_the_same_where_opaque_ones_are_allowed() -> None:
    with pytest.raises(InvalidEvent):
        catalogue.check_event(parse_event(event("access", drop="principal")), allow_opaque=True)
    assert not any(catalogue.is_opaque(t.name) for t in catalogue.all_types())


# --- published types --------------------------------------------------------------------------------------------------


class Note(Data):
    """A type of the tests'."""

    text: Text
    """What it says."""
    country: Country | None = None


class WiderNote(Data):
    text: Text
    country: Country | None = None
    more: Text | None = None


def in_other_words() -> type[Data]:
    class Note(Data):
        """The same members."""

        text: Text
        """Text."""
        country: Country | None = None
        """Where."""

    return Note


NOTE = EventType("note", "Note", "注", BEFORE, Note, frozenset({"country"}))


@pytest.mark.parametrize("kind", GOOD)
def test_good_data_of_a_plain_type_is_plain(kind: str) -> None:
    value = event(kind)
    type_ = catalogue.check_event(parse_event(value))
    assert are_plain([value["data"]]) or not type_.plain


def test_what_is_pushed_most_is_plain() -> None:
    assert {t.kind for t in catalogue.newest_types() if t.plain} >= {
        "access",
        "hop",
        "segment",
        "storage",
        "consent",
    }


class Within(Data):
    number: Count
    words: list[Literal["a", "b"]] | None = None


class Chain(Data):
    next: Chain | None = None


def of(type_: Any, name: str = "member") -> EventType:
    """A type with one member, of this type."""
    return replace(NOTE, model=create_model("Of", __base__=Data, **{name: (type_, ...)}), visible=frozenset())


@pytest.mark.parametrize(
    "type_", [Text, Country, Count, bool, Time, Literal["a"], Within, list[Within], Within | None]
)
def test_a_type_is_plain_of_texts_integers_in_range_and_booleans(type_: Any) -> None:
    assert of(type_).plain


@pytest.mark.parametrize(
    "type_",
    [
        float,
        int,
        Annotated[int, Field(ge=0, le=2**53)],
        Annotated[int, Field(ge=-(2**53), le=0)],
        Any,
        JsonValue,
        dict[str, str],
        list[dict[str, bool]],
        Within | float,
        Chain,
    ],
)
def test_a_type_is_not_plain_that_may_hold_anything_else(type_: Any) -> None:
    assert not of(type_).plain
    assert not of(list[type_]).plain


def test_a_type_is_not_plain_with_a_name_that_orjson_would_sort_otherwise() -> None:
    assert not of(Text, "名").plain
    assert not OpaqueType("com.example.heartbeat").plain


def test_a_published_type_stays_as_it_is() -> None:
    """What is in logs was checked, and split into visible and salted members, by the type of that name."""
    published = json.loads(PUBLISHED.read_text())
    now = {t.name: t.fingerprint.hex() for t in catalogue.all_types()}
    assert not published.keys() - now.keys(), "a published type is gone: events of it are in logs"
    changed = [name for name in published if now[name] != published[name]]
    assert not changed, (
        f"{', '.join(changed)}: published with other members, phases or visible members. Events in logs would get "
        "another meaning. Leave the type as it was, and put the change into a new version beside it."
    )
    assert now.keys() == published.keys(), "new types: publish them with scripts/catalogue --publish"


@pytest.mark.parametrize(
    "other",
    [
        replace(NOTE, model=WiderNote),
        replace(NOTE, visible=frozenset()),
        replace(NOTE, phases=BEFORE | {Phase.TRANSIT}),
        replace(NOTE, version=2),
    ],
    ids=["member", "visible", "phase", "version"],
)
def test_whatever_changes_an_event_s_meaning_changes_the_fingerprint(other: EventType) -> None:
    assert other.fingerprint != NOTE.fingerprint


def test_words_can_be_bettered() -> None:
    reworded = replace(NOTE, title_en="A note", source="ours", model=in_other_words())
    assert reworded.schema() != NOTE.schema()
    assert reworded.fingerprint == NOTE.fingerprint


def test_the_fingerprint_is_not_that_of_this_year_s_countries(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = NOTE.schema()
    schema["$defs"]["Country"]["enum"].append("XX")
    monkeypatch.setattr(EventType, "schema", lambda self: schema)
    before = NOTE.fingerprint
    schema["$defs"]["Country"]["enum"].pop()
    assert NOTE.fingerprint == before


def test_an_event_of_an_older_version_is_taken_as_before() -> None:
    old = event("declaration", drop="persons_countries") | {"type": catalogue.DECLARATION_1.name}
    assert catalogue.check_event(parse_event(old)) is catalogue.DECLARATION_1
    assert "data.persons_countries" in problems(event("declaration", drop="persons_countries"))
    assert "data.persons_countries" in problems(event("declaration") | {"type": catalogue.DECLARATION_1.name})
    assert catalogue.DECLARATION_1 not in catalogue.newest_types()


def test_a_new_version_stands_beside_the_old_one() -> None:
    assert replace(NOTE, version=2).name == f"{NAMESPACE}note.v2"
    assert replace(NOTE, version=2).schema()["$id"] == "/v1/types/transfer-ledger.note.v2"


@pytest.mark.parametrize("type_", catalogue.all_types(), ids=lambda t: t.name)
def test_every_member_says_what_it_means_and_where_it_comes_from(type_: catalogue.EventType) -> None:
    schema = type_.schema()
    assert schema["description"]
    assert type_.source
    assert type_.title_zh
    for object_ in (schema, *schema.get("$defs", {}).values()):
        for name, member in object_.get("properties", {}).items():
            assert member.get("description", "").endswith((".", "…")), name


def test_a_source_goes_into_the_schema() -> None:
    schema = catalogue.IMPACT_ASSESSMENT.schema()
    assert schema["x-source"] == "PIPL 55–56 [T]"
    assert schema["properties"]["risks"]["x-source"] == "PIPL 56(2) [T]"


CITED = re.compile(r"PIPL|GDPR|EDPB|RFC 8996|规定|办法|条例")


def test_every_law_that_is_cited_carries_its_mark_or_is_called_a_proposal() -> None:
    def words(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (
                v for k, v in value.items() if k in ("description", "x-source") and isinstance(v, str)
            )
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                yield from words(item)

    for type_ in catalogue.all_types():
        for text in words(type_.schema()):
            if CITED.search(text):
                assert re.search(r"\[[TPSM](/[TPSM])?\]", text), text
            assert "24 hours" not in text or PROPOSED in text


def test_the_document_is_up_to_date() -> None:
    root = Path(__file__).parents[2]
    checked = subprocess.run(
        [sys.executable, "scripts/catalogue.py", "--check"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
