"""Whose migrations a runner runs: their directory, the names that their history may have, and their own checks."""

from __future__ import annotations

import importlib.util
import os
import re
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import usage_store
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import peewee

    from usage_store.errors import UsageStoreError
    from usage_store.migrate.files.brought_schemas import Schema

COMMON = "schema_migrations"  # a name that many tools give to their history


class Check(Protocol):
    """A look at an application's own data, for `validate`. Reads only.

    It gives an error for each problem, and a line of text for what is only worth knowing. `full` asks for what takes
    minutes on a large database. It is called on a connected database where at least one migration is applied.
    """

    def __call__(self, database: peewee.Database, *, full: bool) -> Iterable[UsageStoreError | str]:
        """Look, and tell what was found."""


class Project(NamedTuple):
    """A directory of migrations, the names that its history may have, and its own checks.

    Of one name in `tables`, that is the history; of two, the first is COMMON, which others may have taken, and a new
    history gets the second, or COMMON where it is free and the project `takes_common`. `is_known` tells of a database
    whose history in COMMON is this project's though no row of it is. `notices` says what a person should know of a
    database with the project's tables, and `brought` gives the schema after each version on an engine, by its name, for
    databases that have recorded none. In the `seeded` tables its migrations put a row of defaults, in the `upkeep`
    tables what it can do without: neither is a reason for a backup.
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


def usage_tables() -> Project:
    """Give the project of the usage tables; nothing else in this folder knows them."""
    names = COMMON, f"usage_{COMMON}"
    project = Project(_usage_directory(), names, (_usage_checks,), True, _is_original, _usage_notices, _usage_schemas)
    return project._replace(seeded=("usage_config",), upkeep=("usage_store_state",))


def project_of(directory: str | os.PathLike[str] | None, table_name: str | None) -> Project:
    """Give the project of a directory, by default the usage tables'; `table_name` is its history, if it was named.

    Raises ConfigurationError for a name that is no plain identifier.
    """
    if table_name is not None and not table_name.isidentifier():
        raise ConfigurationError(f"{table_name!r}: a history table's name is a plain identifier")
    usage = usage_tables()
    if directory is None or os.path.realpath(directory) == os.path.realpath(usage.directory):
        project = usage
    else:
        project = Project(os.fspath(directory), (COMMON, _own_name(directory)))
    if table_name is None:
        return project
    return project._replace(tables=(table_name,), takes_common=False)


def _own_name(directory: str | os.PathLike[str]) -> str:
    """Name the history of a directory: `<folder>_migrations`, but `app_migrations` for a folder called `migrations`."""
    folder = os.path.basename(os.path.abspath(directory))
    if not folder.isascii():
        from unicodedata import normalize  # noqa: PLC0415  a library of its own, for few folders

        folder = normalize("NFC", folder)  # macOS gives names decomposed
    name = "app" if folder.lower() == "migrations" else re.sub(r"\W", "_", folder).lower()
    table = f"{name}_migrations"
    return table if table.isidentifier() and table not in {COMMON, f"usage_{COMMON}"} else f"app_{table}"


def _usage_directory() -> str:
    """Find the migrations of the usage tables: installed, in an editable install, or in a checkout."""
    package = os.path.dirname(os.path.realpath(usage_store.__file__))
    installed = os.path.join(package, "migrations")
    if os.path.isdir(installed):
        return installed
    spec = importlib.util.find_spec("usage_store.migrations")
    if spec is not None and spec.submodule_search_locations:
        return next(iter(spec.submodule_search_locations))
    return os.path.join(os.path.dirname(package), "migrations")


def _usage_checks(database: Any, *, full: bool) -> Iterator[UsageStoreError | str]:
    # With the models behind it, half of what `check` takes to start.
    from usage_store.models.storage_interface import storage_of  # noqa: PLC0415  as said above

    yield from storage_of(database).maintenance.check_rows(database, full=full)


def _usage_notices(database: peewee.Database) -> Iterable[str]:
    # By its path, as the migrations are: a checkout that is not installed has no such package.
    path = os.path.join(_usage_directory(), "_notices.py")
    module = ModuleType("usage_store.migrations._notices")
    SourceFileLoader(module.__name__, path).exec_module(module)
    lines: Iterable[str] = module.notices(database)
    return lines


def _usage_schemas(engine: str) -> Mapping[int, Schema] | None:
    from usage_store.migrate.files.brought_schemas import read_brought  # noqa: PLC0415  only where schemas are compared

    return read_brought(os.path.join(_usage_directory(), f"_schemas.{engine}.json"))


def _is_original(database: peewee.Database) -> bool:
    """Tell whether the usage tables are those of the original monitor, whose history has another name for version 1."""
    names = set(database.get_tables())
    return {"usage_config", "usage_snapshots"} <= names and "usage_sessions" not in names
