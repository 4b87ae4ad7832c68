"""The ready-made migration tests of projects whose migrations are written for PostgreSQL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.applications import write
from tests.support.databases import raw
from tests.support.postgresql_servers import own_server
from tests.support.programs import run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = """
    [tool.usage_store]
    database = "shop:db"
    directory = "migrations"
    models = "shop"
"""
SHOP = """
    import peewee

    db = peewee.PostgresqlDatabase("shop", host="production.invalid", prefer_psycopg3=True)

    class Item(peewee.Model):
        id = peewee.BigAutoField()
        name = peewee.TextField()
        price = peewee.IntegerField(null=True, constraints=[peewee.Check("price > 5")])

        class Meta:
            database = db
            table_name = "items"
"""
TESTS = "from usage_store.testing.migration_tests import TestMigrations\n"
GOOD = {
    "001_add_items.py": [
        "CREATE TABLE items (id bigserial PRIMARY KEY, name text NOT NULL)",
        "DROP TABLE items",
    ],
    "002_add_price.py": [
        "ALTER TABLE items ADD COLUMN price integer CHECK (price > 5)",
        "ALTER TABLE items DROP COLUMN price",
    ],
}
BAD = {
    **GOOD,
    "003_not_null.py": [
        "ALTER TABLE items ALTER COLUMN price SET NOT NULL",
        "ALTER TABLE items ALTER COLUMN price DROP NOT NULL",
    ],
    "004_forgets.py": ["CREATE TABLE more (id int)", "SELECT 1"],
}


@pytest.fixture(scope="module")
def server_alone() -> Iterator[str]:
    """Give the URL of a server that only these tests use, so that what they leave there is seen."""
    with own_server() as kept:
        yield kept.url


def outcomes(
    folder: Path, server: str, migrations: dict[str, list[str]], *words: str, database: str = "shop:db"
) -> tuple[dict[str, str], str]:
    write(folder / "pyproject.toml", SETTINGS.replace("shop:db", database))
    write(folder / "shop.py", SHOP)
    write(folder / "test_it.py", TESTS)
    for name, statements in migrations.items():
        text = "".join(
            f"def {way}(migrator, db):\n    db.execute_sql({statement!r})\n"
            for way, statement in zip(("up", "down"), statements, strict=True)
        )
        write(folder / "migrations" / name, text)
    own = ("-p", "no:cacheprovider", "-p", "usage_store.pytest_plugin", "-W", "error", "-v", *words)
    extra = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TMPDIR": str(folder), "USAGE_STORE_TEST_POSTGRES": server}
    done = run_python("-m", "pytest", *own, cwd=folder, **extra)
    found = re.findall(r"::(test_[^\s]+) (PASSED|FAILED|SKIPPED|ERROR)", done.stdout)
    return dict(found), done.stdout + done.stderr


def nothing_is_left(server: str) -> bool:
    with raw(server) as connection:
        found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'usage%'").fetchall()
    return not found


def test_good_migrations_pass_all_tests(server_alone: str, tmp_path: Path) -> None:
    found, printed = outcomes(tmp_path, server_alone, GOOD, "-k", "not killed")
    assert len(found) == 6, printed
    assert set(found.values()) == {"PASSED"}, printed
    assert nothing_is_left(server_alone)


@pytest.mark.long
def test_good_migrations_are_finished_after_a_kill(server_alone: str, tmp_path: Path) -> None:
    found, printed = outcomes(tmp_path, server_alone, GOOD, "-k", "killed")
    assert list(found.values()) == ["PASSED", "PASSED"], printed
    assert nothing_is_left(server_alone)


@pytest.mark.long
def test_faults_of_migrations_are_found_and_named(server_alone: str, tmp_path: Path) -> None:
    found, printed = outcomes(tmp_path, server_alone, BAD, "-k", "up_and_down and not 001")
    assert found["test_up_and_down_with_rows[003_not_null]"] == "FAILED", printed
    assert "003_not_null.py: up fails on tables that have rows" in printed
    assert found["test_up_and_down_with_rows[002_add_price]"] == "PASSED", printed
    assert nothing_is_left(server_alone)


def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password(tmp_path: Path) -> None:
    server = f"postgresql://tester:geheim@/tests?host={tmp_path}"
    found, printed = outcomes(tmp_path, server, GOOD, "-k", "not 002")
    assert found.pop("test_numbers") == "PASSED"
    assert set(found.values()) == {"FAILED"}, printed
    assert "geheim" not in printed
    assert len(re.findall("^postgresql://.*: the server cannot be reached", printed, re.MULTILINE)) == len(found)
    assert "Traceback" not in printed
    assert "schemas_for_tests.py" not in printed


@pytest.mark.parametrize("database", ["shop:db", "postgresql://me:geheim@production.invalid/shop"])
def test_without_a_server_one_line_says_what_is_needed(tmp_path: Path, database: str) -> None:
    found, printed = outcomes(tmp_path, "", GOOD, database=database)
    assert found.pop("test_numbers") == "FAILED", printed
    assert set(found.values()) == {"SKIPPED"}, printed
    assert "set $USAGE_STORE_TEST_POSTGRES to the URL of" in printed
    assert "geheim" not in printed
