"""Run files that were written for peewee_migrate: `migrate(migrator, database, fake=False)` and `rollback`.

Their migrator queues operations and knows, in `migrator.orm`, the models that earlier files made. So those files
are replayed first, as peewee_migrate's Router does: with `fake=True`, operations dropped and queries unanswered.
"""

from __future__ import annotations

import importlib.util
from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.errors import LoadError
from usage_store.migrate.files import find_files, load_file, migration

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

    from usage_store.migrate.files.migration import Migration


_Files = tuple[tuple["Path | None", int], ...]

_newest: dict[_Files, Any] = {}  # the models after the file that ran last: with a replay for each, a run is quadratic


class _Nowhere(peewee.SqliteDatabase):
    """A database that runs nothing and answers every query with no rows."""

    def execute_sql(self, sql: str, params: Any = None) -> sqlite3.Cursor:  # noqa: ARG002  peewee's signature
        nothing: sqlite3.Cursor = super().execute_sql("SELECT NULL WHERE 0")  # type: ignore[no-untyped-call]
        return nothing


def adapt(module: ModuleType, migration: Migration) -> None:
    """Give a module that defines `migrate` an `up`, and a `down` if it defines `rollback`.

    A `migrate` that the file only imported is left alone. Raises LoadError if peewee_migrate is not installed.
    """
    if getattr(module.migrate, "__module__", None) != module.__name__:
        return
    if importlib.util.find_spec("peewee_migrate") is None:
        name = migration.file_name
        raise LoadError(f"{name}: written for peewee_migrate, which is missing; pip install peewee-migrate")

    def up(_: object, database: peewee.SqliteDatabase) -> None:
        earlier = _earlier(migration)
        orm = _newest.pop(_state(earlier), None) or _replayed([load_file.load(file, "up") for file in earlier])
        _run(module.migrate, database, orm)
        _newest.clear()
        _newest[_state([*earlier, migration])] = orm

    def down(_: object, database: peewee.SqliteDatabase) -> None:
        _newest.clear()
        orm = _replayed([*(load_file.load(file, "up") for file in _earlier(migration)), module])
        _run(module.rollback, database, orm)

    module.__dict__["up"] = up
    if callable(getattr(module, "rollback", None)):
        module.__dict__["down"] = down


def _earlier(migration: Migration) -> list[Migration]:
    """List the files below this one; none if its own is gone, since nothing says where they are."""
    if migration.path is None:
        return []
    return [file for file in find_files.discover(migration.path.parent) if file.version < migration.version]


def _state(files: Sequence[Migration]) -> _Files:
    return tuple((file.path, file.path.stat().st_mtime_ns if file.path else 0) for file in files)


def _replayed(past: Sequence[ModuleType]) -> Any:
    """Give the models as the adapted modules leave them; others are passed over."""
    from peewee_migrate import Migrator

    with closing(_Nowhere(":memory:")) as nowhere:
        migrator = Migrator(nowhere)
        for module in past:
            if getattr(module.up, "__module__", None) != __name__:
                continue
            try:
                module.migrate(migrator, nowhere, fake=True)
            except Exception as error:
                line = migration.line_in(error, str(module.__file__))
                raise LoadError(
                    f"{module.__file__}, line {line}, replayed for its models: {type(error).__name__}: {error}"
                ) from error
        return migrator.orm


def _run(function: Callable[..., None], database: peewee.SqliteDatabase, orm: Any) -> None:
    from peewee_migrate import Migrator

    migrator = Migrator(database)
    migrator.orm = orm
    for model in orm:
        model._meta.set_database(database)
    function(migrator, database, fake=False)
    migrator()
