"""Real CloudTrail records, through the real command line, on a real Anvil and a real Ganache, every proof verified."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.chains import CHAINS, DevelopmentChain
from support.shared_data import shared_file

from ledger import canonical
from ledger.adapters.anvil import fund
from ledger.adapters.evm import EvmChain, address_of
from ledger.adapters.keys import EvmKeyFile
from ledger.adapters.sql import open_store
from ledger.bootstrap import initialise
from ledger.note import VerifierKey
from ledger.proof import parse_proof, proof_document
from ledger.proving import prove, verify
from ledger.settings import Settings
from ledger.types import Position, parse_origin

ORIGIN = parse_origin("ledger.example/acme-live")
STRATUS, NDJSON = 2900, 103
SNAPSHOTS = 9
"""Calls of STRATUS that change a bucket's policy: each is a permission snapshot beside its access."""
BATCH = 256
SIZES = ("SEAL_LEAVES", "BATCH_LEAVES")


def command(folder: Path, *arguments: str) -> str:
    """Run the command as a user would; its standard output."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "transfer-ledger"), "--data", str(folder / "data"), *arguments],
        cwd=folder,
        env={
            "PATH": str(Path(sys.executable).parent),
            **{f"TRANSFER_LEDGER_{name}": str(BATCH) for name in SIZES},
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start_ledger(folder: Path, node: DevelopmentChain) -> Settings:
    """A ledger on a node of the test's, whose accounts the test has to fund."""
    settings = Settings.load(data=folder / "data", rpc=node.url, chain_id=node.chain_id)
    for file in (settings.operator_key_file, settings.registrar_key_file):
        fund(node.url, address_of(EvmKeyFile(file).load_or_create()), 100)
    initialise(settings)
    return Settings.load(data=folder / "data")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", CHAINS)
def test_every_record_is_committed_anchored_and_proved(kind: str, tmp_path: Path) -> None:
    stratus = shared_file("cloudtrail", "stratus-attack")
    ndjson = shared_file("cloudtrail", "ec2-proxy-exfiltration")
    with CHAINS[kind]() as node:
        settings = start_ledger(tmp_path, node)
        command(tmp_path, "party", "add", "acme", "--name", "ACME", "--role", "platform", "--country", "CN")
        key = command(tmp_path, "log", "create", ORIGIN, "--party", "acme").strip()

        first = json.loads(command(tmp_path, "import", "cloudtrail", "--json", "--log", ORIGIN, str(stratus)))
        assert first == {"read": STRATUS, "accepted": STRATUS + SNAPSHOTS, "duplicates": 0, "set_aside": 0}
        second = json.loads(command(tmp_path, "import", "cloudtrail", "--json", "--log", ORIGIN, str(ndjson)))
        assert second == {"read": NDJSON, "accepted": NDJSON, "duplicates": 0, "set_aside": 0}
        again = json.loads(command(tmp_path, "import", "cloudtrail", "--json", "--log", ORIGIN, str(ndjson)))
        assert again == {"read": NDJSON, "accepted": 0, "duplicates": NDJSON, "set_aside": 0}

        command(tmp_path, "worker", "--once")
        assert "sound" in command(tmp_path, "doctor").splitlines()
        assert_every_proof_verifies(settings, node, VerifierKey.parse(key))


def assert_every_proof_verifies(settings: Settings, node: DevelopmentChain, key: VerifierKey) -> None:
    """Each proof, written and read again, against the key and against the contract through the node."""
    with closing(open_store(settings.database_url)) as store:
        log = store.log(ORIGIN)
        total = store.head(ORIGIN).size
        assert total == STRATUS + SNAPSHOTS + NDJSON
        with closing(EvmChain(node.url, log.contract)) as chain:
            assert store.head(ORIGIN).batches == -(-total // BATCH)
            seen = set()
            for position in range(total):
                document = canonical.encode(proof_document(prove(store, log, Position(position), None)))
                verified = verify(parse_proof(document), key, ORIGIN, chain)
                assert verified.event.position == position
                assert verified.by_key
                assert verified.by_chain
                seen.add(verified.event.entry.attributes["id"])
            assert len(seen) == total, "every record has a proof of its own"
