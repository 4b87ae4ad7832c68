"""gunicorn with four workers, on a file that none of them has made before."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.apps.servers import ALL, GUNICORN, Answers, serving
from tests.apps.stores import assert_each_accepted_is_stored, left_open, runs, stored

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("flask")
pytest.importorskip("gunicorn")

UNLUCKY = 13


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("flask_app", ()),
        ("flask_app", ("--preload",)),
        ("flask_own_database", ("--threads", "4")),
    ],
)
def test_four_workers_of_gunicorn_migrate_a_fresh_file_once(program: str, how: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with serving(*GUNICORN, *how, f"{program}:app", cwd=tmp_path, workers=4) as server:
        answers = server.post(ALL)
        assert answers.accepted == set(ALL) - ({UNLUCKY} if program == "flask_app" else set()), server.printed()
    assert server.printed().count("Booting worker") == 4, server.printed()
    assert "Traceback" not in server.printed()
    assert left_open(path) == []
    assert stored(path) == sorted(answers.accepted)
    assert runs(path) == [1, 2, 3]


@pytest.mark.parametrize("how", [(), ("--preload",)], ids=["alone", "preload"])
def test_what_gunicorn_accepted_before_it_was_ended_is_stored(how: tuple[str, ...], tmp_path: Path) -> None:
    with serving(*GUNICORN, *how, "flask_app:app", cwd=tmp_path, workers=4) as server:
        answers = server.end_while_asked()
    assert 0 < len(answers.accepted) < 100_000
    assert_each_accepted_is_stored(tmp_path / "usage.db", answers)


def test_a_worker_that_is_killed_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    with serving(*GUNICORN, "flask_app:app", cwd=tmp_path, workers=4) as server:
        workers = [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", server.printed())]

        def kill_one(count: int) -> None:
            if count in (20, 40):
                os.kill(workers.pop(), signal.SIGKILL)

        answers = server.post(range(1000, 1000 + len(ALL)), seen=kill_one)
        later = server.post(range(2000, 2010))
        assert later.accepted == set(range(2000, 2010)), server.printed()
    assert_each_accepted_is_stored(tmp_path / "usage.db", Answers({**answers.status, **later.status}))
