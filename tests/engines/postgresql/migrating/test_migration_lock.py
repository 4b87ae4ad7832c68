"""One run at a time for a history; a run that waits for a lock of a table makes nobody wait for long."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import opened, raw
from tests.support.migrations import python, sql
from tests.support.postgresql_servers import schema_of
from usage_store.engines import engine_of
from usage_store.engines.postgresql.migrating.lock_and_settings import key_of
from usage_store.engines.postgresql.migrating.state_of_a_transaction import read_state
from usage_store.errors import ConfigurationError, DatabaseLocked, MigrationFailed, TransactionOpen
from usage_store.errors.raised_by_a_run import MigrationLocked

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.engines.postgresql.migrating.conftest import Runs
    from usage_store.engines.interface.watch_and_meter import Alone

T = sql("CREATE TABLE t (id integer)", down=["DROP TABLE t"])
OTHER_LOCKS = (
    "SELECT pg_advisory_lock(({key} + 1)::bigint)",
    "SELECT pg_advisory_lock(({key} # (1::bigint << 40))::bigint)",
    "SELECT pg_advisory_lock(({key} >> 32)::integer, ({key}::bit(64) << 32)::bit(32)::integer)",
)


def alone(database: peewee.Database, table: str = "app_migrations") -> AbstractContextManager[Alone]:
    return engine_of(database).migrating.alone(database, table, 0, lambda _: None)


def locks(database: peewee.Database) -> int:
    sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    return int(database.execute_sql(sql).fetchone()[0])


def test_another_run_is_told_who_holds_the_lock(database: peewee.Database, runs: Runs, postgresql_url: str) -> None:
    runner = runs(database, wait=0.1, _001_t=T)
    said: list[str] = []
    asked: list[str] = []
    runner.on_wait = said.append
    database.query_hooks.append(lambda event: asked.append(event.sql))
    key = f"({key_of(schema_of(postgresql_url), 'app_migrations')}::bigint)"
    with opened(postgresql_url) as third, opened(postgresql_url) as other, alone(other):
        for lock in OTHER_LOCKS:
            third.execute_sql(lock.format(key=key))
        (pid,) = other.execute_sql("SELECT pg_backend_pid()").fetchone()
        with pytest.raises(MigrationLocked) as caught:
            runner.migrate()
        message = str(caught.value)
        assert f"another process is migrating this database (pid {pid}, usage-store, connected since 20" in message
        assert "; waited 0.1 s for the lock of " in message
        assert message.endswith(".app_migrations")
        assert caught.value.exit_code == 6
        assert said == ["another process is migrating this database; waiting up to 0.1 s"]
        assert sum("pg_try_advisory_lock" in sql for sql in asked) <= 3  # it asked for 0.1 s, with pauses of 0.05 s
    assert len(runner.migrate()) == 1
    assert locks(database) == 0


def test_a_run_that_cannot_begin_gives_up_the_lock(database: peewee.Database, runs: Runs) -> None:
    database.execute_sql("CREATE TYPE pg_temp.usage_store_guard AS ENUM ()")  # the name of the guard's table
    with pytest.raises(peewee.DatabaseError, match="usage_store_guard"):
        runs(database, _001_t=T).migrate()
    assert locks(database) == 0


def test_another_history_and_another_schema_do_not_wait(database: peewee.Database, postgresql_url: str) -> None:
    with opened(postgresql_url) as other, alone(other, "one"):
        with alone(database, "two"):
            pass
        with pytest.raises(DatabaseLocked), alone(database, "one"):
            pass
        database.execute_sql("SET search_path = public")
        with alone(database, "one"):
            pass


@pytest.mark.parametrize(
    "instead",
    ["SELECT 1", *OTHER_LOCKS],
)
@pytest.mark.parametrize("taken", [False, True], ids=["free", "taken by another"])
def test_a_session_that_does_not_hold_the_lock_is_told_so(
    database: peewee.Database, postgresql_url: str, instead: str, *, taken: bool
) -> None:
    key = f"({key_of(schema_of(postgresql_url), 'app_migrations')}::bigint)"

    def check(ours: Any) -> None:
        with database.atomic():
            state = read_state(database, (), ours.key)  # type: ignore[arg-type]
            ours.require(state.pid, held=state.holds_lock)

    with opened(postgresql_url) as other, alone(database) as ours:
        check(ours)
        database.execute_sql("SELECT pg_advisory_unlock_all()")
        database.execute_sql(instead.format(key=key))
        with (
            alone(other) if taken else nullcontext(),
            pytest.raises(DatabaseLocked, match="gave up the migration lock"),
        ):
            check(ours)
        database.execute_sql("SELECT pg_advisory_unlock_all()")


GIVES_UP = "DO $$ BEGIN EXECUTE 'SELECT pg_advisory_un' || 'lock_all()'; END $$"


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(
    ("statement", "place"),
    [("SELECT pg_advisory_unlock_all()", "002_bad.py, line "), (GIVES_UP, "002_bad.py: GuardTripped: ")],
)
def test_a_migration_that_gave_up_the_lock_is_not_recorded(
    database: peewee.Database, runs: Runs, statement: str, place: str, *, atomic: bool
) -> None:
    body = f'db.execute_sql("CREATE TABLE u (id integer)")\ndb.execute_sql("{statement}")'
    bad = python(body, atomic=atomic)
    with pytest.raises(MigrationFailed, match="the migration gave up an advisory lock that it has not taken") as caught:
        runs(database, _001_t=T, _002_bad=bad, _003_last=sql("CREATE TABLE last (id integer)")).migrate()
    assert str(caught.value).startswith(place)
    assert caught.value.exit_code == 7
    assert database.table_exists("u") is not atomic
    assert not database.table_exists("last")
    assert database.execute_sql("SELECT version FROM app_migrations").fetchall() == [(1,)]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_migration_may_give_up_a_lock_of_its_own(database: peewee.Database, runs: Runs, *, atomic: bool) -> None:
    own = sql("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)", down=None, atomic=atomic)
    assert len(runs(database, _001_own=own, _002_t=T).migrate()) == 2


def test_an_open_transaction_of_the_application_is_refused(database: peewee.Database, runs: Runs) -> None:
    for ended in ("SELECT 1", "ROLLBACK"):  # after the second, it is open for Peewee only
        with database.atomic():
            database.execute_sql(ended)
            with pytest.raises(TransactionOpen, match="a transaction is open"):
                runs(database, _001_t=T).migrate()
    database.execute_sql("BEGIN")
    with pytest.raises(TransactionOpen, match="a transaction is open"):
        runs(database, _001_t=T).migrate()


def test_settings_and_the_guards_table_are_gone_after_a_run(database: peewee.Database, runs: Runs) -> None:
    database.execute_sql("SET client_connection_check_interval = '7s'")
    database.execute_sql("SET lock_timeout = '9s'")
    runs(database, _001_t=T, _002_u=sql("SET lock_timeout = '8s'", "SET DateStyle = German", atomic=False)).migrate()
    settings = "SELECT current_setting('client_connection_check_interval'), current_setting('lock_timeout')"
    assert database.execute_sql(settings).fetchone() == ("7s", "9s")
    assert database.execute_sql(
        "SELECT current_setting('DateStyle'), to_regclass('pg_temp.usage_store_guard')"
    ).fetchone() == (
        "ISO, MDY",
        None,
    )


def test_a_migration_is_repeated_as_a_whole_until_its_lock_is_free(
    database: peewee.Database, runs: Runs, postgresql_url: str
) -> None:
    runs(database, _001_t=T).migrate()
    second = sql("CREATE TABLE before (id integer)", "ALTER TABLE t ADD more text", down=None)
    with raw(postgresql_url) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t")
        timer = threading.Timer(1.5, reader.execute, ("COMMIT",))
        timer.start()
        try:
            assert len(runs(database, wait=30, _001_t=T, _002_u=second).migrate()) == 1
        finally:
            timer.join()
    assert database.execute_sql("SELECT count(*) FROM app_migrations_log").fetchone() == (2,)


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_migration_is_repeated_after_a_conflict_with_others(
    database: peewee.Database, runs: Runs, state: str
) -> None:
    fails = f"if not tries:\n    tries.append(1)\n    db.execute_sql(\"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$\")"
    second = "tries = []\n" + python(f"db.execute_sql('CREATE TABLE before (id integer)')\n{fails}")
    assert len(runs(database, _001_t=T, _002_u=second).migrate()) == 2
    assert database.execute_sql("SELECT count(*) FROM before").fetchone() == (0,)


def test_a_lock_that_is_never_had_is_exit_6_and_nothing_is_left(
    database: peewee.Database, runs: Runs, postgresql_url: str
) -> None:
    runs(database, _001_t=T).migrate()
    second = python('db.execute_sql("CREATE TABLE before (id integer)")\ndb.execute_sql("ALTER TABLE t ADD more text")')
    with raw(postgresql_url) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t")
        with pytest.raises(MigrationLocked) as caught:
            runs(database, wait=0.5, _001_t=T, _002_u=second).migrate()
        reader.execute("ROLLBACK")
    message = str(caught.value)
    assert message.startswith("002_u.py: others were in its way for 0.5 s (LockNotAvailable: ") or "55P03" in message
    assert "statement: ALTER TABLE t ADD more text; rolled back; applied before it: nothing" in message
    assert caught.value.exit_code == 6
    assert not database.table_exists("before")


def test_a_swallowed_lock_timeout_is_repeated_too(database: peewee.Database, runs: Runs, postgresql_url: str) -> None:
    runs(database, _001_t=T).migrate()
    second = python("try:\n    db.execute_sql('ALTER TABLE t ADD more text')\nexcept Exception:\n    pass")
    with raw(postgresql_url) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t")
        timer = threading.Timer(1.2, reader.execute, ("COMMIT",))
        timer.start()
        try:
            runs(database, wait=30, _001_t=T, _002_u=second).migrate()
        finally:
            timer.join()
    assert [column.name for column in database.get_columns("t")] == ["id", "more"]


def test_rows_that_break_a_deferred_key_at_commit_are_the_migrations_error(
    database: peewee.Database, runs: Runs
) -> None:
    tables = sql(
        "CREATE TABLE p (id integer PRIMARY KEY)",
        "CREATE TABLE c (p integer REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO c VALUES (5)",
        down=None,
    )
    with pytest.raises(MigrationFailed, match="violates foreign key constraint"):
        runs(database, _001_t=tables).migrate()
    assert not database.table_exists("p")
    with database.atomic():
        database.execute_sql("CREATE TABLE p (id integer)")


def test_a_server_that_does_not_count_rows_is_refused(database: peewee.Database, runs: Runs) -> None:
    runs(database, _001_t=sql("CREATE TABLE t (id integer)", "INSERT INTO t VALUES (1)")).migrate()
    database.execute_sql("SET track_counts = off")
    runner = runs(database, _002_gone=sql("DELETE FROM t"))
    with pytest.raises(ConfigurationError, match="its setting track_counts is off"):
        runner.migrate()
    assert database.execute_sql("SELECT count(*) FROM t").fetchone() == (1,)
