"""Write the schema after each of the usage tables' migrations: `python -m tests.support.brought_schemas`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from tests.support.databases import opened
from tests.support.postgresql_servers import new_schema
from usage_store.engines import engine_of
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files.load_file import Loader

if TYPE_CHECKING:
    from usage_store.migrate.files.migration import Migration

FOLDER = Path(__file__).parents[2] / "migrations"
PATH = FOLDER / "_schemas.sqlite.json"
PATH_OF_POSTGRESQL = FOLDER / "_schemas.postgresql.json"
EVENTS = {
    "plain": "CREATE TABLE events (session_id TEXT)",
    "generated": "CREATE TABLE events (a TEXT, session_id TEXT AS (a))",
}


def after_each(database: peewee.Database, events: str) -> dict[str, list[list[str]]]:
    """Run the migrations one by one in a database with a table `events`, and list the objects after each one."""
    found = {}
    with database.connection_context():
        database.execute_sql(events)
        runner = MigrationRunner(database)
        for version in [file.version for file in runner.records.files()]:
            runner.migrate(version)
            fingerprint = engine_of(database).Fingerprint(database)
            fingerprint.read()
            own = {*runner.records.tables(), "events"}
            rest = [list(each) for each in fingerprint.objects.values() if each.name not in own]
            found[str(version)] = sorted(each for each in rest if each[2] not in runner.records.tables())
    return found


def triggers(events: str) -> dict[str, list[str]]:
    """Give the triggers that follow_events makes on a table, by their keys."""
    path = FOLDER / "003_follow_events_and_references.py"
    spec = importlib.util.spec_from_file_location("third", path)
    assert spec is not None
    assert spec.loader is not None
    third: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(third)
    database = peewee.SqliteDatabase(":memory:")
    with database.connection_context():
        database.execute_sql(events)
        return {f"trigger {name}": [sql] for name, sql in third.event_triggers(database).items()}


def content() -> dict[str, Any]:
    """Give the content of the file: objects by version, those that may be missing, and DDL with a second form."""
    plain, generated = triggers(EVENTS["plain"]), triggers(EVENTS["generated"])
    return {
        "objects": after_each(peewee.SqliteDatabase(":memory:"), EVENTS["plain"]),
        "optional": sorted(key.removeprefix("trigger ") for key in plain),
        "alternatives": {key: sql for key, sql in generated.items() if sql != plain[key]},
    }


def content_of_postgresql(url: str) -> dict[str, Any]:
    """Give the same for PostgreSQL, from an empty schema.

    The triggers and functions that follow `events` are left out, because their texts name the schema and the types of
    the host's table. A trigger on a table of ours may be missing.
    """
    with opened(url) as database:
        states = after_each(database, EVENTS["plain"])
        optional = list(Loader().load(files_of(database)[-1], "up").optional)
    of_events = {*(f"{name}()" for name in optional), "events"}
    objects = {
        version: [each for each in state if each[1] not in of_events and each[2] != "events"]
        for version, state in states.items()
    }
    return {"objects": objects, "optional": sorted(optional), "alternatives": {}}


def files_of(database: peewee.Database) -> tuple[Migration, ...]:
    """List the usage tables' migrations for the engine of a database."""
    return MigrationRunner(database).records.files()


def written(content: dict[str, Any]) -> str:
    """Give the text of a file."""
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(written(content()), encoding="utf-8")
    with new_schema() as empty:
        PATH_OF_POSTGRESQL.write_text(written(content_of_postgresql(empty)), encoding="utf-8")
