"""How an import runs: what all import commands share.

`importer` makes a command of a function that makes a collector from its own options::

    @importer("nginx")
    def nginx(transfer: TransferOption = "nginx", phase: PhaseOption = Phase.TRANSIT) -> Nginx:
        ...

Records go in chunks: their events are pushed, those that became none are put aside, and only then is it kept, in marks
(`ledger.collect.marks`), that they are dealt with. So an import that was interrupted anywhere, `kill -9` included, goes
on when it is run again: the same command on the same paths. A watch is an import that looks again and again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer

from ledger.cli.delivery import Delivery, Patience, stopped_by_signals
from ledger.cli.feed import Target, open_target, report
from ledger.cli.shared import (
    ApiKeyOption,
    JsonOption,
    LogOption,
    UrlOption,
    app,
    byte_bar,
    err,
    load_settings,
)
from ledger.collect import Collector, Gatherer, Watch, collect
from ledger.collect.aside import AsideFile
from ledger.collect.marks import Marks
from ledger.errors import MalformedInput, NotFound

import_app = typer.Typer(no_args_is_help=True, help="Import what other systems logged.")
app.add_typer(import_app, name="import")

PAUSE_SECONDS = 1.0
"""Between two looks of a watch."""


def _shared(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files or folders, gzipped or not.")],
    log: LogOption,
    name: Annotated[
        str | None, typer.Option(help="Stands in ids for the files' names, where records have no ids.")
    ] = None,
    set_aside: Annotated[
        Path,
        typer.Option(
            help="Where records that cannot be read go, with the reason, as NDJSON. How far the import came is kept "
            "beside it, in FILE.….mark: interrupted, it goes on from there when it is run again."
        ),
    ] = Path("set-aside.ndjson"),
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on looking for what is new, until Ctrl-C or SIGTERM.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Read everything, wherever an interrupted import or a watch ended.")
    ] = False,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """The options that every import has."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What `_shared` was given, and the command's name."""

    command: str
    context: typer.Context
    paths: list[Path]
    log: str
    name: str | None
    set_aside: Path
    watch: bool
    anew: bool
    url: str | None
    api_key: str | None
    json: bool

    def run(self, collector: Collector) -> None:
        """Import, and say how much."""
        if self.watch and isinstance(collector, Gatherer):
            raise MalformedInput(
                f"{self.command} cannot be watched", expected="a source whose files are records one by one"
            )
        with ExitStack() as stack:
            stop = stack.enter_context(stopped_by_signals()) if self.watch else None
            target = stack.enter_context(open_target(self.context, self.log, self.url, self.api_key))
            if isinstance(collector, Gatherer):
                delivery = self._gather(collector, target)
            else:
                delivery = self._read(collector, target, stop)
        tally, summary = delivery.tally, delivery.summary
        counts = {
            "read": tally.read,
            "accepted": summary.accepted,
            "duplicates": summary.duplicates,
            "set aside": tally.set_aside,
        }
        report(counts, as_json=self.json)
        if tally.set_aside:
            err.print(f"set aside in {self.set_aside}: {dict(tally.reasons.most_common(5))}", markup=False)

    def _gather(self, collector: Gatherer, target: Target) -> Delivery:
        """What the collector finds by itself is read anew each time."""
        delivery = Delivery(target, AsideFile(self.set_aside, None))
        for outcome in collect(collector, self.paths, self.name):
            delivery.take(outcome)
        delivery.flush()
        return delivery

    def _read(self, collector: Collector, target: Target, stop: Event | None) -> Delivery:
        """Read files on from where they were left; with `stop`, again and again until it is set."""
        with closing(Marks(self._marks_file(collector))) as marks:
            if self.anew:
                marks.forget()
            watch = self._follow(collector, marks)
            aside = AsideFile(self.set_aside, marks.set_aside)
            delivery = Delivery(target, aside, marks, Patience(stop) if stop else None)
            if stop is None:
                self._look(watch, delivery)
            else:
                marks.keep()
                self._look_on(watch, delivery, stop)
            if not marks.is_watch:
                marks.remove()
        return delivery

    def _follow(self, collector: Collector, marks: Marks) -> Watch:
        known = marks.load()
        try:
            watch = Watch(collector, self.paths, self.name, known)
        except NotFound:
            if not known:
                marks.remove()
            raise
        if known:
            err.print("going on where this import ended; --anew reads everything", markup=False)
        return watch

    def _look(self, watch: Watch, delivery: Delivery) -> None:
        with byte_bar("importing") as update:
            for found in watch.look(is_last=True):
                delivery.take(found.outcome, found.mark)
                update(watch.done, watch.total, delivery.note)
            delivery.flush()

    def _look_on(self, watch: Watch, delivery: Delivery, stop: Event) -> None:
        with byte_bar("watching") as update:
            while not stop.is_set():
                for found in watch.look():
                    delivery.take(found.outcome, found.mark)
                    update(watch.done, watch.total, delivery.note)
                    if stop.is_set():
                        break
                delivery.flush()
                update(watch.done, watch.total, delivery.note)
                stop.wait(PAUSE_SECONDS)

    def _marks_file(self, collector: Collector) -> Path:
        """Where marks are: another file for another ledger or log, other options or other paths."""
        ledger = self.url or load_settings(self.context).database_url
        paths = sorted(str(path.absolute()) for path in self.paths)
        same = repr((self.command, ledger, self.log, repr(collector), self.name, paths))
        return self.set_aside.with_name(
            f"{self.set_aside.name}.{sha256(same.encode()).hexdigest()[:12]}.mark"
        )


Maker = Callable[..., Collector]


def importer(name: str) -> Callable[[Maker], Maker]:
    """Register a command that imports with the collector which the function makes from its own options.

    An option that all imports have and the function names too reaches both; the function says how it is given.
    """

    def register(make: Maker) -> Maker:
        shared = inspect.signature(_shared, eval_str=True).parameters
        own = inspect.signature(make, eval_str=True).parameters

        def command(**arguments: Any) -> None:
            collector = make(**{name: arguments[name] for name in own})
            _Job(name, **{name: arguments[name] for name in shared}).run(collector)

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in {**shared, **own}.values()
        ]
        command.__doc__ = make.__doc__
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        import_app.command(name)(command)
        return make

    return register
