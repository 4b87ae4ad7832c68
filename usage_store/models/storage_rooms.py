"""The functions of a storage beside those of its rows: for the host's events, maintenance, and older tables.

`D` is the class of databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import peewee

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from usage_store.errors import UsageStoreError
    from usage_store.models.fields.retention_limits import Forecast, Goals

    Recording = Callable[[], AbstractContextManager[None]]

D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


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


class CopyRows(Protocol[D]):
    """The functions that read and write whole stores: every row with its id."""

    def doubtful(
        self, database: D, after: int, sessions: Container[str]
    ) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
        """Yield how many snapshots were looked at, and those of them that another database may refuse. Reads only.

        They are the rows with ids above `after` whose session is not one of `sessions`, or whose text is not known to
        be JSON, cannot be read, or has the character NUL. The values after the text are of no use.
        """

    def unfit(self, database: D, session_id: str, text: str) -> str | None:
        """Return why this database cannot hold a session id or a text, or None if it can. Reads only."""

    @property
    def WRITERS(self) -> int:  # noqa: N802  a constant
        """How many connections can write at the same time."""

    def pages(self, database: D, after: int, last: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the snapshots with ids above `after`, up to `last`, by id. Reads only.

        They come in lists of rows as `recent()` returns them.
        """

    def sessions(self, database: D) -> dict[str, int]:
        """Return the sessions with the times of their registration (seconds, UTC). Reads only."""

    def put_configurations(self, database: D, columns: Sequence[str], rows: Sequence[Any]) -> None:
        """Replace all configurations."""

    def put_sessions(self, database: D, rows: Mapping[str, int]) -> None:
        """Insert sessions with the times of their registration. Those that are there get these times."""

    def put_snapshots(self, database: D, rows: Iterable[Sequence[Any]]) -> None:
        """Insert snapshots with their ids in one transaction. `rows` is read meanwhile."""

    def last_ids(self, database: D, tables: Sequence[str]) -> dict[str, int]:
        """Return the highest id that each table has ever given to a row. Reads only."""

    def raise_ids(self, database: D, table: str, last: int) -> None:
        """Let the next id of a table be above `last` and above the ids of all rows."""


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
