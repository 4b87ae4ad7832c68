"""Open the database that the arguments name, and what a command gives back."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.cli.output import complain
from usage_store.engines.interface.paths_and_urls import default_target
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


class Outcome(NamedTuple):
    """A command's exit code, its lines for a person, and the same as data."""

    code: int
    lines: Sequence[str]
    data: Any


@contextmanager
def opened(
    arguments: argparse.Namespace, *, readonly: bool = False, or_empty: bool = False
) -> Iterator[MigrationRunner]:
    """Open the database that the arguments name; with `or_empty`, a missing file is an empty database."""
    target = default_target() if arguments.database is None else arguments.database
    if or_empty and "://" not in target and not os.path.exists(target):
        target, readonly = ":memory:", False
    database = open_database(target, readonly=readonly, timeout=arguments.wait, mode=arguments.mode)
    try:
        yield MigrationRunner(
            database,
            arguments.directory,
            arguments.table,
            wait=arguments.wait,
            on_wait=say,
            backup=arguments.backup,
            on_progress=_progress,
        )
    finally:
        database.close()


@contextmanager
def opened_if_there(arguments: argparse.Namespace) -> Iterator[MigrationRunner]:
    """Open the database to write, but do not make one."""
    with opened(arguments, readonly=True):
        pass
    with opened(arguments) as runner:
        yield runner


def say(line: str) -> None:
    """Tell something on stderr, at once."""
    complain(line)


def _progress(what: str, done: int, total: int) -> None:
    from usage_store.cli.progress import progress

    progress(what, done, total)
