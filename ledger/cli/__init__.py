"""`transfer-ledger`: the commands parse, call, format.

    admin.py     init, party, log, key, serve, worker, status, doctor, rebuild
    feed.py      push, scenario
    imports.py   import
    audit.py     prove, verify, evidence

Exit codes: 0 done or verified · 1 refuted or the records differ · 2 unusable input · 3 something does not answer ·
130 interrupted.
"""

from __future__ import annotations

import sys

from ledger.cli import admin, audit, feed, imports
from ledger.cli.shared import app, complain, exit_code
from ledger.errors import LedgerError

__all__ = ["admin", "app", "audit", "feed", "imports", "main"]


def main() -> None:
    """Entry point: no traceback reaches a user."""
    try:
        app()
    except LedgerError as error:
        complain(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        sys.stderr.close()
        sys.exit(0)
