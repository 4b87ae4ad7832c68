"""A process dies before any one of its statements; the next run brings the database to the same end.

It does not die before one that only reads: the file is then as it is before the next one that writes.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, opened, script
from tests.support.migrations import FAMILY, runner_of, write
from tests.support.programs import forked
from usage_store.engines import engine_of
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from pathlib import Path

    from usage_store.migrate.files.migration import Direction

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

KILLED = 99


def run(path: Path, directory: Path, direction: Direction, *, die_before: int = 0) -> int:
    """Run all migrations up or down, and count the writes; the process dies before the one with that number."""
    seen = 0

    def count(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == die_before:
            os._exit(KILLED)

    with opened(path) as database, engine_of(database).migrating.before_each_write(database, count):
        runner = MigrationRunner(database, directory, "schema_migrations")
        if direction == "up":
            runner.migrate()
        else:
            runner.rollback(0)
    return seen


@pytest.mark.parametrize("direction", ["up", pytest.param("down", marks=pytest.mark.quick)])
def test_killed_before_any_statement_the_next_run_ends_the_same(tmp_path: Path, direction: Direction) -> None:
    directory = write(tmp_path / "own", FAMILY)
    start = tmp_path / "start.db"
    script(start, "CREATE TABLE host (a); INSERT INTO host VALUES (1)")
    if direction == "down":
        run(start, directory, "up")
    undisturbed = tmp_path / "undisturbed.db"
    shutil.copy(start, undisturbed)
    statements = run(undisturbed, directory, direction)
    expected = dump(undisturbed)
    assert expected != dump(start)

    states = {repr(expected)}
    for die_before in range(1, statements + 1):
        path = tmp_path / f"killed_{die_before}.db"
        shutil.copy(start, path)
        ended = forked(lambda path=path, k=die_before: run(path, directory, direction, die_before=k))  # type: ignore[misc]
        assert ended == KILLED
        states.add(repr(dump(path)))
        run(path, directory, direction)
        assert dump(path) == expected, f"killed before statement {die_before} of {statements}"
    # Before, between and after: five states for four migrations, and no half of one among them.
    assert len(states) == 5
    with runner_of(path, directory) as runner:
        assert runner.validate().ok


def test_the_count_is_of_all_statements(tmp_path: Path) -> None:
    directory = write(tmp_path / "own", FAMILY)
    path = tmp_path / "app.db"
    statements = run(path, directory, "up")
    assert statements > 4 * len(("BEGIN", "work", "history", "COMMIT"))
    assert forked(lambda: run(path, directory, "down", die_before=10**6)) == 0
