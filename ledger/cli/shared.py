"""What the commands share: the application, settings, errors and exit codes, progress bars."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ledger import __version__, logs
from ledger.bootstrap import open_chain
from ledger.errors import IntegrityError, LedgerError, MalformedInput, Unavailable, VerificationError
from ledger.note import VerifierKey
from ledger.ports import Chain
from ledger.settings import PREFIX, Settings
from ledger.types import Origin, parse_origin

app = typer.Typer(
    name="transfer-ledger",
    help="Evidence of cross-border data transfers that nobody can rewrite unnoticed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Tell `main` that the reader has gone; Rich itself would exit with a verdict's code."""
        self.quiet = True
        raise BrokenPipeError


out = _Console(highlight=False, soft_wrap=True)
into_pipe = _Console(highlight=False, width=10_000)
"""For tables, where standard output is no terminal: a row is one line, however long."""
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def exit_code(error: LedgerError) -> int:
    """1 refuted or damaged, 3 no answer, 2 everything else."""
    if isinstance(error, VerificationError | IntegrityError):
        return 1
    return 3 if isinstance(error, Unavailable) else 2


def plain(text: str) -> str:
    r"""Text from evidence, fit for a terminal: line ends, controls and invisible characters are spelled as `\uXXXX`.

    Otherwise a disclosed value could write lines of its own into a verdict, or turn the direction of the text.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def complain(error: LedgerError) -> None:
    """Tell an error on standard error, with its places."""
    step = f"[{error.step}] " if isinstance(error, VerificationError) else ""
    err.print(plain(f"error: {step}{error}"), markup=False)
    for problem in error.details.get("problems", [])[:10]:
        err.print(plain(f"  {problem['at']}: {problem['problem']}"), markup=False)


def _version(value: bool) -> None:  # typer's callback form
    if value:
        out.print(f"transfer-ledger {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option("--data", help=f"Data folder [env: {PREFIX}DATA; default: ledger-data].")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.obj = data
    logs.set_up("warning")


def load_settings(context: typer.Context, **arguments: Any) -> Settings:
    """The settings, with the data folder given before the command."""
    return Settings.load(data=context.obj, **arguments)


LogOption = Annotated[str, typer.Option("--log", help="The log's origin, e.g. ledger.example/acme-live.")]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", envvar=f"{PREFIX}URL", help="Use the API there instead of the data folder."),
]
ApiKeyOption = Annotated[
    str | None, typer.Option("--api-key", envvar=f"{PREFIX}API_KEY", help="API key for --url.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", help="The log's verifier key, or a file that holds it. From a source that you trust."
    ),
]
PartyKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--party-key",
        help="Verifier key of an event's party, or a file that holds it. From a source that you trust; repeatable.",
    ),
]
RpcOption = Annotated[str | None, typer.Option("--rpc", help="URL of an EVM node that you trust.")]
ContractOption = Annotated[
    str | None, typer.Option("--contract", help="Address of the contract that you trust.")
]
ChainIdOption = Annotated[
    int | None, typer.Option("--chain-id", help="Chain that the node must be on; any by default.")
]


@contextmanager
def read_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that is read. Raises MalformedInput if it cannot be."""
    try:
        with path.open("rb") as opened:
            yield opened
    except OSError as error:
        raise MalformedInput(f"{path} cannot be read", got=error.strerror or str(error)) from None


def require_api_key(api_key: str | None) -> str:
    """The API key that `--url` needs."""
    if not api_key:
        raise MalformedInput(
            "no API key", expected=f"--api-key or {PREFIX}API_KEY", advice="Make one: `key create`."
        )
    return api_key


def read_key(text: str) -> VerifierKey:
    """A verifier key given as itself or as a file."""
    if "+" not in text or Path(text).is_file():
        try:
            text = Path(text).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise MalformedInput("not a verifier key nor a file with one", got=str(error)) from None
    return VerifierKey.parse(text)


@dataclass(frozen=True, slots=True)
class TrustedChain:
    """A contract and a node of the verifier's choice. `chain_id` is None for whatever chain that node is on."""

    rpc: str
    contract: str
    chain_id: int | None

    def open(self) -> AbstractContextManager[Chain]:
        return open_chain(self.rpc, self.contract, self.chain_id)


def trusted_chain(rpc: str | None, contract: str | None, chain_id: int | None) -> TrustedChain | None:
    """The chain that the verifier trusts, if any."""
    if rpc is not None and contract is not None:
        if not re.fullmatch("0x[0-9a-fA-F]{40}", contract):
            raise MalformedInput(
                "not the address of a contract", expected="0x and 40 hex digits", got=repr(contract[:60])
            )
        return TrustedChain(rpc, contract, chain_id)
    if (rpc, contract, chain_id) != (None, None, None):
        raise MalformedInput(
            "half a chain", expected="--rpc and --contract, with or without --chain-id, or none of them"
        )
    return None


def trusted_origin(key: VerifierKey | None, log: str | None, *, chain: bool) -> Origin:
    """The log that the verifier asks about: the key's, or `--log` where a chain alone is trusted."""
    if key is not None:
        if log is not None and log != key.name:
            raise MalformedInput("the key is another log's", expected=log, got=key.name)
        return parse_origin(key.name)
    if not chain or log is None:
        raise MalformedInput(
            "nothing to trust",
            expected="--key, or --log with --rpc and --contract, or all",
            advice="Evidence is never held against keys that it brings along itself.",
        )
    return parse_origin(log)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    emit(json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n")


def emit(data: bytes) -> None:
    """Write to standard output as it is."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise BrokenPipeError from None  # less its number, at which Typer would exit with a verdict's code


@contextmanager
def progress_bar(what: str, total: float | None = None) -> Iterator[Callable[[float, float | None], None]]:
    """A bar on standard error where that is a terminal. Yields `update(done, total)`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def byte_bar(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """The same for bytes. Yields `update(done, total, note)`, where `note` stands beside it."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=None, note="")
        yield lambda done, of, note: bar.update(task, completed=done, total=of, note=note)
