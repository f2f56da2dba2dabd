"""A year of cross-border live commerce, made up: events to try the ledger with, the same for the same arguments.

A platform in China streams shopping shows to viewers abroad. Each live session is one transfer, and its events come in
the order of its phases: impact assessment, consents and a permission snapshot before; hops through CDN countries,
accesses and a snapshot in transit; replays stored abroad, snapshots and accesses after. Six sessions in eight have one
fault each, which an auditor should find (`FAULTS`). Nobody in it exists: viewers are pseudonyms, addresses are from the
ranges for documentation (RFC 5737), the account numbers from vendors' examples.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from ledger import catalogue
from ledger.canonical import Object
from ledger.catalogue import EventType
from ledger.entry import Phase
from ledger.errors import MalformedInput
from ledger.types import format_time, to_base64url

DEFAULT_EVENTS = 3000

FAULTS = (
    "tls-1.1",  # a hop below the floor of TLS 1.2
    "undeclared-country",  # a hop through a country that nobody declared
    None,
    "watch-only-exported",  # interaction data of a viewer who chose to watch only
    "public-bucket",  # a snapshot in which anybody may read the replay
    None,
    "outside-account",  # an access by an account that no grant names
    "missing-snapshot",  # nothing says who may read the replay abroad
)
"""What is wrong with session n: `FAULTS[n % 8]`."""

_HOME_ACCOUNT = "111122223333"
_ABROAD_ACCOUNT = "444455556666"
_OUTSIDE_ACCOUNT = "999988887777"

_CITIES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    # city, country, countries on the way, region of the replays
    ("tokyo", "JP", ("HK",), "ap-northeast-1"),
    ("singapore", "SG", ("HK",), "ap-southeast-1"),
    ("berlin", "DE", ("SG", "NL"), "eu-central-1"),
    ("seoul", "KR", ("HK", "JP"), "ap-northeast-2"),
    ("los-angeles", "US", ("JP",), "us-west-2"),
    ("paris", "FR", ("SG", "DE"), "eu-west-3"),
    ("bangkok", "TH", ("HK", "SG"), "ap-southeast-7"),
    ("sydney", "AU", ("SG",), "ap-southeast-2"),
    ("dubai", "AE", ("SG", "IN"), "me-central-1"),
)
_LANGUAGES = {"JP": "ja", "DE": "de", "KR": "ko", "FR": "fr", "TH": "th", "AE": "ar"}
_UNDECLARED = "PA"
_CIPHERS = {
    "1.3": "TLS_AES_128_GCM_SHA256",
    "1.2": "ECDHE-RSA-AES128-GCM-SHA256",
    "1.1": "ECDHE-RSA-AES128-SHA",
}
_STAFF = ("replay-editor", "support-desk", "recommender", "order-sync", "backup")
_VIEWERS = 4000


def scenario(seed: int, events: int, start: int, end: int) -> Iterator[Object]:
    """Exactly `events` CloudEvents objects between `start` and `end` (Unix milliseconds), in time order.

    Each is valid under the catalogue. The same arguments give the same events with the same ids, so that pushing them
    twice is pushing them once. One session is held in memory at a time.
    """
    if events < 1 or end <= start:
        raise MalformedInput("an empty scenario", expected="at least one event, and a start before the end")
    run = hashlib.sha256(f"{seed}/{events}/{start}/{end}".encode()).hexdigest()[:10]
    sessions = min(max(events // 250, 1), 365)
    for number in range(sessions):
        share = (number + 1) * events // sessions - number * events // sessions
        opens, closes = (start + (end - start) * n // sessions for n in (number, number + 1))
        session = _Session(run, seed, number, opens, closes)
        yield from session.play(share)


@dataclass
class _Session:
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
        self.city, self.country, self.way, self.region = _CITIES[self.number % len(_CITIES)]
        self.fault = FAULTS[self.number % len(FAULTS)]
        span = self.closes - self.opens
        self.live, self.over = self.opens + span // 10, self.opens + span // 10 + span // 50
        day = format_time(self.live)[:10]
        # Sessions of one day are told apart by their number.
        suffix = "" if span >= 86_400_000 else f"-{self.number}"
        self.subject = f"live-{day}-{self.city}{suffix}"
        self.bucket = f"arn:aws:s3:::acme-replays-{self.city}"
        self.ingest = f"arn:aws:s3:::acme-ingest-{self.city}"

    def play(self, count: int) -> list[Object]:
        self.before(count // 6)
        self.in_transit(count // 8)
        self.stored()
        while len(self.events) < count:
            self.access()
        self.events.sort(key=lambda event: event[:2])
        return [event for _, _, event in self.events[:count]]

    # --- before ----------------------------------------------------------------------------------------------------

    def before(self, consents: int) -> None:
        self.add(self.opens, catalogue.IMPACT_ASSESSMENT, Phase.BEFORE, "/acme-live/dpo", self.assessment())
        self.snapshot(self.opens + 1, Phase.BEFORE, self.ingest)
        for _ in range(consents):
            choice = self.random.choices(("granted", "watch-only", "refused"), (78, 16, 6))[0]
            viewer = self.random.randrange(_VIEWERS)
            at = self.between(self.opens + 2, self.live)
            self.consent(at, viewer, choice)
            if choice == "granted" and self.random.random() < 0.04:
                self.consent(self.between(at, self.live), viewer, "withdrawn")

    def assessment(self) -> Object:
        return {
            "assessment_id": f"pia-{self.run}-{self.number:03d}",
            "version": "1",
            "transfers": [self.subject],
            "assessor": "privacy-office",
            "approver": "dpo",
            "approved": format_time(self.opens),
            "purposes": ["live-commerce", "customer-service"],
            "necessity": "Viewers abroad order goods during the stream; names and addresses stay with the order.",
            "data_categories": ["account", "interaction", "order"],
            "sensitive": False,
            "persons": 2000 + self.random.randrange(8000),
            "recipients": [f"acme-{self.country.lower()}"],
            "recipient_countries": [*self.way, self.country],
            "countries": [{"country": self.country, "rating": "adequate-with-measures"}],
            "risks": [
                {
                    "risk": "replays read by other than the recipient's staff",
                    "likelihood": "medium",
                    "impact": "medium",
                    "measures": ["private buckets", "monthly snapshot of permissions"],
                }
            ],
            "measures": ["TLS 1.2 or later on every hop", "pseudonymous viewer ids"],
            "residual_risk": "low",
            "conclusion": "approved-with-conditions",
            "retain_until": format_time(self.opens + 3 * 366 * 86_400_000),
        }

    def consent(self, at: int, viewer: int, choice: str) -> None:
        data: Object = {
            "record_id": self.opaque("consent"),
            "pii_principal_id": self.pseudonym(viewer),
            "choice": choice,
            "session_id": self.subject,
            "prompt_id": "start-of-stream",
            "separate": True,
            "privacy_notice": {
                "version": "2026-01",
                "hash": hashlib.sha256(b"privacy notice 2026-01").hexdigest(),
                "prominent": True,
            },
            "language": _LANGUAGES.get(self.country, "en"),
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
                path.insert(-1, _UNDECLARED)
            at = self.between(self.live, self.over - len(path))
            weak = self.fault == "tls-1.1" and segment == faulty
            for n, (here, there) in enumerate(pairwise(path)):
                self.hop(at + n, n, here, there, "1.1" if weak and n == len(path) - 2 else self.tls())
        if self.fault == "watch-only-exported":
            self.export_watch_only()
        if self.fault != "missing-snapshot":
            self.snapshot(self.between(self.live, self.over), Phase.TRANSIT, f"cdn:channel/{self.subject}")

    def export_watch_only(self) -> None:
        """A viewer chooses to watch only, and what they typed goes abroad all the same."""
        viewer = _VIEWERS + self.number
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
            "cipher": _CIPHERS[tls],
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

    def snapshot(self, at: int, phase: Phase, resource: str, *, public: bool = False) -> None:
        reader = f"arn:aws:iam::{_ABROAD_ACCOUNT}:role/replay-editor"
        data: Object = {
            "resource": resource,
            "collector": "acme-collector",
            "api_call": "s3:GetBucketPolicy",
            "region": self.region,
            "country": "CN" if phase is Phase.BEFORE else self.country,
            "owner": _HOME_ACCOUNT,
            "public": public,
            "external_principals": [f"arn:aws:iam::{_ABROAD_ACCOUNT}:root"],
            "grants": [
                {
                    "principal": "*" if public else reader,
                    "kind": "public" if public else "role",
                    "actions": ["s3:GetObject"],
                    "resource": f"{resource}/*",
                    "effect": "allow",
                    "condition": {} if public else {"Bool": {"aws:SecureTransport": "true"}},
                    "source": "bucket policy",
                }
            ],
            "source_system": "aws.s3",
            "completeness": "complete",
            "raw_sha256": self.random.randbytes(32).hex(),
        }
        self.add(at, catalogue.PERMISSION_SNAPSHOT, phase, f"/s3/{self.region}", data)

    def access(self, *, outside: bool = False) -> None:
        """One access: mostly of what is stored abroad, and a few before and during the stream."""
        phase = self.random.choices((Phase.BEFORE, Phase.TRANSIT, Phase.STORAGE), (5, 15, 80))[0]
        account, refused = _ABROAD_ACCOUNT, self.random.random() < 0.04
        role = f"role/{self.random.choice(_STAFF)}"
        if outside:
            phase, account, refused, role = Phase.STORAGE, _OUTSIDE_ACCOUNT, False, "user/analyst"
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
            "cipher": _CIPHERS[tls],
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
