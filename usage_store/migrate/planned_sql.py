"""Collect the statements of a migration by running it on an empty copy of the schema."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usage_store.errors import GuardTripped
from usage_store.migrate.failure_message import Attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

    from usage_store.engines.interface.engine import Engine
    from usage_store.migrate.files.load_file import Loaded
    from usage_store.migrate.files.migration import Direction, Migration
    from usage_store.migrate.record.files_history_and_log import Records


@dataclass(frozen=True, slots=True)
class Planned:
    """A migration that would run, and the statements that it would execute."""

    migration: Migration
    direction: Direction
    statements: tuple[str, ...]


def planned(records: Records, steps: Sequence[Loaded], direction: Direction) -> tuple[Planned, ...]:
    """Return the statements of each step. The database is only read.

    The steps run on empty tables, so statements that depend on rows may be missing. Raises MigrationFailed for a
    migration that fails on empty tables.
    """
    engine = records.engine
    with engine.copies.empty_copy(records.database) as scratch:
        return tuple(Planned(step.migration, direction, run(engine, scratch, step, direction)) for step in steps)


def run(engine: Engine[Any], scratch: peewee.Database, step: Loaded, direction: Direction) -> tuple[str, ...]:
    """Run one migration on a scratch database, and return its statements with the parameters filled in.

    Raises MigrationFailed if the migration raises any error, or does something that migrations may not do.
    """
    attempt = Attempt(step.migration, direction, engine, atomic=step.atomic)
    watch = engine.migrating.Watch(scratch, engine.Fingerprint(scratch))
    try:
        with attempt.noting(scratch), ExitStack() as stack:
            if step.atomic:
                stack.enter_context(scratch.atomic())
                stack.enter_context(watch.inside())
            try:
                migrator: Any = engine.schema.migrator_for(scratch)
                migrator.dry_run = True
                with engine.copies.statements_of(scratch) as statements:
                    attempt.call(step.module, migrator, scratch)
            finally:
                attempt.refused = watch.refused
            if watch.refused:
                raise GuardTripped(watch.refused)  # noqa: TRY301  the migration caught the error and went on
    except (Exception, SystemExit) as error:  # noqa: BLE001  a migration may raise anything; it is raised again below
        raise attempt.failure(error, ()) from (attempt.error or error)
    return tuple(statements)
