"""The tables that the migrations make on a PostgreSQL server: their rules, their defaults, and the models' own DDL."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.databases import opened, raw
from tests.support.events import apply
from tests.support.postgresql_servers import new_schema, schema_of
from tests.support.programs import run_python
from usage_store.migrate.files.migrations_folder import usage_tables
from usage_store.models import MODELS, UsageConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from tests.support.databases import Target

pytestmark = pytest.mark.usefixtures("usage_database")
FROZEN = sorted(Path(usage_tables().directory).glob("[0-9]*.postgresql.py"))
SNAPSHOT = "INSERT INTO usage_snapshots (session_id, snapshot_data"
REFUSED = [
    ("INSERT INTO usage_sessions (session_id) VALUES ('')", "23514"),
    (f"INSERT INTO usage_sessions (session_id) VALUES ('{'x' * 1001}')", "23514"),
    ("INSERT INTO usage_sessions (session_id) VALUES (NULL)", "23502"),
    ("INSERT INTO usage_sessions (session_id) VALUES ('s')", "23505"),
    (f"{SNAPSHOT}) VALUES ('other', '1')", "23503"),
    (f"{SNAPSHOT}) VALUES ('s', NULL)", "23502"),
    (f"{SNAPSHOT}) VALUES ('s', 'no json')", "22P02"),
    (f"{SNAPSHOT}) VALUES ('s', '12:')", "22P02"),
    (f"{SNAPSHOT}) VALUES ('s', '123456789012:12345678')", "22P02"),
    (f"{SNAPSHOT}, snapshot_type) VALUES ('s', '1', 'other')", "23514"),
    (f"{SNAPSHOT}, timestamp) VALUES ('s', '1', -1)", "23514"),
    (f"{SNAPSHOT}, timestamp) VALUES ('s', '1', 100000000000)", "23514"),
    ("INSERT INTO usage_config DEFAULT VALUES", "23505"),
    ("UPDATE usage_config SET is_active = 2", "23514"),
    ("UPDATE usage_config SET plan = 'free'", "23514"),
    ("UPDATE usage_config SET view = 'yearly'", "23514"),
    ("UPDATE usage_config SET time_format = '36h'", "23514"),
    ("UPDATE usage_config SET theme = 'pink'", "23514"),
    ("UPDATE usage_config SET custom_limit_tokens = 0", "23514"),
    ("UPDATE usage_config SET refresh_rate = 61", "23514"),
    ("UPDATE usage_config SET refresh_per_second = 0.01", "23514"),
    ("UPDATE usage_config SET refresh_per_second = 'NaN'", "23514"),
    ("UPDATE usage_config SET reset_hour = 24", "23514"),
]


@pytest.fixture
def host(store_target: Target) -> Iterator[Any]:
    """Give the connection of another program, with the session s."""
    with raw(store_target) as connection:
        connection.execute("INSERT INTO usage_sessions (session_id) VALUES ('s')")
        yield connection


def test_the_server_refuses_what_breaks_a_rule(host: Any) -> None:
    for statement, sqlstate in REFUSED:
        with pytest.raises(psycopg.Error) as refused:
            host.execute(statement)
        assert (statement, refused.value.sqlstate) == (statement, sqlstate)


def test_the_defaults_are_those_of_sqlite_and_times_are_whole_seconds_of_the_past(host: Any) -> None:
    begun = int(time.time())
    for _ in range(5):  # a rounded time would be in the future half of the time
        time.sleep(0.21)
        host.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('s', '{}')")
        (seconds,) = host.execute("SELECT max(timestamp) FROM usage_snapshots").fetchone()
        assert begun <= seconds <= time.time()
    kinds = host.execute("SELECT DISTINCT snapshot_type FROM usage_snapshots").fetchall()
    host.execute("DELETE FROM usage_config")
    host.execute("INSERT INTO usage_config DEFAULT VALUES")
    row = host.execute("SELECT * FROM usage_config").fetchone()
    assert kinds == [("stats",)]
    assert row[1:10] == ("custom", None, "realtime", "auto", "auto", "auto", 10, 0.75, None)
    assert row[12] == 1
    assert begun <= row[10] == row[11] <= time.time()


def test_a_change_of_the_configuration_is_dated_whoever_makes_it(host: Any, store_target: Target) -> None:
    role = f"host_{schema_of(str(store_target))}"
    host.execute(f"CREATE ROLE {role}")
    try:
        host.execute(f"GRANT USAGE ON SCHEMA {schema_of(str(store_target))} TO {role}")
        host.execute(f"GRANT SELECT, UPDATE ON usage_config TO {role}")
        host.execute("UPDATE usage_config SET created_at = 1, updated_at = 1")
        assert host.execute("SELECT updated_at FROM usage_config").fetchone() == (1,)
        host.execute(f"SET ROLE {role}")
        host.execute("UPDATE usage_config SET theme = 'dark'")
        created, fresh = host.execute(
            "SELECT created_at, extract(epoch FROM now()) - updated_at BETWEEN 0 AND 60 FROM usage_config"
        ).fetchone()
        assert (created, fresh) == (1, True)
    finally:
        host.execute("RESET ROLE")
        host.execute(f"DROP OWNED BY {role}")
        host.execute(f"DROP ROLE {role}")


def test_usage_json_gives_a_text_as_it_is_and_nothing_for_a_reference(host: Any) -> None:
    texts = ['{"a": 1.10, "a": 2}', "12:3", "12", "123456789:123456789", '"x:1"']
    found = [host.execute("SELECT usage_json(%s)", (text,)).fetchone()[0] for text in texts]
    assert found == [texts[0], None, "12", None, '"x:1"']
    assert host.execute("SELECT usage_json(NULL)").fetchone() == (None,)


def test_the_ids_of_deleted_rows_are_not_used_again(host: Any) -> None:
    insert = "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('s', '{}') RETURNING id"
    (first,) = host.execute(insert).fetchone()
    host.execute("DELETE FROM usage_snapshots")
    assert host.execute(insert).fetchone() == (first + 1,)


COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
  pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation::text
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
AND c.relname IN ('usage_config', 'usage_sessions', 'usage_snapshots') ORDER BY 1, a.attnum
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = quote_ident(current_schema())::regnamespace AND contype IN ('c', 'p', 'f', 'u')
AND conrelid::regclass::text IN ('usage_config', 'usage_sessions', 'usage_snapshots') ORDER BY 1, 2, 3
"""
INDEXES = """
SELECT replace(indexdef, schemaname || '.', '') FROM pg_indexes WHERE schemaname = current_schema()
AND tablename IN ('usage_config', 'usage_sessions', 'usage_snapshots') ORDER BY 1
"""


def _described(connection: Any) -> list[Any]:
    return [connection.execute(query).fetchall() for query in (COLUMNS, CONSTRAINTS, INDEXES)]


def test_the_models_describe_the_tables_that_the_migrations_make(host: Any) -> None:
    with new_schema() as url, opened(url) as database, database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        database.create_tables(MODELS)
        database.create_tables(MODELS)  # safe: nothing happens
        with raw(url) as by_models:
            assert _described(by_models) == _described(host)
        database.drop_tables(MODELS)


def test_no_column_has_a_collation_of_its_own(host: Any) -> None:
    """The host's `events` could not be distributed beside our tables otherwise."""
    assert {row[-1] for row in host.execute(COLUMNS).fetchall()} == {"-", '"default"'}


def test_what_a_migration_makes_is_gone_after_its_way_back(any_postgresql_url: str) -> None:
    objects = """
    SELECT relname FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = quote_ident(current_schema())::regnamespace
    """
    with opened(any_postgresql_url) as database:
        modules = apply(database, 1)
        first = set(database.execute_sql(objects).fetchall())
        modules |= apply(database, 2)
        modules[2].down(None, database)
        assert set(database.execute_sql(objects).fetchall()) == first
        modules[1].down(None, database)
        assert database.execute_sql(objects).fetchall() == []


def test_texts_are_compressed_by_lz4_where_the_server_has_it(any_postgresql_url: str) -> None:
    with opened(any_postgresql_url) as database, raw(any_postgresql_url) as host:
        apply(database, 1)
        query = "SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'"
        (methods,) = host.execute(query).fetchone()
        host.execute("INSERT INTO usage_sessions (session_id) VALUES ('s')")
        text = f'"{"x" * 5000}"'
        host.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('s', %s)", (text,))
        used = host.execute(
            "SELECT pg_column_compression(snapshot_data), snapshot_data FROM usage_snapshots"
        ).fetchone()
        assert used == ("lz4" if "lz4" in methods else "pglz", text)


def test_the_migrations_run_without_this_package(postgresql_url: str) -> None:
    script = """
import importlib.util, sys
sys.modules["usage_store"] = None  # whoever imports it now fails
from peewee import PostgresqlDatabase
db = PostgresqlDatabase(sys.argv[1], prefer_psycopg3=True)
db.execute_sql(f"SET search_path = {sys.argv[2]}")
modules = []
for path in sys.argv[3:]:
    spec = importlib.util.spec_from_file_location("frozen", path)
    modules.append(importlib.util.module_from_spec(spec))
    spec.loader.exec_module(modules[-1])
    modules[-1].up(None, db)
for module in reversed(modules):
    module.down(None, db)
assert db.get_tables() == []
"""
    server = postgresql_url.rpartition("schema=")[0].rstrip("?&")
    result = run_python("-c", script, server, schema_of(postgresql_url), *FROZEN, cwd=FROZEN[0].parent)
    assert (result.returncode, result.stderr) == (0, "")


def test_true_is_a_value_of_is_active(usage_database: peewee.Database) -> None:
    del usage_database
    UsageConfig.update(is_active=False).execute()
    assert UsageConfig.active() is None
    made = UsageConfig.create(is_active=True, theme="dark")
    assert [config.id for config in UsageConfig.select().where(UsageConfig.is_active == True)] == [made.id]  # noqa: E712
    assert UsageConfig.get_by_id(made.id).is_active is True


@pytest.mark.parametrize("rows", ["one active", "none active", "no row"])
def test_a_reset_gives_one_active_configuration_with_the_defaults(host: Any, rows: str) -> None:
    host.execute("UPDATE usage_config SET theme = 'dark', custom_limit_tokens = 7, created_at = 5")
    if rows != "one active":
        host.execute("INSERT INTO usage_config (is_active, theme, created_at) VALUES (0, 'light', 6)")
        host.execute("UPDATE usage_config SET is_active = 0")
    if rows == "no row":
        host.execute("DELETE FROM usage_config")
    UsageConfig.reset_active()
    config = UsageConfig.active()
    assert config is not None
    assert (config.theme, config.custom_limit_tokens, config.refresh_per_second) == ("auto", None, 0.75)
    if rows != "no row":
        assert config.created_at == {"one active": 5, "none active": 6}[rows]
