"""Tests of rebuilds: NULL in a rowid column, ANALYZE's statistics, and a foreign key into another schema."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.engines.sqlite.schema.rebuild_table import rebuild
from usage_store.engines.sqlite.schema.schema_operations import migrator_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.quick


@pytest.fixture
def database() -> Iterator[peewee.SqliteDatabase]:
    with closing(peewee.SqliteDatabase(":memory:")) as database:
        database.connect()
        yield database


def texts(database: peewee.SqliteDatabase, query: str) -> list[str]:
    return [str(row[-1]) for row in database.execute_sql(query).fetchall()]


@pytest.mark.parametrize(
    ("columns", "null"),
    [
        ("id INTEGER PRIMARY KEY", "not allowed"),
        ("id INTEGER PRIMARY KEY AUTOINCREMENT", "not allowed"),
        ("id integer, PRIMARY KEY (id)", "not allowed"),
        ("id INTEGER NOT NULL PRIMARY KEY", "not allowed"),
        ("id INT PRIMARY KEY", "allowed"),
        ("id TEXT PRIMARY KEY", "allowed"),
        ("id INTEGER, b INTEGER, PRIMARY KEY (id, b)", "allowed"),
        ("id INTEGER UNIQUE, b", "allowed"),
    ],
)
def test_a_column_that_is_the_rowid_counts_as_not_null(
    database: peewee.SqliteDatabase, columns: str, null: str
) -> None:
    database.execute_sql(f"CREATE TABLE t ({columns})")
    assert read_catalog(database).tables["t"].columns["id"].not_null is (null == "not allowed")


INDEXED = "CREATE TABLE t (id INTEGER PRIMARY KEY, one INT, two INT)"
QUERY = "EXPLAIN QUERY PLAN SELECT id FROM t WHERE one = 1 AND two = 1"


@pytest.mark.parametrize("index", ["one", "two"])
def test_the_connection_that_rebuilt_a_table_goes_by_the_figures_of_before(
    database: peewee.SqliteDatabase, index: str
) -> None:
    for statement in (INDEXED, "CREATE INDEX by_one ON t (one)", "CREATE INDEX by_two ON t (two)"):
        database.execute_sql(statement)
    values = "n, 1" if index == "one" else "1, n"
    database.execute_sql(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300) "
        f"INSERT INTO t (one, two) SELECT {values} FROM n"
    )
    database.execute_sql("ANALYZE")
    figures = texts(database, "SELECT tbl || idx || stat FROM sqlite_stat1 ORDER BY idx")
    (plan,) = texts(database, QUERY)
    assert f"by_{index}" in plan

    rebuild(database, "t", f"{INDEXED[:-1]}, CHECK (1))")

    assert texts(database, QUERY) == [plan]
    assert texts(database, "SELECT tbl || idx || stat FROM sqlite_stat1 ORDER BY idx") == figures


def test_a_rebuild_makes_no_figures_where_there_were_none(database: peewee.SqliteDatabase) -> None:
    database.execute_sql(INDEXED)
    rebuild(database, "t", f"{INDEXED[:-1]}, CHECK (1))")
    assert texts(database, "SELECT name FROM sqlite_master") == ["t"]


def test_a_foreign_key_into_another_schema_is_refused_and_nothing_changed(database: peewee.SqliteDatabase) -> None:
    for statement in ("CREATE TABLE parents (id INTEGER PRIMARY KEY)", "CREATE TABLE t (parent INT)"):
        database.execute_sql(statement)
    before = texts(database, "SELECT sql FROM sqlite_master")
    migrator = migrator_for(database)
    operation = migrator.add_foreign_key_constraint("t", "parent", "parents", "id", rel_schema="other")
    with pytest.raises(ValueError, match=r"^SQLite's foreign keys do not reach .* leave rel_schema out$"):
        migrator.migrate(operation)
    assert texts(database, "SELECT sql FROM sqlite_master") == before
    migrator.migrate(migrator.add_foreign_key_constraint("t", "parent", "parents", "id"))
    assert texts(database, "SELECT sql FROM sqlite_master") != before
