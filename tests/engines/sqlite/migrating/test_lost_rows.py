"""A migration that loses something without declaring it is rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import contents, dump, rows, script
from tests.support.migrations import migrate_all, python, runner_of, sql, write
from usage_store import MigrationRunner, errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.quick

HOST = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');
CREATE INDEX t_v ON t(v); CREATE TRIGGER t_t AFTER INSERT ON t BEGIN SELECT 1; END;
CREATE TABLE u (id INTEGER PRIMARY KEY, t INTEGER); INSERT INTO u VALUES (1, 1), (2, 2);
CREATE TRIGGER t_d AFTER DELETE ON t BEGIN DELETE FROM u WHERE t = old.id; END;
CREATE VIEW w AS SELECT v FROM t;
"""
REBUILD = (
    "CREATE TABLE n (id INTEGER PRIMARY KEY, v TEXT NOT NULL)",
    "INSERT INTO n SELECT id, v FROM t WHERE {0}",
    "DROP TABLE t",
    "ALTER TABLE n RENAME TO t",
)


@pytest.fixture(params=["wal", "delete"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "app.db"
    script(path, f"PRAGMA journal_mode = {request.param};" + HOST)
    return path


def lost(path: Path, directory: Path, source: str) -> str:
    """Run a migration that loses something, check that it left nothing, and give the message."""
    write(directory, {"001_bad": source})
    before = dump(path)
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed) as caught:
        runner.migrate()
    assert isinstance(caught.value.__cause__, errors.GuardTripped)
    assert dump(path) == before
    return str(caught.value)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (("DELETE FROM u WHERE id = 1",), "u lost 1 of 2 rows"),
        (("DELETE FROM u",), "u lost 2 of 2 rows"),
        (("DELETE FROM t WHERE id = 2",), "u lost 1 of 2 rows"),
        (("REPLACE INTO u SELECT 1, 7", "CREATE UNIQUE INDEX x ON u(t)", "REPLACE INTO u VALUES (3, 2)"), None),
        (("CREATE UNIQUE INDEX x ON u(t)", "UPDATE OR REPLACE u SET t = 1"), "u lost 1 of 2 rows"),
        (("DROP TABLE u",), "u was dropped with 2 rows"),
        (tuple(line.format("id > 1") for line in REBUILD), "t lost 1 of 3 rows"),
        (tuple(line.format("1") for line in REBUILD), "index t_v of t was lost"),
        (tuple(line.format("1") for line in REBUILD), "trigger t_t of t was lost"),
    ],
)
def test_an_undeclared_loss_is_named_and_rolled_back(
    path: Path, tmp_path: Path, statements: tuple[str, ...], said: str | None
) -> None:
    script(path, "DROP VIEW w")
    if said is None:  # one row was replaced and one was added: as many as before
        write(tmp_path / "own", {"001_good": sql(*statements)})
        with runner_of(path, tmp_path / "own") as runner:
            assert len(runner.migrate()) == 1
    else:
        assert said in lost(path, tmp_path / "own", sql(*statements))


def test_a_declared_loss_is_let_through(path: Path, tmp_path: Path) -> None:
    source = "deletes = ('U', 't')\ndrops = ('t_v', 't_t', 't_d')\n"
    body = sql("DROP VIEW w", "DROP TABLE u", *(line.format("id > 1") for line in REBUILD))
    write(tmp_path / "own", {"001_meant": source + body})
    migrate_all(path, tmp_path / "own")
    assert rows(path, "SELECT id FROM t") == [(2,), (3,)]


def test_what_a_drop_of_its_own_removes_needs_no_declaration(path: Path, tmp_path: Path) -> None:
    statements = ("DROP INDEX t_v", "DROP TRIGGER t_t", "DROP VIEW w", "CREATE TABLE empty (a)", "DROP TABLE empty")
    write(tmp_path / "own", {"001_drop": sql(*statements)})
    with runner_of(path, tmp_path / "own") as runner:
        assert len(runner.migrate()) == 1


def test_a_renamed_table_is_not_lost(path: Path, tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_rename": sql("ALTER TABLE t RENAME TO renamed")})
    with runner_of(path, tmp_path / "own") as runner:
        assert len(runner.migrate()) == 1
    assert rows(path, "SELECT count(*) FROM renamed") == [(3,)]


AWAY = ("ALTER TABLE t RENAME TO old", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
DROPPED_AND_MADE_AGAIN = (
    "ALTER TABLE c RENAME TO old",
    "DROP TABLE old",
    "CREATE TABLE y (a)",
    "INSERT INTO y VALUES (1), (2), (3), (4), (5)",
)
ROWS_FOLLOWED = """
CREATE TABLE a (x); INSERT INTO a VALUES (1), (2), (3); CREATE TABLE b (x); INSERT INTO b VALUES (1), (2), (3), (4);
CREATE TABLE c (x); INSERT INTO c VALUES (1), (2), (3), (4), (5);
"""


@pytest.fixture(params=["wal", "delete", "auto_vacuum", "memory"])
def followed(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[peewee.SqliteDatabase]:
    """Give a database with tables to rename; with auto_vacuum, the root pages of its tables move."""
    path = tmp_path / "followed.db"
    mode = request.param
    database = peewee.SqliteDatabase(":memory:" if mode == "memory" else str(path))
    database.connect()
    database.connection().executescript(
        f"PRAGMA auto_vacuum = {int(mode == 'auto_vacuum')}; "
        f"PRAGMA journal_mode = {'delete' if mode == 'delete' else 'wal'}; " + ROWS_FOLLOWED + HOST
    )
    database.connection().executescript("DROP VIEW w; DROP TRIGGER t_t; DROP INDEX t_v")
    yield database
    database.close()


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ((*AWAY, "DROP TABLE old"), "t lost 3 of 3 rows"),
        ((*AWAY, "INSERT INTO t SELECT * FROM old WHERE id > 1", "DROP TABLE old"), "t lost 1 of 3 rows"),
        ((*AWAY, "DELETE FROM old"), "t, now old, lost 3 of 3 rows"),
        (("ALTER TABLE t RENAME TO old", "DELETE FROM old", "ALTER TABLE old RENAME TO t"), "t lost 3 of 3 rows"),
        (("ALTER TABLE a RENAME TO z", "ALTER TABLE b RENAME TO a", "DROP TABLE z"), "a was dropped with 3 rows"),
        (DROPPED_AND_MADE_AGAIN, "c was dropped with 5 rows"),
        ((*DROPPED_AND_MADE_AGAIN, "ALTER TABLE y RENAME TO z"), "c was dropped with 5 rows"),
        (("DROP TABLE c", "CREATE TABLE y AS SELECT 1 FROM b, b AS d"), "c was dropped with 5 rows"),
        (("CREATE TABLE IF NOT EXISTS a (x)", "DELETE FROM a"), "a lost 3 of 3 rows"),
        (("CREATE TEMP TABLE a AS SELECT * FROM main.b", "DELETE FROM main.a"), "a lost 3 of 3 rows"),
    ],
)
def test_rows_are_followed_and_not_names(
    followed: peewee.SqliteDatabase, tmp_path: Path, statements: tuple[str, ...], said: str
) -> None:
    if said.startswith("c"):  # a new table gets the rowid of the dropped last table, which is c
        followed.connection().executescript("DROP TABLE t; DROP TABLE u")
    directory = write(tmp_path / "own", {"001_bad": sql(*statements)})
    before = contents(followed.connection())
    with pytest.raises(errors.MigrationFailed, match=said):
        MigrationRunner(followed, directory).migrate()
    assert contents(followed.connection()) == before


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE a RENAME TO z", "ALTER TABLE b RENAME TO a", "ALTER TABLE z RENAME TO b"),
        ("ALTER TABLE a RENAME TO z", "CREATE TABLE a (x)"),
        (*AWAY, "INSERT INTO t SELECT * FROM old", "DROP TABLE old"),
        tuple(line.format("1") for line in REBUILD),
        ("CREATE TABLE e (x)", "DROP TABLE e", "ALTER TABLE c RENAME TO e", *(line.format("1") for line in REBUILD)),
        ("ALTER TABLE u RENAME TO x", *(line.format("1") for line in REBUILD)),
    ],
)
def test_renamed_swapped_and_rebuilt_tables_are_not_lost(
    followed: peewee.SqliteDatabase, tmp_path: Path, statements: tuple[str, ...]
) -> None:
    followed.execute_sql("DROP TRIGGER t_d")
    directory = write(tmp_path / "own", {"001_good": sql(*statements)})
    assert len(MigrationRunner(followed, directory).migrate()) == 1


def test_down_may_drop_and_delete_by_statement_but_not_by_side_effect(path: Path, tmp_path: Path) -> None:
    files = {
        "001_rows": sql("INSERT INTO u VALUES (9, 9)", down=["DELETE FROM u WHERE id = 9"]),
        "002_table": sql("CREATE TABLE x (a)", "INSERT INTO x VALUES (1)", down=["DROP TABLE x"]),
        "003_bad": sql(down=["DELETE FROM t WHERE id = 1"]),
    }
    write(tmp_path / "own", files)
    with runner_of(path, tmp_path / "own") as runner:
        runner.migrate()
        with pytest.raises(errors.MigrationFailed, match="u lost 1 of 3 rows"):
            runner.rollback()
        script(path, "DROP TRIGGER t_d")
        assert len(runner.rollback(0)) == 3
    assert rows(path, "SELECT count(*) FROM u") == [(2,)]


@pytest.mark.parametrize("names", ["'t'", "('t', 1)", "{'t': 1, 2: 3}", "None", "5"])
def test_a_declaration_that_is_no_tuple_of_names_is_refused(path: Path, tmp_path: Path, names: str) -> None:
    write(tmp_path / "own", {"001_bad": f"deletes = {names}\n" + python("pass")})
    with runner_of(path, tmp_path / "own") as runner, pytest.raises(errors.MalformedMigration, match="tuple of names"):
        runner.migrate()
