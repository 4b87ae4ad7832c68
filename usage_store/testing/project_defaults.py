"""What the fixtures use where they are not overridden: the settings of the project in its pyproject.toml."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.paths_and_urls import names_an_object
from usage_store.migrate.files.import_by_name import import_object, importable
from usage_store.migrate.from_models.load_models import load_models
from usage_store.project_settings import project_settings

if TYPE_CHECKING:
    import os

    import peewee

    from usage_store.project_settings import ProjectSettings


class ProjectDefaults:
    """The database, the models and the migrations that `[tool.usage_store]` names.

    `start` is the folder where the search for `pyproject.toml` begins. Each is imported when it is first used, from the
    folder of that file. All raise ConfigurationError for settings that cannot be used.
    """

    def __init__(self, start: str | os.PathLike[str]) -> None:
        self._start = start

    @cached_property
    def _settings(self) -> ProjectSettings | None:
        return project_settings(self._start)

    @cached_property
    def database(self) -> peewee.Database | peewee.DatabaseProxy | None:
        """The application's database object, if `database` is `module:name`; None for a path, a URL or no setting."""
        if self._settings is None or not names_an_object(self._settings.database or ""):
            return None
        with importable(self._settings.folder):
            found: Any = import_object(str(self._settings.database), may_connect=False)
        return found  # type: ignore[no-any-return]  # its user checks it

    @cached_property
    def models(self) -> tuple[type[peewee.Model], ...]:
        """The models of `models`."""
        if self._settings is None or self._settings.models is None:
            return ()
        with importable(self._settings.folder):
            found = load_models(self._settings.models)
        return (*found.sure, *found.bases)

    @cached_property
    def migrations(self) -> tuple[tuple[str, str | None], ...]:
        """The pair of `directory` and `table`."""
        if self._settings is None or self._settings.directory is None:
            return ()
        return ((self._settings.directory, self._settings.table),)
