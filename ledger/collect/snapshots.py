"""What the collectors of permission snapshots share: options, ids, and the event itself.

An export of permissions seldom says when it was taken and whose the resource is, so `SnapshotOptions` does. A time that
the export does tell comes before the option's.

*Ids.* An event's id stands in the entry for ever and in clear, and the same snapshot must get the same id each time it
is imported (I3). It is `<source system>-<key>-<time of capture>`, where the key stands for the resource:

- the provider's own opaque id where there is one (IAM's `AIDA…`);
- else, since the names of buckets, tables, policies and files can be somebody's name, an HMAC-SHA256 of the name, cut
  to 128 bits, under a secret that the party keeps (`ResourceKeys(secret)`): a hash without a key could be guessed
  (I4);
- or the name itself, if the party states that its names are never personal (`ResourceKeys.plain()`); it then takes only
  1 to 63 letters, digits and `._-`.

The name itself is a disclosed member of `data`, as are grants, owner and the hash of the raw record.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.catalogue import PERMISSION_SNAPSHOT
from ledger.collect.files import MAX_RECORD, RawRecord, split_lines
from ledger.collect.members import known
from ledger.entry import MAX_EVENT_BYTES, Phase, event_time
from ledger.errors import InputError, MalformedInput, TooLarge
from ledger.permissions.grants import Grant, in_order, to_value
from ledger.permissions.reach import Owner, reach
from ledger.types import Digest, format_time

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
SECRET_BYTES = 16
"""The least that a secret of `ResourceKeys` has."""
MAX_GRANTS = MAX_EVENT_BYTES // len('{"actions":[],"effect":"deny","principal":"*"}')
"""More do not fit into an event. A policy's principals and resources multiply, so a short one can make millions."""


@dataclass(frozen=True, slots=True)
class ResourceKeys:
    """How ids name a resource. Keep the secret: under another one, the same snapshot would be another event."""

    secret: bytes | None = field(repr=False)

    def __post_init__(self) -> None:
        if self.secret is not None and len(self.secret) < SECRET_BYTES:
            raise MalformedInput("a secret that is too short", expected=f"at least {SECRET_BYTES} bytes")

    @classmethod
    def plain(cls) -> ResourceKeys:
        """Names in clear, for a party whose names of resources are never personal."""
        return cls(None)

    def of(self, system: str, resource: str) -> str:
        """The key of a resource. Raises `MalformedInput` for a name that cannot stand in clear."""
        if self.secret is not None:
            named = canonical.encode([system, resource])
            return hmac.new(self.secret, named, hashlib.sha256).hexdigest()[:32]
        if not _PLAIN.fullmatch(resource):
            raise MalformedInput(
                "a resource whose name cannot stand in an id",
                expected="1 to 63 letters, digits and ._-",
                advice="Give a secret for the ids: names then stand in them as keyed hashes.",
            )
        return resource


@dataclass(frozen=True, slots=True)
class SnapshotOptions:
    """What the exports do not tell.

    `captured` is an RFC 3339 time with its offset. `owner` names the accounts and the organisation that are no
    outsiders. `subject` and `phase` say to which transfer, and where on its way, the snapshots belong.
    """

    keys: ResourceKeys
    captured: str | None = None
    owner: Owner = field(default_factory=Owner)
    subject: str = "permissions"
    phase: Phase = Phase.STORAGE


@dataclass(frozen=True, slots=True)
class Found:
    """What a collector read from one record. `complete` says that nothing is missing, `owners` who is no outsider.

    `public` is the source's own word: True counts, False does not clear what the grants show.
    """

    system: str
    resource: str
    grants: tuple[Grant, ...]
    raw: bytes
    api_call: str
    owner: str | None = None
    region: str | None = None
    complete: bool = True
    public: bool | None = None
    owners: frozenset[str] = frozenset()


def snapshot_event(
    options: SnapshotOptions, found: Found, *, source: str, key: str, captured: str | None = None
) -> Object:
    """The event of one snapshot.

    Args:
        source: the event's.
        key: what stands for the resource in its id.
        captured: when the record says that it was taken.

    Raises:
        MalformedInput: where no time of capture is known.
        TooLarge: for more than `MAX_GRANTS`.
    """
    captured = captured or options.captured
    if captured is None:
        raise MalformedInput(
            "a snapshot without its time",
            expected="captured_at in the record, or the option",
            advice="Say when the export was taken.",
        )
    time = format_time(event_time(captured))
    return {
        "specversion": "1.0",
        "id": f"{found.system}-{key}-{time}",
        "source": source,
        "type": PERMISSION_SNAPSHOT.name,
        "subject": options.subject,
        "time": time,
        "phase": options.phase.value,
        "data": snapshot_data(found, options.owner),
    }


def snapshot_data(found: Found, owner: Owner) -> Object:
    """The `data` of a snapshot; members that the record does not tell are left out.

    Raises:
        TooLarge: for more than `MAX_GRANTS`.
    """
    grants = in_order(found.grants)
    if len(grants) > MAX_GRANTS:
        raise TooLarge("more grants than an event holds", expected=f"at most {MAX_GRANTS}", got=len(grants))
    reached = reach(grants, Owner(owner.accounts | found.owners, owner.organisation))
    public = reached.public or found.public or (False if found.complete and reached.public is False else None)
    return known(
        resource=found.resource,
        api_call=found.api_call,
        region=found.region,
        owner=found.owner,
        public=public,
        external_principals=list(reached.external),
        grants=[to_value(grant) for grant in grants],
        source_system=found.system,
        completeness="complete" if found.complete else "best-effort",
        raw_sha256=Digest.of(found.raw).hex(),
    )


def only(accounts: Iterable[str]) -> str | None:
    """The one account there is, if there is one."""
    listed = [account for account in accounts if re.fullmatch("[0-9]{12,16}", account)]
    return listed[0] if len(listed) == 1 else None


# --- Records


def whole_or_lines(file: BinaryIO) -> Iterator[RawRecord]:
    """One JSON object over as many lines as it likes, as command lines print it, or one on each line."""
    first = file.readline(MAX_RECORD)
    file.seek(0)
    try:
        canonical.parse(first.strip())
    except InputError:
        raw = file.read(MAX_RECORD + 1)
        problem = f"a record of over {MAX_RECORD} bytes" if len(raw) > MAX_RECORD else None
        if raw.strip():
            yield RawRecord(1, raw[:MAX_RECORD], problem)
        return
    yield from split_lines(file)


def text(record: Object, name: str) -> str | None:
    """A member that is a text, or absent. Raises `MalformedInput` for another type."""
    value = record.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise MalformedInput(f"a record out of form: {name}", expected="text")
    return value


def member(record: Object, name: str) -> Object:
    """A member that is an object; empty if absent. Raises `MalformedInput` for another type."""
    value = record.get(name)
    if value is not None and not isinstance(value, dict):
        raise MalformedInput(f"a record out of form: {name}", expected="an object")
    return value or {}


def objects(record: Object, name: str) -> list[Object]:
    """A member that is a list of objects; empty if absent. Raises `MalformedInput` for another type."""
    value: Value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedInput(f"a record out of form: {name}", expected="a list of objects")
    found = [item for item in value if isinstance(item, dict)]
    if len(found) != len(value):
        raise MalformedInput(f"a record out of form: {name}", expected="a list of objects")
    return found
