"""Write the schema after each of the usage tables' migrations: `python -m tests.support.brought_schemas`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import peewee

from usage_store.engines import engine_of
from usage_store.migrate import MigrationRunner

EVENTS = {
    "plain": "CREATE TABLE events (session_id TEXT)",
    "generated": "CREATE TABLE events (a TEXT, session_id TEXT AS (a))",
}
PATH = Path(__file__).parents[2] / "migrations" / "_schemas.sqlite.json"


def after_each(events: str) -> dict[str, list[list[str]]]:
    """Run the migrations one by one in a database with a table `events`, and list the objects after each one."""
    database = peewee.SqliteDatabase(":memory:")
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
    (path,) = PATH.parent.glob("003_*.py")
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
        "objects": after_each(EVENTS["plain"]),
        "optional": sorted(key.removeprefix("trigger ") for key in plain),
        "alternatives": {key: sql for key, sql in generated.items() if sql != plain[key]},
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(content(), indent=1) + "\n", encoding="utf-8")
