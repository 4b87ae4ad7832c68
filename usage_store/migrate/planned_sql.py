"""Run migrations where nothing can break: on an empty copy of the schema, in memory."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.copies.copy_schema_only import empty_copy
from usage_store.engines.sqlite.migrating.forbidden_statements import Guard
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.schema_operations import migrator_for
from usage_store.errors import GuardTripped
from usage_store.migrate.failure_message import Attempt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    import peewee

    from usage_store.migrate.files.load_file import Loaded
    from usage_store.migrate.files.migration import Direction, Migration


_NO_CHANGE = ("begin", "commit", "explain", "pragma", "release", "rollback", "savepoint", "select")


@dataclass(frozen=True, slots=True)
class Planned:
    """A migration that would run, and the statements it would send."""

    migration: Migration
    direction: Direction
    statements: tuple[str, ...]


def planned(database: peewee.SqliteDatabase, steps: Sequence[Loaded], direction: Direction) -> tuple[Planned, ...]:
    """Collect the statements of each step. The database is only read.

    Statements that depend on rows are those of empty tables. Raises MigrationFailed for a migration that cannot run
    on them.
    """
    scratch = empty_copy(database)
    try:
        return tuple(Planned(step.migration, direction, run(scratch, step, direction)) for step in steps)
    finally:
        scratch.close()


def run(scratch: peewee.SqliteDatabase, step: Loaded, direction: Direction) -> tuple[str, ...]:
    """Run one migration on a scratch database and give the statements that it sent, parameters filled in.

    Raises MigrationFailed for what the guard refuses, and for whatever the migration raises.
    """
    statements: list[str] = []
    attempt = Attempt(step.migration, direction, atomic=step.atomic)
    connection: sqlite3.Connection = scratch.connection()
    watch = Guard()
    scratch.query_hooks.append(attempt.note)
    try:
        with ExitStack() as stack:
            if step.atomic:
                stack.enter_context(scratch.atomic())
                stack.enter_context(watch.watching(connection))
            connection.set_trace_callback(statements.append)
            try:
                getattr(step.module, direction)(migrator_for(scratch), scratch)
            except (Exception, SystemExit) as error:
                attempt.error = error
                raise
            finally:
                connection.set_trace_callback(None)
                attempt.refused = watch.refused
            if watch.refused:
                raise GuardTripped(watch.refused)  # noqa: TRY301  the migration swallowed it
    except (Exception, SystemExit) as error:  # noqa: BLE001  a migration may raise anything; it is raised on
        raise attempt.failure(error, ()) from (attempt.error or error)
    finally:
        scratch.query_hooks.remove(attempt.note)
    # Python is told of a statement again for each trigger that it fires.
    return tuple(sql.strip() for sql in _lasting(sql for sql, _ in groupby(statements)) if _changes(sql))


def _lasting(statements: Iterable[str]) -> list[str]:
    """Leave out what was rolled back to its savepoint, as an operation does that only tries what uses a column."""
    lasting: list[str] = []
    savepoints: list[int] = []
    for sql in statements:
        if sql.startswith("SAVEPOINT"):
            savepoints.append(len(lasting))
        elif sql.startswith("ROLLBACK TO") and savepoints:
            del lasting[savepoints[-1] :]
        elif sql.startswith("RELEASE") and savepoints:
            savepoints.pop()
        else:
            lasting.append(sql)
    return lasting


def _changes(sql: str) -> bool:
    parts = sql_tokens.tokens(sql)
    return bool(parts) and not parts[0].says(*_NO_CHANGE)
