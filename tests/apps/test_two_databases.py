"""Two and three databases in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apps.servers import PROGRAMS, application_environment
from tests.apps.stores import left_open, stored
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path


def test_each_snapshot_goes_to_the_database_that_is_bound_at_that_moment(tmp_path: Path) -> None:
    done = run_python(PROGRAMS / "two_databases.py", cwd=tmp_path, **application_environment(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["[1, 2]", "[2, 1]", "3", "[1, 2] True"]
    expected = {"usage.db": [1, 2, 3, 4], "second.db": [101, 102, 103], "third.db": [201]}
    assert [left_open(tmp_path / name) for name in (*expected, "shop.db")] == [[]] * 4
    assert {name: stored(tmp_path / name) for name in expected} == expected
