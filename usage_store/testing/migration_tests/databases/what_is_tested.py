"""Find the migrations that a class of tests is about, and what their files say about themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from usage_store.errors import ConfigurationError
from usage_store.migrate.files.load_file import Loader
from usage_store.migrate.files.migrations_folder import project_of
from usage_store.project_settings import project_settings

if TYPE_CHECKING:
    from usage_store.migrate.files.migration import Migration


class Tested(NamedTuple):
    """The migrations that are tested: their folder, their history table, and the models that they should agree with.

    `models` may be None. Modules of the project are imported from `folder`. `server` is the URL of the server of the
    databases, or None for files of SQLite; the names of the schemas there begin with `schemas`.
    """

    directory: str
    table: str
    models: str | None
    folder: str
    server: str | None = None
    schemas: str = ""


def what_is_tested(
    directory: str | os.PathLike[str] | None, table: str | None, models: str | None, *, file: Path, root: Path
) -> Tested:
    """Return what the class of a test module says; without a directory, what the nearest `pyproject.toml` says.

    A relative directory begins at the folder of the test module, or, if nothing is there, at pytest's root folder.
    Raises ConfigurationError if neither names a directory, or if it does not exist.
    """
    if directory is not None:
        places = [folder / directory for folder in (file.parent, root)]
        there = [place for place in places if place.is_dir()]
        if not there:
            listed = " or ".join(map(str, places))
            raise ConfigurationError(f"directory = {os.fspath(directory)!r}: no such folder: {listed}")
        return _tested(str(there[0].resolve()), table, models, str(root))
    settings = project_settings(file.parent)
    if settings is None or settings.directory is None:
        raise ConfigurationError(
            'no folder of migrations is named: write [tool.usage_store] with directory = "..." in pyproject.toml, '
            'or directory = "..." in a class of MigrationTests'
        )
    if not Path(settings.directory).is_dir():
        raise ConfigurationError(f"{settings.file}: [tool.usage_store] directory: no such folder: {settings.directory}")
    return _tested(settings.directory, table or settings.table, models or settings.models, settings.folder)


def _tested(directory: str, table: str | None, models: str | None, folder: str) -> Tested:
    project = project_of(directory, table)
    new_history = project.tables[0 if project.takes_common else -1]
    return Tested(directory, new_history, models, folder)


class Said(NamedTuple):
    """What the file of a migration says about itself. A reason is None if the file does not give it."""

    has_down: bool
    deletes: tuple[str, ...]
    irreversible: str | None
    lossy: str | None


def said_by(migration: Migration) -> Said:
    """Load the file of a migration, which runs its Python, and return what it says.

    Raises RegistryError if it cannot be loaded, and ConfigurationError for a reason that is no text.
    """
    with Loader() as loader:
        loaded = loader.load(migration, "up")
    names = vars(loaded.module)
    reasons = []
    for name in ("irreversible", "lossy"):
        reason = names.get(name)
        if reason is not None and not (isinstance(reason, str) and reason.strip()):
            raise ConfigurationError(f'{migration.file_name}: {name} is {reason!r}; write the reason: {name} = "..."')
        reasons.append(reason)
    return Said(callable(names.get("down")), loaded.deletes, *reasons)
