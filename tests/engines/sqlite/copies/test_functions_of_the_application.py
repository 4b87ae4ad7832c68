"""Copies have the application's functions and collations; objects that need others are left out and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.pool import PooledSqliteDatabase

from tests.support.commands import called
from tests.support.databases import close_for_good, raw, rows, script
from tests.support.migrations import python, sql, write
from tests.support.projects import model
from usage_store.engines import connected
from usage_store.engines.sqlite.connection.second_connection import second_connection
from usage_store.engines.sqlite.copies import back_up_rows, empty_copy, whole_copy
from usage_store.errors import ConfigurationError
from usage_store.migrate import MigrationRunner
from usage_store.migrate.create_from_models import generate
from usage_store.migrate.rehearse import rehearse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.quick

TABLE = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL COLLATE german CHECK (slug(a) <> ''), "
    "b TEXT AS (slug(a)) VIRTUAL, c TEXT NOT NULL AS (slug(a)) STORED, UNIQUE (a))"
)
TABLE = """
CREATE TABLE t (
    id INTEGER PRIMARY KEY, a TEXT NOT NULL COLLATE german CHECK (slug(a) <> ''), b TEXT AS (slug(a)) VIRTUAL,
    c TEXT NOT NULL AS (slug(a)) STORED, UNIQUE (a)
)
""".strip()
UP = (
    TABLE,
    "CREATE INDEX t_slug ON t (slug(a)) WHERE slug(a) <> 'z'",
    "CREATE VIEW v AS SELECT total_of(id) AS n FROM t",
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT slug(NEW.a); END",
    "INSERT INTO t (a) VALUES ('X'), ('y')",
)
FILES = {"001_t": sql(*UP, down=["DROP TABLE t", "DROP VIEW v"])}
MORE = {"002_more": sql("UPDATE t SET a = a || '2'", down=["UPDATE t SET a = substr(a, 1, 1)"])}


def order(one: str, other: str) -> int:
    return (one.lower() > other.lower()) - (one.lower() < other.lower())


def slug(text: str | None) -> str | None:
    return None if text is None else text.lower()


class Total:
    """An aggregate and window function."""

    def __init__(self) -> None:
        self.total = 0

    def step(self, value: int) -> None:
        self.total += value

    def inverse(self, value: int) -> None:
        self.total -= value

    def value(self) -> int:
        return self.total

    finalize = value


def registered(path: Path, kind: type[peewee.SqliteDatabase] = peewee.SqliteDatabase) -> peewee.SqliteDatabase:
    database = kind(str(path))
    database.register_collation(order, "german")
    database.register_function(slug, "slug", 1, deterministic=True)
    database.register_aggregate(Total, "total_of", 1)
    database.register_window_function(Total, "running", 1)
    return database


def pooled(path: Path) -> peewee.SqliteDatabase:
    return registered(path, PooledSqliteDatabase)


def hooked(path: Path) -> peewee.SqliteDatabase:
    class Hooked(peewee.SqliteDatabase):
        def _add_conn_hooks(self, conn: Any) -> None:
            super()._add_conn_hooks(conn)  # type: ignore[misc]
            conn.create_collation("german", order)
            conn.create_function("slug", 1, slug, deterministic=True)

        def _initialize_connection(self, conn: Any) -> None:
            conn.create_aggregate("total_of", 1, Total)
            conn.create_window_function("running", 1, Total)

    return Hooked(str(path))


KINDS: dict[str, Callable[[Path], peewee.SqliteDatabase]] = {
    "registered": registered,
    "in a pool": pooled,
    "in hooks": hooked,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_works_on_a_schema_that_needs_them(path: Path, tmp_path: Path, kind: str) -> None:
    directory = write(tmp_path / "own", FILES)
    database = KINDS[kind](path)
    runner = MigrationRunner(database, directory, on_wait=lambda _: None)
    assert len(runner.plan()[0].statements) == len(UP)
    assert rehearse(runner).ok
    assert len(runner.migrate()) == 1
    assert runner.check() == ((), 0)
    report = runner.validate(full=True)
    assert (report.problems, report.notices) == ((), ())
    write(directory, MORE)
    assert [planned.statements for planned in runner.plan()] == [("UPDATE t SET a = a || '2'",)]
    assert rehearse(runner).ok
    assert len(runner.migrate()) == 1
    assert len(runner.rollback(0)) == 2
    assert len(list(path.parent.glob("*.backup"))) == 1
    close_for_good(database)


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_second_connections_have_them(path: Path, kind: str) -> None:
    database = KINDS[kind](path)
    with connected(database):
        for statement in UP:
            database.execute_sql(statement)
        query = "SELECT n, (SELECT max(running(id)) OVER () FROM t LIMIT 1) IS NULL FROM v"
        for copy in (second_connection(database), whole_copy(database, None, None), empty_copy(database)):
            with copy as second:
                second.execute_sql(query).fetchall()
                assert {"t", "t_slug", "v", "r"} <= {
                    name for (name,) in second.execute_sql("SELECT name FROM sqlite_master")
                }
        assert back_up_rows(database, 1) is not None
    close_for_good(database)


def test_a_migration_is_written_from_models_beside_such_tables(path: Path) -> None:
    database = registered(path)
    with connected(database):
        for statement in UP:
            database.execute_sql(statement)
        assert "CREATE TABLE" in generate(database, [model("more", n=peewee.IntegerField())]).source


def test_a_model_may_use_them_and_one_whose_table_cannot_be_compared_is_refused(path: Path) -> None:
    make_by_hand(path, "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a TEXT NOT NULL CHECK (slug(a) > ''))")
    checked = model("t", a=peewee.TextField(constraints=[peewee.Check("slug(a) > ''")]))
    database = registered(path)
    with connected(database):
        assert generate(database, [checked]).empty
    plain = peewee.SqliteDatabase(str(path))
    with connected(plain), pytest.raises(ConfigurationError, match=r"^t: this table cannot be made in memory"):
        generate(plain, [model("t", a=peewee.TextField())])


def make_by_hand(path: Path, *statements: str) -> None:
    with raw(path) as connection:
        connection.create_collation("german", order)
        connection.create_function("slug", 1, slug, deterministic=True)
        for statement in statements:
            connection.execute(statement)


def with_an_unknown_module(path: Path) -> None:
    script(
        path,
        "PRAGMA writable_schema = ON; "
        "INSERT INTO sqlite_master VALUES ('table', 'vec', 'vec', 0, 'CREATE VIRTUAL TABLE vec USING vec0(e)')",
    )


LEFT_OUT = {
    "table t (no such collation sequence: german": ("CREATE TABLE t (a TEXT UNIQUE COLLATE german)",),
    "table t (no such function: slug": ("CREATE TABLE t (a TEXT CHECK (slug(a) > ''))", "CREATE INDEX i ON t (a)"),
    "index i (no such function: slug": ("CREATE TABLE t (a TEXT)", "CREATE INDEX i ON t (slug(a))"),
}


@pytest.mark.parametrize("line", LEFT_OUT)
def test_what_needs_a_function_that_nobody_registered_is_left_out_and_named_once(
    path: Path, tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_by_hand(path, *LEFT_OUT[line])
    database = peewee.SqliteDatabase(str(path))
    runner = MigrationRunner(database, write(tmp_path / "own", {"001_one": sql("CREATE TABLE one (a)")}))
    assert runner.plan()[0].statements == ("CREATE TABLE one (a)",)
    assert caplog.messages == [
        (
            f"left out of the empty copy: {line}; use the application's own database object, which registers what "
            "is missing)"
        )
    ]
    with connected(database):
        assert "CREATE TABLE" in generate(database, [model("more", n=peewee.IntegerField())]).source


def test_so_is_a_virtual_table_whose_module_is_unknown(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with_an_unknown_module(path)
    runner = MigrationRunner(
        peewee.SqliteDatabase(str(path)), write(tmp_path / "own", {"001_one": sql("CREATE TABLE one (a)")})
    )
    assert len(runner.plan()) == 1
    assert "table vec (no such module: vec0" in caplog.text
    assert len(runner.migrate()) == 1
    assert runner.validate().ok


NEEDS = {
    "a collation": ("CREATE TABLE t (a TEXT UNIQUE COLLATE german)",),
    "a key's collation": ("CREATE TABLE t (a TEXT PRIMARY KEY COLLATE german) WITHOUT ROWID",),
    "a foreign key's collation": (
        "CREATE TABLE t (a TEXT UNIQUE COLLATE german)",
        "CREATE TABLE child (a TEXT REFERENCES t(a))",
    ),
    "a check's function": ("CREATE TABLE t (a TEXT CHECK (slug(a) > ''))",),
    "a virtual column's function": ("CREATE TABLE t (a TEXT, b TEXT AS (slug(a)))",),
    "an index's function": ("CREATE TABLE t (a TEXT)", "CREATE INDEX i ON t (a) WHERE slug(a) > ''"),
}


@pytest.mark.parametrize("need", NEEDS)
def test_the_command_line_does_with_such_a_database_what_sqlite_can(path: Path, tmp_path: Path, need: str) -> None:
    make_by_hand(path, *NEEDS[need], "INSERT INTO t (a) VALUES ('x')", "CREATE TABLE full (a)")
    script(path, "INSERT INTO full VALUES (1)")
    up = ("CREATE TABLE one (a)", "UPDATE full SET a = 2")
    write(tmp_path / "own", {"001_one": sql(*up, down=["UPDATE full SET a = 1", "DROP TABLE one"])})
    words = ("--database", path, "--directory", "own", "--table", "history")
    for command, code in (
        (("plan",), 0),
        (("rehearse",), 0),
        (("status",), 0),
        (("check",), 1),
        ((), 0),
        (("check",), 0),
        (("validate",), 0),
        (("backup",), 0),
        (("plan", "0"), 0),
        (("rollback", "0"), 0),
    ):
        done = called(*command, *words, cwd=tmp_path)
        assert (command, done.returncode, done.stderr) == (command, code, done.stderr)
        assert "corrupt" not in done.stdout + done.stderr
    assert rows(path, "SELECT * FROM history") == []
    backup = next(path.parent.glob("*.backup"))
    done = called("restore", backup, *words[:2], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(path, "SELECT a FROM full") == [(2,)]


def test_nothing_that_is_attached_at_connecting_can_be_written_through_a_copy(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    script(other, "CREATE TABLE kept (a); INSERT INTO kept VALUES (1)")

    class Attaching(peewee.SqliteDatabase):
        def _add_conn_hooks(self, conn: Any) -> None:
            super()._add_conn_hooks(conn)  # type: ignore[misc]
            conn.execute("ATTACH ? AS other", (str(other),))

    files = {"001_one": sql("CREATE TABLE one (a)"), "002_other": python('db.execute_sql("DELETE FROM other.kept")')}
    runner = MigrationRunner(Attaching(str(path)), write(tmp_path / "own", files), backup=False)
    assert rehearse(runner).failures
    assert rows(other, "SELECT a FROM kept") == [(1,)]


def test_a_set_up_that_asks_for_tables_does_not_keep_copies_from_being_made(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script(path, "CREATE TABLE options (name, value); INSERT INTO options VALUES ('size', 7)")

    class Asking(peewee.SqliteDatabase):
        def _add_conn_hooks(self, conn: Any) -> None:
            super()._add_conn_hooks(conn)  # type: ignore[misc]
            conn.execute("SELECT value FROM options")
            conn.execute("CREATE TABLE IF NOT EXISTS made_at_connecting (a)")

    database = Asking(str(path))
    database.register_function(slug, "slug", 1, deterministic=True)
    files = {"001_one": sql("CREATE TABLE one (a CHECK (slug(a) > ''))", down=["DROP TABLE one"])}
    runner = MigrationRunner(database, write(tmp_path / "own", files))
    assert len(runner.plan()) == 1
    assert caplog.messages == [
        "a copy is used without the settings that Asking makes when it connects: no such table: options"
    ]
    assert rehearse(runner).ok
    assert len(runner.migrate()) == 1
    with connected(database):
        assert back_up_rows(database, 1) is not None
    close_for_good(database)


def test_what_is_made_at_connecting_is_there_once(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Making(peewee.SqliteDatabase):
        def _add_conn_hooks(self, conn: Any) -> None:
            super()._add_conn_hooks(conn)  # type: ignore[misc]
            conn.execute("CREATE TABLE IF NOT EXISTS made (a)")

    runner = MigrationRunner(Making(str(path)), write(tmp_path / "own", {"001_one": sql("ALTER TABLE made ADD b")}))
    assert len(runner.migrate()) == 1
    assert len(runner.plan(0)) == 1
    assert caplog.messages == []
