"""Run files that were written for peewee_migrate: `migrate(migrator, database, fake=False)` and `rollback`.

The migrator of peewee_migrate knows, in `migrator.orm`, the models that earlier files created. So the earlier files are
replayed first, as the Router of peewee_migrate does it: they run with `fake=True`, their operations are discarded, and
their queries return nothing.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from usage_store.engines import engine_of
from usage_store.errors import LoadError
from usage_store.migrate.files.find_files import discover
from usage_store.migrate.files.migration import line_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    import peewee

    from usage_store.migrate.files.migration import Migration


class Replays:
    """Find the models that exist after some files, by replaying these files. `load` returns the module of a file.

    The models after the last run file are kept. Without that, each file would replay all earlier files.
    """

    def __init__(self, load: Callable[[Migration], ModuleType]) -> None:
        self._load = load
        self._left: tuple[object, Any] = None, None

    def before(self, migration: Migration, database: peewee.Database) -> Any:
        """Return the models that exist before a migration."""
        earlier = _earlier(migration, database)
        (files, orm), self._left = self._left, (None, None)
        return orm if files == _state(earlier) else self._replayed(map(self._load, earlier), database)

    def after(self, migration: Migration, module: ModuleType, database: peewee.Database) -> Any:
        """Return the models that exist after a migration. `module` is its module."""
        return self._replayed([*map(self._load, _earlier(migration, database)), module], database)

    def keep(self, migration: Migration, database: peewee.Database, orm: Any) -> None:
        """Keep the models that exist after a migration."""
        self._left = _state([*_earlier(migration, database), migration]), orm

    def _replayed(self, past: Iterable[ModuleType], database: peewee.Database) -> Any:
        """Return the models that exist after these modules. Modules that are not in peewee_migrate's form are skipped.

        Raises LoadError, which names file and line, for a module that fails.
        """
        from peewee_migrate import Migrator  # noqa: PLC0415  installed only if the application uses it

        with engine_of(database).copies.silent_database() as silent:
            migrator = Migrator(silent)
            for module in past:
                if getattr(module.up, "__module__", None) != __name__:
                    continue
                try:
                    module.migrate(migrator, silent, fake=True)
                except Exception as error:
                    line = line_in(error, str(module.__file__))
                    raise LoadError(
                        f"{module.__file__}, line {line}, replayed to find its models: {type(error).__name__}: {error}"
                    ) from error
            return migrator.orm


def adapt(module: ModuleType, migration: Migration, replays: Replays) -> None:
    """Add `up` to a module that defines `migrate`, and `down` if it defines `rollback`.

    A module that only imported `migrate` is not changed. Raises LoadError if peewee_migrate is not installed.
    """
    if getattr(module.migrate, "__module__", None) != module.__name__:
        return
    if importlib.util.find_spec("peewee_migrate") is None:
        name = migration.file_name
        raise LoadError(
            f"{name}: written for peewee_migrate, which is not installed; install it with `pip install peewee-migrate`"
        )

    def up(_: object, database: peewee.Database) -> None:
        orm = replays.before(migration, database)
        _run(module.migrate, database, orm)
        replays.keep(migration, database, orm)

    def down(_: object, database: peewee.Database) -> None:
        _run(module.rollback, database, replays.after(migration, module, database))

    module.__dict__["up"] = up
    if callable(getattr(module, "rollback", None)):
        module.__dict__["down"] = down


def _earlier(migration: Migration, database: peewee.Database) -> list[Migration]:
    """List the files with lower versions. If the file of the migration is missing, the list is empty."""
    if migration.path is None:
        return []
    files = discover(migration.path.parent, engine_of(database).NAME)
    return [file for file in files if file.version < migration.version]


def _state(files: Sequence[Migration]) -> object:
    from usage_store.migrate.files.in_a_zip import changed_at  # noqa: PLC0415  only for peewee_migrate's format

    return tuple((file.path, changed_at(file.file) if file.file else 0) for file in files)


def _run(function: Callable[..., None], database: peewee.Database, orm: Any) -> None:
    from peewee_migrate import Migrator  # noqa: PLC0415  installed only if the application uses it

    migrator = Migrator(database)
    migrator.orm = orm
    for model in orm:
        model._meta.set_database(database)
    function(migrator, database, fake=False)
    migrator()
