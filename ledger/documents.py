"""The auditor's answers as JSON: what the API answers, and the commands print with `--json`.

Times are RFC 3339 in UTC. Every row names its position, and the path of the API under which its proof is.
"""

from __future__ import annotations

import json
from typing import Any

from typing_extensions import TypedDict

from ledger.auditing import Comparison
from ledger.disclosure import parse_disclosures
from ledger.entry import parse_entry
from ledger.permissions import Grant, Judgement, in_words, to_value
from ledger.projections.completeness import Cell, Matrix
from ledger.projections.transfers import Handler, TransferView
from ledger.records import AccessRecord, Committed, Party, PartyKey, SnapshotRecord
from ledger.types import Origin, format_time


class AccessDocument(TypedDict):
    """One access in its normal form; `null` where a member is not disclosed or was not given."""

    position: int
    phase: str
    time: str
    transfer: str
    party: str
    principal: str | None
    action: str | None
    resource: str | None
    outcome: str | None
    reason: str | None
    country: str | None
    source_address: str | None
    tls_version: str | None
    cipher: str | None
    bytes: int | None
    class_uid: int | None
    source_system: str | None
    completeness: str | None
    raw_sha256: str | None
    proof: str


def access(origin: Origin, record: AccessRecord) -> AccessDocument:
    return {
        "position": record.position,
        "phase": record.phase.value,
        "time": format_time(record.time),
        "transfer": record.subject,
        "party": record.party,
        "principal": record.principal,
        "action": record.action,
        "resource": record.resource,
        "outcome": record.outcome,
        "reason": record.reason,
        "country": record.country,
        "source_address": record.source_address,
        "tls_version": record.tls_version,
        "cipher": record.cipher,
        "bytes": record.bytes,
        "class_uid": record.class_uid,
        "source_system": record.source_system,
        "completeness": record.completeness,
        "raw_sha256": record.raw_sha256,
        "proof": proof_path(origin, record.position),
    }


class SnapshotDocument(TypedDict):
    """One permission snapshot; `null` where a member is not disclosed or was not given."""

    position: int
    phase: str
    time: str
    captured: str
    transfer: str
    party: str
    resource: str | None
    owner: str | None
    public: bool | None
    external_principals: list[str]
    grants: list[dict[str, Any]] | None
    collector: str | None
    api_call: str | None
    region: str | None
    country: str | None
    source_system: str | None
    completeness: str | None
    raw_sha256: str | None
    proof: str


def snapshot(origin: Origin, record: SnapshotRecord) -> SnapshotDocument:
    return {
        "position": record.position,
        "phase": record.phase.value,
        "time": format_time(record.time),
        "captured": format_time(record.captured),
        "transfer": record.subject,
        "party": record.party,
        "resource": record.resource,
        "owner": record.owner,
        "public": record.public,
        "external_principals": list(record.external_principals),
        "grants": None if record.grants is None else json.loads(record.grants),
        "collector": record.collector,
        "api_call": record.api_call,
        "region": record.region,
        "country": record.country,
        "source_system": record.source_system,
        "completeness": record.completeness,
        "raw_sha256": record.raw_sha256,
        "proof": proof_path(origin, record.position),
    }


# --- Parties


class PartyKeyDocument(TypedDict):
    """A key with which a party signs; `valid_until` is `null` while it has no end."""

    verifier_key: str
    valid_from: str
    valid_until: str | None


class PartyDocument(TypedDict):
    """A party of the register."""

    id: str
    name: str
    role: str
    country: str
    keys: list[PartyKeyDocument]


def party(value: Party, keys: list[PartyKey]) -> PartyDocument:
    return {
        "id": value.id,
        "name": value.name,
        "role": value.role.value,
        "country": value.country,
        "keys": [
            {
                "verifier_key": key.verifier_key,
                "valid_from": format_time(key.valid_from),
                "valid_until": _time(key.valid_until),
            }
            for key in keys
        ],
    }


# --- Transfers


class HandlerDocument(TypedDict):
    """A party to a transfer, as its newest declaration names it; `registered_…` is the party register's word."""

    party: str
    role: str | None
    capacity: str | None
    country: str | None
    registered_name: str | None
    registered_country: str | None


class JurisdictionsDocument(TypedDict):
    """Where the platform is registered, the persons are and data are stored; and the countries on the way."""

    platform_registered: list[str]
    persons_located: list[str]
    data_stored: list[str]
    declared_recipients: list[str]
    declared_path: list[str]
    passed: list[str]
    accessed_from: list[str]
    onward: list[str]
    undeclared: list[str]


class PhaseDocument(TypedDict):
    """One phase: `state` is nothing, incomplete or complete; `missing` names what is expected and not there in time."""

    phase: str
    state: str
    events: int
    first_time: str | None
    last_time: str | None
    missing: list[str]
    by_type: dict[str, int]


class PaperDocument(TypedDict):
    """A paper of the transfer."""

    position: int
    kind: str
    time: str
    id: str | None
    version: str | None
    proof: str


class TransferDocument(TypedDict):
    """One transfer: who, where, which phases, on which papers."""

    transfer: str
    events: int
    first_time: str
    last_time: str
    declared: bool
    purposes: list[str]
    exporters: list[HandlerDocument]
    importers: list[HandlerDocument]
    processors: list[HandlerDocument]
    handlers: list[HandlerDocument]
    reporters: list[str]
    jurisdictions: JurisdictionsDocument
    phases: list[PhaseDocument]
    papers: list[PaperDocument]


def transfer(origin: Origin, view: TransferView) -> TransferDocument:
    places = view.jurisdictions
    return {
        "transfer": view.subject,
        "events": view.events,
        "first_time": format_time(view.first_time),
        "last_time": format_time(view.last_time),
        "declared": view.declared,
        "purposes": list(view.purposes),
        "exporters": [*map(_handler, view.exporters)],
        "importers": [*map(_handler, view.importers)],
        "processors": [*map(_handler, view.processors)],
        "handlers": [*map(_handler, view.handlers)],
        "reporters": list(view.reporters),
        "jurisdictions": {
            "platform_registered": list(places.platform),
            "persons_located": list(places.persons),
            "data_stored": list(places.stored),
            "declared_recipients": list(places.declared_recipients),
            "declared_path": list(places.declared_path),
            "passed": list(places.passed),
            "accessed_from": list(places.accessed_from),
            "onward": list(places.onward),
            "undeclared": list(places.undeclared),
        },
        "phases": [
            {
                "phase": phase.phase.value,
                "state": phase.state.value,
                "events": phase.events,
                "first_time": _time(phase.first_time),
                "last_time": _time(phase.last_time),
                "missing": list(phase.missing),
                "by_type": dict(phase.by_type),
            }
            for phase in view.phases
        ],
        "papers": [
            {
                "position": paper.position,
                "kind": paper.kind,
                "time": format_time(paper.time),
                "id": paper.id,
                "version": paper.version,
                "proof": proof_path(origin, paper.position),
            }
            for paper in view.papers
        ],
    }


def _handler(handler: Handler) -> HandlerDocument:
    registered = handler.registered
    return {
        "party": handler.party,
        "role": handler.role,
        "capacity": handler.capacity,
        "country": handler.country,
        "registered_name": registered.name if registered else None,
        "registered_country": registered.country if registered else None,
    }


class CellDocument(TypedDict):
    """One expected evidence; `presence` is present, late, missing, not-due or not-expected.

    `timing` says by which time it is late, or why it may be: events' own times are their parties' words.
    """

    phase: str
    evidence: str
    presence: str
    because: str
    source: str
    count: int
    first_time: str | None
    first: int | None
    timing: str | None
    proof: str | None


class MatrixDocument(TypedDict):
    """Completeness of one transfer."""

    transfer: str
    wanting: int
    cells: list[CellDocument]


def matrix(origin: Origin, value: Matrix) -> MatrixDocument:
    return {
        "transfer": value.subject,
        "wanting": len(value.wanting),
        "cells": [_cell(origin, cell) for cell in value.cells],
    }


def _cell(origin: Origin, cell: Cell) -> CellDocument:
    return {
        "phase": cell.evidence.phase.value,
        "evidence": cell.evidence.name,
        "presence": cell.presence.value,
        "because": cell.because,
        "source": cell.evidence.source,
        "count": cell.count,
        "first_time": _time(cell.first_time),
        "first": cell.first,
        "timing": cell.timing,
        "proof": None if cell.first is None else proof_path(origin, cell.first),
    }


class MomentDocument(TypedDict):
    """One event of a timeline. `data` are the members that are visible or disclosed."""

    position: int
    time: str
    received: str
    phase: str
    type: str
    source: str
    id: str
    party: str
    data: dict[str, Any]
    withheld: int
    proof: str


def moment(origin: Origin, committed: Committed, *, disclose: bool) -> MomentDocument:
    entry = parse_entry(committed.entry)
    shown = parse_disclosures(committed.disclosures) if disclose else []
    return {
        "position": committed.position,
        "time": format_time(committed.time),
        "received": format_time(committed.received),
        "phase": committed.phase.value,
        "type": committed.type,
        "source": entry.attributes["source"],
        "id": entry.attributes["id"],
        "party": committed.party,
        "data": dict(entry.event(shown).data),
        "withheld": len(entry.sd) - len(shown),
        "proof": proof_path(origin, committed.position),
    }


# --- Permissions


class SideDocument(TypedDict):
    """One of two snapshots: where it stands, and how far it reaches by what its grants add up to."""

    position: int
    phase: str
    captured: str
    transfer: str
    source_system: str | None
    public: bool | None
    external_principals: list[str]
    notes: list[str]
    proof: str


class ChangeDocument(TypedDict):
    """One grant as it was and as it is."""

    before: dict[str, Any]
    after: dict[str, Any]


class DifferenceDocument(TypedDict):
    """What changed between two snapshots of a resource. `words` says it, one sentence for each change.

    Unless `one_system` told both, what only one of the two systems tells of seems to come and go.
    """

    resource: str
    one_system: bool
    before: SideDocument
    after: SideDocument
    added: list[dict[str, Any]]
    removed: list[dict[str, Any]]
    widened: list[ChangeDocument]
    narrowed: list[ChangeDocument]
    restated: list[ChangeDocument]
    words: list[str]
    words_zh: list[str]


def comparison(origin: Origin, value: Comparison) -> DifferenceDocument:
    change = value.difference

    def side(record: SnapshotRecord, *, after: bool) -> SideDocument:
        reached = value.reach_after if after else value.reach_before
        return {
            "position": record.position,
            "phase": record.phase.value,
            "captured": format_time(record.captured),
            "transfer": record.subject,
            "source_system": record.source_system,
            "public": reached.public,
            "external_principals": list(reached.external),
            "notes": list(reached.notes),
            "proof": proof_path(origin, record.position),
        }

    changes: dict[str, list[ChangeDocument]] = {
        name: [{"before": grant(pair.before), "after": grant(pair.after)} for pair in getattr(change, name)]
        for name in ("widened", "narrowed", "restated")
    }
    return {
        "resource": value.after.resource or "",
        "one_system": value.is_of_one_system,
        "before": side(value.before, after=False),
        "after": side(value.after, after=True),
        "added": [*map(grant, change.added)],
        "removed": [*map(grant, change.removed)],
        "widened": changes["widened"],
        "narrowed": changes["narrowed"],
        "restated": changes["restated"],
        "words": in_words(change),
        "words_zh": in_words(change, "zh"),
    }


def grant(value: Grant) -> dict[str, Any]:
    return dict(to_value(value))


class JudgementDocument(TypedDict):
    """One access, the verdict of the snapshots in force, the grants that decided, and what could not be known."""

    access: AccessDocument
    verdict: str
    unexplained: bool
    grants: list[dict[str, Any]]
    snapshots: list[int]
    caveats: list[str]


def judgement(origin: Origin, value: Judgement) -> JudgementDocument:
    return {
        "access": access(origin, value.access),
        "verdict": value.verdict.value,
        "unexplained": value.is_unexplained,
        "grants": [*map(grant, value.grants)],
        "snapshots": list(value.positions),
        "caveats": [caveat.value for caveat in value.caveats],
    }


def proof_path(origin: Origin, position: int) -> str:
    """Where the API answers the proof of an event."""
    return f"/v1/logs/{origin}/events/{position}/proof"


def _time(millis: int | None) -> str | None:
    return None if millis is None else format_time(millis)
