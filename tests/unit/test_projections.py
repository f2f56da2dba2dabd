"""Projections: what the lists show, as far as it is disclosed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.records import access_record, snapshot_record

from ledger import catalogue
from ledger.canonical import Object
from ledger.disclosure import parse_disclosure
from ledger.entry import parse_event
from ledger.errors import IntegrityError
from ledger.merkle import leaf_hash
from ledger.projections import open_event, project
from ledger.records import AccessRecord, Committed, SnapshotRecord
from ledger.statement import commit_event, make_entry
from ledger.types import PartyId, Position, parse_origin

ACCESS: Object = {
    "principal": "arn:aws:iam::111122223333:user/benjamin",
    "action": "s3:GetObject",
    "resource": "arn:aws:s3:::replays/1",
    "outcome": "allowed",
    "country": "SG",
    "source_address": "198.51.100.7",
    "tls_version": "1.3",
    "bytes": 4518,
    "source_system": "aws.cloudtrail",
    "completeness": "best-effort",
    "reason": "none",
    "cipher": "TLS_AES_128_GCM_SHA256",
    "class_uid": 6003,
    "raw_sha256": "5f" * 32,
}
SNAPSHOT: Object = {
    "resource": "arn:aws:s3:::replays",
    "public": True,
    "external_principals": ["arn:aws:iam::999988887777:root"],
    "grants": [{"principal": "*", "effect": "allow", "actions": ["s3:GetObject"]}],
    "source_system": "aws.s3",
    "owner": "111122223333",
    "captured_at": "2026-07-01T11:59:00Z",
    "collector": "acme-collector",
    "api_call": "s3:GetBucketPolicy",
    "region": "ap-southeast-1",
    "country": "SG",
    "completeness": "complete",
    "raw_sha256": "60" * 32,
}
TIME = 1_782_907_200_500
SUBJECT = "live-2026-07-01-tokyo"
GRANTS = '[{"actions":["s3:GetObject"],"effect":"allow","principal":"*"}]'


def committed(kind: str, data: Object, *, shown: set[str] | None = None) -> Committed:
    """As the store keeps it, with only the disclosures of `shown` left (None: all)."""
    salts = itertools.count()
    event = parse_event(
        {
            "specversion": "1.0",
            "id": "e-1",
            "source": "/unit",
            "type": f"transfer-ledger.{kind}.v1",
            "subject": SUBJECT,
            "time": "2026-07-01T14:00:00.5+02:00",
            "phase": "before" if kind == "consent" else "storage",
            "data": data,
        }
    )
    type_ = catalogue.check_event(event)
    statement = commit_event(event, type_.visible, lambda: next(salts).to_bytes(16, "big"))
    entry = make_entry(
        statement, parse_origin("ledger.example/acme-live"), PartyId("acme"), 1_800_000_000_000
    )
    return Committed(
        position=Position(7),
        leaf=leaf_hash(entry),
        entry=entry,
        disclosures=tuple(d.text for d in statement.disclosures if shown is None or d.name in shown),
        key=event.key,
        type=event.type,
        phase=event.phase,
        subject=event.subject,
        time=event.time,
        party=PartyId("acme"),
        received=1_800_000_000_000,
    )


def rows(event: Committed) -> list[AccessRecord | SnapshotRecord]:
    projected = project([event])
    return [*projected.accesses, *projected.snapshots]


def access(**changes: Any) -> AccessRecord:
    return access_record(7, time=TIME, subject=SUBJECT, **{**ACCESS, **changes})


def test_an_access_becomes_a_record() -> None:
    assert rows(committed("access", ACCESS)) == [access()]


def test_what_is_not_disclosed_is_none_and_what_is_visible_stays() -> None:
    salted = set(ACCESS) - catalogue.ACCESS.visible
    assert rows(committed("access", ACCESS, shown=set())) == [access(**dict.fromkeys(salted))]


def test_one_erased_disclosure_takes_one_member() -> None:
    shown = set(ACCESS) - {"principal"}
    assert rows(committed("access", ACCESS, shown=shown)) == [access(principal=None)]


def test_a_snapshot_becomes_a_record_with_its_grants_in_canonical_json() -> None:
    told = {**SNAPSHOT, "external_principals": ("arn:aws:iam::999988887777:root",), "grants": GRANTS}
    del told["captured_at"]
    record = snapshot_record(7, time=TIME, captured=TIME - 60_500, subject=SUBJECT, **told)
    assert rows(committed("permission-snapshot", SNAPSHOT)) == [record]


def test_a_snapshot_without_its_disclosures_still_says_public() -> None:
    (record,) = rows(committed("permission-snapshot", SNAPSHOT, shown=set()))
    assert isinstance(record, SnapshotRecord)
    assert (record.public, record.resource, record.grants, record.external_principals) == (
        True,
        None,
        None,
        (),
    )
    assert record.captured == TIME


def test_an_event_without_a_list_has_no_record() -> None:
    consent: Object = {"record_id": "c", "pii_principal_id": "q3xR0sY2kVb7nDfA", "choice": "granted"}
    assert rows(committed("consent", consent)) == []


def test_projecting_again_gives_the_same() -> None:
    once = committed("access", ACCESS)
    assert project([once]) == project([once])


def test_a_disclosure_of_another_event_is_refuted() -> None:
    mine = committed("access", ACCESS, shown=set())
    other = committed("access", ACCESS | {"principal": "somebody else"}, shown={"principal"})
    forged = Committed(**{f: getattr(mine, f) for f in mine._fields} | {"disclosures": other.disclosures})
    with pytest.raises(IntegrityError, match="position 7 is not what was committed"):
        project([forged])


def test_an_opened_event_is_the_event() -> None:
    whole = committed("access", ACCESS)
    assert open_event(whole).data == ACCESS
    assert {parse_disclosure(text).name for text in whole.disclosures}.isdisjoint(catalogue.ACCESS.visible)
