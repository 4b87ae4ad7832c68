"""Huey: a real consumer, with threads and with processes, whose tasks store."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.apps.servers import application_environment, started
from tests.apps.stores import runs, stored
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("huey")


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_the_tasks_of_a_huey_consumer_store_each_snapshot_once(kind: str, tmp_path: Path) -> None:
    words = ("huey.bin.huey_consumer", "huey_tasks.huey", "--workers", "4", "--worker-type", kind, "--max-delay", "0.2")
    with started(*words, cwd=tmp_path) as (consumer, log):
        code = "import huey_tasks; huey_tasks.ask()"
        done = run_python("-c", code, cwd=tmp_path, **application_environment(tmp_path))
        assert (done.returncode, done.stdout) == (0, f"{sum(range(100))}\n"), done.stderr
        consumer.send_signal(signal.SIGINT)
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert stored(tmp_path / "usage.db") == list(range(100))
    assert runs(tmp_path / "usage.db") == [1, 2, 3]
