r"""Zeek's conn.log and ssl.log: each line is one hop, from who opened the connection to who answered.

Both of Zeek's forms are read. In its own, lines start by telling what they hold; in JSON each line tells it itself::

    #separator \x09
    #unset_field<tab>-
    #fields<tab>ts<tab>uid<tab>id.orig_h<tab>id.orig_p<tab>id.resp_h<tab>id.resp_p<tab>proto<tab>service<tab>…
    1782907203.123456<tab>CHhAvVGS1DHFjwGM9<tab>10.1.0.7<tab>50123<tab>203.0.113.9<tab>443<tab>tcp<tab>ssl<tab>…

One TLS connection is a line in each log: conn tells its bytes and times, ssl its version and cipher. They are two
events, since either may be imported without the other, and have the same `session_id`, Zeek's uid.

- `id` is `<uid>:conn:<time>` or `<uid>:ssl:<time>`; a line without a uid is known by its place (see `base`).
- `source` is `/zeek/<node>`, the sensor.
- `from` and `to` need countries, which Zeek does not tell: `places` says where an address is and whose. `from_country`
  and `to_country` hold for the addresses that it does not have. A line with an end in no country is set aside.
- A line of another log than these two is set aside, even if it is of the same connection, and so are those of
  connections that go on (`open_conn`, `conn_long`).
- `bytes` is the payload in both directions. `protocol` is the service that Zeek recognised, else the transport.
- `tls_version` is absent from conn's hops, unless the service is `http`, which Zeek only recognises in clear: `none`.
- `completeness` is `best-effort`: a sensor that cannot keep up misses packets.

A hop has no digest of its raw line.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import BinaryIO, TypeAlias

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.catalogue import HOP
from ledger.catalogue.base import COUNTRIES
from ledger.collect.files import NO_HEADER, Header, RawRecord, split_text
from ledger.collect.members import count, decode, known, segment, tls_version, unix_time
from ledger.entry import Phase, event_time
from ledger.errors import MalformedInput
from ledger.types import format_time, parse_party_id

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the addresses of a network are: a country, and the party that runs it if that is known."""

    country: str
    party: str | None = None


Places: TypeAlias = Mapping[Network, Place]


def parse_places(text: str) -> Places:
    """Places of a TOML file, by networks; of several that hold an address the narrowest counts::

        ["203.0.113.0/24"]
        country = "SG"
        party = "acme-cdn"

    Raises:
        MalformedInput: naming the network.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MalformedInput("a places file that is not TOML", got=str(error)) from None
    return {_network(name): _place(name, table) for name, table in tables.items()}


def _network(name: str) -> Network:
    try:
        return ipaddress.ip_network(name)
    except ValueError as error:
        raise MalformedInput(
            "a places file names no network", expected='e.g. ["203.0.113.0/24"]', got=str(error)
        ) from None


def _place(name: str, table: object) -> Place:
    expected = "country, an ISO 3166-1 alpha-2 code, and party or not"
    if not isinstance(table, dict) or not {"country"} <= set(table) <= {"country", "party"}:
        raise MalformedInput(f"the place of {name} is not whole", expected=expected)
    country, party = table["country"], table.get("party")
    if not isinstance(country, str) or country not in COUNTRIES or not isinstance(party, str | None):
        raise MalformedInput(f"the place of {name} is none", expected=expected, got=repr(country))
    return Place(country, None if party is None else parse_party_id(party))


@dataclass(frozen=True, slots=True)
class Zeek:
    """The collector. `observer` is the id of the party whose sensor it is, `sequence` the hop's place in the path."""

    subject: str = "zeek"
    node: str = "default"
    places: Places | None = None
    from_country: str | None = None
    to_country: str | None = None
    observer: str | None = None
    sequence: int = 0

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".log", ".json", ".ndjson", ".jsonl")

    def records(self, file: BinaryIO) -> Iterator[RawRecord]:
        header = NO_HEADER
        for record in split_text(file):
            if record.problem is None and record.raw.startswith(b"#"):
                header = read_header(header, decode(record.raw))
                continue
            yield RawRecord(record.number, record.raw, record.problem, header)

    def event(self, raw: bytes, header: Header = NO_HEADER) -> Object:
        fields = _json_fields(raw) if raw.startswith(b"{") else _text_fields(decode(raw), header)
        log = _log(fields, fields.get("_path", header.path))
        started = _time(fields.get("ts"))
        event: Object = {
            "specversion": "1.0",
            "source": f"/zeek/{segment(self.node)}",
            "type": HOP.name,
            "subject": self.subject,
            "time": started,
            "phase": Phase.TRANSIT.value,
            "data": self.hop_data(log, fields, started),
        }
        uid = fields.get("uid")
        return event | {"id": f"{uid}:{log}:{format_time(event_time(started))}"} if uid else event

    def hop_data(self, log: str, fields: dict[str, str], started: str) -> Object:
        """The `data` of the hop that a line of `conn` or `ssl` logs."""
        service = fields.get("service")
        sent = [count(fields.get(name)) for name in ("orig_bytes", "resp_bytes")]
        version = tls_version(fields.get("version")) if log == "ssl" else None
        return known(
            **{"from": self._end(fields.get("id.orig_h"), self.from_country, "originator")},
            to=self._end(fields.get("id.resp_h"), self.to_country, "responder"),
            sequence=self.sequence,
            protocol="tls" if log == "ssl" else _protocol(service) or _protocol(fields.get("proto")),
            tls_version="none" if service == "http" else version,
            cipher=fields.get("cipher"),
            bytes=None if sent == [None, None] else sum(part or 0 for part in sent),
            started=started,
            ended=_ended(started, fields.get("duration")),
            observer=self.observer,
            session_id=fields.get("uid"),
            source_system="zeek",
            completeness="best-effort",
        )

    def _end(self, address: str | None, country: str | None, side: str) -> Object:
        place = _find(self.places or {}, address) or (Place(country) if country else None)
        if place is None:
            raise MalformedInput(
                f"the {side} cannot be placed", expected="its address in the places, or a country for it"
            )
        return known(country=place.country, party=place.party, node=address)


def read_header(header: Header, line: str) -> Header:
    r"""What holds after one more header line; `#separator` alone is written with a space, and as `\x09`."""
    if line.startswith("#separator "):
        separator = re.sub(
            r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), line.removeprefix("#separator ")
        )
        return Header((), separator or "\t")
    name, *values = line.split(header.separator)
    if name == "#fields":
        return replace(header, names=tuple(values))
    if name == "#unset_field" and values:
        return replace(header, unset=values[0])
    if name == "#path" and values:
        return replace(header, path=values[0])
    return header


def _text_fields(line: str, header: Header) -> dict[str, str]:
    if not header.names:
        raise MalformedInput("a line before any #fields")
    texts = line.split(header.separator)
    if len(texts) != len(header.names):
        raise MalformedInput(
            "not a line of these #fields", expected=f"{len(header.names)} fields", got=len(texts)
        )
    pairs = zip(header.names, texts, strict=True)
    return {name: text for name, text in pairs if text not in (header.unset, "(empty)", "")}


def _json_fields(raw: bytes) -> dict[str, str]:
    return {name: _scalar(value) for name, value in canonical.parse_object(raw).items() if value is not None}


def _scalar(value: Value) -> str:
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")  # never 1e-05
    return value if isinstance(value, str) else str(value)


_OPEN = re.compile(r"open_.*|conn_long")
"""Paths of the logs that packages write of connections which go on: each has its line in conn.log when it ends."""


def _log(fields: dict[str, str], path: str) -> str:
    """`conn` or `ssl`: by the path, else by what only they have; JSON may lack it, and logs may be renamed."""
    if _OPEN.fullmatch(path):
        raise MalformedInput("a line of a connection that goes on, and has its own when it ends")
    if path in ("conn", "ssl"):
        return path
    if "conn_state" in fields:
        return "conn"
    if "established" in fields:
        return "ssl"
    raise MalformedInput("neither a line of conn.log nor of ssl.log", expected="conn_state or established")


def _time(text: str | None) -> str:
    """RFC 3339 of `ts`: Unix time, or in JSON what `LogAscii::json_timestamps` chose, milliseconds or ISO 8601."""
    if text is None:
        raise MalformedInput("a line without its time", expected="ts")
    if millis := re.fullmatch(r"([0-9]{9,10})([0-9]{3})(?:\.([0-9]+))?", text):
        return unix_time(f"{millis[1]}.{millis[2]}{millis[3] or ''}")
    if re.fullmatch(r"[0-9.]+", text):
        return unix_time(text)
    return re.sub(
        r"(?:(\.[0-9]*[1-9])|\.)0+Z$", r"\1Z", text
    )  # as Unix time is written, to be the same event


def _ended(started: str, duration: str | None) -> str | None:
    if duration is None or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", duration):
        return None
    return format_time(event_time(started) + int(Decimal(duration) * 1000))


def _protocol(service: str | None) -> str | None:
    """The services that Zeek recognised, `ssl+http` for several, `dce-rpc` for `dce_rpc`; one after `-` was none."""
    names = (service or "").replace("_", "-").split(",")
    joined = "+".join(name for name in names if re.fullmatch(r"[A-Za-z][A-Za-z0-9./-]*", name))
    return joined if 0 < len(joined) <= 32 else None


def _find(places: Places, address: str | None) -> Place | None:
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    around = [network for network in places if ip in network]
    return places[max(around, key=lambda network: network.prefixlen)] if around else None
