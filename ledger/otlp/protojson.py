"""OTLP's JSON encoding: protobuf's mapping to JSON, with the deviations that OTLP states.

::

    {"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                       "scopeLogs": [{"logRecords": [{"timeUnixNano": "1782907200000000000", …}]}]}]}

Names are in lowerCamelCase, unknown ones are passed over, `null` is a field left out. 64-bit integers are strings of
digits, and numbers are taken too; `traceId` and `spanId` are hexadecimal (OTLP, "JSON Protobuf Encoding").
Stricter than that: a name that stands twice in one object is refused, as everywhere in the ledger.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

import orjson

from ledger.canonical import Object, Value
from ledger.errors import MalformedInput
from ledger.otlp.records import MAX_DEPTH, MAX_GROUPS, LogRecord, Read, members, too_deep, too_many_groups
from ledger.types import from_hex, to_base64

Json: TypeAlias = "dict[str, Any]"
T = TypeVar("T")

_UINT32, _UINT64, _INT64 = range(2**32), range(2**64), range(-(2**63), 2**63)


def read_logs(body: bytes) -> Iterator[Read]:
    """The log records of an `ExportLogsServiceRequest`, one at a time, in its order.

    Raises:
        MalformedInput: what is around the records cannot be read.
        TooLarge: more than `MAX_GROUPS` resources and scopes.
    """
    groups = 0
    for group in _objects(_is(_parse(body), dict), "resourceLogs"):
        scopes = _objects(group, "scopeLogs")
        groups += 1 + len(scopes)
        if groups > MAX_GROUPS:
            raise too_many_groups()
        resource = _pairs(_get(group, "resource", dict, {}), "attributes", 0)
        for scope in scopes:
            for record in _get(scope, "logRecords", list, []):
                yield _try_record(record, resource)


def _try_record(value: Any, resource: Object) -> Read:
    try:
        return _log_record(_is(value, dict), resource)
    except MalformedInput as error:
        return error


def _log_record(value: Json, resource: Object) -> LogRecord:
    return LogRecord(
        attributes=_pairs(value, "attributes", 0),
        resource=resource,
        body=_any_value(_get(value, "body", dict, {}), 0),
        time=_integer(value.get("timeUnixNano"), _UINT64),
        observed=_integer(value.get("observedTimeUnixNano"), _UINT64),
        trace_id=from_hex(_get(value, "traceId", str, "")),
        span_id=from_hex(_get(value, "spanId", str, "")),
        flags=_integer(value.get("flags"), _UINT32),
        event_name=_get(value, "eventName", str, ""),
        dropped=_integer(value.get("droppedAttributesCount"), _UINT32),
    )


def _pairs(value: Json, name: str, depth: int) -> Object:
    return members(
        (_get(pair, "key", str, ""), _any_value(_get(pair, "value", dict, {}), depth))
        for pair in _objects(value, name)
    )


# --- Values -------------------------------------------------------------------------------------------------------


def _any_value(value: Json, depth: int) -> Value:
    """The value of an `AnyValue`; None if it holds none."""
    if depth > MAX_DEPTH:
        raise too_deep()
    given = [name for name in _ANY_VALUE if value.get(name) is not None]
    if len(given) > 1:
        raise _malformed("an AnyValue that holds more than one value")
    return _ANY_VALUE[given[0]](value[given[0]], depth) if given else None


def _array(value: Any, depth: int) -> Value:
    return [_any_value(item, depth + 1) for item in _objects(_is(value, dict), "values")]


_DIGITS = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?|NaN|-?Infinity")


def _integer(value: Any, among: range) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if value is None:
        return 0
    if type(value) is not int or value not in among:
        raise _malformed("an integer that is none, or out of its range")
    return value


def _double(value: Any) -> float:
    if type(value) not in (int, float) and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise _malformed("a doubleValue that is no number")
    return float(value)


def _base64(value: Any) -> Value:
    """Standard or URL-safe, padded or not: protobuf takes each."""
    text = _is(value, str).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return to_base64(b64decode(text + "=" * (-len(text) % 4), validate=True))
    except binascii.Error:
        raise _malformed("a bytesValue that is not base64") from None


_ANY_VALUE: dict[str, Callable[[Any, int], Value]] = {
    "stringValue": lambda value, depth: _is(value, str),
    "boolValue": lambda value, depth: _is(value, bool),
    "intValue": lambda value, depth: _integer(value, _INT64),
    "doubleValue": lambda value, depth: _double(value),
    "arrayValue": _array,
    "kvlistValue": lambda value, depth: _pairs(_is(value, dict), "values", depth + 1),
    "bytesValue": lambda value, depth: _base64(value),
}


# --- JSON ---------------------------------------------------------------------------------------------------------


def _get(value: Json, name: str, kind: type[T], otherwise: T) -> T:
    member = value.get(name)
    return otherwise if member is None else _is(member, kind)


def _objects(value: Json, name: str) -> list[Json]:
    return [_is(item, dict) for item in _get(value, name, list, [])]


def _is(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise _malformed(f"{_NAMES[type(value)]} in place of {_NAMES[kind]}")
    return value


_NAMES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _parse(body: bytes) -> Any:
    """The JSON value, in which no object has a name twice.

    orjson looks at it first: it refuses what is no JSON (RFC 8259), no UTF-8, and so deep that Python's decoder, which
    sees every name, would exhaust the stack.
    """
    try:
        orjson.loads(body)
        return _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        raise _malformed("something else") from None


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("a name that stands twice in one object")
    return found


def _int(digits: str) -> int | float:
    # Reading a number of a million digits would take quadratic time.
    return int(digits) if len(digits) <= 20 else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_int=_int)


def _malformed(what: str) -> MalformedInput:
    return MalformedInput("not JSON of an ExportLogsServiceRequest", got=what)


# --- Answers ------------------------------------------------------------------------------------------------------


def export_response(rejected: int, message: str) -> bytes:
    """An `ExportLogsServiceResponse`; empty for a full success, as OTLP asks."""
    counted = {"rejectedLogRecords": str(rejected)} if rejected else {}
    said = {"errorMessage": message} if message else {}
    return orjson.dumps({"partialSuccess": counted | said} if counted | said else {})


def status(message: str) -> bytes:
    """A `google.rpc.Status`: what OTLP answers in place of a response."""
    return orjson.dumps({"message": message})
