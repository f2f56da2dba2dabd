"""Prove and verify events; build and verify evidence packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Annotated

import typer

from ledger import canonical, catalogue
from ledger.bootstrap import open_store_only
from ledger.cli.receipts import Shown, judge_receipts
from ledger.cli.shared import (
    ApiKeyOption,
    ChainIdOption,
    ContractOption,
    JsonOption,
    KeyOption,
    LogOption,
    PartyKeyOption,
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
    read_file,
    read_key,
    require_api_key,
    trusted_chain,
    trusted_origin,
)
from ledger.client import Client
from ledger.entry import event_time
from ledger.errors import MalformedInput, Unavailable, VerificationError
from ledger.evidence import (
    CLOCK_TOLERANCE,
    ChainReport,
    PackageReport,
    build_package,
    check_all_signed,
    check_package,
    check_package_on_chain,
)
from ledger.proof import parse_proof, proof_document
from ledger.proving import Verified, prove, verify, verify_offline
from ledger.push import SignedBy
from ledger.receipt import HEADLINE
from ledger.types import Position, format_time, parse_origin

RECEIPTS = f"{HEADLINE}\n".encode()

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
def verify_evidence(
    file: Annotated[Path, typer.Argument(help="A proof document, or a file of receipts.")],
    key: KeyOption = None,
    rpc: RpcOption = None,
    contract: ContractOption = None,
    chain_id: ChainIdOption = None,
    party_key: PartyKeyOption = None,
    log: Annotated[
        str | None, typer.Option("--log", help="The log asked about, where no key is given.")
    ] = None,
    package: Annotated[
        list[Path] | None,
        typer.Option(help="For receipts: an evidence package that shows the log's batches; may be repeated."),
    ] = None,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    at: Annotated[
        str | None,
        typer.Option(help="For receipts: judge as of this time, RFC 3339 or a date; now by default."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Verify a proof, or judge receipts: offline with the log's key, on the chain with a node of your choice, or both.

    A **proof**: with a key of the event's party, also that the party has signed it. Exit 0 verified, 1 refuted (the
    failing step is named), 2 unusable input, 3 the node does not answer.

    **Receipts**, as `push --receipts` keeps them: by packages, or by what the ledger at --url shows (API key with the
    scope read), each is kept, pending or broken. Exit 0 all are kept or pending, 1 one is broken or refuted, 2 unusable
    input, 3 undecided, or no answer.

    Example: `transfer-ledger verify proof.json --key ledger.vkey --rpc http://127.0.0.1:8545 --contract 0x…`

    Example: `transfer-ledger verify receipts.txt --key ledger.vkey --package 2026.zip`
    """
    verifier = read_key(key) if key else None
    trusted = trusted_chain(rpc, contract, chain_id)
    data = _read(file)
    if data.startswith(RECEIPTS):
        if verifier is None:
            raise MalformedInput("nothing to trust", expected="--key: receipts are signed by it")
        shown = Shown(package or (), url, api_key)
        moment_ = None if at is None else moment(at)
        with _judging(as_json=json):
            judge_receipts(_text(data), verifier, shown, trusted, moment_, as_json=json)
        return
    if package or at:
        raise MalformedInput("--package and --at are for receipts", got="a file of something else")
    origin = trusted_origin(verifier, log, chain=trusted is not None)
    party_keys = [read_key(text) for text in party_key or ()]
    with _judging(as_json=json):
        proof = parse_proof(data)
        # What needs no node comes first: a node that does not answer must not hide what is refuted without it.
        verify_offline(proof, verifier, origin, party_keys)
    with _judging(as_json=json), trusted.open() if trusted else nullcontext() as chain:
        verified = verify(proof, verifier, origin, chain, party_keys)
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
        "signature": _signature(event.signed),
        "event": {**opened.attributes, "data": opened.data},
        "withheld_members": len(event.entry.sd) - len(event.disclosures),
        "opaque": catalogue.is_opaque(opened.type),
    }
    if as_json:
        print_json(facts)
        return
    by = " and ".join(facts["by"])  # type: ignore[arg-type]
    facts["signature"] = _signed_line(event.signed)
    out.print(f"VERIFIED by {by}: position {event.position} of {event.origin}", markup=False)
    for name in (
        *("batch", "received", "closed", "anchored", "seconds_to_anchor"),
        *("party", "signature", "withheld_members"),
    ):
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


def _signature(signed: SignedBy | None) -> dict[str, object] | None:
    if signed is None:
        return None
    return {"party": signed.party, "key_id": signed.key_id.hex(), "held": signed.held}


def _signed_line(signed: SignedBy | None) -> str:
    if signed is None:
        return "none: that the party pushed it is the ledger's word"
    key = f"by {signed.party}, key {signed.key_id.hex()}"
    return (
        f"{key}, held against the key given"
        if signed.held
        else f"{key}, NOT held against a key: give --party-key"
    )


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
    party_key: PartyKeyOption = None,
    require_signed: Annotated[
        bool,
        typer.Option(
            "--require-signed",
            help="Refuse unless every event of the period of those parties is signed by one of the keys given.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Verify an evidence package, offline and, with a node of your choice, on the chain; say what was proved.

    Exit 0 verified, 1 refuted (the failing step is named), 2 unusable input, 3 the node does not answer.

    Example: `transfer-ledger evidence verify 2026.zip --key ledger.vkey --rpc http://127.0.0.1:8545 --contract 0x…`
    """
    verifier = read_key(key)
    trusted = trusted_chain(rpc, contract, chain_id)
    party_keys = [read_key(text) for text in party_key or ()]
    if require_signed and not party_keys:
        raise MalformedInput("nothing to hold signatures against", expected="--party-key")
    on_chain: ChainReport | None = None
    with read_file(file) as package, progress_bar("events") as update, _judging(as_json=json):
        report = check_package(package, verifier, update, party_keys=party_keys)
        if require_signed:
            check_all_signed(report)
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
        "signed_events": report.signed_events,
        "signed_events_held": report.held_events,
        "first_event_not_held": report.unheld,
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
    yield from _signatures(report)
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


def _signatures(report: PackageReport) -> Iterator[str]:
    if report.signed_events:
        yield f"{report.signed_events} events are signed by their party, {report.held_events} by a key that was given"
    if report.unheld is not None:
        yield f"BUT not all of that party's are signed by such a key: the first is at position {report.unheld}"


def moment(text: str) -> int:
    """Unix milliseconds of an RFC 3339 time, or of the begin of a day in UTC. Raises MalformedInput."""
    return event_time(f"{text}T00:00:00Z" if len(text) == len("2026-01-01") else text)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedInput("not a file of receipts", expected="UTF-8") from None


def _read(file: Path) -> bytes:
    with read_file(file) as opened:
        return opened.read()


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
