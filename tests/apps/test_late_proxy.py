"""A DatabaseProxy that gets its database when the application is made, after the models are bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps.servers import ALL, GUNICORN, application_environment, serving
from tests.apps.stores import left_open, runs, stored
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("flask")


@pytest.mark.parametrize(
    "words",
    [
        ("flask", "--app", "late_proxy:create_app", "run", "--port", "0"),
        (*GUNICORN, "--preload", "late_proxy:create_app()"),
    ],
    ids=["flask", "gunicorn"],
)
def test_a_proxy_that_gets_its_database_late_is_migrated_and_stores(words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with serving(*words, cwd=tmp_path, workers=4 if "gunicorn" in words else 0) as server:
        answers = server.post(ALL)
        assert answers.accepted == set(ALL), server.printed()
    assert left_open(path) == []
    assert stored(path) == list(ALL)
    assert runs(path) == [1, 2, 3]


def test_a_proxy_that_has_no_database_yet_is_named_in_the_error(tmp_path: Path) -> None:
    code = "import late_proxy; from usage_store import register_session; register_session('ab74d3b7')"
    done = run_python("-c", code, cwd=tmp_path, **application_environment(tmp_path))
    assert done.returncode == 1
    assert "DatabaseProxy" in done.stderr.splitlines()[-1]
