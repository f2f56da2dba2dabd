"""The whole way of the data once, as its users go it: platform, ledger, auditor, certification body, attackers.

Run by `scripts/demo`, which describes the options. Each step says what it does, shows the commands that it runs as a
person would type them, and what was expected; every figure comes out of a real answer.

    demo_ledger.py      the operator's steps        demo_world.py       folders, commands, trust roots
    demo_platform.py    the platform's              demo_show.py        what is printed
    demo_auditor.py     the auditor's               demo_findings.py    how faults are found
    demo_certifier.py   the certification body's    demo_attacks.py     how evidence is attacked
    demo_service.py     the API as a process
"""

from __future__ import annotations

import argparse
import fcntl
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import demo_ledger
import httpx
from demo_auditor import Auditor
from demo_certifier import Certifier
from demo_platform import Platform
from demo_service import port_to_use
from demo_show import DemoStopped, Show
from demo_world import LOG, World, forget
from rich.table import Table

from ledger.errors import LedgerError


def main() -> int:
    options = parse_arguments()
    show = Show()
    folder: Path = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another demo runs in {folder}: end it first, or give another --folder.", file=sys.stderr)
            return 1
        if options.fresh:
            forget(folder)
        world = World(show, folder, f"http://127.0.0.1:{port_to_use(options.port)}")
        try:
            play(world, options)
        except (DemoStopped, LedgerError, httpx.HTTPError) as error:
            show.expect(False, f"the demo cannot go on: {error}")
    for failure in show.failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if show.failures else 0


def play(world: World, options: argparse.Namespace) -> None:
    """The steps, in order."""
    platform, auditor, certifier = (
        Platform(world, options.events),
        Auditor(world, options.proofs),
        Certifier(world),
    )
    demo_ledger.set_up(world)
    with demo_ledger.api(world):
        demo_ledger.register(world)
        platform.push()
        demo_ledger.anchor(world)
        findings = auditor.look(platform.pushed())
        auditor.ask(findings)
        worst = auditor.worst(findings)
        auditor.verify(worst, findings)
        auditor.meet_tampered_proofs()
        package = certifier.certify()
        certifier.meet_thinned_evidence(package, worst)
        demo_ledger.examine(world, worst)
        summarise(world)
        if options.serve and not world.show.failures:
            tell_addresses(world)
            with suppress(KeyboardInterrupt):
                signal.pause()


def summarise(world: World) -> None:
    totals, table = world.totals, Table(box=None, show_header=False, padding=(0, 2))
    for name, value in (
        ("events", f"{totals.events} of {totals.transfers} transfers"),
        ("batches", f"{totals.batches}, anchored by {totals.transactions} transactions"),
        ("faults found", f"{totals.findings}"),
        ("proofs verified", f"{totals.proofs}, by key and chain"),
        ("altered proofs refuted", f"{totals.alterations}"),
        ("evidence", f"{totals.evidence} events of a year, none left out"),
        ("attacks caught", f"{len(totals.attacks)}"),
        ("time", f"{world.show.seconds:.0f} s"),
    ):
        table.add_row(f"  {name}", value)
    failures = len(world.show.failures)
    world.show.headline(f"{failures} expectation(s) did not hold" if failures else "All of it held")
    world.show.table(table)


def tell_addresses(world: World) -> None:
    chain = world.chain
    world.show.headline("It goes on running; Ctrl-C ends it. `scripts/demo --serve` takes it up again.")
    for name, value in (
        ("API", f"{world.url}/docs"),
        ("log", f"{world.url}{LOG}"),
        ("node", chain["rpc"]),
        ("contract", f"{chain['contract']} on chain {chain['chain_id']}"),
        ("log's key", world.key_file.read_text().strip()),
        *((f"API key of the {who}", str(world.api_key_file(who))) for who, _, _ in demo_ledger.KEYS),
        ("service log", str(world.service_log)),
    ):
        world.show.fact(f"{name:24} {value}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="`scripts/demo --help` says more.")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--events", type=positive, default=3000)
    parser.add_argument("--proofs", type=positive, default=200)
    parser.add_argument("--port", type=positive)
    parser.add_argument("--folder", type=Path, default=Path(".demo"))
    return parser.parse_args()


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def end_in_order(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C does: what was started is ended first."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, end_in_order)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
