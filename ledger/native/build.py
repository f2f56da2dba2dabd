"""Compile the native part, where there is a C compiler: `python ledger/native/build.py`.

It needs nothing but Python, and is called by scripts/setup and when a wheel is built. Where there is no compiler, or it
fails, nothing is built, and the ledger does without.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCES = ("plain_lines.c", "salting.c", "tree.c", "base64url.c", "sha256.c")
LIBRARY = "library.so"
FLAGS = (
    "-std=c11",
    "-O2",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE",
)
HARDENED = ("-D_FORTIFY_SOURCE=2",)


class NotBuilt(Exception):
    """Why there is no native part; whoever sees it goes on without."""


def build(folder: Path = FOLDER) -> Path:
    """Compile into `folder`, and answer the library. Nothing half-written ever stands under its name.

    Raises:
        NotBuilt: there is no compiler, or it failed.
    """
    command = _compiler()
    library = folder / LIBRARY
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / LIBRARY
        sources = [str(FOLDER / source) for source in SOURCES]
        try:
            subprocess.run(  # noqa: S603
                [*command, *FLAGS, *HARDENED, "-o", str(made), *sources],
                check=True,
                capture_output=True,
                text=True,
            )
        except OSError as error:
            raise NotBuilt(f"{command[0]} could not be run: {error}") from None
        except subprocess.CalledProcessError as error:
            raise NotBuilt(f"{command[0]} failed: {error.stderr.strip()[:1000]}") from None
        made.replace(library)
    return library


def _compiler() -> list[str]:
    """`CC` if it is set; else what there is."""
    if said := os.environ.get("CC"):
        return shlex.split(said)
    for name in ("cc", "gcc", "clang", *shlex.split(sysconfig.get_config_var("CC") or "")[:1]):
        if shutil.which(name):
            return [name]
    raise NotBuilt("no C compiler (cc, gcc or clang) is on the PATH")


def main() -> None:
    """Build; where that cannot be, say why."""
    try:
        print(f"built {build()}")  # noqa: T201
    except NotBuilt as why:
        (FOLDER / LIBRARY).unlink(missing_ok=True)
        print(f"not built, the ledger does without: {why}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
