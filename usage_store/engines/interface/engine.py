"""What is asked of a database engine: a module with these names, and rooms that are loaded when they are asked for.

`D` is the engine's kind of database. What a function does in all detail stands where an engine makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

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
    from usage_store.errors import DatabaseError

Missing = Literal["create", "refuse", "empty"]  # what becomes of a database that is not there
D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


class Engine(Protocol[D]):
    """A database engine."""

    NAME: str  # in the names of a migration's variants for it: `NNN_name.NAME.py`
    COLUMN_TYPES: Mapping[str, str]  # of histories and logs: for `int`, `id`, `bytes` and `float`
    VIOLATIONS_HINT: str  # how a person lists the rows without the rows that they refer to
    ANY_VALUE: str  # SQL for a column's value as bytes or text, whatever it holds

    @property
    def migrating(self) -> Migrating[D]:
        """The room for what a run needs around it."""

    @property
    def schema(self) -> Schema[D]:
        """The room for reading and changing the schema."""

    @property
    def from_models(self) -> FromModels[D]:
        """The room for tables from Peewee models."""

    @property
    def copies(self) -> Copies[D]:
        """The room for copies."""

    def owns(self, kind: type[peewee.Database]) -> bool:
        """Tell whether databases of a class are this engine's. Raises ConfigurationError if they cannot be used."""

    def open_database(
        self,
        target: str | os.PathLike[str],
        *,
        readonly: bool = False,
        missing: Missing = "create",
        timeout: float = 5,
        mode: int | None = None,
    ) -> peewee.Database:
        """Open a database by its path or URL, connected on this thread."""

    def lent(
        self, database: D, *, readonly: bool = False, missing: Missing = "create", mode: int | None = None
    ) -> AbstractContextManager[peewee.Database]:
        """Have an application's own database connected for the block, and nothing written through it if `readonly`."""

    def file_of(self, database: str | os.PathLike[str] | D) -> str:
        """Give the absolute path of the file of a path, URL or database; it is empty for one in memory. Reads only."""

    def hear_signals(self, database: D) -> None:
        """Let Python hear signals within a long statement, too: what a handler raises ends it."""

    def driver_errors(self, *others: type[Exception]) -> tuple[type[Exception], ...]:
        """Give what this engine's drivers of this process raise, and `others`."""

    def readable_errors(self, name: str, *, reading: bool = False) -> AbstractContextManager[None]:
        """Turn what the engine says of a broken, locked or unreachable database into one line of ours."""

    def of_a_statement(self, error: Exception, name: str) -> DatabaseError | None:
        """Give the DatabaseError for what a statement raised, or None if the database is not to blame."""

    def refuse_readonly(self, database: D) -> None:
        """Raise ReadOnlyDatabase if the connection was opened for reading only. Reads only."""

    def close_all(self, database: D) -> None:
        """Close the connection of this thread, and those of other threads and pools that can be closed from here."""

    def is_disk_failure(self, error: BaseException) -> bool:
        """Tell whether an error says that the disk is full or fails."""

    def is_locked(self, error: BaseException) -> bool:
        """Tell whether an error says that another connection holds a lock."""

    def plain_connection(self, database: D) -> AbstractContextManager[None]:
        """Be without what an application set on its connection for the block."""

    def check_version(self, database: D) -> None:
        """Raise ConfigurationError if an open database is of a version too old. Reads only."""

    def is_in_memory(self, database: D) -> bool:
        """Tell whether a database is gone when it is closed. Reads only."""

    def kind_of(self, database: D, name: str) -> str | None:
        """Tell what has a name, in any case of letters: "table", "view" or None. Reads only."""

    def own_tables(self, database: D) -> list[str]:
        """Name the tables that somebody made, in alphabetical order. Reads only."""

    def hidden(self, database: D, tables: Iterable[str]) -> list[str]:
        """Name those of some tables that a temporary object of the connection hides or changes. Reads only."""

    def tables_with(self, database: D, column: str) -> list[str]:
        """Name tables among which are all that have a column. Reads only."""

    def rename_table(self, database: D, table: str, name: str) -> None:
        """Rename a table that nothing refers to."""

    def Fingerprint(self, database: D) -> SchemaHash:  # noqa: N802  a class
        """Make a hash of the schema."""

    def in_transaction(self, database: D) -> bool:
        """Tell whether a transaction is open, by peewee's means or by a statement."""

    def write_transaction(
        self, database: D, ends: Callable[[], AbstractContextManager[None]] = ...
    ) -> AbstractContextManager[None]:
        """Take the write lock for the block and commit; the first error is the one that is raised."""

    def damage(
        self, database: D, *, full: bool = False, most: int = 1, on_unchecked: Callable[[str], object] = ...
    ) -> list[str]:
        """Give what the engine's own check finds wrong, a line each; tell what it cannot check here. Reads only."""

    def violations(self, database: D, *, on_unchecked: Callable[[str], object] | None = None) -> Counter[str]:
        """Count the foreign-key violations by kind, one line a kind; tell what cannot be checked here. Reads only."""


class Migrating(Protocol[D]):
    """What a run of migrations needs around it."""

    def alone(
        self, database: D, table: str, wait: float, on_wait: Callable[[str], None]
    ) -> AbstractContextManager[Alone]:
        """Be the only run on the history `table`, the connection set up for it."""

    def Watch(self, database: D, fingerprint: SchemaHash) -> Watch:  # noqa: N802  a class
        """Make a watch over the migrations of one run."""

    def roll_back_if_open(self, database: D) -> bool:
        """Roll back what a migration left open on the connection, and tell whether there was anything."""


class Schema(Protocol[D]):
    """Reading and changing the schema."""

    def read_catalog(self, database: D, only: Collection[str] | None = None) -> Catalog:
        """Read the whole schema, or what is named in `only` (lower case) and what is on these tables. Reads only."""

    def migrator_for(self, database: D) -> SchemaMigrator:
        """Give the migrator that `up` and `down` are handed; it has `dry_run`, `on_progress` and `backfill` too."""


class FromModels(Protocol[D]):
    """Tables from Peewee models."""

    def model_changes(
        self, database: D, models: Sequence[type[peewee.Model]], renames: Mapping[str, str]
    ) -> tuple[Change, ...]:
        """List what makes the database's tables those of the models, parents before children. Reads only."""


class Copies(Protocol[D]):
    """Copies: without rows, of everything for a while, and lasting ones. `on_progress` is told how much of how much."""

    def empty_copy(
        self, database: D, wanted: Callable[[str, str], bool] = ...
    ) -> AbstractContextManager[peewee.Database]:
        """Have a database for the block with the wanted objects, by kind and name, and no rows. Reads only."""

    def compare(
        self,
        database: D,
        expected: Mapping[str, SchemaObject],
        live: Mapping[str, SchemaObject],
        found: Collection[str] = (),
    ) -> tuple[list[str], list[str]]:
        """Name the differences of a live schema from an expected one, and what could not be compared. Reads only.

        `found` has the keys of expected tables on which there may be anything else.
        """

    def statements_of(self, scratch: D) -> AbstractContextManager[list[str]]:
        """Collect the statements of the block that changed something and lasted, values in them."""

    def silent_database(self) -> AbstractContextManager[peewee.Database]:
        """Have a database for the block that runs nothing and answers every query with no rows."""

    def whole_copy(
        self, database: D, directory: Path | None, on_progress: Callable[[int, int], None] | None
    ) -> AbstractContextManager[peewee.Database]:
        """Open a copy of a database for the block, one consistent state of it. Reads only."""

    def Meter(self, database: D) -> Meter:  # noqa: N802  a class
        """Make what measures the steps on a whole copy."""

    def read_state(self, database: D, ignore: Collection[str]) -> State:
        """Read all of a database but the tables in `ignore` (lower case). Reads only."""

    def size(self, database: D) -> int:
        """Give a database's size in bytes. Reads only."""

    def back_up_rows(
        self,
        database: D,
        version: int,
        *,
        ignore: Collection[str] = (),
        seeded: Collection[str] = (),
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Path | None:
        """Back up a database with rows outside `ignore`, but for a row of defaults in each of the `seeded` tables."""

    def back_up_alone(
        self,
        database: D,
        version: int,
        *,
        wait: float,
        on_wait: Callable[[str], None],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Back up a database under the migration lock, and give the backup's path."""

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
        """Replace the database at a path or URL by a backup, and give the path where the replaced one is kept."""
