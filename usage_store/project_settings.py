"""Read a project's settings, the table `[tool.usage_store]` of its `pyproject.toml`."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from typing import Any

from usage_store.engines.interface.paths_and_urls import names_an_object
from usage_store.errors import ConfigurationError

_FILE = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """The settings of a project. A setting that the file does not have is None.

    `file` is the path of the `pyproject.toml`. `database` is a path, a URL, or `module:name` for a Peewee database in
    the project's code. `directory` is the folder of the project's migrations, `table` their history table, and
    `models` is `module` or `module:name`. Paths are absolute: in the file, they begin at the file's folder.
    """

    file: str
    database: str | None = None
    directory: str | None = None
    table: str | None = None
    models: str | None = None

    @property
    def folder(self) -> str:
        """The folder of the file. The project's modules are imported from there."""
        return os.path.dirname(self.file)


def project_settings(start: str | os.PathLike[str] = ".") -> ProjectSettings | None:
    """Return the settings in the nearest `pyproject.toml`, in a folder or above it. Reads only.

    Returns None if there is no such file, or if it has no table `[tool.usage_store]`. Raises ConfigurationError, with
    the name of the file, if it cannot be read or has a setting that is not allowed.
    """
    file = _nearest(os.path.abspath(start))
    if file is None:
        return None
    found = _table(file)
    if found is None:
        return None
    names = [field.name for field in fields(ProjectSettings) if field.name != "file"]
    for name, value in found.items():
        if name not in names:
            raise ConfigurationError(f"{file}: [tool.usage_store] has no setting {name} (allowed: {', '.join(names)})")
        if not isinstance(value, str) or not value:
            raise ConfigurationError(
                f"{file}: [tool.usage_store] {name} is {value!r}; it must be a text that is not empty"
            )
    return ProjectSettings(file, **{name: _absolute(file, name, value) for name, value in found.items()})


def _nearest(folder: str) -> str | None:
    while not os.path.isfile(os.path.join(folder, _FILE)):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return os.path.join(folder, _FILE)


def _table(file: str) -> dict[str, Any] | None:
    try:
        with open(file, "rb") as stream:
            tool = tomllib.load(stream).get("tool", {})
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    found = tool.get("usage_store") if isinstance(tool, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ConfigurationError(f"{file}: usage_store is {found!r}; write a table [tool.usage_store]")
    return found


def _absolute(file: str, name: str, value: str) -> str:
    """Make a path absolute. URLs and the names of Python objects stay as they are."""
    if name not in ("database", "directory") or "://" in value or value == ":memory:":
        return value
    if name == "database" and names_an_object(value):
        return value
    return os.path.join(os.path.dirname(file), os.path.expanduser(value))
