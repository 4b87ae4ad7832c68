"""The version, the name and the file of a migration."""

from __future__ import annotations

import os
import re
import traceback
from typing import TYPE_CHECKING, Literal, NamedTuple

from usage_store.errors import LoadError

if TYPE_CHECKING:
    from pathlib import Path

Direction = Literal["up", "down"]

MOST_BYTES = 16 * 2**20  # of one file: the log stores the whole file, and reading it back must not fill the memory


class Migration(NamedTuple):
    """One version: a file, a row of the history table, or both.

    `file` is None if the file is missing. `applied_at` (seconds, UTC) is None if the migration is pending.
    """

    version: int
    name: str
    file: str | None = None
    applied_at: int | None = None

    def __str__(self) -> str:
        return os.path.basename(self.file).partition(".")[0] if self.file else f"{self.version:03d}_{self.name}"

    @property
    def file_name(self) -> str:
        """The name of the file; for a missing file, the name that it had. The name of a variant contains its engine."""
        return os.path.basename(self.file) if self.file else f"{self}.py"

    @property
    def path(self) -> Path | None:
        """The path of the file, or None if the file is missing. In a zip archive, only `read()` can read the file."""
        from pathlib import Path  # noqa: PLC0415  7 % of the start-up time of `check`

        return None if self.file is None else Path(self.file)

    def read(self) -> bytes:
        """Return the content of the file. Raises LoadError if it is missing, cannot be read, or is too long."""
        if self.file is None:
            raise LoadError(f"{self.file_name}: the file is missing")
        try:
            source = content_of(self.file)
        except OSError as error:
            raise LoadError(f"{self.file_name}: {error.strerror}") from error
        if len(source) > MOST_BYTES:
            raise LoadError(f"{self.file_name}: has {len(source):,} bytes; at most {MOST_BYTES:,} are allowed")
        return source


class Step(NamedTuple):
    """One migration that ran, with its direction and its duration."""

    migration: Migration
    direction: Direction
    seconds: float


def alike(name: str, other: str) -> bool:
    """Return whether two names of a migration are the same, ignoring case and characters that file names cannot have.

    Such a character is any that is not a letter, a digit or `_`.
    """
    return name == other or re.sub(r"\W", "_", name).lower() == re.sub(r"\W", "_", other).lower()


def content_of(file: str) -> bytes:
    """Return the content of a file, also of one in a zip archive. Raises OSError."""
    try:
        with open(file, "rb", buffering=0) as opened:  # half the time of Path.read_bytes
            return opened.read()
    except (FileNotFoundError, NotADirectoryError):
        from usage_store.migrate.files import in_a_zip  # noqa: PLC0415  few programs run from an archive

        found = in_a_zip.content(file)
        if found is None:
            raise
        return found


def file_name_of(migration: Migration) -> str:
    """Return the file name that tracebacks show for the code of a migration."""
    return migration.file or f"<stored source of {migration}>"


def line_in(error: BaseException, file_name: str) -> int | None:
    """Return the last line of the file in the traceback of an exception, or None if the file is not in it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file_name]
    return lines[-1] if lines else None
