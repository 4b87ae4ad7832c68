"""Projects with migrations for the ready-made tests: sound ones, and ones with one planted fault each."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.support.migrations import python, sql
from tests.support.programs import run_python

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEAM = "CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"
PERSON = (
    "CREATE TABLE person (id INTEGER PRIMARY KEY, team_id INTEGER NOT NULL REFERENCES team(id) ON DELETE CASCADE, "
    "name TEXT NOT NULL, age INTEGER)"
)
ONE = sql(TEAM, PERSON, down=["DROP TABLE person", "DROP TABLE team"])
EMAIL = sql("ALTER TABLE person ADD COLUMN email TEXT", down=["ALTER TABLE person DROP COLUMN email"])
MODELS = """
from peewee import *
db = SqliteDatabase("production.db")
class Team(Model):
    name = TextField()
    class Meta:
        database = db
        table_name = "team"
class Person(Model):
    team = ForeignKeyField(Team, on_delete="CASCADE", index=False)
    name = TextField()
    age = IntegerField(null=True)
    {more}
    class Meta:
        database = db
        table_name = "person"
"""
WITH_ROWS, BACK = "test_up_and_down_with_rows", "test_from_nothing_to_the_newest_and_back"
KILLED = "test_killed_before_each_statement"
NUMBERS, AGREE, TWO = "test_numbers", "test_models_and_migrations_agree", "test_two_processes_at_once"


@dataclass(frozen=True)
class Project:
    """A project: its files, its models, the tests that must fail, and words of each of their messages."""

    files: Mapping[str, str]
    fails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: str | None = None
    attributes: str = ""
    beside: str = ""  # code of the test module

    def write(self, folder: Path, name: str) -> None:
        """Write the project and its test module into a folder."""
        directory = folder / f"{name}_migrations"
        directory.mkdir()
        for file, source in self.files.items():
            (directory / (file if "." in file else f"{file}.py")).write_text(source, encoding="utf-8")
        lines = [f'directory = "{name}_migrations"', *self.attributes.splitlines()]
        if self.models is not None:
            (folder / f"{name}_models.py").write_text(self.models, encoding="utf-8")
            lines.append(f'models = "{name}_models"')
        body = textwrap.indent("\n".join(lines), "    ")
        head = "from usage_store.testing.migration_tests import MigrationTests\n"
        source = f"{head}{textwrap.dedent(self.beside)}\nclass TestIt(MigrationTests):\n{body}\n"
        (folder / f"test_{name}.py").write_text(source, encoding="utf-8")


# Writes each test's outcome and what was printed of it.
CONFTEST = """
import json

found = {}

def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        name = report.nodeid.replace("::TestIt::", "::").replace("::TestMigrations::", "::")
        found[name] = report.outcome, str(report.longrepr or "")

def pytest_sessionfinish():
    with open("found.json", "w") as file:
        json.dump(found, file)
"""


class Outcome(NamedTuple):
    """The outcome of one of the ready-made tests, and what was said."""

    outcome: str
    said: str


def outcomes(folder: Path, projects: Mapping[str, Project], *options: str, conftest: str = "") -> dict[str, Outcome]:
    """Run the tests of projects in one run of pytest, and give the outcomes by `project::test`."""
    (folder / "conftest.py").write_text(CONFTEST + conftest, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for name, project in projects.items():
        project.write(folder, name)
    plugins = ["-p", "no:hypothesispytest", "-p", "usage_store.pytest_plugin", "-p", "no:cacheprovider"]
    words = ["-m", "pytest", "-q", "-W", "error", "--basetemp=tmp", *plugins, *options]
    done = run_python(*words, cwd=folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (folder / "found.json").exists(), done.stdout + done.stderr
    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return {name.removeprefix("test_").replace(".py::", "::"): Outcome(*outcome) for name, outcome in found.items()}


def two(up: str | None, down: str | None = "pass", head: str = "", **options: object) -> Mapping[str, str]:
    """Give the files of a project whose second migration has these bodies."""
    return {"001_m": ONE, "002_m": head + python(up or "pass", down, **options)}  # type: ignore[arg-type]


def run(*statements: str) -> str:
    """Give the body of a function that executes statements."""
    return "\n".join(f"db.execute_sql({statement!r})" for statement in statements)


SECOND = f"{WITH_ROWS}[002_m]"
REBUILT = (
    "CREATE TABLE new (id INTEGER PRIMARY KEY, team_id INTEGER NOT NULL REFERENCES team(id) ON DELETE CASCADE, "
    "name TEXT NOT NULL, age INTEGER, nick TEXT)"
)
COPY = "INSERT INTO new (id, team_id, name, age) SELECT id, team_id, name, age FROM person"
RENAME = ("DROP TABLE person", "ALTER TABLE new RENAME TO person")

# The twelve faults that were planted first.
PLANTED = {
    "sound": Project({"001_m": ONE, "002_m": EMAIL}, models=MODELS.format(more="email = TextField(null=True)")),
    "duplicate_number": Project(
        {"001_m": ONE, "002_m": EMAIL, "002_other": EMAIL}, {NUMBERS: ("both have version 2",)}
    ),
    "missing_number": Project({"001_m": ONE, "003_m": EMAIL}, {NUMBERS: ("number 2", "gaps = True")}),
    "down_forgets_an_index": Project(
        two(run("CREATE INDEX person_name ON person(name)")),
        {SECOND: ("002_m.py: down does not bring back", "index person_name on person is left behind")},
    ),
    "down_loses_data": Project(
        two(
            run("ALTER TABLE person RENAME COLUMN age TO years"),
            run("ALTER TABLE person DROP COLUMN years", "ALTER TABLE person ADD COLUMN age INTEGER"),
        ),
        {SECOND: ("down does not bring back", "person: in the row id ", "age was", "is NULL", "lossy =")},
    ),
    "up_fails_on_rows": Project(
        two(run("ALTER TABLE person ADD COLUMN nick TEXT NOT NULL"), run("ALTER TABLE person DROP COLUMN nick")),
        {SECOND: ("up fails on tables that have rows", "NOT NULL", "Give the column a DEFAULT")},
    ),
    "up_fails_on_duplicates": Project(
        two(run("CREATE UNIQUE INDEX u ON person(name)"), run("DROP INDEX u")),
        {SECOND: ("up fails on tables that have rows", "UNIQUE", "person.name", "same value twice")},
    ),
    "up_deletes_rows": Project(
        two(run("DELETE FROM person WHERE age IS NULL")),
        {SECOND: ("up fails on tables that have rows", "person lost", "deletes = ", "Keep it")},
    ),
    "no_down": Project(
        {"001_m": ONE, "002_m": sql("ALTER TABLE person ADD COLUMN email TEXT", down=None)},
        {SECOND: ("has no down", "irreversible =")},
    ),
    "down_raises": Project(
        two(run("ALTER TABLE person ADD COLUMN email TEXT"), run("ALTER TABLE person DROP COLUMN emial")),
        {SECOND: ("down fails", "emial")},
    ),
    "imports_the_models": Project(
        two("import imports_the_models_models as models\nmodels.Person.create_table()"),
        {SECOND: ("imports the models (imports_the_models_models)", "production.db", "Write the SQL")},
        models=MODELS.format(more=""),
    ),
    "model_without_migration": Project(
        two("pass"),
        {AGREE: ("after 002_m.py", 'ADD COLUMN "email"', "create NAME --from model_without_migration_models")},
        models=MODELS.format(more="email = TextField(null=True)"),
    ),
}

COUNTED = "CREATE TABLE ticket (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT)"
OURS = {
    "down_deletes_rows": Project(
        two("pass", run("DELETE FROM person WHERE age IS NULL")),
        {SECOND: ("down does not bring back", "person: ", "rows, should be", "is gone")},
    ),
    "up_changes_values": Project(
        two(run("UPDATE person SET age = 0")),
        {SECOND: ("down does not bring back", "age was", "is 0", "lossy =")},
    ),
    "check_that_rows_break": Project(
        two(
            "from peewee import SQL, IntegerField\nfrom playhouse.migrate import migrate\n"
            + run(REBUILT.replace("age INTEGER", "age INTEGER CHECK (age = 123456)"), COPY, *RENAME),
            run(REBUILT.replace(", nick TEXT", ""), COPY, *RENAME),
        ),
        {SECOND: ("up fails on tables that have rows", "CHECK constraint failed", "UPDATE before the rule")},
    ),
    "trigger_lost_by_a_rebuild": Project(
        {
            "001_m": sql(
                TEAM,
                PERSON,
                "CREATE TRIGGER t AFTER DELETE ON person BEGIN SELECT 1; END",
                down=["DROP TABLE person", "DROP TABLE team"],
            ),
            "002_m": sql(REBUILT, COPY, *RENAME, down=["ALTER TABLE person DROP COLUMN nick"]),
        },
        {SECOND: ("up fails on tables that have rows", "trigger t", "drops")},
    ),
    "orphans_after_a_rebuild": Project(
        two(
            run(
                "CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
                "INSERT INTO new SELECT id + 5000, name FROM team",
                "DROP TABLE team",
                "ALTER TABLE new RENAME TO team",
            ),
            run("UPDATE team SET id = id - 5000"),
        ),
        {SECOND: ("up fails on tables that have rows", "Rows refer to rows that are not there")},
    ),
    "index_lost_by_down": Project(
        {
            "001_m": sql(TEAM, PERSON, "CREATE INDEX i ON person(name)", down=["DROP TABLE person", "DROP TABLE team"]),
            "002_m": sql(
                "ALTER TABLE person ADD COLUMN nick TEXT",
                down=[REBUILT.replace(", nick TEXT", ""), COPY, "DROP INDEX i", *RENAME],
            ),
        },
        {SECOND: ("down does not bring back", "index i on person is missing")},
    ),
    "twice_after_a_kill": Project(
        {
            "001_m": ONE,
            "002_m": sql(
                "UPDATE person SET age = age * 2 WHERE age IS NOT NULL",
                down=["UPDATE person SET age = age / 2"],
                atomic=False,
            ),
        },
        {f"{KILLED}[002_m]": ("after a kill before statement", "person: its", "atomic = False")},
    ),
    "fails_after_a_kill": Project(
        {
            "001_m": ONE,
            "002_m": sql(
                "CREATE TABLE a (x)", "CREATE TABLE b (x)", down=["DROP TABLE a", "DROP TABLE b"], atomic=False
            ),
        },
        {f"{KILLED}[002_m]": ("CREATE TABLE b", "the next run fails", "table a already exists", "IF NOT EXISTS")},
    ),
    "down_in_the_wrong_order": Project(
        {
            "001_m": sql(
                TEAM,
                "CREATE VIEW teams AS SELECT name FROM team",
                down=["ALTER TABLE team RENAME COLUMN name TO n", "DROP TABLE team", "SELECT * FROM teams"],
            )
        },
        {f"{WITH_ROWS}[001_m]": ("down fails", "team")},
    ),
    "counter_lost": Project(
        {
            "001_m": sql(COUNTED, down=["DROP TABLE ticket"]),
            "002_m": sql(
                COUNTED.replace("ticket", "new").replace("title TEXT", "title TEXT, note TEXT"),
                "INSERT INTO new (id, title) SELECT id, title FROM ticket",
                "DROP TABLE ticket",
                "ALTER TABLE new RENAME TO ticket",
                down=["ALTER TABLE ticket DROP COLUMN note"],
            ),
        },
        {SECOND: ("ticket: its AUTOINCREMENT counter is",)},
    ),
    "needs_rows": Project(
        two("assert db.execute_sql('SELECT count(*) FROM team').fetchone()[0] > 0"),
        {BACK: ("up fails on tables without rows", "nobody can make a new database")},
    ),
    "down_needs_rows": Project(
        two("pass", "db.execute_sql('SELECT id FROM team').fetchone()[0]"),
        {BACK: ("002_m.py: down fails on the way back",)},
    ),
    "remembers_in_memory": Project(
        {
            "_state": "made = []\n",
            "001_m": "from . import _state\n"
            + ONE.replace("def up(migrator, db):", "def up(migrator, db):\n    _state.made.append(1)"),
            "002_m": "from . import _state\n" + python("assert not _state.made", "pass"),
        },
        {BACK: ("all migrations in one run", "left in memory"), TWO: ("one of them fails",)},
    ),
    "copies": Project({"001_m": ONE, "002_m.py.bak": EMAIL, "003_m.sql": ""}, {NUMBERS: ("002_m.py.bak", "003_m.sql")}),
    "wrong_name": Project({"001_m": ONE, "03-x.py": EMAIL}, {NUMBERS: ("03-x.py: not the name of a migration",)}),
    "does_not_load": Project(
        {"001_m": ONE, "002_m": "def up(:\n", "003_m": EMAIL}, {SECOND: ("002_m.py: cannot be used", "line 1")}
    ),
    "a_second_connection": Project(
        two(
            "from peewee import sqlite3\nother = sqlite3.connect(db.database, timeout=0)\n"
            "try:\n    other.execute('CREATE TABLE other (x)')\nfinally:\n    other.close()"
        ),
        {SECOND: ("up fails", "locked")},
    ),
    "down_needs_a_default": Project(
        two(
            run("ALTER TABLE person DROP COLUMN name"),
            run("ALTER TABLE person ADD COLUMN name TEXT NOT NULL"),
            'deletes = ("person.name",)\n',
        ),
        {SECOND: ("down fails on tables that have rows", "NOT NULL", "Give the column a DEFAULT")},
    ),
    "loses_more_than_it_declares": Project(
        two(
            run("UPDATE person SET name = 'x'", "ALTER TABLE person DROP COLUMN age"),
            run("ALTER TABLE person ADD COLUMN age INTEGER"),
            'deletes = ("person.age",)\n',
        ),
        {SECOND: ("columns that `deletes` does not name", "name was", "is 'x'")},
    ),
    "loses_more_beside_a_text_that_is_not_utf8": Project(
        two(
            run("UPDATE person SET name = 'x'", "ALTER TABLE person DROP COLUMN age"),
            run("ALTER TABLE person ADD COLUMN age INTEGER"),
            'deletes = ("person.age",)\n',
        ),
        {SECOND: ("columns that `deletes` does not name", "name was", "is 'x'")},
        beside="""
        def migration_rows(version, database):
            if version >= 1:
                database.execute_sql("INSERT INTO team (name) VALUES ('t')")
                database.execute_sql("INSERT INTO person (team_id, name) VALUES (1, CAST(x'ff41' AS TEXT))")
        """,
    ),
    "ends_the_process": Project(
        two("import os\nos._exit(0)"),
        {SECOND: ("up fails", "SystemExit: 0"), f"{KILLED}[002_m]": ("ended by itself", "no os._exit()")},
    ),
    "outside_the_database": Project(
        two("assert migrator.dry_run is False, 'this would send a mail'"),
        {SECOND: ("this would send a mail",)},
    ),
    "wrong_reason": Project(
        {"001_m": ONE, "002_m": "lossy = True\n" + EMAIL}, {SECOND: ("lossy is True", 'lossy = "..."')}
    ),
}

SOUND = {
    "plain": Project(
        {"001_m": ONE, "002_m": EMAIL, "003_m": sql("CREATE INDEX i ON person(name)", down=["DROP INDEX i"])},
    ),
    "declared_losses": Project(
        {
            "001_m": ONE,
            "002_m": 'deletes = ("person.age",)\n'
            + sql("ALTER TABLE person DROP COLUMN age", down=["ALTER TABLE person ADD COLUMN age INTEGER"]),
            "003_m": 'lossy = "names are kept in lower case from now on"\n'
            + sql("UPDATE person SET name = lower(name) || 'x'"),
            "004_m": 'irreversible = "nobody knows the old names"\n' + sql("UPDATE team SET name = 'x'", down=None),
            "005_m": EMAIL,
        },
    ),
    "data_migration": Project(
        {
            "001_m": ONE,
            "002_m": sql(
                "CREATE TABLE role (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
                "made INTEGER NOT NULL DEFAULT (unixepoch()), token BLOB DEFAULT (randomblob(8)))",
                "INSERT INTO role (name) VALUES ('admin'), ('guest')",
                down=["DROP TABLE role"],
            ),
            "003_m": sql(
                "INSERT INTO role (name) VALUES ('auditor')",
                "ALTER TABLE person ADD COLUMN role_id INTEGER REFERENCES role(id)",
                "UPDATE person SET role_id = (SELECT id FROM role WHERE name = 'auditor')",
                down=["ALTER TABLE person DROP COLUMN role_id", "DELETE FROM role WHERE name = 'auditor'"],
            ),
            "004_m": sql("UPDATE person SET age = age * 2", down=["UPDATE person SET age = age / 2"]),
        },
    ),
    "usage_tables": Project(
        {},
        attributes="directory = usage_tables().directory",
        beside="from usage_store.migrate.files.migrations_folder import usage_tables",
    ),
    "gaps": Project({"001_m": ONE, "003_m": EMAIL}, attributes="gaps = True"),
    "dates": Project({"20260101_m": ONE, "20260315_m": EMAIL}),
}
