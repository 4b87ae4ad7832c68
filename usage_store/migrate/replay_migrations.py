"""Run the applied migrations again on empty tables, compare the result with the schema, and record it in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import changes_between
from usage_store.errors import MigrationFailed
from usage_store.migrate.expected_schema import Drift, compared, recorded_schema
from usage_store.migrate.files.brought_schemas import Schema
from usage_store.migrate.files.load_file import Loader
from usage_store.migrate.planned_sql import run
from usage_store.migrate.record.recorded_ddl import Recorded, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.files_history_and_log import Records

_ON_TABLES = ("index", "trigger", "view")  # a table needs none of them, but it may need other kinds, such as types


def replay_and_record(
    records: Records, applied: Sequence[Migration], wait: float, on_wait: Callable[[str], None]
) -> Drift:
    """Run the applied migrations on empty tables, compare the schema with the result, and record the result in the log.

    The Python of the migrations runs. If a file is missing, or a migration fails on empty tables, nothing is compared
    or recorded, and a notice says why. Raises MigrationLocked if the lock is not free within `wait` seconds.
    """
    gone = [row for row in applied if row.file is None]
    if gone:
        return Drift([], [f"the schema was not compared: the file of {gone[0]} is missing"])
    schema, failure = _replayed(records, applied)
    if failure is not None:
        return Drift([], [f"the schema was not compared: {failure}"])
    found = compared(records, Recorded(schema, {}, set()), applied)
    _record(records, applied, schema, wait, on_wait)
    return found


def _replayed(records: Records, applied: Sequence[Migration]) -> tuple[Schema, str | None]:
    # The first run has no other tables, and shows which tables belong to the migrations. The second run, if there are
    # other tables, has empty copies of those beside it.
    alone, failure = _run(records, lambda _kind, _name: False, applied)
    # Where the first run failed for lack of the others, the log may know more.
    known = recorded_schema(records, applied).schema
    made = [*alone.objects.values(), *(each for key, each in known.objects.items() if key not in known.found)]
    own = {each.name.lower() for each in made} | {table.lower() for table in records.tables()}
    if set(map(str.lower, records.database.get_tables())) <= own:
        return alone, failure
    return _run(records, lambda kind, name: kind not in _ON_TABLES and name.lower() not in own, applied)


def _run(records: Records, host: Callable[[str, str], bool], applied: Sequence[Migration]) -> tuple[Schema, str | None]:
    engine, failure = records.engine, None
    optional: set[str] = set()
    with engine.copies.empty_copy(records.database, host) as scratch, Loader() as loader:
        fingerprint = engine.Fingerprint(scratch)
        fingerprint.read()
        for migration in applied:
            try:
                loaded = loader.load(migration, "up")
                optional.update(loaded.optional)
                run(engine, scratch, loaded, "up")
            except MigrationFailed as error:
                failure = failure or f"on empty tables, {error}"
        fingerprint.read()
        changes = fingerprint.changes
        objects = {each.key: each for each in changes.made}
        return Schema(objects, optional, found=set(changes.changed)), failure


def _record(
    records: Records, applied: Sequence[Migration], schema: Schema, wait: float, on_wait: Callable[[str], None]
) -> None:
    """Add one line to the log, as a stamp of the newest version, if some schema is not recorded yet.

    The line is valid for all applied versions.
    """
    with records.alone(wait, on_wait), records.engine.write_transaction(records.database):
        before = recorded_schema(records, applied)
        changes = changes_between(before.schema.objects, schema.objects)
        if before.unrecorded or any(changes):
            records.create()
            ddl = as_text(changes, schema.optional, of_all=True)
            if not records.log.note(applied[-1].version, records.engine.Fingerprint(records.database).read(), ddl):
                records.stamp(applied[-1:], {row.version for row in applied}, ddl)
