"""Settings: one source over the other, and what is wrong is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ledger.errors import MalformedInput
from ledger.policy import Policy
from ledger.settings import CONFIG, PREFIX, Settings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(text)


def test_without_anything_the_defaults_stand() -> None:
    settings = Settings.load()
    assert settings.data == Path("ledger-data")
    assert settings.database_url == f"sqlite:///{Path.cwd() / 'ledger-data' / 'ledger.db'}"
    assert settings.rpc is None
    assert settings.operator_key_file == Path("ledger-data/keys/operator.key")
    assert settings.policy == Policy()


def test_arguments_stand_over_environment_over_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data", 'port = 1\nseal_leaves = 11\nhost = "file"\n')
    monkeypatch.setenv(f"{PREFIX}PORT", "2")
    monkeypatch.setenv(f"{PREFIX}SEAL_LEAVES", "22")
    settings = Settings.load(data=tmp_path / "data", port=3)
    assert (settings.port, settings.seal_leaves, settings.host, settings.chain_id) == (3, 22, "file", 31337)


def test_an_argument_that_is_none_is_not_given(tmp_path: Path) -> None:
    write(tmp_path, 'rpc = "http://node"\n')
    assert Settings.load(data=tmp_path, rpc=None).rpc == "http://node"


def test_the_data_folder_of_the_environment_is_where_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "here", "port = 7\n")
    write(tmp_path / "there", "port = 8\n")
    monkeypatch.setenv(f"{PREFIX}DATA", str(tmp_path / "here"))
    assert Settings.load().port == 7
    assert Settings.load(data=tmp_path / "there").port == 8


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("port = 65536", "port"),
        ("port = -1", "port"),
        ('port = "x"', "port"),
        ("seal_leaves = 0", "seal_leaves"),
        ("seal_seconds = 0", "seal_seconds"),
        ("seal_seconds = nan", "seal_seconds"),
        ("confirmations = -1", "confirmations"),
        ("chain_id = 0", "chain_id"),
        ('log_level = "loud"', "log_level"),
        ('metrics = "on"', "metrics"),
        ("shutdown_seconds = 0", "shutdown_seconds"),
        ("unready_seconds = -1", "unready_seconds"),
        ("worker_port = 65536", "worker_port"),
        ("unheard_of = 1", "unheard_of"),
        ("contract = 7", "contract"),
    ],
)
def test_a_setting_that_is_wrong_is_named(tmp_path: Path, text: str, name: str) -> None:
    write(tmp_path, text)
    with pytest.raises(MalformedInput, match=f"'{name}'") as caught:
        Settings.load(data=tmp_path)
    assert f"{PREFIX}{name.upper()}" in str(caught.value)


@pytest.mark.parametrize("content", [b"port =", b"= 1", b"port = 1\nport = 2\n", b"\xff\xfe", b"[", b"\x00"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CONFIG).write_bytes(content)
    with pytest.raises(MalformedInput, match=CONFIG):
        Settings.load(data=tmp_path)


def test_a_wrong_setting_is_told_without_its_value(tmp_path: Path) -> None:
    """It may be a secret in the wrong place."""
    write(tmp_path, 'port = "hunter2"')
    with pytest.raises(MalformedInput) as caught:
        Settings.load(data=tmp_path)
    assert "hunter2" not in str(caught.value)


def test_seconds_become_milliseconds_and_a_batch_holds_what_seals_it(tmp_path: Path) -> None:
    given = {"seal_leaves": 10_000, "seal_seconds": 0.25, "include_within_seconds": 1.5, "confirmations": 3}
    policy = Settings.load(data=tmp_path, **given).policy
    assert (policy.seal_age, policy.include_within, policy.confirmations) == (250, 1500, 3)
    assert policy.batch_leaves == policy.seal_leaves == 10_000
