"""The operator's steps of the demo: a ledger, the API, who takes part, batches and anchors, the doctor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import demo_attacks as attacks
import httpx
from demo_findings import Reader
from demo_service import serving
from demo_show import Command, Ran
from demo_world import LOG, ORIGIN, World, wait_until
from rich.table import Table

from ledger.settings import PREFIX

PARTIES = (
    ("acme", "ACME Live", "platform", "CN"),
    ("audit-one", "Audit One", "auditor", "DE"),
    ("cert-one", "Cert One", "certifier", "SG"),
)
KEYS = (
    ("platform", "acme", ("push", "read")),
    ("auditor", "audit-one", ("read", "disclose")),
    ("certifier", "cert-one", ("read", "disclose")),
)
# So that a live session fills a batch and nobody waits long for it. In production batches are larger.
PACE = {f"{PREFIX}SEAL_LEAVES": "200", f"{PREFIX}SEAL_SECONDS": "1", f"{PREFIX}POLL_SECONDS": "0.1"}


def set_up(world: World) -> None:
    with world.show.step("A ledger", "Database, keys, a managed Anvil and the contract, in one folder."):
        world.must(world.operator("init"))
        world.show.fact(f"a development chain, kept in {world.data.name}/chain from run to run")


@contextmanager
def api(world: World) -> Iterator[None]:
    """The API runs while the block does."""
    words = ("--data", world.data, "serve", "--port", world.url.rpartition(":")[2])
    with ExitStack() as stack:
        why = "With the background work in the same process: seal, anchor, project."
        with world.show.step("The API", why):
            command = Command(words, variables=PACE)
            stack.enter_context(serving(world.show, command, world.url, world.service_log))
            world.show.fact(f"ready at {world.url}")
        yield


def register(world: World) -> None:
    why = (
        "A platform with its log, an auditor, a certification body; each gets an API key for what it may do."
    )
    with world.show.step("Who takes part", why):
        parties = [
            world.operator("party", "add", id, "--name", name, "--role", role, "--country", country)
            for id, name, role, country in PARTIES
        ]
        world.must_all(parties, lines=0)
        log = world.operator("log", "create", ORIGIN, "--party", PARTIES[0][0])
        created, chain = world.must_all([log, world.operator("chain", "--json")], lines=0)
        world.chain = json.loads(chain.out)
        _hand_out_keys(world)
        _publish_trust_roots(world, created)


def _hand_out_keys(world: World) -> None:
    missing = [key for key in KEYS if not world.api_key_file(key[0]).exists()]
    world.must_all([_key_command(world, *key) for key in missing], lines=0)
    if not missing:
        world.show.fact("the API keys of the first run are used again")


def _key_command(world: World, who: str, party: str, scopes: Sequence[str]) -> Command:
    options = [option for scope in scopes for option in ("--scope", scope)]
    words = world.operator("key", "create", "--log", ORIGIN, "--party", party, *options).arguments
    return Command(words, to=world.api_key_file(who))


def _publish_trust_roots(world: World, created: Ran) -> None:
    """Once, when the log is made, auditors learn its key and contract; from then on they use what they have."""
    roots = ((world.key_file, created.out.strip()), (world.contract_file, str(world.chain["contract"])))
    for path, now in roots:
        if path.exists():
            same = path.read_text().strip() == now
            world.show.expect(same, f"the auditor's {path.name} is still the ledger's")
        else:
            path.write_text(now + "\n")
            world.show.fact(f"published, and kept by the auditor in {path.name}: {now}")


def anchor(world: World) -> None:
    why = "Each batch is a Merkle tree; its root went into the contract, which keeps the log's tree itself."
    with world.show.step("Batched and anchored", why), world.http("platform") as http:
        wait_until(lambda: _all_anchored(world, http), "every event is in an anchored batch")
        batches = list(Reader(http, ORIGIN).rows(f"{LOG}/batches"))
        attempts = Reader(http, ORIGIN).rows(f"{LOG}/anchors")
        totals = world.totals
        totals.batches = sum(batch["state"] == "final" for batch in batches)
        totals.transactions = sum(attempt["state"] == "final" for attempt in attempts)
        world.show.table(_table(batches))
        world.show.expect(
            sum(batch["leaf_count"] for batch in batches) == totals.events and len(batches) == totals.batches,
            f"{totals.events} events in {totals.batches} batches, anchored by {totals.transactions} transactions",
        )
        world.show.run(world.operator("status"), lines=7)


def _all_anchored(world: World, http: httpx.Client) -> bool:
    """Whether the newest checkpoint covers all events."""
    log = world.log(http)
    answer = http.get(f"{LOG}/checkpoint")
    if answer.status_code != 200 or int(answer.text.splitlines()[1]) != log["batches"]:
        return False
    newest = http.get(f"{LOG}/batches/{log['batches'] - 1}").raise_for_status().json()
    return bool(newest["first_leaf"] + newest["leaf_count"] == log["size"])


def _table(batches: Sequence[dict[str, Any]]) -> Table:
    """The newest batches, with where each is anchored."""
    table = Table(box=None, padding=(0, 2), header_style="dim", style="dim")
    for name in ("    batch", "events", "block"):
        table.add_column(name, justify="right")
    for name in ("root", "transaction"):
        table.add_column(name)
    for batch in batches[-6:]:
        where = batch["anchor"] or {"block_number": "", "tx_hash": batch["state"]}
        numbers = map(str, (batch["batch_no"], batch["leaf_count"], where["block_number"]))
        table.add_row(*numbers, batch["root"][:16] + "…", where["tx_hash"][:18] + "…")
    return table


def examine(world: World, position: int) -> None:
    why = (
        "In a copy of the operator's folder, another event is written over one. The doctor sees both folders."
    )
    with world.show.step("Behind the ledger's back", why):
        copy = world.attacks / "ledger"
        attacks.copy_data_folder(world.data, copy)
        attacks.edit_database(copy, ORIGIN, position)
        offline = Command(("--data", copy, "doctor", "--offline"), exit=1)
        edited, real = world.show.run_all([offline, world.operator("doctor")], lines=2)
        named = [line for line in edited.out.splitlines() if str(position) in line]
        words = (named or edited.out.splitlines() or [edited.reason])[0]
        world.caught(edited.exit == 1 and bool(named), "a row changed in the database", words)
        sound = real.exit == 0 and real.out.splitlines()[-1:] == ["sound"]
        world.show.expect(sound, "the real ledger is sound, and the chain holds it")
