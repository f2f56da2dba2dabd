"""What changed between two snapshots of one resource.

Grants that stand in both are left out. A grant of the one is paired with a grant of the other that has the same
principal and effect when one of the two covers the other; what finds no partner was added or removed. So a policy in
which one statement became two shows an addition and a narrowing, although together they may allow what was allowed
before. Partners are looked for with bounded work: of thousands of grants that all changed, some are shown as removed
and added that were widened or narrowed.

*Widened* and *narrowed* speak of access: a denial that reaches further narrows it. *Restated* is a grant that allows
the same in other words, or that stands elsewhere now. `apply` undoes the division: the earlier grants and the
difference give the later ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ledger.permissions.grants import EVERYBODY, Effect, Grant, Kind, covers, in_order
from ledger.permissions.reach import BLOCK


@dataclass(frozen=True, slots=True)
class Change:
    """One grant as it was and as it is."""

    before: Grant
    after: Grant


@dataclass(frozen=True, slots=True)
class Difference:
    """Each list is in the order of `Grant.key`, changes by what was before."""

    added: tuple[Grant, ...] = ()
    removed: tuple[Grant, ...] = ()
    widened: tuple[Change, ...] = ()
    narrowed: tuple[Change, ...] = ()
    restated: tuple[Change, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.widened or self.narrowed or self.restated)


def difference(before: Iterable[Grant], after: Iterable[Grant]) -> Difference:
    """What changed from `before` to `after`. The same whatever the order of the grants."""
    earlier, later = set(before), set(after)
    gone, come = dict.fromkeys(in_order(earlier - later)), dict.fromkeys(in_order(later - earlier))
    changes: list[Change] = []
    # The likeliest partner first: of the same resource and condition, then of the same resource, then any.
    for like in (_same_place, _same_resource, _same_principal):
        changes += _pair(gone, come, like)
    sorted_changes: dict[str, list[Change]] = {"widened": [], "narrowed": [], "restated": []}
    for change in sorted(changes, key=lambda c: (c.before.key, c.after.key)):
        sorted_changes[_direction(change)].append(change)
    return Difference(
        added=tuple(come),
        removed=tuple(gone),
        widened=tuple(sorted_changes["widened"]),
        narrowed=tuple(sorted_changes["narrowed"]),
        restated=tuple(sorted_changes["restated"]),
    )


def _same_place(grant: Grant) -> tuple[str | None, ...]:
    return (grant.effect, grant.principal, grant.resource or "", grant.condition)


def _same_resource(grant: Grant) -> tuple[str | None, ...]:
    return (grant.effect, grant.principal, grant.resource or "")


def _same_principal(grant: Grant) -> tuple[str | None, ...]:
    return (grant.effect, grant.principal)


MOST_COMPARED = 100_000
"""Comparisons of one action with another, at most, to find partners; where there are more, groups go without."""

_Group = tuple[list[Grant], list[Grant]]
"""Grants that are alike, as they were and as they are."""


def _pair(
    gone: dict[Grant, None], come: dict[Grant, None], like: Callable[[Grant], tuple[str | None, ...]]
) -> list[Change]:
    """Take pairs out of both: alike, and one covers the other. First come, first served, in either direction."""
    groups: defaultdict[tuple[str | None, ...], _Group] = defaultdict(lambda: ([], []))
    for side, grants in enumerate((gone, come)):
        for grant in grants:
            groups[like(grant)][side].append(grant)
    pairs, left = list[Change](), MOST_COMPARED
    for group in sorted(groups.values(), key=_comparisons):
        if (left := left - _comparisons(group)) < 0:
            break
        pairs += [Change(b, a) for b in group[0] for a in group[1] if covers(a, b) or covers(b, a)]
    found = []
    for change in sorted(pairs, key=lambda c: sorted((c.before.key, c.after.key))):
        if change.before in gone and change.after in come:
            del gone[change.before], come[change.after]
            found.append(change)
    return found


def _comparisons(group: _Group) -> int:
    before, after = (sum(1 + len(grant.actions) for grant in grants) for grants in group)
    return before * after


def _direction(change: Change) -> Literal["widened", "narrowed", "restated"]:
    grows, shrinks = covers(change.after, change.before), covers(change.before, change.after)
    if grows and shrinks:
        return "restated"
    return "widened" if grows == (change.after.effect is Effect.ALLOW) else "narrowed"


def apply(change: Difference, before: Iterable[Grant]) -> tuple[Grant, ...]:
    """The later grants, of the earlier ones and the difference. Raises `ValueError` if it is not theirs."""
    changed = (*change.widened, *change.narrowed, *change.restated)
    gone = {*change.removed, *(pair.before for pair in changed)}
    earlier = set(before)
    if not gone <= earlier:
        raise ValueError("a difference of other grants")
    return in_order((earlier - gone) | {*change.added, *(pair.after for pair in changed)})


# --- In words


@dataclass(frozen=True, slots=True)
class _Words:
    """Templates of one language."""

    added: str
    removed: str
    widened: str
    narrowed: str
    restated: str
    denial_added: str
    denial_removed: str
    denial_widened: str
    denial_narrowed: str
    block_on: str
    block_off: str
    something: str
    everything: str
    conditional: str
    everybody: str
    authenticated: str
    every_user: str
    and_more: str
    comma: str


_ENGLISH = _Words(
    added="{who} may now {what} on {where}{condition}.",
    removed="{who} may no longer {what} on {where}{condition}.",
    widened="{who} may do more on {where}: {before} became {what}{condition}.",
    narrowed="{who} may do less on {where}: {before} became {what}{condition}.",
    restated="What {who} may do on {where} is stated in another way: {what}{condition}.",
    denial_added="{who} is now denied {what} on {where}{condition}.",
    denial_removed="{who} is no longer denied {what} on {where}{condition}.",
    denial_narrowed="{who} is denied more on {where}: {before} became {what}{condition}.",
    denial_widened="{who} is denied less on {where}: {before} became {what}{condition}.",
    block_on="Block Public Access: {what} is now on.",
    block_off="Block Public Access: {what} is no longer on.",
    something="do what the source does not tell",
    everything="the whole resource",
    conditional=", under a condition",
    everybody="anybody",
    authenticated="anybody with an account at the provider",
    every_user="every user of the system",
    and_more="{names} and {n} more",
    comma=", ",
)
_CHINESE = _Words(
    added="{who} 现可对 {where} 执行 {what}{condition}。",
    removed="{who} 不再可对 {where} 执行 {what}{condition}。",
    widened="{who} 对 {where} 的权限扩大:{before} 变为 {what}{condition}。",
    narrowed="{who} 对 {where} 的权限缩小:{before} 变为 {what}{condition}。",
    restated="{who} 对 {where} 的权限换了写法:{what}{condition}。",
    denial_added="现禁止 {who} 对 {where} 执行 {what}{condition}。",
    denial_removed="不再禁止 {who} 对 {where} 执行 {what}{condition}。",
    denial_narrowed="对 {who} 在 {where} 上的禁止扩大:{before} 变为 {what}{condition}。",
    denial_widened="对 {who} 在 {where} 上的禁止缩小:{before} 变为 {what}{condition}。",
    block_on="阻止公开访问:{what} 已开启。",
    block_off="阻止公开访问:{what} 已不再开启。",
    something="来源未说明的操作",
    everything="整个资源",
    conditional="(附条件)",
    everybody="任何人",
    authenticated="任何拥有该服务商账户的人",
    every_user="该系统的每个用户",
    and_more="{names} 等(另有 {n} 项)",
    comma="、",
)
_SHOWN = 5
"""How many actions a sentence names."""


def in_words(change: Difference, language: Literal["en", "zh"] = "en") -> list[str]:
    """One sentence for each change, what opens access first. Names are the source's own, so they may be personal."""
    words = _CHINESE if language == "zh" else _ENGLISH
    allowed = [g for g in change.added if g.effect is Effect.ALLOW]
    undenied = [g for g in change.removed if g.effect is Effect.DENY]
    revoked = [g for g in change.removed if g.effect is Effect.ALLOW]
    denied = [g for g in change.added if g.effect is Effect.DENY]
    return [
        *(_say(words, words.added, g) for g in allowed),
        *(_say(words, words.denial_removed, g, block=words.block_off) for g in undenied),
        *(_say_change(words, "widened", c) for c in change.widened),
        *(_say(words, words.removed, g) for g in revoked),
        *(_say(words, words.denial_added, g, block=words.block_on) for g in denied),
        *(_say_change(words, "narrowed", c) for c in change.narrowed),
        *(_say_change(words, "restated", c) for c in change.restated),
    ]


def _say(words: _Words, template: str, grant: Grant, before: str = "", block: str = "") -> str:
    flag = grant.conditions.get(BLOCK)
    if block and isinstance(flag, str):
        return block.format(what=flag)
    sentence = template.format(
        who=_who(words, grant),
        what=_actions(words, grant),
        where=grant.resource or words.everything,
        condition="" if grant.is_unconditional else words.conditional,
        before=before,
    )
    # A source's own name keeps its case, even at the beginning of a sentence.
    spoken = grant.kind in _SPOKEN or grant.principal == EVERYBODY
    return sentence[0].upper() + sentence[1:] if spoken else sentence


def _say_change(words: _Words, direction: str, change: Change) -> str:
    denial = "denial_" if change.after.effect is Effect.DENY and direction != "restated" else ""
    before = _actions(words, change.before)
    if change.before.resource != change.after.resource:
        before += f" ({change.before.resource or words.everything})"
    if change.before.condition != change.after.condition and not change.before.is_unconditional:
        before += words.conditional
    return _say(words, getattr(words, denial + direction), change.after, before)


_SPOKEN = frozenset({Kind.PUBLIC, Kind.AUTHENTICATED, Kind.EVERY_USER})


def _who(words: _Words, grant: Grant) -> str:
    match grant.kind:
        case Kind.AUTHENTICATED:
            return words.authenticated
        case Kind.EVERY_USER:
            return words.every_user
        case Kind.PUBLIC:
            return words.everybody
    return words.everybody if grant.principal == EVERYBODY else grant.principal


def _actions(words: _Words, grant: Grant) -> str:
    if not grant.actions:
        return words.something
    names = words.comma.join(grant.actions[:_SHOWN])
    more = len(grant.actions) - _SHOWN
    return words.and_more.format(names=names, n=more) if more > 0 else names
