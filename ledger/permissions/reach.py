"""How far the grants of one snapshot reach: to the public, and to outsiders.

The answer errs to one side. What cannot be decided from the snapshot counts as access, and `Reach.notes` says so:

1. *A denial* takes an allowance away only if it has no condition, names the same principal, its account or everybody,
   and covers the actions and the resource. A denial of everybody but some (`NotPrincipal`) has a condition.
2. *Everybody* (`*`, and the groups AllUsers and AuthenticatedUsers of ACLs) is the public, unless a condition narrows
   it to fixed values of a key that says who or from where (`_WHO`, `_WHERE`). Then it is an outsider, in words `*`; and
   nobody if all the values are the owner's own accounts or organisation. Operators that hold when the key is absent
   (`…IfExists`, `ForAllValues:…`), negations, wildcards and variables narrow nothing. These are the rules of S3
   (user guide, “The meaning of public”), but for the encryption key, which says neither who nor from where, and for
   wildcards in the names of access points; and those of OSS (user guide, “Block public access”).
3. *A named principal* is an outsider unless its account is the owner's, or it has none and so is a name of the system's
   own (a database role, a user of a file system). Where the owner is not known, every account is an outsider's.
4. *Block Public Access*: `IgnorePublicAcls` takes the public out of ACLs, `RestrictPublicBuckets` out of policies,
   OSS's `BlockPublicAccess` out of both; S3's other two flags only keep new grants away. Principals that are named
   stay, although `RestrictPublicBuckets` keeps other accounts out too while the policy is public.
5. *Services* of the provider are not outsiders; for whom they act, a snapshot does not say.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from ledger.canonical import Object, Value
from ledger.permissions import patterns
from ledger.permissions.grants import EVERYBODY, Effect, Grant, Kind, covers_resource

BLOCK = "PublicAccessBlock"
"""The condition under which a flag of Block Public Access is kept as a denial: `{"PublicAccessBlock": flag}`."""
_BLOCKS_ACLS = frozenset({"IgnorePublicAcls", "BlockPublicAccess"})
_BLOCKS_POLICIES = frozenset({"RestrictPublicBuckets", "BlockPublicAccess"})
ACL = "ACL"
"""How the source of a grant begins that stands in an access control list."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who is no outsider: accounts by number or canonical id, and an organisation (`o-…`)."""

    accounts: frozenset[str] = frozenset()
    organisation: str | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """`public` is None where the source has users of its own and nothing tells who they are. `external` is sorted."""

    public: bool | None
    external: tuple[str, ...]
    notes: tuple[str, ...]


MOST_COMPARED = 500_000
"""Comparisons of a grant with an action of a denial. A policy has some dozens of each."""


class _To(Enum):
    PUBLIC = "public"
    OUTSIDE = "outside"
    EVERY_USER = "every user"
    UNTOLD = "whoever it is"
    INSIDE = "inside"


@dataclass(slots=True)
class _Notes:
    texts: dict[str, None] = field(default_factory=dict)

    def add(self, text: str) -> None:
        self.texts.setdefault(text)


def reach(grants: Iterable[Grant], owner: Owner) -> Reach:
    """Who can reach the resource, from its grants. See the module for the rules."""
    listed = list(grants)
    denials = [g for g in listed if g.effect is Effect.DENY]
    allowances = [g for g in listed if g.effect is Effect.ALLOW and g.kind != Kind.POLICY]
    flags = public_access_block(denials)
    notes = _Notes()
    if len(allowances) * sum(1 + len(denial.actions) for denial in denials) > MOST_COMPARED:
        notes.add("There are too many denials to hold each grant against them: none is counted.")
        denials = []
    found: dict[_To, set[str]] = {to: set() for to in _To}
    for grant in allowances:
        if not _denied(grant, denials, notes):
            to = _blocked(grant, _reached(grant, owner, notes), flags, notes)
            found[to].add(grant.principal)
    public: bool | None = bool(found[_To.PUBLIC])
    if found[_To.EVERY_USER]:
        notes.add("Every user of the system is meant: whether outsiders are among them is not told.")
    if found[_To.EVERY_USER] or found[_To.UNTOLD]:
        public = public or None
    return Reach(public, tuple(sorted(found[_To.OUTSIDE])), tuple(notes.texts))


def public_access_block(grants: Iterable[Grant]) -> frozenset[str]:
    """The flags of Block Public Access that are on."""
    return frozenset(
        flag
        for grant in grants
        if grant.effect is Effect.DENY and isinstance(flag := grant.conditions.get(BLOCK), str)
    )


# --- 1: denials


def _denied(grant: Grant, denials: Sequence[Grant], notes: _Notes) -> bool:
    meant = [d for d in denials if BLOCK not in d.conditions and _speaks_of(d, grant)]
    if any(not d.is_unconditional for d in meant):
        notes.add("A denial with a condition is not counted: the condition may not hold.")
    certain = [d for d in meant if d.is_unconditional and covers_resource(d.resource, grant.resource)]
    denied = [pattern for d in certain for pattern in d.actions]
    return bool(grant.actions) and patterns.covers_all(denied, grant.actions, fold=True)


def _speaks_of(denial: Grant, grant: Grant) -> bool:
    if denial.principal == EVERYBODY or denial.principal == grant.principal:
        return True
    return (
        denial.kind == Kind.ACCOUNT
        and account_of(denial) is not None
        and account_of(denial) == account_of(grant)
    )


# --- 2, 3, 5: principals


_ARN_ACCOUNT = re.compile(
    r"(?:arn|acs):[^:*?]*:[^:]*:[^:]*:([0-9]{12,16}):.*|(?:arn|acs):(?:ram|sts)::([0-9]{12,16}):.*"
)


@lru_cache(maxsize=8192)
def account_in(arn: str) -> str | None:
    """The account in an ARN of AWS or Alibaba Cloud; None for other texts."""
    found = _ARN_ACCOUNT.fullmatch(arn)
    return found and (found[1] or found[2])


def account_of(grant: Grant) -> str | None:
    """The account that the principal belongs to, if its name tells."""
    if named := account_in(grant.principal):
        return named
    named_by_account = grant.kind in {Kind.ACCOUNT, Kind.CANONICAL_USER, Kind.UNKNOWN}
    return grant.principal if named_by_account else None


def _reached(grant: Grant, owner: Owner, notes: _Notes) -> _To:
    match grant.kind:
        case Kind.EVERY_USER:
            return _To.EVERY_USER
        case Kind.SERVICE:
            notes.add(f"{grant.principal} is a service of the provider: for whom it acts is not told.")
            return _To.PUBLIC if grant.principal == EVERYBODY else _To.INSIDE
        case Kind.UNKNOWN if grant.principal == EVERYBODY and not grant.actions:
            notes.add("Somebody is meant: neither who nor what for is told.")
            return _To.UNTOLD
        case Kind.PUBLIC | Kind.AUTHENTICATED:
            return _narrowed(grant, owner, notes)
        case _ if grant.principal == EVERYBODY:
            return _narrowed(grant, owner, notes)
        case Kind.FEDERATED if ":saml-provider/" not in grant.principal:
            notes.add(f"Whoever {grant.principal} vouches for is meant: all of them count as outsiders.")
            return _To.OUTSIDE
    account = account_of(grant)
    if account is None or account in owner.accounts:
        return _To.INSIDE
    if not owner.accounts:
        notes.add("The owner's accounts are not known: every account counts as an outsider's.")
    return _To.OUTSIDE


def _narrowed(grant: Grant, owner: Owner, notes: _Notes) -> _To:
    """Everybody, under the grant's conditions."""
    found = [
        (key, narrowed)
        for key, operator, values in _tests(grant.conditions)
        if (narrowed := _narrows(key, operator, values, owner)) is not None
    ]
    if any(narrowed is _To.INSIDE for _, narrowed in found):
        return _To.INSIDE
    if found:
        keys = ", ".join(sorted({key for key, _ in found}))
        notes.add(f"Everybody is meant, narrowed by {keys}: not the public, but perhaps outsiders.")
        return _To.OUTSIDE
    if not grant.is_unconditional:
        notes.add("Everybody is meant under a condition that names nobody and no place: it counts as public.")
    return _To.PUBLIC


def _tests(conditions: Object) -> Iterator[tuple[str, str, list[Value]]]:
    for operator, tests in conditions.items():
        for key, value in tests.items() if isinstance(tests, dict) else []:
            yield key.casefold(), operator, value if isinstance(value, list) else [value]


_OPERATORS = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})
_ACCOUNTS = frozenset({"aws:principalaccount", "aws:sourceaccount", "aws:sourceowner", "kms:calleraccount"})
_ORGANISATIONS = frozenset({"aws:principalorgid", "aws:principalorgpaths"})
_ARNS = frozenset({"aws:principalarn", "aws:sourcearn"})
_WHO = _ACCOUNTS | _ORGANISATIONS | _ARNS | {"aws:userid", "acs:accessid"}
_WHERE = frozenset(
    {"aws:sourcevpc", "aws:sourcevpce", "s3:dataaccesspointaccount", "s3:dataaccesspointarn"}
    | {"acs:sourcevpc", "acs:sourcevpcid"}
)
_ADDRESSES = frozenset({"aws:sourceip", "acs:sourceip", "acs:sourcevpcip"})


def _narrows(key: str, operator: str, values: list[Value], owner: Owner) -> _To | None:
    """Whom a test leaves over of everybody: insiders, outsiders, or None for everybody still."""
    texts = [value for value in values if isinstance(value, str) and value and "${" not in value]
    if not texts or len(texts) != len(values):
        return None
    if key in _ADDRESSES:
        return _To.OUTSIDE if operator == "IpAddress" and all(map(_is_bounded, texts)) else None
    if operator.removeprefix("ForAnyValue:") not in _OPERATORS or key not in _WHO | _WHERE:
        return None
    names = [_owner_named(key, text) for text in texts]
    if all(name is not None and not patterns.has_wildcard(name) for name in names):
        mine = owner.accounts | {owner.organisation}
        return _To.INSIDE if key in _WHO and mine.issuperset(names) else _To.OUTSIDE
    return _To.OUTSIDE if not any(map(patterns.has_wildcard, texts)) else None


def _owner_named(key: str, text: str) -> str | None:
    """The account or organisation that a value names; for other keys the value itself."""
    if key in _ARNS:
        return account_in(text)
    return text.partition("/")[0] if key == "aws:principalorgpaths" else text


def _is_bounded(text: str) -> bool:
    """Whether a range of addresses is small enough not to be the public: for S3 and OSS /8 or, in IPv6, /32."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return network.prefixlen >= (8 if network.version == 4 else 32)


# --- 4: Block Public Access


def _blocked(grant: Grant, to: _To, flags: frozenset[str], notes: _Notes) -> _To:
    if to is not _To.PUBLIC:
        return to
    in_acl = (grant.source or "").startswith(ACL)
    if flags.isdisjoint(_BLOCKS_ACLS if in_acl else _BLOCKS_POLICIES):
        return to
    if not in_acl and not grant.is_unconditional:
        notes.add("Block Public Access may not take this policy for public: it counts for outsiders.")
        return _To.OUTSIDE
    notes.add("Block Public Access keeps the public out as long as it is on.")
    return _To.INSIDE
