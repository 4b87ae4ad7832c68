"""Pools of processes: by fork, spawn and forkserver."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import pytest

from tests.apps.servers import PROGRAMS, application_environment
from tests.apps.stores import left_open, runs, stored
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_pool_and_its_parent_store_each_snapshot_once(method: str, tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    done = run_python(PROGRAMS / "pools.py", method, cwd=tmp_path, **application_environment(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    snapshots, workers, parent, valid = done.stdout.split()
    assert (snapshots, parent, valid) == ("221", "False", "True")
    assert 1 <= int(workers) <= 4
    assert left_open(path) == []
    assert stored(path) == list(range(-1, 220))
    assert runs(path) == [1, 2, 3]


def test_a_spawned_worker_that_opens_nothing_says_what_to_call(tmp_path: Path) -> None:
    (tmp_path / "forgets.py").write_text(
        "import multiprocessing\n"
        "from usage_store import init_database, register_session\n"
        "if __name__ == '__main__':\n"
        "    init_database()\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        pool.map(register_session, ['ab74d3b7'])\n"
    )
    done = run_python("forgets.py", cwd=tmp_path, **application_environment(tmp_path))
    assert done.returncode == 1
    assert done.stderr.endswith("the usage models have no database yet; call init_database() first\n")
    assert stored(tmp_path / "usage.db") == []
