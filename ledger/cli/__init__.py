"""`transfer-ledger`: the commands parse, call, format.

    admin.py     init, party, log, key, status, doctor, rebuild
    serving.py   serve, worker
    feed.py      push, scenario
    outbox.py    outbox; dispatch.py: how pushes leave
    imports.py, import_permissions.py   import; importing.py, delivery.py say how it runs
    queries.py   access, snapshot, transfer, reconcile
    audit.py     prove, verify, evidence
    receipts.py  verify, of receipts

Exit codes: 0 done or verified · 1 refuted or the records differ · 2 unusable input · 3 something does not answer ·
70 a defect of this program, or its output cannot be written · 130 interrupted · 141 the reader of the output has gone.
"""

from __future__ import annotations

import os
import sys

import typer
from typer.exceptions import TyperException
from typer.rich_utils import rich_format_error

from ledger.cli import admin, audit, feed, import_permissions, imports, outbox, queries, serving
from ledger.cli.shared import app, complain, err, exit_code, plain
from ledger.errors import LedgerError

__all__ = [
    "admin",
    "app",
    "audit",
    "feed",
    "import_permissions",
    "imports",
    "main",
    "outbox",
    "queries",
    "serving",
]


def main() -> None:
    """Entry point: no traceback reaches a user, and nothing but a verdict exits with a verdict's code."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except LedgerError as error:
        complain(error)
        code = exit_code(error)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except TyperException as error:  # a command line that is wrong
        rich_format_error(error)  # type: ignore[arg-type]
        code = 2
    except BrokenPipeError:
        code = 141
        _drop_output()
    except Exception as error:  # noqa: BLE001  # the last resort: a defect must not look like a verdict
        what = "the output cannot be written" if isinstance(error, OSError) else "defect"
        err.print(plain(f"{what}: {type(error).__name__}: {error}"), markup=False)
        code = 70
        _drop_output()
    sys.exit(code if isinstance(code, int) else 0)


def _drop_output() -> None:
    """What could not be written is not tried again at the end: the interpreter would exit with a code of its own."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.__stdout__.fileno() if sys.__stdout__ else 1)
