"""The committed artifacts are what the sources compile to."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import artifact, compile


@pytest.fixture(scope="module")
def compiled() -> dict[str, str]:
    """The artifacts' texts, compiled now, by file name."""
    return {f"{name}.json": compile.to_text(members) for name, members in compile.compile_all().items()}


def test_the_committed_artifacts_are_what_the_sources_compile_to() -> None:
    assert compile.main(["--check"]) == 0


def test_what_is_written_passes_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile, "ARTIFACTS", tmp_path / "artifacts")
    assert compile.main([]) == 0
    assert compile.main(["--check"]) == 0


@pytest.mark.parametrize("change", ["different", "missing", "superfluous"])
def test_another_artifact_is_reported(
    change: str,
    compiled: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(compile, "ARTIFACTS", tmp_path)
    for name, text in compiled.items():
        (tmp_path / name).write_text(text, "utf-8")
    texts = {tmp_path / name: text for name, text in compiled.items()}
    assert compile.report_differences(texts) == 0
    named = tmp_path / ("Older.json" if change == "superfluous" else "TransferLog.json")
    if change == "missing":
        named.unlink()
    else:
        named.write_text(compiled["TransferLog.json"].replace('"0x60', '"0x61'), "utf-8")
    assert compile.report_differences(texts) == 1
    told = capsys.readouterr().err
    assert named.name in told
    assert "python contracts/compile.py" in told


def test_what_the_compiler_warns_of_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "TransferLog.sol").write_text("contract TransferLog { uint x }")
    monkeypatch.setattr(compile, "HERE", tmp_path)
    assert compile.main(["--check"]) == 1
    assert "ParserError" in capsys.readouterr().err


def test_an_artifact_names_its_compiler_and_sources() -> None:
    made = artifact("TransferLog")
    assert made.compiler.startswith("0.8.37+commit.")
    assert made.settings["evmVersion"] == "shanghai"
    assert {"src/TransferLog.sol", "src/ITransferLog.sol"} < made.sources.keys()
    assert made.bytecode.startswith("0x60")
    assert len(made.deployed_bytecode) // 2 < 24_576, "EIP-170"


def test_there_is_no_artifact_of_another_name() -> None:
    with pytest.raises(FileNotFoundError):
        artifact("Nothing")


def test_without_the_compiler_the_advice_is_to_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compile, "NODE_MODULES", tmp_path)
    assert compile.main([]) == 1
    assert "./scripts/setup" in capsys.readouterr().err
