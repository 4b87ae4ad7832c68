"""The functions of an engine's sub-packages, which support migrations, schemas, copies and made-up rows.

`D` is the engine's class of databases. An engine documents the details of its functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import peewee

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from playhouse.migrate import SchemaMigrator

    from usage_store.engines.interface.schema_differences import Catalog, State
    from usage_store.engines.interface.schema_objects import SchemaObject
    from usage_store.engines.interface.table_changes import Change
    from usage_store.engines.interface.watch_and_meter import Alone, Meter, SchemaHash, Watch

D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


class Migrating(Protocol[D]):
    """Support for a run of migrations."""

    def alone(
        self, database: D, table: str, wait: float, on_wait: Callable[[str], None]
    ) -> AbstractContextManager[Alone]:
        """Hold the lock for the block, so that no other run uses the history `table`, and set up the connection."""

    def Watch(  # noqa: N802  a class
        self, database: D, fingerprint: SchemaHash, alone: Alone | None = None
    ) -> Watch:
        """Make the object that watches the migrations of one run, in the block of `alone()` or on a copy."""

    def before_each_write(self, database: D, call: Callable[[str], object]) -> AbstractContextManager[None]:
        """Call a function with the SQL of each statement of this connection in the block that may write, before it."""

    def roll_back_if_open(self, database: D) -> bool:
        """Roll back the transaction that a migration left open, and return whether there was one."""

    def transaction(
        self, database: D, ends: Callable[[], AbstractContextManager[None]] = ...
    ) -> AbstractContextManager[None]:
        """Run a migration's block in a transaction that only the runner can commit."""

    def retry_after(self, error: BaseException, tries: int) -> float | None:
        """Return how many seconds to wait before a migration that was rolled back is repeated, or None if it is not.

        `error` ended it, and `tries` is how often it has run.
        """


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

    def tables_as_they_are(self, database: D, tables: Collection[str]) -> tuple[Change, ...]:
        """Return the changes that make tables, named in lower case, as they are now; none without them. Reads only."""


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
        self,
        database: D,
        directory: Path | None,
        on_progress: Callable[[int, int], None] | None,
        hold: Callable[[Any], AbstractContextManager[object]] = ...,
    ) -> AbstractContextManager[peewee.Database]:
        """Open a temporary copy of a database for the block; it is one consistent state. Reads only.

        Instead of a copy, it may be the database itself in a transaction that is rolled back. Then `hold` makes the
        context manager that holds the migration lock.
        """

    def check_copy(self, database: D, copy: D) -> None:
        """Raise ConfigurationError if `copy` is not a copy that the caller has made for a rehearsal. Reads only."""

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
