"""Keys in files: durable, private, and the same ones again."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.adapters.clock import SystemClock
from ledger.adapters.evm import address_of
from ledger.adapters.keys import EvmKeyFile, FileKeyring, SecretFile
from ledger.errors import MalformedInput, NotFound
from ledger.note import open_note, sign_note
from ledger.ports import Clock, Keyring, Signer
from ledger.types import parse_origin

ORIGIN = parse_origin("ledger.example/acme-live")
OTHER = parse_origin("ledger.example/beta-live")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys"


@pytest.fixture
def keyring(folder: Path) -> Keyring:
    return FileKeyring(folder)


def only_file(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_signs_what_its_verifier_key_verifies(keyring: Keyring) -> None:
    signer: Signer = keyring.create(ORIGIN)
    assert signer.key.name == ORIGIN
    note = sign_note("ledger.example/acme-live\n3\n", signer.key, signer.sign)
    assert open_note(note, signer.key) == "ledger.example/acme-live\n3\n"
    assert len(signer.sign(b"")) == 64


def test_creating_again_gives_the_same_key(keyring: Keyring, folder: Path) -> None:
    first = keyring.create(ORIGIN).key
    assert keyring.create(ORIGIN).key == first
    assert FileKeyring(folder).signer(ORIGIN).key == first
    assert keyring.create(OTHER).key.public_key != first.public_key


def test_of_many_that_create_at_once_all_get_one_key(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = {signer.key for signer in pool.map(lambda _: FileKeyring(folder).create(ORIGIN), range(32))}
    assert len(keys) == 1
    assert only_file(folder)


def test_a_log_without_key_is_not_found(keyring: Keyring) -> None:
    with pytest.raises(NotFound, match=r"ledger\.example/acme-live"):
        keyring.signer(ORIGIN)


def test_only_the_owner_may_read_keys(keyring: Keyring, folder: Path) -> None:
    before = os.umask(0)
    try:
        keyring.create(ORIGIN)
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    assert mode(only_file(folder)) == 0o600


def test_a_key_that_others_may_read_is_reported(
    keyring: Keyring, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keyring.create(ORIGIN)
    assert caplog.text == ""
    only_file(folder).chmod(0o644)
    keyring.signer(ORIGIN)
    assert "chmod 600" in caplog.text


RSA_PUBLIC = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
EC_KEY = (  # of another kind
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n"
    b"-----END PRIVATE KEY-----\n"
)


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"-----BEGIN", RSA_PUBLIC, EC_KEY])
def test_a_broken_key_is_neither_used_nor_replaced(keyring: Keyring, folder: Path, content: bytes) -> None:
    keyring.create(ORIGIN)
    path = only_file(folder)
    path.write_bytes(content)
    for use in (keyring.signer, keyring.create):
        with pytest.raises(MalformedInput, match="broken"):
            use(ORIGIN)
    assert path.read_bytes() == content


def test_a_private_key_does_not_show(keyring: Keyring, folder: Path) -> None:
    signer = keyring.create(ORIGIN)
    secret = "".join(only_file(folder).read_text().splitlines()[1:-1])
    assert secret not in repr(signer) + str(signer) + repr(keyring)
    assert ORIGIN in repr(signer)


def test_an_evm_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "operator.key"
    key = EvmKeyFile(path).load_or_create()
    assert len(key) == 32
    assert EvmKeyFile(path).load_or_create() == EvmKeyFile(path).load() == key
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert address_of(key).startswith("0x")
    assert EvmKeyFile(tmp_path / "registrar.key").load_or_create() != key
    assert key.hex() not in repr(EvmKeyFile(path))


def test_a_missing_evm_key_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"operator\.key"):
        EvmKeyFile(tmp_path / "operator.key").load()


def test_an_evm_key_may_come_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    path.write_text("AB" * 32)
    path.chmod(0o600)
    assert EvmKeyFile(path).load() == b"\xab" * 32


@pytest.mark.parametrize(
    "content", ["", "0x", "ab" * 31, "ab" * 33, "00" * 32, "ff" * 32, "gg" * 32, "ab" * 32 + "\n" + "cd" * 32]
)
def test_a_broken_evm_key_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "operator.key"
    path.write_text(content)
    path.chmod(0o600)
    for use in (EvmKeyFile(path).load, EvmKeyFile(path).load_or_create):
        with pytest.raises(MalformedInput, match=r"operator\.key is broken") as caught:
            use()
        assert not content or content[:20] not in str(caught.value).removeprefix("0x") or len(content) < 20
    assert path.read_text() == content


def test_a_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ids.secret"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: SecretFile(path).load_or_create(), range(32)))
    (secret,) = made
    assert len(secret) == 32
    assert path.read_text() == f"{secret.hex()}\n"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert only_file(path.parent) == path
    assert secret.hex() not in repr(SecretFile(path))


@pytest.mark.parametrize("content", ["", "a" * 63, "A" * 64, "a" * 66, "0x" + "a" * 62, "ä" * 64, "password"])
def test_a_broken_secret_is_neither_used_nor_replaced_nor_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ids.secret"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(MalformedInput, match="expected 64 hexadecimal digits") as refused:
        SecretFile(path).load_or_create()
    assert path.read_text() == content
    assert not content or content not in str(refused.value)


def test_a_missing_secret_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="openssl rand"):
        SecretFile(tmp_path / "ids.secret").load()


def test_the_clock_tells_unix_milliseconds() -> None:
    clock: Clock = SystemClock()
    assert clock.now() > 1_750_000_000_000
    assert clock.now() <= clock.now() + 1
