"""Imports point one way: errors, types → pure core → stages → ports → pipeline → bootstrap → api → cli.

Read from the source, so an import inside a function or for type checking counts as well.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

LAYERS = [
    {"ledger.errors"},
    {"ledger", "ledger.types"},
    {
        "ledger.canonical",
        "ledger.disclosure",
        "ledger.merkle",
        "ledger.note",
        "ledger.keys",
        "ledger.signer",
        "ledger.tiles",
    },
    {"ledger.entry", "ledger.catalogue", "ledger.batch", "ledger.checkpoint", "ledger.receipt"},
    {
        "ledger.anchor",
        "ledger.proof",
        "ledger.records",
        "ledger.policy",
        "ledger.push",
        "ledger.statement",
        "ledger.salted",
    },
    {
        "ledger.ports",
        "ledger.paging",
        "ledger.native",
        "ledger.passage",
        "ledger.processes",
        "ledger.telemetry",
        "ledger.otlp",
        "ledger.projections",
        "ledger.permissions",
        "ledger.rules",
        "ledger.collect",
        "ledger.scenario",
        "ledger.client",
    },
    {
        "ledger.accept",
        "ledger.admission",
        "ledger.guard",
        "ledger.anchoring",
        "ledger.proving",
        "ledger.auditing",
        "ledger.in_force",
        "ledger.grant_use",
        "ledger.reconciliations",
        "ledger.commit",
        "ledger.intake",
        "ledger.documents",
        "ledger.export",
        "ledger.evidence",
        "ledger.pipeline",
        "ledger.promises",
        "ledger.doctor",
        "ledger.vitals",
    },
    {"ledger.workers", "ledger.settings", "ledger.logs", "ledger.shutdown"},
    {"ledger.adapters"},
    {"ledger.bootstrap"},
    {"api"},
    {"ledger.cli", "ledger.__main__"},
]
"""From the bottom up. A module imports its own layer and those below; names cover the modules under them."""

PURE = {name for layer in LAYERS[:5] for name in layer} | {
    "ledger.ports",
    "ledger.telemetry",
    "ledger.otlp",
    "ledger.projections",
    "ledger.permissions",
    "ledger.rules",
}
"""Bytes and values in, bytes and values out: no clock, no chance, no files, no network, no process."""

IMPURE_MODULES = {
    "asyncio", "ctypes", "fcntl", "ftplib", "glob", "http", "httpx", "io", "logging", "multiprocessing", "os",
    "pathlib", "platform", "random", "requests", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl",
    "structlog", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "uuid",
}  # fmt: skip
IMPURE_CALLS = {
    "open",
    "print",
    "input",
    "exec",
    "eval",
    "now",
    "utcnow",
    "today",
    "urandom",
    "uuid4",
    "getenv",
}

OWNED = {
    "sqlmodel": "ledger.adapters.sql",
    "sqlalchemy": "ledger.adapters.sql",
    "alembic": "ledger.adapters.sql",
    "psycopg": "ledger.adapters",
    "web3": "ledger.adapters.evm",
    "eth_account": "ledger.adapters.evm",
    "eth_abi": "ledger.adapters.evm",
    "eth_utils": "ledger.adapters.evm",
    "eth_typing": "ledger.adapters.evm",
    "rlp": "ledger.adapters.evm",
    "fastapi": "api",
    "starlette": "api",
    "typer": "ledger.cli",
    "rich": "ledger.cli",
    "prometheus_client": "ledger.adapters.prometheus",
    "opentelemetry": "ledger.adapters.opentelemetry",
}
"""Packages whose types stay in one place."""


def sources() -> dict[str, Path]:
    """Every module of `ledger` and `api`, by its dotted name."""
    found = {}
    for top in ("ledger", "api"):
        for path in sorted((REPOSITORY / top).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = sources()


def under(name: str, owner: str) -> bool:
    return name == owner or name.startswith(owner + ".")


def imports(name: str, source: str, *, package: bool = False) -> Iterator[str]:
    """Dotted names that a module imports: of `from x import y`, `x.y` where that is a module of ours, else `x`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".") if package else name.split(".")[:-1]
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in MODULES or base in {"ledger", "urllib"} else base


def imports_of(name: str) -> set[str]:
    path = MODULES[name]
    return set(imports(name, path.read_text(encoding="utf-8"), package=path.name == "__init__.py"))


def layer(name: str) -> int | None:
    """The layer of the longest entry that covers `name`; the bare package covers itself only."""
    places = [
        (len(entry), height)
        for height, entries in enumerate(LAYERS)
        for entry in entries
        if name == entry or (entry != "ledger" and under(name, entry))
    ]
    return max(places)[1] if places else None


def test_the_modules_are_found() -> None:
    assert {"ledger.types", "ledger.proof", "ledger.errors"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_layer(name: str) -> None:
    assert layer(name) is not None, f"give {name} its place in LAYERS"


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name: str) -> None:
    mine = layer(name)
    for imported in imports_of(name):
        theirs = layer(imported)
        if mine is not None and theirs is not None:
            assert theirs <= mine, f"{name} imports {imported}, which stands above it"


@pytest.mark.parametrize(
    "name", [n for n in MODULES if n != "ledger.bootstrap" and not under(n, "ledger.adapters")]
)
def test_only_bootstrap_imports_adapters(name: str) -> None:
    assert not [imported for imported in imports_of(name) if under(imported, "ledger.adapters")]


@pytest.mark.parametrize("name", MODULES)
def test_a_library_s_types_stay_where_they_belong(name: str) -> None:
    for imported in imports_of(name):
        owner = OWNED.get(imported.split(".")[0])
        assert owner is None or under(name, owner), f"{imported} belongs into {owner}"


@pytest.mark.parametrize(
    "name", [n for n in MODULES if any(n == p or (p != "ledger" and under(n, p)) for p in PURE)]
)
def test_the_core_asks_nothing_of_the_world(name: str) -> None:
    assert not [i for i in imports_of(name) for impure in IMPURE_MODULES if under(i, impure)]
    assert not set(impure_calls(MODULES[name].read_text(encoding="utf-8")))


def impure_calls(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in IMPURE_CALLS:
                yield name


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {name: {i for i in imports_of(name) if i in MODULES} for name in MODULES}
    # A package and the modules in it are one thing.
    for name, imported in graph.items():
        graph[name] = {i for i in imported if not under(name, i)}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join([*way[way.index(name) :], name])
        if name not in done:
            for imported in sorted(graph[name]):
                visit(imported, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", ["ledger.proof", "ledger.receipt", "ledger.entry"])
def test_importing_the_core_loads_no_adapter_and_no_framework(name: str) -> None:
    heavy = sorted({*OWNED, "ledger.adapters", "ledger.pipeline", "structlog", "pydantic_settings"})
    code = f"import sys, {name}; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_processes_that_the_program_starts_do_not_load_its_command_line() -> None:
    [script] = entry_points(group="console_scripts", name="transfer-ledger")
    code = f"import sys, {script.module}; print([m for m in ('ledger.cli', 'pydantic') if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


# --- The rules find what they are for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import web3", "web3"),
        ("import web3.types as t", "web3.types"),
        ("from web3 import Web3", "web3"),
        ("from ledger import proof", "ledger.proof"),
        ("from ledger.proof import Proof", "ledger.proof"),
        ("from . import proof", "ledger.proof"),
        ("from .proof import Proof", "ledger.proof"),
        ("def f():\n    import ledger.proof", "ledger.proof"),
        ("if TYPE_CHECKING:\n    from ledger.proof import Proof", "ledger.proof"),
        ("from urllib import request", "urllib.request"),
    ],
)
def test_an_import_is_found_however_it_is_written(source: str, found: str) -> None:
    assert set(imports("ledger.merkle", source)) == {found}


def test_a_relative_import_in_a_package_is_found() -> None:
    assert set(imports("ledger.catalogue", "from .base import x", package=True)) == {"ledger.catalogue.base"}
    assert set(imports("ledger.catalogue.before", "from ..entry import x")) == {"ledger.entry"}


@pytest.mark.parametrize(
    "source", ["datetime.now(UTC)", "open('x')", "os.urandom(16)", "print(1)", "date.today()"]
)
def test_a_question_to_the_world_is_found(source: str) -> None:
    assert list(impure_calls(source))
