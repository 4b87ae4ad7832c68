"""Children of a fork leave the connections of their parent alone, and open their own."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.support.postgresql_servers import for_drivers
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

BEGINNING = """
import gc, multiprocessing, os, sys, threading
from usage_store.engines import engine_of, open_database
from usage_store.errors import ForkedConnection

def backend(database):
    return database.execute_sql("SELECT pg_backend_pid()").fetchone()[0]

def in_child(action, end=sys.exit):
    child = os.fork()
    if child == 0:
        action()
        end(0)
    assert os.waitpid(child, 0)[1] == 0

database = open_database(sys.argv[1])
mine = backend(database)
"""
WAYS = {
    "the child ends at once": "in_child(lambda: None)",
    "the child ends without Python's end": "in_child(lambda: None, os._exit)",
    "the child uses the database": (
        "def act():\n    assert backend(database) != mine\n    database.close()\nin_child(act)"
    ),
    "the child closes the database": "in_child(database.close)",
    "the child closes all": "in_child(lambda: engine_of(database).close_all(database))",
    "the child deletes the database": (
        "def act():\n    global database\n    del database\n    gc.collect()\nin_child(act)"
    ),
    "a child of multiprocessing": (
        "def act():\n    assert backend(database) != mine\n"
        "child = multiprocessing.get_context('fork').Process(target=act)\n"
        "child.start()\nchild.join()\nassert child.exitcode == 0"
    ),
    "another thread has a connection and is at work": (
        "ready, go, seen = threading.Event(), threading.Event(), []\n"
        "def work():\n    with database.atomic():\n        seen.append(backend(database))\n        ready.set()\n"
        "        go.wait()\n        seen.append(backend(database))\n    database.close()\n"
        "thread = threading.Thread(target=work)\nthread.start()\nready.wait()\n"
        "def act():\n    gc.collect()\n    assert backend(database) not in (mine, *seen)\n    database.close()\n"
        "in_child(act)\ngo.set()\nthread.join()\nassert seen[0] == seen[1], seen"
    ),
    "a child of a child": (
        "def act():\n    own = backend(database)\n"
        "    in_child(lambda: backend(database) and database.close())\n"
        "    assert backend(database) == own != mine\n    database.close()\nin_child(act)"
    ),
    "the fork is in a block that keeps the connection open": (
        "with database.connection_context():\n"
        "    def act():\n        assert backend(database) != mine\n"
        "    if (child := os.fork()) == 0:\n        act()\n    else:\n        assert os.waitpid(child, 0)[1] == 0\n"
        "    assert child == 0 or backend(database) == mine\n"
        "if child == 0:\n    sys.exit(0)\n"
        "mine = backend(database)\n"
    ),
    "the fork is in the middle of a transaction": (
        "database.execute_sql('CREATE TABLE items (id bigint)')\n"
        "def inside():\n    engine_of(database).in_transaction(database)\n"
        "def use():\n"
        "    for use in (lambda: backend(database), database.commit, database.begin, inside):\n"
        "        try:\n            use()\n"
        "        except ForkedConnection as error:\n"
        "            assert 'forked in the middle of a transaction' in str(error)\n"
        "        else:\n            raise AssertionError(use)\n"
        "child = 1\n"
        "try:\n"
        "    with database.atomic():\n"
        "        database.execute_sql('INSERT INTO items VALUES (1)')\n"
        "        child = os.fork()\n"
        "        if child == 0:\n            use()\n"
        "        else:\n            assert os.waitpid(child, 0)[1] == 0\n"
        "except ForkedConnection:\n"
        "    assert child == 0\n"
        "    assert backend(database) != mine, 'after the transaction the child connects'\n"
        "    database.close()\n    sys.exit(0)\n"
        "assert child, 'a commit in the child would be a lie'\n"
        "assert database.execute_sql('SELECT count(*) FROM items').fetchone() == (1,)"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_session_of_the_parent_outlives_its_child(tmp_path: Path, postgresql_url: str, way: str) -> None:
    program = BEGINNING + textwrap.dedent(WAYS[way]) + "\nassert backend(database) == mine\ndatabase.close()\n"
    quiet = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")
    done = run_python(*quiet, "-c", program, postgresql_url, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


OWN = """
import os, sys
import peewee
from playhouse.pool import PooledPostgresqlDatabase
from usage_store import get_usage_snapshots, init_database, insert_usage_snapshot, register_session
from usage_store.errors import ForkedConnection

kind = {"pool": PooledPostgresqlDatabase}.get(sys.argv[2], peewee.PostgresqlDatabase)
database = kind(sys.argv[1], prefer_psycopg3=sys.argv[3] == "3")
database.connect()
init_database(database)

def backend():
    return database.execute_sql("SELECT pg_backend_pid()").fetchone()[0]

def insert(number):
    return insert_usage_snapshot({"session_id": "s", "snapshot_data": {"n": number}}).data["n"] == number

def in_child(action):
    child = os.fork()
    if child == 0:
        action()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0

mine = backend()
register_session("s")

def work():
    assert database.is_closed()
    for number in range(20):
        insert(number)
    assert backend() != mine
    database.close()

in_child(work)
assert insert(20) and backend() == mine

def refused():
    for use in (lambda: insert(21), get_usage_snapshots, backend):
        try:
            use()
        except ForkedConnection as error:
            assert "postgresql://" in str(error) and "forked in the middle of a transaction" in str(error)
        else:
            raise AssertionError(use)
    os._exit(0)

with database.atomic():
    insert(21)
    in_child(refused)
    insert(22)
database.execute_sql("BEGIN")
insert(23)
in_child(refused)
database.execute_sql("COMMIT")
assert backend() == mine
database.close()  # a pool keeps the connection
in_child(work)
assert {each.data["n"] for each in get_usage_snapshots()} == set(range(24))
assert sys.argv[2] != "pool" or backend() == mine
"""


@pytest.mark.parametrize("driver", ["2", "3"])
@pytest.mark.parametrize("kind", ["database", "pool"])
def test_an_applications_own_session_outlives_a_child_that_stores(
    tmp_path: Path, postgresql_url: str, kind: str, driver: str
) -> None:
    quiet = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")
    done = run_python(*quiet, "-c", OWN, for_drivers(postgresql_url), kind, driver, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
