"""`[tool.usage_store]`: what a command takes from the project's pyproject.toml, and what it says about that."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called, command
from tests.support.databases import files_of, is_there, names, own, script, written
from tests.support.engines import empty_place
from tests.support.migrations import table, write
from tests.support.programs import run_python
from usage_store.engines import name_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Target

SETTINGS = """
[project]
name = "shop"

[tool.usage_store]
database = "shop.db"
directory = "shop/migrations"
table = "shop_history"
"""
IN_CODE = SETTINGS.replace('"shop.db"', '"shop.models:db"') + 'models = "shop.models"\n'
MODELS = """
from peewee import Model, PostgresqlDatabase, SqliteDatabase, TextField

db = SqliteDatabase("shop.db")


class Note(Model):
    title = TextField()

    class Meta:
        database = db
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of an application with settings, models, two migrations, and a folder `shop/deep`."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    write(tmp_path / "shop" / "migrations", {"001_one": table("one"), "002_two": table("two")})
    return tmp_path


@pytest.fixture
def shop(project: Path, server: str) -> Iterator[Target]:
    """Give the empty place of the project's database, whose settings and models name it, on each engine."""
    with empty_place(server, project / "shop.db") as place:
        if isinstance(place, str):
            settings(project, SETTINGS, place)
            models(project, place)
        yield place


def settings(project: Path, text: str, place: Target) -> None:
    """Write the settings, with the database at a place."""
    (project / "pyproject.toml").write_text(text.replace("shop.db", place) if isinstance(place, str) else text)


def models(project: Path, place: Target, more: str = "") -> None:
    """Write the module of models, with their database at a place."""
    text = MODELS.replace('SqliteDatabase("shop.db")', written(place)) if isinstance(place, str) else MODELS
    (project / "shop" / "models.py").write_text(text + more)


def used(project: Path, done: subprocess.CompletedProcess[str]) -> str:
    """Return the names of the settings that a command says it used."""
    found = re.match(rf"settings: {re.escape(str(project))}/pyproject\.toml \((.+)\)\n", done.stderr)
    assert "settings:" not in done.stderr[found.end() if found else 0 :]
    return found[1] if found else ""


@pytest.mark.parametrize("text", [SETTINGS, IN_CODE], ids=["path", "object"])
def test_commands_without_options_work_in_the_project_and_in_its_folders(
    project: Path, shop: Target, text: str
) -> None:
    settings(project, text, shop)
    done = command(cwd=project / "shop" / "deep")
    assert (done.returncode, used(project, done)) == (0, "database, directory, table")
    assert isinstance(shop, str) or f"created {shop}\n" in done.stderr
    assert {"one", "two", "shop_history"} <= names(shop)
    for folder in (project, project / "shop" / "deep"):
        assert called("check", cwd=folder).returncode == 0
        assert called("status", cwd=folder).stdout.startswith(f"version 2 of 2, 0 pending in {name_of(own(shop))}\n")
        assert "up     001_one" in called("log", cwd=folder).stdout
    assert [path.name for path in project.rglob("*.db")] == ([] if isinstance(shop, str) else ["shop.db"])


def test_an_option_wins_then_the_environment_then_the_settings(project: Path) -> None:
    write(project / "own", {"001_mine": table("mine")})
    done = called("--database", "a.db", cwd=project)
    assert (used(project, done), names(project / "a.db") >= {"one", "shop_history"}) == ("directory, table", True)
    done = called("--directory", "own", cwd=project, USAGE_STORE_DATABASE="b.db")
    assert used(project, done) == "", "the table of the settings is that of another folder"
    assert {"mine", "own_migrations"} <= names(project / "b.db")
    done = called("--directory", project / "shop" / "migrations", "--database", "c.db", cwd=project)
    assert (used(project, done), "shop_history" in names(project / "c.db")) == ("table", True)
    done = called("--table", "other", cwd=project)
    assert (used(project, done), "other" in names(project / "shop.db")) == ("database, directory", True)


@pytest.mark.parametrize("setting", [True, False])
@pytest.mark.parametrize("variable", [True, False])
@pytest.mark.parametrize("option", [True, False])
def test_one_of_the_three_ways_names_the_database(
    project: Path, *, option: bool, variable: bool, setting: bool
) -> None:
    (project / "pyproject.toml").write_text(SETTINGS if setting else SETTINGS.replace('database = "shop.db"', ""))
    words = ("--database", "option.db") if option else ()
    extra = {"USAGE_STORE_DATABASE": "variable.db"} if variable else {}
    done = called(*words, cwd=project, **extra)
    made = "option" if option else "variable" if variable else "shop" if setting else "usage"
    assert [path.name for path in project.rglob("*.db")] == [f"{made}.db"]
    assert ("database" in used(project, done)) is (made == "shop")


def test_a_call_whose_options_leave_nothing_open_reads_no_settings(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.usage_store]\nnot TOML")
    complete = ("--database", "a.db", "--directory", "shop/migrations", "--table", "t")
    assert called(*complete, cwd=project).returncode == 0
    assert called("--database", "b.db", "--usage-tables", cwd=project).returncode == 0
    assert called("create", "three", "--directory", "shop/migrations", "--table", "t", cwd=project).returncode == 0
    done = called("--database", "c.db", cwd=project)
    assert (done.returncode, (project / "c.db").exists()) == (2, False)
    code = (
        "import sys; from usage_store.cli.main import main; code = main(sys.argv[1:]); print('tomllib' in sys.modules)"
    )
    (project / "pyproject.toml").write_text(SETTINGS)
    for words, imported in ((complete, False), ((), True)):
        done = run_python("-c", code, "migrate", "check", *words, cwd=project)
        assert done.stdout.splitlines()[-1] == str(imported)


def test_settings_of_another_tool_are_not_parsed(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.other]\nnot TOML")
    assert called("--database", "a.db", cwd=project).returncode == 0
    assert "usage_config" in names(project / "a.db")


def test_a_command_on_the_usage_tables_alone_takes_only_the_database(project: Path) -> None:
    assert called("--usage-tables", cwd=project).returncode == 0
    done = run_python("-m", "usage_store", "maintain", "--dry-run", cwd=project)
    assert (done.returncode, used(project, done)) == (0, "database")
    done = called("create", "three", cwd=project)
    assert (done.stdout, used(project, done)) == ("shop/migrations/003_three.py\n", "directory")
    (project / "pyproject.toml").write_text(IN_CODE)
    done = called("create", "four", cwd=project / "shop" / "deep")
    assert done.stdout == f"{project}/shop/migrations/004_four.py\n"


def test_usage_tables_chooses_their_migrations_instead_of_the_folder_in_the_settings(project: Path) -> None:
    done = called("--usage-tables", cwd=project)
    assert (done.returncode, used(project, done)) == (0, "database")
    assert "usage_config" in names(project / "shop.db")
    assert "one" not in names(project / "shop.db")
    done = called("--usage-tables", "--directory", "own", cwd=project)
    assert (done.returncode, done.stderr) == (
        2,
        "error: --directory and --usage-tables exclude each other; give one of them\n",
    )


def test_a_command_that_a_message_names_works_in_the_same_folder(project: Path) -> None:
    missing = called("log", cwd=project / "shop" / "deep").stderr
    assert missing.endswith(f"error: {project}/shop.db: no such database; `usage-store migrate` creates it\n")
    missing = called("log", "--usage-tables", cwd=project).stderr
    assert "; `usage-store migrate --usage-tables` creates it\n" in missing
    missing = called("log", "--database", "my.db", cwd=project).stderr
    assert f"; `usage-store migrate --database {project}/my.db` creates it\n" in missing


def test_a_typed_path_begins_at_the_current_folder_although_the_database_begins_at_the_settings(project: Path) -> None:
    (project / "pyproject.toml").write_text(IN_CODE)
    write(project / "shop" / "deep" / "own", {"001_mine": table("mine")})
    assert called("--directory", "own", cwd=project / "shop" / "deep").returncode == 0
    assert "mine" in names(project / "shop.db")


def test_a_relative_sqlite_url_begins_at_the_file(project: Path) -> None:
    (project / "pyproject.toml").write_text(SETTINGS.replace("shop.db", "sqlite:///shop.db"))
    assert called(cwd=project / "shop" / "deep").returncode == 0
    assert [path.name for path in project.rglob("*.db")] == ["shop.db"]
    assert "one" in names(project / "shop.db")


def replaced(name: str, value: str) -> str:
    return re.sub(rf"^{name} = .*$", f"{name} = {value}", IN_CODE, flags=re.MULTILINE)


WRONG = [
    (replaced("directory", '"pyproject.toml"'), (), "/pyproject.toml: a file, and not a folder of migrations; set by"),
    (replaced("directory", '"pyproject.toml"'), ("create", "x"), "a file, and not a folder of migrations; set by `dir"),
    ("\ufeff" + SETTINGS, (), "cannot be read: it starts with a byte order mark; save it as UTF-8 without one"),
    (SETTINGS + "x = \n", (), "cannot be read: Invalid value (at line 9, column 5)"),
    (SETTINGS + "databse = 'x'\n", (), "has no setting databse (allowed: "),
    (SETTINGS + "databse = 'x'\n", (), "; did you mean database?"),
    (SETTINGS.replace("usage_store", "usage-store"), (), "[tool.usage-store] is not read; write [tool.usage_store]"),
    (SETTINGS.replace("tool.usage_store", "usage_store"), (), "[usage_store] is not read; write [tool.usage_store]"),
    (replaced("directory", '["a"]'), (), "directory is ['a']; it must be a text"),
    (replaced("table", '"a b"'), (), "table is 'a b', which is no name for a history table"),
    (replaced("directory", '"gone"'), (), "/gone: no such directory of migrations; `usage-store migrate create NAME`"),
    (replaced("directory", '"gone"'), (), "; set by `directory` in [tool.usage_store] of "),
    (
        replaced("database", '"nobody:db"'),
        (),
        "nobody:db: nobody: cannot be imported: ModuleNotFoundError: No module named",
    ),
    (replaced("database", '"shop.models:nothing"'), (), "shop.models has no nothing; set by `database` in [tool"),
    (replaced("database", '"shop.models:Note"'), (), "; set by `database` in [tool.usage_store] of "),
    (
        replaced("database", '"gone/a.db"'),
        (),
        "gone/a.db: its folder does not exist; create it first; set by `database`",
    ),
    (
        replaced("database", '"mysql://host/db"'),
        (),
        "stores in SQLite and PostgreSQL; give a path, a sqlite:/// URL or a postgresql:// URL; s",
    ),
    (replaced("models", '"nobody"'), ("check", "--models"), "nobody: cannot be imported: ModuleNotFoundError"),
    (replaced("models", '"shop.models:db"'), ("check", "--models"), "shop.models:db: not a model or a list of models"),
    (replaced("models", '"shop.models:db"'), ("create", "x", "--from"), "; set by `models` in [tool.usage_store] of "),
    (SETTINGS, ("check", "--models"), 'or write models = "myapp.models" into [tool.usage_store] of '),
    (SETTINGS, ("create", "x", "--from"), "--from needs the module of your models, such as --from myapp.models; "),
]


@pytest.mark.parametrize(("settings", "words", "said"), WRONG)
def test_a_mistake_in_the_file_is_one_line_with_the_file(
    project: Path, settings: str, words: tuple[str, ...], said: str
) -> None:
    (project / "pyproject.toml").write_text(settings)
    before = files_of(project)
    done = called(*words, cwd=project / "shop" / "deep")
    assert done.returncode == (8 if "its folder" in said else 2)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert said in line
    assert f"{project}/pyproject.toml" in line
    assert json.loads(called(*words, "--json", cwd=project / "shop" / "deep").stdout)["message"] == line[7:]
    assert {path: text for path, text in files_of(project).items() if "__pycache__" not in str(path)} == before


def test_a_file_that_is_no_text_is_named_with_its_line(project: Path) -> None:
    (project / "pyproject.toml").write_bytes(SETTINGS.encode() + b"# \xff\n")
    said = f"error: {project}/pyproject.toml: cannot be read: line 9 is not UTF-8 text\n"
    assert called("check", cwd=project).stderr == said


MODULES = [
    ("import sys; sys.exit(0)", "cannot be imported: SystemExit: 0"),
    ("raise ValueError('one\\ntwo')", "cannot be imported: ValueError: one two"),
    ("raise GeneratorExit", "cannot be imported: GeneratorExit"),
    ("1 +", "cannot be imported: SyntaxError"),
    ("db.connect()", "the import opens the database "),
    ("db.create_tables([Note])", "the import opens the database "),
    ("import usage_store; usage_store.init_database(db)", "the import opens the database "),
    ("import usage_store; usage_store.init_database({place!r})", "the import opens the database "),
    ("import os; os._exit(0)", "cannot be imported: SystemExit: 0"),
]


@pytest.mark.parametrize(("statement", "said"), MODULES)
@pytest.mark.parametrize("words", ["check --models", "create x --from"])
def test_a_models_module_that_does_not_only_define_models_is_named(
    project: Path, shop: Target, words: str, statement: str, said: str
) -> None:
    settings(project, SETTINGS + 'models = "shop.models"\n', shop)
    models(project, shop, statement.replace("{place!r}", repr(str(shop))) + "\n")
    before = files_of(project / "shop" / "migrations")
    done = command(*words.split(), cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: shop.models: ")
    assert said in line
    assert line.endswith(f"; set by `models` in [tool.usage_store] of {project}/pyproject.toml")
    assert not is_there(shop)
    assert files_of(project / "shop" / "migrations") == before


def test_a_models_module_may_fork(project: Path) -> None:
    forks = "import os\nchild = os.fork()\nif not child:\n    os._exit(0)\nos.waitpid(child, 0)\n"
    (project / "pyproject.toml").write_text(SETTINGS + 'models = "shop.models"\n')
    (project / "shop" / "models.py").write_text(MODELS + forks)
    done = command("check", "--models", cwd=project)
    assert done.stdout.splitlines()[:2] == ["2 pending", "problem: models: table note is missing"]
    assert "error:" not in done.stderr, "the child ends itself, and runs no command"


@pytest.mark.parametrize("words", ["check --models", "validate --models", "create x --from"])
def test_the_module_of_the_database_is_not_run_against_it_either(project: Path, shop: Target, words: str) -> None:
    (project / "pyproject.toml").write_text(IN_CODE)
    models(project, shop, "db.create_tables([Note])\n")
    done = called(*words.split(), cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"error: shop.models:db: shop.models: the import opens the database {name_of(own(shop))}, which an import "
        "must not do; connect, and create tables, in a function that the application calls when it starts; set by "
        f"`database` in [tool.usage_store] of {project}/pyproject.toml"
    )
    assert not is_there(shop)
    assert command(cwd=project).returncode == 0, "a command that does not compare models may use such a module"


def test_without_models_no_command_imports_them(project: Path) -> None:
    (project / "pyproject.toml").write_text(SETTINGS + 'models = "shop.models"\n')
    (project / "shop" / "models.py").write_text("raise ValueError\n")
    for words in ("", "status", "check", "validate", "plan", "create x"):
        assert called(*words.split(), cwd=project).returncode == 0, words


def test_a_path_with_a_colon_is_a_file_if_it_exists(project: Path) -> None:
    script(project / "shop.models:db", "CREATE TABLE a (b)")
    (project / "pyproject.toml").write_text(IN_CODE)
    assert called(cwd=project / "shop" / "deep").returncode == 0
    assert {"a", "one"} <= names(project / "shop.models:db")
    assert not (project / "shop.db").exists()
