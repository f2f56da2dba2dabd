"""Test data that lies beside the checkout, in `../shared/data`, and is used in place, never copied.

`TRANSFER_LEDGER_SHARED_DATA` names another folder. Where there is no such folder, the tests which need it are skipped
and say so; a folder that is there and lacks the files fails them.
"""

import os
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "TRANSFER_LEDGER_SHARED_DATA"
REPOSITORY = Path(__file__).resolve().parents[2]


def folder() -> Path:
    """Where the shared data lie, or would lie."""
    return Path(os.environ.get(VARIABLE) or REPOSITORY.parent / "shared" / "data")


def _absent() -> str | None:
    if folder().is_dir() or os.environ.get(VARIABLE):
        return None
    return f"no shared test data at {folder()}; {VARIABLE} may name another folder"


def shared_file(*parts: str) -> Path:
    """One file or folder of the shared data, for use inside a test."""
    if reason := _absent():
        pytest.skip(reason)
    path = folder().joinpath(*parts)
    assert path.exists(), f"the shared data lack {Path(*parts)}"
    return path


def shared_files(under: str, pattern: str) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`: the files below `under`, each test named after its file."""
    if reason := _absent():
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=reason))]
    start = folder() / under
    found = sorted(start.glob(pattern))
    assert found, f"the shared data lack {under}/{pattern}"
    return [pytest.param(path, id=path.relative_to(start).with_suffix("").as_posix()) for path in found]
