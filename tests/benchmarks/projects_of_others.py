"""The projects that `in_other_apps` measures: their tests, their migrations, and the same migrations for Alembic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TIMER = """\
import json, time
import pytest

seconds = {}

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    started = time.perf_counter()
    result = yield
    seconds.setdefault(item.originalname, []).append(time.perf_counter() - started)
    return result

def pytest_sessionfinish():
    with open("seconds.json", "w") as stream:
        json.dump(seconds, stream)
"""
KINDS = """\
import shutil
import peewee
import pytest

def pytest_generate_tests(metafunc):
    metafunc.parametrize("number", range({rounds}))

def test_tmp_path(number, tmp_path):
    pass

def test_raw_copy(number, tmp_path):
    shutil.copyfile("template.db", tmp_path / "usage.db")
    database = peewee.SqliteDatabase(str(tmp_path / "usage.db"), pragmas={{"foreign_keys": 1, "synchronous": 0}})
    database.connect()
    database.get_tables()
    database.close()

def test_usage_database(number, usage_database):
    pass

def test_seeded_usage_database(number, seeded_usage_database):
    pass
"""
TURNS = """\
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.callspec.params["number"])
"""
MIGRATION = """\
def up(migrator, db):
    db.execute_sql({up!r})


def down(migrator, db):
    db.execute_sql({down!r})
"""
REVISION = """\
from alembic import op

revision = "r{number:03d}"
down_revision = {before!r}


def upgrade():
    op.execute({up!r})


def downgrade():
    op.execute({down!r})
"""
ENV = """\
from alembic import context
from sqlalchemy import create_engine

engine = context.config.attributes.get("connection") or create_engine("sqlite:///app.db")
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
PEER = """\
import pytest
from pytest_alembic.tests import test_single_head_revision, test_up_down_consistency, test_upgrade
from sqlalchemy import create_engine

@pytest.fixture
def alembic_config():
    return {"script_location": "alembic"}

@pytest.fixture
def alembic_engine(tmp_path):
    return create_engine(f"sqlite:///{tmp_path / 'app.db'}")
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write the files of a project, and return its folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def step(number: int) -> tuple[str, str]:
    """Return the SQL of a migration, up and down: the first ten make tables, the others change them."""
    table = f"t{(number - 1) % 10 + 1}"
    if number <= 10:
        parent = f"t{number - 1}_id INTEGER NOT NULL REFERENCES t{number - 1} (id), " if number > 1 else ""
        columns = f"id INTEGER PRIMARY KEY, {parent}name TEXT NOT NULL, cents INTEGER CHECK (cents > 0), made DATETIME"
        return f"CREATE TABLE {table} ({columns})", f"DROP TABLE {table}"
    if number % 3:
        return f"ALTER TABLE {table} ADD COLUMN c{number} TEXT", f"ALTER TABLE {table} DROP COLUMN c{number}"
    return f"CREATE INDEX i{number} ON {table} (name)", f"DROP INDEX i{number}"


def migrations(count: int) -> dict[str, str]:
    """Return the files of a folder of migrations."""
    steps = {number: step(number) for number in range(1, count + 1)}
    return {f"migrations/{n:03d}_step.py": MIGRATION.format(up=up, down=down) for n, (up, down) in steps.items()}


def ours(count: int) -> dict[str, str]:
    """Return a project with the ready-made tests of its migrations."""
    settings = '[tool.pytest.ini_options]\n\n[tool.usage_store]\ndirectory = "migrations"\n'
    tests = "from usage_store.testing.migration_tests import TestMigrations  # noqa: F401\n"
    return {**migrations(count), "pyproject.toml": settings, "test_migrations.py": tests}


def of_alembic(count: int) -> dict[str, str]:
    """Return a project of Alembic with the same migrations and the tests of pytest-alembic."""
    files = {"alembic/env.py": ENV, "test_peer.py": PEER, "pytest.ini": "[pytest]\n"}
    for number in range(1, count + 1):
        up, down = step(number)
        before = f"r{number - 1:03d}" if number > 1 else None
        text = REVISION.format(number=number, before=before, up=up, down=down)
        files[f"alembic/versions/{number:03d}_step.py"] = text
    return files
