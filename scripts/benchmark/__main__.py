"""Arguments; where the figures go. `scripts/bench` describes the options."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from ending import forget_settings
from ending import run as run_to_its_end
from rich.console import Console

from benchmark import report, run
from benchmark.meters import Figures
from benchmark.processes import BenchFailed
from benchmark.show import Show, quiet
from benchmark.sizes import FULL, QUICK, SMOKE

README = Path(__file__).parents[2] / "README.md"


def main() -> int:
    options = arguments()
    show = Show()
    try:
        if options.readme:
            return put_into_readme(options.readme, check=options.check)
        quiet()
        forget_settings()
        parts = options.only or [name for name in run.PARTS if name not in options.sizes.left_out]
        figures = run.measure(show, options.sizes, parts, options.folder, partial(write, options.json))
    except (BenchFailed, OSError) as error:
        show.say(str(error), "bold red")
        return 1
    report.show(Console(width=None if sys.stdout.isatty() else 120, highlight=False), figures)
    for part, why in figures["failures"].items():
        show.say(f"NOT MEASURED: {part}: {why}", "bold red")
    return 1 if figures["failures"] else 0


def write(file: Path | None, figures: Figures) -> None:
    """All at once, so that an end meanwhile leaves what was there."""
    if file is not None:
        new = file.with_suffix(".new")
        new.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        new.replace(file)


def put_into_readme(file: Path, *, check: bool) -> int:
    text = README.read_text(encoding="utf-8")
    made = report.replaced(text, json.loads(file.read_text(encoding="utf-8")))
    if check:
        print(
            "README.md is up to date." if made == text else f"README.md is old: scripts/bench --readme {file}"
        )
        return 0 if made == text else 1
    README.write_text(made, encoding="utf-8")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="`scripts/bench --help` says more.")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", dest="sizes", action="store_const", const=QUICK, default=FULL)
    sizes.add_argument("--smoke", dest="sizes", action="store_const", const=SMOKE)
    parser.add_argument("--only", action="append", choices=list(run.PARTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    run_to_its_end(main)
