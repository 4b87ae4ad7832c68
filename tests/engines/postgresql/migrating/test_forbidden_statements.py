"""No statement of a migration ends the runner's transaction, outlives it, or changes the runner's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migrations import python, sql
from usage_store.errors import MigrationFailed

if TYPE_CHECKING:
    import peewee

    from tests.engines.postgresql.migrating.conftest import Runs

FIRST = sql("CREATE TABLE first (id integer PRIMARY KEY)", "INSERT INTO first VALUES (1)", down=["DROP TABLE first"])
MAKE = 'db.execute_sql("CREATE TABLE t (a integer)")\n'
COMMITS = "inside a migration: the runner commits, together with the history row"
OWN = "is the runner's own table: a migration must not write to it, alter, drop or hide it"
IMMEDIATE = (
    "SET CONSTRAINTS ALL IMMEDIATE inside a migration also meets the constraint with which the runner guards its "
    "transaction: name the constraints that you mean"
)
OUTLIVES = "inside a migration would outlive it: use SET LOCAL, which ends with the migration"


def refused(runs: Runs, database: peewee.Database, body: str) -> MigrationFailed:
    """Run a migration that must be refused, and see that nothing of it is left."""
    before = settings(database)
    with pytest.raises(MigrationFailed) as caught:
        runs(database, _001_first=FIRST, _002_bad=python(body)).migrate()
    assert "rolled back" in str(caught.value)
    assert not database.table_exists("t")
    assert database.execute_sql("SELECT version FROM app_migrations").fetchall() == [(1,)]
    assert settings(database) == before
    return caught.value


def settings(database: peewee.Database) -> list[tuple[str, str]]:
    names = "'search_path', 'lock_timeout', 'statement_timeout', 'default_transaction_read_only', 'DateStyle', 'role'"
    rows = database.execute_sql(f"SELECT name, setting FROM pg_settings WHERE name IN ({names}) ORDER BY 1").fetchall()
    return [(name, value) for name, value in rows]


@pytest.mark.parametrize(
    ("body", "reason", "line"),
    [
        ('db.execute_sql("COMMIT")', f"COMMIT {COMMITS}", 3),
        ("db.commit()", f"COMMIT {COMMITS}", 3),
        ('db.execute_sql("/* so */ end -- it")', f"END {COMMITS}", 3),
        ('db.execute_sql("COMMIT AND CHAIN")', f"COMMIT {COMMITS}", 3),
        ('db.execute_sql("SELECT 1; COMMIT; BEGIN")', f"COMMIT {COMMITS}", 3),
        ("db.execute_sql(\"PREPARE TRANSACTION 'x'\")", f"PREPARE TRANSACTION {COMMITS}", 3),
        ('db.execute_sql("DO $$ BEGIN COMMIT; END $$")', f"COMMIT or ROLLBACK {COMMITS}", 3),
        ('db.connection().cursor().execute("COMMIT")', f"COMMIT {COMMITS}", 3),
        ('db.execute_sql("ROLLBACK")', f"ROLLBACK {COMMITS}", 3),
        ("db.rollback()", f"ROLLBACK {COMMITS}", 3),
        ('db.execute_sql("ROLLBACK AND CHAIN")', f"ROLLBACK {COMMITS}", 3),
        ('db.execute_sql("ABORT")', f"ABORT {COMMITS}", 3),
        ("db.begin()", f"BEGIN {COMMITS}", 3),
        ('db.execute_sql("START TRANSACTION")', f"START TRANSACTION {COMMITS}", 3),
        (
            'db.execute_sql("ROLLBACK; BEGIN READ WRITE; CREATE TABLE t (a integer)")',
            f"ROLLBACK {COMMITS}",
            3,
        ),
        (
            'db.execute_sql("SELECT 1; ROLLBACK; BEGIN READ WRITE; CREATE TABLE t (a integer)")',
            "a statement of the migration rolled back the transaction of the runner",
            None,
        ),
        (
            'db.execute_sql("SELECT 1; ROLLBACK; CREATE TABLE t (a integer)")',
            "a statement of the migration rolled back the transaction of the runner",
            3,
        ),
        ("db.execute_sql(\"SET search_path = 'pg_catalog'\")", f"SET search_path = 'pg_catalog' {OUTLIVES}", 3),
        ('db.execute_sql("SET SESSION lock_timeout = 0")', f"SET SESSION lock_timeout = 0 {OUTLIVES}", 3),
        ('db.execute_sql("RESET ALL")', f"RESET ALL {OUTLIVES}", 3),
        ('db.execute_sql("DO $$ BEGIN SET statement_timeout = 50000; END $$")', f"statement_timeout {OUTLIVES}", None),
        (
            "db.execute_sql(\"SELECT set_config('search_path', 'pg_catalog', false)\")",
            f"search_path {OUTLIVES}",
            None,
        ),
        (
            'db.execute_sql("SET CONSTRAINTS ALL IMMEDIATE")',
            IMMEDIATE,
            3,
        ),
        (
            "db.execute_sql(\"SELECT * FROM first WHERE 'a' LIKE '%'\")",
            "a % in SQL must be written %%, because the driver takes a single % for the place of a parameter",
            3,
        ),
        (
            'db.execute_sql("INSERT INTO first VALUES (?)", (1,))',
            "the place of a parameter is written %s in SQL for PostgreSQL, not ?",
            3,
        ),
        (
            'db.execute_sql("VACUUM first")',
            "VACUUM cannot run inside a transaction block; a migration with atomic = False runs in no transaction",
            3,
        ),
        ('db.execute_sql("DELETE FROM app_migrations")', f"app_migrations {OWN}", 3),
        ('db.execute_sql("ALTER TABLE app_migrations ADD COLUMN more text")', f"app_migrations {OWN}", 3),
        ('db.execute_sql("TRUNCATE app_migrations_log")', f"app_migrations_log {OWN}", 3),
        ('db.execute_sql("DROP TABLE app_migrations")', f"app_migrations {OWN}", 3),
        ('db.execute_sql("CREATE TEMP TABLE app_migrations (version bigint)")', f"app_migrations {OWN}", 3),
        (
            "db.execute_sql(\"DO $$ BEGIN EXECUTE 'DELETE FROM app_mig' || 'rations'; END $$\")",
            f"app_migrations {OWN}",
            None,
        ),
    ],
)
def test_it_is_refused_with_file_and_line_and_nothing_stays(
    database: peewee.Database, runs: Runs, body: str, reason: str, line: int | None
) -> None:
    error = refused(runs, database, MAKE + body)
    assert str(error).startswith(
        f"002_bad.py, line {line}: {reason};" if line else f"002_bad.py: GuardTripped: {reason};"
    )
    assert error.line == line
    assert "usage-store migrate stamp" not in str(error)


@pytest.mark.parametrize("body", ["db.commit()", "db.rollback()", "db.connection().rollback()"])
def test_what_follows_a_swallowed_refusal_writes_nothing(database: peewee.Database, runs: Runs, body: str) -> None:
    swallowed = f"{MAKE}try:\n    {body}\nexcept Exception:\n    pass\ntry:\n    {MAKE}except Exception:\n    pass"
    error = str(refused(runs, database, swallowed))
    assert COMMITS in error or "a statement of the migration rolled back the transaction of the runner" in error


def test_a_commit_of_the_drivers_connection_is_refused_by_the_server(database: peewee.Database, runs: Runs) -> None:
    assert f"COMMIT {COMMITS}" in str(refused(runs, database, f"{MAKE}db.connection().commit()"))


@pytest.mark.parametrize("rest", ["", MAKE])
def test_the_statement_that_failed_is_named_and_not_the_one_after_it(
    database: peewee.Database, runs: Runs, rest: str
) -> None:
    body = 'try:\n    db.execute_sql("SELECT 1/0")\nexcept Exception:\n    pass\n'
    error = str(refused(runs, database, body + rest))
    assert "an earlier statement failed, and after that the server refuses all others: SELECT 1/0 (" in error
    assert "put a statement that may fail into a block of db.atomic()" in error


def test_what_is_local_or_in_a_savepoint_is_no_fault(database_of_psycopg2: peewee.Database, runs: Runs) -> None:
    body = """
    db.execute_sql("SET LOCAL search_path = pg_catalog")
    db.execute_sql("SET LOCAL lock_timeout = '3s'")
    db.execute_sql("SELECT set_config('DateStyle', 'German', true)")
    try:
        with db.atomic():
            db.execute_sql("SELECT 1/0")
    except Exception:
        pass
    with db.atomic():
        db.execute_sql("SELECT 'a' LIKE '%%'")
    """
    database = database_of_psycopg2
    before = settings(database)
    assert len(runs(database, _001_first=FIRST, _002_local=python(body)).migrate()) == 2
    assert settings(database) == before
    assert runs(database).check() == ((), 0)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("COMMIT", f"COMMIT {COMMITS}"),
        ("ROLLBACK", f"ROLLBACK {COMMITS}"),
        ("SET CONSTRAINTS ALL IMMEDIATE", "name the constraints that you mean"),
        ("SELECT 'a' LIKE '%'", "must be written %%"),
        ("SELECT 1 WHERE 'a' LIKE 'a% b'", "must be written %%"),
    ],
)
def test_it_is_refused_with_the_older_driver_too_and_the_next_run_works(
    database_of_psycopg2: peewee.Database, runs: Runs, statement: str, reason: str
) -> None:
    database = database_of_psycopg2
    assert reason in str(refused(runs, database, f"{MAKE}db.execute_sql({statement!r})"))
    runner = runs(database, _001_first=FIRST, _002_bad=python(MAKE))
    assert [step.migration.version for step in runner.migrate()] == [2]


def test_a_question_mark_for_a_parameter_is_named_with_the_older_driver_too(
    database_of_psycopg2: peewee.Database, runs: Runs
) -> None:
    body = 'db.execute_sql("INSERT INTO first VALUES (?)", (1,))'
    assert "written %s in SQL for PostgreSQL, not ?" in str(refused(runs, database_of_psycopg2, body))
