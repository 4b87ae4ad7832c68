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

    from usage_store.models.fields.snapshot_input import Row
    from usage_store.models.fields.time_window import Window
    from usage_store.models.storage_rooms import CopyRows, FollowEvents, Maintenance, TypescriptTables

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
