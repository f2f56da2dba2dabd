"""Ask what happened: access log, permission snapshots, transfers, completeness, reconciliation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ledger.cli.audit import moment, written
from ledger.cli.shared import (
    ApiKeyOption,
    JsonOption,
    LogOption,
    UrlOption,
    app,
    err,
    into_pipe,
    out,
    plain,
    print_json,
    progress_bar,
)
from ledger.cli.source import at_most, open_source
from ledger.documents import DifferenceDocument, ReconciliationDocument, TransferDocument
from ledger.entry import Phase
from ledger.errors import MalformedInput
from ledger.export import Format
from ledger.permissions import Verdict
from ledger.records import ViewFilter

transfer_app = typer.Typer(
    no_args_is_help=True, help="Transfers: who, where, what is missing, what happened."
)
snapshot_app = typer.Typer(no_args_is_help=True, help="Permission snapshots: list and compare them.")
app.add_typer(transfer_app, name="transfer")
app.add_typer(snapshot_app, name="snapshot")

LimitOption = Annotated[int, typer.Option(min=0, help="Most rows to print; 0 for all.")]
SinceOption = Annotated[str | None, typer.Option(help="From this time on: RFC 3339, or a date.")]
UntilOption = Annotated[str | None, typer.Option(help="Before this time.")]
TransferOption = Annotated[str | None, typer.Option(help="Only of this transfer.")]
PhaseOption = Annotated[Phase | None, typer.Option(help="Only of this phase.")]
SubjectArgument = Annotated[str, typer.Argument(help="The transfer, as `transfer list` shows it.")]


@app.command("access")
def list_accesses(
    context: typer.Context,
    log: LogOption,
    transfer: TransferOption = None,
    phase: PhaseOption = None,
    party: Annotated[str | None, typer.Option(help="Who said so.")] = None,
    principal: Annotated[str | None, typer.Option(help="Who accessed.")] = None,
    action: Annotated[str | None, typer.Option(help="What, such as s3:GetObject.")] = None,
    resource: Annotated[str | None, typer.Option(help="On what.")] = None,
    outcome: Annotated[str | None, typer.Option(help="allowed, refused or failed.")] = None,
    country: Annotated[str | None, typer.Option(help="Where from, ISO 3166-1 alpha-2.")] = None,
    tls_version: Annotated[str | None, typer.Option(help="Over which TLS, such as 1.2, or none.")] = None,
    source_system: Annotated[str | None, typer.Option(help="Which system logged it.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write all that match to a file: .csv, .ndjson or .parquet."),
    ] = None,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """List or export the access log of the three phases. Filters may be combined.

    Example: `transfer-ledger access --log ledger.example/acme-live --outcome refused --country JP -o refused.csv`
    """
    which = _filter(
        since,
        until,
        phase=phase and phase.value,
        subject=transfer,
        party=party,
        principal=principal,
        action=action,
        resource=resource,
        outcome=outcome,
        country=country,
        tls_version=tls_version,
        source_system=source_system,
    )
    format = None if output is None else _format(output)
    with open_source(context, log, url, api_key) as source:
        if output is not None and format is not None:
            with written(output) as file:
                source.export(which, format, file)
            out.print(f"wrote {output} ({output.stat().st_size} bytes)", markup=False)
            return
        rows, more = at_most(source.accesses(which), limit)
    _print(rows, _ACCESS_COLUMNS, more, as_json=json)


def _format(output: Path) -> Format:
    try:
        return Format(output.suffix.removeprefix("."))
    except ValueError:
        raise MalformedInput(
            "no form for a file of that name",
            expected=" or ".join(f".{format}" for format in Format),
            got=repr(output.suffix),
        ) from None


@snapshot_app.command("list")
def list_snapshots(
    context: typer.Context,
    log: LogOption,
    transfer: TransferOption = None,
    phase: PhaseOption = None,
    resource: Annotated[str | None, typer.Option(help="Of what.")] = None,
    public: Annotated[
        bool | None, typer.Option(help="Only what anybody may reach, or only what not.")
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """List permission snapshots.

    Example: `transfer-ledger snapshot list --log ledger.example/acme-live --public`
    """
    equal: dict[str, Any] = {"phase": phase and phase.value, "subject": transfer, "resource": resource}
    with open_source(context, log, url, api_key) as source:
        rows, more = at_most(source.snapshots(_filter(since, until, public=public, **equal)), limit)
    _print(rows, _SNAPSHOT_COLUMNS, more, as_json=json)


@snapshot_app.command("diff")
def compare(
    context: typer.Context,
    log: LogOption,
    before: Annotated[int | None, typer.Argument(min=0, help="Position of the earlier snapshot.")] = None,
    after: Annotated[int | None, typer.Argument(min=0, help="Position of the later snapshot.")] = None,
    resource: Annotated[
        str | None, typer.Option(help="In place of positions: the newest snapshots of this resource …")
    ] = None,
    phases: Annotated[tuple[Phase, Phase], typer.Option(help="… in these two phases.")] = (
        Phase.BEFORE,
        Phase.STORAGE,
    ),
    transfer: TransferOption = None,
    source_system: Annotated[
        str | None, typer.Option(help="… and, if several systems tell of it, that this one told.")
    ] = None,
    zh: Annotated[bool, typer.Option("--zh", help="Say it in Chinese.")] = False,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """Say what changed between two snapshots of a resource.

    Example: `transfer-ledger snapshot diff --log ledger.example/acme-live 12 340`
    """
    with open_source(context, log, url, api_key) as source:
        if before is not None and after is not None:
            found = source.compare(before, after)
        elif resource is not None:
            equal = {"resource": resource, "subject": transfer, "source_system": source_system}
            found = source.compare_phases(_filter(None, None, **equal), *phases)
        else:
            raise MalformedInput(
                "which two snapshots to compare is not told", expected="two positions, or --resource"
            )
    if json:
        print_json(found)
    else:
        _print_difference(found, zh=zh)


@transfer_app.command("list")
def list_transfers(
    context: typer.Context,
    log: LogOption,
    limit: LimitOption = 50,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """List the transfers of a log, with the state of each phase.

    Example: `transfer-ledger transfer list --log ledger.example/acme-live`
    """
    with open_source(context, log, url, api_key) as source:
        rows, more = at_most(source.transfers(), limit)
    _print(rows, _TRANSFER_COLUMNS, more, as_json=json)


@transfer_app.command("show")
def show_transfer(
    context: typer.Context,
    transfer: SubjectArgument,
    log: LogOption,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """Show one transfer: parties, jurisdictions, phases, papers.

    Example: `transfer-ledger transfer show --log ledger.example/acme-live live-2026-07-01-tokyo`
    """
    with open_source(context, log, url, api_key) as source:
        found = source.transfer(transfer)
    if json:
        print_json(found)
    else:
        _print_transfer(found)


@transfer_app.command("timeline")
def show_timeline(
    context: typer.Context,
    transfer: SubjectArgument,
    log: LogOption,
    phase: PhaseOption = None,
    type: Annotated[list[str] | None, typer.Option(help="Only of this type; may be repeated.")] = None,
    limit: LimitOption = 50,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what was said of a transfer, in the order of the events' own time.

    Example: `transfer-ledger transfer timeline --log ledger.example/acme-live live-2026-07-01-tokyo --phase before`
    """
    with open_source(context, log, url, api_key) as source:
        rows, more = at_most(source.timeline(transfer, phase, type or []), limit)
    _print(rows, _TIMELINE_COLUMNS, more, as_json=json)


@transfer_app.command("completeness")
def show_completeness(
    context: typer.Context,
    log: LogOption,
    transfer: Annotated[str | None, typer.Argument(help="One transfer; all if left out.")] = None,
    limit: LimitOption = 50,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """Show which evidence is there, late or missing: of one transfer with the reason, of all what is wanting.

    Example: `transfer-ledger transfer completeness --log ledger.example/acme-live`
    """
    with open_source(context, log, url, api_key) as source:
        if transfer is not None:
            matrix = source.matrix(transfer)
            _print(matrix["cells"], _CELL_COLUMNS, more=False, as_json=json, whole=matrix)
            return
        rows, more = at_most(source.matrices(), limit)
    _print(rows, _MATRIX_COLUMNS, more, as_json=json)


@app.command("reconcile")
def reconcile(
    context: typer.Context,
    log: LogOption,
    transfer: TransferOption = None,
    phase: PhaseOption = None,
    resource: Annotated[str | None, typer.Option(help="Only accesses to this resource.")] = None,
    principal: Annotated[str | None, typer.Option(help="Only accesses by this principal.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    verdict: Annotated[
        list[Verdict] | None, typer.Option(help="List the accesses with this verdict; may be repeated.")
    ] = None,
    limit: LimitOption = 50,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """Hold each access against the permission snapshot in force at its time, and each grant against its use.

    Example: `transfer-ledger reconcile --log ledger.example/acme-live --verdict not-permitted`
    """
    which = _filter(
        since, until, subject=transfer, phase=phase and phase.value, resource=resource, principal=principal
    )
    with open_source(context, log, url, api_key) as source:
        if verdict:
            rows, more = at_most(source.judge(which, frozenset(verdict)), limit)
            _print(rows, _JUDGEMENT_COLUMNS, more, as_json=json)
            return
        with progress_bar("accesses") as update:
            report = source.reconcile(which, lambda done: update(done, None) if done % 500 == 0 else None)
    if json:
        print_json(report)
    else:
        _print_report(report, limit)


def _filter(since: str | None, until: str | None, **equal: str | bool | None) -> ViewFilter:
    told = {name: value for name, value in equal.items() if value is not None}
    return ViewFilter(
        told, None if since is None else moment(since), None if until is None else moment(until)
    )


# --- Tables for people

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Any], object]]


def _member(name: str) -> Column:
    return name.replace("_", " "), lambda row: row[name]


_ACCESS_COLUMNS: Sequence[Column] = [
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
_SNAPSHOT_COLUMNS: Sequence[Column] = [
    *map(_member, ("position", "captured", "phase", "transfer", "resource", "public")),
    ("external principals", lambda row: "\n".join(row["external_principals"])),
    ("grants", lambda row: None if row["grants"] is None else len(row["grants"])),
]
_TRANSFER_COLUMNS: Sequence[Column] = [
    *map(_member, ("transfer", "events", "first_time", "last_time")),
    ("stored in", lambda row: " ".join(row["jurisdictions"]["data_stored"])),
    ("undeclared", lambda row: " ".join(row["jurisdictions"]["undeclared"])),
    *((phase.value, lambda row, at=at: row["phases"][at]["state"]) for at, phase in enumerate(Phase)),
]
_TIMELINE_COLUMNS: Sequence[Column] = [
    *map(_member, ("time", "phase")),
    ("type", lambda row: row["type"].removeprefix("transfer-ledger.")),
    *map(_member, ("party", "position")),
    (
        "says",
        lambda row: ", ".join(f"{name}: {_short(value)}" for name, value in list(row["data"].items())[:4]),
    ),
]
_CELL_COLUMNS: Sequence[Column] = [
    *map(_member, ("phase", "evidence", "presence", "count", "first", "because", "source"))
]
_JUDGEMENT_COLUMNS: Sequence[Column] = [
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


_MATRIX_COLUMNS: Sequence[Column] = [_member("transfer"), *map(_of_phase, Phase)]


def _print(
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


def _print_difference(found: DifferenceDocument, *, zh: bool) -> None:
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


def _print_transfer(found: TransferDocument) -> None:
    places = found["jurisdictions"]
    _say(f"{found['transfer']}: {found['events']} events, {found['first_time']} to {found['last_time']}")
    for title, handlers in (
        ("exporter", found["exporters"]),
        ("importer", found["importers"]),
        ("processor", found["processors"]),
    ):
        for handler in handlers:
            name = f" ({handler['registered_name']})" if handler["registered_name"] else ""
            _say(f"  {title}: {handler['party']}{name}, {handler['country']}")
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


def _print_report(report: ReconciliationDocument, limit: int) -> None:
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in report["verdicts"].items())
    _say(f"{report['accesses']} accesses: {verdicts or 'none'}")
    _say(f"{report['unexplained_count']} were done and nothing in force permitted them")
    shown = limit or None
    if report["unexplained"]:
        _show(_table(report["unexplained"][:shown], _JUDGEMENT_COLUMNS))
    _say(f"{len(report['grants'])} grants, {report['unused_grants']} of them never used")
    if report["grants"]:
        _show(_table(report["grants"][:shown], _USE_COLUMNS))


_USE_COLUMNS: Sequence[Column] = [
    _member("uses"),
    ("resource", lambda row: row["grant"].get("resource", row["resource"])),
    ("principal", lambda row: row["grant"]["principal"]),
    ("actions", lambda row: ", ".join(row["grant"]["actions"])),
    *map(_member, ("since", "until", "last_used")),
]
