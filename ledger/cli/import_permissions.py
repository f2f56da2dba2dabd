"""Import permission snapshots: one command for each collector of them.

`snapshots` adds to `imports.importer` what all of them share, as `SnapshotOptions`::

    @snapshots("file-acls")
    def file_acls(options: SnapshotOptions, host: HostOption = "files") -> FileAcls:
        ...
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from ledger.bootstrap import id_secret as kept_secret
from ledger.bootstrap import postgresql_permissions, read_secret
from ledger.cli.imports import PhaseOption, TransferOption, importer
from ledger.cli.shared import UrlOption, emit, load_settings
from ledger.collect import Collector
from ledger.collect.alibaba import OssBuckets, RamPolicies
from ledger.collect.aws_buckets import AwsBuckets
from ledger.collect.aws_iam import AwsIam
from ledger.collect.file_acls import FileAcls
from ledger.collect.postgresql_grants import QUERY, LivePostgresql, PostgresqlGrants
from ledger.collect.snapshots import ResourceKeys, SnapshotOptions
from ledger.entry import Phase, event_time
from ledger.errors import MalformedInput
from ledger.permissions import Owner


def _options(
    context: typer.Context,
    url: UrlOption = None,
    captured: Annotated[
        str | None,
        typer.Option(help="When the export was taken, RFC 3339 with its offset, where it does not tell it."),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(help="Account, or organisation (o-…), that is no outsider. May be given several times."),
    ] = None,
    transfer: TransferOption = "permissions",
    phase: PhaseOption = Phase.STORAGE,
    id_secret: Annotated[
        Path | None,
        typer.Option(
            help="File of the secret under which ids name resources: 64 hex digits, the same for the life of the log. "
            "By default the data folder keeps one; with --url there is none."
        ),
    ] = None,
    plain_names: Annotated[
        bool,
        typer.Option("--plain-names", help="Ids name resources in clear, for ever: no name is personal."),
    ] = False,
) -> SnapshotOptions:
    """The options that every import of permissions has."""
    if captured is not None:
        event_time(captured)
    keys = _keys(context, url, id_secret, plain_names=plain_names)
    return SnapshotOptions(keys, captured, _owner(owner or []), transfer, phase)


def _keys(
    context: typer.Context, url: str | None, id_secret: Path | None, *, plain_names: bool
) -> ResourceKeys:
    if plain_names:
        if id_secret is not None:
            raise MalformedInput(
                "two ways for ids to name resources", expected="--id-secret or --plain-names"
            )
        return ResourceKeys.plain()
    if id_secret is not None:
        return ResourceKeys(read_secret(id_secret))
    if url is not None:
        raise MalformedInput(
            "no secret for ids to name resources under",
            expected="--id-secret FILE with --url, or --plain-names",
            advice="Make one once, and keep it as long as the log: `openssl rand -hex 32`.",
        )
    return ResourceKeys(kept_secret(load_settings(context)))


_ACCOUNT = re.compile(r"[0-9]{12}|[0-9]{16}|[0-9a-f]{64}")
_ORGANISATION = re.compile(r"o-[a-z0-9]{10,32}")


def _owner(listed: list[str]) -> Owner:
    organisations = [name for name in listed if _ORGANISATION.fullmatch(name)]
    accounts = frozenset(listed) - frozenset(organisations)
    wrong = [name for name in accounts if not _ACCOUNT.fullmatch(name)]
    if wrong or len(organisations) > 1:
        raise MalformedInput(
            "an --owner that is none",
            expected="numbers or canonical ids of accounts, and at most one organisation (o-…)",
            got=", ".join(sorted(wrong) or organisations),
        )
    return Owner(accounts, *organisations)


Maker: TypeAlias = Callable[..., Collector]


def snapshots(name: str, *, timeless: bool = False) -> Callable[[Maker], Maker]:
    """Register a command that imports snapshots with the collector which the function makes of `SnapshotOptions` and
    its own options. `timeless` exports never tell when they were taken."""

    def register(make: Maker) -> Maker:
        shared = inspect.signature(_options, eval_str=True).parameters
        own = dict(inspect.signature(make, eval_str=True).parameters)
        del own["options"]

        def collector(**arguments: Any) -> Collector:
            options = _options(**{name: arguments[name] for name in shared})
            if timeless and options.captured is None:
                raise MalformedInput(
                    "no time of the export", expected="--captured, such as 2026-07-01T12:00:00Z"
                )
            return make(options, **{name: arguments[name] for name in own})

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in {**own, **shared}.values()
        ]
        collector.__doc__ = make.__doc__
        collector.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        importer(name)(collector)
        return make

    return register


BucketOption = Annotated[str | None, typer.Option(help="The bucket, for records that do not name theirs.")]


@snapshots("aws-iam", timeless=True)
def aws_iam(options: SnapshotOptions) -> AwsIam:
    """Import `aws iam get-account-authorization-details`: one snapshot for each user, group, role and policy.

    Example: `transfer-ledger import aws-iam --log ledger.example/acme-live --captured 2026-07-01T12:00:00Z iam.json`
    """
    return AwsIam(options)


@snapshots("aws-buckets")
def aws_buckets(options: SnapshotOptions, bucket: BucketOption = None) -> AwsBuckets:
    """Import S3 buckets: policy, its status, access control list and Block Public Access, one snapshot a bucket.

    A folder is the bucket of its name, with the answers of `aws s3api` in .json files.

    Example: `transfer-ledger import aws-buckets --log ledger.example/acme-live --captured 2026-07-01T12:00:00Z ./s3`
    """
    return AwsBuckets(options, bucket)


@snapshots("oss-buckets")
def oss_buckets(options: SnapshotOptions, bucket: BucketOption = None) -> OssBuckets:
    """Import Alibaba Cloud OSS buckets: ACL, policy and Block Public Access, one snapshot a bucket.

    Example: `transfer-ledger import oss-buckets --log ledger.example/acme-live --owner 1234567890123456 oss.ndjson`
    """
    return OssBuckets(options, bucket)


@snapshots("ram-policies")
def ram_policies(options: SnapshotOptions) -> RamPolicies:
    """Import Alibaba Cloud RAM policies and whom they are attached to: one snapshot a policy.

    Example: `transfer-ledger import ram-policies --log ledger.example/acme-live --owner 1234567890123456 ram.ndjson`
    """
    return RamPolicies(options)


def _print_query(value: bool) -> None:  # typer's callback form
    if value:
        emit(QUERY.encode())
        raise typer.Exit


@snapshots("postgresql-grants")
def postgresql_grants(
    options: SnapshotOptions,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files that psql wrote, or folders of them; not with --connect."),
    ] = None,
    connect: Annotated[
        str | None,
        typer.Option(
            help="Ask the server there: a connection string of libpq. Better without a password in it."
        ),
    ] = None,
    server: Annotated[
        str, typer.Option(help="Name of the server, in each event's source and id.")
    ] = "postgresql",
    query: Annotated[
        bool,
        typer.Option(
            "--query", callback=_print_query, is_eager=True, help="Print the query for psql to run."
        ),
    ] = False,
) -> PostgresqlGrants:
    """Import PostgreSQL grants, memberships and row policies: one snapshot a table or view.

    From a file that psql wrote, or from a running server.

    Example: `transfer-ledger import postgresql-grants --log ledger.example/acme-live --connect "host=db dbname=shop"`
    """
    if (connect is None) == (not paths):
        raise MalformedInput("nothing to import, or two things", expected="files, or --connect")
    if connect is None:
        return PostgresqlGrants(options, server)
    return LivePostgresql(options, server, ask=partial(postgresql_permissions, connect))


@snapshots("file-acls", timeless=True)
def file_acls(
    options: SnapshotOptions,
    host: Annotated[str, typer.Option(help="Name of the machine, in each event's source and id.")] = "files",
    root: Annotated[
        str, typer.Option(help="Stands before each path, such as / where getfacl took it away.")
    ] = "",
) -> FileAcls:
    """Import access control lists of files, POSIX (getfacl) or NFSv4 (nfs4_getfacl): one snapshot a file or folder.

    Example: `transfer-ledger import file-acls --log ledger.example/acme-live --captured 2026-07-01T12:00:00Z nas.acl`
    """
    return FileAcls(options, host, root)
