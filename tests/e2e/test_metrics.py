"""Metrics of real processes: the API on its port, the worker on one of its own, on the terms of the setting."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.ledgers import access
from support.processes import FAST, ORIGIN, Made, Running, make_ledger, running, wait_for

from ledger.settings import Settings


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_ledger(Settings.load(data=tmp_path / "data"))


def sample(text: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == f"transfer_ledger_{name}" and labels.items() <= one.labels.items():
                return one.value
    return None


def worker_url(worker: Running) -> str:
    found = wait_for(lambda: re.search(r'event="worker answers" port=([0-9]+)', worker.written()))
    return f"http://127.0.0.1:{found[1]}"


def test_api_and_worker_count_what_each_of_them_does(made: Made) -> None:
    folder, settings = made.settings.data, {**FAST, "METRICS": "open"}
    with (
        running(folder, "serve", "--port", "0", "--no-worker", settings=settings) as api,
        running(folder, "worker", "--port", "0", settings=settings) as worker,
    ):
        url, other = api.ready(), worker_url(worker)
        headers = {"Authorization": f"Bearer {made.api_key}"}
        answer = httpx.post(f"{url}/v1/logs/{ORIGIN}/events", json=[access(1), access(2)], headers=headers)
        assert answer.status_code == 201
        wait_for(lambda: "checkpoint signed" in worker.written())
        wait_for(lambda: sample(scrape(url), "projection_lag_events", log=ORIGIN) == 0)
        counted, worked = scrape(url), wait_for(lambda: fresh(other))
        assert sample(counted, "pushes_total", log=ORIGIN, outcome="accepted") == 1
        assert sample(counted, "batches_sealed_total", log=ORIGIN) is None, "that is the worker's"
        assert sample(worked, "batches_sealed_total", log=ORIGIN) == 1
        assert sample(worked, "batches_anchoring_total", log=ORIGIN, state="final") == 1
        assert sample(worked, "pushes_total") is None
        for text in (counted, worked):
            assert sample(text, "log_events", log=ORIGIN) == 2
            assert sample(text, "anchor_lag_batches", log=ORIGIN) == 0
        assert httpx.get(f"{other}/readyz").json()["ready"]
        assert httpx.get(f"{other}/v1/logs").status_code == 404, "a worker answers nothing else"
        for process in (api.process, worker.process):
            process.send_signal(signal.SIGTERM)
        assert (api.process.wait(20), worker.process.wait(20)) == (0, 0)


def scrape(url: str) -> str:
    return httpx.get(f"{url}/metrics").text


def fresh(url: str) -> str | None:
    """A scrape that is younger than the work: the logs are read once a second at most."""
    text = scrape(url)
    return (
        text
        if sample(text, "anchor_lag_batches", log=ORIGIN) == 0 == sample(text, "unsealed_events")
        else None
    )


def test_the_secret_is_made_once_for_this_user_only(made: Made) -> None:
    file = made.settings.data / "keys" / "metrics.secret"
    with running(made.settings.data, "serve", "--port", "0", settings={**FAST, "METRICS": "secret"}) as api:
        url = api.ready()
        assert file.stat().st_mode & 0o777 == 0o600
        secret = file.read_text().strip()
        assert httpx.get(f"{url}/metrics").status_code == 401
        answer = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {secret}"})
        assert sample(answer.text, "logs_readable") == 1
        assert secret not in api.written()


def test_a_worker_whose_port_is_taken_says_so(made: Made) -> None:
    with running(made.settings.data, "worker", "--port", "0", settings=FAST) as worker:
        port = worker_url(worker).rpartition(":")[2]
        other = made.settings.data.with_name("other")
        other.symlink_to(made.settings.data)
        with running(other, "worker", "--port", port, settings=FAST) as second:
            assert second.process.wait(30) == 2
            assert "cannot listen" in second.written()
