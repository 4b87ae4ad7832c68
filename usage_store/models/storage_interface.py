"""What is asked of how the usage tables are stored: for each engine a module with these names, and two rooms."""

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

    Recording = Callable[[], AbstractContextManager[None]]

D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


class Storage(Protocol[D]):
    """How the usage tables are stored in one kind of database."""

    @property
    def follow_events(self) -> FollowEvents[D]:
        """The triggers on a host's `events`."""

    @property
    def maintenance(self) -> Maintenance[D]:
        """The room for keeping the tables small."""

    @property
    def typescript_tables(self) -> TypescriptTables[D]:
        """The room for the tables of the original monitor."""

    def prepare(self, database: D) -> None:
        """See that the connections of a database have what the models' queries call. Opens none."""

    def active_configuration(self, database: D) -> dict[str, Any] | None:
        """Give the columns of the active configuration but `is_active`, whatever they hold, or None. Reads only."""

    def reset_configuration(self, database: D, defaults: Sequence[Any]) -> None:
        """Give the active configuration these values, in the order of the rules; else the newest; else make one."""

    def insert(self, database: D, row: Row) -> int | None:
        """Insert a snapshot and give its id; None, and nothing is inserted, for no JSON or an unknown session."""

    def insert_many(self, database: D, rows: Sequence[Row]) -> int:
        """Insert snapshots and give their number. Raises IntegrityError at the first that `insert` would refuse."""

    def refused_because(self, database: D, text: str, session_id: str) -> tuple[bool, bool]:
        """Tell whether a text is JSON to the database, and a session known. Reads only."""

    def recent(self, database: D, since: int, most: int, session_id: str | None) -> list[tuple[Any, ...]]:
        """List so many snapshots from a time on, newest first: id, session, text or why not, type, time. Reads only."""

    def of_session(self, database: D, session_id: str) -> list[tuple[Any, ...]]:
        """List all snapshots of a session in the same way. Reads only."""

    def register(self, database: D, session_ids: Iterable[str]) -> int:
        """Make sessions known, all or none, and give how many were not."""

    def session_sizes(self, database: D, session_id: str | None) -> list[tuple[str, int, float]]:
        """List each session, or one, with its snapshots and the bytes of their texts on disk. Reads only."""


class FollowEvents(Protocol[D]):
    """The triggers on a host's `events`; `triggers` gives the migration that makes them.

    What becomes of them happens in a block of `recording`, in a transaction.
    """

    def made(self, database: D) -> bool:
        """Tell whether any of them is there. Reads only."""

    def follow(self, database: D, triggers: Callable[[Any], ModuleType], recording: Recording) -> None:
        """Make them again where they are not as they should be. Reads only where all is well."""

    def link(self, database: D, triggers: Callable[[Any], ModuleType], recording: Recording) -> None:
        """Make them, and register the sessions of all events. Raises ConfigurationError."""

    def register(self, database: D, triggers: Callable[[Any], ModuleType]) -> None:
        """Register the sessions of the events that are there, if they are followed."""

    def unfollow(self, database: D, recording: Recording) -> None:
        """Drop them."""


class Maintenance(Protocol[D]):
    """Keeping the tables small, in transactions between which others write."""

    def require_blocks(self, database: D) -> None:
        """Raise TransactionOpen in a transaction, ConfigurationError where the tables cannot be maintained."""

    def Steps(self, database: D, *, passing: bool = False) -> Steps:  # noqa: N802  a class
        """Make the steps; in `passing`, what comes between has something else to do and waits for nothing."""

    def at_work(self, database: D) -> AbstractContextManager[None]:
        """Set the connection up for long work within the block."""

    def without_waiting(self, database: D) -> AbstractContextManager[None]:
        """Let nothing in the block wait for a lock."""

    def estimate(self, database: D, goals: Goals) -> Forecast:
        """Estimate what maintenance would do. Reads only."""

    def waiting(self, database: D, goals: Goals) -> dict[str, int]:
        """Count the rows of the steps that can be known before they are done. Reads only."""

    def remaining(self, database: D, goals: Goals, *, renumber: bool = False) -> tuple[str, ...]:
        """Say what is left to do, a line for each thing. Reads only."""

    def unreachable(self, database: D, goals: Goals) -> int | None:
        """Give the bytes that would be too few even without snapshots, or None. Reads only."""

    def disk_use(self, database: D) -> int:
        """Give the bytes that the database takes on disk. Reads only."""

    def free_pages(self, database: D) -> int:
        """Count the pages to give back. Reads only."""

    def step_in_times(self, database: D, retention: float) -> str | None:
        """Describe a long step that the stored times made within the last hour, if they did. Reads only."""

    def warn_of_step(self, database: D, before: int, retention: float) -> None:
        """Log one line where snapshots are about to be deleted just after such a step. Reads only."""

    def delete_older(self, database: D, before: int) -> int:
        """Delete the snapshots older than a time, and give their number."""

    def delete_sessions(self, database: D, session_ids: Iterable[str]) -> int:
        """Delete sessions and their snapshots, and give the number of these."""

    def check_rows(self, database: D, *, full: bool) -> Iterator[MigrationError | str]:
        """Give what is wrong with the rows, and a line of text for what is worth knowing. Reads only."""


class Steps(Protocol):
    """The steps of maintenance on a database; each gives its name and a number of rows after each transaction."""

    @property
    def longest_lock(self) -> float:
        """How long others were locked out at most, in seconds."""

    def on_rows(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Prune, compact, evict and forget."""

    def on_references(self, *, renumber: bool) -> Iterator[tuple[str, int]]:
        """Count references again where that is wrong, and renumber."""

    def on_pages(self) -> Iterator[tuple[str, int]]:
        """Give pages back to the disk."""

    def in_passing(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Do what there is to do on rows and pages."""

    def rewrite(self) -> None:
        """Rewrite the database so that it can shrink, if it cannot. Raises NotEnoughDisk."""


class TypescriptTables(Protocol[D]):
    """The tables of the original monitor."""

    def refuse_losses(self, database: D) -> None:
        """Raise ConfigurationError if they have columns, indexes or triggers that would be lost. Reads only."""

    def set_aside(self, database: D) -> Any:
        """Copy their rows, and drop them; give what `bring_back` needs besides."""

    def bring_back(self, database: D, aside: Any) -> tuple[int, int, int]:
        """Put the rows into the new tables; count configurations, snapshots and sessions."""

    def mend_history(self, database: D, table: str, name: str) -> None:
        """Give the only row of the history this name, and its time in seconds."""


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
