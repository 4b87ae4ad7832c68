"""Fixtures for the tests of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["wal", "delete", "memory"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[peewee.SqliteDatabase]:
    """Open a database of each kind in which losses are counted differently, with the tables of the module's HOST."""
    memory = request.param == "memory"
    database = peewee.SqliteDatabase(":memory:" if memory else str(tmp_path / "app.db"))
    database.connect()
    made = f"PRAGMA journal_mode = {'wal' if memory else request.param};{request.module.HOST}"
    database.connection().executescript(made)
    yield database
    database.close()
