"""The README's commands are run, in its order, as one shell script."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")
RECORD = {
    "eventVersion": "1.08",
    "eventID": "6b54e0ad-c23c-4850-b896-7533a3558526",
    "eventTime": "2026-07-01T12:00:00Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "GetObject",
    "awsRegion": "ap-northeast-1",
    "sourceIPAddress": "192.0.2.7",
    "recipientAccountId": "111122223333",
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/example"},
    "requestParameters": {"bucketName": "replays"},
    "readOnly": True,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def commands() -> str:
    """All shell blocks but those that set up the checkout itself."""
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    return "\n".join(block for block in blocks if "./scripts/" not in block)


@pytest.mark.parametrize("script", ["demo", "test"])
def test_the_two_commands_exist(script: str) -> None:
    assert f"./scripts/{script}" in (ROOT / "README.md").read_text()
    assert os.access(ROOT / "scripts" / script, os.X_OK)


def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    logs = tmp_path / "AWSLogs"
    logs.mkdir()
    (logs / "one.json").write_text(json.dumps({"Records": [RECORD]}))
    script = commands().replace("8420", str(free_port()))
    if shutil.which("curl") is None:
        script = re.sub(r"^curl .*$", "", script, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n{script}"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "500 accepted · 0 duplicates" in done.stdout
    assert "0 accepted · 500 duplicates" in done.stdout
    assert "1 read · 1 accepted" in done.stdout
    assert "VERIFIED by key: position 17" in done.stdout
    assert "VERIFIED by key and chain: position 17" in done.stdout
    assert "none can have been left out" in done.stdout
    assert "\nsound\n" in done.stdout
    assert "ledger.example/acme-live\n" in done.stdout.split("sound")[1], "the checkpoint over HTTP"


@pytest.mark.parametrize(
    "page", ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    broken = [
        link
        for link in LINK.findall((ROOT / page).read_text())
        if not (ROOT / page).parent.joinpath(link).exists()
    ]
    assert not broken
