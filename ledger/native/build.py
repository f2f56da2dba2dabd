"""Compile the native part, where there is a C compiler: `python ledger/native/build.py`.

It needs nothing but Python, and is called by scripts/setup and when a wheel is built. Where there is no compiler, or it
fails, nothing is built, and the ledger does without.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCES = ("plain_lines.c", "salting.c", "tree.c", "base64url.c", "sha256.c")
HEADERS = ("base64url.h", "exported.h", "sha256.h")
LIBRARY = "library.so"
COMPILERS = ("cc", "gcc", "clang")
FLAGS = (
    "-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden",
    "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
)  # fmt: skip


class NotBuilt(Exception):
    """Why there is no native part; whoever sees it goes on without."""


def form() -> int:
    """What tells these sources from any others: a library says of which it is made.

    Raises:
        OSError: they are not here.
    """
    whole = b"".join(hashlib.sha256((FOLDER / name).read_bytes()).digest() for name in (*SOURCES, *HEADERS))
    return int.from_bytes(hashlib.sha256(whole).digest()[:4])


def build(folder: Path = FOLDER) -> Path:
    """Compile into `folder`, and answer the library. Nothing half-written ever stands under its name.

    Raises:
        NotBuilt: there is no compiler, or it failed, or there is no place for the library.
    """
    try:
        command = _compiler()
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / LIBRARY
            sources = [str(FOLDER / source) for source in SOURCES]
            ran = subprocess.run(  # noqa: S603
                [*command, *FLAGS, f"-DLEDGER_FORM={form()}u", "-o", str(made), *sources],
                check=False,
                capture_output=True,
                text=True,
            )
            if ran.returncode:
                raise NotBuilt(f"{command[0]} failed: {ran.stderr.strip()[:1000]}")
            return made.replace(folder / LIBRARY)
    except (OSError, ValueError) as error:
        raise NotBuilt(str(error)) from None


def _compiler() -> list[str]:
    """`CC` if it is set; else what there is."""
    if said := shlex.split(os.environ.get("CC", "")):
        return said
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    raise NotBuilt(f"no C compiler ({', '.join(COMPILERS)}) is on the PATH")


def main() -> None:
    """Build; where that cannot be, say why."""
    try:
        print(f"built {build()}")  # noqa: T201
    except NotBuilt as why:
        (FOLDER / LIBRARY).unlink(missing_ok=True)
        print(f"not built, the ledger does without: {why}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
