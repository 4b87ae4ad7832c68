"""A migration with `atomic = False` loses nothing undeclared, and leaves nothing invalid behind in silence."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import raw
from tests.support.migrations import python, sql
from usage_store.errors import MigrationFailed

if TYPE_CHECKING:
    import peewee

    from tests.engines.postgresql.migrating.conftest import Runs

START = sql(
    "CREATE TABLE parent (id integer PRIMARY KEY, name text)",
    "CREATE TABLE child (id integer, parent integer REFERENCES parent ON DELETE CASCADE)",
    "CREATE TABLE loose (parent integer REFERENCES parent ON DELETE SET NULL)",
    "CREATE TABLE whole (id integer, size integer) PARTITION BY RANGE (id)",
    "CREATE TABLE part PARTITION OF whole DEFAULT",
    "INSERT INTO parent VALUES (1, 'a'), (2, 'a')",
    "INSERT INTO child VALUES (1, 1), (2, 1)",
)
ASIDE = [  # what is invalid in another schema
    "CREATE TEMP TABLE aside (id integer CHECK (id > 0)) PARTITION BY RANGE (id)",
    "CREATE TEMP TABLE aside_part PARTITION OF aside DEFAULT",
    "CREATE INDEX ON ONLY aside (id)",
    "ALTER TABLE aside ADD CHECK (id < 9) NOT VALID",
]
CANNOT = "in a migration with atomic = False, which cannot be rolled back; if that is meant, declare deletes = "


def run(runs: Runs, database: peewee.Database, *statements: str, head: str = "") -> None:
    source = head + sql(*statements, down=None, atomic=False)
    runs(database, _001_start=START, _002_outside=source).migrate()


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("DELETE FROM child", f"DELETE of child {CANNOT}('child',)"),
        ("WITH gone AS (DELETE FROM ONLY child RETURNING 1) SELECT 1", f"DELETE of child {CANNOT}('child',)"),
        ("TRUNCATE TABLE child", f"TRUNCATE of child {CANNOT}('child',)"),
        ('DROP TABLE IF EXISTS "child", parent', f"DROP TABLE of child {CANNOT}('child',)"),
        ("DO $$ BEGIN DELETE FROM child; END $$", f"DELETE of child {CANNOT}('child',)"),
        (
            "ALTER TABLE parent DROP COLUMN name",
            f"ALTER TABLE that drops a column of parent.name {CANNOT}('parent.name',)",
        ),
        (
            "MERGE INTO child USING parent ON child.id = parent.id WHEN MATCHED THEN DELETE",
            f"DELETE of child {CANNOT}('child',)",
        ),
        ("DELETE FROM whole", f"DELETE of part {CANNOT}('part',)"),
        ("TRUNCATE whole", f"TRUNCATE of part {CANNOT}('part',)"),
        ("DROP TABLE whole", f"DROP TABLE of part {CANNOT}('part',)"),
        (
            "ALTER TABLE whole DROP COLUMN size",
            f"ALTER TABLE that drops a column of whole.size {CANNOT}('whole.size',)",
        ),
        ("DELETE FROM app_migrations", "app_migrations is the runner's own table"),
        ("CREATE INDEX more ON app_migrations (name)", "app_migrations is the runner's own table"),
    ],
)
def test_an_undeclared_loss_is_refused_before_it_happens(
    database: peewee.Database, runs: Runs, statement: str, refused: str
) -> None:
    with pytest.raises(MigrationFailed) as caught:
        run(runs, database, "CREATE TABLE kept (id integer)", statement)
    assert str(caught.value).startswith(f"002_outside.py, line 5: {refused}")
    assert "it ran with atomic = False, so its effects stay" in str(caught.value)
    assert database.table_exists("kept")
    assert database.execute_sql("SELECT count(*) FROM child").fetchone() == (2,)


def test_rows_that_go_along_by_a_cascade_must_be_declared_too(database: peewee.Database, runs: Runs) -> None:
    with pytest.raises(MigrationFailed, match="DELETE of child in a migration with atomic = False"):
        run(runs, database, "DELETE FROM parent", head='deletes = ("parent",)\n')
    declares = 'deletes = ("parent", "child")\n'
    run(runs, database, "DELETE FROM parent", head=declares)
    with pytest.raises(MigrationFailed, match="TRUNCATE of loose in a migration with atomic = False"):
        runs(database, _003_more=declares + sql("TRUNCATE parent CASCADE", atomic=False)).migrate()


@pytest.mark.parametrize("table", ["child", "kid"])
def test_a_renamed_table_may_be_declared_by_either_name(database: peewee.Database, runs: Runs, table: str) -> None:
    renames, drops = "ALTER TABLE child RENAME TO kid", "ALTER TABLE kid DROP COLUMN id"
    with pytest.raises(MigrationFailed, match=r"drops a column of kid\.id in a migration with atomic = False"):
        run(runs, database, renames, drops, "ALTER TABLE kid RENAME TO child", head=f'deletes = ("{table}",)\n')
    database.execute_sql("ALTER TABLE kid RENAME TO child")
    run(runs, database, renames, "DELETE FROM kid", drops, head=f'deletes = ("{table}", "{table}.id")\n')
    assert database.execute_sql("SELECT * FROM kid").fetchall() == []


def test_a_column_of_all_parts_may_be_declared_as_inside_a_transaction(database: peewee.Database, runs: Runs) -> None:
    run(runs, database, "ALTER TABLE whole DROP COLUMN size", head='deletes = ("part.size",)\n')
    assert runs(database).check() == ((), 0)


def test_a_migration_that_swallowed_its_refusal_is_not_recorded(database: peewee.Database, runs: Runs) -> None:
    swallows = python("try:\n    db.execute_sql('DELETE FROM child')\nexcept Exception:\n    pass", atomic=False)
    with pytest.raises(MigrationFailed, match="DELETE of child in a migration with atomic = False"):
        runs(database, _001_start=START, _002_outside=swallows).migrate()
    assert database.execute_sql("SELECT version FROM app_migrations").fetchall() == [(1,)]


def test_a_hidden_change_of_the_runners_own_table_is_not_recorded(database: peewee.Database, runs: Runs) -> None:
    with pytest.raises(MigrationFailed, match="app_migrations is the runner's own table"):
        run(runs, database, "DO $$ BEGIN EXECUTE 'ALTER TABLE app_' || 'migrations ADD more text'; END $$")
    assert database.execute_sql("SELECT version FROM app_migrations").fetchall() == [(1,)]


def test_an_index_that_failed_is_named_and_the_rerun_works_once_it_is_dropped(
    database: peewee.Database, runs: Runs
) -> None:
    make = "CREATE UNIQUE INDEX CONCURRENTLY by_name ON parent (name)"
    named = "the index by_name of parent is invalid: DROP INDEX by_name, and create it again"
    with pytest.raises(MigrationFailed) as caught:
        run(runs, database, make)
    assert named in str(caught.value)
    with pytest.raises(MigrationFailed, match=named):
        run(runs, database, make.replace("by_name ON", "IF NOT EXISTS by_name ON"))
    database.execute_sql("UPDATE parent SET name = id::text")
    for atomic in (True, False):
        passes_over = sql("CREATE INDEX IF NOT EXISTS by_name ON parent (name)", down=None, atomic=atomic)
        with pytest.raises(MigrationFailed, match=named):
            runs(database, _001_start=START, _002_outside=passes_over).migrate()
    run(runs, database, "DROP INDEX CONCURRENTLY IF EXISTS by_name", make)
    assert runs(database).check() == ((), 0)


def test_a_constraint_that_is_not_validated_is_named(database: peewee.Database, runs: Runs) -> None:
    adds = "ALTER TABLE child ADD CONSTRAINT small CHECK (id < 9) NOT VALID"
    refers = "ALTER TABLE child ADD CONSTRAINT known FOREIGN KEY (id) REFERENCES parent NOT VALID"
    needs = "ALTER TABLE child ADD CONSTRAINT needed NOT NULL id NOT VALID"
    validates = "ALTER TABLE child VALIDATE CONSTRAINT small"
    with pytest.raises(MigrationFailed, match=f"the constraint small of child is NOT VALID: {validates}") as caught:
        run(runs, database, adds, refers, needs)
    assert "the constraint known of child is NOT VALID" in str(caught.value)
    assert "the constraint needed of child is NOT VALID" in str(caught.value)
    for name in ("small", "known", "needed"):
        database.execute_sql(f"ALTER TABLE child DROP CONSTRAINT {name}")
    run(runs, database, adds, validates)
    database.execute_sql(adds.replace("small", "large"))
    assert len(runs(database, _003_aside=sql(*ASIDE, atomic=False)).migrate()) == 1


def test_a_transaction_left_open_is_rolled_back_and_named(database: peewee.Database, runs: Runs) -> None:
    with pytest.raises(MigrationFailed, match="it left a transaction open, which was rolled back"):
        run(runs, database, "BEGIN", "CREATE TABLE gone (id integer)")
    assert not database.table_exists("gone")


def test_transactions_and_settings_of_its_own_are_allowed(database: peewee.Database, runs: Runs) -> None:
    makes = ["CREATE TABLE kept (id integer, more text)", "ALTER TABLE kept DROP COLUMN more", "DELETE FROM kept"]
    merges = "MERGE INTO child USING parent ON child.id = parent.id WHEN MATCHED THEN UPDATE SET id = 9"
    looks = "SELECT count(*) FROM app_migrations"
    run(runs, database, "BEGIN", *makes, "COMMIT", merges, looks, "SET search_path = pg_catalog")
    assert database.table_exists("kept")
    assert runs(database).check() == ((), 0)


def test_a_new_connection_of_the_migration_takes_the_lock_again(database: peewee.Database, runs: Runs) -> None:
    body = "db.close()\ndb.connect()\ndb.execute_sql('CREATE TABLE kept (id integer)')"
    third = sql("CREATE TABLE third (id integer)")
    runner = runs(database, _001_start=START, _002_again=python(body, atomic=False), _003_third=third)
    assert len(runner.migrate()) == 3


def test_an_index_waits_for_an_old_transaction_and_another_statement_runs_again(
    database: peewee.Database, runs: Runs, postgresql_url: str
) -> None:
    makes = "CREATE INDEX CONCURRENTLY by_name ON parent (name)"
    shows = "CREATE TABLE timeout_{} AS SELECT current_setting('lock_timeout') AS value"
    with raw(postgresql_url) as reader:
        runs(database, _001_start=START).migrate()
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT * FROM parent")
        timer = threading.Timer(1.5, reader.execute, ("COMMIT",))
        timer.start()
        try:
            run(runs, database, shows.format("before"), makes, shows.format("after"))
        finally:
            timer.join()
        timeouts = "SELECT b.value, a.value FROM timeout_before AS b, timeout_after AS a"
        assert database.execute_sql(timeouts).fetchone() == ("1s", "1s")  # nobody waits for longer behind it
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM parent")
        timer = threading.Timer(1.5, reader.execute, ("COMMIT",))
        timer.start()
        third = sql("ALTER TABLE parent ADD more text", down=None, atomic=False)
        try:
            assert len(runs(database, _003_third=third).migrate()) == 1
        finally:
            timer.join()
