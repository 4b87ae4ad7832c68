"""The functions that a database engine must have: a module with the names of `Engine`.

The sub-packages are imported when they are first used. `D` is the engine's class of databases. An engine documents the
details of its functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, TypeVar

import peewee

if TYPE_CHECKING:
    import os
    from collections import Counter
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from playhouse.migrate import SchemaMigrator

    from usage_store.engines.interface.schema_differences import Catalog, State
    from usage_store.engines.interface.schema_objects import SchemaObject
    from usage_store.engines.interface.table_changes import Change
    from usage_store.engines.interface.watch_and_meter import Alone, Meter, SchemaHash, Watch

Missing = Literal["create", "refuse", "empty"]  # what to do if the database does not exist
D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


class Engine(Protocol[D]):
    """A database engine."""

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

    def own_tables(self, database: D) -> list[str]:
        """List the tables that users created, in alphabetical order. Reads only."""

    def hidden(self, database: D, tables: Iterable[str]) -> list[str]:
        """List those of `tables` that a temporary object of the connection hides or changes. Reads only."""

    def tables_with(self, database: D, column: str) -> list[str]:
        """List tables that may have a column; all that have it are in the list. Reads only."""

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

    def damage(
        self, database: D, *, full: bool = False, most: int = 1, on_unchecked: Callable[[str], object] = ...
    ) -> list[str]:
        """Return the damage that the engine's check finds, `most` lines; report what it cannot check. Reads only."""

    def violations(self, database: D, *, on_unchecked: Callable[[str], object] | None = None) -> Counter[str]:
        """Count the broken foreign keys, with one line per kind; report what cannot be checked. Reads only."""


class Migrating(Protocol[D]):
    """Support for a run of migrations."""

    def alone(
        self, database: D, table: str, wait: float, on_wait: Callable[[str], None]
    ) -> AbstractContextManager[Alone]:
        """Hold the lock for the block, so that no other run uses the history `table`, and set up the connection."""

    def Watch(self, database: D, fingerprint: SchemaHash) -> Watch:  # noqa: N802  a class
        """Make the object that watches the migrations of one run."""

    def before_each_write(self, database: D, call: Callable[[str], object]) -> AbstractContextManager[None]:
        """Call a function with the SQL of each statement of this connection in the block that may write, before it."""

    def roll_back_if_open(self, database: D) -> bool:
        """Roll back the transaction that a migration left open, and return whether there was one."""


class Schema(Protocol[D]):
    """Functions that read and change the schema."""

    def read_catalog(self, database: D, only: Collection[str] | None = None) -> Catalog:
        """Read the whole schema, or the objects named in `only` (lower case) and what is on them. Reads only."""

    def migrator_for(self, database: D) -> SchemaMigrator:
        """Return the migrator for `up` and `down`, which also has `dry_run`, `on_progress` and `backfill`."""


class FromModels(Protocol[D]):
    """Comparison of tables with Peewee models."""

    def model_changes(
        self, database: D, models: Sequence[type[peewee.Model]], renames: Mapping[str, str]
    ) -> tuple[Change, ...]:
        """Return the changes that turn the database's tables into the models' tables, parents first. Reads only."""


class Copies(Protocol[D]):
    """Copies of a database. `on_progress` gets the amount done and the amount in all."""

    def empty_copy(
        self, database: D, wanted: Callable[[str, str], bool] = ...
    ) -> AbstractContextManager[peewee.Database]:
        """Provide a database for the block with the wanted objects (by kind and name) but without rows. Reads only."""

    def compare(
        self,
        database: D,
        expected: Mapping[str, SchemaObject],
        live: Mapping[str, SchemaObject],
        found: Collection[str] = (),
    ) -> tuple[list[str], list[str]]:
        """Return the differences of a live schema from an expected one, and what could not be compared. Reads only.

        `found` are the keys of expected tables that may have any further objects.
        """

    def statements_of(self, scratch: D) -> AbstractContextManager[list[str]]:
        """Collect the statements of the block that changed something and were not rolled back, with their values."""

    def silent_database(self) -> AbstractContextManager[peewee.Database]:
        """Provide a database for the block that runs nothing and answers every query with no rows."""

    def whole_copy(
        self, database: D, directory: Path | None, on_progress: Callable[[int, int], None] | None
    ) -> AbstractContextManager[peewee.Database]:
        """Open a temporary copy of a database for the block; it is one consistent state. Reads only."""

    def Meter(self, database: D) -> Meter:  # noqa: N802  a class
        """Make the object that measures the steps on a whole copy."""

    def read_state(self, database: D, ignore: Collection[str], *, only_rows: bool = False) -> State:
        """Read schema and rows, or the rows alone, without the tables in `ignore` (lower case). Reads only."""

    def read_rows(self, database: D, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table by the names of their columns. Reads only."""

    def raise_counters(self, database: D) -> None:
        """Raise each counter of generated keys, as if the rows with the highest keys had been deleted."""

    def size(self, database: D) -> int:
        """Return the size of a database in bytes. Reads only."""

    def back_up_rows(
        self,
        database: D,
        version: int,
        *,
        ignore: Collection[str] = (),
        seeded: Collection[str] = (),
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Path | None:
        """Back up a database if it has rows, and return the path of the backup; otherwise None.

        Rows in tables of `ignore` do not count, and neither does a row of defaults in a table of `seeded`.
        """

    def back_up_alone(
        self,
        database: D,
        version: int,
        *,
        wait: float,
        on_wait: Callable[[str], None],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Hold the migration lock, back up a database, and return the path of the backup."""

    def restore(
        self,
        target: str | os.PathLike[str],
        backup: Path,
        *,
        version: int = 0,
        wait: float = 30,
        mode: int | None = None,
        on_wait: Callable[[str], None] = ...,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Path | None:
        """Replace the database at a path or URL by a backup, and return the path of the copy of the replaced one."""


class Filling(Protocol[D]):
    """Made-up rows for tests."""

    def fillable_tables(self, database: D) -> list[str]:
        """List the tables that can be filled: neither views nor virtual tables. Reads only."""

    def fill_tables(
        self,
        database: D,
        rows: int,
        values: Mapping[str, Sequence[Any]],
        *,
        seed: int = 1,
        tables: Collection[str] | None = None,
        leave: Collection[str] = (),
    ) -> dict[str, int]:
        """Do what `usage_store.testing.fill` says. `leave` names tables that get no rows unless `tables` names them."""
