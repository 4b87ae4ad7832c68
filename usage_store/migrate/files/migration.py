"""A migration: its version, its name, its file."""

from __future__ import annotations

import os
import re
import traceback
from typing import TYPE_CHECKING, Literal, NamedTuple

from usage_store.errors import LoadError

if TYPE_CHECKING:
    from pathlib import Path

Direction = Literal["up", "down"]

MOST_BYTES = 16 * 2**20  # of a file, which the log keeps, and which is read back from there


class Migration(NamedTuple):
    """One version: a file, a history row, or both.

    `file` is None when the file is gone; `applied_at` (seconds, UTC) is None while it is pending.
    """

    version: int
    name: str
    file: str | None = None
    applied_at: int | None = None

    def __str__(self) -> str:
        return os.path.basename(self.file).partition(".")[0] if self.file else f"{self.version:03d}_{self.name}"

    @property
    def file_name(self) -> str:
        """The file's name, with an engine's in it for a variant; the one that it had when it is gone."""
        return os.path.basename(self.file) if self.file else f"{self}.py"

    @property
    def path(self) -> Path | None:
        """The file, or None when it is gone."""
        from pathlib import Path  # noqa: PLC0415  7 % of what `check` takes to start

        return None if self.file is None else Path(self.file)

    def read(self) -> bytes:
        """Give the file's content, or raise LoadError if it is gone, cannot be read or is longer than any may be."""
        if self.file is None:
            raise LoadError(f"{self.file_name}: the file is gone")
        try:
            with open(self.file, "rb", buffering=0) as file:  # half the time of Path.read_bytes
                source = file.read()
        except OSError as error:
            raise LoadError(f"{self.file_name}: {error.strerror}") from error
        if len(source) > MOST_BYTES:
            raise LoadError(f"{self.file_name}: has {len(source):,} bytes; at most {MOST_BYTES:,} are allowed")
        return source


class Step(NamedTuple):
    """One migration that was run, in which direction, and how long it took."""

    migration: Migration
    direction: Direction
    seconds: float


def alike(name: str, other: str) -> bool:
    """Tell whether two names of a migration differ at most in letters' case, and in what no file's name may have."""
    return name == other or re.sub(r"\W", "_", name).lower() == re.sub(r"\W", "_", other).lower()


def file_name_of(migration: Migration) -> str:
    """Give the name that a migration's code has in tracebacks."""
    return migration.file or f"<stored source of {migration}>"


def line_in(error: BaseException, file_name: str) -> int | None:
    """Give the line of a file that an exception passed through last, or None if it never did."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file_name]
    return lines[-1] if lines else None
