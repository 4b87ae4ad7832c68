"""Migrations inside a zip archive run as they run from a folder, and nothing is unpacked."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from importlib.resources.readers import MultiplexedPath
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import besides_the_file, called
from tests.support.databases import opened, rows
from tests.support.migrations import THREE, migrate_all, python, runner_of, table, write
from tests.support.programs import environment
from usage_store import MigrationRunner, errors
from usage_store.migrate.files.find_files import discover
from usage_store.migrate.rehearse import rehearse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.quick

HELPED = """\
import pkgutil

from . import _helpers
from ._more.deep import SIZE


def up(migrator, db):
    from ._later import NAME
    _helpers.make(db, NAME, SIZE)
    db.execute_sql(pkgutil.get_data(__name__, "001_rows.sql").decode())


def down(migrator, db):
    db.execute_sql("DELETE FROM helped")
    db.execute_sql("DROP TABLE helped")
"""
BESIDE = {
    "001_rows.sql": "INSERT INTO helped VALUES ('ü')",
    "_helpers.py": "def make(db, name, size):\n    db.execute_sql(f'CREATE TABLE {name} (a TEXT DEFAULT {size})')\n",
    "_later.py": "NAME = 'helped'\n",
    "_more/__init__.py": "from . import deep\n",
    "_more/deep.py": "from ..names import SIZE\n",
    "names/__init__.py": "SIZE = 5\n",
}


@pytest.fixture(autouse=True)
def _nothing_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    environment()  # makes a folder of its own, at its first call
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def archive(path: Path, inside: str, files: Mapping[str, str], *, before: bytes = b"") -> Path:
    """Write an archive with these files in a folder `inside` it, and give the path of that folder."""
    path.write_bytes(before)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("other/999_other.py", "raise RuntimeError\n")
        for name, text in files.items():
            packed.writestr(f"{inside}/{name}".lstrip("/"), text)
    return path / inside


def sources(migrations: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}.py": text for name, text in migrations.items()}


@pytest.mark.parametrize(
    ("inside", "before"), [("app/migrations", b"#!/usr/bin/env python3\n"), ("migrations", b""), ("", b"")]
)
def test_a_database_is_up_to_date_for_the_archive_and_for_the_folder(
    path: Path, tmp_path: Path, inside: str, before: bytes
) -> None:
    directory = archive(tmp_path / "app.pyz", inside, sources(THREE), before=before)
    folder = write(tmp_path / directory.name, THREE) if inside else write(tmp_path / "own", THREE)
    with runner_of(path, directory, backup=False) as zipped, runner_of(path, folder, backup=False) as unpacked:
        assert [str(step.migration) for step in zipped.migrate()] == list(THREE)
        table_name = zipped.history.table_name
        assert unpacked.check()[0] == () or not inside
    for there in (directory, folder):
        with runner_of(path, there, table_name, backup=False) as runner:
            assert runner.status().pending_count == 0
            assert runner.status().problems == ()
            assert runner.validate(replay=True).ok
            assert len(runner.rollback(1)) == 2
            runner.migrate()


def test_modules_and_files_beside_a_migration_are_read_from_the_archive(path: Path, tmp_path: Path) -> None:
    directory = archive(tmp_path / "app.pyz", "own", {"001_helped.py": HELPED, **BESIDE})
    with runner_of(path, directory, backup=False) as runner:
        assert rehearse(runner).ok
        runner.migrate()
        assert rows(path, "SELECT a FROM helped") == [("ü",)]
        assert runner.validate(replay=True).ok
        runner.rollback()


def test_a_file_beside_a_migration_is_read_from_a_folder_too(path: Path, tmp_path: Path) -> None:
    directory = write(tmp_path / "own", {"001_helped": HELPED})
    for name, text in BESIDE.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    migrate_all(path, directory)
    assert rows(path, "SELECT a FROM helped") == [("ü",)]


def test_a_stored_source_has_no_files_beside_it(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of this name in the current folder is another one."""
    body = "import pkgutil\ndb.execute_sql(pkgutil.get_data(__name__, 'one.sql').decode())"
    directory = write(tmp_path / "own", {"001_one": python("db.execute_sql('CREATE TABLE one (a INTEGER)')", body)})
    (tmp_path / "one.sql").write_text("DROP TABLE one")
    monkeypatch.chdir(tmp_path)
    migrate_all(path, directory)
    (directory / "001_one.py").unlink()
    with (
        runner_of(path, directory, backup=False) as runner,
        pytest.raises(errors.MigrationFailed, match="stored source has no files beside it"),
    ):
        runner.rollback(0, stored_source=True)


def test_a_folder_may_come_from_importlib_resources(path: Path, tmp_path: Path) -> None:
    """`files()` gives such objects for a package in an archive, and for a folder without `__init__.py`."""
    directory = archive(tmp_path / "app.pyz", "own", sources(THREE))
    folder = write(tmp_path / "own", THREE)
    with opened(path) as database:
        MigrationRunner(database, directory).migrate()
        for found in (zipfile.Path(directory.parent, "own/"), MultiplexedPath(folder)):
            runner = MigrationRunner(database, found)
            assert runner.status().pending_count == 0
            assert runner.history.table_name == "own_migrations"


def test_a_variant_is_found_in_an_archive(tmp_path: Path) -> None:
    files = {"001_one.py": table("one"), "001_one.sqlite.py": table("one"), "001_one.postgresql.py": table("one")}
    (found,) = discover(archive(tmp_path / "app.pyz", "own", files), "sqlite")
    assert found.file_name == "001_one.sqlite.py"


def test_a_file_that_is_not_run_is_named(path: Path, tmp_path: Path) -> None:
    directory = archive(tmp_path / "app.pyz", "own", {**sources(THREE), "004_four.sql": "x"})
    with runner_of(path, directory) as runner:
        assert runner.status().notices[0].startswith("004_four.sql is not run: ")
        assert runner.validate().notices[0].startswith("004_four.sql is not run: ")


def test_an_error_names_the_file_and_the_line(path: Path, tmp_path: Path) -> None:
    directory = archive(tmp_path / "app.pyz", "own", {"001_one.py": "x = 1\n1 / 0\n"})
    with runner_of(path, directory) as runner, pytest.raises(errors.LoadError, match=r"^001_one\.py, line 2: ZeroDiv"):
        runner.migrate()
    directory = archive(tmp_path / "other.pyz", "own", {"001_one.py": "\nfrom ._gone import x\n"})
    with runner_of(path, directory) as runner, pytest.raises(errors.LoadError, match=r"^001_one\.py, line 2: ModuleNo"):
        runner.migrate()


def test_an_archive_that_was_replaced_is_read_anew(path: Path, tmp_path: Path) -> None:
    directory = archive(tmp_path / "app.pyz", "own", {"001_one.py": table("one")})
    with runner_of(path, directory, backup=False) as runner:
        runner.migrate()
        archive(tmp_path / "new.pyz", "own", {"_long.py": "#" * 999, **sources(THREE)}).parent.replace(directory.parent)
        assert runner.status().problems == ()
        assert [str(step.migration) for step in runner.migrate()] == ["002_two", "003_three"]


def test_files_for_peewee_migrate_run_from_an_archive(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("peewee_migrate")
    first = """\
import peewee as pw


def migrate(migrator, database, fake=False):
    @migrator.create_model
    class Person(pw.Model):
        name = pw.CharField()

        class Meta:
            table_name = "person"
"""
    second = """\
import peewee as pw


def migrate(migrator, database, fake=False):
    migrator.add_fields(migrator.orm["person"], age=pw.IntegerField(null=True))
"""
    directory = archive(tmp_path / "app.pyz", "own", {"001_one.py": first, "002_two.py": second})
    migrate_all(path, directory)
    with opened(path) as database:
        assert [column.name for column in database.get_columns("person")] == ["id", "name", "age"]


@pytest.mark.parametrize(
    ("directory", "said"),
    [
        ("app.pyz/gone", "app.pyz/gone: no such directory of migrations"),
        ("app.pyz/own/gone/deep", "app.pyz/own/gone/deep: no such directory of migrations"),
        ("app.pyz/empty", "app.pyz/empty: no migrations here; name their files like 001_add_users.py"),
        ("text/own", "text/own: no such directory of migrations"),
        ("text", "text: not a directory of migrations"),
        ("damaged.pyz/own", "damaged.pyz/own: no such directory of migrations"),
        ("gone.pyz/own", "gone.pyz/own: no such directory of migrations"),
    ],
)
def test_what_is_no_folder_of_an_archive_is_one_line(tmp_path: Path, directory: str, said: str) -> None:
    archive(tmp_path / "app.pyz", "own", sources(THREE))
    with zipfile.ZipFile(tmp_path / "app.pyz", "a") as packed:
        packed.mkdir("empty")
    (tmp_path / "text").write_text("text")
    (tmp_path / "damaged.pyz").write_bytes((tmp_path / "app.pyz").read_bytes()[:-30])
    done = called("--database", "app.db", "--directory", directory, cwd=tmp_path)
    assert (done.returncode, besides_the_file(done)) == (2, f"error: {said}\n")


def test_a_damaged_file_of_an_archive_is_one_line(tmp_path: Path) -> None:
    directory = archive(tmp_path / "app.pyz", "own", {"001_one.py": table("one") + f"# {os.urandom(500).hex()}\n"})
    with zipfile.ZipFile(directory.parent) as packed:
        start = packed.getinfo("own/001_one.py").header_offset + 60
    content = bytearray(directory.parent.read_bytes())
    content[start : start + 100] = bytes(100)
    directory.parent.write_bytes(content)
    done = called("--database", "app.db", "--directory", "app.pyz/own", cwd=tmp_path)
    assert done.returncode == 2
    assert besides_the_file(done).startswith(f"error: 001_one.py: {directory.parent.name} is damaged: ")
    assert besides_the_file(done).count("\n") == 1


def test_create_does_not_write_into_an_archive(tmp_path: Path) -> None:
    directory = archive(tmp_path / "app.pyz", "own", sources(THREE))
    before = directory.parent.read_bytes()
    done = called("create", "four", "--database", "app.db", "--directory", "app.pyz/own", cwd=tmp_path)
    assert done.returncode != 0
    assert besides_the_file(done).count("\n") == 1
    assert "app.pyz" in done.stderr
    assert directory.parent.read_bytes() == before


def test_a_program_of_pyinstaller_without_its_migrations_is_told_how_to_add_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    done = called("--database", "app.db", "--directory", "own", cwd=tmp_path)
    assert besides_the_file(done).endswith(
        "own: no such directory of migrations; the program was frozen without it: name it with PyInstaller's option "
        "--add-data\n"
    )


def test_the_usage_tables_have_a_folder_in_an_archive_too(tmp_path: Path, path: Path) -> None:
    """Named by its path, the folder of an installation is that of the usage tables, wherever else it was packed."""
    ours = Path(__file__).resolve().parents[3] / "migrations"
    packed = shutil.make_archive(str(tmp_path / "ours"), "zip", ours.parent, "migrations")
    with runner_of(path, Path(packed) / "migrations", "schema_migrations", backup=False) as runner:
        assert len(runner.migrate()) == 3
    assert called("check", "--database", path, cwd=tmp_path).returncode == 0
