"""OTLP's binary encoding: the few messages of protobuf that logs are made of, read within limits.

A message is a run of fields, each a tag, which is the field's number and wire type, and a value::

    0a 07 6c 65 64 67 65 72 21          tag 0x0a: number 1, wire type 2; 7 bytes: "ledger!"
    49 00 00 00 00 00 00 00 01          tag 0x49: number 9, wire type 1; 8 bytes, little-endian

    wire type 0 varint · 1 eight bytes · 2 a length and so many bytes · 5 four bytes

Fields may come in any order, and unknown ones are passed over (https://protobuf.dev/programming-guides/encoding/). Of
a field that holds one value and stands twice, the last one counts.

Why not protobuf's own library: it builds a request whole before anybody can count. 16 MiB of empty records, 16 KB as
gzip sends them, become a gigabyte there. Here each record is read by itself, and nothing is built that is not wanted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import islice

from ledger.canonical import Object, Value
from ledger.errors import MalformedInput
from ledger.otlp.records import MAX_DEPTH, MAX_GROUPS, LogRecord, Read, members, too_deep, too_many_groups
from ledger.types import to_base64

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}

# Numbers and wire types of the fields that a message is read for:
# opentelemetry/proto/collector/logs/v1/logs_service.proto, logs/v1/logs.proto, common/v1/common.proto
_REQUEST = {1: LENGTH}  # resource_logs
_RESOURCE_LOGS = {1: LENGTH, 2: LENGTH}  # resource, scope_logs
_RESOURCE = {1: LENGTH}  # attributes
_SCOPE_LOGS = {2: LENGTH}  # log_records
_LOG_RECORD = {
    1: FIXED64,  # time_unix_nano
    5: LENGTH,  # body
    6: LENGTH,  # attributes
    7: VARINT,  # dropped_attributes_count
    8: FIXED32,  # flags
    9: LENGTH,  # trace_id
    10: LENGTH,  # span_id
    11: FIXED64,  # observed_time_unix_nano
    12: LENGTH,  # event_name
}
_KEY_VALUE = {1: LENGTH, 2: LENGTH}  # key, value
_ANY_VALUE = {1: LENGTH, 2: VARINT, 3: VARINT, 4: FIXED64, 5: LENGTH, 6: LENGTH, 7: LENGTH}
# string_value, bool_value, int_value, double_value, array_value, kvlist_value, bytes_value
_LIST = {1: LENGTH}  # values, of ArrayValue and KeyValueList


def read_logs(body: bytes) -> Iterator[Read]:
    """The log records of an `ExportLogsServiceRequest`, one at a time, in its order.

    Raises:
        MalformedInput: what is around the records cannot be read.
        TooLarge: more than `MAX_GROUPS` resources and scopes.
    """
    groups = 0
    for _, _, group in _fields(body, _REQUEST):
        found = list(islice(_fields(group, _RESOURCE_LOGS), MAX_GROUPS))
        groups += 1 + len(found)
        if groups > MAX_GROUPS:
            raise too_many_groups()
        resource = members(
            _pair(attribute, 0)
            for number, _, message in found
            if number == 1
            for _, _, attribute in _fields(message, _RESOURCE)
        )
        for number, _, scope in found:
            if number == 2:
                for _, _, record in _fields(scope, _SCOPE_LOGS):
                    yield _try_record(record, resource)


def _try_record(data: bytes, resource: Object) -> Read:
    try:
        return _log_record(data, resource)
    except MalformedInput as error:
        return error


def _log_record(data: bytes, resource: Object) -> LogRecord:
    attributes = []
    integers: dict[int, int] = {}
    others: dict[int, bytes] = {}
    for number, integer, content in _fields(data, _LOG_RECORD):
        if number == 6:
            attributes.append(content)
        else:
            integers[number], others[number] = integer, content
    return LogRecord(
        attributes=members(_pair(attribute, 0) for attribute in attributes),
        resource=resource,
        body=_any_value(others.get(5, b""), 0),
        time=int.from_bytes(others.get(1, b""), "little"),
        observed=int.from_bytes(others.get(11, b""), "little"),
        trace_id=others.get(9, b""),
        span_id=others.get(10, b""),
        flags=int.from_bytes(others.get(8, b""), "little"),
        event_name=_text(others.get(12, b"")),
        dropped=integers.get(7, 0),
    )


def _pair(data: bytes, depth: int) -> tuple[str, Value]:
    found = {number: content for number, _, content in _fields(data, _KEY_VALUE)}
    return _text(found.get(1, b"")), _any_value(found.get(2, b""), depth)


def _any_value(data: bytes, depth: int) -> Value:
    """The value of an `AnyValue`; None if it holds none."""
    if depth > MAX_DEPTH:
        raise too_deep()
    value: Value = None
    for number, integer, content in _fields(data, _ANY_VALUE):
        match number:
            case 1:
                value = _text(content)
            case 2:
                value = integer != 0
            case 3:
                value = integer - 2**64 if integer >= 2**63 else integer
            case 4:
                value = struct.unpack("<d", content)[0]
            case 5:
                value = [_any_value(item, depth + 1) for _, _, item in _fields(content, _LIST)]
            case 6:
                value = members(_pair(item, depth + 1) for _, _, item in _fields(content, _LIST))
            case 7:
                value = to_base64(content)
    return value


def _fields(data: bytes, known: Mapping[int, int]) -> Iterator[tuple[int, int, bytes]]:
    """The known fields of a message: number, integer (0 but for a varint), and bytes (none for a varint)."""
    at, end = 0, len(data)
    while at < end:
        tag, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at)
        number, kind = tag >> 3, tag & 7
        integer = length = 0
        if kind == LENGTH:
            length, at = (data[at], at + 1) if at < end and data[at] < 0x80 else _varint(data, at)
        elif kind == VARINT:
            integer, at = _varint(data, at)
        elif kind in _SIZES:
            length = _SIZES[kind]
        else:
            raise _malformed(f"wire type {kind}")
        content = data[at : at + length]
        at += length
        if at > end:
            raise _malformed("a field that ends after its message")
        if (expected := known.get(number)) == kind:
            yield number, integer, content
        elif expected is not None:
            raise _malformed(f"wire type {kind} for field {number}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, of at most 64 bits, and where it ends."""
    number = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise _malformed("a varint without end")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _malformed("a string that is not UTF-8") from None


def _malformed(what: str) -> MalformedInput:
    return MalformedInput("not protobuf of an ExportLogsServiceRequest", got=what)


# --- Answers ------------------------------------------------------------------------------------------------------


def export_response(rejected: int, message: str) -> bytes:
    """An `ExportLogsServiceResponse`; empty for a full success, as OTLP asks."""
    if not rejected and not message:
        return b""
    counted = b"\x08" + _spell(rejected) if rejected else b""  # rejected_log_records; 0 is not written
    return _field(1, counted + _field(2, message.encode()))  # partial_success, with error_message


def status(message: str) -> bytes:
    """A `google.rpc.Status`: what OTLP answers in place of a response."""
    return _field(2, message.encode())


def _field(number: int, content: bytes) -> bytes:
    return _spell(number << 3 | LENGTH) + _spell(len(content)) + content


def _spell(number: int) -> bytes:
    spelled = bytearray()
    while number > 0x7F:
        spelled.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*spelled, number])
