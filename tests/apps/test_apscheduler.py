"""APScheduler: `maintain` as a job, beside threads that store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps.servers import PROGRAMS, application_environment
from tests.apps.stores import left_open, stored
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("apscheduler")


def test_maintain_as_a_job_deletes_the_old_snapshots_and_none_that_writers_store(tmp_path: Path) -> None:
    done = run_python(PROGRAMS / "scheduled.py", cwd=tmp_path, **application_environment(tmp_path))
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert left_open(tmp_path / "usage.db") == []
    assert stored(tmp_path / "usage.db") == list(range(400))
