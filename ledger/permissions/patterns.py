"""Wildcards of policies: `*` is any text, `?` any one character.

A pattern is compared with another pattern (`covers`) or with the name of one thing (`matches`). Names of things are
taken literally: an object whose key has an asterisk in it is one object.

In IAM `${*}`, `${?}` and `${$}` are those characters themselves, and any other `${…}` is a variable whose value only
the request knows. A variable is compared with another pattern by its spelling; for the name of a thing it may stand for
anything, and `has_variable` says that the answer is only a maybe.

`covers` is sound and not complete: what it affirms is so, and it denies a few things that are so, such as that `a?*`
covers `a*b`. A wildcard reaches over the colons of an ARN here, as IAM's does within an ARN's last part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_ANY = "*"
_ONE = "?"
_LITERALS = {"${*}": "\ue000", "${?}": "\ue001", "${$}": "$"}
_ESCAPE = re.compile(r"\$\{[*?$]\}")
_RUN = re.compile(r"[*?]{2,}")
_VARIABLE = re.compile(r"\$\{[^*?$][^}]*\}")
_LITERALLY = str.maketrans({_ANY: "\ue000", _ONE: "\ue001"})
"""Stand-ins from the private use area for characters that are meant literally."""


def covers(wide: str, narrow: str, *, fold: bool = False) -> bool:
    """Whether everything that `narrow` matches is matched by `wide`. `fold` ignores case, as names of actions do."""
    return _fits(_normal(wide, fold), _normal(narrow, fold))


def matches(pattern: str, name: str, *, fold: bool = False) -> bool:
    """Whether `pattern` may match the thing of that name."""
    prefix, whole = _compiled(pattern, fold)
    plain = _plain(name, fold)
    return plain.startswith(prefix) and _fits(whole, plain)


# Many accesses are held against few grants, and each access against many of them. A pattern may have 8,192 characters.
@lru_cache(maxsize=8192)
def _compiled(pattern: str, fold: bool) -> tuple[str, str]:
    """The text before the first wildcard, and all of it."""
    whole = _normal(_VARIABLE.sub(_ANY, pattern), fold)
    return re.split(r"[*?]", whole, maxsplit=1)[0], whole


@lru_cache(maxsize=1024)
def _plain(name: str, fold: bool) -> str:
    """A name without wildcards."""
    plain = name.translate(_LITERALLY)
    return plain.casefold() if fold else plain


def literal(name: str) -> str:
    """The pattern that matches the thing of that name and nothing else."""
    return re.sub(r"[*?$]", lambda found: f"${{{found[0]}}}", name)


@lru_cache(maxsize=8192)
def has_variable(pattern: str) -> bool:
    """Whether the pattern depends on the request, as `arn:aws:s3:::home/${aws:username}/*` does."""
    return _VARIABLE.search(pattern) is not None


def has_wildcard(pattern: str) -> bool:
    return not {_ANY, _ONE}.isdisjoint(_ESCAPE.sub("", pattern))


MOST_COMPARED = 100_000
"""Pairs of patterns that are compared; of more, none is said to cover the other."""


def covers_all(wide: Sequence[str], narrow: Sequence[str], *, fold: bool = False) -> bool:
    """Whether each pattern of `narrow` is covered by one of `wide`."""
    same = {_normal(pattern, fold) for pattern in wide}
    others = [n for n in narrow if _normal(n, fold) not in same]
    wild = [w for w in wide if has_wildcard(w)]
    if len(wild) * len(others) > MOST_COMPARED:
        return False
    return all(any(covers(w, n, fold=fold) for w in wild) for n in others)


@lru_cache(maxsize=8192)
def _normal(pattern: str, fold: bool) -> str:
    """One spelling: stand-ins for literal characters, and in a run of wildcards the question marks first."""
    text = _ESCAPE.sub(lambda found: _LITERALS[found[0]], pattern)
    text = _RUN.sub(lambda run: _ONE * run[0].count(_ONE) + _ANY * (_ANY in run[0]), text)
    return text.casefold() if fold else text


def _fits(pattern: str, text: str) -> bool:
    """Match, taking `*` and `?` in `text` for characters: a `*` there fits only a `*`, a `?` a `?` or a `*`.

    What stands between two asterisks is looked for from left to right, each at its first place, which leaves the most
    room for what follows; so time grows with pattern and text, and not with their product.
    """
    if _ANY not in pattern:
        return len(pattern) == len(text) and _find(pattern, text, 0, len(text)) == 0
    first, *between, last = pattern.split(_ANY)
    start, end = len(first), len(text) - len(last)
    if start > end or _find(first, text, 0, start) or _find(last, text, end, len(text)) != end:
        return False
    for segment in between:
        if (start := _find(segment, text, start, end)) < 0:
            return False
        start += len(segment)
    return True


def _find(segment: str, text: str, start: int, end: int) -> int:
    """Where a part without asterisks stands first in a part of the text; −1 if nowhere."""
    if _ONE not in segment:
        return text.find(segment, start, end)
    found = _regex(segment).search(text, start, end)
    return found.start() if found else -1


@lru_cache(maxsize=1024)
def _regex(segment: str) -> re.Pattern[str]:
    return re.compile("".join(r"[^*]" if c == _ONE else re.escape(c) for c in segment))
