"""Sessions without snapshots and events are forgotten on request, and no others."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import maintain_command
from tests.support.databases import raw, rows, script
from tests.support.snapshots import DAY, FILL, record
from usage_store import UsageSession, link_events, maintain, register_sessions
from usage_store.errors import InvalidValue

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

EVENTS = "CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT)"


@pytest.fixture
def path(usage_database: peewee.SqliteDatabase, tmp_path: Path) -> Path:
    """Create a database with three sessions that are 40 days old, one of them with a snapshot, and a new one."""
    record({}, session="full", age=1)
    register_sessions(["idle", "also idle"])
    usage_database.execute_sql("UPDATE usage_sessions SET created_at = ?", (int(time.time()) - 40 * DAY,))
    register_sessions(["new"])
    return tmp_path / "usage.db"


def sessions(path: Path) -> set[str]:
    return {session for (session,) in rows(path, "SELECT session_id FROM usage_sessions")}


def test_sessions_are_forgotten_only_on_request(path: Path) -> None:
    assert maintain(retention_days=300).forgotten == 0
    assert sessions(path) == {"full", "idle", "also idle", "new"}
    done = maintain(forget_sessions_after_days=30)
    assert (done.forgotten, done.left) == (2, ())
    assert sessions(path) == {"full", "new"}
    assert len(rows(path, "SELECT * FROM usage_snapshots")) == 1


def test_only_sessions_of_the_given_age_are_forgotten(path: Path) -> None:
    assert maintain(forget_sessions_after_days=41).forgotten == 0
    script(path, "UPDATE usage_sessions SET created_at = 0 WHERE session_id = 'idle'")
    assert maintain(forget_sessions_after_days=41).forgotten == 1
    assert sessions(path) == {"full", "also idle", "new"}


def test_a_session_that_pruning_empties_is_forgotten_in_the_same_run_and_counted_by_dry_run(path: Path) -> None:
    record({}, session="pruned", age=100)
    script(path, "UPDATE usage_sessions SET created_at = 0 WHERE session_id = 'pruned'")
    assert maintain(forget_sessions_after_days=30, dry_run=True).forgotten == 2
    assert maintain(retention_days=30, forget_sessions_after_days=30, dry_run=True).forgotten == 3
    assert maintain(retention_days=30, forget_sessions_after_days=30).forgotten == 3
    assert sessions(path) == {"full", "new"}


@pytest.mark.parametrize("index", ["", "CREATE INDEX theirs ON events (session_id)"])
def test_a_session_that_has_events_stays(path: Path, index: str) -> None:
    script(path, f"{EVENTS}; {index}; INSERT INTO events (session_id) VALUES ('idle'), (NULL), ('')")
    link_events()
    assert maintain(forget_sessions_after_days=30).forgotten == 1
    assert sessions(path) == {"full", "idle", "new"}


def test_sessions_are_forgotten_although_the_host_s_events_have_no_session_id(path: Path) -> None:
    script(path, "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO events (what) VALUES ('idle')")
    assert maintain(forget_sessions_after_days=30).forgotten == 2


@pytest.mark.parametrize("comes", ["an event", "a snapshot"])
def test_a_session_that_gets_an_event_or_snapshot_at_the_last_moment_stays(
    path: Path, usage_database: peewee.SqliteDatabase, comes: str
) -> None:
    script(path, EVENTS)
    link_events()
    with raw(path) as other:

        def come(statement: str) -> None:
            if statement == "BEGIN IMMEDIATE":  # SQLite calls this before it runs the statement
                usage_database.connection().set_trace_callback(None)
                if comes == "an event":
                    other.execute("INSERT INTO events (session_id) VALUES ('idle')")
                else:
                    other.execute(FILL.replace("'s'", "'idle'"), ("{}", int(time.time())))

        usage_database.connection().set_trace_callback(come)
        assert maintain(compact_after_days=None, forget_sessions_after_days=30).forgotten == 1
    assert sessions(path) == {"full", "idle", "new"}


def test_many_sessions_are_forgotten_in_several_transactions(path: Path, usage_database: peewee.SqliteDatabase) -> None:
    register_sessions(f"{number}" for number in range(3000))
    script(path, "UPDATE usage_sessions SET created_at = 0")
    statements: list[str] = []
    usage_database.connection().set_trace_callback(statements.append)
    told: list[tuple[str, int, int]] = []
    done = maintain(forget_sessions_after_days=30, on_progress=lambda *what: told.append(what))
    usage_database.connection().set_trace_callback(None)
    assert done.forgotten == 3003
    assert statements.count("COMMIT") > 5
    assert ("forgotten", 3003, 3003) in told
    assert sessions(path) == {"full"}


def test_a_bad_age_is_refused(path: Path) -> None:
    with pytest.raises(InvalidValue, match="forget_sessions_after_days: 0 is not allowed"):
        maintain(forget_sessions_after_days=0)
    assert len(sessions(path)) == 4


def test_the_command_line_forgets_sessions_and_prints_their_number(path: Path) -> None:
    def run(*words: str) -> str:
        done = maintain_command(*words, cwd=path.parent)
        done.check_returncode()
        return done.stdout

    assert "forg" not in run()
    assert "would forget 2 sessions\n" in run("--forget-sessions", "30", "--dry-run")
    assert "\nforgot 2 sessions\n" in run("--forget-sessions", "30")
    assert json.loads(run("--forget-sessions", "30", "--json"))["forgotten"] == 0
    assert UsageSession.select().count() == 2
