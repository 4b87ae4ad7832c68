"""What is easily written wrong in a server: what was answered with success is stored all the same, where it belongs."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.apps.servers import ALL, Server, serving
from tests.apps.stores import stored

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

UVICORN = ("uvicorn", "mistakes:app", "--port", "0", "--no-access-log")
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


def descriptors(server: Server) -> int:
    return int(httpx.post(f"{server.url}/descriptors/0").json()["descriptors"])


@needs_proc
@pytest.mark.parametrize("mistake", ["initialises", "never_closes", "blocks"])
def test_a_mistake_that_costs_time_loses_nothing_and_leaves_no_more_open_each_time(
    mistake: str, tmp_path: Path
) -> None:
    with serving(*UVICORN, cwd=tmp_path) as server:
        accepted = set()
        counts = []
        for start in (0, 1000):
            accepted |= server.post((start + number for number in ALL), mistake).accepted
            counts.append(descriptors(server))
        assert accepted == {start + number for start in (0, 1000) for number in ALL}, server.printed()
    assert "Traceback" not in server.printed()
    assert max(counts) < len(ALL), counts
    assert stored(tmp_path / "usage.db") == sorted(accepted)


def test_a_transaction_that_awaits_takes_no_other_request_with_it(tmp_path: Path) -> None:
    with serving(*UVICORN, cwd=tmp_path) as server:
        alone = {**server.post([1000], "awaits").status, **server.post([1001], "awaits").status}
        answers = server.post(ALL, "awaits")
    assert alone == {1000: 200, 1001: 409}
    assert 500 in answers.status.values()
    assert "let no `await` stand inside a transaction" in server.printed()
    assert stored(tmp_path / "usage.db") == sorted({1000, *answers.accepted})


def test_a_block_of_opened_in_each_request_is_refused_where_two_would_overlap(tmp_path: Path) -> None:
    with serving(*UVICORN, cwd=tmp_path) as server:
        answers = server.post(ALL, "opens")
    assert set(answers.status.values()) == {200, 500}
    assert "ConfigurationError: another thread or asyncio task is in a block of opened()" in server.printed()
    for rest in (0, 1):
        found = stored(tmp_path / f"usage{rest}.db")
        assert found == sorted(number for number in answers.accepted if number % 2 == rest)
    assert stored(tmp_path / "usage.db") == []
