"""Write small applications with a database, and run pytest on their tests."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

SHOP_WITH = """
    import peewee
    from playhouse import pool

    db = DATABASE

    class Item(peewee.Model):
        name = peewee.TextField()

        class Meta:
            database = db
            table_name = "items"

    def buy():
        with db.atomic():
            Item.create(name="lost")
            raise ValueError
"""
SHOP = SHOP_WITH.replace(
    "DATABASE", 'peewee.SqliteDatabase("production.db", pragmas={"foreign_keys": 1, "cache_size": -77})'
)
KIOSK = """
    import peewee

    db = peewee.DatabaseProxy()
    started = []

    @db.attach_callback
    def start(database):
        if database is not None:
            started.append(database.database)
            database.connect()

    class Item(db.Model):
        name = peewee.TextField()

        class Meta:
            table_name = "items"

    def buy():
        with db.atomic():
            Item.create(name="lost")
            raise ValueError
"""
ADD_ITEMS = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)')\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def run(folder: Path, *options: str) -> str:
    """Run pytest in a folder, with warnings as errors and no plugin but ours, and return what it printed."""
    own = ("-p", "no:cacheprovider", "-p", "usage_store.pytest_plugin", "-W", "error")
    extra = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TMPDIR": str(folder)}
    done = run_python("-m", "pytest", *own, *options, cwd=folder, **extra)
    return done.stdout + done.stderr
