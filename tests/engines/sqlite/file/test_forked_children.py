"""A child of a process whose database was in use cannot use that database, but can use every other one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import rows
from tests.support.forks import run, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.quick, pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")]


USES = {
    "connection": "database.connection()",
    "cursor": "database.cursor()",
    "execute_sql": "database.execute_sql('SELECT 1')",
    "begin": "database.begin()",
    "commit": "database.commit()",
    "savepoint": "database.savepoint().__enter__()",
    "executemany": "database.cursor().executemany('INSERT INTO usage_sessions VALUES (?, 1)', [('t',)])",
    "a raw connection": "raw.execute('INSERT INTO usage_sessions (session_id) VALUES (?)', ('t',))",
    "a raw commit": "raw.commit()",
    "a query": "UsageSnapshot.select().count()",
    "a new thread's connection": "ThreadPoolExecutor(1).submit(database.connect).result()",
    "another database on it": "open_database('usage.db')",
    "another name of it": "init_database('link.db')",
    "reading it": "open_database('./usage.db', readonly=True)",
}


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
def test_each_use_of_a_file_that_was_open_in_a_transaction_is_refused_in_the_child(folder: Path, use: str) -> None:
    (folder / "link.db").symlink_to("usage.db")
    program = f"""
        raw = database.connection()
        with database.atomic():
            insert(1)
            in_child(lambda: refused(lambda: {USES[use]}))
            insert(2)
    """
    run(folder, program)
    assert stored(folder) == 2
    assert rows(folder / "usage.db", "SELECT session_id FROM usage_sessions") == [("s",)]


def test_a_pools_worker_hands_the_refusal_to_its_parent_in_one_piece(folder: Path) -> None:
    program = """
        import multiprocessing
        with database.atomic():
            insert()
            with multiprocessing.get_context("fork").Pool(1) as pool:
                refused(lambda: pool.apply_async(insert).get(60))
                try:
                    pool.apply_async(insert).get(60)
                except ForkedConnection as error:
                    assert str(error).count("was in use") == 1
    """
    run(folder, program)
    assert stored(folder) == 1


def test_the_child_of_a_child_another_file_memory_and_another_program(folder: Path) -> None:
    program = """
        memory = init_database(":memory:")
        register_session("in memory")
        init_database("usage.db").connect()
        insert()

        def others():
            refused(insert)
            in_child(lambda: refused(insert))
            assert memory.execute_sql("SELECT session_id FROM usage_sessions").fetchall() == [("in memory",)]
            with init_database("another.db"):
                register_session("s")
                assert insert()
            again = "from usage_store import *; init_database('usage.db'); "
            os.execv(sys.executable, [sys.executable, "-c", again + "register_session('by another program')"])

        with UsageSnapshot._meta.database.atomic():
            in_child(others)
    """
    run(folder, program)
    assert rows(folder / "usage.db", "SELECT session_id FROM usage_sessions ORDER BY 1") == [
        ("by another program",),
        ("s",),
    ]


def test_a_thread_that_was_connecting_does_not_hold_up_the_child(folder: Path) -> None:
    program = """
        from peewee import sqlite3
        other = sqlite3.connect("usage.db", isolation_level=None, check_same_thread=False)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")  # so that connecting waits, with peewee's lock on the database held
        database.timeout = 60
        thread = threading.Thread(target=database.connect)
        thread.start()
        while not OPEN:
            pass
        assert database._lock.locked()
        in_child(lambda: refused(insert))
        other.close()
        thread.join(60)
    """
    run(folder, program)


def test_upkeep_goes_on_in_a_child_although_another_thread_held_its_lock(folder: Path) -> None:
    program = """
        import time
        init_database("usage.db", retention_days=30)
        upkeep = UsageSnapshot.upkeep
        held, ended = threading.Event(), threading.Event()

        def hold():
            with upkeep._lock:
                held.set()
                ended.wait()

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        held.wait()
        for days in (40, 27, 14, 1):
            then = time.time() - days * 86400
            insert_usage_snapshot({"session_id": "s", "snapshot_data": days, "timestamp": then})

        def inserts():
            insert()
            assert UsageSnapshot.select().count() == 4, "the old one is still there"

        in_child(inserts)
        ended.set()
        thread.join()
    """
    run(folder, program)
    assert stored(folder) == 4


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python 3.13 aborts where it did not hear of the fork before")
def test_a_fork_that_python_hears_of_afterwards_is_refused_too(folder: Path) -> None:
    program = """
        import ctypes
        insert()
        child = ctypes.PyDLL(None).fork()  # as uWSGI does
        if child == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()
            refused(insert)
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        insert()
    """
    run(folder, program)
    assert stored(folder) == 2
