"""`--verbose` shows each statement once, and cuts long values: blobs, texts, sources of migrations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import OWN, called, command
from tests.support.migrations import python, table, write

if TYPE_CHECKING:
    from pathlib import Path

FILLS = """
db.execute_sql("CREATE TABLE filled (a, b, c)")
db.execute_sql("INSERT INTO filled VALUES (?, ?, ?)", (bytes(3210), "x" * 1_000_000, 7))
db.execute_sql("INSERT INTO filled VALUES (length('" + "y" * 500_000 + "'), 2, 3)")
db.execute_sql("SELECT " + ", ".join("?" * 900), list(range(900)))
"""
LOGS_ITSELF = "import logging\nlogging.basicConfig(level=logging.DEBUG, format='%(levelname)s %(message)s')\n" + FILLS


@pytest.mark.quick
@pytest.mark.parametrize("body", [FILLS, LOGS_ITSELF])
def test_verbose_shows_the_length_of_long_values(tmp_path: Path, body: str) -> None:
    write(tmp_path / "own", {"001_fills": python(body) + "# " + "source " * 100_000})
    done = command("--verbose", *OWN, cwd=tmp_path)
    assert done.returncode == 0
    assert len(done.stderr) < 60_000
    line = next(line for line in done.stderr.splitlines() if "INSERT INTO filled VALUES (?, ?, ?)" in line)
    assert re.search(r"\(\?, \?, \?\)  \[<blob of 3,210 bytes>, 'x{100}\.\.\. \(1,000,000 characters\)', 7\]$", line)
    assert re.search(r"INSERT INTO filled VALUES \(length\('y+\.\.\. \(500,\d\d\d characters\)", done.stderr)
    assert re.search(r"SELECT \?, .*  \[0, 1, .*, 49, and 850 more\]", done.stderr)
    logged = next(line for line in done.stderr.splitlines() if 'INSERT INTO "schema_migration_log"' in line)
    assert len(logged) < 1000


def test_verbose_shows_a_statement_with_its_line_breaks(tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_one": python("db.execute_sql(\"CREATE TABLE a (b TEXT\\n DEFAULT 'c  d')\")")})
    shown = command("--verbose", *OWN, cwd=tmp_path).stderr
    assert re.search(r"^CREATE TABLE a \(b TEXT\n DEFAULT 'c  d'\)$", shown, re.MULTILINE)


def test_models_that_create_tables_are_also_refused_with_verbose(tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_one": table("one")})
    (tmp_path / "models.py").write_text(
        "from peewee import *\ndatabase = SqliteDatabase('other.db')\n"
        "class One(Model):\n    title = TextField(null=True)\n    class Meta:\n        database = database\n"
        "database.create_tables([One])\n"
    )
    called(*OWN, cwd=tmp_path)
    done = command("--verbose", "create", "x", "--from", "models", *OWN, cwd=tmp_path)
    assert "error: models: the import opens the database" in done.stderr
    assert not (tmp_path / "other.db").exists()
