"""Figures as tables: for the terminal, and as Markdown between two marks in README.md, where nobody writes by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
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
class Table:
    """The first column says what, the others are figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def tables(parts: Figures) -> list[Table]:
    """What was measured; parts that were not are left out."""
    rows = [row for name, of in _ROWS.items() if name in parts for row in of(parts[name])]
    found = [Table(("", "SQLite", "PostgreSQL", "aim"), rows)] if rows else []
    return [*found, _core(parts["core"])] if "core" in parts else found


# --- The rows of each part


def _ingest(part: Figures) -> Iterator[Sequence[str]]:
    ways = (("batch", "batches of 1,000"), ("single", "single events, 64 connections"))
    for name, words in ways:
        for system in ("ledger", "floor"):
            if name == "batch":
                rates = [part[kind][name][f"{system}_events_per_s"] for kind in _BOTH]
            else:
                rates = [part[kind][name][system]["events_per_s"] for kind in _BOTH]
            aim = _AIMS["ingest_batch_events_per_s"] if (name, system) == ("batch", "ledger") else ""
            yield _row(f"push, {words}: {system}, events/s", rates, count, aim)
        yield _row(
            f"push, {words}: ledger ÷ floor",
            [part[kind][name]["ratio"] for kind in _BOTH],
            ratio,
            _AIMS[f"ingest_{name}_vs_floor_sqlite"],
        )
    settled = [part[kind]["sustained"]["settled_per_s"] for kind in _BOTH]
    yield _row("push until anchored and projected, one process for all, events/s", settled, count)
    peaks = [part[kind]["memory_peak_bytes"]["ledger"] for kind in _BOTH]
    yield _row("memory of that API process, at most", peaks, mebibytes)


def _sealing(part: Figures) -> Iterator[Sequence[str]]:
    memory = part["memory"]
    words = f"seal a batch of {memory['leaves']:,} leaves in memory"
    aim = _AIMS["seal_leaves_per_s"]
    yield f"{words}, leaves/s", count(memory["leaves_per_s"]), "", aim
    yield f"{words}, memory of the process, at most", mebibytes(memory["peak_bytes"]), "", "≤ 300 MiB"
    leaves = part["sqlite"]["leaves"]
    yield _row(f"seal {leaves:,} leaves through the store, leaves/s", _of(part, "leaves_per_s"), count, aim)


def _proofs(part: Figures) -> Iterator[Sequence[str]]:
    for size in part["sqlite"]["logs"]:
        logs = [part[kind]["logs"].get(size) for kind in _BOTH]
        cells = ("" if log is None else f"{log['p50_ms']:.1f} / {log['p99_ms']:.1f} ms" for log in logs)
        yield f"read a proof out of {int(size):,} leaves, p50 / p99", *cells, ""
    aim = _AIMS["proof_p99_large_vs_small"]
    yield _row("p99 of the largest ÷ p99 of the smallest", _of(part, "p99_large_vs_small"), ratio, aim)


def _verification(part: Figures) -> Iterator[Sequence[str]]:
    package = part["package"]
    words = f"verify a whole log of {package['events']:,} events"
    per_core = count(package["events_per_s_per_core"])
    yield f"{words}, events/s of CPU", per_core, "", _AIMS["verify_events_per_s_per_core"]
    yield f"{words}, events/s, {package['cores_used']:.1f} cores", count(package["events_per_s"]), "", ""
    yield f"{words}, memory, at most", mebibytes(package["peak_bytes"]), "", ""
    yield "verify proofs, proofs/s", count(part["proof"]["proofs_per_s"]), "", ""


def _storage(part: Figures) -> Iterator[Sequence[str]]:
    yield _row(
        "stored bytes of an event, indexes and projections included", _of(part, "bytes_per_event"), count
    )
    aim = _AIMS["stored_bytes_per_raw_byte"]
    yield _row("stored bytes ÷ raw JSON bytes", _of(part, "bytes_per_raw_byte"), ratio, aim)
    without = [part[kind]["without_projections"]["bytes_per_raw_byte"] for kind in _BOTH]
    yield _row("the same without projections", without, ratio)


def _anchoring(part: Figures) -> Iterator[Sequence[str]]:
    for name, words in (("default_settings", "default settings"), ("seal_seconds_1", "`seal_seconds = 1`")):
        of = part["latency"][name]
        cell = f"{of['p50_ms'] / 1000:.1f} / {of['p99_ms'] / 1000:.1f} s"
        yield f"from push to anchor, managed Anvil, {words}, p50 / p99", cell, "", ""
    gas = part["gas"]["per_event"]
    for leaves in ("64", "1024", "8192"):
        cell = f"{gas[leaves]['32']:,.1f} to {gas[leaves]['1']:,.1f}"
        yield f"gas of an event, batches of {int(leaves):,}, 32 to 1 of them a transaction", cell, "", ""


def _queries(part: Figures) -> Iterator[Sequence[str]]:
    for way, words in (
        ("ordered", "access log filtered"),
        ("shuffled", "the same, times in no order"),
        ("http", "the same through the API"),
    ):
        cells = [_spread([query["p50_ms"] for query in part[kind][way].values()]) for kind in _BOTH]
        yield f"{words}, {len(part['sqlite'][way])} queries: middle and worst median", *cells, "≤ 100 ms"
    slowest = [max(q["p99_ms"] for way in part[kind].values() for q in way.values()) for kind in _BOTH]
    yield _row("their worst p99", slowest, milliseconds)
    growth = [max(map(_growth, part[kind]["ordered"].values())) for kind in _BOTH]
    yield _row("worst median ÷ that on a tenth of the log, full pages", growth, ratio)


def _growth(query: Figures) -> float:
    """How much longer on ten times the log, where the answers are equally long; else 0."""
    return float(query["growth"]) if query["rows"] == query["tenth"]["rows"] else 0.0


def _questions(part: Figures) -> Iterator[Sequence[str]]:
    for name in part["sqlite"]["http"]:
        yield _row(
            f"{name}, median through the API",
            [part[kind]["http"][name]["p50_ms"] for kind in _BOTH],
            milliseconds,
        )


def _projecting(part: Figures) -> Iterator[Sequence[str]]:
    events = part["sqlite"]["rebuild"]["events"]
    rates = [part[kind]["rebuild"]["events_per_s"] for kind in _BOTH]
    yield _row(f"projections of {events:,} events made again, events/s", rates, count)
    for form in part["sqlite"]["export"]:
        rates = [part[kind]["export"][form]["rows_per_s"] for kind in _BOTH]
        yield _row(f"access log as {form}, rows/s", rates, count)
    rates = [part[kind]["reconciliation"]["accesses_per_s"] for kind in _BOTH]
    yield _row("all accesses reconciled with all permissions, accesses/s", rates, count)


_ROWS: dict[str, Callable[[Figures], Iterator[Sequence[str]]]] = {
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
    columns = [f"{int(size):,} an append" for size in sizes]
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
    columns = [first, *columns, f"{int(APPEND):,}, each with a root", "proof, p50"]
    by = "; ".join(f"{name}: {of['durability']}" for name, of in systems.items())
    return Table(columns, rows, [f"What makes an append durable: {by}."])


# --- Cells


def _of(part: Figures, name: str) -> list[float]:
    return [part[kind][name] for kind in _BOTH]


def _row(what: str, values: Sequence[float], spell: Callable[[float], str], aim: str = "") -> Sequence[str]:
    return what, *map(spell, values), aim


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


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.1f} / {max(values):.1f} ms"


# --- Where they go


def show(console: Console, figures: Figures) -> None:
    """On the terminal."""
    for table in tables(figures["parts"]):
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
    for table in tables(figures["parts"]):
        lines += [_line(table.columns), _line(["---", *("--:" for _ in table.columns[1:])])]
        lines += [*map(_line, table.rows), "", *(line for note in table.notes for line in (note, ""))]
    made, name = figures["made"][:10], figures["sizes"]
    lines += [f"Measured on {made} by `scripts/bench` ({name}): {in_words(figures['machine'])}.", "", END]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def write_readme(readme: Path, figures: Figures) -> None:
    """Put the table in the place of the one that is there. Raises BenchFailed if there are no marks."""
    readme.write_text(replaced(readme.read_text(encoding="utf-8"), figures), encoding="utf-8")


def replaced(text: str, figures: Figures) -> str:
    """The text with the table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchFailed(f"README.md has no place for the table: it needs the lines {BEGIN} and {END}")
    return before + markdown(figures) + after
