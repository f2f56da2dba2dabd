"""One access against the permission snapshots in force at its time.

1. The snapshots in force are the newest ones of its resource, of what encloses it in a cloud (`…:::bucket/2026/a.ts`,
   `…:::bucket/2026`, `…:::bucket`), and of its principal, if there is one of what the principal may do. Each system
   that tells of a resource has its own newest one: one tells of policies alone, another of lists and blocks, too.
2. A denial without a condition that speaks of it: `NOT_PERMITTED`.
3. Else an allowance that speaks of it: `PERMITTED`, or `CONDITIONAL` where a condition, a variable, a conditional
   denial or a snapshot that cannot be read might have decided otherwise. Of both kinds, the grants are named.
4. Else `NOT_PERMITTED`, if the snapshots had to show it; `UNKNOWN` if the principal belongs to the owner's cloud
   account, or to one that is not known, and no snapshot tells what the principal itself may do.
5. `NO_SNAPSHOT` where none is in force, `UNKNOWN` where the access or the snapshot is not disclosed, or more than
   `MOST_IN_FORCE` are. An access that names no resource is held against what its principal may do anywhere.

What it cannot know is named in `Judgement.caveats`: who stood behind an assumed role, whether a condition held, what
the principal's own account allows, whether a snapshot that came in after the access was captured when it says. It knows
nothing at all of service control and session policies, of object ACLs, and of superusers, whom no grant binds. An
access is judged whatever its outcome; a refused one uses no grant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ledger import canonical
from ledger.permissions import grants as forms
from ledger.permissions import patterns
from ledger.permissions.grants import EVERYBODY, Effect, Grant, Kind, parse_grants
from ledger.permissions.reach import BLOCK, Owner, account_in, account_of
from ledger.records import AccessRecord, SnapshotRecord
from ledger.types import Position


class Verdict(StrEnum):
    """What the snapshots say of one access."""

    PERMITTED = "permitted"
    CONDITIONAL = "conditional"
    NOT_PERMITTED = "not-permitted"
    NO_SNAPSHOT = "no-snapshot"
    UNKNOWN = "unknown"


MOST_IN_FORCE = 50
"""Snapshots that one access is held against at most: of its resource and what encloses it there are two or three."""


class Caveat(StrEnum):
    """What a judgement could not take into account."""

    ROLE_ASSUMED = "a role was assumed: who stood behind it is not told"
    CONDITION = "the grant has a condition: whether it held is not told"
    VARIABLE = "the grant depends on the request"
    DENIAL = "a denial with a condition may have applied"
    WHOLE_ACCOUNT = "the grant is to the whole account, whose own policies decide further"
    OWN_POLICIES = "what the principal's own policies allow is not in the ledger"
    UNSTATED = "a permission of the principal is named without what it allows"
    RESOURCE = "which resource was reached is not told"
    UNDISCLOSED = "the access or the snapshot is not disclosed, or cannot be read"
    LATER = "the snapshot that shows the grant came into the ledger after the access: its time is its party's word"
    TOO_MANY = "more snapshots are in force than are read for one access"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A permission snapshot as it was captured at `time`. `grants` is None where they are not disclosed."""

    position: Position
    time: int
    resource: str
    grants: tuple[Grant, ...] | None
    owner: str | None = None
    source_system: str | None = None

    @classmethod
    def of(cls, record: SnapshotRecord) -> Snapshot | None:
        """The snapshot of a record; None if its resource is not disclosed. Raises `MalformedInput` for its grants."""
        if record.resource is None:
            return None
        grants = None if record.grants is None else parse_grants(canonical.parse_text(record.grants))
        return cls(
            record.position, record.captured, record.resource, grants, record.owner, record.source_system
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """One access, held against the snapshots at `positions`. `grants` are those that decided."""

    access: AccessRecord
    verdict: Verdict
    grants: tuple[Grant, ...] = ()
    positions: tuple[Position, ...] = ()
    caveats: tuple[Caveat, ...] = ()

    @property
    def is_unexplained(self) -> bool:
        """Whether something was done that nothing in force permitted."""
        return self.verdict is Verdict.NOT_PERMITTED and self.access.outcome == "allowed"


def judge(
    access: AccessRecord, about: Sequence[Snapshot], own: Sequence[Snapshot], owner: Owner | None = None
) -> Judgement:
    """Hold one access against the snapshots in force at its time.

    Args:
        about: those of its resource and of what encloses it (`enclosing`).
        own: those of what its principal may do (`names_of`).
        owner: accounts that are the owner's beside those that the snapshots name.
    """
    names = names_of(access.principal)
    snapshots = [*about, *own]
    positions = tuple(sorted(s.position for s in snapshots))
    action, resource = access.action, access.resource
    if action is None or not names:
        return Judgement(access, Verdict.UNKNOWN, (), positions, (Caveat.UNDISCLOSED,))
    if not snapshots and resource is None:
        return Judgement(access, Verdict.UNKNOWN, caveats=(Caveat.RESOURCE,))
    if not snapshots:
        return Judgement(access, Verdict.NO_SNAPSHOT)
    if len(snapshots) > MOST_IN_FORCE:
        return Judgement(access, Verdict.UNKNOWN, (), positions, (Caveat.TOO_MANY,))
    listed = [g for s in about for g in s.grants or ()]
    # A grant without a resource is for that of its snapshot, which is not this one.
    listed += [g for s in own for g in s.grants or () if g.resource is not None]
    mine = [g for g in listed if _is_meant(g, names)]
    speaking = [g for g in mine if BLOCK in g.conditions or forms.reaches(g, action, resource)]
    denials = [g for g in speaking if g.effect is Effect.DENY]
    allowances = forms.in_order(g for g in speaking if g.effect is Effect.ALLOW)
    if certain := forms.in_order(g for g in denials if not _caveats(g, resource)):
        return Judgement(access, Verdict.NOT_PERMITTED, certain, positions, _who(names))
    if allowances:
        return _permitted(access, allowances, denials, snapshots, names)
    caveats = _who(names)
    if resource is None and not own:
        caveats += (Caveat.RESOURCE,)
    if any(s.grants is None for s in snapshots):
        caveats += (Caveat.UNDISCLOSED,)
    if any(not g.actions for g in mine):
        caveats += (Caveat.UNSTATED,)
    if not own and _has_policies_of_its_own(names, _owners(snapshots, owner)):
        caveats += (Caveat.OWN_POLICIES,)
    verdict = Verdict.UNKNOWN if set(caveats) - {Caveat.ROLE_ASSUMED} else Verdict.NOT_PERMITTED
    return Judgement(access, verdict, (), positions, caveats)


def _has_policies_of_its_own(names: frozenset[str], owners: frozenset[str]) -> bool:
    """Whether a principal could reach the resource by its own policies alone: in the owner's cloud account."""
    accounts = {account for name in names if (account := account_in(name))}
    return bool(accounts) and (not owners or not accounts.isdisjoint(owners))


def _owners(snapshots: Sequence[Snapshot], owner: Owner | None) -> frozenset[str]:
    told = {account for s in snapshots if s.owner and (account := account_in(s.owner) or s.owner)}
    return frozenset(told) | (owner.accounts if owner else frozenset())


def _permitted(
    access: AccessRecord,
    allowances: tuple[Grant, ...],
    denials: list[Grant],
    snapshots: Sequence[Snapshot],
    names: frozenset[str],
) -> Judgement:
    certain = tuple(g for g in allowances if not _caveats(g, access.resource))
    deciding = certain or allowances
    doubts = set() if certain else {c for g in deciding for c in _caveats(g, access.resource)}
    # Block Public Access touches nobody but the public.
    only_public = all(g.kind in _PUBLIC for g in deciding)
    if any(only_public or BLOCK not in g.conditions for g in denials):
        doubts.add(Caveat.DENIAL)
    if any(s.grants is None for s in snapshots):  # it may hold a denial
        doubts.add(Caveat.UNDISCLOSED)
    caveats = {*doubts, *_who(names)}
    if all(g.kind == Kind.ACCOUNT and g.principal not in names for g in deciding):
        caveats.add(Caveat.WHOLE_ACCOUNT)
    if _is_told_later(access, deciding, snapshots):
        caveats.add(Caveat.LATER)
    verdict = Verdict.CONDITIONAL if doubts else Verdict.PERMITTED
    positions = tuple(sorted(s.position for s in snapshots))
    return Judgement(access, verdict, deciding, positions, tuple(sorted(caveats)))


def _is_told_later(access: AccessRecord, deciding: Sequence[Grant], snapshots: Sequence[Snapshot]) -> bool:
    """Whether no snapshot that shows one of these grants was in the ledger before the access was."""
    before = [s for s in snapshots if s.position < access.position]
    return len(before) < len(snapshots) and all(set(deciding).isdisjoint(s.grants or ()) for s in before)


def _caveats(grant: Grant, resource: str | None) -> set[Caveat]:
    """Why a grant that speaks of an access to this resource may not apply to it."""
    found = set()
    everywhere = grant.resource in {None, EVERYBODY} and not grant.excluded(forms.NOT_RESOURCE)
    if resource is None and not everywhere:
        found.add(Caveat.RESOURCE)
    # What NotAction and NotResource take out is known; whom NotPrincipal takes out may be named in another way.
    if grant.conditions or grant.excluded(forms.NOT_PRINCIPAL):
        found.add(Caveat.CONDITION)
    texts = (grant.resource or "", *grant.excluded(forms.NOT_RESOURCE))
    if any(map(patterns.has_variable, texts)):
        found.add(Caveat.VARIABLE)
    return found


def _who(names: frozenset[str]) -> tuple[Caveat, ...]:
    return (Caveat.ROLE_ASSUMED,) if any(":assumed-role/" in name for name in names) else ()


_PUBLIC = frozenset({Kind.PUBLIC, Kind.AUTHENTICATED})
_ANONYMOUS = frozenset({"ANONYMOUS_PRINCIPAL", "anonymous", "Anonymous", "-"})
"""How logs call somebody who showed no credentials."""


def _is_meant(grant: Grant, names: frozenset[str]) -> bool:
    """Whether the grant is to the principal, under one of its names."""
    if grant.kind == Kind.AUTHENTICATED:
        return names.isdisjoint(_ANONYMOUS)
    if grant.kind in {Kind.PUBLIC, Kind.EVERY_USER} or grant.principal == EVERYBODY:
        return names.isdisjoint(grant.excluded(forms.NOT_PRINCIPAL))
    if grant.principal in names:
        return True
    if grant.kind == Kind.ACCOUNT:
        account = account_of(grant)
        return account is not None and any(account_in(name) == account for name in names)
    return grant.kind == Kind.ROLE and any(_is_role(name, grant.principal) for name in names)


_ASSUMED = re.compile(r"arn:([^:]*):sts::([0-9]{12}):assumed-role/([^/]+)/.+")
_ROLE = re.compile(r"arn:([^:]*):iam::([0-9]{12}):role/(?:.*/)?([^/]+)")


def _is_role(name: str, role: str) -> bool:
    """Whether a session is one of that role. A session's ARN leaves the role's path out; role names are unique."""
    session, found = _ASSUMED.fullmatch(name), _ROLE.fullmatch(role)
    return session is not None and found is not None and session.groups() == found.groups()


def resource_key(resource: str) -> str:
    """What snapshots are kept by: a role without its path, as sessions name it."""
    role = _ROLE.fullmatch(resource)
    return f"arn:{role[1]}:iam::{role[2]}:role/{role[3]}" if role else resource


def names_of(principal: str | None) -> frozenset[str]:
    """A principal's names: itself, and for a session of a role the role without its path."""
    if principal is None:
        return frozenset()
    session = _ASSUMED.fullmatch(principal)
    role = {f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"} if session else set()
    return frozenset({principal, *role})


_LEVELS = 32
"""Levels below a cloud's resource at which snapshots are looked for: a name may have thousands of them."""


def enclosing(resource: str | None) -> Iterator[str]:
    """The resource, and for one of a cloud what encloses it. A folder's permissions are not those of its files."""
    if resource is None:
        return
    yield resource
    if resource.startswith(("arn:", "acs:")):
        cuts = [at for at, character in enumerate(resource) if character == "/"][:_LEVELS]
        yield from (resource[:at] for at in reversed(cuts))
