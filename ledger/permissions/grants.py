"""The normal form of a grant.

A grant is one permission of one principal on one resource, as an event of type permission-snapshot carries it in its
member `grants`::

    {"principal":"arn:aws:iam::111122223333:root","kind":"account","actions":["s3:GetObject","s3:ListBucket"],
     "resource":"arn:aws:s3:::replays/*","effect":"allow","source":"bucket policy"}

Whatever the source, these words mean the same:

- `principal` is the source's own name for who is meant; `*` is everybody there can be. An AWS account is written as its
  root ARN, however the policy spelled it, and a group of ACLs as the URI that S3 gives it.
- `kind` is one of `Kind`, or a word of the source's own. It tells `*` of the internet (`public`) from every user of one
  system (`every-user`: PostgreSQL's PUBLIC, a file's `other`).
- `actions` are in the source's words, with its wildcards; they are sorted, since their order means nothing. None at all
  says that the source names a permission without telling what it allows.
- `resource` is left out where the grant is for all of the snapshot's resource.
- `condition` holds what narrows the grant further: `{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2"}}`. All of its
  members must hold. Three of them, spelled as in policies, take something out instead of asking for something:
  `NotAction`, `NotResource` and `NotPrincipal`, each a list. A statement with `NotAction` so becomes a grant of `*`
  under the condition `{"NotAction":["iam:*"]}`; whoever knows nothing of this sees too much access, never too little.

Reading is strict about members and types; `effect` may be absent (allow), actions may come in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.errors import MalformedInput
from ledger.permissions import patterns

EVERYBODY = "*"

NOT_ACTION, NOT_RESOURCE, NOT_PRINCIPAL = "NotAction", "NotResource", "NotPrincipal"
EXCLUSIONS = (NOT_ACTION, NOT_RESOURCE, NOT_PRINCIPAL)


class Effect(StrEnum):
    """What a grant does."""

    ALLOW = "allow"
    DENY = "deny"


class Kind(StrEnum):
    """Kinds of principal that mean something here; sources may use further words."""

    PUBLIC = "public"
    """Anybody at all, with or without an account."""
    AUTHENTICATED = "authenticated-users"
    """Anybody with some account at the provider, which anybody can have."""
    EVERY_USER = "every-user"
    """Every user of one system, such as PostgreSQL's PUBLIC."""
    ACCOUNT = "account"
    USER = "user"
    ROLE = "role"
    GROUP = "group"
    POLICY = "policy"
    """A policy document by itself: it grants to whomever it is attached."""
    SERVICE = "service"
    """A service of the provider's own."""
    FEDERATED = "federated"
    """Whoever an identity provider vouches for."""
    CANONICAL_USER = "canonical-user"
    """An AWS account by the id that ACLs use."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission. `actions` are sorted and distinct; `condition` is canonical JSON, so that grants compare."""

    principal: str
    actions: tuple[str, ...]
    resource: str | None = None
    effect: Effect = Effect.ALLOW
    condition: str | None = None
    kind: str | None = None
    source: str | None = None

    @property
    def conditions(self) -> Object:
        """What is asked for: the condition without what it takes out."""
        if self.condition is None:
            return {}
        return {name: value for name, value in self.condition_value.items() if name not in EXCLUSIONS}

    def excluded(self, name: str) -> tuple[str, ...]:
        """What `NotAction`, `NotResource` or `NotPrincipal` takes out."""
        if self.condition is None:
            return ()
        listed = self.condition_value.get(name)
        return tuple(v for v in listed if isinstance(v, str)) if isinstance(listed, list) else ()

    @property
    def is_unconditional(self) -> bool:
        return self.condition is None

    @property
    def key(self) -> tuple[str, ...]:
        """By which grants are put into their one order."""
        texts = (
            self.principal,
            self.resource or "",
            self.effect,
            self.condition or "",
            self.kind or "",
            self.source or "",
        )
        return (*texts, *self.actions)

    @property
    def condition_value(self) -> Object:
        """The condition as JSON; empty where there is none. It is shared, so nobody may change it."""
        return _parse_condition(self.condition) if self.condition else {}


@lru_cache(maxsize=4096)
def _parse_condition(text: str) -> Object:
    value = canonical.parse_text(text)
    return value if isinstance(value, dict) else {}


def make_grant(
    principal: str,
    actions: Iterable[str],
    resource: str | None = None,
    *,
    effect: Effect = Effect.ALLOW,
    condition: Object | None = None,
    kind: str | None = None,
    source: str | None = None,
) -> Grant:
    """A grant in normal form. An empty condition is none."""
    text = canonical.encode(_sorted_exclusions(condition)).decode() if condition else None
    return Grant(principal, tuple(sorted(set(actions))), resource, effect, text, kind, source)


def _sorted_exclusions(condition: Object) -> Object:
    def normal(value: Value) -> Value:
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return [*sorted({str(v) for v in value})]
        return value

    return {name: normal(value) if name in EXCLUSIONS else value for name, value in condition.items()}


_MEMBERS = frozenset({"principal", "kind", "actions", "resource", "effect", "condition", "source"})


def parse_grant(value: Value) -> Grant:
    """Read one grant of a snapshot. `null` says the same as an absent member.

    Raises:
        MalformedInput: for another member, another type, or an empty text.
    """
    if not isinstance(value, dict):
        raise _malformed("not an object")
    given: dict[str, Any] = {name: member for name, member in value.items() if member is not None}
    if not _MEMBERS.issuperset(value):
        raise _malformed("a member that grants do not have")
    texts = {name: given.get(name) for name in ("principal", "kind", "resource", "source", "effect")}
    if not all(text is None or (isinstance(text, str) and text) for text in texts.values()):
        raise _malformed("a member that is no text, or empty")
    actions, condition = given.get("actions"), given.get("condition")
    if not isinstance(actions, list) or not all(isinstance(a, str) and a for a in actions):
        raise _malformed("actions that are no list of texts")
    if condition is not None and not _is_condition(condition):
        raise _malformed("a condition out of form")
    if texts["principal"] is None or texts["effect"] not in {None, *Effect}:
        raise _malformed("no principal, or an effect that is neither allow nor deny")
    return make_grant(
        texts["principal"],
        actions,
        texts["resource"],
        effect=Effect(texts["effect"] or Effect.ALLOW),
        condition=condition,
        kind=texts["kind"],
        source=texts["source"],
    )


def parse_grants(value: Value) -> tuple[Grant, ...]:
    """The grants of a snapshot, in their one order. Raises `MalformedInput` as `parse_grant`."""
    if not isinstance(value, list):
        raise _malformed("grants that are no list")
    return in_order(parse_grant(grant) for grant in value)


def in_order(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """The grants without repeats, in the order of `Grant.key`."""
    return tuple(sorted(set(grants), key=lambda grant: grant.key))


def to_value(grant: Grant) -> Object:
    """The JSON of a grant; `parse_grant` reads it back."""
    value: Object = {
        "principal": grant.principal,
        "kind": grant.kind,
        "actions": list(grant.actions),
        "resource": grant.resource,
        "effect": grant.effect.value,
        "condition": canonical.parse_text(grant.condition) if grant.condition else None,
        "source": grant.source,
    }
    return {name: member for name, member in value.items() if member is not None}


def _is_condition(value: Value) -> bool:
    if not isinstance(value, dict):
        return False
    lists = [value[name] for name in EXCLUSIONS if name in value]
    return all(isinstance(listed, list) and all(isinstance(v, str) for v in listed) for listed in lists)


def _malformed(got: str) -> MalformedInput:
    return MalformedInput("not a grant", expected="principal, actions, and optionally kind … source", got=got)


# --- Comparing grants of one principal


def covers(wide: Grant, narrow: Grant) -> bool:
    """Whether `wide` reaches at least as far as `narrow`: actions, resource and condition; principals are not compared.

    Sound and not complete, as `patterns.covers` is. For two denials it compares what is denied.
    """
    return (
        wide.effect == narrow.effect
        and _covers_actions(wide, narrow)
        and covers_resource(wide.resource, narrow.resource)
        and _exclusions_within(wide, narrow)
        and _fewer_conditions(wide.conditions, narrow.conditions)
    )


def _covers_actions(wide: Grant, narrow: Grant) -> bool:
    if not narrow.actions:  # unknown: covered by everything there is, or by itself
        return EVERYBODY in wide.actions or not wide.actions
    return patterns.covers_all(wide.actions, narrow.actions, fold=True)


def covers_resource(wide: str | None, narrow: str | None) -> bool:
    """No resource is all of the snapshot's."""
    if wide is None or wide == EVERYBODY:
        return True
    return narrow is not None and patterns.covers(wide, narrow)


def _exclusions_within(wide: Grant, narrow: Grant) -> bool:
    """Whether what `wide` takes out is taken out by `narrow` too, or lies outside of it anyhow."""
    actions, resources = narrow.excluded(NOT_ACTION), narrow.excluded(NOT_RESOURCE)
    principals = set(narrow.excluded(NOT_PRINCIPAL))
    return (
        patterns.covers_all(actions, wide.excluded(NOT_ACTION), fold=True)
        and patterns.covers_all(resources, wide.excluded(NOT_RESOURCE))
        and principals.issuperset(wide.excluded(NOT_PRINCIPAL))
    )


def _fewer_conditions(wide: Object, narrow: Object) -> bool:
    """All elements of a condition must hold, so the one with fewer of the same elements is the wider."""
    return _elements(wide) <= _elements(narrow)


def _elements(condition: Object) -> frozenset[str]:
    """`{"StringEquals":{"k":"v"}}` as one text for each operator and key; a single value is a list of one."""
    found = set()
    for operator, tests in condition.items():
        for key, value in tests.items() if isinstance(tests, dict) else [("", tests)]:
            values = value if isinstance(value, list) else [value]
            normal = sorted({canonical.encode(v) for v in values})
            found.add(f"{operator} {key.casefold()} {b' '.join(normal).decode()}")
    return frozenset(found)


# --- Holding one access against a grant


def reaches(grant: Grant, action: str, resource: str | None) -> bool:
    """Whether the grant speaks of this action on this resource, its conditions aside.

    A resource of None is the snapshot's own, without saying which part of it.
    """
    everywhere = resource is None or grant.resource is None or grant.resource == EVERYBODY
    return (
        (everywhere or patterns.matches(str(grant.resource), str(resource)))
        and any(patterns.matches(pattern, action, fold=True) for pattern in grant.actions)
        and not any(patterns.matches(pattern, action, fold=True) for pattern in _certain(grant, NOT_ACTION))
        and not _taken_out(grant, resource)
    )


def _taken_out(grant: Grant, resource: str | None) -> bool:
    return resource is not None and any(
        patterns.matches(pattern, resource) for pattern in _certain(grant, NOT_RESOURCE)
    )


def _certain(grant: Grant, name: str) -> Sequence[str]:
    # A variable may stand for anything: what it takes out for certain is nothing.
    return [pattern for pattern in grant.excluded(name) if not patterns.has_variable(pattern)]
