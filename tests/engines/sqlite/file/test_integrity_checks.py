"""Only damage is reported as damage: neither what a connection cannot check, nor SQLite's false alarms."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import PAGE, overwrite, raw, script
from tests.support.migrations import runner_of, sql, table, write
from usage_store import errors
from usage_store.engines import connected
from usage_store.engines.sqlite.copies.back_up import back_up
from usage_store.engines.sqlite.file.integrity_checks import damage, first_damage, violations
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.quick

KEY_LAST = "title TEXT NOT NULL, note TEXT, name TEXT PRIMARY KEY) WITHOUT ROWID"


@pytest.fixture
def database(path: Path) -> Iterator[peewee.SqliteDatabase]:
    with closing(peewee.SqliteDatabase(str(path))) as database:
        database.connect()
        yield database


def forget_not_null(database: peewee.SqliteDatabase, table: str) -> None:
    """Make a column with NULLs NOT NULL, as by editing the schema by hand."""
    database.execute_sql("PRAGMA writable_schema = ON")
    database.execute_sql("UPDATE sqlite_master SET sql = replace(sql, '/**/', 'NOT NULL') WHERE name = ?", (table,))
    database.close()
    database.connect()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", ["t", "a.b", 'q"uote', "it's"])
def test_a_sound_table_whose_key_comes_last_is_not_called_corrupt(
    database: peewee.SqliteDatabase, name: str, *, full: bool
) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    database.execute_sql(f"CREATE TABLE {quoted} ({KEY_LAST}")
    database.execute_sql(f"INSERT INTO {quoted} VALUES ('x', NULL, 'n'), ('y', NULL, 'o')")
    assert damage(database, full=full, most=10) == []


@pytest.mark.parametrize("names", ["az", "za"])
def test_a_null_that_is_there_is_found_among_those_that_are_not(database: peewee.SqliteDatabase, names: str) -> None:
    for name in names:  # SQLite may check either of two tables first
        columns = "value TEXT /**/)" if name == "z" else KEY_LAST
        database.execute_sql(f"CREATE TABLE {name} ({columns}")
    database.execute_sql("INSERT INTO a VALUES ('x', NULL, 'n'), ('x', NULL, 'o')")
    database.execute_sql("INSERT INTO z VALUES (NULL), ('there')")
    forget_not_null(database, "z")
    for most in (1, 2, 10):
        assert damage(database, most=most) == ["NULL value in z.value"]
    assert first_damage(database) == "NULL value in z.value"


def test_what_is_said_of_a_table_without_rowid_is_damage_where_it_is_so(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("CREATE TABLE t (title TEXT /**/, name TEXT PRIMARY KEY) WITHOUT ROWID")
    database.execute_sql("INSERT INTO t VALUES (NULL, 'n')")
    forget_not_null(database, "t")
    found = damage(database)
    assert found in ([], ["NULL value in t.title"]), "some versions of SQLite look at another column"


def test_a_database_with_such_a_table_is_migrated_validated_and_backed_up(path: Path, tmp_path: Path) -> None:
    files = {
        "001_t": sql(f"CREATE TABLE t ({KEY_LAST}", "INSERT INTO t VALUES ('x', NULL, 'n')", down=["DROP TABLE t"])
    }
    runner = MigrationRunner(peewee.SqliteDatabase(str(path)), write(tmp_path / "own", files))
    assert len(runner.migrate()) == 1
    assert runner.validate(full=True).ok
    assert back_up(path, 1).exists()
    assert len(runner.rollback()) == 1


@pytest.mark.parametrize("kind", ["fts3", "fts4", "fts5"])
def test_a_full_text_table_that_may_only_be_read_is_not_called_corrupt(
    database: peewee.SqliteDatabase, kind: str
) -> None:
    database.execute_sql(f"CREATE VIRTUAL TABLE t USING {kind}(a)")
    database.execute_sql("INSERT INTO t VALUES ('some words')")
    database.pragma("query_only", 1)
    assert damage(database, full=True) == []


def order(one: str, other: str) -> int:
    return (one > other) - (one < other)


NEEDS = {
    "an index's collation": ("a TEXT", "CREATE INDEX i ON t (a COLLATE german)"),
    "a key's collation": ("a TEXT COLLATE german UNIQUE", ""),
    "a check's collation": ("a TEXT CHECK (a > '' COLLATE german)", ""),
    "a check's function": ("a TEXT CHECK (slug(a) <> '')", ""),
    "a virtual column's function": ("a TEXT, b TEXT AS (slug(a))", ""),
    "an index's function": ("a TEXT", "CREATE INDEX i ON t (slug(a))"),
    "a partial index's function": ("a TEXT", "CREATE INDEX i ON t (a) WHERE slug(a) <> ''"),
}


def make(path: Path, columns: str, *more: str) -> None:
    with raw(path) as connection:
        connection.create_collation("german", order)
        connection.create_function("slug", 1, str, deterministic=True)
        connection.execute("CREATE TABLE other (n INTEGER)")
        connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})")
        for statement in more:
            connection.execute(statement)
        connection.execute("INSERT INTO t (a) VALUES ('x'), ('y')")


@pytest.mark.parametrize("need", NEEDS)
def test_a_table_that_this_connection_cannot_check_is_named_and_is_no_damage(path: Path, need: str) -> None:
    make(path, *NEEDS[need])
    with closing(peewee.SqliteDatabase(str(path))) as database:
        said: list[str] = []
        assert damage(database, full=True, most=5, on_unchecked=said.append) == []
        (line,) = said
        assert line.startswith("t was not checked: ")
        assert "german" in line or "slug" in line
        assert line.endswith("; use the application's own database object, which registers what is missing")
        assert first_damage(database) is None


def test_the_other_tables_are_checked_all_the_same(path: Path) -> None:
    make(path, *NEEDS["a key's collation"])
    with closing(peewee.SqliteDatabase(str(path))) as database:
        database.execute_sql("CREATE TABLE z (value TEXT /**/)")
        database.execute_sql("INSERT INTO z VALUES (NULL)")
        forget_not_null(database, "z")
        assert damage(database) == ["NULL value in z.value"]


def test_damage_is_damage_whatever_the_connection_lacks(path: Path) -> None:
    make(path, *NEEDS["a key's collation"])
    script(path, "CREATE TABLE filled AS SELECT hex(randomblob(3000)) AS a FROM (SELECT 1 UNION ALL SELECT 2)")
    overwrite(path, path.stat().st_size - 2 * PAGE, b"\xff" * 2 * PAGE)
    with closing(peewee.SqliteDatabase(str(path))) as database:
        assert first_damage(database)


def test_a_foreign_key_that_this_connection_cannot_check_is_named_and_no_violation(path: Path) -> None:
    make(path, *NEEDS["a key's collation"])
    script(
        path,
        "CREATE TABLE child (a TEXT REFERENCES t(a)); INSERT INTO child VALUES ('x');"
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
        "CREATE TABLE orphan (a INTEGER REFERENCES parent); INSERT INTO orphan VALUES (7)",
    )
    with closing(peewee.SqliteDatabase(str(path))) as database:
        said: list[str] = []
        found = violations(database, on_unchecked=said.append)
        assert found == {"orphan has rows that refer to missing rows in parent": 1}
        assert [line.partition(":")[0] for line in said] == ["the foreign keys of child were not checked"]


def test_validate_gives_it_as_a_notice(path: Path, tmp_path: Path) -> None:
    make(path, *NEEDS["a check's function"])
    runner = MigrationRunner(peewee.SqliteDatabase(str(path)), write(tmp_path / "own", {"001_a": sql()}))
    report = runner.validate()
    assert report.ok
    assert any(notice.startswith("t was not checked: unknown function: slug()") for notice in report.notices)


def test_a_run_says_it_once(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(path, *NEEDS["a check's function"])
    files = {"001_a": sql("CREATE TABLE a (a)"), "002_b": sql("CREATE TABLE b (b)")}
    assert len(MigrationRunner(peewee.SqliteDatabase(str(path)), write(tmp_path / "own", files)).migrate()) == 2
    assert [line for line in caplog.messages if "not checked" in line] == [
        (
            "t was not checked: unknown function: slug(); use the application's own database object, which registers "
            "what is missing"
        )
    ]


def test_a_function_that_may_stand_in_no_index_is_no_damage(path: Path) -> None:
    make(path, *NEEDS["an index's function"])
    database = peewee.SqliteDatabase(str(path))
    database.register_function(str, "slug", 1)  # not deterministic, so SQLite cannot read the schema
    with (
        pytest.raises(
            errors.DatabaseUnreadable, match=r"non-deterministic functions prohibited.*; use the application's own"
        ),
        connected(database),
    ):
        first_damage(database)


def test_an_attached_database_is_not_checked_for_this_one(database: peewee.SqliteDatabase, tmp_path: Path) -> None:
    other: Any = tmp_path / "other.db"
    database.attach(str(other), "other")
    database.execute_sql("CREATE TABLE other.z (value TEXT /**/)")
    database.execute_sql("INSERT INTO other.z VALUES (NULL)")
    database.execute_sql("PRAGMA writable_schema = ON")
    database.execute_sql("UPDATE other.sqlite_master SET sql = replace(sql, '/**/', 'NOT NULL')")
    database.close()
    database.connect()
    assert damage(database) == []


def test_a_full_text_index_that_does_not_fit_its_text_is_no_damage_of_the_file(path: Path, tmp_path: Path) -> None:
    script(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a');"
        "CREATE VIRTUAL TABLE k USING fts4(v, content='t'); CREATE VIRTUAL TABLE f USING fts5(v, content='t');",
    )
    write(tmp_path / "own", {"001_one": table("one")})
    with runner_of(path, tmp_path / "own") as runner:
        assert len(runner.migrate()) == 1
        assert runner.validate(full=True).ok
