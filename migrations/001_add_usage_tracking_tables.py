"""Add the usage tables: one configuration, the sessions, and their snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import SqliteDatabase
    from playhouse.migrate import SchemaMigrator

CONFIG = """
CREATE TABLE usage_config (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  plan TEXT NOT NULL DEFAULT 'custom' CHECK (plan IN ('pro', 'max5', 'max20', 'custom')),
  custom_limit_tokens INTEGER CHECK (custom_limit_tokens IS NULL OR custom_limit_tokens > 0),
  view TEXT NOT NULL DEFAULT 'realtime' CHECK (view IN ('realtime', 'daily', 'monthly', 'session')),
  timezone TEXT NOT NULL DEFAULT 'auto',
  time_format TEXT NOT NULL DEFAULT 'auto' CHECK (time_format IN ('12h', '24h', 'auto')),
  theme TEXT NOT NULL DEFAULT 'auto' CHECK (theme IN ('light', 'dark', 'classic', 'auto')),
  refresh_rate INTEGER NOT NULL DEFAULT 10 CHECK (refresh_rate >= 1 AND refresh_rate <= 60),
  refresh_per_second REAL NOT NULL DEFAULT 0.75 CHECK (refresh_per_second >= 0.1 AND refresh_per_second <= 20.0),
  reset_hour INTEGER CHECK (reset_hour IS NULL OR (reset_hour >= 0 AND reset_hour <= 23)),
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch()),
  is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1))
) STRICT
"""

# The columns are named so that the trigger's own UPDATE does not fire it again where recursive_triggers is on.
CONFIG_UPDATED = """
CREATE TRIGGER usage_config_updated AFTER UPDATE OF plan, custom_limit_tokens, view, timezone, time_format, theme,
  refresh_rate, refresh_per_second, reset_hour, is_active ON usage_config
BEGIN
  UPDATE usage_config SET updated_at = unixepoch() WHERE id = NEW.id;
END
"""

SESSIONS = """
CREATE TABLE usage_sessions (
  session_id TEXT NOT NULL PRIMARY KEY CHECK (session_id <> ''),
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID
"""

# For connections that do not switch foreign keys on, which is SQLite's default.
SESSIONS_DELETED = """
CREATE TRIGGER usage_sessions_deleted AFTER DELETE ON usage_sessions
BEGIN
  DELETE FROM usage_snapshots WHERE session_id = OLD.session_id;
END
"""

# The second CHECK keeps milliseconds, and fractions of seconds, out of the column.
SNAPSHOTS = """
CREATE TABLE usage_snapshots (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id TEXT NOT NULL REFERENCES usage_sessions(session_id) ON DELETE CASCADE,
  snapshot_data TEXT NOT NULL,
  snapshot_type TEXT NOT NULL DEFAULT 'stats' CHECK (snapshot_type IN ('stats', 'config', 'session')),
  timestamp INTEGER NOT NULL DEFAULT (unixepoch())
    CHECK (typeof(timestamp) = 'integer' AND timestamp >= 0 AND timestamp < 100000000000)
)
"""

INDEXES = (
    "CREATE UNIQUE INDEX idx_usage_config_active ON usage_config(is_active) WHERE is_active = 1",
    "CREATE INDEX idx_usage_snapshots_session_id ON usage_snapshots(session_id)",
    "CREATE INDEX idx_usage_snapshots_timestamp ON usage_snapshots(timestamp)",
    "CREATE INDEX idx_usage_snapshots_type ON usage_snapshots(snapshot_type)",
)

# ON CONFLICT DO NOTHING, because an outer INSERT OR REPLACE would turn INSERT OR IGNORE into REPLACE, and that
# deletes the session with its snapshots. What no session can be (NULL, '', a blob) must not fail the host's insert.
EVENT_TRIGGERS = {
    "usage_events_inserted": """
CREATE TRIGGER usage_events_inserted AFTER INSERT ON events
WHEN typeof(NEW.session_id) = 'text' AND NEW.session_id <> ''
BEGIN
  INSERT INTO usage_sessions (session_id) VALUES (NEW.session_id) ON CONFLICT DO NOTHING;
END
""",
    "usage_events_deleted": """
CREATE TRIGGER usage_events_deleted AFTER DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM events WHERE session_id = OLD.session_id)
BEGIN
  DELETE FROM usage_sessions WHERE session_id = OLD.session_id;
END
""",
    # A session whose last event moves to another session takes its snapshots along.
    "usage_events_moved": """
CREATE TRIGGER usage_events_moved AFTER UPDATE OF session_id ON events
WHEN NEW.session_id IS NOT OLD.session_id AND typeof(NEW.session_id) = 'text' AND NEW.session_id <> ''
BEGIN
  INSERT INTO usage_sessions (session_id) VALUES (NEW.session_id) ON CONFLICT DO NOTHING;
  UPDATE usage_snapshots SET session_id = NEW.session_id WHERE session_id = OLD.session_id
    AND NOT EXISTS (SELECT 1 FROM events WHERE session_id = OLD.session_id);
  DELETE FROM usage_sessions WHERE session_id = OLD.session_id
    AND NOT EXISTS (SELECT 1 FROM events WHERE session_id = OLD.session_id);
END
""",
}

BACKFILL = """
INSERT INTO usage_sessions (session_id)
SELECT DISTINCT session_id FROM events WHERE typeof(session_id) = 'text' AND session_id <> ''
ON CONFLICT DO NOTHING
"""


def up(migrator: SchemaMigrator, db: SqliteDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Make the tables and the default configuration; follow the host's events, if there are any."""
    for sql in (CONFIG, SESSIONS, SNAPSHOTS, *INDEXES, CONFIG_UPDATED, SESSIONS_DELETED):
        db.execute_sql(sql)
    db.execute_sql("INSERT INTO usage_config DEFAULT VALUES")
    if host_has_events(db):
        link_events(db)


def down(migrator: SchemaMigrator, db: SqliteDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Remove everything that `up` made; the host's tables stay as they are."""
    for trigger in EVENT_TRIGGERS:
        db.execute_sql(f"DROP TRIGGER IF EXISTS {trigger}")
    for table in ("usage_snapshots", "usage_sessions", "usage_config"):
        db.execute_sql(f"DROP TABLE {table}")


def link_events(db: SqliteDatabase) -> None:
    """Keep the sessions in step with the host's events: triggers for those to come, a backfill for those there."""
    for trigger, sql in EVENT_TRIGGERS.items():
        db.execute_sql(f"DROP TRIGGER IF EXISTS {trigger}")
        db.execute_sql(sql)
    db.execute_sql(BACKFILL)


def notices(db: SqliteDatabase) -> Iterator[str]:
    """Say where snapshots' sessions come from, if not from the host's events."""
    if db.execute_sql("SELECT 1 FROM sqlite_master WHERE name = 'usage_sessions'").fetchone() is None:
        yield "these are the original monitor's tables: `python -m usage_store.convert` brings them to this schema"
        return
    if not host_has_events(db):
        yield "no events table with a session_id: sessions are those that register_session() makes known"
        return
    names = {name for (name,) in db.execute_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    if not names.issuperset(EVENT_TRIGGERS):
        yield "the events table is not followed: link_events() does it"


def host_has_events(db: SqliteDatabase) -> bool:
    """Tell whether there is an events table whose sessions can be followed. Reads only."""
    sql = (  # views and virtual tables can have no such triggers
        "SELECT 1 FROM pragma_table_list AS t, pragma_table_info('events') AS c WHERE t.schema = 'main' "
        "AND t.type = 'table' AND lower(t.name) = 'events' AND lower(c.name) = 'session_id'"
    )
    return db.execute_sql(sql).fetchone() is not None
