"""Point an application at the file of a test, and put everything back afterwards."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usage_store.bind_models import WhenInitialised, bind, bind_again, binding
from usage_store.engines import engine_at, engine_of_kind, file_of
from usage_store.errors import ConfigurationError
from usage_store.models import UsageConfig
from usage_store.models.storage_interface import storage_of
from usage_store.testing.late_threads import without_late_threads

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import peewee

    from usage_store.testing.application import Application

_VARIABLE = "USAGE_STORE_DATABASE"


@contextmanager
def pointed(application: Application, path: str, *, announce: bool = True) -> Iterator[peewee.Database]:
    """Use the file at `path` as the database of an application in the block, and return that database, closed.

    The file must exist. The usage models and the models of the application are bound to it, and
    `$USAGE_STORE_DATABASE` names it. With `announce`, a proxy runs its callbacks. After the block, the database and the
    proxy of the application, the bindings, the maintenance after inserts and the variable are as before, and what was
    opened in the block is closed. The file that the application named before is not opened.

    Raises ConfigurationError and TransactionOpen before the block if the database cannot be pointed at the file; then
    nothing is changed. Raises ConfigurationError after the block if the application pointed the database at another
    file, or bound the usage models to a file outside of the folder of `path`.
    """
    with (
        _variable(path),
        _at(application.database, path, announce=announce) as database,
        _bindings_kept(database, path),
    ):
        storage_of(database).prepare(database)
        bind(database, None)
        with _bound(application.models, database):
            yield database


def settings_of(application: Application) -> Hashable:
    """Return what decides how the application makes a new file: the class of its database and its options."""
    present: Any = getattr(application.database, "obj", application.database)
    if present is None or not _is_usable(present):
        return None
    return type(present), engine_of_kind(type(present)).options_of(present)


@contextmanager
def _variable(path: str) -> Iterator[None]:
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = path
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)
        if before is not None:
            os.environ[_VARIABLE] = before


@contextmanager
def _at(named: Any, path: str, *, announce: bool) -> Iterator[peewee.Database]:
    """Point the database that is named at a file, or make a database if there is none that can be pointed."""
    present = getattr(named, "obj", named)
    usable = present is not None and _is_usable(present)
    database: peewee.Database = present if usable else engine_at(path).database_at(path)
    engine: Any = engine_of_kind(type(database))
    elsewhere = ""
    with without_late_threads(database), engine.pointed_at(database, path):
        if hasattr(named, "attach_callback"):
            with _initialised(named, database, announce=announce):
                yield database
                elsewhere = _elsewhere(named.obj, path)
        else:
            yield database
            elsewhere = _elsewhere(database, path)
    if elsewhere:
        raise _not_at_the_file("pointed its database at", elsewhere)


@contextmanager
def _initialised(proxy: Any, database: peewee.Database, *, announce: bool) -> Iterator[None]:
    """Give a proxy the database for the block. Its callbacks run only at the start, and only with `announce`."""
    present, callbacks = proxy.obj, [*proxy._callbacks]  # noqa: SLF001  peewee has no public way
    try:
        if announce:
            proxy.initialize(database)
        else:
            proxy.obj = database
        yield
    finally:
        if proxy.obj is not None and proxy.obj is not database:
            _close(proxy.obj)
        proxy.obj = present
        # A callback of a module that was imported in the block stays, because a module is imported once.
        now = [each for each in proxy._callbacks if not isinstance(each, WhenInitialised)]  # noqa: SLF001  see above
        proxy._callbacks[:] = [*callbacks, *(each for each in now if each not in callbacks)]  # noqa: SLF001  see above


@contextmanager
def _bindings_kept(database: peewee.Database, path: str) -> Iterator[None]:
    """Bind the usage models after the block as they were before, and close what init_database() opened in the block."""
    before = binding()
    elsewhere = ""
    try:
        yield
    finally:
        bound = UsageConfig._meta.database
        bind_again(before)
        inner = getattr(bound, "obj", bound)
        if inner is not None and inner is not database and bound not in before.databases:
            _close(inner)
            elsewhere = _outside(inner, path)
    if elsewhere:
        raise _not_at_the_file("bound the usage models to", elsewhere)


@contextmanager
def _bound(models: tuple[type[peewee.Model], ...], database: peewee.Database) -> Iterator[None]:
    """Bind the models that do not have the database to it. After the block, all have what they had before."""
    before = [(model, model._meta.database) for model in models]
    try:
        for model, own in before:
            if getattr(own, "obj", own) is not database:
                model.bind(database, bind_refs=False, bind_backrefs=False)
        yield
    finally:
        for model, own in before:
            model._meta.set_database(own)


def _is_usable(database: peewee.Database) -> bool:
    """Return whether the package can use a database, so that its file can be replaced. Opens nothing."""
    try:
        engine_of_kind(type(database))
    except ConfigurationError:
        return False
    return True


def _close(database: Any) -> None:
    if database.deferred:
        return
    if _is_usable(database):
        engine_of_kind(type(database)).close_anyway(database)
    else:
        database.close()


def _elsewhere(database: Any, path: str) -> str:
    """Describe where a database points, if it is not the file of the test. A database without a file is nowhere."""
    if database is None or database.deferred:
        return ""
    if database.database == path or (
        _is_usable(database) and Path(file_of(database)).resolve() == Path(path).resolve()
    ):
        return ""
    return repr(database.database)


def _outside(database: peewee.Database, path: str) -> str:
    """Return the file of a database, if it is not in the folder of the test, where a test may have more databases."""
    file = "" if database.deferred or not _is_usable(database) else file_of(database)
    return file if file and not Path(file).resolve().is_relative_to(Path(path).resolve().parent) else ""


def _not_at_the_file(what: str, elsewhere: str) -> ConfigurationError:
    return ConfigurationError(
        f"the application {what} {elsewhere} during the test, so the test did not use the file of its fixture; let the "
        f"application take the path from ${_VARIABLE}, which names that file"
    )
