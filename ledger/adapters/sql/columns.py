"""Column types that hold the same values, and the same bytes, on both databases; and small words for rows."""

from __future__ import annotations

import re
import struct
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Row, Select, Text, TypeDecorator

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
AnyQuery: TypeAlias = "Select[*tuple[Any, ...]]"
"""Rows and queries of any columns: what they hold is checked where they are read (`codec`)."""

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit integer; SQLite's strict tables know only INTEGER, which holds as much."""

BLOB = LargeBinary()

MAX_BIG = 2**63 - 1

UNREADABLE = (AttributeError, LookupError, OverflowError, TypeError, ValueError, struct.error)
"""What Python raises over a value that a damaged row holds. SQLite reads what the row's head says, of any type."""

_UNHOLDABLE = re.compile("[\x00\\\\\ud800-\udfff]")
_ESCAPED = re.compile(r"\\([0-9a-f]{4})")


class AnyText(TypeDecorator[str]):
    r"""Any Python string. PostgreSQL's text holds no U+0000 and neither database a lone surrogate.

    Those, and the backslash itself, are kept as `\` and four hexadecimal digits; comparing for equality still works,
    since what is asked for goes the same way.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else held(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        # A damaged row may hold a number here; it is left as it is for whoever reads the row.
        if not isinstance(value, str) or "\\" not in value:
            return value
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)


def held(text: str) -> str:
    """As `AnyText` keeps it."""
    return _UNHOLDABLE.sub(lambda match: f"\\{ord(match[0]):04x}", text)


def clip(number: int) -> int:
    """The nearest 64-bit integer: good for comparing, where a larger one could not even be asked about."""
    return max(-MAX_BIG, min(number, MAX_BIG))
