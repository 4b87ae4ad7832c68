"""How the schema differs from what the applied migrations make, and what these have to say of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.schema_differences import Catalog, differences
from usage_store.errors import MigrationFailed, SchemaDrift
from usage_store.migrate.files.load_file import Loader
from usage_store.migrate.planned_sql import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import peewee

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.files_history_and_log import Records


def drift(records: Records, applied: Sequence[Migration]) -> tuple[list[SchemaDrift], list[str]]:
    """Compare the schema with what the applied migrations make on empty tables: differences, and notices. Reads only.

    Nothing is compared while a file is gone, or where a migration cannot run on empty tables.
    """
    if not all(row.path for row in applied):
        return [], []
    expected, failure = _expected(records, applied)
    if failure:
        return [], [f"the schema was not compared: {failure}"]
    live = records.engine.schema.read_catalog(records.database)
    optional = _named(applied, "optional")
    if not optional & live.others.keys():
        expected = Catalog(expected.tables, {k: v for k, v in expected.others.items() if k not in optional})
    lines = differences(expected, live)
    if not lines or not records.log.exists():
        return [SchemaDrift(line) for line in lines], []
    cause = (
        "the schema is as the last migration left it: a migration is not what it was, or depends on rows"
        if records.log.is_current()
        else "the schema was changed by hand since the last migration"
    )
    return [SchemaDrift(line) for line in lines], [cause]


def _expected(records: Records, applied: Sequence[Migration]) -> tuple[Catalog, str | None]:
    # Run twice: on nothing, which tells the migrations' own tables from the host's, then beside the host's.
    alone, failure = _replay(records, lambda _kind, _name: False, applied)
    own = {*alone.tables, *(table.lower() for table in records.tables())}
    if records.engine.schema.read_catalog(records.database).tables.keys() <= own:
        return alone, failure
    return _replay(records, lambda kind, name: kind == "table" and name.lower() not in own, applied)


def _replay(
    records: Records, host: Callable[[str, str], bool], applied: Sequence[Migration]
) -> tuple[Catalog, str | None]:
    engine, failure = records.engine, None
    with engine.copies.empty_copy(records.database, host) as scratch, Loader() as loader:
        before = engine.schema.read_catalog(scratch)
        for migration in applied:
            try:
                run(engine, scratch, loader.load(migration, "up"), "up")
            except MigrationFailed as error:
                failure = failure or f"on empty tables, {error}"
        return engine.schema.read_catalog(scratch).changed_since(before), failure


def notices(database: peewee.Database, applied: Sequence[Migration]) -> tuple[str, ...]:
    """Ask the applied migrations that define `notices(db)` what a person should know. Reads only."""
    return tuple(_notices(database, applied))


def _named(applied: Sequence[Migration], attribute: str) -> set[Any]:
    """Give what the modules that have such an attribute list in it: names, or versions."""
    found = [row for row in applied if row.path is not None and f"\n{attribute} = ".encode() in row.path.read_bytes()]
    return {each for row in found for each in getattr(Loader().module(row), attribute)}


def _notices(database: peewee.Database, applied: Sequence[Migration]) -> Iterator[str]:
    spoken_for = _named(applied, "speaks_for")
    for migration in applied:
        if migration.version in spoken_for:
            continue
        # Read before it is loaded: a long history is looked at often and has few of these.
        if migration.path is not None and b"def notices(" in migration.path.read_bytes():
            yield from Loader().module(migration).notices(database)
