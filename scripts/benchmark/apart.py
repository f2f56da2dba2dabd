"""A function in a process of its own: what it imported, kept and freed before does not count in its figures.

    parent ── {"function": "benchmark.filling:fill", "arguments": {…}} ──► python -m benchmark.apart
    parent ◄── {"done": 3, "of": 10} … {"value": …} ──

Arguments and value are what JSON can hold. A function that takes `tell` is given a way to say how far it is.
"""

from __future__ import annotations

import importlib
import inspect
import json
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import processes
from benchmark.show import Tell, quiet


@dataclass(frozen=True, slots=True)
class Job:
    """A call. `title` is for the person who waits."""

    title: str
    function: Callable[..., Any]
    arguments: dict[str, Any]


def apart(job: Job, log: Path, tell: Tell = lambda done, of: None) -> Any:
    """What the function answers. Raises BenchFailed if it does not."""
    return together([job], log, [tell])[0]


def together(jobs: Sequence[Job], log: Path, tells: Sequence[Tell]) -> list[Any]:
    """What the functions answer, all running at the same time."""
    values: list[Any] = [None] * len(jobs)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for number, job in enumerate(jobs):
            process = stack.enter_context(
                processes.started([sys.executable, "-m", "benchmark.apart"], log, piped=True)
            )
            name = f"{job.function.__module__}:{job.function.__qualname__}"
            processes.tell(process, json.dumps({"function": name, "arguments": job.arguments}))
            assert process.stdout is not None
            selector.register(process.stdout, selectors.EVENT_READ, (number, process))
        while selector.get_map():
            for key, _ in selector.select():
                number, process = key.data
                if (value := _read(process, jobs[number], tells[number], log)) is not None:
                    values[number] = value["value"]
                    selector.unregister(key.fileobj)
    return values


def _read(process: subprocess.Popen[str], job: Job, tell: Tell, log: Path) -> dict[str, Any] | None:
    """One line of what a process says; its last word, or None."""
    line = processes.line_of(process.stdout)
    if not line:
        process.wait()
        raise processes.failed(f"{job.title} ended with exit code {process.returncode}", log)
    said: dict[str, Any] = json.loads(line)
    if "value" in said:
        return said
    tell(said["done"], said["of"])
    return None


def main() -> None:
    """The other end."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    out, sys.stdout = sys.stdout, sys.stderr
    quiet()
    asked = json.loads(sys.stdin.readline())
    module, _, name = asked["function"].partition(":")
    function = getattr(importlib.import_module(module), name)

    def tell(done: float, of: float) -> None:
        print(json.dumps({"done": done, "of": of}), file=out, flush=True)

    told = {"tell": tell} if "tell" in inspect.signature(function).parameters else {}
    value = function(**asked["arguments"], **told)
    print(json.dumps({"value": value}), file=out, flush=True)


if __name__ == "__main__":
    main()
