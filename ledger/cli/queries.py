"""Ask what happened: access log, permission snapshots, transfers, completeness, reconciliation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.audit import moment, written
from ledger.cli.shared import (
    ApiKeyOption,
    JsonOption,
    LogOption,
    UrlOption,
    app,
    out,
    print_json,
    progress_bar,
)
from ledger.cli.source import at_most, open_source
from ledger.cli.tables import (
    ACCESSES,
    CELLS,
    JUDGEMENTS,
    MATRICES,
    MOMENTS,
    SNAPSHOTS,
    TRANSFERS,
    print_difference,
    print_report,
    print_rows,
    print_transfer,
)
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
PartyOption = Annotated[str | None, typer.Option(help="Only what this party said.")]
SystemOption = Annotated[str | None, typer.Option(help="Only what this source system told.")]
PrincipalOption = Annotated[str | None, typer.Option(help="Who accessed.")]
ActionOption = Annotated[str | None, typer.Option(help="What, such as s3:GetObject.")]
ResourceOption = Annotated[str | None, typer.Option(help="On what.")]
OutcomeOption = Annotated[str | None, typer.Option(help="allowed, refused or failed.")]
CountryOption = Annotated[str | None, typer.Option(help="Where from, ISO 3166-1 alpha-2.")]
TlsOption = Annotated[str | None, typer.Option(help="Over which TLS, such as 1.2, or none.")]
SubjectArgument = Annotated[str, typer.Argument(help="The transfer, as `transfer list` shows it.")]


@app.command("access")
def list_accesses(
    context: typer.Context,
    log: LogOption,
    transfer: TransferOption = None,
    phase: PhaseOption = None,
    party: PartyOption = None,
    principal: PrincipalOption = None,
    action: ActionOption = None,
    resource: ResourceOption = None,
    outcome: OutcomeOption = None,
    country: CountryOption = None,
    tls_version: TlsOption = None,
    source_system: SystemOption = None,
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
    print_rows(rows, ACCESSES, more, as_json=json)


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
    party: PartyOption = None,
    resource: Annotated[str | None, typer.Option(help="Of what.")] = None,
    source_system: SystemOption = None,
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
    which = _filter(
        since,
        until,
        phase=phase and phase.value,
        subject=transfer,
        party=party,
        resource=resource,
        public=public,
        source_system=source_system,
    )
    with open_source(context, log, url, api_key) as source:
        rows, more = at_most(source.snapshots(which), limit)
    print_rows(rows, SNAPSHOTS, more, as_json=json)


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
        print_difference(found, zh=zh)


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
    print_rows(rows, TRANSFERS, more, as_json=json)


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
        print_transfer(found)


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
    print_rows(rows, MOMENTS, more, as_json=json)


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
            print_rows(matrix["cells"], CELLS, more=False, as_json=json, whole=matrix)
            return
        rows, more = at_most(source.matrices(), limit)
    print_rows(rows, MATRICES, more, as_json=json)


@app.command("reconcile")
def reconcile(
    context: typer.Context,
    log: LogOption,
    transfer: TransferOption = None,
    phase: PhaseOption = None,
    party: PartyOption = None,
    principal: PrincipalOption = None,
    action: ActionOption = None,
    resource: ResourceOption = None,
    outcome: OutcomeOption = None,
    country: CountryOption = None,
    tls_version: TlsOption = None,
    source_system: SystemOption = None,
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
    with open_source(context, log, url, api_key) as source:
        if verdict:
            rows, more = at_most(source.judge(which, frozenset(verdict)), limit)
            print_rows(rows, JUDGEMENTS, more, as_json=json)
            return
        with progress_bar("accesses") as update:
            report = source.reconcile(which, lambda done: update(done, None))
    if json:
        print_json(report)
    else:
        print_report(report, limit)


def _filter(since: str | None, until: str | None, **equal: str | bool | None) -> ViewFilter:
    told = {name: value for name, value in equal.items() if value is not None}
    return ViewFilter(
        told, None if since is None else moment(since), None if until is None else moment(until)
    )
