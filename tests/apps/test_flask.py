"""Flask: a connection for each request, in a thread for each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.apps.servers import ALL, serving
from tests.apps.stores import left_open, stored

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("flask")


@pytest.mark.parametrize("program", ["flask_app", "flask_own_database"])
def test_flask_stores_each_snapshot_that_it_accepted(program: str, tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with serving("flask", "--app", program, "run", "--port", "0", cwd=tmp_path) as server:
        answers = server.post(ALL)
        refused = {13} if program == "flask_app" else set()
        assert answers.accepted == set(ALL) - refused, server.printed()
        assert left_open(path) == []
    assert stored(path) == sorted(answers.accepted)


def test_flask_answers_a_refused_snapshot_and_reads_beside_writes(tmp_path: Path) -> None:
    with serving("flask", "--app", "flask_app", "run", "--port", "0", cwd=tmp_path) as server:
        assert server.post([13]).status == {13: 422}
        assert "insert_usage_snapshot refused: " in server.printed()
        server.post(range(100, 110))
        assert httpx.get(f"{server.url}/sizes").json() == {"ab74d3b7": 10}
