"""Statements that change many events are as correct, and as cheap for each event, as statements for one event."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import opened, raw, rows
from tests.support.driver import sqlite3
from usage_store.database import event_triggers
from usage_store.migrate import MigrationRunner
from usage_store.models.sqlite.rows.follow_events import note_index, register

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = "CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT, at INTEGER)"
INDEX = "CREATE INDEX by_session ON events (session_id)"
OTHER = {("other",)}  # to which sessions are moved, some with their snapshots
SNAPSHOT = "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES (?, '{}')"


def followed(
    path: Path, sessions: int, each: int, *, indexed: bool, mixed: bool = False, untyped: bool = False
) -> Path:
    """Create a host with `sessions` sessions of `each` events, in order or `mixed`, and a snapshot of each session.

    The sessions are texts, or integers in a column without a type.
    """
    names = [number if untyped else f"session-{number}" for number in range(sessions) for _ in range(each)]
    if mixed:
        random.Random(1).shuffle(names)
    with raw(path) as connection:
        table = PLAIN.replace("session_id TEXT", "session_id") if untyped else PLAIN
        connection.executescript(table + (f"; {INDEX}" if indexed else ""))
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO events (session_id, at) VALUES (?, ?)", zip(names, range(10**9), strict=False)
        )
        connection.execute("COMMIT")
        with opened(path) as database:
            MigrationRunner(database).migrate()
            register(database, event_triggers)
        connection.execute("BEGIN")
        connection.executemany(SNAPSHOT, [(name,) for name in sorted(set(names))])
        connection.execute("COMMIT")
    return path


def in_step(path: Path) -> bool:
    """Return whether the sessions and snapshots match the remaining events."""
    named = set(rows(path, "SELECT DISTINCT CAST(session_id AS TEXT) FROM events"))
    return (
        set(rows(path, "SELECT session_id FROM usage_sessions")) == named
        and set(rows(path, "SELECT session_id FROM usage_snapshots")) - OTHER == named - OTHER
    )


def steps(connection: sqlite3.Connection, sql: str) -> int:
    """Run a statement, and return how many instructions SQLite's virtual machine runs for it, in hundreds."""
    count = 0

    def called() -> None:
        nonlocal count
        count += 1

    connection.set_progress_handler(called, 100)
    try:
        connection.execute(sql)
    finally:
        connection.set_progress_handler(None, 0)
    return count


HALVES = {"the older half": "at < {}", "the newer half": "at >= {}", "every other one": "at % 2 = 0 OR {} < 0"}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("change", ["DELETE FROM events", "UPDATE events SET session_id = 'other'"])
@pytest.mark.parametrize("untyped", [True, False])
def test_without_an_index_twice_as_many_events_take_about_twice_the_work(
    tmp_path: Path, half: str, change: str, *, untyped: bool
) -> None:
    taken = {}
    for sessions in (200, 400):
        path = followed(tmp_path / f"{sessions}.db", sessions, 10, indexed=False, untyped=untyped)
        with raw(path) as connection:
            taken[sessions] = steps(connection, f"{change} WHERE {HALVES[half].format(sessions * 5)}")
        assert in_step(path)
    assert taken[400] < 2.5 * taken[200]


def test_twice_the_events_of_one_session_take_about_twice_the_work(tmp_path: Path) -> None:
    taken = {}
    for events in (1000, 2000):
        path = followed(tmp_path / f"{events}.db", 1, events, indexed=False, untyped=True)
        with raw(path) as connection:
            taken[events] = steps(connection, f"DELETE FROM events WHERE at < {events // 2}")
        assert in_step(path)
    assert taken[2000] < 2.5 * taken[1000]


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("events", ["at < 900", "at >= 900", "at % 3 = 0", "session_id > 'session-5'", "true"])
def test_sessions_and_snapshots_match_the_events_after_a_bulk_delete(
    tmp_path: Path, events: str, *, indexed: bool, mixed: bool
) -> None:
    path = followed(tmp_path / "host.db", 90, 20, indexed=indexed, mixed=mixed)
    with raw(path) as connection:
        connection.execute(f"DELETE FROM events WHERE {events}")
    assert in_step(path)


@pytest.mark.parametrize("indexed", [True, False])
def test_sessions_match_the_events_after_any_statements_in_any_order(tmp_path: Path, *, indexed: bool) -> None:
    path = followed(tmp_path / "host.db", 40, 10, indexed=indexed)
    chance = random.Random(7)
    with raw(path) as connection:
        connection.execute("PRAGMA recursive_triggers = ON")
        for _ in range(150):
            low = chance.randrange(500)
            some = f"id BETWEEN {low} AND {low + chance.choice((0, 3, 200))}"
            name = f"session-{chance.randrange(40)}"
            statement = chance.choice(
                (
                    f"DELETE FROM events WHERE {some}",
                    f"UPDATE events SET session_id = '{name}' WHERE {some}",
                    f"INSERT OR REPLACE INTO events SELECT id, '{name}', at FROM events WHERE {some}",
                    f"INSERT INTO events (session_id, at) SELECT '{name}', at FROM events LIMIT 90",
                    f"INSERT INTO events (session_id) VALUES ('{name}')",
                )
            )
            connection.execute(statement)
            sessions = {name for (name,) in rows(path, "SELECT session_id FROM usage_sessions")}
            assert sessions == {name for (name,) in rows(path, "SELECT DISTINCT session_id FROM events")}, statement


def test_events_that_were_written_with_triggers_off_keep_their_session(tmp_path: Path) -> None:
    path = followed(tmp_path / "host.db", 50, 10, indexed=False)
    with raw(path) as connection:
        triggers = rows(path, "SELECT sql FROM sqlite_master WHERE name LIKE 'usage_events%' AND type = 'trigger'")
        connection.execute("DELETE FROM events WHERE at >= 200 AND at < 400")  # counts what is left
        for name in ("inserted", "deleted", "moved"):
            connection.execute(f"DROP TRIGGER usage_events_{name}")
        connection.execute("INSERT INTO events (session_id, at) VALUES ('session-0', 1000)")
        for (sql,) in triggers:
            connection.execute(sql)
        connection.execute("DELETE FROM events WHERE at < 200")
    assert in_step(path)


def test_events_that_a_host_s_trigger_writes_within_the_statement_are_counted(tmp_path: Path) -> None:
    path = followed(tmp_path / "host.db", 50, 10, indexed=False)
    with raw(path) as connection:
        connection.execute(
            "CREATE TRIGGER kept AFTER DELETE ON events WHEN OLD.session_id = 'session-3' AND OLD.at < 1000 "
            "BEGIN INSERT INTO events (session_id, at) VALUES (OLD.session_id, OLD.at + 10000); END"
        )
        connection.execute("DELETE FROM events WHERE at < 400")
        assert in_step(path)
        assert ("session-3",) in rows(path, "SELECT session_id FROM usage_sessions")


def test_a_statement_that_is_rolled_back_leaves_nothing_counted(tmp_path: Path) -> None:
    path = followed(tmp_path / "host.db", 50, 10, indexed=False)
    with raw(path) as connection:
        connection.execute("BEGIN")
        connection.execute("DELETE FROM events WHERE at < 400")
        connection.execute("ROLLBACK")
        assert in_step(path)
        connection.execute("DELETE FROM events WHERE at < 395")
    assert in_step(path)


@pytest.mark.parametrize(("index", "found"), [("", 0), (INDEX, 1), (f"{INDEX} WHERE at > 1", 0)])
def test_the_migration_notes_an_index(tmp_path: Path, index: str, found: int) -> None:
    with opened(tmp_path / "host.db") as database, raw(tmp_path / "host.db") as connection:
        connection.executescript(f"{PLAIN}; {index}")
        MigrationRunner(database).migrate()
        number = connection.execute("SELECT number FROM usage_store_state WHERE name = 'events_indexed'").fetchone()
    assert number == (found,)


def test_an_index_is_noted_when_it_is_created_and_when_it_is_dropped(tmp_path: Path) -> None:
    path = followed(tmp_path / "host.db", 2, 2, indexed=False)
    noted = "SELECT number FROM usage_store_state WHERE name = 'events_indexed'"
    with opened(path) as database, raw(path) as connection:
        for index, found in (
            (INDEX, 1),
            ("CREATE INDEX other ON events (at)", 0),
            ("CREATE INDEX part ON events (session_id) WHERE at > 1", 0),
            ("CREATE UNIQUE INDEX both ON events (Session_ID, at)", 1),
            ("CREATE INDEX turned ON events (at, session_id)", 0),
        ):
            connection.execute(index)
            note_index(database)
            assert rows(path, noted) == [(found,)], index
            connection.execute(f"DROP INDEX {index.split('INDEX ')[1].split()[0]}")


def test_a_large_table_without_an_index_is_said_to_need_one(tmp_path: Path) -> None:
    path = followed(tmp_path / "host.db", 2, 5001, indexed=False)
    with opened(path) as database, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (notice,) = MigrationRunner(database).status().notices
        assert notice.startswith("events has no index on session_id")
        connection.execute(notice.partition(": ")[2])
        note_index(database)
        assert MigrationRunner(database).status().notices == ()
