"""The outbox: what is put in comes out against a receipt that holds, or stays; what is poison holds up nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.chains import free_port
from support.http import answer, scripted
from support.ledgers import Bed, LedgerMaker, access, accesses, serving
from support.signing import party_signer, register_key

from ledger import canonical
from ledger.client import AsyncClient, Client, Outbox, Retries
from ledger.client import outbox as outbox_module
from ledger.client.delivery import UNSHOWN
from ledger.client.pushes import signed_ready
from ledger.entry import parse_entry
from ledger.errors import (
    AccessError,
    Conflict,
    InclusionRefuted,
    InputError,
    InvalidEvent,
    MalformedInput,
    NotFound,
    NotSigned,
    SignatureRefuted,
    StoreUnavailable,
    TooLarge,
    Unavailable,
)
from ledger.receipt import open_receipt, sign_receipt
from ledger.records import EventFilter, Scope
from ledger.types import Digest, Origin, Position

ORIGIN = Origin("ledger.example/acme-live")
SIGNER = party_signer()
ONE_TRY = Retries(tries=1)


@pytest.fixture(scope="module")
def bed(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with ledgers(tmp_path_factory.mktemp("outbox")) as made:
        register_key(made, SIGNER)
        yield made


@pytest.fixture(scope="module")
def url(bed: Bed) -> Iterator[str]:
    with serving(bed) as served:
        yield served


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@contextmanager
def opened(path: Path, origin: Origin = ORIGIN, *, signed: bool = True) -> Iterator[Outbox]:
    with Outbox(path, origin, signed=signed) as outbox:
        yield outbox


@contextmanager
def client_to(bed: Bed, url: str, origin: Origin, *scopes: Scope, **options: Any) -> Iterator[Client]:
    options = {"key": bed.key(origin), "signer": SIGNER, "retries": ONE_TRY, **options}
    with Client(url, bed.api_key(origin, *(scopes or [Scope.PUSH])), origin, **options) as client:
        yield client


def ids(bed: Bed, origin: Origin) -> list[str]:
    return [
        parse_entry(event.entry).attributes["id"]
        for event in bed.store.events(origin, EventFilter(), None, 999)
    ]


def numbered(numbers: Sequence[int]) -> list[str]:
    return [f"access-{n:06}" for n in numbers]


# --- Putting in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_what_is_put_in_is_there_for_the_next_process(path: Path, signed: bool) -> None:
    with opened(path, signed=signed) as outbox:
        assert outbox.put(accesses(range(3))) == 3
    with Outbox(path) as outbox:
        assert (outbox.origin, outbox.signed) == (ORIGIN, signed)
        assert outbox.put(accesses(range(2, 5))) == 2, "one waits already"
        status = outbox.status()
        assert (status.waiting, status.sent, status.set_aside, status.receipts) == (5, 0, 0, 0)
        batch = outbox.next_batch()
        assert batch is not None
        assert [event.id for event in batch.events()] == numbered(range(5))
        assert [dict(event.data) for event in batch.events()] == [it["data"] for it in accesses(range(5))]


def test_the_salts_of_an_event_are_drawn_once(path: Path) -> None:
    with opened(path) as outbox:
        outbox.put(accesses(range(3)))
        first = outbox.next_batch()
    with Outbox(path) as outbox:
        again = outbox.next_batch()
    assert first == again
    assert first is not None
    texts = [d.text for statement in first.statements() for d in statement.disclosures]
    assert len(set(texts)) == len(texts) == 9


def test_a_batch_is_the_same_until_it_is_answered_whatever_comes_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_EVENTS", 3)
    with opened(path) as outbox:
        outbox.put(accesses(range(2)))
        first = outbox.next_batch()
        outbox.put(accesses(range(2, 9)))
        assert outbox.next_batch() == first
        assert outbox.status().sent == 2
        assert first is not None
        outbox.set_aside(first, {0: "no"})
        second = outbox.next_batch()
        assert second is not None
        assert [event.id for event in second.events()] == numbered([1, 2, 3]), "in order, what is left first"


def test_a_batch_holds_so_many_bytes_and_one_event_at_least(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_BYTES", 1000)
    with opened(path, signed=False) as outbox:
        outbox.put([access(1, data={"x": "y" * 5000}), *accesses(range(2, 9))])
        sizes = []
        while (batch := outbox.next_batch()) is not None:
            sizes.append(len(batch.queued))
            outbox.set_aside(batch, dict.fromkeys(range(len(batch.queued)), "no"))
    assert sizes == [1, 2, 2, 2, 1]


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_other_content_under_a_name_that_waits_is_a_conflict_at_once(path: Path, signed: bool) -> None:
    with opened(path, signed=signed) as outbox:
        outbox.put(accesses(range(3)))
        turned = dict(reversed(access(1).items()))
        assert outbox.put([turned]) == 0, "the same in another order"
        with pytest.raises(Conflict):
            outbox.put([access(7), access(1, subject="other")])
        assert outbox.status().waiting == 3, "all or none"


def test_an_envelope_out_of_form_is_refused_at_once(path: Path) -> None:
    with opened(path) as outbox:
        for bad in (access(1, phase="later"), access(1, id=None), 7, access(1, person="x")):
            with pytest.raises(InvalidEvent):
                outbox.put([access(5), bad])
        with pytest.raises(TooLarge):
            outbox.put([access(5), access(1, data={"x": "y" * 300_000})])
        assert outbox.status().waiting == 0


def test_what_was_set_aside_is_replaced_by_its_correction(path: Path) -> None:
    with opened(path) as outbox:
        outbox.put(accesses(range(2)))
        batch = outbox.next_batch()
        assert batch is not None
        outbox.set_aside(batch, {0: "no"})
        assert outbox.put([access(0, subject="corrected")]) == 1
        assert outbox.aside() == []
        again = outbox.next_batch()
        assert again is not None
        assert [(e.id, e.subject) for e in again.events()] == [
            ("access-000001", "live-2026-07-01-tokyo"),
            ("access-000000", "corrected"),
        ]


def test_what_was_set_aside_may_wait_again_or_go(path: Path) -> None:
    with opened(path) as outbox:
        outbox.put(accesses(range(4)))
        batch = outbox.next_batch()
        assert batch is not None
        outbox.set_aside(batch, {1: "first reason", 3: "second"})
        assert [(it.id, it.problem, it.event) for it in outbox.aside()] == [
            ("access-000001", "first reason", access(1)),
            ("access-000003", "second", access(3)),
        ]
        assert outbox.retry() == 2
        assert outbox.status().waiting == 4
        batch = outbox.next_batch()
        assert batch is not None
        assert [event.id for event in batch.events()] == numbered(range(4)), "in its old place"
        outbox.set_aside(batch, {2: "no"})
        assert (outbox.drop_aside(), outbox.status().waiting) == (1, 3)


# --- The file ---------------------------------------------------------------------------------------------------


def test_the_file_is_for_its_owner_only_and_on_disk_at_each_commit(path: Path) -> None:
    with opened(path) as outbox:
        outbox.put([access(1)])
        assert {stat.S_IMODE(it.stat().st_mode) for it in path.parent.iterdir()} == {0o600}
        pragmas = [
            outbox._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete")
        ]
        assert pragmas == ["wal", 2, 1]


def test_another_log_another_mode_or_another_file_is_refused(path: Path, tmp_path: Path) -> None:
    with opened(path):
        pass
    with pytest.raises(MalformedInput, match="another log"):
        Outbox(path, Origin("ledger.example/other"))
    with pytest.raises(MalformedInput, match="signed events"):
        Outbox(path, signed=False)
    with pytest.raises(NotFound):
        Outbox(tmp_path / "nothing.db")
    (tmp_path / "text").write_text("not a database, but long enough to be looked at as one" * 40)
    with pytest.raises(StoreUnavailable):
        Outbox(tmp_path / "text", ORIGIN, signed=True)
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE x (y)")
    with pytest.raises(MalformedInput, match="no outbox"):
        Outbox(tmp_path / "other.db", ORIGIN, signed=True)
    with pytest.raises(StoreUnavailable):
        Outbox(tmp_path / "no" / "folder.db", ORIGIN, signed=True)
    (tmp_path / "empty.db").touch()
    with pytest.raises(NotFound, match="empty"):
        Outbox(tmp_path / "empty.db")


def test_a_disk_that_is_full_keeps_what_was_put_in_before(path: Path) -> None:
    with opened(path) as outbox:
        outbox.put(accesses(range(5)))
        pages = outbox._database.execute("PRAGMA page_count").fetchone()[0]
        outbox._database.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StoreUnavailable, match="full"):
            outbox.put(accesses(range(5, 500)))
        assert outbox.status().waiting == 5
        outbox._database.execute("PRAGMA max_page_count = 1000000")
        assert outbox.put(accesses(range(5, 500))) == 495


def test_many_threads_and_two_openings_put_each_event_in_once(path: Path) -> None:
    with opened(path) as one, opened(path) as two:
        threads = [
            threading.Thread(target=lambda o=o, n=n: [o.put([access(m)]) for m in range(n, n + 30)])
            for n in range(0, 60, 10)
            for o in (one, two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.status().waiting == two.status().waiting == 80


# --- Delivery ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_events_leave_in_their_order_against_receipts(
    bed: Bed, url: str, origin: Origin, path: Path, signed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_EVENTS", 4)
    with opened(path, origin, signed=signed) as outbox, client_to(bed, url, origin) as client:
        outbox.put(accesses(range(10)))
        delivered = client.flush(outbox)
        assert (delivered.accepted, delivered.duplicates, delivered.set_aside) == (10, 0, 0)
        assert ids(bed, origin) == numbered(range(10))
        status = outbox.status()
        assert (status.waiting, status.sent, status.receipts) == (0, 0, 3)
        covered = [open_receipt(note, bed.key(origin)) for note in outbox.receipts()]
        assert [(receipt.first, receipt.count) for receipt in covered] == [(0, 4), (4, 4), (8, 2)]
        assert list(delivered.receipts) == outbox.receipts()
        assert client.flush(outbox).accepted == 0, "nothing waits"
    assert b"replays/" not in path.read_bytes(), "what has left is overwritten"
    signatures = [bed.store.signature(origin, Position(n)) is not None for n in range(10)]
    assert signatures == [signed] * 10


def test_the_asynchronous_client_delivers_alike(bed: Bed, url: str, origin: Origin, path: Path) -> None:
    async def use() -> Any:
        key = bed.api_key(origin, Scope.PUSH)
        async with AsyncClient(url, key, origin, key=bed.key(origin), signer=SIGNER) as client:
            return await client.flush(outbox)

    with opened(path, origin) as outbox:
        outbox.put(accesses(range(5)))
        assert asyncio.run(use()).accepted == 5
        assert outbox.status().waiting == 0
    assert ids(bed, origin) == numbered(range(5))


def test_a_ledger_that_is_away_loses_nothing(bed: Bed, url: str, origin: Origin, path: Path) -> None:
    with opened(path, origin) as outbox:
        outbox.put(accesses(range(3)))
        with (
            client_to(bed, f"http://127.0.0.1:{free_port()}", origin) as away,
            pytest.raises(Unavailable),
        ):
            away.flush(outbox)
        assert (outbox.status().waiting, outbox.status().sent) == (3, 3)
        outbox.put(accesses(range(3, 5)))
        with client_to(bed, url, origin) as client:
            assert client.flush(outbox).accepted == 5
    assert ids(bed, origin) == numbered(range(5))


def test_a_lost_answer_costs_nothing(bed: Bed, url: str, origin: Origin, path: Path) -> None:
    """The push arrived; its answer did not. The next process sends the same and is shown as much."""
    with opened(path, origin) as outbox, client_to(bed, url, origin) as client:
        outbox.put(accesses(range(3)))
        batch = outbox.next_batch()
        assert batch is not None
        client.run(client.api.push(signed_ready(batch.statements(), origin, SIGNER)))
    with Outbox(path) as outbox, client_to(bed, url, origin) as client:
        outbox.put([access(3)])
        delivered = client.flush(outbox)
        assert (delivered.accepted, delivered.duplicates, delivered.set_aside) == (1, 3, 0)
    assert ids(bed, origin) == numbered(range(4))


def test_after_a_key_has_ended_the_next_one_signs_what_waits(
    bed: Bed, url: str, origin: Origin, path: Path
) -> None:
    old, new = party_signer(seed=31), party_signer(seed=32)
    key = register_key(bed, old, since=bed.clock.now())
    register_key(bed, new, since=bed.clock.now())
    bed.clock.move(1)
    bed.store.end_party_key(key, bed.clock.now())
    with opened(path, origin) as outbox:
        outbox.put(accesses(range(3)))
        with client_to(bed, url, origin, signer=old) as client, pytest.raises(NotSigned):
            client.flush(outbox)
        assert outbox.status().waiting == 3, "a key is no event's fault"
        with client_to(bed, url, origin, signer=new) as client:
            assert client.flush(outbox).accepted == 3


BAD = {3: access(3, type="transfer-ledger.unheard-of.v1"), 5: access(5, data={"outcome": "allowed"})}


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_poison_is_set_aside_with_its_problems_and_holds_up_nothing(
    bed: Bed, url: str, origin: Origin, path: Path, signed: bool
) -> None:
    values = [BAD.get(n, access(n)) for n in range(8)]
    with opened(path, origin, signed=signed) as outbox, client_to(bed, url, origin) as client:
        outbox.put(values)
        delivered = client.flush(outbox)
        assert (delivered.accepted, delivered.set_aside) == (6, 2)
        aside = {it.id: it for it in outbox.aside()}
        assert set(aside) == {"access-000003", "access-000005"}
        assert "[3].type: not in the catalogue" in aside["access-000003"].problem
        assert "[5].data.principal: missing" in aside["access-000005"].problem
        assert aside["access-000005"].event == BAD[5]
    assert ids(bed, origin) == numbered([0, 1, 2, 4, 6, 7])


def test_a_conflict_is_set_aside_and_the_rest_goes(bed: Bed, url: str, origin: Origin, path: Path) -> None:
    bed.push(origin, 2)
    with opened(path, origin) as outbox, client_to(bed, url, origin) as client:
        outbox.put([access(1), access(2, subject="other"), access(3)])
        delivered = client.flush(outbox)
        assert (delivered.accepted, delivered.set_aside) == (2, 1)
        [aside] = outbox.aside()
        assert aside.id == "access-000002"
        assert "other content" in aside.problem
        assert len(bed.store.conflicts(origin)) == 1, "tried once"


def test_a_refusal_that_names_no_event_is_found_by_halves(
    bed: Bed, url: str, origin: Origin, path: Path
) -> None:
    """A body that a proxy before the ledger finds too large."""
    with opened(path, origin) as outbox, client_to(bed, url, origin) as client:
        outbox.put(accesses(range(9)))

        def judge(request: bytes) -> bytes:
            body = canonical.parse_object(request.partition(b"\r\n\r\n")[2])
            names = [it["event"]["id"] for it in body["statements"]]  # type: ignore[union-attr,index,call-overload]
            if "access-000006" in names:
                return answer(413, b"<html>too large</html>", "text/html")
            headers = {"Content-Type": "application/vnd.transfer-ledger.push+json", **client._setup.headers}
            made = httpx.post(
                f"{url}/v1/logs/{origin}/events",
                content=request.partition(b"\r\n\r\n")[2],
                headers=headers,
            )
            return answer(made.status_code, made.content, made.headers["content-type"])

        with scripted(*[judge] * 40) as proxy, client_to(bed, proxy.url, origin) as through:
            delivered = through.flush(outbox)
        assert (delivered.accepted, delivered.set_aside) == (8, 1)
        assert [it.id for it in outbox.aside()] == ["access-000006"]
    assert ids(bed, origin) == numbered([0, 1, 2, 3, 4, 5, 7, 8])


@pytest.mark.parametrize(
    ("status", "problem", "kind"),
    [
        (401, "unauthenticated", AccessError),
        (403, "forbidden", AccessError),
        (404, "not-found", NotFound),
        (404, "", InputError),
        (415, "unsupported-media", InputError),
        (422, "not-signed", NotSigned),
        (422, "", InputError),
        (503, "store-unavailable", Unavailable),
        (503, "history-forked", Unavailable),
        (429, "", Unavailable),
    ],
)
def test_a_refusal_for_something_else_than_an_event_sets_nothing_aside(
    bed: Bed, origin: Origin, path: Path, status: int, problem: str, kind: type[Exception]
) -> None:
    body = {"type": f"urn:transfer-ledger:problem:{problem}", "detail": "no"} if problem else {}
    with opened(path, origin) as outbox:
        outbox.put(accesses(range(3)))
        with (
            scripted(answer(status, body)) as server,
            client_to(bed, server.url, origin) as client,
            pytest.raises(kind),
        ):
            client.flush(outbox)
        status_ = outbox.status()
        assert (status_.waiting, status_.set_aside) == (3, 0)


def test_nothing_is_delivered_without_a_key_to_hold_receipts_against(
    bed: Bed, url: str, origin: Origin, path: Path, tmp_path: Path
) -> None:
    with opened(path, origin) as outbox:
        outbox.put([access(1)])
        for options, message in (({"key": None}, "no key to hold"), ({"signer": None}, "no key to sign")):
            with (
                client_to(bed, url, origin, **options) as client,
                pytest.raises(MalformedInput, match=message),
            ):
                client.flush(outbox)
        other = bed.create_log()
        with client_to(bed, url, other) as client, pytest.raises(MalformedInput, match="another log"):
            client.flush(outbox)
    assert ids(bed, origin) == []


# --- Hostile and forgetful ledgers ------------------------------------------------------------------------------


def through(bed: Bed, url: str, origin: Origin, change: Any) -> Any:
    """What a hostile ledger makes of an honest one's answer."""

    def respond(request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        headers = {"Authorization": f"Bearer {bed.api_key(origin, Scope.PUSH, Scope.READ, Scope.DISCLOSE)}"}
        if method == b"POST":
            headers["Content-Type"] = "application/vnd.transfer-ledger.push+json"
        made = httpx.request(method.decode(), url + target.decode(), content=body, headers=headers)
        document = change(made.json(), method.decode())
        return answer(made.status_code, document, "application/json")

    return respond


def test_events_stay_when_the_receipt_does_not_hold(bed: Bed, url: str, origin: Origin, path: Path) -> None:
    signer = bed.ledger.keyring.signer(origin)

    def drops_one(document: Any, method: str) -> Any:
        receipt = open_receipt(document["receipts"][0], bed.key(origin))
        lie = replace(receipt, root=Digest(receipt.root[::-1]))
        return {**document, "receipts": [sign_receipt(lie, signer.key, signer.sign)]}

    def altered(document: Any, method: str) -> Any:
        return {**document, "receipts": [document["receipts"][0].replace("count 3", "count 4")]}

    for change, kind in ((drops_one, InclusionRefuted), (altered, SignatureRefuted)):
        with opened(path, origin) as outbox:
            outbox.put(accesses(range(3)))
            with (
                scripted(through(bed, url, origin, change)) as server,
                client_to(bed, server.url, origin) as client,
                pytest.raises(kind),
            ):
                client.flush(outbox)
            assert (outbox.status().waiting, outbox.status().receipts) == (3, 0)
    with opened(path, origin) as outbox, client_to(bed, url, origin) as client:
        assert client.flush(outbox).duplicates == 3, (
            "from an honest ledger the same push is shown to be there"
        )


def lie_of_duplicates(bed: Bed, origin: Origin, old: Any) -> Any:
    """Whatever is pushed is said to be there already, where the old events are."""

    def change(request: bytes) -> bytes:
        body = canonical.parse_object(request.partition(b"\r\n\r\n")[2])
        told = [
            {
                "source": it["event"]["source"],  # type: ignore[index,call-overload]
                "id": it["event"]["id"],  # type: ignore[index,call-overload]
                "status": "duplicate",
                "position": event.position,
                "leaf": event.leaf.base64,
                "receipt": 0,
            }
            for it, event in zip(body["statements"], old.events, strict=True)  # type: ignore[arg-type]
        ]
        return answer(200, {"events": told, "receipts": list(old.receipts)}, "application/json")

    return change


def test_events_that_are_only_said_to_be_there_are_set_aside(bed: Bed, origin: Origin, path: Path) -> None:
    old = bed.push(origin, 90, 91, 92)
    with opened(path, origin) as outbox:
        outbox.put(accesses(range(3)))
        with (
            scripted(lie_of_duplicates(bed, origin, old), answer(403, {})) as server,
            client_to(bed, server.url, origin) as client,
        ):
            assert client.flush(outbox).set_aside == 3
        assert {it.problem.split(";")[0] for it in outbox.aside()} == {UNSHOWN}
        assert [it.event for it in outbox.aside()] == accesses(range(3)), "nothing is lost"


def test_a_lie_about_duplicates_is_seen_by_who_may_read(
    bed: Bed, url: str, origin: Origin, path: Path
) -> None:
    old = bed.push(origin, 90, 91, 92)

    def honest(document: Any, method: str) -> Any:
        return document

    with opened(path, origin) as outbox:
        outbox.put(accesses(range(3)))
        listing = through(bed, url, origin, honest)
        with (
            scripted(lie_of_duplicates(bed, origin, old), listing) as server,
            client_to(bed, server.url, origin) as client,
        ):
            assert client.flush(outbox).set_aside == 3
        assert {it.problem for it in outbox.aside()} == {UNSHOWN}


def test_entries_that_are_not_the_receipt_s_are_refuted(
    bed: Bed, url: str, origin: Origin, path: Path
) -> None:
    """The hostile ledger lists the events that were pushed, where its receipt is for others."""
    old = bed.push(origin, 90, 91, 92)

    def forged(document: Any, method: str) -> Any:
        for item in document["items"]:
            item["entry"] = item["entry"].replace("access-00009", "access-00000")
        return document

    with opened(path, origin) as outbox:
        outbox.put(accesses(range(3)))
        with (
            scripted(lie_of_duplicates(bed, origin, old), through(bed, url, origin, forged)) as server,
            client_to(bed, server.url, origin) as client,
            pytest.raises(InclusionRefuted),
        ):
            client.flush(outbox)
        assert outbox.status().waiting == 3


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_events_that_came_another_way_are_let_go_once_they_are_read(
    bed: Bed, url: str, origin: Origin, path: Path, signed: bool
) -> None:
    bed.push(origin, 1, 2, 3)
    bed.push(origin, 4)
    scopes = (Scope.PUSH, Scope.READ, Scope.DISCLOSE)
    with opened(path, origin, signed=signed) as outbox, client_to(bed, url, origin, *scopes) as client:
        outbox.put(accesses([0, 2, 4, 5]))
        delivered = client.flush(outbox)
        assert (delivered.accepted, delivered.duplicates, delivered.set_aside) == (2, 2, 0)
    assert ids(bed, origin) == numbered([1, 2, 3, 4, 0, 5])


def test_without_the_scope_to_read_they_are_set_aside_and_can_be_tried_again(
    bed: Bed, url: str, origin: Origin, path: Path
) -> None:
    bed.push(origin, 1, 2)
    with opened(path, origin) as outbox:
        outbox.put(accesses([2, 3]))
        with client_to(bed, url, origin) as client:
            delivered = client.flush(outbox)
            assert (delivered.accepted, delivered.set_aside) == (1, 1)
        [aside] = outbox.aside()
        assert "scopes read and disclose" in aside.problem
        outbox.retry()
        with client_to(bed, url, origin, Scope.PUSH, Scope.READ, Scope.DISCLOSE) as client:
            assert client.flush(outbox).duplicates == 1
        assert outbox.status().set_aside == 0


def test_two_processes_that_flush_at_once_deliver_everything_once(
    bed: Bed, url: str, origin: Origin, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_EVENTS", 3)
    with opened(path, origin) as outbox:
        outbox.put(accesses(range(40)))

    def flush() -> None:
        with Outbox(path) as own, client_to(bed, url, origin) as client:
            client.flush(own)

    threads = [threading.Thread(target=flush) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Outbox(path) as outbox:
        status = outbox.status()
        assert (status.waiting, status.set_aside) == (0, 0)
        covered = [open_receipt(note, bed.key(origin)) for note in outbox.receipts()]
        assert sum(receipt.count for receipt in covered) == 40
    assert ids(bed, origin) == numbered(range(40))
