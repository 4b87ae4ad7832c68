"""Write a text file that takes the place of another file only when it is complete."""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a file for writing. If the block raises an error, `path` stays as it was, and nothing is left beside it.

    A pipe or a device is written directly.
    """
    given = Path(path)
    if given.exists() and not given.is_file():
        with given.open("w", encoding="utf-8") as file:
            yield file
        return
    target = given.resolve()
    unfinished = target.with_name(f"{target.name}.{uuid.uuid4().hex}.unfinished")
    try:
        with unfinished.open("x", encoding="utf-8") as file:
            yield file
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(unfinished):
            error.filename = str(path)
        raise
