"""Before transfer: what was done to the data, so that less crosses, or nothing that can be read.

Attestations name digests, parameters and custodians; never a key, a plaintext or a model.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from ledger.catalogue.base import (
    BEFORE,
    PROPOSED,
    TRANSIT,
    Count,
    Country,
    Data,
    EventType,
    Sha256,
    Source,
    Text,
    Time,
)
from ledger.catalogue.shared import Document, Level


class Deidentification(Data):
    """Data were de-identified before export (PIPL 51 [T]; that tier 2 needs it is proposed policy)."""

    attestation_id: Text
    """Id of the attestation."""
    data_categories: Annotated[list[Text], Source("DPV")]
    """Categories of data that were treated."""
    methods: list[
        Literal[
            "pseudonymisation",
            "tokenisation",
            "generalisation",
            "suppression",
            "aggregation",
            "noise",
            "synthesis",
            "masking",
            "other",
        ]
    ]
    """What was done to them."""
    parameters: dict[str, JsonValue] | None = None
    """Parameters of the methods, such as k of k-anonymity. No key, and no table of pseudonyms."""
    standard: Text | None = None
    """Standard or guideline that was followed."""
    records: Count | None = None
    """Records that were treated."""
    input_sha256: Sha256 | None = None
    """SHA-256 of the data before."""
    output_sha256: Sha256 | None = None
    """SHA-256 of the data after: what hops then carry."""
    performed: Annotated[Time, Source(PROPOSED)]
    """When it was done: before the first hop."""
    reidentification_risk: Level | None = None
    """Risk that persons can be found again, as tested."""
    test_method: Text | None = None
    """How that was tested."""
    tested: Time | None = None
    """When that was tested."""
    key_custodian: Text | None = None
    """Who holds what could undo it."""
    key_country: Annotated[Country | None, Source("ISO 3166-1")] = None
    """Where that is held."""
    attested_by: Text
    """Who attests it."""
    document: Document | None = None
    """The report."""


class EncryptionAttestation(Data):
    """Data are encrypted before export (PIPL 51 [T]); for sensitive data homomorphically (proposed policy).

    Of the data there are only digests of ciphertexts.
    """

    attestation_id: Text
    """Id of the attestation."""
    kind: Annotated[
        Literal["at-rest", "in-transit", "end-to-end", "homomorphic"],
        Source("PIPL 51 [T]; homomorphic: " + PROPOSED),
    ]
    """Where the data are encrypted; `homomorphic`: they stay so while they are computed on."""
    scheme: Text
    """Scheme, such as AES-256-GCM, SM4-GCM, BFV or CKKS."""
    parameters: dict[str, JsonValue] | None = None
    """Its public parameters, such as ring dimension, moduli and scale. No key."""
    security_bits: Annotated[int | None, Field(ge=0, le=1024)] = None
    """Strength that the parameters give, in bits."""
    library: Text | None = None
    """Library or module with its version, or its certificate."""
    key_custodian: Text
    """Who holds the decryption key."""
    key_country: Annotated[Country, Source("ISO 3166-1")]
    """Where it is held."""
    key_id: Text | None = None
    """What the custodian calls the key. Never the key."""
    data_categories: Annotated[list[Text] | None, Source("DPV")] = None
    """Categories of data that are encrypted."""
    ciphertext_sha256: list[Sha256] | None = None
    """SHA-256 of the ciphertexts."""
    performed: Time | None = None
    """When the data were encrypted."""
    attested_by: Text
    """Who attests it."""
    document: Document | None = None
    """The report."""


class LeakageTest(Data):
    """A test of how much a model tells about those whose data trained it."""

    method: Literal["membership-inference", "attribute-inference", "model-inversion", "extraction", "other"]
    """The attack that was tried."""
    result: Literal["passed", "failed"]
    """`passed`: the model told less than the limit."""
    figures: dict[str, JsonValue] | None = None
    """Scores and limits, such as the attack's AUC."""
    tester: Text | None = None
    """Who tested."""
    tested: Time | None = None
    """When."""
    document: Document | None = None
    """The report."""


class ModelExport(Data):
    """A model went abroad and the data stayed at home (数据不动模型动, proposed policy)."""

    model_id: Text
    """Name of the model."""
    version: Text
    """Its version."""
    sha256: Sha256
    """SHA-256 of the model as exported."""
    architecture: Text | None = None
    """What kind of model it is."""
    training: Literal["at-home", "federated", "distilled", "fine-tuned", "other"] | None = None
    """How it came from the data."""
    data_categories: Annotated[list[Text] | None, Source("DPV")] = None
    """Categories of data that trained it."""
    persons: Count | None = None
    """Persons whose data trained it."""
    privacy_parameters: dict[str, JsonValue] | None = None
    """Parameters of what protects them in it, such as ε and δ of differential privacy."""
    leakage_tests: list[LeakageTest]
    """Whether it was tested for what it tells about them, and how."""
    raw_data_exported: bool
    """Whether any of those data went along; should be false, and no hop of the transfer may say otherwise."""
    recipients: list[Text] | None = None
    """Who receives it."""
    recipient_countries: Annotated[list[Country], Source("ISO 3166-1")]
    """Countries that it goes to."""
    purposes: Annotated[list[Text] | None, Source("DPV")] = None
    """What it is used for there."""
    document: Document | None = None
    """Its description, such as a model card."""


DEIDENTIFICATION = EventType(
    "deidentification",
    "De-identification attested",
    "去标识化证明",
    BEFORE,
    Deidentification,
    frozenset({"methods", "reidentification_risk"}),
    source="PIPL 51 [T]",
)
ENCRYPTION = EventType(
    "encryption",
    "Encryption attested",
    "加密证明",
    BEFORE,
    EncryptionAttestation,
    frozenset({"kind", "key_country", "security_bits"}),
    source="PIPL 51 [T]",
)
MODEL_EXPORT = EventType(
    "model-export",
    "Model exported instead of data",
    "模型出境",
    BEFORE | TRANSIT,
    ModelExport,
    frozenset({"raw_data_exported", "recipient_countries"}),
    source=PROPOSED,
)
