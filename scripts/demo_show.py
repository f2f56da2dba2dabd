"""How the demo shows what it does: numbered steps, the commands that it runs, what it expected and whether it held."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.settings import PREFIX

PROGRAM = "transfer-ledger"
PATIENCE = 120


class DemoStopped(Exception):
    """Nothing further can be shown; the text says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A `transfer-ledger` command line as a person would type it.

    `variables` are set for it alone, `secrets` too, but shown as `$(cat FILE)`; `to` takes its output; `exit` is the
    exit code that should come.
    """

    arguments: Sequence[str | Path | int]
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    to: Path | None = None
    exit: int = 0

    def line(self) -> str:
        words = [f"{name}={shlex.quote(value)}" for name, value in self.variables.items()]
        words += [f"{name}=$(cat {_shown(path)})" for name, path in self.secrets.items()]
        words += [PROGRAM, *(shlex.quote(_shown(word)) for word in self.arguments)]
        words += [f"> {_shown(self.to)}"] if self.to else []
        return " ".join(words)

    def argv(self) -> list[str]:
        """What is run: the program beside this Python, wherever the PATH leads."""
        return [str(Path(sys.executable).with_name(PROGRAM)), *map(_shown, self.arguments)]

    def environment(self) -> dict[str, str]:
        """Ours without settings of the person's own, which are about another ledger."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        secrets = {name: path.read_text().strip() for name, path in self.secrets.items()}
        return {**clean, **self.variables, **secrets, "COLUMNS": "200"}


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command."""

    command: Command
    exit: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """What it complained about, in its own words."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return lines[-1].removeprefix("error: ") if lines else self.err.strip()[-300:]


class Show:
    """The console, the clock and the list of what did not hold."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.failures: list[str] = []
        self.began = time.monotonic()
        self._steps = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @contextmanager
    def step(self, title: str, why: str) -> Iterator[None]:
        """A numbered step, with the time that it took at its end."""
        self._steps += 1
        began = time.monotonic()
        self._print(f"\n{self._steps:2}  {title}", "bold cyan")
        self.say(why)
        yield
        self._print(f"    {time.monotonic() - began:.1f} s", "dim")

    def say(self, text: str) -> None:
        self._print(f"    {text}", "italic")

    def fact(self, text: str) -> None:
        self._print(f"    · {text}")

    def expect(self, held: bool, text: str) -> bool:
        """Something that must be so, and whether it is."""
        self._print(f"    {'✓' if held else '✗'} {text}", "green" if held else "bold red")
        if not held:
            self.failures.append(text)
        return held

    def quote(self, words: str) -> None:
        """What a tool said."""
        self._print(f"      “{words[:240]}{'…' if len(words) > 240 else ''}”", "dim")

    def headline(self, text: str) -> None:
        self._print(f"\n    {text}", "bold cyan")

    def table(self, table: Table) -> None:
        self.console.print(table, soft_wrap=False)

    def run(self, command: Command, *, lines: int = 4) -> Ran:
        """Run a command and show it with the first lines of what it printed."""
        return self.run_all([command], lines=lines)[0]

    def run_all(self, commands: Sequence[Command], *, lines: int = 4) -> list[Ran]:
        """Run commands that do not need one another, two at a time, and show them in order."""
        with ThreadPoolExecutor(2) as pool:
            results = []
            for ran in pool.map(_run, commands):
                self.show_command(ran.command)
                self._show_output(ran, lines)
                results.append(ran)
        return results

    def show_command(self, command: Command) -> None:
        self._print(f"    $ {command.line()}", "yellow")

    def _show_output(self, ran: Ran, lines: int) -> None:
        if ran.exit != ran.command.exit:
            self.expect(False, f"exit code {ran.command.exit}, but {ran.exit} came: {ran.reason}")
        elif ran.exit == 0:
            for line in ran.out.splitlines()[:lines]:
                self._print(f"      {line[:200]}", "dim")

    def _print(self, text: str, style: str = "") -> None:
        # A Text is printed as it stands: nothing that a command says is taken for markup.
        self.console.print(Text(text, style=style))


def _run(command: Command) -> Ran:
    try:
        done = subprocess.run(
            command.argv(),
            check=False,
            env=command.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return Ran(command, -1, "", f"error: no end after {PATIENCE} s")
    if command.to and done.returncode == 0:
        part = command.to.with_name(command.to.name + ".part")
        part.touch(mode=0o600)
        part.write_text(done.stdout)
        part.replace(command.to)  # whole or not at all
        return Ran(command, 0, "", done.stderr)
    return Ran(command, done.returncode, done.stdout, done.stderr)


def _shown(word: object) -> str:
    """Paths below the current folder as a person would type them."""
    if isinstance(word, Path) and word.is_absolute() and word.is_relative_to(Path.cwd()):
        word = word.relative_to(Path.cwd())
    return str(word)
