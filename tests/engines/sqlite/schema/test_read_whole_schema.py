"""The schema is read in a few statements, all of it or some objects of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog

if TYPE_CHECKING:
    import peewee

pytestmark = pytest.mark.quick


def test_some_objects_are_read_as_they_are_in_the_whole_schema(database: peewee.SqliteDatabase) -> None:
    whole = read_catalog(database)
    assert whole.tables
    assert whole.others
    for name, table in whole.tables.items():
        found = read_catalog(database, only={name})
        assert found.tables == {name: table}
        assert found.others == {key: other for key, other in whole.others.items() if other[1] == name}
    for name, other in whole.others.items():
        assert read_catalog(database, only=[name]).others[name] == other
    assert read_catalog(database, only={*whole.tables, *whole.others}) == whole


def test_what_is_not_there_and_nothing_at_all_are_an_empty_schema(database: peewee.SqliteDatabase) -> None:
    for only in ({"nothing"}, set[str]()):
        found = read_catalog(database, only=only)
        assert (found.tables, found.others) == ({}, {})


def test_many_tables_take_no_more_statements_than_one(database: peewee.SqliteDatabase) -> None:
    statements: list[str] = []
    counts = []
    for tables in (1, 300):
        with database.atomic():
            for number in range(tables):
                database.execute_sql(f"CREATE TABLE many_{tables}_{number} (id INTEGER PRIMARY KEY, a TEXT UNIQUE)")
        database.connection().set_trace_callback(lambda sql: None if sql.startswith("-- ") else statements.append(sql))
        statements.clear()
        read_catalog(database)
        read_catalog(database, only={f"many_300_{number}" for number in range(300)})
        database.connection().set_trace_callback(None)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_a_temporary_table_does_not_hide_the_one_that_is_read(database: peewee.SqliteDatabase) -> None:
    whole = read_catalog(database)
    database.execute_sql("CREATE TEMP TABLE torture (other)")
    assert read_catalog(database) == whole
