"""The migration lock belongs to the process that took it, and not to processes that it forks."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import rows, script
from tests.support.migrations import python, sql, write
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

BEGINNING = """
import os, signal, sys
from usage_store.errors import DatabaseLocked
from usage_store.engines.sqlite.migrating.migration_lock import exclusive

def lock(wait=0):
    return exclusive("app.db", wait, lambda _: None)

def locked():
    try:
        with lock():
            return False
    except DatabaseLocked:
        return True

open("app.db", "w").close()
end, alive = os.pipe()  # the second is closed when nobody who inherited it is left

def wait_for_the_end():
    os.close(alive)
    os.read(end, 1)
    os._exit(0)
"""


def run(folder: Path, program: str) -> None:
    done = run_python("-c", BEGINNING + textwrap.dedent(program), cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(folder.glob("*-migrate"))


def test_a_child_that_lives_on_does_not_keep_the_migration_lock(tmp_path: Path) -> None:
    program = """
        with lock():
            if os.fork() == 0:
                wait_for_the_end()
        assert not locked()
        os.close(alive)
        os.wait()
    """
    run(tmp_path, program)


def test_nor_does_it_when_the_holder_is_killed(tmp_path: Path) -> None:
    program = """
        said, say = os.pipe()
        holder = os.fork()
        if holder == 0:
            with lock():
                if os.fork() == 0:
                    os.write(say, b"!")
                    wait_for_the_end()
                signal.pause()
        os.read(said, 1)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        assert not locked()
    """
    run(tmp_path, program)


def test_a_child_that_leaves_the_block_leaves_the_lock_to_its_parent(tmp_path: Path) -> None:
    program = """
        with lock():
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                assert os.path.exists("app.db-migrate") and locked()
        if child == 0:
            os._exit(0)
        assert not locked()
    """
    run(tmp_path, program)


@pytest.mark.parametrize("atomic", [True, False])
def test_a_migration_that_forks_keeps_foreign_keys_off(tmp_path: Path, *, atomic: bool) -> None:
    forking = """
        import os
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        db.execute_sql("INSERT INTO parents SELECT 2 WHERE (SELECT foreign_keys FROM pragma_foreign_keys) = 0")
        db.execute_sql("DROP TABLE parents")
        db.execute_sql("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        db.execute_sql("INSERT INTO parents VALUES (1)")
    """
    tables = [
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "CREATE TABLE children (parent INTEGER REFERENCES parents ON DELETE CASCADE)",
        "INSERT INTO parents VALUES (1)",
        "INSERT INTO children VALUES (1)",
    ]
    declared = 'deletes = ("parents",)\n\n'
    write(tmp_path / "own", {"001_tables": sql(*tables), "002_forks": declared + python(forking, atomic=atomic)})
    script(tmp_path / "app.db", "PRAGMA journal_mode = WAL")
    program = """
        import warnings
        from contextlib import closing
        from usage_store.engines.sqlite.connection.open_file import open_database
        from usage_store.migrate import MigrationRunner

        with closing(open_database("app.db")) as database:
            forks = lambda step: os.fork() or os._exit(0)
            MigrationRunner(database, "own", "history", backup=False).migrate(on_step=forks)
    """
    run(tmp_path, program)
    assert rows(tmp_path / "app.db", "SELECT count(*) FROM children") == [(1,)]
