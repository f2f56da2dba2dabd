"""Prove and verify events; build and verify evidence packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Annotated

import typer

from ledger import canonical, catalogue
from ledger.bootstrap import open_store_only
from ledger.cli.shared import (
    ApiKeyOption,
    ChainIdOption,
    ContractOption,
    JsonOption,
    KeyOption,
    LogOption,
    RpcOption,
    UrlOption,
    app,
    emit,
    err,
    load_settings,
    out,
    plain,
    print_json,
    progress_bar,
    read_key,
    require_api_key,
    trusted_chain,
    trusted_origin,
)
from ledger.client import Client
from ledger.entry import event_time
from ledger.errors import MalformedInput, Unavailable, VerificationError
from ledger.evidence import ChainReport, PackageReport, build_package, check_package, check_package_on_chain
from ledger.evidence.check import CLOCK_TOLERANCE
from ledger.proof import parse_proof, proof_document
from ledger.proving import Verified, prove, verify, verify_offline
from ledger.types import Position, format_time, parse_origin

evidence_app = typer.Typer(no_args_is_help=True, help="Build and verify evidence packages.")
app.add_typer(evidence_app, name="evidence")

OutputOption = Annotated[Path | None, typer.Option("-o", "--output", help="File to write.")]


@app.command("prove")
def prove_event(
    context: typer.Context,
    log: LogOption,
    position: Annotated[int, typer.Argument(min=0, help="Position of the event.")],
    show: Annotated[
        str | None,
        typer.Option(help="Members of data to disclose, comma-separated; all if left out, none if empty."),
    ] = None,
    output: OutputOption = None,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Write the proof of one event.

    Example: `transfer-ledger prove --log ledger.example/acme-live 17 --show principal,action -o proof.json`
    """
    origin = parse_origin(log)
    if url:
        with Client(url, require_api_key(api_key), origin) as client:
            document = client.proof(Position(position), show)
    else:
        names = None if show is None else [name for name in show.split(",") if name]
        with open_store_only(load_settings(context)) as (store, _, _):
            document = canonical.encode(
                proof_document(prove(store, store.log(origin), Position(position), names))
            )
    if output is None:
        emit(document + b"\n")
    else:
        output.write_bytes(document)


@app.command("verify")
def verify_proof(
    file: Annotated[Path, typer.Argument(help="A proof document.")],
    key: KeyOption = None,
    rpc: RpcOption = None,
    contract: ContractOption = None,
    chain_id: ChainIdOption = None,
    log: Annotated[
        str | None, typer.Option("--log", help="The log asked about, where no key is given.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Verify a proof: offline with the log's key, on the chain with a node and contract of your choice, or both.

    Exit 0 verified, 1 refuted (the failing step is named), 2 unusable input, 3 the node does not answer.

    Example: `transfer-ledger verify proof.json --key ledger.vkey --rpc http://127.0.0.1:8545 --contract 0x…`
    """
    verifier = read_key(key) if key else None
    trusted = trusted_chain(rpc, contract, chain_id)
    origin = trusted_origin(verifier, log, chain=trusted is not None)
    data = _read(file)
    with _judging(as_json=json):
        proof = parse_proof(data)
        # What needs no node comes first: a node that does not answer must not hide what is refuted without it.
        verify_offline(proof, verifier, origin)
    with _judging(as_json=json), trusted.open() if trusted else nullcontext() as chain:
        verified = verify(proof, verifier, origin, chain)
    _print_verified(verified, as_json=json)


@contextmanager
def _judging(*, as_json: bool) -> Iterator[None]:
    """Errors while evidence is judged, as verdicts: exit 1 refuted, 2 out of form, 3 nothing is said."""
    try:
        yield
    except (VerificationError, MalformedInput) as error:
        step, code = (error.step, 1) if isinstance(error, VerificationError) else ("form", 2)
        if as_json:
            print_json({"verified": False, "step": step, "reason": str(error)})
        else:
            err.print(plain(f"error: [{step}] {error}"), markup=False)
            out.print(f"REFUTED at step {step}" if code == 1 else "NOT USABLE: step form", markup=False)
        raise typer.Exit(code) from None
    except Unavailable as error:
        if as_json:
            print_json({"verified": None, "reason": str(error)})
        raise


def _print_verified(verified: Verified, *, as_json: bool) -> None:
    event = verified.event
    opened = event.entry.event(event.disclosures)
    facts: dict[str, object] = {
        "verified": True,
        "by": [name for name, yes in (("key", verified.by_key), ("chain", verified.by_chain)) if yes],
        "log": event.origin,
        "position": event.position,
        "batch": event.header.batch_no,
        "received": format_time(event.entry.received),
        "closed": format_time(event.header.closed_at * 1000),
        "anchored": None if verified.anchored_at is None else format_time(verified.anchored_at * 1000),
        "seconds_to_anchor": _delay(verified),
        "party": event.entry.party,
        "event": {**opened.attributes, "data": opened.data},
        "withheld_members": len(event.entry.sd) - len(event.disclosures),
        "opaque": catalogue.is_opaque(opened.type),
    }
    if as_json:
        print_json(facts)
        return
    by = " and ".join(facts["by"])  # type: ignore[arg-type]
    out.print(f"VERIFIED by {by}: position {event.position} of {event.origin}", markup=False)
    for name in ("batch", "received", "closed", "anchored", "seconds_to_anchor", "party", "withheld_members"):
        if facts[name] is not None:
            out.print(f"  {name.replace('_', ' ')}: {facts[name]}", markup=False)
    for heading, members in (("event", dict(opened.attributes)), ("data", opened.data)):
        # Under a heading of their own, so that a disclosed `anchored` is not taken for the verifier's word.
        for name, value in members.items():
            text = value if isinstance(value, str) else canonical.encode(value).decode()
            out.print(plain(f"  {heading}.{name}: {text}"), markup=False)
    delay = facts["seconds_to_anchor"]
    if isinstance(delay, int) and delay < -CLOCK_TOLERANCE:
        out.print(f"WARNING: the ledger's clock says that it was received {-delay} s after it was anchored.")
    if facts["opaque"]:
        out.print(
            "Its type is opaque: no catalogue knows it, and nothing in it was checked when it was taken."
        )
    if not verified.by_chain:
        out.print("Not held against the chain: give --rpc and --contract.", markup=False)


def _delay(verified: Verified) -> int | None:
    """Seconds from the receipt, by the ledger's clock, to the block; before it, the presumption does not reach."""
    return (
        None if verified.anchored_at is None else verified.anchored_at - verified.event.entry.received // 1000
    )


@evidence_app.command("build")
def evidence_build(
    context: typer.Context,
    log: LogOption,
    start: Annotated[str, typer.Option("--from", help="Start of the period, RFC 3339 or a date.")],
    end: Annotated[str, typer.Option("--to", help="End of the period, excluded.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    disclose: Annotated[bool, typer.Option(help="Put in what has not been erased.")] = True,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Build the evidence package of all events received in a period.

    Example: `transfer-ledger evidence build --log ledger.example/acme-live --from 2026-01-01 --to 2027-01-01 -o e.zip`
    """
    origin = parse_origin(log)
    since, until = moment(start), moment(end)
    with written(output) as file:
        if url:
            with Client(url, require_api_key(api_key), origin) as client:
                client.evidence(format_time(since), format_time(until), file)
        else:
            with (
                open_store_only(load_settings(context)) as (store, keyring, clock),
                progress_bar("events") as update,
            ):
                signer = keyring.signer(origin)
                build_package(
                    store,
                    store.log(origin),
                    signer,
                    since,
                    until,
                    clock.now(),
                    file,
                    disclose=disclose,
                    progress=update,
                )
    out.print(f"wrote {output} ({output.stat().st_size} bytes)", markup=False)


@evidence_app.command("verify")
def evidence_verify(
    file: Annotated[Path, typer.Argument(help="An evidence package.")],
    key: Annotated[str, typer.Option("--key", help="The log's verifier key, or a file that holds it.")],
    rpc: RpcOption = None,
    contract: ContractOption = None,
    chain_id: ChainIdOption = None,
    json: JsonOption = False,
) -> None:
    """Verify an evidence package, offline and, with a node of your choice, on the chain; say what was proved.

    Exit 0 verified, 1 refuted (the failing step is named), 2 unusable input, 3 the node does not answer.

    Example: `transfer-ledger evidence verify 2026.zip --key ledger.vkey --rpc http://127.0.0.1:8545 --contract 0x…`
    """
    verifier = read_key(key)
    trusted = trusted_chain(rpc, contract, chain_id)
    on_chain: ChainReport | None = None
    with _opened(file) as package, progress_bar("events") as update, _judging(as_json=json):
        report = check_package(package, verifier, update)
    if trusted:
        with _judging(as_json=json), trusted.open() as chain, progress_bar("batches") as update:
            on_chain = check_package_on_chain(report, chain, update)
    _print_report(report, on_chain, as_json=json)


def _print_report(report: PackageReport, on_chain: ChainReport | None, *, as_json: bool) -> None:
    manifest = report.manifest
    facts: dict[str, object] = {
        "verified": True,
        "by": ["key", "chain"] if on_chain else ["key"],
        "log": manifest.origin,
        "from": format_time(manifest.since),
        "to": format_time(manifest.until),
        "made": format_time(manifest.made),
        "batches": manifest.batches,
        "checkpoint_size": report.checkpoint.size,
        "checkpoint_root": report.checkpoint.root.base64,
        "events_in_period": report.events_in_period,
        "by_phase": report.by_phase,
        "by_type": report.by_type,
        "disclosed_members": report.disclosed_members,
        "withheld_members": report.withheld_members,
        "open_end": report.open_end,
        "batches_beyond": on_chain.beyond if on_chain else None,
        "longest_seconds_to_anchor": on_chain.longest_delay if on_chain else None,
        "post_dated_batches": list(on_chain.post_dated) if on_chain else None,
    }
    if as_json:
        print_json(facts)
        return
    out.print(f"VERIFIED by {'key and chain' if on_chain else 'key'}: {manifest.origin}", markup=False)
    for line in _proved(report, on_chain):
        out.print(f"  {line}", markup=False)


def _proved(report: PackageReport, on_chain: ChainReport | None) -> Iterator[str]:
    manifest = report.manifest
    phases = ", ".join(f"{count} {phase}" for phase, count in report.by_phase.items())
    yield f"period of receipt: {format_time(manifest.since)} to {format_time(manifest.until)}"
    yield f"{report.events_in_period} events in it ({phases or 'none'}): none can have been left out, added or changed"
    if report.open_end:
        yield "BUT the period's end is open: events after the newest batch of this package are not covered"
    batches = f"batches {manifest.first_batch} to {manifest.first_batch + manifest.batches - 1}"
    yield f"{batches} follow each other without gap, and each root was rebuilt from the entries"
    yield f"all {report.checkpoint.size} headers of the log give the root that its key signed"
    yield f"{report.disclosed_members} members are disclosed and match their commitments"
    yield f"{report.withheld_members} members are withheld or erased"
    if on_chain is None:
        yield "not held against the chain: give --rpc and --contract"
        return
    anchor = report.anchors[0].contract
    yield f"the contract {anchor.address} on chain {anchor.chain_id} holds the same batches and root"
    yield f"every batch was anchored at most {on_chain.longest_delay} s after its last entry was received"
    if on_chain.beyond:
        yield f"the contract holds {on_chain.beyond} newer batches, which this package does not cover"
    if on_chain.post_dated:
        numbers = ", ".join(map(str, on_chain.post_dated[:10]))
        yield f"WARNING: the ledger's clock says that entries were received after they were anchored: batches {numbers}"


def moment(text: str) -> int:
    """Unix milliseconds of an RFC 3339 time, or of the begin of a day in UTC. Raises MalformedInput."""
    return event_time(f"{text}T00:00:00Z" if len(text) == len("2026-01-01") else text)


def _read(file: Path) -> bytes:
    with _opened(file) as opened:
        return opened.read()


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    try:
        with file.open("rb") as opened:
            yield opened
    except OSError as error:
        raise MalformedInput(f"{file} cannot be read", got=error.strerror or str(error)) from None


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only once it is whole."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise MalformedInput(f"{path} cannot be written", got=error.strerror or str(error)) from None
    finally:
        temporary.unlink(missing_ok=True)
