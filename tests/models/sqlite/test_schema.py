"""The schema of a new database is the promised one, and models and migrations describe the same schema."""

from __future__ import annotations

import ast
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.driver import sqlite3
from tests.support.programs import run_python
from usage_store import MigrationRunner, init_database
from usage_store.engines.interface.schema_differences import differences
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.migrate.files.migrations_folder import usage_tables
from usage_store.models import MODELS
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.quick

# Without the variants for other engines.
FROZEN = sorted(path for path in Path(usage_tables().directory).glob("[0-9]*.py") if path.suffixes == [".py"])

# name, type, NOT NULL, default, place in the primary key
COLUMNS: dict[str, list[tuple[str, str, int, str | None, int]]] = {
    "usage_config": [
        ("id", "INTEGER", 0, None, 1),
        ("plan", "TEXT", 1, "'custom'", 0),
        ("custom_limit_tokens", "INTEGER", 0, None, 0),
        ("view", "TEXT", 1, "'realtime'", 0),
        ("timezone", "TEXT", 1, "'auto'", 0),
        ("time_format", "TEXT", 1, "'auto'", 0),
        ("theme", "TEXT", 1, "'auto'", 0),
        ("refresh_rate", "INTEGER", 1, "10", 0),
        ("refresh_per_second", "REAL", 1, "0.75", 0),
        ("reset_hour", "INTEGER", 0, None, 0),
        ("created_at", "INTEGER", 1, "unixepoch()", 0),
        ("updated_at", "INTEGER", 1, "unixepoch()", 0),
        ("is_active", "INTEGER", 1, "1", 0),
    ],
    "usage_sessions": [("session_id", "TEXT", 1, None, 1), ("created_at", "INTEGER", 1, "unixepoch()", 0)],
    "usage_snapshots": [
        ("id", "INTEGER", 0, None, 1),
        ("session_id", "TEXT", 1, None, 0),
        ("snapshot_data", "TEXT", 1, None, 0),
        ("snapshot_type", "TEXT", 1, "'stats'", 0),
        ("timestamp", "INTEGER", 1, "unixepoch()", 0),
    ],
    "usage_store_state": [
        ("name", "TEXT", 1, None, 1),
        ("number", "INTEGER", 0, None, 0),
        ("counted_at", "REAL", 0, None, 0),
    ],
    "usage_snapshot_blocks": [
        ("id", "INTEGER", 0, None, 1),
        ("refs", "INTEGER", 1, "0", 0),
        ("data", "BLOB", 1, None, 0),
    ],
    "schema_migrations": [
        ("version", "INTEGER", 0, None, 1),
        ("name", "TEXT", 1, None, 0),
        ("applied_at", "INTEGER", 1, None, 0),
    ],
}
CHECKS = {
    "usage_config": {
        "plan IN ('pro', 'max5', 'max20', 'custom')",
        "custom_limit_tokens IS NULL OR custom_limit_tokens > 0",
        "view IN ('realtime', 'daily', 'monthly', 'session')",
        "time_format IN ('12h', '24h', 'auto')",
        "theme IN ('light', 'dark', 'classic', 'auto')",
        "refresh_rate >= 1 AND refresh_rate <= 60",
        "refresh_per_second >= 0.1 AND refresh_per_second <= 20.0",
        "reset_hour IS NULL OR (reset_hour >= 0 AND reset_hour <= 23)",
        "is_active IN (0, 1)",
    },
    "usage_sessions": {"session_id <> ''"},
    "usage_snapshots": {
        "snapshot_type IN ('stats', 'config', 'session')",
        "typeof(timestamp) = 'integer' AND timestamp >= 0 AND timestamp < 100000000000",
    },
    "usage_snapshot_blocks": set(),
    "usage_store_state": set(),
    "schema_migrations": set(),
}
INDEXES = {
    "CREATE UNIQUE INDEX idx_usage_config_active ON usage_config(is_active) WHERE is_active = 1",
    "CREATE INDEX idx_usage_snapshots_session_id ON usage_snapshots(session_id, timestamp)",
    "CREATE INDEX idx_usage_snapshots_plain ON usage_snapshots(timestamp) WHERE typeof(snapshot_data) = 'text'",
    "CREATE INDEX idx_usage_snapshots_timestamp ON usage_snapshots(timestamp)",
    "CREATE INDEX idx_usage_snapshots_type ON usage_snapshots(snapshot_type)",
    "CREATE INDEX idx_schema_migrations_applied_at ON schema_migrations(applied_at)",
}
TRIGGERS = {
    "usage_config_updated": "usage_config",
    "usage_sessions_deleted": "usage_sessions",
    "usage_snapshots_deleted": "usage_snapshots",
    "usage_snapshots_inserted": "usage_snapshots",
    "usage_snapshots_updated": "usage_snapshots",
}


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Provide a connection of another program to a database that has just been migrated."""
    with closing(open_database(tmp_path / "fresh.db")) as database:
        MigrationRunner(database).migrate()
    with closing(sqlite3.connect(tmp_path / "fresh.db", isolation_level=None)) as connection:
        yield connection


def _names(connection: sqlite3.Connection, kind: str) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,))}


def test_a_fresh_migration_makes_exactly_the_promised_tables(raw: sqlite3.Connection) -> None:
    assert _names(raw, "table") == {*COLUMNS, "sqlite_sequence", "schema_migration_log"}
    for table, columns in COLUMNS.items():
        assert [row[1:] for row in raw.execute(f"PRAGMA table_info({table})")] == columns
        (sql,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        words = " ".join(sql.split())
        assert {check for check in CHECKS[table] if f"CHECK ({check})" in words} == CHECKS[table]
        assert words.count("CHECK") == len(CHECKS[table])
        assert ("AUTOINCREMENT" in words) is (table in ("usage_config", "usage_snapshots", "usage_snapshot_blocks"))
    strict = {name for _, name, _, _, _, strict in raw.execute("PRAGMA table_list") if strict}
    assert strict == {"usage_config", "usage_sessions", "usage_snapshot_blocks", "usage_store_state"}


def test_a_fresh_migration_makes_exactly_the_promised_indexes_keys_and_triggers(raw: sqlite3.Connection) -> None:
    statements = raw.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    assert {sql.replace('"', "").replace("IF NOT EXISTS ", "") for (sql,) in statements} == INDEXES
    keys = raw.execute("PRAGMA foreign_key_list(usage_snapshots)").fetchall()
    assert [row[2:7] for row in keys] == [("usage_sessions", "session_id", "session_id", "NO ACTION", "CASCADE")]
    assert _names(raw, "trigger") == TRIGGERS.keys()
    assert _names(raw, "view") == set()


def test_one_default_configuration_is_there_after_the_first_migration(tmp_path: Path) -> None:
    begun = int(time.time())
    init_database(tmp_path / "usage.db")
    with closing(sqlite3.connect(tmp_path / "usage.db")) as raw:
        (row,) = raw.execute("SELECT * FROM usage_config").fetchall()
    now = int(time.time())
    assert row[:10] == (1, "custom", None, "realtime", "auto", "auto", "auto", 10, 0.75, None)
    assert row[12] == 1
    assert all(begun <= seconds <= now for seconds in row[10:12])


def test_the_models_describe_the_schema_that_the_migrations_make(
    usage_database: peewee.SqliteDatabase, tmp_path: Path
) -> None:
    modelled = peewee.SqliteDatabase(str(tmp_path / "models.db"))
    with modelled, modelled.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        modelled.create_tables(MODELS)
        by_models = read_catalog(modelled)
    by_migrations = read_catalog(usage_database)
    assert by_models.tables.keys() == {"usage_config", "usage_sessions", "usage_snapshots"}
    extra = [f"trigger {trigger} on {table} is not from a migration" for trigger, table in TRIGGERS.items()]
    assert sorted(differences(by_models, by_migrations)) == sorted(extra)
    missing = differences(by_migrations, by_models)
    assert set(missing) == {
        "table usage_snapshot_blocks is missing",
        "table usage_store_state is missing",
        "table schema_migrations is missing",
        "table schema_migration_log is missing",
        *(f"trigger {trigger} on {table} is missing" for trigger, table in TRIGGERS.items()),
        "index idx_schema_migrations_applied_at on schema_migrations is missing",
    }


def test_a_rollback_to_0_removes_all_but_an_empty_history(usage_database: peewee.SqliteDatabase) -> None:
    seed_usage(usage_database, snapshots=20)
    MigrationRunner(usage_database).rollback(0)
    left = usage_database.execute_sql("SELECT name FROM sqlite_master ORDER BY name").fetchall()
    names = ["idx_schema_migrations_applied_at", "schema_migration_log", "schema_migrations", "sqlite_sequence"]
    assert left == [(name,) for name in names]
    for table in ("schema_migrations", "sqlite_sequence"):
        assert usage_database.execute_sql(f"SELECT * FROM {table}").fetchall() == []


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_a_migration_is_frozen_and_runs_without_this_package(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not [name.name for name in node.names if name.name.split(".")[0] == "usage_store"]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert (node.module or "").split(".")[0] != "usage_store"
    script = """
import importlib.util, sys
sys.modules["usage_store"] = None  # whoever imports it now fails
from peewee import SqliteDatabase
from playhouse.migrate import SchemaMigrator
db = SqliteDatabase(":memory:")
migrator = SchemaMigrator.from_database(db)
modules = []
for path in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("frozen", path)
    modules.append(importlib.util.module_from_spec(spec))
    spec.loader.exec_module(modules[-1])
    modules[-1].up(migrator, db)
modules[-1].down(migrator, db)
"""
    upto = [other for other in FROZEN if other.name <= path.name]
    result = run_python("-c", script, *upto, cwd=path.parent)
    assert (result.returncode, result.stderr) == (0, "")
