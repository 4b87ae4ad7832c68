"""One context manager for all writes: it raises the first error, and no transaction stays open."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import raw, rows, script
from tests.support.migrations import table, write
from usage_store import MigrationRunner, UsageSession, init_database, insert_usage_snapshots, register_sessions
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.errors import MigrationLocked

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"001_one": table("one"), "002_two": table("two")}


def lose_one(database: peewee.Database | peewee.DatabaseProxy) -> None:
    with write_transaction(database):
        UsageSession.register("lost")
        raise ZeroDivisionError


@pytest.mark.parametrize("nested", [False, True])
def test_a_commit_that_finds_the_database_locked_is_a_lock_error_and_is_rolled_back(
    tmp_path: Path, *, nested: bool
) -> None:
    # Without a WAL, a reader keeps a writer from committing.
    database = peewee.SqliteDatabase(str(tmp_path / "usage.db"), timeout=0)
    with closing(database), raw(tmp_path / "usage.db") as reader:
        init_database(database)
        database.connect(reuse_if_open=True)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM usage_sessions").fetchall()

        def register() -> None:
            if nested:
                with write_transaction(database):
                    UsageSession.register("s")
            else:
                UsageSession.register("s")

        with pytest.raises(peewee.OperationalError, match=r"^database is locked$"):
            register()
        assert not database.in_transaction()
        assert not database.connection().in_transaction
        reader.execute("COMMIT")
        register()
    assert rows(tmp_path / "usage.db", "SELECT session_id FROM usage_sessions") == [("s",)]


def test_a_migration_whose_commit_finds_the_database_locked_is_told_as_locked(tmp_path: Path) -> None:
    directory = write(tmp_path / "own", FILES)
    database = peewee.SqliteDatabase(str(tmp_path / "app.db"))
    script(tmp_path / "app.db", "CREATE TABLE host (a); INSERT INTO host VALUES (1)")
    with closing(database), raw(tmp_path / "app.db") as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM host").fetchall()
        with pytest.raises(MigrationLocked, match="another process holds the database's lock"):
            MigrationRunner(database, directory, "history", wait=0, backup=False).migrate()
        reader.execute("COMMIT")
        assert len(MigrationRunner(database, directory, "history", wait=0, backup=False).migrate()) == 2


def test_what_was_to_be_called_after_a_commit_that_failed_is_forgotten(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "usage.db"), timeout=0)
    called: list[str] = []
    with closing(database):
        init_database(database)
        database.connect(reuse_if_open=True)

        def lose(name: str) -> None:
            with write_transaction(database):
                database.after_commit(lambda: called.append(name))
                database.connection().execute("ROLLBACK")  # as SQLite does by itself on a full disk
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            lose("lost")
        with write_transaction(database):
            database.after_commit(lambda: called.append("kept"))
    assert called == ["kept"]


def test_a_block_within_a_block_is_undone_alone(tmp_path: Path) -> None:
    with closing(init_database(tmp_path / "usage.db")) as database, database.atomic():
        UsageSession.register("kept")
        with pytest.raises(ZeroDivisionError):
            lose_one(database)
        UsageSession.register("kept too")
    assert [one.session_id for one in UsageSession.select()] == ["kept", "kept too"]


def test_a_block_in_a_transaction_that_a_statement_began_is_a_part_of_it(tmp_path: Path) -> None:
    with closing(init_database(tmp_path / "usage.db")) as database:
        database.execute_sql("BEGIN")
        assert insert_usage_snapshots([]) == 0
        assert register_sessions(["a", "b"]) == 2
        database.execute_sql("ROLLBACK")
    assert rows(tmp_path / "usage.db", "SELECT * FROM usage_sessions") == []


def test_a_block_that_fails_where_the_host_commits_by_hand_leaves_no_transaction_open(tmp_path: Path) -> None:
    with closing(init_database(tmp_path / "usage.db")) as database, database.manual_commit():
        with pytest.raises(ZeroDivisionError):
            lose_one(database)
        assert not database.connection().in_transaction
        UsageSession.register("kept")
    assert rows(tmp_path / "usage.db", "SELECT session_id FROM usage_sessions") == [("kept",)]
