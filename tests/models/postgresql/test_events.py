"""Sessions follow the host's `events` on a PostgreSQL server. The host's table is never changed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import peewee
import psycopg
import pytest

from tests.support.databases import raw
from tests.support.events import apply, events_table, sessions
from usage_store import run_maintenance
from usage_store.models.postgresql.maintenance import forget_sessions, short_transactions

NOTES = "SELECT session_id, moved_to FROM usage_sessions_ended"


def test_sessions_of_existing_events_are_registered(host: Any, store: peewee.PostgresqlDatabase) -> None:
    host.execute(events_table())
    host.execute("INSERT INTO events (session_id) VALUES ('a'), ('b'), ('a'), (NULL), (''), ('c'), (repeat('x', 1001))")
    apply(store, 1, 2, 3)
    assert sessions(host) == {"a": 0, "b": 0, "c": 0}


def test_the_first_event_registers_a_session_and_the_next_ones_change_nothing(followed: Any) -> None:
    followed.execute("UPDATE usage_sessions SET created_at = 5")
    followed.execute("INSERT INTO events (session_id) VALUES ('c'), ('c'), ('a')")
    assert sessions(followed) == {"a": 2, "b": 2, "c": 0}
    old = followed.execute("SELECT session_id FROM usage_sessions WHERE created_at = 5 ORDER BY 1").fetchall()
    assert old == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ("DELETE FROM events WHERE id = 1", {"a": 2, "b": 2}),
        ("DELETE FROM events WHERE id = 3", {"a": 2}),
        ("DELETE FROM events WHERE session_id = 'a'", {"b": 2}),
        ("DELETE FROM events", {}),
        ("TRUNCATE events", {}),
    ],
)
def test_deleting_the_last_event_deletes_its_session_and_snapshots(
    followed: Any, sql: str, left: dict[str, int]
) -> None:
    followed.execute(sql)
    assert sessions(followed) == left
    assert followed.execute(NOTES).fetchall() == []


def test_a_session_that_gets_another_event_in_the_same_transaction_keeps_its_snapshots(followed: Any) -> None:
    with followed.transaction():
        followed.execute("DELETE FROM events")
        followed.execute("INSERT INTO events (session_id) VALUES ('a')")
    assert sessions(followed) == {"a": 2}


def test_a_deletion_that_is_rolled_back_ends_no_session(followed: Any) -> None:
    with followed.transaction(force_rollback=True):
        followed.execute("TRUNCATE events")
    with followed.transaction():
        followed.execute("SAVEPOINT s")
        followed.execute("DELETE FROM events")
        followed.execute("ROLLBACK TO s")
        followed.execute("DELETE FROM events WHERE id = 3")
    assert sessions(followed) == {"a": 2}
    assert followed.execute(NOTES).fetchall() == []


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("session_id = 'c' WHERE id = 1", {"a": 2, "b": 2, "c": 0}),
        ("session_id = 'c' WHERE session_id = 'a'", {"b": 2, "c": 2}),
        ("session_id = 'b' WHERE session_id = 'a'", {"b": 4}),
        ("session_id = 'c'", {"c": 4}),
        ("session_id = session_id, payload = '[]'", {"a": 2, "b": 2}),
        ("session_id = CASE session_id WHEN 'a' THEN 'A' ELSE 'b' END", {"A": 2, "b": 2}),
        ("session_id = NULL WHERE session_id = 'a'", {"a": 2, "b": 2}),
    ],
)
def test_moving_the_events_of_a_session_moves_its_snapshots(followed: Any, change: str, left: dict[str, int]) -> None:
    ids = "SELECT id, snapshot_data, timestamp FROM usage_snapshots ORDER BY id"
    before = followed.execute(ids).fetchall()
    followed.execute(f"UPDATE events SET {change}")
    assert sessions(followed) == left
    assert followed.execute(ids).fetchall() == before  # the rows and their ids are the same


def test_the_last_change_of_a_session_s_events_decides_where_its_snapshots_go(followed: Any) -> None:
    with followed.transaction():
        followed.execute("UPDATE events SET session_id = 'c' WHERE id = 1")
        followed.execute("UPDATE events SET session_id = 'b' WHERE id = 2")
    assert sessions(followed) == {"b": 4, "c": 0}
    with followed.transaction():
        followed.execute("UPDATE events SET session_id = 'd' WHERE id = 2")
        followed.execute("DELETE FROM events WHERE id = 3")
    assert sessions(followed) == {"c": 0, "d": 0}


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_with_a_fixed_snapshot_the_session_ends_with_the_next_maintenance(
    followed: Any, store: peewee.PostgresqlDatabase, level: str
) -> None:
    followed.execute(f"BEGIN ISOLATION LEVEL {level}")
    followed.execute("DELETE FROM events WHERE session_id = 'a'")
    followed.execute("UPDATE events SET session_id = 'c' WHERE session_id = 'b'")
    followed.execute("COMMIT")
    assert sessions(followed) == {"a": 2, "b": 2, "c": 0}
    run_maintenance.maintain(store)
    assert sessions(followed) == {"c": 2}
    assert followed.execute(NOTES).fetchall() == []


def test_a_session_whose_row_is_locked_ends_with_the_next_maintenance(
    followed: Any, store: peewee.PostgresqlDatabase, any_postgresql_url: str
) -> None:
    with raw(any_postgresql_url) as other, other.transaction():
        other.execute("INSERT INTO events (session_id) VALUES ('a')")
        followed.execute("DELETE FROM events WHERE session_id = 'a'")  # waits for nothing
        assert followed.execute(NOTES).fetchall() == [("a", None)]
        report = run_maintenance.maintain(store)
        assert report.left == ("1 sessions without events to be deleted, which other connections use",)
    assert sessions(followed) == {"a": 2, "b": 2}
    followed.execute("DELETE FROM events WHERE session_id = 'a'")
    run_maintenance.maintain(store)
    assert sessions(followed) == {"b": 2}
    assert followed.execute(NOTES).fetchall() == []


def test_maintenance_ends_where_one_session_is_locked_and_the_note_of_another(
    followed: Any, store: peewee.PostgresqlDatabase, any_postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget_sessions, "_FEW", 1)
    monkeypatch.setattr(short_transactions, "_PATIENCE", 0.6)
    with raw(any_postgresql_url) as other, suppress(psycopg.OperationalError), other.transaction():
        other.execute("SET idle_in_transaction_session_timeout = '20s'")  # else a call without end would hang here
        other.execute("SELECT FROM usage_sessions FOR KEY SHARE")
        followed.execute("DELETE FROM events")
        other.execute("SELECT FROM usage_sessions_ended WHERE session_id = 'b' FOR UPDATE")
        with pytest.raises(peewee.OperationalError, match="lock timeout"):
            run_maintenance.maintain(store)
    run_maintenance.maintain(store)
    assert sessions(followed) == {}


def test_snapshots_that_another_transaction_holds_are_not_waited_for(
    followed: Any, store: peewee.PostgresqlDatabase, any_postgresql_url: str
) -> None:
    with raw(any_postgresql_url) as other, other.transaction():
        other.execute("DELETE FROM usage_snapshots WHERE id = 1")
        followed.execute("SET lock_timeout = '5s'")
        followed.execute("DELETE FROM events WHERE session_id = 'a'")
        other.execute("INSERT INTO events (session_id) VALUES ('c')")
    run_maintenance.maintain(store)
    assert sessions(followed) == {"b": 2, "c": 0}


def test_a_role_without_rights_on_our_tables_inserts_and_deletes_events(followed: Any) -> None:
    (schema,) = followed.execute("SELECT current_schema()").fetchone()
    role = f"guest_{schema}"
    followed.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role}")
    followed.execute(f"GRANT ALL ON events TO {role}; GRANT USAGE ON SEQUENCE events_id_seq TO {role}")
    try:
        followed.execute(f"SET ROLE {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            followed.execute("SELECT * FROM usage_sessions")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            followed.execute("SELECT usage_events_inserted()")
        followed.execute("INSERT INTO events (session_id) VALUES ('c')")
        followed.execute("UPDATE events SET session_id = 'd' WHERE session_id = 'b'")
        followed.execute("DELETE FROM events WHERE session_id = 'a'")
        followed.execute("RESET ROLE")
        assert sessions(followed) == {"c": 0, "d": 2}
        followed.execute(f"SET ROLE {role}; TRUNCATE events; RESET ROLE")
        assert sessions(followed) == {}
    finally:
        followed.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


def test_objects_of_others_never_take_the_place_of_ours(followed: Any) -> None:
    followed.execute("CREATE TEMPORARY TABLE usage_sessions (session_id text); CREATE TEMPORARY TABLE events (id int)")
    (schema,) = followed.execute("SELECT current_schema()").fetchone()
    followed.execute(f"INSERT INTO {schema}.events (session_id) VALUES ('c')")
    followed.execute(f"DELETE FROM {schema}.events WHERE session_id = 'a'")
    followed.execute("DROP TABLE pg_temp.usage_sessions; DROP TABLE pg_temp.events")
    assert sessions(followed) == {"b": 2, "c": 0}


def test_down_does_not_change_the_host_s_table(host: Any, store: peewee.PostgresqlDatabase) -> None:
    host.execute(events_table())
    host.execute("CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    host.execute("CREATE TRIGGER own AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION own()")
    host.execute("INSERT INTO events (session_id) VALUES ('a')")
    before = objects(host)
    apply(store, 1, 2)
    tables = objects(host)
    newest = apply(store, 3)[3]
    assert len(objects(host) - tables) > 0
    newest.down(None, store)
    assert objects(host) == tables
    assert before <= tables
    assert host.execute("SELECT session_id FROM events").fetchall() == [("a",)]


def test_sessions_end_only_with_the_events_of_the_table_that_is_called_events(followed: Any) -> None:
    followed.execute("ALTER TABLE events RENAME TO archive; " + events_table())
    followed.execute("DELETE FROM archive WHERE id = 3")
    followed.execute("TRUNCATE archive")
    assert sessions(followed) == {"a": 2, "b": 2}
    followed.execute("DROP TABLE events; ALTER TABLE archive RENAME TO events")
    followed.execute("INSERT INTO events (session_id) VALUES ('a'); DELETE FROM events")
    assert sessions(followed) == {"b": 2}


def objects(host: Any) -> set[tuple[str, str]]:
    """Return the tables, triggers and functions of the schema."""
    query = """
    SELECT 'table', relname::text FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace
    UNION SELECT 'trigger', tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
      WHERE relnamespace = quote_ident(current_schema())::regnamespace AND NOT tgisinternal
    UNION SELECT 'function', proname FROM pg_proc WHERE pronamespace = quote_ident(current_schema())::regnamespace
    """
    return set(host.execute(query).fetchall())
