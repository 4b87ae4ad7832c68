"""A command names the database file if it is missing, empty or new."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import OWN, app, called, called_as, command, own
from tests.support.databases import files_of, is_there, script
from usage_store import init_database
from usage_store.engines import name_of
from usage_store.errors import DatabaseUnreadable

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "from peewee import *\nclass Note(Model):\n    title = TextField()\n"


@pytest.mark.quick
@pytest.mark.parametrize("words", [(), ("stamp", "1"), ("--json",)])
def test_a_command_that_creates_the_database_names_it_once(folder: Path, words: tuple[str, ...]) -> None:
    done = command(*words, *OWN, cwd=folder)
    assert (done.returncode, done.stderr) == (0, f"created {folder}/app.db\n")
    if words == ("--json",):
        assert json.loads(done.stdout)["version"] == 2
    assert command(*words, *OWN, cwd=folder).stderr == ""


def test_a_restored_database_that_was_missing_is_named(folder: Path) -> None:
    called(*OWN, cwd=folder)
    backup = json.loads(called("backup", "--json", *OWN, cwd=folder).stdout)["backup"]
    assert called("restore", backup, *OWN, cwd=folder).stderr == ""
    done = called("restore", backup, "--database", "other.db", *OWN[2:], cwd=folder)
    assert (done.returncode, done.stderr) == (0, f"created {folder}/other.db\n")


@pytest.mark.parametrize("url", ["app.db", "sqlite:///app.db", "application:database"])
@pytest.mark.parametrize("words", ["status", "status --json", "check", "plan", "create x --from models"])
def test_commands_that_only_read_name_a_missing_database_and_create_none(folder: Path, words: str, url: str) -> None:
    (folder / "models.py").write_text(MODEL)
    (folder / "application.py").write_text("import peewee\ndatabase = peewee.SqliteDatabase('app.db')\n")
    directory = "new" if words.startswith("create") else "own"
    done = called(*words.split(), "--database", url, "--directory", directory, cwd=folder)
    assert done.returncode == (1 if words == "check" else 0)
    named = url if ":database" in url else f"{folder}/app.db"
    creates = f"`usage-store migrate --database {named} --directory {directory}` creates it"
    assert done.stderr == f"{folder}/app.db: there is no database yet; {creates}\n"
    assert not (folder / "app.db").exists()


def test_the_command_that_a_message_names_can_be_copied(folder: Path) -> None:
    missing = called("log", "--database", "my app.db", "--directory", "own", cwd=folder).stderr
    named = missing.partition("`usage-store migrate ")[2].partition("`")[0]
    assert called(*shlex.split(named), cwd=folder).returncode == 0
    assert called("log", "--database", "my app.db", "--directory", "own", cwd=folder).returncode == 0


def test_a_missing_folder_is_to_be_made_before_the_database(folder: Path) -> None:
    creates = f"create its folder first, then `usage-store migrate --database {folder}/gone/app.db` creates it"
    assert called("status", "--database", "gone/app.db", cwd=folder).stderr == (
        f"{folder}/gone/app.db: there is no database yet; {creates}\n"
    )
    assert called("log", "--database", "gone/app.db", cwd=folder).stderr == (
        f"error: {folder}/gone/app.db: no such database; {creates}\n"
    )
    with pytest.raises(DatabaseUnreadable, match="no such database; create its folder first, then `usage-store"):
        init_database(folder / "gone" / "app.db", readonly=True)


@pytest.mark.parametrize("words", ["log", "validate", "rollback", "backup", "rehearse", "adopt playhouse"])
def test_commands_that_need_a_database_name_the_missing_one(folder: Path, words: str) -> None:
    before = files_of(folder)
    done = called(*words.split(), *OWN, cwd=folder)
    assert (done.returncode, done.stdout) == (8, "")
    creates = f"`usage-store migrate --database {folder}/app.db {' '.join(OWN[2:])}` creates it"
    assert done.stderr == f"error: {folder}/app.db: no such database; {creates}\n"
    assert files_of(folder) == before


@pytest.mark.parametrize("words", ["status", "check", "plan", "log", "create x --from models", "validate", "rollback"])
def test_an_empty_database_is_named(anywhere: Path, words: str) -> None:
    place = app(anywhere)
    (anywhere / "models.py").write_text(MODEL)
    if not isinstance(place, str):
        place.touch()
    directory = "new" if words.startswith("create") else "own"
    done = called(*words.split(), *own(anywhere)[:2], "--directory", directory, cwd=anywhere)
    assert done.returncode == (1 if words == "check" else 0)
    named = shlex.quote(str(place))
    creates = f"`usage-store migrate --database {named} --directory {directory}` creates its tables"
    assert done.stderr == f"{name_of(place)}: the database is empty; {creates}\n"
    script(place, "CREATE TABLE something (a INT)")
    assert "empty" not in called(*words.split(), *own(anywhere)[:2], "--directory", "own", cwd=anywhere).stderr


def test_a_message_says_that_the_database_is_from_the_environment(folder: Path) -> None:
    file = f"{folder}/by_name.db (from $USAGE_STORE_DATABASE)"
    named = {"USAGE_STORE_DATABASE": "by_name.db"}
    assert (
        called("log", cwd=folder, **named).stderr
        == f"error: {file}: no such database; `usage-store migrate` creates it\n"
    )
    assert called(cwd=folder, **named).stderr == f"created {file}\n"
    assert called("status", cwd=folder, **named).stdout.startswith(f"version 3 of 3, 0 pending in {file}\n")
    assert called("status", "--database", "by_name.db", cwd=folder, **named).stdout.startswith(
        f"version 3 of 3, 0 pending in {folder}/by_name.db\n"
    )


def test_a_message_says_that_a_server_is_from_the_environment(tmp_path: Path, postgresql_url: str) -> None:
    named = {"USAGE_STORE_DATABASE": postgresql_url}
    said = f"{name_of(postgresql_url)} (from $USAGE_STORE_DATABASE)"
    assert called("log", cwd=tmp_path, **named).stderr.startswith(f"{said}: the database is empty; `usage-store migra")
    assert called("--usage-tables", cwd=tmp_path, **named).returncode == 0
    assert called("status", cwd=tmp_path, **named).stdout.startswith(f"version 3 of 3, 0 pending in {said}\n")


def test_status_and_check_name_the_database_for_programs(anywhere: Path) -> None:
    folder = anywhere
    for words in ("status", "check"):
        told = json.loads(called(words, "--json", *own(folder), cwd=folder).stdout)
        assert told["database"] == name_of(app(folder))
        told = json.loads(called(words, "--json", "--database", ":memory:", *OWN[2:], cwd=folder).stdout)
        assert told["database"] is None
    done = called("status", "--database", ":memory:", *OWN[2:], cwd=folder)
    assert (done.stdout.splitlines()[0], done.stderr) == ("version 0 of 2, 2 pending in the database in memory", "")


def test_maintain_and_convert_name_a_schema_that_is_empty_or_not_migrated(tmp_path: Path, postgresql_url: str) -> None:
    for _ in range(2):
        for done in (
            called_as("maintain", "--database", postgresql_url, cwd=tmp_path),
            called_as("convert", "--database", postgresql_url, cwd=tmp_path),
        ):
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
            assert done.stderr.startswith(f"error: {name_of(postgresql_url)}: ")
        script(postgresql_url, "CREATE TABLE IF NOT EXISTS host_notes (note text)")


def test_maintain_and_convert_name_the_database_that_is_missing_empty_or_not_migrated(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    script(tmp_path / "other.db", "CREATE TABLE host_notes (note TEXT)")
    for name, code in (("missing.db", 8), ("empty.db", 2), ("other.db", 2)):
        for done in (
            called_as("maintain", "--database", name, cwd=tmp_path),
            called_as("maintain", "--database", name, "--dry-run", cwd=tmp_path),
            called_as("convert", name, cwd=tmp_path),
            called_as("convert", "--database", name, cwd=tmp_path),
        ):
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
            assert done.stderr.startswith(f"error: {tmp_path}/{name}: ")
            assert "`usage-store migrate" in done.stderr
    assert not (tmp_path / "missing.db").exists()


def test_a_usage_error_creates_no_database(anywhere: Path) -> None:
    before = files_of(anywhere)
    for words in (["--directory", "gone"], ["--table", "a b"], ["stamp", "1", "--directory", "gone"]):
        assert called(*own(anywhere)[:2], *words, cwd=anywhere).returncode == 2
    assert files_of(anywhere) == before
    assert not is_there(app(anywhere))
