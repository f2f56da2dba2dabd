"""Judge receipts: what `verify` does with a file of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from ledger.bootstrap import now
from ledger.cli.shared import (
    TrustedChain,
    err,
    out,
    plain,
    print_json,
    progress_bar,
    read_file,
    require_api_key,
)
from ledger.client import Client
from ledger.errors import MalformedInput
from ledger.note import VerifierKey
from ledger.promises import (
    ApiSource,
    Judgement,
    PackageSource,
    Source,
    Verdict,
    judge,
    split_receipts,
    wanted_of,
)
from ledger.types import Origin, format_time


@dataclass(frozen=True, slots=True)
class Shown:
    """Where the batches of a log are to be had: packages, or the API at `url`; neither is neither."""

    packages: Sequence[Path]
    url: str | None
    api_key: str | None

    @contextmanager
    def open(self, notes: Sequence[str], key: VerifierKey) -> Iterator[Source | None]:
        with ExitStack() as stack:
            if self.packages:
                source = PackageSource(key, wanted_of(notes, key))
                for package in self.packages:
                    file = stack.enter_context(read_file(package))
                    with progress_bar("events") as update:
                        source.add(file, update)
                yield source
            elif self.url:
                client = Client(self.url, require_api_key(self.api_key), Origin(key.name))
                yield ApiSource(stack.enter_context(client), key)
            else:
                yield None


def judge_receipts(
    text: str, key: VerifierKey, shown: Shown, trusted: TrustedChain | None, at: int | None, *, as_json: bool
) -> None:
    """Judge each receipt of a file, print the judgements, and exit 1 or 3 unless all are kept or pending."""
    notes = split_receipts(text)
    if not notes:
        raise MalformedInput(
            "no receipt in the file", expected="signed notes, each followed by an empty line"
        )
    moment = now() if at is None else at
    judged: list[Judgement] = []
    with ExitStack() as stack:
        source = stack.enter_context(shown.open(notes, key))
        chain = stack.enter_context(trusted.open()) if trusted else None
        with progress_bar("receipts") as update:
            for number, note in enumerate(notes, 1):
                judged.append(judge(note, key, moment, source, chain))
                update(number, len(notes))
    _print(judged, key, as_json=as_json)
    counts = Counter(judgement.verdict for judgement in judged)
    if counts[Verdict.BROKEN] or counts[Verdict.REFUTED]:
        raise typer.Exit(1)
    if counts[Verdict.UNDECIDED]:
        if not (shown.packages or shown.url):
            err.print("Show the batches: give --package, or --url.")
        raise typer.Exit(3)


def _print(judged: Sequence[Judgement], key: VerifierKey, *, as_json: bool) -> None:
    counts = Counter(judgement.verdict for judgement in judged)
    if as_json:
        print_json(
            {
                "log": key.name,
                **{verdict.value: counts[verdict] for verdict in Verdict},
                "receipts": [_facts(judgement) for judgement in judged],
            }
        )
        return
    for judgement in judged:
        out.print(plain(_line(judgement)), markup=False)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    out.print(f"{len(judged)} receipt(s) of {key.name}: {told}", markup=False)


def _line(judgement: Judgement) -> str:
    receipt, verdict = judgement.receipt, judgement.verdict.upper()
    if receipt is None:
        return f"{verdict} at step {judgement.step}: {judgement.reason}"
    step = f" at step {judgement.step}" if judgement.step else ""
    places = f"positions {receipt.first} to {receipt.first + receipt.count - 1}"
    anchored = judgement.anchored_at
    when = f", anchored {format_time(anchored * 1000)}" if anchored is not None else ""
    return f"{verdict}{step}: {places}, received {format_time(receipt.received)}: {judgement.reason}{when}"


def _facts(judgement: Judgement) -> dict[str, object]:
    receipt, anchored = judgement.receipt, judgement.anchored_at
    facts: dict[str, object] = {"verdict": judgement.verdict.value, "reason": judgement.reason}
    if judgement.step:
        facts["step"] = judgement.step
    if receipt is not None:
        facts |= {
            "first": receipt.first,
            "count": receipt.count,
            "received": format_time(receipt.received),
            "include_by": format_time(receipt.include_by),
            "batches": list(judgement.batches),
            "anchored": None if anchored is None else format_time(anchored * 1000),
        }
    return facts
