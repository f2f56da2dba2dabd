"""Writes docs/catalogue.md from the catalogue, through the JSON Schemas that the ledger serves.

The words are in the models: docstrings below the members, `Source`, titles.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ledger import catalogue
from ledger.catalogue import EventType
from ledger.catalogue.base import MARKS, PROPOSED
from ledger.entry import Phase

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "catalogue.md"
PUBLISHED = ROOT / "tests" / "vectors" / "catalogue" / "fingerprints.json"

Schema = Mapping[str, Any]

HEAD = f"""# Catalogue of event types

Made by `scripts/catalogue` from the models in `ledger/catalogue`; change it there.

An event is one CloudEvents 1.0 object (`docs/spec.md` §3). Its `type` is one of the names below, its `data` has that
type's members and no others. `null` says the same as leaving a member out. `GET /v1/types` lists the types, and
`GET /v1/types/<type>`, which is what `dataschema` names, answers the JSON Schema of one.

**Visible** members stand in the entry, in clear and for ever; they are never personal. **Salted** members are committed
as salted digests, and can be shown one by one, or erased. A published type stays as it is; a change makes a new version
(`….v2`) beside it. A log may be set to take types that are not in the catalogue: such *opaque* events are anchored like
others, all their members salted, but nothing is checked in them or read from them.

Sources are laws, vocabularies and standards. A law carries the mark of how sure the citation is:

{chr(10).join(f"- **[{mark}]** {text}" for mark, text in MARKS.items())}

Two marks say that parts of it were read in different ways. **{PROPOSED.capitalize()}** is what no law says: data
tiers, the 24-hour rule with its simple filing, prompts at the start of each stream with watching only and so on come
from a paper's proposals. Where nothing is named, or `ledger`, the member or type is this project's own. Where a
vocabulary is named (CloudEvents, ISO/IEC TS 27560, OCSF, OpenTelemetry, W3C DPV, ISO 3166-1), its names are used;
conformity with it is not claimed. That a law is named says what a member is for, not that the law asks for just that.
"""


def render() -> str:
    """The whole document."""
    return "\n".join(
        [HEAD, *_contents(), *(line for type_ in catalogue.all_types() for line in _type(type_))]
    )


def _contents() -> Iterator[str]:
    yield "| type | title | 名称 | before | transit | storage |"
    yield "|---|---|---|---|---|---|"
    for type_ in catalogue.all_types():
        phases = " | ".join("●" if phase in type_.phases else "" for phase in Phase)
        version = f" v{type_.version}" if type_ not in catalogue.newest_types() else ""
        yield f"| [{type_.kind}{version}](#{_anchor(type_)}) | {type_.title_en} | {type_.title_zh} | {phases} |"
    yield ""


def _anchor(type_: EventType) -> str:
    return type_.name.replace(".", "")


def _type(type_: EventType) -> Iterator[str]:
    schema = type_.schema()
    yield f"## {type_.name}"
    yield ""
    yield f"**{type_.title_en} · {type_.title_zh}**"
    yield ""
    yield from _text(schema["description"])
    if type_ not in catalogue.newest_types():
        yield "A newer version stands above; this one is still taken, and means what it meant."
        yield ""
    yield f"Phases: {', '.join(phase for phase in Phase if phase in type_.phases)}. Source: {_cell(type_.source)}."
    yield ""
    yield "| member | JSON | required | kept | meaning | source |"
    yield "|---|---|---|---|---|---|"
    for name, member in schema["properties"].items():
        required = "yes" if name in schema["required"] else ""
        kept = "**visible**" if name in type_.visible else "salted"
        source = member.get("x-source", "")
        yield _row(f"`{name}`", _json(member), required, kept, member["description"], source)
    yield ""
    for name, object_ in schema.get("$defs", {}).items():
        if "properties" in object_:
            yield from _object(name, object_)


def _object(name: str, schema: Schema) -> Iterator[str]:
    yield f"*{name}*: {_cell(schema['description'])}"
    yield ""
    yield "| member | JSON | required | meaning | source |"
    yield "|---|---|---|---|---|"
    for member_name, member in schema["properties"].items():
        required = "yes" if member_name in schema.get("required", ()) else ""
        yield _row(
            f"`{member_name}`", _json(member), required, member["description"], member.get("x-source", "")
        )
    yield ""


def _text(description: str) -> Iterator[str]:
    yield from description.splitlines()
    yield ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _json(member: Schema) -> str:
    """The type of a member in a few words; what is in `pattern` is told by the meaning, or by the schema itself."""
    if "anyOf" in member:
        return " or ".join(_json(kind) for kind in member["anyOf"] if kind.get("type") != "null")
    if "$ref" in member:
        name = str(member["$ref"]).rpartition("/")[2]
        return "country code" if name == "Country" else "any" if name == "JsonValue" else f"*{name}*"
    if "enum" in member:
        return " · ".join(f"`{value}`" for value in member["enum"])
    match member.get("type"):
        case "array":
            return f"array of {_json(member['items'])}"
        case "string" if "pattern" in member:
            return _FORMS.get(member["pattern"], "string")
        case "integer":
            bounds = [member.get("minimum", 0), member.get("maximum", _UNBOUNDED)]
            return "integer ≥ 0" if bounds[1] == _UNBOUNDED else f"integer {bounds[0]}–{bounds[1]}"
        case str(kind):
            return kind
        case _:
            return "any"


_UNBOUNDED = 2**53 - 1


def _pattern(type_: EventType, member: str) -> str:
    schema = type_.schema()["properties"][member]
    found = next(kind for kind in schema.get("anyOf", [schema]) if "pattern" in kind)
    return str(found["pattern"])


_FORMS = {
    _pattern(catalogue.DECLARATION, "planned_start"): "time",
    _pattern(catalogue.DECLARATION, "retention_period"): "duration",
    _pattern(catalogue.SEGMENT, "sha256"): "SHA-256, hexadecimal",
    _pattern(catalogue.CONSENT, "pii_principal_id"): "pseudonym",
    _pattern(catalogue.HOP, "protocol"): "protocol name",
    _pattern(catalogue.HOP, "source_system"): "system name",
}


def publish() -> list[str]:
    """Add types that are not published yet; those that are keep what they were published with."""
    published: dict[str, str] = json.loads(PUBLISHED.read_text()) if PUBLISHED.exists() else {}
    new = {t.name: t.fingerprint.hex() for t in catalogue.all_types() if t.name not in published}
    PUBLISHED.parent.mkdir(parents=True, exist_ok=True)
    PUBLISHED.write_text(json.dumps({**published, **new}, indent=2, sort_keys=True) + "\n")
    return list(new)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/catalogue", description="Write docs/catalogue.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it is not up to date")
    parser.add_argument("--publish", action="store_true", help="also publish new types")
    given = parser.parse_args()
    text = render()
    if given.check:
        fresh = DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == text
        print(
            "docs/catalogue.md is up to date."
            if fresh
            else "docs/catalogue.md is old: run scripts/catalogue."
        )
        return 0 if fresh else 1
    DOCUMENT.write_text(text, encoding="utf-8")
    if given.publish:
        print(f"published: {', '.join(publish()) or 'nothing new'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
