"""The schema, or some objects of it, is read in a few statements."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from usage_store.engines.interface.schema_differences import Table, differences
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.quick


@pytest.fixture
def memory() -> Iterator[peewee.SqliteDatabase]:
    database = peewee.SqliteDatabase(":memory:")
    database.connect()
    yield database
    database.close()


def read(database: peewee.SqliteDatabase, sql: str) -> Table:
    database.execute_sql("DROP TABLE IF EXISTS t")
    database.execute_sql(sql)
    return read_catalog(database).tables["t"]


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


def test_columns_in_another_order_are_said_so(memory: peewee.SqliteDatabase) -> None:
    memory.execute_sql("CREATE TABLE t (a, b, c)")
    expected = read_catalog(memory)
    read(memory, "CREATE TABLE t (a, c, b)")
    assert differences(expected, read_catalog(memory)) == ["t: its columns are in the order a, c, b; should be a, b, c"]
    assert read_catalog(memory).changed_since(expected).tables.keys() == {"t"}


@pytest.mark.parametrize(
    ("sql", "other", "line"),
    [
        (
            "CREATE TABLE t (a TEXT PRIMARY KEY COLLATE NOCASE) WITHOUT ROWID",
            "CREATE TABLE t (a TEXT COLLATE NOCASE, PRIMARY KEY (a COLLATE BINARY DESC)) WITHOUT ROWID",
            "t: primary key (a collate binary desc) is not from a migration",
        ),
        (
            "CREATE TABLE t (a CONSTRAINT low CHECK (a > 0), CONSTRAINT high CHECK (a < 9))",
            "CREATE TABLE t (a CONSTRAINT high CHECK (a > 0), CONSTRAINT low CHECK (a < 9))",
            "t: constraint high, check (a < 9) is missing",
        ),
    ],
)
def test_what_a_key_goes_by_and_what_a_constraint_is_called_is_told(
    memory: peewee.SqliteDatabase, sql: str, other: str, line: str
) -> None:
    memory.execute_sql(sql)
    expected = read_catalog(memory)
    state = expected.tables["t"].as_models_state()
    assert read(memory, other).as_models_state() == state
    assert line in differences(expected, read_catalog(memory))


def test_what_sqlite_does_not_tell_apart_is_the_same(memory: peewee.SqliteDatabase) -> None:
    plain = read(memory, "CREATE TABLE t (a TEXT COLLATE NOCASE NOT NULL UNIQUE REFERENCES p (x), CHECK (a <> 'Pro'))")
    assert plain == read(
        memory,
        "CREATE TABLE t (a TEXT COLLATE NOCASE NOT NULL ON CONFLICT ABORT REFERENCES p (x) MATCH SIMPLE"
        ' DEFERRABLE INITIALLY IMMEDIATE, CHECK (t."A" <> \'Pro\'), UNIQUE (A COLLATE "NoCase" ASC))',
    )


STRINGS = {
    "a check": ('CREATE TABLE t (a CHECK (a IN ("Pro", "Max")))', "t: CHECK"),
    "a default": ('CREATE TABLE t (a DEFAULT "Pro")', "t.a: default is 'pro', should be 'Pro'"),
    "a default without quotes": ("CREATE TABLE t (a DEFAULT Pro)", "t.a: default is 'pro', should be 'Pro'"),
    "a generated column": ('CREATE TABLE t (a, b AS (a || "Pro"))', "t.b: generated as"),
    "an index": ('CREATE TABLE t (a); CREATE INDEX i ON t (a) WHERE a = "Pro"', "index i is `"),
    "a trigger": (
        'CREATE TABLE t (a); CREATE TRIGGER r AFTER INSERT ON t WHEN NEW.a = "Pro" BEGIN DELETE FROM t; END',
        'trigger r says "pro", should say "Pro"',
    ),
    "a view": (
        'CREATE TABLE t (a); CREATE VIEW v AS SELECT "Pro" AS p, a FROM t',
        'view v says "pro", should say "Pro"',
    ),
}


@pytest.mark.parametrize("name", STRINGS)
def test_a_string_in_double_quotes_keeps_its_case(name: str) -> None:
    script, line = STRINGS[name]
    found = []
    for sql in (script, script.replace("Pro", "pro")):
        with closing(peewee.SqliteDatabase(":memory:")) as database:
            database.connection().executescript(sql)
            found.append(read_catalog(database))
    expected, live = found
    assert [each for each in differences(expected, live) if each.startswith(line)]
    assert live.changed_since(expected) != expected.changed_since(expected)


NAMES = [
    """CREATE TABLE "T" ("Plan" TEXT COLLATE "NoCase", "B" AS (lower("Plan")),
      CHECK ("Plan" <> "T"."B" OR "ROWID" > 1));
    CREATE INDEX "I" ON "T" ("Plan", lower("B")) WHERE "Plan" > 1; CREATE VIEW "V" AS SELECT "Plan" FROM "T";
    CREATE TRIGGER "R" AFTER INSERT ON "T" BEGIN DELETE FROM "T" WHERE "Plan" = NEW."Plan"; END""",
    """CREATE TABLE t (plan TEXT COLLATE nocase, b AS (LOWER([plan])), CHECK (`PLAN` <> b OR rowid > 1));
    CREATE INDEX i ON t (PLAN, lower(b)) WHERE plan > 1; CREATE VIEW v AS SELECT Plan FROM t;
    CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t WHERE plan = new.plan; END""",
]


def test_names_in_double_quotes_are_the_same_in_any_case() -> None:
    found = []
    for sql in NAMES:
        with closing(peewee.SqliteDatabase(":memory:")) as other:
            other.connection().executescript(sql)
            found.append(read_catalog(other))
    assert found[0].tables == found[1].tables
    assert differences(*found) == differences(*reversed(found)) == []


def test_a_name_that_a_renaming_put_into_double_quotes_is_the_same(memory: peewee.SqliteDatabase) -> None:
    memory.connection().executescript(
        "CREATE TABLE t (Name TEXT, CHECK (Name <> ''));"
        "CREATE VIEW v AS SELECT Name FROM t; CREATE INDEX i ON t (Name);"
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t WHERE Name = 'x'; END"
    )
    before = read_catalog(memory)
    for statement in ('RENAME COLUMN "Name" TO "other"', 'RENAME COLUMN "other" TO "Name"'):
        memory.execute_sql(f"ALTER TABLE t {statement}")
    assert differences(before, read_catalog(memory)) == []
