"""The certification body's steps of the demo: pulls the year's evidence, verifies it, and meets thinned ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import demo_attacks as attacks
from demo_world import ORIGIN, World, day

from ledger.bootstrap import open_store_only
from ledger.ports import Signer
from ledger.settings import Settings

_COUNT = re.compile(r"^ *(\d+) events in it", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Certifier:
    world: World

    def certify(self) -> Path:
        """Pull and verify the year's evidence; answer the package."""
        why = "One package with everything received in a year; it shows of itself that nothing was left out."
        show, totals = self.world.show, self.world.totals
        with show.step("The certification body", why):
            path = self.world.certifier / f"evidence-{day(0)[:10]}.zip"
            words = ("--log", ORIGIN, "--from", day(-365)[:10], "--to", day(1)[:10], "-o", path)
            self.world.must(
                self.world.with_api_key("certifier", "evidence", "build", "--url", self.world.url, *words)
            )
            ran = show.run(self.world.verifier("evidence", "verify", path), lines=9)
            show.expect(ran.out.startswith("VERIFIED by key and chain"), "the year's evidence is whole")
            count = _COUNT.search(ran.out)
            totals.evidence = int(count[1]) if count else 0
            show.expect(
                totals.evidence == totals.events,
                f"{totals.evidence} events in it, {totals.events} in the log",
            )
            return path

    def meet_thinned_evidence(self, path: Path, position: int) -> None:
        why = f"Event {position} is taken out of the package, by three attackers of whom each can do more."
        with self.world.show.step("Left-out events", why):
            package = attacks.Package.read(path)
            thinned = attacks.leave_out(package, position)
            self._without_key(thinned)
            self._with_key(attacks.rewrite_history(package, position, self._signer()))

    def _without_key(self, thinned: attacks.Package) -> None:
        clumsy, forged = (self.world.attacks / f"evidence-{name}.zip" for name in ("clumsy", "forged"))
        thinned.write(clumsy, str(thinned.note))
        thinned.write(forged, attacks.with_old_signature(thinned))
        first, second = self.world.show.run_all(
            [
                self.world.verifier("evidence", "verify", file, exit=1, chain=False)
                for file in (clumsy, forged)
            ]
        )
        self.world.refuted(first, "a left-out event (taken out of the file)", "files")
        self.world.refuted(second, "a left-out event (table of contents rewritten, too)", "signature")

    def _with_key(self, history: attacks.Package) -> None:
        """Whoever runs the ledger has the log's key, and can sign a whole other history with it."""
        rewritten = self.world.attacks / "evidence-rewritten.zip"
        history.write(rewritten, attacks.signed(history, self._signer()))
        by_key = self.world.verifier("evidence", "verify", rewritten, chain=False)
        by_both = self.world.verifier("evidence", "verify", rewritten, exit=1)
        alone, both = self.world.show.run_all([by_key, by_both], lines=1)
        self.world.show.expect(
            alone.out.startswith("VERIFIED by key:"),
            "by its key alone, a history that the operator signed without the event passes; hence the chain",
        )
        self.world.refuted(
            both, "a left-out event (all batches and signatures made anew by the operator)", "chain"
        )

    def _signer(self) -> Signer:
        """The log's own key, out of the operator's folder."""
        with open_store_only(Settings.load(data=self.world.data)) as (_, keyring, _):
            return keyring.signer(ORIGIN)
