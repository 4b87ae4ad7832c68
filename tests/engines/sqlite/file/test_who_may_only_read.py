"""A user who may only read a database never sees a half-written state or uncommitted data."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import files_of, raw, rows, script
from tests.support.migrations import history, migrate_all, sql, table, write
from tests.support.programs import TIMEOUT, Ended, await_ready, environment, finish, start

if TYPE_CHECKING:
    from pathlib import Path

UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--")
pytestmark = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to drop root's privileges")

CRASH = """
import sys
from peewee import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 5")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE item SET title = 'not committed'")
print("ready", flush=True)
input()
"""
READ = """
import sys
from usage_store import errors
from usage_store.engines.sqlite.connection.open_file import open_database
database = open_database(sys.argv[1], readonly=True)
print(database.execute_sql("SELECT count(*) FROM item").fetchone()[0], flush=True)
input()
try:
    database.close()
except errors.DatabaseUnreadable as error:
    print(error)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a database in rollback-journal mode with one migration and 2,000 rows; nobody is connected."""
    path = tmp_path / "data" / "app.db"
    path.parent.mkdir()
    migrate_all(path, write(tmp_path / "own", {"001_item": table("item")}))
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION SELECT n + 1 FROM n WHERE n < 2000)"
    script(path, f"PRAGMA journal_mode = DELETE; {numbers} INSERT INTO item (title) SELECT hex(randomblob(100)) FROM n")
    return path


def forbid_writing(path: Path) -> None:
    path.chmod(0o444)
    path.parent.chmod(0o555)


def look(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who may write only where the permissions of root's files allow it."""
    options = ("--database", path, "--directory", path.parents[1] / "own", "--wait", "0")
    return command(*words, *options, cwd=path.parents[1], before=UNPRIVILEGED)


def read(path: Path) -> subprocess.Popen[str]:
    """Open a database as a user who may only read, and read it; `finish` closes it."""
    pipe = subprocess.PIPE
    words = [*UNPRIVILEGED, sys.executable, "-c", READ, str(path)]
    return subprocess.Popen(words, env=environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_what_a_dead_writer_did_not_commit_is_never_read(path: Path) -> None:
    writer = start(CRASH, path, cwd=path.parent)
    await_ready(writer)
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=TIMEOUT)
    assert path.with_name("app.db-journal").stat().st_size > 0
    forbid_writing(path)
    before = files_of(path.parent)
    for words in (["status"], ["validate"], ["backup"]):
        done = look(path, *words)
        assert (done.returncode, done.stdout) == (8, "")
        assert re.fullmatch(
            r"error: .+app\.db: has a hot journal.+ a user who may write must open it once .+\n", done.stderr
        )
    assert files_of(path.parent) == before
    assert rows(path, "SELECT count(*) FROM item WHERE title = 'not committed'") == [(0,)]
    assert look(path, "validate").returncode == 0


def test_a_rollback_journal_file_is_read_under_sqlites_locks(path: Path) -> None:
    forbid_writing(path)
    assert look(path, "validate").returncode == 0
    with raw(path) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        done = look(path, "validate")
        assert done.returncode == 6, done.stderr
        assert "holds the database's lock" in done.stderr


def test_a_backup_in_rollback_journal_mode_waits_for_the_writer(path: Path) -> None:
    path.chmod(0o444)
    with raw(path) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert look(path, "backup").returncode == 6
    assert look(path, "backup").returncode == 0
    (backup,) = path.parent.glob("*.backup")
    assert rows(backup, "SELECT count(*) FROM item") == [(2000,)]


@pytest.mark.parametrize("words", [["backup"], ["rehearse"]])
def test_a_quiet_wal_file_is_looked_at_but_never_copied_by_who_may_not_write(path: Path, words: list[str]) -> None:
    script(path, "PRAGMA journal_mode = WAL")
    write(path.parents[1] / "own", {"002_more": sql("DELETE FROM item", down=None)})
    path.chmod(0o444)
    before = files_of(path.parent)
    assert look(path, "status").returncode == 0
    done = look(path, *words)
    assert (done.returncode, done.stdout) == (8, "")
    assert re.fullmatch(r"error: .+app\.db: .+ copy it as a user who may write there\n", done.stderr)
    assert files_of(path.parent) == before
    assert history(path) == [1]


@pytest.mark.parametrize("writer_stays", [False, True])
def test_what_was_read_of_a_wal_file_while_another_user_wrote_is_no_answer(path: Path, *, writer_stays: bool) -> None:
    script(path, "PRAGMA journal_mode = WAL")
    forbid_writing(path)
    reader = read(path)
    await_ready(reader)
    with raw(path) as writer:
        writer.execute("UPDATE item SET title = 'written meanwhile' WHERE id = 1")
        if not writer_stays:
            writer.close()
        assert finish(reader) == Ended(0, f"{path}: another user wrote to it while it was read; try again\n", "")


def test_what_was_read_of_a_wal_file_that_nobody_wrote_to_is_one(path: Path) -> None:
    script(path, "PRAGMA journal_mode = WAL")
    forbid_writing(path)
    reader = read(path)
    await_ready(reader)
    assert finish(reader) == Ended(0, "", "")


def test_a_reader_beside_a_writer_in_wal_mode_backs_up_what_is_committed(path: Path) -> None:
    script(path, "PRAGMA journal_mode = WAL")
    path.chmod(0o444)
    with raw(path) as writer:
        writer.execute("INSERT INTO item (title) VALUES ('in the -wal')")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM item")
        done = look(path, "backup")
        assert done.returncode == 0, done.stderr
    (backup,) = path.parent.glob("*.backup")
    assert rows(backup, "SELECT count(*) FROM item") == [(2001,)]


def test_what_a_dead_writer_left_in_wal_mode_is_read_or_refused_and_nothing_is_made_beside_it(path: Path) -> None:
    script(path, "PRAGMA journal_mode = WAL")
    writer = start(CRASH, path, cwd=path.parent)
    await_ready(writer)
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=TIMEOUT)
    path.chmod(0o444)
    before = set(files_of(path.parent))
    assert before == {"app.db", "app.db-wal", "app.db-shm"}
    assert look(path, "validate").returncode == 0
    path.with_name("app.db-shm").unlink()
    done = look(path, "validate")
    assert (done.returncode, done.stderr.count("\n")) == (8, 1)
    assert set(files_of(path.parent)) == before - {"app.db-shm"}
