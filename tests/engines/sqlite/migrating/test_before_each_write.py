"""A function is called before each statement of a run that may write, and before no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import opened, rows, script
from usage_store.engines.sqlite.copies import raise_counters, read_state
from usage_store.engines.sqlite.migrating import before_each_write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

TABLE = "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, b)"


def test_statements_that_write_are_told_before_they_run_and_those_that_read_are_not(path: Path) -> None:
    script(path, f"{TABLE}; CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET b = 2; END")
    told: list[tuple[str, int]] = []
    with opened(path) as database:
        count = "SELECT count(*) FROM a"
        with before_each_write(database, lambda sql: told.append((sql, rows(path, count)[0][0]))):
            database.execute_sql("SELECT 1").fetchall()
            database.execute_sql("PRAGMA user_version").fetchall()
            with database.atomic("IMMEDIATE"):
                database.execute_sql("INSERT INTO a (b) VALUES (1)")
        database.execute_sql("INSERT INTO a (b) VALUES (3)")
    # A statement is told again for each statement of its triggers.
    assert list(dict.fromkeys(told)) == [("BEGIN IMMEDIATE", 0), ("INSERT INTO a (b) VALUES (1)", 0), ("COMMIT", 0)]


def test_counters_are_raised_above_the_keys_and_a_database_without_counters_is_left_alone(path: Path) -> None:
    with opened(path) as database:
        raise_counters(database)
        database.execute_sql(TABLE)
        database.execute_sql("INSERT INTO a (b) VALUES (1)")
        raise_counters(database)
        database.execute_sql("INSERT INTO a (b) VALUES (1)")
    assert [key for (key,) in rows(path, "SELECT id FROM a")] == [1, 9]


def test_rows_are_read_without_the_schema_if_that_is_enough(path: Path) -> None:
    script(path, f"{TABLE}; INSERT INTO a (b) VALUES (1)")
    with opened(path) as database:
        whole, only_rows = read_state(database, ()), read_state(database, (), only_rows=True)
    assert (only_rows.rows, only_rows.counters) == (whole.rows, whole.counters)
    assert (list(whole.catalog.tables), list(only_rows.catalog.tables)) == (["a"], [])
