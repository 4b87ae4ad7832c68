"""Runs are killed at random moments, beside a writer and a reader: in the end, each migration has run once."""

from __future__ import annotations

import os
import random
import shutil
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import opened, rows, script
from tests.support.migrations import python, write
from tests.support.programs import ROUNDS, await_ready, forked, killed_after, start
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from usage_store.migrate.files.migration import Direction

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

ROWS = 20_000
SLOW = """
for n in range(40):
    db.execute_sql('UPDATE item SET size = size + 1 WHERE id % 40 = ?', (n,))
"""
CHECKED = """
import peewee
from playhouse.migrate import migrate
migrate(migrator.add_constraint('item', 'sized', peewee.SQL('CHECK (size >= 0)')))
"""


def marked(number: int, up: str) -> str:
    """Write a migration whose result shows if it ran twice, up or down."""
    down = f"db.execute_sql('DELETE FROM mark')\ndb.execute_sql('UPDATE item SET size = size + {number}')"
    return python(f"db.execute_sql('INSERT INTO mark VALUES ({number})')\n{up}", down)


FILES = {
    "001_double": marked(1, "db.execute_sql('UPDATE item SET size = size * 2')"),
    "002_slow": marked(2, SLOW),
    "003_rebuild": marked(3, CHECKED),
    "004_backfill": python("migrator.backfill('item', 'done = done + 1', 'done = 0')", "", atomic=False),
    "005_add": marked(5, "db.execute_sql('UPDATE item SET size = size + 7')"),
}
EXPECTED = {"up": [(ROWS, ROWS * 10, ROWS)], "down": [(ROWS, ROWS * 21, ROWS)]}
MARKS = {"up": [(1,), (2,), (3,), (5,)], "down": []}
# Prints how many rows are committed; if the database is locked, it tries again.
WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=300)
print("ready", flush=True)
said = open(sys.argv[1] + ".said", "w")
for n in range(1, 10**9):
    connection.execute("INSERT INTO log VALUES (?)", (n,))
    said.seek(0)
    said.write(str(n))
    said.flush()
    time.sleep(0.002)
"""
READER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=300)
print("ready", flush=True)
while True:
    connection.execute("BEGIN")
    first = connection.execute("SELECT sum(size) FROM item").fetchone()
    time.sleep(0.05)
    assert connection.execute("SELECT sum(size) FROM item").fetchone() == first
    connection.execute("COMMIT")
"""


def prepared(folder: Path) -> Path:
    path = folder / "app.db"
    script(
        path,
        f"""
        PRAGMA journal_mode = WAL;
        CREATE TABLE mark (n INTEGER);
        CREATE TABLE log (n INTEGER);
        CREATE TABLE item (id INTEGER PRIMARY KEY, size INTEGER, done INTEGER DEFAULT 0);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
        INSERT INTO item (id, size) SELECT i, 1 FROM n;
        """,
    )
    return path


def run(path: Path, directory: Path, direction: Direction) -> None:
    with opened(path) as database:
        runner = MigrationRunner(database, directory, backup=False)
        if direction == "up":
            runner.migrate()
        elif runner.current_version():
            runner.rollback(0)


def duration(path: Path, directory: Path, direction: Direction) -> float:
    """Give the seconds that a run takes when nothing disturbs it."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    began = time.monotonic()
    assert forked(lambda: run(copy, directory, direction)) == 0
    return time.monotonic() - began


@contextmanager
def beside(path: Path) -> Iterator[None]:
    """Let a writer and a reader work in other processes during the block."""
    others = [start(code, path, cwd=path.parent) for code in (WRITER, READER)]
    try:
        for other in others:
            await_ready(other)
        yield
        assert [other.poll() for other in others] == [None, None], "nothing stopped them"
    finally:
        for other in others:
            with other:
                other.kill()


@pytest.mark.parametrize("direction", ["up", "down"])
def test_killed_at_random_moments_each_migration_runs_once(tmp_path: Path, direction: Direction) -> None:
    directory = write(tmp_path / "own", FILES)
    moments = random.Random(direction)
    whole = 0.0
    kills = number = 0
    while number < 5 * ROUNDS or kills <= ROUNDS:
        (tmp_path / str(number)).mkdir()
        path = prepared(tmp_path / str(number))
        if direction == "down":
            assert forked(lambda path=path: run(path, directory, "up")) == 0  # type: ignore[misc]
        if number == 0:
            whole = duration(path, directory, direction)
        with beside(path):
            for _ in range(6):
                early = killed_after(moments.uniform(0, whole), partial(run, path, directory, direction))
                kills += early
                whole *= 1 if early else 0.9
            run(path, directory, direction)
        assert rows(path, "SELECT n FROM mark ORDER BY n") == MARKS[direction]
        assert rows(path, "SELECT count(*), sum(size), sum(done) FROM item") == EXPECTED[direction]
        said = int((path.parent / "app.db.said").read_text() or 0)
        assert rows(path, f"SELECT max(n) = count(*), count(*) >= {said} FROM log") == [(1, 1)]
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        number += 1
