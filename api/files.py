"""Answers that are files: made whole before the first byte is sent, so that a failure is still an error."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO

from fastapi.responses import StreamingResponse


def file_answer(fill: Callable[[IO[bytes]], object], media_type: str, name: str) -> StreamingResponse:
    """The file that `fill` writes, to be saved as `name`. It is on disk, not in memory, and gone afterwards."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        fill(file)
        stack.pop_all()  # from here on the answer closes it
    file.seek(0)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_chunks(file), media_type=media_type, headers=headers)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(256 * 1024):
            yield chunk
