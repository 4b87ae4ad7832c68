"""Describe a directory of migrations: the possible names of its history table, its checks and its notices."""

from __future__ import annotations

import importlib.util
import os
import re
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import usage_store
from usage_store.engines import engine_of
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from importlib.resources.abc import Traversable

    import peewee

    from usage_store.errors import UsageStoreError
    from usage_store.migrate.files.brought_schemas import Schema

COMMON = "schema_migrations"  # many tools use this name for their history table


class Check(Protocol):
    """A function that checks the data of an application during `validate`. It must only read.

    It returns an error for each problem, and a line of text for each notice. With `full` it may take minutes on a large
    database. It is called on a connected database that has at least one applied migration.
    """

    def __call__(self, database: peewee.Database, *, full: bool) -> Iterable[UsageStoreError | str]:
        """Check the data, and return errors and notices."""


class Project(NamedTuple):
    """A directory of migrations, the possible names of its history table, and its checks.

    `tables` has one or two names. One name is the name of the history table. Of two names, the first is COMMON, which
    another program may use already. A new history table gets the second name; with `takes_common`, it gets COMMON if
    that is free. `is_known` returns True if the history in COMMON belongs to this project, even if none of its rows
    names a file of the project. `checks` are run by `validate`. `notices` returns lines about a database. They replace
    the `notices(db)` functions of the versions in `speaks_for`. `brought` returns the schema after each version for the
    engine of this name, for databases whose log has no recorded schema.

    The `seeded` tables have one row of defaults from a migration. The rows of the `upkeep` tables can be created again.
    Neither kind of rows needs a backup.
    """

    directory: str
    tables: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    takes_common: bool = False
    is_known: Callable[[peewee.Database], bool] = lambda _database: False
    notices: Callable[[peewee.Database], Iterable[str]] = lambda _database: ()
    brought: Callable[[str], Mapping[int, Schema] | None] = lambda _engine: None
    seeded: tuple[str, ...] = ()
    upkeep: tuple[str, ...] = ()
    speaks_for: tuple[int, ...] = ()


def usage_tables() -> Project:
    """Return the project of the usage tables. Only this function and its helpers know the usage tables here."""
    names = COMMON, f"usage_{COMMON}"
    project = Project(_usage_directory(), names, (_usage_checks,), True, _is_original, _usage_notices, _usage_schemas)
    return project._replace(
        seeded=("usage_config",), upkeep=("usage_store_state", "usage_sessions_ended"), speaks_for=(1, 3)
    )


def project_of(directory: str | os.PathLike[str] | Traversable | None, table_name: str | None) -> Project:
    """Return the project of a directory; without a directory, the project of the usage tables.

    `table_name` is the name of the history table, if the caller chose one. Raises ConfigurationError if it is not a
    plain identifier.
    """
    if table_name is not None and not table_name.isidentifier():
        raise ConfigurationError(
            f"{table_name!r}: not a name for a history table; allowed: letters, digits and _, with no digit first"
        )
    usage = usage_tables()
    if directory is not None and not isinstance(directory, str | os.PathLike):
        directory = os.path.dirname(str(directory / "_"))  # a folder of several parts has a path only for its files
    if directory is None or os.path.realpath(directory) == os.path.realpath(usage.directory):
        project = usage
    else:
        project = Project(os.fspath(directory), (COMMON, _own_name(directory)))
    if table_name is None:
        return project
    return project._replace(tables=(table_name,), takes_common=False)


def _own_name(directory: str | os.PathLike[str]) -> str:
    """Return the default name of a history table: `<folder>_migrations`, or `app_migrations` for `migrations`."""
    folder = os.path.basename(os.path.abspath(directory))
    if not folder.isascii():
        from unicodedata import normalize  # noqa: PLC0415  few folders need it, and the import takes time

        folder = normalize("NFC", folder)  # macOS returns names in decomposed form
    name = "app" if folder.lower() == "migrations" else re.sub(r"\W", "_", folder).lower()
    table = f"{name}_migrations"
    return table if table.isidentifier() and table not in {COMMON, f"usage_{COMMON}"} else f"app_{table}"


def _usage_directory() -> str:
    """Return the directory of the usage tables' migrations: of an installation, an archive, or a checkout."""
    package = os.path.dirname(os.path.realpath(usage_store.__file__))
    installed = os.path.join(package, "migrations")
    if os.path.isdir(installed):
        return installed
    spec = importlib.util.find_spec("usage_store.migrations")
    if spec is not None and spec.submodule_search_locations:
        return os.path.abspath(next(iter(spec.submodule_search_locations)))
    return os.path.join(os.path.dirname(package), "migrations")


def _usage_checks(database: Any, *, full: bool) -> Iterator[UsageStoreError | str]:
    # This imports the models, which would take half of the start-up time of `check`.
    from usage_store.models.storage_interface import storage_of  # noqa: PLC0415  see above

    yield from storage_of(database).maintenance.check_rows(database, full=full)


def _usage_notices(database: peewee.Database) -> Iterable[str]:
    # Loaded by its path, like the migrations: in a checkout that is not installed, the package cannot be imported.
    path = os.path.join(_usage_directory(), f"_notices.{engine_of(database).NAME}.py")
    from usage_store.migrate.files.modules_of_a_folder import FileLoader  # noqa: PLC0415  `check` needs no notices

    module = ModuleType("usage_store.migrations._notices")
    FileLoader(module.__name__, path).exec_module(module)
    lines: Iterable[str] = module.notices(database)
    return lines


def _usage_schemas(engine: str) -> Mapping[int, Schema] | None:
    from usage_store.migrate.files.brought_schemas import read_brought  # noqa: PLC0415  only needed when schemas are compared

    return read_brought(os.path.join(_usage_directory(), f"_schemas.{engine}.json"))


def _is_original(database: peewee.Database) -> bool:
    """Return whether the usage tables are those of the original monitor, which gave version 1 another name."""
    names = set(database.get_tables())
    return {"usage_config", "usage_snapshots"} <= names and "usage_sessions" not in names
