"""Policy documents of AWS (IAM, S3) and of Alibaba Cloud (RAM, OSS), which copied their grammar, as grants.

::

    {"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["s3:GetObject"],"Resource":"arn:aws:s3:::replays/*"}]}

One statement becomes a grant for each principal and resource. `NotAction`, `NotResource` and `NotPrincipal` become
`*` with what they take out as a condition (`ledger.permissions.grants`). A statement with a member that the grammar
does not have, with both of a pair or with neither, is refused, and with it the policy: reading half of one would
clear somebody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.errors import MalformedInput
from ledger.permissions.grants import (
    EVERYBODY,
    NOT_ACTION,
    NOT_PRINCIPAL,
    NOT_RESOURCE,
    Effect,
    Grant,
    Kind,
    make_grant,
)

Named = tuple[str, Kind]
"""A principal, and what kind it is."""

_STATEMENT = frozenset(
    {"Sid", "Effect", "Principal", NOT_PRINCIPAL, "Action", NOT_ACTION, "Resource", NOT_RESOURCE, "Condition"}
)
_EFFECTS = {"Allow": Effect.ALLOW, "Deny": Effect.DENY}


def policy_grants(
    document: Value,
    *,
    source: str,
    holder: Named | None = None,
    resource: str | None = None,
    principals: Callable[[Value], list[Named]] | None = None,
) -> list[Grant]:
    """The grants of a policy.

    Args:
        document: the policy, or its text, percent-encoded as IAM's API answers it or not.
        source: where it stands.
        holder: to whom it is attached; None for the policy of a resource, which names its principals itself.
        resource: what a statement without resource is about, as in a role's trust policy.
        principals: how the member `Principal` is read; by default as in AWS.

    Raises:
        MalformedInput: naming what is out of form, without quoting it.
    """
    policy = _document(document)
    if not {"Version", "Id", "Statement"}.issuperset(policy):
        raise _malformed("a member that policies do not have")
    statements = policy.get("Statement")
    found: list[Grant] = []
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict) or not _STATEMENT.issuperset(statement):
            raise _malformed("a statement that is none, or has an unknown member")
        found += _statement_grants(statement, source, holder, resource, principals or aws_principals)
    return found


def _document(document: Value) -> Object:
    if isinstance(document, str):
        text = document if document.lstrip().startswith("{") else unquote(document)
        document = canonical.parse_text(text)
    if not isinstance(document, dict):
        raise _malformed("not an object")
    return document


def _statement_grants(
    statement: Object,
    source: str,
    holder: Named | None,
    resource: str | None,
    read_principals: Callable[[Value], list[Named]],
) -> Iterator[Grant]:
    condition = dict(_condition(statement))
    who = [holder] if holder else _principals(statement, condition, read_principals)
    if holder and not {"Principal", NOT_PRINCIPAL}.isdisjoint(statement):
        raise _malformed("a principal in a policy that is attached to one")
    actions = _either(statement, "Action", NOT_ACTION, condition)
    if actions is None:
        raise _malformed("a statement without action")
    resources: list[str | None] = [*(_either(statement, "Resource", NOT_RESOURCE, condition) or [])]
    effect = _EFFECTS.get(str(statement.get("Effect")))
    if effect is None:
        raise _malformed("an effect that is neither Allow nor Deny")
    for principal, kind in who:
        for about in resources or [resource]:
            yield make_grant(
                principal, actions, about, effect=effect, condition=condition, kind=kind, source=source
            )


def _condition(statement: Object) -> Object:
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(tests, dict) for tests in condition.values()):
        raise _malformed("a condition that is no object of objects")
    return condition


def _either(statement: Object, name: str, not_name: str, condition: Object) -> list[str] | None:
    """The patterns of `Action` or `Resource`; those of the `Not…` go into the condition."""
    if name in statement and not_name in statement:
        raise _malformed(f"both {name} and {not_name}")
    if not_name in statement:
        condition[not_name] = [*_texts(statement[not_name])]
        return [EVERYBODY]
    return _texts(statement[name]) if name in statement else None


def _principals(statement: Object, condition: Object, read: Callable[[Value], list[Named]]) -> list[Named]:
    if ("Principal" in statement) == (NOT_PRINCIPAL in statement):
        raise _malformed("a statement without principal, or with two")
    if NOT_PRINCIPAL in statement:
        condition[NOT_PRINCIPAL] = [name for name, _ in read(statement[NOT_PRINCIPAL])]
        return [(EVERYBODY, Kind.PUBLIC)]
    return read(statement["Principal"])


def _texts(value: Value) -> list[str]:
    texts = [
        text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text
    ]
    if not texts or (isinstance(value, list) and len(texts) != len(value)):
        raise _malformed("a list with something else than texts, or with nothing")
    return texts


def _malformed(got: str) -> MalformedInput:
    return MalformedInput("not a policy", expected="a document of IAM's policy grammar", got=got)


# --- Principals


_ACCOUNT = re.compile(r"[0-9]{12}")
_ARN = re.compile(
    r"arn:[a-z-]+:(iam|sts)::[0-9]{12}:(root|user|role|assumed-role|federated-user|group)(/.+)?"
)
_ARN_KINDS = {"root": Kind.ACCOUNT, "user": Kind.USER, "group": Kind.GROUP, "federated-user": Kind.FEDERATED}


def aws_principals(value: Value) -> list[Named]:
    """The principals of a member `Principal` in AWS: `"*"`, or lists by AWS, Service, Federated and CanonicalUser."""
    if value == EVERYBODY:
        return [(EVERYBODY, Kind.PUBLIC)]
    if not isinstance(value, dict) or not value:
        raise _malformed("a principal out of form")
    return [_aws_principal(type_, name) for type_, names in value.items() for name in _texts(names)]


def _aws_principal(type_: str, name: str) -> Named:
    if name == EVERYBODY:
        return EVERYBODY, Kind.PUBLIC
    match type_:
        case "Service":
            return name, Kind.SERVICE
        case "Federated":
            return name, Kind.FEDERATED
        case "CanonicalUser":
            return name, Kind.CANONICAL_USER
        case "AWS" if _ACCOUNT.fullmatch(name):
            return f"arn:aws:iam::{name}:root", Kind.ACCOUNT
        case "AWS" if arn := _ARN.fullmatch(name):
            return name, _ARN_KINDS.get(arn[2], Kind.ROLE)
    return name, Kind.UNKNOWN  # such as AIDA…, which is what becomes of a principal that was deleted


_ACS_ARN = re.compile(r"(?:acs:ram|arn:sts)::[0-9]{12,16}:(root|user|role|assumed-role)(?:/.+)?")


def alibaba_principals(value: Value) -> list[Named]:
    """The principals of Alibaba Cloud: a list in OSS (numbers of accounts or users, ARNs, `*`), by RAM, Service and
    Federated in a role's trust policy."""
    if not isinstance(value, dict):
        return [_alibaba_principal("RAM", name) for name in _texts(value)]
    if not value:
        raise _malformed("a principal out of form")
    return [_alibaba_principal(type_, name) for type_, names in value.items() for name in _texts(names)]


def _alibaba_principal(type_: str, name: str) -> Named:
    if name == EVERYBODY:
        return EVERYBODY, Kind.PUBLIC
    if type_ in {"Service", "Federated"}:
        return name, Kind.SERVICE if type_ == "Service" else Kind.FEDERATED
    arn = _ACS_ARN.fullmatch(name)
    # A bare number may be an account's or one of its users': which, only the provider knows.
    return name, _ARN_KINDS.get(arn[1], Kind.ROLE) if arn else Kind.UNKNOWN
