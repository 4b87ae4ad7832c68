"""Fixtures for the tests of schema operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.torture import OTHERS, TORTURE
from usage_store.engines.sqlite.connection.open_file import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import peewee

    from tests.support.driver import sqlite3
    from usage_store.engines.sqlite.schema.schema_operations import LosslessMigrator

    Operation = Callable[[LosslessMigrator], Any]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[peewee.SqliteDatabase]:
    database: peewee.SqliteDatabase = open_database(tmp_path / "torture.db")
    database.pragma("foreign_keys", 0)
    connection: sqlite3.Connection = database.connection()
    connection.executescript(f"BEGIN;{TORTURE};{OTHERS};COMMIT")
    yield database
    database.close()
