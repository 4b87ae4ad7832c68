"""Open the database that the arguments name."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from usage_store.cli.output import complain
from usage_store.cli.progress import Progress
from usage_store.engines import engine_of, lent, open_database
from usage_store.engines.interface.paths_and_urls import default_target, names_an_object
from usage_store.errors import ConfigurationError
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    import peewee

    from usage_store.engines.interface.engine import Missing


@contextmanager
def opened(
    arguments: argparse.Namespace, *, readonly: bool = False, missing: Missing = "create"
) -> Iterator[MigrationRunner]:
    """Open the database that the arguments name; `missing` says what becomes of one that is not there."""
    with database_of(arguments, readonly=readonly, missing=missing, mode=arguments.mode) as database:
        yield MigrationRunner(
            database,
            arguments.directory,
            arguments.table,
            wait=arguments.wait,
            on_wait=say,
            backup=arguments.backup,
            on_progress=Progress(),
        )


@contextmanager
def database_of(
    arguments: argparse.Namespace, *, readonly: bool = False, missing: Missing = "create", mode: int | None = None
) -> Iterator[peewee.Database]:
    """Open the path or URL that the arguments name, or have the application's object that they name."""
    target = target_of(arguments)
    if not names_an_object(arguments.database or ""):  # code runs if it is named here, not by an environment variable
        with closing(
            open_database(target, readonly=readonly, missing=missing, timeout=arguments.wait, mode=mode)
        ) as database:
            engine_of(database).hear_signals(database)
            yield database
        return
    from usage_store.migrate.files.import_by_name import import_object  # noqa: PLC0415  only this case needs it

    try:
        lending = lent(import_object(target), readonly=readonly, missing=missing, mode=mode)
    except ConfigurationError as error:
        raise ConfigurationError(f"{target}: {str(error).removeprefix(f'{target}: ')}") from error
    with lending as database:
        yield database


def target_of(arguments: argparse.Namespace) -> str:
    """Give the path or URL that the arguments name, or the default one."""
    return default_target() if arguments.database is None else str(arguments.database)


def say(line: str) -> None:
    """Tell something on stderr, at once."""
    complain(line)
