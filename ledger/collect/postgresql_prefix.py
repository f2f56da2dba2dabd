r"""`log_line_prefix`: how the lines of PostgreSQL's stderr log begin, and what they tell by it.

The setting is text with escapes, of which these are read (documentation, “log_line_prefix”)::

    %m %t %n   time, with milliseconds, without, in Unix time        %u %d   role, database
    %h %r      address; with its port, 198.51.100.7(50123)           %a %i   application, command
    %c %l      session id, number of the line in the session         %e      SQLSTATE
    %p %P %s %v %x %Q %b   are passed over                           %q      lines of no session end their prefix here

    >>> LinePrefix("%m [%p] %q%u@%d ").read("2026-07-01 12:00:03.123 UTC [42] ann@shop LOG:  statement: …").fields
    {'m': '2026-07-01 12:00:03.123 UTC', 'p': '42', 'u': 'ann', 'd': 'shop'}

After it every line has a label (`LOG`, `ERROR`, `DETAIL` …), a colon and two spaces. Role, database and application are
their owner's to choose, so that a prefix may end in more than one place: such a line is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ledger.errors import MalformedInput

SECONDARY = frozenset({"DETAIL", "HINT", "QUERY", "CONTEXT", "LOCATION", "BACKTRACE", "STATEMENT"})
"""Labels of lines that belong to the line before."""
_PRIMARY = r"DEBUG[1-5]?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC"
_LABEL = rf"(?P<label>{_PRIMARY}|{'|'.join(sorted(SECONDARY))}):  (?P<text>.*)"

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"
_ADDRESS = r"\[local\]|[A-Za-z0-9._:%-]+"
_ESCAPES = {
    "m": rf"{_DAY}\.[0-9]{{3}} \S+",
    "t": rf"{_DAY} \S+",
    "s": rf"{_DAY} \S+",
    "n": r"[0-9]+\.[0-9]{3}",
    "p": r"[0-9]+",
    "P": r"[0-9]*",
    "l": r"[0-9]+",
    "c": r"[0-9a-f]+\.[0-9a-f]+",
    "x": r"[0-9]+",
    "v": r"[0-9/-]*",
    "e": r"[0-9A-Z]{5}",
    "Q": r"-?[0-9]+",
    "b": r"[a-z ]{0,63}",
    "h": rf"(?:{_ADDRESS})?",
    "r": rf"(?:\[local\]|(?:{_ADDRESS})\([0-9]+\)|\[unknown\])?",
    "u": ".{0,63}",
    "d": ".{0,63}",
    "a": ".{0,63}",
    "i": ".{0,63}",
}
"""What an escape can become. Names have 63 bytes at most (`NAMEDATALEN`)."""
_FREE = frozenset("udaib")
_ESCAPE = re.compile(r"%(-?[0-9]*)(.)|([^%]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the escapes' values, its label, and the text after that."""

    fields: dict[str, str]
    label: str
    text: str

    def belongs_to(self, first: Line | None) -> bool:
        """Whether it goes on with what `first` began: of the same process, as far as the prefix tells that."""
        return (
            first is not None
            and self.label in SECONDARY
            and all(self.fields.get(name) == first.fields.get(name) for name in ("p", "c"))
        )


@dataclass(frozen=True, slots=True)
class LinePrefix:
    """A value of `log_line_prefix`. Raises `MalformedInput` for one that tells no time."""

    format: str

    def __post_init__(self) -> None:
        if {"m", "t", "n"}.isdisjoint(_escapes(self.format)):
            raise MalformedInput(
                "a log_line_prefix that tells no time", expected="%m, %t or %n in it", got=repr(self.format)
            )

    def read(self, text: str) -> Line | None:
        """A line's parts; None for a line that does not begin so. Raises `MalformedInput` if there are two ways."""
        patterns = _patterns(self.format)
        match = patterns.shortest.fullmatch(text)
        if match is None:
            return None
        if patterns.is_free and patterns.again.search(match["text"]):
            raise _ambiguous()
        if patterns.is_free and (other := patterns.longest.fullmatch(text)):
            named = match.groupdict().keys() & _TELLING
            if any(match[name] != other[name] for name in named):
                raise _ambiguous()
        fields = {name: value for name, value in match.groupdict().items() if value and name not in _REST}
        return Line(fields, match["label"], match["text"])


def _ambiguous() -> MalformedInput:
    return MalformedInput(
        "a line that can be read in two ways",
        expected="one place where its prefix ends, and each value in it",
        advice="jsonlog and csvlog keep apart what clients choose.",
    )


_REST = frozenset({"label", "text"})
_TELLING = frozenset("udahr") | _REST


@dataclass(frozen=True, slots=True)
class _Patterns:
    """A prefix with its free values as short, and as long, as can be; and how it ends after the last of them."""

    shortest: re.Pattern[str]
    longest: re.Pattern[str]
    again: re.Pattern[str]
    is_free: bool


@lru_cache(maxsize=16)
def _patterns(format: str) -> _Patterns:
    shortest, longest = _parts(format, "?"), _parts(format, "")
    last = max((at for at, (escape, _) in enumerate(shortest) if escape in _FREE), default=-1)
    return _Patterns(
        re.compile(_joined(shortest), re.DOTALL),
        re.compile(_joined(longest), re.DOTALL),
        re.compile(_joined(shortest[last + 1 :]), re.DOTALL),
        is_free=last >= 0,
    )


def _escapes(format: str) -> list[str]:
    return [found[2] for found in _ESCAPE.finditer(format) if found[2]]


def _parts(format: str, laziness: str) -> list[tuple[str, str]]:
    """Each escape of a prefix (empty for text) with its pattern."""
    parts, named = list[tuple[str, str]](), set[str]()
    for padding, escape, literal in _ESCAPE.findall(format):
        if literal or escape == "%":
            parts.append(("", re.escape(literal or "%")))
        elif escape == "q":
            parts.append((escape, "(?:"))
        elif escape in _ESCAPES:
            value = _ESCAPES[escape] + (laziness if escape in _FREE else "")
            group = f"(?:{value})" if escape in named else f"(?P<{escape}>{value})"
            parts.append((escape, rf" *?{group} *?" if padding else group))
            named.add(escape)
    return parts


def _joined(parts: list[tuple[str, str]]) -> str:
    optional = sum(escape == "q" for escape, _ in parts)
    return "".join(pattern for _, pattern in parts) + ")?" * optional + _LABEL


DEFAULT = LinePrefix("%m [%p] ")
"""PostgreSQL's own (documentation, “log_line_prefix”)."""
