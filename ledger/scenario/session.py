"""One live session: who consents, the way of the stream, what is stored abroad, and who reads it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from ledger import catalogue
from ledger.canonical import Object
from ledger.catalogue import EventType
from ledger.entry import Phase
from ledger.scenario.papers import Papers
from ledger.scenario.world import (
    ABROAD_ACCOUNT,
    CIPHERS,
    CITIES,
    FAULTS,
    FORMER_STAFF,
    HOME_ACCOUNT,
    LANGUAGES,
    NOTICE,
    OUTSIDE_ACCOUNT,
    STAFF,
    UNDECLARED,
    VIEWERS,
    WHOLE,
)
from ledger.types import format_time, to_base64url


@dataclass
class Session:
    """One live session with all that belongs to it, within `opens` to `closes`.

    A tenth of that span is before the stream, a fiftieth the stream, and the rest the time after it.
    """

    run: str
    seed: int
    number: int
    opens: int
    closes: int
    events: list[tuple[int, int, Object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed}/{self.number}")  # noqa: S311  # must repeat; hides nothing
        self.city, self.country, self.way, self.region = CITIES[self.number % len(CITIES)]
        self.fault = FAULTS[self.number % len(FAULTS)]
        span = self.closes - self.opens
        self.live, self.over = self.opens + span // 10, self.opens + span // 10 + span // 50
        day = format_time(self.live)[:10]
        # Sessions of one day are told apart by their number.
        suffix = "" if span >= 86_400_000 else f"-{self.number}"
        self.subject = f"live-{day}-{self.city}{suffix}"
        self.bucket = f"arn:aws:s3:::acme-replays-{self.city}"
        self.ingest = f"arn:aws:s3:::acme-ingest-{self.city}"
        self.whole = False
        self.papers = Papers(
            self.run,
            self.number,
            self.subject,
            self.country,
            self.way,
            self.opens,
            self.live,
            self.over,
            self.closes,
        )

    def play(self, count: int) -> list[Object]:
        self.whole = count >= WHOLE
        if self.whole:
            self.papers_before()
        self.before(count // 6)
        self.in_transit(count // 8)
        self.stored()
        if self.whole:
            self.papers_after()
        while len(self.events) < count:
            self.access()
        self.events.sort(key=lambda event: event[:2])
        return [event for _, _, event in self.events[:count]]

    # --- before ----------------------------------------------------------------------------------------------------

    def before(self, consents: int) -> None:
        assessment = self.papers.impact_assessment(2000 + self.random.randrange(8000))
        self.add(self.opens, catalogue.IMPACT_ASSESSMENT, Phase.BEFORE, "/acme-live/dpo", assessment)
        self.snapshot(self.opens + 1, Phase.BEFORE, self.ingest)
        for _ in range(consents):
            choice = self.random.choices(("granted", "watch-only", "refused"), (78, 16, 6))[0]
            viewer = self.random.randrange(VIEWERS)
            at = self.between(self.opens + 2 if not self.whole else self.paper_time(12), self.live)
            self.consent(at, viewer, choice)
            if self.whole and self.random.random() < 0.05:
                self.prompt(self.between(at, self.live), self.random.randrange(VIEWERS), "left")
            if choice == "granted" and self.random.random() < 0.04:
                self.consent(self.between(at, self.live), viewer, "withdrawn")

    def paper_time(self, twentieth: int) -> int:
        """A time in the span before the stream."""
        return self.opens + (self.live - self.opens) * twentieth // 20

    def papers_before(self) -> None:
        papers, office = self.papers, "/acme-live/dpo"
        first: list[tuple[EventType, str, Object]] = [
            (catalogue.DECLARATION, office, papers.declaration()),
            (catalogue.COUNTRY_ASSESSMENT, office, papers.country_assessment()),
            (catalogue.ROUTE, office, papers.route()),
            (catalogue.SIGN_OFF, office, papers.sign_off()),
            (catalogue.PLUGIN_AUTHORISATION, "/acme-live/plugins", papers.plugin()),
            (catalogue.DEIDENTIFICATION, "/acme-live/export", papers.deidentification()),
            (catalogue.ENCRYPTION, "/acme-live/export", papers.encryption()),
        ]
        if self.number % 2 == 0:
            first.append((catalogue.MODEL_EXPORT, "/acme-live/export", papers.model_export()))
        for place, (type_, source, data) in enumerate(first):
            self.add(self.paper_time(place), type_, Phase.BEFORE, source, data)
        for _ in range(3):
            person = self.pseudonym(self.random.randrange(VIEWERS))
            at = self.between(self.paper_time(18), self.live)
            data = papers.plugin(person)
            self.add(at, catalogue.PLUGIN_AUTHORISATION, Phase.BEFORE, "/plug-one/consent", data)

    def prompt(self, at: int, viewer: int, state: str) -> str:
        """Ask a viewer; answers the prompt's id."""
        prompt = self.opaque("prompt")
        data: Object = {
            "prompt_id": prompt,
            "session_id": self.subject,
            "pii_principal_id": self.pseudonym(viewer),
            "state": state,
            "choices": ["granted", "watch-only", "refused"],
            "trigger": "stream-start",
            "separate": True,
            "privacy_notice": NOTICE,
            "language": LANGUAGES.get(self.country, "en"),
            "purposes": ["live-commerce"],
            "pii_information": ["account", "interaction", "order"],
            "recipient_third_parties": [{"name": f"Acme {self.country}", "country": self.country}],
        }
        self.add(at, catalogue.CONSENT_PROMPT, Phase.BEFORE, "/acme-live/app/consent", data)
        return prompt

    def consent(self, at: int, viewer: int, choice: str) -> None:
        prompt = "settings" if choice == "withdrawn" else "start-of-stream"
        if self.whole and choice != "withdrawn":
            prompt = self.prompt(at - self.random.randrange(1, 20_000), viewer, "shown")
        data: Object = {
            "record_id": self.opaque("consent"),
            "pii_principal_id": self.pseudonym(viewer),
            "choice": choice,
            "session_id": self.subject,
            "prompt_id": prompt,
            "separate": True,
            "privacy_notice": NOTICE,
            "language": LANGUAGES.get(self.country, "en"),
            "purposes": ["live-commerce"],
            "lawful_basis": "consent",
            "pii_information": ["account"] if choice == "watch-only" else ["account", "interaction", "order"],
            "collection_method": "prompt in the app",
            "storage_locations": [self.country],
            "retention_period": "P3Y",
            "recipient_third_parties": [{"name": f"Acme {self.country}", "country": self.country}],
            "withdrawal_method": "settings of the app",
            "event_time": format_time(at),
        }
        self.add(at, catalogue.CONSENT, Phase.BEFORE, "/acme-live/app/consent", data)

    # --- in transit ------------------------------------------------------------------------------------------------

    def in_transit(self, hops: int) -> None:
        declared = ("CN", *self.way, self.country)
        faulty = self.random.randrange(max(hops // (len(declared) - 1), 1))
        for segment in range(max(hops // (len(declared) - 1), 1)):
            path = list(declared)
            if segment == faulty and self.fault == "undeclared-country":
                path.insert(-1, UNDECLARED)
            at = self.between(self.live, self.over - len(path))
            weak = self.fault == "tls-1.1" and segment == faulty
            for n, (here, there) in enumerate(pairwise(path)):
                self.hop(at + n, n, here, there, "1.1" if weak and n == len(path) - 2 else self.tls())
        if self.fault == "watch-only-exported":
            self.export_watch_only()
        if self.fault != "missing-snapshot":
            self.snapshot(self.between(self.live, self.over), Phase.TRANSIT, f"cdn:channel/{self.subject}")
        if self.whole:
            self.segments(hops // 4)

    def segments(self, count: int) -> None:
        previous: Object = {}
        for number in range(count):
            at = self.live + (self.over - self.live) * number // count
            # Of a guest in the picture; the stream itself is its presenter's.
            face: Object = {"category": "face", "confidence": 97, "persons": 1, "masked": True}
            data: Object = {
                "stream_id": f"{self.subject}/main",
                "session_id": self.subject,
                "kind": "audio-video",
                "number": number,
                "sha256": self.random.randbytes(32).hex(),
                **previous,
                "started": format_time(at),
                "duration_ms": (self.over - self.live) // count,
                "bytes": self.random.randrange(200_000, 60_000_000),
                "codec": "av1+opus",
                "detected_categories": [
                    {"category": "stream"},
                    *([face] if self.random.random() < 0.2 else []),
                ],
                "detector": "scan 1.4",
                "source_system": "acme.encoder",
                "completeness": "complete",
            }
            previous = {"previous_sha256": data["sha256"]}
            self.add(at, catalogue.SEGMENT, Phase.TRANSIT, "/acme-live/encoder", data)
        if self.number % 2 == 0:
            at = self.between(self.live, self.over)
            for when, resolved in ((at, False), (self.between(at, self.over), True)):
                data = self.papers.incident(at, resolved=resolved)
                self.add(when, catalogue.INCIDENT, Phase.TRANSIT, "/cdn-one/edge", data)

    def export_watch_only(self) -> None:
        """A viewer chooses to watch only, and what they typed goes abroad all the same."""
        viewer = VIEWERS + self.number
        self.consent(self.live - 1, viewer, "watch-only")
        extra: Object = {"pii_principal_id": self.pseudonym(viewer), "data_categories": ["interaction"]}
        self.hop(self.between(self.live, self.over), 0, "CN", self.country, "1.3", extra)

    def hop(
        self, at: int, sequence: int, here: str, there: str, tls: str, extra: Object | None = None
    ) -> None:
        data: Object = {
            "sequence": sequence,
            "from": {
                "party": "acme" if here == "CN" else "cdn-one",
                "node": self.node(here),
                "country": here,
            },
            "to": {"party": "cdn-one", "node": self.node(there), "country": there},
            "protocol": self.random.choice(("rtmps", "https", "webrtc")),
            "tls_version": tls,
            "cipher": CIPHERS[tls],
            "bytes": self.random.randrange(200_000, 60_000_000),
            "started": format_time(at),
            "ended": format_time(at + self.random.randrange(2000, 10_000)),
            "observer": "cdn-one",
            "declared_path": ["CN", *self.way, self.country],
            "payload_digest": self.random.randbytes(32).hex(),
            "data_categories": ["stream"],
            "source_system": "cdn.edge",
            "completeness": "complete",
            **(extra or {}),
        }
        self.add(at, catalogue.HOP, Phase.TRANSIT, "/cdn-one/edge", data)

    # --- after -----------------------------------------------------------------------------------------------------

    def stored(self) -> None:
        for kind in ("replay", "order"):
            data: Object = {
                "object_id": f"{self.subject}/{kind}",
                "kind": kind,
                "region": self.region,
                "country": self.country,
                "location": f"{self.bucket}/{self.subject}/{kind}",
                "owner": f"acme-{self.country.lower()}",
                "bytes": self.random.randrange(10**6, 10**10),
                "retain_until": format_time(self.over + 3 * 366 * 86_400_000),
                "encryption": {
                    "algorithm": "AES-256-GCM",
                    "key_custodian": "acme",
                    "key_country": "CN",
                },
                "session_id": self.subject,
                "source_system": "aws.s3",
            }
            self.add(self.over + 1, catalogue.STORED, Phase.STORAGE, f"/s3/{self.region}", data)
        if self.fault != "missing-snapshot":
            for part in range(3):
                at = self.over + 2 + (self.closes - self.over - 3) * part // 3
                self.snapshot(
                    at, Phase.STORAGE, self.bucket, public=self.fault == "public-bucket" and part == 1
                )
        if self.fault == "outside-account":
            self.access(outside=True)

    def papers_after(self) -> None:
        papers, after = self.papers, self.closes - self.over
        recipient, office = f"/{papers.recipient}/reports", "/acme-live/dpo"
        at = [self.over + after * twentieth // 20 for twentieth in range(20)]
        viewer = self.pseudonym(self.random.randrange(VIEWERS))
        papers_then: list[tuple[int, EventType, str, Object]] = [
            (at[6], catalogue.RIGHTS_REQUEST, office, papers.rights_request(viewer, at[6], None)),
            (at[8], catalogue.DELETION, recipient, papers.deletion(viewer, at[8])),
            (at[9], catalogue.RIGHTS_REQUEST, office, papers.rights_request(viewer, at[6], at[9])),
            (at[10], catalogue.USE_REPORT, recipient, papers.use_report(self.over, at[10])),
            (at[15], catalogue.REVIEW, office, papers.review(at[15])),
            (at[19], catalogue.USE_REPORT, recipient, papers.use_report(at[10], at[19])),
        ]
        if self.number % 2:
            papers_then += [(at[4], catalogue.ONWARD_TRANSFER, recipient, papers.onward_transfer())]
        else:
            other = self.pseudonym(self.random.randrange(VIEWERS))
            papers_then += [
                (at[5], catalogue.COMPLAINT, office, papers.complaint(other, at[5], None)),
                (at[7], catalogue.COMPLAINT, office, papers.complaint(other, at[5], at[7])),
            ]
        for when, type_, source, data in papers_then:
            self.add(when, type_, Phase.STORAGE, source, data)

    def snapshot(self, at: int, phase: Phase, resource: str, *, public: bool = False) -> None:
        staff: list[Object] = [
            {
                "principal": f"arn:aws:iam::{ABROAD_ACCOUNT}:role/{name}",
                "kind": "role",
                "actions": ["s3:GetObject", "s3:ListBucket", "s3:PutObject"],
                "resource": f"{resource}*",
                "effect": "allow",
                "source": "bucket policy",
            }
            for name in (*STAFF, FORMER_STAFF)
        ]
        everybody: Object = {
            "principal": "*",
            "kind": "public",
            "actions": ["s3:GetObject"],
            "resource": f"{resource}/*",
            "effect": "allow",
            "source": "bucket policy",
        }
        data: Object = {
            "resource": resource,
            "collector": "acme-collector",
            "api_call": "s3:GetBucketPolicy",
            "region": self.region,
            "country": "CN" if phase is Phase.BEFORE else self.country,
            "owner": HOME_ACCOUNT,
            "public": public,
            "external_principals": [f"arn:aws:iam::{ABROAD_ACCOUNT}:root"],
            "grants": [*staff, *([everybody] if public else [])],
            "source_system": "aws.s3",
            "completeness": "complete",
            "raw_sha256": self.random.randbytes(32).hex(),
        }
        self.add(at, catalogue.PERMISSION_SNAPSHOT, phase, f"/s3/{self.region}", data)

    def access(self, *, outside: bool = False) -> None:
        """One access: mostly of what is stored abroad, and a few before and during the stream."""
        phase = self.random.choices((Phase.BEFORE, Phase.TRANSIT, Phase.STORAGE), (5, 15, 80))[0]
        account, refused = ABROAD_ACCOUNT, self.random.random() < 0.04
        role = f"role/{self.random.choice(STAFF)}"
        if outside:
            phase, account, refused, role = Phase.STORAGE, OUTSIDE_ACCOUNT, False, "user/analyst"
        since, until = {
            Phase.BEFORE: (self.opens + 2, self.live),
            Phase.TRANSIT: (self.live, self.over),
            Phase.STORAGE: (self.over + 2, self.closes),
        }[phase]
        resource = f"{self.bucket}/{self.subject}/replay" if phase is Phase.STORAGE else self.ingest
        tls = self.tls()
        data: Object = {
            "principal": f"arn:aws:iam::{account}:{role}",
            "principal_type": "IAMUser" if outside else "AssumedRole",
            "principal_account": account,
            "action": self.random.choices(("s3:GetObject", "s3:ListBucket", "s3:PutObject"), (80, 15, 5))[0],
            "resource": resource,
            "outcome": "refused" if refused else "allowed",
            "source_address": f"{'203.0.113' if outside else '198.51.100'}.{self.random.randrange(1, 255)}",
            "country": self.country,
            "tls_version": tls,
            "cipher": CIPHERS[tls],
            "bytes": 0 if refused else self.random.randrange(500, 5_000_000),
            "region": self.region,
            "user_agent": "aws-sdk-java/2.29.0",
            "session_id": self.subject,
            "source_system": "aws.cloudtrail",
            "completeness": "best-effort",
            "class_uid": 6003,
            "raw_sha256": self.random.randbytes(32).hex(),
        }
        data["read_only"] = data["action"] != "s3:PutObject"
        if refused:
            data["reason"] = "AccessDenied"
        self.add(self.between(since, until), catalogue.ACCESS, phase, f"/s3/{self.region}", data)

    # --- small parts -----------------------------------------------------------------------------------------------

    def add(self, at: int, type_: EventType, phase: Phase, source: str, data: Object) -> None:
        at = min(max(at, self.opens), self.closes - 1)
        event: Object = {
            "specversion": "1.0",
            "id": self.opaque(type_.kind),
            "source": source,
            "type": type_.name,
            "subject": self.subject,
            "time": format_time(at),
            "phase": phase.value,
            "datacontenttype": "application/json",
            "data": data,
        }
        self.events.append((at, len(self.events), event))

    def opaque(self, kind: str) -> str:
        return f"{self.run}-{self.number:03d}-{len(self.events):05d}-{kind}"

    def between(self, since: int, until: int) -> int:
        return since if until <= since else self.random.randrange(since, until)

    def tls(self) -> str:
        return self.random.choices(("1.3", "1.2"), (70, 30))[0]

    def node(self, country: str) -> str:
        return f"edge-{country.lower()}-{self.random.randrange(1, 9)}"

    def pseudonym(self, viewer: int) -> str:
        key = f"transfer-ledger scenario {self.seed}".encode()
        return to_base64url(hmac.digest(key, str(viewer).encode(), "sha256"))[:32]
