"""Import what other systems logged: one command for each collector; `importing` says how they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from ledger.cli.importing import import_app, importer
from ledger.collect import (
    S3,
    ActionTrail,
    CloudFront,
    CloudTrail,
    Generic,
    Nginx,
    Oss,
    PostgresqlLogs,
    Zeek,
    parse_mapping,
    parse_places,
)
from ledger.collect.postgresql_logs import Form
from ledger.collect.postgresql_prefix import DEFAULT, LinePrefix
from ledger.entry import Phase
from ledger.errors import MalformedInput

__all__ = ["import_app", "importer"]

TransferOption = Annotated[
    str, typer.Option(help="The transfer that the events belong to (CloudEvents subject).")
]
PhaseOption = Annotated[Phase, typer.Option(help="The phase that they belong to.")]
NodeOption = Annotated[
    str, typer.Option(help="Name of the server, sensor or distribution that logged; in each event's source.")
]


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


@importer("postgresql")
def postgresql(
    transfer: TransferOption = "postgresql",
    phase: PhaseOption = Phase.STORAGE,
    node: NodeOption = "default",
    prefix: Annotated[
        str,
        typer.Option(
            help="The log_line_prefix of stderr logs; what it does not tell (%u role, %d database, %h or %r address, "
            "%e SQLSTATE, %c %l id) is not known."
        ),
    ] = DEFAULT.format,
    time_zone: Annotated[
        str | None, typer.Option(help="The server's log_timezone, such as Asia/Shanghai, if it is not UTC.")
    ] = None,
    form: Annotated[
        Form | None, typer.Option(help="Of a folder with several forms of one log, the one to read.")
    ] = None,
) -> PostgresqlLogs:
    """Import PostgreSQL server logs (jsonlog, csvlog, stderr), with pgaudit or without: one access event a record.

    Example: `transfer-ledger import postgresql --log ledger.example/acme-live --node db-1 ./postgresql/log`
    """
    return PostgresqlLogs(transfer, phase, node, LinePrefix(prefix), _zone(time_zone), form)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise MalformedInput(
            "not a time zone that this machine knows", expected="a name such as Asia/Shanghai", got=repr(name)
        ) from None


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
