"""The auditor's steps of the demo: finds the faults, verifies proofs, and meets tampered ones."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import demo_attacks as attacks
from demo_findings import Finding, Reader, planted
from demo_show import Command
from demo_world import ORIGIN, World, wait_until

from ledger import canonical
from ledger.bootstrap import open_store_only
from ledger.client import Client
from ledger.errors import InputError, VerificationError
from ledger.ports import Chain
from ledger.proof import parse_proof
from ledger.proving import verify
from ledger.settings import Settings
from ledger.types import Position

_SOMEBODY_ELSE = "arn:aws:iam::444455556666:role/night-shift"  # nobody in the scenario

# What is attacked, the step at which it must fail, and how.
_ATTACKS: tuple[tuple[str, str, Callable[[attacks.Document], None]], ...] = (
    (
        "a tampered event (somebody else read the replay)",
        "disclosures",
        lambda d: attacks.other_value(d, "principal", _SOMEBODY_ELSE),
    ),
    ("a tampered event (it belonged to another transfer)", "batch", attacks.other_transfer),
    ("a tampered proof (another path to the root)", "batch", attacks.other_path),
    ("a tampered proof (the batch closed a month earlier)", "log", attacks.back_dated),
)


@dataclass(frozen=True, slots=True)
class Auditor:
    """Verifies `proofs` proofs one by one."""

    world: World
    proofs: int

    def look(self, pushed: Sequence[bytes]) -> list[Finding]:
        """Find faults; `pushed` are the generator's events, to see whether all were found."""
        why = "Access logs, permission snapshots, paths and consents, read through the API, held against each other."
        show, totals = self.world.show, self.world.totals
        with show.step("The auditor looks", why), self.world.http("auditor") as http:
            wait_until(lambda: self._projected() == totals.events, "the access log is up to date")
            findings = Reader(http, ORIGIN).findings()
            totals.findings = len(findings)
            totals.transfers = len({canonical.parse_object(line)["subject"] for line in pushed})
            for finding in findings:
                show.fact(f"{finding.transfer:28} {finding.fault:20} shown by event {finding.position}")
            found, hidden = {(finding.transfer, finding.fault) for finding in findings}, planted(pushed)
            show.expect(
                found == hidden,
                f"{len(found & hidden)} of the {len(hidden)} faults that the generator hid were found, and"
                f" {len(found - hidden)} others",
            )
            return findings

    def ask(self, findings: Sequence[Finding]) -> None:
        why = "What a transfer's three phases lack, what changed in permissions, and which access nothing explains."
        with self.world.show.step("The auditor asks", why):
            if findings:
                self.world.must(self._asking("transfer", "show", findings[0].transfer), lines=12)
            self.world.must(self._asking("transfer", "completeness", "--limit", 4), lines=5)
            judged = self.world.must(self._asking("reconcile", "--verdict", "not-permitted"), lines=3)
            strangers = {f.position for f in findings if f.fault == "outside-account"}
            self.world.show.expect(
                strangers == {int(line.split()[0]) for line in judged.out.splitlines()[1:]},
                f"{len(strangers)} accesses that no permission in force explains: those of the outside accounts",
            )
            self._compare(findings)

    def _compare(self, findings: Sequence[Finding]) -> None:
        """The snapshot that opened a bucket to all, and the one before it."""
        opened = [finding.position for finding in findings if finding.fault == "public-bucket"]
        if not opened:
            return
        with self.world.http("auditor") as http:
            snapshots = list(Reader(http, ORIGIN).rows("/v1/snapshots"))
        public = next(s for s in snapshots if s["position"] == opened[0])
        earlier = [
            s for s in snapshots if s["resource"] == public["resource"] and s["captured"] < public["captured"]
        ]
        before = max(earlier, key=lambda s: str(s["captured"]))["position"]
        ran = self.world.must(self._asking("snapshot", "diff", before, opened[0]), lines=4)
        self.world.show.expect(
            "Anybody may now s3:GetObject" in ran.out, "the day on which the replays lay open"
        )

    def _asking(self, *words: str | int) -> Command:
        where = ("--url", self.world.url, "--log", ORIGIN)
        return self.world.with_api_key("auditor", *words, *where)

    def verify(self, position: int, findings: Sequence[Finding]) -> None:
        why = "Against the auditor's own roots: the key that was published with the log, and the contract."
        show = self.world.show
        with show.step("The auditor verifies, offline", why):
            show.fact("the node here is the demo's own; a real auditor asks a node of their own")
            proof = self.world.auditor / "proof.json"
            words = ("--log", ORIGIN, position, "--show", "principal,action,resource", "-o", proof)
            self.world.must(self.world.with_api_key("auditor", "prove", "--url", self.world.url, *words))
            ran = show.run(self.world.verifier("verify", proof), lines=7)
            show.expect(ran.out.startswith("VERIFIED by key and chain"), f"event {position} is proved")
            documents = self._fetch(findings)
            with self.world.trusted_chain() as chain:
                self._verify_all(documents, chain)
                self._alter_all(documents, chain)

    def meet_tampered_proofs(self) -> None:
        why = "Each attack is carried out on the proof above; the log's key is enough to see where it fails."
        with self.world.show.step("Tampered events and proofs", why):
            proof = (self.world.auditor / "proof.json").read_bytes()
            paths = [self.world.attacks / f"proof-{number}.json" for number in range(1, len(_ATTACKS) + 1)]
            for path, (_, _, attack) in zip(paths, _ATTACKS, strict=True):
                path.write_bytes(attacks.tampered(proof, attack))
            commands = [self.world.verifier("verify", path, exit=1, chain=False) for path in paths]
            ran = self.world.show.run_all(commands)
            for (what, step, _), each in zip(_ATTACKS, ran, strict=True):
                self.world.refuted(each, what, step)

    def worst(self, findings: Sequence[Finding]) -> int:
        """The event that an operator would hide first: the access by an outside account, if there is one."""
        for finding in findings:
            if finding.fault == "outside-account":
                return finding.position
        with self.world.http("auditor") as http:
            return int(next(Reader(http, ORIGIN).rows("/v1/access", outcome="allowed"))["position"])

    def _projected(self) -> int:
        """How many events are in the access log and the list of snapshots."""
        with open_store_only(Settings.load(data=self.world.data)) as (store, _, _):
            return store.projected(ORIGIN)

    def _fetch(self, findings: Sequence[Finding]) -> list[bytes]:
        """Proofs of every finding, and of events evenly over the log."""
        size = self.world.totals.events
        count = min(self.proofs, size)
        spread = (n * size // count for n in range(count))
        positions = sorted({*spread, *(finding.position for finding in findings)})
        with (
            Client(self.world.url, self.world.api_key("auditor"), ORIGIN) as client,
            ThreadPoolExecutor(4) as pool,
        ):
            return list(pool.map(lambda position: client.proof(Position(position), None), positions))

    def _verify_all(self, documents: Sequence[bytes], chain: Chain) -> None:
        began = time.monotonic()
        reasons = [self._refusal(document, chain) for document in documents]
        refused = [reason for reason in reasons if reason]
        self.world.totals.proofs = len(documents) - len(refused)
        self.world.show.expect(
            not refused,
            f"{self.world.totals.proofs} of {len(documents)} proofs verified by key and chain, those of all findings"
            f" among them, in {time.monotonic() - began:.1f} s{'; ' + refused[0] if refused else ''}",
        )

    def _alter_all(self, documents: Sequence[bytes], chain: Chain) -> None:
        """Change one character of each proof, anywhere."""
        random = Random(1)
        altered = [attacks.one_character_changed(document, random) for document in documents]
        steps = Counter(
            reason.partition(":")[0] for document in altered if (reason := self._refusal(document, chain))
        )
        self.world.totals.alterations = steps.total()
        where = ", ".join(f"{count} at {step}" for step, count in steps.most_common())
        self.world.show.expect(
            steps.total() == len(documents),
            f"the same with one character changed: {steps.total()} of {len(documents)} refuted ({where})",
        )

    def _refusal(self, document: bytes, chain: Chain) -> str:
        """Why a proof is refused, the step first; empty if it is not."""
        try:
            verify(parse_proof(document), self.world.key(), ORIGIN, chain)
        except VerificationError as error:
            return f"{error.step}: {error}"
        except InputError as error:
            return f"form: {error}"
        return ""
