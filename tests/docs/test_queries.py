"""The commands of docs/queries.md are run, in its order, as one shell script."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "queries.md").read_text()
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", "set -euxo pipefail\n" + "\n".join(BLOCK.findall(PAGE))],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2000 accepted" in done.stdout
    assert "none\n" not in done.stdout, "no example asks for what is not there"
    assert "PA" in done.stdout.split("undeclared")[1], "the country that nobody declared"
    assert (tmp_path / "january.csv").read_text().count("\n") > 1
    assert "seen and not declared" in done.stdout


def test_every_path_of_the_page_is_one_of_the_api() -> None:
    from api.app import create_app

    paths = create_app(None).openapi()["paths"]  # type: ignore[arg-type]
    told = set(re.findall(r"(/v1/[a-z/{}]+)", PAGE.replace("<transfer>", "{transfer}")))
    known = {path.replace(":path", "") for path in paths} | {"/v1/access"}
    assert told
    assert {path.rstrip("/") for path in told} <= known
