"""A migration whose code would not run (a coroutine, a generator) is refused and not recorded as applied."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import names
from tests.support.migrations import history, runner_of, sql, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

LATER = {
    "async def {0}(migrator, db):\n    db.execute_sql('CREATE TABLE t (a INTEGER)')\n": "async",
    "def {0}(migrator, db):\n    yield db.execute_sql('CREATE TABLE t (a INTEGER)')\n": "a generator function",
    "async def {0}(migrator, db):\n    yield db.execute_sql('CREATE TABLE t (a INTEGER)')\n": "a generator function",
    "import functools\nasync def f(x, migrator, db): pass\n{0} = functools.partial(f, 1)\n": "async",
}


@pytest.mark.parametrize("name", ["up", "down"])
@pytest.mark.parametrize(("source", "kind"), LATER.items())
def test_such_a_function_is_refused_at_load(path: Path, tmp_path: Path, name: str, source: str, kind: str) -> None:
    write(tmp_path / "own", {"001_first": sql(), "002_later": sql() + source.format(name)})
    with runner_of(path, tmp_path / "own") as runner:
        with pytest.raises(errors.MalformedMigration) as caught:
            runner.migrate()
        said = f"002_later.py: {name} is {kind}, so a call runs nothing; use a plain def without yield"
        assert str(caught.value) == said
    assert "schema_migrations" not in names(path)


def test_a_file_of_peewee_migrate_is_looked_at_too(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("peewee_migrate")
    write(tmp_path / "own", {"001_later": "def migrate(migrator, database, fake=False):\n    yield\n"})
    with runner_of(path, tmp_path / "own") as runner, pytest.raises(errors.MalformedMigration, match="migrate is a"):
        runner.migrate()


GIVEN = {
    "def up(migrator, db):\n    return later(db)\nasync def later(db):\n    db.commit()\n": "coroutine",
    "def up(migrator, db):\n    return (db.execute_sql(s) for s in ['CREATE TABLE t (a INTEGER)'])\n": "generator",
    "def up(migrator, db):\n    return later()\nasync def later():\n    yield\n": "async_generator",
    "class Up:\n    async def __call__(self, migrator, db): pass\nup = Up()\n": "coroutine",
}


@pytest.mark.parametrize("head", ["", "atomic = False\n"], ids=["atomic", "atomic = False"])
@pytest.mark.parametrize(("source", "kind"), GIVEN.items())
def test_a_call_that_gives_one_fails_the_migration(
    path: Path, tmp_path: Path, source: str, kind: str, head: str
) -> None:
    write(tmp_path / "own", {"001_first": sql(), "002_later": head + source})
    with runner_of(path, tmp_path / "own") as runner, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            errors.MigrationFailed, match=rf"002_later\.py: GuardTripped: up returned a {kind}, which never"
        ):
            runner.migrate()
    assert history(path) == [1]


def test_a_call_may_give_anything_else(path: Path, tmp_path: Path) -> None:
    source = "def up(migrator, db):\n    return db.execute_sql('SELECT 1')\n"
    write(tmp_path / "own", {"001_cursor": source})
    with runner_of(path, tmp_path / "own") as runner:
        assert len(runner.migrate()) == 1
