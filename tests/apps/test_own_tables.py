"""An application whose own tables and migrations are in the file of the usage tables."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from peewee import SqliteDatabase

from tests.apps.servers import ALL, GUNICORN, PROGRAMS, serving
from tests.apps.stores import left_open, runs, stored
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

pytest.importorskip("flask")

DIRECTORY = PROGRAMS / "shop_migrations"


def migrate(path: Path, *words: str) -> CompletedProcess[str]:
    where = ("--database", str(path), "--directory", str(DIRECTORY))
    return run_python("-m", "usage_store", "migrate", *words, *where, cwd=path.parent)


def test_orders_and_snapshots_are_stored_together_while_the_shop_is_migrated_down_and_up(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    done: list[CompletedProcess[str]] = []

    def down_and_up() -> None:
        done.extend(migrate(path, *words) for words in (("rollback",), (), ("rollback",), ()))

    with serving(*GUNICORN, "shop:app", cwd=tmp_path, workers=4) as server:
        assert server.post(range(1, 6)).accepted == set(range(1, 6)), server.printed()  # the workers have migrated
        beside = threading.Thread(target=down_and_up)
        beside.start()
        answers = server.post(number + 1000 for number in ALL)
        beside.join()
        assert set(answers.status.values()) == {200, 409}, server.printed()
    assert [each.returncode for each in done] == [0] * 4, done
    assert left_open(path) == []
    expected = [*range(1, 6), *(number for number in sorted(answers.status) if number % 10)]
    assert stored(path) == expected
    database = SqliteDatabase(str(path))
    with database.connection_context():
        rows = database.execute_sql("SELECT number, note FROM shop_order ORDER BY number").fetchall()
        assert rows == [(number, "") for number in expected]
    assert migrate(path, "validate").returncode == 0
    assert runs(path) == [1, 2, 3]
