"""What the models ask of a storage. For each kind of database there is a module with these names."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import peewee

from usage_store.engines import engine_of_kind
from usage_store.models import sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from usage_store.errors import MigrationError
    from usage_store.models.fields.retention_limits import Forecast, Goals
    from usage_store.models.fields.snapshot_input import Row
    from usage_store.models.fields.time_window import Window

    Recording = Callable[[], AbstractContextManager[None]]

D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


class Storage(Protocol[D]):
    """How the usage tables are stored in one kind of database."""

    @property
    def follow_events(self) -> FollowEvents[D]:
        """The triggers on a host's `events`."""

    @property
    def maintenance(self) -> Maintenance[D]:
        """What keeps the tables small."""

    @property
    def typescript_tables(self) -> TypescriptTables[D]:
        """What reads the tables of the original monitor."""

    def prepare(self, database: D) -> None:
        """Give the connections of a database the functions that the models' queries call. Opens no connection."""

    def active_configuration(self, database: D) -> dict[str, Any] | None:
        """Give the stored columns of the active configuration, without `is_active`, or None. Reads only."""

    def reset_configuration(self, database: D, defaults: Sequence[Any]) -> None:
        """Set the active configuration to these values, in the order of the rules.

        Where none is active, the newest becomes active. Where there is none, a new one is made.
        """

    def insert(self, database: D, row: Row) -> int | None:
        """Insert a snapshot and give its id. If the text is not JSON or the session unknown, insert nothing: None."""

    def insert_many(self, database: D, rows: Sequence[Row]) -> int:
        """Insert snapshots and give how many were inserted. Those that `insert` would refuse are left out."""

    def refused_because(self, database: D, text: str, session_id: str) -> tuple[bool, bool]:
        """Tell whether a text is JSON to the database, and a session known. Reads only."""

    def recent(self, database: D, since: int, most: int, session_id: str | None) -> list[tuple[Any, ...]]:
        """List at most `most` snapshots from a time on, newest first. Reads only.

        A row is id, session, text, type, time. A text that cannot be read is a value that says why.
        """

    def of_session(self, database: D, session_id: str) -> list[tuple[Any, ...]]:
        """List all snapshots of a session as such rows, newest first. Reads only."""

    def pages(self, database: D, window: Window) -> Iterator[list[tuple[Any, ...]]]:
        """Give the snapshots of a window by timestamp and id, a list of such rows at a time. Reads only.

        Nothing is held between two lists: no lock, no transaction, no open statement.
        """

    def count_between(self, database: D, window: Window) -> int:
        """Count the snapshots of a window. Reads only."""

    def register(self, database: D, session_ids: Iterable[str]) -> int:
        """Make sessions known, all or none, and give how many of them are new."""

    def session_sizes(self, database: D, session_id: str | None) -> list[tuple[str, int, float]]:
        """List each session, or one, with its snapshots and the bytes of their texts on disk. Reads only."""


class FollowEvents(Protocol[D]):
    """The triggers on a host's `events` table. `triggers` gives the migration that makes them.

    Each change of them is made in a transaction, inside a block of `recording`.
    """

    def made(self, database: D) -> bool:
        """Tell whether any of the triggers is there. Reads only."""

    def follow(self, database: D, triggers: Callable[[Any], ModuleType], recording: Recording) -> None:
        """Make the triggers again where they are not as they should be. Reads only where all is well."""

    def link(self, database: D, triggers: Callable[[Any], ModuleType], recording: Recording) -> None:
        """Make the triggers, and register the sessions of all events. Raises ConfigurationError."""

    def register(self, database: D, triggers: Callable[[Any], ModuleType]) -> None:
        """Register the sessions of all events, if there are triggers."""

    def unfollow(self, database: D, recording: Recording) -> None:
        """Drop the triggers."""


class Maintenance(Protocol[D]):
    """What keeps the tables small. It works in short transactions, and others can write in between."""

    def require_blocks(self, database: D) -> None:
        """Raise TransactionOpen in a transaction, or ConfigurationError where the tables cannot be maintained."""

    def Steps(self, database: D, *, passing: bool = False) -> Steps:  # noqa: N802  a class
        """Make the steps. With `passing`, the caller has other work to do in between, and no step waits."""

    def at_work(self, database: D) -> AbstractContextManager[None]:
        """Set the connection up for long work, for the time of the block."""

    def without_waiting(self, database: D) -> AbstractContextManager[None]:
        """See that nothing in the block waits for a lock."""

    def estimate(self, database: D, goals: Goals) -> Forecast:
        """Estimate what maintenance would do. Reads only."""

    def waiting(self, database: D, goals: Goals) -> dict[str, int]:
        """Count the rows that the steps will work on, where that is known before. Reads only."""

    def remaining(self, database: D, goals: Goals, *, renumber: bool = False) -> tuple[str, ...]:
        """Give a line for each thing that is left to do. Reads only."""

    def unreachable(self, database: D, goals: Goals) -> int | None:
        """Give the bytes that the pages in use may take, if even without snapshots they take more. Reads only."""

    def disk_use(self, database: D) -> int:
        """Give the bytes that the database takes on disk. Reads only."""

    def free_pages(self, database: D) -> int:
        """Count the free pages that can be given back to the disk. Reads only."""

    def step_in_times(self, database: D, retention: float) -> str | None:
        """Describe a long jump in the stored times within the last hour, or give None. Reads only."""

    def warn_of_step(self, database: D, before: int, retention: float) -> None:
        """Log one line if snapshots are about to be deleted just after such a jump. Reads only."""

    def delete_older(self, database: D, before: int) -> int:
        """Delete the snapshots that are older than a time, and give their number."""

    def delete_sessions(self, database: D, session_ids: Iterable[str]) -> int:
        """Delete sessions and their snapshots, and give the number of the snapshots."""

    def check_rows(self, database: D, *, full: bool) -> Iterator[MigrationError | str]:
        """Give an error for each fault in the rows, and a text for each other thing worth knowing. Reads only."""


class Steps(Protocol):
    """The steps of maintenance. After each transaction, a step gives its name and the number of rows."""

    @property
    def longest_lock(self) -> float:
        """The longest time for which others were locked out, in seconds."""

    def on_rows(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Delete and compact snapshots, and forget sessions, as the goals say."""

    def on_references(self, *, renumber: bool) -> Iterator[tuple[str, int]]:
        """Correct the counts of references, and give blocks new numbers with `renumber`."""

    def on_pages(self) -> Iterator[tuple[str, int]]:
        """Give free pages back to the disk."""

    def in_passing(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Work on rows, then on pages, and shorten the file."""

    def rewrite(self) -> None:
        """Rewrite the file, if it cannot shrink by itself, so that it can. Raises NotEnoughDisk."""


class TypescriptTables(Protocol[D]):
    """The tables of the original monitor."""

    def refuse_losses(self, database: D) -> None:
        """Raise ConfigurationError if these tables have columns, indexes or triggers that would be lost. Reads only."""

    def set_aside(self, database: D) -> Any:
        """Copy the rows of these tables, and drop the tables. Give what else `bring_back` needs."""

    def bring_back(self, database: D, aside: Any) -> tuple[int, int, int]:
        """Put the rows into the new tables. Give the numbers of configurations, snapshots and sessions."""

    def mend_history(self, database: D, table: str, name: str) -> None:
        """Change the name of the only row of the history, and its time to seconds."""


_STORAGES: dict[str, Storage[Any]] = {"sqlite": sqlite}


def storage_of(database: peewee.Database) -> Storage[Any]:
    """Give the storage of a database, not of a DatabaseProxy. Raises ConfigurationError. Nothing is opened."""
    kind: Any = type(database)
    return _storage_of_kind(kind)


@functools.cache  # asked at every insert
def _storage_of_kind(kind: type[peewee.Database]) -> Storage[Any]:
    return _STORAGES[engine_of_kind(kind).NAME]


if TYPE_CHECKING:
    _: Storage[peewee.SqliteDatabase] = sqlite
