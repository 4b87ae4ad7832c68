"""What the fixtures use where they are not overridden: the settings of the project in its pyproject.toml."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from usage_store.engines import is_database
from usage_store.engines.interface.paths_and_urls import names_an_object
from usage_store.errors import ConfigurationError
from usage_store.errors.rejected_input import shown
from usage_store.migrate.files.import_by_name import import_object, importable
from usage_store.migrate.from_models.load_models import load_models
from usage_store.project_settings import project_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.project_settings import ProjectSettings


class ProjectDefaults:
    """The database, the models and the migrations that `[tool.usage_store]` names.

    The settings are those of the nearest `pyproject.toml` of the first folder that has some. What they name is imported
    when it is first used, from the folder of that file. All raise ConfigurationError for settings that cannot be used,
    and for an import that connects a database to a file.
    """

    def __init__(self, *folders: str) -> None:
        self._folders = folders

    @cached_property
    def _settings(self) -> ProjectSettings | None:
        return next(filter(None, map(project_settings, self._folders)), None)

    @cached_property
    def database(self) -> peewee.Database | peewee.DatabaseProxy | None:
        """The application's database object, if `database` is `module:name`; None for a path, a URL or no setting."""
        if self._settings is None or not names_an_object(self._settings.database or ""):
            return None
        spec = str(self._settings.database)
        with _importable(self._settings, "database"):
            found: peewee.Database | peewee.DatabaseProxy = import_object(spec, may_connect=False)
            if not is_database(found):
                raise ConfigurationError(f"{spec}: must be a Peewee Database or DatabaseProxy, not {shown(found)}")
        return found

    @property
    def place(self) -> str | None:
        """The path or URL of the setting `database`; None for `module:name`, and without it."""
        named = None if self._settings is None else self._settings.database
        return None if names_an_object(named or "") else named

    @cached_property
    def models(self) -> tuple[type[peewee.Model], ...]:
        """The models of `models`."""
        if self._settings is None or self._settings.models is None:
            return ()
        with _importable(self._settings, "models"):
            found = load_models(self._settings.models)
        return (*found.sure, *found.bases)

    @cached_property
    def migrations(self) -> tuple[tuple[str, str | None], ...]:
        """The pair of `directory` and `table`."""
        if self._settings is None or self._settings.directory is None:
            return ()
        return ((self._settings.directory, self._settings.table),)


@contextmanager
def _importable(settings: ProjectSettings, name: str) -> Iterator[None]:
    """Let the modules of the project be imported in the block. An error names the setting and its file."""
    try:
        with importable(settings.folder):
            yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; set by `{name}` in [tool.usage_store] of {settings.file}") from error
