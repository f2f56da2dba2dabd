"""What a person sees while it runs: the parts, how far each step is, how long it took. All of it on standard error."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Tell: TypeAlias = Callable[[float, float], None]
"""Told how much of how much is done."""


class Show:
    """On a terminal with bars that go when they are full; elsewhere a line for each step."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._began = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, markup=False)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self.say(name, "bold cyan")
        yield
        self.say(f"  {time.monotonic() - began:.1f} s, {began - self._began:.0f} s before", "dim")

    @contextmanager
    def step(self, title: str) -> Iterator[Tell]:
        """Something that takes a while."""
        with self.steps([title]) as (tell,):
            yield tell

    @contextmanager
    def steps(self, titles: Sequence[str]) -> Iterator[Sequence[Tell]]:
        """Several that take a while at the same time."""
        began = time.monotonic()
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as bars:
            yield [_tell(bars, title) for title in titles]
        self.say(f"  {', '.join(titles)} ({time.monotonic() - began:.1f} s)", "dim")


def _tell(bars: Progress, title: str) -> Tell:
    task = bars.add_task(title, total=None)

    def tell(done: float, of: float) -> None:
        bars.update(task, completed=done, total=of)

    return tell


def quiet() -> None:
    """The ledger's own log lines are not what is measured, nor what a person waits for."""
    logging.getLogger().setLevel(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
