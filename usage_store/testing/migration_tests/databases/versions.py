"""Make the database of each version, from nothing, one migration after the other."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines import engine_at
from usage_store.errors import UsageStoreError
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files.find_files import discover
from usage_store.testing.migration_tests.databases.places import copy_place, open_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from usage_store.migrate.files.migration import Migration
    from usage_store.testing.migration_tests.databases.what_is_tested import Tested


class NotMade(Exception):
    """A version could not be made, because a migration failed on tables without rows."""

    def __init__(self, migration: Migration, error: UsageStoreError) -> None:
        super().__init__(f"{migration} cannot be applied: {error}")
        self.migration = migration
        self.error = error


class Versions:
    """The databases of all versions, each in a file of its own. They have only the rows that the migrations wrote.

    A version is made when it is first asked for. Raises ConfigurationError or RegistryError for wrong file names.
    """

    def __init__(self, tested: Tested, folder: Path) -> None:
        self.tested = tested
        self.files = discover(tested.directory, engine_at(tested.server or "").NAME)
        self._folder = folder
        self._made = 0  # files
        self._failed: NotMade | None = None

    def before(self, migration: Migration) -> Path:
        """Return the file of the version before a migration. Raises NotMade."""
        return self._file(self.files.index(migration))

    def after(self, migration: Migration) -> Path:
        """Return the file of the version that a migration makes. Raises NotMade."""
        return self._file(self.files.index(migration) + 1)

    def version_before(self, migration: Migration) -> int:
        """Return the number of the version before a migration, 0 for nothing."""
        return (0, *(file.version for file in self.files))[self.files.index(migration)]

    def _file(self, count: int) -> Path:
        """Return the file with the first `count` migrations."""
        while self._made <= count:
            if self._failed is not None:
                raise self._failed
            self._make_next()
        return self._folder / f"{count}.db"

    def _make_next(self) -> None:
        growing = self._folder / "growing.db"
        with opened(self.tested, growing) as runner:
            if self._made > 0:
                self._apply(runner, self.files[self._made - 1])
        copy_place(self.tested, growing, self._folder / f"{self._made}.db")
        self._made += 1

    def _apply(self, runner: MigrationRunner, migration: Migration) -> None:
        try:
            runner.migrate(migration.version)
        except UsageStoreError as error:
            self._failed = NotMade(migration, error)
            raise self._failed from error


@contextmanager
def opened(tested: Tested, path: Path) -> Iterator[MigrationRunner]:
    """Open a database of a test for the block, and return its runner. A missing one is created.

    `migrator.dry_run` is True for the migrations, so that they leave alone what is outside the database.
    """
    database = open_place(tested, path)
    try:
        runner = MigrationRunner(database, tested.directory, tested.table, backup=False)
        runner.dry_run = True
        yield runner
    finally:
        database.close()
