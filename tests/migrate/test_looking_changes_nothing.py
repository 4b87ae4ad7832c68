"""status(), validate() and plan() change nothing, and raise one clear line if the database is damaged."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, files_of, raw, rows, script
from tests.support.migrations import migrate_all, runner_of, table, write
from usage_store import errors
from usage_store.engines import open_database
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target

pytestmark = pytest.mark.quick


@pytest.fixture
def directory(tmp_path: Path, path: Target) -> Path:
    directory = write(tmp_path / "own", {"001_parent": table("parent"), "002_child": table("child")})
    migrate_all(path, directory)
    return directory


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("full", [False, True])
def test_a_corrupt_file_is_reported(path: Path, directory: Path, *, full: bool) -> None:
    values = ", ".join(f"('{number:0200}')" for number in range(500))
    script(path, f"INSERT INTO parent (title) VALUES {values}")
    (pages,), (size,) = rows(path, "PRAGMA page_count")[0], rows(path, "PRAGMA page_size")[0]
    with path.open("r+b") as file:
        file.seek(size * (pages - 20))
        file.write(b"\xa5" * size * 10)
    with runner_of(path, directory) as runner:
        found = runner.validate(full=full)
        assert not found.ok
        assert {type(problem) for problem in found.problems} == {errors.CorruptDatabase}
        assert {problem.exit_code for problem in found.problems} == {8}
        write(directory, {"003_three": table("three")})
        with pytest.raises(errors.CorruptDatabase, match="restore a backup before migrating"):
            runner.migrate()


def validate(path: Target, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.validate()


@pytest.mark.only_on("sqlite", "files")
def test_a_file_whose_schema_is_destroyed_is_unreadable(path: Path, directory: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 3000)
    with pytest.raises((errors.DatabaseUnreadable, errors.CorruptDatabase)) as caught:
        validate(path, directory)
    assert caught.value.exit_code == 8


def test_a_migration_that_writes_where_it_should_only_speak_is_refused(path: Target, directory: Path) -> None:
    notices = "\n\ndef notices(db):\n    db.execute_sql('CREATE TABLE sly (a INTEGER)')\n    yield 'done'\n"
    write(directory, {"002_child": table("child") + notices})
    before = dump(path)
    database = open_database(path, readonly=True)
    try:
        with pytest.raises(errors.UsageStoreError, match=r"read.?only"):
            MigrationRunner(database, directory).status(notices=True)
    finally:
        database.close()
    assert dump(path) == before


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("in_use", [True, False])
def test_looking_writes_nothing(path: Path, directory: Path, mode: str, *, in_use: bool) -> None:
    write(directory, {"003_three": table("three")})
    with raw(path) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("INSERT INTO parent (title) VALUES ('in the WAL')")
        if not in_use:
            other.close()
        before = files_of(path.parent)
        assert ("app.db-wal" in before) is (in_use and mode == "WAL")
        database = open_database(path, readonly=True)
        runner = MigrationRunner(database, directory)
        assert runner.status().pending_count == 1
        assert runner.validate(full=True).ok
        assert len(runner.plan()) == 1
        database.close()
        # The -shm file is an index that readers write; it contains no data.
        before.pop("app.db-shm", None)
        after = files_of(path.parent)
        assert after.pop("app.db-shm", b"") == b"" or in_use
        assert after == before


@pytest.mark.only_on("sqlite", "files")
def test_what_a_dead_writer_left_in_its_wal_is_seen_and_kept(path: Path, directory: Path) -> None:
    dead = path.with_name("dead.db")
    with raw(path) as other:
        other.execute("INSERT INTO parent (title) VALUES ('in the WAL')")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{dead}{suffix}")
    before = dump(path)
    database = open_database(dead, readonly=True)
    assert MigrationRunner(database, directory).validate().ok
    assert database.execute_sql("SELECT title FROM parent").fetchone() == ("in the WAL",)
    database.close()
    assert dump(dead) == before


def test_looking_at_a_schema_changes_nothing(path: Target, directory: Path) -> None:
    write(directory, {"003_three": table("three")})
    before = dump(path)
    with closing(open_database(path, readonly=True)) as database:
        runner = MigrationRunner(database, directory)
        assert runner.status().pending_count == 1
        assert runner.check() == ((), 1)
        assert runner.validate(full=True).ok
        assert [step.statements for step in runner.plan()] == [
            ("CREATE TABLE three (id INTEGER PRIMARY KEY, title TEXT)",)
        ]
    assert dump(path) == before
