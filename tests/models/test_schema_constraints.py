"""The rules that the database itself enforces, whoever writes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import contents
from tests.support.driver import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

pytestmark = pytest.mark.only_on("sqlite", "words of an error")

CONFIG_FIELDS = (
    *("plan", "custom_limit_tokens", "view", "timezone", "time_format", "theme"),
    *("refresh_rate", "refresh_per_second", "reset_hour"),
)
CONFIG_NOT_NULL = {*CONFIG_FIELDS, "created_at", "updated_at", "is_active"} - {"custom_limit_tokens", "reset_hour"}
SNAPSHOT_NOT_NULL = ("session_id", "snapshot_data", "snapshot_type", "timestamp")
CHECK, DATATYPE, NOT_NULL = "CHECK constraint failed", "cannot store", "NOT NULL constraint failed"
REFUSED = [
    *(("usage_config", "plan", value, CHECK) for value in ("free", "", "PRO")),
    *(("usage_config", "custom_limit_tokens", value, CHECK) for value in (0, -1)),
    *(("usage_config", "custom_limit_tokens", value, DATATYPE) for value in (1.5, "many", b"1")),
    ("usage_config", "view", "weekly", CHECK),
    ("usage_config", "time_format", "13h", CHECK),
    ("usage_config", "theme", "blue", CHECK),
    *(("usage_config", "refresh_rate", value, CHECK) for value in (0, 61, -1)),
    *(("usage_config", "refresh_rate", value, DATATYPE) for value in (10.5, "often")),
    *(("usage_config", "refresh_per_second", value, CHECK) for value in (0.09, 20.1, float("inf"))),
    ("usage_config", "refresh_per_second", "fast", DATATYPE),
    ("usage_config", "refresh_per_second", float("nan"), NOT_NULL),
    *(("usage_config", "reset_hour", value, CHECK) for value in (-1, 24)),
    ("usage_config", "reset_hour", 1.5, DATATYPE),
    *(("usage_config", "is_active", value, CHECK) for value in (2, -1)),
    *(("usage_config", "created_at", value, DATATYPE) for value in (1.5, "today")),
    ("usage_config", "timezone", b"UTC", DATATYPE),
    *(("usage_config", column, None, NOT_NULL) for column in sorted(CONFIG_NOT_NULL)),
    ("usage_sessions", "session_id", "", CHECK),
    ("usage_sessions", "session_id", b"known", DATATYPE),
    ("usage_sessions", "session_id", None, NOT_NULL),
    ("usage_sessions", "created_at", 1.5, DATATYPE),
    *(("usage_snapshots", "snapshot_type", value, CHECK) for value in ("", "STATS", "other")),
    *(("usage_snapshots", "timestamp", value, CHECK) for value in (1752856654907, 10**11, -1, 1752856654.5, "now")),
    *(("usage_snapshots", "session_id", value, "FOREIGN KEY constraint failed") for value in ("unknown", "", "KNOWN")),
    *(("usage_snapshots", column, None, NOT_NULL) for column in SNAPSHOT_NOT_NULL),
]
ALLOWED = [
    ("usage_config", "plan", ("pro", "max5", "max20", "custom")),
    ("usage_config", "custom_limit_tokens", (None, 1, 2**63 - 1)),
    ("usage_config", "view", ("realtime", "daily", "monthly", "session")),
    ("usage_config", "time_format", ("12h", "24h", "auto")),
    ("usage_config", "theme", ("light", "dark", "classic", "auto")),
    ("usage_config", "refresh_rate", (1, 60)),
    ("usage_config", "refresh_per_second", (0.1, 20.0)),
    ("usage_config", "reset_hour", (None, 0, 23)),
    ("usage_snapshots", "snapshot_type", ("stats", "config", "session")),
    ("usage_snapshots", "timestamp", (0, 10**11 - 1)),
]
NEEDED = {
    "usage_config": {"is_active": "0"},
    "usage_sessions": {"session_id": "'another'"},
    "usage_snapshots": {"session_id": "'known'", "snapshot_data": "'{}'"},
}


@pytest.fixture
def raw(usage_database: peewee.SqliteDatabase) -> Iterator[sqlite3.Connection]:
    """Provide a connection of another program, foreign keys on, to a database with one session and one snapshot."""
    with closing(sqlite3.connect(usage_database.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("INSERT INTO usage_sessions (session_id) VALUES ('known')")
        connection.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('known', '{}')")
        yield connection


def _writes(table: str, column: str) -> tuple[str, str]:
    row = NEEDED[table] | {column: "?"}
    insert = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"
    return insert, f"UPDATE {table} SET {column} = ?"


@pytest.mark.parametrize(("table", "column", "value", "rule"), REFUSED)
def test_the_database_itself_refuses(
    raw: sqlite3.Connection, table: str, column: str, value: object, rule: str
) -> None:
    before = contents(raw)
    for sql in _writes(table, column):
        with pytest.raises(sqlite3.IntegrityError, match=rule):
            raw.execute(sql, (value,))
    assert contents(raw) == before


@pytest.mark.parametrize(("table", "column", "values"), ALLOWED)
def test_the_database_accepts_the_first_and_last_value_of_each_range(
    raw: sqlite3.Connection, table: str, column: str, values: tuple[object, ...]
) -> None:
    for value in values:
        for sql in _writes(table, column):
            raw.execute(sql, (value,))
            assert raw.execute(f"SELECT {column} FROM {table} ORDER BY id DESC").fetchone() == (value,)


def test_a_second_active_configuration_is_refused_and_inactive_ones_are_not(raw: sqlite3.Connection) -> None:
    for _ in range(2):
        raw.execute("INSERT INTO usage_config (is_active) VALUES (0)")
    for sql in ("INSERT INTO usage_config DEFAULT VALUES", "UPDATE usage_config SET is_active = 1"):
        with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE constraint failed: usage_config.is_active"):
            raw.execute(sql)
    assert raw.execute("SELECT is_active, count(*) FROM usage_config GROUP BY 1").fetchall() == [(0, 2), (1, 1)]


@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
def test_deleting_a_session_deletes_its_snapshots_and_no_others(raw: sqlite3.Connection, foreign_keys: str) -> None:
    raw.execute(f"PRAGMA foreign_keys = {foreign_keys}")
    raw.execute("INSERT INTO usage_sessions (session_id) VALUES ('other')")
    raw.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('other', '{}')")
    raw.execute("DELETE FROM usage_sessions WHERE session_id = 'known'")
    assert raw.execute("SELECT session_id FROM usage_snapshots").fetchall() == [("other",)]


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_updated_at_changes_whoever_writes_and_created_at_does_not(raw: sqlite3.Connection, recursive: str) -> None:
    raw.execute(f"PRAGMA recursive_triggers = {recursive}")
    for column in CONFIG_FIELDS:
        raw.execute("UPDATE usage_config SET created_at = 5, updated_at = 5")
        raw.execute(f"UPDATE usage_config SET {column} = {column}")
        created, fresh = raw.execute("SELECT created_at, unixepoch() - updated_at < 60 FROM usage_config").fetchone()
        assert (column, created, fresh) == (column, 5, 1)
