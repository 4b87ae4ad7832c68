"""Run programs that fork, each in a fresh process."""

from __future__ import annotations

import textwrap
from contextlib import closing
from typing import TYPE_CHECKING

from tests.support.databases import rows
from tests.support.programs import run_python
from usage_store import init_database, register_session

if TYPE_CHECKING:
    from pathlib import Path

BEGINNING = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from usage_store import UsageSnapshot, init_database, insert_usage_snapshot, register_session
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import ForkedConnection
from usage_store.engines.sqlite.connection.notice_replaced_file import OPEN

def insert(number=0):
    return insert_usage_snapshot({"session_id": "s", "snapshot_data": {"n": number}})

def in_child(action):
    child = os.fork()
    if child == 0:
        action()
        sys.exit()  # at its end, Python closes what it can
    assert os.waitpid(child, 0)[1] == 0

def refused(use):
    try:
        use()
    except ForkedConnection as error:
        assert ".db: was in use when this process was forked" in str(error)
    else:
        raise AssertionError("it was not refused")

database = init_database("usage.db")
"""


def make(folder: Path) -> Path:
    """Make `usage.db` with a session `s`."""
    with closing(init_database(folder / "usage.db")):
        register_session("s")
    return folder


def run(folder: Path, program: str) -> None:
    quiet = ("-W", "ignore:This process:DeprecationWarning")  # it has threads
    done = run_python(*quiet, "-c", BEGINNING + textwrap.dedent(program), cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


def stored(folder: Path) -> int:
    assert rows(folder / "usage.db", "PRAGMA integrity_check") == [("ok",)]
    return len(rows(folder / "usage.db", "SELECT id FROM usage_snapshots"))
