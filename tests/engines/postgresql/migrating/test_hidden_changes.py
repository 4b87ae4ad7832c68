"""What a function or block of a migration changes is found at its end, although no statement's text names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migrations import python, sql
from usage_store.errors import MigrationFailed

if TYPE_CHECKING:
    import peewee

    from tests.engines.postgresql.migrating.conftest import Runs

FIRST = sql("CREATE TABLE first (id integer PRIMARY KEY)")
OF_THE_RUNNER = {
    "a row inserted": "INSERT INTO app_migrations SELECT version + 5, name, applied_at FROM app_migrations",
    "a row updated": "UPDATE app_migrations SET version = 7",
    "a row deleted": "DELETE FROM app_migrations",
    "emptied": "TRUNCATE app_migrations",
    "owner": "ALTER TABLE app_migrations OWNER TO pg_monitor",
    "rights": "GRANT SELECT ON app_migrations TO pg_monitor",
    "storage": "ALTER TABLE app_migrations SET (fillfactor = 50)",
    "security of rows": "ALTER TABLE app_migrations ENABLE ROW LEVEL SECURITY",
    "trigger": (
        "CREATE TRIGGER t BEFORE UPDATE ON app_migrations FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "rule": "CREATE RULE r AS ON DELETE TO app_migrations DO INSTEAD NOTHING",
    "check": "ALTER TABLE app_migrations ADD CHECK (version < 99)",
    "new column": "ALTER TABLE app_migrations ADD COLUMN more text",
    "name of a column": "ALTER TABLE app_migrations RENAME COLUMN name TO title",
    "type of a column": "ALTER TABLE app_migrations ALTER COLUMN name TYPE varchar(99)",
    "NOT NULL": "ALTER TABLE app_migrations ALTER COLUMN name DROP NOT NULL",
    "dropped": "DROP TABLE app_migrations",
    "renamed": "ALTER TABLE app_migrations RENAME TO other",
    "hidden": "CREATE TEMP TABLE app_migrations (version bigint)",
}
SETTINGS = {
    "search_path": "pg_catalog",
    "role": "pg_monitor",
    "session_replication_role": "replica",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "lock_timeout": "7ms",
    "statement_timeout": "70s",
    "idle_in_transaction_session_timeout": "70s",
    "client_encoding": "LATIN1",
    "client_min_messages": "error",
    "standard_conforming_strings": "off",
    "check_function_bodies": "off",
    "row_security": "off",
    "synchronous_commit": "local",
    "default_tablespace": "pg_default",
    "DateStyle": "German",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Tokyo",
    "bytea_output": "escape",
    "xmloption": "document",
}


def failure(runs: Runs, database: peewee.Database, body: str) -> str:
    with pytest.raises(MigrationFailed) as caught:
        runs(database, _001_first=FIRST, _002_bad=python(body)).migrate()
    assert database.execute_sql("SELECT version, name FROM app_migrations").fetchall() == [(1, "first")]
    return str(caught.value)


@pytest.mark.parametrize("change", OF_THE_RUNNER)
def test_a_change_of_the_runners_tables(database: peewee.Database, runs: Runs, change: str) -> None:
    text = OF_THE_RUNNER[change].replace("app_migrations", "app_' || 'migrations")
    said = failure(runs, database, f"db.execute_sql(\"DO $$ BEGIN EXECUTE '{text}'; END $$\")")
    assert "app_migrations is the runner's own table: a migration must not write to it, alter, drop or hide it" in said


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_the_session(database: peewee.Database, runs: Runs, name: str) -> None:
    before = database.execute_sql(f"SHOW {name}").fetchone()
    said = failure(runs, database, f"db.execute_sql(\"DO $$ BEGIN SET {name} = '{SETTINGS[name]}'; END $$\")")
    assert f"{name} inside a migration would outlive it: use SET LOCAL" in said
    assert database.execute_sql(f"SHOW {name}").fetchone() == before


@pytest.mark.parametrize("driver", ["database", "database_of_psycopg2"])
def test_a_migration_may_run_as_another_role(request: pytest.FixtureRequest, runs: Runs, driver: str) -> None:
    database = request.getfixturevalue(driver)
    as_another = sql("SET LOCAL ROLE pg_monitor", "CREATE TEMP TABLE t (id integer)", "DROP TABLE t", down=None)
    assert len(runs(database, _001_first=FIRST, _002_role=as_another, _003_last=sql("SELECT 1")).migrate()) == 3
    assert database.execute_sql("SELECT current_user = session_user").fetchone() == (True,)
