"""The functions that a database engine must have: a module with the names of `Engine`.

The sub-packages are imported when they are first used. `D` is the engine's class of databases. An engine documents the
details of its functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NoReturn, Protocol, TypeVar

import peewee

if TYPE_CHECKING:
    import os
    from collections import Counter
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from usage_store.engines.interface.rooms import Copies, Filling, FromModels, Migrating, Schema
    from usage_store.engines.interface.watch_and_meter import SchemaHash

Missing = Literal["create", "refuse", "empty"]  # what to do if the database does not exist
D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


class Engine(Protocol[D]):
    """A database engine."""

    ON_A_SERVER: bool  # whether databases are on a server; otherwise they are files
    NAME: str  # part of the file name of a migration for this engine only: `NNN_name.NAME.py`
    COLUMN_TYPES: Mapping[str, str]  # for the history and log tables: for `int`, `id`, `bytes`, `float`
    VIOLATIONS_HINT: str  # tells a person how to list rows with broken foreign keys
    ANY_VALUE: str  # SQL that reads any value of a column as bytes or text

    @property
    def migrating(self) -> Migrating[D]:
        """The sub-package that supports a run of migrations."""

    @property
    def schema(self) -> Schema[D]:
        """The sub-package that reads and changes the schema."""

    @property
    def from_models(self) -> FromModels[D]:
        """The sub-package that compares tables with Peewee models."""

    @property
    def copies(self) -> Copies[D]:
        """The sub-package that copies databases."""

    @property
    def filling(self) -> Filling[D]:
        """The sub-package that fills tables with made-up rows."""

    def owns(self, kind: type[peewee.Database]) -> bool:
        """Return whether this engine supports a class of databases. Raises ConfigurationError if it cannot be used."""

    def open_database(
        self,
        target: str | os.PathLike[str],
        *,
        readonly: bool = False,
        missing: Missing = "create",
        timeout: float = 5,
        mode: int | None = None,
    ) -> peewee.Database:
        """Open a database by its path or URL, and connect it in this thread."""

    def lent(
        self, database: D, *, readonly: bool = False, missing: Missing = "create", mode: int | None = None
    ) -> AbstractContextManager[peewee.Database]:
        """Use an application's own database in the block: connected, and with writes refused if `readonly`."""

    def file_of(self, database: str | os.PathLike[str] | D) -> str:
        """Return the absolute path of the file of a path, URL or database; empty for one in memory. Reads only."""

    def name_of(self, database: str | os.PathLike[str] | D) -> str:
        """Return how messages name a path, URL or database: by its path or URL, without a password. Opens nothing."""

    def hear_signals(self, database: D) -> None:
        """Let Python's signal handlers run during a long statement; an error of a handler ends the statement."""

    def driver_errors(self, *others: type[Exception]) -> tuple[type[Exception], ...]:
        """Return the error classes of this engine's drivers in this process, and `others`."""

    def readable_errors(self, name: str, *, reading: bool = False) -> AbstractContextManager[None]:
        """Turn errors of a broken, locked or unreachable database into a one-line error of this package."""

    def raise_of_a_statement(self, error: Exception, name: str) -> NoReturn:
        """Raise the DatabaseError for what a statement raised, or the error itself if the database is not to blame."""

    def refuse_readonly(self, database: D) -> None:
        """Raise ReadOnlyDatabase if the connection was opened for reading only. Reads only."""

    def close_all(self, database: D) -> None:
        """Close the connection of this thread, and those of other threads and pools that can be closed from here."""

    def close_anyway(self, database: D) -> None:
        """Close the connections that can be closed from here, also in a transaction, which is rolled back."""

    def database_at(self, path: str) -> peewee.Database:
        """Return a closed database for a file that exists. Opens nothing."""

    def options_of(self, database: D) -> str:
        """Return a text with the options of the connections of a database. Opens nothing."""

    def pointed_at(self, database: D, path: str) -> AbstractContextManager[None]:
        """Let a database use another file in the block, closed at its start and at its end; then all is as before."""

    def is_disk_failure(self, error: BaseException) -> bool:
        """Return whether an error means that the disk is full or fails."""

    def is_locked(self, error: BaseException) -> bool:
        """Return whether an error means that another connection holds a lock."""

    def plain_connection(self, database: D) -> AbstractContextManager[None]:
        """Switch off for the block what an application has set on its connection."""

    def check_version(self, database: D) -> None:
        """Raise ConfigurationError if the version of an open database is too old. Reads only."""

    def is_in_memory(self, database: D) -> bool:
        """Return whether closing the database would delete it, because it is in memory. Reads only."""

    def kind_of(self, database: D, name: str) -> str | None:
        """Return what a name belongs to, in any case of letters: "table", "view" or None. Reads only."""

    def has_columns(self, database: D, table: str, columns: Mapping[str, str]) -> bool:
        """Return whether a table has columns for `int`, `text`, `bytes` or `float`, as `columns` says. Reads only."""

    def own_tables(self, database: D) -> list[str]:
        """List the tables that users created, in alphabetical order. Reads only."""

    def hidden(self, database: D, tables: Iterable[str]) -> list[str]:
        """List those of `tables` that a temporary object of the connection hides or changes. Reads only."""

    def tables_with(self, database: D, column: str) -> list[str]:
        """List tables that may have a column; all that have it are in the list. Reads only."""

    def tables_having(self, database: D, *wanted: Mapping[str, str]) -> tuple[frozenset[str], ...]:
        """Return for each of `wanted` the tables that have these columns, in the sense of `has_columns`. Reads only."""

    def rename_table(self, database: D, table: str, name: str) -> None:
        """Rename a table that nothing refers to."""

    def Fingerprint(self, database: D) -> SchemaHash:  # noqa: N802  a class
        """Make the object that hashes the schema."""

    def in_transaction(self, database: D) -> bool:
        """Return whether a transaction is open, no matter whether peewee or an SQL statement opened it."""

    def write_transaction(
        self, database: D, ends: Callable[[], AbstractContextManager[None]] = ...
    ) -> AbstractContextManager[None]:
        """Take the write lock, run the block and commit; if something fails, raise the first error."""

    def one_view(self, database: D) -> AbstractContextManager[object]:
        """Run the block in a transaction in which all statements read the same state of the database."""

    def damage(
        self, database: D, *, full: bool = False, most: int = 1, on_unchecked: Callable[[str], object] = ...
    ) -> list[str]:
        """Return the damage that the engine's check finds, `most` lines; report what it cannot check. Reads only."""

    def violations(self, database: D, *, on_unchecked: Callable[[str], object] | None = None) -> Counter[str]:
        """Count the broken foreign keys, with one line per kind; report what cannot be checked. Reads only."""
