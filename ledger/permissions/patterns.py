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


# Many accesses are held against few grants, and each access against many of them.
@lru_cache(maxsize=65_536)
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


@lru_cache(maxsize=65_536)
def has_variable(pattern: str) -> bool:
    """Whether the pattern depends on the request, as `arn:aws:s3:::home/${aws:username}/*` does."""
    return _VARIABLE.search(pattern) is not None


def has_wildcard(pattern: str) -> bool:
    return not {_ANY, _ONE}.isdisjoint(_ESCAPE.sub("", pattern))


def covers_all(wide: Sequence[str], narrow: Sequence[str], *, fold: bool = False) -> bool:
    """Whether each pattern of `narrow` is covered by one of `wide`."""
    return all(any(covers(w, n, fold=fold) for w in wide) for n in narrow)


def _normal(pattern: str, fold: bool) -> str:
    """One spelling: stand-ins for literal characters, and in a run of wildcards the question marks first."""
    text = _ESCAPE.sub(lambda found: _LITERALS[found[0]], pattern)
    text = _RUN.sub(lambda run: _ONE * run[0].count(_ONE) + _ANY * (_ANY in run[0]), text)
    return text.casefold() if fold else text


def _fits(pattern: str, text: str) -> bool:
    """Match, taking `*` and `?` in `text` for characters: `*` fits only a `*`, `?` a `?` or a `*`.

    Goes back to the last asterisk only, which is enough because one later asterisk can take what an earlier would.
    """
    at = star = 0
    back = -1
    place = 0
    while place < len(text):
        here = pattern[at] if at < len(pattern) else ""
        if here == _ANY:
            back, star = at, place
            at += 1
        elif here and (here == text[place] or (here == _ONE and text[place] != _ANY)):
            at, place = at + 1, place + 1
        elif back >= 0:
            star += 1
            at, place = back + 1, star
        else:
            return False
    return pattern[at:].strip(_ANY) == ""
