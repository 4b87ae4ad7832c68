"""Take from the project's `pyproject.toml` what the options of a command leave open."""

from __future__ import annotations

import os
from contextlib import chdir, contextmanager, nullcontext
from typing import TYPE_CHECKING

from usage_store.engines.interface.paths_and_urls import names_an_object
from usage_store.errors import ConfigurationError
from usage_store.project_settings import project_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from usage_store.project_settings import ProjectSettings

THE_SETTING = ""  # the value of `--models` and `--from` without a value: the setting `models`
_ON_THE_USAGE_TABLES = ("maintain", "convert")


@contextmanager
def settled(arguments: argparse.Namespace, say: Callable[[str], object]) -> Iterator[None]:
    """Complete the arguments with the project's settings, for a block that runs the command.

    Options win, then `$USAGE_STORE_DATABASE`, then the settings. `arguments.settings` becomes the settings, and
    `arguments.settings_used` the names of those that the command uses; `say` gets one line that names them and their
    file. No file is read if the options leave nothing open. The block runs in the folder of the file if the database is
    an object in the project's code, because the path in such an object usually begins there. Raises
    ConfigurationError for a file with a mistake, and for a folder of migrations that does not exist.
    """
    wanted = _left_open(arguments)
    found = project_settings() if wanted else None
    if found is not None:
        _use(arguments, wanted, found)
    if arguments.models == THE_SETTING:
        raise ConfigurationError(_no_models(arguments))
    if arguments.settings_used:
        say(f"settings: {arguments.settings.file} ({', '.join(arguments.settings_used)})")
    _require_directory(arguments)
    in_code = "database" in arguments.settings_used and names_an_object(arguments.database, arguments.settings.folder)
    if in_code and getattr(arguments, "file", None):
        arguments.file = os.path.abspath(arguments.file)
    if in_code and arguments.directory is not None:
        arguments.directory = os.path.abspath(arguments.directory)
    with chdir(arguments.settings.folder) if in_code else nullcontext():
        if "directory" in arguments.settings_used:
            arguments.directory = _relative(arguments.directory)
        yield


def _relative(path: str) -> str:
    """Return a path as it is shorter to read: from the current folder, if it is inside that."""
    folder = f"{os.getcwd()}{os.sep}"
    return path.removeprefix(folder) if path != folder else path


def _left_open(arguments: argparse.Namespace) -> list[str]:
    """Return the names of the settings that the command may use."""
    command = arguments.words[-1]
    opens = command != "create" or arguments.models is not None
    options = arguments.database, getattr(arguments, "argument", None), os.environ.get("USAGE_STORE_DATABASE") or None
    named = any(each is not None for each in options)  # an empty text is a mistake that its reader names
    on_files = command not in _ON_THE_USAGE_TABLES and not arguments.usage_tables
    is_open = {
        "database": opens and not named,
        "directory": on_files and arguments.directory is None,
        "table": on_files and opens and arguments.table is None,
        "models": arguments.models == THE_SETTING,
    }
    return [name for name, value in is_open.items() if value]


def _use(arguments: argparse.Namespace, wanted: list[str], found: ProjectSettings) -> None:
    if arguments.directory is not None and not _same(arguments.directory, found.directory):
        wanted = [name for name in wanted if name != "table"]  # it is the history table of another folder
    used = [name for name in wanted if getattr(found, name) is not None]
    for name in used:
        setattr(arguments, name, getattr(found, name))
    arguments.settings, arguments.settings_used = found, tuple(used)


def _same(one: str, other: str | None) -> bool:
    return other is not None and os.path.realpath(one) == os.path.realpath(other)


def _no_models(arguments: argparse.Namespace) -> str:
    option = "--from" if arguments.words[-1] == "create" else "--models"
    found: ProjectSettings | None = arguments.settings
    where = "a pyproject.toml" if found is None else found.file
    return (
        f"{option} needs the module of your models, such as {option} myapp.models; or write "
        f'models = "myapp.models" into [tool.usage_store] of {where}'
    )


def _require_directory(arguments: argparse.Namespace) -> None:
    if "directory" not in arguments.settings_used:
        return
    directory = arguments.directory
    if os.path.isfile(directory) and not _is_archive(directory):
        said = "a file, and not a folder of migrations"
    elif arguments.words[-1] != "create" and _is_missing(directory):
        said = "no such directory of migrations; `usage-store migrate create NAME` makes it, with a first migration"
    else:
        return
    raise ConfigurationError(
        f"{directory}: {said}; set by `directory` in [tool.usage_store] of {arguments.settings.file}"
    )


def _is_archive(path: str) -> bool:
    from zipfile import is_zipfile  # noqa: PLC0415  only for a mistake or an archive

    return is_zipfile(path)


def _is_missing(path: str) -> bool:
    """Return whether a path does not exist, and is not inside a file, which may be an archive."""
    if os.path.lexists(path):
        return False
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.path.isdir(path)
