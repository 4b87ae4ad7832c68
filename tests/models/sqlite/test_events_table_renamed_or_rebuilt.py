"""Hosts rename their `events` table, rebuild it, create it later, or do not want it followed."""

from __future__ import annotations

import logging
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import opened, raw, rows
from tests.support.driver import sqlite3
from usage_store import (
    MigrationRunner,
    UsageSession,
    UsageSnapshot,
    errors,
    init_database,
    insert_usage_snapshot,
    link_events,
    rollback_migrations,
    validate_database,
)
from usage_store.database import event_triggers
from usage_store.models.sqlite.rows.follow_events import follow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVENTS = "CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT, payload TEXT)"
NAMES = {f"usage_events_{done}" for done in ("inserted", "deleted", "moved")}
FOLLOWED = "the events table is followed from now on: its triggers were missing, on another table, or too old"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host.db"


@pytest.fixture
def host(path: Path) -> Iterator[sqlite3.Connection]:
    """Provide the host's connection to a database with events of a and b."""
    with raw(path) as connection:
        connection.execute(EVENTS)
        connection.executemany("INSERT INTO events (session_id) VALUES (?)", [("a",), ("a",), ("b",)])
        yield connection


def start(path: Path, **options: bool) -> None:
    """Start the monitor, and store a snapshot for each session."""
    init_database(path, **options)
    for session in UsageSession.select():
        UsageSnapshot.record(session.session_id, {"of": session.session_id})


def restart(path: Path, **options: bool) -> None:
    UsageSession._meta.database.close()
    init_database(path, **options)


def held(path: Path) -> dict[str, int]:
    sql = "SELECT session_id, (SELECT count(*) FROM usage_snapshots AS s WHERE s.session_id = u.session_id)"
    return dict(rows(path, f"{sql} FROM usage_sessions AS u"))


def tables_of_triggers(path: Path) -> dict[str, str]:
    return dict(
        rows(path, "SELECT name, tbl_name FROM sqlite_master WHERE name LIKE 'usage_events%' AND type = 'trigger'")
    )


def test_deleting_from_a_renamed_table_deletes_no_session_in_use(path: Path, host: sqlite3.Connection) -> None:
    start(path)
    host.executescript(
        f"ALTER TABLE events RENAME TO events_old; {EVENTS}; INSERT INTO events SELECT * FROM events_old"
    )
    host.execute("DELETE FROM events_old")
    assert held(path) == {"a": 1, "b": 1}


def test_moving_rows_of_a_table_that_was_renamed_moves_no_snapshot(path: Path, host: sqlite3.Connection) -> None:
    start(path)
    host.executescript(
        f"ALTER TABLE events RENAME TO events_old; {EVENTS}; INSERT INTO events SELECT * FROM events_old"
    )
    host.execute("UPDATE events_old SET session_id = 'archived'")
    assert held(path) == {"a": 1, "archived": 0, "b": 1}


def test_a_table_that_gets_its_name_back_is_followed_again(path: Path, host: sqlite3.Connection) -> None:
    start(path)
    host.executescript("ALTER TABLE events RENAME TO events_old; ALTER TABLE events_old RENAME TO Events")
    host.execute("DELETE FROM events WHERE session_id = 'a'")
    assert held(path) == {"b": 1}


def test_the_next_start_follows_the_table_that_is_called_events_now(
    path: Path, host: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    start(path)
    host.executescript(
        f"ALTER TABLE events RENAME TO events_old; {EVENTS}; INSERT INTO events SELECT * FROM events_old"
    )
    host.execute("INSERT INTO events (session_id) VALUES ('new')")
    assert insert_usage_snapshot({"session_id": "new", "snapshot_data": {}}) is None
    with caplog.at_level(logging.INFO, "usage_store"):
        caplog.clear()
        restart(path)
    assert [record.message for record in caplog.records if record.name == "usage_store"] == [FOLLOWED]
    assert tables_of_triggers(path) == dict.fromkeys(NAMES, "events")
    assert insert_usage_snapshot({"session_id": "new", "snapshot_data": {}}) is not None
    host.execute("DELETE FROM events WHERE session_id = 'a'")
    host.execute("DELETE FROM events_old WHERE session_id = 'b'")
    assert held(path) == {"b": 1, "new": 1}
    assert validate_database()


def test_the_next_start_follows_a_rebuilt_table(path: Path, host: sqlite3.Connection) -> None:
    start(path)
    host.executescript(
        "CREATE TABLE n (id INTEGER PRIMARY KEY, session_id TEXT, more TEXT);"
        "INSERT INTO n SELECT id, session_id, NULL FROM events; DROP TABLE events; ALTER TABLE n RENAME TO events"
    )
    host.execute("INSERT INTO events (session_id) VALUES ('new')")
    restart(path)
    assert tables_of_triggers(path) == dict.fromkeys(NAMES, "events")
    host.execute("INSERT INTO events (session_id) VALUES ('newer')")
    host.execute("DELETE FROM events WHERE session_id = 'b'")
    assert held(path) == {"a": 1, "new": 0, "newer": 0}
    assert validate_database()


def test_the_next_start_follows_a_table_that_was_created_later(path: Path) -> None:
    init_database(path)
    with raw(path) as connection:
        connection.executescript(f"{EVENTS}; INSERT INTO events (session_id) VALUES ('a')")
    restart(path)
    assert held(path) == {"a": 0}


@pytest.mark.parametrize("gone", sorted(NAMES))
def test_each_trigger_is_made_again(path: Path, host: sqlite3.Connection, gone: str) -> None:
    start(path)
    host.execute(f"DROP TRIGGER {gone}")
    restart(path)
    assert tables_of_triggers(path) == dict.fromkeys(NAMES, "events")


def test_triggers_of_an_older_version_are_replaced(path: Path, host: sqlite3.Connection) -> None:
    with opened(path) as database:
        MigrationRunner(database).migrate(2)
        older = rows(path, "SELECT name, sql FROM sqlite_master WHERE name LIKE 'usage_events%' AND type = 'trigger'")
    start(path)
    for name, sql in older:
        host.executescript(f"DROP TRIGGER {name}; {sql}")
    assert not validate_database()
    restart(path)
    assert validate_database()


def test_a_start_with_the_right_triggers_writes_and_logs_nothing(
    path: Path, host: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    start(path)
    restart(path)
    version, schema = host.execute("PRAGMA data_version").fetchone(), host.execute("PRAGMA schema_version").fetchone()
    with caplog.at_level(logging.DEBUG):
        caplog.clear()
        restart(path)
    assert [record.message for record in caplog.records if record.name.startswith("usage_store")] == []
    assert host.execute("PRAGMA data_version").fetchone() == version
    assert host.execute("PRAGMA schema_version").fetchone() == schema


def test_a_host_that_wants_no_triggers_gets_none_and_its_database_is_valid(
    path: Path, host: sqlite3.Connection
) -> None:
    start(path, follow_events=False)
    restart(path, follow_events=False)
    assert tables_of_triggers(path) == {}
    host.execute("INSERT INTO events (session_id) VALUES ('new')")
    assert "new" not in held(path)
    assert validate_database()
    UsageSession.register("by hand")
    host.execute("DELETE FROM events")
    assert "by hand" in held(path)


def test_a_start_that_wants_no_triggers_keeps_existing_triggers(path: Path, host: sqlite3.Connection) -> None:
    start(path)
    restart(path, follow_events=False)
    assert tables_of_triggers(path) == dict.fromkeys(NAMES, "events")
    host.execute("DROP TRIGGER usage_events_moved")
    restart(path, follow_events=False)
    assert tables_of_triggers(path) == dict.fromkeys(NAMES - {"usage_events_moved"}, "events")


def test_a_missing_or_changed_trigger_makes_the_database_invalid(path: Path, host: sqlite3.Connection) -> None:
    start(path)
    host.execute("DROP TRIGGER usage_events_moved")
    assert not validate_database()


@pytest.mark.usefixtures("host")
def test_triggers_of_version_3_are_not_made_for_tables_of_version_2(path: Path) -> None:
    start(path)
    rollback_migrations(2)
    with pytest.raises(errors.ConfigurationError, match="usage tables of version 3 are missing"):
        link_events()
    with raw(path) as connection:
        connection.execute("DELETE FROM events WHERE session_id = 'a'")
    assert held(path) == {"b": 1}


def test_two_starts_at_once_follow_the_table_once(path: Path, host: sqlite3.Connection) -> None:
    start(path)
    host.execute("DROP TRIGGER usage_events_inserted")
    with opened(path) as one, opened(path) as two:
        follow(one, event_triggers, nullcontext)
        schema = host.execute("PRAGMA schema_version").fetchone()
        follow(two, event_triggers, nullcontext)
        assert host.execute("PRAGMA schema_version").fetchone() == schema


@pytest.mark.usefixtures("host")
def test_a_host_that_trusts_no_schema_and_attaches_its_database_is_followed(path: Path) -> None:
    start(path)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as other:
        other.execute("PRAGMA trusted_schema = OFF")
        other.execute("ATTACH ? AS theirs", (str(path),))
        other.execute("CREATE TABLE events (session_id)")
        other.execute("INSERT INTO theirs.events (session_id) VALUES ('c'), ('a')")
        other.execute("DELETE FROM theirs.events WHERE session_id = 'b'")
        other.execute("UPDATE theirs.events SET session_id = 'd' WHERE session_id = 'a'")
    assert held(path) == {"c": 0, "d": 1}
