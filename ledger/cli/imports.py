"""Import what other systems logged: one command for each collector.

A command is a function that makes the collector from its own options; `importer` adds what all of them share::

    @importer("nginx")
    def nginx(transfer: TransferOption = "nginx", phase: PhaseOption = Phase.TRANSIT) -> Nginx:
        ...
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger import canonical
from ledger.cli.feed import CHUNK_BYTES, CHUNK_EVENTS, Target, open_target, report
from ledger.cli.shared import ApiKeyOption, JsonOption, LogOption, UrlOption, app, err, progress_bar
from ledger.client import PushSummary
from ledger.collect import (
    S3,
    ActionTrail,
    CloudFront,
    CloudTrail,
    Collected,
    Collector,
    Generic,
    Nginx,
    Oss,
    SetAside,
    Tally,
    Zeek,
    collect,
    parse_mapping,
    parse_places,
)
from ledger.entry import Phase
from ledger.errors import MalformedInput

import_app = typer.Typer(no_args_is_help=True, help="Import what other systems logged.")
app.add_typer(import_app, name="import")

TransferOption = Annotated[
    str, typer.Option(help="The transfer that the events belong to (CloudEvents subject).")
]
PhaseOption = Annotated[Phase, typer.Option(help="The phase that they belong to.")]
NodeOption = Annotated[
    str, typer.Option(help="Name of the server, sensor or distribution that logged; in each event's source.")
]


def _shared(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files or folders, gzipped or not.")],
    log: LogOption,
    name: Annotated[
        str | None, typer.Option(help="Stands in ids for the files' names, where records have no ids.")
    ] = None,
    set_aside: Annotated[
        Path, typer.Option(help="Where records that cannot be read go, with the reason, as NDJSON.")
    ] = Path("set-aside.ndjson"),
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """The options that every import has."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What `_shared` was given."""

    context: typer.Context
    paths: list[Path]
    log: str
    name: str | None
    set_aside: Path
    url: str | None
    api_key: str | None
    json: bool

    def run(self, collector: Collector) -> None:
        """Import, and say how much."""
        with open_target(self.context, self.log, self.url, self.api_key) as target:
            tally, summary = self._import(collector, target)
        counts = {
            "read": tally.read,
            "accepted": summary.accepted,
            "duplicates": summary.duplicates,
            "set aside": tally.set_aside,
        }
        report(counts, as_json=self.json)
        if tally.set_aside:
            err.print(f"set aside in {self.set_aside}: {dict(tally.reasons.most_common(5))}", markup=False)

    def _import(self, collector: Collector, target: Target) -> tuple[Tally, PushSummary]:
        tally, summary = Tally(), PushSummary(0, 0, ())
        lines: list[bytes] = []
        size = 0

        def flush() -> None:
            nonlocal summary, size
            if lines:
                pushed = target.push_lines(b"".join(lines))
                summary = PushSummary(
                    summary.accepted + pushed.accepted, summary.duplicates + pushed.duplicates, ()
                )
                lines.clear()
                size = 0

        with progress_bar("importing records") as update:
            for outcome in tally.watch(collect(collector, self.paths, self.name)):
                match outcome:
                    case Collected(_, events):
                        encoded = [canonical.encode(event) + b"\n" for event in events]
                        lines += encoded
                        size += sum(map(len, encoded))
                    case SetAside():
                        _put_aside(self.set_aside, outcome)
                if len(lines) >= CHUNK_EVENTS or size >= CHUNK_BYTES:
                    flush()
                    update(tally.read, None)
            flush()
        return tally, summary


def _put_aside(path: Path, outcome: SetAside) -> None:
    line = {
        "where": outcome.where,
        "reason": outcome.reason,
        "raw": outcome.raw.decode("utf-8", "backslashreplace"),
    }
    with path.open("a") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


Maker = Callable[..., Collector]


def importer(name: str) -> Callable[[Maker], Maker]:
    """Register a command that imports with the collector which the function makes from its own options.

    An option that all imports have and the function names too reaches both; the function says how it is given.
    """

    def register(make: Maker) -> Maker:
        shared = inspect.signature(_shared, eval_str=True).parameters
        own = inspect.signature(make, eval_str=True).parameters

        def command(**arguments: Any) -> None:
            collector = make(**{name: arguments[name] for name in own})
            _Job(**{name: arguments[name] for name in shared}).run(collector)

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in {**shared, **own}.values()
        ]
        command.__doc__ = make.__doc__
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        import_app.command(name)(command)
        return make

    return register


@importer("cloudtrail")
def cloudtrail(transfer: TransferOption = "aws-cloudtrail", phase: PhaseOption = Phase.STORAGE) -> CloudTrail:
    """Import AWS CloudTrail: one access event a record.

    What cannot be read is set aside, never dropped. Importing again takes nothing twice.

    Example: `transfer-ledger import cloudtrail --log ledger.example/acme-live ./AWSLogs`
    """
    return CloudTrail(transfer, phase)


@importer("s3")
def s3(transfer: TransferOption = "aws-s3", phase: PhaseOption = Phase.STORAGE) -> S3:
    """Import Amazon S3 server access logs: one access event a line.

    Example: `transfer-ledger import s3 --log ledger.example/acme-live ./s3-access-logs`
    """
    return S3(transfer, phase)


@importer("cloudfront")
def cloudfront(
    transfer: TransferOption = "aws-cloudfront",
    phase: PhaseOption = Phase.TRANSIT,
    node: NodeOption = "default",
) -> CloudFront:
    """Import Amazon CloudFront standard logs, or another W3C extended log: one access event a line.

    Example: `transfer-ledger import cloudfront --log ledger.example/acme-live --node E2EXAMPLE ./cloudfront`
    """
    return CloudFront(transfer, phase, node)


@importer("nginx")
def nginx(
    transfer: TransferOption = "nginx",
    phase: PhaseOption = Phase.TRANSIT,
    node: NodeOption = "default",
    log_format: Annotated[
        str | None, typer.Option(help="The log_format that wrote the lines, if not one of the usual.")
    ] = None,
) -> Nginx:
    """Import nginx access logs, in lines or JSON: one access event a line.

    Example: `transfer-ledger import nginx --log ledger.example/acme-live --node edge-1 ./nginx/access.log`
    """
    return Nginx(transfer, phase, node) if log_format is None else Nginx(transfer, phase, node, (log_format,))


@importer("oss")
def oss(transfer: TransferOption = "aliyun-oss", phase: PhaseOption = Phase.STORAGE) -> Oss:
    """Import Alibaba Cloud OSS access logs: one access event a line.

    Example: `transfer-ledger import oss --log ledger.example/acme-live ./oss-logs`
    """
    return Oss(transfer, phase)


@importer("actiontrail")
def actiontrail(
    transfer: TransferOption = "aliyun-actiontrail", phase: PhaseOption = Phase.STORAGE
) -> ActionTrail:
    """Import Alibaba Cloud ActionTrail: one access event an event.

    Example: `transfer-ledger import actiontrail --log ledger.example/acme-live ./AliyunLogs`
    """
    return ActionTrail(transfer, phase)


@importer("zeek")
def zeek(
    transfer: TransferOption = "zeek",
    node: NodeOption = "default",
    places: Annotated[
        Path | None, typer.Option(help="TOML: which networks are in which country, and whose.")
    ] = None,
    from_country: Annotated[
        str | None, typer.Option(help="Country of originators that no place holds.")
    ] = None,
    to_country: Annotated[str | None, typer.Option(help="Country of responders that no place holds.")] = None,
    observer: Annotated[str | None, typer.Option(help="Id of the party whose sensor it is.")] = None,
    sequence: Annotated[int, typer.Option(min=0, help="Place of the hop in the path.")] = 0,
) -> Zeek:
    """Import Zeek's conn.log and ssl.log: one hop a line.

    Example: `transfer-ledger import zeek --log ledger.example/acme-live --from-country CN --to-country SG ./zeek`
    """
    known = parse_places(_text(places)) if places else None
    return Zeek(transfer, node, known, from_country, to_country, observer, sequence)


@importer("generic")
def generic(
    mapping: Annotated[
        Path, typer.Option(help="TOML: which column is which member; docs/collectors.md describes it.")
    ],
    transfer: TransferOption = "import",
    phase: Annotated[
        Phase | None, typer.Option(help="The phase, where neither mapping nor type tells it.")
    ] = None,
) -> Generic:
    """Import CSV or JSON of any source by a mapping file: one event a record.

    Example: `transfer-ledger import generic --log ledger.example/acme-live --mapping gateway.toml gateway.csv`
    """
    return Generic(parse_mapping(_text(mapping)), transfer, phase)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedInput(f"{path} cannot be read", got=str(error)) from None
