"""Point an application at the file or schema of a test, and put everything back afterwards."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usage_store.bind_models import WhenInitialised, bind, bind_again, binding
from usage_store.engines import engine_at, engine_of_kind, file_of, is_on_a_server, name_of
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
def pointed(
    application: Application, place: str, *, announce: bool = True, folder: str | None = None
) -> Iterator[peewee.Database]:
    """Use the file or the schema at a path or URL as the database of an application in the block; gives it closed.

    It must exist. The usage models and the models of the application are bound to it, and `$USAGE_STORE_DATABASE`
    names it. With `announce`, a proxy runs its callbacks. After the block, the database and the
    proxy of the application, the bindings, the maintenance after inserts and the variable are as before, and what was
    opened in the block is closed. What the application named before is not opened.

    Raises ConfigurationError and TransactionOpen before the block if the database cannot be pointed at the place; then
    nothing is changed. Raises ConfigurationError after the block if the application pointed the database at another
    place, or bound the usage models to a file outside of `folder`, by default that of the path, or to another server.
    """
    with (
        _variable(place),
        _at(application.database, place, announce=announce) as database,
        _bindings_kept(database, place, folder or os.path.dirname(place)),  # noqa: PTH120  a place may be a URL
    ):
        storage_of(database).prepare(database)
        bind(database, None)
        with _bound(application.models, database):
            yield database


def settings_of(application: Application) -> Hashable:
    """Return what decides how the application makes a new file: the class of its database and its options."""
    present: Any = getattr(application.database, "obj", application.database)
    if present is None or not _is_supported(present):
        return None
    return type(present), engine_of_kind(type(present)).options_of(present)


@contextmanager
def _variable(place: str) -> Iterator[None]:
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = place
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)
        if before is not None:
            os.environ[_VARIABLE] = before


@contextmanager
def _at(named: Any, place: str, *, announce: bool) -> Iterator[peewee.Database]:
    """Point the database that is named at a place, or make a database if there is none that can be pointed."""
    present = getattr(named, "obj", named)
    engine = engine_at(place)
    usable = present is not None and _is_supported(present) and engine_of_kind(type(present)) is engine
    database: peewee.Database = present if usable else engine.database_at(place)
    elsewhere = ""
    with without_late_threads(database), engine.pointed_at(database, place):
        if hasattr(named, "attach_callback"):
            with _initialised(named, database, announce=announce):
                yield database
                elsewhere = _elsewhere(named.obj, place)
        else:
            yield database
            elsewhere = _elsewhere(database, place)
    if elsewhere:
        raise _not_at_the_place("pointed its database at", elsewhere)


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
def _bindings_kept(database: peewee.Database, place: str, folder: str) -> Iterator[None]:
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
            elsewhere = _outside(inner, place, folder)
    if elsewhere:
        raise _not_at_the_place("bound the usage models to", elsewhere)


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


def _is_supported(database: peewee.Database) -> bool:
    """Return whether the package can use a database. Opens nothing."""
    try:
        engine_of_kind(type(database))
    except ConfigurationError:
        return False
    return True


def _close(database: Any) -> None:
    if database.deferred:
        return
    if _is_supported(database):
        engine_of_kind(type(database)).close_anyway(database)
    else:
        database.close()


def _elsewhere(database: Any, place: str) -> str:
    """Describe where a database points, if that is not the place of the test. One without a name is nowhere."""
    if database is None or database.deferred or database.database == place:
        return ""
    if not _is_supported(database):
        return repr(database.database)
    if is_on_a_server(database):
        return "" if is_on_a_server(place) and name_of(database) == _name_of(place) else name_of(database)
    there = not is_on_a_server(place) and Path(file_of(database)).resolve() == Path(place).resolve()
    return "" if there else repr(database.database)


def _outside(database: peewee.Database, place: str, folder: str) -> str:
    """Return the place of a database, if a test may not have it: a file out of its folder, or another server."""
    if database.deferred or not _is_supported(database):
        return ""
    file = file_of(database)
    if file:
        return "" if Path(file).resolve().is_relative_to(Path(folder).resolve()) else file
    if not is_on_a_server(database):
        return ""
    there = is_on_a_server(place) and _server(name_of(database)) == _server(_name_of(place))
    return "" if there else name_of(database)


def _name_of(url: str) -> str:
    """Return how messages name the database of a URL, also where the environment names the host or the user."""
    return name_of(engine_at(url).database_at(url))


def _server(name: str) -> str:
    return re.split("[?&]schema=", name)[0]


def _not_at_the_place(what: str, elsewhere: str) -> ConfigurationError:
    return ConfigurationError(
        f"the application {what} {elsewhere} during the test, so the test did not use the file of its fixture; let the "
        f"application take the path from ${_VARIABLE}, which names that file"
    )
