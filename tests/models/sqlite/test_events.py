"""Sessions follow the host's `events`, whatever the settings of its connection. The host's table is never changed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import contents
from tests.support.driver import sqlite3
from usage_store import MigrationRunner, UsageSession, UsageSnapshot, link_events
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import ConfigurationError
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from sqlite3 import Connection  # noqa: TID251

    from peewee import SqliteDatabase

pytestmark = pytest.mark.quick

EVENTS = """
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, source_app TEXT NOT NULL, session_id TEXT NOT NULL,
  hook_event_type TEXT NOT NULL, payload TEXT NOT NULL, chat TEXT, summary TEXT, timestamp INTEGER NOT NULL);
CREATE INDEX idx_source_app ON events(source_app); CREATE INDEX idx_session_id ON events(session_id);
CREATE INDEX idx_hook_event_type ON events(hook_event_type); CREATE INDEX idx_timestamp ON events(timestamp);
"""
NULLABLE = EVENTS.replace("session_id TEXT NOT NULL", "session_id TEXT")
NOT_FOLLOWED = "the events table does not register sessions: call link_events()"
NO_TRIGGERS = "events is a {}, which cannot have triggers: register sessions with register_session()"
KINDS = {"CREATE TABLE l": "view", "CREATE VIRTUAL": "virtual table"}
NO_EVENTS = "no events table with a session_id column: register sessions with register_session()"
ODD = (None, "", b"", b"blob", 7, 1.5, "' OR 1=1 --", "line\nbreak", "nul\x00byte", "🦊", " ", "x" * 100_000)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Connection]:
    """Provide the host's connection: WAL, and foreign keys off, as is SQLite's default."""
    with closing(sqlite3.connect(tmp_path / "host.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        yield connection


@pytest.fixture
def store(host: Connection, tmp_path: Path) -> Iterator[SqliteDatabase]:
    """Provide our database on the same file, bound but not migrated."""
    assert host.execute("PRAGMA foreign_keys").fetchone() == (0,)
    database = open_database(tmp_path / "host.db")
    with database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        yield database
    database.close()


@pytest.fixture
def followed(host: Connection, store: SqliteDatabase) -> Connection:
    """Provide the host's connection after the migration.

    Session a has events 1 and 2, b has event 3; each has 2 snapshots.
    """
    host.executescript(EVENTS)
    MigrationRunner(store).migrate()
    for session_id in ("a", "a", "b"):
        _event(host, session_id)
    for session_id in ("a", "b", "a", "b"):
        UsageSnapshot.record(session_id, {"of": session_id})
    return host


def _event(host: Connection, session_id: object, event: int | None = None, verb: str = "INSERT") -> None:
    host.execute(
        f"{verb} INTO events (id, source_app, session_id, hook_event_type, payload, timestamp) "
        "VALUES (?, 'app', ?, 'PreToolUse', '{}', 1752856654907)",
        (event, session_id),
    )


def _state() -> dict[str, int]:
    """Count the snapshots of each session."""
    counts = {session.session_id: 0 for session in UsageSession.select()}
    for snapshot in UsageSnapshot.select():
        counts[snapshot.session_id] += 1
    return counts


def _schema(connection: Connection) -> list[tuple[str, ...]]:
    sql = (
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'schema_migration%' ORDER BY rowid"
    )
    return connection.execute(sql).fetchall()


def test_sessions_of_existing_events_are_registered(host: Connection, store: SqliteDatabase) -> None:
    host.executescript(NULLABLE)
    for session_id in ("a", "b", "a", None, "", b"blob", "c"):
        _event(host, session_id)
    MigrationRunner(store).migrate()
    assert _state() == {"a": 0, "b": 0, "c": 0}


def test_the_first_event_registers_a_session_and_the_next_ones_change_nothing(followed: Connection) -> None:
    UsageSession.update(created_at=5).execute()
    for session_id in ("c", "c", "a"):
        _event(followed, session_id)
    assert _state() == {"a": 2, "b": 2, "c": 0}
    assert {session.session_id for session in UsageSession.select().where(UsageSession.created_at == 5)} == {"a", "b"}


@pytest.mark.parametrize(
    ("condition", "left"),
    [("id = 1", {"a": 2, "b": 2}), ("id = 3", {"a": 2}), ("session_id = 'a'", {"b": 2}), ("1", {})],
)
def test_deleting_the_last_event_deletes_its_session_and_snapshots(
    followed: Connection, condition: str, left: dict[str, int]
) -> None:
    followed.execute(f"DELETE FROM events WHERE {condition}")
    assert _state() == left


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"])
def test_replacing_events_loses_no_snapshot(followed: Connection, verb: str) -> None:
    for event, session_id in ((1, "a"), (3, "b"), (None, "b")):
        _event(followed, session_id, event, verb)
    followed.execute("INSERT INTO events SELECT * FROM events WHERE true ON CONFLICT DO UPDATE SET payload = '[]'")
    assert _state() == {"a": 2, "b": 2}


@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE OR REPLACE"])
@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("session_id = 'c' WHERE id = 1", {"a": 2, "b": 2, "c": 0}),
        ("session_id = 'c' WHERE session_id = 'a'", {"b": 2, "c": 2}),
        ("session_id = 'b' WHERE session_id = 'a'", {"b": 4}),
        ("session_id = 'c'", {"c": 4}),
        ("session_id = session_id, payload = '[]'", {"a": 2, "b": 2}),
        ("session_id = CASE session_id WHEN 'a' THEN 'A' ELSE 'b' END", {"A": 2, "b": 2}),
    ],
)
def test_moving_the_events_of_a_session_moves_its_snapshots(
    followed: Connection, verb: str, change: str, left: dict[str, int]
) -> None:
    followed.execute(f"{verb} events SET {change}")
    assert _state() == left
    assert {snapshot.data["of"] for snapshot in UsageSnapshot.select()} == {"a", "b"}


@pytest.mark.parametrize("setting", ["recursive_triggers", "foreign_keys"])
def test_connection_settings_of_the_host_make_no_difference(followed: Connection, setting: str) -> None:
    followed.execute(f"PRAGMA {setting} = ON")
    for session_id in ("c", "a"):
        _event(followed, session_id)
    _event(followed, "a", 1, "INSERT OR REPLACE")
    followed.execute("UPDATE events SET session_id = 'd' WHERE session_id = 'b'")
    assert _state() == {"a": 2, "c": 0, "d": 2}
    followed.execute("DELETE FROM events WHERE session_id = 'a'")
    assert _state() == {"c": 0, "d": 2}


def test_with_recursive_triggers_replacing_the_only_event_is_a_delete(followed: Connection) -> None:
    followed.execute("PRAGMA recursive_triggers = ON")  # off by default; a trigger cannot tell REPLACE from DELETE
    _event(followed, "b", 3, "INSERT OR REPLACE")
    assert _state() == {"a": 2, "b": 0}


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_odd_session_ids_never_fail_the_host_s_writes(host: Connection, store: SqliteDatabase, recursive: str) -> None:
    host.executescript(NULLABLE)
    MigrationRunner(store).migrate()
    host.execute(f"PRAGMA recursive_triggers = {recursive}")
    for odd in ODD:
        _event(host, odd)
    registered = {"7", "1.5", *(odd for odd in ODD if isinstance(odd, str) and odd)}
    assert _state() == dict.fromkeys(registered, 0)
    for odd in ODD:
        host.execute("UPDATE events SET session_id = ? WHERE id % 2 = 0", (odd,))
        host.execute("UPDATE OR REPLACE events SET session_id = ? WHERE id % 3 = 0", (odd,))
    assert host.execute("SELECT count(*) FROM events").fetchone() == (len(ODD),)
    host.execute("DELETE FROM events")
    assert host.execute("SELECT count(*) FROM events").fetchone() == (0,)


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("CREATE TABLE events (id INTEGER PRIMARY KEY, payload TEXT)", id="no session_id"),
        pytest.param("CREATE TABLE log (session_id TEXT); CREATE VIEW events AS SELECT * FROM log", id="a view"),
        pytest.param("CREATE VIRTUAL TABLE events USING fts5(session_id, payload)", id="a virtual table"),
        pytest.param("", id="no events"),
    ],
)
def test_a_notice_says_that_events_cannot_be_followed(host: Connection, store: SqliteDatabase, sql: str) -> None:
    host.executescript(sql)
    runner = MigrationRunner(store)
    runner.migrate()
    assert not [name for kind, name, *_ in _schema(host) if kind == "trigger" and "events" in name]
    (notice,) = runner.status().notices
    assert notice == (NO_EVENTS if "VIEW" not in sql and "VIRTUAL" not in sql else NO_TRIGGERS.format(KINDS[sql[:14]]))
    assert (runner.validate().notices, runner.validate().problems) == ((notice,), ())
    with pytest.raises(ConfigurationError, match="no events table with a session_id column to follow"):
        link_events()
    UsageSession.register("by hand")
    assert UsageSnapshot.record("by hand", {}).session_id == "by hand"


@pytest.mark.parametrize("word", ["status", "validate"])
def test_the_command_line_says_that_there_are_no_events(path: Path, word: str) -> None:
    result = command(word, "--database", path, cwd=path.parent)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"notice: {NO_EVENTS}\n" in result.stdout


def test_events_in_another_case_are_followed_too(host: Connection, store: SqliteDatabase) -> None:
    host.executescript(EVENTS.replace("TABLE events", "TABLE Events").replace("  session_id", "  Session_ID"))
    _event(host, "a")
    MigrationRunner(store).migrate()
    _event(host, "b")
    assert _state() == {"a": 0, "b": 0}


def test_an_events_table_created_later_is_linked_with_one_call(host: Connection, store: SqliteDatabase) -> None:
    runner = MigrationRunner(store)
    runner.migrate()
    UsageSession.register("by hand")
    host.executescript(EVENTS)
    _event(host, "a")
    assert runner.status().notices == (NOT_FOLLOWED,)
    report = runner.validate()
    assert report.notices[0] == NOT_FOLLOWED
    assert report.problems == ()  # a host may want none
    for _ in range(2):
        link_events()
    _event(host, "b")
    assert _state() == {"a": 0, "b": 0, "by hand": 0}
    assert (runner.status().notices, runner.validate().problems) == ((), ())
    host.execute("DELETE FROM events")
    assert _state() == {"by hand": 0}


def test_down_does_not_change_the_host_s_table(host: Connection, store: SqliteDatabase) -> None:
    host.executescript(EVENTS)
    host.executescript("""
CREATE TABLE   "Notes, of all" (note /* free */ TEXT DEFAULT 'a,  b', event INTEGER REFERENCES events(id));
CREATE VIEW recent AS SELECT * FROM events ORDER BY timestamp DESC;
CREATE TRIGGER noted AFTER INSERT ON events BEGIN INSERT INTO "Notes, of all" (event) VALUES (new.id); END;
""")
    for session_id in ("a", "b", "a", "gone"):
        _event(host, session_id)
    host.execute("DELETE FROM events WHERE session_id = 'gone'")  # AUTOINCREMENT remembers id 4
    before = _schema(host), contents(host)
    runner = MigrationRunner(store)
    runner.migrate()
    UsageSnapshot.record("a", {"n": 1})
    runner.rollback(0)
    host.executescript("DROP TABLE schema_migrations; DROP TABLE schema_migration_log")
    assert (_schema(host), contents(host)) == before
    assert host.execute("SELECT * FROM sqlite_sequence").fetchall() == [("events", 4)]
