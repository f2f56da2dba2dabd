"""The import commands: each collector has one, its options reach it, and the counts are told."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ledger import canonical
from ledger.catalogue import check_event
from ledger.cli import app, delivery, importing
from ledger.client import PushSummary
from ledger.collect import parse_mapping, parse_places
from ledger.entry import parse_event
from ledger.errors import Conflict, MalformedInput, NotFound, Unavailable

DOCS = (Path(__file__).parents[2] / "docs" / "collectors.md").read_text()
COMMANDS = {info.name: info for info in importing.import_app.registered_commands}
NGINX = '198.51.100.7 - - [01/Jul/2026:20:00:{:02} +0800] "GET / HTTP/1.1" 200 51 "-" "curl"\n'


class Ledger:
    """Takes good events once, and refuses other content under the same id, as the pipeline does."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], Any] = {}

    def push_lines(self, lines: bytes) -> PushSummary:
        accepted = duplicates = 0
        for line in lines.splitlines():
            value: Any = canonical.parse(line)
            check_event(parse_event(value))
            key = value["source"], value["id"]
            if self.events.setdefault(key, value) != value:
                raise Conflict("other content")
            duplicates += self.events[key] is not value
            accepted += self.events[key] is value
        return PushSummary(accepted, duplicates, ())


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ledger:
    ledger = Ledger()

    @contextmanager
    def open_target(*_: Any) -> Iterator[Ledger]:
        yield ledger

    monkeypatch.setattr(importing, "open_target", open_target)
    monkeypatch.chdir(tmp_path)
    return ledger


def run(*arguments: str) -> dict[str, int]:
    done = CliRunner().invoke(
        app, ["import", *arguments, "--log", "ledger.example/acme-live", "--json"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    counts: dict[str, int] = json.loads(done.stdout)
    assert counts["read"] == counts["accepted"] + counts["duplicates"] + counts["set_aside"]
    return counts


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_a_section_that_shows_it(name: str) -> None:
    (example,) = re.findall(r"Example: `(.+)`", COMMANDS[name].callback.__doc__ or "")
    assert f"\n```sh\n{example}\n```\n" in DOCS
    assert f"| [`{name}`](#" in DOCS
    command: Any = typer.main.get_command(app)
    for step in ("import", name):
        command = command.commands[step]
    command.make_context(name, shlex.split(example)[3:])


def test_the_files_that_the_docs_show_are_good() -> None:
    places, mapping = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert len(parse_places(places)) == 1
    assert parse_mapping(mapping).utc_offset == "+02:00"


def test_counts_add_up_and_importing_again_takes_nothing_twice(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("".join(NGINX.format(n) for n in range(60)) + "rubbish\n")
    assert run("nginx", "access.log") == {"read": 61, "accepted": 60, "duplicates": 0, "set_aside": 1}
    (tmp_path / "access.log").rename(tmp_path / "access.log.1")
    again = run("nginx", "access.log.1", "--set-aside", "aside.ndjson")
    assert again == {"read": 61, "accepted": 0, "duplicates": 60, "set_aside": 1}
    (aside,) = (tmp_path / "aside.ndjson").read_text().splitlines()
    assert json.loads(aside)["where"] == "access.log.1:61"
    assert len(ledger.events) == 60


def test_events_are_pushed_in_chunks(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "CHUNK_EVENTS", 7)
    (tmp_path / "access.log").write_text("".join(NGINX.format(n) for n in range(60)))
    assert run("nginx", "access.log")["accepted"] == 60


def test_options_reach_the_collector(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "直播.log").write_text(NGINX.format(3))
    run("nginx", ".", "--node", "edge-1", "--name", "live", "--transfer", "live-1", "--phase", "storage")
    ((key, event),) = ledger.events.items()
    assert key == ("/nginx/edge-1", "live:2026-07-01T12:00:03.000Z:1")
    assert (event["subject"], event["phase"]) == ("live-1", "storage")


def test_zeek_reads_its_places_and_generic_its_mapping(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "places.toml").write_text('["10.0.0.0/8"]\ncountry = "CN"\nparty = "acme"\n')
    conn = {
        "ts": 1782907203.5,
        "uid": "C1",
        "id.orig_h": "10.0.0.7",
        "id.resp_h": "192.0.2.1",
        "proto": "tcp",
        "conn_state": "SF",
    }
    (tmp_path / "conn.log").write_text(json.dumps(conn) + "\n")
    assert run("zeek", "conn.log", "--places", "places.toml", "--to-country", "SG")["accepted"] == 1
    assert run("zeek", "conn.log", "--places", "places.toml")["set_aside"] == 1
    (tmp_path / "gateway.toml").write_text(re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)[1])
    (tmp_path / "gateway.csv").write_text(
        "When,Request,User,What,Result,Size\n01.07.2026 14:00:03,r-1,ann,READ,ok,7\n"
    )
    assert run("generic", "gateway.csv", "--mapping", "gateway.toml")["accepted"] == 1
    assert ledger.events["/gateway/eu-west-1", "r-1"]["time"] == "2026-07-01T12:00:03Z"


def test_a_mapping_that_is_not_there_is_told(ledger: Ledger) -> None:
    with pytest.raises(MalformedInput, match=r"nowhere\.toml cannot be read"):
        run("generic", ".", "--mapping", "nowhere.toml")


def test_two_servers_under_one_name_are_a_conflict_and_never_mixed(ledger: Ledger, tmp_path: Path) -> None:
    for server in ("a", "b"):
        (tmp_path / server).mkdir()
        (tmp_path / server / "access.log").write_text(NGINX.format(3).replace("curl", server))
    run("nginx", "a")
    with pytest.raises(Conflict):
        run("nginx", "b")
    assert run("nginx", "b", "--node", "b")["accepted"] == 1


def refused_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The push of that number does not come through."""
    pushes, push_lines = iter(range(100)), ledger.push_lines

    def push(lines: bytes) -> PushSummary:
        if next(pushes) == at:
            raise Unavailable("away")
        return push_lines(lines)

    monkeypatch.setattr(ledger, "push_lines", push)


def test_an_import_goes_on_where_it_ended_unless_it_is_to_start_anew(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CHUNK_EVENTS", 20)
    (tmp_path / "access.log").write_text("rubbish\n" + "".join(NGINX.format(n) for n in range(50)))
    refused_once(ledger, monkeypatch, 1)
    with pytest.raises(Unavailable):
        run("nginx", "access.log")
    assert list(tmp_path.glob("set-aside.ndjson.*.mark"))
    assert run("nginx", "access.log") == {"read": 30, "accepted": 30, "duplicates": 0, "set_aside": 0}
    assert not list(tmp_path.glob("*.mark")), "it is done"
    refused_once(ledger, monkeypatch, 1)
    with pytest.raises(Unavailable):
        run("nginx", "access.log")
    assert run("nginx", "access.log", "--anew")["read"] == 51


def test_another_option_path_or_log_is_another_import(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CHUNK_EVENTS", 20)
    (tmp_path / "access.log").write_text("".join(NGINX.format(n) for n in range(50)))
    refused_once(ledger, monkeypatch, 1)
    with pytest.raises(Unavailable):
        run("nginx", "access.log")
    for other in (["access.log", "--node", "b"], ["."], ["access.log", "--name", "b"]):
        assert run("nginx", *other)["read"] == 50
    assert run("nginx", str(tmp_path / "access.log"))["read"] == 30, "the same path"


def test_what_is_gathered_cannot_be_watched(ledger: Ledger) -> None:
    with pytest.raises(MalformedInput, match="aws-buckets cannot be watched"):
        run("aws-buckets", ".", "--captured", "2026-07-01T12:00:00Z", "--plain-names", "--watch")


def test_a_path_that_is_nowhere_leaves_nothing_behind(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        run("nginx", "nowhere.log")
    assert list(tmp_path.iterdir()) == []


def test_postgresql_takes_its_prefix_and_its_zone(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "p.log").write_text("2026-07-01 20:00:03 CST ann@shop LOG:  statement: select 1\n")
    assert run("postgresql", "p.log")["set_aside"] == 1
    with pytest.raises(MalformedInput, match="not a time zone that this machine knows"):
        run("postgresql", "p.log", "--time-zone", "Nowhere/Land")
    with pytest.raises(MalformedInput, match="tells no time"):
        run("postgresql", "p.log", "--prefix", "%u ")
    assert (
        run("postgresql", "p.log", "--prefix", "%t %u@%d ", "--time-zone", "Asia/Shanghai")["accepted"] == 1
    )
    (event,) = ledger.events.values()
    assert (event["time"], event["data"]["resource"]) == ("2026-07-01T20:00:03+08:00", "shop")
