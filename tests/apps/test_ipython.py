"""IPython: what cells show, what the Tab key and `?` offer, and Ctrl-C in a long call."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.apps.servers import application_environment
from tests.apps.stores import left_open, stored
from tests.support.programs import TIMEOUT, line_of, running

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("IPython")

WORDS = ("-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", "--no-confirm-exit")
CELLS = """
from usage_store import *
import usage_store
database = init_database()
database
register_session("ab74d3b7"), insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": 1}})
get_usage_config()
get_session_sizes()
get_migration_runner()
insert_usage_snapshot({"session_id": "ab74d3b7"})
init_database?
UsageSnapshot?
from IPython.core.completer import provisionalcompleter
%config IPCompleter.use_jedi = False
def offered(text):
    with provisionalcompleter():
        return [found.text for found in get_ipython().Completer.completions(text, len(text))]

offered("usage_store.ins"), offered("UsageSnapshot.betw")
close_database()
"""
INTERRUPTED = """
from usage_store import *
init_database(), register_session("ab74d3b7"); None
snapshot = lambda number: {"session_id": "ab74d3b7", "snapshot_data": {"number": number}}
endless = (snapshot(number) for number in iter(int, 1) if number or not print("begun", flush=True) or True)
insert_usage_snapshots(endless)
insert_usage_snapshot(snapshot(7))
validate_database()
close_database()
"""


def ipython(folder: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *WORDS],
        cwd=folder,
        env=application_environment(folder),
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_cells_show_what_is_stored_and_the_tab_key_and_help_know_the_public_names(tmp_path: Path) -> None:
    with running(process := ipython(tmp_path)):
        out, _ = process.communicate(CELLS, TIMEOUT)
    assert process.returncode == 0
    assert "Traceback" not in out
    assert f"<SqliteFile '{tmp_path}/usage.db', closed>" in out
    assert re.search(r"\(True,\s+<UsageSnapshot 1 of 'ab74d3b7', stats, \S+: {\"number\":1}>\)", out), out
    assert "<UsageConfig 1, active: plan 'custom'" in out
    assert "[SessionSize(session_id='ab74d3b7', snapshots=1, bytes=12)]" in out
    assert re.search(r"<MigrationRunner of '.+migrations' on '.+usage.db'>", out)
    assert "insert_usage_snapshot refused: " in out
    assert "Open a database, run its pending migrations, bind the usage models to it, and return it." in out
    assert "One JSON document about one session at one second." in out
    assert re.search(r"insert_usage_snapshot'.+insert_usage_snapshots'\].+between'\]\)", out), out
    assert left_open(tmp_path / "usage.db") == []
    assert stored(tmp_path / "usage.db") == [1]


def test_ctrl_c_in_a_long_call_stores_none_of_it_and_the_next_cell_works(tmp_path: Path) -> None:
    with running(process := ipython(tmp_path)):
        assert process.stdin is not None
        before, after = INTERRUPTED.split("insert_usage_snapshot(snapshot(7))")
        process.stdin.write(before)
        process.stdin.flush()
        while "begun" not in (line := line_of(process)):
            assert line, "it ended before"
        process.send_signal(signal.SIGINT)
        while "KeyboardInterrupt" not in (line := line_of(process)):
            assert line, "it ended before"
        out, _ = process.communicate(f"insert_usage_snapshot(snapshot(7)){after}", TIMEOUT)
    assert process.returncode == 0
    assert 'number":7' in out
    assert "True" in out
    assert stored(tmp_path / "usage.db") == [7]
