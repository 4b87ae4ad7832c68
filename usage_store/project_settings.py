"""Read a project's settings, the table `[tool.usage_store]` of its `pyproject.toml`."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from usage_store.engines.interface.paths_and_urls import PROJECT_FILE, names_an_object, nearest_file
from usage_store.errors import ConfigurationError

_NAMES = ("database", "directory", "table", "models")


class ProjectSettings(NamedTuple):  # a dataclass would import `inspect`, which takes longer than the rest of `check`
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
    file = nearest_file(PROJECT_FILE, start)
    if file is None or not _is_mentioned(file):  # most files do not need the parser, which takes longest
        return None
    found = _table(file)
    if found is None:
        return None
    for name, value in found.items():
        if name not in _NAMES:
            raise ConfigurationError(f"{file}: [tool.usage_store] has no setting {name} {_meant(name)}")
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"{_setting(file, name)} is {value!r}; it must be a text that is not empty")
    table = found.get("table", "table")
    if not table.isidentifier():
        raise ConfigurationError(
            f"{_setting(file, 'table')} is {table!r}, which is no name for a history table; allowed: letters, digits "
            "and _, with no digit first"
        )
    folder = os.path.dirname(file)
    _refuse_dotted_name(file, folder, found.get("database", ""))
    return ProjectSettings(file, **{name: _absolute(folder, name, value) for name, value in found.items()})


def _is_mentioned(file: str) -> bool:
    text = _text(file)
    return b"usage_store" in text or b"usage-store" in text


def _text(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error


def _table(file: str) -> dict[str, Any] | None:
    import tomllib  # noqa: PLC0415  a tenth of the time of `check`, which most calls do not need

    text = _text(file)
    if text.startswith(b"\xef\xbb\xbf"):
        raise ConfigurationError(
            f"{file}: cannot be read: it starts with a byte order mark; save it as UTF-8 without one"
        )
    try:
        document = tomllib.loads(text.decode())
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}: cannot be read: line {line} is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    tool = document.get("tool", {})
    found = tool.get("usage_store") if isinstance(tool, dict) else None
    if found is None:
        _refuse_other_names(file, document, tool)
    elif not isinstance(found, dict):
        raise ConfigurationError(f"{file}: usage_store is {found!r}; write a table [tool.usage_store]")
    return found


def _refuse_other_names(file: str, document: dict[str, Any], tool: Any) -> None:
    """Raise ConfigurationError for a table whose name is nearly right, because its settings would not be read."""
    for place, tables in (("", document), ("tool.", tool)):
        for name in ("usage_store", "usage-store"):
            if isinstance(tables, dict) and isinstance(tables.get(name), dict):
                raise ConfigurationError(f"{file}: [{place}{name}] is not read; write [tool.usage_store]")


def _refuse_dotted_name(file: str, folder: str, database: str) -> None:
    """Raise ConfigurationError for `package.module.name`, which as a path would be a new and empty database.

    `shop.db` stays a path, also beside a package `shop`.
    """
    module, _, name = database.rpartition(".")
    path = os.path.join(folder, *module.split("."))
    is_module = os.path.isfile(f"{path}.py") or os.path.isfile(os.path.join(path, "__init__.py"))
    if "." in module and is_module and not os.path.lexists(os.path.join(folder, database)):
        raise ConfigurationError(
            f"{_setting(file, 'database')} is {database!r}; if it means {name} in the module {module}, write a colon: "
            f"{module}:{name}"
        )


def _setting(file: str, name: str) -> str:
    return f"{file}: [tool.usage_store] {name}"


def _meant(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  only for a mistake

    near = get_close_matches(name, _NAMES, 1)
    return f"(allowed: {', '.join(_NAMES)})" + (f"; did you mean {near[0]}?" if near else "")


def _absolute(folder: str, name: str, value: str) -> str:
    """Make a path absolute, also in a URL of SQLite. The names of Python objects stay as they are."""
    if name not in ("database", "directory") or value == ":memory:":
        return value
    if name == "database" and names_an_object(value, folder):
        return value
    if "://" in value:
        return _absolute_url(folder, value)
    return os.path.join(folder, os.path.expanduser(value.removeprefix("./")))


def _absolute_url(folder: str, url: str) -> str:
    path = url.removeprefix("sqlite:///")
    if path in (url, "", ":memory:") or path.startswith("/"):
        return url
    from urllib.parse import quote  # noqa: PLC0415  only a URL with a relative path needs it

    return f"sqlite:///{quote(folder)}/{path}"
