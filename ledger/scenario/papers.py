"""The papers of one live session: what is declared, assessed, attested and signed before it, and reported after."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ledger.canonical import Object
from ledger.types import format_time

DAY = 86_400_000
YEAR = 365 * DAY

_ROUTES = (
    "standard-contract",
    "certification",
    "exemption",
    "short-term-filing",
    "security-assessment",
    "standard-contract",
)
_PURPOSES = ("live-commerce", "customer-service")
_ADEQUATE = frozenset({"JP", "KR", "DE", "FR"})


@dataclass(frozen=True, slots=True)
class Papers:
    """Papers of session `number`, the transfer `subject`; times are Unix milliseconds. Each method makes one `data`."""

    run: str
    number: int
    subject: str
    country: str
    way: tuple[str, ...]
    opens: int
    live: int
    over: int
    closes: int

    @property
    def recipient(self) -> str:
        return f"acme-{self.country.lower()}"

    @property
    def persons(self) -> int:
        return 2000 + self.number * 37 % 8000

    def id(self, kind: str) -> str:
        return f"{kind}-{self.run}-{self.number:03d}"

    # --- before ----------------------------------------------------------------------------------------------------

    def declaration(self) -> Object:
        return {
            "declaration_id": self.id("declaration"),
            "version": "1",
            "parties": [
                {
                    "party": "acme",
                    "role": "platform",
                    "country": "CN",
                    "capacity": "data-exporter",
                    "contact": "privacy@acme.example",
                },
                {"party": "cdn-one", "role": "cdn", "country": "SG", "capacity": "data-processor"},
                {
                    "party": self.recipient,
                    "role": "recipient",
                    "country": self.country,
                    "capacity": "data-importer",
                },
            ],
            "purposes": [*_PURPOSES],
            "lawful_basis": "consent",
            "data_categories": [
                {"category": "account", "tier": 1, "sensitive": False},
                {"category": "interaction", "tier": 2, "sensitive": False},
                {"category": "order", "sensitive": False},
                {"category": "stream", "sensitive": False},
            ],
            "recipient_countries": [self.country],
            "persons_countries": [self.country],
            "declared_path": ["CN", *self.way, self.country],
            "planned_start": format_time(self.live),
            "planned_end": format_time(self.over),
            "continuous": False,
            "persons": self.persons,
            "persons_sensitive": 0,
            "persons_year_to_date": 4000 * (self.number + 1),
            "critical_infrastructure": False,
            "minors": False,
            "automated_decisions": self.number % 2 == 1,
            "retention_period": "P3Y",
        }

    def assessment_id(self) -> str:
        return f"pia-{self.run}-{self.number:03d}"

    def impact_assessment(self, persons: int) -> Object:
        return {
            "assessment_id": self.id("pia"),
            "version": "1",
            "transfers": [self.subject],
            "assessor": "privacy-office",
            "approver": "dpo",
            "approved": format_time(self.opens),
            "purposes": ["live-commerce", "customer-service"],
            "necessity": "Viewers abroad order goods during the stream; names and addresses stay with the order.",
            "data_categories": ["account", "interaction", "order"],
            "sensitive": False,
            "persons": persons,
            "recipients": [self.recipient],
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
            "retain_until": format_time(self.opens + 3 * 366 * DAY),
        }

    def country_assessment(self) -> Object:
        return {
            "assessment_id": self.id("country"),
            "version": "1",
            "country": self.country,
            "sources": [
                {
                    "title": f"Data protection law of {self.country}",
                    "kind": "law",
                    "uri": f"https://law.example/{self.country.lower()}",
                    "accessed": format_time(self.opens),
                },
                {"title": "Practice of the authorities", "kind": "practice"},
            ],
            "rating": "adequate" if self.country in _ADEQUATE else "adequate-with-measures",
            "law": "A general law on personal data, with an authority of its own.",
            "access_by_authorities": "By a judge's order; persons are told afterwards.",
            "measures": ["encryption with keys held at home"],
            "assessor": "privacy-office",
            "approver": "dpo",
            "assessed": format_time(self.opens),
            "valid_until": format_time(self.opens + 2 * YEAR),
            "review_triggers": ["change of law"],
        }

    def route(self) -> Object:
        kind = _ROUTES[self.number % len(_ROUTES)]
        if kind == "short-term-filing" and self.over - self.live > DAY:
            kind = "standard-contract"
        data: Object = {
            "route": kind,
            "status": "in-force",
            "transfers": [self.subject],
            "scope": {
                "purposes": [*_PURPOSES],
                "recipients": [self.recipient],
                "countries": [self.country],
                "data_categories": ["account", "interaction", "order", "stream"],
                "persons": 10_000,
                "retention_period": "P3Y",
            },
            "filed": format_time(self.opens),
            "valid_from": format_time(self.opens),
        }
        if kind == "exemption":
            ground = "Addresses are needed to deliver what was ordered."
            return {**data, "exemption_ground": "contract-necessity", "ground": ground}
        valid = self.over if kind == "short-term-filing" else self.opens + 3 * YEAR
        return {**data, "reference": self.id(kind), "valid_until": format_time(valid)}

    def sign_off(self) -> Object:
        return {
            "signoff_id": self.id("sign-off"),
            "officer": "dpo",
            "capacity": "protection-officer",
            "regarding": [
                {"kind": "declaration", "id": self.id("declaration"), "version": "1"},
                {"kind": "impact-assessment", "id": self.id("pia"), "version": "1"},
                {"kind": "country-assessment", "id": self.id("country"), "version": "1"},
            ],
            "decision": "approved-with-conditions",
            "conditions": ["monthly snapshot of permissions"],
        }

    def plugin(self, person: str | None = None) -> Object:
        """The platform lets a plug-in in, or a person lets it read their face."""
        data: Object = {
            "authorisation_id": self.id("plugin") if person is None else f"{self.id('plugin')}-{person[:8]}",
            "plugin": "mirror",
            "plugin_version": "2.1",
            "developer": "plug-one",
            "developer_country": "CN",
            "function": "virtual-try-on",
            "granted_by": "platform" if person is None else "person",
            "status": "granted",
            "biometrics": True,
            "purposes": ["virtual-try-on"],
            "data_categories": ["face"],
            "processing_locations": ["CN"],
            "code_sha256": hashlib.sha256(b"mirror 2.1").hexdigest(),
        }
        if person is None:
            return data
        return {**data, "pii_principal_id": person, "session_id": self.subject, "separate": True}

    def deidentification(self) -> Object:
        return {
            "attestation_id": self.id("deidentification"),
            "data_categories": ["interaction"],
            "methods": ["pseudonymisation", "generalisation"],
            "parameters": {"pseudonym": "HMAC-SHA-256", "time": "to the minute"},
            "performed": format_time(self.opens),
            "reidentification_risk": "low",
            "key_custodian": "acme",
            "key_country": "CN",
            "attested_by": "acme",
        }

    def encryption(self) -> Object:
        data: Object = {
            "attestation_id": self.id("encryption"),
            "kind": "at-rest",
            "scheme": "AES-256-GCM",
            "security_bits": 256,
            "key_custodian": "acme",
            "key_country": "CN",
            "data_categories": ["order"],
            "attested_by": "acme",
        }
        if self.number % 2 == 0:
            return data
        return {
            **data,
            "kind": "homomorphic",
            "scheme": "CKKS",
            "parameters": {"ring_dimension": 32_768, "moduli_bits": [60, 40, 40, 60]},
            "security_bits": 128,
            "ciphertext_sha256": [hashlib.sha256(self.id("ciphertext").encode()).hexdigest()],
        }

    def model_export(self) -> Object:
        return {
            "model_id": "recommender",
            "version": str(self.number + 1),
            "sha256": hashlib.sha256(self.id("model").encode()).hexdigest(),
            "architecture": "two-tower",
            "training": "at-home",
            "data_categories": ["interaction"],
            "leakage_tests": [
                {
                    "method": "membership-inference",
                    "result": "passed",
                    "figures": {"auc": 0.51, "limit": 0.55},
                }
            ],
            "raw_data_exported": False,
            "recipients": [self.recipient],
            "recipient_countries": [self.country],
            "purposes": ["live-commerce"],
        }

    # --- after -----------------------------------------------------------------------------------------------------

    def incident(self, at: int, *, resolved: bool) -> Object:
        return {
            "incident_id": self.id("incident"),
            "kind": "outage",
            "severity": "low",
            "status": "resolved" if resolved else "confirmed",
            "detected": format_time(at),
            "data_categories": ["stream"],
            "persons": 0,
            "cause": "An edge stopped; the stream went over the next one of the same country.",
            "responsible": "cdn-one",
            "reported_by": "cdn-one",
        }

    def use_report(self, since: int, until: int) -> Object:
        data: Object = {
            "report_id": f"{self.id('use')}-{since}",
            "recipient": self.recipient,
            "country": self.country,
            "period_from": format_time(since),
            "period_until": format_time(until),
            "purposes": [*_PURPOSES],
            "data_categories": ["account", "order"],
            "objects": [f"{self.subject}/order"],
            "automated_decision": self.number % 2 == 1,
            "attested_by": self.recipient,
        }
        if data["automated_decision"]:
            data |= {"decisions": ["recommendation"], "significant_effect": False, "opt_out_offered": True}
        return data

    def onward_transfer(self) -> Object:
        """A parcel service in the same country gets the addresses."""
        return {
            "onward_id": self.id("onward"),
            "from_party": self.recipient,
            "to_party": {
                "party": f"parcels-{self.country.lower()}",
                "role": "recipient",
                "country": self.country,
                "capacity": "data-sub-processor",
            },
            "country": self.country,
            "status": "performed",
            "to_authority": False,
            "sub_processing": True,
            "agreed_by": "acme",
            "separate_consent": True,
            "purposes": ["live-commerce"],
            "data_categories": ["order"],
            "objects": [f"{self.subject}/order"],
        }

    def review(self, until: int) -> Object:
        return {
            "review_id": self.id("review"),
            "kinds": ["permissions", "use"],
            "period_from": format_time(self.over),
            "period_until": format_time(until),
            "reviewer": "privacy-office",
            "independent": False,
            "method": "all snapshots of the period, and a sample of the access log",
            "conclusion": "conform",
            "next_due": format_time(until + 90 * DAY),
        }

    def rights_request(self, person: str, received: int, answered: int | None) -> Object:
        data: Object = {
            "request_id": self.id("request"),
            "pii_principal_id": person,
            "kind": "deletion",
            "status": "forwarded" if answered is None else "completed",
            "received": format_time(received),
            "due": format_time(received + 15 * DAY),
            "handled_by": "acme",
            "forwarded_to": [self.recipient],
            "channel": "settings of the app",
        }
        if answered is not None:
            data |= {"answered": format_time(answered), "outcome": "Deleted abroad and at home."}
        return data

    def deletion(self, person: str, at: int) -> Object:
        return {
            "deletion_id": self.id("deletion"),
            "objects": [f"{self.subject}/order/{person[:12]}"],
            "reason": "request",
            "method": "erased",
            "country": self.country,
            "performed": format_time(at),
            "copies_remain": False,
            "persons": 1,
            "pii_principal_id": person,
            "request_id": self.id("request"),
            "attested_by": self.recipient,
        }

    def complaint(self, person: str, received: int, answered: int | None) -> Object:
        data: Object = {
            "complaint_id": self.id("complaint"),
            "pii_principal_id": person,
            "subject_matter": "over-collection",
            "against": ["acme"],
            "concerning": [self.subject],
            "status": "received" if answered is None else "rejected",
            "received": format_time(received),
            "due": format_time(received + 15 * DAY),
            "handled_by": "acme",
        }
        if answered is not None:
            data |= {
                "answered": format_time(answered),
                "outcome": "Only what was declared had been collected.",
            }
        return data
