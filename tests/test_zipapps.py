"""The package works inside a zip archive, and unpacks nothing. An installation uses its databases as they are."""

from __future__ import annotations

import compileall
import re
import shutil
import zipapp
from pathlib import Path
from typing import TYPE_CHECKING

import peewee
import playhouse
import pytest

from tests.support.commands import called
from tests.support.migrations import table
from tests.support.programs import ROOT, run_python

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

PROGRAM = """\
import os
import sys
from importlib.resources import files
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "site-packages"))
import usage_store

if __name__ == "__main__":
    os.chdir("elsewhere")
    database = usage_store.init_database("app.db")
    own = usage_store.MigrationRunner(database, Path(__file__).parent / "app" / "migrations")
    print(*(step.migration for step in own.migrate()), own.validate().ok)
    print(usage_store.MigrationRunner(database, files("app.migrations")).status().pending_count)
    usage_store.register_session("one")
    print(usage_store.insert_usage_snapshot({"session_id": "one", "snapshot_data": {"tokens": 1}}).id)
    print(*(step.name for step in usage_store.rollback_migrations()))
    print(*(step.name for step in usage_store.run_migrations()), usage_store.validate_database())
    print(usage_store.__file__)
"""
VERSIONS = ("001_add_usage_tracking_tables", "002_compact_snapshots", "003_follow_events_and_references")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package and Peewee into a folder, as `pip install --target` does."""
    site = tmp_path_factory.mktemp("installed") / "site"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "usage_store", site / "usage_store", ignore=ignored)
    shutil.copytree(ROOT / "migrations", site / "usage_store" / "migrations", ignore=ignored)
    shutil.copytree(next(iter(playhouse.__path__)), site / "playhouse", ignore=ignored)
    shutil.copy(peewee.__file__, site)
    compileall.compile_dir(site, quiet=2, legacy=True)  # Python cannot keep compiled code inside an archive
    return site


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Run an archive, without any installed package; nothing may be left in the folder for temporary files."""

    def run(archive: str, *words: str | Path, code: int = 0) -> str:
        temporary = tmp_path / "temporary"
        temporary.mkdir(exist_ok=True)
        done: subprocess.CompletedProcess[str] = run_python(
            *("-I", "-S", "-W", "error", archive), *words, cwd=tmp_path, TMPDIR=str(temporary)
        )
        assert done.returncode == code, done.stderr
        assert list(temporary.iterdir()) == []
        return done.stdout

    return run


def test_a_zipapp_is_the_command_line(site: Path, tmp_path: Path, run: Callable[..., str]) -> None:
    """Its exit codes are those of the command, and its databases are up to date for an installation."""
    zipapp.create_archive(site, tmp_path / "usage.pyz", main="usage_store.cli:start")
    path = tmp_path / "app.db"
    assert run("usage.pyz", "migrate", "check", "--database", path, code=1) == "3 pending\n"
    said = run("usage.pyz", "migrate", "--database", path)
    assert re.sub(r" \([0-9.]+ ms\)$", "", said, flags=re.MULTILINE).splitlines() == [
        f"applied {name}" for name in VERSIONS
    ]
    for command in ("check", "status", "validate"):
        done = called(command, "--database", path, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), command
    assert called("validate", "--replay", "--database", path, cwd=tmp_path).stdout.endswith("valid\n")


def test_a_zipapp_takes_over_the_database_of_an_installation(
    site: Path, tmp_path: Path, run: Callable[..., str]
) -> None:
    zipapp.create_archive(
        site, tmp_path / "usage.pyz", "/usr/bin/env python3", "usage_store.cli:start", compressed=True
    )
    path = tmp_path / "app.db"
    assert called("--database", path, cwd=tmp_path).returncode == 0
    assert run("usage.pyz", "migrate", "validate", "--replay", "--database", path).endswith("valid\n")


def test_schemas_and_notices_are_read_from_an_archive(site: Path, tmp_path: Path, run: Callable[..., str]) -> None:
    """The database of version 2 has no recorded schema, so `validate` compares it with the one that the package has."""
    zipapp.create_archive(site, tmp_path / "usage.pyz", main="usage_store.cli:start")
    path = shutil.copy(ROOT / "tests" / "files" / "version2.sqlite", tmp_path / "app.db")
    ours = called("validate", "--database", path, cwd=tmp_path)
    assert run("usage.pyz", "migrate", "validate", "--database", path, code=ours.returncode) == ours.stdout


def test_a_program_in_an_archive_finds_its_own_migrations(site: Path, tmp_path: Path, run: Callable[..., str]) -> None:
    """The archive has its packages in a folder, as other makers of archives lay them out."""
    program = tmp_path / "program"
    shutil.copytree(site, program / "site-packages")
    (program / "app" / "migrations").mkdir(parents=True)
    (program / "app" / "migrations" / "__init__.py").touch()
    (program / "app" / "__init__.py").touch()
    (program / "app" / "migrations" / "001_own.py").write_text(table("own"))
    (program / "__main__.py").write_text(PROGRAM)
    zipapp.create_archive(program, tmp_path / "app.pyz")
    (tmp_path / "elsewhere").mkdir()
    *said, where = run("app.pyz").splitlines()
    assert said == ["001_own True", "0", "1", VERSIONS[2][4:], f"{VERSIONS[2][4:]} True"]
    assert Path(where).is_relative_to(tmp_path / "app.pyz")


def test_an_archive_on_the_path_for_modules_is_used(site: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packages"), "zip", site)
    done = run_python("-S", "-m", "usage_store.migrate", "--database", "app.db", cwd=tmp_path, PYTHONPATH=packed)
    assert (done.returncode, done.stdout.count("applied")) == (0, 3), done.stderr
    assert called("check", "--database", tmp_path / "app.db", cwd=tmp_path).returncode == 0
