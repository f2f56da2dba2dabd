"""The files that hold a managed Anvil's chain while no Anvil runs.

::

    state.json.gz             what Anvil dumped last, as `anvil_dumpState` gives it: gzip over JSON
    state.previous.json.gz    the dump before it
    exit.json                 what Anvil itself dumps while it ends; taken over into state.json.gz, then removed
    load.json                 the state to start from, unpacked; there while Anvil starts

A dump replaces the last one whole and durably, or not at all; gzip's checksum shows whether it is still what was
written. A broken dump is put aside as `*.broken` and the one before it is taken, loudly: the chain then lacks its
newest blocks. If there are dumps and none can be read, starting is refused: an empty chain would be another history.

Only the standard library is imported, so that the guard starts quickly.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path


class BrokenState(Exception):
    """There are dumps of the chain, and none can be read."""


class ChainFiles:
    """The dumps in one folder. For one process at a time: the one that holds the folder's lock.

    Args:
        folder: of the managed chain.
        warn: is told, in one line, of everything that was not as it should be.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self.current = folder / "state.json.gz"
        self.previous = folder / "state.previous.json.gz"
        self.at_exit = folder / "exit.json"
        self.to_load = folder / "load.json"
        self._new = folder / "state.new.json.gz"

    def save(self, packed: bytes) -> None:
        """Make this dump, gzip over JSON, the current one; durable before this returns."""
        _write(self._new, packed)
        self._put_in_place()

    def take_exit_dump(self) -> None:
        """Take over what Anvil dumped while it ended, if it did and that is no less than what is there."""
        try:
            text = self.at_exit.read_bytes()
        except FileNotFoundError:
            return
        height, known = _height(text), _height(_unpack(self.current))
        if height is not None and (known is None or height >= known):
            self.save(gzip.compress(text, compresslevel=1, mtime=0))
            self.at_exit.unlink()
        else:
            aside = self.at_exit.replace(self.at_exit.with_suffix(".broken"))
            self._warn(f"what Anvil wrote while it ended is not whole, and was put aside as {aside}")

    def prepare(self) -> Path | None:
        """The newest whole state, unpacked for `anvil --load-state`; None if the folder has never held a chain.

        Raises:
            BrokenState: there are dumps and none is whole. They are left as they are.
        """
        self._finish_saving()
        self.take_exit_dump()
        kept = [path for path in (self.current, self.previous) if path.exists()]
        for path in kept:
            text = _unpack(path)
            if _height(text) is not None:
                self._put_aside(kept[: kept.index(path)], path)
                return _write(self.to_load, text or b"")
        if kept:
            raise BrokenState(f"none of {', '.join(map(str, kept))} can be read: restore one from a backup")
        return None

    def started(self) -> None:
        """Anvil has read its state."""
        self.to_load.unlink(missing_ok=True)

    def _put_in_place(self) -> None:
        if self.current.exists():
            self.current.replace(self.previous)
        self._new.replace(self.current)
        _sync(self._folder)

    def _finish_saving(self) -> None:
        """Saving was interrupted: what was written whole is the newest, and the rest is nothing."""
        if _height(_unpack(self._new)) is not None:
            self._put_in_place()
        self._new.unlink(missing_ok=True)

    def _put_aside(self, broken: list[Path], used: Path) -> None:
        for path in broken:
            aside = path.replace(path.with_suffix(".broken"))
            self._warn(
                f"the chain's newest dump cannot be read and was put aside as {aside}; the one before it, {used}, "
                "is used, so the chain lacks its newest blocks"
            )


def _unpack(path: Path) -> bytes | None:
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error):
        return None


def _height(text: bytes | None) -> int | None:
    """How many blocks a dump holds above the first; None if it is no dump."""
    try:
        height = json.loads(text or b"")["best_block_number"]
        return int(height, 0) if isinstance(height, str) else int(height)
    except (ValueError, TypeError, LookupError):
        return None


def _write(path: Path, content: bytes) -> Path:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
