"""Make a temporary copy of a whole database, and measure the cost of steps on it."""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.error_messages import readable_errors
from usage_store.engines.sqlite.connection.path_and_inode import permissions
from usage_store.engines.sqlite.connection.second_connection import opened_like
from usage_store.engines.sqlite.copies.copy_database import copy_file
from usage_store.engines.sqlite.file.free_disk_space import check_disk, file_of, reserve, size
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    import peewee

logger = logging.getLogger("usage_store.migrate")

_PRAGMAS: Final[Mapping[str, str | int]] = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": "normal"}


@contextmanager
def whole_copy(
    database: peewee.SqliteDatabase,
    directory: Path | None,
    on_progress: Callable[[int, int], None] | None,
    hold: Callable[[peewee.SqliteDatabase], AbstractContextManager[object]] = nullcontext,  # noqa: ARG001  of servers
) -> Iterator[peewee.SqliteDatabase]:
    """Open a temporary copy of an open database for the block.

    It is one consistent state of the database, in a temporary folder inside `directory` (default: the database's own
    folder, and so on the same disk). The folder is removed at the end; only a killed process leaves it. `on_progress`
    gets the pages copied and the pages in all.

    Raises NotEnoughDisk, CorruptDatabase, and ConfigurationError for a database in memory. It asks for three times the
    size of the database: for the copy, and twice for the -wal of a rebuild.
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


def check_copy(database: peewee.SqliteDatabase, copy: peewee.SqliteDatabase) -> NoReturn:  # noqa: ARG001
    """Raise ConfigurationError: a rehearsal makes its own copy of a file."""
    raise ConfigurationError("a rehearsal makes its own copy of a SQLite file; leave --in out")


class Meter:
    """Measure what a step costs on a whole copy: the -wal of the copy grows by what the step writes."""

    def __init__(self, database: peewee.SqliteDatabase) -> None:
        self._database = database
        self._wal = Path(f"{main_file(database)}-wal")
        self._size = self._changes = 0
        database.pragma("wal_autocheckpoint", 0)

    def start(self) -> None:
        """Start the measurement of a step."""
        self._database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._size, self._changes = size(self._database), self._database.connection().total_changes

    def read(self) -> tuple[int, int, int]:
        """Return rows written, bytes written to the -wal, and these bytes plus the database's growth. Reads only."""
        written = self._wal.stat().st_size if self._wal.exists() else 0
        growth = max(0, size(self._database) - self._size)
        return self._database.connection().total_changes - self._changes, written, written + growth

    def rewrites(self) -> dict[str, int]:
        """Return nothing: on SQLite, the bytes written show that a table was rebuilt."""
        return {}
