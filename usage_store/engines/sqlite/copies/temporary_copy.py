"""A copy of a whole database for a while, and what a step costs on it."""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.error_messages import readable_errors
from usage_store.engines.sqlite.connection.path_and_inode import permissions
from usage_store.engines.sqlite.connection.second_connection import opened_like
from usage_store.engines.sqlite.copies.copy_database import copy_file
from usage_store.engines.sqlite.file.free_disk_space import check_disk, file_of, reserve, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import peewee

logger = logging.getLogger("usage_store.migrate")

_PRAGMAS: Final[Mapping[str, str | int]] = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": "normal"}


@contextmanager
def whole_copy(
    database: peewee.SqliteDatabase, directory: Path | None, on_progress: Callable[[int, int], None] | None
) -> Iterator[peewee.SqliteDatabase]:
    """Open a copy of an open database for the block.

    It is one consistent state, in a temporary folder inside `directory` (default: the database's own folder, so the
    same disk), and is removed in any case; a kill alone leaves it. `on_progress` is told pages copied and pages in all.
    Raises NotEnoughDisk (three times the database is asked for: the copy, and a rebuild's twofold -wal),
    CorruptDatabase, and ConfigurationError for a database in memory.
    """
    file = file_of(database)
    folder = directory or file.parent
    check_disk(folder, 3 * size(database), "a rehearsal")
    with tempfile.TemporaryDirectory(prefix=f"{file.name}-rehearsal-", dir=folder) as temporary:
        path = Path(temporary) / file.name
        reserve(path, permissions(file))
        copy_file(database, path, on_progress)
        logger.info("rehearsing on a copy, %s", path)
        with readable_errors(str(path)), opened_like(database, str(path), _PRAGMAS) as copy:
            yield copy


class Meter:
    """Measure what steps cost on a whole copy, whose -wal grows by what a step writes."""

    def __init__(self, database: peewee.SqliteDatabase) -> None:
        self._database = database
        self._wal = Path(f"{main_file(database)}-wal")
        self._size = self._changes = 0
        database.pragma("wal_autocheckpoint", 0)

    def start(self) -> None:
        """Begin with a step."""
        self._database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._size, self._changes = size(self._database), self._database.connection().total_changes

    def read(self) -> tuple[int, int, int]:
        """Give rows written, bytes that went through the -wal, and those with what the database grew. Reads only."""
        written = self._wal.stat().st_size if self._wal.exists() else 0
        growth = max(0, size(self._database) - self._size)
        return self._database.connection().total_changes - self._changes, written, written + growth
