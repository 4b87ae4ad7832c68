"""Each thing that can be wrong has its exit code, and one line that names it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import files_of, script
from tests.support.migrations import python, sql, table, write
from tests.support.programs import command

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two migrations in `own` and no database yet."""
    write(tmp_path / "own", {"001_one": table("one"), "002_two": table("two")})
    return tmp_path


def run(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command on `app.db` and the migrations in `own`; whatever goes wrong is one line."""
    done = command(*words, "--database", "app.db", "--directory", "own", "--table", "schema_migrations", cwd=folder)
    assert done.returncode == code, done.stderr
    if code in (0, 1):
        assert done.stderr == ""
    return done


def error(folder: Path, *words: str, code: int) -> str:
    """Run a command that fails, and give the one line that it says."""
    done = run(folder, *words, code=code)
    assert re.fullmatch(r"error: .+\n", done.stderr)
    assert "Traceback" not in done.stdout
    return done.stderr


def gone(folder: Path) -> None:
    (folder / "own" / "001_one.py").unlink()
    script(folder / "app.db", "DELETE FROM schema_migration_log")  # which keeps the source


def newer(folder: Path) -> None:
    (folder / "own" / "002_two.py").unlink()
    script(folder / "app.db", "DELETE FROM schema_migration_log")


def late(folder: Path) -> None:
    script(folder / "app.db", "DROP TABLE one; DELETE FROM schema_migrations WHERE version = 1")


def not_history(folder: Path) -> None:
    script(folder / "app.db", "DROP TABLE schema_migrations; CREATE TABLE schema_migrations (a)")


def drifted(folder: Path) -> None:
    script(folder / "app.db", "ALTER TABLE one ADD COLUMN extra")


def dangling(folder: Path) -> None:
    script(folder / "app.db", "CREATE TABLE c (a REFERENCES one(id)); INSERT INTO c VALUES (7)")


def duplicate(folder: Path) -> None:
    write(folder / "own", {"2_again": table("again")})


def no_directory(folder: Path) -> None:
    shutil.rmtree(folder / "own")


def failing(folder: Path) -> None:
    write(folder / "own", {"003_bad": sql("CREATE TABLE bad (a)", "no sql")})


def leaving(folder: Path) -> None:
    write(folder / "own", {"003_bad": python("import sys; sys.exit(0)")})


def no_database(folder: Path) -> None:
    (folder / "app.db").write_text("this is no database at all, but a text that is long enough to tell\n" * 20)


def destroyed(folder: Path) -> None:
    with (folder / "app.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 3000)


def a_folder(folder: Path) -> None:
    (folder / "app.db").unlink()
    (folder / "app.db").mkdir()


@pytest.mark.parametrize(
    ("spoil", "words", "code", "said"),
    [
        (duplicate, (), 2, "2_again.py"),
        (duplicate, ("status",), 2, "002_two.py"),
        (no_directory, ("status",), 2, "own: no such directory of migrations"),
        (gone, ("rollback", "0"), 3, "001_one was applied and its file is gone"),
        (not_history, ("rollback",), 3, "not a history table (columns a)"),
        (newer, ("rollback",), 5, "the database has 002_two"),
        (failing, (), 7, '003_bad.py, line 3: OperationalError: near "no"'),
        (failing, (), 7, "; statement: no sql; rolled back; applied before it: nothing"),
        (leaving, (), 7, "003_bad.py, line 2: SystemExit"),
        (failing, ("plan",), 7, "003_bad.py, line 3"),
        (no_database, (), 8, "app.db: not a database"),
        (no_database, ("status",), 8, "app.db: not a database"),
        (no_database, ("validate",), 8, "app.db: not a database"),
        (no_database, ("plan",), 8, "app.db: not a database"),
        (no_database, ("rollback",), 8, "app.db: not a database"),
        (destroyed, ("status",), 8, "corrupt"),
        (destroyed, (), 8, "corrupt"),
        (a_folder, (), 8, "app.db"),
        (a_folder, ("status",), 8, "app.db"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    folder: Path, spoil: Callable[[Path], None], words: tuple[str, ...], code: int, said: str
) -> None:
    run(folder)
    spoil(folder)
    before = files_of(folder)
    assert said in error(folder, *words, code=code)
    after = files_of(folder)
    if (folder / "app.db").is_file():
        assert after.pop("app.db")[:16] == before.pop("app.db")[:16]
    assert after == before


@pytest.mark.parametrize(
    ("spoil", "words", "code", "said"),
    [
        (gone, ("status",), 3, "problem: 001_one was applied and its file is gone"),
        (late, ("status",), 3, "problem: 001_one.py would run out of order"),
        (not_history, ("status",), 3, "problem: schema_migrations: not a history table"),
        (newer, ("status",), 5, "problem: the database has 002_two"),
        (gone, ("validate",), 3, "problem: 001_one was applied"),
        (drifted, ("validate",), 4, "problem: one.extra is not from a migration"),
        (dangling, ("validate",), 4, "problem: c has rows without their row in one (1)"),
        (newer, ("validate",), 5, "problem: the database has 002_two"),
    ],
)
def test_status_and_validate_list_problems(
    folder: Path, spoil: Callable[[Path], None], words: tuple[str, ...], code: int, said: str
) -> None:
    run(folder)
    spoil(folder)
    before = files_of(folder)
    done = run(folder, *words, code=code)
    assert any(line.startswith(said) for line in done.stdout.splitlines())
    assert "valid\n" not in done.stdout
    assert done.stderr == ""
    assert files_of(folder) == before
