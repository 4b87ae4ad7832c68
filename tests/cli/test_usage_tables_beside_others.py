"""Without `--usage-tables`, no command makes the usage tables in the database of another program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called
from tests.support.databases import files_of, names, script
from tests.support.migrations import table, write
from usage_store import init_database
from usage_store.cli.project.other_programs_tables import USAGE_TABLES, tables_of_others
from usage_store.database import close_database
from usage_store.models import MODELS
from usage_store.testing.fill_tables import _COMPUTED

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

SHOP = "CREATE TABLE customer (id INTEGER PRIMARY KEY); CREATE TABLE orders (id INTEGER PRIMARY KEY)"
COMMANDS = ["", "stamp 1", "adopt playhouse", "rehearse", "plan"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return the path of a database with the tables of a shop."""
    script(tmp_path / "shop.db", SHOP)
    return tmp_path / "shop.db"


@pytest.mark.parametrize("words", COMMANDS)
def test_a_database_of_another_program_is_refused_with_the_ways_on(shop: Path, words: str) -> None:
    before = files_of(shop.parent)
    done = called(*words.split(), "--database", "shop.db", cwd=shop.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {shop}: this database has tables of another program (customer, orders) and no usage tables; nothing "
        'was changed; for your own migrations, name their folder with --directory DIR, or by directory = "DIR" in '
        "[tool.usage_store] of pyproject.toml; to have the usage tables in this database too, add --usage-tables; or "
        "name another database with --database\n"
    )
    assert files_of(shop.parent) == before, "not even the journal mode"


def test_each_way_on_works(shop: Path) -> None:
    write(shop.parent / "own", {"001_one": table("one")})
    words = ("--database", "shop.db")
    assert called(*words, "--directory", "own", cwd=shop.parent).returncode == 0
    assert called(*words, cwd=shop.parent).returncode == 2, "a history of other migrations changes nothing"
    for command in ("plan", "rehearse", ""):
        assert called(*command.split(), *words, "--usage-tables", cwd=shop.parent).returncode == 0
    assert {"customer", "one", "usage_config"} <= names(shop)
    for command in (*COMMANDS[:2], "rehearse", "plan"):
        assert called(*command.split(), *words, cwd=shop.parent).returncode == 0, "the usage tables are there now"
    assert called(cwd=shop.parent, USAGE_STORE_DATABASE="other.db").returncode == 0


@pytest.mark.parametrize(
    ("statements", "refused"),
    [
        ("", False),
        ("CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT)", False),
        ("CREATE TABLE Events (id INTEGER PRIMARY KEY, SESSION_ID TEXT); CREATE TABLE themes (id)", False),
        ("CREATE TABLE events (id INTEGER PRIMARY KEY)", True),
        ("CREATE TABLE a (session_id); CREATE VIEW events AS SELECT session_id FROM a", True),
        ("CREATE TABLE own_migrations (version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)", False),
        ("CREATE TABLE schema_migration (id INTEGER PRIMARY KEY, name TEXT, applied TEXT)", True),
        ("CREATE VIRTUAL TABLE doc USING fts5(x)", True),
        ("CREATE VIEW prices AS SELECT 1 AS price", True),
    ],
)
def test_an_empty_database_and_one_with_events_of_sessions_are_migrated_as_before(
    tmp_path: Path, statements: str, *, refused: bool
) -> None:
    script(tmp_path / "a.db", statements)
    done = called("--database", "a.db", cwd=tmp_path)
    assert done.returncode == (2 if refused else 0), done.stderr
    assert ("usage_config" in names(tmp_path / "a.db")) is not refused


def test_the_tables_of_the_original_monitor_are_usage_tables(tmp_path: Path) -> None:
    script(
        tmp_path / "a.db", "CREATE TABLE usage_config (id); CREATE TABLE usage_snapshots (id); CREATE TABLE theme (id)"
    )
    assert "another program" not in called("plan", "--database", "a.db", cwd=tmp_path).stderr


def test_many_tables_are_not_all_named(tmp_path: Path) -> None:
    script(tmp_path / "a.db", "; ".join(f"CREATE TABLE t{number} (x)" for number in range(10, 35)))
    said = called("--database", "a.db", cwd=tmp_path).stderr
    assert ", t28, t29 and 5 more) and no usage tables" in said


def test_reading_a_database_of_another_program_is_not_refused(shop: Path) -> None:
    for words, code in (("status", 0), ("check", 1), ("validate", 0), ("backup", 0)):
        assert called(words, "--database", "shop.db", cwd=shop.parent).returncode == code


def test_init_database_makes_the_usage_tables_in_a_database_with_other_tables_as_before(shop: Path) -> None:
    init_database(shop)
    close_database()
    assert {"customer", "usage_config"} <= names(shop)


def test_the_names_of_the_usage_tables_are_those_of_a_new_database(usage_database: peewee.Database) -> None:
    assert tables_of_others(usage_database) == []
    found = set(usage_database.get_tables())
    ours = {table for table in found if table.startswith("usage_")}
    assert ours == USAGE_TABLES & found
    assert {model._meta.table_name for model in MODELS} == USAGE_TABLES - set(_COMPUTED)
