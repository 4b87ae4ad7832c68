"""Provide a migrated database for a block, with an application pointed at it: the factory behind the fixtures."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from usage_store.errors import ConfigurationError
from usage_store.errors.rejected_input import shown
from usage_store.testing.application import application_of, server_of_tests
from usage_store.testing.point_application import pointed
from usage_store.testing.template import Recipe, new_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import peewee

    from usage_store.testing.project_defaults import ProjectDefaults
    from usage_store.testing.template import Templates

    Migrations = Iterable[tuple[str | Path, str | None] | str | Path]


class MakeUsageDatabase(NamedTuple):
    """The type of the fixture `make_usage_database`, a function for fixtures of module and session scope.

    `defaults_of` gives the settings for a folder of tests, and `fill` the function `usage_store_template` that the
    present test has. `new_folder` makes a folder for each database. Errors are raised inside of `reporting()`.
    """

    templates: Templates
    defaults_of: Callable[[str], ProjectDefaults]
    fill: Callable[[], Callable[[peewee.Database], object] | None]
    new_folder: Callable[[], Path]
    reporting: Callable[[], AbstractContextManager[None]] = nullcontext

    def __call__(
        self,
        *,
        database: peewee.Database | peewee.DatabaseProxy | None = None,
        models: Sequence[type[peewee.Model]] | None = None,
        migrations: Migrations | None = None,
        path: str | Path | None = None,
    ) -> AbstractContextManager[peewee.Database]:
        """Provide a migrated database for a `with` block, as `usage_database` does for a test.

        The arguments are what the fixtures `usage_store_database`, `usage_store_models` and `usage_store_migrations`
        return for a test; without them, the settings of the project are used. A relative directory is taken from the
        folder of the calling file. A file of SQLite is made at `path`, or in pytest's temporary folder. Raises
        ConfigurationError, and what the migrations raise.
        """
        caller = sys._getframe(1).f_code.co_filename  # noqa: SLF001  relative directories begin beside this file
        return self._made(database, models, migrations, path, str(Path(caller).absolute().parent))

    @contextmanager
    def _made(
        self,
        database: peewee.Database | peewee.DatabaseProxy | None,
        models: Sequence[type[peewee.Model]] | None,
        migrations: Migrations | None,
        path: str | Path | None,
        folder: str,
    ) -> Iterator[peewee.Database]:
        with self.reporting():
            defaults = self.defaults_of(folder)
            application = application_of(
                defaults.database if database is None else database, defaults.models if models is None else models
            )
            listed = absolute_migrations(defaults.migrations if migrations is None else migrations, folder)
            file = str(Path(path or self.new_folder() / "usage.db").absolute())
            server = server_of_tests(application.database, defaults.place)
            with copied(self.templates, Recipe(application, listed, self.fill(), server), file) as found:
                yield found


@contextmanager
def copied(templates: Templates, recipe: Recipe, path: str) -> Iterator[peewee.Database]:
    """Copy a template, and point the application of its recipe at the copy in the block.

    The copy is the file at `path`, or, if the recipe names a server, a new schema there, which is dropped after the
    block. Raises ConfigurationError if there is a file already, and what `pointed()` and the migrations raise.
    """
    with new_place(recipe.server, path) as place:
        templates.of(recipe).copy(place)
        with pointed(recipe.application, place, folder=os.path.dirname(path)) as database:  # noqa: PTH120  a str
            yield database


def absolute_migrations(listed: Migrations | str | Path, folder: str) -> tuple[tuple[str, str | None], ...]:
    """Return pairs of an absolute directory and a history table. A relative directory begins at `folder`.

    The table is None for an item without one. Raises ConfigurationError for an item that is neither.
    """
    if isinstance(listed, (str, os.PathLike)):
        listed = [listed]
    found = []
    for item in listed:
        directory, table = item if isinstance(item, tuple) and len(item) == 2 else (item, None)  # noqa: PLR2004  a pair
        if not isinstance(directory, (str, os.PathLike)) or not isinstance(table, str | None):
            raise ConfigurationError(
                f"usage_store_migrations has {shown(item)}; allowed: a directory, or a pair of a directory and the "
                "name of its history table"
            )
        found.append((os.path.join(folder, directory), table))  # noqa: PTH118  it also joins str
    return tuple(found)
