"""Evidence packages of real ledgers: whole ones verify; what thins them out, changes or inflates them is refused."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from support.ledgers import PARTY, Bed, LedgerMaker

from ledger import canonical, native
from ledger.adapters.keys import FileKeyring
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.entry import event_time
from ledger.errors import (
    AnchorRefuted,
    DisclosureRefuted,
    InputError,
    MalformedInput,
    PackageRefuted,
    Pending,
    SignatureRefuted,
    VerificationError,
)
from ledger.evidence import build_package, check_package, check_package_on_chain
from ledger.evidence.entries import runs
from ledger.evidence.manifest import (
    ANCHORS,
    CHECKPOINT,
    ENTRIES,
    FILES,
    HEADERS,
    MANIFEST,
    FileDigest,
    Manifest,
)
from ledger.merkle import leaf_hash, tree_root
from ledger.note import VerifierKey, parse_note, sign_note
from ledger.ports import Signer
from ledger.scenario import scenario
from ledger.types import Digest, Origin, format_time, log_id, to_base64

Members = dict[str, bytes]
MINUTE = 60_000


@dataclass(frozen=True)
class Case:
    """A ledger with five batches of four events, a minute apart, and the package of the middle of them."""

    bed: Bed
    origin: Origin
    signer: Signer
    start: int
    data: bytes

    @property
    def key(self) -> VerifierKey:
        return self.bed.key(self.origin)

    @property
    def members(self) -> Members:
        return unpack(self.data)

    def build(self, since: int, until: int, **options: Any) -> bytes:
        out = io.BytesIO()
        log = self.bed.log(self.origin)
        build_package(self.bed.store, log, self.signer, since, until, self.bed.clock.now(), out, **options)
        return out.getvalue()

    def resign(self, members: Members, **changes: Any) -> bytes:
        """The members with a manifest that fits them, signed by the log's own key."""
        return pack({**members, MANIFEST: sign(members, self.signer, **changes)})

    def check(self, data: bytes) -> Any:
        return check_package(io.BytesIO(data), self.key)


def unpack(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(members: Members) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def sign(members: Members, signer: Signer, **changes: Any) -> bytes:
    old = Manifest.parse(parse_note(members[MANIFEST].decode()).text)
    files = tuple(FileDigest(name, len(members[name]), Digest.of(members[name])) for name in FILES)
    return sign_note(str(replace(old, files=files, **changes)), signer.key, signer.sign).encode()


def lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def unlines(values: list[Any]) -> bytes:
    return b"".join(canonical.encode(value) + b"\n" for value in values)


@pytest.fixture(scope="module")
def case(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("evidence")
    with ledgers(folder) as bed:
        origin = bed.create_log()
        start = bed.clock.now()
        values = list(scenario(4, 20, event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")))
        for first in range(0, 20, 4):
            bed.pipeline.push(origin, PARTY, values[first : first + 4])
            bed.settle(origin)
            bed.clock.move(MINUTE)
        signer = FileKeyring(folder / "keys").signer(origin)
        made = Case(bed, origin, signer, start, b"")
        yield replace(made, data=made.build(start + MINUTE, start + 3 * MINUTE))


# --- whole packages -------------------------------------------------------------------------------------


def test_a_package_verifies_and_tells_what_it_proved(case: Case) -> None:
    report = case.check(case.data)
    check_package_on_chain(report, case.bed.chain)
    assert (report.manifest.first_batch, report.manifest.batches) == (0, 4), "one batch more on either side"
    assert report.events_in_period == 8
    assert sum(report.by_phase.values()) == sum(report.by_type.values()) == 8
    assert (report.withheld_members, report.open_end) == (0, False)
    assert (report.first_received, report.last_received) == (case.start + MINUTE, case.start + 2 * MINUTE)
    assert report.checkpoint.size == len(report.headers) == 5


@pytest.mark.parametrize(
    ("since", "until", "events"),
    [
        (0, 1, 4),
        (0, 5, 20),
        (-9, 99, 20),
        (1, 2, 4),
        (4, 5, 4),
        (0.5, 0.6, 0),
        (4.5, 9, 0),
        (-9, -8, 0),
        (3, 4.5, 8),
    ],
)
def test_a_period_gives_a_package_of_exactly_its_events(
    case: Case, since: float, until: float, events: int
) -> None:
    begin, end = case.start + int(since * MINUTE), case.start + int(until * MINUTE)
    report = case.check(case.build(begin, end))
    check_package_on_chain(report, case.bed.chain)
    assert report.events_in_period == events
    assert report.open_end == (until > 4)


def test_events_outside_the_period_show_nothing(case: Case) -> None:
    entries = lines(case.members[ENTRIES])
    shown = [bool(entry["disclosures"]) for entry in entries]
    assert shown == [False] * 4 + [True] * 8 + [False] * 4


def test_a_package_without_disclosures_verifies_and_says_what_is_withheld(case: Case) -> None:
    report = case.check(case.build(case.start, case.start + 5 * MINUTE, disclose=False))
    assert report.disclosed_members == 0
    assert report.withheld_members > 20


def test_two_packages_of_the_same_are_the_same_bytes(case: Case) -> None:
    assert case.build(case.start + MINUTE, case.start + 3 * MINUTE) == case.data


def test_no_period_and_no_anchor_are_refused(case: Case) -> None:
    with pytest.raises(MalformedInput, match="empty period"):
        case.build(case.start, case.start)
    origin = case.bed.create_log()
    with pytest.raises(Pending):
        build_package(case.bed.store, case.bed.log(origin), case.signer, 0, 1, 0, io.BytesIO())


# --- attacks on the bytes -------------------------------------------------------------------------------


def altered(name: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[Members], Members]:
    return lambda members: {**members, name: unlines(change(lines(members[name])))}


def swap(values: list[Any]) -> list[Any]:
    return [values[1], values[0], *values[2:]]


def edit_entry(values: list[Any]) -> list[Any]:
    text = values[5]["entry"].replace('"party":"acme"', '"party":"evil"')
    assert text != values[5]["entry"]
    return [*values[:5], {**values[5], "entry": text}, *values[6:]]


def swap_disclosures(values: list[Any]) -> list[Any]:
    first, second = values[5], values[6]
    return [
        *values[:5],
        {**first, "disclosures": second["disclosures"]},
        {**second, "disclosures": first["disclosures"]},
        *values[7:],
    ]


def doubled(values: list[Any]) -> list[Any]:
    shown = values[5]["disclosures"]
    return [*values[:5], {**values[5], "disclosures": [*shown, shown[0]]}, *values[6:]]


def renumber(values: list[Any]) -> list[Any]:
    return [{**value, "position": value["position"] + 1} for value in values]


CHANGES: dict[str, tuple[Callable[[Members], Members], str]] = {
    "an entry removed": (altered(ENTRIES, lambda v: v[:5] + v[6:]), "batches"),
    "the last entry removed": (altered(ENTRIES, lambda v: v[:-1]), "batches"),
    "an entry removed and the rest renumbered": (
        altered(ENTRIES, lambda v: [{**e, "position": n} for n, e in enumerate(v[:5] + v[6:])]),
        "batches",
    ),
    "an entry added": (altered(ENTRIES, lambda v: [*v, v[-1]]), "batches"),
    "an entry swapped": (altered(ENTRIES, swap), "batches"),
    "an entry repeated": (altered(ENTRIES, lambda v: [*v[:3], v[2], *v[4:]]), "batches"),
    "an entry altered": (altered(ENTRIES, edit_entry), "batches"),
    "positions shifted": (altered(ENTRIES, renumber), "batches"),
    "disclosures swapped": (altered(ENTRIES, swap_disclosures), "disclosures"),
    "a disclosure doubled": (altered(ENTRIES, doubled), "disclosures"),
    "a header dropped": (altered(HEADERS, lambda v: v[:-1]), "log"),
    "the first header dropped": (altered(HEADERS, lambda v: v[1:]), "log"),
    "headers swapped": (altered(HEADERS, swap), "log"),
    "a header repeated": (altered(HEADERS, lambda v: [*v, v[-1]]), "log"),
    "a batch dropped": (altered(ENTRIES, lambda v: v[4:]), "batches"),
    "an anchor dropped": (altered(ANCHORS, lambda v: v[:-1]), "anchors"),
    "anchors swapped": (altered(ANCHORS, swap), "anchors"),
    "an anchor added": (altered(ANCHORS, lambda v: [*v, {**v[-1], "batch_no": 4}]), "anchors"),
    "an anchor of another contract": (
        altered(ANCHORS, lambda v: [*v[:-1], {**v[-1], "anchor": {**v[-1]["anchor"], "chain_id": 1}}]),
        "anchors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", CHANGES)
def test_a_change_to_a_member_is_seen_against_the_manifest(case: Case, attack: str) -> None:
    change, _ = CHANGES[attack]
    with pytest.raises(PackageRefuted) as caught:
        case.check(pack(change(case.members)))
    assert caught.value.step == "files"


@pytest.mark.parametrize("attack", CHANGES)
def test_a_change_that_the_logs_own_key_signed_again_is_seen_by_its_own_step(case: Case, attack: str) -> None:
    """The ledger's operator is the attacker here: the manifest fits and its signature is good."""
    change, step = CHANGES[attack]
    with pytest.raises(VerificationError) as caught:
        case.check(case.resign(change(case.members)))
    assert caught.value.step == step


def spaced(members: Members) -> Members:
    """The entries in another spelling, which only their digest tells from what the ledger wrote."""
    return {**members, ENTRIES: members[ENTRIES].replace(b'"entry":', b'"entry": ')}


def test_entries_that_are_spelled_in_another_way_hold_but_are_not_those_of_the_manifest(case: Case) -> None:
    members = spaced(case.members)
    assert case.check(case.resign(members)).events_in_period == 8
    with pytest.raises(PackageRefuted, match=r"entries\.ndjson is not what the manifest says") as caught:
        case.check(pack(members))
    assert caught.value.step == "files"


@pytest.mark.parametrize("attack", CHANGES)
def test_of_several_members_that_are_not_those_of_the_manifest_the_first_is_told(
    case: Case, attack: str
) -> None:
    change, _ = CHANGES[attack]
    members = spaced(change(case.members))
    first = next(name for name in FILES if members[name] != case.members[name])
    with pytest.raises(PackageRefuted, match=re.escape(f"{first} is not what")) as caught:
        case.check(pack(members))
    assert caught.value.step == "files"


def test_lines_are_the_same_however_they_come_in_blocks() -> None:
    text = b"one\n\ntwo\r\nthree\x0b\n" + b"x" * 30 + b"\nno end"
    for size in range(1, len(text) + 1):
        made = list(runs((text[at : at + size] for at in range(0, len(text), size)), 7))
        lines = [io.BytesIO(run.text).readlines() for run in made]
        assert [line for some in lines for line in some] == io.BytesIO(text).readlines()
        assert [run.lines for run in made] == [*map(len, lines)]
        assert [run.first - 7 for run in made] == [
            sum(before.lines for before in made[:number]) for number in range(len(made))
        ]


def test_a_line_that_is_too_long_is_refused_without_its_end(
    monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.setattr("ledger.evidence.lines.BLOCK", 100)
    longest = max(len(line) + 1 for line in case.members[ENTRIES].split(b"\n"))
    for module in ("lines", "plain", "held", "entries"):
        monkeypatch.setattr(f"ledger.evidence.{module}.MAX_LINE", longest)
    case.check(case.data)
    for module in ("lines", "plain", "held", "entries"):
        monkeypatch.setattr(f"ledger.evidence.{module}.MAX_LINE", longest - 1)
    with pytest.raises(PackageRefuted, match="without its end") as caught:
        case.check(case.data)
    assert caught.value.step == "batches"


@pytest.fixture
def spread_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let even a small package be checked a few lines at a time, by several processes or threads."""
    monkeypatch.setattr("ledger.evidence.check._FEW", 0)
    monkeypatch.setattr("ledger.evidence.lines.BLOCK", 5000)


@pytest.mark.usefixtures("spread_out")
@pytest.mark.parametrize("by", ["processes", "threads"])
def test_several_find_what_one_finds(case: Case, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "processes":
        monkeypatch.setattr(native, "library", None)
        monkeypatch.setenv(native.VARIABLE, "no")
    elif native.library is None:
        pytest.skip("no native part")
    assert check_package(io.BytesIO(case.data), case.key, processes=2) == case.check(case.data)
    for attack in ("an entry altered", "an entry added", "the last entry removed", "disclosures swapped"):
        change, step = CHANGES[attack]
        data = case.resign(change(case.members))
        with pytest.raises(VerificationError) as one:
            check_package(io.BytesIO(data), case.key, processes=1)
        with pytest.raises(VerificationError) as several:
            check_package(io.BytesIO(data), case.key, processes=2)
        assert str(several.value) == str(one.value)
        assert several.value.step == one.value.step == step


@pytest.mark.parametrize("position", range(1, 8))
@pytest.mark.usefixtures("spread_out")
def test_an_entry_received_before_the_one_before_it_is_refused(case: Case, position: int) -> None:
    def back_dated(values: list[Any]) -> list[Any]:
        value = values[position]
        received = f'"received":"{format_time(case.start - 1)}"'
        entry = re.sub('"received":"[^"]+"', received, value["entry"])
        return [*values[:position], {**value, "entry": entry}, *values[position + 1 :]]

    data = case.resign(altered(ENTRIES, back_dated)(case.members))
    with pytest.raises(PackageRefuted, match="received before the one before it") as caught:
        check_package(io.BytesIO(data), case.key, processes=1)
    assert (caught.value.step, caught.value.got) == ("entries", position)


def test_every_flipped_byte_of_every_member_is_refused(case: Case) -> None:
    members = case.members
    for name, content in members.items():
        for offset in range(0, len(content), max(1, len(content) // 60)):
            changed = content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :]
            with pytest.raises((VerificationError, InputError)):
                case.check(pack({**members, name: changed}))


def test_a_manifest_that_another_key_signed_is_refused(case: Case, tmp_path: Any) -> None:
    other = FileKeyring(tmp_path).create(case.origin)  # same name, another key
    data = pack({**case.members, MANIFEST: sign(case.members, other)})
    with pytest.raises(SignatureRefuted) as caught:
        case.check(data)
    assert caught.value.step == "signature"


def test_a_package_of_another_log_is_refused(case: Case) -> None:
    origin = case.bed.create_log()
    case.bed.push(origin, 1)
    case.bed.settle(origin)
    with pytest.raises(SignatureRefuted):
        check_package(io.BytesIO(case.data), case.bed.key(origin))


def test_a_manifest_that_names_another_log_is_refused_though_this_key_signed_it(case: Case) -> None:
    data = case.resign(case.members, origin=Origin("ledger.example/other"))
    with pytest.raises(PackageRefuted, match="another log") as caught:
        case.check(data)
    assert caught.value.step == "signature"


@pytest.mark.parametrize("headline", ["transfer-ledger/receipt/v1", "transfer-ledger/evidence/v2", ""])
def test_another_note_of_the_same_key_is_no_manifest(case: Case, headline: str) -> None:
    text = parse_note(case.members[MANIFEST].decode()).text.replace(
        "transfer-ledger/evidence/v1", headline or "x"
    )
    note = sign_note(text, case.signer.key, case.signer.sign)
    with pytest.raises(PackageRefuted) as caught:
        case.check(pack({**case.members, MANIFEST: note.encode()}))
    assert caught.value.step == "signature"


# --- periods --------------------------------------------------------------------------------------------


def test_a_package_that_claims_a_longer_period_than_it_covers_is_refused(case: Case) -> None:
    middle = case.build(case.start + 2 * MINUTE, case.start + 3 * MINUTE)
    members = unpack(middle)
    for claim in ({"since": case.start}, {"until": case.start + 9 * MINUTE}):
        with pytest.raises(PackageRefuted) as caught:
            case.check(case.resign(members, **claim))
        assert caught.value.step == "period"


def test_a_package_without_the_batch_that_fences_its_period_is_refused(case: Case) -> None:
    for first, batches in ((1, 3), (0, 3), (1, 2)):
        entries = lines(case.members[ENTRIES])[first * 4 : (first + batches) * 4]
        anchors = lines(case.members[ANCHORS])[first : first + batches]
        thinned = {**case.members, ENTRIES: unlines(entries), ANCHORS: unlines(anchors)}
        claim = {"first_batch": first, "batches": batches, "first_event": first * 4, "events": batches * 4}
        with pytest.raises(PackageRefuted) as caught:
            case.check(case.resign(thinned, **claim))
        assert caught.value.step == "period"


@pytest.mark.parametrize(
    "claim",
    [
        {"batches": 0, "events": 0},
        {"batches": 3},
        {"batches": 5},
        {"batches": 10**17},
        {"first_batch": 1},
        {"first_batch": 10**17},
        {"first_event": 1},
        {"events": 15},
        {"events": 17},
    ],
    ids=str,
)
def test_a_manifest_whose_numbers_do_not_fit_is_refused(case: Case, claim: dict[str, int]) -> None:
    with pytest.raises(PackageRefuted):
        case.check(case.resign(case.members, **claim))


def test_an_open_end_is_told(case: Case) -> None:
    assert case.check(case.build(case.start, case.start + 99 * MINUTE)).open_end is True


# --- the chain: who holds the key can rewrite everything else -------------------------------------------


def thinned_log(case: Case) -> bytes:
    """The log without its third batch, made whole again in every detail and signed by the log's real key."""
    from ledger.batch import BatchHeader, close_batch
    from ledger.types import BatchNo, Position, from_base64

    members = unpack(case.build(case.start, case.start + 5 * MINUTE))
    entries = lines(members[ENTRIES])
    kept = entries[:8] + entries[12:]
    old = [BatchHeader.parse(from_base64(value["header"])) for value in lines(members[HEADERS])]
    headers = []
    for number, source in enumerate((0, 1, 3, 4)):
        run = kept[number * 4 : number * 4 + 4]
        leaves = [leaf_hash(value["entry"].encode()) for value in run]
        headers.append(
            close_batch(
                log_id(case.origin), BatchNo(number), Position(number * 4), leaves, old[source].closed_at
            )
        )
    root = tree_root([header.leaf for header in headers])
    anchors = lines(members[ANCHORS])
    forged = {
        HEADERS: unlines([{"batch_no": h.batch_no, "header": to_base64(bytes(h))} for h in headers]),
        ENTRIES: unlines([{**value, "position": n} for n, value in enumerate(kept)]),
        ANCHORS: unlines([{**a, "batch_no": n} for n, a in enumerate(anchors[:2] + anchors[3:])]),
        CHECKPOINT: sign_checkpoint(
            Checkpoint(case.origin, 4, root), case.signer.key, case.signer.sign
        ).encode(),
        MANIFEST: members[MANIFEST],
    }
    return case.resign(forged, batches=4, events=16)


def test_a_thinned_log_that_the_real_key_signed_is_refuted_by_the_chain(case: Case) -> None:
    report = case.check(thinned_log(case))
    assert report.events_in_period == 16, "offline, the key's word is all there is"
    with pytest.raises(AnchorRefuted) as caught:
        check_package_on_chain(report, case.bed.chain)
    assert caught.value.step == "chain"


def test_a_checkpoint_that_the_chain_never_had_is_refuted(case: Case, ledgers: LedgerMaker) -> None:
    """More batches than the contract holds."""
    report = case.check(case.data)
    longer = replace(report, checkpoint=Checkpoint(case.origin, 6, report.checkpoint.root))
    with pytest.raises(AnchorRefuted, match="fewer batches"):
        check_package_on_chain(longer, case.bed.chain)


def test_an_anchor_that_is_not_where_the_package_says_is_refuted(case: Case) -> None:
    report = case.check(case.data)
    moved = replace(report.anchors[1], tx_hash=report.anchors[2].tx_hash)
    forged = replace(report, anchors=(report.anchors[0], moved, *report.anchors[2:]))
    with pytest.raises(AnchorRefuted, match="was not anchored where"):
        check_package_on_chain(forged, case.bed.chain)


def test_an_older_package_still_verifies_after_the_log_has_grown(case: Case) -> None:
    with_less = case.check(case.data)
    case.bed.clock.move(100 * MINUTE)
    case.bed.push(case.origin, 500)
    case.bed.settle(case.origin)
    check_package_on_chain(with_less, case.bed.chain)


# --- attacks on the ZIP ---------------------------------------------------------------------------------


def zip_of(case: Case, write: Callable[[zipfile.ZipFile, Members], None]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive, case.members)
    return out.getvalue()


def write_all(archive: zipfile.ZipFile, members: Members) -> None:
    for name, content in members.items():
        archive.writestr(name, content)


@pytest.mark.parametrize("name", ["extra", "../escape", "entries.ndjson/", "/etc/passwd", "Manifest"])
def test_an_extra_member_is_refused(case: Case, name: str) -> None:
    def write(archive: zipfile.ZipFile, members: Members) -> None:
        write_all(archive, members)
        archive.writestr(name, b"")

    with pytest.raises(MalformedInput):
        case.check(zip_of(case, write))


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_member_that_is_there_twice_is_refused(case: Case, name: str) -> None:
    def write(archive: zipfile.ZipFile, members: Members) -> None:
        write_all(archive, members)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(name, members[name])

    with pytest.raises(MalformedInput):
        case.check(zip_of(case, write))


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_member_is_refused(case: Case, name: str) -> None:
    with pytest.raises(MalformedInput):
        case.check(pack({k: v for k, v in case.members.items() if k != name}))


@pytest.mark.parametrize("name", FILES)
def test_a_bomb_is_not_unpacked_further_than_the_manifest_says(case: Case, name: str) -> None:
    members = {**case.members, name: case.members[name] + b"\0" * 40_000_000}
    data = pack(members)
    assert len(data) < 1_000_000
    with pytest.raises(PackageRefuted) as caught:
        case.check(data)
    assert caught.value.step == "files"


def test_a_manifest_that_is_a_bomb_is_refused(case: Case) -> None:
    with pytest.raises(InputError):
        case.check(pack({**case.members, MANIFEST: b"\n" * 40_000_000}))


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_member_whose_checksum_is_wrong_is_refused(case: Case, name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(case.data)) as archive:
        crc = archive.getinfo(name).CRC.to_bytes(4, "little")
    data = case.data.replace(crc, bytes([crc[0] ^ 1]) + crc[1:])
    with pytest.raises((PackageRefuted, MalformedInput)):
        case.check(data)


def test_no_flipped_byte_of_the_file_is_more_than_a_refusal(case: Case) -> None:
    """Some bytes of a ZIP say nothing about its content; those may verify, and then say the same."""
    whole = case.check(case.data)
    for offset in range(0, len(case.data), max(1, len(case.data) // 400)):
        changed = bytearray(case.data)
        changed[offset] ^= 0x10
        try:
            assert case.check(bytes(changed)) == whole
        except (VerificationError, InputError):
            continue


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip", b"PK\x05\x06" + b"\0" * 18], ids=repr)
def test_what_is_no_package_is_refused(case: Case, data: bytes) -> None:
    with pytest.raises(MalformedInput):
        case.check(data)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_package_that_was_cut_off_is_refused(case: Case, share: float) -> None:
    with pytest.raises(InputError):
        case.check(case.data[: int(len(case.data) * share)])


BROKEN_LINES = [
    b"{}\n",
    b"[]\n",
    b"\n",
    b"\xff\n",
    b"{" * 3000 + b"\n",
    b'{"position":0}\n',
    b'{"position":"0"}\n',
]


@pytest.mark.parametrize("name", [HEADERS, ENTRIES, ANCHORS])
@pytest.mark.parametrize("line", BROKEN_LINES, ids=repr)
def test_lines_out_of_form_are_refused_even_if_they_are_signed(case: Case, name: str, line: bytes) -> None:
    with pytest.raises((VerificationError, InputError)):
        case.check(case.resign({**case.members, name: line + case.members[name]}))


def test_a_disclosure_of_another_event_is_named_as_such(case: Case) -> None:
    data = case.resign(altered(ENTRIES, swap_disclosures)(case.members))
    with pytest.raises(DisclosureRefuted):
        case.check(data)
