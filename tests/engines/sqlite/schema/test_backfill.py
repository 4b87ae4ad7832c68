"""`migrator.backfill` changes large tables in short transactions, and continues after it was killed."""

from __future__ import annotations

import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, rows, script
from tests.support.driver import sqlite3
from tests.support.migrations import history, migrate_all, python, runner_of, write
from tests.support.programs import Ended, await_ready, finish, run_python, running, start, until
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.clock import Clock

pytestmark = pytest.mark.quick

ROWS = 20_000
FILL = "migrator.backfill('t', 'done = done + 1, name = upper(name)', where='done = 0')"
WRITTEN = f"SELECT count(*) FROM t WHERE id > {ROWS}"
COUNTS = f"SELECT count(*), sum(done), sum(name = 'ROW ' || id) FROM t WHERE id <= {ROWS}"


def filled(path: Path, *, rowid: str = "") -> Path:
    script(
        path,
        f"""
        PRAGMA journal_mode = WAL;
        CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, done INTEGER NOT NULL DEFAULT 0){rowid};
        CREATE INDEX t_done ON t (done);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
        INSERT INTO t (id, name) SELECT i, 'Row ' || i FROM n;
        """,
    )
    return path


def migrations(folder: Path, up: str = FILL, *, atomic: bool = False) -> Path:
    return write(folder / "migrations", {"001_fill": python(up, atomic=atomic)})


def test_every_row_is_changed_once_and_progress_is_told(tmp_path: Path) -> None:
    path = filled(tmp_path / "app.db")
    told: list[tuple[str, int, int]] = []
    migrate_all(path, migrations(tmp_path), on_progress=lambda *each: told.append(each))
    assert rows(path, COUNTS) == [(ROWS, ROWS, ROWS)]
    assert len(told) > 3
    assert told == sorted(told)
    assert {what for what, _, _ in told} == {"rows in 001_fill"}
    assert told[-1][1:] == (ROWS, ROWS)
    assert history(path) == [1]


def test_it_gives_the_number_of_rows_and_takes_parameters(tmp_path: Path) -> None:
    path = filled(tmp_path / "app.db")
    up = """
    changed = migrator.backfill("T", "name = ?", "id % ? = 0", params=("it's", 10))
    assert changed == 2000, changed
    assert migrator.backfill("t", "name = ?", "name IS NULL", params=("x",)) == 0
    db.execute_sql("CREATE TABLE empty (a)")
    assert migrator.backfill("empty", "a = 1") == 0
    """
    migrate_all(path, migrations(tmp_path, up))
    assert rows(path, "SELECT count(*), min(id) FROM t WHERE name = 'it''s'") == [(2000, 10)]


def test_rowids_below_zero_and_far_apart_are_found(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    script(path, f"CREATE TABLE t (a, done DEFAULT 0); INSERT INTO t (rowid) VALUES (-7), (0), (5), ({2**62})")
    migrate_all(path, migrations(tmp_path, "migrator.backfill('t', 'done = done + 1', 'done = 0')"))
    assert rows(path, "SELECT done FROM t") == [(1,)] * 4


def test_rows_that_are_added_meanwhile_are_changed_too(tmp_path: Path) -> None:
    path = filled(tmp_path / "app.db")
    late: list[int] = []

    def add(_what: str, seen: int, _total: int) -> None:
        if not late and seen > ROWS // 2:
            late.append(seen)
            script(path, "INSERT INTO t (name) VALUES ('late')")

    migrate_all(path, migrations(tmp_path), on_progress=add)
    assert rows(path, "SELECT name, done FROM t WHERE name = 'LATE'") == [("LATE", 1)]


KILLED = """
import os, signal, sys
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.migrate import MigrationRunner

def told(_what, seen, _total):
    if seen > int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

MigrationRunner(open_database(sys.argv[1]), sys.argv[2], on_progress=told).migrate()
"""


@pytest.mark.slow
def test_a_killed_backfill_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = filled(tmp_path / "app.db")
    directory = migrations(tmp_path)
    done = 0
    for limit in (100, 3000, 9000):
        ended = run_python("-c", KILLED, path, directory, str(limit), cwd=tmp_path)
        assert ended.returncode == -signal.SIGKILL
        before, ((done,),) = done, rows(path, "SELECT sum(done) FROM t")
        assert before < done < ROWS
        assert "schema_migrations" not in dump(path)
    migrate_all(path, directory)
    assert rows(path, COUNTS) == [(ROWS, ROWS, ROWS)]  # no row was counted up twice
    assert history(path) == [1]


WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=300)
print("ready", flush=True)
while connection.execute("SELECT count(*) FROM t WHERE done = 0").fetchone()[0]:
    connection.execute("INSERT INTO t (name, done) VALUES ('writer', 1)")
    time.sleep(0.002)
"""


def test_writers_get_through_between_the_batches(tmp_path: Path) -> None:
    path = filled(tmp_path / "app.db")
    writer = start(WRITER, path, cwd=tmp_path)
    with running(writer):
        await_ready(writer)

        def wait_for_the_writer(_what: str, seen: int, _total: int) -> None:
            if seen < ROWS:
                written = rows(path, WRITTEN)
                until(lambda: rows(path, WRITTEN) > written, writer)

        migrate_all(path, migrations(tmp_path), on_progress=wait_for_the_writer)
        assert finish(writer) == Ended(0, "", "")
    assert rows(path, COUNTS) == [(ROWS, ROWS, ROWS)]


def test_the_lock_is_free_for_half_as_long_as_it_was_held(tmp_path: Path, clock: Clock) -> None:
    path = filled(tmp_path / "app.db")
    slow = f"db.connection().create_function('upper', 1, lambda text: (sleep(0.00001), text.upper())[1])\n{FILL}"
    migrate_all(path, migrations(tmp_path, f"from time import sleep\n{slow}"))
    batches = [0]
    for slept in clock.slept:
        if slept == 0.00001:
            batches[-1] += 1
        else:
            assert slept == pytest.approx(batches[-1] * 0.00001 / 2)
            batches.append(0)
    assert sum(batches) == ROWS
    assert max(batches) * 0.00001 < 0.03, "seconds"


def test_the_lock_is_free_between_two_batches(tmp_path: Path) -> None:
    path = filled(tmp_path / "app.db")

    def write_at_once(_what: str, _seen: int, _total: int) -> None:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            other.execute("INSERT INTO t (name, done) VALUES ('other', 1)")

    migrate_all(path, migrations(tmp_path), on_progress=write_at_once)
    assert rows(path, COUNTS) == [(ROWS, ROWS, ROWS)]


@pytest.mark.parametrize(
    ("up", "atomic", "reason"),
    [
        (FILL, True, "t: a backfill commits in batches; write atomic = False in its migration"),
        (f"with db.atomic():\n    {FILL}", False, "t: a backfill commits in batches"),
        ("migrator.backfill('w', 'b = 1')", False, "w: a backfill needs rowids, which this table does not have"),
        ("migrator.backfill('c', 'b = 1')", False, "c: a backfill needs rowids, which this table does not have"),
        ("migrator.backfill('gone', 'b = 1')", False, "gone"),
    ],
)
def test_what_a_backfill_cannot_do_is_refused_and_changes_nothing(
    tmp_path: Path, up: str, *, atomic: bool, reason: str
) -> None:
    path = tmp_path / "app.db"
    script(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name, done DEFAULT 0); INSERT INTO t (name) VALUES ('a');"
        "CREATE TABLE w (a PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO w VALUES (1, 2);"
        "CREATE TABLE c (_rowid_, b); INSERT INTO c VALUES (1, 2)",
    )
    with (
        runner_of(path, migrations(tmp_path, up, atomic=atomic)) as runner,
        pytest.raises(errors.MigrationFailed) as raised,
    ):
        runner.migrate()
    assert reason in str(raised.value)
    assert rows(path, "SELECT name, done FROM t UNION ALL SELECT * FROM w UNION ALL SELECT * FROM c") == [
        ("a", 0),
        (1, 2),
        (1, 2),
    ]
    assert "schema_migrations" not in dump(path)
