"""What an event type is, and the vocabulary that its members share.

A type is a pydantic model of an event's `data`, and a line that says how it is called, in which phases it may come and
which of its members stay visible in the entry. For example, whole::

    class Consent(Data):
        record_id: Text
        choice: Literal["granted", "refused"]

    CONSENT = EventType("consent", "Consent", "同意", BEFORE, Consent)

A docstring below a member says what it means, `Source` where it comes from and how sure that is (`MARKS`). Both go into
the JSON Schema, and from there into `docs/catalogue.md`.

A type that was published stays as it is: what is in a log under its name was checked, and split into visible and salted
members, by what it said then. Other members, phases or visible members make a new version beside the old one
(`dataclasses.replace(CONSENT, version=2, …)`); `EventType.fingerprint` is what must not change.

Models only judge: what is committed is the data as it was sent, so they turn nothing into anything (`"1"` is no
integer, `1` no boolean), and members that they do not know are refused. A member that is not known is left out; `null`
says the same. Places and expectations are reported, values never: an error message travels further than the event.

Members in `visible` stand in the entry for ever and in clear (I4). So they are of closed vocabularies, numbers or
booleans, and the few texts among them cannot spell an address, a phone number or a name with a space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pycountry
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError
from typing_extensions import TypeAliasType

from ledger import canonical
from ledger.entry import Event, Phase, event_time, invalid
from ledger.errors import MalformedInput
from ledger.types import MAX_INTEGER, Digest

BEFORE = frozenset({Phase.BEFORE})
TRANSIT = frozenset({Phase.TRANSIT})
STORAGE = frozenset({Phase.STORAGE})
EVERY_PHASE = frozenset(Phase)


MARKS = {
    "T": "statute or standard text, read in full",
    "P": "page or excerpt read",
    "S": "secondary source",
    "M": "unconfirmed: have counsel check it before citing it",
}
"""How sure a citation is."""
PROPOSED = "proposed policy"
"""The mark of what a paper proposes and no law says: data tiers, the 24-hour rule, the ban on exporting tier 3."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a member comes from: `Annotated[Text, Source("PIPL 56(3) [T]")]`, shown as `x-source` in JSON Schema.

    A law is cited with its mark, a vocabulary by its name.
    """

    text: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "x-source": self.text}


class Data(BaseModel):
    """An object of an event's `data`: only the members it names, each of exactly its JSON type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


COUNTRIES = frozenset(country.alpha_2 for country in pycountry.countries)
"""The codes that ISO 3166-1 alpha-2 assigns, as pycountry (from Debian's iso-codes) lists them."""


def _country(code: str) -> str:
    if code not in COUNTRIES:
        raise PydanticCustomError("country", "expected a country code of ISO 3166-1 alpha-2, such as SG")
    return code


def _time(text: str) -> str:
    try:
        event_time(text)
    except MalformedInput:
        raise PydanticCustomError("time", _TIME_EXPECTED) from None
    return text


_TIME_EXPECTED = "expected an RFC 3339 time with its offset, such as 2026-07-01T12:00:00Z"
_TIME_PATTERN = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)

Text = Annotated[str, Field(min_length=1, max_length=8192)]
Country = TypeAliasType(
    "Country",
    Annotated[str, AfterValidator(_country), WithJsonSchema({"type": "string", "enum": sorted(COUNTRIES)})],
)
"""ISO 3166-1 alpha-2, upper case."""
Time = Annotated[str, Field(pattern=_TIME_PATTERN), AfterValidator(_time)]
"""RFC 3339 with an offset, up to nine decimals."""
_DAYS, _HOURS = "([0-9]{1,4}[YMWD]){1,4}", "T([0-9]{1,4}[HMS]){1,3}"
Duration = Annotated[str, Field(pattern=f"^P({_DAYS}({_HOURS})?|{_HOURS})$")]
"""ISO 8601, such as P3Y or PT12H."""
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
SmallCount = Annotated[int, Field(ge=0, le=99_999_999)]
"""A number that is too short for a telephone number, so that it may be visible."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hexadecimal. Never a visible member: a bare hash of personal data can be guessed (I4)."""
Pseudonym = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,128}$")]
"""A keyed pseudonym of a person (ISO/IEC TS 27560 `pii_principal_id`), such as an HMAC in base64url."""
System = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]{0,62}$")]
"""A kind of source system, such as `aws.cloudtrail` or `postgresql.pgaudit`."""
Protocol = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9.+/-]{0,31}$")]
"""An application protocol, such as `webrtc`, `rtmps` or `HTTP/1.1` (OpenTelemetry `network.protocol.name`)."""
TlsVersion = Literal["none", "ssl3", "1.0", "1.1", "1.2", "1.3"]
"""OpenTelemetry `tls.protocol.version`; `none` says that there was no TLS."""
Completeness = Literal["complete", "best-effort", "sampled", "unknown"]
"""What the source promises about its own log. Where it is absent, `unknown`."""


NAMESPACE = "transfer-ledger."
"""How the names of all catalogued types begin, and those of no others."""


def kind_of(type: str) -> str:
    """The short name in a catalogued type's name, whatever its version; empty for an opaque type.

    >>> kind_of("transfer-ledger.access.v1")
    'access'
    """
    return type.removeprefix(NAMESPACE).rpartition(".v")[0] if type.startswith(NAMESPACE) else ""


@dataclass(frozen=True, slots=True)
class EventType:
    """A catalogued type. `kind` is its short name, `visible` the members that are never personal.

    `source` is what the type as a whole answers to.
    """

    kind: str
    title_en: str
    title_zh: str
    phases: frozenset[Phase]
    model: type[Data]
    visible: frozenset[str] = frozenset()
    source: str = ""
    version: int = 1

    @property
    def name(self) -> str:
        """The CloudEvents `type`, such as `transfer-ledger.access.v1`."""
        return f"{NAMESPACE}{self.kind}.v{self.version}"

    @property
    def schema_path(self) -> str:
        """Path of the type's JSON Schema: what a `dataschema` attribute must lead to."""
        return f"/v1/types/{self.name}"

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the type's `data`."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": self.schema_path,
            **self.model.model_json_schema(),
            "title": self.title_en,
            **({"x-source": self.source} if self.source else {}),
        }

    @property
    def plain(self) -> bool:
        """Whether data of this type, if it is good, is plain (`canonical.are_plain`): no member need be looked at.

        Models are strict (`Data`), so what their JSON Schema calls a text or an integer is one.
        """
        return _says_plain(self.model)

    @property
    def fingerprint(self) -> Digest:
        """SHA-256 of what an event of this type has to keep to, in canonical JSON: schema, phases, visible members.

        Titles, descriptions and sources are left out, so they can be worded better; so are the codes of ISO 3166-1,
        which change with the world.
        """
        kept = {
            "schema": _without_words(self.schema()),
            "phases": sorted(self.phases),
            "visible": sorted(self.visible),
        }
        return Digest.of(canonical.encode(kept))

    def check(self, event: Event) -> None:
        """Raise `InvalidEvent`, naming every place, unless `event` is a good event of this type."""
        problems = self._attribute_problems(event)
        try:
            self.model.model_validate(event.data)
        except ValidationError as error:
            problems += [
                (_place(e["loc"]), _problem(e["type"], e["msg"]))
                for e in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        if problems:
            raise invalid(problems)

    def _attribute_problems(self, event: Event) -> list[tuple[str, str]]:
        problems = []
        if event.phase not in self.phases:
            allowed = " or ".join(phase for phase in Phase if phase in self.phases)
            problems.append(("phase", f"expected {allowed} for {self.name}"))
        schema = event.attributes.get("dataschema")
        if schema is not None and urlsplit(schema).path != self.schema_path:
            problems.append(("dataschema", f"expected a URI with the path {self.schema_path}, or none"))
        return problems


@cache
def _says_plain(model: type[Data]) -> bool:
    schema = model.model_json_schema()
    return _allows_plain_only(schema, schema.get("$defs", {}))


def _allows_plain_only(schema: Any, definitions: Mapping[str, Any], within: tuple[str, ...] = ()) -> bool:
    """Whether what a JSON Schema allows is certainly plain: no numbers with a fraction, no names that it does not name.

    `within` are the definitions that the schema is part of: one that is part of itself nests without end.
    """
    match schema:
        case {"$ref": str(place)}:
            name = place.removeprefix("#/$defs/")
            return name not in within and _allows_plain_only(definitions[name], definitions, (*within, name))
        case {"anyOf": list(parts)}:
            return all(_allows_plain_only(part, definitions, within) for part in parts)
        case {"type": "string" | "boolean" | "null"}:
            return True
        case {"type": "integer", "minimum": int(least), "maximum": int(most)}:
            return least >= -MAX_INTEGER and most <= MAX_INTEGER
        case {"type": "array", "items": items}:
            return _allows_plain_only(items, definitions, within)
        case {"type": "object", "properties": dict(members), "additionalProperties": False}:
            return "".join(members).isascii() and all(
                _allows_plain_only(member, definitions, within) for member in members.values()
            )
        case _:
            return False


_OPAQUE_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+")


@dataclass(frozen=True, slots=True)
class OpaqueType:
    """A type that the catalogue does not know: anything may be in `data`, so all of it is salted and nothing read.

    Its name stands in the entry for ever, so it must be one: in the form of a reverse domain, such as
    `com.example.stream.heartbeat`. Names under `transfer-ledger.` are the catalogue's: an event that was committed as
    opaque must not get another meaning from a later catalogue.
    """

    name: str
    visible: frozenset[str] = frozenset()
    plain = False

    def check(self, event: Event) -> None:
        """Raise `InvalidEvent` unless `event` may be kept under this name."""
        if event.type.startswith(NAMESPACE):
            raise invalid([("type", f"not in the catalogue, which alone names types {NAMESPACE}…")])
        if not _OPAQUE_NAME.fullmatch(event.type):
            raise invalid(
                [("type", "expected the form of com.example.kind for a type outside the catalogue")]
            )


def by_name(*types: EventType) -> Mapping[str, EventType]:
    """Types by their names. Raises `ValueError` for a mistake in the catalogue itself."""
    for type_ in types:
        members = {field.alias or name for name, field in type_.model.model_fields.items()}
        if stray := type_.visible - members:
            raise ValueError(f"{type_.name}: visible members that it does not have: {sorted(stray)}")
    catalogue = {type_.name: type_ for type_ in types}
    if len(catalogue) != len(types):
        raise ValueError("two types of one name")
    return catalogue


_WORDS = frozenset({"title", "description", "x-source"})


def _without_words(schema: Any) -> Any:
    """A JSON Schema less what only explains. A member that is called `title` stays: its schema is an object."""
    if isinstance(schema, list):
        return [_without_words(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {k: v for k, v in schema.items() if not (k in _WORDS and isinstance(v, str))}
    return {k: {"type": "string"} if k == "Country" else _without_words(v) for k, v in kept.items()}


_MEMBER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")


def _place(location: tuple[int | str, ...]) -> str:
    # A member's name comes from the sender too: one that does not look like a name might be a phone number.
    steps = [str(s) if isinstance(s, int) or _MEMBER.fullmatch(s) else "?" for s in location]
    return ".".join(["data", *steps])


def _problem(kind: str, message: str) -> str:
    # The messages of pydantic's that are passed on name what was expected; none of these kinds quotes the input.
    expected = message.removeprefix("Input should be ").removeprefix("String should ")
    match kind:
        case "missing":
            return "missing"
        case "extra_forbidden":
            return "not a member of this type"
        case "country" | "time":
            return message
        case "string_pattern_mismatch" if _TIME_PATTERN in message:
            return _TIME_EXPECTED
        case "string_pattern_mismatch":
            return f"expected text that would {expected}"
        case "greater_than_equal" | "less_than_equal":
            return f"expected a number {expected}"
        case _:
            return f"expected {expected[:300]}"
