"""Variants of a migration for one engine: which file runs, and how it is named in output and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import raw, rows
from tests.support.migrations import history, runner_of, sql, table, write
from usage_store import errors
from usage_store.migrate.files import find_files, new_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

PLAIN = sql("CREATE TABLE plain (a INTEGER)", down=["DROP TABLE plain"])
OWN = sql("CREATE TABLE own (a INTEGER)", down=["DROP TABLE own"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Create two migrations; the second has variants for SQLite and for another engine."""
    files = {"001_one": table("one"), "002_two": PLAIN, "002_two.sqlite": OWN, "002_two.postgresql": "no python"}
    return write(tmp_path / "app", files)


def tables(path: Path) -> set[str]:
    found = rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in found} & {"one", "plain", "own"}


@pytest.mark.parametrize(
    ("engine", "file"),
    [("sqlite", "002_two.sqlite.py"), ("postgresql", "002_two.postgresql.py"), ("mysql", "002_two.py")],
)
def test_the_variant_of_the_engine_stands_in_the_plain_file_s_place(directory: Path, engine: str, file: str) -> None:
    found = find_files.discover(directory, engine)
    assert [(each.version, each.name, str(each)) for each in found] == [(1, "one", "001_one"), (2, "two", "002_two")]
    assert [each.file_name for each in found] == ["001_one.py", file]
    assert found[1].path == directory / file


def test_it_runs_in_both_directions_under_the_plain_name(path: Path, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        assert [str(step.migration) for step in runner.migrate()] == ["001_one", "002_two"]
        assert tables(path) == {"one", "own"}
        assert rows(path, "SELECT version, name FROM schema_migrations") == [(1, "one"), (2, "two")]
        assert runner.status().problems == ()
        assert runner.validate().ok
        runner.rollback()
    assert tables(path) == {"one"}


def test_without_a_variant_of_its_own_an_engine_runs_the_plain_file(path: Path, directory: Path) -> None:
    (directory / "002_two.sqlite.py").unlink()
    with runner_of(path, directory) as runner:
        runner.migrate()
    assert tables(path) == {"one", "plain"}


def test_an_edit_of_the_plain_file_is_none_of_the_variant(path: Path, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate()
        assert [entry.source for entry in runner.log.entries()] == [table("one"), OWN]
        write(directory, {"002_two": sql("CREATE TABLE plain (a, b)"), "002_two.postgresql": "no python either"})
        assert runner.check() == ((), 0)
        assert runner.migrate() == ()


def test_an_edit_of_the_variant_is_told_by_its_own_name(path: Path, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate()
        write(directory, {"002_two.sqlite": f"# a comment\n{OWN}"})
        (notice,) = runner.status().notices
        assert notice.startswith("002_two.sqlite.py was edited")
        write(directory, {"002_two.sqlite": PLAIN, "003_three": table("three")})
        with pytest.raises(errors.EditedMigration, match=r"^002_two\.sqlite\.py was edited") as caught:
            runner.migrate()
    assert caught.value.diff.startswith("--- 002_two.sqlite.py as applied\n+++ 002_two.sqlite.py now\n")


def test_a_variant_that_comes_later_is_an_edit(path: Path, directory: Path) -> None:
    (directory / "002_two.sqlite.py").unlink()
    with runner_of(path, directory) as runner:
        runner.migrate()
        write(directory, {"002_two.sqlite": OWN})
        (problem,) = runner.check()[0]
        assert isinstance(problem, errors.EditedMigration)
        runner.stamp(2)
        assert runner.check() == ((), 0)


def test_it_rolls_back_from_the_source_that_the_log_kept(path: Path, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate()
        for file in directory.glob("002_*"):
            file.unlink()
        runner.rollback(stored_source=True)
    assert tables(path) == {"one"}
    assert history(path) == [1]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("def up(migrator, db):\n    1 / 0\n", errors.MigrationFailed, ", line 2: ZeroDivisionError"),
        ("def up(:\n", errors.LoadError, ", line 1: invalid syntax"),
        ("", errors.MalformedMigration, ": defines no up"),
        (f"atomic = 1\n{OWN}", errors.MalformedMigration, ": atomic is 1"),
    ],
)
def test_what_is_wrong_in_it_is_told_by_its_own_name_and_line(
    path: Path, directory: Path, source: str, error: type[Exception], message: str
) -> None:
    write(directory, {"002_two.sqlite": source})
    with runner_of(path, directory) as runner, pytest.raises(error) as caught:
        runner.migrate()
    assert str(caught.value).startswith(f"002_two.sqlite.py{message}")


def test_a_new_name_or_a_late_one_is_told_by_its_own_file(path: Path, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate()
        for file in directory.glob("002_two*"):
            file.rename(directory / file.name.replace("two", "renamed"))
        (renamed,) = runner.status().problems
        assert isinstance(renamed, errors.MissingMigration)
        assert "its file is 002_renamed.sqlite.py;" in str(renamed)
    with raw(path) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = 1")
    (directory / "001_one.sqlite.py").write_text(table("one"))
    with runner_of(path, directory) as runner:
        late = next(each for each in runner.status().problems if isinstance(each, errors.LateMigration))
    assert str(late).startswith("001_one.sqlite.py would run out of order")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_one_without_its_plain_file_is_refused_by_every_engine(directory: Path, engine: str) -> None:
    write(directory, {"003_three.postgresql": table("three")})
    with pytest.raises(
        errors.MalformedMigration,
        match=r"^003_three\.postgresql\.py: a variant of 003_three\.py for the engine postgresql, but 003_three\.py",
    ) as caught:
        find_files.discover(directory, engine)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["002_two.PostgreSQL", "002_two.sqlite.old", "002_two.", "002_two.1", "two.sqlite"])
def test_a_name_that_is_no_variant_s_is_no_migration_s(directory: Path, name: str) -> None:
    write(directory, {name: OWN})
    with pytest.raises(errors.MalformedMigration, match="not the name of a migration"):
        find_files.discover(directory, "sqlite")


@pytest.mark.parametrize("word", ["postgres", "bak", "sqlite3"])
def test_a_word_that_is_no_engine_s_is_refused_and_the_engines_are_named(directory: Path, word: str) -> None:
    write(directory, {f"002_two.{word}": OWN})
    with pytest.raises(errors.MalformedMigration) as caught:
        find_files.discover(directory, "sqlite")
    assert str(caught.value).startswith(
        f"002_two.{word}.py: no database engine is called {word} (allowed: postgresql, sqlite); "
    )


def test_two_migrations_of_one_version_are_refused_whatever_their_variants(directory: Path) -> None:
    write(directory, {"002_zwei": OWN, "002_zwei.sqlite": OWN})
    with pytest.raises(errors.DuplicateVersion, match=r"^002_two\.py and 002_zwei\.py both have version 2; renumber"):
        find_files.discover(directory, "sqlite")


def test_the_plain_file_of_another_name_is_not_its_own(directory: Path) -> None:
    write(directory, {"002_zwei.sqlite": OWN, "1_one.sqlite": OWN})
    with pytest.raises(errors.MalformedMigration, match=r"but 002_zwei\.py does not exist"):
        find_files.discover(directory, "sqlite")
    (directory / "002_zwei.sqlite.py").unlink()
    with pytest.raises(errors.MalformedMigration, match=r"but 1_one\.py does not exist"):
        find_files.discover(directory, "sqlite")


def test_create_numbers_after_variants(directory: Path) -> None:
    assert new_file.create(directory, "three").name == "003_three.py"


def test_another_runner_s_history_is_matched_by_version_and_name(path: Path, directory: Path) -> None:
    with raw(path) as connection:
        connection.executescript(
            "CREATE TABLE one (id INTEGER PRIMARY KEY, title TEXT); CREATE TABLE own (a INTEGER);"
            "CREATE TABLE schema_migration (id INTEGER PRIMARY KEY, name TEXT, applied TEXT);"
            "INSERT INTO schema_migration (name, applied) VALUES ('001_one', '2024-01-01'), ('002_two', '2024-01-02')"
        )
    with runner_of(path, directory) as runner:
        assert [migration.name for migration in runner.adopt("playhouse")] == ["one", "two"]
        assert [entry.source for entry in runner.log.entries()] == [table("one"), OWN]
        assert runner.validate().ok


def test_the_command_line_says_the_plain_name(path: Path, directory: Path, tmp_path: Path) -> None:
    done = command("--directory", directory, "--database", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == ["applied 001_one", "applied 002_two"]
