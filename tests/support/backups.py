"""Make backups for tests of restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.databases import add, fill, raw, rows, script
from usage_store.engines.sqlite.copies.back_up import back_up

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = 3000, 2000  # rows before and after a restore


def database_and_backup(folder: Path, mode: str = "wal") -> tuple[Path, Path]:
    """Make a database and a backup of it, which has fewer rows and another table."""
    file = fill(folder / "app.db", NEW, mode=mode)
    script(file, "CREATE TABLE only_in_backup (x)")
    backup = back_up(file, 1)
    with raw(file) as connection:
        add(connection, OLD - NEW)
        connection.execute("DROP TABLE only_in_backup")
    return file, backup


def is_sound(file: Path) -> bool:
    return rows(file, "PRAGMA quick_check") == [("ok",)]
