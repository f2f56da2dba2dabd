"""Projections: what the lists show, as far as it is disclosed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ledger import catalogue
from ledger.canonical import Object
from ledger.disclosure import parse_disclosure
from ledger.entry import Phase, commit_event, make_entry, parse_event
from ledger.errors import DisclosureRefuted
from ledger.merkle import leaf_hash
from ledger.projections import open_event, project
from ledger.records import AccessRecord, Committed, SnapshotRecord
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
}
SNAPSHOT: Object = {
    "resource": "arn:aws:s3:::replays",
    "public": True,
    "external_principals": ["arn:aws:iam::999988887777:root"],
    "grants": [{"principal": "*", "effect": "allow", "actions": ["s3:GetObject"]}],
    "source_system": "aws.s3",
}
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
            "subject": "live-2026-07-01-tokyo",
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


def access(**changes: Any) -> AccessRecord:
    known = {
        "position": Position(7),
        "phase": Phase.STORAGE,
        "time": 1_782_907_200_500,
        "subject": "live-2026-07-01-tokyo",
    }
    return AccessRecord(**{**known, **ACCESS, **changes})


def test_an_access_becomes_a_record() -> None:
    assert project(committed("access", ACCESS)) == access()


def test_what_is_not_disclosed_is_none_and_what_is_visible_stays() -> None:
    hidden = dict.fromkeys(("principal", "action", "resource", "source_address", "bytes"))
    assert project(committed("access", ACCESS, shown=set())) == access(**hidden)


def test_one_erased_disclosure_takes_one_member() -> None:
    shown = set(ACCESS) - {"principal"}
    assert project(committed("access", ACCESS, shown=shown)) == access(principal=None)


def test_a_snapshot_becomes_a_record_with_its_grants_in_canonical_json() -> None:
    assert project(committed("permission-snapshot", SNAPSHOT)) == SnapshotRecord(
        position=Position(7),
        phase=Phase.STORAGE,
        time=1_782_907_200_500,
        subject="live-2026-07-01-tokyo",
        resource="arn:aws:s3:::replays",
        public=True,
        external_principals=("arn:aws:iam::999988887777:root",),
        grants=GRANTS,
        source_system="aws.s3",
    )


def test_a_snapshot_without_its_disclosures_still_says_public() -> None:
    record = project(committed("permission-snapshot", SNAPSHOT, shown=set()))
    assert isinstance(record, SnapshotRecord)
    assert (record.public, record.resource, record.grants, record.external_principals) == (
        True,
        None,
        None,
        (),
    )


def test_an_event_without_a_list_has_no_record() -> None:
    consent: Object = {"record_id": "c", "pii_principal_id": "q3xR0sY2kVb7nDfA", "choice": "granted"}
    assert project(committed("consent", consent)) is None


def test_projecting_again_gives_the_same() -> None:
    once = committed("access", ACCESS)
    assert project(once) == project(once)


def test_a_disclosure_of_another_event_is_refuted() -> None:
    mine = committed("access", ACCESS, shown=set())
    other = committed("access", ACCESS | {"principal": "somebody else"}, shown={"principal"})
    forged = Committed(**{f: getattr(mine, f) for f in mine.__slots__} | {"disclosures": other.disclosures})
    with pytest.raises(DisclosureRefuted):
        project(forged)


def test_an_opened_event_is_the_event() -> None:
    whole = committed("access", ACCESS)
    assert open_event(whole).data == ACCESS
    assert {parse_disclosure(text).name for text in whole.disclosures}.isdisjoint(catalogue.ACCESS.visible)
