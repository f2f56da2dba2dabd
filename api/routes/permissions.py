"""Permission snapshots: listed, compared with each other, held against the access log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api import schemas
from api.errors import problems
from api.parameters import After, Limit, Since, Until
from api.routes.accesses import Wanted
from api.routes.transfers import Discloses
from ledger import documents, reconciliations
from ledger.documents import DifferenceDocument, SnapshotDocument
from ledger.entry import Phase
from ledger.errors import MalformedInput
from ledger.grant_use import Cursor
from ledger.permissions import Verdict
from ledger.reconciliations import ReconciliationDocument
from ledger.records import ViewFilter
from ledger.types import Position

router = APIRouter(prefix="/v1", tags=["permissions"], responses=problems(400, 401, 403, 404, 422, 503))

At = Annotated[int | None, Query(ge=0, le=2**53, description="Position of a snapshot.")]


@router.get("/snapshots", summary="Permission snapshots")
def list_snapshots(
    audit: Discloses,
    since: Since,
    until: Until,
    phase: Phase | None = None,
    transfer: str | None = None,
    party: str | None = None,
    resource: str | None = None,
    public: bool | None = None,
    source_system: str | None = None,
    after: After = None,
    limit: Limit = 100,
) -> schemas.Page[SnapshotDocument]:
    """Permission snapshots of the three phases, in order of position; every row leads to its proof."""
    equal = {
        "phase": phase,
        "subject": transfer,
        "party": party,
        "resource": resource,
        "public": public,
        "source_system": source_system,
    }
    which = ViewFilter({name: value for name, value in equal.items() if value is not None}, since, until)
    page = audit.snapshots(which, None if after is None else Position(after), limit)
    items = [documents.snapshot(audit.log.origin, record) for record in page.rows]
    return schemas.Page(items=items, next=page.next)


@router.get("/snapshots/diff", summary="Compare two snapshots")
def compare_snapshots(
    audit: Discloses,
    before: At = None,
    after: At = None,
    resource: Annotated[str | None, Query(description="With two phases: whose newest snapshots.")] = None,
    before_phase: Phase | None = None,
    after_phase: Phase | None = None,
    transfer: Annotated[str | None, Query(description="With two phases: only snapshots of this one.")] = None,
    source_system: Annotated[
        str | None, Query(description="With two phases: only what this system told.", examples=["aws.s3"])
    ] = None,
) -> DifferenceDocument:
    """What changed between two snapshots of a resource: grants added, removed, widened, narrowed, restated; in words.

    Either name two positions, or a resource and two phases: then the newest snapshot of each is taken.
    """
    if before is not None and after is not None:
        return documents.comparison(audit.log.origin, audit.compare(Position(before), Position(after)))
    if resource is None or before_phase is None or after_phase is None:
        raise MalformedInput(
            "which two snapshots to compare is not told",
            expected="before and after, or resource, before_phase and after_phase",
        )
    equal = {"resource": resource, "subject": transfer, "source_system": source_system}
    which = ViewFilter({name: value for name, value in equal.items() if value is not None})
    positions = (audit.newest_in_phase(which, phase) for phase in (before_phase, after_phase))
    return documents.comparison(audit.log.origin, audit.compare(*positions))


@router.get("/reconciliation", summary="Accesses against permissions")
def judge_accesses(
    audit: Discloses,
    which: Wanted,
    verdict: Annotated[list[Verdict] | None, Query(description="Only these verdicts.")] = None,
    after: After = None,
    limit: Limit = 100,
) -> schemas.JudgedPage:
    """Accesses, in order of position, each held against the snapshots in force at its time.

    Permitted, and by which grant; not permitted; or no snapshot. A page looks at some thousand accesses at most, and
    with `verdict` lists those of them that match, so it may be empty before the last.
    """
    start = None if after is None else Position(after)
    page = audit.judge_accesses(which, frozenset(verdict or ()), start, limit)
    items = [documents.judgement(audit.log.origin, found) for found in page.rows]
    return schemas.JudgedPage(items=items, examined=page.examined, next=page.next)


def _after(
    after: Annotated[
        str | None,
        Query(max_length=80, description="Go on after this cursor: the `next` of the page before."),
    ] = None,
) -> Cursor | None:
    return None if after is None else Cursor.parse(after)


@router.get("/reconciliation/grants", summary="Grants against their use")
def reconcile_grants(
    audit: Discloses, which: Wanted, after: Annotated[Cursor | None, Depends(_after)]
) -> ReconciliationDocument:
    """Accesses that match, counted by verdict; what nothing explains; and each grant with its use.

    A page goes through a bounded part of the log, in the order of time, and what it counts is of that part. Ask on with
    `next` and the same filters until it is `null`, and add up: no grant is unused before. All pages are of the same
    `events`, those that there were when the first was asked for. `complete` says whether a page is the whole by itself.
    """
    return reconciliations.page(audit.log.origin, audit.grant_uses(which, after))
