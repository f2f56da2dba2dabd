"""The platform's step of the demo: pushes a year of live sessions, and checks the receipts that it is given."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from demo_show import Command, DemoStopped
from demo_world import LOG, ORIGIN, World, day, wait_until
from httpx import codes

from ledger import canonical, catalogue
from ledger.merkle import tree_root
from ledger.receipt import open_receipt
from ledger.types import Digest

SESSION = 250
_LINES = {"Content-Type": "application/x-ndjson"}


@dataclass(frozen=True, slots=True)
class Platform:
    """Pushes `events` events of a year; on a second run they are all known, and one more live session is new."""

    world: World
    events: int

    def push(self) -> None:
        why = "Live sessions of a year in the three phases, some with faults, pushed session by session."
        with self.world.show.step("The platform pushes", why), self.world.http("platform") as http:
            year = self._year()
            before = self.world.log(http)["size"]
            self._push_sessions(http, year)
            if before:
                extra = self.world.platform / f"session-{before}.ndjson"
                # The log's size makes a seed that no earlier run has used.
                self._scenario(extra, min(SESSION, self.events), seed=before, since=day(-7), until=day(0))
                self._push_sessions(http, extra)
            self.world.totals.events = self.world.log(http)["size"]
            self._push_again(year)
            self._push_other_content(http, year)

    def pushed(self) -> list[bytes]:
        """Every event that was ever pushed, one a line."""
        files = sorted(self.world.platform.glob("*.ndjson"))
        return [line for file in files for line in file.read_bytes().splitlines()]

    def _year(self) -> Path:
        """The year's events; those of an earlier run if they are as many."""
        path = self.world.platform / f"year-{self.events}.ndjson"
        if not path.exists():
            self._scenario(path, self.events, seed=1, since=day(-365), until=day(0))
        return path

    def _scenario(self, path: Path, events: int, *, seed: int, since: str, until: str) -> None:
        words = ("scenario", "--events", events, "--seed", seed, "--since", since, "--until", until)
        self.world.must(Command(words, to=path))

    def _push_sessions(self, http: httpx.Client, path: Path) -> None:
        """Push each live session as one request, and let it be sealed, so that it is a batch."""
        sessions: dict[str, list[bytes]] = {}
        for line in path.read_bytes().splitlines(keepends=True):
            sessions.setdefault(str(canonical.parse_object(line)["subject"]), []).append(line)
        kept_file = self.world.platform / "receipts.json"
        kept: dict[str, list[str]] = json.loads(kept_file.read_text()) if kept_file.exists() else {}
        for transfer, lines in sessions.items():
            before = self.world.log(http)["batches"]
            answer = http.post(f"{LOG}/events", content=b"".join(lines), headers=_LINES)
            if not answer.is_success:
                raise DemoStopped(f"the push of {transfer} was refused: {answer.text[:300]}")
            self._check(f"{path.name} {transfer}", transfer, answer.json(), kept)
            if answer.status_code == codes.CREATED:
                self._wait_until_sealed(http, before)
        kept_file.write_text(json.dumps(kept))

    def _wait_until_sealed(self, http: httpx.Client, batches: int) -> None:
        wait_until(lambda: self.world.log(http)["batches"] > batches, f"batch {batches} is sealed")

    def _check(self, name: str, transfer: str, answer: dict[str, Any], kept: dict[str, list[str]]) -> None:
        """Hold a push's receipts against the log's key and the leaves; pushed again, it gets the first ones again."""
        events, receipts = answer["events"], answer["receipts"]
        again = name in kept
        held = kept.setdefault(name, receipts) == receipts
        for index, note in enumerate(receipts):
            receipt = open_receipt(note, self.world.key())
            leaves = [Digest.from_base64(event["leaf"]) for event in events if event["receipt"] == index]
            held = held and (receipt.count, receipt.root) == (len(leaves), tree_root(leaves))
        statuses = Counter(event["status"] for event in events)
        told = ", ".join(f"{n} {status}" for status, n in statuses.items())
        where = f"{events[0]['position']}–{events[-1]['position']}"
        given = "the first receipt again" if again else "a signed receipt"
        self.world.show.expect(held, f"{transfer:28} {told:15} at {where:12} {given}")

    def _push_again(self, year: Path) -> None:
        words = ("push", "--url", self.world.url, "--log", ORIGIN, year)
        ran = self.world.show.run(self.world.with_api_key("platform", *words))
        nothing = f"0 accepted · {self.events} duplicates"
        self.world.show.expect(ran.out.strip() == nothing, "pushing the year again takes nothing twice")

    def _push_other_content(self, http: httpx.Client, year: Path) -> None:
        """The platform tries to change what it said, under the id that it said it under."""
        said = map(canonical.parse_object, year.read_bytes().splitlines())
        event: dict[str, Any] = next(event for event in said if event["type"] == catalogue.ACCESS.name)
        event["data"]["principal"] = "arn:aws:iam::444455556666:role/somebody-else"
        answer = http.post(f"{LOG}/events", json=event)
        words = answer.json().get("detail", answer.text[:200])
        self.world.caught(answer.status_code == 409, "an event pushed again with other content", words)
