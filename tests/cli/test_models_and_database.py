"""`check --models` and `validate --models` name each difference between the models and the database."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import app, called, where
from tests.support.databases import files_of, names, own, script, written
from tests.support.engines import folder_with_place
from tests.support.migrations import sql, write
from usage_store.engines import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Target

SETTINGS = '[tool.usage_store]\ndatabase = "{}"\ndirectory = "own"\nmodels = "app"\n'
MODELS = """
from peewee import *


class Person(Model):
    name = TextField(unique=True)
    age = IntegerField(constraints=[Check("age >= 0"), SQL("DEFAULT 18")])
    team = TextField(index=True)

    class Meta:
        table_name = "person"
"""
AS_MODELS = """CREATE TABLE "person" ("id" {} NOT NULL PRIMARY KEY, "name" TEXT NOT NULL,
    "age" INTEGER NOT NULL DEFAULT 18 CHECK (age >= 0), "team" TEXT NOT NULL)"""
INDEXES = 'CREATE UNIQUE INDEX "person_name" ON "person" ("name")', 'CREATE INDEX "person_team" ON "person" ("team")'


@pytest.fixture
def project(server: str, tmp_path: Path) -> Iterator[Path]:
    """Return a folder with settings, models, and a migration that makes their table."""
    with folder_with_place(server, tmp_path):
        fill(tmp_path)
        yield tmp_path


def fill(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SETTINGS.format(app(tmp_path)))
    (tmp_path / "app.py").write_text(MODELS)
    write(tmp_path / "own", {"001_person": sql(as_models(tmp_path), *INDEXES, down=["DROP TABLE person"])})


def as_models(folder: Path) -> str:
    """Give the statement that makes the table as the models say."""
    return AS_MODELS.format("SERIAL" if isinstance(app(folder), str) else "INTEGER")


def said(project: Path, *words: str, code: int) -> str:
    before = files_of(project)
    done = called(*words, cwd=project)
    assert done.returncode == code, done
    assert files_of(project) == before
    return done.stdout


def test_models_that_agree_are_said_to(project: Path) -> None:
    called(cwd=project)
    assert said(project, "check", "--models", code=0) == "app and the database agree\n"
    assert said(project, "validate", "--models", code=0) == "app and the database agree\nvalid\n"
    assert json.loads(said(project, "check", "--models=app:Person", "--json", code=0))["problems"] == []
    script(app(project), "CREATE TABLE extra (x INT)")
    script(app(project), "CREATE TABLE migratehistory (id INT, name TEXT, migrated_at TIMESTAMP)")
    assert "notice: tables without a model, which stay as they are: extra\n" in said(
        project, "check", "--models", code=0
    )


def test_each_difference_is_named_and_the_command_that_writes_the_migration(project: Path) -> None:
    lost = (
        as_models(project)
        .replace(" DEFAULT 18 CHECK (age >= 0)", "")
        .replace('"name" TEXT NOT NULL', '"name" TEXT, "x" INT')
    )
    write(project / "own", {"001_person": sql(lost, INDEXES[0], down=["DROP TABLE person"])})
    called(cwd=project)
    assert said(project, "check", code=0) == ""
    differences = [
        "person.name: NULL is allowed, should be not allowed",
        "person.age: default is none, should be 18",
        "person.x is not in the model",
        "person: CHECK (age >= 0) is missing",
        "index person_team on person is missing",
    ]
    lines = said(project, "check", "--models", code=4).splitlines()
    assert lines[:-1] == [f"problem: models: {line}" for line in differences]
    assert lines[-1] == "`usage-store migrate create NAME --from` writes the migration that makes them agree"
    assert said(project, "validate", "--models", code=4).splitlines() == lines
    last = said(project, "check", "--models=app", *where(project), code=4).splitlines()[-1]
    typed = f"create NAME --database {shlex.quote(str(app(project)))} --directory own --from app"
    assert last == f"`usage-store migrate {typed}` writes the migration that makes them agree"
    told = json.loads(said(project, "validate", "--models", "--json", code=4))
    assert (told["valid"], len(told["problems"])) == (False, 5)
    assert {problem["error"] for problem in told["problems"]} == {"SchemaDrift"}
    assert json.loads(called("create", "as the models", "--from", "--json", cwd=project).stdout)["written"] is True
    assert called("--no-backup", cwd=project).returncode == 0
    assert said(project, "check", "--models", code=0) == "app and the database agree\n"


def test_pending_migrations_and_differences_are_both_named_and_the_worse_code_counts(project: Path) -> None:
    lines = said(project, "check", "--models", code=4).splitlines()
    assert lines == [
        "1 pending",
        "problem: models: table person is missing",
        "`usage-store migrate` runs the pending migrations, which may make them agree",
    ]
    called(cwd=project)
    write(project / "own", {"002_later": sql("CREATE TABLE later (x INT)", down=["DROP TABLE later"])})
    assert said(project, "check", "--models", code=1) == "1 pending\napp and the database agree\n"


TWO = """
from peewee import Model, PostgresqlDatabase, SqliteDatabase, TextField

here, elsewhere = {}, {}


class Note(Model):
    title = TextField()

    class Meta:
        database = here


class Price(Model):
    amount = TextField()

    class Meta:
        database = elsewhere
"""


def test_models_of_another_database_are_left_out_and_named(project: Path, second_target: Target) -> None:
    (project / "app.py").write_text(TWO.format(written(app(project)), written(second_target)))
    (project / "own" / "001_person.py").unlink()
    (project / "deep").mkdir()
    notice = f"Price is left out: it is bound to {name_of(own(second_target))}"
    done = called("create", "first", "--from", "--json", cwd=project / "deep")
    assert json.loads(done.stdout)["notices"] == [notice]
    assert called(cwd=project).returncode == 0
    assert {"note"} == names(app(project)) & {"note", "price"}
    for words in ("check", "validate"):
        assert f"notice: {notice}\n" in said(project, words, "--models", code=0)
        assert json.loads(said(project, words, "--models", "--json", code=0))["notices"] == [notice]
    (project / "app.py").write_text(TWO.format("SqliteDatabase(None)", written(second_target)))
    assert "models: table price is missing" in said(project, "check", "--models", code=4), "none is bound to this one"


def test_a_table_that_is_a_view_is_a_difference(project: Path) -> None:
    script(app(project), "CREATE VIEW person AS SELECT 1 AS id")
    assert "problem: models: person: is a view without name, age, team, which its model has\n" in said(
        project, "check", "--models", code=4
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("check", "--models", "app", "--database", "{}", "--directory", "own"), 0),
        (("--models", "app", "check"), 0),
        (("--models", "check"), 0),
        (("create", "x", "--from", "app"), 0),
        (("create", "--from", "app", "x"), 0),
        (("create", "--from=app", "x"), 0),
        (("create", "--from", "--json", "x"), 0),
        (("create", "--from", "x"), 2),
        (("check", "--models="), 0),
        (("check", "--models", "nobody"), 2),
    ],
)
def test_the_value_of_the_option_may_be_left_out(project: Path, words: tuple[str, ...], code: int) -> None:
    called(cwd=project)
    done = called(*(word.format(app(project)) for word in words), cwd=project)
    assert done.returncode == code, done
    if words == ("create", "--from", "x"):
        assert done.stderr == "error: NAME is missing, or was read as the value of --from; write it before that\n"
