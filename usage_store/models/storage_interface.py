"""The interface between the models and the storage of the usage tables. Each engine has a module that implements it."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import peewee

from usage_store.engines import engine_of_kind
from usage_store.models import sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from usage_store.errors import UsageStoreError
    from usage_store.models.copy_interface import CopyRows
    from usage_store.models.fields.retention_limits import Forecast, Goals
    from usage_store.models.fields.snapshot_input import Row
    from usage_store.models.fields.time_window import Window

    Recording = Callable[[], AbstractContextManager[None]]

D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


class Storage(Protocol[D]):
    """The functions that store and read the usage tables in one kind of database."""

    @property
    def follow_events(self) -> FollowEvents[D]:
        """The functions for the triggers on the host's `events` table."""

    @property
    def maintenance(self) -> Maintenance[D]:
        """The functions that keep the tables small."""

    @property
    def typescript_tables(self) -> TypescriptTables[D]:
        """The functions that convert the tables of the original monitor."""

    @property
    def copy_rows(self) -> CopyRows[D]:
        """The functions that read and write whole stores."""

    def prepare(self, database: D) -> None:
        """Register the SQL functions of the models' queries on the connections of a database. Opens no connection."""

    def while_running(self, database: D) -> AbstractContextManager[None]:
        """Prepare the connection for a query of Peewee that is written and run in the block."""

    def ReadingCursor(self, cursor: Any, selected: Sequence[Any], *, for_models: bool) -> Any:  # noqa: N802  a class
        """Return what Peewee reads the rows of a query from; `selected` are its columns, or empty if it is written SQL.

        A text that cannot be read raises DamagedSnapshot; with `for_models`, only when the model's text is accessed.
        """

    def write_text(self, ctx: Any, column: peewee.Node, function: str, schema: str | None) -> Any:
        """Write the SQL expression for the text of a snapshot to a context of Peewee, and return the context.

        `function` is `usage_json` or, for the models, `usage_text`. `schema` is that of the model.
        """

    def check_session_id(self, session_id: str) -> None:
        """Raise InvalidValue for a session id that this kind of database cannot store."""

    def active_configuration(self, database: D) -> dict[str, Any] | None:
        """Return the columns of the active configuration without `is_active`, or None if none is active. Reads only.

        The values are not checked.
        """

    def reset_configuration(self, database: D, defaults: Sequence[Any]) -> None:
        """Set the fields of the active configuration to `defaults`, which are in the order of the configuration rules.

        If none is active, the newest configuration is reset and becomes active. If there is none, one is created.
        """

    def insert(self, database: D, row: Row) -> int | None:
        """Insert a snapshot, and return its id. Inserts nothing, and returns None, if a rule refuses the row.

        The rules are that the session is registered and the text is JSON. Returns 0 if a trigger of the host leaves
        the row out.
        """

    def insert_many(self, database: D, rows: Sequence[Row]) -> int:
        """Insert snapshots, and return how many. Raises IntegrityError at the first row that `insert` would refuse."""

    def refused_because(self, database: D, text: str, session_id: str) -> tuple[bool, bool]:
        """Return whether the database accepts a text as JSON, and whether a session is registered. Reads only."""

    def recent(self, database: D, since: int, most: int, session_id: str | None) -> list[tuple[Any, ...]]:
        """List at most `most` snapshots that are not older than `since` (seconds, UTC), newest first. Reads only.

        Each row has id, session id, text, type and timestamp. A text that cannot be read is a blob with the reason.
        """

    def of_session(self, database: D, session_id: str) -> list[tuple[Any, ...]]:
        """List all snapshots of a session as `recent` does. Reads only."""

    def pages(self, database: D, window: Window) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the snapshots of a window by timestamp and id, in lists of rows as `recent` returns them. Reads only.

        Nothing is held between two lists: no lock, no transaction, no open statement.
        """

    def count_between(self, database: D, window: Window) -> int:
        """Count the snapshots of a window. Reads only."""

    def register(self, database: D, session_ids: Iterable[str]) -> int:
        """Register sessions, all or none, and return how many were not registered before."""

    def session_sizes(self, database: D, session_id: str | None) -> list[tuple[str, int, float]]:
        """List each session, or only one, with the number of its snapshots and the bytes of their texts on disk.

        Reads only.
        """


class FollowEvents(Protocol[D]):
    """The functions for the triggers on the host's `events` table.

    `triggers` returns the module of the migration that creates the triggers. Each change of the triggers is made in a
    transaction and in a block of `recording`.
    """

    def made(self, database: D) -> bool:
        """Return whether at least one of the triggers exists. Reads only."""

    def follow(self, database: D, triggers: Callable[[Any], ModuleType], recording: Recording) -> None:
        """Create the triggers again if they are missing or wrong. If they are right, this only reads."""

    def link(self, database: D, triggers: Callable[[Any], ModuleType], recording: Recording) -> None:
        """Create the triggers, and register the sessions of all events.

        Raises ConfigurationError without a usable events table.
        """

    def register(self, database: D, triggers: Callable[[Any], ModuleType]) -> None:
        """Register the sessions of the existing events, if the triggers exist."""

    def unfollow(self, database: D, recording: Recording) -> None:
        """Drop the triggers."""


class Maintenance(Protocol[D]):
    """The functions that keep the tables small, in short transactions. Other connections can write between them."""

    def require_blocks(self, database: D) -> None:
        """Raise TransactionOpen inside a transaction, and ConfigurationError if tables or triggers are missing."""

    def Steps(self, database: D, *, passing: bool = False) -> Steps:  # noqa: N802  a class
        """Create the steps of maintenance. With `passing`, they run between inserts: short, and without waiting."""

    def at_work(self, database: D) -> AbstractContextManager[None]:
        """Set up the connection for long work inside the block."""

    def without_waiting(self, database: D) -> AbstractContextManager[None]:
        """Do not wait for locks inside the block: a locked database raises at once."""

    def estimate(self, database: D, goals: Goals) -> Forecast:
        """Estimate what maintenance would do. Reads only."""

    def waiting(self, database: D, goals: Goals) -> dict[str, int]:
        """Return how many snapshots are to be pruned and to be compacted, by the name of the step. Reads only."""

    def remaining(self, database: D, goals: Goals, *, renumber: bool = False) -> tuple[str, ...]:
        """Return one line for each thing that is left to do. Reads only."""

    def unreachable(self, database: D, goals: Goals) -> int | None:
        """Return the allowed bytes if deleting all snapshots does not reach `max_bytes`, else None. Reads only."""

    def disk_use(self, database: D) -> int:
        """Return how many bytes the database uses on disk. Reads only."""

    def free_pages(self, database: D) -> int:
        """Return the number of free pages, which can be returned to the disk. Reads only."""

    def step_in_times(self, database: D, retention: float) -> str | None:
        """Describe a long gap between stored times that ended within the last hour, or return None. Reads only.

        `retention` is in seconds.
        """

    def warn_of_step(self, database: D, before: int, retention: float) -> None:
        """Log one line if there are snapshots older than `before`, and there is such a gap. Reads only."""

    def delete_older(self, database: D, before: int) -> int:
        """Delete the snapshots older than `before` (seconds, UTC), and return their number."""

    def delete_sessions(self, database: D, session_ids: Iterable[str]) -> int:
        """Delete sessions and their snapshots, and return the number of deleted snapshots."""

    def check_rows(self, database: D, *, full: bool) -> Iterator[UsageStoreError | str]:
        """Yield an error for each problem of the rows, and a line of text for each notice. Reads only."""


class Steps(Protocol):
    """The steps of maintenance on a database.

    After each transaction, they yield the name of the step and the number of rows or pages of the transaction.
    """

    @property
    def longest_lock(self) -> float:
        """The longest time for which other writers were locked out, in seconds."""

    def on_rows(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Prune, compact and evict snapshots, and forget sessions."""

    def on_references(self, *, renumber: bool) -> Iterator[tuple[str, int]]:
        """Correct wrong counts of references. With `renumber`, give blocks of version 2 new numbers too."""

    def on_pages(self) -> Iterator[tuple[str, int]]:
        """Return free pages to the disk."""

    def in_passing(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Do the steps on rows and pages."""

    def rewrite(self) -> None:
        """Rewrite a database that cannot shrink, so that it can. Raises NotEnoughDisk."""


class TypescriptTables(Protocol[D]):
    """The functions that convert the tables of the original monitor."""

    def refuse_losses(self, database: D) -> None:
        """Raise ConfigurationError if the tables have columns, indexes or triggers that would be lost. Reads only."""

    def set_aside(self, database: D) -> Any:
        """Copy the rows to temporary tables, and drop the original tables. Returns a value for `bring_back`."""

    def bring_back(self, database: D, aside: Any) -> tuple[int, int, int]:
        """Insert the copied rows into the new tables. Returns the numbers of configurations, snapshots and sessions."""

    def mend_history(self, database: D, table: str, name: str) -> None:
        """Change the only row of the history table: set its name, and convert its time to seconds."""


def storage_of(database: peewee.Database) -> Storage[Any]:
    """Return the storage of a database, which must not be a DatabaseProxy. The database is not opened.

    Raises ConfigurationError for a kind of database without a storage.
    """
    kind: Any = type(database)
    return _storage_of_kind(kind)


def storage_called(engine: str) -> Storage[Any]:
    """Return the storage of an engine. That of PostgreSQL is imported when it is first used."""
    if engine == "sqlite":
        return sqlite
    return cast("Storage[Any]", importlib.import_module("usage_store.models.postgresql"))


@functools.cache  # each insert calls this function
def _storage_of_kind(kind: type[peewee.Database]) -> Storage[Any]:
    return storage_called(engine_of_kind(kind).NAME)


if TYPE_CHECKING:
    from usage_store.models import postgresql

    _: Storage[peewee.SqliteDatabase] = sqlite
    __: Storage[peewee.PostgresqlDatabase] = postgresql
