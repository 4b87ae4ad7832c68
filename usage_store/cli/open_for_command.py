"""Open the database that the arguments name. If its file is missing, empty or new, a line on stderr names the file."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

from usage_store.cli.output import complain
from usage_store.cli.progress import Progress
from usage_store.engines import engine_of, is_on_a_server, lent, open_database
from usage_store.engines import file_of as file_of_database
from usage_store.engines import place_of as place_of_database
from usage_store.engines.interface.paths_and_urls import default_target, names_an_object, redact
from usage_store.errors import ConfigurationError, DatabaseUnreadable, UsageStoreError
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files import find_files
from usage_store.migrate.files.migrations_folder import project_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    import peewee

    from usage_store.engines.interface.engine import Missing

_MAY_MAKE_USAGE_TABLES = ("migrate", "stamp", "adopt", "plan", "rehearse")
_TYPED = ("database", "directory", "table")  # what a command that a message names must say again


@contextmanager
def opened(
    arguments: argparse.Namespace, *, readonly: bool = False, missing: Missing = "create", silent: bool = False
) -> Iterator[MigrationRunner]:
    """Open the database that the arguments name, for a block. `missing` decides what happens if there is no file.

    A line on stderr names the file if it was created and, unless `silent`, if it is missing or empty.
    """
    _refuse_strangers(arguments)
    reads = readonly or missing == "refuse"
    if not reads and not _is_kept(arguments):  # an error here creates no file for migrations that cannot run
        find_files.discover(project_of(arguments.directory, arguments.table).directory, "")
    with database_of(arguments, readonly=readonly, missing=missing, mode=arguments.mode, silent=silent) as database:
        if reads and not silent and _is_kept(arguments) and not database.get_tables():
            say(f"{named(arguments)}: the database is empty; {_that_creates(arguments)} its tables")
        yield MigrationRunner(
            database,
            arguments.directory,
            arguments.table,
            wait=arguments.wait,
            on_wait=say,
            backup=arguments.backup,
            on_progress=Progress(),
        )


def _refuse_strangers(arguments: argparse.Namespace) -> None:
    # Opened for reading only, because opening a file for writing changes its journal mode.
    if arguments.words[-1] in _MAY_MAKE_USAGE_TABLES and arguments.directory is None and not arguments.usage_tables:
        from usage_store.cli.project.other_programs_tables import refuse_strangers  # noqa: PLC0415  not for `check`

        with database_of(arguments, readonly=True, missing="empty", silent=True) as database:
            refuse_strangers(database, named(arguments))


@contextmanager
def database_of(
    arguments: argparse.Namespace,
    *,
    readonly: bool = False,
    missing: Missing = "create",
    mode: int | None = None,
    silent: bool = False,
) -> Iterator[peewee.Database]:
    """Open the path or URL that the arguments name, or borrow the application's object that they name."""
    file = file_of(arguments)
    is_new = file != "" and not is_there(file)
    if is_new and missing != "empty" and (readonly or missing == "refuse"):
        raise DatabaseUnreadable(f"{named(arguments)}: no such database; {_how_to_create(arguments, file)}")
    with ExitStack() as stack:
        with blamed(arguments, "database"):
            database = stack.enter_context(
                _opened(_target(arguments), arguments.wait, readonly=readonly, missing=missing, mode=mode)
            )
        if is_new and missing == "create":
            say(f"created {named(arguments)}")
        elif is_new and not silent:
            say(f"{named(arguments)}: there is no database yet; {_how_to_create(arguments, file)}")
        yield database


@contextmanager
def _opened(
    target: str | peewee.Database | peewee.DatabaseProxy,
    wait: float,
    *,
    readonly: bool,
    missing: Missing,
    mode: int | None,
) -> Iterator[peewee.Database]:
    if not isinstance(target, str):
        with lent(target, readonly=readonly, missing=missing, mode=mode) as database:
            yield database
        return
    with closing(open_database(target, readonly=readonly, missing=missing, timeout=wait, mode=mode)) as database:
        engine_of(database).hear_signals(database)
        yield database


def target_of(arguments: argparse.Namespace) -> str:
    """Return the path, URL or object name in the arguments, or the default path."""
    return default_target() if arguments.database is None else str(arguments.database)


def _target(arguments: argparse.Namespace) -> str | peewee.Database | peewee.DatabaseProxy:
    """Return the path or URL, or the application's database object, if the arguments name one."""
    target = target_of(arguments)
    if not names_an_object(
        arguments.database or ""
    ):  # an option or a setting may name code to run, the environment not
        return target
    from usage_store.migrate.files.import_by_name import import_object  # noqa: PLC0415  only this case needs it

    try:
        found: peewee.Database | peewee.DatabaseProxy = import_object(target, may_connect=arguments.models is None)
        _refuse_without_a_file(found)
        engine_of(found)
    except ConfigurationError as error:
        raise ConfigurationError(f"{target}: {str(error).removeprefix(f'{target}: ')}") from error
    return found


def _refuse_without_a_file(database: Any) -> None:
    """Raise ConfigurationError for a database that the application points at its file later than at the import."""
    if getattr(database, "obj", database) is None:
        said = "the DatabaseProxy is not initialised when the module is imported"
    elif getattr(database, "deferred", False):
        said = "the database is deferred: it has no path when the module is imported"
    else:
        return
    raise ConfigurationError(f"{said}; name the file of the database instead, such as app.db")


def file_of(arguments: argparse.Namespace) -> str:
    """Return the absolute path of the database's file, or an empty text for a database in memory. Reads only."""
    with blamed(arguments, "database"):
        return file_of_database(_target(arguments))


def place_of(arguments: argparse.Namespace) -> str:
    """Return the absolute path of the database's file, its URL on a server, or an empty text for one in memory."""
    with blamed(arguments, "database"):
        return place_of_database(_target(arguments))


def named(arguments: argparse.Namespace) -> str:
    """Return the name of the database for a message: its place, and the environment variable if it was used."""
    by_variable = arguments.database is None and os.environ.get("USAGE_STORE_DATABASE")
    place = place_of(arguments) or "the database in memory"
    return f"{place} (from $USAGE_STORE_DATABASE)" if by_variable else place


def _how_to_create(arguments: argparse.Namespace, file: str) -> str:
    first = "" if os.path.isdir(os.path.dirname(file)) else "create its folder first, then "
    return f"{first}{_that_creates(arguments)} it"


def _that_creates(arguments: argparse.Namespace) -> str:
    return f"`usage-store migrate{typed_options(arguments)}` creates"


def typed_options(arguments: argparse.Namespace) -> str:
    """Return the options that a command in a message needs to mean the same database, folder and history table.

    What comes from the project's settings is left out, because the settings apply to the next command too.
    """
    import shlex  # noqa: PLC0415  only a message needs it

    typed = {name: getattr(arguments, name) for name in _TYPED if name not in arguments.settings_used}
    if typed.get("database") is not None and not names_an_object(typed["database"]):
        typed["database"] = redact(typed["database"]) if is_on_a_server(typed["database"]) else file_of(arguments)
    options = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in typed.items() if value is not None)
    return f"{options} --usage-tables" if arguments.usage_tables else options


def _is_kept(arguments: argparse.Namespace) -> bool:
    """Return whether the database is on a server, or its file exists. Reads only."""
    with blamed(arguments, "database"):
        return is_on_a_server(_target(arguments)) or is_there(file_of(arguments))


def is_there(file: str) -> bool:
    """Return whether a file exists. Reads only.

    Returns True for a path that cannot be read, so that the error message comes from opening the file.
    """
    try:
        os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def file_named(arguments: argparse.Namespace) -> Iterator[None]:
    """Put the name of the database before the message of a ConfigurationError that the block raises."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{named(arguments)}: {error}") from error


def say(line: str) -> None:
    """Print a line on stderr immediately."""
    complain(line)


@contextmanager
def blamed(arguments: argparse.Namespace, *names: str) -> Iterator[None]:
    """Name the settings and their file in an error that the block raises, if the values come from there."""
    try:
        yield
    except UsageStoreError as error:
        used = [name for name in names if name in arguments.settings_used]
        if used:
            names_used = " and ".join(f"`{name}`" for name in used)
            error.add_note(f"set by {names_used} in [tool.usage_store] of {arguments.settings.file}")
        raise
