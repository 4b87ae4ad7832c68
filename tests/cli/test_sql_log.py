"""`--verbose` shows each statement once, and cuts long values: blobs, texts, sources of migrations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import app, called, command, own
from tests.support.databases import is_there, written
from tests.support.migrations import python, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target

FILLS = """
db.execute_sql("CREATE TABLE filled (a {bytes}, b TEXT, c INT)")
db.execute_sql("INSERT INTO filled VALUES ({p}, {p}, {p})", (bytes(3210), "x" * 1_000_000, 7))
db.execute_sql("INSERT INTO filled VALUES (NULL, NULL, length('" + "y" * 500_000 + "'))")
db.execute_sql("SELECT " + ", ".join(["{p}"] * 900), list(range(900)))
"""
LOGS_ITSELF = "import logging\nlogging.basicConfig(level=logging.DEBUG, format='%(levelname)s %(message)s')\n" + FILLS


@pytest.mark.quick
@pytest.mark.parametrize("body", [FILLS, LOGS_ITSELF])
def test_verbose_shows_the_length_of_long_values(anywhere: Path, body: str) -> None:
    param, type_ = ("%s", "bytea") if isinstance(app(anywhere), str) else ("?", "BLOB")
    body = body.replace("{p}", param).replace("{bytes}", type_)
    write(anywhere / "own", {"003_fills": python(body) + "# " + "source " * 100_000})
    done = command("--verbose", *own(anywhere), cwd=anywhere)
    assert done.returncode == 0
    assert len(done.stderr) < 60_000
    one = re.escape(param)
    line = next(line for line in done.stderr.splitlines() if f"filled VALUES ({param}, {param}, {param})" in line)
    assert re.search(
        rf"\({one}, {one}, {one}\)  \[<blob of 3,210 bytes>, 'x{{100}}\.\.\. \(1,000,000 characters\)', 7\]$", line
    )
    assert re.search(
        r"INSERT INTO filled VALUES \(NULL, NULL, length\('y+\.\.\. \(500,\d\d\d characters\)", done.stderr
    )
    assert re.search(rf"SELECT {one}, .*  \[0, 1, .*, 49, and 850 more\]", done.stderr)
    logged = next(line for line in done.stderr.splitlines() if 'INSERT INTO "schema_migration_log"' in line)
    assert len(logged) < 1000


def test_verbose_shows_a_statement_with_its_line_breaks(anywhere: Path) -> None:
    write(anywhere / "own", {"003_three": python("db.execute_sql(\"CREATE TABLE a (b TEXT\\n DEFAULT 'c  d')\")")})
    shown = command("--verbose", *own(anywhere), cwd=anywhere).stderr
    assert re.search(r"^CREATE TABLE a \(b TEXT\n DEFAULT 'c  d'\)$", shown, re.MULTILINE)


def test_models_that_create_tables_are_also_refused_with_verbose(anywhere: Path, second_target: Target) -> None:
    (anywhere / "models.py").write_text(
        f"from peewee import *\ndatabase = {written(second_target)}\n"
        "class One(Model):\n    title = TextField(null=True)\n    class Meta:\n        database = database\n"
        "database.create_tables([One])\n"
    )
    called(*own(anywhere), cwd=anywhere)
    done = command("--verbose", "create", "x", "--from", "models", *own(anywhere), cwd=anywhere)
    assert "error: models: the import opens the database" in done.stderr
    assert not is_there(second_target)
