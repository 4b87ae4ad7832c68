"""The functions of this package, for a monitor that must not stop because of bad input.

Functions that take a user's data return False or None for data that they refuse, and log one error that says why.
Without a logging configuration Python prints that error on stderr. All other functions raise InvalidValue for a bad
argument. A database that is locked, full, corrupt or read-only always raises a DatabaseError, which is peewee's
OperationalError or DatabaseError, too.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import peewee

from usage_store.database import bound_database
from usage_store.engines import driver_errors, engine_of
from usage_store.errors import RejectedInput
from usage_store.migrate import Migration, MigrationRunner, MigrationStatus, Step
from usage_store.models import SessionSize, UsageConfig, UsageSession, UsageSnapshot
from usage_store.run_maintenance import Maintained, maintain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "Maintained",
    "delete_old_usage_snapshots",
    "get_migration_runner",
    "get_migration_status",
    "get_session_sizes",
    "get_usage_config",
    "get_usage_snapshots",
    "get_usage_snapshots_by_session",
    "insert_usage_snapshot",
    "insert_usage_snapshots",
    "maintain",
    "register_session",
    "register_sessions",
    "remove_sessions",
    "reset_usage_config",
    "rollback_migrations",
    "run_migrations",
    "update_usage_config",
    "validate_database",
]

logger = logging.getLogger("usage_store")

P = ParamSpec("P")
T = TypeVar("T")
Refusal = TypeVar("Refusal", bound=bool | None)


def _refusing(refusal: Refusal) -> Callable[[Callable[P, T]], Callable[P, T | Refusal]]:
    def decorate(function: Callable[P, T]) -> Callable[P, T | Refusal]:
        @functools.wraps(function)
        def refusing(*args: P.args, **kwargs: P.kwargs) -> T | Refusal:
            try:
                return function(*args, **kwargs)
            except RejectedInput as error:
                logger.error("%s refused: %s", function.__name__, error)  # noqa: TRY400  the line says it all
                return refusal
            except driver_errors(peewee.DatabaseError, peewee.InterfaceError) as error:
                _raise(error)

        return refusing

    return decorate


def _raising(function: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(function)
    def raising(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except driver_errors(peewee.DatabaseError, peewee.InterfaceError) as error:
            _raise(error)

    return raising


def _raise(error: Exception) -> NoReturn:
    """Raise a DatabaseError in place of an error of the driver or of peewee, also for a database object of the host."""
    database = bound_database()
    try:
        engine = engine_of(database)
        engine.raise_of_a_statement(error, engine.name_of(database))
    finally:
        del error  # otherwise the error would keep this frame, and the frame the cursor and its statement


@_raising
def get_usage_config() -> UsageConfig | None:
    """Return the active configuration, or None. A field with a broken value has its default. Reads only."""
    return UsageConfig.active()


@_refusing(False)
def update_usage_config(updates: Mapping[str, Any]) -> bool:
    """Change fields of the active configuration; return True. Returns False if nothing is to change. Refused: False."""
    return UsageConfig.update_active(updates)


@_raising
def reset_usage_config() -> bool:
    """Set every field of the active configuration to its default, in the same row; return True.

    If no configuration is active, the newest one becomes active. If there is none at all, one is created.
    """
    UsageConfig.reset_active()
    return True


@_refusing(False)
def register_session(session_id: str) -> bool:
    """Register a session, so that snapshots can be stored for it; return True. Refused: False."""
    UsageSession.register(session_id)
    return True


@_refusing(None)
def register_sessions(session_ids: Iterable[str]) -> int:
    """Register sessions, all or none; return how many were new. Refused: None."""
    return UsageSession.register_many(session_ids)


@_raising
def remove_sessions(session_ids: Iterable[str]) -> int:
    """Delete sessions and their snapshots; return how many snapshots were deleted. Raises InvalidValue."""
    return UsageSession.remove_many(session_ids)


@_raising
def get_session_sizes(session_id: str | None = None) -> list[SessionSize]:
    """List how many snapshots each session holds, or one, and their bytes. Reads only. Raises InvalidValue."""
    return UsageSession.sizes(session_id)


@_refusing(None)
def insert_usage_snapshot(snapshot: Mapping[str, Any]) -> UsageSnapshot:
    """Store one snapshot: session_id, snapshot_data, and optionally snapshot_type and timestamp. Refused: None."""
    return UsageSnapshot.record_mapping(snapshot)


@_refusing(None)
def insert_usage_snapshots(snapshots: Iterable[Mapping[str, Any]]) -> int:
    """Store many snapshots, all or none; return how many. Refused: None."""
    return UsageSnapshot.record_many(snapshots)


@_raising
def get_usage_snapshots(session_id: str | None = None, limit: int = 100, hours_back: float = 24) -> list[UsageSnapshot]:
    """List at most `limit` snapshots of the last hours, newest first, of one session or of all. Reads only.

    If there are more than `limit`, the oldest are left out, and nothing says so. `UsageSnapshot.between()` returns all
    of them. Raises InvalidValue.
    """
    return UsageSnapshot.recent(session_id, limit=limit, hours_back=hours_back)


@_raising
def get_usage_snapshots_by_session(session_id: str) -> list[UsageSnapshot]:
    """List all snapshots of a session, newest first. Reads only. Raises InvalidValue.

    All of them are in memory at once. For long sessions, `UsageSnapshot.between()` needs less memory.
    """
    return UsageSnapshot.of_session(session_id)


@_raising
def delete_old_usage_snapshots(days_old: float = 30) -> int:
    """Delete snapshots older than `days_old` days; 0 deletes all. Return how many. Raises InvalidValue."""
    return UsageSnapshot.prune(days_old)


def get_migration_runner() -> MigrationRunner:
    """Return the runner of the usage tables' migrations for the bound database."""
    return MigrationRunner(bound_database())


def get_migration_status() -> MigrationStatus:
    """Compare the usage tables' migrations with the bound database. Reads only."""
    return get_migration_runner().status()


def run_migrations() -> tuple[Migration, ...]:
    """Run the pending migrations; return those that were applied. Raises MigrationError."""
    return _migrations(get_migration_runner().migrate())


def rollback_migrations(target_version: int | None = None) -> tuple[Migration, ...]:
    """Roll back to a version, by default the previous one; return what was undone. Raises MigrationError."""
    return _migrations(get_migration_runner().rollback(target_version))


def validate_database() -> bool:
    """Check the file, the rows and the schema; return True if they are right. Each problem is logged. Reads only."""
    report = get_migration_runner().validate()
    for problem in report.problems:
        logger.error("validate: %s", problem)
    return report.ok


def _migrations(steps: tuple[Step, ...]) -> tuple[Migration, ...]:
    return tuple(step.migration for step in steps)
