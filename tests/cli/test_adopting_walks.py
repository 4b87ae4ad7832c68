"""A project of peewee_migrate and one of playhouse.migrations are taken over in five commands without options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import app, called
from tests.support.databases import names, rows, script, written
from tests.support.engines import differs, folder_with_place
from tests.support.postgresql_servers import for_drivers
from tests.support.programs import run_python

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = """
[tool.usage_store]
database = "shop.models:db"
directory = "migrations"
models = "shop.models"
"""
MODELS = """
from peewee import SQL, CharField, Check, ForeignKeyField, IntegerField, Model, TextField
from peewee import PostgresqlDatabase, SqliteDatabase

db = {}


class Base(Model):
    class Meta:
        database = db


class Customer(Base):
    name = CharField()
    email = CharField(unique=True)


class Order(Base):
    customer = ForeignKeyField(Customer, on_delete="CASCADE")
    amount = IntegerField(constraints=[Check("amount > 0")])
    note = TextField(default="", constraints=[SQL("DEFAULT ''")])

    class Meta:
        table_name = "orders"
        indexes = ((("customer", "amount"), False),)
"""
ROWS = """
INSERT INTO customer (name, email) VALUES ('ada', 'a@x'), ('bob', 'b@x');
INSERT INTO orders (customer_id, amount, note) VALUES (1, 5, ''), (2, 7, 'n');
"""
LOST = ["orders.note: default is none, should be ''{}", "orders: CHECK (amount > 0) is missing"]
# Each tool's own commands: write the first migration from the models, and run it.
PEEWEE_MIGRATE = """
import sys
from peewee_migrate import cli
where = ["--database", sys.argv[1], "--directory", "migrations"]
cli.cli(["create", "--auto", "--auto-source", "shop.models", *where, "first"], standalone_mode=False)
cli.cli(["migrate", *where], standalone_mode=False)
"""
PLAYHOUSE = """
from playhouse.migrations import main
main(["shop.models.db", "initial", "shop.models"])
main(["shop.models.db", "up"])
"""


@pytest.fixture(params=["peewee_migrate", "playhouse"])
def project(request: pytest.FixtureRequest, server: str, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return the folder of an application with rows, which another program has migrated, and that program's name."""
    if request.param == "peewee_migrate":
        pytest.importorskip("peewee_migrate")
    with folder_with_place(server, tmp_path):
        made_by(request.param, tmp_path)
        yield tmp_path, request.param


def made_by(program: str, folder: Path) -> None:
    path = app(folder)
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "models.py").write_text(MODELS.replace("{}", written(path)))
    code = PEEWEE_MIGRATE if program == "peewee_migrate" else PLAYHOUSE
    url = for_drivers(path).replace("postgresql:", "psycopg3:") if isinstance(path, str) else f"sqlite:///{path}"
    made = run_python("-c", code, url, cwd=folder)
    assert made.returncode == 0, made.stderr
    script(path, ROWS)
    (folder / "pyproject.toml").write_text(SETTINGS)


def migrate(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = called(*words, cwd=folder)
    assert done.returncode == code, done
    return done


def test_five_commands_take_the_project_over_and_bring_back_the_rules_that_it_lost(project: tuple[Path, str]) -> None:
    folder, program = project
    path = app(folder)
    (file,) = (each.stem for each in (folder / "migrations").glob("0*.py"))
    before = rows(path, "SELECT * FROM orders"), rows(path, "SELECT * FROM customer")

    assert migrate(folder, "adopt", program).stdout.startswith(f"adopted {file}, applied ")
    told = migrate(folder, "check", "--models", code=4).stdout.splitlines()
    typed = "::text" if differs(path, "stored SQL of a schema") else ""
    assert told[:2] == [f"problem: models: {line.format(typed)}" for line in LOST]
    assert told[2:] == ["`usage-store migrate create NAME --from` writes the migration that makes them agree"]
    migrate(folder, "create", "rules of the models", "--from")
    assert "rules_of_the_models" in migrate(folder).stdout
    assert migrate(folder, "check", "--models").stdout == "shop.models and the database agree\n"

    assert (rows(path, "SELECT * FROM orders"), rows(path, "SELECT * FROM customer")) == before
    assert migrate(folder, "validate", "--replay", "--models").stdout.endswith("agree\nvalid\n")
    assert "rolled back" in migrate(folder, "rollback").stdout
    assert (rows(path, "SELECT * FROM orders"), rows(path, "SELECT * FROM customer")) == before
    assert f"problem: models: {LOST[1]}\n" in migrate(folder, "validate", "--models", code=4).stdout


def test_before_that_each_command_names_the_first_of_the_five(project: tuple[Path, str]) -> None:
    folder, program = project
    before = names(app(folder))
    advice = f"; `usage-store migrate adopt {program}` takes over that history, so that nothing runs again\n"
    for words in ("", "check", "status", "validate", "plan", "rehearse"):
        done = migrate(folder, *words.split(), code=3)
        assert (done.stdout + done.stderr).count(advice) == 1, words
    assert names(app(folder)) == before
    migrate(folder, "adopt", program)
    for words in ("", "check", "status", "validate", "plan", "rehearse"):
        migrate(folder, *words.split())


def test_a_history_of_other_files_is_not_meant(project: tuple[Path, str]) -> None:
    folder, _ = project
    (file,) = (folder / "migrations").glob("0*.py")
    file.rename(file.with_name("001_other.py"))
    file.with_name("001_other.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE TABLE o (x INT)')\n")
    assert migrate(folder).stdout.startswith("applied 001_other")
