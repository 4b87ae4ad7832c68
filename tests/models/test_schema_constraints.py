"""The rules that the database itself enforces, whoever writes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import databases
from tests.support.driver import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark import ParameterSet

    from tests.support.databases import Target

CONFIG_FIELDS = (
    *("plan", "custom_limit_tokens", "view", "timezone", "time_format", "theme"),
    *("refresh_rate", "refresh_per_second", "reset_hour"),
)
CONFIG_NOT_NULL = {*CONFIG_FIELDS, "created_at", "updated_at", "is_active"} - {"custom_limit_tokens", "reset_hour"}
SNAPSHOT_NOT_NULL = ("session_id", "snapshot_data", "snapshot_type", "timestamp")
CHECK, DATATYPE, NOT_NULL = "CHECK constraint failed", "cannot store", "NOT NULL constraint failed"
FOREIGN, UNIQUE = "FOREIGN KEY constraint failed", "UNIQUE constraint failed"
ON_A_SERVER = {  # the names of the driver's errors
    CHECK: {"CheckViolation", "InvalidTextRepresentation"},
    DATATYPE: {"InvalidTextRepresentation", "DatatypeMismatch"},
    NOT_NULL: {"NotNullViolation", "CheckViolation"},
    FOREIGN: {"ForeignKeyViolation"},
    UNIQUE: {"UniqueViolation"},
}
ROUNDED = pytest.mark.only_on("sqlite", "assigned values")


def rounded(*case: object) -> ParameterSet:
    """Give a case of a number that a server rounds."""
    return pytest.param(*case, marks=ROUNDED)


REFUSED = [
    *(("usage_config", "plan", value, CHECK) for value in ("free", "", "PRO")),
    *(("usage_config", "custom_limit_tokens", value, CHECK) for value in (0, -1)),
    *(("usage_config", "custom_limit_tokens", value, DATATYPE) for value in ("many", b"1")),
    rounded("usage_config", "custom_limit_tokens", 1.5, DATATYPE),
    ("usage_config", "view", "weekly", CHECK),
    ("usage_config", "time_format", "13h", CHECK),
    ("usage_config", "theme", "blue", CHECK),
    *(("usage_config", "refresh_rate", value, CHECK) for value in (0, 61, -1)),
    ("usage_config", "refresh_rate", "often", DATATYPE),
    rounded("usage_config", "refresh_rate", 10.5, DATATYPE),
    *(("usage_config", "refresh_per_second", value, CHECK) for value in (0.09, 20.1, float("inf"))),
    ("usage_config", "refresh_per_second", "fast", DATATYPE),
    ("usage_config", "refresh_per_second", float("nan"), NOT_NULL),
    *(("usage_config", "reset_hour", value, CHECK) for value in (-1, 24)),
    rounded("usage_config", "reset_hour", 1.5, DATATYPE),
    *(("usage_config", "is_active", value, CHECK) for value in (2, -1)),
    ("usage_config", "created_at", "today", DATATYPE),
    rounded("usage_config", "created_at", 1.5, DATATYPE),
    ("usage_config", "timezone", b"UTC", DATATYPE),
    *(("usage_config", column, None, NOT_NULL) for column in sorted(CONFIG_NOT_NULL)),
    ("usage_sessions", "session_id", "", CHECK),
    ("usage_sessions", "session_id", b"known", DATATYPE),
    ("usage_sessions", "session_id", None, NOT_NULL),
    rounded("usage_sessions", "created_at", 1.5, DATATYPE),
    *(("usage_snapshots", "snapshot_type", value, CHECK) for value in ("", "STATS", "other")),
    *(("usage_snapshots", "timestamp", value, CHECK) for value in (1752856654907, 10**11, -1, "now")),
    rounded("usage_snapshots", "timestamp", 1752856654.5, CHECK),
    *(("usage_snapshots", "session_id", value, FOREIGN) for value in ("unknown", "", "KNOWN")),
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
def raw(path: Target) -> Iterator[Any]:
    """Provide a connection of another program, foreign keys on, to a database with one session and one snapshot."""
    with databases.raw(path) as connection:
        pragma(connection, "foreign_keys = ON")
        connection.execute("INSERT INTO usage_sessions (session_id) VALUES ('known')")
        connection.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('known', '{}')")
        yield connection


def pragma(connection: Any, setting: str) -> None:
    """Set a setting of SQLite, for which a server has no counterpart."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA {setting}")


@contextmanager
def refused(rule: str) -> Iterator[None]:
    """Check that the database refuses what the block writes, by this rule."""
    with pytest.raises(Exception, match=r".") as caught:
        yield
    if isinstance(caught.value, sqlite3.IntegrityError):
        assert rule in str(caught.value)
    else:
        assert type(caught.value).__name__ in ON_A_SERVER[rule.partition(":")[0]]


def _writes(table: str, column: str) -> tuple[str, str]:
    row = NEEDED[table] | {column: "?"}
    insert = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"
    return insert, f"UPDATE {table} SET {column} = ?"


@pytest.mark.sample
@pytest.mark.parametrize(("table", "column", "value", "rule"), REFUSED)
def test_the_database_itself_refuses(raw: Any, table: str, column: str, value: object, rule: str) -> None:
    before = databases.contents(raw)
    for sql in _writes(table, column):
        with refused(rule):
            raw.execute(sql, (value,))
    assert databases.contents(raw) == before


@pytest.mark.parametrize(("table", "column", "values"), ALLOWED)
def test_the_database_accepts_the_first_and_last_value_of_each_range(
    raw: Any, table: str, column: str, values: tuple[object, ...]
) -> None:
    for value in values:
        for sql in _writes(table, column):
            raw.execute(sql, (value,))
            assert raw.execute(f"SELECT {column} FROM {table} ORDER BY id DESC").fetchone() == (value,)


def test_a_second_active_configuration_is_refused_and_inactive_ones_are_not(raw: Any) -> None:
    for _ in range(2):
        raw.execute("INSERT INTO usage_config (is_active) VALUES (0)")
    for sql in ("INSERT INTO usage_config DEFAULT VALUES", "UPDATE usage_config SET is_active = 1"):
        with refused(f"{UNIQUE}: usage_config.is_active"):
            raw.execute(sql)
    assert raw.execute("SELECT is_active, count(*) FROM usage_config GROUP BY 1 ORDER BY 1").fetchall() == [
        (0, 2),
        (1, 1),
    ]


OFF = pytest.param("OFF", marks=pytest.mark.only_on("sqlite", "settings of a connection"))


@pytest.mark.parametrize("foreign_keys", ["ON", OFF])
def test_deleting_a_session_deletes_its_snapshots_and_no_others(raw: Any, foreign_keys: str) -> None:
    pragma(raw, f"foreign_keys = {foreign_keys}")
    raw.execute("INSERT INTO usage_sessions (session_id) VALUES ('other')")
    raw.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('other', '{}')")
    raw.execute("DELETE FROM usage_sessions WHERE session_id = 'known'")
    assert raw.execute("SELECT session_id FROM usage_snapshots").fetchall() == [("other",)]


@pytest.mark.parametrize("recursive", ["ON", OFF])
def test_updated_at_changes_whoever_writes_and_created_at_does_not(raw: Any, recursive: str) -> None:
    pragma(raw, f"recursive_triggers = {recursive}")
    for column in CONFIG_FIELDS:
        raw.execute("UPDATE usage_config SET created_at = 5, updated_at = 5")
        raw.execute(f"UPDATE usage_config SET {column} = {column}")
        created, updated = raw.execute("SELECT created_at, updated_at FROM usage_config").fetchone()
        assert (column, created, abs(time.time() - updated) < 60) == (column, 5, True)
