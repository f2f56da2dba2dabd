"""The auditor's answers as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ledger.cli.shared import err, into_pipe, out, plain, print_json
from ledger.documents import (
    DifferenceDocument,
    HandlerDocument,
    TransferDocument,
)
from ledger.entry import Phase
from ledger.reconciliations import ReconciliationDocument

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Any], object]]


def _member(name: str) -> Column:
    return name.replace("_", " "), lambda row: row[name]


ACCESSES: Sequence[Column] = [
    _member(name)
    for name in (
        "position",
        "time",
        "phase",
        "principal",
        "action",
        "resource",
        "outcome",
        "country",
        "tls_version",
    )
]
SNAPSHOTS: Sequence[Column] = [
    *map(_member, ("position", "captured", "phase", "transfer", "resource", "public")),
    ("external principals", lambda row: "\n".join(row["external_principals"])),
    ("grants", lambda row: None if row["grants"] is None else len(row["grants"])),
]
TRANSFERS: Sequence[Column] = [
    *map(_member, ("transfer", "events", "first_time", "last_time")),
    ("stored in", lambda row: " ".join(row["jurisdictions"]["data_stored"])),
    ("undeclared", lambda row: " ".join(row["jurisdictions"]["undeclared"])),
    *((phase.value, lambda row, at=at: row["phases"][at]["state"]) for at, phase in enumerate(Phase)),
]
MOMENTS: Sequence[Column] = [
    *map(_member, ("time", "phase")),
    ("type", lambda row: row["type"].removeprefix("transfer-ledger.")),
    *map(_member, ("party", "position")),
    (
        "says",
        lambda row: ", ".join(f"{name}: {_short(value)}" for name, value in list(row["data"].items())[:4]),
    ),
]
CELLS: Sequence[Column] = [
    *map(_member, ("phase", "evidence", "presence", "count", "first", "because", "source", "timing"))
]
JUDGEMENTS: Sequence[Column] = [
    ("position", lambda row: row["access"]["position"]),
    ("time", lambda row: row["access"]["time"]),
    ("principal", lambda row: row["access"]["principal"]),
    ("action", lambda row: row["access"]["action"]),
    ("resource", lambda row: row["access"]["resource"]),
    ("outcome", lambda row: row["access"]["outcome"]),
    _member("verdict"),
    ("by", lambda row: "\n".join(f"{g['effect']} {g['principal']}" for g in row["grants"][:3])),
]


def _of_phase(phase: Phase) -> Column:
    """What a matrix says of one phase, in words."""

    def words(matrix: Any) -> str:
        cells = [cell for cell in matrix["cells"] if cell["phase"] == phase.value]
        expected = [cell for cell in cells if cell["presence"] not in ("not-expected", "not-due")]
        wanting = [
            f"{presence}: {', '.join(names)}"
            for presence in ("missing", "late")
            if (names := [cell["evidence"] for cell in cells if cell["presence"] == presence])
        ]
        return "\n".join(wanting) or f"all {len(expected)}"

    return phase.value, words


MATRICES: Sequence[Column] = [_member("transfer"), *map(_of_phase, Phase)]


def print_rows(
    rows: Sequence[Any],
    columns: Sequence[Column],
    more: bool,
    *,
    as_json: bool,
    whole: object = None,
) -> None:
    """A table, or JSON of `whole` (`rows` if left out)."""
    if as_json:
        print_json(rows if whole is None else whole)
    elif not rows:
        out.print("none")
    else:
        _show(_table(rows, columns))
    if more:
        err.print(f"the first {len(rows)}; more with --limit", markup=False)


def _show(table: Table) -> None:
    (out if out.is_terminal else into_pipe).print(table)


def _table(rows: Iterable[Any], columns: Sequence[Column]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, _ in columns:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value(row)) for _, value in columns))
    return table


def _cell(value: object) -> Text:
    """Values are evidence: they are shown as they are, without markup, with controls spelled out."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case _:
            text = str(value)
    return Text("\n".join(map(plain, text.split("\n"))))


def _short(value: object, most: int = 40) -> str:
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _say(line: str) -> None:
    out.print(plain(line), markup=False)


def print_difference(found: DifferenceDocument, *, zh: bool) -> None:
    before, after = found["before"], found["after"]
    _say(found["resource"])
    for name, side in (("before", before), ("after", after)):
        reach = {True: "public", False: "not public", None: "public or not: cannot be told"}[side["public"]]
        outside = ", ".join(side["external_principals"]) or "no outsider"
        _say(f"  {name:6} {side['captured']}  position {side['position']}  {reach}; {outside}")
        for note in side["notes"]:
            _say(f"           {note}")
    if not found["one_system"]:
        systems = f"{before['source_system']} and {after['source_system']}"
        _say(f"  told by two systems, {systems}: what only one tells of seems to come and go")
    for line in found["words_zh" if zh else "words"] or ["Nothing changed."]:
        _say(f"  {line}")


def print_transfer(found: TransferDocument) -> None:
    places = found["jurisdictions"]
    _say(f"{found['transfer']}: {found['events']} events, {found['first_time']} to {found['last_time']}")
    titled = {
        "exporter": found["exporters"],
        "importer": found["importers"],
        "processor": found["processors"],
    }
    told = [handler for handlers in titled.values() for handler in handlers]
    titled["takes part"] = [handler for handler in found["handlers"] if handler not in told]
    for title, handlers in titled.items():
        for handler in handlers:
            _say(f"  {title}: {_named(handler)}")
    for name, countries in (
        ("platform registered", places["platform_registered"]),
        ("persons located", places["persons_located"]),
        ("data stored", places["data_stored"]),
        ("on the way", places["passed"]),
        ("accessed from", places["accessed_from"]),
        ("seen and not declared", places["undeclared"]),
    ):
        _say(f"  {name}: {' '.join(countries) or '-'}")
    for phase in found["phases"]:
        missing = f"; missing or late: {', '.join(phase['missing'])}" if phase["missing"] else ""
        _say(f"  {phase['phase']}: {phase['state']}, {phase['events']} events{missing}")
    for paper in found["papers"]:
        version = f" version {paper['version']}" if paper["version"] else ""
        _say(f"  {paper['kind']} {paper['id'] or ''}{version}, {paper['time']}, position {paper['position']}")


def _named(handler: HandlerDocument) -> str:
    """A party with its country, and what the register says where that is something else."""
    name = f" ({handler['registered_name']})" if handler["registered_name"] else ""
    registered = handler["registered_country"]
    differs = f"; registered in {registered}" if registered not in (None, handler["country"]) else ""
    return f"{handler['party']}{name}, {handler['country']}{differs}"


def print_report(report: ReconciliationDocument, limit: int) -> None:
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in report["verdicts"].items())
    _say(f"{report['accesses']} accesses: {verdicts or 'none'}")
    _say(f"{report['unexplained_count']} were done and nothing in force permitted them")
    shown = limit or None
    if report["unexplained"]:
        _show(_table(report["unexplained"][:shown], JUDGEMENTS))
    _say(f"{len(report['grants'])} grants, {report['unused_grants']} of them never used")
    if report["grants"]:
        _show(_table(report["grants"][:shown], _USES))


_USES: Sequence[Column] = [
    _member("uses"),
    ("resource", lambda row: row["grant"].get("resource", row["resource"])),
    ("principal", lambda row: row["grant"]["principal"]),
    ("actions", lambda row: ", ".join(row["grant"]["actions"])),
    *map(_member, ("since", "until", "last_used")),
]
