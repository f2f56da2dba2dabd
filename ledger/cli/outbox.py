"""Look into an outbox, and deliver what waits in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger import canonical
from ledger.cli.dispatch import Dispatch, LogKeyOption, SigningPartyOption, SignOption, tell_what_is_left
from ledger.cli.feed import report
from ledger.cli.shared import ApiKeyOption, JsonOption, UrlOption, app, emit, out, print_json
from ledger.client import Delivered, Outbox
from ledger.errors import MalformedInput

outbox_app = typer.Typer(no_args_is_help=True, help="Events that wait to be delivered (`push --outbox`).")
app.add_typer(outbox_app, name="outbox")

FileArgument = Annotated[Path, typer.Argument(help="The outbox.")]


@outbox_app.command("status")
def outbox_status(file: FileArgument, json: JsonOption = False) -> None:
    """Show what is in an outbox.

    Example: `transfer-ledger outbox status outbox.db`
    """
    with Outbox(file) as outbox:
        status = outbox.status()
    facts = {
        "log": status.origin,
        "signed": status.signed,
        "waiting": status.waiting,
        "sent": status.sent,
        "set_aside": status.set_aside,
        "receipts": status.receipts,
    }
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        out.print(f"{name.replace('_', ' '):>10}: {value}", markup=False)


@outbox_app.command("flush")
def outbox_flush(
    file: FileArgument,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    key: LogKeyOption = None,
    sign: SignOption = None,
    party: SigningPartyOption = None,
    json: JsonOption = False,
) -> None:
    """Deliver what waits, in order. What the ledger refuses is set aside; what it does not answer stays.

    Exit 0 nothing waits any more, 1 a receipt does not hold (nothing left the outbox for it), 2 refused, 3 no answer.

    Example: `transfer-ledger outbox flush outbox.db --url http://127.0.0.1:8420 --key acme.vkey`
    """
    if not url:
        raise MalformedInput("nowhere to deliver to", expected="--url")
    total = Delivered()
    with (
        Outbox(file) as outbox,
        Dispatch(key, sign, party).client(url, api_key, outbox.origin) as client,
    ):
        try:
            while (delivered := client.flush_batch(outbox)) is not None:
                total = total.plus(delivered)
        finally:
            counts = {
                "accepted": total.accepted,
                "duplicates": total.duplicates,
                "set aside": total.set_aside,
            }
            report(counts, as_json=json)
            tell_what_is_left(outbox)


@outbox_app.command("receipts")
def outbox_receipts(file: FileArgument) -> None:
    """Print the receipts that were kept, for `verify`.

    Example: `transfer-ledger outbox receipts outbox.db > receipts.txt`
    """
    with Outbox(file) as outbox:
        emit("".join(note + "\n" for note in outbox.receipts()).encode())


@outbox_app.command("set-aside")
def outbox_set_aside(
    file: FileArgument,
    again: Annotated[bool, typer.Option("--again", help="Let them wait again.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Delete them.")] = False,
) -> None:
    """Print what was set aside and why, as NDJSON; let it wait again; or delete it.

    A corrected event under the same id, put in again, takes the place of the one that was set aside.

    Example: `transfer-ledger outbox set-aside outbox.db`
    """
    if again and drop:
        raise MalformedInput("both at once", expected="--again or --drop")
    with Outbox(file) as outbox:
        if again:
            out.print(f"{outbox.retry()} event(s) wait again", markup=False)
        elif drop:
            out.print(f"{outbox.drop_aside()} event(s) deleted", markup=False)
        else:
            for it in outbox.aside():
                emit(canonical.encode({"problem": it.problem, "event": it.event}) + b"\n")
