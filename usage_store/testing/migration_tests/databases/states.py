"""Read and compare the states of a test's databases: the schema, the rows and the counters of generated keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.interface.schema_differences import State, not_restored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from usage_store.engines.interface.schema_differences import Catalog
    from usage_store.engines.interface.schema_objects import SchemaObject
    from usage_store.migrate import MigrationRunner
    from usage_store.testing.migration_tests.databases.what_is_tested import Said


class Snapshot(NamedTuple):
    """The text of the schema, and the rows, without the tables of the runner. It is read much faster than a schema."""

    objects: Mapping[str, SchemaObject]
    rows: State


def snapshot(runner: MigrationRunner) -> Snapshot:
    """Read the text of the schema and the rows. Reads only."""
    own = _own(runner)
    fingerprint = runner.records.engine.Fingerprint(runner.database)
    fingerprint.read()
    objects = {key: each for key, each in fingerprint.objects.items() if each.table.lower() not in own}
    return Snapshot(objects, runner.records.engine.copies.read_state(runner.database, own, only_rows=True))


def states(before: Snapshot, earlier: MigrationRunner, after: Snapshot, now: MigrationRunner) -> tuple[State, State]:
    """Return the states of two snapshots, with the schemas of their databases. These are only read.

    The schemas are left out if their texts are the same.
    """
    if before.objects == after.objects:
        return before.rows, after.rows
    return replace(before.rows, catalog=_schema(earlier)), replace(after.rows, catalog=_schema(now))


def _schema(runner: MigrationRunner) -> Catalog:
    return runner.records.engine.copies.read_state(runner.database, _own(runner)).catalog


def _own(runner: MigrationRunner) -> set[str]:
    return {table.lower() for table in runner.records.tables()}


def left_by_down(before: State, after: State, said: Said) -> tuple[str, ...]:
    """Return what `down` did not restore, one line each, without what the file declares.

    A counter of generated keys may be higher than before.
    """
    if said.lossy is not None:
        return not_restored(State(before.catalog, {}, {}), State(after.catalog, {}, {}))
    counters = {table: min(value, before.counters.get(table, 0)) for table, value in after.counters.items()}
    return not_restored(before, replace(after, counters=counters), said.deletes)


def numbers_of_rows(state: State) -> State:
    """Return a state without values and counters, because a migration may write the time or a random value."""
    return State(state.catalog, {table: (count, 0) for table, (count, _) in state.rows.items()}, {})
