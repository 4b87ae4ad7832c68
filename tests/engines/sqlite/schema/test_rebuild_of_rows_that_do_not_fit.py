"""A rebuild is refused before COMMIT if rows do not fit the new definition, and then changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.driver import sqlite3
from tests.support.torture import sound, state
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.schema.rebuild_table import rebuild
from usage_store.errors import ChangeRefused, RowsDoNotFit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import peewee

pytestmark = pytest.mark.quick


@pytest.fixture
def database(tmp_path: Path) -> Iterator[peewee.SqliteDatabase]:
    database: peewee.SqliteDatabase = open_database(tmp_path / "rebuild.db")
    database.pragma("foreign_keys", 0)
    database.execute_sql("CREATE TABLE t (a, b TEXT, c)")
    database.execute_sql("INSERT INTO t VALUES (1, 'x', 'One'), (2, NULL, 'one')")
    yield database
    database.close()


FITS_NOT = {
    "a virtual column that may not be NULL": "CREATE TABLE t (a, b TEXT, c, d AS (b) VIRTUAL NOT NULL)",
    "a stored column that may not be NULL": "CREATE TABLE t (a, b TEXT, c, d AS (b) STORED NOT NULL)",
    "a virtual column of another type": "CREATE TABLE t (a ANY, b TEXT, c ANY, d INT AS (c) VIRTUAL) STRICT",
    "a virtual column of another type, in full": (
        "CREATE TABLE t (a ANY, b TEXT, c ANY, d /* ( */ INTEGER GENERATED ALWAYS AS (c)) STRICT"
    ),
    "a virtual number that is text": "CREATE TABLE t (a ANY, b TEXT, c ANY, d REAL AS (c)) STRICT",
    "a virtual blob": "CREATE TABLE t (a ANY, b TEXT, c ANY, d BLOB AS (a)) STRICT",
    "a stored column of another type": "CREATE TABLE t (a ANY, b TEXT, c ANY, d INT AS (c) STORED) STRICT",
    "a check of a virtual column": "CREATE TABLE t (a, b TEXT, c, d AS (a * 2) VIRTUAL CHECK (d < 3))",
    "a unique virtual column": "CREATE TABLE t (a, b TEXT, c, d AS (lower(c)) VIRTUAL UNIQUE)",
    "an expression that fails": "CREATE TABLE t (a, b TEXT, c, d AS (json_extract(b, '$.a')) VIRTUAL)",
    "a stored expression that fails": "CREATE TABLE t (a, b TEXT, c, d AS (json_extract(b, '$.a')) STORED)",
    "a check that fails": "CREATE TABLE t (a, b TEXT, c, CHECK (json_extract(c, '$.a')))",
    "a check by the table's whole name": "CREATE TABLE t (a, b TEXT, c, CHECK (main.t.a > 1))",
    "a value that is too big": "CREATE TABLE t (a, b TEXT, c, d AS (zeroblob(a * 2000000000)) STORED)",
    "a number that is no key": "CREATE TABLE t (a, b TEXT, c INTEGER PRIMARY KEY)",
}


@pytest.mark.parametrize("name", FITS_NOT)
def test_rows_that_do_not_fit_the_new_definition_are_refused(database: peewee.SqliteDatabase, name: str) -> None:
    before = state(database)
    with database.atomic("IMMEDIATE"):
        with pytest.raises(RowsDoNotFit, match=r"^t: its rows do not fit the new definition: ") as caught:
            rebuild(database, "t", FITS_NOT[name])
        assert state(database) == before
    assert "rebuilt" not in str(caught.value)
    sound(database)


@pytest.mark.parametrize(
    ("index", "columns", "reason"),
    [
        ("CREATE UNIQUE INDEX i ON t (lower(c))", {}, "UNIQUE constraint failed: index 'i'"),
        ("CREATE UNIQUE INDEX i ON t (c) WHERE a > 0", {}, "UNIQUE constraint failed: t.c"),
        ("CREATE INDEX i ON t (json_extract(b, '$.a'))", {"b": "'{'"}, "malformed JSON"),
    ],
)
def test_an_index_that_the_new_rows_do_not_fit_is_refused(
    database: peewee.SqliteDatabase, index: str, columns: dict[str, str], reason: str
) -> None:
    database.execute_sql("UPDATE t SET c = a, b = '{}'")
    database.execute_sql(index)
    before = state(database)
    with database.atomic("IMMEDIATE"):
        with pytest.raises(RowsDoNotFit) as caught:
            rebuild(database, "t", "CREATE TABLE t (a, b TEXT, c)", columns={"c": "'same'", **columns}, drop=["b", "c"])
        assert state(database) == before
    assert str(caught.value) == f"t: its rows do not fit the new definition: {reason}"
    sound(database)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a ANY, b TEXT, c ANY, d INT AS (a) VIRTUAL, e TEXT AS (c), g REAL AS (a)) STRICT",
        "CREATE TABLE t (a, b TEXT, c, d INT AS (c) VIRTUAL)",
        "CREATE TABLE t (a, b TEXT, c, CHECK (main.t.a > 0), CHECK (t.a > 0), CHECK (\"MAIN\" . [T] . 'a' <> 7))",
    ],
)
def test_rows_that_fit_pass(database: peewee.SqliteDatabase, sql: str) -> None:
    rebuild(database, "t", sql)
    assert database.execute_sql("SELECT a, b, c FROM t").fetchall() == [(1, "x", "One"), (2, None, "one")]
    sound(database)


def test_a_table_of_which_no_column_is_kept_keeps_its_rowids(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("UPDATE t SET rowid = rowid + 40")
    rebuild(database, "t", "CREATE TABLE t (x DEFAULT 'new')", drop=["a", "b", "c"])
    assert database.execute_sql("SELECT rowid, x FROM t").fetchall() == [(41, "new"), (42, "new")]


def test_where_nothing_at_all_is_kept_rows_need_a_value_and_no_rows_need_none(database: peewee.SqliteDatabase) -> None:
    sql = "CREATE TABLE t (x TEXT PRIMARY KEY DEFAULT 'new') WITHOUT ROWID"
    before = state(database)
    with pytest.raises(ChangeRefused, match="t: neither a column nor the rowid is kept; give values for"):
        rebuild(database, "t", sql, drop=["a", "b", "c"])
    assert state(database) == before
    rebuild(database, "t", sql, columns={"x": "'of ' || a"}, drop=["b", "c"])
    assert database.execute_sql("SELECT x FROM t").fetchall() == [("of 1",), ("of 2",)]
    database.execute_sql("DELETE FROM t")
    rebuild(database, "t", "CREATE TABLE t (y INT PRIMARY KEY) WITHOUT ROWID", drop=["x"])
    assert database.execute_sql("SELECT count(*) FROM t").fetchone() == (0,)


def test_a_file_that_cannot_grow_is_no_matter_of_rows(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("INSERT INTO t SELECT value, hex(zeroblob(2000)), value FROM json_each('[1,2,3,4,5,6,7,8]')")
    database.pragma("max_page_count", database.pragma("page_count") + 1)
    before = state(database)
    with pytest.raises(Exception, match="database or disk is full") as caught:
        rebuild(database, "t", "CREATE TABLE t (a, b TEXT, c, d)")
    assert not isinstance(caught.value, ChangeRefused)
    assert isinstance(getattr(caught.value, "orig", None), sqlite3.OperationalError)
    assert state(database) == before
