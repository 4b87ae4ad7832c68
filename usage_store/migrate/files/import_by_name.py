"""Import a module or an object that is named on the command line or in settings. This runs code of the application."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from usage_store.engines import place_of
from usage_store.errors import ConfigurationError
from usage_store.migrate.files.look_at_databases import before_each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import peewee


def import_module(name: str, *, may_connect: bool = True) -> ModuleType:
    """Import a module. Modules of the current folder can be imported too.

    What the module prints goes to stderr, because stdout is for the result of the command. Raises ConfigurationError
    for any error that the import raises, except KeyboardInterrupt. Without `may_connect`, it is also an error if the
    import connects a Peewee database that is not in memory; that database is neither created nor opened.
    """
    try:
        with (
            importable(str(Path.cwd())),
            redirect_stdout(sys.stderr),
            not_ending_the_process(),
            nullcontext() if may_connect else before_each("connect", _refuse_if_kept),
        ):
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except _OpensADatabase as error:
        raise ConfigurationError(f"{name}: {error}") from error
    except BaseException as error:  # includes SystemExit, which must not end the program as a success
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{name}: cannot be imported: {type(error).__name__}: {reason}") from error


@contextmanager
def importable(folder: str) -> Iterator[None]:
    """Let the modules of a folder be imported in the block."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(folder)


def import_object(spec: str, *, may_connect: bool = True) -> Any:
    """Import `package.module:name` or `package.module:name.attribute`. Raises as `import_module`."""
    module, _, name = spec.partition(":")
    try:
        return attrgetter(name)(import_module(module, may_connect=may_connect))
    except AttributeError as error:
        raise ConfigurationError(f"{spec}: {module} has no {name}") from error


@contextmanager
def not_ending_the_process() -> Iterator[None]:
    """Let `os._exit` raise SystemExit in the block. Otherwise foreign code could end this process as a success."""
    end, process = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != process:  # a process that the block has forked
            end(status)
        raise SystemExit(status)

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = end


class _OpensADatabase(ConfigurationError):
    """An import connects a database that is not in memory."""


def _refuse_if_kept(database: peewee.Database) -> None:
    """Raise an error for a database that is not in memory."""
    name = _name_of(database)
    if name:
        raise _OpensADatabase(
            f"the import opens the database {name}, which an import must not do; connect, and create tables, in a "
            "function that the application calls when it starts"
        )


def _name_of(database: peewee.Database) -> str:
    if database.deferred:
        return ""
    try:
        return place_of(database)
    except ConfigurationError:  # of another kind, such as MySQL
        return str(database.database)
