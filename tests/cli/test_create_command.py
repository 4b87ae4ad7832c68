"""`create`: its messages beside the file that it writes, and when it writes none."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import app, besides_the_file, called, where
from tests.support.databases import is_there, rows, script, written
from tests.support.databases import own as own_database
from tests.support.engines import differs, folder_with_place
from tests.support.migrations import write
from tests.support.postgresql_servers import for_drivers
from usage_store.engines import name_of
from usage_store.migrate.files.migrations_folder import usage_tables

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.databases import Target

MODELS = """
from peewee import *
database = {}
class Base(Model):
    class Meta:
        database = database
class Note(Base):
    title = TextField()
"""


@pytest.fixture
def place(server: str, tmp_path: Path) -> Iterator[Target]:
    """Give an empty place for the database of `tmp_path`."""
    with folder_with_place(server, tmp_path):
        yield app(tmp_path)


@pytest.fixture
def create(place: Target, tmp_path: Path) -> Any:
    def run(*words: str, source: str = MODELS) -> subprocess.CompletedProcess[str]:
        (tmp_path / "models.py").write_text(source.format(written(place)))
        return called("create", "change", "--from", "models", *where(tmp_path), *words, cwd=tmp_path)

    return run


def stamped(folder: Path) -> None:
    """Let the tables of the database be those of a first migration."""
    write(folder / "own", {"001_first": "def up(migrator, db):\n    pass\n"})
    assert called("stamp", "1", *where(folder), cwd=folder).returncode == 0


def test_the_path_is_printed_on_stdout_and_todo_lines_and_notices_on_stderr(
    create: Any, place: Target, tmp_path: Path
) -> None:
    script(place, f"CREATE TABLE note (id {own_key(place)}, title TEXT NOT NULL DEFAULT 'x')")
    doc = "CREATE TABLE doc (x INT)" if differs(place, "kinds of tables") else "CREATE VIRTUAL TABLE doc USING fts5(x)"
    script(place, f"CREATE TABLE b (x INT); CREATE TABLE a (x INT); {doc}")
    script(place, "CREATE TABLE other_migrations (version BIGINT, name TEXT, applied_at BIGINT)")
    script(place, "CREATE TABLE usage_config (x INT)")
    stamped(tmp_path)
    done = create()
    default = "'x'::text" if differs(place, "stored SQL of a schema") else "'x'"
    todo = (
        f"note.title: DEFAULT {default} is dropped, because the model does not state it; state it in the model, or "
        "delete this line"
    )
    notice = "tables without a model, which stay as they are: a, b, doc"
    assert (done.returncode, done.stdout) == (0, "own/002_change.py\n")
    assert done.stderr == f"TODO: {todo}\nnotice: {notice}\n"
    (tmp_path / "own" / "002_change.py").unlink()
    told = {"written": True, "path": "own/002_change.py", "todo": [todo], "notices": [notice]}
    assert json.loads(create("--json").stdout) == told


def test_no_file_is_written_if_only_a_person_can_write_the_migration(
    create: Any, place: Target, tmp_path: Path
) -> None:
    script(place, "CREATE VIEW note AS SELECT 1 AS id")
    for words in ((), ("--json",)):
        done = create(*words)
        assert done.returncode == 2
        todo, error = besides_the_file(done).splitlines()
        assert todo == "TODO: note: is a view without title, which its model has; write this migration by hand"
        assert error == "error: nothing was written, as only a person can do what is to be done"
        assert not (tmp_path / "own").exists()
    assert json.loads(done.stdout)["written"] is False


def test_many_tables_without_a_model_are_not_all_named(create: Any, place: Target) -> None:
    script(place, "; ".join(f"CREATE TABLE t{number} (x INT)" for number in range(10, 35)))
    assert create().stderr.endswith(": " + ", ".join(f"t{number}" for number in range(10, 30)) + " and 5 more\n")


@pytest.mark.parametrize("statement", ["database.create_tables([Note])", "database.connect()"])
def test_a_module_that_opens_a_database_on_import_is_refused(
    create: Any, place: Target, second_target: Target, tmp_path: Path, statement: str
) -> None:
    for target in (place, second_target):
        done = create(source=MODELS.replace("{}", written(target)) + statement + "\n")
        assert done.returncode == 2
        name = name_of(own_database(target))
        assert done.stderr.startswith(f"error: models: the import opens the database {name}, which an import ")
        assert not is_there(target)
        assert not (tmp_path / "own").exists()
    in_memory = MODELS.replace("{}", "SqliteDatabase(':memory:')") + statement + "\n"
    assert create(source=in_memory).returncode == 0


def test_a_module_that_changes_the_database_with_another_driver_is_noticed(
    create: Any, place: Target, tmp_path: Path
) -> None:
    driver, name = ("psycopg", for_drivers(place)) if isinstance(place, str) else ("sqlite3", "app.db")
    other = f"connection = {driver}.connect({name!r})\nconnection.execute('CREATE TABLE note (title TEXT)')\n"
    done = create(source=f"import {driver}\n{MODELS}{other}connection.commit()\nconnection.close()\n")
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


def test_a_table_cannot_be_renamed_to_two_names(create: Any, place: Target, tmp_path: Path) -> None:
    script(place, f"CREATE TABLE old (id {own_key(place)}, title TEXT NOT NULL)")
    stamped(tmp_path)
    done = create("--rename", "old:note", "--rename", "old:other")
    assert (done.returncode, done.stderr) == (2, "error: --rename: old cannot get two names, note and other\n")
    assert create("--rename", "old:note", "--rename", "old:note").returncode == 0


FIRST = """CREATE TABLE "note" ("id" {} NOT NULL PRIMARY KEY, "title" TEXT NOT NULL);
CREATE TABLE log (x INT); CREATE TABLE other (x INT);
CREATE INDEX titles ON note (title);
{}
INSERT INTO note (title) VALUES ('kept')"""
TRIGGER = "CREATE TRIGGER noted AFTER INSERT ON note BEGIN INSERT INTO log VALUES (new.id); END;"
TRIGGER_ON_A_SERVER = """
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO log VALUES (new.id); RETURN NULL; END';
CREATE TRIGGER noted AFTER INSERT ON note FOR EACH ROW EXECUTE FUNCTION noted();
"""


def own_key(place: Target) -> str:
    return "serial PRIMARY KEY" if isinstance(place, str) else "INTEGER PRIMARY KEY"


def test_the_first_migration_of_a_database_with_tables_makes_them_as_they_are(
    create: Any, place: Target, second_target: Target, tmp_path: Path
) -> None:
    on_a_server = isinstance(place, str)
    script(place, FIRST.format(*(("serial", TRIGGER_ON_A_SERVER) if on_a_server else ("INTEGER", TRIGGER))))
    done = create("--json")
    told = json.loads(done.stdout)
    assert (told["written"], told["path"]) == (True, "own/001_change.py")
    first, without_model = told["notices"]
    assert first == (
        "the database has these tables already, and this first migration makes them as they are there; `usage-store "
        f"migrate stamp 1 --database {shlex.quote(str(place))} --directory own` records it as "
        "applied; the models differ in 1: after that, `create` again writes the difference"
    )
    assert without_model == "tables without a model, which stay as they are: log, other"
    words = where(tmp_path)
    failed = called(*words, cwd=tmp_path)
    assert failed.returncode == 7
    assert (
        "; if the database has it since before its first migration, `usage-store migrate stamp 1` rec" in failed.stderr
    )
    assert called("stamp", "1", *words, cwd=tmp_path).returncode == 0
    assert create().stdout == "own/002_change.py\n"
    assert called("--no-backup", *words, cwd=tmp_path).returncode == 0
    assert called("check", "--models", "models", *words, cwd=tmp_path).returncode == 0
    assert rows(place, "SELECT title FROM note") == [("kept",)]
    new = ("--database", str(second_target), "--directory", "own")
    assert called(*new, cwd=tmp_path).returncode == 0
    assert called("check", "--models", "models", *new, cwd=tmp_path).returncode == 0
    assert called("validate", "--replay", *words, cwd=tmp_path).stdout.endswith("valid\n")


def test_without_tables_of_the_models_the_first_migration_makes_them_as_the_models_say(
    create: Any, place: Target, tmp_path: Path
) -> None:
    script(place, "CREATE TABLE other (x INT)")
    assert create().stderr == "notice: tables without a model, which stay as they are: other\n"
    assert 'CREATE TABLE "note"' in (tmp_path / "own" / "001_change.py").read_text()
