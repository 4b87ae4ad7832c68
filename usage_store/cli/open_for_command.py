"""Open the database that the arguments name."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from usage_store.cli.output import complain
from usage_store.cli.progress import Progress
from usage_store.engines import open_database
from usage_store.engines.interface.paths_and_urls import default_target
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from usage_store.engines.interface.engine import Missing


@contextmanager
def opened(
    arguments: argparse.Namespace, *, readonly: bool = False, missing: Missing = "create"
) -> Iterator[MigrationRunner]:
    """Open the database that the arguments name; `missing` says what becomes of one that is not there."""
    database = open_database(
        target_of(arguments), readonly=readonly, missing=missing, timeout=arguments.wait, mode=arguments.mode
    )
    with closing(database):
        yield MigrationRunner(
            database,
            arguments.directory,
            arguments.table,
            wait=arguments.wait,
            on_wait=say,
            backup=arguments.backup,
            on_progress=Progress(),
        )


def target_of(arguments: argparse.Namespace) -> str:
    """Give the path or URL that the arguments name, or the default one."""
    return default_target() if arguments.database is None else str(arguments.database)


def say(line: str) -> None:
    """Tell something on stderr, at once."""
    complain(line)
