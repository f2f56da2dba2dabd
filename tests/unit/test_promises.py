"""Receipts judged: kept, pending, broken, and what nobody can talk a verifier into or out of."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from support.http import answer, scripted
from support.ledgers import Bed, LedgerMaker, serving

from ledger import promises
from ledger.client import Client, Retries
from ledger.errors import ConsistencyRefuted, InputError, MalformedInput, PackageRefuted, Unavailable
from ledger.evidence import build_package
from ledger.note import VerifierKey
from ledger.promises import Absent, ApiSource, PackageSource, Source, Verdict, judge, split_receipts
from ledger.receipt import Receipt, open_receipt, sign_receipt
from ledger.records import Scope
from ledger.types import Digest, Origin, Position

HOUR = 3_600_000
WITHIN = 600_000
KEPT, PENDING, BROKEN, UNDECIDED, REFUTED = Verdict


@dataclass(frozen=True)
class Case:
    """A log with batches of four: pushes of 3, 4 and 3 events are sealed and anchored, one of 2 only waits."""

    bed: Bed
    origin: Origin
    notes: tuple[str, ...]
    start: int

    @property
    def key(self) -> VerifierKey:
        return self.bed.key(self.origin)

    def receipt(self, number: int) -> Receipt:
        return open_receipt(self.notes[number], self.key)

    def sign(self, receipt: Receipt, by: Origin | None = None) -> str:
        """What the holder of a log's key can sign."""
        signer = self.bed.ledger.keyring.signer(by or self.origin)
        return sign_receipt(receipt, signer.key, signer.sign)

    def package(self, since: int = -HOUR, until: int = HOUR, made: int | None = None) -> io.BytesIO:
        out = io.BytesIO()
        build_package(
            self.bed.store,
            self.bed.log(self.origin),
            self.bed.ledger.keyring.signer(self.origin),
            self.start + since,
            self.start + until,
            made or self.bed.clock.now(),
            out,
        )
        return out

    def source(self, *notes: str, **options: Any) -> PackageSource:
        made = PackageSource(self.key, [open_receipt(note, self.key) for note in notes or self.notes])
        made.add(self.package(**options))
        return made

    def judge(self, note: str, source: Source | None, *, after: int = 0, **options: Any) -> Any:
        """The judgement so long after the pushes."""
        return judge(note, self.key, self.start + after, source, **options)


def block_time(bed: Bed) -> int:
    block = bed.node.ask("eth_getBlockByNumber", "latest", False)
    return int(block["timestamp"], 16) * 1000


def made_case(bed: Bed, behind: int = 0) -> Case:
    """With the ledger's clock so far behind the chain's."""
    bed.clock.time = start = block_time(bed) - behind
    origin = bed.create_log()
    notes = [bed.push(origin, *numbers).receipts[0] for numbers in (range(3), range(3, 7), range(7, 10))]
    bed.settle(origin)
    notes.append(bed.push(origin, 10, 11).receipts[0])
    return Case(bed, origin, tuple(notes), start)


@pytest.fixture(scope="module")
def case(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with ledgers(tmp_path_factory.mktemp("promises")) as bed:
        yield made_case(bed)


@pytest.fixture(scope="module")
def url(case: Case) -> Iterator[str]:
    with serving(case.bed) as served:
        yield served


@pytest.fixture
def api(case: Case, url: str) -> Iterator[ApiSource]:
    with Client(url, case.bed.api_key(case.origin, Scope.READ), case.origin) as client:
        yield ApiSource(client, case.key)


# --- Kept, pending, broken --------------------------------------------------------------------------------------


def test_entries_that_are_in_batches_are_kept_whenever_one_looks(case: Case, api: ApiSource) -> None:
    for source in (case.source(), api):
        for number, batches in ((0, (0,)), (1, (0, 1)), (2, (1, 2))):
            for after in (0, 10 * WITHIN):
                judged = case.judge(case.notes[number], source, after=after)
                assert (judged.verdict, judged.batches) == (KEPT, batches)


def test_with_the_contract_they_are_kept_if_it_holds_the_same_in_time(case: Case, api: ApiSource) -> None:
    for source in (case.source(), api):
        judged = case.judge(case.notes[1], source, chain=case.bed.chain)
        assert judged.verdict is KEPT
        assert judged.anchored_at is not None
        assert judged.anchored_at * 1000 <= case.receipt(1).include_by


def test_entries_that_no_batch_has_are_pending_until_their_time_and_then_broken(
    case: Case, api: ApiSource
) -> None:
    late = case.source(made=case.start + 2 * WITHIN)
    for source in (late, api):
        for chain in (None, case.bed.chain):
            assert case.judge(case.notes[3], source, after=WITHIN, chain=chain).verdict is PENDING
            judged = case.judge(case.notes[3], source, after=WITHIN + 1, chain=chain)
            assert judged.verdict is BROKEN
            assert "passed" in judged.reason


def test_the_contract_alone_shows_what_it_does_not_hold(case: Case) -> None:
    chain = case.bed.chain
    assert case.judge(case.notes[3], None, after=WITHIN + 1, chain=chain).verdict is BROKEN
    assert case.judge(case.notes[0], None, after=WITHIN + 1, chain=chain).verdict is UNDECIDED
    assert case.judge(case.notes[0], None, after=0, chain=chain).verdict is PENDING


def test_with_nothing_shown_only_the_time_is_known(case: Case) -> None:
    assert case.judge(case.notes[0], None).verdict is PENDING
    assert case.judge(case.notes[0], None, after=WITHIN + 1).verdict is UNDECIDED


def test_a_package_that_was_made_before_says_nothing_about_after(case: Case) -> None:
    for made, verdict in ((case.start + WITHIN, UNDECIDED), (case.start + WITHIN + 1, BROKEN)):
        source = case.source(made=made)
        assert case.judge(case.notes[3], source, after=2 * WITHIN).verdict is verdict


def test_a_package_of_another_period_shows_nothing_of_this_one(ledgers: LedgerMaker, tmp_path: Any) -> None:
    with ledgers(tmp_path / "periods") as bed:
        made = made_case(bed)
        bed.clock.move(10 * HOUR)
        bed.push(made.origin, *range(20, 30))
        bed.settle(made.origin)
        source = made.source(since=9 * HOUR, until=11 * HOUR)
        assert made.judge(made.notes[0], source, after=20 * HOUR).verdict is UNDECIDED
        assert made.judge(made.notes[3], source, after=20 * HOUR).verdict is KEPT
        source.add(made.package())
        assert made.judge(made.notes[0], source, after=20 * HOUR).verdict is KEPT, "two packages show more"
        assert source.batch_at(Position(10**6)) is Absent.NO_BATCH


def test_what_was_anchored_too_late_is_broken_for_who_asks_the_contract(
    ledgers: LedgerMaker, tmp_path: Any
) -> None:
    """The ledger's clock is two hours behind: it promises a time that is over when the block comes."""
    with ledgers(tmp_path / "late") as bed:
        made = made_case(bed, behind=2 * HOUR)
        source = made.source()
        assert made.judge(made.notes[0], source).verdict is KEPT
        judged = made.judge(made.notes[0], source, chain=bed.chain)
        assert judged.verdict is BROKEN
        assert "too late" in judged.reason


# --- Attacks ----------------------------------------------------------------------------------------------------


def test_a_receipt_for_other_entries_than_the_batches_hold_is_broken(case: Case, api: ApiSource) -> None:
    """What a ledger signs that later puts something else in the place."""
    for change in (
        {"root": Digest.of(b"what was pushed")},
        {"count": 2},
        {"first": Position(1)},
        {"count": 4},
    ):
        note = case.sign(replace(case.receipt(0), **change))
        for source in (case.source(note), api):
            judged = case.judge(note, source)
            assert judged.verdict is BROKEN
            assert "other entries" in judged.reason


def test_of_two_receipts_for_one_place_one_is_broken(case: Case, api: ApiSource) -> None:
    other = case.sign(replace(case.receipt(1), root=Digest.of(b"told somebody else")))
    assert [case.judge(note, api).verdict for note in (case.notes[1], other)] == [KEPT, BROKEN]


def test_a_receipt_of_another_log_or_key_is_refuted(case: Case, api: ApiSource) -> None:
    other = case.bed.create_log()
    for note in (
        case.sign(replace(case.receipt(0), origin=other), by=other),
        case.sign(replace(case.receipt(0), origin=other)),
        sign_receipt(case.receipt(0), case.key, case.bed.ledger.keyring.signer(other).sign),
    ):
        judged = case.judge(note, api)
        assert (judged.verdict, judged.receipt, judged.step) == (REFUTED, None, "signature")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("include-by 2", "include-by 3"),
        ("received 2", "received 1"),
        ("count 3", "count 2"),
        ("first 0", "first 1"),
    ],
)
def test_an_altered_receipt_is_refuted(case: Case, old: str, new: str) -> None:
    note = case.notes[0].replace(old, new)
    assert note != case.notes[0]
    assert case.judge(note, None).verdict is REFUTED


def listed_otherwise(document: Any) -> Any:
    """The ledger lists what was pushed, where its batch holds something else."""
    for item in document.get("items", ()):
        item["entry"] = item["entry"].replace("allowed", "refused")
    return document


def one_entry_twice(document: Any) -> Any:
    return {**document, "items": document["items"][:1] * 4} if "items" in document else document


def in_another_order(document: Any) -> Any:
    return {**document, "items": document["items"][::-1]} if "items" in document else document


def of_another_batch(document: Any) -> Any:
    return document if "items" in document else {**document, "log": {**document["log"], "index": 1}}


def another_checkpoint(document: Any) -> Any:
    if "items" in document:
        return document
    return {**document, "checkpoint": document["checkpoint"].replace("\n3\n", "\n4\n")}


LIES = (listed_otherwise, one_entry_twice, in_another_order, of_another_batch, another_checkpoint)


def relay(url: str, change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """An honest API's answers, changed on the way."""

    def respond(request: bytes) -> bytes:
        head = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
        target = head[0].split(b" ")[1].decode()
        key = next(line.split(b" ", 1)[1] for line in head if line.lower().startswith(b"authorization"))
        made = httpx.get(url + target, headers={"Authorization": key.decode()})
        document = made.json()
        if "/events" in target:
            document = change(document)
        return answer(made.status_code, document, made.headers["content-type"])

    return respond


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_ledger_that_shows_what_its_key_did_not_sign_is_refuted(
    case: Case, url: str, lie: Callable[[Any], Any]
) -> None:
    with (
        scripted(*[relay(url, lie)] * 10) as server,
        Client(server.url, case.bed.api_key(case.origin, Scope.READ), case.origin) as client,
    ):
        judged = case.judge(case.notes[0], ApiSource(client, case.key))
    assert judged.verdict is REFUTED
    assert judged.step in ("batch", "header", "signature")


def test_a_proof_of_another_position_shows_nothing(case: Case, url: str) -> None:
    with Client(url, case.bed.api_key(case.origin, Scope.READ), case.origin) as client:
        other = client.proof(Position(8), "")
    with (
        scripted(relay(url, lambda document: document), answer(200, json.loads(other))) as server,
        Client(server.url, "key", case.origin) as client,
    ):
        judged = case.judge(case.notes[0], ApiSource(client, case.key))
    assert (judged.verdict, judged.step) == (REFUTED, "batch")


def test_a_ledger_that_says_that_there_is_no_batch_convicts_itself(case: Case, url: str) -> None:
    def denies(request: bytes) -> bytes:
        problem = {"type": "urn:transfer-ledger:problem:pending", "detail": "in no batch yet"}
        return answer(409, problem)

    def opened() -> Any:
        return scripted(relay(url, lambda document: document), *[denies] * 5)

    for chain, after, verdict in (
        (None, 0, PENDING),
        (None, WITHIN + 1, BROKEN),
        (case.bed.chain, WITHIN + 1, UNDECIDED),
    ):
        with opened() as server, Client(server.url, "key", case.origin) as client:
            source = ApiSource(client, case.key)
            assert case.judge(case.notes[0], source, after=after, chain=chain).verdict is verdict


def test_the_wrong_ledger_is_not_asked(case: Case, url: str, ledgers: LedgerMaker, tmp_path: Any) -> None:
    with (
        ledgers(tmp_path / "other") as bed,
        serving(bed) as other,
        Client(other, "key", case.origin) as client,
        pytest.raises(InputError),
    ):
        ApiSource(client, case.key)
    stranger = VerifierKey(case.origin, b"\x07" * 32)
    with Client(url, "key", case.origin) as client, pytest.raises(InputError, match="another key"):
        ApiSource(client, stranger)


def test_a_ledger_that_is_away_says_nothing(case: Case, url: str) -> None:
    with (
        scripted(relay(url, lambda document: document)) as server,
        Client(server.url, "key", case.origin, retries=Retries(tries=1)) as client,
    ):
        source = ApiSource(client, case.key)
        with pytest.raises(Unavailable):
            case.judge(case.notes[0], source)


def test_a_changed_package_shows_nothing(case: Case) -> None:
    data = bytearray(case.package().getvalue())
    data[60] ^= 1
    source = PackageSource(case.key, [])
    with pytest.raises((PackageRefuted, MalformedInput)):
        source.add(io.BytesIO(bytes(data)))


def test_packages_of_two_histories_are_refuted(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the log's key makes a second history, and shows packages of both."""
    source = case.source()
    honest = promises.check_package

    def second(*arguments: Any, **options: Any) -> Any:
        report = honest(*arguments, **options)
        return replace(report, headers=(replace(report.headers[0], closed_at=1), *report.headers[1:]))

    monkeypatch.setattr(promises, "check_package", second)
    with pytest.raises(ConsistencyRefuted):
        source.add(case.package())


def test_batches_that_the_contract_does_not_hold_are_refuted(
    case: Case, ledgers: LedgerMaker, tmp_path: Any
) -> None:
    """A made-up history that the log's key signed, and no chain holds."""
    with ledgers(tmp_path / "undone") as bed:
        with bed.node.undone():
            made = made_case(bed)
            source = made.source()
        judged = made.judge(made.notes[0], source, chain=bed.chain)
    assert (judged.verdict, judged.step) == (REFUTED, "chain")
    assert made.judge(made.notes[0], source).verdict is KEPT, "the key alone vouches for it"


# --- The file ---------------------------------------------------------------------------------------------------


def test_a_file_of_receipts_is_notes_with_empty_lines_between(case: Case) -> None:
    notes = list(case.notes)
    assert split_receipts("\n".join(notes) + "\n") == notes
    assert split_receipts("\n".join(notes)) == notes, "the last empty line may lack"
    assert split_receipts("\n".join([*notes, notes[1]]) + "\n") == notes, "a repeated one counts once"
    assert split_receipts(notes[0]) == notes[:1]
    assert split_receipts("") == split_receipts("\n") == []


def test_a_witness_may_have_signed_too(case: Case) -> None:
    note = case.notes[0] + "— witness.example AAAAAAAA\n"
    assert split_receipts(note + "\n" + case.notes[1] + "\n") == [note, case.notes[1]]
    assert case.judge(note, case.source()).verdict is KEPT


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "more\n",
        lambda text: "more\n" + text,
        lambda text: text.replace("\n\n", "\n", 1),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("receipt/v1", "receipt/v2"),
        lambda text: text + text.split("\n\n")[0],
        lambda text: text[:-5],
        lambda text: "\n" + text,
    ],
)
def test_anything_else_in_the_file_is_refused(case: Case, change: Callable[[str], str]) -> None:
    text = change("\n".join(case.notes) + "\n")
    with pytest.raises(MalformedInput):
        for note in split_receipts(text):
            judge(note, case.key, 0)
