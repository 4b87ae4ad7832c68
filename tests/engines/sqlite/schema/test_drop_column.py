"""Dropping a column also drops, if asked, what belongs to it alone, and nothing that other columns need."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.torture import run, sound, state
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.schema.schema_operations import migrator_for
from usage_store.errors import ImpossibleChange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import peewee

pytestmark = pytest.mark.quick

JOB = """CREATE TABLE job (owner INTEGER, -- whose
  id INTEGER PRIMARY KEY, name TEXT UNIQUE, code TEXT, a INT, b INT, boss INT, low INT,
  FOREIGN KEY (owner) REFERENCES owner (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT a_b UNIQUE (a, b), FOREIGN KEY (boss) REFERENCES job (id), CONSTRAINT own UNIQUE (code),
  CONSTRAINT lowest CHECK ("low" > 0), FOREIGN KEY (a, b) REFERENCES pair (x, y))"""
OPTIONS: list[dict[str, Any]] = [{"cascade": True}, {"legacy": True}]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[peewee.SqliteDatabase]:
    database: peewee.SqliteDatabase = open_database(tmp_path / "columns.db")
    database.pragma("foreign_keys", 0)
    for sql in (
        "CREATE TABLE owner (id INTEGER PRIMARY KEY)",
        JOB,
        "CREATE INDEX job_owner ON job (owner)",
        "CREATE UNIQUE INDEX job_lower ON job (lower(owner)) WHERE owner > 0",
        "CREATE INDEX job_owner_name ON job (owner, name)",
        "CREATE INDEX job_other ON job (name, id)",
        "CREATE INDEX job_boss ON job (boss)",
        "CREATE TABLE one (a INT, b INT, c INT)",
        "CREATE UNIQUE INDEX one_a_b ON one (a, b)",
        "CREATE UNIQUE INDEX one_b ON one (b)",
        "CREATE INDEX one_c ON one (c)",
        "INSERT INTO job VALUES (1, 1, 'x', 'c', 1, 2, NULL, 5), (NULL, 7, 'y', NULL, 3, 4, 1, 6)",
    ):
        database.execute_sql(sql)
    yield database
    database.close()


def indexes(database: peewee.SqliteDatabase, table: str) -> list[str]:
    rows = database.execute_sql(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL ORDER BY 1", (table,)
    ).fetchall()
    return [name for (name,) in rows]


@pytest.mark.parametrize("options", OPTIONS, ids=["cascade", "legacy"])
def test_a_column_goes_with_its_indexes_and_its_foreign_key(
    database: peewee.SqliteDatabase, options: dict[str, Any]
) -> None:
    run(database, lambda m: m.drop_column("job", "OWNER", **options))
    assert indexes(database, "job") == ["job_boss", "job_other"]
    keys = database.execute_sql('SELECT "table", "from" FROM pragma_foreign_key_list(\'job\')').fetchall()
    assert sorted(keys) == [("job", "boss"), ("pair", "a"), ("pair", "b")]
    rows = database.execute_sql("SELECT * FROM job ORDER BY id").fetchall()
    assert rows == [(1, "x", "c", 1, 2, None, 5), (7, "y", None, 3, 4, 1, 6)]
    sound_but_for_the_pair(database)


def sound_but_for_the_pair(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("CREATE TABLE pair (x INT, y INT, PRIMARY KEY (x, y))")
    database.execute_sql("INSERT INTO pair VALUES (1, 2), (3, 4)")
    database.execute_sql("INSERT INTO owner VALUES (1)")
    sound(database)


@pytest.mark.parametrize("options", OPTIONS, ids=["cascade", "legacy"])
@pytest.mark.parametrize("column", ["name", "code"])
def test_a_column_goes_with_the_unique_that_is_its_alone(
    database: peewee.SqliteDatabase, column: str, options: dict[str, Any]
) -> None:
    before = database.execute_sql("SELECT id, a, b, low FROM job").fetchall()
    run(database, lambda m: m.drop_column("job", column, **options))
    assert column not in [row.name for row in database.get_columns("job")]
    assert database.execute_sql("SELECT id, a, b, low FROM job").fetchall() == before
    assert {"job_owner", "job_boss", "job_lower"} <= {*indexes(database, "job")}
    sound_but_for_the_pair(database)


@pytest.mark.parametrize("options", OPTIONS, ids=["cascade", "legacy"])
@pytest.mark.parametrize(
    ("table", "column", "users"),
    [
        ("job", "a", "table job"),
        ("job", "low", "table job"),
        ("job", "id", "index job_other, table job"),
        ("owner", "id", "table job"),
    ],
)
def test_a_column_does_not_go_while_a_rule_over_others_or_another_table_uses_it(
    database: peewee.SqliteDatabase, table: str, column: str, users: str, options: dict[str, Any]
) -> None:
    before = state(database)
    with pytest.raises(ImpossibleChange, match=f"column '{column}' cannot be dropped; in use by") as caught:
        run(database, lambda m: m.drop_column(table, column, **options))
    assert {*users.split(", ")} >= {*str(caught.value).rpartition("in use by ")[2].split(", ")}
    assert state(database) == before


def test_an_index_that_is_unique_over_other_columns_goes_as_in_playhouse_only_and_a_warning_says_so(
    database: peewee.SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ImpossibleChange, match=re.escape("what helps: drop_index('one', 'one_a_b') before it")):
        run(database, lambda m: m.drop_column("one", "a", cascade=True))
    assert indexes(database, "one") == ["one_a_b", "one_b", "one_c"]
    run(database, lambda m: m.drop_column("one", "a", legacy=True))
    assert indexes(database, "one") == ["one_b", "one_c"]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "one: index one_a_b was dropped with column a"
    ]


@pytest.mark.parametrize(
    ("column", "helps"),
    [
        ("boss", "drop_index('job', 'job_boss') and drop_foreign_key_constraint('job', 'boss') before it or "),
        ("c", "drop_index('one', 'one_c') before it or "),
        ("name", ""),
        ("code", ""),
    ],
)
def test_the_refusal_names_the_calls_that_help(database: peewee.SqliteDatabase, column: str, helps: str) -> None:
    table = "one" if column == "c" else "job"
    cascade = f"drop_column('{table}', '{column}', cascade=True)"
    with pytest.raises(ImpossibleChange) as caught:
        run(database, lambda m: m.drop_column(table, column))
    assert str(caught.value).endswith(f"; what helps: {helps}{cascade}")

    migrator = migrator_for(database)
    first = helps.removesuffix(" before it or ").split(" and ")
    for call in [*first, f"drop_column('{table}', '{column}')"] if helps else [cascade]:
        eval(f"migrator.{call}.run()", {"migrator": migrator})  # what a person would do
    assert column not in [row.name for row in database.get_columns(table)]


def test_a_check_in_double_quotes_is_seen_and_does_not_become_a_string(database: peewee.SqliteDatabase) -> None:
    for options in OPTIONS:
        with pytest.raises(ImpossibleChange, match="in use by table job"):
            run(database, lambda m, options=options: m.drop_column("job", "low", **options))  # type: ignore[misc]


def test_the_first_column_and_the_only_one(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("CREATE TABLE first (a UNIQUE /* its */, -- note\n b, c)")
    run(database, lambda m: m.drop_column("first", "a", cascade=True))
    assert [row.name for row in database.get_columns("first")] == ["b", "c"]
    database.execute_sql("CREATE TABLE only (a UNIQUE, CHECK (1))")
    with pytest.raises(ImpossibleChange, match="only: column 'a' cannot be dropped; it is the only column"):
        run(database, lambda m: m.drop_column("only", "a", cascade=True))
