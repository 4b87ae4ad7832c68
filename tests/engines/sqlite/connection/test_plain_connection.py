"""Settings that an application made on its connection do not disturb the runner, and are restored after it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.pool import PooledSqliteDatabase

from tests.support.databases import close_for_good, raw, rows
from tests.support.driver import sqlite3
from tests.support.migrations import THREE, python, sql, table, write
from tests.support.projects import model
from usage_store.migrate import MigrationRunner
from usage_store.migrate.create_from_models import generate
from usage_store.migrate.rehearse import rehearse

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "own", THREE)


Set = Callable[[sqlite3.Connection], None]


def by_name(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {name: value for (name, *_), value in zip(cursor.description, row, strict=True)}


tells_its_authorizer = pytest.mark.skipif(
    sqlite3.Connection.__module__ != "sqlite3", reason="only Python's own driver tells its authorizer"
)


def deny_all(*_: Any) -> int:
    return sqlite3.SQLITE_DENY


SETTINGS: dict[str, Set] = {
    "rows by name": lambda connection: setattr(connection, "row_factory", sqlite3.Row),
    "rows as dicts": lambda connection: setattr(connection, "row_factory", by_name),
    "texts as bytes": lambda connection: setattr(connection, "text_factory", bytes),
    "texts reversed": lambda connection: setattr(connection, "text_factory", lambda raw: raw.decode()[::-1]),
    "an implicit BEGIN": lambda connection: setattr(connection, "isolation_level", "IMMEDIATE"),
    "an authorizer": lambda connection: connection.set_authorizer(deny_all),
}
FILES = {
    "001_one": table("one"),
    "002_two": python("db.execute_sql(\"INSERT INTO one (title) VALUES ('a')\")", "pass", atomic=False),
    "003_three": sql("CREATE TABLE three AS SELECT title FROM one", down=["DROP TABLE three"]),
}


def settings(connection: sqlite3.Connection) -> list[Any]:
    return [connection.row_factory, connection.text_factory, connection.isolation_level]


def every_call(database: peewee.SqliteDatabase, directory: Path, path: Path) -> None:
    runner = MigrationRunner(database, directory, "schema_migrations", on_wait=lambda _: None)
    assert runner.check() == ((), 3)
    assert [len(planned.statements) for planned in runner.plan()] == [1, 1, 1]
    assert len(runner.migrate(2)) == 2
    assert rehearse(runner).ok
    assert len(runner.migrate()) == 1
    assert runner.check() == ((), 0)
    assert [str(row) for row in runner.status().applied_migrations] == list(FILES)
    with runner.connected():
        assert [(entry.version, entry.source) for entry in runner.log.entries()] == [
            (version, source) for version, source in enumerate(FILES.values(), 1)
        ]
        backup = runner.records.engine.copies.back_up_alone(database, 3, wait=0, on_wait=lambda _: None)
    assert rows(backup, "SELECT title FROM three") == [("a",)]
    assert runner.validate().problems == ()
    assert len(runner.rollback()) == 1
    assert len(runner.stamp(3)) == 1
    assert "CREATE TABLE" in generate(database, [model("three", title=peewee.TextField())]).source
    assert rows(path, "SELECT version, name FROM schema_migrations") == [(1, "one"), (2, "two"), (3, "three")]
    with raw(path) as connection:
        for file in FILES:
            connection.execute("INSERT INTO migratehistory (name, migrated_at) VALUES (?, '2026-01-02')", (file,))
    adopting = MigrationRunner(database, directory, "adopted")
    assert "usage-store migrate adopt peewee_migrate" in str(adopting.check()[0][0])
    assert [migration.version for migration in adopting.adopt("peewee_migrate")] == [1, 2, 3]


@pytest.mark.parametrize("kind", [peewee.SqliteDatabase, PooledSqliteDatabase])
@pytest.mark.parametrize("name", [*list(SETTINGS)[:-1], pytest.param("an authorizer", marks=tells_its_authorizer)])
def test_every_call_works_and_leaves_what_is_set(
    path: Path, tmp_path: Path, name: str, kind: type[peewee.SqliteDatabase]
) -> None:
    with raw(path) as connection:
        connection.execute("CREATE TABLE migratehistory (id INTEGER PRIMARY KEY, name TEXT, migrated_at TEXT)")

    class Database(kind):  # type: ignore[valid-type,misc]
        def _add_conn_hooks(self, conn: Any) -> None:
            super()._add_conn_hooks(conn)
            SETTINGS[name](conn)

    database = Database(str(path))
    database.connect()
    before = settings(database.connection())
    every_call(database, write(tmp_path / "own", FILES), path)
    assert settings(database.connection()) == before
    if name == "an authorizer":
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            database.connection().execute("SELECT 1")
    close_for_good(database)


@tells_its_authorizer
def test_an_authorizer_is_off_for_a_run_and_a_line_says_so(
    path: Path, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[tuple[object, ...]] = []

    def ask(*question: object) -> int:
        asked.append(question)
        return sqlite3.SQLITE_OK

    database = peewee.SqliteDatabase(str(path))
    database.connect()
    connection = database.connection()
    connection.set_trace_callback(ask)  # the same function: it stays where it is
    connection.set_authorizer(ask)
    with caplog.at_level(logging.INFO, "usage_store.migrate"):
        MigrationRunner(database, directory).migrate()
    assert [line for line in caplog.messages if "authorizer" in line] == [
        "the connection's authorizer is off while this package works with it"
    ]
    assert {len(question) for question in asked} == {1}, "only the trace callback was called"
    connection.execute("SELECT 1 AS one")
    assert len(asked[-2]) == 5
    assert asked[-1] == ("SELECT 1 AS one",)
    database.close()


def test_nothing_is_said_of_an_authorizer_that_is_not_there(
    path: Path, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "usage_store.migrate"):
        MigrationRunner(peewee.SqliteDatabase(str(path)), directory).migrate()
    assert "authorizer" not in caplog.text


def test_looking_within_a_transaction_of_the_application_does_not_commit_it(path: Path, directory: Path) -> None:
    database = peewee.SqliteDatabase(str(path))
    database.connect()
    database.execute_sql("CREATE TABLE kept (a)")
    database.connection().isolation_level = "DEFERRED"
    database.execute_sql("INSERT INTO kept VALUES (1)")
    assert MigrationRunner(database, directory).status().pending_count == 3
    assert database.connection().in_transaction
    database.rollback()
    assert rows(path, "SELECT * FROM kept") == []
    database.close()


def test_a_connection_that_a_migration_makes_anew_is_plain_for_the_next_one(path: Path, tmp_path: Path) -> None:
    class Database(peewee.SqliteDatabase):
        def _add_conn_hooks(self, conn: Any) -> None:
            super()._add_conn_hooks(conn)  # type: ignore[misc]
            conn.row_factory = by_name

    files = {"001_anew": python("db.close()\ndb.connect()", atomic=False), "002_two": table("two")}
    runner = MigrationRunner(Database(str(path)), write(tmp_path / "own", files))
    assert len(runner.migrate()) == 2


def test_a_progress_handler_of_the_application_stays(path: Path, directory: Path) -> None:
    calls: list[None] = []
    database = peewee.SqliteDatabase(str(path))
    database.connect()
    database.connection().set_progress_handler(lambda: calls.append(None), 1)
    MigrationRunner(database, directory).migrate()
    calls.clear()
    database.execute_sql("SELECT count(*) FROM one")
    assert calls
    database.close()
