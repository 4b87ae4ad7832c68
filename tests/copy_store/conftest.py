"""Stores to be copied."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened
from usage_store import (
    close_database,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    maintain,
    register_sessions,
    update_usage_config,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Target = Path | str

ROWS = 300


def fill(target: Target) -> None:
    """Make a store with three sessions, of which one has no snapshots, a changed configuration and a deleted row."""
    init_database(target)
    register_sessions(["one", "two", "none \N{SNOWMAN}"])
    update_usage_config({"plan": "max5", "refresh_per_second": 0.3})
    insert_usage_snapshots(
        {
            "session_id": ("one", "two")[number % 2],
            "snapshot_data": f'{{"n": {number}, "text": "\N{SNOWMAN} \\u0000 1.10", "n": 1e400}}',
            "snapshot_type": "config",
            "timestamp": 1_700_000_000 + number // 3,
        }
        for number in range(ROWS + 1)
    )
    close_database()
    with opened(target) as database:
        database.execute_sql(f"DELETE FROM usage_snapshots WHERE id = {ROWS + 1}")  # the next id must not be this one
        database.execute_sql("UPDATE usage_sessions SET created_at = 1234567890 WHERE session_id = 'two'")


def content(target: Target) -> dict[str, list[Any]]:
    """Read all rows of a store, with the texts of compacted snapshots."""
    columns = "id, session_id, usage_json(snapshot_data), snapshot_type, timestamp"
    with opened(target) as database:
        from usage_store.models.storage_interface import storage_of

        storage_of(database).prepare(database)
        database.close()
        database.connect()
        return {
            table: sorted(map(tuple, database.execute_sql(f"SELECT {what} FROM {table}").fetchall()))
            for table, what in (("usage_config", "*"), ("usage_sessions", "*"), ("usage_snapshots", columns))
        }


def next_id(target: Target) -> int:
    """Insert a snapshot, and give its id."""
    init_database(target)
    made = insert_usage_snapshot({"session_id": "one", "snapshot_data": {}})
    close_database()
    assert made is not None
    return int(made.id)


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Target]:
    """Give a function that returns an empty place on an engine; only one on the server."""
    names = map("{}.db".format, count())

    def place(engine: str) -> Target:
        if engine == "sqlite":
            return tmp_path / next(names)
        return str(request.getfixturevalue("postgresql_url"))

    return place


@pytest.fixture
def compacted(tmp_path: Path) -> Path:
    """Give a store on SQLite whose older half is compacted."""
    path = tmp_path / "source.db"
    fill(path)
    with opened(path) as database:
        maintain(database, compact_after_days=1)
    return path
