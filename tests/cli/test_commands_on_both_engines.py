"""The commands give the same results, exit codes and rows on an SQLite file and on a PostgreSQL server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import OWN, called
from tests.support.databases import names, rows, script
from tests.support.migrations import sql, write

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

MIGRATIONS = {
    "001_one": sql("CREATE TABLE one (id INTEGER PRIMARY KEY, title TEXT)", down=["DROP TABLE one"]),
    "002_two": sql("CREATE TABLE two (id INTEGER PRIMARY KEY, title TEXT)", down=["DROP TABLE two"]),
}


@pytest.fixture
def run(store_target: Target, tmp_path: Path) -> Run:
    write(tmp_path / "own", MIGRATIONS)
    return Run(store_target, tmp_path)


class Run:
    """Run commands on one database, and check how they end."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target, self.folder = target, folder

    def __call__(self, *words: str, code: int = 0) -> str:
        done: subprocess.CompletedProcess[str] = called(*words, "--database", self.target, *OWN[2:], cwd=self.folder)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def versions(self) -> list[int]:
        return [version for (version,) in rows(self.target, "SELECT version FROM schema_migrations ORDER BY 1")]


@pytest.mark.each_server
def test_migrations_go_up_and_down(run: Run) -> None:
    run("check", code=1)
    run()
    assert run.versions() == [1, 2]
    run("check")
    assert {"one", "two"} <= names(run.target)
    assert "2" in run("status")
    run("rollback", "1")
    assert run.versions() == [1]
    assert "two" not in names(run.target)
    run("check", code=1)
    run()
    run("validate")


def test_a_version_is_stamped_and_nothing_else_happens(run: Run) -> None:
    run("stamp", "1")
    assert run.versions() == [1]
    assert "one" not in names(run.target)


def test_a_migration_that_fails_leaves_nothing_of_itself(run: Run) -> None:
    write(run.folder / "own", {"003_three": sql("CREATE TABLE three (id INTEGER)", "INSERT INTO nowhere VALUES (1)")})
    said = run(code=7)
    assert "003_three.py" in said
    assert run.versions() == [1, 2]
    assert "three" not in names(run.target)


def test_an_object_that_another_program_dropped_is_named(run: Run) -> None:
    run()
    script(run.target, "DROP TABLE two")
    assert "two" in run("validate", code=4)


def test_the_models_of_this_package_agree_with_its_migrations(store_target: Target, tmp_path: Path) -> None:
    assert called("--database", store_target, cwd=tmp_path).returncode == 0
    compared = called("check", "--models", "usage_store.models", "--database", store_target, cwd=tmp_path)
    assert (compared.returncode, compared.stdout) == (0, "usage_store.models and the database agree\n"), compared.stderr
