"""Members of an event's data, read without trust: a log may be older than the catalogue's present words."""

from __future__ import annotations

import re

from ledger.canonical import Object, Value
from ledger.entry import event_time
from ledger.errors import MalformedInput


def text(data: Object, name: str) -> str | None:
    """The member of that name if it is a string."""
    value = data.get(name)
    return value if isinstance(value, str) else None


def sha256(data: Object, name: str) -> str | None:
    """The member of that name if it is SHA-256 in lower-case hexadecimal."""
    value = data.get(name)
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else None


def moment(data: Object, name: str) -> int | None:
    """Unix milliseconds of the member of that name if it is a time."""
    value = data.get(name)
    try:
        return event_time(value) if isinstance(value, str) else None
    except MalformedInput:
        return None


def integer(data: Object, name: str) -> int | None:
    """The member of that name if it is an integer; JSON's true is none."""
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def boolean(data: Object, name: str) -> bool | None:
    """The member of that name if it is true or false."""
    value = data.get(name)
    return value if isinstance(value, bool) else None


def texts(data: Object, name: str) -> list[str]:
    """The strings in the list of that name."""
    value = data.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def objects(data: Object, name: str) -> list[Object]:
    """The objects in the list of that name."""
    value: Value = data.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def member(data: Object, name: str) -> Object:
    """The object of that name, an empty one for anything else."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}
