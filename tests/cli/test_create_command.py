"""`create`: its messages beside the file that it writes, and when it writes none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import besides_the_file, called
from tests.support.databases import rows, script
from tests.support.migrations import write
from usage_store.migrate.files.migrations_folder import usage_tables

if TYPE_CHECKING:
    import subprocess

MODELS = """
from peewee import *
database = SqliteDatabase("app.db")
class Base(Model):
    class Meta:
        database = database
class Note(Base):
    title = TextField()
"""


@pytest.fixture
def create(tmp_path: Path) -> Any:
    def run(*words: str, source: str = MODELS) -> subprocess.CompletedProcess[str]:
        (tmp_path / "models.py").write_text(source)
        where = ("--database", "app.db", "--directory", "own")
        return called("create", "change", "--from", "models", *where, *words, cwd=tmp_path)

    return run


def stamped(folder: Path) -> None:
    """Let the tables of the database be those of a first migration."""
    write(folder / "own", {"001_first": "def up(migrator, db):\n    pass\n"})
    assert called("stamp", "1", "--database", "app.db", "--directory", "own", cwd=folder).returncode == 0


def test_the_path_is_printed_on_stdout_and_todo_lines_and_notices_on_stderr(create: Any, tmp_path: Path) -> None:
    script(tmp_path / "app.db", "CREATE TABLE note (id INTEGER PRIMARY KEY, title TEXT NOT NULL DEFAULT 'x')")
    script(tmp_path / "app.db", "CREATE TABLE b (x); CREATE TABLE a (x); CREATE VIRTUAL TABLE doc USING fts5(x)")
    script(
        tmp_path / "app.db", "CREATE TABLE other_migrations (version, name, applied_at); CREATE TABLE usage_config (x)"
    )
    stamped(tmp_path)
    done = create()
    todo = (
        "note.title: DEFAULT 'x' is dropped, because the model does not state it; state it in the model, or delete "
        "this line"
    )
    notice = "tables without a model, which stay as they are: a, b, doc"
    assert (done.returncode, done.stdout) == (0, "own/002_change.py\n")
    assert done.stderr == f"TODO: {todo}\nnotice: {notice}\n"
    (tmp_path / "own" / "002_change.py").unlink()
    told = {"written": True, "path": "own/002_change.py", "todo": [todo], "notices": [notice]}
    assert json.loads(create("--json").stdout) == told


def test_no_file_is_written_if_only_a_person_can_write_the_migration(create: Any, tmp_path: Path) -> None:
    script(tmp_path / "app.db", "CREATE VIEW note AS SELECT 1 AS id")
    for words in ((), ("--json",)):
        done = create(*words)
        assert done.returncode == 2
        todo, error = besides_the_file(done).splitlines()
        assert todo == "TODO: note: is a view without title, which its model has; write this migration by hand"
        assert error == "error: nothing was written, as only a person can do what is to be done"
        assert not (tmp_path / "own").exists()
    assert json.loads(done.stdout)["written"] is False


def test_many_tables_without_a_model_are_not_all_named(create: Any, tmp_path: Path) -> None:
    script(tmp_path / "app.db", "; ".join(f"CREATE TABLE t{number} (x)" for number in range(10, 35)))
    assert create().stderr.endswith(": " + ", ".join(f"t{number}" for number in range(10, 30)) + " and 5 more\n")


@pytest.mark.parametrize("statement", ["database.create_tables([Note])", "database.connect()"])
def test_a_module_that_opens_a_database_on_import_is_refused(create: Any, tmp_path: Path, statement: str) -> None:
    for name in ("app.db", "production.db"):
        done = create(source=MODELS.replace("app.db", name) + statement + "\n")
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: models: the import opens the database {tmp_path}/{name}, which an ")
        assert [path.name for path in tmp_path.iterdir() if path.suffix != ".py" and path.is_file()] == []
        assert not (tmp_path / "own").exists()
    in_memory = MODELS.replace("app.db", ":memory:") + statement + "\n"
    assert create(source=in_memory).returncode == 0


def test_a_module_that_changes_the_database_with_another_driver_is_noticed(create: Any, tmp_path: Path) -> None:
    source = "import sqlite3\n" + MODELS + "sqlite3.connect('app.db').execute('CREATE TABLE note (title)')\n"
    done = create(source=source)
    assert done.returncode == 2
    assert done.stderr.startswith("error: importing models changed the database (note), so there is no difference to ")
    assert not (tmp_path / "own").exists()


def test_what_a_module_prints_on_import_is_not_in_the_result(create: Any) -> None:
    done = create("--json", source=MODELS + "print('starting')\n")
    assert json.loads(done.stdout)["written"] is True
    assert "starting\n" in done.stderr


def test_a_model_that_is_left_out_is_named(create: Any) -> None:
    done = create(source=MODELS + "class Longer(Note):\n    text = TextField()\n")
    assert done.returncode == 0
    assert besides_the_file(done).startswith("notice: Note is left out: Longer derives from it")


@pytest.mark.parametrize("more", [(), ("--from", "models")])
def test_the_folder_of_the_usage_tables_own_migrations_is_refused(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    ours = Path(usage_tables().directory)
    shutil.copytree(ours, tmp_path / "checkout" / "migrations")
    (tmp_path / "link").symlink_to(ours)
    for name in (str(ours), "link", "checkout/migrations", "checkout/../checkout/migrations/"):
        directory = tmp_path / name
        before = sorted(directory.iterdir())
        done = called("create", "x", "--directory", name, *more, "--database", "app.db", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {name}: this folder has the usage tables' own migrations, ")
        assert done.stderr.endswith("; choose another folder, such as --directory app_migrations\n")
        assert sorted(directory.iterdir()) == before
    assert called("create", "x", "--directory", "app_migrations", cwd=tmp_path).returncode == 0


def test_a_table_cannot_be_renamed_to_two_names(create: Any, tmp_path: Path) -> None:
    script(tmp_path / "app.db", "CREATE TABLE old (id INTEGER PRIMARY KEY, title TEXT NOT NULL)")
    stamped(tmp_path)
    done = create("--rename", "old:note", "--rename", "old:other")
    assert (done.returncode, done.stderr) == (2, "error: --rename: old cannot get two names, note and other\n")
    assert create("--rename", "old:note", "--rename", "old:note").returncode == 0


FIRST = """CREATE TABLE "note" ("id" INTEGER NOT NULL PRIMARY KEY, "title" TEXT NOT NULL);
CREATE TABLE log (x); CREATE TABLE other (x);
CREATE INDEX titles ON note (title);
CREATE TRIGGER noted AFTER INSERT ON note BEGIN INSERT INTO log VALUES (new.id); END;
INSERT INTO note (title) VALUES ('kept')"""


def test_the_first_migration_of_a_database_with_tables_makes_them_as_they_are(create: Any, tmp_path: Path) -> None:
    script(tmp_path / "app.db", FIRST)
    done = create("--json")
    told = json.loads(done.stdout)
    assert (told["written"], told["path"]) == (True, "own/001_change.py")
    first, without_model = told["notices"]
    assert first == (
        "the database has these tables already, and this first migration makes them as they are there; `usage-store "
        f"migrate stamp 1 --database {tmp_path}/app.db --directory own` records it as applied; the models differ in 1: "
        "after that, `create` again writes the difference"
    )
    assert without_model == "tables without a model, which stay as they are: log, other"
    where = ("--database", "app.db", "--directory", "own")
    failed = called(*where, cwd=tmp_path)
    assert failed.returncode == 7
    assert (
        "; if the database has it since before its first migration, `usage-store migrate stamp 1` rec" in failed.stderr
    )
    assert called("stamp", "1", *where, cwd=tmp_path).returncode == 0
    assert create().stdout == "own/002_change.py\n"
    assert called("--no-backup", *where, cwd=tmp_path).returncode == 0
    assert called("check", "--models", "models", *where, cwd=tmp_path).returncode == 0
    assert rows(tmp_path / "app.db", "SELECT title FROM note") == [("kept",)]
    new = ("--database", "new.db", "--directory", "own")
    assert called(*new, cwd=tmp_path).returncode == 0
    assert called("check", "--models", "models", *new, cwd=tmp_path).returncode == 0
    assert called("validate", "--replay", *where, cwd=tmp_path).stdout.endswith("valid\n")


def test_without_tables_of_the_models_the_first_migration_makes_them_as_the_models_say(
    create: Any, tmp_path: Path
) -> None:
    script(tmp_path / "app.db", "CREATE TABLE other (x)")
    assert create().stderr == "notice: tables without a model, which stay as they are: other\n"
    assert 'CREATE TABLE "note"' in (tmp_path / "own" / "001_change.py").read_text()
