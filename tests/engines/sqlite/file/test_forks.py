"""A process that forks with its database open loses nothing: its transactions, queries and connections stay its own."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import rows
from tests.support.forking_rounds import ROUNDS
from tests.support.forks import run, stored
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

# In each round: the rows that were reported as stored, and the calls that were refused.
PROGRAMS = {
    "daemonise": (12, 0),
    "parent_closes_first": (12, 0),
    "pool": (18, 0),
    "preloading_server": (16, 0),
    "inside_atomic": (8, 1),
    "second_thread_connected": (8, 2),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_was_said_to_be_stored_is_in_the_file_whatever_forked(tmp_path: Path, program: str) -> None:
    done = run_python("-m", "tests.support.forking_rounds", program, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    results = [Counter(result) for result in json.loads(done.stdout)]
    assert len(results) == ROUNDS
    stored, refused = PROGRAMS[program]
    wanted = {"stored": stored, "found": stored, "ForkedConnection": refused, "nothing": 0}
    assert [{name: result[name] for name in wanted} for result in results] == [wanted] * ROUNDS


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("leaving", ["sys.exit()", "os._exit(0)", "database.rollback(); sys.exit()", "refused(leave)"])
def test_a_child_that_leaves_a_transaction_takes_nothing_from_the_parents(
    folder: Path, mode: str, leaving: str
) -> None:
    # So many rows that pages reach the disk before the commit; a rollback in the child would undo them.
    program = f"""
        import usage_store.engines.sqlite.connection.forks as module
        module.kept = lambda: module  # so that Python empties it at its end, and closes what only it holds
        database.pragma("journal_mode", "{mode}")
        database.pragma("cache_size", 10)
        database.execute_sql("CREATE TABLE filled (bytes)")

        def fill():
            for _ in range(300):
                database.execute_sql("INSERT INTO filled VALUES (randomblob(2000))")

        def leave():
            block.__exit__(None, None, None)

        for _ in range(3):
            with database.atomic() as block:
                fill()
                if (child := os.fork()) == 0:
                    {leaving}
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
                fill()
    """
    run(folder, program)
    assert rows(folder / "usage.db", "SELECT count(*), sum(length(bytes)) FROM filled") == [(1800, 3_600_000)]
    assert stored(folder) == 0


def test_leaving_a_transaction_in_the_child_raises_once_and_commits_nothing(folder: Path) -> None:
    program = """
        def leave():
            with database.atomic():
                insert(1)
                child = os.fork()
                if child == 0:
                    return True
                os.waitpid(child, 0)
            return False

        parent = os.getpid()
        try:
            assert not leave()
        except ForkedConnection as error:
            assert os.getpid() != parent and error.__context__ is None
    """
    run(folder, program)
    assert stored(folder) == 1


def test_a_query_that_is_being_read_goes_on_in_the_parent(folder: Path) -> None:
    program = """
        for number in range(20):
            insert(number)
        seen = []
        for snapshot in UsageSnapshot.select().iterator():
            seen.append(snapshot.id)
            if len(seen) == 5:
                in_child(lambda: refused(insert))
        assert seen == list(range(1, 21)), seen
        in_child(insert)
    """
    run(folder, program)
    assert stored(folder) == 21


def test_what_only_its_connection_has_stays_with_the_parent(folder: Path) -> None:
    program = """
        database.execute_sql("CREATE TEMP TABLE mine AS SELECT 1 AS one")
        in_child(lambda: refused(insert))
        assert database.execute_sql("SELECT one FROM mine").fetchone() == (1,)
    """
    run(folder, program)


def test_a_connection_context_is_left_as_it_was_entered(folder: Path) -> None:
    program = """
        with database.connection_context():
            in_child(lambda: refused(insert))
        assert database.is_closed()
        in_child(insert)
    """
    run(folder, program)
    assert stored(folder) == 1
