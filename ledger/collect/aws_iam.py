"""AWS IAM: who may do what in an account, from one `aws iam get-account-authorization-details`.

Each user, group, role and managed policy becomes one snapshot, whose resource is its own ARN: so the snapshots of one
principal follow each other in time, and the account stands in the ARN and in `owner`.

- *A user* has the grants of its own policies and of those of its groups, inline and attached; a group those of its own.
- *A role* has, besides, the grants of its trust policy: who may assume it.
- *A policy* has the grants of its default version, to itself: whom it is attached to, the others' snapshots say.

A permissions boundary stands as a condition on what its principal is allowed; it takes away and never gives. A policy
that is attached and whose document the export lacks becomes a grant without actions, and the snapshot is
`best-effort`.

The file is read as a whole, since its parts refer to each other, and cut into records that stand for themselves:
`{"Kind":"user","Account":"…","Detail":{…},"Groups":[…],"Policies":{arn: document}}`. `raw_sha256` is taken over the
canonical JSON of that record. Ids hold IAM's own (`AIDA…`, `AROA…`), which are opaque; one in
another form is no id of IAM's, and a key of the ARN stands for it. The export does not say when
it was taken: the option does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.collect.files import NO_HEADER, Header, RawRecord
from ledger.collect.members import segment
from ledger.collect.policies import Named, policy_grants
from ledger.collect.snapshots import Found, SnapshotOptions, member, objects, snapshot_event, text
from ledger.errors import InputError, MalformedInput
from ledger.permissions.grants import Effect, Grant, Kind, make_grant

SYSTEM = "aws.iam"
MAX_FILE = 256 * 1024 * 1024
"""Size over which an export is not read, in bytes."""

_LISTS = {
    "UserDetailList": (Kind.USER, "UserId", "UserPolicyList"),
    "GroupDetailList": (Kind.GROUP, "GroupId", "GroupPolicyList"),
    "RoleDetailList": (Kind.ROLE, "RoleId", "RolePolicyList"),
    "Policies": (Kind.POLICY, "PolicyId", ""),
}
_KINDS = {kind: (id, inline) for kind, id, inline in _LISTS.values()}
_ID = re.compile(r"(AIDA|AGPA|AROA|ANPA)[A-Z0-9]{12,60}")
"""IAM's unique identifiers of users, groups, roles and managed policies."""
_ACCOUNT = re.compile(r"arn:[^:]+:iam::([0-9]{12}):.+")


@dataclass(frozen=True, slots=True)
class AwsIam:
    """The collector. It needs `options.captured`. `options.keys` name what has no id in IAM's own form."""

    options: SnapshotOptions

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".json",)

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        raw = file.read(MAX_FILE + 1)
        try:
            if len(raw) > MAX_FILE:
                raise MalformedInput(f"a file of over {MAX_FILE} bytes")
            export = canonical.parse_object(raw)
            records = list(_records(export))
        except InputError as error:
            yield RawRecord(1, raw[:4096], str(error))
            return
        yield from (RawRecord(n, canonical.encode(record)) for n, record in enumerate(records, 1))

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        record = canonical.parse_object(raw)
        detail = member(record, "Detail")
        arn = text(detail, "Arn")
        try:
            kind = Kind(str(record.get("Kind")))
            id_name, _ = _KINDS[kind]
        except (ValueError, KeyError):
            raise MalformedInput(
                "not a record of IAM", expected="Kind: user, group, role or policy"
            ) from None
        id = text(detail, id_name)
        if arn is None or id is None:
            raise MalformedInput("not a record of IAM", expected=f"Arn and {id_name}")
        account = _account_of(arn) or text(record, "Account")
        grants = _grants(record, detail, (arn, kind))
        return snapshot_event(
            self.options,
            Found(
                system=SYSTEM,
                resource=arn,
                grants=tuple(grants),
                raw=raw,
                api_call="iam:GetAccountAuthorizationDetails",
                owner=account,
                complete=all(grant.actions for grant in grants),
                owners=frozenset({account} if account else set()),
            ),
            source=f"/aws/iam/{segment(account)}",
            # What is not in IAM's form was made up by somebody, and may be a name.
            key=id if _ID.fullmatch(id) else self.options.keys.of(SYSTEM, arn),
        )


# --- The export, cut into records


def _records(export: Object) -> Iterator[Object]:
    if not set(_LISTS) <= set(export):
        raise MalformedInput("not account authorization details", expected=", ".join(_LISTS))
    documents = {str(policy.get("Arn")): _default_version(policy) for policy in objects(export, "Policies")}
    groups = {str(group.get("GroupName")): group for group in objects(export, "GroupDetailList")}
    account = _account(export)
    for name, (kind, _, _) in _LISTS.items():
        for detail in objects(export, name):
            mine = _members_of(groups, detail) if kind is Kind.USER else []
            attached = {arn for part in (detail, *mine) for arn in _attached(part)}
            held: Object = {arn: documents[arn] for arn in sorted(attached) if arn in documents}
            yield {
                "Kind": kind.value,
                "Account": account,
                "Detail": detail,
                "Groups": [*mine],
                "Policies": held,
            }


def _account(export: Object) -> str | None:
    """The account of the principals, for the policies that are AWS's own."""
    principals = (d for name in list(_LISTS)[:3] for d in objects(export, name))
    return next((account for d in principals if (account := _account_of(str(d.get("Arn"))))), None)


def _account_of(arn: str) -> str | None:
    found = _ACCOUNT.fullmatch(arn)
    return found[1] if found else None


def _members_of(groups: dict[str, Object], detail: Object) -> list[Object]:
    listed = detail.get("GroupList")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    # A group that the export lacks is kept by its name, so that what it allows is known to be unknown.
    return [groups.get(name, {"GroupName": name}) for name in names]


def _attached(part: Object) -> list[str]:
    return [str(policy.get("PolicyArn")) for policy in objects(part, "AttachedManagedPolicies")]


def _default_version(policy: Object) -> Value:
    """The document in force. Raises `MalformedInput` if there is not exactly one."""
    versions = [v for v in objects(policy, "PolicyVersionList") if v.get("IsDefaultVersion") is True]
    if len(versions) != 1 or versions[0].get("Document") is None:
        raise MalformedInput("a managed policy without one default version")
    return versions[0]["Document"]


# --- One record


def _grants(record: Object, detail: Object, holder: Named) -> list[Grant]:
    arn, kind = holder
    if kind is Kind.POLICY:
        return policy_grants(_default_version(detail), source="managed policy", holder=holder)
    documents = member(record, "Policies")
    grants = _held(detail, holder, documents, "")
    for group in objects(record, "Groups"):
        name = text(group, "GroupName") or ""
        if set(group) == {"GroupName"}:
            grants.append(make_grant(arn, [], kind=kind, source=f"group {name}, not in the export"))
        grants += _held(group, holder, documents, f"group {name}: ", Kind.GROUP)
    boundary = text(member(detail, "PermissionsBoundary"), "PermissionsBoundaryArn")
    if boundary:
        grants = [_bounded(grant, boundary) for grant in grants]
    trust = detail.get("AssumeRolePolicyDocument")
    if trust is not None:
        grants += policy_grants(trust, source="trust policy", resource=arn)
    return grants


def _held(part: Object, holder: Named, documents: Object, where: str, of: Kind | None = None) -> list[Grant]:
    """The grants of what is written into `part` or attached to it, to the holder."""
    _, inline = _KINDS[of or holder[1]]
    grants: list[Grant] = []
    for policy in objects(part, inline):
        source = f"{where}inline policy {text(policy, 'PolicyName')}"
        grants += policy_grants(policy.get("PolicyDocument"), source=source, holder=holder)
    for arn in _attached(part):
        source = f"{where}managed policy {arn}"
        if arn in documents:
            grants += policy_grants(documents[arn], source=source, holder=holder)
        else:
            grants.append(make_grant(holder[0], [], kind=holder[1], source=f"{source}, not in the export"))
    return grants


def _bounded(grant: Grant, boundary: str) -> Grant:
    if grant.effect is Effect.DENY:
        return grant
    condition: Object = {**grant.condition_value, "PermissionsBoundary": boundary}
    return make_grant(
        grant.principal,
        grant.actions,
        grant.resource,
        condition=condition,
        kind=grant.kind,
        source=grant.source,
    )
