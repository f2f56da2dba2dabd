"""Set up and look after a ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ledger import documents
from ledger.bootstrap import (
    create_api_key,
    create_party_key,
    initialise,
    open_ledger,
    open_node,
    open_store_only,
)
from ledger.catalogue.base import COUNTRIES
from ledger.cli.audit import moment
from ledger.cli.shared import (
    JsonOption,
    LogOption,
    app,
    err,
    load_settings,
    out,
    print_json,
    progress_bar,
    read_key,
)
from ledger.doctor import Difference, Doctor
from ledger.errors import MalformedInput
from ledger.ports import Store
from ledger.records import Party, PartyKey, Role, Scope
from ledger.types import Origin, format_time, log_id, parse_origin, parse_party_id

log_app = typer.Typer(no_args_is_help=True, help="Create and list logs.")
party_app = typer.Typer(no_args_is_help=True, help="Register and list parties.")
party_key_app = typer.Typer(no_args_is_help=True, help="A party's signing keys.")
key_app = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")
app.add_typer(log_app, name="log")
app.add_typer(party_app, name="party")
party_app.add_typer(party_key_app, name="key")
app.add_typer(key_app, name="key")

PartyOption = Annotated[str, typer.Option("--party", help="The party's id.")]


@app.command()
def init(
    context: typer.Context,
    rpc: Annotated[str | None, typer.Option(help="URL of an EVM node; a managed Anvil by default.")] = None,
    chain_id: Annotated[int | None, typer.Option(help="The node's chain id.")] = None,
    contract: Annotated[str | None, typer.Option(help="A TransferLog that is deployed already.")] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL; SQLite by default.")] = None,
) -> None:
    """Make the data folder: database, keys, chain and contract. Again changes nothing.

    Example: `transfer-ledger --data ./ledger-data init`
    """
    settings = load_settings(context, rpc=rpc, chain_id=chain_id, contract=contract, database=database)
    made = initialise(settings)
    out.print(f"initialised {settings.data}: contract {made.address} on chain {made.chain_id}", markup=False)


@party_app.command("add")
def party_add(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="An opaque id, such as acme.")],
    name: Annotated[str, typer.Option(help="The organisation's name.")],
    role: Annotated[Role, typer.Option(help="What it does.")],
    country: Annotated[str, typer.Option(help="ISO 3166-1 alpha-2.")],
) -> None:
    """Register a party.

    Example: `transfer-ledger party add acme --name "ACME Live" --role platform --country CN`
    """
    if country not in COUNTRIES:
        raise MalformedInput("not a country", expected="ISO 3166-1 alpha-2, e.g. CN", got=repr(country[:20]))
    with open_store_only(load_settings(context)) as (store, _, _):
        store.add_party(Party(parse_party_id(id), name, role, country))
    out.print(f"party {id}", markup=False)


@party_app.command("list")
def party_list(context: typer.Context, json: JsonOption = False) -> None:
    """List the parties."""
    with open_store_only(load_settings(context)) as (store, _, _):
        parties = store.parties()
    rows = [{"id": p.id, "name": p.name, "role": p.role.value, "country": p.country} for p in parties]
    _print_rows(rows, as_json=json)


@party_key_app.command("create")
def party_key_create(
    party: Annotated[str, typer.Argument(help="The party's id.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File for the private key.")],
) -> None:
    """Make a key pair to sign pushes with, on the party's own machine; print its verifier key. Again changes nothing.

    The ledger's operator registers the verifier key: `party key add`.

    Example: `transfer-ledger party key create acme -o acme.pem > acme.party.vkey`
    """
    out.print(str(create_party_key(output, parse_party_id(party)).key), markup=False)


@party_key_app.command("add")
def party_key_add(
    context: typer.Context,
    party: Annotated[str, typer.Argument(help="The party's id.")],
    key: Annotated[
        str, typer.Option("--key", help="Verifier key <party>+<hash>+<base64>, or a file with it.")
    ],
    since: Annotated[str | None, typer.Option("--from", help="Valid from; now if left out.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Valid before; without end if left out.")
    ] = None,
) -> None:
    """Register a key with which a party signs. Again changes nothing; a key that is there stays as it is.

    Example: `transfer-ledger party key add acme --key acme.vkey --until 2027-07-01`
    """
    id = parse_party_id(party)
    verifier = read_key(key)
    if verifier.name != id:
        raise MalformedInput("a key that is named for somebody else", expected=id, got=verifier.name)
    with open_store_only(load_settings(context)) as (store, _, clock):
        known = [key for key in store.party_keys(id) if key.verifier_key == str(verifier)]
        begin = moment(since) if since else known[0].valid_from if known else clock.now()
        end = moment(until) if until else known[0].valid_until if known else None
        if end is not None and end <= begin:
            raise MalformedInput("a key that is never valid", expected="--from before --until")
        store.party(id)
        store.add_party_key(PartyKey(id, str(verifier), begin, end))
    out.print(f"party {id}: key {str(verifier).split('+')[1]}", markup=False)


@party_key_app.command("end")
def party_key_end(
    context: typer.Context,
    party: Annotated[str, typer.Argument(help="The party's id.")],
    key: Annotated[str, typer.Option("--key", help="The verifier key, or a file with it.")],
    at: Annotated[
        str | None, typer.Option("--at", help="From when it is no longer valid; now if left out.")
    ] = None,
) -> None:
    """End a key's validity. What it signed before stays signed; an end that is set is never moved.

    Example: `transfer-ledger party key end acme --key acme.vkey`
    """
    id = parse_party_id(party)
    with open_store_only(load_settings(context)) as (store, _, clock):
        ended = PartyKey(id, str(read_key(key)), 0)
        store.end_party_key(ended, clock.now() if at is None else moment(at))
    out.print(f"party {id}: ended", markup=False)


@party_key_app.command("list")
def party_key_list(
    context: typer.Context,
    party: Annotated[str, typer.Argument(help="The party's id.")],
    json: JsonOption = False,
) -> None:
    """List a party's keys and when they are valid."""
    with open_store_only(load_settings(context)) as (store, _, _):
        found = documents.party(store.party(parse_party_id(party)), store.party_keys(parse_party_id(party)))
    rows = [
        {"key": k["verifier_key"], "from": k["valid_from"], "until": k["valid_until"] or ""}
        for k in found["keys"]
    ]
    _print_rows(rows, as_json=json)


@log_app.command("create")
def log_create(
    context: typer.Context,
    origin: Annotated[str, typer.Argument(help="A schema-less URL prefix, e.g. ledger.example/acme-live.")],
    party: PartyOption,
    allow_opaque: Annotated[
        bool,
        typer.Option("--allow-opaque", help="Take types that the catalogue does not know. For ever."),
    ] = False,
    require_signed: Annotated[
        bool,
        typer.Option("--require-signed", help="Take only pushes that their party has signed. For ever."),
    ] = False,
) -> None:
    """Create a party's log: its key, its place in the contract, its record. Again changes nothing.

    Prints the log's verifier key: publish it where auditors trust it.

    Example: `transfer-ledger log create ledger.example/acme-live --party acme`
    """
    with open_ledger(load_settings(context)) as ledger:
        log = ledger.create_log(
            parse_origin(origin),
            parse_party_id(party),
            opaque=allow_opaque,
            require_signature=require_signed,
        )
        out.print(log.verifier_key, markup=False)
        if ledger.registrar is None:
            err.print(
                f"The registrar must register {origin} with the operator {ledger.operator}.", markup=False
            )


@log_app.command("list")
def log_list(context: typer.Context, json: JsonOption = False) -> None:
    """List the logs."""
    with open_store_only(load_settings(context)) as (store, _, _):
        logs = store.logs()
    rows = [
        {
            "origin": x.origin,
            "party": x.party,
            "key": x.verifier_key,
            "opaque": x.opaque,
            "signed": x.require_signature,
        }
        for x in logs
    ]
    _print_rows(rows, as_json=json)


@key_app.command("create")
def key_create(
    context: typer.Context,
    log: LogOption,
    party: PartyOption,
    scope: Annotated[list[Scope], typer.Option(help="May be given more than once.")],
) -> None:
    """Create an API key, bound to a party and a log. It is shown once and not kept.

    Example: `transfer-ledger key create --log ledger.example/acme-live --party acme --scope push --scope read`
    """
    with open_store_only(load_settings(context)) as (store, _, clock):
        text = create_api_key(store, clock, parse_party_id(party), parse_origin(log), frozenset(scope))
    out.print(text, markup=False)


@key_app.command("list")
def key_list(context: typer.Context, json: JsonOption = False) -> None:
    """List the API keys, without their secrets."""
    with open_store_only(load_settings(context)) as (store, _, _):
        keys = store.api_keys()
    rows = [
        {
            "id": key.id,
            "party": key.party,
            "log": key.origin,
            "scopes": ",".join(sorted(key.scopes)),
            "created": format_time(key.created),
            "revoked": format_time(key.revoked) if key.revoked else "",
        }
        for key in keys
    ]
    _print_rows(rows, as_json=json)


@key_app.command("revoke")
def key_revoke(
    context: typer.Context, id: Annotated[str, typer.Argument(help="The id, as `key list` shows.")]
) -> None:
    """Revoke an API key, for ever: at once for reading, within a second for pushing."""
    with open_store_only(load_settings(context)) as (store, _, clock):
        store.revoke_api_key(id, clock.now())
    out.print(f"revoked {id}", markup=False)


@app.command()
def status(context: typer.Context, json: JsonOption = False) -> None:
    """Show where every log stands.

    Example: `transfer-ledger --data ./ledger-data status`
    """
    with open_store_only(load_settings(context)) as (store, _, _):
        states = [_log_status(store, log.origin) for log in store.logs()]
    if json:
        print_json(states)
        return
    for state in states:
        for name, value in state.items():
            out.print(f"{name:>14}: {value}", markup=False)
        out.print()


@app.command("chain")
def show_chain(context: typer.Context, json: JsonOption = False) -> None:
    """Print the ledger's own node and contract, as options for `verify`.

    For trying out, while `serve` runs: an auditor names a node of their own, and a contract from a trusted source.

    Example: `transfer-ledger verify proof.json --key acme.vkey $(transfer-ledger chain)`
    """
    with open_node(load_settings(context)) as (rpc, contract):
        if json:
            print_json({"rpc": rpc, "chain_id": contract.chain_id, "contract": contract.address})
        else:
            typer.echo(f"--rpc {rpc} --contract {contract.address} --chain-id {contract.chain_id}")


def _log_status(store: Store, origin: Origin) -> dict[str, object]:
    head = store.head(origin)
    checkpoint = store.checkpoint(origin)
    return {
        "log": origin,
        "events": head.size,
        "waiting": head.size - head.sealed,
        "batches": head.batches,
        "checkpoint": checkpoint.size if checkpoint else 0,
        "projected": store.projected(origin),
        "conflicts": len(store.conflicts(origin)),
        "last_received": format_time(head.last_received) if head.size else "",
        "log_id": "0x" + log_id(origin).hex(),
    }


@app.command()
def doctor(
    context: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the chain out.")] = False,
    json: JsonOption = False,
) -> None:
    """Re-read everything and name the first place that differs. Exit 0 only if nothing does.

    Entries, leaves, receipts, batches, the log tree, checkpoints, conflicts, projections and anchors.

    Example: `transfer-ledger --data ./ledger-data doctor`
    """
    settings = load_settings(context)
    if offline:
        with open_store_only(settings) as (store, _, _):
            found, summary = _examine(Doctor(store, None))
    else:
        with open_ledger(settings) as ledger:
            found, summary = _examine(Doctor(ledger.store, ledger.chain))
    if json:
        print_json({"sound": not found, "differences": [str(d) for d in found], "logs": summary})
    else:
        for difference in found:
            out.print(str(difference), markup=False)
        for origin, line in summary.items():
            out.print(f"{origin}: {line}", markup=False)
        out.print(
            "sound" if not found else f"{len(found)} difference(s); the first: {found[0]}", markup=False
        )
    if found:
        raise typer.Exit(1)


def _examine(doctor: Doctor) -> tuple[list[Difference], dict[str, str]]:
    with progress_bar("reading") as update:
        doctor.progress = lambda check, done, total: update(done, total)
        found = list(doctor.examine())
    summary = {
        origin: f"{s.events} events in {s.batches} batches, {s.anchored} anchored"
        for origin, s in doctor.summaries.items()
    }
    return found, summary


@app.command()
def rebuild(context: typer.Context) -> None:
    """Drop the projections and make them again from the log. The same log gives the same bytes, and so the same digest.

    Example: `transfer-ledger --data ./ledger-data rebuild`
    """
    with open_ledger(load_settings(context)) as ledger:
        for log in ledger.store.logs():
            with progress_bar(f"projecting {log.origin}") as update:
                count = ledger.pipeline.rebuild(log.origin, progress=update)
            digest = ledger.store.projections_digest(log.origin)
            out.print(f"{log.origin}: projected {count} events, sha256 {digest.hex()}", markup=False)


def _print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, header_style="bold")
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row.values()))
    out.print(table if rows else "none")
