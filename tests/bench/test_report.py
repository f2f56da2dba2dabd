"""The README's table is what the committed figures give; nobody writes it by hand."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from benchmark.keys import RATES, RATIOS
from benchmark.processes import BenchFailed
from benchmark.report import BEGIN, END, count, markdown, replaced, tables
from benchmark.run import PARTS

ROOT = Path(__file__).parents[2]
FIGURES: dict[str, Any] = json.loads((ROOT / "docs" / "benchmark.json").read_text())


def test_the_readme_has_the_table_of_the_committed_figures() -> None:
    readme = (ROOT / "README.md").read_text()
    assert replaced(readme, FIGURES) == readme, "scripts/bench --readme docs/benchmark.json"


def test_the_committed_figures_are_of_a_run_with_all_that_the_project_holds_itself_to() -> None:
    assert FIGURES["failures"] == {}
    assert FIGURES["parts"].keys() <= PARTS.keys()
    assert FIGURES["ratios"].keys() == {key.name for key in RATIOS}
    assert FIGURES["rates"].keys() == {key.name for key in RATES}


@pytest.mark.parametrize("key", [*RATIOS, *RATES], ids=lambda key: key.name)
def test_every_key_stands_in_the_table_with_its_aim(key: Any) -> None:
    assert f"{'≤' if key.at_most else '≥'} {key.aim:,g}" in markdown(FIGURES) or key.name.startswith("core_")


def test_the_machine_is_described() -> None:
    text = markdown(FIGURES)
    for name in ("cpu", "python", "sqlite", "postgresql", "filesystem"):
        assert str(FIGURES["machine"][name]) in text


def test_another_figure_gives_another_table() -> None:
    changed = copy.deepcopy(FIGURES)
    changed["parts"]["storage"]["sqlite"]["bytes_per_raw_byte"] += 1
    assert markdown(changed) != markdown(FIGURES)


@pytest.mark.parametrize("missing", list(FIGURES["parts"]))
def test_a_part_that_was_not_measured_is_left_out(missing: str) -> None:
    parts = {name: part for name, part in FIGURES["parts"].items() if name != missing}
    rows = [row for table in tables(parts, main=False) for row in table.rows]
    everything = [row for table in tables(FIGURES["parts"], main=False) for row in table.rows]
    assert [row for row in everything if row in rows] == rows
    assert len(rows) < len(everything)


def test_what_stands_around_the_table_stays() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replaced(text, FIGURES) == f"before\n{markdown(FIGURES)}\nafter\n"


@pytest.mark.parametrize("text", ["no marks", BEGIN, f"{END} {BEGIN}"])
def test_a_readme_without_a_place_for_the_table_is_refused(text: str) -> None:
    with pytest.raises(BenchFailed, match="no place for the table"):
        replaced(text, FIGURES)


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5"), (999.4, "999"), (1234.0, "1,230"), (1_234_567.0, "1,230,000")]
)
def test_figures_are_told_in_three_digits(value: float, text: str) -> None:
    assert count(value) == text
