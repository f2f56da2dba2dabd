"""Log lines: one form for everything, and nothing in them that came with a request."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from ledger import logs
from ledger.errors import IntegrityError, StoreUnavailable

PERSON = "zhang.wei@example.org"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """The lines logged since logging was set up at debug level."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logs.set_up("debug")
    yield lambda: written.getvalue().splitlines()


def test_a_line_begins_with_time_level_and_event(lines: Callable[[], list[str]]) -> None:
    structlog.get_logger().info("sealed", log="ledger.example/acme", leaves=3)
    [line] = lines()
    assert line.startswith("timestamp=20")
    assert line.endswith(" level=info event=sealed log=ledger.example/acme leaves=3")


def fail() -> None:
    try:
        int(PERSON)
    except ValueError:
        raise LookupError(PERSON) from None


def fail_because() -> None:
    try:
        int(PERSON)
    except ValueError as error:
        raise LookupError(PERSON) from error


def test_an_exception_is_told_by_class_and_place_and_never_by_message(lines: Callable[[], list[str]]) -> None:
    try:
        fail_because()
    except LookupError as error:
        structlog.get_logger().error("defect", exc_info=error)
        structlog.get_logger().exception("defect")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    assert len(lines()) == 3
    for line in lines():
        assert "LookupError at unit/test_logs.py:" in line
        assert "because of ValueError at unit/test_logs.py:" in line
        assert PERSON not in line


def test_a_cause_that_is_hidden_on_purpose_is_not_told(lines: Callable[[], list[str]]) -> None:
    try:
        fail()
    except LookupError as error:
        structlog.get_logger().error("defect", exc_info=error)
    assert "ValueError" not in lines()[0]


def test_text_cannot_begin_a_line_of_its_own(lines: Callable[[], list[str]]) -> None:
    structlog.get_logger().warning("refused", error="one\ntimestamp=2026 level=info\r\x1b[31m\u202e")
    [line] = lines()
    assert "\\u202e" in line
    assert line.isprintable()


def test_our_own_loggers_and_uvicorns_are_told_whole(lines: Callable[[], list[str]]) -> None:
    logging.getLogger("ledger.adapters.keys").warning("key file %s", "log.key")
    logging.getLogger("uvicorn.error").info("Uvicorn running on %s", "http://127.0.0.1:1")
    assert 'event="key file log.key"' in lines()[0]
    assert "logger=ledger.adapters.keys" in lines()[0]
    assert 'event="Uvicorn running on http://127.0.0.1:1"' in lines()[1]


def test_of_other_libraries_arguments_are_not_told(lines: Callable[[], list[str]]) -> None:
    other = logging.getLogger("urllib3.connectionpool")
    other.warning("Retrying %s after %s", PERSON, 1)
    other.warning(f"Retrying {PERSON}")
    assert 'event="Retrying %s after %s"' in lines()[0]
    assert "a message of test_logs:" in lines()[1]
    assert PERSON not in "".join(lines())


def test_other_libraries_are_not_told_below_warning(lines: Callable[[], list[str]]) -> None:
    for name in ("web3.providers", "sqlalchemy.engine", "httpcore"):
        logging.getLogger(name).info("something")
        logging.getLogger(name).debug("something")
    assert lines() == []


def test_of_our_own_errors_is_told_what_quotes_nobody() -> None:
    assert (
        logs.told(IntegrityError("a stored text is no disclosure", got=PERSON))
        == "a stored text is no disclosure"
    )
    assert "disk I/O error" in logs.told(
        StoreUnavailable("the database does not answer", got="disk I/O error")
    )
