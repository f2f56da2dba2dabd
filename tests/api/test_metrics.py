"""Metrics as Prometheus reads them, held against what was done."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import assert_problem
from prometheus_client.parser import text_string_to_metric_families
from support.ledgers import PARTY, Bed, access, anchor_all, serving_services
from support.ledgers import services as made_services

from ledger import __version__
from ledger.adapters.prometheus import PrometheusMeter
from ledger.catalogue import all_types
from ledger.errors import ChainUnavailable, LedgerError, StoreUnavailable
from ledger.pipeline import Pipeline
from ledger.records import Scope
from ledger.types import Origin, parse_origin
from ledger.vitals import Vitals, vitals_of
from ledger.workers import Worker

PERSON = "zhangwei"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Measured:
    """A ledger that counts from the beginning of a test, with a log of its own."""

    bed: Bed
    pipeline: Pipeline
    meter: PrometheusMeter
    client: httpx.Client
    origin: Origin
    key: str
    broken: list[LedgerError]

    def push(self, value: Any) -> httpx.Response:
        path = f"/v1/logs/{self.origin}/events"
        return self.client.post(path, json=value, headers={"Authorization": f"Bearer {self.key}"})

    def scrape(self) -> Samples:
        answer = self.client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = text_string_to_metric_families(answer.text)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The value of one sample of a fresh scrape; `log` is this one's, where there is such a label."""
        found = [
            value
            for (sample, given), value in self.scrape().items()
            if sample == f"transfer_ledger_{name}" and set(labels.items()) <= given
            if dict(given).get("log", self.origin) == self.origin
        ]
        assert len(found) <= 1, "ask for one"
        return found[0] if found else None


@pytest.fixture
def measured(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Measured]:
    meter = PrometheusMeter()
    pipeline = bed.restarted(meter=meter)
    origin = bed.create_log()
    broken: list[LedgerError] = []

    def read() -> Sequence[Vitals]:
        if broken:
            raise broken[0]
        return [vitals_of(bed.store, origin, bed.clock.now(), pipeline.policy)]

    meter.watch(read)
    # A scrape reads the logs once a second at most; these tests ask more often.
    monkeypatch.setattr("ledger.adapters.prometheus._State.FRESH", 0.0)
    services = made_services(pipeline, None, exposition=meter)
    with serving_services(services) as url, httpx.Client(base_url=url, timeout=30) as client:
        key = bed.api_key(origin, Scope.PUSH)
        yield Measured(bed, pipeline, meter, client, origin, key, broken)


ACCESS = "transfer-ledger.access.v1"


def test_pushes_and_events_are_counted_by_what_became_of_them(measured: Measured) -> None:
    assert measured.push([access(1), access(2)]).status_code == 201
    assert measured.push([access(2), access(3)]).status_code == 201
    assert measured.push([access(1)]).status_code == 200
    assert measured.push([access(4), access(1, phase="transit")]).status_code == 409
    assert measured.push([access(5, phase="later"), access(6)]).status_code == 422
    pushes = {outcome: measured.value("pushes_total", outcome=outcome) for outcome in OUTCOMES}
    assert pushes == {"accepted": 2, "duplicate": 1, "conflict": 1, "refused": 1, "unavailable": None}
    assert measured.value("events_total", type=ACCESS, outcome="accepted") == 3
    assert measured.value("events_total", type=ACCESS, outcome="duplicate") == 2
    assert measured.value("events_total", type="", outcome="conflict") == 2
    assert measured.value("events_total", type="", outcome="refused") == 2


OUTCOMES = ("accepted", "duplicate", "conflict", "refused", "unavailable")


def test_pushes_over_otlp_are_counted_like_others(measured: Measured) -> None:
    path = f"/v1/logs/{measured.origin}/otlp"
    body = {"resourceLogs": []}
    headers = {"Authorization": f"Bearer {measured.key}"}
    assert measured.client.post(path, json=body, headers=headers).status_code == 200
    assert measured.value("pushes_total") is None, "there was nothing to push"
    assert measured.client.post(path, json=[], headers=headers).status_code == 400
    assert measured.value("refusals_total", problem="malformed-input") == 1


def test_refusals_are_counted_by_problem(measured: Measured) -> None:
    measured.push({})
    measured.push([access(1), access(1, phase="transit")])
    measured.client.get("/v1/logs/ledger.example/nowhere/checkpoint")
    measured.client.get(f"/{PERSON}")
    measured.client.get(f"/v1/access?log={PERSON}")
    for problem, count in (
        ("invalid-event", 1),
        ("conflict", 1),
        ("not-found", 2),
        ("unauthenticated", 1),
    ):
        assert measured.value("refusals_total", problem=problem) == count, problem


def test_commits_are_timed(measured: Measured) -> None:
    measured.push([access(1), access(2)])
    measured.push(access(3))
    measured.push({})  # refused before there is anything to commit
    assert measured.value("commit_seconds_count") == 2
    seconds = measured.value("commit_seconds_sum")
    assert seconds is not None
    assert 0 < seconds < 60
    assert measured.value("commit_seconds_bucket", le="+Inf") == 2


def test_the_queue_is_shown_as_it_was_told_last(measured: Measured) -> None:
    assert measured.value("queue_pushes") == 0
    measured.meter.queued(pushes=3, events=4711)
    assert (measured.value("queue_pushes"), measured.value("queue_events")) == (3, 4711)
    measured.meter.queued(pushes=0, events=0)
    assert (measured.value("queue_pushes"), measured.value("queue_events")) == (0, 0)


def test_the_way_of_events_from_push_to_projection_is_followed(measured: Measured) -> None:
    bed, pipeline, origin = measured.bed, measured.pipeline, measured.origin
    measured.push([access(n) for n in range(6)])
    bed.clock.move(3_000)
    assert measured.value("log_events") == 6
    assert measured.value("unsealed_events") == 6
    assert measured.value("unsealed_age_seconds") == 3
    assert measured.value("projection_lag_events") == 6

    pipeline.seal(origin, force=True)  # batches of four events
    assert measured.value("batches_sealed_total") == 2
    assert measured.value("events_sealed_total") == 6
    assert measured.value("log_batches") == 2
    assert measured.value("unsealed_events") == 0
    assert measured.value("unsealed_age_seconds") == 0
    bed.clock.move(10_000)
    assert measured.value("anchor_lag_batches") == 2
    assert measured.value("anchor_lag_seconds") == 10

    anchor_all(pipeline, origin)
    for state in ("intended", "mined", "final"):
        assert measured.value("batches_anchoring_total", state=state) == 2
    assert measured.value("anchor_lag_batches") == 0
    assert measured.value("anchor_lag_seconds") == 0

    assert measured.value("projection_lag_events") == 6
    pipeline.project(origin)
    assert measured.value("projection_lag_events") == 0


def test_promises_are_near_then_broken_and_kept_by_a_block(measured: Measured) -> None:
    bed, pipeline, origin = measured.bed, measured.pipeline, measured.origin
    within = pipeline.policy.include_within
    assert measured.value("promise_seconds") is None, "nothing is promised"
    measured.push([access(1), access(2)])
    bed.clock.move(within // 2)
    measured.push([access(3)])
    assert measured.value("promise_seconds") == within / 2000
    assert promises(measured) == (0, 0)
    bed.clock.move(within // 2 - 1000)
    assert measured.value("promise_seconds") == 1
    assert promises(measured) == (2, 0)
    bed.clock.move(1001)
    assert measured.value("promise_seconds") == -0.001
    assert promises(measured) == (0, 2)
    bed.clock.move(within)
    assert promises(measured) == (0, 3)
    pipeline.seal(origin, force=True)
    assert promises(measured) == (0, 3), "a batch alone keeps no promise"
    anchor_all(pipeline, origin)
    assert promises(measured) == (0, 0)
    assert measured.value("promise_seconds") is None


def promises(measured: Measured) -> tuple[float | None, float | None]:
    return measured.value("promises_near_events"), measured.value("promises_broken_events")


def test_a_mined_batch_keeps_its_promise_before_its_anchor_is_final(measured: Measured) -> None:
    bed, origin = measured.bed, measured.origin
    slow = bed.restarted(policy=replace(bed.pipeline.policy, confirmations=1000))
    slow.push(origin, PARTY, [access(n) for n in range(4)])
    slow.seal(origin, force=True)
    slow.anchor(origin)
    slow.anchor(origin)
    bed.clock.move(slow.policy.include_within + 1)
    assert measured.value("anchor_lag_batches") == 1
    assert promises(measured) == (0, 0)


def test_failures_of_store_and_chain_are_counted_whoever_asked(measured: Measured) -> None:
    assert (measured.value("unavailable_total", dependency="store")) == 0
    measured.meter.refused("store-unavailable", StoreUnavailable("away"))
    measured.meter.failed(measured.origin, "anchor", ChainUnavailable("away"))
    assert measured.value("unavailable_total", dependency="store") == 1
    assert measured.value("unavailable_total", dependency="chain") == 1
    assert measured.value("task_failures_total", task="anchor", error="chain-unavailable") == 1


class Away:
    """A chain that does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise ChainUnavailable("away")


def test_a_workers_failures_are_counted_at_every_round(measured: Measured) -> None:
    pipeline = measured.bed.restarted(meter=measured.meter, chain=Away(), anchorer=None)
    worker = Worker(pipeline, 0.01)
    for _ in range(3):
        assert not worker.once()
    assert measured.value("task_failures_total", task="anchor", error="chain-unavailable") == 3
    assert measured.value("task_failures_total", task="seal") is None


def test_where_the_store_does_not_answer_a_scrape_still_does(measured: Measured) -> None:
    assert measured.value("logs_readable") == 1
    measured.broken.append(StoreUnavailable("away"))
    assert measured.value("logs_readable") == 0
    assert measured.value("log_events") is None
    assert measured.value("queue_pushes") == 0


def test_the_build_is_told(measured: Measured) -> None:
    assert measured.value("build_info", version=__version__) == 1


def test_labels_hold_nothing_that_a_party_made_up(measured: Measured) -> None:
    origin = parse_origin(f"{measured.origin}-opaque")
    measured.bed.ledger.create_log(origin, PARTY, opaque=True)
    for n in range(3):
        measured.pipeline.push(origin, PARTY, [access(n, type=f"com.example.{PERSON}{n}", subject=PERSON)])
    measured.push(access(1, type=PERSON, subject=PERSON))
    measured.client.request(PERSON, f"/{PERSON}", headers={"User-Agent": PERSON})
    text = measured.client.get("/metrics").text
    assert PERSON not in text
    samples = measured.scrape()
    types = {value for _, labels in samples for name, value in labels if name == "type"}
    assert types <= {type_.name for type_ in all_types()} | {"opaque", ""}
    names = {name for _, labels in samples for name, _ in labels}
    assert names <= {
        "log",
        "outcome",
        "type",
        "problem",
        "dependency",
        "state",
        "task",
        "error",
        "le",
        "version",
        "python",
    }
    taken = frozenset({("log", origin), ("type", "opaque"), ("outcome", "accepted")})
    assert samples["transfer_ledger_events_total", taken] == 3


def test_every_metric_is_documented(measured: Measured) -> None:
    measured.push(access(1))
    listed = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    told = set(re.findall(r"`transfer_ledger_([a-z_]+)", listed))
    text = measured.client.get("/metrics").text
    given = set(re.findall(r"^# TYPE transfer_ledger_([a-z_]+)", text, re.MULTILINE))
    assert given == told


# --- The terms ----------------------------------------------------------------------------------------------------


def test_metrics_that_are_off_are_404(client: httpx.Client) -> None:
    assert "metrics" in assert_problem(client.get("/metrics"), 404, "not-found")["advice"]


def test_metrics_with_a_secret_are_for_those_who_have_it(bed: Bed) -> None:
    services = made_services(
        bed.pipeline, None, exposition=PrometheusMeter(), metrics_secret="5ec" * 21 + "7"
    )
    with serving_services(services) as url:
        for header in (None, "Bearer", "Bearer wrong", f"Basic {services.metrics_secret}", "Bearer é"):
            headers = {} if header is None else {"Authorization": header.encode()}
            assert_problem(httpx.get(f"{url}/metrics", headers=headers), 401, "unauthenticated")
        good = {"Authorization": f"Bearer {services.metrics_secret}"}
        assert httpx.get(f"{url}/metrics", headers=good).status_code == 200
