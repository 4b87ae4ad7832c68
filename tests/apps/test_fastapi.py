"""FastAPI under uvicorn: endpoints in threads, coroutines with `asyncio.to_thread`, one process and four."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.apps.servers import ALL, serving
from tests.apps.stores import assert_each_accepted_is_stored, left_open, runs, stored

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")


@pytest.mark.parametrize("program", ["fastapi_threads", "fastapi_async"])
def test_fastapi_stores_each_snapshot_that_it_accepted(program: str, tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with serving("uvicorn", f"{program}:app", "--port", "0", cwd=tmp_path) as server:
        answers = server.post(ALL)
        assert answers.accepted == set(ALL), server.printed()
        assert httpx.get(f"{server.url}/sizes").json() == {"ab74d3b7": len(ALL)}
    assert left_open(path) == []
    assert stored(path) == list(ALL)


def test_four_workers_of_uvicorn_migrate_a_fresh_file_once(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    words = ("uvicorn", "fastapi_async:app", "--port", "0", "--workers", "4", "--no-access-log")
    with serving(*words, cwd=tmp_path, workers=4) as server:
        answers = server.post(ALL)
        assert answers.accepted == set(ALL), server.printed()
    assert server.printed().count("Started server process") == 4, server.printed()
    assert left_open(path) == []
    assert stored(path) == list(ALL)
    assert runs(path) == [1, 2, 3]


@pytest.mark.parametrize("program", ["fastapi_threads", "fastapi_async"])
def test_what_fastapi_accepted_before_it_was_ended_is_stored(program: str, tmp_path: Path) -> None:
    with serving("uvicorn", f"{program}:app", "--port", "0", "--no-access-log", cwd=tmp_path) as server:
        answers = server.end_while_asked()
    assert 0 < len(answers.accepted) < 100_000
    assert_each_accepted_is_stored(tmp_path / "usage.db", answers)
