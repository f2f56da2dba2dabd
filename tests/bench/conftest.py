"""The benchmark is a package beside the other scripts, and starts processes that need to find it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))


@pytest.fixture(autouse=True, scope="session")
def found_by_children() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "tests")]))
        yield
