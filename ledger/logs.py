"""Structured logs: one line of logfmt each, on standard error, in which nobody's data is.

::

    timestamp=2026-07-01T12:00:00.250000Z level=info event=request method=POST ms=3.1 route=/v1/types status=200

What the ledger logs are words of its code, numbers, digests, origins of logs, and its own errors, whose messages quote
nobody. Two things could bring in what a party sent, and are cut down to what is needed to find the place:

- **Exceptions** that nobody foresaw: told are their classes and the way through the code, never their messages, which
  like to quote the value that they did not expect.
- **Other libraries**, from warnings on: told are the logger and the template of the message, never its arguments; a
  message without arguments may have been put together already, and is replaced by its place. Uvicorn's are told whole:
  there the server says where it listens, and when it ends.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import PurePath
from traceback import extract_tb

import structlog
from structlog.types import EventDict, WrappedLogger

OWN = ("ledger", "api", "uvicorn")
"""Loggers of which everything is told, at the level that is set; others at `warning` and above."""
FRAMES = 12


def set_up(level: str, *, service: bool = False) -> None:
    """Log from `level` on, for this process. Doing it again replaces what was.

    Args:
        service: nothing else shall stand on standard error: warnings and what ends a thread become lines, too.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_messages,
            printable,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    root = logging.getLogger()
    root.handlers = [*(one for one in root.handlers if not isinstance(one, Forward)), Forward()]
    root.setLevel(max(numeric, logging.WARNING))
    for name in OWN:
        logging.getLogger(name).setLevel(numeric)
    if service:
        logging.raiseExceptions = (
            False  # a message that does not fit its arguments would be printed with them
        )
        logging.captureWarnings(capture=True)
        threading.excepthook = _thread_failed


class Forward(logging.Handler):
    """Hands what the standard library's loggers get to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in OWN:
            event = record.getMessage().strip()
        elif record.args:
            event = str(record.msg)
        else:
            event = f"a message of {record.module}:{record.lineno}"
        structlog.get_logger().log(record.levelno, event, logger=record.name, exc_info=record.exc_info)


def without_messages(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
    """A processor: an exception becomes `exception`, its classes and places."""
    given = line.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        line["exception"] = " because of ".join(_told(one) for one in _chain(error))
    return line


def printable(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
    r"""A processor: no text can begin a line of its own, or turn the direction of one; it is spelled as `\uXXXX`."""
    for name, value in line.items():
        if isinstance(value, str) and not value.isprintable():
            line[name] = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return line


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _told(error: BaseException) -> str:
    frames = [
        f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno}"
        for frame in extract_tb(error.__traceback__)
    ]
    return f"{type(error).__qualname__} at {' > '.join(frames[-FRAMES:]) or 'no place'}"


def _thread_failed(arguments: threading.ExceptHookArgs) -> None:
    structlog.get_logger(__name__).error("thread failed", exc_info=arguments.exc_value)
