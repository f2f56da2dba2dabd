"""The shapes of answers. Digests are standard base64; times RFC 3339 in UTC; chain values 0x-hexadecimal."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ledger.documents import JudgementDocument

T = TypeVar("T")

ORIGIN = "ledger.example/acme-live"
DIGEST = "qg2I1s5EnkBdEkxMRVqKBOCoHpJ4+iWlXvqYkYIPbRE="
TX = "0x5f0e5c1a2c7c4f7d8d1f0b7a4f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2"
EVENT = {
    "specversion": "1.0",
    "id": "access-000017",
    "source": "/s3/ap-northeast-1",
    "type": "transfer-ledger.access.v1",
    "subject": "live-2026-07-01-tokyo",
    "time": "2026-07-01T12:00:00Z",
    "phase": "storage",
    "datacontenttype": "application/json",
    "data": {
        "principal": "role/replay-editor",
        "action": "s3:GetObject",
        "resource": "replays/2026-07-01.mp4",
        "outcome": "allowed",
        "source_system": "aws.s3",
        "completeness": "best-effort",
    },
}

SIGNED_PUSH = {
    "signature": f"transfer-ledger/push/v1\n{ORIGIN}\ncount 1\nroot {DIGEST}\n\n— acme lCNEu+x1OiLb…\n",
    "statements": [
        {
            "event": {name: value for name, value in EVENT.items() if name != "data"},
            "visible": {"outcome": "allowed", "source_system": "aws.s3", "completeness": "best-effort"},
            "disclosures": [
                "WyIzek1ub2N5NWhtblQ5cm4yQVRXenh3IiwicHJpbmNpcGFsIiwicm9sZS9yZXBsYXktZWRpdG9yIl0"
            ],
        }
    ],
}


class Problem(BaseModel):
    """A problem document (RFC 9457). Further members depend on the type."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "urn:transfer-ledger:problem:conflict",
                "title": "Conflict",
                "status": 409,
                "detail": "1 event(s) with a known source and id but other content",
                "advice": "An event is never changed: push the correction under a new id.",
            }
        },
    )
    type: str
    title: str
    status: int
    detail: str | None = None
    expected: str | None = None
    got: str | None = None
    advice: str | None = None


class Page(BaseModel, Generic[T]):
    """A page of a list. `next` is the `after` of the following page, or null on the last.

    It may be short, where rows are long, and still not be the last.
    """

    items: list[T]
    next: int | None = None


class NamedPage(BaseModel, Generic[T]):
    """A page of a list. `next` is the `after` of the following page, a text, or null on the last.

    It may be short, where rows are long, and still not be the last.
    """

    items: list[T]
    next: str | None = None


class JudgedPage(BaseModel):
    """A page of judged accesses. It may be short, or empty, and still not be the last: `next` says.

    `examined` accesses were looked at.
    """

    items: list[JudgementDocument]
    examined: int
    next: int | None = None


class ContractOut(BaseModel):
    chain_id: int = Field(examples=[31337])
    address: str = Field(examples=["0x5FbDB2315678afecb367f032d93F642f64180aa3"])


class LogOut(BaseModel):
    """A log: who it belongs to, the key that signs its notes, the contract that anchors it."""

    origin: str = Field(examples=[ORIGIN])
    party: str = Field(examples=["acme"])
    verifier_key: str = Field(
        examples=[f"{ORIGIN}+3f2a1b0c+AS8gBVYv0sWj9eFvAqZbQqqH4C5cWFTr0pN1b5n5xA2v"],
        description="Compare it with one that you got another way before you trust it.",
    )
    contract: ContractOut
    created: str
    opaque: bool = Field(description="Whether it takes types that the catalogue does not know.")
    require_signature: bool = Field(description="Whether it takes only pushes that their party has signed.")
    size: int = Field(description="Number of events.")
    batches: int = Field(description="Number of sealed batches.")
    projected: int = Field(
        description="How many events, from the first, the lists of accesses, snapshots and transfers take in."
    )


class PushedOut(BaseModel):
    source: str
    id: str
    status: str = Field(description="accepted, or duplicate if it was there already.", examples=["accepted"])
    position: int
    leaf: str = Field(examples=[DIGEST], description="Leaf hash of its entry.")
    receipt: int = Field(description="Index of its receipt in `receipts`.")


class PushOut(BaseModel):
    """What became of a push: every event's position, and the signed receipts that cover them."""

    events: list[PushedOut]
    receipts: list[str] = Field(description="Signed notes (C2SP signed-note).")


class PartialSuccessOut(BaseModel):
    rejectedLogRecords: str | None = Field(None, examples=["1"])  # noqa: N815  # OTLP's names
    errorMessage: str | None = None  # noqa: N815


class ExportLogsOut(BaseModel):
    """OTLP's `ExportLogsServiceResponse`: empty if every record was taken."""

    partialSuccess: PartialSuccessOut | None = None  # noqa: N815


class StatusOut(BaseModel):
    """`google.rpc.Status`, as OTLP answers errors."""

    message: str


class EventOut(BaseModel):
    """An event as it is committed. `event` holds the members that the key may see and that were not erased."""

    position: int
    entry: str = Field(
        description="The committed text (RFC 8785); its SHA-256 with the prefix 0x00 is the leaf."
    )
    event: dict[str, Any] = Field(examples=[EVENT])
    disclosures: list[str] = Field(
        description="base64url disclosures (RFC 9901); empty without the scope `disclose`."
    )
    leaf: str = Field(examples=[DIGEST])
    party: str
    received: str
    opaque: bool = Field(description="Of a type that the catalogue does not know: nothing in it was checked.")
    proof: str = Field(description="Path of its proof.")


class AnchorOut(BaseModel):
    chain_id: int
    contract: str
    tx_hash: str = Field(examples=[TX])
    block_number: int
    block_hash: str = Field(examples=[TX])


class BatchOut(BaseModel):
    """A sealed batch. `header` is its 92 bytes; `state` tells how far its anchoring is."""

    batch_no: int
    first_leaf: int
    leaf_count: int
    closed_at: str
    root: str = Field(examples=[DIGEST])
    header: str
    state: str = Field(
        description="sealed, intended, sent, mined, final, reorged or failed.", examples=["final"]
    )
    anchor: AnchorOut | None = None


class AnchoringOut(BaseModel):
    """One attempt to anchor consecutive batches with one transaction."""

    first_batch: int
    batches: int
    attempt: int
    state: str
    tx_hash: str = Field(examples=[TX])
    block_number: int | None
    block_hash: str | None
    updated: str


class ConsistencyOut(BaseModel):
    """Shows that the log of `old` batches is a prefix of that of `new` (RFC 9162 §2.1.4)."""

    old: int
    new: int
    path: list[str]


class VerdictOut(BaseModel):
    """The ledger's own verdict on a proof. Do not trust it: verify with your own tools and your own node."""

    verified: bool
    step: str | None = Field(None, description="The step that failed (docs/spec.md).", examples=["batch"])
    reason: str | None = None
    origin: str | None = None
    position: int | None = None
    batch_no: int | None = None
    anchored_at: str | None = Field(None, description="Time of the block.")
    event: dict[str, Any] | None = None
    signature: Literal["held", "not held", "none"] | None = Field(
        None,
        description="The party's own signature: held against a key that it has registered; not held, for it has none"
        " that was valid when the event was received; or none.",
    )
    caveat: str = "A verdict of the ledger about itself. Verify offline, with a node of your own choice."


class HealthOut(BaseModel):
    status: str = Field(examples=["ok"])


class ReadyOut(BaseModel):
    """Whether the ledger can take pushes now, and what is in the way."""

    ready: bool
    stopping: bool = Field(description="Whether this process was told to end.")
    store: str = Field(examples=["ok"])
    chain: str = Field(examples=["ok"])
    logs: dict[str, str] = Field(examples=[{ORIGIN: "ok"}])
    failing: dict[str, str] = Field(description="Background tasks that fail now.")
