"""Figures as tables: for the terminal, and as Markdown between two marks in README.md, where nobody writes by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table as RichTable

from benchmark.keys import APPEND, RATES, RATIOS
from benchmark.machine import in_words
from benchmark.meters import Figures
from benchmark.processes import BenchFailed

BEGIN, END = "<!-- benchmark: made by scripts/bench --readme -->", "<!-- benchmark: end -->"

_AIMS = {key.name: f"{'≤' if key.at_most else '≥'} {key.aim:,g}" for key in (*RATIOS, *RATES)}
_BOTH = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what, on SQLite, on PostgreSQL, what to reach. The README has the `main` ones."""

    what: str
    sqlite: str
    postgresql: str = ""
    aim: str = ""
    main: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """The first column says what, the others are figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def tables(parts: Figures, *, main: bool) -> list[Table]:
    """What was measured; parts that were not are left out. `main`: only the main lines."""
    lines = [row for name, of in _ROWS.items() if name in parts for row in of(parts[name])]
    rows = [(row.what, row.sqlite, row.postgresql, row.aim) for row in lines if row.main or not main]
    found = [Table(("", "SQLite", "PostgreSQL", "aim"), rows)] if rows else []
    return [*found, _core(parts["core"])] if "core" in parts else found


# --- The lines of each part


def _ingest(part: Figures) -> Iterator[Row]:
    for way, words in (("batch", "batches of 1,000"), ("single", "single events, 64 connections")):
        for system in ("ledger", "floor"):
            rates = [part[kind][way][system]["events_per_s"] for kind in _BOTH]
            aim = _AIMS["ingest_batch_events_per_s"] if (way, system) == ("batch", "ledger") else ""
            yield _row(f"push, {words}: {system}, events/s", rates, count, aim)
        ratios = [part[kind][way]["ratio"] for kind in _BOTH]
        yield _row(f"push, {words}: ledger ÷ floor", ratios, ratio, _AIMS[f"ingest_{way}_vs_floor_sqlite"])
    settled = [part[kind]["sustained"]["settled_per_s"] for kind in _BOTH]
    yield _row("push until anchored and projected, one process for all, events/s", settled, count)
    peaks = [part[kind]["memory_peak_bytes"]["ledger"] for kind in _BOTH]
    yield _row("memory of the process that takes pushes, at most", peaks, mebibytes)


def _sealing(part: Figures) -> Iterator[Row]:
    memory, aim = part["memory"], _AIMS["seal_leaves_per_s"]
    words = f"seal a batch of {memory['leaves']:,} leaves in memory"
    yield Row(f"{words}, leaves/s", count(memory["leaves_per_s"]), aim=aim)
    yield Row(f"{words}, memory of the process, at most", mebibytes(memory["peak_bytes"]), aim="≤ 300 MiB")
    words = f"seal {part['sqlite']['leaves']:,} leaves through the store"
    yield _row(f"{words}, leaves/s", _of(part, "leaves_per_s"), count, aim)
    yield _row(f"{words}, memory of the process, at most", _of(part, "peak_bytes"), mebibytes, main=False)


def _proofs(part: Figures) -> Iterator[Row]:
    for size in part["sqlite"]["logs"]:
        logs = [part[kind]["logs"].get(size) for kind in _BOTH]
        sqlite, postgresql = ("" if log is None else _p50_p99(log) for log in logs)
        yield Row(f"read a proof out of {int(size):,} leaves, p50 / p99", sqlite, postgresql)
    ratios, aim = _of(part, "p99_large_vs_small"), _AIMS["proof_p99_large_vs_small"]
    yield _row("p99 of the largest ÷ p99 of the smallest", ratios, ratio, aim)


def _verification(part: Figures) -> Iterator[Row]:
    package, by_python = part["package"], part["package_by_python"]
    words, aim = f"verify a whole log of {package['events']:,} events", _AIMS["verify_events_per_s_per_core"]
    yield Row(f"{words}, events for a second of CPU", count(package["events_per_s_per_core"]), aim=aim)
    yield Row(f"{words}, events/s on {package['cores_used']:.1f} cores", count(package["events_per_s"]))
    if package["natively"]:  # in threads: of other processes it is not known
        yield Row(f"{words}, memory, at most", mebibytes(package["peak_bytes"]), main=False)
    words += " by Python alone"
    yield Row(f"{words}, events for a second of CPU", count(by_python["events_per_s_per_core"]))
    yield Row(
        f"{words}, events/s on {by_python['cores_used']:.1f} cores",
        count(by_python["events_per_s"]),
        main=False,
    )
    yield Row("build that package, events/s", count(part["build"]["events_per_s"]), main=False)
    yield Row("verify proofs, proofs/s", count(part["proof"]["proofs_per_s"]), main=False)


def _storage(part: Figures) -> Iterator[Row]:
    yield _row("JSON bytes of an event", _of(part, "raw_bytes_per_event"), count, main=False)
    words = "stored bytes of an event, indexes and projections included"
    yield _row(words, _of(part, "bytes_per_event"), count, main=False)
    ratios, aim = _of(part, "bytes_per_raw_byte"), _AIMS["stored_bytes_per_raw_byte"]
    yield _row("stored bytes ÷ JSON bytes, indexes and projections included", ratios, ratio, aim)
    without = [part[kind]["without_projections"]["bytes_per_raw_byte"] for kind in _BOTH]
    yield _row("the same without projections", without, ratio, main=False)


def _anchoring(part: Figures) -> Iterator[Row]:
    for name, words in (("default_settings", "default settings"), ("seal_seconds_1", "`seal_seconds = 1`")):
        of = part["latency"][name]
        cell = f"{of['p50_ms'] / 1000:.1f} / {of['p99_ms'] / 1000:.1f} s"
        yield Row(f"from push to anchor, managed Anvil, {words}, p50 / p99", cell)
    for leaves, gas in part["gas"]["per_event"].items():
        cell = f"{gas['32']:,.1f} to {gas['1']:,.1f}"
        words = f"gas of an event, batches of {int(leaves):,}, 32 to 1 of them a transaction"
        yield Row(words, cell, main=leaves == "1024")


def _queries(part: Figures) -> Iterator[Row]:
    for way, words in (
        ("ordered", "access log filtered"),
        ("shuffled", "the same, times in no order"),
        ("http", "the same through the API"),
    ):
        sqlite, postgresql = (_spread([it["p50_ms"] for it in part[kind][way].values()]) for kind in _BOTH)
        what = f"{words}, {len(part['sqlite'][way])} queries: middle and worst median"
        yield Row(what, sqlite, postgresql, "≤ 100 ms")
    slowest = [max(q["p99_ms"] for way in part[kind].values() for q in way.values()) for kind in _BOTH]
    yield _row("their worst p99", slowest, milliseconds, main=False)
    growth = [max(map(_growth, part[kind]["ordered"].values())) for kind in _BOTH]
    yield _row("their cost ÷ that on a tenth of the log, where answers are as long: worst", growth, ratio)


def _growth(query: Figures) -> float:
    """How much longer on ten times the log, where the answers are equally long; else 0."""
    return float(query["growth"]) if query["rows"] == query["tenth"]["rows"] else 0.0


def _questions(part: Figures) -> Iterator[Row]:
    for name in part["sqlite"]["http"]:
        medians = [part[kind]["http"][name]["p50_ms"] for kind in _BOTH]
        yield _row(f"{name}, median through the API", medians, milliseconds, main=False)


def _projecting(part: Figures) -> Iterator[Row]:
    events = part["sqlite"]["rebuild"]["events"]
    rates = [part[kind]["rebuild"]["events_per_s"] for kind in _BOTH]
    yield _row(f"projections of {events:,} events made again, events/s", rates, count)
    for form in part["sqlite"]["export"]:
        rates = [part[kind]["export"][form]["rows_per_s"] for kind in _BOTH]
        yield _row(f"access log as {form}, rows/s", rates, count, main=form == "csv")
    rates = [part[kind]["reconciliation"]["accesses_per_s"] for kind in _BOTH]
    yield _row("all accesses held against all permissions, accesses/s", rates, count)


_ROWS: dict[str, Callable[[Figures], Iterator[Row]]] = {
    "ingest": _ingest,
    "sealing": _sealing,
    "proofs": _proofs,
    "verification": _verification,
    "storage": _storage,
    "anchoring": _anchoring,
    "queries": _queries,
    "questions": _questions,
    "projecting": _projecting,
}


def _core(part: Figures) -> Table:
    systems: Figures = part["systems"]
    sizes = list(systems["ledger"]["append"])
    rows = [
        [
            name,
            *(count(of["append"][size]["entries_per_s"]) for size in sizes),
            count(of["append_and_root"][APPEND]["entries_per_s"]),
            milliseconds(of["proof"]["p50_ms"]),
        ]
        for name, of in systems.items()
    ]
    first = f"the core alone, {part['entry_bytes']}-byte entries/s"
    columns = [first, *(f"{int(size):,} an append" for size in sizes)]
    columns += [f"{int(APPEND):,}, each with a root", "proof, p50"]
    by = "; ".join(f"{name}: {of['durability']}" for name, of in systems.items())
    return Table(columns, rows, [f"What makes an append durable: {by}."])


# --- Cells


def _of(part: Figures, name: str) -> list[float]:
    return [part[kind][name] for kind in _BOTH]


def _row(
    what: str, values: Sequence[float], spell: Callable[[float], str], aim: str = "", *, main: bool = True
) -> Row:
    sqlite, postgresql = map(spell, values)
    return Row(what, sqlite, postgresql, aim, main)


def count(value: float) -> str:
    """Three digits are more than a shared machine can tell apart."""
    if value < 1000:
        return f"{value:.3g}"
    digits = len(str(int(value))) - 3
    return f"{round(value, -digits):,.0f}"


def ratio(value: float) -> str:
    return f"{value:.2f}"


def milliseconds(value: float) -> str:
    return f"{value:.1f} ms"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:,.0f} MiB"


def _p50_p99(of: Figures) -> str:
    return f"{of['p50_ms']:.1f} / {of['p99_ms']:.1f} ms"


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.1f} / {max(values):.1f} ms"


# --- Where they go


def show(console: Console, figures: Figures) -> None:
    """On the terminal."""
    for table in tables(figures["parts"], main=False):
        rich = RichTable(box=None, header_style="bold")
        for number, name in enumerate(table.columns):
            rich.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in table.rows:
            rich.add_row(*row)
        console.print(rich)
        for note in table.notes:
            console.print(note, markup=False)
        console.print()
    console.print(in_words(figures["machine"]), markup=False)


def markdown(figures: Figures) -> str:
    """What stands in README.md, the marks included."""
    lines = [BEGIN, ""]
    for table in tables(figures["parts"], main=True):
        lines += [_line(table.columns), _line(["---", *("--:" for _ in table.columns[1:])])]
        lines += [*map(_line, table.rows), "", *(line for note in table.notes for line in (note, ""))]
    made, name = figures["made"][:10], figures["sizes"]
    lines += [f"Measured on {made} by `scripts/bench` ({name}): {in_words(figures['machine'])}.", "", END]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def replaced(text: str, figures: Figures) -> str:
    """The text of README.md with the table between its marks. Raises BenchFailed if there are none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchFailed(f"README.md has no place for the table: it needs the lines {BEGIN} and {END}")
    return before + markdown(figures) + after
