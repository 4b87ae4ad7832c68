"""The connection of the runner: which connections it refuses, and which settings it restores."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import opened, own, rows
from tests.support.migrations import history, python, runner_of, sql, table, write
from usage_store import errors
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target

pytestmark = pytest.mark.quick


def settings(database: peewee.SqliteDatabase) -> list[int]:
    return [database.pragma(name) for name in ("foreign_keys", "synchronous", "busy_timeout")]


@pytest.mark.parametrize("raw_begin", [False, True])
def test_it_refuses_to_run_inside_an_open_transaction(path: Target, directory: Path, *, raw_begin: bool) -> None:
    with runner_of(path, directory) as runner:
        database = runner.database
        if raw_begin:
            database.execute_sql("BEGIN")
            with pytest.raises(errors.TransactionOpen):
                runner.migrate()
            database.execute_sql("ROLLBACK")
        else:
            with database.atomic(), pytest.raises(errors.TransactionOpen):
                runner.migrate()
        if isinstance(path, str):
            assert database.execute_sql("SHOW lock_timeout").fetchone() == ("5s",)
        else:
            assert settings(database) == [1, 1, 5000]
        assert database.get_tables() == []
        assert len(runner.migrate()) == 3


def test_a_closed_database_is_closed_again_and_an_open_one_stays_open(path: Target, directory: Path) -> None:
    database = own(path)
    runner = MigrationRunner(database, directory, "schema_migrations")
    runner.migrate(1)
    assert database.is_closed()
    runner.status()
    runner.validate()
    runner.plan()
    assert database.is_closed()
    write(directory, {"002_two": sql("no sql")})
    with pytest.raises(errors.MigrationFailed):
        runner.migrate()
    assert database.is_closed()
    with database.connection_context():
        runner.rollback()
        assert not database.is_closed()


@pytest.mark.only_on("sqlite", "settings of a connection")
@pytest.mark.parametrize("before", [(0, 0, 17), (1, 1, 5000), (1, 3, 250)])
def test_the_connections_settings_are_put_back(path: Path, directory: Path, before: tuple[int, int, int]) -> None:
    write(
        directory,
        {
            "002_two": python("""
                db.execute_sql("CREATE TABLE during AS SELECT * FROM pragma_foreign_keys, pragma_synchronous")
            """),
            "003_three": sql("no sql"),
        },
    )
    with runner_of(path, directory, wait=2) as runner:
        for name, value in zip(("foreign_keys", "synchronous", "busy_timeout"), before, strict=True):
            runner.database.pragma(name, value)
        runner.migrate(2)
        assert tuple(settings(runner.database)) == before
        with pytest.raises(errors.MigrationFailed):
            runner.migrate()
        assert tuple(settings(runner.database)) == before
    assert rows(path, "SELECT * FROM during") == [(0, max(2, before[1]))]


def test_two_runners_keep_their_histories_apart_in_one_file(path: Target, directory: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", {"001_first": table("first"), "005_fifth": table("fifth")})
    with opened(path) as database:
        ours, theirs = (
            MigrationRunner(database, directory, "schema_migrations"),
            MigrationRunner(database, other, "other_history"),
        )
        assert len(ours.migrate()) == 3
        assert len(theirs.migrate()) == 2
        assert (ours.status().current_version, theirs.status().current_version) == (3, 5)
        assert ours.validate().ok
        assert theirs.validate().ok
        theirs.rollback(0)
        assert ours.status().current_version == 3
        assert ours.validate().ok
    assert history(path) == [1, 2, 3]
    assert history(path, "other_history") == []


@pytest.mark.parametrize("name", ["", "a b", "x;--", 'a"b', "1a", "main.t"])
def test_a_history_tables_name_is_a_plain_identifier(path: Target, directory: Path, name: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=re.escape(repr(name))):
        MigrationRunner(own(path), directory, name)


def test_a_proxy_is_followed_and_other_engines_are_refused(path: Target, directory: Path) -> None:
    proxy = peewee.DatabaseProxy()
    with pytest.raises(errors.ConfigurationError, match="not initialised"):
        MigrationRunner(proxy, directory)
    with pytest.raises(errors.ConfigurationError, match="MySQLDatabase is not supported"):
        MigrationRunner(peewee.MySQLDatabase("app"), directory)
    proxy.initialize(own(path))
    assert len(MigrationRunner(proxy, directory).migrate()) == 3


def test_a_database_in_memory_is_migrated_too(directory: Path) -> None:
    database = peewee.SqliteDatabase(":memory:")
    with database.connection_context():
        assert len(MigrationRunner(database, directory, "schema_migrations").migrate()) == 3
        assert {"one", "two", "three"} <= set(database.get_tables())
