"""A database of the original TypeScript monitor is converted to this schema, and every row is kept."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import dump
from tests.support.driver import sqlite3
from tests.support.programs import ROOT, run_python
from usage_store.cli.main import main
from usage_store.convert import Converted, convert_original
from usage_store.engines.sqlite.connection.open_file import open_database

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

ORIGINAL = """
PRAGMA journal_mode = WAL;
CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL);
CREATE INDEX idx_schema_migrations_applied_at ON schema_migrations(applied_at);
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, source_app TEXT NOT NULL, session_id TEXT NOT NULL,
  hook_event_type TEXT NOT NULL, payload TEXT NOT NULL, chat TEXT, summary TEXT, timestamp INTEGER NOT NULL);
CREATE INDEX idx_session_id ON events(session_id);
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
  is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)));
CREATE UNIQUE INDEX idx_usage_config_active ON usage_config(is_active) WHERE is_active = 1;
CREATE TABLE usage_snapshots (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id TEXT NOT NULL,
  snapshot_data TEXT NOT NULL,
  snapshot_type TEXT NOT NULL DEFAULT 'stats' CHECK (snapshot_type IN ('stats', 'config', 'session')),
  timestamp INTEGER NOT NULL DEFAULT (unixepoch()));
CREATE INDEX idx_usage_snapshots_session_id ON usage_snapshots(session_id);
CREATE INDEX idx_usage_snapshots_timestamp ON usage_snapshots(timestamp);
CREATE INDEX idx_usage_snapshots_type ON usage_snapshots(snapshot_type);
INSERT INTO schema_migrations VALUES (1, 'add_usage_tracking_tables', 1752500000999);
INSERT INTO usage_config VALUES
  (2, 'pro', NULL, 'daily', 'UTC', '24h', 'dark', 60, 20, 0, 1752500000, 1752500001, 0),
  (5, 'max5', 9, 'session', 'auto', '12h', 'auto', 1, 0.5, 23, 1752500000999, 1752600000001, 1);
INSERT INTO events (source_app, session_id, hook_event_type, payload, timestamp) VALUES
  ('app', 'live', 'PreToolUse', '{}', 1752856654907), ('app', 'quiet', 'Stop', '{}', 1752856654999);
INSERT INTO usage_snapshots VALUES
  (3, 'live', '{ "spaced" : 1 }', 'stats', 1752856654907), (4, 'orphan', 'not JSON', 'config', 1752856655),
  (7, 'live', '{"🦊":2}', 'session', 99999999999), (9, 'deleted', '', 'stats', 100000000000);
DELETE FROM usage_snapshots WHERE id = 9;
"""
REFERENCES = ORIGINAL.replace(
    "  timestamp INTEGER NOT NULL DEFAULT (unixepoch()));\n",
    "  timestamp INTEGER NOT NULL DEFAULT (unixepoch()),\n"
    "  FOREIGN KEY (session_id) REFERENCES events(session_id) ON DELETE CASCADE);\n",
).replace("'add_usage_tracking_tables'", "'Add usage tracking tables'")
RULE = "typeof ( timestamp ) = 'integer' and timestamp >= 0 and timestamp < 100000000000"
CASCADE = "(session_id) on delete cascade on update no action"
RENAMED = "version 1 was applied as 'Add usage tracking tables', but its file is 001_add_usage_tracking_tables.py; "
DIFFERENCES = [
    "usage_config: option (strict) is missing",
    "table usage_sessions is missing",
    f"usage_snapshots: CHECK ({RULE}) is missing",
    f"usage_snapshots: foreign key (session_id) to usage_sessions {CASCADE} is missing",
    "trigger usage_config_updated on usage_config is missing",
    "trigger usage_sessions_deleted on usage_sessions is missing",
]
DIFFERENCES_WITH_REFERENCES = [
    'foreign key mismatch - "usage_snapshots" referencing "events" (1); PRAGMA foreign_key_check lists them',
    f"{RENAMED}restore the name of the file, or name another history table with --table",
    *DIFFERENCES[:4],
    f"usage_snapshots: foreign key (session_id) to events {CASCADE} is not from a migration",
    *DIFFERENCES[4:],
]
KILL_BEFORE_EACH_STATEMENT = """
import os, shutil, signal, sys
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.migrating.before_each_write import before_each_write
from usage_store.convert import convert_original

k, ended = 0, -1
while ended != 0:
    k += 1
    copy = shutil.copy(sys.argv[1], f"{sys.argv[2]}/{k}.db")
    child = os.fork()
    if not child:
        left = iter(range(k - 1, -1, -1))
        database = open_database(copy)
        with before_each_write(database, lambda sql: next(left, None) == 0 and os.kill(os.getpid(), 9)):
            convert_original(database)
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    assert ended in (0, signal.SIGKILL)
print(k)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the test's database."""
    return tmp_path / "monitor.db"


def _make(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(sql)


def _run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run_python("-m", f"usage_store.{module}", *map(str, arguments), cwd=ROOT)


def _rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def _dump(path: Path) -> dict[str, list[Any]]:
    """Return the content of the database, without the times of registered sessions and of the log."""
    found = dump(path)
    for table in ("usage_sessions", "schema_migration_log"):
        found[table] = [row[0] for row in found.get(table, ())]
    return found


@pytest.mark.parametrize(("sql", "expected"), [(ORIGINAL, DIFFERENCES), (REFERENCES, DIFFERENCES_WITH_REFERENCES)])
def test_validate_says_exactly_what_differs(path: Path, sql: str, expected: list[str]) -> None:
    _make(path, sql)
    result = _run("migrate", "validate", "--database", path)
    assert (result.returncode, result.stderr) == (4, "")
    assert [line[9:] for line in result.stdout.splitlines() if line.startswith("problem: ")] == expected


@pytest.mark.parametrize("sql", [ORIGINAL, REFERENCES])
def test_a_conversion_keeps_every_row_and_id_mends_units_and_registers_sessions(path: Path, sql: str) -> None:
    _make(path, sql)
    events = _rows(path, "SELECT * FROM events")
    result = _run("convert", path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "kept 2 configurations and 3 snapshots, of 3 sessions\n"
    assert _rows(path, "SELECT * FROM usage_config ORDER BY id") == [
        (2, "pro", None, "daily", "UTC", "24h", "dark", 60, 20.0, 0, 1752500000, 1752500001, 0),
        (5, "max5", 9, "session", "auto", "12h", "auto", 1, 0.5, 23, 1752500000, 1752600000, 1),
    ]
    assert _rows(path, "SELECT * FROM usage_snapshots ORDER BY id") == [
        (3, "live", '{ "spaced" : 1 }', "stats", 1752856654),
        (4, "orphan", "not JSON", "config", 1752856655),
        (7, "live", '{"🦊":2}', "session", 99999999999),
    ]
    assert _rows(path, "SELECT session_id FROM usage_sessions ORDER BY 1") == [("live",), ("orphan",), ("quiet",)]
    assert _rows(path, "SELECT * FROM schema_migrations") == [(1, "add_usage_tracking_tables", 1752500000)]
    marks = [("events", 2), ("usage_config", 5), ("usage_snapshots", 9)]
    assert _rows(path, "SELECT name, seq FROM sqlite_sequence ORDER BY name") == marks
    assert _rows(path, "SELECT * FROM events") == events

    said = _run("migrate", "--database", path).stdout
    assert re.findall("applied ([0-9]+)_", said) == ["002", "003"]
    valid = _run("migrate", "validate", "--database", path)
    ahead, said = valid.stdout.splitlines()
    assert (valid.returncode, said, valid.stderr) == (0, "valid", "")
    assert re.fullmatch(r"notice: snapshots with a timestamp more than a day ahead of this machine's .*: 1", ahead)
    status = _run("migrate", "status", "--database", path)
    assert (status.returncode, status.stdout.splitlines()[0]) == (0, f"version 3 of 3, 0 pending in {path}")
    assert "notice" not in status.stdout

    before = path.read_bytes()
    again = _run("convert", path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "nothing to convert\n", "")
    assert path.read_bytes() == before


def test_ids_are_not_given_again_even_when_no_row_is_left(path: Path) -> None:
    _make(path, ORIGINAL + "DELETE FROM usage_snapshots; DELETE FROM usage_config; DROP TABLE events;")
    assert _run("convert", path).stdout == "kept 1 configurations and 0 snapshots, of 0 sessions\n"
    _make(path, "INSERT INTO usage_sessions (session_id) VALUES ('a')")
    _make(path, "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('a', '{}')")
    _make(path, "INSERT INTO usage_config (is_active) VALUES (0)")
    assert _rows(path, "SELECT id FROM usage_snapshots") == [(10,)]
    assert _rows(path, "SELECT max(id) FROM usage_config") == [(6,)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE usage_snapshots ADD COLUMN note TEXT", "usage_snapshots has columns that would be lost: note"),
        ("ALTER TABLE usage_config ADD COLUMN twice AS (refresh_rate * 2)", "twice"),
        ("CREATE INDEX mine ON usage_snapshots(session_id, timestamp)", "mine"),
        ("CREATE TRIGGER mine AFTER INSERT ON usage_snapshots BEGIN SELECT 1; END", "mine"),
        ("INSERT INTO schema_migrations VALUES (2, 'more', 1752500000999)", "not a database of the original"),
        ("UPDATE schema_migrations SET version = 2", "not a database of the original"),
        ("DELETE FROM schema_migrations", "nothing to convert; run `usage-store migrate --usage-tables` instead"),
        ("DROP TABLE usage_config", "not a database of the original"),
        ("UPDATE usage_config SET refresh_rate = 10.5 WHERE id = 2", "refresh_rate"),
        ("UPDATE usage_snapshots SET timestamp = -5 WHERE id = 4", "timestamp"),
        ("UPDATE usage_snapshots SET timestamp = 'noon' WHERE id = 4", "timestamp"),
        ("UPDATE usage_snapshots SET session_id = '' WHERE id = 4", "session_id"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_changed(
    path: Path, capsys: pytest.CaptureFixture[str], change: str, said: str
) -> None:
    _make(path, f"{ORIGINAL}; {change};")
    before = path.read_bytes()
    assert main(["convert", str(path)]) in range(1, 9)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"error: [^\n]*; nothing was changed\n", printed.err)
    assert said in printed.err
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, b"", b"no database at all\n" * 400])
def test_a_file_that_is_no_such_database_is_refused_and_left(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    result = _run("convert", path)
    assert result.returncode == (2 if content == b"" else 8)
    assert result.stderr.startswith("error: ")
    assert path.exists() is (content is not None)
    if content:
        assert path.read_bytes() == content
    elif path.exists():
        assert dump(path)["schema"] == []


def test_a_kill_before_any_statement_leaves_the_old_or_the_new_and_never_half(path: Path, tmp_path: Path) -> None:
    _make(path, REFERENCES)
    result = run_python("-c", KILL_BEFORE_EACH_STATEMENT, path, tmp_path, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    old, new, found = _dump(path), _dump(tmp_path / f"{int(result.stdout)}.db"), []
    assert old != new
    for k in range(1, int(result.stdout)):
        killed = tmp_path / f"{k}.db"
        found.append(_dump(killed))
        assert found[-1] in (old, new)
        with closing(open_database(killed)) as database:
            converted = convert_original(database)
        assert converted == (Converted(2, 3, 3) if found[-1] == old else None)
        assert _dump(killed) == new
    assert found == [old] * len(found)  # the last write is the COMMIT, and after it comes no death
    assert len(found) > 10
