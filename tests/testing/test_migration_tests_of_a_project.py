"""How a project names its migrations to the ready-made tests, gives rows of its own, and what the tests leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migration_projects import EMAIL, MODELS, ONE, Project, outcomes
from tests.support.migrations import sql
from tests.support.programs import run_python

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.migration_projects import Outcome

SERVER = "usage_store.testing.migration_tests.processes.forked_jobs"
WITH_ROWS = "test_up_and_down_with_rows"
# It cannot be guessed which text passes this CHECK.
CODES = (
    "CREATE TABLE hard (id INTEGER PRIMARY KEY, a TEXT NOT NULL, "
    "CHECK (substr(hex(zeroblob(3)), 1, 3) || upper(a) = '000K' || substr(a, 2) || 'Q7'))"
)
HARD_DOWN = ["DROP TABLE hard"]
STRICT_ROWS = "CREATE TABLE item (id INTEGER PRIMARY KEY, note TEXT)"
CONNECTS = MODELS.format(more="") + "db.connect()\n"
PEEWEE_MIGRATE = """
import peewee as pw

def migrate(migrator, database, *, fake=False):
    @migrator.create_model
    class Author(pw.Model):
        name = pw.CharField()

        class Meta:
            table_name = "author"

def rollback(migrator, database, *, fake=False):
    migrator.remove_model("author")
"""
PEEWEE_MIGRATE_2 = """
import peewee as pw

def migrate(migrator, database, *, fake=False):
    migrator.add_fields("author", email=pw.CharField(null=True))

def rollback(migrator, database, *, fake=False):
    migrator.remove_fields("author", "email")
"""
# Other processes run only where a test of this file looks at them. Which tests "twelve" has is seen without a run.
FEWER = """
def pytest_collection_modifyitems(items):
    alone = "own_rows", "hard", "connects", "two_reasons"
    items[:] = [
        item for item in items
        if not (item.path.stem[5:].startswith(alone) and item.name.startswith(("test_killed", "test_two", "test_from")))
    ]
    for item in items:
        if item.path.name == "test_twelve.py":
            item.add_marker("skip")
"""

PROJECTS = {
    "own_rows": Project(
        {"001_m": sql(STRICT_ROWS, down=["DROP TABLE item"]), "002_m": sql("UPDATE item SET note = trim(note)")},
        beside="""
        def migration_rows(version, database):
            if version >= 1:
                database.execute_sql("INSERT INTO item (note) VALUES (' spaces ')")
        """,
    ),
    "own_rows_of_a_method": Project(
        {"001_m": sql(STRICT_ROWS, down=["DROP TABLE item"]), "002_m": sql("UPDATE item SET note = trim(note)")},
        attributes="def migration_rows(self, version, database):\n"
        "    version and database.execute_sql(\"INSERT INTO item (note) VALUES (' spaces ')\")",
    ),
    "own_rows_that_fail": Project(
        {"001_m": ONE},
        beside="""
        def migration_rows(version, database):
            database.execute_sql("INSERT INTO nowhere VALUES (1)")
        """,
    ),
    "hard": Project(
        {"001_m": sql(CODES, down=HARD_DOWN), "002_m": ONE, "003_m": EMAIL},
    ),
    "hard_with_values": Project(
        {
            "001_m": sql(STRICT_ROWS.replace("note TEXT", "note TEXT CHECK (note = 'x9')"), down=["DROP TABLE item"]),
            "002_m": sql("UPDATE item SET note = NULL"),
        },
        attributes='fill_values = {"item.note": ["x9"], "nowhere.at_all": [1]}',
    ),
    "connects": Project({"001_m": ONE}, models=CONNECTS),
    "peewee_migrate": Project({"001_author": PEEWEE_MIGRATE, "002_email": PEEWEE_MIGRATE_2}),
    "no_folder": Project({}, attributes='directory = "nowhere"'),
    "two_reasons": Project({"001_m": 'irreversible = "no"\n' + ONE}),
    "twelve": Project({f"{n:03}_m": sql(f"CREATE TABLE t{n} (a)", down=[f"DROP TABLE t{n}"]) for n in range(1, 13)}),
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    folder = tmp_path_factory.mktemp("projects")
    shop = folder / "shop"
    (shop / "tests").mkdir(parents=True)
    (shop / "shop").mkdir()
    Project({"001_m": ONE, "002_email": EMAIL}).write(shop, "shop")
    (shop / "test_shop.py").unlink()
    (shop / "shop" / "models.py").write_text(MODELS.format(more="email = TextField(null=True)"))
    (shop / "pyproject.toml").write_text(
        '[tool.usage_store]\ndatabase = "production.db"\ndirectory = "shop_migrations"\ntable = "shop_history"\n'
        'models = "shop.models"\n'
    )
    (shop / "tests" / "test_migrations.py").write_text(
        "from usage_store.testing.migration_tests import TestMigrations  # noqa: F401\n"
    )
    (folder / "test_nothing_named.py").write_text(
        "from usage_store.testing.migration_tests import TestMigrations  # noqa: F401\n"
    )
    return folder, outcomes(folder, PROJECTS, conftest=FEWER)


def of(name: str, found: Mapping[str, Outcome], outcome: str) -> dict[str, str]:
    return {
        test.partition("::")[2]: each.said
        for test, each in found.items()
        if test.startswith(f"{name}::") and each.outcome == outcome
    }


def test_one_line_runs_the_tests_of_the_project_that_pyproject_names(ran: tuple[Path, dict[str, Outcome]]) -> None:
    found = {name: each for name, each in ran[1].items() if name.startswith("shop/")}
    assert {name.rpartition("::")[2] for name, each in found.items() if each.outcome == "passed"} == {
        "test_numbers",
        f"{WITH_ROWS}[001_m]",
        f"{WITH_ROWS}[002_email]",
        "test_from_nothing_to_the_newest_and_back",
        "test_models_and_migrations_agree",
        "test_killed_before_each_statement[001_m]",
        "test_killed_before_each_statement[002_email]",
        "test_two_processes_at_once",
    }
    assert len(found) == 8


def test_without_a_folder_one_test_says_how_to_name_it_and_the_others_are_skipped(
    ran: tuple[Path, dict[str, Outcome]],
) -> None:
    for name, words in {
        "nothing_named": ("no folder of migrations is named", 'directory = "..." in pyproject.toml'),
        "no_folder": ("directory = 'nowhere'", "no such folder"),
    }.items():
        failed = of(name, ran[1], "failed")
        assert failed.keys() == {"test_numbers"}
        assert all(word in failed["test_numbers"] for word in words)
        assert len(of(name, ran[1], "skipped")) == 5


@pytest.mark.parametrize("name", ["own_rows", "own_rows_of_a_method"])
def test_rows_of_the_project_s_own_are_there_before_a_migration_runs(
    ran: tuple[Path, dict[str, Outcome]], name: str
) -> None:
    failed = of(name, ran[1], "failed")
    assert failed.keys() == {f"{WITH_ROWS}[002_m]"}
    assert "note was ' spaces ' and is 'spaces'" in failed[f"{WITH_ROWS}[002_m]"]


def test_a_function_of_own_rows_that_fails_is_named_with_the_version(ran: tuple[Path, dict[str, Outcome]]) -> None:
    failed = of("own_rows_that_fail", ran[1], "failed")
    assert failed.keys() == {f"{WITH_ROWS}[001_m]"}
    assert "migration_rows(0, database) fails" in failed[f"{WITH_ROWS}[001_m]"]
    assert "no such table: nowhere" in failed[f"{WITH_ROWS}[001_m]"]


def test_a_table_that_cannot_be_filled_is_named_once_and_the_others_are_filled(
    ran: tuple[Path, dict[str, Outcome]],
) -> None:
    failed = of("hard", ran[1], "failed")
    assert failed.keys() == {f"{WITH_ROWS}[002_m]"}
    said = failed[f"{WITH_ROWS}[002_m]"]
    assert "hard." in said
    assert "fill_values" in said
    assert "def migration_rows(version, database)" in said


def test_values_are_given_for_columns_that_a_version_has(ran: tuple[Path, dict[str, Outcome]]) -> None:
    failed = of("hard_with_values", ran[1], "failed")
    assert failed.keys() == {f"{WITH_ROWS}[002_m]"}
    assert "note was 'x9' and is NULL" in failed[f"{WITH_ROWS}[002_m]"]


def test_models_that_connect_when_they_are_imported_open_nothing_and_are_named(
    ran: tuple[Path, dict[str, Outcome]],
) -> None:
    failed = of("connects", ran[1], "failed")
    assert failed.keys() == {"test_models_and_migrations_agree"}
    said = failed["test_models_and_migrations_agree"]
    assert "connects_models: the import opens the database" in said
    assert "production.db" in said
    assert not list(ran[0].rglob("production.db"))


def test_files_of_peewee_migrate_are_tested_as_they_are(ran: tuple[Path, dict[str, Outcome]]) -> None:
    assert of("peewee_migrate", ran[1], "failed") == {}
    assert len(of("peewee_migrate", ran[1], "passed")) == 7


def test_a_migration_with_down_is_not_irreversible(ran: tuple[Path, dict[str, Outcome]]) -> None:
    assert "has a down\nDelete one of the two" in of("two_reasons", ran[1], "failed")[f"{WITH_ROWS}[001_m]"]


def test_the_newest_ten_migrations_are_killed(ran: tuple[Path, dict[str, Outcome]]) -> None:
    killed = [name for name in of("twelve", ran[1], "skipped") if "killed" in name]
    assert killed == [f"test_killed_before_each_statement[{n:03}_m]" for n in range(3, 13)]


def test_with_the_option_all_are_killed_and_without_fork_none(tmp_path: Path) -> None:
    projects = {"twelve": PROJECTS["twelve"]}
    found = outcomes(
        tmp_path, projects, "--usage-store-kill-all", "-k", "killed or two", conftest="import os\ndel os.fork\n"
    )
    skipped = of("twelve", found, "skipped")
    assert len(skipped) == 12 + 1
    assert all("needs os.fork" in said for said in skipped.values())


def test_the_other_process_closes_what_it_opened(tmp_path: Path) -> None:
    done = run_python("-X", "dev", "-W", "error", "-m", SERVER, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
