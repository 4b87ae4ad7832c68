"""Which files are migrations, and the errors for wrong files."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.migrations import sql, table, write
from usage_store import errors
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files import find_files, new_file
from usage_store.migrate.files.load_file import Loader
from usage_store.migrate.files.migrations_folder import usage_tables

if TYPE_CHECKING:
    import peewee

    from usage_store.migrate.files.migration import Direction

pytestmark = pytest.mark.quick


def names(directory: Path) -> list[str]:
    return [str(migration) for migration in find_files.discover(directory, "sqlite")]


def load(directory: Path, direction: Direction = "up") -> None:
    for migration in find_files.discover(directory, "sqlite"):
        Loader().load(migration, direction)


def test_migrations_are_ordered_by_number_also_past_999(tmp_path: Path) -> None:
    files = ["1000_thousand", "999_before", "010_ten", "9_nine", "002_two", "00000000000000000000000000001_one"]
    write(tmp_path, {name: table("t") for name in files})
    assert names(tmp_path) == list(reversed(files))
    assert [migration.version for migration in find_files.discover(tmp_path, "sqlite")] == [1, 2, 9, 10, 999, 1000]


def test_files_of_the_application_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, {"__init__": "", "_common": "raise ValueError", ".hidden": "", "001_a": table("t")})
    (tmp_path / "README.md").write_text("no migration")
    (tmp_path / "002_b.sql").write_text("no migration")
    (tmp_path / "__pycache__").mkdir()
    assert names(tmp_path) == ["001_a"]


@pytest.mark.parametrize(
    "name", ["add", "001", "001_", "001-add", "v1_add", "-1_add", "+1_add", "1.5_add", "1_a.b", "²_a"]
)
def test_a_malformed_name_is_refused_with_a_good_one(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"001_fine": table("t"), name: table("u")})
    with pytest.raises(errors.MalformedMigration, match=re.escape(f"{name}.py")) as caught:
        find_files.discover(tmp_path, "sqlite")
    assert "001_add_users.py" in str(caught.value)


@pytest.mark.parametrize("number", ["0", "000", str(2**63), "9" * 100, "9" * 200])
def test_a_version_that_no_database_can_hold_is_refused(tmp_path: Path, number: str) -> None:
    write(tmp_path, {f"{number}_a": table("t")})
    with pytest.raises(errors.MalformedMigration, match=rf"integers from 1 to {2**63 - 1}"):
        find_files.discover(tmp_path, "sqlite")


def test_the_largest_version_runs(tmp_path: Path, usage_database: peewee.Database) -> None:
    directory = write(tmp_path / "own", {f"{2**63 - 1}_last": table("t")})
    runner = MigrationRunner(usage_database, directory, "own_history")
    assert len(runner.migrate()) == 1
    assert runner.status().current_version == 2**63 - 1


@pytest.mark.parametrize(("one", "other"), [("005_a", "005_b"), ("005_a", "5_b"), ("05_a", "005_a")])
def test_two_files_with_one_version_are_both_named(tmp_path: Path, one: str, other: str) -> None:
    write(tmp_path, {one: table("t"), other: table("u")})
    with pytest.raises(errors.DuplicateVersion) as caught:
        find_files.discover(tmp_path, "sqlite")
    message = str(caught.value)
    assert f"{one}.py" in message
    assert f"{other}.py" in message
    assert "version 5; renumber" in message


def test_an_empty_or_missing_directory_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="no migrations here"):
        find_files.discover(tmp_path, "sqlite")
    with pytest.raises(errors.ConfigurationError, match=r"gone: no such directory"):
        find_files.discover(tmp_path / "gone", "sqlite")
    (tmp_path / "file").touch()
    with pytest.raises(errors.ConfigurationError, match="not a directory"):
        find_files.discover(tmp_path / "file", "sqlite")


def test_the_default_directory_holds_the_usage_tables() -> None:
    assert names(Path(usage_tables().directory))[0] == "001_add_usage_tracking_tables"


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("def up(migrator, db):\n    pass\n\ndef down(:\n", errors.LoadError, "001_a.py, line 4: invalid syntax"),
        ("\n\nimport nothing_of_that_name\n", errors.LoadError, "001_a.py, line 3: ModuleNotFoundError: No module"),
        ("\ndef f():\n    return 1 / 0\n\nf()\n", errors.LoadError, "001_a.py, line 3: ZeroDivisionError"),
        ("\n\nraise SystemExit(0)\n", errors.LoadError, "001_a.py, line 3: SystemExit"),
        ("\n\ncompile('x = = 1', 'other.py', 'exec')\n", errors.LoadError, "001_a.py, line 3: SyntaxError"),
        ("# coding: nonsense\n", errors.LoadError, "001_a.py: unknown encoding: nonsense"),
        ("x = '\0'\n", errors.LoadError, "null bytes"),
        ("", errors.MalformedMigration, "001_a.py: defines no up(migrator, db)"),
        ("up = 5\n", errors.MalformedMigration, "001_a.py: defines no up(migrator, db)"),
        ("def down(migrator, db): pass\n", errors.MalformedMigration, "001_a.py: defines no up(migrator, db)"),
        (f"{sql()}atomic = 'no'\n", errors.MalformedMigration, "001_a.py: atomic is 'no'; allowed: True, False"),
        (f"{sql()}atomic = 0\n", errors.MalformedMigration, "001_a.py: atomic is 0"),
        (f"{sql()}atomic = None\n", errors.MalformedMigration, "001_a.py: atomic is None"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, source: str, error: type[errors.RegistryError], message: str
) -> None:
    write(tmp_path, {"001_a": source})
    with pytest.raises(error) as caught:
        load(tmp_path)
    assert message in str(caught.value)
    assert "line None" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_down_is_needed_only_on_the_way_down(tmp_path: Path) -> None:
    write(tmp_path, {"001_a": sql(down=None)})
    load(tmp_path)
    with pytest.raises(errors.Irreversible, match=r"001_a\.py: defines no down\(migrator, db\)"):
        load(tmp_path, "down")


def test_same_names_in_two_directories_do_not_meet(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (migration,) = find_files.discover(
            write(tmp_path / folder, {"001_a": f"{sql()}folder = {folder!r}\n"}), "sqlite"
        )
        module = Loader().module(migration, "up")
        assert module.folder == folder


def test_a_file_mended_within_the_same_second_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Python's bytecode cache compares only the whole seconds and the length of a file: it must not be used here.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write(tmp_path, {"001_a": sql()})
    (migration,) = find_files.discover(tmp_path, "sqlite")
    for value in ("WRONG", "RIGHT"):
        write(tmp_path, {"001_a": f"{sql()}value = {value!r}\n"})
        os.utime(tmp_path / "001_a.py", (10**9, 10**9))
        module = Loader().module(migration, "up")
        assert module.value == value


@pytest.mark.parametrize(
    ("existing", "title", "expected"),
    [
        ([], "Add users", "001_add_users"),
        (["001_a", "007_b"], "add users", "008_add_users"),
        (["999_a"], "next", "1000_next"),
        (["001_a"], "  Drop: the OLD-table!  ", "002_drop_the_old_table"),
    ],
)
def test_create_takes_the_next_number(tmp_path: Path, existing: list[str], title: str, expected: str) -> None:
    directory = write(tmp_path / "new", {name: table("t") for name in existing}) if existing else tmp_path / "new"
    assert new_file.create(directory, title) == directory / f"{expected}.py"
    assert names(directory)[-1] == expected


@pytest.mark.parametrize("title", ["a", 'say """hi"""', r"C:\new \d", "two\nlines", "{braces} %s", "straße"])
def test_what_create_wrote_loads_and_refuses_to_run_unwritten(
    tmp_path: Path, usage_database: peewee.Database, title: str
) -> None:
    path = new_file.create(tmp_path / "new", title)
    load(tmp_path / "new", "down")
    with pytest.raises(errors.MigrationFailed, match=f"write {path.name} first"):
        MigrationRunner(usage_database, path.parent, "own_history").migrate()


@pytest.mark.parametrize("title", ["", "   ", "!!!"])
def test_create_needs_a_name(tmp_path: Path, title: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="needs letters or digits"):
        new_file.create(tmp_path, title)


def test_create_overwrites_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"001_a": table("t"), "01_b": table("u")})
    with pytest.raises(errors.DuplicateVersion):
        new_file.create(tmp_path, "c")
    assert sorted(path.name for path in tmp_path.glob("*.py")) == ["001_a.py", "01_b.py"]
